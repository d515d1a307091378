/*
 * Snapshots: what the windows were filled from, and what a flush finds changed.
 *
 * A window keeps a TLB's promise: until the guest flushes, stale entries are legal, so page
 * tables are not write-protected. At a flush each live slot's directory entry, and the part
 * of the page table in use, is compared with what was there when it was filled. Comparing an
 * unchanged 4 KiB table costs less than a tenth of a microsecond; a write-protection fault costs
 * two. (Tables that rest are protected after all: quiet.c.)
 *
 * A change is ignored when everything filled from the old entry is right under the new one: A, D or
 * R/W set, bits for software, caching attributes, G. A or D cleared is a change: the next access
 * must set it again, so it must fault. A page that only lost the right to be written, or its D bit,
 * stays mapped read-only. An entry that nothing was filled from just has its snapshot renewed.
 *
 * Built with general registers only, because the lean path compares, too (lean_flush.c): see snapshot_window_stays.
 */
#include "mmu/internal.h"

#include <stdlib.h>
#include <string.h>

/* Snapshot pages one vCPU may hold: every page table of one PAE address space twice. */
enum { SNAP_MAX = 4096 };

/* A, D and RW are harmless when they are set, not when they are cleared. */
#define HARMLESS (PTE_AVL | PTE_PWT | PTE_PCD | PTE_A | PTE_D | PTE_RW | PTE_G)

bool snapshot_changed(uint64_t old, uint64_t now, enum snap_level level)
{
	static const uint64_t ignored[] = {
		[LEVEL_PTE] = HARMLESS | PTE_PS,     /* PAT in a page-table entry */
		[LEVEL_LARGE] = HARMLESS | 1u << 12, /* PAT in a large page's */
		[LEVEL_TABLE] = HARMLESS,
	};
	uint64_t must_stay = level == LEVEL_TABLE ? PTE_A | PTE_RW : PTE_A | PTE_D | PTE_RW;

	return ((old ^ now) & ~ignored[level]) || (old & ~now & must_stay);
}

/* The commonest change (fork, write-back): same page, but the next write must fault. */
static bool only_write_lost(uint64_t old, uint64_t now)
{
	return !snapshot_changed(old, now | (old & (PTE_RW | PTE_D)), LEVEL_PTE);
}

enum snap_level snapshot_level(const struct mmu *m, uint64_t pde)
{
	return (pde & PTE_PS) && (m->mode.pae || m->mode.pse) ? LEVEL_LARGE : LEVEL_TABLE;
}

uint64_t snapshot_entry(const struct mmu *m, const uint8_t *table, unsigned index)
{
	uint32_t e32;
	uint64_t e64;

	if (m->mode.pae) {
		memcpy(&e64, table + index * 8, 8);
		return e64;
	}
	memcpy(&e32, table + index * 4, 4);
	return e32;
}

static void put_entry(const struct mmu *m, uint8_t *table, unsigned index, uint64_t e)
{
	uint32_t low = (uint32_t)e;

	if (m->mode.pae)
		memcpy(table + index * 8, &e, 8);
	else
		memcpy(table + index * 4, &low, 4);
}

gpa_t snapshot_directory(const struct mmu *m, unsigned slot)
{
	uint64_t pdpte = m->cpu->pdpte[slot >> 9 & 3];

	if (!m->mode.on || (m->mode.pae && !(pdpte & PTE_P)))
		return gpa(~0ull);
	return gpa(physmap_a20(m->pm, m->mode.pae ? pdpte & PTE_ADDR_PAE : m->cpu->cr3 & 0xfffff000u));
}

uint64_t snapshot_pde_now(const struct mmu *m, unsigned slot)
{
	const uint8_t *table = physmap_host(m->pm, snapshot_directory(m, slot), PAGE_SIZE);

	return table ? snapshot_entry(m, table, m->mode.pae ? slot & 511 : slot) : 0;
}

gpa_t snapshot_table_page(const struct mmu *m, uint64_t pde)
{
	return gpa(physmap_a20(m->pm, pde & (m->mode.pae ? PTE_ADDR_PAE : 0xfffff000ull)));
}

const uint8_t *snapshot_table(const struct mmu *m, uint64_t pde)
{
	return physmap_host(m->pm, snapshot_table_page(m, pde), PAGE_SIZE);
}

/* ---- the pool ---- */

bool snapshot_reserve(struct mmu *m)
{
	uint8_t *p;

	if (m->snap_free_n)
		return true;
	if (m->snap_total == SNAP_MAX)
		return false;
	if (!m->snap_free) {
		m->snap_free = calloc(SNAP_MAX, sizeof(*m->snap_free));
		if (!m->snap_free)
			return false;
	}
	p = malloc(PAGE_SIZE);
	if (!p)
		return false;
	m->snap_total++;
	m->snap_free[m->snap_free_n++] = p;
	return true;
}

void snapshot_free(struct mmu *m, uint8_t *p)
{
	m->snap_free[m->snap_free_n++] = p;
}

/* ---- filling ---- */

bool snapshot_agrees(const struct mmu *m, struct window *w, uint32_t page, uint64_t leaf)
{
	const struct slot *s = window_slot(w, page);

	return !w->shadow[page] || !s->snap ||
	       !snapshot_changed(snapshot_entry(m, s->snap, snapshot_index(w, page)), leaf,
				 LEVEL_PTE);
}

void snapshot_sync(struct mmu *m, struct window *w, uint32_t page, const struct walk *k)
{
	struct slot *s = window_slot(w, page);
	uint64_t pde = walk_pde(m->cpu, k);
	struct drop d;

	if (!s->live || !m->mode.on)
		return;
	drop_begin(&d, m, w);
	if (snapshot_changed(s->pde, pde, snapshot_level(m, s->pde)))
		drop_slot(&d, page >> w->slot_shift);
	else if (!snapshot_agrees(m, w, page, walk_leaf(k)))
		drop_pages(&d, page, page);
	drop_end(&d);
}

/* Entries in 64 bytes of a page table: what is compared at once. */
enum { LINE_BYTES = 64 };

static unsigned per_line(const struct mmu *m)
{
	return m->mode.pae ? LINE_BYTES / 8 : LINE_BYTES / 4;
}

static void take_snapshot(struct mmu *m, struct slot *s)
{
	const uint8_t *table = snapshot_table(m, s->pde);

	s->snap = m->snap_free[--m->snap_free_n];
	s->lines = 0;
	if (table)
		memcpy(s->snap, table, PAGE_SIZE);
	else
		memset(s->snap, 0xff, PAGE_SIZE); /* as walks read it */
}

static void note_global(struct window *w, unsigned slot, bool global)
{
	uint64_t bit = 1ull << slot % 64;

	if (!global)
		w->global[slot / 64] &= ~bit;
	else if (!w->slots[slot].live)
		w->global[slot / 64] |= bit;
}

/* G is a harmless change, but what has lost it does not outlive the next load of CR3. */
static void renewed(struct window *w, unsigned slot, uint64_t leaf)
{
	if (!(leaf & PTE_G))
		note_global(w, slot, false);
}

void snapshot_note(struct mmu *m, struct window *w, uint32_t page, uint64_t pde, uint64_t leaf)
{
	struct slot *s = window_slot(w, page);
	unsigned index = snapshot_index(w, page);

	quiet_end(w);
	note_global(w, page >> w->slot_shift, leaf & PTE_G);
	s->pde = pde;
	if (!m->mode.on || snapshot_level(m, pde) == LEVEL_LARGE)
		return;
	if (!s->snap)
		take_snapshot(m, s);
	s->lines |= 1ull << index / per_line(m);
	put_entry(m, s->snap, index, leaf);
}

static bool line_in_use(const struct window *w, uint32_t first, unsigned n)
{
	uint32_t any = 0;

	for (unsigned i = 0; i < n; i++)
		any |= w->shadow[first + i];
	return any;
}

void snapshot_dropped(const struct mmu *m, struct window *w, uint32_t first, uint32_t last)
{
	unsigned n = per_line(m);

	for (uint32_t page = first & ~(n - 1); page <= last; page += n)
		if (!line_in_use(w, page, n))
			window_slot(w, page)->lines &= ~(1ull << snapshot_index(w, page) / n);
}

/* ---- comparing ---- */

/* What a flush does about a page whose entry may have changed. */
enum fate { PAGE_STAYS, PAGE_LOSES_WRITE, PAGE_GOES };

static enum fate fate_of(const struct window *w, uint32_t page, uint64_t old, uint64_t now)
{
	if (!w->shadow[page] || !snapshot_changed(old, now, LEVEL_PTE))
		return PAGE_STAYS;
	return only_write_lost(old, now) ? PAGE_LOSES_WRITE : PAGE_GOES;
}

static uint64_t differing(const uint8_t *a, const uint8_t *b, unsigned word)
{
	uint64_t x, y;

	memcpy(&x, a + word * 8, 8);
	memcpy(&y, b + word * 8, 8);
	return x ^ y;
}

/* By words, and all of them: nothing here may use vector registers or a library, and lines mostly are the same. */
static bool same_line(const uint8_t *table, const uint8_t *snap, unsigned line)
{
	const uint8_t *a = table + line * LINE_BYTES, *b = snap + line * LINE_BYTES;

	return !(differing(a, b, 0) | differing(a, b, 1) | differing(a, b, 2) | differing(a, b, 3) |
		 differing(a, b, 4) | differing(a, b, 5) | differing(a, b, 6) | differing(a, b, 7));
}

static void compare_entry(struct drop *d, struct slot *s, uint32_t page, uint64_t now)
{
	unsigned index = snapshot_index(d->w, page);
	uint64_t old = snapshot_entry(d->m, s->snap, index);

	if (old == now)
		return;
	quiet_changed(d->w);
	put_entry(d->m, s->snap, index, now);
	if (d->w->shadow[page])
		renewed(d->w, page >> d->w->slot_shift, now);
	switch (fate_of(d->w, page, old, now)) {
	case PAGE_STAYS:
		break;
	case PAGE_LOSES_WRITE:
		drop_write(d, page);
		break;
	case PAGE_GOES:
		drop_pages(d, page, page); /* may free s->snap with the slot's last page */
	}
}

static void compare_table(struct drop *d, unsigned slot)
{
	struct window *w = d->w;
	struct slot *s = &w->slots[slot];
	const uint8_t *table = snapshot_table(d->m, s->pde);
	unsigned n = per_line(d->m);

	if (!table) {
		drop_slot(d, slot);
		return;
	}
	d->m->stats.compares++;
	for (uint64_t left = s->lines; left && s->snap; left &= left - 1) {
		unsigned line = (unsigned)__builtin_ctzll(left);

		if (same_line(s->snap, table, line))
			continue;
		for (unsigned i = line * n; i < (line + 1) * n && s->snap; i++)
			compare_entry(d, s, ((uint32_t)slot << w->slot_shift) + i,
				      snapshot_entry(d->m, table, i));
	}
}

/* Returns false when the whole slot went. */
static bool compare_pde(struct drop *d, unsigned slot)
{
	struct slot *s = &d->w->slots[slot];
	uint64_t now = snapshot_pde_now(d->m, slot);

	if (snapshot_changed(s->pde, now, snapshot_level(d->m, s->pde))) {
		quiet_changed(d->w);
		drop_slot(d, slot);
		return false;
	}
	if (snapshot_level(d->m, now) == LEVEL_LARGE)
		renewed(d->w, slot, now);
	s->pde = now;
	return true;
}

/*
 * Global pages outlive a CR3 load (SDM: "Global Pages"): unless `global`, slots that hold only such are not looked at. A kernel's half
 * has more slots than all the rest.
 */
static uint64_t slots_to_compare(const struct mmu *m, const struct window *w, unsigned word, bool global)
{
	return w->used[word] & (!global && (m->cpu->cr4 & CR4_PGE) ? ~w->global[word] : ~0ull);
}

void snapshot_compare_window(struct mmu *m, struct window *w, bool global)
{
	struct drop d;

	if (!m->mode.on)
		return;
	drop_begin(&d, m, w);
	for (uint32_t words = w->ever; words; words &= words - 1) {
		unsigned i = (unsigned)__builtin_ctz(words);

		for (uint64_t left = slots_to_compare(m, w, i, global); left; left &= left - 1) {
			unsigned slot = i * 64 + (unsigned)__builtin_ctzll(left);
			struct slot *s = &w->slots[slot];

			if (s->live && compare_pde(&d, slot) && s->snap)
				compare_table(&d, slot);
		}
	}
	drop_end(&d);
}

void snapshot_compare_page(struct mmu *m, struct window *w, uint32_t page)
{
	struct slot *s = window_slot(w, page);
	unsigned slot = page >> w->slot_shift;
	const uint8_t *table;
	struct drop d;

	if (!s->live || !m->mode.on)
		return;
	drop_begin(&d, m, w);
	if (compare_pde(&d, slot) && s->snap && w->shadow[page]) {
		table = snapshot_table(m, s->pde);
		if (table)
			compare_entry(&d, s, page,
				      snapshot_entry(m, table, snapshot_index(w, page)));
		else
			drop_slot(&d, slot);
	}
	drop_end(&d);
}

/* ---- comparing on the lean path: renew what may be renewed, and say whether anything has to go ---- */

static bool entry_stays(struct mmu *m, struct window *w, uint32_t page, const uint8_t *table)
{
	struct slot *s = window_slot(w, page);
	unsigned index = snapshot_index(w, page);
	uint64_t old = snapshot_entry(m, s->snap, index), now = snapshot_entry(m, table, index);

	if (old == now)
		return true;
	quiet_changed(w);
	if (fate_of(w, page, old, now) != PAGE_STAYS)
		return false;
	put_entry(m, s->snap, index, now);
	if (w->shadow[page])
		renewed(w, page >> w->slot_shift, now);
	return true;
}

static bool pde_stays(struct mmu *m, struct window *w, unsigned slot)
{
	struct slot *s = &w->slots[slot];
	uint64_t now = snapshot_pde_now(m, slot);

	if (snapshot_changed(s->pde, now, snapshot_level(m, s->pde)))
		return false;
	if (snapshot_level(m, now) == LEVEL_LARGE)
		renewed(w, slot, now);
	s->pde = now;
	return true;
}

/* All entries of a line are renewed, or those not in use would be found different each time. */
static bool table_stays(struct mmu *m, struct window *w, unsigned slot)
{
	const struct slot *s = &w->slots[slot];
	const uint8_t *table = snapshot_table(m, s->pde);
	unsigned n = per_line(m);

	if (!table)
		return false;
	m->stats.compares++;
	for (uint64_t left = s->lines; left; left &= left - 1) {
		unsigned line = (unsigned)__builtin_ctzll(left);

		if (same_line(s->snap, table, line))
			continue;
		for (unsigned i = line * n; i < (line + 1) * n; i++)
			if (!entry_stays(m, w, ((uint32_t)slot << w->slot_shift) + i, table))
				return false;
	}
	return true;
}

bool snapshot_window_stays(struct mmu *m, struct window *w, bool global)
{
	for (uint32_t words = w->ever; words; words &= words - 1) {
		unsigned i = (unsigned)__builtin_ctz(words);

		for (uint64_t left = slots_to_compare(m, w, i, global); left; left &= left - 1) {
			unsigned slot = i * 64 + (unsigned)__builtin_ctzll(left);
			struct slot *s = &w->slots[slot];

			if (!s->live)
				continue;
			if (!pde_stays(m, w, slot) || (s->snap && !table_stays(m, w, slot)))
				return false;
		}
	}
	return true;
}

bool snapshot_page_stays(struct mmu *m, struct window *w, uint32_t page)
{
	struct slot *s = window_slot(w, page);
	const uint8_t *table;

	if (!s->live)
		return true;
	if (!pde_stays(m, w, page >> w->slot_shift))
		return false;
	if (!s->snap || !w->shadow[page])
		return true;
	table = snapshot_table(m, s->pde);
	return table && entry_stays(m, w, page, table);
}
