/*
 * Stack instructions. PUSH and POP are 64 bits wide in long mode and would use the
 * host's idea of a stack segment, so each becomes a window access and, perhaps for several together (esp.c), a LEA, which keeps
 * flags. Always in this order: the access that may fault first, ESP last.
 */
#include "translator/lean.h"
#include "translator/tu.h"

static void adjust_esp(struct tu *u, int32_t by)
{
	u->pending += by; /* esp.c */
}

static unsigned stack_size(const struct tinsn *t)
{
	return tinsn_op16(t) ? 2 : 4;
}

static bool push_reg(struct tu *u, const struct tinsn *t, unsigned reg, unsigned size)
{
	struct xmem top;

	if (!xl_stack_mem(u, t, H_RSP, -(int32_t)size, size, true, &top))
		return false;
	if (size == 2)
		emit_store16(&u->e, top, reg);
	else
		emit_store32(&u->e, top, reg);
	adjust_esp(u, -(int32_t)size);
	return true;
}

static int segment_of_push(const struct tinsn *t)
{
	if (t->z.opcode_map == ZYDIS_OPCODE_MAP_0F)
		return t->z.opcode < 0xa8 ? S_FS : S_GS;
	return t->z.opcode >> 3; /* 06 ES, 0E CS, 16 SS, 1E DS */
}

static bool push_segment(struct tu *u, const struct tinsn *t)
{
	int seg = segment_of_push(t);

	if (tinsn_op16(t))
		return false;
	if (t->form == FORM_LOOKUP)
		return xl_lean(u, t, LEAN_WORD(LEAN_PUSH_SEG, seg, 0));
	emit_load16zx(&u->e, H_R8, cpu_mem(CPU_SEG + seg * CPU_SEG_SIZE + CPU_SEG_SEL));
	return push_reg(u, t, H_R8, 4);
}

static bool push_imm(struct tu *u, const struct tinsn *t)
{
	int32_t imm = (int32_t)t->z.raw.imm[0].value.s;
	struct xmem top;

	if (tinsn_op16(t) || !xl_stack_mem(u, t, H_RSP, -4, 4, true, &top))
		return false;
	emit_store32_imm(&u->e, top, (uint32_t)imm);
	adjust_esp(u, -4);
	return true;
}

static bool push_mem(struct tu *u, const struct tinsn *t)
{
	struct xmem m;

	if (tinsn_op16(t) || !xl_mem(u, t, &m))
		return false;
	emit_load32(&u->e, H_R10, m);
	if (t->form != FORM_LOOKUP)
		return push_reg(u, t, H_R10, 4);
	xl_put_aside(u, H_R10);
	if (!xl_stack_mem(u, t, H_RSP, -4, 4, true, &m))
		return false;
	xl_take_back(u, H_R11);
	emit_store32(&u->e, m, H_R11);
	adjust_esp(u, -4);
	return true;
}

bool xl_push(struct tu *u, const struct tinsn *t)
{
	uint8_t op = t->z.opcode;

	if (!xl_stack_flat(u))
		return false;
	if (t->z.opcode_map == ZYDIS_OPCODE_MAP_0F || op < 0x40)
		return push_segment(u, t);
	if (op == 0x68 || op == 0x6a)
		return push_imm(u, t);
	if (t->has_mem)
		return push_mem(u, t);
	return push_reg(u, t, op == 0xff ? t->z.raw.modrm.rm : op & 7, stack_size(t));
}

static bool pop_mem_by_lookup(struct tu *u, const struct tinsn *t)
{
	struct xmem m;

	if (!xl_stack_mem(u, t, H_RSP, 0, 4, false, &m))
		return false;
	emit_load32(&u->e, H_R11, m);
	xl_put_aside(u, H_R11);
	if (!xl_mem(u, t, &m))
		return false;
	xl_take_back(u, H_R11);
	emit_store32(&u->e, m, H_R11);
	adjust_esp(u, 4);
	return true;
}

/* SDM, POP: an ESP-based destination is computed after ESP has moved. */
static bool pop_mem(struct tu *u, const struct tinsn *t)
{
	struct tinsn moved = *t;
	struct xmem m;

	if (t->mem.base == H_RSP)
		moved.mem.disp = (int32_t)((uint32_t)moved.mem.disp + 4);
	if (tinsn_op16(t))
		return false;
	if (t->form == FORM_LOOKUP)
		return pop_mem_by_lookup(u, &moved);
	if (!xl_mem(u, &moved, &m))
		return false;
	emit_load32(&u->e, H_R10, guest_mem(H_RSP, 0));
	emit_store32(&u->e, m, H_R10);
	adjust_esp(u, 4);
	return true;
}

static bool pop_reg(struct tu *u, const struct tinsn *t, unsigned reg)
{
	unsigned size = stack_size(t);
	struct xmem top;

	if (!xl_stack_mem(u, t, H_RSP, 0, size, false, &top))
		return false;
	emit_rm(&u->e, size == 2 ? 0x8b | X_66 : 0x8b, reg, top);
	if (reg != H_RSP)
		adjust_esp(u, (int32_t)size);
	return true;
}

bool xl_pop(struct tu *u, const struct tinsn *t)
{
	uint8_t op = t->z.opcode;

	if (!xl_stack_flat(u))
		return false;
	if (t->z.opcode_map == ZYDIS_OPCODE_MAP_0F || op < 0x40)
		return xl_pop_segment(u, t);
	if (t->has_mem)
		return pop_mem(u, t);
	return pop_reg(u, t, op == 0x8f ? t->z.raw.modrm.rm : op & 7);
}

bool xl_pusha(struct tu *u, const struct tinsn *t)
{
	if (!xl_stack_flat(u) || t->form == FORM_LOOKUP)
		return false;
	/* lowest first: whichever page is missing, nothing above it has been overwritten twice */
	for (int reg = H_RDI; reg >= H_RAX; reg--)
		emit_store32(&u->e, guest_mem(H_RSP, -32 + 4 * (H_RDI - reg)), (unsigned)reg);
	adjust_esp(u, -32);
	return true;
}

bool xl_popa(struct tu *u, const struct tinsn *t)
{
	if (!xl_stack_flat(u) || t->form == FORM_LOOKUP)
		return false;
	/* touch the far end first, so that no register changes before the last possible fault */
	emit_load32(&u->e, H_R8, guest_mem(H_RSP, 28));
	for (int reg = H_RDI; reg >= H_RAX; reg--)
		if (reg != H_RSP)
			emit_load32(&u->e, (unsigned)reg, guest_mem(H_RSP, 4 * (H_RDI - reg)));
	adjust_esp(u, 32);
	return true;
}

bool xl_leave(struct tu *u, const struct tinsn *t)
{
	struct xmem top;

	if (!xl_stack_flat(u) || tinsn_op16(t) || !xl_stack_mem(u, t, H_RBP, 0, 4, false, &top))
		return false;
	emit_load32(&u->e, H_R8, top);
	emit_lea32(&u->e, H_RSP, guest_mem(H_RBP, 4));
	emit_mov32(&u->e, H_RBP, H_R8);
	return true;
}

/*
 * PUSHFD: the host's RFLAGS has the arithmetic flags, DF, IF = 1 and bit 1; struct cpu has the rest with those bits zero. LEA adds
 * the two without touching a flag; -0x200 takes the host's IF away.
 */
bool xl_pushf(struct tu *u, const struct tinsn *t)
{
	if (!xl_stack_flat(u))
		return false;
	if (t->form == FORM_LOOKUP)
		return xl_lean(u, t, LEAN_WORD(LEAN_PUSHF, 0, 0));
	emit_mov64(&u->e, H_R9, H_RSP);
	emit_load64(&u->e, H_RSP, tcx_mem(TCX_HOST_RSP));
	emit_u8(&u->e, 0x9c);       /* pushfq */
	emit_u16(&u->e, 0x5841);    /* pop r8 */
	emit_mov64(&u->e, H_RSP, H_R9);
	emit_load32(&u->e, H_R9, cpu_mem(CPU_EFLAGS));
	emit_lea32(&u->e, H_R8, (struct xmem){H_R8, H_R9, 1, false, -FL_IF});
	return push_reg(u, t, H_R8, 4);
}
