/*
 * SYSENTER and SYSEXIT (SDM: "Fast Call to System Procedure"). Segments are
 * made up from IA32_SYSENTER_CS; descriptors in memory are not looked at.
 */
#include "cpu/transfer.h"

static void flat_segments(struct cpu *cpu, uint16_t cs, uint16_t ss, unsigned cpl)
{
	uint16_t dpl = (uint16_t)(cpl << SEG_DPL_SHIFT);

	cpu->seg[S_CS] = (struct cpu_segment){
		.sel = cs, .limit = 0xffffffff, .attr = SEG_ATTR_FLAT_CODE | dpl};
	cpu->seg[S_SS] = (struct cpu_segment){
		.sel = ss, .limit = 0xffffffff, .attr = SEG_ATTR_FLAT_DATA | dpl};
	cpu->cpl = (uint8_t)cpl;
}

enum outcome op_sysenter(struct cpu *cpu, const struct insn *insn)
{
	uint16_t base = selector_error((uint16_t)cpu->msr.sysenter_cs);

	if (!cpu_protected(cpu) || !base)
		return cpu_raise_error(cpu, EXC_GP, 0);
	cpu->eflags &= ~(uint32_t)(FL_VM | FL_IF | FL_RF);
	flat_segments(cpu, base, (uint16_t)(base + 8), 0);
	cpu->gpr[R_ESP] = (uint32_t)cpu->msr.sysenter_esp;
	cpu->rip = (uint32_t)cpu->msr.sysenter_eip;
	return OUT_OK;
}

enum outcome op_sysexit(struct cpu *cpu, const struct insn *insn)
{
	uint16_t base = selector_error((uint16_t)cpu->msr.sysenter_cs);

	if (!cpu_protected(cpu) || !base || cpu->cpl)
		return cpu_raise_error(cpu, EXC_GP, 0);
	flat_segments(cpu, (uint16_t)(base + 16) | 3, (uint16_t)(base + 24) | 3, 3);
	cpu->gpr[R_ESP] = (uint32_t)cpu->gpr[R_ECX];
	cpu->rip = (uint32_t)cpu->gpr[R_EDX];
	return OUT_OK;
}
