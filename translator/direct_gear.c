/*
 * The third gear: an address space whose code runs directly.
 *
 * Auto: promoted when ticks find it computing in its window again and again; moved back when going in and out of its world takes
 * more than a small share of the time (direct.c: audit). Each such move doubles the patience before the next try, so
 * a program that keeps trapping is tried ever more rarely. On: always, from the first instruction.
 *
 * Part of the lean path: general registers only.
 */
#include "translator/direct.h"

enum { DIRECT_TICKS = 6, MAX_PATIENCE = 10 };

static bool has_window(const struct tc *tc, unsigned space)
{
	return tc->gear[space].window || !tc->lookup_possible || tc->config.lookup == TC_LOOKUP_OFF;
}

bool direct_gear(const struct tc *tc, unsigned space)
{
	const struct direct_gear *g = &tc->direct_gear[space];

	if (!tc->direct || tc->breakpoints || tc->unchained || g->banned)
		return false;
	return tc->config.direct == TC_DIRECT_ON || (g->on && has_window(tc, space));
}

void direct_tick(struct tc *tc, unsigned space)
{
	struct direct_gear *g = &tc->direct_gear[space];

	if (!tc->direct || g->on || g->banned || !has_window(tc, space) ||
	    ++g->ticks < (unsigned)DIRECT_TICKS << g->patience)
		return;
	g->on = true;
	g->ticks = g->exits = 0;
	g->audit_ns = 0;
	tc->stats.direct_promotions++;
	history_note(tc->history, HISTORY_GEAR, space, MODE_USER, 2);
}

void direct_demote(struct tc *tc, unsigned space)
{
	struct direct_gear *g = &tc->direct_gear[space];

	if (!g->on)
		return;
	g->on = false;
	g->ticks = 0;
	if (g->patience < MAX_PATIENCE)
		g->patience++;
	tc->stats.direct_demotions++;
	history_note(tc->history, HISTORY_GEAR, space, MODE_USER, 1);
}

void direct_gear_reset(struct tc *tc, unsigned space)
{
	tc->direct_gear[space] = (struct direct_gear){0};
}
