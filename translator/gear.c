/*
 * Gears: how user code of an address space reaches memory.
 *
 * A window entry costs several microseconds to make and one to drop; a look-up costs a few nanoseconds each time. So an address
 * space starts with look-up, and is promoted to its window when it has shown that it lives: timer interrupts find it
 * running, or its code keeps asking for callouts that a window would do without (string instructions). A new address
 * space under the same CR3 starts again.
 *
 * Measured on Linux guests (1000 x fork+exec of a static program: window 1.72 s, look-up 1.01 s; a computing awk: window
 * 1.5 s, look-up 22 s): a few ticks are the right patience.
 */
#include "translator/internal.h"

enum { PROMOTE_TICKS = 2, PROMOTE_CALLOUTS = 4000 };

static void promote(struct tc *tc, struct gear *g)
{
	g->window = true;
	tc->stats.promotions++;
}

uint32_t gear_mode(struct tc *tc)
{
	if (tc->cpu->cpl != 3 || !tc->lookup_possible || tc->config.lookup == TC_LOOKUP_OFF)
		return 0;
	if (tc->config.lookup == TC_LOOKUP_ON)
		return MODE_LOOKUP;
	return tc->gear[mmu_space(tc->mmu, true)].window ? 0 : MODE_LOOKUP;
}

void gear_tick(struct tc *tc)
{
	struct gear *g = &tc->gear[mmu_space(tc->mmu, true)];

	if (!g->window && ++g->ticks >= PROMOTE_TICKS)
		promote(tc, g);
}

void gear_callout(struct tc *tc)
{
	struct gear *g = &tc->gear[mmu_space(tc->mmu, true)];

	if (!g->window && ++g->callouts >= PROMOTE_CALLOUTS)
		promote(tc, g);
}

void gear_reset(struct tc *tc, unsigned space)
{
	tc->gear[space] = (struct gear){0};
}
