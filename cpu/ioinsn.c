/*
 * IN, OUT and the I/O permission check (SDM: "I/O Privilege Level",
 * "I/O Permission Bit Map").
 */
#include "cpu/transfer.h"

enum { TSS_IO_MAP_BASE = 0x66 };

/*
 * Two bytes of the map are read even for one port, so the map must be followed
 * by a byte of ones; the byte beyond the limit counts as not there.
 */
enum outcome cpu_check_io(struct cpu *cpu, uint16_t port, unsigned size)
{
	const struct cpu_segment *tr = &cpu->seg[S_TR];
	uint16_t map, bits;
	uint32_t at;
	enum outcome o;

	if (!cpu_protected(cpu) || (cpu->cpl <= cpu_iopl(cpu) && !cpu_vm86(cpu)))
		return OUT_OK;
	if ((tr->attr & SEG_NULL) || !(tr->attr & 8) || tr->limit < TSS_IO_MAP_BASE + 1)
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = cpu->ops->read(cpu, gva((uint32_t)(tr->base + TSS_IO_MAP_BASE)), &map, 2, ACC_READ);
	if (o != OUT_OK)
		return o;
	at = map + port / 8u;
	if (at + 1 > tr->limit)
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = cpu->ops->read(cpu, gva((uint32_t)(tr->base + at)), &bits, 2, ACC_READ);
	if (o != OUT_OK)
		return o;
	if (bits >> (port & 7) & ((1u << size) - 1))
		return cpu_raise_error(cpu, EXC_GP, 0);
	return OUT_OK;
}

/* Opcodes E4-E7 name the port in an immediate byte, EC-EF in DX; odd ones have the operand size. */
static uint16_t port_of(const struct cpu *cpu, const struct insn *insn)
{
	return insn->opcode & 8 ? (uint16_t)cpu->gpr[R_EDX] : insn->bytes[insn->length - 1];
}

static unsigned size_of(const struct insn *insn)
{
	return insn->opcode & 1 ? insn->opsize : 1;
}

enum outcome op_in(struct cpu *cpu, const struct insn *insn)
{
	uint16_t port = port_of(cpu, insn);
	unsigned size = size_of(insn);
	enum outcome o = cpu_check_io(cpu, port, size);

	if (o != OUT_OK)
		return o;
	reg_set(cpu, R_EAX, size, cpu->ops->in(cpu, port, size));
	cpu->pending_db |= debug_match_io(cpu, port, size);
	return OUT_OK;
}

enum outcome op_out(struct cpu *cpu, const struct insn *insn)
{
	uint16_t port = port_of(cpu, insn);
	unsigned size = size_of(insn);
	enum outcome o = cpu_check_io(cpu, port, size);

	if (o != OUT_OK)
		return o;
	cpu->ops->out(cpu, port, size, reg_get(cpu, R_EAX, size));
	cpu->pending_db |= debug_match_io(cpu, port, size);
	return OUT_OK;
}
