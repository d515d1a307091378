/* What translated code asks of lean_system.c: an operation and its operand in one word (tcx.op). */
#ifndef RINGFENCE_TRANSLATOR_LEAN_H
#define RINGFENCE_TRANSLATOR_LEAN_H

#include "translator/internal.h"

/* X(id, text; where the operand is) */
#define LEAN_OPERATIONS(X)                                                                         \
	X(MOV_SEG, "MOV to segment") /* from a register */                                         \
	X(LOAD_SEG, "MOV to segment") /* from memory: the selector is in tcx.tmp */                \
	X(POP_SEG, "POP segment")                                                                  \
	X(POPF, "POPF")                                                                            \
	X(IRET, "IRET")                                                                            \
	X(INT, "INT")                                                                              \
	X(SYSENTER, "SYSENTER")                                                                    \
	X(SYSEXIT, "SYSEXIT")                                                                      \
	X(STRING, "string instruction")                                                            \
	X(PUSHF, "PUSHF") /* in look-up form */                                                    \
	X(PUSH_SEG, "PUSH segment") /* likewise */                                                 \
	X(WRITE_CR, "MOV to CRn")                                                                  \
	X(CLTS, "CLTS")                                                                            \
	X(INVLPG, "INVLPG") /* the address is in tcx.tmp */                                        \
	X(FXSAVE, "FXSAVE") /* likewise */                                                         \
	X(FXRSTOR, "FXRSTOR") /* likewise */                                                       \
	X(IN, "IN")                                                                                \
	X(OUT, "OUT")

enum lean_op {
#define X(id, text) LEAN_##id,
	LEAN_OPERATIONS(X)
#undef X
	LEAN_OPS,
};

/*
 * operation in bits 0-7; segment, control register, vector, opcode or port in 8-15; general register in 16-23, or element size and
 * "repeated" or "port in DX"
 */
#define LEAN_WORD(op, a, b) ((uint32_t)(op) | (uint32_t)(a) << 8 | (uint32_t)(b) << 16)
#define LEAN_OP(word) ((word) & 0xff)
#define LEAN_SEG(word) ((word) >> 8 & 0xff)
#define LEAN_VECTOR(word) ((word) >> 8 & 0xff)
#define LEAN_REG(word) ((word) >> 16 & 0xff)
#define LEAN_OPCODE(word) ((word) >> 8 & 0xff)
#define LEAN_SIZE(word) ((word) >> 16 & 7)
#define LEAN_REPEAT(word) ((word) >> 19 & 1)
#define LEAN_CR(word) ((word) >> 8 & 0xff)
#define LEAN_PORT(word) ((word) >> 8 & 0xff)
#define LEAN_PORT_DX(word) ((word) >> 19 & 1)

/* A look-up that missed: size of the access in bits 0-7, bit 8: to write. */
#define LEAN_ACCESS(size, write) ((uint32_t)(size) | (uint32_t)(write) << 8)
#define LEAN_ACCESS_SIZE(word) ((word) & 0xff)
#define LEAN_ACCESS_WRITE(word) ((word) >> 8 & 1)

void *lean_at_miss(const struct tc *, bool user, uint32_t lin, bool write);
/* Host address of [lin, lin + len), which the interpreter would reach without ado, or null. Never crosses a page. */
static inline void *lean_at(const struct tc *tc, bool user, uint32_t lin, unsigned len, bool write)
{
	void *p;

	if ((lin & PAGE_MASK) + len > PAGE_SIZE)
		return NULL;
	p = softtlb_host(tc->softtlb[user], write, lin);
	return p ? p : lean_at_miss(tc, user, lin, write);
}
/* The same for supervisor reads of four bytes. */
bool lean_read32(const struct tc *, uint32_t lin, uint32_t *value);
/* A flat 32-bit segment of the GDT, of exactly this privilege and accessed already: code that is not conforming, or writable data. */
bool lean_flat_segment(const struct tc *, uint16_t sel, unsigned dpl, bool code, struct cpu_segment *);
/* Deliver #PF for the instruction at cpu->rip. */
uint64_t lean_page_fault(struct tc *, uint32_t va, uint32_t error);
/* The instruction is done: straight on when the mode is the same, else wherever the next one's code is. */
uint64_t lean_next(struct tc *);
/* The instruction is done, and the mode cannot have changed by it. */
static inline uint64_t lean_same(struct tc *tc)
{
	tc->cpu->rip = tc->x.arg;
	return tc->interrupted ? lean_continue(tc) : tc->x.target;
}

typedef uint64_t lean_fn(struct tc *, unsigned op);
lean_fn lean_string;                                     /* lean_string.c */
lean_fn lean_pushf, lean_push_segment;                   /* lean_stack.c */
lean_fn lean_int;                                        /* lean_gate.c */
lean_fn lean_write_cr, lean_clts, lean_invlpg, lean_in, lean_out; /* lean_control.c */
lean_fn lean_fxsave, lean_fxrstor;                       /* lean_fpu.c */

#endif
