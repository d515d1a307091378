/*
 * Lockstep: every block is run by the interpreter too, and the two results are compared.
 *
 * The reference goes first, on a copy of the processor whose writes stay in an overlay (lockstep_memory.c). It keeps its
 * state after each instruction, because translated code may stop before the block's end (a kick, a
 * true fault, a callout that leaves, code that drops itself): the comparison is made with the reference's state at the
 * boundary where translated code stopped. Then the block runs for real and the state,
 * and every byte that either wrote, must agree.
 *
 *   before:  state[0] --insn 1--> state[1] --insn 2--> state[2] ...      overlay, log of writes
 *   TC runs:                               ^ stopped here: compare with state[1] and writes of step 1
 *
 * A repeated string instruction may stop between any two iterations. The reference then repeats just that instruction with
 * as many iterations as translated code has done.
 *
 * Limits: a stale but legal translation (guest tables changed, TLB not flushed yet) can look like a difference, since the
 * reference walks the tables anew; blocks with ports, MMIO, paging control or time are not compared.
 */
#include "translator/lockstep.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_RETRIES = 4096 }; /* pieces of one string instruction before it is called too long */

struct lockstep *lockstep_create(struct tc *tc)
{
	struct lockstep *l = aligned_alloc(64, (sizeof(*l) + 63) & ~(size_t)63);

	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->tc = tc;
	l->state = aligned_alloc(64, (CCF_MAX_INSNS + 1) * sizeof(*l->state));
	if (!l->state || !overlay_create(&l->mem)) {
		lockstep_destroy(l);
		return NULL;
	}
	return l;
}

void lockstep_destroy(struct lockstep *l)
{
	if (!l)
		return;
	overlay_destroy(&l->mem);
	free(l->state);
	free(l);
}

/* ------------------------------------ the reference ------------------------------------ */

/* Guest bytes of a CCF, which may lie in two pages that are not neighbours. */
static void copy_source(struct lockstep *l, const struct ccf *c)
{
	unsigned room = PAGE_SIZE - (unsigned)(c->gpa & PAGE_MASK);
	unsigned first = c->guest_len < room ? c->guest_len : room;

	l->guest_len = c->guest_len;
	memcpy(l->guest, physmap_host(l->tc->pm, gpa(c->gpa), first), first);
	if (c->guest_len > first)
		memcpy(l->guest + first, physmap_host(l->tc->pm, gpa(c->gpa2), c->guest_len - first),
		       c->guest_len - first);
}

static void copy_block(struct lockstep *l, const struct ccf *c)
{
	const struct ccf_insn *map = ccf_map(l->tc, c);

	l->lin = c->lin;
	l->mode = c->mode;
	l->insns = c->insns;
	l->eip[0] = c->lin;
	for (unsigned i = 0; i < c->insns; i++)
		l->eip[i + 1] = l->eip[i] + map[i].guest;
	l->host = c->host - c->entry;
	l->host_len = c->host_len;
	copy_source(l, c);
}

/* One instruction, to its end: a repeated one with all its pieces. */
static enum outcome step_to_end(struct lockstep *l)
{
	for (unsigned i = 0; i < MAX_RETRIES; i++) {
		enum outcome out = cpu_interpret_one(&l->ref);

		if (out != OUT_RETRY || l->opaque || l->mem.full)
			return out;
	}
	l->opaque = true;
	return OUT_RETRY;
}

static void run_reference(struct lockstep *l)
{
	l->steps = 0;
	for (unsigned i = 0; i < l->insns && (uint32_t)l->ref.rip == l->eip[i]; i++) {
		enum outcome out;

		l->step = i + 1;
		out = step_to_end(l);
		if (l->opaque || l->mem.full || out == OUT_ERROR)
			break;
		if (out == OUT_FAULT)
			cpu_deliver_fault(&l->ref);
		if (l->opaque)
			break;
		l->state[i + 1] = l->ref;
		l->steps = i + 1;
		if (out == OUT_FAULT)
			break;
	}
}

void lockstep_before(struct tc *tc, ccf_id id)
{
	struct lockstep *l = tc->lockstep;
	const struct ccf *c = ccf_of(tc, id);

	l->skip = c->flags & CCF_SIDE_EFFECT;
	if (l->skip)
		return;
	copy_block(l, c);
	overlay_reset(&l->mem);
	l->opaque = false;
	l->ref = *tc->cpu;
	l->ref.ops = &lockstep_ops;
	l->ref.ops_ctx = l;
	l->state[0] = l->ref;
	run_reference(l);
}

/* ------------------------------------ comparison ------------------------------------ */

static bool repeated(const struct lockstep *l, unsigned i, bool *addr16)
{
	bool rep = false;

	*addr16 = false;
	for (unsigned at = l->eip[i] - l->lin; at < l->guest_len; at++) {
		uint8_t b = l->guest[at];

		if (b == 0xf2 || b == 0xf3)
			rep = true;
		else if (b == 0x67)
			*addr16 = true;
		else if (b != 0x66 && b != 0x26 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x64 && b != 0x65)
			return rep && ((b >= 0xa4 && b <= 0xa7) || (b >= 0xaa && b <= 0xaf));
	}
	return false;
}

static bool same_memory(struct lockstep *l)
{
	uint64_t at;

	return !overlay_differs(&l->mem, l->tc->pm, &at);
}

/*
 * Translated code stopped within repeated instruction `i`. Repeat it from state[i] with the count reduced to the iterations that were
 * done; then only EIP and the count need putting back.
 */
static bool same_within_repeat(struct lockstep *l, unsigned i)
{
	const struct cpu *c = l->tc->cpu;
	unsigned writes = l->mem.writes;
	uint32_t data = l->mem.data_len, mask, left = (uint32_t)c->gpr[R_ECX], all;
	bool addr16, same;

	if (i >= l->insns || !repeated(l, i, &addr16))
		return false;
	mask = addr16 ? 0xffff : 0xffffffff;
	all = (uint32_t)l->state[i].gpr[R_ECX];
	if ((left & mask) > (all & mask))
		return false;
	overlay_rewind(&l->mem, i);
	l->ref = l->state[i];
	l->ref.gpr[R_ECX] = (all & ~mask) | ((all - left) & mask);
	l->step = CCF_MAX_INSNS + 1;
	l->opaque = false;
	same = step_to_end(l) == OUT_OK && !l->opaque && !(l->ref.gpr[R_ECX] & mask);
	l->ref.rip = l->state[i].rip;
	l->ref.gpr[R_ECX] = (all & ~mask) | (left & mask);
	same = same && lockstep_same_cpu(&l->ref, c) && same_memory(l);
	l->mem.writes = writes;
	l->mem.data_len = data;
	return same;
}

static bool same_at(struct lockstep *l, unsigned k)
{
	if (!lockstep_same_cpu(&l->state[k], l->tc->cpu))
		return false;
	overlay_rewind(&l->mem, k);
	return same_memory(l);
}

/* Does the real state agree with the reference at some boundary? *at: the best candidate. */
static bool agrees(struct lockstep *l, unsigned *at)
{
	uint32_t eip = (uint32_t)l->tc->cpu->rip;
	bool opaque = l->opaque;

	*at = l->steps;
	for (unsigned k = l->steps + 1; k-- > 0;) {
		if ((uint32_t)l->state[k].rip != eip)
			continue;
		if ((uint32_t)l->state[*at].rip != eip)
			*at = k;
		if (same_at(l, k) || same_within_repeat(l, k)) {
			l->early += k != l->steps;
			return true;
		}
	}
	l->opaque = opaque;
	return false;
}

/* To stderr, and to who makes a report of it. */
static void report(struct lockstep *l, const struct cpu *ref)
{
	const struct tc_ops *ops = &l->tc->ops;
	char *text = NULL;
	size_t size;
	FILE *f = ops->failed ? open_memstream(&text, &size) : NULL;

	lockstep_report(l, f ? f : stderr, ref);
	if (!f)
		return;
	fclose(f);
	ops->failed(ops->ctx, "lockstep found a difference", text);
	free(text);
}

bool lockstep_after(struct tc *tc)
{
	struct lockstep *l = tc->lockstep;
	bool incomplete = l->opaque || l->mem.full;
	unsigned at;

	if (l->skip || l->mem.full) {
		l->skipped++;
		return true;
	}
	if (agrees(l, &at)) {
		l->compared++;
		return true;
	}
	if (incomplete) {
		l->skipped++;
		return true;
	}
	overlay_rewind(&l->mem, at);
	report(l, &l->state[at]);
	return false;
}
