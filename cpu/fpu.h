/*
 * Inside cpu/: x87, MMX and SSE state, and execution of one such instruction
 * by the host on a copy of it.
 */
#ifndef RINGFENCE_CPU_FPU_H
#define RINGFENCE_CPU_FPU_H

#include "cpu/ops.h"

enum { FSW_ES = 1 << 7, FSW_B = 1 << 15, FSW_TOP_SHIFT = 11, FPU_EXCEPTIONS = 0x3f };
enum { MXCSR_MASK = 0xffff, MXCSR_MASKS = 0x1f80 }; /* valid bits; all exceptions masked */

/* ---- fpu.c ---- */
/* May the instruction run? #UD, #NM, or #MF of an earlier x87 instruction. */
MUST_USE enum outcome fpu_check_present(struct cpu *); /* x87 that does not wait */
MUST_USE enum outcome fpu_check_x87(struct cpu *);
MUST_USE enum outcome fpu_check_mmx(struct cpu *);
MUST_USE enum outcome fpu_check_sse(struct cpu *);
/* Is an unmasked x87 exception waiting for the next waiting instruction? */
static inline bool fpu_error_pending(const struct cpu *cpu)
{
	return cpu->fx.fsw & ~cpu->fx.fcw & FPU_EXCEPTIONS;
}
MUST_USE enum outcome fpu_report_error(struct cpu *);
/* Make FSW.ES and FSW.B follow the exception flags and masks. */
void fpu_update_summary(struct cpu *);
/* Set FSW; the registers stay where they are, so ST(i) are renamed when TOP changes. */
void fpu_set_status(struct cpu *, uint16_t fsw);
/* The state after FNINIT. */
void fpu_init(struct cpu *);

/* ---- hostexec.c ---- */
struct host_frame {
	struct cpu_fx guest; /* in and out */
	struct cpu_fx host;  /* the C code's own state meanwhile */
	uint8_t mem[64];     /* the memory operand, whichever it was */
	uint64_t flags;      /* arithmetic flags in and out */
	uint32_t eax, ecx, edx; /* in and out; an explicit general register operand is in eax */
};
/* Copy the guest's state into a frame, with no exception that could trap the host. */
void host_frame_fill(const struct cpu *, struct host_frame *);
/* Copy registers, FSW, FTW and FCW back; instruction pointers and MXCSR are the caller's. */
void host_frame_commit(struct cpu *, const struct host_frame *);
MUST_USE enum outcome host_execute(const struct insn *, struct host_frame *);

#endif
