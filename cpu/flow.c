/* Where the instruction ahead leads, for debuggers that step over calls and to the ends of blocks. */
#include "cpu/ops.h"

static enum cpu_flow one_byte(const struct insn *insn)
{
	unsigned op = insn->opcode, reg = insn->modrm >> 3 & 7;

	if (op == 0xe8 || op == 0x9a || op == 0xcc || op == 0xcd || op == 0xce)
		return FLOW_CALL;
	if (op == 0xff && (reg == 2 || reg == 3))
		return FLOW_CALL;
	if ((op & 0xf0) == 0x70 || (op >= 0xe0 && op <= 0xe3) || (op >= 0xe9 && op <= 0xeb))
		return FLOW_BRANCH;
	if (op == 0xc2 || op == 0xc3 || op == 0xca || op == 0xcb || op == 0xcf || op == 0xf1 || op == 0xf4)
		return FLOW_BRANCH;
	if (op == 0xff && (reg == 4 || reg == 5))
		return FLOW_BRANCH;
	if ((insn->rep || insn->repne) &&
	    ((op >= 0x6c && op <= 0x6f) || (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf)))
		return FLOW_REPEAT;
	return FLOW_ON;
}

/* Jcc, SYSENTER, SYSEXIT, UD2. */
static enum cpu_flow two_bytes(const struct insn *insn)
{
	unsigned op = insn->opcode;

	return (op & 0xf0) == 0x80 || op == 0x34 || op == 0x35 || op == 0x0b ? FLOW_BRANCH : FLOW_ON;
}

/* Decoding looks at EIP, and leaves its fault behind. */
static bool decode_at(struct cpu *cpu, uint32_t eip, struct insn *insn)
{
	const struct cpu_fault fault = cpu->fault;
	const uint64_t rip = cpu->rip;
	enum outcome out;

	cpu->rip = eip;
	out = cpu_decode(cpu, insn);
	cpu->rip = rip;
	cpu->fault = fault;
	return out == OUT_OK;
}

enum cpu_flow cpu_flow_at(struct cpu *cpu, uint32_t eip, uint32_t *next)
{
	struct insn insn;

	if (!decode_at(cpu, eip, &insn))
		return FLOW_UNKNOWN;
	*next = (uint32_t)insn.next;
	if (insn.opcode_map == 0)
		return one_byte(&insn);
	return insn.opcode_map == 1 ? two_bytes(&insn) : FLOW_ON;
}
