/*
 * Immediates as data, for code whose immediates keep being rewritten.
 *
 * Code that is written to as often as it runs ends on self-checking pages (smc.c): each unit compares its source before it runs, and is
 * translated anew when that has changed. Programs that make code mostly rewrite numbers in it: constants, the targets of calls. When all
 * that has changed of a unit lies in 32-bit immediates, its next translation has those instructions load their immediates from
 * the guest's memory, and compares the other bytes by itself, without a callout:
 *
 *   guest  05 imm32     add eax, imm32
 *          c3           ret
 *
 *   host   mov   r8, source
 *          movzx r10d, byte [r8]
 *          lea   r11d, [r10 - 0x05]
 *          mov   r8, source
 *          movzx r10d, byte [r8 + 5]
 *          lea   r10d, [r10 - 0xc3]
 *          lea   r11, [r11 + r10]       64 bits: zero only if all of them are
 *          mov   r9, rcx
 *          lea   rcx, [r10 + r11*8]
 *          jrcxz same
 *          mov   rcx, r9
 *          (callout_check)
 *   same:  mov   rcx, r9
 *          mov   r8, source
 *          mov   r11d, [r8 + 1]
 *          add   eax, r11d
 *          ...
 *
 * `source` is where the monitor has the page: CCFs belong to guest-physical pages, and guest memory stays where it is in the
 * monitor. Units on self-checking pages end at the first instruction that may write, so what was compared is what runs. Other code
 * checks of such a unit are not counted (smc_selfchecked): that is for pages whose code has not changed for long.
 */
#include "translator/tu.h"

#include <string.h>

enum { IMMEDIATE = 4 };

/* ---------------------------------- which instructions ---------------------------------- */

/*
 * The opcode of `op r/m32, r32` that does what the instruction does with its immediate in a register (of MOV r32, imm32 too); 0: there
 * is none.
 */
static uint8_t register_form(const ZydisDecodedInstruction *z)
{
	uint8_t op = z->opcode;

	if ((op & 0xc7) == 0x05)
		return (op & 0x38) | 1; /* ADD to CMP, EAX */
	if (op == 0x81)
		return (uint8_t)(z->raw.modrm.reg << 3 | 1);
	if (z->mnemonic == ZYDIS_MNEMONIC_TEST && (op == 0xa9 || op == 0xf7))
		return 0x85;
	if (z->mnemonic == ZYDIS_MNEMONIC_MOV && ((op & 0xf8) == 0xb8 || op == 0xc7))
		return 0x89;
	return 0;
}

/* Near, with a 32-bit displacement. */
static bool is_branch(const struct tinsn *t)
{
	return t->z.opcode == 0xe8 || t->z.opcode == 0xe9;
}

bool vary_possible(const struct tinsn *t)
{
	const ZydisDecodedInstruction *z = &t->z;

	if (z->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || z->raw.prefix_count || z->raw.imm[0].size != 8 * IMMEDIATE ||
	    z->raw.imm[1].size)
		return false;
	switch (t->action) {
	case ACT_IDENT:
	case ACT_MOV:
		return register_form(z);
	case ACT_PUSH:
		return z->opcode == 0x68;
	case ACT_CALL:
	case ACT_JMP:
		return is_branch(t);
	default:
		return false;
	}
}

/* Is a number all that has changed of the instruction? */
static bool number_changed(const uint8_t *old, const uint8_t *now, unsigned len, uint32_t eip)
{
	uint8_t bytes[16] = {0}; /* as many as decode_recall wants */
	struct tinsn t;
	unsigned imm, rest;

	if (*old != *now)
		return false;
	memcpy(bytes, old, len);
	if (!decode(&t, bytes, sizeof(bytes), eip) || t.z.length != len || !vary_possible(&t))
		return false;
	imm = t.z.raw.imm[0].offset;
	rest = imm + IMMEDIATE;
	return !memcmp(old, now, imm) && !memcmp(old + rest, now + rest, len - rest);
}

void vary_learn(struct tc *tc, const struct ccf *c)
{
	const struct ccf_insn *map = ccf_map(tc, c);
	const uint8_t *old = ccf_source(tc, c), *now = physmap_host(tc->pm, gpa(c->gpa), c->guest_len);
	uint64_t insns = 0;

	tc->vary.insns = 0;
	if (!now || (c->flags & CCF_CROSSING))
		return;
	for (unsigned i = 0, at = 0; i < c->insns; at += map[i++].guest) {
		bool changed = memcmp(old + at, now + at, map[i].guest);

		if (changed && !number_changed(old + at, now + at, map[i].guest, c->lin + at))
			return;
		if (changed || (map[i].flags & INSN_VARIES))
			insns |= 1ull << i;
	}
	tc->vary.insns = insns;
	tc->vary.gpa = c->gpa;
	tc->vary.lin = c->lin;
	tc->vary.mode = c->mode;
}

/* ---------------------------------- the comparison ---------------------------------- */

/* Offset in the unit. */
static unsigned immediate_at(const struct tu *u, const struct tinsn *t)
{
	return t->eip - u->lin + t->z.raw.imm[0].offset;
}

/* opcode reg, [source + off]; changes R8 */
static void load_source(struct tu *u, uint32_t op, unsigned reg, unsigned off)
{
	uint64_t source = (uintptr_t)u->source;

	emit_u16(&u->e, 0xb849); /* mov r8, imm64 */
	emit_u32(&u->e, (uint32_t)source);
	emit_u32(&u->e, (uint32_t)(source >> 32));
	emit_rm(&u->e, op, reg, (struct xmem){H_R8, H_NONE, 1, false, (int32_t)off});
}

/* Add the difference of `size` bytes to R11, and leave it in R10; the first piece sets R11. */
static void compare_piece(struct tu *u, unsigned off, unsigned size, bool first)
{
	static const uint32_t load[] = {[1] = 0xb6 | X_0F, [2] = 0xb7 | X_0F, [4] = 0x8b};
	uint32_t now = 0;

	memcpy(&now, (const uint8_t *)u->source + off, size);
	load_source(u, load[size], H_R10, off);
	emit_lea32(&u->e, H_R10, (struct xmem){H_R10, H_NONE, 1, false, (int32_t)-now});
	if (first)
		emit_mov32(&u->e, H_R11, H_R10);
	else
		emit_lea64(&u->e, H_R11, (struct xmem){H_R11, H_R10, 1, false, 0});
}

static void compare_range(struct tu *u, unsigned from, unsigned to, bool *first)
{
	for (unsigned size; from < to; from += size, *first = false) {
		size = to - from >= 4 ? 4 : to - from >= 2 ? 2 : 1;
		compare_piece(u, from, size, *first);
	}
}

void xl_vary_check(struct tu *u)
{
	struct emit *e = &u->e;
	unsigned from = 0;
	bool first = true;
	size_t same, back;

	for (const struct tinsn *t = u->insn; t < u->insn + u->n; t++) {
		if (!t->varies)
			continue;
		compare_range(u, from, immediate_at(u, t), &first);
		from = immediate_at(u, t) + IMMEDIATE;
	}
	compare_range(u, from, u->end - u->lin, &first);
	emit_mov64(e, H_R9, H_RCX);
	emit_lea64(e, H_RCX, (struct xmem){H_R10, H_R11, 8, false, 0});
	same = emit_jrcxz(e);
	emit_mov64(e, H_RCX, H_R9);
	back = xl_callout(u, u->lin, u->id, TCX_STUB_CHECK);
	emit_patch8(e, same, e->len);
	emit_mov64(e, H_RCX, H_R9);
	emit_patch32(e, back, e->len);
}

/* ---------------------------------- the instructions ---------------------------------- */

/* Where a PUSH or CALL stores, with the number kept in R11. It is read first: the stack may lie over it. */
static bool stack_top(struct tu *u, const struct tinsn *t, struct xmem *top)
{
	if (t->form == FORM_LOOKUP)
		xl_put_aside(u, H_R11);
	if (!xl_stack_flat(u) || !xl_stack_mem(u, t, H_RSP, -4, 4, true, top))
		return false;
	if (t->form == FORM_LOOKUP)
		xl_take_back(u, H_R11);
	return true;
}

static bool push(struct tu *u, const struct tinsn *t)
{
	struct xmem top;

	load_source(u, 0x8b, H_R11, immediate_at(u, t));
	if (!stack_top(u, t, &top))
		return false;
	emit_store32(&u->e, top, H_R11);
	emit_lea32(&u->e, H_RSP, guest_mem(H_RSP, -4));
	return true;
}

static bool branch(struct tu *u, const struct tinsn *t)
{
	struct xmem top;

	load_source(u, 0x8b, H_R11, immediate_at(u, t));
	if (t->action == ACT_CALL) {
		if (!stack_top(u, t, &top))
			return false;
		emit_store32_imm(&u->e, top, t->next);
		emit_lea32(&u->e, H_RSP, guest_mem(H_RSP, -4));
	}
	emit_lea32(&u->e, H_R8, (struct xmem){H_R11, H_NONE, 1, false, (int32_t)t->next});
	xl_exit_indirect(u);
	return true;
}

/* With its immediate in R11. */
static void with_registers(struct tu *u, const struct tinsn *t)
{
	const ZydisDecodedInstruction *z = &t->z;
	unsigned rm = H_RAX;

	if (z->attributes & ZYDIS_ATTRIB_HAS_MODRM)
		rm = z->raw.modrm.rm;
	else if ((z->opcode & 0xf8) == 0xb8)
		rm = z->opcode & 7;
	emit_rr(&u->e, register_form(z), H_R11, rm);
}

static bool with_memory(struct tu *u, const struct tinsn *t)
{
	struct xmem m;

	if (t->form == FORM_LOOKUP)
		xl_put_aside(u, H_R11);
	if (!xl_mem(u, t, &m))
		return false;
	if (t->form == FORM_LOOKUP)
		xl_take_back(u, H_R11);
	emit_rm(&u->e, register_form(&t->z), H_R11, m);
	return true;
}

bool xl_varying(struct tu *u, const struct tinsn *t)
{
	if (t->action == ACT_PUSH)
		return push(u, t);
	if (is_branch(t))
		return branch(u, t);
	load_source(u, 0x8b, H_R11, immediate_at(u, t));
	if (t->has_mem)
		return with_memory(u, t);
	with_registers(u, t);
	return true;
}
