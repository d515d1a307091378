/*
 * Life cycle of a processor: the state after power-on or INIT-by-reset.
 *
 * The rest of the architectural state machine lives beside this file:
 *   segment.c   segmentation checks        gate.c   interrupt and trap gates
 *   exception.c delivery, double faults    task.c   hardware task switches
 *   far.c       far jumps, calls, returns  iret.c   interrupt return
 *   system.c    control registers          msr.c    model-specific registers
 *   debug.c     debug registers            cpuid.c, model.c  identification
 *
 * Invariant of all of them: validate everything first, then commit. A function
 * that returns OUT_FAULT has changed nothing but descriptor accessed bits.
 */
#include "cpu/cpu.h"
#include "cpu/transfer.h"

#include <string.h>

static void reset_segments(struct cpu *cpu)
{
	for (unsigned i = 0; i < S_COUNT; i++)
		cpu->seg[i] = (struct cpu_segment){.limit = 0xffff, .attr = SEG_ATTR_REAL};
	cpu->seg[S_CS].sel = 0xf000;
	cpu->seg[S_CS].base = 0xffff0000;
	cpu->seg[S_LDTR].attr = SEG_P | SYS_LDT;
	cpu->seg[S_TR].attr = SEG_P | SYS_TSS32_BUSY;
	cpu->gdtr = (struct cpu_table){.limit = 0xffff};
	cpu->idtr = (struct cpu_table){.limit = 0xffff};
}

static void reset_msrs(struct cpu *cpu)
{
	cpu->msr.pat = 0x0007040600070406ull;
	cpu->msr.apic_base = 0xfee00000u | APIC_BASE_ENABLE | APIC_BASE_BSP;
	cpu->msr.misc_enable = MISC_ENABLE_RESET;
	cpu->tsc_offset = 0;
	cpu->tsc_offset = -(int64_t)cpu_tsc(cpu);
}

static void reset_fpu(struct cpu *cpu)
{
	/* SDM "Processor State After Reset": all registers +0.0 and tagged zero, not empty. */
	cpu->fx.fcw = 0x0040;
	cpu->fx.ftw = 0xff;
	cpu->fx.mxcsr = 0x1f80;
	cpu->fx.mxcsr_mask = 0xffff;
}

void cpu_reset(struct cpu *cpu)
{
	const struct cpu_ops *ops = cpu->ops;
	void *ctx = cpu->ops_ctx;
	const struct cpu_model *model = cpu->model;
	uint64_t count = cpu->interp_count, *kinds = cpu->interp_kinds;

	memset(cpu, 0, sizeof(*cpu));
	cpu->ops = ops;
	cpu->ops_ctx = ctx;
	cpu->model = model;
	cpu->interp_count = count;
	cpu->interp_kinds = kinds;
	cpu->eflags = FL_FIXED1;
	cpu->rip = 0xfff0;
	cpu->gpr[R_EDX] = model ? model_signature(model) : 0;
	cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
	cpu->dr[6] = DR6_FIXED;
	cpu->dr[7] = DR7_FIXED;
	reset_segments(cpu);
	reset_msrs(cpu);
	reset_fpu(cpu);
}

void cpu_firmware_init(struct cpu *cpu, uint32_t hole_start)
{
	enum { ENABLE = 1 << 11, FIXED_ENABLE = 1 << 10, WRITE_BACK = 6 };
	const unsigned vga = 2; /* the 16 KiB ranges from A0000h */

	cpu->msr.mtrr_def_type = ENABLE | FIXED_ENABLE | WRITE_BACK;
	for (unsigned i = 0; i < ARRAY_LEN(cpu->msr.mtrr_fixed); i++)
		cpu->msr.mtrr_fixed[i] = i == vga ? 0 : 0x0606060606060606ull;
	cpu->msr.mtrr_base[0] = hole_start;
	cpu->msr.mtrr_mask[0] = (~PHYS_RESERVED & ~(0x100000000ull - hole_start - 1)) | ENABLE;
}
