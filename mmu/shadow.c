/*
 * Shadow tables: one word for each linear page of a window, flat (the 4 MiB array is
 * reserved without memory; what a guest uses of it gets pages). shadow_set is the only
 * writer. It keeps, per slot, the number of live words, and counts host mappings
 * exactly: the kernel merges neighbours with equal rights and consecutive file offsets, so
 * a mapping begins wherever two neighbouring words do not join.
 */
#include "mmu/internal.h"

static bool joined(uint32_t a, uint32_t b)
{
	if ((a ^ b) & (SH_R | SH_W | SH_PARKED))
		return false;
	return !(a & (SH_R | SH_PARKED)) || (b >> SH_GFN_SHIFT) == (a >> SH_GFN_SHIFT) + 1;
}

/* What the host has at a page. */
static uint32_t host_word(const struct window *w, uint32_t page)
{
	if (w->shadow[page] & SH_R)
		return w->shadow[page];
	return w->parked_n ? w->parked[page] : 0;
}

/* Mapping boundaries on both sides of a page. */
static unsigned edges(const struct window *w, uint32_t page)
{
	uint32_t word = host_word(w, page);
	unsigned n = 0;

	if (page > 0)
		n += !joined(host_word(w, page - 1), word);
	if (page < WINDOW_PAGES - 1)
		n += !joined(word, host_word(w, page + 1));
	return n;
}

static void count_edges(struct mmu *m, struct window *w, uint32_t page, unsigned before)
{
	int delta = (int)edges(w, page) - (int)before;

	w->vmas += (uint32_t)delta;
	m->stats.mappings_now += (uint64_t)(int64_t)delta;
}

static void count_flag(uint32_t *counter, uint32_t old, uint32_t word, uint32_t flag)
{
	if ((old ^ word) & flag)
		*counter += word & flag ? 1 : (uint32_t)-1;
}

void shadow_set(struct mmu *m, struct window *w, uint32_t page, uint32_t word)
{
	uint32_t old = w->shadow[page];
	unsigned n = page >> w->slot_shift;
	struct slot *s = &w->slots[n];
	unsigned before;

	if (old == word)
		return;
	if (w->mirrored)
		mirror_changed(m, w, page, old, word);
	before = edges(w, page);
	count_flag(&w->nowp, old, word, SH_NOWP);
	count_flag(&w->tracked, old, word, SH_CODE);
	w->shadow[page] = word;
	count_edges(m, w, page, before);
	if (!old && s->live++ == 0) {
		w->used[n / 64] |= 1ull << (n % 64);
		w->ever |= 1u << n / 64;
	} else if (!word && --s->live == 0) {
		w->used[n / 64] &= ~(1ull << (n % 64));
		if (s->snap)
			snapshot_free(m, s->snap);
		s->snap = NULL;
	}
}

void parked_set(struct mmu *m, struct window *w, uint32_t page, uint32_t word)
{
	uint32_t old = w->parked[page];
	unsigned before = edges(w, page);

	w->parked[page] = word;
	if (!old != !word)
		w->parked_n += word ? 1 : (uint32_t)-1;
	count_edges(m, w, page, before);
}

void parked_forget(struct mmu *m, struct window *w, uint32_t page, uint32_t n)
{
	for (uint32_t i = 0; i < n && w->parked_n; i++)
		if (w->parked[page + i])
			parked_set(m, w, page + i, 0);
}

/* ---- dropping ---- */

/* Unmapping across a short gap is cheaper than a second system call. */
enum { MAX_GAP = 1024 };
/* Longer ranges are worth a real unmapping, which gives mappings back. */
enum { PARK_MAX = 16 };

void drop_begin(struct drop *d, struct mmu *m, struct window *w)
{
	*d = (struct drop){.m = m, .w = w};
}

static void flush_unmap(struct drop *d)
{
	if (!d->mapped)
		return;
	if (d->map_hi - d->map_lo >= PARK_MAX ||
	    !window_park(d->w, d->map_lo, d->map_hi - d->map_lo + 1))
		window_unmap(d->m, d->w, d->map_lo, d->map_hi - d->map_lo + 1);
	d->m->stats.drops++;
	d->mapped = false;
}

static void flush_ro(struct drop *d)
{
	if (!d->ro)
		return;
	d->ro = false;
	/* had an unmapping failed meanwhile, the whole window would be unmapped and stay so */
	if ((d->w->shadow[d->ro_lo] & SH_R) &&
	    !window_protect(d->w, d->ro_lo, d->ro_hi - d->ro_lo + 1, false))
		window_unmap_all(d->m, d->w);
}

static void flush_code(struct drop *d)
{
	const struct mmu_listener *l = &d->m->listener;

	if (!d->code)
		return;
	flush_unmap(d);
	flush_ro(d);
	d->code = false;
	if (l->code_unmapped)
		l->code_unmapped(l->ctx, d->w->space, d->code_lo, d->code_hi);
}

static bool gap_is_empty(const struct drop *d, uint32_t page)
{
	if (page <= d->map_hi || page - d->map_hi > MAX_GAP)
		return page == d->map_hi;
	for (uint32_t p = d->map_hi + 1; p < page; p++)
		if (d->w->shadow[p] & SH_R)
			return false;
	return true; /* parked pages in the gap are no obstacle */
}

static void note_unmap(struct drop *d, uint32_t page)
{
	if (d->mapped && !gap_is_empty(d, page))
		flush_unmap(d);
	if (!d->mapped)
		d->map_lo = page;
	d->mapped = true;
	d->map_hi = page;
}

static void note_code(struct drop *d, uint32_t page)
{
	if (d->code && (page < d->code_hi || page - d->code_hi > MAX_GAP))
		flush_code(d);
	if (!d->code)
		d->code_lo = page;
	d->code = true;
	d->code_hi = page;
}

void drop_pages(struct drop *d, uint32_t first, uint32_t last)
{
	for (uint32_t p = first; p <= last; p++) {
		uint32_t word = d->w->shadow[p];

		if (!word)
			continue;
		/* tables first: a note may carry out what was noted before, this page included */
		shadow_set(d->m, d->w, p, 0);
		if (word & SH_R) {
			parked_set(d->m, d->w, p, (word & ~0xffu) | SH_PARKED);
			note_unmap(d, p);
		}
		if (word & SH_CODE)
			note_code(d, p);
	}
	snapshot_dropped(d->m, d->w, first, last);
}

void drop_write(struct drop *d, uint32_t page)
{
	uint32_t word = d->w->shadow[page];

	if (!(word & SH_W))
		return;
	if (d->ro && page != d->ro_hi + 1)
		flush_ro(d);
	if (!d->ro)
		d->ro_lo = page;
	d->ro = true;
	d->ro_hi = page;
	shadow_set(d->m, d->w, page, word & ~(uint32_t)(SH_W | SH_NOWP));
}

void drop_slot(struct drop *d, unsigned slot)
{
	uint32_t first = (uint32_t)slot << d->w->slot_shift;

	drop_pages(d, first, first + (1u << d->w->slot_shift) - 1);
}

/* Host mappings go first: the listener may look at the window. */
void drop_end(struct drop *d)
{
	flush_unmap(d);
	flush_ro(d);
	flush_code(d);
}
