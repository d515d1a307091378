/*
 * The thunks of position-independent code.
 *
 * i386 code cannot address relative to EIP. It calls a function that does nothing but load its return address:
 *
 *   call thunk          thunk:  mov ebx, [esp]
 *   add  ebx, ...               ret
 *
 * Every function that uses a global calls it, so its return is an indirect branch with thousands of targets. What it does is known when
 * the call is translated, but not for good: the thunk may be changed or unmapped, and CCFs of user code serve several address spaces.
 * So each branch table notes the thunks of its space that were put into it (ibtc.c), and the call looks there:
 *
 *   mov  gs:[esp - 4], return address      as any call
 *   mov  r9, rcx
 *   mov  ecx, [r13 + place]                minus the address of a thunk for this register, or nothing's
 *   lea  ecx, [rcx + thunk]
 *   jrcxz same
 *   mov  rcx, r9
 *   lea  esp, [rsp - 4]
 *   jmp  thunk                             an exit
 *   same:
 *   mov  rcx, r9
 *   mov  ebx, return address
 *
 * and goes on behind the call. Thunks that check themselves are not noted.
 */
#include "translator/counts.h"
#include "translator/tu.h"

enum { THUNK_BYTES = 4 }; /* mov r32, [esp]; ret */

/* The register that a thunk loads, plus one; 0: it is none. */
static unsigned thunk_in(const uint8_t *code)
{
	unsigned reg = code[1] >> 3 & 7;

	return code[0] == 0x8b && (code[1] & 0xc7) == 0x04 && code[2] == 0x24 && code[3] == 0xc3 && reg != H_RSP ? reg + 1 : 0;
}

static bool possible(const struct tu *u)
{
	return !u->selfcheck && !u->tc->config.lockstep && !counts_on(u->tc) && xl_stack_flat(u);
}

unsigned thunk_called(const struct tu *u, const struct tinsn *t)
{
	uint32_t target = t->next + (uint32_t)t->z.raw.imm[0].value.s;
	uint8_t code[THUNK_BYTES];

	/* one that spans pages is never noted, and at the end of the address space would look like IBTC_NO_THUNK */
	if (t->action != ACT_CALL || t->z.opcode != 0xe8 || tinsn_op16(t) || t->form == FORM_CALLOUT || !possible(u) ||
	    (target & PAGE_MASK) > PAGE_SIZE - THUNK_BYTES || mmu_peek(u->tc->mmu, gva(target), code, sizeof(code)) != sizeof(code))
		return 0;
	return thunk_in(code);
}

unsigned thunk_unit(const struct tu *u)
{
	const struct tinsn *t = u->insn;

	if (u->n != 2 || u->end - u->lin != THUNK_BYTES || u->gpa2 != ~0ull || !possible(u) ||
	    t[0].form == FORM_CALLOUT || t[1].form == FORM_CALLOUT)
		return 0;
	return thunk_in(t[0].bytes);
}

void thunk_call(struct tu *u, const struct tinsn *t, uint32_t target)
{
	size_t same;

	emit_mov64(&u->e, H_R9, H_RCX);
	emit_load32(&u->e, H_RCX, (struct xmem){H_IBTC, H_NONE, 1, false, ibtc_thunk_at(t->thunk, target)});
	emit_rm_disp32(&u->e, 0x8d, H_RCX, H_RCX, target);
	move_mark(u, MOVE_ADD);
	same = emit_jrcxz(&u->e);
	emit_mov64(&u->e, H_RCX, H_R9);
	emit_lea32(&u->e, H_RSP, guest_mem(H_RSP, -4));
	xl_exit(u, CC_ALWAYS, target);
	emit_patch8(&u->e, same, u->e.len);
	emit_mov64(&u->e, H_RCX, H_R9);
	emit_imm32(&u->e, t->thunk - 1u, t->next);
	move_mark(u, MOVE_ADD);
}
