/*
 * Private to the system half of cpu/: descriptors, stack frames and events, as
 * the control transfers (gates, far calls, task switches, returns) share them.
 */
#ifndef RINGFENCE_CPU_TRANSFER_H
#define RINGFENCE_CPU_TRANSFER_H

#include "cpu/internal.h"

/* System descriptor types (SDM: "System Descriptor Types"). */
enum {
	SYS_TSS16 = 1,
	SYS_LDT = 2,
	SYS_TSS16_BUSY = 3,
	SYS_CALL16 = 4,
	SYS_TASK_GATE = 5,
	SYS_INT16 = 6,
	SYS_TRAP16 = 7,
	SYS_TSS32 = 9,
	SYS_TSS32_BUSY = 11,
	SYS_CALL32 = 12,
	SYS_INT32 = 14,
	SYS_TRAP32 = 15,
	SYS_BUSY = 2, /* the bit that tells a busy TSS from an available one */
};

enum {
	SEG_ATTR_REAL = SEG_P | SEG_S | SEG_WRITE | SEG_ACCESSED,
	SEG_ATTR_VM86 = SEG_ATTR_REAL | 3 << SEG_DPL_SHIFT,
	SEG_ATTR_FLAT_CODE = SEG_P | SEG_S | SEG_CODE | SEG_WRITE | SEG_ACCESSED | SEG_DB | SEG_G,
	SEG_ATTR_FLAT_DATA = SEG_P | SEG_S | SEG_WRITE | SEG_ACCESSED | SEG_DB | SEG_G,
};

#define DR6_FIXED    0xffff0ff0u
#define DR6_WRITABLE 0x0000e00fu
#define DR7_FIXED    0x00000400u
#define DR7_WRITABLE 0xffff23ffu
enum { DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BT = 1 << 15, DR7_GD = 1 << 13, DR7_LOCAL = 0x155 };

enum { APIC_BASE_BSP = 1 << 8, APIC_BASE_ENABLE = 1 << 11 };
enum {
	MISC_ENABLE_FAST_STRINGS = 1 << 0,
	MISC_ENABLE_NO_BTS = 1 << 11,
	MISC_ENABLE_NO_PEBS = 1 << 12,
	MISC_ENABLE_LIMIT_CPUID = 1 << 22,
	MISC_ENABLE_RESET = MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS,
};

/* Physical addresses the processor has pins for; leaf 80000008h and all reserved-bit checks. */
enum { PHYS_BITS = 36 };
#define PHYS_RESERVED (~((1ull << PHYS_BITS) - 1))

/* ---- descriptors ---- */
static inline unsigned desc_type(const struct descriptor *d)
{
	return (d->hi >> 8) & 0xf;
}
static inline unsigned desc_dpl(const struct descriptor *d)
{
	return (d->hi >> 13) & 3;
}
static inline bool desc_present(const struct descriptor *d)
{
	return d->hi & 1u << 15;
}
static inline bool desc_is_system(const struct descriptor *d)
{
	return !(d->hi & 1u << 12);
}
static inline bool desc_is_code(const struct descriptor *d)
{
	return !desc_is_system(d) && (desc_type(d) & SEG_CODE);
}
static inline bool desc_is_conforming(const struct descriptor *d)
{
	return desc_is_code(d) && (desc_type(d) & SEG_DOWN);
}
static inline bool desc_is_writable_data(const struct descriptor *d)
{
	return !desc_is_system(d) && (desc_type(d) & (SEG_CODE | SEG_WRITE)) == SEG_WRITE;
}
static inline unsigned segment_dpl(const struct cpu_segment *s)
{
	return (s->attr >> SEG_DPL_SHIFT) & 3;
}
static inline unsigned selector_rpl(uint16_t sel)
{
	return sel & 3;
}
static inline bool selector_null(uint16_t sel)
{
	return !(sel & ~3);
}
static inline bool selector_local(uint16_t sel)
{
	return sel & 4;
}
static inline uint16_t selector_error(uint16_t sel)
{
	return sel & ~3;
}

/* Like desc_read, but a selector beyond its table is *found = false, not a fault. */
MUST_USE enum outcome desc_find(struct cpu *, uint16_t sel, struct descriptor *, bool *found);
/* Set the accessed bit in memory and in *d if it is not set yet. */
MUST_USE enum outcome desc_mark_accessed(struct cpu *, uint16_t sel, struct descriptor *);
/* Are `len` bytes at `off` within the segment's limit? */
bool segment_fits(const struct cpu_segment *, uint32_t off, unsigned len);
void segment_set_null(struct cpu *, unsigned seg, uint16_t sel);
/*
 * Check a stack segment for privilege `cpl`: `vector` is raised for all that is wrong with it but
 * absence, which is #SS(selector). Nothing is committed.
 */
MUST_USE enum outcome stack_segment_check(struct cpu *, uint16_t sel, unsigned cpl, unsigned vector,
					  struct cpu_segment *out);
/* Checks of a data segment register load, for any vector (#GP, or #TS in task switches). */
MUST_USE enum outcome data_segment_check(struct cpu *, uint16_t sel, unsigned cpl, unsigned vector,
					 struct cpu_segment *out);
/* #GP(0) unless `eip` is inside the code segment. */
MUST_USE enum outcome code_limit_check(struct cpu *, const struct cpu_segment *, uint32_t eip);

/* ---- stack frames (frame.c) ---- */
enum { FRAME_MAX = 40 };

/* Words to push, in the order of the pushes. */
struct frame {
	unsigned count, size; /* size of one word: 2 or 4 */
	uint32_t word[FRAME_MAX];
};
static inline void frame_add(struct frame *f, uint32_t v)
{
	f->word[f->count++] = v;
}

/* The stack they go to. `error` is the error code of a #SS. */
struct stack_target {
	struct cpu_segment ss;
	uint32_t esp;
	unsigned acc; /* ACC_USER or 0: privilege of the pushes */
	uint32_t error;
};
/* The current stack at the current privilege. */
struct stack_target stack_current(const struct cpu *);
MUST_USE enum outcome frame_check(struct cpu *, const struct frame *, const struct stack_target *);
/* Push all or nothing; the new stack pointer goes to *esp. */
MUST_USE enum outcome frame_push(struct cpu *, const struct frame *, const struct stack_target *,
				 uint32_t *esp);
/* ESP after a pop or a stack switch: a 16-bit stack keeps the upper half. */
static inline uint32_t stack_pointer_merge(const struct cpu_segment *ss, uint32_t old, uint32_t esp)
{
	return ss->attr & SEG_DB ? esp : (old & 0xffff0000) | (esp & 0xffff);
}
/* The inner stack for privilege `level` from the current TSS, checked with #TS. */
MUST_USE enum outcome inner_stack(struct cpu *, unsigned level, struct stack_target *);

/* ---- events (exception.c, gate.c) ---- */
struct event {
	uint8_t vector;
	enum cpu_event kind;
	bool has_error;
	uint32_t error;
	uint32_t eip, eflags; /* to be saved */
	bool committed;	      /* a task switch went through before the fault */
};
/* One attempt through the IDT of protected mode. */
MUST_USE enum outcome gate_deliver(struct cpu *, struct event *);
/* Deliver cpu->fault, which came of a task switch past its commit point: it cannot be had again, so nobody may hold it. */
void deliver_in_new_task(struct cpu *);

/* ---- task switches (task.c) ---- */
struct task_switch {
	uint16_t sel;
	enum task_reason reason;
	uint32_t eip, eflags; /* to be saved in the old TSS */
	bool push_error;
	uint32_t error;
	bool committed; /* out: OUT_FAULT belongs to the new task */
};
MUST_USE enum outcome task_switch(struct cpu *, struct task_switch *);

/* ---- returns (iret.c, far.c) ---- */
/* Checks of the CS that a far RET or IRET pops. */
MUST_USE enum outcome return_code_check(struct cpu *, uint16_t sel, struct cpu_segment *out);
/* After a return to an outer level: drop data segments that level may not use. */
void return_drop_segments(struct cpu *);

/* ---- paging-structure pointers ---- */
/* Read and check the four PDPTEs; #GP(0) and nothing changed when one is bad. */
MUST_USE enum outcome pdpte_read(struct cpu *, uint64_t cr3, uint64_t out[4]);
static inline bool paging_is_pae(uint32_t cr0, uint32_t cr4)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE);
}
static inline void paging_notify(struct cpu *cpu, bool flush, bool global)
{
	if (cpu->ops->paging_changed)
		cpu->ops->paging_changed(cpu, flush, global);
}

/* ---- identification (model.c, host.c) ---- */
uint32_t model_signature(const struct cpu_model *);
/* Which *_NO bits of IA32_ARCH_CAPABILITIES hold for guest code on this host. */
uint64_t host_arch_capabilities(void);
bool host_tsc_invariant(void);
uint32_t host_leaf1_ecx(void);

/* Feature bits that the code asks for, by word. */
enum {
	F1D_FPU = 0,
	F1D_VME = 1,
	F1D_DE = 2,
	F1D_PSE = 3,
	F1D_TSC = 4,
	F1D_MSR = 5,
	F1D_PAE = 6,
	F1D_MCE = 7,
	F1D_CX8 = 8,
	F1D_APIC = 9,
	F1D_SEP = 11,
	F1D_MTRR = 12,
	F1D_PGE = 13,
	F1D_MCA = 14,
	F1D_CMOV = 15,
	F1D_PAT = 16,
	F1D_PSE36 = 17,
	F1D_CLFLUSH = 19,
	F1D_MMX = 23,
	F1D_FXSR = 24,
	F1D_SSE = 25,
	F1D_SSE2 = 26,
	F1C_SSE3 = 0,
	F1C_SSSE3 = 9,
	F1C_SSE41 = 19,
	F1C_SSE42 = 20,
	F1C_POPCNT = 23,
	F1C_HYPERVISOR = 31,
	F7B_TSC_ADJUST = 1,
	F7D_ARCH_CAP = 29,
	F81D_NX = 20,
	F87D_INVTSC = 8,
};

/* Tell ops->transferring (far.c). */
void transfer_tell(struct cpu *, enum cpu_transfer_kind, uint16_t sel, uint32_t eip, unsigned size, unsigned detail);

#endif
