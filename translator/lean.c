/*
 * The lean path: from translated code to C and back without saving vector state.
 *
 * Saving and restoring x87 and SSE state costs more than most of what the dispatcher does. So exits and system instructions first
 * come here, with the guest's vector registers still live: these functions, and all that they call, are built to use general
 * registers only (CMakeLists.txt) and call no library. What they cannot do, they leave to the full path, which
 * starts over from the same state:
 *
 *   LEAN_NO      nothing was done: take the full path
 *   LEAN_LEAVE   done, but the dispatcher must see to what comes next
 *   else         the host address to continue at
 */
#include "translator/lean.h"
#include "translator/fault.h"

/* Does the next instruction need the dispatcher's attention? (tc.c: must_step, deliver_interrupts) */
static bool disturbed(const struct tc *tc)
{
	const struct cpu *c = tc->cpu;
	uint32_t flags = lean_eflags(c);

	return c->pending_db || c->shadow || (flags & FL_TF) || tc->failed || (tc->x.intr_wait && (flags & FL_IF));
}

static uint64_t note_entered(struct tc *tc, uintptr_t host)
{
	tc->recent[tc->recents++ % TC_RECENT] = host;
	return host;
}

/* Not by the branch table: what has just missed is not there, and where a direct exit leads is mostly new. */
static ccf_id find_known(struct tc *tc, uint32_t lin)
{
	ccf_id id;
	gpa_t at;

	if (!mmu_lean_code(tc->mmu, tc->mode & MODE_USER, gva(lin), &at))
		return 0;
	id = ccf_find_lean(tc, lin, tc->mode, at.v);
	return id && ibtc_put(tc, id) ? id : 0;
}

/* Continue at cpu->rip in the present mode; `exit` is chained to it when it is not 0. */
static uint64_t proceed(struct tc *tc, uint32_t exit)
{
	uint32_t lin = (uint32_t)tc->cpu->rip;
	ccf_id id = find_known(tc, lin);

	if (!id)
		return LEAN_LEAVE;
	if (exit)
		chain_link(tc, exit, id);
	tc->stats.lean++;
	return note_entered(tc, (uintptr_t)tc_rx(tc, ccf_of(tc, id)->host));
}

/* A direct exit or an indirect miss: the mode is the same. */
uint64_t lean_exit(struct tcx *x)
{
	struct tc *tc = x->tc;
	uint32_t exit = 0;
	uint64_t to;

	if (!tc->lean || tc->interrupted)
		return LEAN_NO;
	if (x->reason == LEAVE_EXIT) {
		exit = x->arg;
		tc->cpu->rip = exit_target(ccf_of(tc, exit_ccf(exit)), exit_index(exit));
	}
	to = proceed(tc, exit);
	if (to == LEAN_LEAVE)
		return LEAN_NO;
	if (exit)
		history_note(tc->history, HISTORY_EXIT, (uint32_t)tc->cpu->rip, tc->mode, ccf_of(tc, exit_ccf(exit))->lin);
	else
		history_note(tc->history, HISTORY_MISS, (uint32_t)tc->cpu->rip, tc->mode, 0);
	return to;
}

/*
 * The branch table knows where code of the new mode is, as for an indirect branch; R8 is cpu->rip when it is entered. What it does not
 * know comes back as a miss.
 */
uint64_t lean_switch(struct tc *tc, uint32_t mode)
{
	bool user = mode & MODE_USER;
	unsigned space;
	hva_t base;

	if (tc->interrupted || disturbed(tc) || (user && mmu_expecting(tc->mmu)) ||
	    !mmu_lean_space(tc->mmu, user, &base, &space))
		return LEAN_LEAVE;
	if (user || tc->gear_running || tc->stretch)
		mode = gear_mode(tc, mode, space);
	tc->mode = mode;
	window_set(tc, user, base.v);
	if (!ibtc_select_known(tc, space, mode))
		return LEAN_LEAVE;
	tc->stats.lean++;
	return note_entered(tc, tc->x.ibtc[tc->cpu->rip % IBTC_SIZE]);
}

uint64_t lean_continue(struct tc *tc)
{
	uint32_t mode = mode_of(tc->cpu);

	return mode & MODE_INTERPRET ? LEAN_LEAVE : lean_switch(tc, mode);
}

/*
 * Could something else be wrong with the instruction that comes before its page fault? A wide operand may be misaligned, and a
 * pending x87 exception comes first.
 */
static bool only_page_fault(const struct tcx *x)
{
	uint16_t fsw;

	__asm__ volatile("fnstsw %0" : "=a"(fsw));
	return LEAN_ACCESS_SIZE(x->op) <= 8 && !(fsw & 0x80);
}

/*
 * A look-up missed: begin the instruction again when its page can be had without effects, deliver its page fault when it
 * has one.
 */
uint64_t lean_refill(struct tcx *x)
{
	struct tc *tc = x->tc;
	bool user = tc->mode & MODE_USER, write = LEAN_ACCESS_WRITE(x->op);

	if ((x->arg & PAGE_MASK) + LEAN_ACCESS_SIZE(x->op) > PAGE_SIZE)
		return LEAN_NO;
	if (mmu_lean_refill(tc->mmu, user, write, gva(x->arg))) {
		tc->stats.refills++;
		history_note(tc->history, HISTORY_REFILL, (uint32_t)tc->cpu->rip, tc->mode, x->arg);
		return x->target;
	}
	if (user)
		fault_note(tc, (uint32_t)tc->cpu->rip, x->target);
	return only_page_fault(x) ? lean_access_fault(tc, write, (uint32_t)x->arg, x->target) : LEAN_NO;
}

/* A library's comparison would use vector registers. */
static bool same_bytes(const uint8_t *a, const uint8_t *b, unsigned n)
{
	uint64_t x, y;

	for (; n >= 8; a += 8, b += 8, n -= 8) {
		memcpy(&x, a, 8);
		memcpy(&y, b, 8);
		if (x != y)
			return false;
	}
	while (n && *a == *b)
		a++, b++, n--;
	return !n;
}

/* A CCF of a self-checking page is entered (callout_check): on with it when its source is what it was. */
uint64_t lean_check(struct tcx *x)
{
	struct tc *tc = x->tc;
	const struct ccf *c = ccf_of(tc, x->arg);
	const uint8_t *now;

	if (!tc->lean || tc->interrupted || (c->flags & CCF_CROSSING))
		return LEAN_NO;
	now = physmap_host(tc->pm, gpa(c->gpa), c->guest_len);
	return now && same_bytes(now, ccf_source(tc, c), c->guest_len) && smc_lean_unchanged(tc, c) ? x->target : LEAN_NO;
}
