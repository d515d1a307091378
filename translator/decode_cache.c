/*
 * Decodings kept for reuse.
 *
 * What the decoder says of an instruction depends on its prefixes, opcode, ModRM and SIB alone: its shape. Displacement and
 * immediates follow as plain numbers at fixed places. Programs have few shapes, so most instructions are decoded by copying what is
 * known of their shape and reading the numbers.
 *
 * Kept are shapes with at most one prefix (never 67), of the one-byte and the 0F map; not what may be VEX, EVEX, XOP or 3DNow!, which
 * hide an opcode elsewhere. Whether an opcode has a ModRM is learnt from the decoder. On the vCPU thread.
 */
#include "translator/classify.h"

enum { SHAPES = 2048, LONGEST = 15 };

/* What is known of an opcode. */
enum { UNKNOWN, NO_MODRM, MODRM, VARIES };

/* Three cache lines: translating goes through as many shapes as there are instructions, and most of the table is in nobody's way. */
#define TINSN_REST offsetof(struct tinsn, action)
static struct shape {
	uint64_t key; /* 0: empty */
#define X(name, offset, size) uint8_t name[size];
	DECODING_PARTS(X)
#undef X
	uint8_t rest[sizeof(struct tinsn) - TINSN_REST];
} __attribute__((aligned(64))) shapes[SHAPES];
_Static_assert(sizeof(struct shape) == 192, "see above");
static struct access accesses[SHAPES]; /* of their memory operands */
static uint8_t opcodes[2][256];

#define Z(field) offsetof(ZydisDecodedInstruction, field)
_Static_assert(Z(mnemonic) < 48 && Z(attributes) + 8 <= 48 && Z(cpu_flags) + sizeof(void *) <= 48, "the head has them");
_Static_assert(Z(raw.prefix_count) < Z(meta) + 32 && Z(raw.prefixes[1]) <= Z(meta) + 32, "the kind has them");
_Static_assert(Z(raw.modrm) >= sizeof(ZydisDecodedInstruction) - 80 && Z(raw.sib) > Z(raw.modrm) && Z(raw.disp) > Z(raw.modrm) &&
		       Z(raw.imm) > Z(raw.modrm),
	       "the numbers have them");

void decode_forget(void)
{
	memset(shapes, 0, sizeof(shapes));
	memset(accesses, 0, sizeof(accesses));
	memset(opcodes, UNKNOWN, sizeof(opcodes));
}

static struct shape *slot(uint64_t key)
{
	return &shapes[(key * 0x9e3779b97f4a7c15ull) >> 53];
}
_Static_assert(SHAPES == 1 << (64 - 53), "slot() has as many bits");

static bool is_prefix(uint8_t b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return false;
	}
}

/* Opcodes that may begin something else than an instruction of their map. */
static bool escapes(unsigned map, uint8_t opcode)
{
	if (map)
		return opcode == 0x0f || opcode == 0x38 || opcode == 0x3a;
	return opcode == 0x62 || opcode == 0x8f || opcode == 0xc4 || opcode == 0xc5 || is_prefix(opcode);
}

/* `known`: of the opcode; where to keep what is learnt. 0: no shape, or not known. */
static uint64_t shape_of(const uint8_t *b, uint8_t **known)
{
	uint64_t key = 1ull << 40;
	unsigned map = 0;

	*known = NULL;
	if (is_prefix(*b)) {
		if (*b == 0x67)
			return 0;
		key |= (uint64_t)*b++ << 32;
	}
	if (*b == 0x0f) {
		map = 1;
		b++;
	}
	if (escapes(map, *b))
		return 0;
	*known = &opcodes[map][*b];
	key |= (uint64_t)map << 24 | (uint64_t)b[0] << 16;
	if (**known == NO_MODRM)
		return key;
	if (**known != MODRM)
		return 0;
	key |= (uint64_t)b[1] << 8;
	if (b[1] < 0xc0 && (b[1] & 7) == 4)
		key |= b[2];
	return key;
}

static int64_t number(const uint8_t *p, unsigned bits, bool is_signed)
{
	uint32_t v32;
	uint16_t v16;

	if (bits == 8)
		return is_signed ? (int64_t)(int8_t)*p : (int64_t)*p;
	if (bits == 16) {
		memcpy(&v16, p, sizeof(v16));
		return is_signed ? (int64_t)(int16_t)v16 : (int64_t)v16;
	}
	memcpy(&v32, p, sizeof(v32));
	return is_signed ? (int64_t)(int32_t)v32 : (int64_t)v32;
}

static void read_numbers(struct tinsn *t)
{
	ZydisDecodedInstructionRaw *raw = &t->z.raw;

	if (raw->disp.size) {
		raw->disp.value = number(t->bytes + raw->disp.offset, raw->disp.size, true);
		t->mem.disp = (int32_t)raw->disp.value;
	}
	for (unsigned i = 0; i < 2 && raw->imm[i].size; i++)
		raw->imm[i].value.s = number(t->bytes + raw->imm[i].offset, raw->imm[i].size, raw->imm[i].is_signed);
}

static void keep(struct shape *s, const struct tinsn *t)
{
	const uint8_t *z = (const uint8_t *)&t->z;

#define X(name, offset, size) memcpy(s->name, z + (offset), size);
	DECODING_PARTS(X)
#undef X
	memcpy(s->rest, (const uint8_t *)t + TINSN_REST, sizeof(s->rest));
}

static void bring_back(struct tinsn *t, const struct shape *s)
{
	uint8_t *z = (uint8_t *)&t->z;

#define X(name, offset, size) memcpy(z + (offset), s->name, size);
	DECODING_PARTS(X)
#undef X
	memcpy((uint8_t *)t + TINSN_REST, s->rest, sizeof(s->rest));
}

bool decode_recall(struct tinsn *t, const uint8_t *bytes, size_t max, uint32_t eip)
{
	uint8_t *known;
	uint64_t key;
	const struct shape *s;

	if (max < LONGEST)
		return false; /* so that looking at it reads no byte too many */
	key = shape_of(bytes, &known);
	s = slot(key);
	if (!key || s->key != key)
		return false;
	bring_back(t, s);
	t->bytes = bytes;
	t->eip = eip;
	t->next = eip + t->z.length;
	read_numbers(t);
	return true;
}

void decode_remember(struct tinsn *t, size_t max)
{
	uint8_t *known, now = t->z.attributes & ZYDIS_ATTRIB_HAS_MODRM ? MODRM : NO_MODRM;
	struct shape *s;

	if (max < LONGEST)
		return;
	shape_of(t->bytes, &known);
	if (!known)
		return;
	if (*known == UNKNOWN)
		*known = now;
	else if (*known != now)
		*known = VARIES;
	t->shape = shape_of(t->bytes, &known);
	if (!t->shape)
		return;
	s = slot(t->shape);
	s->key = t->shape;
	accesses[s - shapes].known = false;
	keep(s, t);
}

struct access *decode_access_of(const struct tinsn *t)
{
	struct shape *s = slot(t->shape);

	return t->shape && s->key == t->shape ? &accesses[s - shapes] : NULL;
}
