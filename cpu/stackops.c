/*
 * PUSH, POP and the procedure-frame instructions.
 */
#include "cpu/ops.h"

enum outcome op_push_any(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	uint32_t v;

	if (insn->op[0].kind == OP_SEG)
		return op_push_sreg(cpu, insn);
	enum outcome out = op_read(cpu, insn, 0, &v);
	if (out == OUT_OK)
		out = stack_push(cpu, &c, insn->opsize, v);
	if (out == OUT_OK)
		stack_commit(cpu, &c);
	return out;
}

/*
 * A memory destination that uses ESP as its base sees ESP already incremented,
 * and POP ESP leaves the value popped (SDM: POP, Description).
 */
enum outcome op_pop_any(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	uint64_t old_esp = cpu->gpr[R_ESP];
	uint32_t v;

	if (insn->op[0].kind == OP_SEG)
		return op_pop_sreg(cpu, insn);
	enum outcome out = stack_pop(cpu, &c, insn->opsize, &v);
	if (out != OUT_OK)
		return out;
	stack_commit(cpu, &c);
	out = op_write(cpu, insn, 0, v);
	if (out != OUT_OK)
		cpu->gpr[R_ESP] = old_esp;
	return out;
}

enum outcome op_pusha(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);

	for (unsigned reg = R_EAX; reg <= R_EDI; reg++) {
		enum outcome out = stack_push(cpu, &c, insn->opsize, (uint32_t)cpu->gpr[reg]);

		if (out != OUT_OK)
			return out;
	}
	stack_commit(cpu, &c);
	return OUT_OK;
}

enum outcome op_popa(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	uint32_t v[8];

	for (unsigned i = 0; i < 8; i++) {
		enum outcome out = stack_pop(cpu, &c, insn->opsize, &v[R_EDI - i]);

		if (out != OUT_OK)
			return out;
	}
	for (unsigned reg = R_EAX; reg <= R_EDI; reg++)
		if (reg != R_ESP)
			reg_set(cpu, reg, insn->opsize, v[reg]);
	stack_commit(cpu, &c);
	return OUT_OK;
}

/* Copy the frame pointers of the enclosing procedures (SDM: ENTER, Operation). */
static enum outcome copy_display(struct cpu *cpu, struct stack_cursor *c, unsigned size,
				 unsigned level)
{
	uint32_t ebp = (uint32_t)cpu->gpr[R_EBP], v;

	for (unsigned i = 1; i < level; i++) {
		v = 0;
		ebp -= size;
		enum outcome out = mem_read(cpu, S_SS, ebp & c->mask, &v, size);
		if (out == OUT_OK)
			out = stack_push(cpu, c, size, v);
		if (out != OUT_OK)
			return out;
	}
	return OUT_OK;
}

enum outcome op_enter(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	unsigned level = insn->op[1].imm & 31;
	enum outcome out = stack_push(cpu, &c, insn->opsize, (uint32_t)cpu->gpr[R_EBP]);
	uint32_t frame = c.esp;

	if (out == OUT_OK && level) {
		out = copy_display(cpu, &c, insn->opsize, level);
		if (out == OUT_OK)
			out = stack_push(cpu, &c, insn->opsize, frame);
	}
	if (out != OUT_OK)
		return out;
	c.esp = (c.esp & ~c.mask) | ((c.esp - ((uint32_t)insn->op[0].imm & 0xffff)) & c.mask);
	/* The new top of the stack must be writable before anything changes. */
	out = mem_probe_write(cpu, S_SS, c.esp & c.mask, insn->opsize);
	if (out != OUT_OK)
		return out;
	reg_set(cpu, R_EBP, insn->opsize, frame);
	stack_commit(cpu, &c);
	return OUT_OK;
}

enum outcome op_leave(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	uint32_t v;

	c.esp = (c.esp & ~c.mask) | ((uint32_t)cpu->gpr[R_EBP] & c.mask);
	enum outcome out = stack_pop(cpu, &c, insn->opsize, &v);
	if (out != OUT_OK)
		return out;
	reg_set(cpu, R_EBP, insn->opsize, v);
	stack_commit(cpu, &c);
	return OUT_OK;
}
