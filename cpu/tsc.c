/*
 * The time-stamp counter: the host's plus an offset, so that reading it needs
 * no scaling. Writes move the offset, and TSC_ADJUST with it.
 */
#include "cpu/transfer.h"

#include <x86intrin.h>

uint64_t cpu_tsc(const struct cpu *cpu)
{
	return __rdtsc() + (uint64_t)cpu->tsc_offset;
}

enum outcome op_rdtsc(struct cpu *cpu, const struct insn *insn)
{
	uint64_t tsc;

	if ((cpu->cr4 & CR4_TSD) && cpu->cpl)
		return cpu_raise_error(cpu, EXC_GP, 0);
	tsc = cpu_tsc(cpu);
	cpu->gpr[R_EAX] = (uint32_t)tsc;
	cpu->gpr[R_EDX] = (uint32_t)(tsc >> 32);
	return OUT_OK;
}

/* No counters are implemented, so every counter number is out of range. */
enum outcome op_rdpmc(struct cpu *cpu, const struct insn *insn)
{
	return cpu_raise_error(cpu, EXC_GP, 0);
}
