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
 * Encoding rules that matter here: rm = 4 announces a SIB byte; base 5 with mod 0 means
 * "no base, disp32" and, without a SIB, RIP-relative; so an absolute address always takes the SIB form, and a base of
 * EBP or R13 always takes a displacement.
 */
void emit_modrm_mem(struct emit *e, unsigned reg, struct xmem m)
{
	unsigned r = (reg & 7) << 3;
	bool sib = m.index != H_NONE || m.base == H_NONE || (m.base & 7) == 4;
	unsigned mod;

	if (m.base == H_NONE)
		mod = 0;
	else if (m.disp == 0 && (m.base & 7) != 5)
		mod = 0;
	else if (m.disp >= -128 && m.disp <= 127)
		mod = 1;
	else
		mod = 2;

	if (sib) {
		unsigned base = m.base == H_NONE ? 5 : m.base & 7;
		unsigned index = m.index == H_NONE ? 4 : m.index & 7;

		emit_u8(e, (uint8_t)(mod << 6 | r | 4));
		emit_u8(e, (uint8_t)(scale_bits(m.scale) << 6 | index << 3 | base));
	} else {
		emit_u8(e, (uint8_t)(mod << 6 | r | (m.base & 7)));
	}
	if (mod == 1)
		emit_u8(e, (uint8_t)m.disp);
	else if (mod == 2 || m.base == H_NONE)
		emit_u32(e, (uint32_t)m.disp);
}

static void emit_opcode(struct emit *e, uint32_t op, unsigned rex)
{
	if (op & X_66)
		emit_u8(e, 0x66);
	if (op & X_F2)
		emit_u8(e, 0xf2);
	if (op & X_F3)
		emit_u8(e, 0xf3);
	if (op & X_W)
		rex |= 8;
	if (rex)
		emit_u8(e, (uint8_t)(0x40 | rex));
	if (op & (X_0F | X_0F38 | X_0F3A))
		emit_u8(e, 0x0f);
	if (op & X_0F38)
		emit_u8(e, 0x38);
	if (op & X_0F3A)
		emit_u8(e, 0x3a);
	emit_u8(e, (uint8_t)op);
}

void emit_rm(struct emit *e, uint32_t op, unsigned reg, struct xmem m)
{
	unsigned rex = emit_rex_of(m) | (reg >= 8 ? 4 : 0);

	if (m.guest)
		emit_u16(e, 0x6765); /* gs, address size */
	emit_opcode(e, op, rex);
	emit_modrm_mem(e, reg, m);
}

void emit_rm_disp32(struct emit *e, uint32_t op, unsigned reg, unsigned base, uint32_t disp)
{
	emit_opcode(e, op, (base >= 8 ? 1 : 0) | (reg >= 8 ? 4 : 0));
	emit_u8(e, (uint8_t)(0x80 | (reg & 7) << 3 | (base & 7)));
	emit_u32(e, disp);
}

void emit_rr(struct emit *e, uint32_t op, unsigned reg, unsigned rm)
{
	emit_opcode(e, op, (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0));
	emit_u8(e, (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7)));
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
	if (reg >= 8)
		emit_u8(e, 0x41);
	emit_u8(e, (uint8_t)(0xb8 | (reg & 7)));
	emit_u32(e, imm);
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
