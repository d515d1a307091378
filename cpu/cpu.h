/*
 * The virtual processor: architectural state, and what may be done to it.
 *
 * `struct cpu` is the complete architectural state of one 32-bit x86 processor.
 * It is plain data: interpreter, translator callouts, loaders and debuggers
 * read and write it directly. While translated code runs, the general
 * registers, arithmetic flags and vector state live in the host's registers
 * and the copies here are stale; every path back to C restores them first.
 *
 * cpu/ knows nothing of page tables, devices or the translation cache. What it
 * needs of them goes up through `struct cpu_ops`.
 *
 * Threading: a cpu belongs to its vCPU thread. Nothing here locks.
 */
#ifndef RINGFENCE_CPU_CPU_H
#define RINGFENCE_CPU_CPU_H

#include "cpu/types.h"

#include <stdio.h>

enum { R_EAX, R_ECX, R_EDX, R_EBX, R_ESP, R_EBP, R_ESI, R_EDI };

/* Segment registers in encoding order, then the two system segments. */
enum { S_ES, S_CS, S_SS, S_DS, S_FS, S_GS, S_LDTR, S_TR, S_COUNT };

/* EFLAGS (SDM: "EFLAGS Register"). */
enum {
	FL_CF = 1u << 0,
	FL_FIXED1 = 1u << 1,
	FL_PF = 1u << 2,
	FL_AF = 1u << 4,
	FL_ZF = 1u << 6,
	FL_SF = 1u << 7,
	FL_TF = 1u << 8,
	FL_IF = 1u << 9,
	FL_DF = 1u << 10,
	FL_OF = 1u << 11,
	FL_IOPL = 3u << 12,
	FL_NT = 1u << 14,
	FL_RF = 1u << 16,
	FL_VM = 1u << 17,
	FL_AC = 1u << 18,
	FL_VIF = 1u << 19,
	FL_VIP = 1u << 20,
	FL_ID = 1u << 21,
	FL_ARITH = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF,
	/* the flags that live in the host's RFLAGS while translated code runs */
	FL_HOST = FL_ARITH | FL_DF,
};

enum {
	CR0_PE = 1u << 0,
	CR0_MP = 1u << 1,
	CR0_EM = 1u << 2,
	CR0_TS = 1u << 3,
	CR0_ET = 1u << 4,
	CR0_NE = 1u << 5,
	CR0_WP = 1u << 16,
	CR0_AM = 1u << 18,
	CR0_NW = 1u << 29,
	CR0_CD = 1u << 30,
	CR0_PG = 1u << 31,
};

enum {
	CR4_VME = 1u << 0,
	CR4_PVI = 1u << 1,
	CR4_TSD = 1u << 2,
	CR4_DE = 1u << 3,
	CR4_PSE = 1u << 4,
	CR4_PAE = 1u << 5,
	CR4_MCE = 1u << 6,
	CR4_PGE = 1u << 7,
	CR4_PCE = 1u << 8,
	CR4_OSFXSR = 1u << 9,
	CR4_OSXMMEXCPT = 1u << 10,
};

enum { EFER_NXE = 1u << 11 };

/* Exception vectors (SDM: "Exception and Interrupt Vectors"). */
enum {
	EXC_DE = 0,
	EXC_DB = 1,
	EXC_NMI = 2,
	EXC_BP = 3,
	EXC_OF = 4,
	EXC_BR = 5,
	EXC_UD = 6,
	EXC_NM = 7,
	EXC_DF = 8,
	EXC_TS = 10,
	EXC_NP = 11,
	EXC_SS = 12,
	EXC_GP = 13,
	EXC_PF = 14,
	EXC_MF = 16,
	EXC_AC = 17,
	EXC_MC = 18,
	EXC_XM = 19,
};

/* Page-fault error code bits (SDM: "Page-Fault Exceptions"). */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/*
 * A segment register with its hidden part. `attr` holds the descriptor's bits
 * 40-47 in bits 0-7 and bits 52-55 in bits 8-11; SEG_NULL marks a register
 * that holds no usable descriptor. `limit` is in bytes, granularity applied.
 */
struct cpu_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t sel;
	uint16_t attr;
};

enum {
	SEG_TYPE = 0xf,    /* type field */
	SEG_ACCESSED = 1,  /* data and code: accessed */
	SEG_WRITE = 2,     /* data: writable; code: readable */
	SEG_DOWN = 4,      /* data: expand-down; code: conforming */
	SEG_CODE = 8,      /* code segment */
	SEG_S = 1 << 4,    /* 1: code or data, 0: system */
	SEG_DPL_SHIFT = 5, /* two bits */
	SEG_P = 1 << 7,
	SEG_AVL = 1 << 8,
	SEG_L = 1 << 9,
	SEG_DB = 1 << 10, /* 32-bit code, stack or expand-down limit */
	SEG_G = 1 << 11,
	SEG_NULL = 1 << 12,
};

struct cpu_table {
	uint64_t base;
	uint16_t limit;
};

/* A guest exception or interrupt on its way to the guest. */
struct cpu_fault {
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint64_t cr2; /* EXC_PF: the address; loaded into CR2 at delivery */
	uint32_t dr6; /* EXC_DB: bits to set in DR6 at delivery */
};

/* Where an event comes from; decides the gate checks and the saved EIP. */
enum cpu_event {
	EVENT_EXCEPTION, /* fault or trap raised by the processor: no DPL check */
	EVENT_SOFT,      /* INT n, INT3, INTO: gate DPL is checked, error EXT=0 */
	EVENT_EXTERNAL,  /* interrupt controller or NMI */
};

/* The FXSAVE image (SDM: "FXSAVE Area"), 32-bit layout. */
struct cpu_fx {
	uint16_t fcw, fsw;
	uint8_t ftw, rsvd0;
	uint16_t fop;
	uint32_t fip;
	uint16_t fcs, rsvd1;
	uint32_t fdp;
	uint16_t fds, rsvd2;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16];
	uint8_t xmm[16][16];
	uint8_t pad[96];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct cpu_fx) == 512, "FXSAVE area is 512 bytes");

struct cpu_ops;
struct cpu_model;
struct cpu_watch;

/* Model-specific registers that are state and nothing more. */
struct cpu_msrs {
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat;
	uint64_t apic_base;
	uint64_t misc_enable;
	uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
	uint64_t mcg_status, mc_ctl[4], mc_status[4];
	uint64_t tsc_aux;
	uint64_t tsc_adjust;
	uint64_t bios_sign_id;
	uint64_t spare[8];
};

/*
 * The processor. Fields up to `pad_hot` are touched by translated code with
 * short displacements; their offsets are asserted in translator/.
 */
struct cpu {
	uint64_t gpr[16]; /* upper halves are zero for 32-bit guests */
	uint64_t rip;
	uint32_t eflags; /* complete image while in C; FL_HOST and FL_FIXED1 are 0 in the TC */
	uint8_t cpl;
	uint8_t halted;    /* HLT was executed; an interrupt, NMI or reset ends it */
	uint8_t shadow;    /* SHADOW_*: events held off until after the next instruction */
	uint8_t nmi_block; /* inside an NMI handler, until IRET */
	struct cpu_segment seg[S_COUNT];
	int64_t tsc_offset; /* guest TSC = host TSC + this */

	uint32_t cr0;
	uint32_t cr4;
	uint64_t cr2, cr3;
	uint64_t efer;
	uint64_t pdpte[4]; /* loaded from memory at CR3 writes in PAE mode */
	uint64_t dr[8];    /* 4 and 5 unused */
	struct cpu_table gdtr, idtr;
	struct cpu_msrs msr;
	struct cpu_fx fx;

	struct cpu_fault fault; /* valid after OUT_FAULT */
	uint32_t pending_db;    /* DR6 bits of a trap-class #DB due at this boundary */
	bool shutdown;          /* triple fault: only reset helps */

	const struct cpu_ops *ops;
	void *ops_ctx;
	const struct cpu_watch *watch; /* a debugger's; null: nobody looks */
	const struct cpu_model *model; /* what CPUID says; never null */
	uint64_t interp_count;         /* instructions the interpreter has retired */
	uint64_t *interp_kinds;        /* the same by CPU_KIND(); null: nobody asks */
};

/* A kind of instruction for statistics: opcode map (0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A), opcode, ModR/M's reg field. */
#define CPU_KIND(map, opcode, reg) (((map) & 3) << 11 | (opcode) << 3 | (reg))
enum { CPU_KINDS = 4 << 11 };

enum { SHADOW_STI = 1, SHADOW_SS = 2 };

/* How memory is touched; combined with the privilege it is touched with. */
enum {
	ACC_READ = 0,
	ACC_WRITE = 1,
	ACC_EXEC = 2,
	ACC_USER = 4, /* access with user privilege (CPL 3, not an implicit supervisor access) */
	ACC_RMW = 8,  /* a read whose page must also be writable (read-modify-write) */
};

/* What `delivering` is told. `eip`: the one that is saved. */
struct cpu_delivery {
	enum cpu_event kind;
	uint8_t vector;
	bool has_error;
	uint32_t error, eip;
};

/* What `transferring` is told: where to, as the instruction (or its frame) has it. */
enum cpu_transfer_kind {
	TRANSFER_JUMP,
	TRANSFER_CALL,
	TRANSFER_RETURN,
	TRANSFER_IRET,
	TRANSFER_TASK, /* `sel`: the TSS, `eip`: where the old task will go on, `detail`: JMP, CALL, IRET, event */
};
struct cpu_transfer {
	enum cpu_transfer_kind kind;
	uint16_t sel;
	uint32_t eip;
	unsigned size;   /* operand size in bytes */
	unsigned detail; /* RET: bytes released */
};

/*
 * What the processor needs of the machine around it. All are called on the
 * vCPU thread with the state in `struct cpu` complete. Linear accesses take
 * any length up to 4096 and may cross pages and wrap at 4 GiB; on OUT_FAULT they have filled cpu->fault
 * (vector EXC_PF) and changed nothing.
 */
struct cpu_ops {
	enum outcome (*read)(struct cpu *, gva_t, void *, unsigned len, unsigned acc);
	enum outcome (*write)(struct cpu *, gva_t, const void *, unsigned len, unsigned acc);
	/* Would an access succeed? Sets accessed/dirty bits as the access would. */
	enum outcome (*probe)(struct cpu *, gva_t, unsigned len, unsigned acc);
	/* Instruction bytes: reads up to `max` (<= 15) bytes and stores how many were
	 * readable in *got; OUT_FAULT only when not even the first one is. */
	enum outcome (*fetch)(struct cpu *, gva_t, uint8_t *, unsigned max, unsigned *got);
	uint32_t (*in)(struct cpu *, uint16_t port, unsigned size);
	void (*out)(struct cpu *, uint16_t port, unsigned size, uint32_t value);
	/* CR0, CR3, CR4 or EFER changed in a way that concerns paging; new values are in place.
	 * `flush` says that a TLB flush is architecturally called for, `global` that it
	 * includes global pages. */
	void (*paging_changed)(struct cpu *, bool flush, bool global);
	void (*invlpg)(struct cpu *, gva_t);
	/* IA32_APIC_BASE was written (cpu->msr.apic_base). */
	void (*apic_base_changed)(struct cpu *);
	/* x87 error with CR0.NE = 0: raise or lower FERR# (IRQ 13). */
	void (*ferr)(struct cpu *, bool level);
	/* An MSR that cpu/ does not have; false: #GP. May be null. */
	bool (*rdmsr)(struct cpu *, uint32_t index, uint64_t *value);
	bool (*wrmsr)(struct cpu *, uint32_t index, uint64_t value);
	/* Read guest physical memory: the PDPTEs that CR3 points at. */
	void (*read_phys)(struct cpu *, gpa_t, void *, unsigned len);
	/* For those who look on; both may be null. An event's delivery, or a transfer in protected mode, is about to be tried. */
	void (*delivering)(struct cpu *, const struct cpu_delivery *);
	void (*transferring)(struct cpu *, const struct cpu_transfer *);
	/*
	 * For callers with the guest's vector state still in the registers (translator/lean.c): general registers only, no library.
	 * All of the instruction, or false: nothing was done, take the full way. May be null.
	 */
	bool (*lean_in)(struct cpu *, uint16_t port, unsigned size, uint32_t *value);
	bool (*lean_out)(struct cpu *, uint16_t port, unsigned size, uint32_t value);
	bool (*lean_load_cr3)(struct cpu *, uint32_t value);
	bool (*lean_invlpg)(struct cpu *, gva_t);
};

/* ---- a debugger's look at rare events (watch.c) ---- */

enum cpu_watch_kind {
	WATCH_PORT,      /* number: port; size, write. Once for a repeated instruction, before its first iteration */
	WATCH_CONTROL,   /* number: control register; value: what is being written */
	WATCH_INTERRUPT, /* number: vector, of INT n */
	WATCH_EXCEPTION, /* number: vector; value: error code; address: CR2 as it will be (page faults) */
};

struct cpu_watch_event {
	enum cpu_watch_kind kind;
	unsigned number, size;
	bool write;
	bool holdable; /* false: it is past holding, and will be delivered whatever the answer */
	uint32_t value, address;
};

/*
 * `before` is called with the state as it is before the instruction, or before the delivery. True: hold it. Nothing has been done
 * then, and the interpreter answers OUT_RETRY; whoever says so must see to it that the processor is not run until the event
 * has been looked at, and let it pass (without a watch) when it goes on. `after`: an instruction was interpreted or an event
 * delivered, the mode may have changed. All in the interpreter: translated code has to leave for it where such things happen.
 */
struct cpu_watch {
	bool (*before)(struct cpu *, const struct cpu_watch_event *);
	void (*after)(struct cpu *);
};

/* ---- the instruction ahead, for debuggers (flow.c) ---- */

enum cpu_flow {
	FLOW_UNKNOWN, /* it cannot be fetched or is none */
	FLOW_ON,      /* the next one follows */
	FLOW_REPEAT,  /* the same, after many iterations */
	FLOW_CALL,    /* it comes back to the next one: CALL, INT n */
	FLOW_BRANCH,  /* anything else that may go elsewhere */
};
/* Of the instruction at CS:eip; *next: EIP behind it (not for FLOW_UNKNOWN). Changes nothing. */
enum cpu_flow cpu_flow_at(struct cpu *, uint32_t eip, uint32_t *next);

/* ---- life cycle (cpu.c) ---- */

/* Power-on state (SDM: "Processor State After Reset"); keeps ops and model. */
void cpu_reset(struct cpu *);

/*
 * What firmware would have set up, for loaders that start a kernel without one: MTRRs on, memory
 * write-back, the VGA window and everything from `hole_start` up to 4 GiB uncached. Without it Linux
 * calls the BIOS broken and leaves PAT off. hole_start: a power of two away from 4 GiB.
 */
void cpu_firmware_init(struct cpu *, uint32_t hole_start);

/* Real mode, protected mode or virtual-8086 mode? */
static inline bool cpu_protected(const struct cpu *c) { return c->cr0 & CR0_PE; }
static inline bool cpu_vm86(const struct cpu *c) { return c->eflags & FL_VM; }
static inline bool cpu_code32(const struct cpu *c) { return c->seg[S_CS].attr & SEG_DB; }
static inline bool cpu_stack32(const struct cpu *c) { return c->seg[S_SS].attr & SEG_DB; }
static inline unsigned cpu_iopl(const struct cpu *c) { return (c->eflags >> 12) & 3; }
/* ACC_USER when ordinary data accesses are made with user privilege. */
static inline unsigned cpu_acc(const struct cpu *c) { return c->cpl == 3 ? ACC_USER : 0; }

/* ---- for people (dump.c) ---- */
enum { CPU_DUMP_FPU = 1, CPU_DUMP_A20_OFF = 2 };
void cpu_dump(const struct cpu *, FILE *, unsigned flags);

/* ---- exceptions (exception.c) ---- */

/* Describe a guest exception in cpu->fault; both return OUT_FAULT. */
MUST_USE enum outcome cpu_raise(struct cpu *, unsigned vector);
MUST_USE enum outcome cpu_raise_error(struct cpu *, unsigned vector, uint32_t error);

/*
 * Deliver cpu->fault through the guest's IDT, with double and triple fault
 * promotion (SDM: "Interrupt 8—Double Fault Exception"). Never fails towards the caller: a triple
 * fault sets cpu->shutdown. cpu->rip must be the EIP to save. False: a debugger holds it (cpu_watch), nothing was done.
 */
bool cpu_deliver_fault(struct cpu *);

/* Deliver external interrupt `vector`, or NMI with vector 2. Ends HLT. */
void cpu_deliver_interrupt(struct cpu *, unsigned vector);

/* May an external interrupt be taken at this boundary? (IF, shadow) */
static inline bool cpu_interruptible(const struct cpu *c)
{
	return (c->eflags & FL_IF) && !c->shadow && !c->shutdown;
}

/* ---- the interpreter (interp.c) ---- */

/*
 * Execute one instruction at cpu->rip. OUT_OK: state advanced, trap-class debug events are in
 * pending_db. OUT_FAULT: cpu->fault set, state as before the instruction (a
 * REP string instruction keeps its progress). OUT_RETRY: a REP string
 * instruction stopped after a bounded number of iterations with RIP unchanged.
 * Does not look at external interrupts and does not deliver anything.
 */
MUST_USE enum outcome cpu_interpret_one(struct cpu *);

/*
 * Vector instructions are executed by the host from a little executable memory, made for a thread on
 * first use. Call this on the vCPU thread while descriptors and memory can be had; false: reported already.
 */
bool cpu_prepare_thread(void);

/*
 * One whole step: pending debug traps, instruction breakpoints, one instruction, delivery of its fault or
 * trap. Used by interpreted runs (-accel interp), single-stepping and tests.
 */
void cpu_step(struct cpu *);

/* ---- segmentation (segment.c) ---- */

/* Load a data or stack segment register (SDM: MOV and POP to segment registers). */
MUST_USE enum outcome cpu_load_segment(struct cpu *, unsigned seg, uint16_t selector);

/* Translate segment:offset to a linear address with type and limit checks. */
MUST_USE enum outcome cpu_linear(struct cpu *, unsigned seg, uint64_t offset, unsigned len,
				 unsigned acc, gva_t *linear);

/* Give a segment register its real-mode or virtual-8086 meaning. */
void cpu_set_real_segment(struct cpu *, unsigned seg, uint16_t selector);

/* ---- system registers (system.c, msr.c, cpuid.c) ---- */

MUST_USE enum outcome cpu_write_cr(struct cpu *, unsigned cr, uint64_t value);
MUST_USE enum outcome cpu_read_cr(struct cpu *, unsigned cr, uint64_t *value);
MUST_USE enum outcome cpu_write_dr(struct cpu *, unsigned dr, uint64_t value);
MUST_USE enum outcome cpu_read_dr(struct cpu *, unsigned dr, uint64_t *value);
MUST_USE enum outcome cpu_rdmsr(struct cpu *, uint32_t index, uint64_t *value);
MUST_USE enum outcome cpu_wrmsr(struct cpu *, uint32_t index, uint64_t value);
void cpu_cpuid(const struct cpu *, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* Write EFLAGS as POPF/IRET do at the current privilege: `mask` is what the
 * operand size lets through; IF, IOPL, VM are filtered by CPL and IOPL. */
void cpu_write_eflags(struct cpu *, uint32_t value, uint32_t mask);
/* Guest time-stamp counter now. */
uint64_t cpu_tsc(const struct cpu *);
/* I/O permission (SDM: "I/O Permission Bit Map"). */
MUST_USE enum outcome cpu_check_io(struct cpu *, uint16_t port, unsigned size);

/* ---- models (model.c) ---- */

struct cpu_model {
	const char *name;
	const char *description;
	char vendor[13];
	char brand[49];
	uint32_t family, model, stepping;
	/* feature words: leaf 1 EDX, leaf 1 ECX, leaf 7 EBX, leaf 7 EDX, 80000001h EDX, 80000001h ECX, 80000007h EDX */
	uint32_t features[7];
	bool hypervisor_leaf;
	uint32_t level, xlevel;           /* highest basic leaf; highest extended leaf or 0 */
	uint64_t arch_capabilities;       /* IA32_ARCH_CAPABILITIES */
	uint32_t tsc_khz, crystal_khz;    /* leaf 15h; 0: not known, not reported */
	uint32_t tsc_num, tsc_den;        /* TSC = crystal * num / den */
	void (*tsc_asked)(struct cpu_model *); /* cpu_model_defer_tsc; null: known, or not to be known */
};
enum { FEAT_1_EDX, FEAT_1_ECX, FEAT_7_EBX, FEAT_7_EDX, FEAT_81_EDX, FEAT_81_ECX, FEAT_87_EDX };

/* Iterate the named models; null ends. */
const struct cpu_model *cpu_model_nth(unsigned n);
/*
 * Parse "-cpu NAME[,+feature][,-feature][,feature=on|off]" into *out. On error returns false and writes one
 * line into err. Features that are not implemented cannot be switched on.
 */
bool cpu_model_parse(const char *text, struct cpu_model *out, char *err, size_t errlen);
/*
 * Report the TSC's frequency in leaves 15h and 16h, so that kernels need not calibrate. Linux takes the
 * crystal for the local APIC timer's input clock: pass that timer's real frequency.
 * Period models, whose leaves end earlier, are left as they are. 0 for either frequency: not known.
 */
void cpu_model_set_tsc_hz(struct cpu_model *, uint64_t tsc_hz, uint64_t crystal_hz);
/* The same when the leaves are read for the first time: `asked`, which calls cpu_model_set_tsc_hz, on the reader's thread. */
void cpu_model_defer_tsc(struct cpu_model *, void (*asked)(struct cpu_model *));
static inline bool cpu_has(const struct cpu *c, unsigned word, unsigned bit)
{
	return (c->model->features[word] >> bit) & 1;
}

#endif
