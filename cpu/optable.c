/*
 * The dispatch table: which handler executes an instruction, which CPUID
 * feature it needs, and what is peculiar to it.
 *
 * Two tables. `instructions` has a row for each mnemonic with a handler of
 * its own. The rest, the hundreds of vector and floating-point instructions
 * that the host executes, go by instruction set; `instruction_sets` is also the
 * allowlist: a set without a row does not exist on this processor, so that AVX,
 * BMI, MOVBE, RDRAND and whatever the decoder learns next are #UD.
 */
#include <Zydis/Zydis.h>

#include "cpu/ops.h"

#define FEATURE(word, bit) (1 + FEAT_##word * 32 + (bit))

enum {
	ALWAYS = 0, /* what every i686 has */
	F_FPU = FEATURE(1_EDX, 0),
	F_TSC = FEATURE(1_EDX, 4),
	F_MSR = FEATURE(1_EDX, 5),
	F_CX8 = FEATURE(1_EDX, 8),
	F_SEP = FEATURE(1_EDX, 11),
	F_CMOV = FEATURE(1_EDX, 15),
	F_CLFSH = FEATURE(1_EDX, 19),
	F_MMX = FEATURE(1_EDX, 23),
	F_FXSR = FEATURE(1_EDX, 24),
	F_SSE = FEATURE(1_EDX, 25),
	F_SSE2 = FEATURE(1_EDX, 26),
	F_SSE3 = FEATURE(1_ECX, 0),
	F_SSSE3 = FEATURE(1_ECX, 9),
	F_SSE41 = FEATURE(1_ECX, 19),
	F_SSE42 = FEATURE(1_ECX, 20),
	F_POPCNT = FEATURE(1_ECX, 23),
};

struct op_row {
	op_fn *fn;
	uint8_t feature; /* beyond that of its instruction set */
	uint8_t traits;
};

struct isa_row {
	bool known;
	uint8_t feature;
	op_fn *fn; /* for mnemonics without a row */
	uint8_t traits;
};

#define M(name) [ZYDIS_MNEMONIC_##name]
#define I(name) [ZYDIS_ISA_SET_##name]

static const struct isa_row instruction_sets[ZYDIS_ISA_SET_MAX_VALUE + 1] = {
	I(I86) = {true, ALWAYS, NULL, 0},
	I(I186) = {true, ALWAYS, NULL, 0},
	I(I286REAL) = {true, ALWAYS, NULL, 0},
	I(I286PROTECTED) = {true, ALWAYS, NULL, 0},
	I(I386) = {true, ALWAYS, NULL, 0},
	I(I486) = {true, ALWAYS, NULL, 0},
	I(I486REAL) = {true, ALWAYS, NULL, 0},
	I(PENTIUMREAL) = {true, ALWAYS, NULL, 0},
	I(PPRO) = {true, ALWAYS, NULL, 0},
	I(LAHF) = {true, ALWAYS, NULL, 0}, /* its feature bit concerns 64-bit mode alone */
	I(FAT_NOP) = {true, ALWAYS, NULL, 0},
	I(PAUSE) = {true, ALWAYS, NULL, 0},
	I(PREFETCH_NOP) = {true, ALWAYS, NULL, 0},
	I(RDPMC) = {true, ALWAYS, NULL, 0},
	I(CMOV) = {true, F_CMOV, NULL, 0},
	I(CLFSH) = {true, F_CLFSH, NULL, 0},
	I(POPCNT) = {true, F_POPCNT, NULL, 0},
	I(FXSAVE) = {true, F_FXSR, NULL, 0},
	I(X87) = {true, F_FPU, op_x87, 0},
	I(FCMOV) = {true, F_CMOV, op_x87, 0},
	I(SSE3X87) = {true, F_SSE3, op_x87, 0},
	I(PENTIUMMMX) = {true, F_MMX, op_mmx, 0},
	I(SSE_PREFETCH) = {true, F_SSE, op_nop, 0},
	I(PREFETCHWT1) = {true, ALWAYS, op_nop, 0},
	I(SSEMXCSR) = {true, F_SSE, NULL, 0},
	I(SSE) = {true, F_SSE, op_sse, 0},
	I(SSE2) = {true, F_SSE2, op_sse, 0},
	I(SSE2MMX) = {true, F_SSE2, op_mmx, 0},
	I(SSE3) = {true, F_SSE3, op_sse, 0},
	I(SSSE3) = {true, F_SSSE3, op_sse, 0},
	I(SSSE3MMX) = {true, F_SSSE3, op_mmx, 0},
	I(SSE4) = {true, F_SSE41, op_sse, 0},
	I(SSE42) = {true, F_SSE42, op_sse, 0},
};

/* Rows without a handler add to what the instruction set says. */
static const struct op_row instructions[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	/* arithmetic and logic */
	M(ADD) = {op_add, 0, 0}, M(OR) = {op_or, 0, 0}, M(ADC) = {op_adc, 0, 0},
	M(SBB) = {op_sbb, 0, 0}, M(AND) = {op_and, 0, 0}, M(SUB) = {op_sub, 0, 0},
	M(XOR) = {op_xor, 0, 0}, M(CMP) = {op_cmp, 0, 0}, M(TEST) = {op_test, 0, 0},
	M(INC) = {op_inc, 0, 0}, M(DEC) = {op_dec, 0, 0}, M(NEG) = {op_neg, 0, 0},
	M(NOT) = {op_not, 0, 0}, M(XADD) = {op_xadd, 0, 0}, M(CMPXCHG) = {op_cmpxchg, 0, 0},
	M(CMPXCHG8B) = {op_cmpxchg8b, F_CX8, 0},
	M(ROL) = {op_rol, 0, 0}, M(ROR) = {op_ror, 0, 0}, M(RCL) = {op_rcl, 0, 0},
	M(RCR) = {op_rcr, 0, 0}, M(SHL) = {op_shl, 0, 0}, M(SHR) = {op_shr, 0, 0},
	M(SAR) = {op_sar, 0, 0}, M(SHLD) = {op_shld, 0, 0}, M(SHRD) = {op_shrd, 0, 0},
	M(MUL) = {op_mul, 0, 0}, M(IMUL) = {op_imul, 0, 0},
	M(DIV) = {op_div, 0, 0}, M(IDIV) = {op_idiv, 0, 0},
	M(BT) = {op_bt, 0, 0}, M(BTS) = {op_bts, 0, 0}, M(BTR) = {op_btr, 0, 0},
	M(BTC) = {op_btc, 0, 0}, M(BSF) = {op_bsf, 0, 0}, M(BSR) = {op_bsr, 0, 0},
	M(BSWAP) = {op_bswap, 0, 0}, M(POPCNT) = {op_popcnt, 0, 0}, M(CRC32) = {op_crc32, 0, 0},
	M(AAA) = {op_aaa, 0, 0}, M(AAS) = {op_aas, 0, 0}, M(AAM) = {op_aam, 0, 0},
	M(AAD) = {op_aad, 0, 0}, M(DAA) = {op_daa, 0, 0}, M(DAS) = {op_das, 0, 0},

	/* moves */
	M(MOV) = {op_mov_any, 0, 0}, M(MOVZX) = {op_movzx, 0, 0}, M(MOVSX) = {op_movsx, 0, 0},
	M(XCHG) = {op_xchg, 0, 0}, M(LEA) = {op_lea, 0, 0}, M(XLAT) = {op_xlat, 0, 0},
	M(CBW) = {op_cbw, 0, 0}, M(CWDE) = {op_cwde, 0, 0}, M(CWD) = {op_cwd, 0, 0},
	M(CDQ) = {op_cdq, 0, 0}, M(SALC) = {op_salc, 0, 0}, M(MOVNTI) = {op_movnti, 0, 0},
	M(CMOVO) = {op_cmovcc, 0, 0}, M(CMOVNO) = {op_cmovcc, 0, 0}, M(CMOVB) = {op_cmovcc, 0, 0},
	M(CMOVNB) = {op_cmovcc, 0, 0}, M(CMOVZ) = {op_cmovcc, 0, 0}, M(CMOVNZ) = {op_cmovcc, 0, 0},
	M(CMOVBE) = {op_cmovcc, 0, 0}, M(CMOVNBE) = {op_cmovcc, 0, 0}, M(CMOVS) = {op_cmovcc, 0, 0},
	M(CMOVNS) = {op_cmovcc, 0, 0}, M(CMOVP) = {op_cmovcc, 0, 0}, M(CMOVNP) = {op_cmovcc, 0, 0},
	M(CMOVL) = {op_cmovcc, 0, 0}, M(CMOVNL) = {op_cmovcc, 0, 0}, M(CMOVLE) = {op_cmovcc, 0, 0},
	M(CMOVNLE) = {op_cmovcc, 0, 0},
	M(SETO) = {op_setcc, 0, 0}, M(SETNO) = {op_setcc, 0, 0}, M(SETB) = {op_setcc, 0, 0},
	M(SETNB) = {op_setcc, 0, 0}, M(SETZ) = {op_setcc, 0, 0}, M(SETNZ) = {op_setcc, 0, 0},
	M(SETBE) = {op_setcc, 0, 0}, M(SETNBE) = {op_setcc, 0, 0}, M(SETS) = {op_setcc, 0, 0},
	M(SETNS) = {op_setcc, 0, 0}, M(SETP) = {op_setcc, 0, 0}, M(SETNP) = {op_setcc, 0, 0},
	M(SETL) = {op_setcc, 0, 0}, M(SETNL) = {op_setcc, 0, 0}, M(SETLE) = {op_setcc, 0, 0},
	M(SETNLE) = {op_setcc, 0, 0},
	M(NOP) = {op_nop, 0, 0}, M(PAUSE) = {op_nop, 0, 0}, M(PREFETCH) = {op_nop, 0, 0},
	M(PREFETCHW) = {op_nop, 0, 0}, M(SFENCE) = {op_nop, 0, 0}, M(LFENCE) = {op_nop, 0, 0},
	M(MFENCE) = {op_nop, 0, 0}, M(CLFLUSH) = {op_clflush, 0, 0},
	M(UD0) = {op_ud, 0, 0}, M(UD1) = {op_ud, 0, 0}, M(UD2) = {op_ud, 0, 0},

	/* stack */
	M(PUSH) = {op_push_any, 0, 0}, M(POP) = {op_pop_any, 0, 0},
	M(PUSHA) = {op_pusha, 0, 0}, M(PUSHAD) = {op_pusha, 0, 0},
	M(POPA) = {op_popa, 0, 0}, M(POPAD) = {op_popa, 0, 0},
	M(ENTER) = {op_enter, 0, 0}, M(LEAVE) = {op_leave, 0, 0},
	M(PUSHF) = {op_pushf, 0, 0}, M(PUSHFD) = {op_pushf, 0, 0},
	M(POPF) = {op_popf, 0, 0}, M(POPFD) = {op_popf, 0, 0},

	/* control transfers */
	M(JMP) = {op_jmp_any, 0, 0}, M(CALL) = {op_call_any, 0, 0}, M(RET) = {op_ret_any, 0, 0},
	M(JO) = {op_jcc, 0, 0}, M(JNO) = {op_jcc, 0, 0}, M(JB) = {op_jcc, 0, 0},
	M(JNB) = {op_jcc, 0, 0}, M(JZ) = {op_jcc, 0, 0}, M(JNZ) = {op_jcc, 0, 0},
	M(JBE) = {op_jcc, 0, 0}, M(JNBE) = {op_jcc, 0, 0}, M(JS) = {op_jcc, 0, 0},
	M(JNS) = {op_jcc, 0, 0}, M(JP) = {op_jcc, 0, 0}, M(JNP) = {op_jcc, 0, 0},
	M(JL) = {op_jcc, 0, 0}, M(JNL) = {op_jcc, 0, 0}, M(JLE) = {op_jcc, 0, 0},
	M(JNLE) = {op_jcc, 0, 0}, M(JCXZ) = {op_jcxz, 0, 0}, M(JECXZ) = {op_jcxz, 0, 0},
	M(LOOP) = {op_loop, 0, 0}, M(LOOPE) = {op_loope, 0, 0}, M(LOOPNE) = {op_loopne, 0, 0},
	M(BOUND) = {op_bound, 0, 0},
	M(INT) = {op_int, 0, TRAIT_NO_STEP}, M(INT3) = {op_int3, 0, TRAIT_NO_STEP},
	M(INTO) = {op_into, 0, TRAIT_NO_STEP}, M(INT1) = {op_int1, 0, TRAIT_NO_STEP},
	M(IRET) = {op_iret, 0, 0}, M(IRETD) = {op_iret, 0, 0},
	M(SYSENTER) = {op_sysenter, F_SEP, 0}, M(SYSEXIT) = {op_sysexit, F_SEP, 0},

	/* strings; MOVSD and CMPSD are SSE2 instructions as well */
	M(MOVSB) = {op_movs, 0, 0}, M(MOVSW) = {op_movs, 0, 0}, M(MOVSD) = {op_movsd_any, 0, 0},
	M(STOSB) = {op_stos, 0, 0}, M(STOSW) = {op_stos, 0, 0}, M(STOSD) = {op_stos, 0, 0},
	M(LODSB) = {op_lods, 0, 0}, M(LODSW) = {op_lods, 0, 0}, M(LODSD) = {op_lods, 0, 0},
	M(CMPSB) = {op_cmps, 0, 0}, M(CMPSW) = {op_cmps, 0, 0}, M(CMPSD) = {op_cmpsd_any, 0, 0},
	M(SCASB) = {op_scas, 0, 0}, M(SCASW) = {op_scas, 0, 0}, M(SCASD) = {op_scas, 0, 0},
	M(INSB) = {op_ins, 0, 0}, M(INSW) = {op_ins, 0, 0}, M(INSD) = {op_ins, 0, 0},
	M(OUTSB) = {op_outs, 0, 0}, M(OUTSW) = {op_outs, 0, 0}, M(OUTSD) = {op_outs, 0, 0},

	/* flags */
	M(CLC) = {op_clc, 0, 0}, M(STC) = {op_stc, 0, 0}, M(CMC) = {op_cmc, 0, 0},
	M(CLD) = {op_cld, 0, 0}, M(STD) = {op_std, 0, 0}, M(CLI) = {op_cli, 0, 0},
	M(STI) = {op_sti, 0, 0}, M(LAHF) = {op_lahf, 0, 0}, M(SAHF) = {op_sahf, 0, 0},

	/* segments */
	M(LDS) = {op_load_far_pointer, 0, 0}, M(LES) = {op_load_far_pointer, 0, 0},
	M(LFS) = {op_load_far_pointer, 0, 0}, M(LGS) = {op_load_far_pointer, 0, 0},
	M(LSS) = {op_load_far_pointer, 0, 0},
	M(LGDT) = {op_lgdt, 0, 0}, M(LIDT) = {op_lidt, 0, 0}, M(SGDT) = {op_sgdt, 0, 0},
	M(SIDT) = {op_sidt, 0, 0}, M(LLDT) = {op_lldt, 0, 0}, M(LTR) = {op_ltr, 0, 0},
	M(SLDT) = {op_sldt, 0, 0}, M(STR) = {op_str, 0, 0}, M(LAR) = {op_lar, 0, 0},
	M(LSL) = {op_lsl, 0, 0}, M(VERR) = {op_verr, 0, 0}, M(VERW) = {op_verw, 0, 0},
	M(ARPL) = {op_arpl, 0, 0},

	/* system */
	M(HLT) = {op_hlt, 0, 0}, M(CLTS) = {op_clts, 0, 0}, M(LMSW) = {op_lmsw, 0, 0},
	M(SMSW) = {op_smsw, 0, 0}, M(INVLPG) = {op_invlpg, 0, 0}, M(INVD) = {op_invd, 0, 0},
	M(WBINVD) = {op_wbinvd, 0, 0}, M(CPUID) = {op_cpuid, 0, 0}, M(RDTSC) = {op_rdtsc, F_TSC, 0},
	M(RDPMC) = {op_rdpmc, 0, 0}, M(RDMSR) = {op_rdmsr, F_MSR, 0}, M(WRMSR) = {op_wrmsr, F_MSR, 0},
	M(RSM) = {op_rsm, 0, 0}, M(IN) = {op_in, 0, 0}, M(OUT) = {op_out, 0, 0},

	/* x87 and vector state */
	M(FWAIT) = {op_fwait, 0, 0}, M(FNINIT) = {op_fninit, 0, 0}, M(FNCLEX) = {op_fnclex, 0, 0},
	M(FNSTCW) = {op_fnstcw, 0, 0}, M(FLDCW) = {op_fldcw, 0, 0}, M(FNSTSW) = {op_fnstsw, 0, 0},
	M(FNSTENV) = {op_fnstenv, 0, 0}, M(FLDENV) = {op_fldenv, 0, 0},
	M(FNSAVE) = {op_fnsave, 0, 0}, M(FRSTOR) = {op_frstor, 0, 0},
	M(FENI8087_NOP) = {op_fpu_nop, 0, 0}, M(FDISI8087_NOP) = {op_fpu_nop, 0, 0},
	M(FSETPM287_NOP) = {op_fpu_nop, 0, 0},
	M(FXSAVE) = {op_fxsave, 0, 0}, M(FXRSTOR) = {op_fxrstor, 0, 0},
	M(FISTTP) = {op_x87, F_SSE3, 0}, /* one of its forms is filed under SSE3 */
	M(FCOMI) = {op_x87, F_CMOV, 0}, M(FCOMIP) = {op_x87, F_CMOV, 0},
	M(FUCOMI) = {op_x87, F_CMOV, 0}, M(FUCOMIP) = {op_x87, F_CMOV, 0},
	M(LDMXCSR) = {op_ldmxcsr, 0, 0}, M(STMXCSR) = {op_stmxcsr, 0, 0},
	M(MASKMOVQ) = {op_maskmov, F_SSE, 0}, M(MASKMOVDQU) = {op_maskmov, 0, 0},

	/* integer instructions that SSE gave to MMX, where the set says MMX */
	M(MOVNTQ) = {NULL, F_SSE, 0}, M(PAVGB) = {NULL, F_SSE, 0}, M(PAVGW) = {NULL, F_SSE, 0},
	M(PEXTRW) = {NULL, F_SSE, 0}, M(PINSRW) = {NULL, F_SSE, 0}, M(PMAXSW) = {NULL, F_SSE, 0},
	M(PMAXUB) = {NULL, F_SSE, 0}, M(PMINSW) = {NULL, F_SSE, 0}, M(PMINUB) = {NULL, F_SSE, 0},
	M(PMULHUW) = {NULL, F_SSE, 0}, M(PSADBW) = {NULL, F_SSE, 0}, M(PSHUFW) = {NULL, F_SSE, 0},

	/* peculiar vector instructions */
	M(MOVUPS) = {NULL, 0, TRAIT_UNALIGNED}, M(MOVUPD) = {NULL, 0, TRAIT_UNALIGNED},
	M(MOVDQU) = {NULL, 0, TRAIT_UNALIGNED}, M(LDDQU) = {NULL, 0, TRAIT_UNALIGNED},
	M(PCMPESTRI) = {NULL, 0, TRAIT_UNALIGNED | TRAIT_INDEX},
	M(PCMPISTRI) = {NULL, 0, TRAIT_UNALIGNED | TRAIT_INDEX},
	M(PCMPESTRM) = {NULL, 0, TRAIT_UNALIGNED}, M(PCMPISTRM) = {NULL, 0, TRAIT_UNALIGNED},
	M(CVTPI2PS) = {NULL, 0, TRAIT_MMX}, M(CVTPI2PD) = {NULL, 0, TRAIT_MMX},
	M(CVTPS2PI) = {NULL, 0, TRAIT_MMX}, M(CVTPD2PI) = {NULL, 0, TRAIT_MMX},
	M(CVTTPS2PI) = {NULL, 0, TRAIT_MMX}, M(CVTTPD2PI) = {NULL, 0, TRAIT_MMX},
	M(MOVDQ2Q) = {NULL, 0, TRAIT_MMX}, M(MOVQ2DQ) = {NULL, 0, TRAIT_MMX},
};

static bool has_feature(const struct cpu *cpu, unsigned feature)
{
	return feature == ALWAYS || cpu_has(cpu, (feature - 1) / 32, (feature - 1) % 32);
}

op_fn *cpu_find_handler(const struct cpu *cpu, const struct insn *insn)
{
	const struct isa_row *isa = &instruction_sets[insn->isa_set];
	const struct op_row *row = &instructions[insn->mnemonic];

	if (!isa->known || !has_feature(cpu, isa->feature) || !has_feature(cpu, row->feature))
		return NULL;
	/* PMOVMSKB of an MMX register came with SSE, but is an MMX instruction to CR4. */
	if (insn->mnemonic == ZYDIS_MNEMONIC_PMOVMSKB && !insn->mandatory)
		return op_mmx;
	return row->fn ? row->fn : isa->fn;
}

unsigned insn_traits(const struct insn *insn)
{
	return instructions[insn->mnemonic].traits;
}
