/*
 * Control flow. A direct branch becomes an exit: a jump that first goes to the exit's stub, and once chained to
 * the target's CCF. Indirect branches look the target up in the indirect-branch table
 * (ibtc.c) without touching flags:
 *
 *   movzx r9d, r8w            low half of the target is the index
 *   jmp   [r13 + r9*8]        to some CCF's indirect entry ...
 *
 *   mov   r9, rcx             ... which makes sure it is the one that was meant
 *   lea   ecx, [r8 - EIP]
 *   jrcxz ok
 *   mov   rcx, r9
 *   jmp   [r14 + miss]
 * ok:
 *   mov   rcx, r9
 *
 * A branch that is taken each time takes room in the host's predictors. Where LOOP costs what other branches do, it is not:
 *
 * no:
 *   mov   rcx, r9
 *   jmp   [r14 + miss]
 *   mov   r9, rcx             the indirect entry
 *   lea   ecx, [r8 - EIP + 1]
 *   loop  no
 *   mov   rcx, r9
 */
#include "translator/tu.h"

#include <cpuid.h>
#include <string.h>

/* mov reg, an address of the guest's code */
static void emit_address(struct tu *u, unsigned reg, uint32_t address)
{
	emit_imm32(&u->e, reg, address);
	move_mark(u, MOVE_ADD);
}

/* One operation on processors of the Zen family, seven and more on Intel's. */
bool xl_loop_cheap(void)
{
	unsigned a, b, c, d;
	char vendor[12];

	if (!__get_cpuid(0, &a, &b, &c, &d))
		return false;
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &d, 4);
	memcpy(vendor + 8, &c, 4);
	if (memcmp(vendor, "AuthenticAMD", 12) && memcmp(vendor, "HygonGenuine", 12))
		return false;
	return __get_cpuid(1, &a, &b, &c, &d) && (a >> 8 & 0xf) + (a >> 20 & 0xff) >= 0x17;
}

static void emit_other(struct tu *u)
{
	emit_mov64(&u->e, H_RCX, H_R9);
	emit_jmp_mem(&u->e, tcx_mem(TCX_STUB_MISS));
}

/* ECX: zero when it is the one that is meant, plus `one`. */
static void emit_compare(struct tu *u, uint32_t one)
{
	emit_mov64(&u->e, H_R9, H_RCX);
	emit_rm_disp32(&u->e, 0x8d, H_RCX, H_R8, one - u->lin);
	move_mark(u, MOVE_SUBTRACT);
}

static void prologue_loop(struct tu *u)
{
	emit_other(u);
	u->island = (uint8_t)u->e.len;
	emit_compare(u, 1);
	emit_patch8(&u->e, emit_loop(&u->e), 0);
}

static void prologue_jrcxz(struct tu *u)
{
	size_t ok;

	u->island = 0;
	emit_compare(u, 0);
	ok = emit_jrcxz(&u->e);
	emit_other(u);
	emit_patch8(&u->e, ok, u->e.len);
}

void xl_prologue(struct tu *u)
{
	if (u->tc->loop_cheap)
		prologue_loop(u);
	else
		prologue_jrcxz(u);
	emit_mov64(&u->e, H_RCX, H_R9);
	u->entry = (uint8_t)u->e.len;
}

/*
 * User code is shared between address spaces by physical page, so a direct branch to another linear page may lead to
 * different code in each: such branches always go by the table of the current space ("alt"), at once if they can.
 */
static bool by_table(const struct tu *u, uint32_t target)
{
	return (u->mode & MODE_USER) && (target ^ u->lin) >> PAGE_SHIFT;
}

static void emit_alt(struct tu *u, struct ccf_exit *x)
{
	uint32_t target = u->lin + x->ahead;

	x->alt = (uint16_t)u->e.len;
	emit_address(u, H_R8, target);
	emit_rm_disp32(&u->e, 0xff, 4, H_IBTC, (target & 0xffff) * 8);
	move_mark(u, MOVE_SLOT);
}

void xl_exit(struct tu *u, unsigned cc, uint32_t target)
{
	struct ccf_exit *x = &u->exit[u->exits++];

	x->ahead = target - u->lin;
	if (cc == CC_ALWAYS && by_table(u, target))
		emit_alt(u, x);
	else
		x->patch = (uint16_t)(cc == CC_ALWAYS ? emit_jmp32(&u->e) : emit_jcc32(&u->e, cc));
}

static void emit_stub(struct tu *u, struct ccf_exit *x)
{
	x->stub = (uint16_t)u->e.len;
	emit_imm32(&u->e, H_R9, exit_id(u->id, (unsigned)(x - u->exit)));
	emit_jmp_mem(&u->e, tcx_mem(TCX_STUB_EXIT));
}

void xl_exit_stubs(struct tu *u)
{
	for (struct ccf_exit *x = u->exit; x < u->exit + u->exits; x++) {
		if (!x->patch)
			continue;
		emit_patch32(&u->e, x->patch, u->e.len);
		if (!by_table(u, u->lin + x->ahead))
			emit_stub(u, x);
		if (u->mode & MODE_USER)
			emit_alt(u, x);
	}
}

void xl_exit_indirect(struct tu *u)
{
	emit_rr(&u->e, 0xb7 | X_0F, H_R9, H_R8); /* movzx r9d, r8w */
	emit_jmp_mem(&u->e, (struct xmem){H_IBTC, H_R9, 8, false, 0});
}

static bool near32(const struct tinsn *t)
{
	return !tinsn_op16(t) && t->z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
}

/* A target in memory is loaded first: both accesses may fault, ESP moves after them. */
bool xl_call(struct tu *u, const struct tinsn *t)
{
	struct xmem m, top;
	unsigned target = t->z.raw.modrm.rm;

	if (!near32(t) || !xl_stack_flat(u))
		return false;
	if (t->has_mem) {
		if (!xl_mem(u, t, &m))
			return false;
		emit_load32(&u->e, target = H_R8, m);
		if (t->form == FORM_LOOKUP)
			xl_put_aside(u, H_R8);
	}
	if (!xl_stack_mem(u, t, H_RSP, -4, 4, true, &top))
		return false;
	emit_store32_imm(&u->e, top, t->next);
	move_mark(u, MOVE_ADD);
	if (t->thunk) {
		emit_address(u, t->thunk - 1u, t->next);
		if (u->done + 1 == u->n) {
			esp_settle(u);
			xl_exit(u, CC_ALWAYS, t->next);
		}
		return true;
	}
	if (t->has_mem && t->form == FORM_LOOKUP)
		xl_take_back(u, H_R8);
	if (t->z.opcode != 0xff) {
		u->pending -= 4;
		esp_settle(u);
		xl_exit(u, CC_ALWAYS, tinsn_target(t));
		return true;
	}
	if (target != H_R8)
		emit_mov32(&u->e, H_R8, target);
	u->pending -= 4;
	esp_settle(u);
	xl_exit_indirect(u);
	return true;
}

bool xl_jmp(struct tu *u, const struct tinsn *t)
{
	struct xmem m;

	if (!near32(t))
		return false;
	if (t->z.opcode != 0xff) {
		xl_exit(u, CC_ALWAYS, tinsn_target(t));
		return true;
	}
	if (t->has_mem) {
		if (!xl_mem(u, t, &m))
			return false;
		emit_load32(&u->e, H_R8, m);
	} else {
		emit_mov32(&u->e, H_R8, t->z.raw.modrm.rm);
	}
	xl_exit_indirect(u);
	return true;
}

bool xl_ret(struct tu *u, const struct tinsn *t)
{
	int32_t release = t->z.opcode == 0xc2 ? (int32_t)(t->z.raw.imm[0].value.u & 0xffff) : 0;

	struct xmem top;

	if (!near32(t) || !xl_stack_flat(u) || !xl_stack_mem(u, t, H_RSP, 0, 4, false, &top))
		return false;
	emit_load32(&u->e, H_R8, top);
	u->pending += 4 + release;
	esp_settle(u);
	xl_exit_indirect(u);
	return true;
}

bool xl_jcc(struct tu *u, const struct tinsn *t)
{
	if (!near32(t))
		return false;
	xl_exit(u, t->z.opcode & 15, tinsn_target(t));
	if (u->done + 1 == u->n)
		xl_exit(u, CC_ALWAYS, t->next);
	return true;
}

/* LOOPcc and JECXZ reach only 127 bytes: hop over the jump that is not taken. */
bool xl_loop(struct tu *u, const struct tinsn *t)
{
	size_t taken;

	if (!near32(t) || t->z.address_width != 32)
		return false;
	emit_u8(&u->e, 0x67); /* count in ECX */
	emit_u8(&u->e, t->z.opcode);
	emit_u8(&u->e, 0);
	taken = u->e.len - 1;
	xl_exit(u, CC_ALWAYS, t->next);
	emit_patch8(&u->e, taken, u->e.len);
	xl_exit(u, CC_ALWAYS, tinsn_target(t));
	return true;
}

void xl_leave_tc(struct tu *u, uint32_t eip)
{
	emit_address(u, H_R8, eip);
	emit_jmp_mem(&u->e, tcx_mem(TCX_STUB_LEAVE));
}

size_t xl_callout(struct tu *u, uint32_t eip, uint32_t arg, int32_t stub)
{
	size_t back;

	emit_address(u, H_R8, eip);
	back = emit_lea_rip(&u->e, H_R9);
	emit_imm32(&u->e, H_R10, arg);
	if (stub != TCX_STUB_CHECK)
		move_mark(u, MOVE_ADD);
	emit_jmp_mem(&u->e, tcx_mem(stub));
	return back;
}

size_t xl_interpret(struct tu *u, const struct tinsn *t)
{
	return xl_callout(u, t->eip, t->next, TCX_STUB_INTERP);
}
