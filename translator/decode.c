/*
 * Guest bytes to struct tinsn. Zydis is asked for the minimal decoding (no operands): what the translator needs of a memory operand
 * is in the raw ModRM and SIB.
 */
#include "translator/classify.h"

static ZydisDecoder decoder32;
void classify_init(void);

void decode_init(void)
{
	ZydisDecoderInit(&decoder32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	/* The guest's processor has neither: F3 BSR is BSR, as on hardware without them. */
	ZydisDecoderEnableMode(&decoder32, ZYDIS_DECODER_MODE_LZCNT, ZYAN_FALSE);
	ZydisDecoderEnableMode(&decoder32, ZYDIS_DECODER_MODE_TZCNT, ZYAN_FALSE);
	ZydisDecoderEnableMode(&decoder32, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	decode_forget();
	classify_init();
}

static uint8_t segment_of(const ZydisDecodedInstruction *z, uint8_t default_seg)
{
	if (!(z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT))
		return default_seg;
	if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_CS)
		return S_CS;
	if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_SS)
		return S_SS;
	if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES)
		return S_ES;
	if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
		return S_FS;
	if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS)
		return S_GS;
	return S_DS;
}

/* SDM: "32-Bit Addressing Forms with the ModR/M Byte". */
static void memory_operand(struct tinsn *t)
{
	const ZydisDecodedInstruction *z = &t->z;
	struct xmem m = {H_NONE, H_NONE, 1, true, (int32_t)z->raw.disp.value};
	uint8_t seg = S_DS;

	if (z->raw.modrm.rm == 4) {
		m.base = (int8_t)z->raw.sib.base;
		if (z->raw.sib.index != 4) {
			m.index = (int8_t)z->raw.sib.index;
			m.scale = (uint8_t)(1u << z->raw.sib.scale);
		}
		if (m.base == H_RBP && z->raw.modrm.mod == 0)
			m.base = H_NONE;
	} else if (!(z->raw.modrm.rm == 5 && z->raw.modrm.mod == 0)) {
		m.base = (int8_t)z->raw.modrm.rm;
	}
	if (m.base == H_RSP || m.base == H_RBP)
		seg = S_SS;
	t->mem = m;
	t->seg = segment_of(z, seg);
	t->has_mem = true;
}

static bool is_moffs(const ZydisDecodedInstruction *z)
{
	return z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && z->opcode >= 0xa0 && z->opcode <= 0xa3 &&
	       z->mnemonic == ZYDIS_MNEMONIC_MOV;
}

static bool decode_anew(struct tinsn *t, const uint8_t *bytes, size_t max, uint32_t eip)
{
	const struct insn_class *c;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder32, NULL, bytes, max, &t->z)))
		return false;
	t->bytes = bytes;
	t->eip = eip;
	t->next = eip + t->z.length;
	t->shape = 0;
	c = classify(&t->z);
	t->action = c->action;
	t->why = c->why;
	t->has_mem = false;
	t->seg = segment_of(&t->z, S_DS);
	if ((t->z.attributes & ZYDIS_ATTRIB_HAS_MODRM) && t->z.raw.modrm.mod != 3) {
		if (t->z.address_width == 32)
			memory_operand(t);
		else if (t->action != ACT_NOP)
			t->action = ACT_INTERPRET; /* 16-bit addressing */
	} else if (is_moffs(&t->z)) {
		if (t->z.address_width != 32)
			t->action = ACT_INTERPRET;
		t->mem = (struct xmem){H_NONE, H_NONE, 1, true, (int32_t)t->z.raw.disp.value};
		t->has_mem = true;
	}
	return true;
}

bool decode(struct tinsn *t, const uint8_t *bytes, size_t max, uint32_t eip)
{
	if (!decode_recall(t, bytes, max, eip)) {
		if (!decode_anew(t, bytes, max, eip))
			return false;
		decode_remember(t, max);
	}
	if (t->next < eip)
		t->action = ACT_INTERPRET; /* wraps at 4 GiB */
	return true;
}

/* BT and its kind with a register bit offset reach beyond the operand that ModRM names. */
static bool is_bit_string(const struct tinsn *t)
{
	return t->z.opcode_map == ZYDIS_OPCODE_MAP_0F &&
	       (t->z.opcode == 0xa3 || t->z.opcode == 0xab || t->z.opcode == 0xb3 || t->z.opcode == 0xbb);
}

static struct access find_access(const struct tinsn *t)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct access a = {.known = true};

	if (!t->has_mem || is_bit_string(t) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder32, t->bytes, t->z.length, &z, op)))
		return a;
	for (unsigned i = 0; i < z.operand_count_visible; i++) {
		if (op[i].type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		a.size = (uint8_t)(op[i].size / 8 < 256 ? op[i].size / 8 : 0);
		a.write = op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		break;
	}
	return a;
}

bool decode_access(const struct tinsn *t, unsigned *size, bool *write)
{
	struct access here = {.known = false}, *a = decode_access_of(t);

	a = a ? a : &here;
	if (!a->known)
		*a = find_access(t);
	*size = a->size;
	*write = a->write;
	return *size > 0;
}
