/* When user code runs directly: translator/direct_gear.c. Stretches are made long or short by what an exit is said to cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "translator/direct.h"

#include <stdlib.h>

enum { SPACE = 3, OTHER = 4, ENTRY = 0x8048000 };

static struct tc *tc;
static struct cpu cpu;

static int make(void **state)
{
	tc = calloc(1, sizeof(*tc));
	if (!tc || !(tc->history = history_create(16)))
		return -1;
	cpu = (struct cpu){.rip = ENTRY};
	tc->cpu = &cpu;
	tc->config.direct = TC_DIRECT_AUTO;
	tc->direct = (struct direct *)&cpu; /* only whether there is one matters here */
	return 0;
}

static int forget(void **state)
{
	history_destroy(tc->history);
	free(tc);
	return 0;
}

/* From now on every stretch counts as long, or none. */
static void stretches_are(bool long_)
{
	tc->exit_cycles = long_ ? 0 : 1ull << 40;
}

/* How many ticks until it is a candidate? */
static unsigned ticks_until_candidate(unsigned space)
{
	unsigned n = 0;

	while (!tc->direct_gear[space].on && n < 100000) {
		direct_tick(tc, space);
		n++;
	}
	return n;
}

/* One stretch; returns whether it began directly. */
static bool stretch(bool long_)
{
	bool directly;

	direct_user_code(tc, SPACE);
	directly = direct_gear(tc, SPACE);
	stretches_are(long_);
	direct_kernel_code(tc);
	return directly;
}

static void test_candidate(void **state)
{
	unsigned first = ticks_until_candidate(SPACE);

	assert_true(first > 1 && first < 100);
	assert_false(tc->direct_gear[OTHER].on);
	assert_false(direct_gear(tc, SPACE)); /* only its long stretches are */
	assert_int_equal(tc->stats.direct_promotions, 1);
	/* without a window it is none, and none of its stretches is timed */
	tc->lookup_possible = true;
	for (unsigned i = 0; i < 1000; i++)
		direct_tick(tc, OTHER);
	assert_false(tc->direct_gear[OTHER].on);
	direct_user_code(tc, OTHER);
	assert_null(tc->stretch);
	tc->gear[OTHER].window = true;
	assert_int_equal(ticks_until_candidate(OTHER), first);
}

static void test_foretold(void **state)
{
	ticks_until_candidate(SPACE);
	for (unsigned i = 0; i < 100; i++)
		assert_false(stretch(false));
	/* long ones are believed in after a few, and one short one shakes that */
	for (unsigned i = 0; i < 20; i++)
		stretch(true);
	assert_true(stretch(true));
	assert_int_equal(tc->stats.stretches_mistaken, 0);
	assert_true(stretch(false));
	assert_int_equal(tc->stats.stretches_mistaken, 1);
	assert_int_equal(tc->stats.stretches_long, 21);
	assert_int_equal(tc->stats.stretches_short, 101);
}

/* read - long - write - short: each is known after a while, at one and the same address. */
static void test_patterns(void **state)
{
	static const bool pattern[] = {true, false, false, true, false};

	ticks_until_candidate(SPACE);
	for (unsigned i = 0; i < 40 * ARRAY_LEN(pattern); i++)
		stretch(pattern[i % ARRAY_LEN(pattern)]);
	for (unsigned i = 0; i < 10 * ARRAY_LEN(pattern); i++)
		assert_int_equal(stretch(pattern[i % ARRAY_LEN(pattern)]), pattern[i % ARRAY_LEN(pattern)]);
}

/* An interrupt does not end a stretch; one that is long by then goes on directly. */
static void test_found_out(void **state)
{
	ticks_until_candidate(SPACE);
	direct_user_code(tc, SPACE);
	stretches_are(false);
	direct_tick(tc, SPACE);
	direct_kernel_code(tc);
	assert_int_equal(tc->stats.stretches_short, 0);
	direct_user_code(tc, SPACE);
	assert_false(direct_gear(tc, SPACE));
	stretches_are(true);
	direct_tick(tc, SPACE);
	direct_kernel_code(tc);
	direct_user_code(tc, SPACE);
	assert_true(direct_gear(tc, SPACE));
	direct_kernel_code(tc);
	assert_int_equal(tc->stats.stretches_long, 1);
	assert_false(direct_gear(tc, SPACE));
}

/* A stretch runs directly; how does it go on behind two visits to pages that may not? */
static bool goes_on_after_two_visits(bool far_apart)
{
	direct_user_code(tc, SPACE);
	stretches_are(true);
	direct_tick(tc, SPACE);
	assert_true(direct_gear(tc, SPACE));
	stretches_are(true);
	direct_unfit(tc, SPACE);
	assert_true(direct_gear(tc, SPACE)); /* the first was long after the last */
	stretches_are(far_apart);
	direct_unfit(tc, SPACE);
	return direct_gear(tc, SPACE);
}

static void test_held_back(void **state)
{
	ticks_until_candidate(SPACE);
	assert_true(goes_on_after_two_visits(true));
	direct_kernel_code(tc);
	assert_false(goes_on_after_two_visits(false));
	assert_int_equal(tc->stats.stretches_held, 1);
	direct_unfit(tc, SPACE); /* it runs translated: nothing more to hold */
	assert_int_equal(tc->stats.stretches_held, 1);
	direct_tick(tc, SPACE);
	assert_false(direct_gear(tc, SPACE));
	direct_kernel_code(tc);
	stretches_are(true);
	direct_user_code(tc, SPACE); /* goes on after the tick */
	direct_tick(tc, SPACE);
	assert_true(direct_gear(tc, SPACE));
	/* who wants everything directly gets it */
	tc->config.direct = TC_DIRECT_ON;
	stretches_are(false);
	direct_unfit(tc, SPACE);
	direct_unfit(tc, SPACE);
	assert_true(direct_gear(tc, SPACE));
	assert_int_equal(tc->stats.stretches_held, 1);
	assert_int_equal(tc->stats.world_unfit, 7);
}

/* What a candidate may spend before it is held to account grows with how long it had to wait. */
static void test_forgiven(void **state)
{
	unsigned first = ticks_until_candidate(SPACE), forgiven = tc->direct_gear[SPACE].forgiven;

	assert_true(forgiven > 0);
	direct_demote(tc, SPACE, DEMOTED_COST);
	assert_int_equal(ticks_until_candidate(SPACE), 2 * first);
	assert_int_equal(tc->direct_gear[SPACE].forgiven, 2 * forgiven);
}

/* Time in the kernel does not count, nor that of other spaces. */
static void test_only_user_time(void **state)
{
	uint64_t ran;

	ticks_until_candidate(SPACE);
	ticks_until_candidate(OTHER);
	stretches_are(false);
	direct_user_code(tc, SPACE);
	direct_tick(tc, SPACE);
	direct_kernel_code(tc);
	ran = tc->direct_gear[SPACE].ran;
	assert_true(ran > 0);
	direct_user_code(tc, OTHER);
	assert_ptr_equal(tc->stretch, &tc->direct_gear[OTHER]);
	direct_kernel_code(tc);
	assert_int_equal(tc->direct_gear[SPACE].ran, ran);
	direct_user_code(tc, SPACE); /* goes on */
	direct_kernel_code(tc);
	assert_true(tc->direct_gear[SPACE].ran > ran);
}

static void test_dismissed(void **state)
{
	unsigned first = ticks_until_candidate(SPACE), n = 0;

	while (tc->direct_gear[SPACE].on && n < 1000000) {
		stretch(false);
		n++;
	}
	assert_true(n > 100 && n < 100000);
	assert_int_equal(tc->stats.direct_demotions, 1);
	assert_int_equal(tc->stats.direct_demotions_short, 1);
	assert_int_equal(tc->direct_gear[SPACE].demoted, DEMOTED_SHORT);
	assert_int_equal(ticks_until_candidate(SPACE), 2 * first);
	/* dismissed in the middle of a stretch, which ends quietly */
	direct_user_code(tc, SPACE);
	direct_demote(tc, SPACE, DEMOTED_COST);
	assert_false(direct_gear(tc, SPACE));
	direct_kernel_code(tc);
	assert_int_equal(tc->stats.direct_demotions_short, 1);
	assert_int_equal(ticks_until_candidate(SPACE), 4 * first);
	/* a long one now and then keeps it */
	for (unsigned i = 0; i < 3 * n; i++)
		stretch(i % (n / 2) == 0);
	assert_true(tc->direct_gear[SPACE].on);
	/* another address space under the same number is unknown */
	direct_user_code(tc, SPACE);
	direct_gear_reset(tc, SPACE);
	assert_null(tc->stretch);
	assert_int_equal(ticks_until_candidate(SPACE), first);
}

static void test_never_and_always(void **state)
{
	tc->direct_gear[SPACE].banned = true;
	for (unsigned i = 0; i < 1000; i++)
		direct_tick(tc, SPACE);
	assert_false(tc->direct_gear[SPACE].on);
	tc->config.direct = TC_DIRECT_ON;
	assert_false(direct_gear(tc, SPACE));
	assert_true(direct_gear(tc, OTHER));
	tc->breakpoints = 1;
	assert_false(direct_gear(tc, OTHER));
	tc->breakpoints = 0;
	tc->direct = NULL;
	assert_false(direct_gear(tc, OTHER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, make, forget)
		T(test_candidate), T(test_foretold), T(test_patterns), T(test_found_out), T(test_held_back), T(test_forgiven),
		T(test_only_user_time),
		T(test_dismissed), T(test_never_and_always),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
