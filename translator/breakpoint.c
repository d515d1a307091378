/*
 * What debuggers want of the translator.
 *
 * Breakpoints: no unit contains one, so that control comes by the dispatcher there.
 *
 * A unit that would run into a breakpoint ends before it; none begins at one, as the dispatcher leaves first. Exits to
 * such an address are never chained and indirect branches to it always miss. Code elsewhere is as without.
 *
 * Events (ports, exceptions, control registers, modes) are noticed by the interpreter (cpu/watch.c). Translated code leaves for it
 * where they happen, but for system instructions on the lean path: that is closed while somebody looks.
 */
#include "translator/internal.h"

#include <stdlib.h>
#include <string.h>

bool breakpoint_in(const struct tc *tc, uint32_t lin, uint32_t len)
{
	unsigned low = 0, high = tc->breakpoints;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (tc->breakpoint[middle] < lin)
			low = middle + 1;
		else
			high = middle;
	}
	return low < tc->breakpoints && tc->breakpoint[low] - lin < len;
}

/* Live ones that contain a breakpoint are dropped; what is dormant must not come back to life either. */
static void drop_overlapping(struct tc *tc)
{
	for (ccf_id id = 1; id < tc->ccf_top; id++) {
		struct ccf *c = ccf_of(tc, id);

		if (c->state == CCF_FREE || !breakpoint_in(tc, c->lin, c->guest_len))
			continue;
		if (c->state == CCF_LIVE)
			ccf_drop(tc, id);
		c->flags |= CCF_STALE;
	}
}

bool tc_set_breakpoints(struct tc *tc, const uint32_t *lin, unsigned n)
{
	uint32_t *copy = n ? malloc(n * sizeof(*copy)) : NULL;

	if (n && !copy)
		return false;
	if (n)
		memcpy(copy, lin, n * sizeof(*copy));
	free(tc->breakpoint);
	tc->breakpoint = copy;
	tc->breakpoints = n;
	if (n)
		drop_overlapping(tc);
	return true;
}

void tc_set_watched(struct tc *tc, bool on)
{
	tc->watched = on;
}

/* The start of the CCF's last instruction. */
static uint32_t last_instruction(struct tc *tc, const struct ccf *c)
{
	const struct ccf_insn *map = ccf_map(tc, c);

	return c->lin + c->guest_len - map[c->insns - 1].guest;
}

bool tc_unit_end(struct tc *tc, uint32_t lin, uint32_t *last)
{
	uint32_t mode = mode_of(tc->cpu);

	for (ccf_id id = 1; id < tc->ccf_top; id++) {
		const struct ccf *c = ccf_of(tc, id);

		if (c->state != CCF_LIVE || (c->mode & ~(uint32_t)MODE_GEAR) != mode || lin - c->lin >= c->guest_len)
			continue;
		*last = last_instruction(tc, c);
		return true;
	}
	return false;
}
