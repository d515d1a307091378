/*
 * What the debug monitor shows of memory: the physical map, the guest's page tables, the windows made of them. vCPU thread;
 * nothing changes.
 */
#include "mmu/internal.h"

#include <stdio.h>

/* ---- the physical map ---- */

static const char *device_name(uint64_t base)
{
	return base == 0xfec00000 ? "ioapic" : base == 0xfee00000 ? "apic-msi" : "device";
}

/* The range or region that begins first at or after `from`; false: none. */
static bool next_region(const struct physmap *pm, uint64_t from, uint64_t *start, uint64_t *end,
			const char **kind, const char **name)
{
	*start = ~0ull;
	for (unsigned i = 0; i < pm->ranges; i++) {
		const struct phys_range *r = &pm->range[i];

		if (r->start < from || r->start >= *start)
			continue;
		*start = r->start;
		*end = r->end;
		*kind = r->kind == PAGE_ROM ? "rom" : "ram";
		*name = r->kind == PAGE_ROM ? "pc.rom" : "pc.ram";
	}
	for (unsigned i = 0; i < pm->mmio_count; i++) {
		const struct mmio_region *r = &pm->mmio[i];

		if (!r->enabled || r->base < from || r->base >= *start)
			continue;
		*start = r->base;
		*end = r->base + r->len;
		*kind = "i/o";
		*name = device_name(r->base);
	}
	return *start != ~0ull;
}

void physmap_print(const struct physmap *pm, FILE *f)
{
	uint64_t start, end, from = 0;
	const char *kind, *name;

	for (; next_region(pm, from, &start, &end, &kind, &name); from = end)
		fprintf(f, "  %016llx-%016llx (prio 0, %s): %s\n", (unsigned long long)start,
			(unsigned long long)end - 1, kind, name);
}

/* ---- the guest's page tables ---- */

struct mapping {
	uint64_t page;
	uint64_t leaf, gpa;
	bool user, write;
};

/*
 * What is mapped at va; false: nothing, and *skip says how far that holds. R/W and U/S count at every level that has
 * them: a PDPTE does not.
 */
static bool look(const struct cpu *c, struct physmap *pm, uint32_t va, struct mapping *m, uint64_t *skip)
{
	static const uint64_t pae[] = {PAGE_SIZE, 1ull << 30, 2u << 20, PAGE_SIZE};
	static const uint64_t plain[] = {PAGE_SIZE, 4u << 20, PAGE_SIZE, PAGE_SIZE};
	bool is_pae = paging_pae(c);
	struct walk k = {0};

	if (!mmu_walk_quiet(c, pm, gva(va), &k)) {
		*skip = (is_pae ? pae : plain)[k.levels & 3];
		return false;
	}
	*m = (struct mapping){.page = k.page, .leaf = walk_leaf(&k), .user = true, .write = true};
	m->gpa = k.gpa.v & ~(k.page - 1);
	for (unsigned i = is_pae; i < k.levels; i++) {
		m->user = m->user && (k.entry[i] & PTE_US);
		m->write = m->write && (k.entry[i] & PTE_RW);
	}
	*skip = k.page;
	return true;
}

void mmu_print_tlb(const struct cpu *c, struct physmap *pm, FILE *f)
{
	static const struct {
		uint64_t bit;
		char letter;
	} bits[] = {{PTE_NX, 'X'}, {PTE_G, 'G'},   {PTE_PS, 'P'},  {PTE_D, 'D'}, {PTE_A, 'A'},
		    {PTE_PCD, 'C'}, {PTE_PWT, 'T'}, {PTE_US, 'U'}, {PTE_RW, 'W'}};
	uint64_t step;

	if (!paging_on(c)) {
		fputs("PG disabled\n", f);
		return;
	}
	for (uint64_t va = 0; va < WINDOW_SIZE; va = (va & ~(step - 1)) + step) {
		struct mapping m;
		char flags[ARRAY_LEN(bits) + 1] = "";

		if (!look(c, pm, (uint32_t)va, &m, &step))
			continue;
		for (unsigned i = 0; i < ARRAY_LEN(bits); i++)
			flags[i] = m.leaf & bits[i].bit ? bits[i].letter : '-';
		/* bit 7 of an entry for 4 KiB is PAT */
		if (m.page == PAGE_SIZE)
			flags[2] = '-';
		fprintf(f, "%016llx: %016llx %s\n", (unsigned long long)va, (unsigned long long)m.gpa, flags);
	}
}

void mmu_print_mem(const struct cpu *c, struct physmap *pm, FILE *f)
{
	uint64_t start = 0, step;
	int now, before = -1; /* -1: not mapped; else 1 write, 2 user */

	if (!paging_on(c)) {
		fputs("PG disabled\n", f);
		return;
	}
	for (uint64_t va = 0; va <= WINDOW_SIZE; va = (va & ~(step - 1)) + step) {
		struct mapping m;

		step = PAGE_SIZE;
		now = -1;
		if (va < WINDOW_SIZE && look(c, pm, (uint32_t)va, &m, &step))
			now = m.write | m.user << 1;
		if (now == before)
			continue;
		if (before >= 0)
			fprintf(f, "%016llx-%016llx %016llx %cr%c\n", (unsigned long long)start,
				(unsigned long long)va, (unsigned long long)(va - start),
				before & 2 ? 'u' : '-', before & 1 ? 'w' : '-');
		start = va;
		before = now;
	}
}

/* ---- windows ---- */

static unsigned pages_mapped(const struct window *w)
{
	unsigned slots = WINDOW_PAGES >> w->slot_shift, n = 0;

	for (unsigned i = 0; w->slots && i < slots && i < MAX_SLOTS; i++)
		n += w->slots[i].live;
	return n;
}

static bool in_use(const struct mmu *m, unsigned i)
{
	return m->win[i].slots && (i == MMU_SUPERVISOR || m->win[i].assigned);
}

void mmu_print_windows(const struct mmu *m, FILE *f)
{
	fprintf(f, "%u windows, %llu host mappings of at most %u\n", m->spaces,
		(unsigned long long)m->stats.mappings_now, m->max_mappings);
	fputs("space  for         host address    pages  mappings  parked  code pages  last use\n", f);
	for (unsigned i = 0; i < m->spaces; i++) {
		const struct window *w = &m->win[i];
		char who[24] = "supervisor";

		if (!in_use(m, i))
			continue;
		if (i != MMU_SUPERVISOR)
			snprintf(who, sizeof(who), "%08x%s", (unsigned)w->cr3, w == m->user ? " *" : "");
		fprintf(f, "%5u  %-10s  %012llx  %7u  %8u  %6u  %10u  %8llu\n", w->space, who,
			(unsigned long long)w->base, pages_mapped(w), w->vmas, w->parked_n, w->tracked,
			(unsigned long long)w->last_use);
	}
}

void mmu_print_snapshots(const struct mmu *m, FILE *f)
{
	fprintf(f, "%u snapshots of page-table pages, %u free\n", m->snap_total, m->snap_free_n);
	fputs("space  linear              directory entry     compared    pages  kind\n", f);
	for (unsigned i = 0; i < m->spaces; i++) {
		const struct window *w = &m->win[i];
		unsigned slots = WINDOW_PAGES >> w->slot_shift;

		for (unsigned s = 0; in_use(m, i) && s < slots && s < MAX_SLOTS; s++) {
			const struct slot *slot = &w->slots[s];
			uint64_t first = (uint64_t)s << (w->slot_shift + PAGE_SHIFT);
			uint64_t last = first + (1ull << (w->slot_shift + PAGE_SHIFT)) - 1;

			if (!slot->live)
				continue;
			fprintf(f, "%5u  %08llx-%08llx  %016llx  ", i, (unsigned long long)first,
				(unsigned long long)last, (unsigned long long)slot->pde);
			if (slot->snap)
				fprintf(f, "%4u lines    ", (unsigned)__builtin_popcountll(slot->lines));
			else
				fprintf(f, "%12s  ", "-");
			fprintf(f, "%5u  %s%s\n", slot->live,
				slot->snap ? "table" : "large or unpaged", slot_is_global(w, s) ? ", global" : "");
		}
	}
}
