/*
 * The thunks of position-independent code.
 *
 * i386 code cannot address relative to EIP. It calls a function that does nothing but load its return address:
 *
 *   call thunk          thunk:  mov ebx, [esp]
 *   add  ebx, ...               ret
 *
 * Every function that uses a global calls it, so its return is an indirect branch with thousands of targets. What it does is known when
 * the call is translated, so user code only stores the return address, as the call does, and loads it:
 *
 *   mov gs:[esp - 4], return address
 *   mov ebx, return address
 *
 * and goes on behind the call. It is not known for good: the thunk may be changed or unmapped, and CCFs of user code serve several address
 * spaces. So a unit with such calls names their thunk (ccf.needs), and enters only the branch tables of spaces that are known to have it
 * (ibtc.c), which are emptied when that ends; no exit is chained to it (chain.c), so there is no other way in than by
 * those tables and the dispatcher, which looks, too (find.c). Thunks that check themselves serve nobody.
 *
 * Whether it is a thunk cannot be told when its page has not been brought yet. What looks like such a call then ends the unit before it, and
 * is interpreted; it leads to a page fault.
 */
#include "translator/counts.h"
#include "translator/tu.h"

/* The register that a thunk loads, plus one; 0: it is none. */
static unsigned thunk_in(const uint8_t *code)
{
	unsigned reg = code[1] >> 3 & 7;

	return code[0] == 0x8b && (code[1] & 0xc7) == 0x04 && code[2] == 0x24 && code[3] == 0xc3 && reg != H_RSP ? reg + 1 : 0;
}

/* Supervisor code is chained freely. */
static bool possible(const struct tu *u)
{
	return (u->mode & MODE_USER) && !u->selfcheck && u->tc->ibtc_now && !u->tc->no_thunks && !u->tc->config.lockstep && !counts_on(u->tc) &&
	       xl_stack_flat(u);
}

/* add reg, constant: what comes behind such calls. */
static bool base_follows(const struct tu *u, const struct tinsn *t)
{
	const uint8_t *next = t->bytes + t->z.length;

	return u->gpa2 == ~0ull && (t->next & PAGE_MASK) && (t->next & PAGE_MASK) < PAGE_MASK &&
	       (next[0] == 0x05 || (next[0] == 0x81 && (next[1] & 0xf8) == 0xc0));
}

int thunk_called(const struct tu *u, const struct tinsn *t)
{
	uint32_t target = tinsn_target(t);
	uint8_t code[THUNK_BYTES];

	if (t->action != ACT_CALL || t->z.opcode != 0xe8 || tinsn_op16(t) || t->form == FORM_CALLOUT || !possible(u) ||
	    (u->needs && target != u->lin + u->thunk_ahead) || (target & PAGE_MASK) > PAGE_SIZE - THUNK_BYTES)
		return 0;
	if (mmu_peek(u->tc->mmu, gva(target), code, sizeof(code)) != sizeof(code))
		return base_follows(u, t) ? -1 : 0;
	return (int)thunk_in(code);
}

unsigned thunk_unit(const struct tu *u)
{
	const struct tinsn *t = u->insn;

	if (u->n != 2 || u->end - u->lin != THUNK_BYTES || u->gpa2 != ~0ull || !possible(u) ||
	    t[0].form == FORM_CALLOUT || t[1].form == FORM_CALLOUT)
		return 0;
	return thunk_in(t[0].bytes);
}
