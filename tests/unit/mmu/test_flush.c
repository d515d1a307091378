/*
 * A window is a TLB: stale until the guest flushes, right afterwards, and what did not change
 * stays mapped (a touch without a fault).
 */
#include "fixture.h"

enum { PD = 0x10000, PD2 = 0x14000, PT = 0x11000, PTK = 0x12000, PDPT = 0x13000, PDPT2 = 0x15000 };

static void tables(struct env *e, uint32_t pd, uint32_t pt)
{
	poke32(e, pd, pt | PWUAD);
	poke32(e, pd + 4 * 768, PTK | PWAD);
	for (unsigned i = 0; i < 8; i++) {
		/* every other frame, so that each page is a run of its own */
		poke32(e, pt + 4 * i, (0x200000 + i * 0x2000) | PWUAD);
		poke32(e, PTK + 4 * i, (0x400000 + i * 0x2000) | PWAD);
	}
	for (unsigned i = 0; i < 32; i++)
		poke32(e, 0x200000 + i * 0x1000, 100 + i);
}

static void open_machine(struct env *e)
{
	env_open(e, 32 * MIB, 3, 0);
	tables(e, PD, PT);
	set_paging(e, PD, CR4_PSE, true);
}

static void test_stale_until_flush(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 102);
	assert_int_equal(touch_read(&e, false, 0x2000, &v), TOUCHED_FILLED);
	poke32(&e, PT + 4, 0x203000 | PWUAD);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED);
	assert_int_equal(v, 102);
	load_cr3(&e, PD);
	assert_int_equal(touch_read(&e, false, 0x2000, &v), TOUCHED);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 103);
	poke32(&e, PT + 4, 0);
	load_cr3(&e, PD);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCH_TRUE);
	env_close(&e);
}

static void test_invlpg_is_about_one_page(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	for (unsigned user = 0; user < 2; user++) {
		assert_int_equal(touch_read(&e, user, 0x1000, &v), TOUCHED_FILLED);
		assert_int_equal(touch_read(&e, user, 0x2000, &v), TOUCHED_FILLED);
	}
	poke32(&e, PT + 4, 0x203000 | PWUAD);
	poke32(&e, PT + 8, 0x205000 | PWUAD);
	flush_page(&e, 0x1fff);
	for (unsigned user = 0; user < 2; user++) {
		assert_int_equal(touch_read(&e, user, 0x1000, &v), TOUCHED_FILLED);
		assert_int_equal(v, 103);
		assert_int_equal(touch_read(&e, user, 0x2000, &v), TOUCHED);
		assert_int_equal(v, 104);
	}
	flush_page(&e, 0x50000000); /* nothing there */
	load_cr3(&e, PD);
	assert_int_equal(touch_read(&e, true, 0x2000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 105);
	env_close(&e);
}

/* What a flush leaves of a page when its entry changed: after it, how do a read and a write fare?
 */
struct change {
	const char *what;
	uint32_t before, after;
	enum touch read, write;
};

static void check_change(const struct change *c)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	poke32(&e, PT + 12, 0x206000 | c->before);
	assert_int_equal(touch_read(&e, true, 0x3000, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, true, 0x4000, &v), TOUCHED_FILLED);
	poke32(&e, PT + 12, 0x206000 + c->after);
	load_cr3(&e, PD);
	if (touch_read(&e, true, 0x3000, &v) != c->read)
		fail_msg("reading: %s", c->what);
	if (touch_write(&e, true, 0x3000, 1) != c->write)
		fail_msg("writing: %s", c->what);
	assert_int_equal(touch_write(&e, true, 0x4000, 1), TOUCHED);
	env_close(&e);
}

static void test_which_changes_matter(void **state)
{
	static const struct change changes[] = {
		{"nothing", PWUAD, PWUAD, TOUCHED, TOUCHED},
		{"software bits", PWUAD, PWUAD | 0xe00, TOUCHED, TOUCHED},
		{"caching", PWUAD, PWUAD | 0x18, TOUCHED, TOUCHED},
		{"dirty set", P | W | U | A, PWUAD, TOUCHED, TOUCHED_FILLED},
		{"accessed cleared", PWUAD, P | W | U | D, TOUCHED_FILLED, TOUCHED},
		{"dirty cleared", PWUAD, P | W | U | A, TOUCHED, TOUCHED_FILLED},
		{"write revoked", PWUAD, P | U | A | D, TOUCHED, TOUCH_TRUE},
		{"write revoked and clean", PWUAD, P | U | A, TOUCHED, TOUCH_TRUE},
		{"write revoked, not accessed", PWUAD, P | U | D, TOUCHED_FILLED, TOUCH_TRUE},
		{"write granted", P | U | A | D, PWUAD, TOUCHED, TOUCHED_FILLED},
		{"user revoked", PWUAD, PWAD, TOUCH_TRUE, TOUCH_TRUE},
		{"gone", PWUAD, 0, TOUCH_TRUE, TOUCH_TRUE},
		{"moved", PWUAD, PWUAD | 0x1000, TOUCHED_FILLED, TOUCHED},
		{"moved and revoked", PWUAD, P | U | A | D | 0x1000, TOUCHED_FILLED, TOUCH_TRUE},
	};

	for (unsigned i = 0; i < ARRAY_LEN(changes); i++)
		check_change(&changes[i]);
}

/* A cleared and set again by the next access: the guest's page aging must see accesses. */
static void test_accessed_and_dirty_come_back(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	assert_int_equal(touch_write(&e, true, 0x1000, 1), TOUCHED_FILLED);
	poke32(&e, PT + 4, 0x202000 | P | W | U);
	load_cr3(&e, PD);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(peek32(&e, PT + 4), 0x202000 | P | W | U | A);
	assert_int_equal(touch_write(&e, true, 0x1000, 2), TOUCHED_FILLED);
	assert_int_equal(peek32(&e, PT + 4), 0x202000 | PWUAD);
	/* our own setting of bits is no change */
	load_cr3(&e, PD);
	assert_int_equal(touch_write(&e, true, 0x1000, 2), TOUCHED);
	env_close(&e);
}

static void test_cr3_switch_keeps_kernel(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	tables(&e, PD2, 0x16000);
	poke32(&e, 0x16000 + 4, 0x207000 | PWUAD);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(touch_read(&e, false, 0xc0000000u + i * 0x1000, &v),
				 TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 102);
	for (unsigned round = 0; round < 4; round++) {
		load_cr3(&e, round & 1 ? PD : PD2);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(touch_read(&e, false, 0xc0000000u + i * 0x1000, &v),
					 TOUCHED);
		/* user windows are kept across switches, the supervisor window's user half is not
		 */
		assert_int_equal(touch_read(&e, true, 0x1000, &v),
				 round ? TOUCHED : TOUCHED_FILLED);
		assert_int_equal(v, round & 1 ? 102 : 107);
		assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
		assert_int_equal(v, round & 1 ? 102 : 107);
	}
	/* a change made while another address space was current is found on the way back */
	poke32(&e, 0x16000 + 4, 0x209000 | PWUAD);
	load_cr3(&e, PD2);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 109);
	env_close(&e);
}

static void test_page_table_replaced(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	poke32(&e, 0x16000 + 4, 0x207000 | PWUAD);
	poke32(&e, 0x16000 + 8, 0x209000 | PWUAD);
	poke32(&e, PD, 0x16000 | PWUAD);
	/* a fill through the new table must not leave entries of the old one behind unnoticed */
	assert_int_equal(touch_read(&e, false, 0x2000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 109);
	load_cr3(&e, PD);
	assert_int_equal(touch_read(&e, false, 0x2000, &v), TOUCHED);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 107);
	/* a large page takes its place */
	poke32(&e, PD, 0x400000 | PWUAD | PS);
	poke32(&e, 0x401000, 4711);
	flush_page(&e, 0x1000);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 4711);
	env_close(&e);
}

static void test_large_page_changes(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	poke32(&e, PD + 4, 0x400000 | PWUAD | PS);
	assert_int_equal(touch_write(&e, false, 0x400000, 1), TOUCHED_FILLED);
	assert_int_equal(touch_write(&e, false, 0x7ff000, 1), TOUCHED);
	poke32(&e, PD + 4, 0x800000 | PWUAD | PS);
	flush_page(&e, 0x500000); /* anywhere in it: all of it */
	assert_int_equal(touch_read(&e, false, 0x400000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 0);
	poke32(&e, PD + 4, 0x800000 | P | W | U | A | PS); /* dirty cleared */
	load_cr3(&e, PD);
	assert_int_equal(touch_write(&e, false, 0x400000, 1), TOUCHED_FILLED);
	assert_int_equal(peek32(&e, PD + 4) & D, D);
	env_close(&e);
}

/* Global pages may survive a CR3 load, and must not survive INVLPG or a full flush. */
static void test_global_pages(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	set_paging(&e, PD, CR4_PSE | CR4_PGE, true);
	for (unsigned i = 0; i < 8; i++)
		poke32(&e, PTK + 4 * i, (0x400000 + i * 0x2000) | PWAD | G);
	poke32(&e, 0x410000, 55);
	assert_int_equal(touch_read(&e, false, 0xc0001000u, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, false, 0xc0002000u, &v), TOUCHED_FILLED);
	poke32(&e, PTK + 4, 0x410000 | PWAD | G);
	poke32(&e, PTK + 8, 0x410000 | PWAD | G);
	load_cr3(&e, PD);
	flush_page(&e, 0xc0001000u);
	assert_int_equal(touch_read(&e, false, 0xc0001000u, &v), TOUCHED_FILLED);
	assert_int_equal(v, 55);
	e.cpu.cr4 &= ~(uint32_t)CR4_PGE;
	mmu_paging_changed(e.m, true, true);
	assert_int_equal(touch_read(&e, false, 0xc0002000u, &v), TOUCHED_FILLED);
	assert_int_equal(v, 55);
	env_close(&e);
}

/* A page that is global no more, once INVLPG has said so, does not outlive the next CR3 load. */
static void test_no_more_global(void **state)
{
	struct env e;
	uint32_t v;

	for (unsigned lean = 0; lean < 2; lean++) {
		try_lean = lean;
		open_machine(&e);
		set_paging(&e, PD, CR4_PSE | CR4_PGE, true);
		for (unsigned i = 0; i < 8; i++)
			poke32(&e, PTK + 4 * i, (0x400000 + i * 0x2000) | PWAD | G);
		poke32(&e, 0x410000, 55);
		poke32(&e, 0x402000, 44);
		assert_int_equal(touch_read(&e, false, 0xc0001000u, &v), TOUCHED_FILLED);
		assert_int_equal(v, 44);
		poke32(&e, PTK + 4, 0x402000 | PWAD); /* not global any more */
		flush_page(&e, 0xc0001000u);
		touch_read(&e, false, 0xc0001000u, &v);
		assert_int_equal(v, 44);
		poke32(&e, PTK + 4, 0x410000 | PWAD); /* another frame */
		load_cr3(&e, PD);
		touch_read(&e, false, 0xc0001000u, &v);
		assert_int_equal(v, 55);
		env_close(&e);
	}
	try_lean = false;
}

/* The same with a large page. */
static void test_no_more_global_large(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	set_paging(&e, PD, CR4_PSE | CR4_PGE, true);
	poke32(&e, PD + 4 * 0x340, 0x400000 | PWAD | PS | G);
	poke32(&e, 0x401000, 44);
	poke32(&e, 0x801000, 55);
	touch_read(&e, false, 0xd0001000u, &v);
	assert_int_equal(v, 44);
	poke32(&e, PD + 4 * 0x340, 0x400000 | PWAD | PS);
	flush_page(&e, 0xd0001000u);
	touch_read(&e, false, 0xd0001000u, &v);
	assert_int_equal(v, 44);
	poke32(&e, PD + 4 * 0x340, 0x800000 | PWAD | PS);
	load_cr3(&e, PD);
	touch_read(&e, false, 0xd0001000u, &v);
	assert_int_equal(v, 55);
	env_close(&e);
}

static void test_pae_switch(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 3, 0);
	for (unsigned n = 0; n < 2; n++) {
		uint32_t pdpt = n ? PDPT2 : PDPT, pd = n ? 0x18000 : 0x17000,
			 pt = n ? 0x1a000 : 0x19000;

		poke64(&e, pdpt, pd | P);
		poke64(&e, pdpt + 24, 0x1b000 | P); /* kernel directory shared */
		poke64(&e, pd, pt | PWUAD);
		poke64(&e, pt + 8, (0x200000 + n * 0x1000) | PWUAD);
		poke32(&e, 0x200000 + n * 0x1000, 100 + n);
	}
	poke64(&e, 0x1b000, 0x1c000 | PWAD);
	poke64(&e, 0x1c000, 0x300000 | PWAD);
	set_paging(&e, PDPT, CR4_PAE, true);
	assert_int_equal(touch_read(&e, false, 0xc0000000u, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	load_cr3(&e, PDPT2);
	assert_int_equal(touch_read(&e, false, 0xc0000000u, &v), TOUCHED);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 101);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 101);
	load_cr3(&e, PDPT);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED);
	assert_int_equal(v, 100);
	env_close(&e);
}

static void test_mode_change_drops_everything(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	e.cpu.cr0 &= ~(uint32_t)CR0_PG;
	mmu_paging_changed(e.m, true, true);
	poke32(&e, 0x1000, 99);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 99);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 99);
	set_paging(&e, PD, CR4_PSE, true);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 102);
	env_close(&e);
}

/* #PF invalidates what the TLB had for the address. */
static void test_true_fault_invalidates(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	poke32(&e, PT + 4, 0x202000 | P | U | A);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	poke32(&e, PT + 4, 0);
	assert_int_equal(touch_write(&e, true, 0x1000, 1), TOUCH_TRUE);
	poke32(&e, PT + 4, 0x203000 | PWUAD); /* not present to present needs no flush */
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 103);
	env_close(&e);
}

/* The lean path does all or nothing. */
static void test_lean(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, false, 0xc0001000, &v), TOUCHED_FILLED);
	poke32(&e, PT + 4 * 7, 0x300000 | PWUAD); /* nothing was filled from this one */
	tables(&e, PD2, PT);
	assert_true(mmu_lean_load_cr3(e.m, PD2));
	assert_int_equal(e.cpu.cr3, PD2);
	assert_int_equal(touch_read(&e, false, 0xc0001000, &v), TOUCHED);
	assert_true(mmu_lean_load_cr3(e.m, PD));
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED);
	assert_true(mmu_lean_invlpg(e.m, gva(0x1000)));
	poke32(&e, PT + 4, 0x203000 | PWUAD);
	assert_false(mmu_lean_invlpg(e.m, gva(0x1000)));
	assert_true(mmu_lean_invlpg(e.m, gva(0x2000)));
	assert_true(mmu_lean_load_cr3(e.m, PD2)); /* no window of this one */
	assert_false(mmu_lean_load_cr3(e.m, PD));
	assert_int_equal(e.cpu.cr3, PD2);
	load_cr3(&e, PD);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 103);
	assert_true(mmu_lean_load_cr3(e.m, PD));
	env_close(&e);
}

static void test_lean_pdptes(void **state)
{
	struct env e;

	env_open(&e, 32 * MIB, 3, 0);
	poke64(&e, PDPT, PD | P);
	poke64(&e, PDPT2, PD2 | P);
	set_paging(&e, PDPT, CR4_PAE, true);
	assert_true(mmu_lean_load_cr3(e.m, PDPT2));
	assert_int_equal(e.cpu.pdpte[0], PD2 | P);
	poke64(&e, PDPT + 8, W | P); /* a reserved bit */
	assert_false(mmu_lean_load_cr3(e.m, PDPT));
	assert_int_equal(e.cpu.cr3, PDPT2);
	assert_int_equal(e.cpu.pdpte[0], PD2 | P);
	assert_false(mmu_lean_load_cr3(e.m, 0xfff00000)); /* no memory there */
	env_close(&e);
}

static int lean_on(void **state)
{
	try_lean = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale_until_flush),
		cmocka_unit_test(test_invlpg_is_about_one_page),
		cmocka_unit_test(test_which_changes_matter),
		cmocka_unit_test(test_accessed_and_dirty_come_back),
		cmocka_unit_test(test_cr3_switch_keeps_kernel),
		cmocka_unit_test(test_page_table_replaced),
		cmocka_unit_test(test_large_page_changes),
		cmocka_unit_test(test_global_pages),
		cmocka_unit_test(test_no_more_global),
		cmocka_unit_test(test_no_more_global_large),
		cmocka_unit_test(test_pae_switch),
		cmocka_unit_test(test_mode_change_drops_everything),
		cmocka_unit_test(test_true_fault_invalidates),
		cmocka_unit_test(test_lean),
		cmocka_unit_test(test_lean_pdptes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + cmocka_run_group_tests(tests, lean_on, NULL);
}
