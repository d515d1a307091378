/* What translated code asks of lean_system.c: an operation and its operand in one word (tcx.op). */
#ifndef RINGFENCE_TRANSLATOR_LEAN_H
#define RINGFENCE_TRANSLATOR_LEAN_H

#include "translator/internal.h"

#include <assert.h>
#include <string.h>

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
/*
 * EFLAGS by themselves: they have just been written, and a compiler that tests them together with their neighbours by one wide load waits
 * a dozen cycles for it.
 */
static inline uint32_t lean_eflags(const struct cpu *c)
{
	return *(const volatile uint32_t *)&c->eflags;
}

/* A GDT entry; false: it has none, or not without ado. The LDT is left to the interpreter. */
static inline bool lean_descriptor(const struct tc *tc, uint16_t sel, uint64_t *d)
{
	uint32_t off = sel & ~7u;
	const void *p;

	if ((sel & 4) || off + 7 > tc->cpu->gdtr.limit)
		return false;
	p = lean_at(tc, false, (uint32_t)tc->cpu->gdtr.base + off, 8, false);
	if (p)
		memcpy(d, p, 8);
	return p;
}

static inline uint16_t lean_attr(uint64_t d)
{
	return (uint16_t)((d >> 40 & 0xff) | (d >> 52 & 0xf) << 8);
}

/*
 * A flat 32-bit segment of the GDT, of exactly this privilege and accessed already: code that is not conforming, or writable
 * data. SDM, "Segment Descriptors": G, D/B, limit 19:16 and P, DPL, S, type are bits 55-52, 51-48 and 47-40; L, AVL and code's R may be
 * either.
 */
static inline bool lean_flat_segment(const struct tc *tc, uint16_t sel, unsigned dpl, bool code, struct cpu_segment *out)
{
	const uint64_t free = 3ull << 52 | (code ? 1ull << 41 : 0);
	const uint64_t want = (code ? 0x00cf99000000ffff : 0x00cf93000000ffff) | (uint64_t)dpl << 45;
	uint64_t d;

	if (!(sel & ~3u) || !lean_descriptor(tc, sel, &d) || ((d ^ want) & ~free))
		return false;
	out->base = 0;
	out->limit = 0xffffffff;
	out->sel = sel;
	out->attr = lean_attr(d);
	return true;
}

/* Deliver #PF for the instruction at cpu->rip, if that is what its access gets; `host`: an address in its translation. */
uint64_t lean_access_fault(struct tc *, bool write, uint32_t va, uint64_t host);
/* `mode` was worked out from what has changed, which is shorter than asking again for all of it. */
static inline void lean_check_mode(const struct tc *tc, uint32_t mode)
{
#ifdef RINGFENCE_DEBUG
	assert(mode == mode_of(tc->cpu));
#endif
}
/* What a system instruction leads to, at cpu->rip: another mode, or any. `mode` is what mode_of would say: code is to be translated. */
uint64_t lean_switch(struct tc *, uint32_t mode);
uint64_t lean_continue(struct tc *);
/* Behind a change of privilege, CS, SS or EFLAGS: both segments are flat, 32-bit. */
static inline uint64_t lean_privilege(struct tc *tc)
{
	const uint32_t kept = MODE_FLAT_DS | MODE_FLAT_ES | MODE_FULL_FS | MODE_FPU;
	const struct cpu *c = tc->cpu;
	uint32_t flags = lean_eflags(c), iopl = (flags & FL_IOPL) >> 12;
	uint32_t mode = (tc->mode & kept) | MODE_CODE32 | MODE_STACK32 | MODE_FLAT_CS | MODE_FLAT_SS | iopl << MODE_IOPL_SHIFT;

	if (flags & (FL_NT | FL_AC))
		return lean_continue(tc);
	if (c->cpl == 0)
		mode |= MODE_CPL0 | MODE_CLI_OK | MODE_TSC_OK;
	else
		mode |= MODE_USER | (iopl == 3 ? MODE_CLI_OK : 0) | (c->cr4 & CR4_TSD ? 0 : MODE_TSC_OK);
	mode |= mode_gs(c) | (mode & MODE_FPU ? mode_sse(c) : 0);
	lean_check_mode(tc, mode);
	return lean_switch(tc, mode);
}
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
