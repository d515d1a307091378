/*
 * The x87 control state: who may use it, exceptions, and the control
 * instructions that need no arithmetic.
 *
 * x87 exceptions are reported late, by the next waiting instruction. The test
 * for it is made here from the flags and masks themselves, never by letting
 * the host find out.
 */
#include <string.h>

#include "cpu/fpu.h"

enum outcome fpu_check_present(struct cpu *cpu)
{
	return cpu->cr0 & (CR0_EM | CR0_TS) ? cpu_raise(cpu, EXC_NM) : OUT_OK;
}

/*
 * With CR0.NE = 0 the error goes out by FERR# and comes back as an interrupt
 * (SDM: "MS-DOS Compatibility Sub-mode"). The instruction waits while an
 * interrupt can come; inside the handler, where none can, it runs, as IGNNE#
 * lets it.
 */
enum outcome fpu_report_error(struct cpu *cpu)
{
	if (!fpu_error_pending(cpu))
		return OUT_OK;
	if (cpu->cr0 & CR0_NE)
		return cpu_raise(cpu, EXC_MF);
	cpu->ops->ferr(cpu, true);
	return cpu_interruptible(cpu) ? OUT_RETRY : OUT_OK;
}

enum outcome fpu_check_x87(struct cpu *cpu)
{
	enum outcome out = fpu_check_present(cpu);

	return out == OUT_OK ? fpu_report_error(cpu) : out;
}

enum outcome fpu_check_mmx(struct cpu *cpu)
{
	if (cpu->cr0 & CR0_EM)
		return cpu_raise(cpu, EXC_UD);
	return fpu_check_x87(cpu);
}

enum outcome fpu_check_sse(struct cpu *cpu)
{
	if ((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR))
		return cpu_raise(cpu, EXC_UD);
	return cpu->cr0 & CR0_TS ? cpu_raise(cpu, EXC_NM) : OUT_OK;
}

void fpu_update_summary(struct cpu *cpu)
{
	bool was = cpu->fx.fsw & FSW_ES;

	if (fpu_error_pending(cpu)) {
		cpu->fx.fsw |= FSW_ES | FSW_B;
		return;
	}
	cpu->fx.fsw &= (uint16_t)~(FSW_ES | FSW_B);
	if (was && !(cpu->cr0 & CR0_NE))
		cpu->ops->ferr(cpu, false);
}

void fpu_set_status(struct cpu *cpu, uint16_t fsw)
{
	unsigned shift = ((fsw >> FSW_TOP_SHIFT) - (cpu->fx.fsw >> FSW_TOP_SHIFT)) & 7;
	uint8_t old[8][16];

	memcpy(old, cpu->fx.st, sizeof(old));
	for (unsigned i = 0; i < 8; i++)
		memcpy(cpu->fx.st[i], old[(i + shift) & 7], sizeof(old[0]));
	/* The summary bits stay until fpu_update_summary() decides on them. */
	cpu->fx.fsw = (fsw & ~(FSW_ES | FSW_B)) | (cpu->fx.fsw & (FSW_ES | FSW_B));
}

void fpu_init(struct cpu *cpu)
{
	cpu->fx.fcw = 0x37f;
	fpu_set_status(cpu, 0);
	fpu_update_summary(cpu);
	cpu->fx.ftw = 0;
	cpu->fx.fop = 0;
	cpu->fx.fip = 0;
	cpu->fx.fcs = 0;
	cpu->fx.fdp = 0;
	cpu->fx.fds = 0;
}

enum outcome op_fwait(struct cpu *cpu, const struct insn *insn)
{
	if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return cpu_raise(cpu, EXC_NM);
	return fpu_report_error(cpu);
}

/* FENI, FDISI and FSETPM of older coprocessors: nothing, without waiting. */
enum outcome op_fpu_nop(struct cpu *cpu, const struct insn *insn)
{
	return fpu_check_present(cpu);
}

enum outcome op_fninit(struct cpu *cpu, const struct insn *insn)
{
	enum outcome out = fpu_check_present(cpu);

	if (out == OUT_OK)
		fpu_init(cpu);
	return out;
}

enum outcome op_fnclex(struct cpu *cpu, const struct insn *insn)
{
	enum outcome out = fpu_check_present(cpu);

	if (out != OUT_OK)
		return out;
	cpu->fx.fsw &= (uint16_t)~(0x40 | FPU_EXCEPTIONS);
	fpu_update_summary(cpu);
	return OUT_OK;
}

enum outcome op_fnstcw(struct cpu *cpu, const struct insn *insn)
{
	enum outcome out = fpu_check_present(cpu);

	return out == OUT_OK ? op_write(cpu, insn, 0, cpu->fx.fcw) : out;
}

enum outcome op_fnstsw(struct cpu *cpu, const struct insn *insn)
{
	enum outcome out = fpu_check_present(cpu);

	if (out != OUT_OK)
		return out;
	return op_write(cpu, insn, 0, cpu->fx.fsw);
}

enum outcome op_fldcw(struct cpu *cpu, const struct insn *insn)
{
	uint32_t v;
	enum outcome out = fpu_check_x87(cpu);

	if (out == OUT_OK)
		out = op_read(cpu, insn, 0, &v);
	if (out != OUT_OK)
		return out;
	cpu->fx.fcw = (v & 0x1f3f) | 0x40;
	fpu_update_summary(cpu);
	return OUT_OK;
}
