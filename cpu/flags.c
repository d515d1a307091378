/*
 * EFLAGS as a whole and bit by bit (SDM: "EFLAGS Register", PUSHF, POPF, STI).
 *
 * VME and PVI are not implemented and not advertised: in vm86 mode IOPL alone
 * decides, and VIF and VIP do not exist (they stay zero).
 */
#include "cpu/transfer.h"

void cpu_write_eflags(struct cpu *cpu, uint32_t value, uint32_t mask)
{
	mask &= FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_AC | FL_ID;
	if (cpu->cpl > 0)
		mask &= ~(uint32_t)FL_IOPL;
	if (cpu->cpl > cpu_iopl(cpu))
		mask &= ~(uint32_t)FL_IF;
	cpu->eflags = (cpu->eflags & ~mask) | (value & mask) | FL_FIXED1;
}

enum outcome op_pushf(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	uint32_t image = cpu->eflags & ~(uint32_t)(FL_RF | FL_VM);
	enum outcome o;

	if (cpu_vm86(cpu) && cpu_iopl(cpu) < 3)
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = stack_push(cpu, &c, insn->opsize, image);
	if (o == OUT_OK)
		stack_commit(cpu, &c);
	return o;
}

enum outcome op_popf(struct cpu *cpu, const struct insn *insn)
{
	uint32_t mask = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT;
	struct stack_cursor c = stack_begin(cpu);
	uint32_t value;
	enum outcome o;

	if (cpu_vm86(cpu) && cpu_iopl(cpu) < 3)
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = stack_pop(cpu, &c, insn->opsize, &value);
	if (o != OUT_OK)
		return o;
	stack_commit(cpu, &c);
	if (insn->opsize == 4)
		mask |= FL_AC | FL_ID;
	cpu_write_eflags(cpu, value, mask);
	cpu->eflags &= ~(uint32_t)FL_RF;
	return OUT_OK;
}

enum outcome op_cli(struct cpu *cpu, const struct insn *insn)
{
	if (cpu->cpl > cpu_iopl(cpu))
		return cpu_raise_error(cpu, EXC_GP, 0);
	cpu->eflags &= ~(uint32_t)FL_IF;
	return OUT_OK;
}

enum outcome op_sti(struct cpu *cpu, const struct insn *insn)
{
	if (cpu->cpl > cpu_iopl(cpu))
		return cpu_raise_error(cpu, EXC_GP, 0);
	if (!(cpu->eflags & FL_IF))
		cpu->shadow |= SHADOW_STI;
	cpu->eflags |= FL_IF;
	return OUT_OK;
}

enum { AH_FLAGS = FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF };

enum outcome op_lahf(struct cpu *cpu, const struct insn *insn)
{
	cpu->gpr[R_EAX] = (cpu->gpr[R_EAX] & 0xffff00ff) | ((cpu->eflags & AH_FLAGS) | FL_FIXED1)
								   << 8;
	return OUT_OK;
}

enum outcome op_sahf(struct cpu *cpu, const struct insn *insn)
{
	uint32_t ah = (uint32_t)(cpu->gpr[R_EAX] >> 8);

	cpu->eflags = (cpu->eflags & ~(uint32_t)AH_FLAGS) | (ah & AH_FLAGS);
	return OUT_OK;
}

enum outcome op_clc(struct cpu *cpu, const struct insn *insn)
{
	cpu->eflags &= ~(uint32_t)FL_CF;
	return OUT_OK;
}

enum outcome op_stc(struct cpu *cpu, const struct insn *insn)
{
	cpu->eflags |= FL_CF;
	return OUT_OK;
}

enum outcome op_cmc(struct cpu *cpu, const struct insn *insn)
{
	cpu->eflags ^= FL_CF;
	return OUT_OK;
}

enum outcome op_cld(struct cpu *cpu, const struct insn *insn)
{
	cpu->eflags &= ~(uint32_t)FL_DF;
	return OUT_OK;
}

enum outcome op_std(struct cpu *cpu, const struct insn *insn)
{
	cpu->eflags |= FL_DF;
	return OUT_OK;
}
