/*
 * The page walk against an oracle written from the SDM's rules rather than from walk.c: every
 * combination of the bits that matter in directory and table entries, CR0.WP, access kind
 * and paging mode.
 */
#include "fixture.h"

#include <string.h>

#define NX (1ull << 63)

enum { PD = 0x10000, PT = 0x11000, PDPT = 0x12000, VA = 0x00403123 };

struct expect {
	bool ok;
	uint32_t error;
	uint64_t gpa;
	bool set_pte; /* a second level exists */
};

struct mode {
	bool pae, pse, nxe, wp;
};

static bool reserved(const struct mode *o, uint64_t e, bool directory)
{
	bool large = directory && (e & PS) && (o->pae || o->pse);

	if (o->pae) {
		for (unsigned b = 36; b <= 62; b++)
			if (e >> b & 1)
				return true;
		if ((e & NX) && !o->nxe)
			return true;
		for (unsigned b = 13; large && b <= 20; b++)
			if (e >> b & 1)
				return true;
		return false;
	}
	for (unsigned b = 17; large && b <= 21; b++)
		if (e >> b & 1)
			return true;
	return false;
}

static struct expect oracle(const struct mode *o, uint64_t pde, uint64_t pte, unsigned acc)
{
	bool user = acc & ACC_USER, write = acc & (ACC_WRITE | ACC_RMW), exec = acc & ACC_EXEC;
	bool large = (pde & PS) && (o->pae || o->pse);
	struct expect x = {.set_pte = !large};
	uint64_t both = large ? pde : pde & pte;
	uint64_t either = large ? pde : pde | pte;

	x.error = (write ? 2 : 0) | (user ? 4 : 0) | (exec && o->pae && o->nxe ? 16 : 0);
	if (!(pde & P))
		return x;
	if (reserved(o, pde, true)) {
		x.error |= 1 | 8;
		return x;
	}
	if (!large) {
		if (!(pte & P))
			return x;
		if (reserved(o, pte, false)) {
			x.error |= 1 | 8;
			return x;
		}
	}
	if ((user && !(both & U)) || (write && !(both & W) && (user || o->wp)) ||
	    (exec && o->pae && o->nxe && (either & NX))) {
		x.error |= 1;
		return x;
	}
	x.ok = true;
	if (o->pae)
		x.gpa = large ? (pde & 0xfffe00000ull) | (VA & 0x1fffff)
			      : (pte & 0xffffff000ull) | (VA & 0xfff);
	else
		x.gpa = large ? ((pde & 0xffc00000ull) | (pde >> 13 & 15) << 32 | (VA & 0x3fffff))
			      : (pte & 0xfffff000ull) | (VA & 0xfff);
	return x;
}

static void configure(struct env *e, const struct mode *o)
{
	e->cpu.cr0 = CR0_PE | CR0_PG | (o->wp ? CR0_WP : 0);
	e->cpu.cr4 = (o->pae ? CR4_PAE : 0) | (o->pse ? CR4_PSE : 0);
	e->cpu.efer = o->nxe ? EFER_NXE : 0;
	e->cpu.cr3 = o->pae ? PDPT : PD;
	e->cpu.pdpte[0] = PD | P;
}

static uint64_t entry_at(const struct mode *o, bool directory)
{
	unsigned shift = directory ? (o->pae ? 21 : 22) : 12;
	unsigned mask = o->pae ? 511 : 1023;

	return (directory ? PD : PT) + (VA >> shift & mask) * (o->pae ? 8 : 4);
}

static void put(struct env *e, const struct mode *o, bool directory, uint64_t v)
{
	if (o->pae)
		poke64(e, entry_at(o, directory), v);
	else
		poke32(e, entry_at(o, directory), (uint32_t)v);
}

static uint64_t get(struct env *e, const struct mode *o, bool directory)
{
	return o->pae ? peek64(e, entry_at(o, directory)) : peek32(e, entry_at(o, directory));
}

static void check_one(struct env *e, const struct mode *o, uint64_t pde, uint64_t pte, unsigned acc)
{
	struct expect x = oracle(o, pde, pte, acc);
	uint64_t d = acc & (ACC_WRITE | ACC_RMW) ? D : 0;
	struct walk k;
	enum outcome r;

	put(e, o, true, pde);
	put(e, o, false, pte);
	memset(&e->cpu.fault, 0, sizeof(e->cpu.fault));
	r = mmu_walk(&e->cpu, e->pm, gva(VA), acc, &k);
	assert_int_equal(r, x.ok ? OUT_OK : OUT_FAULT);
	if (!x.ok) {
		assert_int_equal(e->cpu.fault.vector, EXC_PF);
		assert_true(e->cpu.fault.has_error);
		assert_int_equal(e->cpu.fault.error, x.error);
		assert_int_equal(e->cpu.fault.cr2, VA);
		assert_int_equal(get(e, o, true), pde);
		assert_int_equal(get(e, o, false), pte);
		return;
	}
	assert_int_equal(k.gpa.v, x.gpa);
	assert_int_equal(get(e, o, true), pde | A | (x.set_pte ? 0 : d));
	assert_int_equal(get(e, o, false), x.set_pte ? pte | A | d : pte);
	assert_int_equal(k.dirty, !!((x.set_pte ? pte | d : pde | d) & D));
}

static uint64_t pick_bits(const uint64_t *bits, unsigned n, unsigned which)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		if (which >> i & 1)
			v |= bits[i];
	return v;
}

static const unsigned kinds[] = {
	ACC_READ,
	ACC_WRITE,
	ACC_EXEC,
	ACC_RMW,
	ACC_USER | ACC_READ,
	ACC_USER | ACC_WRITE,
	ACC_USER | ACC_EXEC,
	ACC_USER | ACC_RMW,
};

static void permute(struct env *e, const struct mode *o)
{
	const uint64_t pde_bits[] = {
		P, W, U, PS, 1u << 13, A | D, o->pae ? 1ull << 40 : 1u << 20, o->pae ? NX : G};
	const uint64_t pte_bits[] = {
		P, W, U, A, D, o->pae ? 1ull << 36 : 1u << 17, o->pae ? NX : G};

	configure(e, o);
	for (unsigned i = 0; i < 1u << ARRAY_LEN(pde_bits); i++) {
		for (unsigned j = 0; j < 1u << ARRAY_LEN(pte_bits); j++) {
			uint64_t pde = pick_bits(pde_bits, ARRAY_LEN(pde_bits), i);
			uint64_t pte = 0x345000 | pick_bits(pte_bits, ARRAY_LEN(pte_bits), j);

			/* bit 13 and up are address bits unless the page is large */
			if (!(pde & PS) || !(o->pae || o->pse))
				pde = (pde & ~(uint64_t)(1u << 13 | 1u << 20)) | PT;
			for (unsigned n = 0; n < ARRAY_LEN(kinds); n++)
				check_one(e, o, pde, pte, kinds[n]);
		}
	}
}

static void test_permutations(void **state)
{
	struct env e;

	env_open(&e, 8 * MIB, 1, 0);
	for (unsigned n = 0; n < 16; n++) {
		struct mode o = {.pae = n & 1, .pse = n & 2, .nxe = n & 4, .wp = n & 8};

		permute(&e, &o);
	}
	env_close(&e);
}

static void test_each_reserved_bit(void **state)
{
	struct mode pae = {.pae = true, .nxe = true}, pse = {.pse = true};
	struct env e;

	env_open(&e, 8 * MIB, 1, 0);
	configure(&e, &pae);
	for (unsigned b = 12; b < 63; b++) {
		check_one(&e, &pae, (1ull << b) | P | PS | W, 0, ACC_WRITE);
		if (b >= 36)
			check_one(&e, &pae, PT | P | W, (1ull << b) | P | W, ACC_WRITE);
	}
	configure(&e, &pse);
	for (unsigned b = 12; b < 32; b++)
		check_one(&e, &pse, (1ull << b) | P | PS | W, 0, ACC_WRITE);
	env_close(&e);
}

static void test_paging_off_and_a20(void **state)
{
	struct env e;
	struct walk k;

	env_open(&e, 8 * MIB, 1, 0);
	assert_int_equal(mmu_walk(&e.cpu, e.pm, gva(0x123456), ACC_WRITE | ACC_USER, &k), OUT_OK);
	assert_int_equal(k.gpa.v, 0x123456);
	assert_int_equal(k.page, 1u << 30);
	assert_true(k.user && k.write && k.exec && k.dirty);
	physmap_set_a20(e.pm, false);
	assert_int_equal(mmu_walk(&e.cpu, e.pm, gva(0x323456), ACC_READ, &k), OUT_OK);
	assert_int_equal(k.gpa.v, 0x223456);
	env_close(&e);
}

static void test_absent_pdpte_and_tables_outside_ram(void **state)
{
	struct mode pae = {.pae = true};
	struct mode legacy = {0};
	struct env e;
	struct walk k;

	env_open(&e, 8 * MIB, 1, 0);
	configure(&e, &pae);
	assert_int_equal(mmu_walk(&e.cpu, e.pm, gva(0x40000000), ACC_READ, &k), OUT_FAULT);
	assert_int_equal(e.cpu.fault.error, 0);
	/* tables in nowhere read as all ones: a PAE entry of all ones has reserved bits */
	e.cpu.pdpte[0] = 0x80000000ull | P;
	assert_int_equal(mmu_walk(&e.cpu, e.pm, gva(VA), ACC_READ, &k), OUT_FAULT);
	assert_int_equal(e.cpu.fault.error, PF_P | PF_RSVD);
	configure(&e, &legacy);
	e.cpu.cr3 = 0x80000000u;
	assert_int_equal(mmu_walk(&e.cpu, e.pm, gva(VA), ACC_WRITE, &k), OUT_OK);
	assert_int_equal(k.gpa.v, 0xfffff000u | (VA & 0xfff));
	env_close(&e);
}

static void test_quiet_has_no_effect(void **state)
{
	struct mode o = {0};
	struct env e;
	struct walk k;

	env_open(&e, 8 * MIB, 1, 0);
	configure(&e, &o);
	put(&e, &o, true, PT | P);
	put(&e, &o, false, 0x345000 | P | U);
	assert_true(mmu_walk_quiet(&e.cpu, e.pm, gva(VA), &k));
	assert_int_equal(k.gpa.v, 0x345000 | (VA & 0xfff));
	assert_false(k.user);
	assert_true(k.write); /* supervisor, CR0.WP clear */
	assert_int_equal(get(&e, &o, true), PT | P);
	assert_int_equal(get(&e, &o, false), 0x345000 | P | U);
	put(&e, &o, false, 0);
	assert_false(mmu_walk_quiet(&e.cpu, e.pm, gva(VA), &k));
	env_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_permutations),
		cmocka_unit_test(test_each_reserved_bit),
		cmocka_unit_test(test_paging_off_and_a20),
		cmocka_unit_test(test_absent_pdpte_and_tables_outside_ram),
		cmocka_unit_test(test_quiet_has_no_effect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
