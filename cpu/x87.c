/*
 * x87 arithmetic, executed by the host. Only the instruction and data pointers
 * are kept here, in the guest's terms: the host's must never be seen.
 */
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/hostop.h"

static void record_pointers(struct cpu *cpu, const struct insn *insn, const struct operand *m,
			    uint32_t eip)
{
	cpu->fx.fip = eip;
	cpu->fx.fcs = cpu->seg[S_CS].sel;
	cpu->fx.fop = (uint16_t)((insn->opcode & 7) << 8 | insn->modrm);
	if (m) {
		cpu->fx.fdp = insn_ea(cpu, insn, m);
		cpu->fx.fds = cpu->seg[m->seg].sel;
	}
}

/*
 * Fill the buffer with the operand. A store that ends in an unmasked
 * exception leaves its destination alone, so what is written back afterwards
 * must then be what was there before.
 */
static enum outcome load_operand(struct cpu *cpu, const struct operand *m, uint32_t off, void *buf)
{
	bool may_not_store = (cpu->fx.fcw & FPU_EXCEPTIONS) != FPU_EXCEPTIONS;

	if (m->rw & OPND_READ)
		return mem_read(cpu, m->seg, off, buf, m->size);
	if (may_not_store)
		return mem_read_rmw(cpu, m->seg, off, buf, m->size);
	return OUT_OK;
}

enum outcome op_x87(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *m = insn_memory(insn);
	uint32_t off = m ? insn_ea(cpu, insn, m) : 0;
	uint32_t eip = (uint32_t)insn->next - insn->length;
	struct host_frame f;
	enum outcome out = fpu_check_x87(cpu);

	if (out != OUT_OK)
		return out;
	if (m && (m->size == 0 || m->size > sizeof(f.mem)))
		return cpu_raise(cpu, EXC_UD);
	if (m)
		out = load_operand(cpu, m, off, f.mem);
	if (out != OUT_OK)
		return out;
	host_frame_fill(cpu, &f);
	out = host_execute(insn, &f);
	if (out == OUT_OK && m && (m->rw & OPND_WRITE))
		out = mem_write(cpu, m->seg, off, f.mem, m->size);
	if (out != OUT_OK)
		return out;
	host_frame_commit(cpu, &f);
	record_pointers(cpu, insn, m, cpu_code32(cpu) ? eip : eip & 0xffff);
	set_arith(cpu, (uint32_t)f.flags); /* FCOMI and its kind */
	return OUT_OK;
}
