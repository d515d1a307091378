/*
 * Inside the verifier (verify.c, verify_insn.c, verify_table.c).
 *
 * Each emitted instruction has a kind. Most are plain: harmless wherever they stand. The others are
 * harmless only within a sequence, so the kinds have a grammar, which verify.c checks:
 *
 *   mov r9,rsp | mov rsp,[host_rsp] | pushfq | pop r8 | mov rsp,r9      PUSHFD
 *   and r8d,FL_HOST | or r8d,FL_IF_FIXED | mov r9,rsp | mov rsp,[host_rsp] | push r8 | popfq | mov rsp,r9      POPFD
 *   mov r8,[window] | lea rsi,[r8+rsi] | lea rdi,[r8+rdi] | string | mov esi,esi | mov edi,edi
 *   movzx r9d,r8w | jmp [r13+r9*8]                                      indirect branch
 *   mov r8d,imm | lea r9,[rip+d] | mov r10d,imm | jmp [callout stub]     callout
 *   mov r9,rcx ... jrcxz ... mov rcx,r9                                  test without flags
 *   mov rcx,r9 | jmp [miss] | mov r9,rcx ... loop | mov rcx,r9           the same, back to the start of the code
 *   K_EA to K_HOST_ACCESS                                               look-up form (xl_lookup.c)
 *   mov r11d,word | callout                                             a system instruction by the lean path
 *   mov r11d,imm | lea r9,[rip+d] | mov r10d,imm | jmp [refill]         a look-up that missed
 *   mov r8,source | load from [r8+n]                                    the unit's own source (vary.c)
 *   mov r8,[counts] | mov r9,[r8+n] | lea r9,[r9+1] | mov [r8+n],r9      counting (counts.c)
 */
#ifndef RINGFENCE_TRANSLATOR_VERIFY_H
#define RINGFENCE_TRANSLATOR_VERIFY_H

#include "translator/internal.h"

#include <capstone/capstone.h>

enum kind {
	K_PLAIN,
	K_JUMP,      /* direct jump, not conditional */
	K_JCC,       /* direct branch, conditional (LOOP and JECXZ too) */
	K_SAVE_RCX,
	K_RESTORE_RCX,
	K_JRCXZ,
	K_ISLAND,    /* mov rcx, r9 at the very start: where K_LOOP goes */
	K_LOOP,      /* to there while ECX is saved */
	K_BOTH_ZERO, /* lea rcx, [r10 + r11*8] between the two */
	K_SAVE_RSP,
	K_HOST_RSP,
	K_PUSHFQ,
	K_POP_R8,
	K_GUEST_FLAGS, /* and r8d, those that the guest may set */
	K_FIXED_FLAGS, /* or r8d, those that are always set */
	K_SAVE_RSP_POPF,
	K_HOST_RSP_POPF,
	K_PUSH_R8,
	K_POPFQ,
	K_RESTORE_RSP,
	K_WINDOW,
	K_BASE_RSI,
	K_BASE_RDI,
	K_STRING,
	K_CUT_RSI,
	K_CUT_RDI,
	K_IMM_R8,
	K_IMM_R9,
	K_IMM_R10,
	K_ACCESS_R10, /* the same behind K_RETRY_R9 */
	K_IMM_R11,
	K_NEXT_R9,   /* lea r9, [rip + d] behind K_IMM_R8 */
	K_RETRY_R9,  /* elsewhere */
	K_INDEX_R9,
	K_JUMP_TABLE,
	K_JUMP_SLOT, /* jmp [r13 + constant] */
	K_JUMP_EXIT,
	K_JUMP_MISS,
	K_JUMP_LEAVE,
	K_JUMP_CALLOUT,
	K_JUMP_SYSTEM,
	K_JUMP_REFILL,
	K_RDTSC,
	K_TSC_HIGH, /* mov r8d, edx */
	K_SOURCE,   /* mov r8, imm64 */
	K_SOURCE_READ,
	/* look-up form, in this order */
	K_EA,        /* lea r8d, [...] */
	K_PAGE,      /* shrx r11d, r8d, r12d */
	K_INDEX,     /* movzx r10d, r11w */
	K_LAST_BYTE, /* lea r11d, [r8 + n]; this and the next unless it is a byte that is accessed */
	K_LAST_PAGE, /* shrx r11d, r11d, r12d */
	K_SAVE_RCX_LOOKUP,
	K_TAG,       /* mov ecx, [r12 + r10*4 + minus_page] */
	K_COMPARE,   /* lea ecx, [rcx + r11] */
	K_JRCXZ_LOOKUP,
	K_HIT,       /* mov rcx, r9 where that JRCXZ leads */
	K_DELTA,     /* mov r10, [r12 + r10*8 + delta] */
	K_TAKE_BACK, /* mov r11d, [r14 + tmp] */
	K_HALVES,    /* xchg of a register's two low bytes */
	K_HOST_ACCESS, /* any permitted instruction on [r10 + r8] */
	/* counting, in this order */
	K_COUNTS,      /* mov r8, [r14 + counts] */
	K_COUNT_LOAD,  /* mov r9, [r8 + counter] */
	K_COUNT_ADD,   /* lea r9, [r9 + 1] */
	K_COUNT_STORE, /* mov [r8 + counter], r9 */
	K_COUNT,
};

/* Which of RSI and RDI a string instruction uses, or has been rebased. */
enum { USES_RSI = 1, USES_RDI = 2 };

/* What verify_insn finds out about one instruction. */
struct vinsn {
	enum kind kind;
	bool guest_memory; /* may fault */
	bool writes_r9;
	uint8_t string;    /* K_STRING: USES_* */
	bool writes;       /* K_HOST_ACCESS: memory; K_TAG, K_DELTA: of pages to write */
	unsigned size;     /* K_HOST_ACCESS, K_SOURCE_READ: bytes; K_LAST_BYTE: n + 1 */
	int64_t target;    /* direct branches and K_NEXT_R9: offset in the code */
	uint32_t imm;      /* K_IMM_*: the constant */
	bool check;        /* K_JUMP_CALLOUT: to the stub that checks a CCF's source */
	int64_t source;    /* K_SOURCE: the address; K_SOURCE_READ: the displacement */
	int64_t counter;   /* K_COUNT_LOAD, K_COUNT_STORE: whose; -1: nobody's */
};

/* Legacy prefixes and REX, scanned without Capstone's help. */
struct vprefix {
	bool gs, addr32, op16, rep, lock;
	uint8_t rex;
	uint8_t opcode; /* first byte behind them */
};

/* Classify and check one instruction by itself. Null: accepted; else the rule that it breaks. */
const char *verify_insn(const cs_insn *, uint32_t mode, struct vinsn *);

/* ---- verify_table.c ---- */
/* False: one that may not be there. */
bool verify_scan_prefixes(const cs_insn *, struct vprefix *);
bool verify_id_allowed(const cs_insn *);
bool verify_writes_memory(const cs_insn *, unsigned operand);
unsigned verify_true_size(const cs_insn *, unsigned reported);

enum reg_class { RC_NONE, RC_GUEST8, RC_GUEST16, RC_GUEST32, RC_GUEST64, RC_SCRATCH, RC_PINNED, RC_VECTOR, RC_BAD };
enum reg_class verify_reg_class(unsigned reg);

enum { FIELD_READ = 1, FIELD_WRITE = 2 };
/* Rights to a field of struct tcx (R14) or struct cpu (R15), by exact offset and size; 0: none. */
unsigned verify_field_rights(bool tcx, int64_t disp, unsigned size);

#endif
