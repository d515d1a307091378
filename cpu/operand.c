/*
 * Operands: registers, and memory through segment checks, alignment checks and
 * data breakpoints.
 *
 * Nothing here changes guest state before its last check has passed, except
 * pending_db, which the interpreter puts back when the instruction faults.
 */
#include "cpu/ops.h"

uint32_t reg_get(const struct cpu *cpu, unsigned reg, unsigned size)
{
	if (size == 4)
		return (uint32_t)cpu->gpr[reg];
	if (size == 2)
		return (uint16_t)cpu->gpr[reg];
	return (uint8_t)(reg < 4 ? cpu->gpr[reg] : cpu->gpr[reg - 4] >> 8);
}

void reg_set(struct cpu *cpu, unsigned reg, unsigned size, uint32_t value)
{
	uint64_t *r;

	if (size == 4) {
		cpu->gpr[reg] = value;
	} else if (size == 2) {
		r = &cpu->gpr[reg];
		*r = (*r & ~0xffffull) | (value & 0xffff);
	} else if (reg < 4) {
		r = &cpu->gpr[reg];
		*r = (*r & ~0xffull) | (value & 0xff);
	} else {
		r = &cpu->gpr[reg - 4];
		*r = (*r & ~0xff00ull) | (value & 0xff) << 8;
	}
}

uint32_t insn_ea(const struct cpu *cpu, const struct insn *insn, const struct operand *op)
{
	uint32_t ea = (uint32_t)op->imm;

	if (op->base >= 0)
		ea += (uint32_t)cpu->gpr[op->base];
	if (op->index >= 0)
		ea += (uint32_t)cpu->gpr[op->index] * op->scale;
	return insn->addrsize == 4 ? ea : ea & 0xffff;
}

const struct operand *insn_memory(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->nops; i++)
		if (insn->op[i].kind == OP_MEM)
			return &insn->op[i];
	return NULL;
}

/* SDM: "Interrupt 17—Alignment Check Exception". Zero: never checked. */
static unsigned alignment_of(unsigned len)
{
	switch (len) {
	case 2:
		return 2;
	case 4:
	case 6: /* far pointer: its offset is a doubleword */
		return 4;
	case 8:
	case 10:
		return 8;
	case 16:
		return 16;
	default:
		return 0;
	}
}

/* Segment and alignment checks; `acc` is as cpu_linear takes it. */
static enum outcome locate(struct cpu *cpu, unsigned seg, uint32_t off, unsigned len, unsigned acc,
			   gva_t *linear)
{
	enum outcome out = cpu_linear(cpu, seg, off, len, acc, linear);

	if (out != OUT_OK)
		return out;
	if (cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->eflags & FL_AC)) {
		unsigned align = alignment_of(len);

		if (align && (linear->v & (align - 1)))
			return cpu_raise_error(cpu, EXC_AC, 0);
	}
	return OUT_OK;
}

enum outcome mem_read(struct cpu *cpu, unsigned seg, uint32_t off, void *data, unsigned len)
{
	unsigned acc = ACC_READ | cpu_acc(cpu);
	gva_t linear;
	enum outcome out = locate(cpu, seg, off, len, acc, &linear);

	if (out == OUT_OK)
		out = cpu->ops->read(cpu, linear, data, len, acc);
	if (out == OUT_OK && debug_armed(cpu))
		cpu->pending_db |= debug_match_data(cpu, linear.v, len, ACC_READ);
	return out;
}

enum outcome mem_write(struct cpu *cpu, unsigned seg, uint32_t off, const void *data, unsigned len)
{
	unsigned acc = ACC_WRITE | cpu_acc(cpu);
	gva_t linear;
	enum outcome out = locate(cpu, seg, off, len, acc, &linear);

	if (out == OUT_OK)
		out = cpu->ops->write(cpu, linear, data, len, acc);
	if (out == OUT_OK && debug_armed(cpu))
		cpu->pending_db |= debug_match_data(cpu, linear.v, len, ACC_WRITE);
	return out;
}

enum outcome mem_read_rmw(struct cpu *cpu, unsigned seg, uint32_t off, void *data, unsigned len)
{
	gva_t linear;
	enum outcome out = locate(cpu, seg, off, len, ACC_WRITE | cpu_acc(cpu), &linear);

	/* A segment may be written and read, or read alone; the write check covers both. */
	if (out == OUT_OK)
		out = cpu->ops->read(cpu, linear, data, len, ACC_READ | ACC_RMW | cpu_acc(cpu));
	if (out == OUT_OK && debug_armed(cpu))
		cpu->pending_db |= debug_match_data(cpu, linear.v, len, ACC_READ);
	return out;
}

enum outcome mem_probe_write(struct cpu *cpu, unsigned seg, uint32_t off, unsigned len)
{
	unsigned acc = ACC_WRITE | cpu_acc(cpu);
	gva_t linear;
	enum outcome out = locate(cpu, seg, off, len, acc, &linear);

	return out == OUT_OK ? cpu->ops->probe(cpu, linear, len, acc) : out;
}

typedef enum outcome mem_read_fn(struct cpu *, unsigned, uint32_t, void *, unsigned);

static enum outcome operand_read(struct cpu *cpu, const struct insn *insn, unsigned n,
				 uint32_t *value, mem_read_fn *read)
{
	const struct operand *op = &insn->op[n];
	uint32_t v = 0;

	if (op->kind == OP_REG) {
		*value = reg_get(cpu, op->reg, op->size);
		return OUT_OK;
	}
	if (op->kind == OP_IMM) {
		*value = (uint32_t)op->imm;
		return OUT_OK;
	}
	if (op->kind == OP_SEG) {
		*value = cpu->seg[op->reg].sel;
		return OUT_OK;
	}
	/* Guest memory is little-endian, as the host is: a narrow read fills the low bytes. */
	enum outcome out = read(cpu, op->seg, insn_ea(cpu, insn, op), &v, op->size > 4 ? 4 : op->size);
	if (out == OUT_OK)
		*value = v;
	return out;
}

enum outcome op_read(struct cpu *cpu, const struct insn *insn, unsigned n, uint32_t *value)
{
	return operand_read(cpu, insn, n, value, mem_read);
}

enum outcome op_read_rmw(struct cpu *cpu, const struct insn *insn, unsigned n, uint32_t *value)
{
	return operand_read(cpu, insn, n, value, mem_read_rmw);
}

enum outcome op_write(struct cpu *cpu, const struct insn *insn, unsigned n, uint32_t value)
{
	const struct operand *op = &insn->op[n];

	if (op->kind == OP_REG) {
		reg_set(cpu, op->reg, op->size, value);
		return OUT_OK;
	}
	return mem_write(cpu, op->seg, insn_ea(cpu, insn, op), &value, op->size > 4 ? 4 : op->size);
}
