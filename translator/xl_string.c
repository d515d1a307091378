/*
 * String instructions. ES:EDI takes no segment override, so they run on 64-bit addresses: the window's base is added to
 * ESI and EDI before and cut off after. Window bases are multiples of 4 GiB, so the low halves are the guest's registers at any moment; a
 * fault in the middle only has to truncate (which storing 32-bit registers does), and the instruction starts again from
 * its beginning with the progress made. What runs over either end of the window meets a guard.
 */
#include "translator/lean.h"
#include "translator/tu.h"

static bool uses_esi(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_MOVSB:
	case ZYDIS_MNEMONIC_MOVSW:
	case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_CMPSB:
	case ZYDIS_MNEMONIC_CMPSW:
	case ZYDIS_MNEMONIC_CMPSD:
	case ZYDIS_MNEMONIC_LODSB:
	case ZYDIS_MNEMONIC_LODSW:
	case ZYDIS_MNEMONIC_LODSD:
		return true;
	default:
		return false;
	}
}

static bool uses_edi(ZydisMnemonic m)
{
	return m != ZYDIS_MNEMONIC_LODSB && m != ZYDIS_MNEMONIC_LODSW && m != ZYDIS_MNEMONIC_LODSD;
}

/* The last of F2 and F3 counts; both repeat MOVS, STOS and LODS. */
static uint8_t repeat_prefix(const struct tinsn *t)
{
	uint8_t rep = 0;

	for (unsigned i = 0; i < t->z.raw.prefix_count; i++)
		if ((t->z.raw.prefixes[i].value & 0xfe) == 0xf2)
			rep = t->z.raw.prefixes[i].value;
	return rep;
}

/* MOVS (A4, A5) and STOS (AA, AB) have a lean path. */
static bool look_up_form(struct tu *u, const struct tinsn *t)
{
	unsigned size = !(t->z.opcode & 1) ? 1 : tinsn_op16(t) ? 2 : 4;

	size_t none;

	if ((t->z.opcode & 0xfe) != 0xa4 && (t->z.opcode & 0xfe) != 0xaa)
		return false;
	if (!repeat_prefix(t))
		return xl_lean(u, t, LEAN_WORD(LEAN_STRING, t->z.opcode, size));
	/* of the bytes before and behind the dwords of a copy, there are often none */
	none = emit_jecxz(&u->e);
	xl_lean(u, t, LEAN_WORD(LEAN_STRING, t->z.opcode, size | 8));
	emit_patch8(&u->e, none, u->e.len);
	return true;
}

bool xl_string(struct tu *u, const struct tinsn *t)
{
	bool esi = uses_esi(t->z.mnemonic), edi = uses_edi(t->z.mnemonic);

	if (t->z.address_width != 32 || (esi && !xl_segment_flat(u, t->seg)) ||
	    (edi && !(u->mode & MODE_FLAT_ES)))
		return false;
	if (t->form == FORM_LOOKUP)
		return look_up_form(u, t);
	emit_load64(&u->e, H_R8, tcx_mem(TCX_WINDOW));
	if (esi)
		emit_lea64(&u->e, H_RSI, (struct xmem){H_R8, H_RSI, 1, false, 0});
	if (edi)
		emit_lea64(&u->e, H_RDI, (struct xmem){H_R8, H_RDI, 1, false, 0});
	if (repeat_prefix(t))
		emit_u8(&u->e, repeat_prefix(t));
	if (tinsn_op16(t))
		emit_u8(&u->e, 0x66);
	emit_u8(&u->e, t->z.opcode);
	if (esi)
		emit_mov32(&u->e, H_RSI, H_RSI);
	if (edi)
		emit_mov32(&u->e, H_RDI, H_RDI);
	return true;
}
