/*
 * What a debugger wants to be told of before it happens (struct cpu_watch): found by looking at the decoded instruction, so that
 * nothing need be undone.
 *
 * Told of also when the instruction will fault, unless it is privileged and the privilege is missing: then no
 * control register is written.
 */
#include "cpu/ops.h"

static bool port_event(struct cpu *cpu, const struct insn *insn, uint16_t port, unsigned size)
{
	const struct cpu_watch_event e = {
		.kind = WATCH_PORT, .number = port, .size = size, .write = insn->opcode & 2, .holdable = true};

	return cpu->watch->before(cpu, &e);
}

/* IN and OUT: E4-E7 have the port in an immediate byte, EC-EF in DX. */
static bool in_out(struct cpu *cpu, const struct insn *insn)
{
	uint16_t port = insn->opcode & 8 ? (uint16_t)cpu->gpr[R_EDX] : insn->bytes[insn->length - 1];

	return port_event(cpu, insn, port, insn->opcode & 1 ? insn->opsize : 1);
}

/* INS and OUTS. With REP and nothing to do no port is touched. */
static bool string_in_out(struct cpu *cpu, const struct insn *insn)
{
	if ((insn->rep || insn->repne) && !reg_get(cpu, R_ECX, insn->addrsize))
		return false;
	return port_event(cpu, insn, (uint16_t)cpu->gpr[R_EDX], insn->opcode & 1 ? insn->opsize : 1);
}

bool watch_exception(struct cpu *cpu, unsigned vector, uint32_t error, bool holdable)
{
	const struct cpu_watch_event e = {
		.kind = WATCH_EXCEPTION,
		.number = vector,
		.value = error,
		.address = vector == EXC_PF ? (uint32_t)cpu->fault.cr2 : 0,
		.holdable = holdable,
	};

	return cpu->watch->before(cpu, &e);
}

static bool interrupt(struct cpu *cpu, unsigned vector)
{
	const struct cpu_watch_event e = {.kind = WATCH_INTERRUPT, .number = vector, .holdable = true};

	return cpu->watch->before(cpu, &e);
}

static bool one_byte(struct cpu *cpu, const struct insn *insn)
{
	switch (insn->opcode) {
	case 0x6c: case 0x6d: case 0x6e: case 0x6f:
		return string_in_out(cpu, insn);
	case 0xe4: case 0xe5: case 0xe6: case 0xe7: case 0xec: case 0xed: case 0xee: case 0xef:
		return in_out(cpu, insn);
	case 0xcd:
		return interrupt(cpu, insn->bytes[insn->length - 1]);
	case 0xcc:
		return watch_exception(cpu, EXC_BP, 0, true);
	case 0xce:
		return (cpu->eflags & FL_OF) && watch_exception(cpu, EXC_OF, 0, true);
	case 0xf1:
		return watch_exception(cpu, EXC_DB, 0, true);
	default:
		return false;
	}
}

static bool control(struct cpu *cpu, unsigned cr, uint32_t value)
{
	const struct cpu_watch_event e = {.kind = WATCH_CONTROL, .number = cr, .value = value, .holdable = true};

	return cpu->watch->before(cpu, &e);
}

/* LMSW: the four low bits of CR0, of which PE can only be set. An operand that cannot be read is a fault soon enough. */
static bool lmsw(struct cpu *cpu, const struct insn *insn)
{
	const uint32_t low = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	uint32_t value;

	if (op_read(cpu, insn, 0, &value) != OUT_OK)
		return false;
	return control(cpu, 0, (cpu->cr0 & ~(low & ~(uint32_t)CR0_PE)) | (value & low));
}

/* MOV to CR, CLTS, LMSW. */
static bool two_bytes(struct cpu *cpu, const struct insn *insn)
{
	unsigned reg = insn->modrm >> 3 & 7;

	if (cpu->cpl)
		return false;
	if (insn->opcode == 0x22)
		return reg != 1 && reg <= 4 && control(cpu, reg, (uint32_t)cpu->gpr[insn->modrm & 7]);
	/* CLTS that changes nothing may be no instruction at all in translated code */
	if (insn->opcode == 0x06)
		return (cpu->cr0 & CR0_TS) && control(cpu, 0, cpu->cr0 & ~(uint32_t)CR0_TS);
	return insn->opcode == 0x01 && reg == 6 && lmsw(cpu, insn);
}

bool watch_insn(struct cpu *cpu, const struct insn *insn)
{
	if (insn->opcode_map == 0)
		return one_byte(cpu, insn);
	return insn->opcode_map == 1 && two_bytes(cpu, insn);
}
