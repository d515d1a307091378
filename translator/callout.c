/*
 * What translated code calls C for. Entered through the stubs in enter.S with the guest's state complete in memory; 0 goes
 * on in the TC behind the instruction, anything else leaves for the dispatcher.
 */
#include "translator/counts.h"

static void deliver(struct tc *tc)
{
	tc->stats.exceptions++;
	cpu_deliver_fault(tc->cpu);
}

void interpret_here(struct tc *tc)
{
	guest_x87_pointers(tc);
	loaded_forget(tc);
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

/* Was it translated in a form that it had learnt? */
static bool learnt_there(struct tc *tc, const struct ccf *c, uint32_t eip)
{
	const struct ccf_insn *map = ccf_map(tc, c);
	uint32_t lin = c->lin;

	for (unsigned i = 0; i < c->insns; lin += map[i++].guest)
		if (lin == eip)
			return map[i].flags & INSN_LEARNT;
	return false;
}

/* That form may be over. What is called for anyway is no better off by being translated anew. */
static void form_again(struct tc *tc, ccf_id id, uint32_t eip)
{
	const struct ccf *c = ccf_of(tc, id);

	if (id && c->state == CCF_LIVE && hint_over(tc, hint_place_in(c, eip)) && learnt_there(tc, c, eip))
		ccf_discard(tc, id);
}

static void interpret_callout(struct tc *tc)
{
	uint64_t begin = meter_begin_often(&tc->meters, METER_CALLOUT), exceptions = tc->stats.exceptions;
	uint32_t eip = (uint32_t)tc->cpu->rip;

	tc->stats.callouts++;
	history_note(tc->history, HISTORY_CALLOUT, (uint32_t)tc->cpu->rip, tc->mode, tc->x.arg);
	if (tc->mode & MODE_LOOKUP)
		gear_callout(tc);
	tc->changed = false;
	interpret_here(tc);
	form_again(tc, cache_owner(tc, tc->x.target - 1), eip);
	/* where the instruction would have gone on is in its unit; it raised an exception, or is to be done once more */
	if (tc->stats.exceptions != exceptions || (uint32_t)tc->cpu->rip == eip)
		counts_raised(tc, tc->x.target - 1, eip);
	meter_end_often(&tc->meters, METER_CALLOUT, begin);
}

uint32_t callout_interp(struct tcx *x)
{
	uint32_t next = x->arg;

	interpret_callout(x->tc);
	return !undisturbed(x->tc, next);
}

/*
 * Translate anew in the room of a CCF that is about to run and whose source has changed. False: it is dropped, and the rest is the
 * dispatcher's.
 */
static bool translate_again(struct tc *tc, ccf_id id)
{
	struct ccf *c = ccf_of(tc, id);
	uint32_t lin = c->lin, mode = c->mode;
	uint64_t at = c->gpa;

	vary_learn(tc, c);
	ccf_discard(tc, id);
	if ((c->flags & CCF_CROSSING) || tc->unchained || tc->interrupted)
		return false;
	cache_give_back(tc, id);
	id = translate(tc, lin, mode, at);
	if (!id)
		return false;
	ibtc_put(tc, id);
	tc->x.target = (uint64_t)tc_rx(tc, ccf_of(tc, id)->host);
	return true;
}

/* A CCF of a self-checking page: is its source still what was translated? */
uint32_t callout_check(struct tcx *x)
{
	struct tc *tc = x->tc;
	bool unchanged = ccf_unchanged(tc, ccf_of(tc, x->arg)), leave = smc_selfchecked(tc, x->arg, unchanged);

	if (!leave && unchanged)
		return 0;
	counts_take_back(tc, x->arg);
	return leave || !translate_again(tc, x->arg);
}

/* A look-up that missed cannot be filled: the instruction at x->target faults, sets A or D, crosses a page, meets a device, ... */
uint32_t callout_refill(struct tcx *x)
{
	struct tc *tc = x->tc;
	ccf_id id = cache_owner(tc, x->target);
	uint32_t eip, host_off;
	unsigned index;
	uintptr_t next;
	bool more = ccf_locate(tc, id, x->target, &eip, &host_off, &index) &&
		    ccf_after(tc, id, index, &next, &x->arg);

	if (!more) {
		interpret_callout(tc);
		return 1;
	}
	x->target = next;
	return callout_interp(x);
}
