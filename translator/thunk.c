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
 * So the call looks whether the present branch table has a CCF for the thunk's address that is such a thunk:
 *
 *   mov  gs:[esp - 4], return address      as any call
 *   mov  r8, [r13 + slot]                  an indirect entry, or tc_stub_miss
 *   mov  r10d, [r8 + 6]                    minus the address of that CCF, as its entry subtracts it
 *   mov  r11d, [r8 + 10]                   how its entry goes on, which is different for thunks
 *   lea  r10d, [r10 + thunk]
 *   lea  r11d, [r11 - THUNK_MARK]
 *   mov  r9, rcx
 *   lea  rcx, [r10 + r11*8]                zero only if both are
 *   jrcxz same
 *   mov  rcx, r9
 *   lea  esp, [rsp - 4]
 *   jmp  thunk                             an exit
 *   same:
 *   mov  rcx, r9
 *   mov  ebx, return address
 *
 * and goes on behind the call. A CCF in a branch table is live and of that space and mode; one that checks itself is not marked.
 */
#include "translator/counts.h"
#include "translator/tu.h"

enum {
	THUNK_BYTES = 4, /* mov r32, [esp]; ret */
	ENTRY_MINUS_LIN = 6, /* in an indirect entry: what the LEA subtracts, then JRCXZ and what it skips */
	ENTRY_JRCXZ = 10,
	SKIPPED = 7, /* by any entry; thunks' have NOPs besides, which tell the register */
};

/* The register that a thunk loads, plus one; 0: it is none. */
static unsigned thunk_in(const uint8_t *code)
{
	unsigned reg = code[1] >> 3 & 7;

	return code[0] == 0x8b && (code[1] & 0xc7) == 0x04 && code[2] == 0x24 && code[3] == 0xc3 && reg != H_RSP ? reg + 1 : 0;
}

static unsigned nops(unsigned thunk)
{
	return thunk + 1; /* two at least: THUNK_MARK covers two bytes of them */
}

/* JRCXZ over the rest and the NOPs; two NOPs. */
static uint32_t thunk_mark(unsigned thunk)
{
	return 0xe3 | (SKIPPED + nops(thunk)) << 8 | 0x90900000u;
}

static bool possible(const struct tu *u)
{
	return !u->selfcheck && !u->tc->config.lockstep && !counts_on(u->tc) && xl_stack_flat(u);
}

unsigned thunk_called(const struct tu *u, const struct tinsn *t)
{
	uint32_t target = t->next + (uint32_t)t->z.raw.imm[0].value.s;
	uint8_t code[THUNK_BYTES];

	if (t->action != ACT_CALL || t->z.opcode != 0xe8 || tinsn_op16(t) || t->form == FORM_CALLOUT || !possible(u) ||
	    mmu_peek(u->tc->mmu, gva(target), code, sizeof(code)) != sizeof(code))
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

void thunk_mark_entry(struct tu *u)
{
	for (unsigned i = 0; u->thunk && i < nops(u->thunk); i++)
		emit_u8(&u->e, 0x90);
}

void thunk_call(struct tu *u, const struct tinsn *t, uint32_t target)
{
	size_t same;

	emit_rm_disp32(&u->e, 0x8b | X_W, H_R8, H_IBTC, (target & 0xffff) * 8);
	move_mark(u, MOVE_SLOT);
	emit_load32(&u->e, H_R10, (struct xmem){H_R8, H_NONE, 1, false, ENTRY_MINUS_LIN});
	emit_load32(&u->e, H_R11, (struct xmem){H_R8, H_NONE, 1, false, ENTRY_JRCXZ});
	emit_rm_disp32(&u->e, 0x8d, H_R10, H_R10, target);
	move_mark(u, MOVE_ADD);
	emit_rm_disp32(&u->e, 0x8d, H_R11, H_R11, 0u - thunk_mark(t->thunk));
	emit_mov64(&u->e, H_R9, H_RCX);
	emit_lea64(&u->e, H_RCX, (struct xmem){H_R10, H_R11, 8, false, 0});
	same = emit_jrcxz(&u->e);
	emit_mov64(&u->e, H_RCX, H_R9);
	emit_lea32(&u->e, H_RSP, guest_mem(H_RSP, -4));
	xl_exit(u, CC_ALWAYS, target);
	emit_patch8(&u->e, same, u->e.len);
	emit_mov64(&u->e, H_RCX, H_R9);
	emit_imm32(&u->e, t->thunk - 1u, t->next);
	move_mark(u, MOVE_ADD);
}
