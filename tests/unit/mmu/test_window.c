/* Windows: fills on hidden faults, runs, rights of each privilege, large pages, >4 GiB frames, A20.
 */
#include "fixture.h"

#include "mmu/internal.h" /* the shadow table is checked against /proc/self/maps */

#include <stdio.h>
#include <string.h>

enum { PD = 0x10000, PT = 0x11000, PT2 = 0x12000, PDPT = 0x13000 };

/* Mappings of the host inside a window, the truth that w->vmas counts. */
static unsigned host_mappings(const struct window *w)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long lo, hi;

		if (sscanf(line, "%lx-%lx", &lo, &hi) == 2 && hi > w->base &&
		    lo < w->base + WINDOW_SIZE)
			n++;
	}
	fclose(f);
	return n;
}

static void test_unpaged(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 2, 0);
	poke32(&e, 0x500000, 0xcafe);
	poke32(&e, 0xf0000, 0xb105);
	assert_int_equal(touch_read(&e, false, 0x500000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 0xcafe);
	/* all RAM above 1 MiB in one mapping */
	assert_int_equal(mmu_statistics(e.m)->fills, 1);
	assert_int_equal(mmu_statistics(e.m)->fill_pages, 31 * 256);
	assert_int_equal(touch_write(&e, false, 31 * MIB, 7), TOUCHED);
	assert_int_equal(peek32(&e, 31 * MIB), 7);
	assert_int_equal(touch_read(&e, false, 0xf0000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 0xb105);
	assert_int_equal(touch_write(&e, false, 0xf0000, 1), TOUCH_CODE);
	assert_int_equal(touch_read(&e, false, 0xa0000, &v), TOUCH_IO);
	assert_int_equal(touch_read(&e, false, 32 * MIB, &v), TOUCH_IO);
	/* CPL 3 without paging: the same view */
	assert_int_equal(touch_read(&e, true, 0x500000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 0xcafe);
	assert_int_equal(host_mappings(&e.m->win[0]), e.m->win[0].vmas);
	env_close(&e);
}

/* A PT with pages 0..15: identity at 0x200000, various rights. */
static void simple_tables(struct env *e)
{
	poke32(e, PD, PT | PWUAD);
	for (unsigned i = 0; i < 16; i++)
		poke32(e, PT + 4 * i, (0x200000 + i * 0x1000) | PWUAD);
	for (unsigned i = 0; i < 16; i++)
		poke32(e, 0x200000 + i * 0x1000, 100 + i);
}

static void test_run_of_small_pages(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 2, 0);
	simple_tables(&e);
	poke32(&e, PT + 4 * 3, 0x203000 | P | W | U | D);  /* not accessed */
	poke32(&e, PT + 4 * 10, 0x20a000 | P | W | U | A); /* clean */
	poke32(&e, PT + 4 * 14, 0x300000 | PWUAD);	   /* elsewhere */
	set_paging(&e, PD, 0, true);
	assert_int_equal(touch_read(&e, false, 0x5000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 105);
	assert_int_equal(mmu_statistics(e.m)->fill_pages, 6); /* 4..9 */
	assert_int_equal(touch_write(&e, false, 0x9000, 9), TOUCHED);
	assert_int_equal(touch_read(&e, false, 0x3000, &v), TOUCHED_FILLED);
	assert_int_equal(peek32(&e, PT + 12) & A, A);
	/* 0..3 now: 4.. is mapped already */
	assert_int_equal(mmu_statistics(e.m)->fill_pages, 6 + 4);
	assert_int_equal(touch_read(&e, false, 0x2000, &v), TOUCHED);
	/* a clean page is read-only until written */
	assert_int_equal(touch_read(&e, false, 0xa000, &v), TOUCHED_FILLED);
	assert_int_equal(peek32(&e, PT + 40) & D, 0);
	assert_int_equal(touch_write(&e, false, 0xa000, 77), TOUCHED_FILLED);
	assert_int_equal(peek32(&e, PT + 40) & D, D);
	assert_int_equal(peek32(&e, 0x20a000), 77);
	assert_int_equal(touch_read(&e, false, 0xe000, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, false, 0x10000, &v), TOUCH_TRUE);
	assert_int_equal(host_mappings(&e.m->win[0]), e.m->win[0].vmas);
	env_close(&e);
}

static void test_rights(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 2, 0);
	simple_tables(&e);
	poke32(&e, PT + 4 * 1, 0x201000 | P | U | A | D); /* user, read-only */
	poke32(&e, PT + 4 * 2, 0x202000 | PWAD);	  /* supervisor */
	poke32(&e, PT + 4 * 4, 0x80000000u | PWUAD);	  /* nothing there */
	set_paging(&e, PD, 0, true);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 101);
	assert_int_equal(touch_write(&e, true, 0x1000, 1), TOUCH_TRUE);
	assert_int_equal(touch_read(&e, true, 0x2000, &v), TOUCH_TRUE);
	assert_int_equal(touch_write(&e, true, 0x0, 1), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, false, 0x2000, &v), TOUCHED_FILLED);
	assert_int_equal(touch_write(&e, false, 0x1000, 1), TOUCH_TRUE); /* WP */
	assert_int_equal(touch_read(&e, false, 0x4000, &v), TOUCH_IO);
	/* a directory entry without U or W rules its pages */
	poke32(&e, PD, PT | P | A);
	load_cr3(&e, PD);
	assert_int_equal(touch_read(&e, true, 0x0, &v), TOUCH_TRUE);
	assert_int_equal(touch_write(&e, false, 0x0, 1), TOUCH_TRUE);
	env_close(&e);
}

/* The page of a user's true fault is filled once its tables allow the access, without another fault and without marking them. */
static void test_expected_fill(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 2, 0);
	simple_tables(&e);
	poke32(&e, PT + 4 * 1, 0);
	poke32(&e, PT + 4 * 2, 0x202000 | P | U | A | D);
	set_paging(&e, PD, 0, true);
	assert_false(mmu_expecting(e.m));
	assert_int_equal(touch_write(&e, false, 0x1000, 1), TOUCH_TRUE); /* the kernel's own does not count */
	assert_false(mmu_expecting(e.m));
	/* mapped and marked by the handler */
	assert_int_equal(touch_write(&e, true, 0x1000, 1), TOUCH_TRUE);
	assert_true(mmu_expecting(e.m));
	poke32(&e, PT + 4 * 1, 0x201000 | PWUAD);
	assert_true(mmu_fill_expected(e.m, true));
	assert_false(mmu_expecting(e.m));
	assert_int_equal(touch_write(&e, true, 0x1000, 7), TOUCHED);
	assert_int_equal(peek32(&e, 0x201000), 7);
	/* still not allowed; not dirty yet; not wanted */
	assert_int_equal(touch_write(&e, true, 0x2000, 1), TOUCH_TRUE);
	assert_false(mmu_fill_expected(e.m, true));
	assert_int_equal(touch_write(&e, true, 0x2000, 1), TOUCH_TRUE);
	poke32(&e, PT + 4 * 2, 0x202000 | P | W | U | A);
	assert_false(mmu_fill_expected(e.m, true));
	assert_int_equal(peek32(&e, PT + 4 * 2) & D, 0);
	poke32(&e, PT + 4 * 2, 0x202000 | P | U | A | D);
	load_cr3(&e, PD);
	assert_int_equal(touch_write(&e, true, 0x2000, 1), TOUCH_TRUE);
	poke32(&e, PT + 4 * 2, 0x202000 | PWUAD);
	assert_false(mmu_fill_expected(e.m, false));
	assert_false(mmu_expecting(e.m));
	assert_int_equal(touch_read(&e, true, 0x2000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 102);
	env_close(&e);
}

static void test_wp_toggle(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 2, 0);
	simple_tables(&e);
	for (unsigned i = 0; i < 8; i++)
		poke32(&e, PT + 4 * i, (0x200000 + i * 0x1000) | P | A);
	set_paging(&e, PD, 0, true);
	assert_int_equal(touch_write(&e, false, 0x1000, 1), TOUCH_TRUE);
	assert_int_equal(touch_read(&e, false, 0x3000, &v), TOUCHED_FILLED);
	e.cpu.cr0 &= ~(uint32_t)CR0_WP;
	mmu_paging_changed(e.m, false, false);
	assert_int_equal(touch_write(&e, false, 0x1000, 55), TOUCHED_FILLED);
	assert_int_equal(peek32(&e, 0x201000), 55);
	assert_int_equal(peek32(&e, PT + 4) & D, D);
	e.cpu.cr0 |= CR0_WP;
	mmu_paging_changed(e.m, false, false);
	assert_int_equal(touch_write(&e, false, 0x1000, 56), TOUCH_TRUE);
	assert_int_equal(touch_read(&e, false, 0x1000, &v),
			 TOUCHED); /* still readable without a fault */
	assert_int_equal(v, 55);
	assert_int_equal(touch_read(&e, false, 0x3000, &v), TOUCHED);
	env_close(&e);
}

static void test_large_pages(void **state)
{
	struct env e;
	uint32_t v;
	uint64_t pages;

	env_open(&e, 64 * MIB, 2, 0);
	for (unsigned i = 0; i < 16; i++)
		poke32(&e, PD + 4 * (768 + i), (i << 22) | PWAD | PS);
	poke32(&e, PD + 4 * (768 + 8), (8u << 22) | PWAD | PS | U); /* not alike */
	poke32(&e, 20 * MIB, 4242);
	set_paging(&e, PD, CR4_PSE, true);
	assert_int_equal(touch_read(&e, false, 0xc0000000u + 20 * MIB, &v), TOUCHED_FILLED);
	assert_int_equal(v, 4242);
	/* from 1 MiB (the ROM below is of another kind) to the large page that differs */
	assert_int_equal(mmu_statistics(e.m)->fill_pages, 31 * 256);
	assert_int_equal(touch_write(&e, false, 0xc0000000u + 2 * MIB, 1), TOUCHED);
	assert_int_equal(touch_read(&e, false, 0xc0000000u + 0x9000, &v), TOUCHED_FILLED);
	pages = mmu_statistics(e.m)->fill_pages;
	assert_int_equal(touch_read(&e, false, 0xc0000000u + 33 * MIB, &v), TOUCHED_FILLED);
	assert_int_equal(mmu_statistics(e.m)->fill_pages - pages, 1024);
	assert_int_equal(touch_read(&e, true, 0xc0000000u + 33 * MIB, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, true, 0xc0000000u + 37 * MIB, &v), TOUCH_TRUE);
	/* a clean large page: writable as a whole after its first write */
	poke32(&e, PD, (12u << 22) | P | W | A | PS);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(touch_write(&e, false, 0x2000, 5), TOUCHED_FILLED);
	assert_int_equal(peek32(&e, PD) & D, D);
	assert_int_equal(touch_write(&e, false, 0x300000, 5), TOUCHED);
	assert_int_equal(host_mappings(&e.m->win[0]), e.m->win[0].vmas);
	env_close(&e);
}

static void test_pae_above_4g(void **state)
{
	struct env e;
	uint32_t v;
	uint64_t high = (1ull << 32) + 64 * MIB;

	env_open(&e, 0xe0000000ull + 256 * MIB, 2, 0);
	poke64(&e, PDPT, PD | P);
	poke64(&e, PDPT + 24, PT2 | P);
	poke64(&e, PD, PT | PWUAD);
	poke64(&e, PT + 8, (high + 0x5000) | PWUAD);
	poke64(&e, PT2, high | PWUAD | PS); /* c0000000: 2 MiB */
	poke64(&e, PT2 + 8, (high + 2 * MIB) | PWUAD | PS);
	poke32(&e, high + 0x5000, 0x1234);
	set_paging(&e, PDPT, CR4_PAE, true);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	assert_int_equal(v, 0x1234);
	assert_int_equal(touch_write(&e, false, 0xc0005000u, 0x4321), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED);
	assert_int_equal(v, 0x4321);
	assert_int_equal(touch_write(&e, false, 0xc03ff000u, 1), TOUCHED);
	assert_int_equal(touch_read(&e, false, 0xc0400000u, &v), TOUCH_TRUE);
	assert_int_equal(peek32(&e, high + 4 * MIB - 0x1000), 1);
	env_close(&e);
}

static void test_a20(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 2, 0);
	poke32(&e, 0x100500, 1);
	poke32(&e, 0x000500, 2);
	assert_int_equal(touch_read(&e, false, 0x100500, &v), TOUCHED_FILLED);
	assert_int_equal(v, 1);
	physmap_set_a20(e.pm, false);
	assert_int_equal(touch_read(&e, false, 0x100500, &v), TOUCHED_FILLED);
	assert_int_equal(v, 2);
	assert_int_equal(touch_read(&e, false, 0x300500, &v), TOUCHED_FILLED);
	assert_int_equal(touch_write(&e, false, 0x200500, 3), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, false, 0x300500, &v), TOUCHED);
	assert_int_equal(v, 3);
	physmap_set_a20(e.pm, true);
	assert_int_equal(touch_read(&e, false, 0x100500, &v), TOUCHED_FILLED);
	assert_int_equal(v, 1);
	env_close(&e);
}

static void test_refuse_user_fills(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 2, 0);
	simple_tables(&e);
	poke32(&e, PT + 8, 0x202000 | PWAD);
	set_paging(&e, PD, 0, true);
	mmu_refuse_user_fills(e.m, true);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCH_USER);
	assert_int_equal(touch_read(&e, false, 0x2000, &v), TOUCHED_FILLED);
	assert_int_equal(touch_read(&e, false, 0x3000, &v), TOUCH_USER);
	assert_int_equal(touch_read(&e, true, 0x1000, &v), TOUCHED_FILLED);
	mmu_refuse_user_fills(e.m, false);
	assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
	env_close(&e);
}

static void test_guards(void **state)
{
	struct env e;
	uintptr_t sup, usr;
	bool user;
	gva_t a;
	int local;

	env_open(&e, 32 * MIB, 2, 0);
	sup = mmu_window_base(e.m, false).v;
	usr = mmu_window_base(e.m, true).v;
	assert_int_equal(sup & 0xffffffff, 0);
	assert_int_equal(usr - sup, 1ull << 33);
	assert_true(mmu_window_of(e.m, sup + 0xffffffff, &user, &a));
	assert_false(user);
	assert_int_equal(a.v, 0xffffffff);
	assert_true(mmu_window_of(e.m, sup + 0x100000002ull, &user, &a));
	assert_false(user);
	assert_true(a.v >> 32);
	assert_int_equal(mmu_handle_fault(e.m, user, a, true), MMU_IO);
	assert_true(mmu_window_of(e.m, usr - 4, &user, &a));
	assert_true(user);
	assert_int_equal((uint32_t)a.v, 0xfffffffc);
	assert_int_equal(mmu_handle_fault(e.m, user, a, true), MMU_IO);
	assert_true(mmu_window_of(e.m, sup - 4, &user, &a));
	assert_false(user);
	assert_false(mmu_window_of(e.m, (uintptr_t)&local, &user, &a));
	assert_false(mmu_window_of(e.m, 0, &user, &a));
	assert_false(mmu_window_of(e.m, ~(uintptr_t)0, &user, &a));
	env_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unpaged),	    cmocka_unit_test(test_run_of_small_pages),
		cmocka_unit_test(test_rights),	    cmocka_unit_test(test_wp_toggle),
		cmocka_unit_test(test_large_pages), cmocka_unit_test(test_pae_above_4g),
		cmocka_unit_test(test_a20),	    cmocka_unit_test(test_refuse_user_fills),
		cmocka_unit_test(test_guards),	    cmocka_unit_test(test_expected_fill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
