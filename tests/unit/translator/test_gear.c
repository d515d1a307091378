/* How user code of an address space reaches memory: translator/gear.c. Time is made to pass by setting back when code began to run. */
#include "bench.h"

#include "translator/direct.h"

#include <x86intrin.h>

enum {
	SPACE = 3,
	SHORT = 400000,    /* behind the first check point only */
	HALF_WAY = 2000000, /* behind both, and not long */
	LONG = 6000000,    /* promoted, whatever is known of it */
};

static const struct bench_options options = {.tc_size = 4 << 20};

/* User code of the space runs for so many cycles, at `page` of guest-physical memory. */
static void run_for(struct bench *b, uint32_t page, uint64_t cycles)
{
	gpa_t at;

	b->cpu->rip = (uint64_t)page << PAGE_SHIFT;
	assert_int_equal(mmu_track_code(b->mmu, true, gva(page << PAGE_SHIFT), &at), OUT_OK);
	gear_mode(b->tc, MODE_USER, SPACE);
	b->tc->gear_since = __rdtsc() - cycles;
	gear_mode(b->tc, 0, 0);
}

static bool promoted(const struct bench *b)
{
	return b->tc->gear[SPACE].window;
}

/* A program begins, runs, and is over; was it promoted at its first check point? */
static bool program(struct bench *b, uint32_t page, uint64_t cycles)
{
	bool early;

	run_for(b, page, SHORT);
	early = promoted(b);
	if (cycles > SHORT)
		run_for(b, page, cycles - SHORT);
	gear_reset(b->tc, SPACE);
	return early;
}

static void test_promotion(void **state)
{
	struct bench b;

	bench_open(&b, &options);
	run_for(&b, 0x100, SHORT);
	assert_false(promoted(&b));
	run_for(&b, 0x101, HALF_WAY);
	assert_false(promoted(&b));
	run_for(&b, 0x102, LONG);
	assert_true(promoted(&b));
	gear_reset(b.tc, SPACE);
	assert_false(promoted(&b));
	bench_close(&b);
}

static void test_reputation(void **state)
{
	struct bench b;

	bench_open(&b, &options);
	assert_false(program(&b, 0x100, LONG));
	assert_false(program(&b, 0x100, LONG));
	assert_true(program(&b, 0x100, LONG));
	assert_false(program(&b, 0x200, LONG)); /* another program's page says nothing */
	/* it must last in the window, too */
	assert_true(program(&b, 0x100, SHORT));
	assert_false(program(&b, 0x100, SHORT));
	assert_false(program(&b, 0x100, HALF_WAY));
	assert_false(program(&b, 0x100, LONG));
	bench_close(&b);
}

/* Code that many programs share is of good repute only when most of them run for long. */
static void test_shared_page(void **state)
{
	struct bench b;

	bench_open(&b, &options);
	for (unsigned i = 0; i < 20; i++)
		assert_false(program(&b, 0x100, i % 2 ? LONG : HALF_WAY));
	bench_close(&b);
}

/* A program that lives by page faults is taken back, and not promoted early again. */
static void test_demotion(void **state)
{
	struct bench b;

	bench_open(&b, &options);
	b.cpu->cr3 = 0;
	for (unsigned i = 0; i < 3; i++)
		program(&b, 0x100, LONG);
	run_for(&b, 0x100, SHORT);
	assert_true(promoted(&b));
	/* as gear_fault does for the space that is current */
	for (unsigned i = 0; i < 10000 && promoted(&b); i++) {
		b.tc->gear[mmu_space(b.mmu, true)] = b.tc->gear[SPACE];
		gear_fault(b.tc);
		b.tc->gear[SPACE] = b.tc->gear[mmu_space(b.mmu, true)];
	}
	assert_false(promoted(&b));
	assert_int_equal(b.tc->gear[SPACE].patience, 1);
	run_for(&b, 0x100, SHORT);
	assert_false(promoted(&b));
	gear_reset(b.tc, SPACE);
	assert_false(program(&b, 0x100, SHORT));
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_promotion),
		cmocka_unit_test(test_reputation),
		cmocka_unit_test(test_shared_page),
		cmocka_unit_test(test_demotion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
