/* Code pages: write protection in every window and alias, and reports of mapping changes. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

enum { PD = 0x10000, PT = 0x11000, PD2 = 0x12000 };

static char report[400];

static void unmapped(void *ctx, unsigned space, uint64_t first, uint64_t last)
{
	size_t n = strlen(report);

	snprintf(report + n, sizeof(report) - n, "%u:%x-%x ", space, (unsigned)first,
		 (unsigned)last);
}

static void recycled(void *ctx, unsigned space)
{
	size_t n = strlen(report);

	snprintf(report + n, sizeof(report) - n, "%u:recycled ", space);
}

static void open_machine(struct env *e)
{
	env_open(e, 32 * MIB, 2, 0);
	poke32(e, PD, PT | PWUAD);
	poke32(e, PD2, PT | PWUAD);
	for (unsigned i = 0; i < 64; i++)
		poke32(e, PT + 4 * i, (0x200000 + i * 0x1000) | PWUAD);
	poke32(e, PT + 4 * 100, 0x205000 | PWUAD); /* alias of page 5 */
	poke32(e, PD + 4, 0 | PWUAD | PS);	   /* and another in a large page */
	set_paging(e, PD, CR4_PSE, true);
	mmu_set_listener(e->m, &(struct mmu_listener){unmapped, recycled, NULL});
	report[0] = 0;
}

static void test_marking_protects_every_alias(void **state)
{
	static const uint32_t alias[] = {0x5000, 0x64000, 0x605000};
	struct env e;
	uint32_t v;

	open_machine(&e);
	for (unsigned n = 0; n < 6; n++)
		assert_int_equal(touch_write(&e, n & 1, alias[n / 2], n), TOUCHED_FILLED);
	physmap_mark_code(e.pm, gpa(0x205000));
	for (unsigned n = 0; n < 6; n++) {
		assert_int_equal(touch_read(&e, n & 1, alias[n / 2], &v), TOUCHED);
		assert_int_equal(v, 5);
		assert_int_equal(touch_write(&e, n & 1, alias[n / 2], 9), TOUCH_CODE);
	}
	assert_int_equal(touch_write(&e, false, 0x4000, 9), TOUCHED);
	assert_int_equal(touch_write(&e, false, 0x6000, 9), TOUCHED);
	assert_int_equal(touch_write(&e, false, 0x606000, 9), TOUCHED);
	/* rights come back lazily */
	physmap_unmark_code(e.pm, gpa(0x205000));
	for (unsigned n = 0; n < 6; n++) {
		assert_int_equal(touch_write(&e, n & 1, alias[n / 2], n), TOUCHED_FILLED);
		assert_int_equal(touch_write(&e, n & 1, alias[n / 2], n), TOUCHED);
	}
	/* and can be taken again */
	physmap_mark_code(e.pm, gpa(0x205000));
	assert_int_equal(touch_write(&e, true, 0x64000, 9), TOUCH_CODE);
	env_close(&e);
}

static void test_marked_before_fill(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	physmap_mark_code(e.pm, gpa(0x203000));
	physmap_mark_code(e.pm, gpa(0x204000));
	physmap_mark_code(e.pm, gpa(0x230000));
	assert_int_equal(touch_write(&e, false, 0x1000, 1), TOUCHED_FILLED);
	assert_int_equal(mmu_statistics(e.m)->fills, 1);
	assert_int_equal(touch_read(&e, false, 0x3000, &v), TOUCHED);
	assert_int_equal(touch_write(&e, false, 0x3000, 1), TOUCH_CODE);
	assert_int_equal(touch_write(&e, false, 0x4000, 1), TOUCH_CODE);
	assert_int_equal(touch_write(&e, false, 0x5000, 1), TOUCHED);
	assert_int_equal(touch_write(&e, false, 0x30000, 1), TOUCH_CODE);
	assert_int_equal(touch_write(&e, false, 0x31000, 1), TOUCHED);
	env_close(&e);
}

/* The second code page of a block protects it all in the supervisor window, but not where there is data as well. */
static void test_text_blocks(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	for (unsigned user = 0; user < 2; user++)
		assert_int_equal(touch_write(&e, user, 0x10000, 1), TOUCHED_FILLED);
	physmap_mark_code(e.pm, gpa(0x212000));
	assert_int_equal(touch_write(&e, false, 0x13000, 1), TOUCHED);
	physmap_mark_code(e.pm, gpa(0x214000));
	for (uint32_t page = 0x10000; page < 0x20000; page += 0x1000)
		assert_int_equal(touch_read(&e, false, page, &v), TOUCHED);
	assert_int_equal(touch_write(&e, false, 0xf000, 1), TOUCHED);
	assert_int_equal(touch_write(&e, false, 0x20000, 1), TOUCHED);
	assert_int_equal(touch_write(&e, true, 0x15000, 1), TOUCHED);
	assert_int_equal(touch_write(&e, false, 0x12000, 1), TOUCH_CODE);
	assert_int_equal(touch_write(&e, false, 0x14000, 1), TOUCH_CODE);

	/* data after all: it is raised with its neighbours, and they stay so when more pages become code */
	assert_int_equal(touch_write(&e, false, 0x15000, 1), TOUCHED_FILLED);
	assert_int_equal(touch_write(&e, false, 0x17000, 1), TOUCHED);
	physmap_mark_code(e.pm, gpa(0x216000));
	assert_int_equal(touch_write(&e, false, 0x15000, 1), TOUCHED);
	assert_int_equal(touch_write(&e, false, 0x17000, 1), TOUCHED);
	assert_int_equal(touch_write(&e, false, 0x16000, 1), TOUCH_CODE);
	assert_int_equal(touch_write(&e, false, 0x14000, 1), TOUCH_CODE);
	env_close(&e);
}

/* A user window that is not current is protected as well. */
static void test_marking_reaches_cached_windows(void **state)
{
	struct env e;

	open_machine(&e);
	assert_int_equal(touch_write(&e, true, 0x7000, 1), TOUCHED_FILLED);
	load_cr3(&e, PD2);
	physmap_mark_code(e.pm, gpa(0x207000));
	load_cr3(&e, PD);
	assert_int_equal(touch_write(&e, true, 0x8000, 1), TOUCHED);
	assert_int_equal(touch_write(&e, true, 0x7000, 1), TOUCH_CODE);
	env_close(&e);
}

/* Mapping and dropping the same pages for ever must not make the reverse map grow or forget. */
static void test_reverse_map_compaction(void **state)
{
	struct env e;

	open_machine(&e);
	for (unsigned n = 0; n < 2000; n++) {
		uint32_t page = n % 50;

		poke32(&e, PT + 4 * page, 0);
		mmu_invlpg(e.m, gva(page << 12));
		poke32(&e, PT + 4 * page, (0x200000 + page * 0x1000) | PWUAD);
		assert_int_equal(touch_write(&e, n & 1, page << 12, n), TOUCHED_FILLED);
	}
	for (unsigned page = 0; page < 50; page++) {
		physmap_mark_code(e.pm, gpa(0x200000 + page * 0x1000));
		assert_int_equal(touch_write(&e, false, page << 12, 1), TOUCH_CODE);
		assert_int_equal(touch_write(&e, true, page << 12, 1), TOUCH_CODE);
	}
	env_close(&e);
}

static void test_tracking(void **state)
{
	struct env e;
	gpa_t a;
	unsigned user_space;

	open_machine(&e);
	assert_int_equal(mmu_track_code(e.m, false, gva(0x5123), &a), OUT_OK);
	assert_int_equal(a.v, 0x205123);
	assert_int_equal(mmu_track_code(e.m, false, gva(0x6000), &a), OUT_OK);
	assert_int_equal(mmu_track_code(e.m, true, gva(0x6000), &a), OUT_OK);
	user_space = mmu_space(e.m, true);
	assert_int_equal(mmu_space(e.m, false), MMU_SUPERVISOR);
	assert_int_equal(mmu_track_code(e.m, true, gva(0x10000000), &a), OUT_FAULT);
	assert_int_equal(e.cpu.fault.error, PF_U);
	/* data changes elsewhere are nobody's business */
	assert_int_equal(touch_write(&e, false, 0x8000, 1), TOUCHED_FILLED);
	poke32(&e, PT + 4 * 8, 0);
	load_cr3(&e, PD);
	assert_string_equal(report, "");
	poke32(&e, PT + 4 * 6, 0x209000 | PWUAD);
	/* a fetch before the flush sees the old page, as a TLB may */
	assert_int_equal(mmu_track_code(e.m, false, gva(0x6000), &a), OUT_OK);
	assert_int_equal(a.v, 0x206000);
	mmu_invlpg(e.m, gva(0x6000));
	assert_int_equal(user_space, 1);
	assert_string_equal(report, "0:6-6 1:6-6 ");
	assert_int_equal(mmu_track_code(e.m, false, gva(0x6000), &a), OUT_OK);
	assert_int_equal(a.v, 0x209000);
	report[0] = 0;
	poke32(&e, PD, 0);
	load_cr3(&e, PD);
	assert_string_equal(report, "0:5-6 ");
	env_close(&e);
}

/* A data access that sees new entries must not hide the change from code tracking. */
static void test_fill_over_changed_code(void **state)
{
	struct env e;
	gpa_t a;
	uint32_t v;

	open_machine(&e);
	assert_int_equal(mmu_track_code(e.m, false, gva(0x5000), &a), OUT_OK);
	poke32(&e, PT + 4 * 5, 0x20b000 | PWUAD);
	assert_int_equal(touch_read(&e, false, 0x5000, &v), TOUCHED_FILLED);
	assert_string_equal(report, "0:5-5 ");
	report[0] = 0;
	assert_int_equal(mmu_track_code(e.m, false, gva(0x7000), &a), OUT_OK);
	poke32(&e, PT + 4 * 7, 0x20c000 | PWUAD);
	assert_int_equal(touch_read(&e, false, 0x8000, &v), TOUCHED_FILLED);
	load_cr3(&e, PD);
	assert_string_equal(report, "0:7-7 ");
	env_close(&e);
}

static void test_nx(void **state)
{
	struct env e;
	gpa_t a;

	env_open(&e, 32 * MIB, 2, 0);
	poke64(&e, 0x13000, 0x14000 | P);
	poke64(&e, 0x14000, 0x15000 | PWUAD);
	poke64(&e, 0x15000 + 8, 0x200000 | PWUAD | 1ull << 63);
	poke64(&e, 0x15000 + 16, 0x201000 | PWUAD);
	e.cpu.efer = EFER_NXE;
	set_paging(&e, 0x13000, CR4_PAE, true);
	mmu_set_listener(e.m, &(struct mmu_listener){unmapped, recycled, NULL});
	report[0] = 0;
	assert_int_equal(mmu_track_code(e.m, true, gva(0x1000), &a), OUT_FAULT);
	assert_int_equal(e.cpu.fault.error, PF_P | PF_U | PF_I);
	assert_int_equal(mmu_track_code(e.m, true, gva(0x2000), &a), OUT_OK);
	poke64(&e, 0x15000 + 16, 0x201000 | PWUAD | 1ull << 63);
	load_cr3(&e, 0x13000);
	assert_string_equal(report, "1:2-2 ");
	assert_int_equal(mmu_track_code(e.m, true, gva(0x2000), &a), OUT_FAULT);
	env_close(&e);
}

static void test_recycling(void **state)
{
	struct env e;
	gpa_t a;
	uint32_t v;

	open_machine(&e);
	for (unsigned n = 0; n < 3; n++) { /* two user windows for three address spaces */
		uint32_t pd = 0x40000 + n * 0x1000;

		poke32(&e, pd, PT | PWUAD);
		load_cr3(&e, pd);
		assert_int_equal(mmu_track_code(e.m, true, gva(0x5000), &a), OUT_OK);
		assert_int_equal(touch_read(&e, true, 0x5000, &v), TOUCHED_FILLED);
		assert_int_equal(mmu_space(e.m, true), n == 1 ? 2 : 1);
	}
	assert_string_equal(report, "1:recycled ");
	/* the middle one is still cached */
	load_cr3(&e, 0x41000);
	assert_int_equal(touch_read(&e, true, 0x5000, &v), TOUCHED);
	env_close(&e);
}

/* A space whose last code page has gone runs another program next, if any. */
static void test_runs_code(void **state)
{
	struct env e;
	gpa_t a;

	open_machine(&e);
	assert_int_equal(mmu_track_code(e.m, true, gva(0x5000), &a), OUT_OK);
	assert_int_equal(mmu_track_code(e.m, true, gva(0x6000), &a), OUT_OK);
	assert_true(mmu_runs_code(e.m, mmu_space(e.m, true)));
	assert_false(mmu_runs_code(e.m, MMU_SUPERVISOR));
	poke32(&e, PT + 4 * 5, 0);
	load_cr3(&e, PD);
	assert_true(mmu_runs_code(e.m, mmu_space(e.m, true)));
	poke32(&e, PT + 4 * 6, 0x230000 | PWUAD);
	load_cr3(&e, PD);
	assert_false(mmu_runs_code(e.m, mmu_space(e.m, true)));
	env_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marking_protects_every_alias),
		cmocka_unit_test(test_marked_before_fill),
		cmocka_unit_test(test_text_blocks),
		cmocka_unit_test(test_marking_reaches_cached_windows),
		cmocka_unit_test(test_reverse_map_compaction),
		cmocka_unit_test(test_tracking),
		cmocka_unit_test(test_fill_over_changed_code),
		cmocka_unit_test(test_nx),
		cmocka_unit_test(test_recycling),
		cmocka_unit_test(test_runs_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
