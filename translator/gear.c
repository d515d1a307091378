/*
 * Gears: how user code of an address space reaches memory.
 *
 * A window entry costs several microseconds to make and one to drop; a look-up costs a few nanoseconds each time. So an address
 * space starts with look-up, and is promoted to its window when it has run for so long that the window's
 * price would have been paid, or when its code keeps asking for callouts that a window would do without. It is demoted
 * when its window faults so often between two ticks that look-up would have been cheaper (a shell that forks: each fork takes the
 * write access from all its pages; a program that lives by page faults); each demotion doubles the patience before the next promotion. A
 * new address space under the same CR3 starts anew.
 *
 * Programs that will run for long are promoted earlier, by reputation: an address space that has run for a while notes which page of code it is
 * at, at a few check points, and when it is known how long it ran, or that it ended or was demoted before, those pages (frames: the page
 * cache's, and so the same for each run of a program) gain or lose. At a page of good repute it is promoted at once.
 *
 * Measured on a Linux guest, processor seconds for 1000 rounds in a shell: fork+exec 1.90 by window, 0.81 by look-up; fork 0.57
 * and 0.30. A computing awk: 1.5 by window, 22 by look-up.
 */
#include "translator/direct.h"

#include <x86intrin.h>

enum {
	PROMOTE_CYCLES = 5000000, /* of the TSC, in user code: two milliseconds */
	PROMOTE_CALLOUTS = 4000,
	LONG_CYCLES = 2500000, /* a run for long, window or not: what is foretold */
	GOOD_REPUTE = 2,
	BEST_REPUTE = 3,
	DEMOTE_FAULTS = 256, /* between two ticks */
	MAX_PATIENCE = 6,    /* doublings */
};

/* Short of these, a promotion would not pay at all; LONG_CYCLES and PROMOTE_CYCLES are far beyond. */
static const uint32_t check_point[GEAR_CHECKS] = {100000, 600000};

static struct gear *current(struct tc *tc)
{
	return &tc->gear[mmu_space(tc->mmu, true)];
}

static void shift(struct gear *g, bool window)
{
	g->window = window;
	g->callouts = g->faults = 0;
	if (g->known)
		g->cycles = 0;
}

/* It ran for long, or it did not: those who stood at its check points are judged by it. */
static void judge(struct tc *tc, struct gear *g, bool ran_long)
{
	for (unsigned i = 0; i < g->checks; i++) {
		uint8_t *r = &tc->reputation[g->mark[i]];

		if (!ran_long)
			*r = *r > 1 ? (uint8_t)(*r - 2) : 0;
		else if (*r < BEST_REPUTE)
			++*r;
	}
	g->known = true;
}

static void promote(struct tc *tc, struct gear *g)
{
	shift(g, true);
	tc->stats.promotions++;
	history_note(tc->history, HISTORY_GEAR, (uint32_t)(g - tc->gear), MODE_USER, 1);
}

/* The page of user code that is about to run; 0: nothing of it has run yet. */
static uint64_t code_frame(const struct tc *tc)
{
	gpa_t at;

	return mmu_lean_code(tc->mmu, true, gva((uint32_t)tc->cpu->rip), &at) ? at.v >> PAGE_SHIFT : 0;
}

/* At a check point: which page of code was entered last, and what is known of that? By now EIP may be the kernel's. */
static void pass_check(struct tc *tc, struct gear *g)
{
	g->mark[g->checks] = (uint16_t)((tc->gear_frame * GEAR_CHECKS + g->checks) * 0x9e3779b1u >> 16) % GEAR_REPUTATIONS;
	if (!g->window && !g->patience && tc->reputation[g->mark[g->checks]] >= GOOD_REPUTE)
		promote(tc, g);
	g->checks++;
}

static uint32_t mode_bit(const struct tc *tc, unsigned space)
{
	if (direct_gear(tc, space))
		return MODE_DIRECT;
	if (!may_look_up(tc))
		return 0;
	return tc->config.lookup == TC_LOOKUP_ON || !tc->gear[space].window ? MODE_LOOKUP : 0;
}

unsigned gear_now(const struct tc *tc, unsigned space)
{
	uint32_t bit = mode_bit(tc, space);

	/* one that may run directly does so whenever it promises to be worth it */
	if (bit == MODE_DIRECT || tc->direct_gear[space].on)
		return 2;
	return bit == MODE_LOOKUP ? 0 : 1;
}

static void account(struct tc *tc, struct gear *g, uint64_t now)
{
	g->cycles += now - tc->gear_since;
	while (!g->known && tc->gear_frame && g->checks < GEAR_CHECKS && g->cycles >= check_point[g->checks])
		pass_check(tc, g);
	if (!g->known && g->cycles >= LONG_CYCLES)
		judge(tc, g, true);
	if (!g->window && g->cycles >= (uint64_t)PROMOTE_CYCLES << g->patience)
		promote(tc, g);
}

/*
 * Comes by whenever the dispatcher or the lean path chooses a mode, so that the time of user code is known from one passage
 * to the next.
 */
uint32_t gear_mode(struct tc *tc, uint32_t mode, unsigned space)
{
	uint64_t now;

	if (tc->gear_running) {
		now = __rdtsc();
		account(tc, tc->gear_running, now);
		tc->gear_running = NULL;
	}
	if (!(mode & MODE_USER)) {
		if (tc->stretch)
			direct_kernel_code(tc);
		return mode;
	}
	direct_user_code(tc, space);
	mode |= mode_bit(tc, space);
	if ((mode & MODE_LOOKUP) || !tc->gear[space].known) {
		tc->gear_running = &tc->gear[space];
		tc->gear_frame = tc->gear[space].known ? 0 : code_frame(tc);
		tc->gear_since = __rdtsc();
	}
	return mode;
}

void gear_tick(struct tc *tc)
{
	current(tc)->faults = 0;
	direct_tick(tc, mmu_space(tc->mmu, true));
}

void gear_callout(struct tc *tc)
{
	struct gear *g = current(tc);

	if (!g->window && ++g->callouts >= (unsigned)PROMOTE_CALLOUTS << g->patience)
		promote(tc, g);
}

void gear_fault(struct tc *tc)
{
	struct gear *g = current(tc);

	if (!g->window || ++g->faults < DEMOTE_FAULTS)
		return;
	if (!g->known)
		judge(tc, g, false);
	shift(g, false);
	if (g->patience < MAX_PATIENCE)
		g->patience++;
	tc->stats.demotions++;
	history_note(tc->history, HISTORY_GEAR, (uint32_t)(g - tc->gear), MODE_USER, 0);
}

void gear_reset(struct tc *tc, unsigned space)
{
	if (tc->gear_running == &tc->gear[space])
		tc->gear_running = NULL;
	if (!tc->gear[space].known)
		judge(tc, &tc->gear[space], false);
	tc->gear[space] = (struct gear){0};
	direct_gear_reset(tc, space);
}
