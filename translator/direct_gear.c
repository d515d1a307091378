/*
 * The third gear: an address space whose code runs directly.
 *
 * Going into a world and out again costs several microseconds, a system call of translated code a tenth of one; translated code that
 * computes is a little slower than direct code, or a lot when it jumps indirectly. So what counts is how long a *stretch* of
 * user code is: from coming out of the guest's kernel to the next system call or exception. (Interrupts only interrupt it.)
 *
 *   candidate   a space that ticks find computing in its window again and again; from then on its stretches are timed
 *   foretold    stretches follow each other in patterns: read - long - write - read - long ... What came of the last time that a
 *               stretch began at this address after such a history tells whether this one is run directly
 *   found out   one that runs translated and is long already when a tick comes goes on directly
 *   held back   one that comes to pages that may not run directly, and again soon after, goes on translated until the next tick
 *   dismissed   a candidate with nothing but short stretches, or one whose worlds cost more than they are worth all the same (page
 *               faults, pages that may not run directly: direct.c, audit). Each dismissal doubles the patience before the next try
 *
 * "Long" is LONG times what going in and out costs. direct=on: always, from the first instruction.
 *
 * Part of the lean path: general registers only.
 */
#include "translator/direct.h"

#include <x86intrin.h>

enum { CANDIDATE_TICKS = 8, MAX_PATIENCE = 10, LONG = 32, SHORTS_MAX = 2048, FORGIVEN = 128, SURE = 3, PROBABLY = 2 };

static bool has_window(const struct tc *tc, unsigned space)
{
	return tc->gear[space].window || !may_look_up(tc);
}

bool direct_gear(const struct tc *tc, unsigned space)
{
	const struct direct_gear *g = &tc->direct_gear[space];

	if (!tc->direct || tc->breakpoints || tc->unchained || g->banned)
		return false;
	return tc->config.direct == TC_DIRECT_ON || (g->on && g->now && has_window(tc, space));
}

uint64_t direct_long(const struct tc *tc)
{
	return LONG * tc->exit_cycles;
}

static bool is_long(const struct tc *tc, uint64_t cycles)
{
	return cycles >= direct_long(tc);
}

/* ---------------------------------- stretches ---------------------------------- */

static void begin(struct tc *tc, struct direct_gear *g)
{
	uint32_t eip = (uint32_t)tc->cpu->rip;

	g->open = true;
	g->ran = 0;
	g->slot = (uint8_t)(((eip ^ eip >> 8) + g->history * 37u) % STRETCH_GUESSES);
	g->now = g->guess[g->slot] >= PROBABLY;
}

static void learn(struct tc *tc, struct direct_gear *g)
{
	bool was_long = is_long(tc, g->ran);
	uint8_t *guess = &g->guess[g->slot];

	g->open = false;
	if (was_long)
		tc->stats.stretches_long++;
	else
		tc->stats.stretches_short++;
	if (g->now && !was_long)
		tc->stats.stretches_mistaken++;
	*guess = was_long ? (*guess < SURE ? *guess + 1 : SURE) : *guess / 2;
	g->history = (uint8_t)((g->history << 1 | was_long) & 0xf);
	g->now = false;
	g->shorts = was_long ? 0 : g->shorts + 1;
	if (g->shorts >= SHORTS_MAX)
		direct_demote(tc, (unsigned)(g - tc->direct_gear), DEMOTED_SHORT);
}

void direct_user_code(struct tc *tc, unsigned space)
{
	struct direct_gear *g = &tc->direct_gear[space];

	if (!g->on || tc->stretch)
		return;
	if (!g->open)
		begin(tc, g);
	tc->stretch = g;
	tc->stretch_since = __rdtsc();
}

void direct_kernel_code(struct tc *tc)
{
	struct direct_gear *g = tc->stretch;

	tc->stretch = NULL;
	g->ran += __rdtsc() - tc->stretch_since;
	if (!tc->stretch_interrupted && g->on)
		learn(tc, g);
	tc->stretch_interrupted = false;
}

void direct_unfit(struct tc *tc, unsigned space)
{
	struct direct_gear *g = &tc->direct_gear[space];
	uint64_t now = __rdtsc();

	tc->stats.world_unfit++;
	if (tc->config.direct == TC_DIRECT_AUTO && g->now && !is_long(tc, now - g->unfit_since)) {
		g->now = false;
		tc->stats.stretches_held++;
	}
	g->unfit_since = now;
}

/* ---------------------------------- candidates ---------------------------------- */

static void propose(struct tc *tc, unsigned space)
{
	struct direct_gear *g = &tc->direct_gear[space];

	if (++g->ticks < (unsigned)CANDIDATE_TICKS << g->patience)
		return;
	*g = (struct direct_gear){.on = true, .forgiven = (uint32_t)FORGIVEN << g->patience, .deaths = g->deaths, .patience = g->patience, .demoted = g->demoted};
	tc->stats.direct_promotions++;
	history_note(tc->history, HISTORY_GEAR, (uint32_t)(g - tc->direct_gear), MODE_USER, 2);
}

void direct_tick(struct tc *tc, unsigned space)
{
	struct direct_gear *g = &tc->direct_gear[space];

	if (!tc->direct || g->banned || !has_window(tc, space))
		return;
	if (!g->on) {
		propose(tc, space);
	} else if (tc->stretch == g) {
		tc->stretch_interrupted = true;
		g->now = g->now || is_long(tc, g->ran + __rdtsc() - tc->stretch_since);
	}
}

void direct_demote(struct tc *tc, unsigned space, enum demotion why)
{
	struct direct_gear *g = &tc->direct_gear[space];

	if (!g->on)
		return;
	g->on = g->now = g->open = false;
	g->ticks = 0;
	g->demoted = why;
	if (g->patience < MAX_PATIENCE)
		g->patience++;
	tc->stats.direct_demotions++;
	history_note(tc->history, HISTORY_GEAR, space, MODE_USER, 1);
	if (why == DEMOTED_SHORT)
		tc->stats.direct_demotions_short++;
}

void direct_gear_reset(struct tc *tc, unsigned space)
{
	if (tc->stretch == &tc->direct_gear[space])
		tc->stretch = NULL;
	tc->direct_gear[space] = (struct direct_gear){0};
}
