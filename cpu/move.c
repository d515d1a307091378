/*
 * Data movement without arithmetic: MOV and its relatives, exchanges, LEA,
 * conditional moves, sign extension, and instructions that do nothing.
 */
#include "cpu/ops.h"

/* One mnemonic, four instructions: the operand kinds tell them apart. */
enum outcome op_mov_any(struct cpu *cpu, const struct insn *insn)
{
	uint32_t v;

	for (unsigned i = 0; i < 2; i++) {
		if (insn->op[i].kind == OP_SEG)
			return op_mov_sreg(cpu, insn);
		if (insn->op[i].kind == OP_CR)
			return op_mov_cr(cpu, insn);
		if (insn->op[i].kind == OP_DR)
			return op_mov_dr(cpu, insn);
	}
	enum outcome out = op_read(cpu, insn, 1, &v);
	return out == OUT_OK ? op_write(cpu, insn, 0, v) : out;
}

enum outcome op_movnti(struct cpu *cpu, const struct insn *insn)
{
	uint32_t v;
	enum outcome out = op_read(cpu, insn, 1, &v);

	return out == OUT_OK ? op_write(cpu, insn, 0, v) : out;
}

enum outcome op_movzx(struct cpu *cpu, const struct insn *insn)
{
	uint32_t v;
	enum outcome out = op_read(cpu, insn, 1, &v);

	return out == OUT_OK ? op_write(cpu, insn, 0, v) : out;
}

enum outcome op_movsx(struct cpu *cpu, const struct insn *insn)
{
	uint32_t v;
	enum outcome out = op_read(cpu, insn, 1, &v);

	if (out != OUT_OK)
		return out;
	v = insn->op[1].size == 1 ? (uint32_t)(int8_t)v : (uint32_t)(int16_t)v;
	return op_write(cpu, insn, 0, v);
}

enum outcome op_xchg(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *d = &insn->op[0], *s = &insn->op[1];
	uint32_t a, b;

	enum outcome out = op_read_rmw(cpu, insn, 0, &a);
	if (out != OUT_OK)
		return out;
	b = reg_get(cpu, s->reg, s->size);
	out = op_write(cpu, insn, 0, b);
	if (out != OUT_OK)
		return out;
	/* For two registers the order does not matter: each gets the other's old value. */
	reg_set(cpu, s->reg, d->size, a);
	return OUT_OK;
}

enum outcome op_lea(struct cpu *cpu, const struct insn *insn)
{
	reg_set(cpu, insn->op[0].reg, insn->op[0].size, insn_ea(cpu, insn, &insn->op[1]));
	return OUT_OK;
}

enum outcome op_xlat(struct cpu *cpu, const struct insn *insn)
{
	uint32_t ea = (uint32_t)cpu->gpr[R_EBX] + (uint8_t)cpu->gpr[R_EAX];
	unsigned seg = insn->seg == NO_SEGMENT ? S_DS : insn->seg;
	uint8_t v;
	enum outcome out = mem_read(cpu, seg, insn->addrsize == 4 ? ea : ea & 0xffff, &v, 1);

	if (out == OUT_OK)
		reg_set(cpu, 0, 1, v);
	return out;
}

/* SDM: "EFLAGS Condition Codes". */
bool condition_met(const struct cpu *cpu, unsigned cc)
{
	uint32_t f = cpu->eflags;
	bool less = !(f & FL_SF) != !(f & FL_OF);
	bool met;

	switch (cc >> 1 & 7) {
	case 0:
		met = f & FL_OF;
		break;
	case 1:
		met = f & FL_CF;
		break;
	case 2:
		met = f & FL_ZF;
		break;
	case 3:
		met = f & (FL_CF | FL_ZF);
		break;
	case 4:
		met = f & FL_SF;
		break;
	case 5:
		met = f & FL_PF;
		break;
	case 6:
		met = less;
		break;
	default:
		met = less || (f & FL_ZF);
		break;
	}
	return met != (cc & 1);
}

/* The source is read, and may fault, whatever the condition. */
enum outcome op_cmovcc(struct cpu *cpu, const struct insn *insn)
{
	uint32_t v;
	enum outcome out = op_read(cpu, insn, 1, &v);

	if (out == OUT_OK && condition_met(cpu, insn->opcode))
		out = op_write(cpu, insn, 0, v);
	return out;
}

enum outcome op_setcc(struct cpu *cpu, const struct insn *insn)
{
	return op_write(cpu, insn, 0, condition_met(cpu, insn->opcode));
}

enum outcome op_cbw(struct cpu *cpu, const struct insn *insn)
{
	reg_set(cpu, R_EAX, 2, (uint32_t)(int8_t)cpu->gpr[R_EAX]);
	return OUT_OK;
}

enum outcome op_cwde(struct cpu *cpu, const struct insn *insn)
{
	reg_set(cpu, R_EAX, 4, (uint32_t)(int16_t)cpu->gpr[R_EAX]);
	return OUT_OK;
}

enum outcome op_cwd(struct cpu *cpu, const struct insn *insn)
{
	reg_set(cpu, R_EDX, 2, cpu->gpr[R_EAX] & 0x8000 ? 0xffff : 0);
	return OUT_OK;
}

enum outcome op_cdq(struct cpu *cpu, const struct insn *insn)
{
	reg_set(cpu, R_EDX, 4, cpu->gpr[R_EAX] & 0x80000000 ? 0xffffffff : 0);
	return OUT_OK;
}

enum outcome op_salc(struct cpu *cpu, const struct insn *insn)
{
	reg_set(cpu, 0, 1, cpu->eflags & FL_CF ? 0xff : 0);
	return OUT_OK;
}

enum outcome op_nop(struct cpu *cpu, const struct insn *insn)
{
	return OUT_OK;
}

/* Caches are coherent here; what is left of a flush is its permission check. */
enum outcome op_clflush(struct cpu *cpu, const struct insn *insn)
{
	uint8_t byte;

	return mem_read(cpu, insn->op[0].seg, insn_ea(cpu, insn, &insn->op[0]), &byte, 1);
}

enum outcome op_ud(struct cpu *cpu, const struct insn *insn)
{
	return cpu_raise(cpu, EXC_UD);
}
