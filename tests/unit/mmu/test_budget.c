/*
 * Running short of host mappings, and a long random run: whatever the guest does to
 * its tables, windows and software TLB show what the tables say after a flush.
 */
#include "fixture.h"

#include "mmu/internal.h"

#include <stdio.h>
#include <stdlib.h>

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

/* Eviction keeps code tracking: the listener need not hear of it, and later changes are still seen. */
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

/* ---- random tables ---- */

enum { SLOTS = 3, DIRS = 3, FRAMES = 256, FRAME0 = 0x800 };

static uint32_t rng = 12345;

static uint32_t next(uint32_t below)
{
	rng = rng * 1664525 + 1013904223;
	return (rng >> 8) % below;
}

static uint32_t pd_at(unsigned d) { return 0x100000 + d * 0x1000; }
static uint32_t pt_at(unsigned d, unsigned s) { return 0x110000 + (s == 2 ? s : d * SLOTS + s) * 0x1000; }

static void random_pte(struct env *e, unsigned d)
{
	static const uint32_t bits[] = {0, PWUAD, PWUAD, PWAD, P | U | A, P | W | U | A, P | W | U, PWUAD, P | A};
	unsigned s = next(SLOTS), first = next(64), n = 1 + next(8);
	uint32_t frame = FRAME0 + next(FRAMES - 80), rights = bits[next(ARRAY_LEN(bits))];

	for (unsigned i = first; i < first + n; i++)
		poke32(e, pt_at(d, s) + 4 * i, (frame + i - first) << 12 | rights);
	if (next(20) == 0) {
		uint32_t pde = next(2) ? pt_at(d, s) | PWUAD : 0x800000 | PWUAD | PS;

		poke32(e, pd_at(d) + 4 * s, next(8) ? pde : 0);
	}
}

static void check_access(struct env *e, bool user, bool write, uint32_t va)
{
	struct walk k;
	bool mapped = mmu_walk_quiet(&e->cpu, e->pm, gva(va), &k);
	bool rw = mapped && walk_tables_rw(&e->cpu, &k);
	bool allowed = mapped && (!user || k.user) && (!write || rw);
	bool code = mapped && physmap_is_code(e->pm, k.gpa);
	uint32_t v = next(1u << 30), seen = 0;
	enum touch t = write ? touch_write(e, user, va, v) : touch_read(e, user, va, &seen);

	if (!allowed) {
		assert_int_equal(t, TOUCH_TRUE);
	} else if (write && code) {
		assert_int_equal(t, TOUCH_CODE);
	} else {
		assert_true(t <= TOUCHED_FILLED);
		assert_int_equal(peek32(e, k.gpa.v), write ? v : seen);
		assert_true(mmu_walk_quiet(&e->cpu, e->pm, gva(va), &k));
		assert_true(k.entry[k.levels - 1] & A);
		assert_true(!write || (k.entry[k.levels - 1] & D));
	}
	assert_int_equal(mmu_op_read(&e->cpu, gva(va), &seen, 4, user ? ACC_USER : 0),
			 mapped && (!user || k.user) ? OUT_OK : OUT_FAULT);
}

static unsigned host_mappings(const struct window *w)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long lo, hi;

		if (sscanf(line, "%lx-%lx", &lo, &hi) == 2 && hi > w->base && lo < w->base + WINDOW_SIZE)
			n++;
	}
	fclose(f);
	return n;
}

static void random_run(struct env *e, unsigned rounds)
{
	for (unsigned r = 0; r < rounds; r++) {
		unsigned d = next(DIRS);
		uint32_t frame = FRAME0 + next(FRAMES);

		for (unsigned n = next(4); n; n--)
			random_pte(e, next(DIRS));
		load_cr3(e, pd_at(d));
		if (next(3) == 0)
			physmap_mark_code(e->pm, gpa((uint64_t)frame << 12));
		if (next(3) == 0)
			for (unsigned i = 0; i < FRAMES; i += 3)
				physmap_unmark_code(e->pm, gpa((uint64_t)(FRAME0 + i) << 12));
		for (unsigned n = 0; n < 30; n++)
			check_access(e, next(2), next(2), next(SLOTS) << 22 | next(72) << 12);
	}
}

static void test_random_tables(void **state)
{
	struct env e;

	env_open(&e, 32 * MIB, 2, 120);
	for (unsigned d = 0; d < DIRS; d++)
		for (unsigned s = 0; s < SLOTS; s++)
			poke32(&e, pd_at(d) + 4 * s, pt_at(d, s) | PWUAD);
	set_paging(&e, pd_at(0), CR4_PSE, true);
	random_run(&e, 3000);
	for (unsigned i = 0; i < e.m->spaces; i++)
		assert_int_equal(host_mappings(&e.m->win[i]), e.m->win[i].vmas);
	env_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiny_budget),
		cmocka_unit_test(test_eviction_keeps_tracking),
		cmocka_unit_test(test_lru_user_windows_go_first),
		cmocka_unit_test(test_random_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
