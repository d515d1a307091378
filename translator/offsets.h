/*
 * Offsets of the fields that assembly and emitted code touch. enter.S includes this file, so it holds
 * only macros; offsets_check.c asserts each against the structures.
 */
#ifndef RINGFENCE_TRANSLATOR_OFFSETS_H
#define RINGFENCE_TRANSLATOR_OFFSETS_H

/* struct cpu (R15) */
#define CPU_GPR 0
#define CPU_RIP 128
#define CPU_EFLAGS 136
#define CPU_CPL 140
#define CPU_HALTED 141
#define CPU_SHADOW 142
#define CPU_SEG 144
#define CPU_SEG_SIZE 16
#define CPU_SEG_BASE 0
#define CPU_SEG_SEL 12
#define CPU_TSC_OFFSET 272
#define CPU_CR0 280
#define CPU_CR4 284
#define CPU_CR2 288
#define CPU_CR3 296

/* struct tcx (R14) */
#define TCX_HOST_RSP 0
#define TCX_TARGET 8
#define TCX_KICK 16
#define TCX_INTR_WAIT 20
#define TCX_WINDOW 24
#define TCX_IBTC 32
#define TCX_REASON 40
#define TCX_ARG 44
#define TCX_STUB_EXIT 48
#define TCX_STUB_MISS 56
#define TCX_STUB_INTERP 64
#define TCX_STUB_LEAVE 72
#define TCX_STUB_CHECK 80
#define TCX_STUB_SYSTEM 88
#define TCX_COUNT 96
#define TCX_CPU 104
#define TCX_FX 112
#define TCX_STUB_REFILL 120
#define TCX_TLB 128
#define TCX_TMP 136
#define TCX_OP 144
#define TCX_COUNTS 152
#define TCX_LOADED 160
#define TCX_LOADED_SIZE 16
#define TCX_LOADED_AT 4
#define TCX_LOADED_LO 8
#define TCX_LOADED_HI 12

/* R12 is this much above the software TLB, so that SHRX by R12 shifts by the size of a page */
#define TLB_BIAS 12

/* why translated code came back (TCX_REASON) */
#define LEAVE_EXIT 1    /* direct exit; TCX_ARG = exit id */
#define LEAVE_MISS 2    /* indirect look-up missed; cpu->rip is the target */
#define LEAVE_CALLOUT 3 /* a callout asked to leave; cpu->rip is set */
#define LEAVE_FAULT 4   /* host fault in translated code */
#define LEAVE_ABORT 5   /* kicked before translated code was entered */
#define LEAVE_STOP 6    /* translated code asks for the dispatcher at cpu->rip */

/* answers of the lean path (lean.c) that are no address */
#define LEAN_NO 0
#define LEAN_LEAVE 1

#endif
