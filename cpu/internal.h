/*
 * Inside cpu/: a decoded instruction, operand access, and the handlers that the
 * dispatch table (optable.c) names.
 */
#ifndef RINGFENCE_CPU_INTERNAL_H
#define RINGFENCE_CPU_INTERNAL_H

#include "cpu/cpu.h"

enum op_kind { OP_NONE, OP_REG, OP_MEM, OP_IMM, OP_FAR, OP_SEG, OP_CR, OP_DR, OP_OTHER };

/* One operand, reduced to what the handlers need. Sizes are in bytes. */
struct operand {
	uint8_t kind;
	uint8_t size;
	uint8_t reg;   /* OP_REG: 0-7; byte registers AH..BH are 4-7 with size 1. OP_SEG/CR/DR: number */
	uint8_t seg;   /* OP_MEM: effective segment, overrides applied */
	int8_t base, index; /* OP_MEM: register number or -1 */
	uint8_t scale;
	int64_t imm;   /* OP_IMM: sign-extended where the instruction does so; OP_MEM: displacement; OP_FAR: offset */
	uint16_t far_sel; /* OP_FAR: selector */
	uint8_t rw;       /* OPND_READ | OPND_WRITE: what the instruction does to it */
	uint8_t enc;      /* OP_REG: which ModRM field names it (ENC_*) */
};

enum { OPND_READ = 1, OPND_WRITE = 2 };
enum { ENC_OTHER, ENC_MODRM_REG, ENC_MODRM_RM };
enum { NO_SEGMENT = 0xff };

/*
 * A decoded instruction. Only cpu/decode.c knows which library made it. `mnemonic` is the decoder's number, used by the
 * dispatch table alone.
 */
struct insn {
	uint16_t mnemonic;
	uint8_t length;
	uint8_t opsize;   /* 2 or 4: effective operand size */
	uint8_t addrsize; /* 2 or 4 */
	uint8_t nops;     /* operands as assembler text shows them, the implied AL, DX, CL, 1 included */
	bool lock, rep, repne;
	struct operand op[4];
	uint8_t opcode, opcode_map, modrm;
	bool has_modrm;
	uint8_t mandatory; /* 0x66, 0xf2 or 0xf3 when that prefix is part of the opcode, else 0 */
	uint8_t seg;       /* segment override prefix in force (S_*), or NO_SEGMENT */
	uint8_t bytes[15];
	uint16_t isa_set; /* decoder's ISA number, for CPUID gating */
	uint64_t next;    /* EIP after this instruction, wrapped to the code size */
};

typedef enum outcome op_fn(struct cpu *, const struct insn *);

/* ---- decode.c ---- */
/* OUT_FAULT: #UD, #GP (too long) or #PF from the fetch. */
MUST_USE enum outcome cpu_decode(struct cpu *, struct insn *);

/* ---- operand.c: checked access through segments ---- */
/* Effective address of a memory operand, wrapped to the address size. */
uint32_t insn_ea(const struct cpu *, const struct insn *, const struct operand *);
MUST_USE enum outcome mem_read(struct cpu *, unsigned seg, uint32_t off, void *, unsigned len);
MUST_USE enum outcome mem_write(struct cpu *, unsigned seg, uint32_t off, const void *, unsigned len);
/* Read for read-modify-write: faults as the write would. */
MUST_USE enum outcome mem_read_rmw(struct cpu *, unsigned seg, uint32_t off, void *, unsigned len);
MUST_USE enum outcome op_read(struct cpu *, const struct insn *, unsigned n, uint32_t *value);
MUST_USE enum outcome op_read_rmw(struct cpu *, const struct insn *, unsigned n, uint32_t *value);
MUST_USE enum outcome op_write(struct cpu *, const struct insn *, unsigned n, uint32_t value);
/* Register helpers: size 1, 2 or 4. */
uint32_t reg_get(const struct cpu *, unsigned reg, unsigned size);
void reg_set(struct cpu *, unsigned reg, unsigned size, uint32_t value);

/* ---- stack.c: pushes and pops by the current stack's width ---- */
/* A push or pop sequence works on a copy of ESP so that a fault leaves it alone. */
struct stack_cursor {
	uint32_t esp;  /* candidate value */
	uint32_t mask; /* 0xffff or 0xffffffff */
};
struct stack_cursor stack_begin(const struct cpu *);
MUST_USE enum outcome stack_push(struct cpu *, struct stack_cursor *, unsigned size, uint32_t value);
MUST_USE enum outcome stack_pop(struct cpu *, struct stack_cursor *, unsigned size, uint32_t *value);
void stack_commit(struct cpu *, const struct stack_cursor *);

/* ---- control transfers (far.c, gate.c, task.c, iret.c) ---- */
MUST_USE enum outcome cpu_far_jump(struct cpu *, const struct insn *, uint16_t sel, uint32_t off);
MUST_USE enum outcome cpu_far_call(struct cpu *, const struct insn *, uint16_t sel, uint32_t off);
MUST_USE enum outcome cpu_far_return(struct cpu *, const struct insn *, uint32_t release_bytes);
/* INT n, INT3, INTO, INT1: saved EIP is insn->next. */
MUST_USE enum outcome cpu_soft_interrupt(struct cpu *, const struct insn *, unsigned vector);
enum task_reason { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_EVENT };
MUST_USE enum outcome cpu_task_switch(struct cpu *, uint16_t tss_selector, enum task_reason,
				      uint32_t next_eip, bool push_error, uint32_t error);

/* ---- descriptors (segment.c) ---- */
struct descriptor {
	uint32_t lo, hi;
};
/* Read a GDT/LDT entry with implicit supervisor privilege; `vector` is raised with the selector when out of limits. */
MUST_USE enum outcome desc_read(struct cpu *, uint16_t sel, unsigned vector, struct descriptor *);
MUST_USE enum outcome desc_write_back(struct cpu *, uint16_t sel, const struct descriptor *);
void desc_to_segment(const struct descriptor *, uint16_t sel, struct cpu_segment *);

/* ---- debug.c ---- */
/* Trap-class bits for a data access or I/O access by DR7; 0 when none. */
uint32_t debug_match_data(const struct cpu *, uint64_t linear, unsigned len, unsigned acc);
uint32_t debug_match_io(const struct cpu *, uint16_t port, unsigned len);
/* Fault-class #DB for an instruction breakpoint at `linear` (RF considered); DR6 bits or 0. */
uint32_t debug_match_exec(const struct cpu *, uint64_t linear);
static inline bool debug_armed(const struct cpu *c) { return c->dr[7] & 0xff; }

/* ---- watch.c: true: a debugger holds it ---- */
bool watch_insn(struct cpu *, const struct insn *);
bool watch_exception(struct cpu *, unsigned vector, uint32_t error, bool holdable);

/*
 * ---- handlers of the system class, named by the dispatch table ----
 * (flags.c, system.c, segops.c, far.c, iret.c, sysenter.c, ioinsn.c)
 */
op_fn op_cli, op_sti, op_pushf, op_popf, op_lahf, op_sahf, op_clc, op_stc, op_cmc, op_cld, op_std;
op_fn op_hlt, op_clts, op_lmsw, op_smsw, op_mov_cr, op_mov_dr, op_invlpg, op_invd, op_wbinvd;
op_fn op_lgdt, op_lidt, op_sgdt, op_sidt, op_lldt, op_ltr, op_sldt, op_str;
op_fn op_lar, op_lsl, op_verr, op_verw, op_arpl;
op_fn op_mov_sreg, op_push_sreg, op_pop_sreg, op_load_far_pointer; /* LDS LES LFS LGS LSS */
op_fn op_jmp_far, op_call_far, op_ret_far, op_iret, op_int, op_int3, op_into, op_int1;
op_fn op_sysenter, op_sysexit, op_cpuid, op_rdtsc, op_rdpmc, op_rdmsr, op_wrmsr, op_rsm;
op_fn op_in, op_out; /* INS and OUTS are string instructions (string.c), which call cpu_check_io */

#endif
