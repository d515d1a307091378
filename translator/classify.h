/*
 * Decoding and classification: which guest instruction is translated how, and why.
 *
 * Only decode.c, classify.c and this header name Zydis.
 */
#ifndef RINGFENCE_TRANSLATOR_CLASSIFY_H
#define RINGFENCE_TRANSLATOR_CLASSIFY_H

#include "translator/emit.h"
#include "translator/internal.h"

#include <Zydis/Zydis.h>

/* How an instruction is translated. */
#define ACTIONS(X)                                                               \
	X(INTERPRET) /* one instruction by the interpreter, then on */           \
	X(IDENT)     /* the same operation, re-encoded */                        \
	X(NOP)       /* nothing to do */                                         \
	X(LEA)                                                                   \
	X(PUSH)                                                                  \
	X(POP)                                                                   \
	X(PUSHA)                                                                 \
	X(POPA)                                                                  \
	X(LEAVE)                                                                 \
	X(PUSHF)                                                                 \
	X(CALL)                                                                  \
	X(JMP)                                                                   \
	X(RET)                                                                   \
	X(JCC)                                                                   \
	X(LOOP)                                                                  \
	X(STRING)                                                                \
	X(CLI)                                                                   \
	X(STI)                                                                   \
	X(RDTSC)                                                                 \
	X(MOV)       /* IDENT unless a segment or control register is meant */   \
	X(XLAT)                                                                  \
	X(POPF)                                                                  \
	X(IRET)                                                                  \
	X(INT)                                                                   \
	X(SYSENTER)                                                              \
	X(SYSEXIT)                                                               \
	X(CLTS)                                                                  \
	X(INVLPG)                                                                \
	X(FXSTATE)   /* FXSAVE, FXRSTOR */                                       \
	X(PORT)      /* IN, OUT */                                               \
	X(LEAVE_TC)  /* interpreted, and never followed by the next instruction */

enum action {
#define X(id) ACT_##id,
	ACTIONS(X)
#undef X
};

/* Why an instruction may not simply be copied. */
enum reason {
	WHY_NONE,       /* it may */
	WHY_STACK,      /* 32-bit stack accesses do not exist in 64-bit mode */
	WHY_FLOW,       /* control must stay in the TC */
	WHY_PRIVILEGED, /* faults outside ring 0, or acts on the real machine */
	WHY_SENSITIVE,  /* would silently show or change the host's state */
	WHY_ENCODING,   /* does not exist, or means something else, in 64-bit mode */
	WHY_STRING,     /* ES:EDI takes no segment override */
	WHY_IO,
	WHY_RARE,       /* not worth an expansion */
	WHY_POINTERS,   /* would store host code addresses (x87 instruction pointer) */
};

struct insn_class {
	uint16_t mnemonic;
	uint8_t action;
	uint8_t why;
};

/* A decoded guest instruction. */
struct tinsn {
	uint32_t eip;
	uint32_t next;
	const uint8_t *bytes;
	ZydisDecodedInstruction z; /* DECODING_PARTS of it; the rest is of some instruction before */
	uint8_t action, why;
	uint8_t form;    /* enum form, for its memory operands */
	bool has_mem;    /* explicit memory operand (ModRM or moffs) */
	uint8_t thunk;   /* a call of a thunk (thunk.c): the register that it loads, plus one; else 0 */
	bool varies;     /* loads its immediate from its source (vary.c) */
	uint8_t seg;     /* its segment */
	struct xmem mem; /* its address in guest registers; .guest set */
	uint64_t shape;  /* everything but displacement and immediates; 0: not known to decode_cache.c */
};

/*
 * The parts of a Zydis decoding that the translator looks at: half of it. X(name, offset, size): up to the flags; the kind, and the first
 * prefix; the numbers.
 */
#define DECODING_PARTS(X)                                                                          \
	X(head, 0, 48)                                                                             \
	X(kind, offsetof(ZydisDecodedInstruction, meta), 32)                                       \
	X(numbers, sizeof(ZydisDecodedInstruction) - 80, 80)

void decode_init(void); /* forgets what decode_cache.c has learnt */
/* Decode one instruction of at most `max` bytes; false: not decodable as such (let the interpreter see). */
bool decode(struct tinsn *, const uint8_t *bytes, size_t max, uint32_t eip);

/* Size in bytes and direction of the explicit memory operand; false: none, or its address depends on more than the ModRM. */
bool decode_access(const struct tinsn *, unsigned *size, bool *write);

/* ---- decode.c to decode_cache.c ---- */
struct access {
	uint8_t size; /* 0: decode_access would answer false */
	bool write, known;
};
void decode_forget(void);
/* Decode from memory; false: ask the decoder, then have it remembered. */
bool decode_recall(struct tinsn *, const uint8_t *bytes, size_t max, uint32_t eip);
void decode_remember(struct tinsn *, size_t max);
/* What is kept about an instruction's memory operand; null: nothing is kept about such instructions. */
struct access *decode_access_of(const struct tinsn *);

const struct insn_class *classify(const ZydisDecodedInstruction *);
/* Instruction-set extensions that may be copied for a guest of this model. */
bool classify_isa_allowed(const struct cpu_model *, const ZydisDecodedInstruction *);
const char *classify_why_text(unsigned why);

static inline bool tinsn_op16(const struct tinsn *t) { return t->z.operand_width == 16; }
/* Where a direct near branch leads. */
static inline uint32_t tinsn_target(const struct tinsn *t) { return t->next + (uint32_t)t->z.raw.imm[0].value.s; }

#endif
