/*
 * The code for an address: found, moved, brought back or made, and fit to run in the present address space.
 */
#include "translator/tu.h"

/* 0: its first instruction must be interpreted. */
static ccf_id obtain(struct tc *tc, uint32_t lin, uint64_t at)
{
	ccf_id id = ccf_find(tc, lin, tc->mode, at);

	if (!id && move_page(tc, lin, tc->mode, at))
		id = ccf_find(tc, lin, tc->mode, at);
	if (!id)
		id = ccf_revive(tc, lin, tc->mode, at);
	return id ? id : translate(tc, lin, tc->mode, at);
}

enum thunk find_thunk(struct tc *tc, const struct ccf *c)
{
	uint32_t lin = c->lin + c->thunk_ahead;
	unsigned needs = c->needs;
	ccf_id id;
	gpa_t at;

	if (!tc->ibtc_now || breakpoint_in(tc, lin, THUNK_BYTES))
		return THUNK_GONE;
	if (mmu_track_code(tc->mmu, tc->mode & MODE_USER, gva(lin), &at) != OUT_OK)
		return THUNK_ABSENT;
	id = obtain(tc, lin, at.v);
	if (!id || ccf_of(tc, id)->thunk != needs)
		return THUNK_GONE;
	ibtc_put(tc, id);
	return THUNK_KNOWN;
}

/*
 * The page of a thunk may not have been brought yet: then instructions are interpreted until the call is made and faults. What is no thunk
 * any more is called.
 */
ccf_id find_code(struct tc *tc, uint32_t lin, uint64_t at)
{
	ccf_id id = obtain(tc, lin, at);

	while (id && !ibtc_put(tc, id)) {
		enum thunk thunk = find_thunk(tc, ccf_of(tc, id));

		if (thunk == THUNK_ABSENT) {
			id = 0;
			break;
		}
		/* the thunk's translation may have taken this one's room */
		if (thunk == THUNK_GONE && (id = ccf_find(tc, lin, tc->mode, at)))
			ccf_discard(tc, id);
		tc->no_thunks = thunk == THUNK_GONE;
		id = obtain(tc, lin, at);
	}
	tc->no_thunks = false;
	return id;
}
