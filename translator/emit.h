/*
 * A small assembler for the few host instructions that expansions are made of.
 *
 * Callers hand in a buffer with room for CCF_MAX_BYTES; `overflow` is set, and nothing more written, when there is not room for
 * the longest instruction any more. Code is position-independent: it reaches the monitor only
 * through pointers in struct tcx, and its own parts by relative jumps.
 */
#ifndef RINGFENCE_TRANSLATOR_EMIT_H
#define RINGFENCE_TRANSLATOR_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Host registers by number; guest registers keep theirs. */
enum { H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI };
enum { H_R8 = 8, H_R9, H_R10, H_R11, H_R12, H_IBTC = 13, H_TCX = 14, H_CPU = 15, H_NONE = -1 };

struct emit {
	uint8_t *buf;
	size_t len, cap;
	bool overflow;
};

/*
 * A memory operand. `guest`: gs:[...] with the address-size prefix, i.e. confined to
 * the window. Otherwise a 64-bit address in monitor memory (vCPU fields).
 */
struct xmem {
	int8_t base, index; /* host register numbers or H_NONE */
	uint8_t scale;      /* 1, 2, 4, 8 */
	bool guest;
	int32_t disp;
};

static inline struct xmem guest_mem(int base, int32_t disp)
{
	return (struct xmem){(int8_t)base, H_NONE, 1, true, disp};
}
static inline struct xmem cpu_mem(int32_t off) { return (struct xmem){H_CPU, H_NONE, 1, false, off}; }
static inline struct xmem tcx_mem(int32_t off) { return (struct xmem){H_TCX, H_NONE, 1, false, off}; }

/* Flags for emit_rm's `op`: opcode byte in bits 0-7. */
enum {
	X_0F = 1 << 8,    /* 0F map */
	X_0F38 = 1 << 9,
	X_0F3A = 1 << 10,
	X_66 = 1 << 11,
	X_W = 1 << 12,    /* REX.W */
	X_BYTE = 1 << 13, /* 8-bit register operand: SPL.. need a REX, AH.. forbid it (not supported) */
	X_F2 = 1 << 14,
	X_F3 = 1 << 15,
};

void emit_bytes(struct emit *, const void *, size_t);

/* Inline: most of what the translator does ends here. */
static inline bool emit_room(struct emit *e, size_t n)
{
	e->overflow |= e->len + n > e->cap;
	return !e->overflow;
}

static inline void emit_u8(struct emit *e, uint8_t v)
{
	if (emit_room(e, 1))
		e->buf[e->len++] = v;
}

static inline void emit_u16(struct emit *e, uint16_t v)
{
	if (!emit_room(e, 2))
		return;
	memcpy(e->buf + e->len, &v, 2);
	e->len += 2;
}

static inline void emit_u32(struct emit *e, uint32_t v)
{
	if (!emit_room(e, 4))
		return;
	memcpy(e->buf + e->len, &v, 4);
	e->len += 4;
}

/* opcode reg, [mem] — or the store direction, by opcode. */
void emit_rm(struct emit *, uint32_t op, unsigned reg, struct xmem);
/* opcode reg, reg2 (mod = 3) */
void emit_rr(struct emit *, uint32_t op, unsigned reg, unsigned rm);
/* opcode reg, [base + disp], always with four bytes of displacement, and these last; base is not RSP or R12. */
void emit_rm_disp32(struct emit *, uint32_t op, unsigned reg, unsigned base, uint32_t disp);
/* ModRM, SIB and displacement for `reg` and a memory operand; prefixes are the caller's. */
void emit_modrm_mem(struct emit *, unsigned reg, struct xmem);
/* REX bits B and X that a memory operand needs. */
unsigned emit_rex_of(struct xmem);

/* ---- named instructions; none of them touches flags ---- */
void emit_load32(struct emit *, unsigned reg, struct xmem);
void emit_store32(struct emit *, struct xmem, unsigned reg);
void emit_load64(struct emit *, unsigned reg, struct xmem);
void emit_store16(struct emit *, struct xmem, unsigned reg);
void emit_load16zx(struct emit *, unsigned reg, struct xmem);
void emit_store32_imm(struct emit *, struct xmem, uint32_t imm);
void emit_store8_imm(struct emit *, struct xmem, uint8_t imm);
void emit_mov32(struct emit *, unsigned dst, unsigned src);
void emit_mov64(struct emit *, unsigned dst, unsigned src);
void emit_imm32(struct emit *, unsigned reg, uint32_t imm);
void emit_lea32(struct emit *, unsigned reg, struct xmem);
void emit_lea64(struct emit *, unsigned reg, struct xmem);
/* lea reg, [rip + to a place not emitted yet]; patch with emit_patch_here. Returns the patch position. */
size_t emit_lea_rip(struct emit *, unsigned reg);
size_t emit_jmp32(struct emit *);             /* jmp rel32 */
size_t emit_jcc32(struct emit *, unsigned cc); /* 0F 8x rel32 */
size_t emit_jrcxz(struct emit *);             /* rel8 */
size_t emit_jecxz(struct emit *);             /* rel8 */
size_t emit_loop(struct emit *);              /* rel8 */
void emit_patch32(struct emit *, size_t at, size_t target);
void emit_patch8(struct emit *, size_t at, size_t target);
void emit_jmp_mem(struct emit *, struct xmem); /* jmp qword [mem] */

#endif
