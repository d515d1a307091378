/*
 * Reverse map: where is this guest frame mapped writable?
 *
 * Asked once for each page that becomes code. Whenever pages become writable in a window
 * their extent is appended to the bucket of its 4 MiB of guest-physical space; nothing is
 * removed when they go, because the shadow tables tell whether an extent still holds. A
 * bucket that is full first loses what no longer holds.
 */
#include "mmu/internal.h"

#include <stdlib.h>

enum { BUCKET_SHIFT = 10, BUCKET_FRAMES = 1 << BUCKET_SHIFT, FIRST_CAPACITY = 16 };

struct extent {
	uint32_t page; /* first linear page */
	uint32_t gfn;  /* first guest frame */
	uint16_t n;    /* pages, within one bucket */
	uint16_t space;
};

bool rmap_create(struct mmu *m)
{
	uint64_t top = physmap_above_4g(m->pm) ? (1ull << 32) + physmap_above_4g(m->pm)
					       : physmap_below_4g(m->pm);

	m->buckets = (uint32_t)(top >> (PAGE_SHIFT + BUCKET_SHIFT)) + 1;
	m->bucket = calloc(m->buckets, sizeof(*m->bucket));
	return m->bucket;
}

void rmap_destroy(struct mmu *m)
{
	for (uint32_t i = 0; m->bucket && i < m->buckets; i++)
		free(m->bucket[i].v);
	free(m->bucket);
}

static bool holds(const struct window *w, uint32_t page, uint32_t gfn)
{
	uint32_t word = w->shadow[page];

	return (word & SH_W) && word >> SH_GFN_SHIFT == gfn;
}

/* Mark the pages an extent accounts for; false when others account for all of them. */
static bool claim(struct mmu *m, const struct extent *e)
{
	struct window *w = &m->win[e->space];
	bool any = false;

	for (uint32_t i = 0; i < e->n; i++) {
		if (!holds(w, e->page + i, e->gfn + i) || (w->shadow[e->page + i] & SH_SEEN))
			continue;
		w->shadow[e->page + i] |= SH_SEEN; /* no counter depends on this bit */
		any = true;
	}
	return any;
}

static void unclaim(struct mmu *m, const struct extent *e)
{
	for (uint32_t i = 0; i < e->n; i++)
		m->win[e->space].shadow[e->page + i] &= ~(uint32_t)SH_SEEN;
}

/* Newest first, so that the largest view of what is mapped now survives. */
static void compact(struct mmu *m, struct bucket *b)
{
	uint32_t keep = b->n;

	for (uint32_t i = b->n; i-- > 0;)
		if (claim(m, &b->v[i]))
			b->v[--keep] = b->v[i];
	for (uint32_t i = keep; i < b->n; i++)
		unclaim(m, &b->v[i]);
	for (uint32_t i = keep; i < b->n; i++)
		b->v[i - keep] = b->v[i];
	b->n -= keep;
}

static bool make_room(struct mmu *m, struct bucket *b)
{
	uint32_t cap;
	struct extent *v;

	if (b->n < b->cap)
		return true;
	compact(m, b);
	if (b->n < b->cap - b->cap / 4)
		return true;
	cap = b->cap ? b->cap * 2 : FIRST_CAPACITY;
	v = realloc(b->v, cap * sizeof(*v));
	if (!v)
		return false;
	b->v = v;
	b->cap = cap;
	return true;
}

bool rmap_add(struct mmu *m, const struct window *w, uint32_t page, uint32_t n, uint64_t gfn)
{
	while (n) {
		struct bucket *b = &m->bucket[gfn >> BUCKET_SHIFT];
		uint32_t in = BUCKET_FRAMES - (uint32_t)(gfn & (BUCKET_FRAMES - 1));

		if (in > n)
			in = n;
		if (!make_room(m, b))
			return false;
		b->v[b->n++] =
			(struct extent){page, (uint32_t)gfn, (uint16_t)in, (uint16_t)w->space};
		page += in;
		gfn += in;
		n -= in;
	}
	return true;
}

void rmap_protect(struct mmu *m, uint64_t gfn)
{
	const struct bucket *b = &m->bucket[gfn >> BUCKET_SHIFT];

	for (uint32_t i = 0; i < b->n; i++) {
		const struct extent *e = &b->v[i];
		struct window *w = &m->win[e->space];
		uint32_t page = e->page + (uint32_t)(gfn - e->gfn);

		if (gfn - e->gfn >= e->n || !holds(w, page, (uint32_t)gfn))
			continue;
		if (!window_protect(w, page, 1, false)) {
			mmu_evict_all(m); /* no mapping at all is read-only enough */
			return;
		}
		shadow_set(m, w, page, w->shadow[page] & ~(uint32_t)(SH_W | SH_NOWP));
	}
}
