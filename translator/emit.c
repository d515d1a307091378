#include "translator/emit.h"

#include <string.h>

void emit_bytes(struct emit *e, const void *p, size_t n)
{
	if (!emit_room(e, n))
		return;
	memcpy(e->buf + e->len, p, n);
	e->len += n;
}

unsigned emit_rex_of(struct xmem m)
{
	unsigned rex = 0;

	if (m.base >= 8)
		rex |= 1;
	if (m.index >= 8)
		rex |= 2;
	return rex;
}

static unsigned scale_bits(unsigned scale)
{
	return scale == 8 ? 3 : scale >> 1;
}

/*
 * Most of what the translator emits comes by here, so an instruction is written through a plain pointer, after one look whether the
 * longest there is has room.
 */
enum { LONGEST = 15 };

static inline uint8_t *put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline unsigned mod_of(struct xmem m)
{
	if (m.base == H_NONE || (m.disp == 0 && (m.base & 7) != 5))
		return 0;
	return m.disp >= -128 && m.disp <= 127 ? 1 : 2;
}

/*
 * Encoding rules that matter here: rm = 4 announces a SIB byte; base 5 with mod 0 means
 * "no base, disp32" and, without a SIB, RIP-relative; so an absolute address always takes the SIB form, and a base of
 * EBP or R13 always takes a displacement.
 */
static inline uint8_t *put_modrm_mem(uint8_t *p, unsigned reg, struct xmem m)
{
	unsigned mod = mod_of(m), r = (reg & 7) << 3;

	if (m.index != H_NONE || m.base == H_NONE || (m.base & 7) == 4) {
		unsigned base = m.base == H_NONE ? 5 : m.base & 7;
		unsigned index = m.index == H_NONE ? 4 : m.index & 7;

		*p++ = (uint8_t)(mod << 6 | r | 4);
		*p++ = (uint8_t)(scale_bits(m.scale) << 6 | index << 3 | base);
	} else {
		*p++ = (uint8_t)(mod << 6 | r | (m.base & 7));
	}
	if (mod == 1)
		*p++ = (uint8_t)m.disp;
	else if (mod == 2 || m.base == H_NONE)
		p = put32(p, (uint32_t)m.disp);
	return p;
}

static inline uint8_t *put_opcode(uint8_t *p, uint32_t op, unsigned rex)
{
	if (op & X_66)
		*p++ = 0x66;
	if (op & X_F2)
		*p++ = 0xf2;
	if (op & X_F3)
		*p++ = 0xf3;
	if (op & X_W)
		rex |= 8;
	if (rex)
		*p++ = (uint8_t)(0x40 | rex);
	if (op & (X_0F | X_0F38 | X_0F3A))
		*p++ = 0x0f;
	if (op & X_0F38)
		*p++ = 0x38;
	if (op & X_0F3A)
		*p++ = 0x3a;
	*p++ = (uint8_t)op;
	return p;
}

static inline uint8_t *here(const struct emit *e)
{
	return e->buf + e->len;
}

static inline void done(struct emit *e, const uint8_t *end)
{
	e->len = (size_t)(end - e->buf);
}

void emit_modrm_mem(struct emit *e, unsigned reg, struct xmem m)
{
	if (emit_room(e, LONGEST))
		done(e, put_modrm_mem(here(e), reg, m));
}

void emit_rm(struct emit *e, uint32_t op, unsigned reg, struct xmem m)
{
	uint8_t *p = here(e);

	if (!emit_room(e, LONGEST))
		return;
	if (m.guest) {
		*p++ = 0x65; /* gs */
		*p++ = 0x67; /* address size */
	}
	p = put_opcode(p, op, emit_rex_of(m) | (reg >= 8 ? 4 : 0));
	done(e, put_modrm_mem(p, reg, m));
}

void emit_rm_disp32(struct emit *e, uint32_t op, unsigned reg, unsigned base, uint32_t disp)
{
	uint8_t *p;

	if (!emit_room(e, LONGEST))
		return;
	p = put_opcode(here(e), op, (base >= 8 ? 1 : 0) | (reg >= 8 ? 4 : 0));
	*p++ = (uint8_t)(0x80 | (reg & 7) << 3 | (base & 7));
	done(e, put32(p, disp));
}

void emit_rr(struct emit *e, uint32_t op, unsigned reg, unsigned rm)
{
	uint8_t *p;

	if (!emit_room(e, LONGEST))
		return;
	p = put_opcode(here(e), op, (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0));
	*p++ = (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7));
	done(e, p);
}

void emit_load32(struct emit *e, unsigned reg, struct xmem m) { emit_rm(e, 0x8b, reg, m); }
void emit_store32(struct emit *e, struct xmem m, unsigned reg) { emit_rm(e, 0x89, reg, m); }
void emit_load64(struct emit *e, unsigned reg, struct xmem m) { emit_rm(e, 0x8b | X_W, reg, m); }
void emit_store16(struct emit *e, struct xmem m, unsigned reg) { emit_rm(e, 0x89 | X_66, reg, m); }
void emit_load16zx(struct emit *e, unsigned reg, struct xmem m) { emit_rm(e, 0xb7 | X_0F, reg, m); }
void emit_mov32(struct emit *e, unsigned dst, unsigned src) { emit_rr(e, 0x89, src, dst); }
void emit_mov64(struct emit *e, unsigned dst, unsigned src) { emit_rr(e, 0x89 | X_W, src, dst); }
void emit_jmp_mem(struct emit *e, struct xmem m) { emit_rm(e, 0xff, 4, m); }

void emit_store32_imm(struct emit *e, struct xmem m, uint32_t imm)
{
	emit_rm(e, 0xc7, 0, m);
	emit_u32(e, imm);
}

void emit_store8_imm(struct emit *e, struct xmem m, uint8_t imm)
{
	emit_rm(e, 0xc6, 0, m);
	emit_u8(e, imm);
}

void emit_imm32(struct emit *e, unsigned reg, uint32_t imm)
{
	uint8_t *p = here(e);

	if (!emit_room(e, LONGEST))
		return;
	if (reg >= 8)
		*p++ = 0x41;
	*p++ = (uint8_t)(0xb8 | (reg & 7));
	done(e, put32(p, imm));
}

void emit_lea32(struct emit *e, unsigned reg, struct xmem m)
{
	m.guest = false;
	emit_rm(e, 0x8d, reg, m);
}

void emit_lea64(struct emit *e, unsigned reg, struct xmem m)
{
	m.guest = false;
	emit_rm(e, 0x8d | X_W, reg, m);
}

size_t emit_lea_rip(struct emit *e, unsigned reg)
{
	emit_u8(e, reg >= 8 ? 0x4c : 0x48);
	emit_u8(e, 0x8d);
	emit_u8(e, (uint8_t)((reg & 7) << 3 | 5));
	emit_u32(e, 0);
	return e->len - 4;
}

size_t emit_jmp32(struct emit *e)
{
	emit_u8(e, 0xe9);
	emit_u32(e, 0);
	return e->len - 4;
}

size_t emit_jcc32(struct emit *e, unsigned cc)
{
	emit_u8(e, 0x0f);
	emit_u8(e, (uint8_t)(0x80 | cc));
	emit_u32(e, 0);
	return e->len - 4;
}

size_t emit_jrcxz(struct emit *e)
{
	emit_u16(e, 0x00e3);
	return e->len - 1;
}

size_t emit_jecxz(struct emit *e)
{
	emit_u8(e, 0x67);
	return emit_jrcxz(e);
}

size_t emit_loop(struct emit *e)
{
	emit_u16(e, 0x00e2);
	return e->len - 1;
}

void emit_patch32(struct emit *e, size_t at, size_t target)
{
	int32_t rel = (int32_t)(target - (at + 4));

	if (!e->overflow)
		memcpy(e->buf + at, &rel, 4);
}

void emit_patch8(struct emit *e, size_t at, size_t target)
{
	if (!e->overflow)
		e->buf[at] = (uint8_t)(target - (at + 1));
}
