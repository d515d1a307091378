/*
 * The guest's page tables, as the processor reads them (SDM: "Paging", 32-bit and PAE paging).
 *
 * MAXPHYADDR is 36. PSE-36 is on: bits 16:13 of a 4 MiB entry are address bits 35:32. Table
 * entries are read and written physically. A table outside RAM and ROM reads as all ones
 * without asking a device: no real system has one there, and a walk must not have side
 * effects beyond accessed and dirty bits.
 *
 * Accessed bits are set only when the whole walk succeeds, which the SDM allows.
 *
 * Built with general registers only: lean.c walks, too.
 */
#include "mmu/internal.h"

#define PAE_RESERVED	   0x7ffffff000000000ull /* bits 62:36 */
#define PAE_LARGE_RESERVED 0x1fe000ull		 /* bits 20:13 of a 2 MiB entry */
#define PSE_RESERVED	   0x3e0000ull		 /* bits 21:17 of a 4 MiB entry */

enum follow { MAPPED, NOT_PRESENT, RESERVED };

static uint64_t read_entry(struct physmap *pm, uint64_t addr, unsigned size)
{
	const void *p = physmap_host(pm, gpa(addr), size);

	if (!p)
		return size == 4 ? 0xffffffffull : ~0ull;
	return size == 4 ? __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED)
			 : __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
}

uint64_t walk_pae_reserved(const struct cpu *c)
{
	return PAE_RESERVED | (c->efer & EFER_NXE ? 0 : PTE_NX);
}

bool walk_large_frame(const struct cpu *c, uint64_t pde, uint64_t *gfn)
{
	if (paging_pae(c)) {
		*gfn = (pde & PTE_ADDR_PAE & ~0x1fffffull) >> PAGE_SHIFT;
		return !(pde & (walk_pae_reserved(c) | PAE_LARGE_RESERVED));
	}
	*gfn = ((pde & 0xffc00000ull) | (pde >> 13 & 0xf) << 32) >> PAGE_SHIFT;
	return !(pde & PSE_RESERVED);
}

/* Append one level; the entry's own address follows from table, index and entry size. */
static uint64_t visit(struct walk *k, struct physmap *pm, uint64_t table, unsigned index,
		      unsigned size)
{
	uint64_t e;

	table = physmap_a20(pm, table);
	e = read_entry(pm, table + (uint64_t)index * size, size);
	k->table[k->levels] = gpa(table);
	k->entry[k->levels++] = e;
	return e;
}

static enum follow finish(struct walk *k, struct physmap *pm, uint64_t gfn, uint64_t page,
			  uint32_t va)
{
	k->page = page;
	k->gpa = gpa(physmap_a20(pm, (gfn << PAGE_SHIFT) + (va & (page - 1))));
	return MAPPED;
}

static enum follow follow_32(const struct cpu *c, struct physmap *pm, uint32_t va, struct walk *k)
{
	uint64_t gfn, e = visit(k, pm, c->cr3 & 0xfffff000u, va >> 22, 4);

	if (!(e & PTE_P))
		return NOT_PRESENT;
	if ((e & PTE_PS) && (c->cr4 & CR4_PSE)) {
		if (!walk_large_frame(c, e, &gfn))
			return RESERVED;
		return finish(k, pm, gfn, 4u << 20, va);
	}
	e = visit(k, pm, e & 0xfffff000u, va >> 12 & 1023, 4);
	if (!(e & PTE_P))
		return NOT_PRESENT;
	return finish(k, pm, e >> PAGE_SHIFT, PAGE_SIZE, va);
}

static enum follow follow_pae(const struct cpu *c, struct physmap *pm, uint32_t va, struct walk *k)
{
	uint64_t gfn, e = c->pdpte[va >> 30];

	/* the PDPTEs were loaded, and checked, by MOV to CR3 */
	k->table[0] = gpa(physmap_a20(pm, c->cr3 & 0xffffffe0u));
	k->entry[0] = e;
	k->levels = 1;
	if (!(e & PTE_P))
		return NOT_PRESENT;
	e = visit(k, pm, e & PTE_ADDR_PAE, va >> 21 & 511, 8);
	if (!(e & PTE_P))
		return NOT_PRESENT;
	if (e & walk_pae_reserved(c))
		return RESERVED;
	if (e & PTE_PS) {
		if (!walk_large_frame(c, e, &gfn))
			return RESERVED;
		return finish(k, pm, gfn, 2u << 20, va);
	}
	e = visit(k, pm, e & PTE_ADDR_PAE, va >> 12 & 511, 8);
	if (!(e & PTE_P))
		return NOT_PRESENT;
	if (e & walk_pae_reserved(c))
		return RESERVED;
	return finish(k, pm, (e & PTE_ADDR_PAE) >> PAGE_SHIFT, PAGE_SIZE, va);
}

static void begin(struct walk *k)
{
	k->user = k->write = k->exec = k->dirty = k->global = false;
	k->levels = 0;
	for (unsigned i = 0; i < 3; i++) {
		k->table[i] = gpa(~0ull);
		k->entry[i] = 0;
	}
}

static void walk_unpaged(struct physmap *pm, uint32_t va, struct walk *k)
{
	k->gpa = gpa(physmap_a20(pm, va));
	k->page = 1u << 30;
	k->user = k->write = k->exec = k->dirty = true;
}

/* First level whose rights count: PDPTEs have none. */
static unsigned rights_from(const struct cpu *c)
{
	return paging_pae(c) ? 1 : 0;
}

bool walk_tables_rw(const struct cpu *c, const struct walk *k)
{
	uint64_t all = PTE_RW;

	if (paging_on(c))
		for (unsigned i = rights_from(c); i < k->levels; i++)
			all &= k->entry[i];
	return all;
}

static void combine_rights(const struct cpu *c, bool user_access, struct walk *k)
{
	uint64_t all = ~0ull, any = 0;

	for (unsigned i = rights_from(c); i < k->levels; i++) {
		all &= k->entry[i];
		any |= k->entry[i];
	}
	k->user = all & PTE_US;
	k->write = (all & PTE_RW) || (!user_access && !(c->cr0 & CR0_WP));
	k->exec = !(paging_pae(c) && (c->efer & EFER_NXE) && (any & PTE_NX));
	k->dirty = walk_leaf(k) & PTE_D;
	k->global = (walk_leaf(k) & PTE_G) && (c->cr4 & CR4_PGE);
}

static enum follow follow(const struct cpu *c, struct physmap *pm, uint32_t va, struct walk *k)
{
	return paging_pae(c) ? follow_pae(c, pm, va, k) : follow_32(c, pm, va, k);
}

static unsigned entry_index(const struct cpu *c, uint32_t va, unsigned level)
{
	if (!paging_pae(c))
		return level == 0 ? va >> 22 : va >> 12 & 1023;
	return level == 1 ? va >> 21 & 511 : va >> 12 & 511;
}

bool walk_marked(const struct cpu *c, const struct walk *k, bool write)
{
	for (unsigned i = rights_from(c); i < k->levels; i++)
		if (!(k->entry[i] & PTE_A))
			return false;
	return !write || k->dirty;
}

/* Set A on the way down, and D in the last entry when asked (SDM: "Accessed and Dirty Flags"). */
static void set_accessed(struct cpu *c, struct physmap *pm, uint32_t va, bool write, struct walk *k)
{
	unsigned size = paging_pae(c) ? 8 : 4;

	for (unsigned i = rights_from(c); i < k->levels; i++) {
		uint64_t want = PTE_A | (write && i == k->levels - 1 ? PTE_D : 0);

		if ((k->entry[i] & want) == want)
			continue;
		k->entry[i] |= want;
		physmap_write(pm, gpa(k->table[i].v + (uint64_t)entry_index(c, va, i) * size),
			      &k->entry[i], size);
	}
	k->dirty = k->dirty || write;
}

static uint32_t access_bits(const struct cpu *c, unsigned acc)
{
	bool nx = paging_pae(c) && (c->efer & EFER_NXE);

	return (acc & (ACC_WRITE | ACC_RMW) ? PF_W : 0) | (acc & ACC_USER ? PF_U : 0) |
	       ((acc & ACC_EXEC) && nx ? PF_I : 0);
}

bool walk_check(const struct cpu *c, struct physmap *pm, uint32_t va, unsigned acc, struct walk *k,
		uint32_t *error)
{
	bool user = acc & ACC_USER, write = acc & (ACC_WRITE | ACC_RMW);

	begin(k);
	if (!paging_on(c)) {
		walk_unpaged(pm, va, k);
		return true;
	}
	switch (follow(c, pm, va, k)) {
	case NOT_PRESENT:
		*error = access_bits(c, acc);
		return false;
	case RESERVED:
		*error = access_bits(c, acc) | PF_P | PF_RSVD;
		return false;
	case MAPPED:
		break;
	}
	combine_rights(c, user, k);
	if ((user && !k->user) || (write && !k->write) || ((acc & ACC_EXEC) && !k->exec)) {
		*error = access_bits(c, acc) | PF_P;
		return false;
	}
	return true;
}

bool walk_access(struct cpu *c, struct physmap *pm, uint32_t va, unsigned acc, struct walk *k,
		 uint32_t *error)
{
	if (!walk_check(c, pm, va, acc, k, error))
		return false;
	if (paging_on(c))
		set_accessed(c, pm, va, acc & (ACC_WRITE | ACC_RMW), k);
	return true;
}

enum outcome mmu_walk(struct cpu *c, struct physmap *pm, gva_t a, unsigned acc, struct walk *k)
{
	uint32_t error;

	if (walk_access(c, pm, (uint32_t)a.v, acc, k, &error))
		return OUT_OK;
	c->fault = (struct cpu_fault){
		.vector = EXC_PF, .has_error = true, .error = error, .cr2 = (uint32_t)a.v};
	return OUT_FAULT;
}

bool mmu_walk_quiet(const struct cpu *c, struct physmap *pm, gva_t a, struct walk *k)
{
	begin(k);
	if (!paging_on(c)) {
		walk_unpaged(pm, (uint32_t)a.v, k);
		return true;
	}
	if (follow(c, pm, (uint32_t)a.v, k) != MAPPED)
		return false;
	combine_rights(c, false, k);
	return true;
}
