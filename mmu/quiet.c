/*
 * Address spaces whose page tables rest.
 *
 * Comparing a user window's tables at each load of CR3 (snapshot.c) takes a fifth of a microsecond, and filling the software TLB anew
 * as much again: little, but processes that talk through a pipe load CR3 ten thousand times a second. So when a window was found
 * unchanged many times in a row, the page tables it was filled from are GUARDED (guard.c), and the window is QUIET: a load of
 * CR3 need not look at it, and what the software TLB knew of its space when it was left is still right when it comes back.
 *
 * A write to a guarded table faults, once: the table is guarded no more, and a new EPOCH begins, in which each window has to be
 * found unchanged again. Writing tables between loads of CR3 thus costs at most twice what it did: the patience here is about what a
 * guard costs, in comparisons.
 *
 * Built with general registers only, because the lean path comes here, too; all but quiet_begin is for it.
 */
#include "mmu/internal.h"

enum { PATIENCE = 64 };

/* The first slot from `from` on that something is filled from; MAX_SLOTS: none. */
static unsigned next_slot(const struct window *w, unsigned from)
{
	for (; from < MAX_SLOTS; from = (from | 63) + 1) {
		uint64_t left = w->used[from / 64] >> from % 64;

		if (left)
			return from + (unsigned)__builtin_ctzll(left);
	}
	return MAX_SLOTS;
}

static bool slot_rests(const struct mmu *m, const struct window *w, unsigned slot)
{
	const struct slot *s = &w->slots[slot];

	return guard_is_table(m->pm, snapshot_directory(m, slot)) &&
	       (!s->snap || guard_is_table(m->pm, snapshot_table_page(m, s->pde)));
}

static bool guard_slot(struct mmu *m, const struct window *w, unsigned slot)
{
	const struct slot *s = &w->slots[slot];

	return guard_table(m->pm, snapshot_directory(m, slot)) &&
	       (!s->snap || guard_table(m->pm, snapshot_table_page(m, s->pde)));
}

/* Page-directory pointers are not in a page of their own and may not be guarded; CR3 loads read them anyhow. */
static bool same_pointers(const struct mmu *m, const struct window *w)
{
	const uint64_t *a = w->quiet.pdpte, *b = m->cpu->pdpte;

	return !m->mode.pae || !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]));
}

static void now_quiet(struct mmu *m, struct window *w)
{
	for (unsigned i = 0; i < 4; i++)
		w->quiet.pdpte[i] = m->cpu->pdpte[i];
	w->quiet.epoch = m->epoch;
	w->quiet.unchanged = 0;
	w->kept_n = 0; /* of another epoch */
}

bool quiet_is(const struct mmu *m, const struct window *w)
{
	return w->quiet.epoch == m->epoch && same_pointers(m, w);
}

void quiet_end(struct window *w)
{
	w->quiet.epoch = 0;
}

void quiet_changed(struct window *w)
{
	w->quiet.unchanged = 0;
}

bool quiet_after_compare(struct mmu *m, struct window *w)
{
	for (unsigned slot = next_slot(w, 0); slot < MAX_SLOTS; slot = next_slot(w, slot + 1))
		if (!slot_rests(m, w, slot))
			return w->quiet.unchanged++ < PATIENCE;
	now_quiet(m, w);
	return true;
}

void quiet_begin(struct mmu *m, struct window *w)
{
	if (w->quiet.unchanged < PATIENCE)
		return;
	w->quiet.unchanged = 0;
	for (unsigned slot = next_slot(w, 0); slot < MAX_SLOTS; slot = next_slot(w, slot + 1))
		if (!guard_slot(m, w, slot))
			return;
	m->stats.quiet++;
	now_quiet(m, w);
}
