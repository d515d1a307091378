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

/*
 * Tracking a page may end the tracking of another: their page table is another by now, or there was no room. What is not tracked must not
 * enter a branch table (ibtc.c).
 */
static bool still_tracked(struct tc *tc, uint32_t lin, uint64_t at)
{
	return ccf_tracked_at(tc, lin, tc->mode, at);
}

enum thunk { THUNK_KNOWN, THUNK_ABSENT, THUNK_GONE };

/* Has the present space the thunk that a CCF needs? Any CCF may be gone then. */
static enum thunk find_thunk(struct tc *tc, const struct ccf *c)
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
	if (!still_tracked(tc, lin, at.v))
		return THUNK_ABSENT;
	ibtc_put(tc, id);
	return THUNK_KNOWN;
}

/*
 * It could not enter the branch table; this is what became of its thunk. One whose page has not been brought yet is needed when the call is
 * come to: the new unit ends before (thunk_called), and the call itself is interpreted until then. What is no thunk any more is called.
 */
static ccf_id obtain_otherwise(struct tc *tc, uint32_t lin, uint64_t at, enum thunk thunk)
{
	/* the thunk's translation may have taken its room */
	ccf_id id = thunk == THUNK_KNOWN ? 0 : ccf_find(tc, lin, tc->mode, at);

	if (id && thunk == THUNK_ABSENT && ccf_map(tc, ccf_of(tc, id))->flags >> INSN_THUNK_SHIFT)
		return 0;
	if (id)
		ccf_discard(tc, id);
	tc->no_thunks = thunk == THUNK_GONE;
	id = obtain(tc, lin, at);
	tc->no_thunks = false;
	return id;
}

ccf_id find_code(struct tc *tc, uint32_t lin, uint64_t at)
{
	ccf_id id = obtain(tc, lin, at);
	bool learnt = false;

	while (id && still_tracked(tc, lin, at) && !ibtc_put(tc, id)) {
		enum thunk thunk = find_thunk(tc, ccf_of(tc, id));

		learnt |= thunk == THUNK_KNOWN;
		id = obtain_otherwise(tc, lin, at, thunk);
	}
	if (!id || !still_tracked(tc, lin, at))
		return 0;
	if (learnt)
		move_offer(tc, lin, tc->mode, at);
	return id;
}
