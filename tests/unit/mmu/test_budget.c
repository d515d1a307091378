/* Running short of host mappings: what is evicted, and that nothing else is lost. */
#include "fixture.h"

enum { PD = 0x10000, PAGES = 512 };

static void scattered(struct env *e)
{
	/* pages in reverse order: no two make a run */
	poke32(e, PD, 0x20000 | PWUAD);
	for (unsigned i = 0; i < PAGES; i++) {
		poke32(e, 0x20000 + 4 * i, (0x400000 + (PAGES - i) * 0x1000) | PWUAD);
		poke32(e, 0x400000 + (PAGES - i) * 0x1000, i);
	}
}

static void test_tiny_budget(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 2, 40);
	scattered(&e);
	set_paging(&e, PD, 0, true);
	for (unsigned i = 0; i < 3 * PAGES; i++) {
		uint32_t page = i * 7 % PAGES;

		assert_true(touch_read(&e, i & 1, page << 12, &v) <= TOUCHED_FILLED);
		assert_int_equal(v, page);
		assert_true(mmu_statistics(e.m)->mappings_now <= 40);
	}
	assert_true(mmu_statistics(e.m)->evictions > 10);
	env_close(&e);
}

/* Eviction keeps code tracking: the listener need not hear of it, and later changes are still seen.
 */
static unsigned heard;

static void unmapped(void *ctx, unsigned space, uint64_t first, uint64_t last)
{
	heard++;
}

static void test_eviction_keeps_tracking(void **state)
{
	struct env e;
	uint32_t v;
	gpa_t a;

	env_open(&e, 32 * MIB, 2, 40);
	scattered(&e);
	set_paging(&e, PD, 0, true);
	mmu_set_listener(e.m, &(struct mmu_listener){.code_unmapped = unmapped});
	assert_int_equal(mmu_track_code(e.m, false, gva(0x5000), &a), OUT_OK);
	heard = 0;
	for (unsigned i = 0; i < PAGES; i++)
		assert_true(touch_read(&e, false, i << 12, &v) <= TOUCHED_FILLED);
	assert_true(mmu_statistics(e.m)->evictions > 0);
	assert_int_equal(heard, 0);
	poke32(&e, 0x20000 + 4 * 5, 0);
	load_cr3(&e, PD);
	assert_int_equal(heard, 1);
	env_close(&e);
}

/* User windows of other address spaces go first. */
static void test_lru_user_windows_go_first(void **state)
{
	struct env e;
	uint32_t v;

	env_open(&e, 32 * MIB, 4, 130);
	scattered(&e);
	poke32(&e, 0x50000, 0x20000 | PWUAD);
	set_paging(&e, PD, 0, true);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(touch_read(&e, true, i << 12, &v), TOUCHED_FILLED);
	load_cr3(&e, 0x50000);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(touch_read(&e, false, i << 12, &v), TOUCHED_FILLED);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(touch_read(&e, true, i << 12, &v), TOUCHED_FILLED);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(touch_read(&e, false, i << 12, &v), TOUCHED);
	load_cr3(&e, PD);
	assert_int_equal(touch_read(&e, true, 0, &v), TOUCHED_FILLED);
	env_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiny_budget),
		cmocka_unit_test(test_eviction_keeps_tracking),
		cmocka_unit_test(test_lru_user_windows_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
