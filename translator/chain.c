/*
 * Chaining: an exit's rel32 is pointed straight at the next CCF.
 *
 * Invariant: an exit chained to CCF c is on c's `incoming` list, so that c can be dropped at any time. Patching happens on
 * the vCPU thread only, in C or in a signal handler that interrupted translated code, hence never beside
 * running code: the rel32 needs no atomicity.
 *
 * Which targets may be chained: the mode is the same by construction. Supervisor code to
 * anything (smc_code_unmapped undoes it when the target's page is mapped elsewhere); user code only within a
 * linear page, and never to a CCF that spans two or calls a thunk: those go by the indirect-branch table.
 */
#include "translator/internal.h"

#include <string.h>

static void point_at(struct tc *tc, const struct ccf *from, const struct ccf_exit *x, uint32_t target)
{
	uint32_t at = from->host - from->entry + x->patch;
	int32_t rel = (int32_t)(target - (at + 4));

	memcpy(tc->rw + at, &rel, 4);
}

static uint32_t code_offset(const struct ccf *c, uint16_t off)
{
	return c->host - c->entry + off;
}

static bool may_chain(const struct ccf *from, const struct ccf *to)
{
	if (!(from->mode & MODE_USER))
		return true;
	return from->lin >> PAGE_SHIFT == to->lin >> PAGE_SHIFT &&
	       !((from->flags | to->flags) & CCF_CROSSING) && !to->needs;
}

void chain_link(struct tc *tc, uint32_t exit, ccf_id to)
{
	struct ccf *from = ccf_of(tc, exit_ccf(exit)), *target = ccf_of(tc, to);
	struct ccf_exit *x = &from->exit[exit_index(exit)];

	if (tc->unchained || from->state != CCF_LIVE || target->state != CCF_LIVE || from->mode != target->mode ||
	    x->to || from->lin + x->ahead != target->lin)
		return;
	if (!may_chain(from, target)) {
		point_at(tc, from, x, code_offset(from, x->alt));
		return;
	}
	point_at(tc, from, x, target->host);
	x->to = to;
	x->next = target->incoming;
	target->incoming = exit;
	tc->stats.chains++;
	history_note(tc->history, HISTORY_CHAIN, target->lin, target->mode, from->lin);
}

void chain_unlink_incoming(struct tc *tc, ccf_id id)
{
	struct ccf *c = ccf_of(tc, id);

	while (c->incoming) {
		struct ccf *from = ccf_of(tc, exit_ccf(c->incoming));
		struct ccf_exit *x = &from->exit[exit_index(c->incoming)];

		c->incoming = x->next;
		x->to = 0;
		x->next = 0;
		point_at(tc, from, x, code_offset(from, x->stub));
	}
}

static void unlink_exit(struct tc *tc, ccf_id id, unsigned n)
{
	struct ccf *from = ccf_of(tc, id);
	struct ccf_exit *x = &from->exit[n];
	uint32_t *p = &ccf_of(tc, x->to)->incoming;

	while (*p && *p != exit_id(id, n))
		p = &ccf_of(tc, exit_ccf(*p))->exit[exit_index(*p)].next;
	if (*p)
		*p = x->next;
	x->to = 0;
	x->next = 0;
	point_at(tc, from, x, code_offset(from, x->stub));
}

void chain_unlink_outgoing(struct tc *tc, ccf_id id)
{
	for (unsigned n = 0; n < CCF_EXITS; n++)
		if (ccf_of(tc, id)->exit[n].to)
			unlink_exit(tc, id, n);
}

/*
 * Async-signal-safe: make the CCF leave for the dispatcher at its next exit. The links stay on record; chain_restore
 * points the exits back.
 */
void chain_interrupt(struct tc *tc, ccf_id id)
{
	struct ccf *c = ccf_of(tc, id);

	for (unsigned n = 0; n < CCF_EXITS; n++)
		if (c->exit[n].to)
			point_at(tc, c, &c->exit[n], code_offset(c, c->exit[n].stub));
}

void chain_restore(struct tc *tc, ccf_id id)
{
	struct ccf *c = ccf_of(tc, id);

	for (unsigned n = 0; n < CCF_EXITS; n++)
		if (c->exit[n].to)
			point_at(tc, c, &c->exit[n], ccf_of(tc, c->exit[n].to)->host);
}
