/*
 * Memory operands and the instructions that are copied.
 *
 *   guest   8B 44 91 08           mov eax, [ecx+edx*4+8]
 *   host    65 67 8B 44 91 08     mov eax, gs:[ecx+edx*4+8]
 *
 * Two prefixes confine the access to the window and make the address wrap at 32 bits.
 */
#include "translator/tu.h"

bool xl_segment_flat(const struct tu *u, unsigned seg)
{
	switch (seg) {
	case S_DS:
		return u->mode & MODE_FLAT_DS;
	case S_ES:
		return u->mode & MODE_FLAT_ES;
	case S_SS:
		return u->mode & MODE_FLAT_SS;
	default:
		return false; /* CS: not writable; FS, GS: have a base */
	}
}

bool xl_stack_flat(const struct tu *u)
{
	return (u->mode & MODE_FLAT_SS) && (u->mode & MODE_STACK32);
}

/* The base goes where the operand has a free slot. RSP cannot be an index, and need not: it would be the base. */
bool xl_add_base(struct tu *u, unsigned seg, struct xmem *m)
{
	if (seg == S_GS && (u->mode & MODE_CPL0))
		mode_ring0_gs = true; /* from the next look at the mode on */
	if (!(seg == S_FS && (u->mode & MODE_FULL_FS)) && !(seg == S_GS && (u->mode & MODE_FULL_GS)))
		return false;
	emit_load32(&u->e, H_R8, cpu_mem((int32_t)(CPU_SEG + seg * CPU_SEG_SIZE + CPU_SEG_BASE)));
	if (m->base == H_NONE) {
		m->base = H_R8;
	} else if (m->index == H_NONE) {
		m->index = H_R8;
		m->scale = 1;
	} else {
		emit_lea32(&u->e, H_R9, *m);
		*m = (struct xmem){H_R9, H_R8, 1, true, 0};
	}
	return true;
}

bool xl_mem(struct tu *u, const struct tinsn *t, struct xmem *m)
{
	if (t->form == FORM_LOOKUP)
		return xl_lookup(u, t, m);
	*m = t->mem;
	return xl_segment_flat(u, t->seg) || xl_add_base(u, t->seg, m);
}

bool xl_stack_mem(struct tu *u, const struct tinsn *t, unsigned base, int32_t disp, unsigned size,
		  bool write, struct xmem *m)
{
	*m = guest_mem((int)base, base == H_RSP ? disp + u->pending : disp);
	return t->form != FORM_LOOKUP || xl_lookup_at(u, t, *m, size, write, m);
}

/* Does ModRM.reg name a byte register? (AH..BH have no encoding beside a REX prefix.) */
static bool reg_field_is_byte(const ZydisDecodedInstruction *z)
{
	uint8_t op = z->opcode;

	if (z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
		return (op < 0x40 && (op & 7) <= 2 && !(op & 1)) || op == 0x84 || op == 0x86 ||
		       op == 0x88 || op == 0x8a;
	return z->opcode_map == ZYDIS_OPCODE_MAP_0F && (op == 0xb0 || op == 0xc0);
}

/*
 * Legacy prefixes that stay: operand size, then LOCK, F2 or F3; in this order, whatever the guest's. F2 and F3 only where they
 * choose the instruction: elsewhere they mean nothing, or (XACQUIRE, TZCNT) what the guest's processor does not have.
 */
static void keep_prefixes(struct tu *u, const ZydisDecodedInstruction *z)
{
	bool bit_scan = z->mnemonic == ZYDIS_MNEMONIC_BSF || z->mnemonic == ZYDIS_MNEMONIC_BSR;
	uint8_t op16 = 0, group1 = 0;

	for (unsigned i = 0; i < z->raw.prefix_count; i++) {
		uint8_t p = z->raw.prefixes[i].value;

		if (p == 0x66)
			op16 = p;
		else if (p == 0xf0 ||
			 (p > 0xf0 && !bit_scan && z->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY))
			group1 = p;
	}
	/* beside F2 or F3, 66 has a meaning for these two only */
	if (group1 > 0xf0 && z->mnemonic != ZYDIS_MNEMONIC_POPCNT && z->mnemonic != ZYDIS_MNEMONIC_CRC32)
		op16 = 0;
	if (op16)
		emit_u8(&u->e, op16);
	if (group1)
		emit_u8(&u->e, group1);
}

static void opcode_bytes(struct tu *u, const ZydisDecodedInstruction *z, uint8_t opcode)
{
	if (z->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		emit_u8(&u->e, 0x0f);
	if (z->opcode_map == ZYDIS_OPCODE_MAP_0F38)
		emit_u8(&u->e, 0x38);
	if (z->opcode_map == ZYDIS_OPCODE_MAP_0F3A)
		emit_u8(&u->e, 0x3a);
	emit_u8(&u->e, opcode);
}

static void immediates(struct tu *u, const struct tinsn *t)
{
	for (unsigned i = 0; i < 2; i++)
		if (t->z.raw.imm[i].size)
			emit_bytes(&u->e, t->bytes + t->z.raw.imm[i].offset, t->z.raw.imm[i].size / 8);
}

/*
 * XCHG AL, AH and their like: AH to BH have no encoding beside a REX prefix, so they change places with AL to BL for one
 * instruction. Only behind a look-up, where that cannot fault any more.
 */
static void exchange_halves(struct tu *u, unsigned low)
{
	emit_u8(&u->e, 0x86);
	emit_u8(&u->e, (uint8_t)(0xc0 | (low + 4) << 3 | low));
}

static bool copy_with_memory(struct tu *u, const struct tinsn *t)
{
	const ZydisDecodedInstruction *z = &t->z;
	struct xmem m;
	unsigned rex, reg = z->raw.modrm.reg;
	bool high;

	if (!xl_mem(u, t, &m))
		return false;
	rex = emit_rex_of(m);
	high = rex && reg_field_is_byte(z) && reg >= 4;
	if (high && (t->form != FORM_LOOKUP || z->mnemonic == ZYDIS_MNEMONIC_CMPXCHG))
		return false;
	if (high)
		exchange_halves(u, reg -= 4);
	if (m.guest)
		emit_u16(&u->e, 0x6765);
	keep_prefixes(u, z);
	if (rex)
		emit_u8(&u->e, (uint8_t)(0x40 | rex));
	opcode_bytes(u, z, z->opcode == 0x82 && z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT ? 0x80 : z->opcode);
	emit_modrm_mem(&u->e, reg, m);
	immediates(u, t);
	if (high)
		exchange_halves(u, reg);
	return true;
}

/* MOV AL/AX/EAX, moffs and back: in 64-bit mode the address is 32 bits only with 67. */
static bool copy_moffs(struct tu *u, const struct tinsn *t)
{
	struct xmem m;
	bool store = t->z.opcode >= 0xa2;

	if (!xl_mem(u, t, &m))
		return false;
	if (m.guest)
		emit_u16(&u->e, 0x6765);
	if (tinsn_op16(t))
		emit_u8(&u->e, 0x66);
	if (emit_rex_of(m))
		emit_u8(&u->e, (uint8_t)(0x40 | emit_rex_of(m)));
	emit_u8(&u->e, (uint8_t)((store ? 0x88 : 0x8a) | (t->z.opcode & 1)));
	emit_modrm_mem(&u->e, H_RAX, m);
	return true;
}

static void copy_registers(struct tu *u, const struct tinsn *t)
{
	const ZydisDecodedInstruction *z = &t->z;
	uint8_t op = z->opcode;

	keep_prefixes(u, z);
	/* 40-4F are REX prefixes in 64-bit mode: INC and DEC take their long form */
	if (z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (op & 0xf0) == 0x40) {
		emit_u8(&u->e, 0xff);
		emit_u8(&u->e, (uint8_t)(0xc0 | (op & 8) | (op & 7)));
		return;
	}
	if (z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && op == 0x82)
		op = 0x80;
	opcode_bytes(u, z, op);
	if (z->attributes & ZYDIS_ATTRIB_HAS_MODRM)
		emit_u8(&u->e, t->bytes[z->raw.modrm.offset]);
	immediates(u, t);
}

/*
 * Legal encodings that no compiler makes: a repeated prefix (with the window's two the copy could pass 15 bytes), two of LOCK
 * and REP together, a fence with a register number. They are interpreted, so that copies stay plain.
 */
static bool odd_encoding(const ZydisDecodedInstruction *z)
{
	bool op16 = false, group1 = false;

	for (unsigned i = 0; i < z->raw.prefix_count; i++) {
		uint8_t p = z->raw.prefixes[i].value;
		bool *seen = p == 0x66 ? &op16 : p >= 0xf0 ? &group1 : NULL;

		if (seen && *seen)
			return true;
		if (seen)
			*seen = true;
	}
	return (z->mnemonic == ZYDIS_MNEMONIC_LFENCE || z->mnemonic == ZYDIS_MNEMONIC_MFENCE ||
		z->mnemonic == ZYDIS_MNEMONIC_SFENCE) && z->raw.modrm.rm;
}

bool xl_ident(struct tu *u, const struct tinsn *t)
{
	if (odd_encoding(&t->z))
		return false;
	if (t->z.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || t->z.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU)
		return false; /* implicit [EDI] operand */
	if (t->has_mem && !(t->z.attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return copy_moffs(u, t);
	if (t->has_mem)
		return copy_with_memory(u, t);
	copy_registers(u, t);
	return true;
}

bool xl_lea(struct tu *u, const struct tinsn *t)
{
	if (!t->has_mem)
		return false;
	emit_rm(&u->e, tinsn_op16(t) ? 0x8d | X_66 : 0x8d, t->z.raw.modrm.reg,
		(struct xmem){t->mem.base, t->mem.index, t->mem.scale, false, t->mem.disp});
	return true;
}

/* MOV from a segment register; loading one is a matter for the interpreter. */
static bool read_segment(struct tu *u, const struct tinsn *t)
{
	struct xmem sel = cpu_mem((int32_t)(CPU_SEG + t->z.raw.modrm.reg * CPU_SEG_SIZE + CPU_SEG_SEL));
	struct xmem m;

	if (t->z.raw.modrm.reg > S_GS)
		return false;
	if (t->has_mem) {
		if (t->form == FORM_LOOKUP || !xl_mem(u, t, &m))
			return false;
		emit_load16zx(&u->e, H_R11, sel);
		emit_store16(&u->e, m, H_R11);
	} else if (tinsn_op16(t)) {
		emit_rm(&u->e, 0x8b | X_66, t->z.raw.modrm.rm, sel);
	} else {
		emit_load16zx(&u->e, t->z.raw.modrm.rm, sel);
	}
	return true;
}

bool xl_mov(struct tu *u, const struct tinsn *t)
{
	uint8_t op = t->z.opcode;

	if (t->z.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return xl_mov_control(u, t);
	if (op == 0x8e)
		return xl_mov_to_segment(u, t);
	if (op == 0x8c)
		return read_segment(u, t);
	return xl_ident(u, t);
}

bool xl_xlat(struct tu *u, const struct tinsn *t)
{
	if (t->z.address_width != 32 || t->form == FORM_LOOKUP || !xl_segment_flat(u, t->seg))
		return false;
	emit_rr(&u->e, 0xb6 | X_0F, H_R8, H_RAX); /* movzx r8d, al */
	emit_rm(&u->e, 0x8a, H_RAX, (struct xmem){H_RBX, H_R8, 1, true, 0});
	return true;
}
