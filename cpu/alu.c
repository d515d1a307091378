/*
 * Integer arithmetic and logic with two, one or exchanged operands.
 *
 * A memory destination is read for modification first, so that its write can
 * no longer fault; flags and registers change last.
 */
#include "cpu/hostop.h"
#include "cpu/ops.h"

HOST_BINARY(add)
HOST_BINARY(or)
HOST_BINARY(adc)
HOST_BINARY(sbb)
HOST_BINARY(and)
HOST_BINARY(sub)
HOST_BINARY(xor)
HOST_BINARY(cmp)
HOST_BINARY(test)
HOST_UNARY(inc)
HOST_UNARY(dec)
HOST_UNARY(neg)

/* destination = destination op source */
static enum outcome binary(struct cpu *cpu, const struct insn *insn, host_binary *const fn[])
{
	uint32_t a, b, flags = cpu->eflags;
	enum outcome out = op_read(cpu, insn, 1, &b);

	if (out == OUT_OK)
		out = op_read_rmw(cpu, insn, 0, &a);
	if (out != OUT_OK)
		return out;
	a = fn[size_index(insn->op[0].size)](a, b, &flags);
	out = op_write(cpu, insn, 0, a);
	if (out == OUT_OK)
		set_arith(cpu, flags);
	return out;
}

/* Flags of destination op source; nothing is written. */
static enum outcome compare(struct cpu *cpu, const struct insn *insn, host_binary *const fn[])
{
	uint32_t a, b, flags = cpu->eflags;
	enum outcome out = op_read(cpu, insn, 1, &b);

	if (out == OUT_OK)
		out = op_read(cpu, insn, 0, &a);
	if (out != OUT_OK)
		return out;
	fn[size_index(insn->op[0].size)](a, b, &flags);
	set_arith(cpu, flags);
	return OUT_OK;
}

static enum outcome unary(struct cpu *cpu, const struct insn *insn, host_unary *const fn[])
{
	uint32_t a, flags = cpu->eflags;
	enum outcome out = op_read_rmw(cpu, insn, 0, &a);

	if (out != OUT_OK)
		return out;
	a = fn[size_index(insn->op[0].size)](a, &flags);
	out = op_write(cpu, insn, 0, a);
	if (out == OUT_OK)
		set_arith(cpu, flags);
	return out;
}

enum outcome op_add(struct cpu *cpu, const struct insn *insn)
{
	return binary(cpu, insn, host_add);
}

enum outcome op_or(struct cpu *cpu, const struct insn *insn)
{
	return binary(cpu, insn, host_or);
}

enum outcome op_adc(struct cpu *cpu, const struct insn *insn)
{
	return binary(cpu, insn, host_adc);
}

enum outcome op_sbb(struct cpu *cpu, const struct insn *insn)
{
	return binary(cpu, insn, host_sbb);
}

enum outcome op_and(struct cpu *cpu, const struct insn *insn)
{
	return binary(cpu, insn, host_and);
}

enum outcome op_sub(struct cpu *cpu, const struct insn *insn)
{
	return binary(cpu, insn, host_sub);
}

enum outcome op_xor(struct cpu *cpu, const struct insn *insn)
{
	return binary(cpu, insn, host_xor);
}

enum outcome op_cmp(struct cpu *cpu, const struct insn *insn)
{
	return compare(cpu, insn, host_cmp);
}

enum outcome op_test(struct cpu *cpu, const struct insn *insn)
{
	return compare(cpu, insn, host_test);
}

enum outcome op_inc(struct cpu *cpu, const struct insn *insn)
{
	return unary(cpu, insn, host_inc);
}

enum outcome op_dec(struct cpu *cpu, const struct insn *insn)
{
	return unary(cpu, insn, host_dec);
}

enum outcome op_neg(struct cpu *cpu, const struct insn *insn)
{
	return unary(cpu, insn, host_neg);
}

enum outcome op_not(struct cpu *cpu, const struct insn *insn)
{
	uint32_t a;
	enum outcome out = op_read_rmw(cpu, insn, 0, &a);

	return out == OUT_OK ? op_write(cpu, insn, 0, ~a) : out;
}

void alu_compare(struct cpu *cpu, uint32_t a, uint32_t b, unsigned size)
{
	uint32_t flags = cpu->eflags;

	host_cmp[size_index(size)](a, b, &flags);
	set_arith(cpu, flags);
}

enum outcome op_xadd(struct cpu *cpu, const struct insn *insn)
{
	uint32_t a, b, sum, flags = cpu->eflags;
	unsigned size = insn->op[0].size;
	enum outcome out = op_read_rmw(cpu, insn, 0, &a);

	if (out != OUT_OK)
		return out;
	b = reg_get(cpu, insn->op[1].reg, size);
	sum = host_add[size_index(size)](a, b, &flags);
	if (insn->op[0].kind == OP_MEM) {
		out = op_write(cpu, insn, 0, sum);
		if (out != OUT_OK)
			return out;
		reg_set(cpu, insn->op[1].reg, size, a);
	} else { /* with one register twice, the sum stays */
		reg_set(cpu, insn->op[1].reg, size, a);
		reg_set(cpu, insn->op[0].reg, size, sum);
	}
	set_arith(cpu, flags);
	return OUT_OK;
}

enum outcome op_cmpxchg(struct cpu *cpu, const struct insn *insn)
{
	uint32_t dest, flags = cpu->eflags;
	unsigned size = insn->op[0].size;
	uint32_t acc = reg_get(cpu, R_EAX, size);
	enum outcome out = op_read_rmw(cpu, insn, 0, &dest);

	if (out != OUT_OK)
		return out;
	host_cmp[size_index(size)](acc, dest, &flags);
	/* The destination is written in either case (SDM: CMPXCHG, Description). */
	out = op_write(cpu, insn, 0, flags & FL_ZF ? reg_get(cpu, insn->op[1].reg, size) : dest);
	if (out != OUT_OK)
		return out;
	if (!(flags & FL_ZF))
		reg_set(cpu, R_EAX, size, dest);
	set_arith(cpu, flags);
	return OUT_OK;
}

enum outcome op_cmpxchg8b(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *m = &insn->op[0];
	uint32_t off = insn_ea(cpu, insn, m);
	uint64_t old, new, expected = cpu->gpr[R_EDX] << 32 | (uint32_t)cpu->gpr[R_EAX];
	enum outcome out = mem_read_rmw(cpu, m->seg, off, &old, 8);

	if (out != OUT_OK)
		return out;
	new = old == expected ? cpu->gpr[R_ECX] << 32 | (uint32_t)cpu->gpr[R_EBX] : old;
	out = mem_write(cpu, m->seg, off, &new, 8);
	if (out != OUT_OK)
		return out;
	if (old == expected) {
		cpu->eflags |= FL_ZF;
	} else {
		cpu->eflags &= ~(uint32_t)FL_ZF;
		cpu->gpr[R_EAX] = (uint32_t)old;
		cpu->gpr[R_EDX] = old >> 32;
	}
	return OUT_OK;
}
