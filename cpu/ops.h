/*
 * Inside cpu/: the handlers of unprivileged instructions, named by the
 * dispatch table (optable.c), and what the dispatcher offers the interpreter.
 */
#ifndef RINGFENCE_CPU_OPS_H
#define RINGFENCE_CPU_OPS_H

#include "cpu/internal.h"

enum { DR6_BS = 1 << 14 }; /* single step */

/* ---- optable.c ---- */
/* The handler of a decoded instruction, or null: #UD on this model. */
op_fn *cpu_find_handler(const struct cpu *, const struct insn *);
/* What is peculiar to an instruction beyond its handler. */
enum {
	TRAIT_UNALIGNED = 1 << 0, /* its 16-byte memory operand may be anywhere */
	TRAIT_INDEX = 1 << 1,     /* returns an index in ECX (PCMPESTRI, PCMPISTRI) */
	TRAIT_MMX = 1 << 2,       /* an SSE instruction that touches MMX registers as well */
	TRAIT_NO_STEP = 1 << 3,   /* a software interrupt, if it is taken: no single-step trap after it */
};
unsigned insn_traits(const struct insn *);

/* ---- alu.c ---- */
op_fn op_add, op_or, op_adc, op_sbb, op_and, op_sub, op_xor, op_cmp, op_test;
op_fn op_inc, op_dec, op_neg, op_not, op_xadd, op_cmpxchg, op_cmpxchg8b;
/* CMP a, b at a size of 1, 2 or 4 bytes: sets the arithmetic flags. */
void alu_compare(struct cpu *, uint32_t a, uint32_t b, unsigned size);

/* ---- shift.c ---- */
op_fn op_rol, op_ror, op_rcl, op_rcr, op_shl, op_shr, op_sar, op_shld, op_shrd;

/* ---- muldiv.c ---- */
op_fn op_mul, op_imul, op_div, op_idiv;

/* ---- bits.c ---- */
op_fn op_bt, op_bts, op_btr, op_btc, op_bsf, op_bsr, op_bswap, op_popcnt, op_crc32;

/* ---- bcd.c ---- */
op_fn op_aaa, op_aas, op_aam, op_aad, op_daa, op_das;

/* ---- move.c ---- */
op_fn op_mov_any, op_movzx, op_movsx, op_xchg, op_lea, op_xlat, op_cmovcc, op_setcc;
op_fn op_cbw, op_cwde, op_cwd, op_cdq, op_salc, op_nop, op_movnti, op_clflush, op_ud;
/* The condition in the low four bits of Jcc, SETcc and CMOVcc opcodes. */
bool condition_met(const struct cpu *, unsigned cc);

/* ---- stackops.c ---- */
op_fn op_push_any, op_pop_any, op_pusha, op_popa, op_enter, op_leave;

/* ---- branch.c ---- */
op_fn op_jmp_any, op_call_any, op_ret_any, op_jcc, op_loop, op_loope, op_loopne, op_jcxz, op_bound;

/* ---- string.c ---- */
op_fn op_movs, op_stos, op_lods, op_cmps, op_scas, op_ins, op_outs;
/* MOVSD and CMPSD name a string and an SSE2 instruction each. */
op_fn op_movsd_any, op_cmpsd_any;

/* ---- fpu.c, fpuenv.c, x87.c, simd.c ---- */
op_fn op_x87, op_fwait, op_fpu_nop, op_fninit, op_fnclex, op_fnstcw, op_fldcw, op_fnstsw;
op_fn op_fnstenv, op_fldenv, op_fnsave, op_frstor, op_fxsave, op_fxrstor;
op_fn op_mmx, op_sse, op_ldmxcsr, op_stmxcsr, op_maskmov;

/* ---- operand.c ---- */
/* The memory operand of an instruction, or null. */
const struct operand *insn_memory(const struct insn *);
/* Would a write succeed? Makes the same faults; writes nothing. */
MUST_USE enum outcome mem_probe_write(struct cpu *, unsigned seg, uint32_t off, unsigned len);

#endif
