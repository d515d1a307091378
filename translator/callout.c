/*
 * What translated code calls C for. Entered through the stubs in enter.S with the guest's state complete in memory; 0 goes
 * on in the TC behind the instruction, anything else leaves for the dispatcher.
 */
#include "translator/internal.h"

static void deliver(struct tc *tc)
{
	tc->stats.exceptions++;
	cpu_deliver_fault(tc->cpu);
}

void interpret_here(struct tc *tc)
{
	guest_x87_pointers(tc);
	switch (cpu_interpret_one(tc->cpu)) {
	case OUT_FAULT:
		deliver(tc);
		break;
	case OUT_ERROR:
		tc->failed = true;
		break;
	case OUT_OK:
	case OUT_RETRY:
		break;
	}
	tc->stats.interpreted++;
}

/* May translated code simply go on? */
static bool undisturbed(struct tc *tc, uint32_t next)
{
	const struct cpu *c = tc->cpu;

	if (c->rip != next || tc->changed || tc->failed)
		return false;
	if (c->pending_db || c->halted || (c->eflags & (FL_TF | FL_RF)))
		return false;
	if (tc->x.intr_wait && (c->eflags & FL_IF))
		return false;
	return !c->shadow && mode_of(c) == (tc->mode & ~(uint32_t)MODE_GEAR);
}

uint32_t callout_interp(struct tcx *x)
{
	struct tc *tc = x->tc;
	uint32_t next = x->arg;

	tc->stats.callouts++;
	history_note(tc->history, HISTORY_CALLOUT, (uint32_t)tc->cpu->rip, tc->mode, next);
	if (tc->mode & MODE_LOOKUP)
		gear_callout(tc);
	tc->changed = false;
	interpret_here(tc);
	return !undisturbed(tc, next);
}

/* A CCF of a self-checking page: is its source still what was translated? */
uint32_t callout_check(struct tcx *x)
{
	struct tc *tc = x->tc;
	struct ccf *c = ccf_of(tc, x->arg);

	bool unchanged = ccf_unchanged(tc, c);

	if (smc_selfchecked(tc, x->arg, unchanged))
		return 1;
	if (unchanged)
		return 0;
	c->flags |= CCF_STALE;
	ccf_drop(tc, x->arg);
	return 1;
}
