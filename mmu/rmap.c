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

enum { BUCKET_SHIFT = 10, BUCKET_FRAMES = 1 << BUCKET_SHIFT, FIRST_CAPACITY = 16, TEXT_BLOCK = 16 };

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
	m->mixed = calloc((uint64_t)m->buckets * BUCKET_FRAMES / TEXT_BLOCK, 1);
	return m->bucket && m->mixed;
}

void rmap_destroy(struct mmu *m)
{
	for (uint32_t i = 0; m->bucket && i < m->buckets; i++)
		free(m->bucket[i].v);
	free(m->bucket);
	free(m->mixed);
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

/*
 * A kernel's text becomes code a page at a time, and protecting costs the same for one page as for many. So when a second page of a
 * block does, the whole block is protected in the supervisor window: what is no code in it is raised again when it is written. That makes
 * a block a mixed one, which is left alone from then on.
 */
static bool other_code(const struct mmu *m, uint64_t gfn)
{
	uint64_t first = gfn & ~(uint64_t)(TEXT_BLOCK - 1);

	for (uint64_t f = first; f < first + TEXT_BLOCK; f++)
		if (f != gfn && physmap_is_code(m->pm, gpa(f << PAGE_SHIFT)))
			return true;
	return false;
}

static uint8_t *mixed(const struct mmu *m, uint64_t gfn)
{
	return &m->mixed[gfn / TEXT_BLOCK];
}

void rmap_written(struct mmu *m, uint64_t gfn)
{
	if (other_code(m, gfn))
		*mixed(m, gfn) = true;
}

static bool is_text(const struct mmu *m, const struct window *w, uint64_t gfn)
{
	return w->space == MMU_SUPERVISOR && !*mixed(m, gfn) && physmap_is_code(m->pm, gpa(gfn << PAGE_SHIFT)) &&
	       other_code(m, gfn);
}

/* Protect the page, or all of its block that the extent accounts for. */
static bool protect(struct mmu *m, const struct extent *e, uint32_t page, bool block)
{
	struct window *w = &m->win[e->space];
	uint32_t lo = page, hi = page, shift = e->gfn - e->page; /* from a page to its frame */

	while (block && lo > e->page && (lo + shift) % TEXT_BLOCK && holds(w, lo - 1, lo - 1 + shift))
		lo--;
	while (block && hi + 1 - e->page < e->n && (hi + 1 + shift) % TEXT_BLOCK && holds(w, hi + 1, hi + 1 + shift))
		hi++;
	if (!window_protect(w, lo, hi - lo + 1, false))
		return false;
	for (uint32_t p = lo; p <= hi; p++)
		shadow_set(m, w, p, w->shadow[p] & ~(uint32_t)(SH_W | SH_NOWP));
	return true;
}

void rmap_protect(struct mmu *m, uint64_t gfn)
{
	const struct bucket *b = &m->bucket[gfn >> BUCKET_SHIFT];

	for (uint32_t i = 0; i < b->n; i++) {
		const struct extent *e = &b->v[i];
		const struct window *w = &m->win[e->space];
		uint32_t page = e->page + (uint32_t)(gfn - e->gfn);

		if (gfn - e->gfn >= e->n || !holds(w, page, (uint32_t)gfn))
			continue;
		if (!protect(m, e, page, is_text(m, w, gfn))) {
			mmu_evict_all(m); /* no mapping at all is read-only enough */
			return;
		}
	}
}
