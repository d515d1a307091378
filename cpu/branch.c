/*
 * Near control transfers. A 16-bit operand size truncates the target, and a
 * target beyond CS's limit is #GP(0) of the branch itself, with EIP still at it.
 */
#include "cpu/ops.h"

static uint32_t truncate_target(const struct insn *insn, uint32_t target)
{
	return insn->opsize == 2 ? target & 0xffff : target;
}

static enum outcome check_target(struct cpu *cpu, uint32_t target)
{
	return target > cpu->seg[S_CS].limit ? cpu_raise_error(cpu, EXC_GP, 0) : OUT_OK;
}

static enum outcome go(struct cpu *cpu, const struct insn *insn, uint32_t target)
{
	target = truncate_target(insn, target);
	enum outcome out = check_target(cpu, target);
	if (out == OUT_OK)
		cpu->rip = target;
	return out;
}

static uint32_t relative_target(const struct insn *insn)
{
	return (uint32_t)insn->next + (uint32_t)insn->op[0].imm;
}

/* FF /3 and FF /5 take a far pointer from memory; 9A and EA carry one. */
static bool is_far(const struct insn *insn)
{
	unsigned ext = insn->modrm >> 3 & 7;

	return insn->op[0].kind == OP_FAR || (insn->opcode == 0xff && (ext == 3 || ext == 5));
}

static enum outcome near_target(struct cpu *cpu, const struct insn *insn, uint32_t *target)
{
	if (insn->op[0].kind == OP_IMM) {
		*target = relative_target(insn);
		return OUT_OK;
	}
	return op_read(cpu, insn, 0, target);
}

enum outcome op_jmp_any(struct cpu *cpu, const struct insn *insn)
{
	uint32_t target;

	if (is_far(insn))
		return op_jmp_far(cpu, insn);
	enum outcome out = near_target(cpu, insn, &target);
	return out == OUT_OK ? go(cpu, insn, target) : out;
}

enum outcome op_call_any(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	uint32_t target;

	if (is_far(insn))
		return op_call_far(cpu, insn);
	enum outcome out = near_target(cpu, insn, &target);
	if (out != OUT_OK)
		return out;
	target = truncate_target(insn, target);
	out = check_target(cpu, target);
	if (out == OUT_OK)
		out = stack_push(cpu, &c, insn->opsize, (uint32_t)insn->next);
	if (out != OUT_OK)
		return out;
	stack_commit(cpu, &c);
	cpu->rip = target;
	return OUT_OK;
}

enum outcome op_ret_any(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	uint32_t target, release = insn->nops ? (uint32_t)insn->op[0].imm & 0xffff : 0;

	if (insn->opcode == 0xca || insn->opcode == 0xcb)
		return op_ret_far(cpu, insn);
	enum outcome out = stack_pop(cpu, &c, insn->opsize, &target);
	if (out == OUT_OK)
		out = go(cpu, insn, target);
	if (out != OUT_OK)
		return out;
	c.esp = (c.esp & ~c.mask) | ((c.esp + release) & c.mask);
	stack_commit(cpu, &c);
	return OUT_OK;
}

enum outcome op_jcc(struct cpu *cpu, const struct insn *insn)
{
	return condition_met(cpu, insn->opcode) ? go(cpu, insn, relative_target(insn)) : OUT_OK;
}

/* The counter is (E)CX by address size. */
static enum outcome loop_if(struct cpu *cpu, const struct insn *insn, bool condition)
{
	uint32_t count = reg_get(cpu, R_ECX, insn->addrsize) - 1;
	enum outcome out = OUT_OK;

	if (insn->addrsize == 2)
		count &= 0xffff;
	if (count && condition)
		out = go(cpu, insn, relative_target(insn));
	if (out == OUT_OK)
		reg_set(cpu, R_ECX, insn->addrsize, count);
	return out;
}

enum outcome op_loop(struct cpu *cpu, const struct insn *insn)
{
	return loop_if(cpu, insn, true);
}

enum outcome op_loope(struct cpu *cpu, const struct insn *insn)
{
	return loop_if(cpu, insn, cpu->eflags & FL_ZF);
}

enum outcome op_loopne(struct cpu *cpu, const struct insn *insn)
{
	return loop_if(cpu, insn, !(cpu->eflags & FL_ZF));
}

enum outcome op_jcxz(struct cpu *cpu, const struct insn *insn)
{
	return reg_get(cpu, R_ECX, insn->addrsize) ? OUT_OK : go(cpu, insn, relative_target(insn));
}

enum outcome op_bound(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *m = &insn->op[1];
	unsigned size = insn->opsize;
	uint32_t off = insn_ea(cpu, insn, m);
	uint32_t next = insn->addrsize == 4 ? off + size : (off + size) & 0xffff;
	uint32_t index = reg_get(cpu, insn->op[0].reg, size), lower = 0, upper = 0;
	enum outcome out = mem_read(cpu, m->seg, off, &lower, size);

	if (out == OUT_OK)
		out = mem_read(cpu, m->seg, next, &upper, size);
	if (out != OUT_OK)
		return out;
	if (size == 2) {
		index = (uint32_t)(int16_t)index;
		lower = (uint32_t)(int16_t)lower;
		upper = (uint32_t)(int16_t)upper;
	}
	if ((int32_t)index < (int32_t)lower || (int32_t)index > (int32_t)upper)
		return cpu_raise(cpu, EXC_BR);
	return OUT_OK;
}
