/*
 * Instruction fetch and decode.
 *
 * This is the only file that knows how cpu/ decodes. The decoder is told to
 * behave as a processor without the later extensions that reuse old
 * encodings: LZCNT and TZCNT are BSR and BSF there, CET and MPX are NOPs.
 * 16-bit code always uses the protected-mode decoder: encodings that exist in
 * protected mode alone (ARPL, LAR, ...) are refused by their handlers.
 *
 * Decoding is pure, so results are cached. An entry is found by the linear
 * address and believed only when the instruction's bytes, which are fetched
 * every time, are still the same: code may be modified freely.
 */
#include <string.h>
#include <Zydis/Zydis.h>

#include "cpu/internal.h"

enum { MAX_INSN = 15, CACHE_SIZE = 1024 };

struct cache_entry {
	uint64_t tag; /* linear address << 1 | code32; all ones when empty */
	struct insn insn;
};

static _Thread_local struct cache_entry decode_cache[CACHE_SIZE];
static _Thread_local ZydisDecoder decoders[2];
static _Thread_local bool decoders_ready;

static void decoder_set_up(ZydisDecoder *d, bool code32)
{
	static const ZydisDecoderMode absent[] = {
		ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_LZCNT,
		ZYDIS_DECODER_MODE_TZCNT, ZYDIS_DECODER_MODE_WBNOINVD, ZYDIS_DECODER_MODE_CLDEMOTE,
	};

	ZydisDecoderInit(d, code32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
			 code32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
	for (unsigned i = 0; i < ARRAY_LEN(absent); i++)
		ZydisDecoderEnableMode(d, absent[i], ZYAN_FALSE);
}

static void decoders_set_up(void)
{
	decoder_set_up(&decoders[0], false);
	decoder_set_up(&decoders[1], true);
	for (unsigned i = 0; i < CACHE_SIZE; i++)
		decode_cache[i].tag = ~0ull;
	decoders_ready = true;
}

static int register_number(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_EDI)
		return reg - ZYDIS_REGISTER_EAX;
	if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_DI)
		return reg - ZYDIS_REGISTER_AX;
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BH)
		return reg - ZYDIS_REGISTER_AL;
	return -1;
}

static void convert_register(const ZydisDecodedOperand *from, struct operand *to)
{
	ZydisRegister reg = from->reg.value;
	int number = register_number(reg);

	if (number >= 0) {
		to->kind = OP_REG;
		to->reg = (uint8_t)number;
	} else if (reg >= ZYDIS_REGISTER_ES && reg <= ZYDIS_REGISTER_GS) {
		to->kind = OP_SEG;
		to->reg = (uint8_t)(reg - ZYDIS_REGISTER_ES);
	} else if (reg >= ZYDIS_REGISTER_CR0 && reg <= ZYDIS_REGISTER_CR15) {
		to->kind = OP_CR;
		to->reg = (uint8_t)(reg - ZYDIS_REGISTER_CR0);
	} else if (reg >= ZYDIS_REGISTER_DR0 && reg <= ZYDIS_REGISTER_DR15) {
		to->kind = OP_DR;
		to->reg = (uint8_t)(reg - ZYDIS_REGISTER_DR0);
	} else {
		to->kind = OP_OTHER;
	}
	if (from->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
		to->enc = ENC_MODRM_REG;
	else if (from->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
		to->enc = ENC_MODRM_RM;
}

static void convert_memory(const ZydisDecodedOperand *from, struct operand *to)
{
	ZydisRegister seg = from->mem.segment;

	to->kind = OP_MEM;
	to->seg = S_DS;
	if (seg >= ZYDIS_REGISTER_ES && seg <= ZYDIS_REGISTER_GS)
		to->seg = (uint8_t)(seg - ZYDIS_REGISTER_ES);
	to->base = (int8_t)register_number(from->mem.base);
	to->index = (int8_t)register_number(from->mem.index);
	to->scale = from->mem.scale;
	to->imm = from->mem.disp.has_displacement ? from->mem.disp.value : 0;
}

static void convert_operand(const ZydisDecodedOperand *from, struct operand *to)
{
	to->size = (uint8_t)(from->size / 8);
	if (from->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
		to->rw |= OPND_READ;
	if (from->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		to->rw |= OPND_WRITE;
	switch (from->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		convert_register(from, to);
		break;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		convert_memory(from, to);
		break;
	case ZYDIS_OPERAND_TYPE_POINTER:
		to->kind = OP_FAR;
		to->far_sel = from->ptr.segment;
		to->imm = from->ptr.offset;
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		to->kind = OP_IMM;
		to->imm = from->imm.value.s;
		break;
	default:
		to->kind = OP_OTHER;
		break;
	}
}

static uint8_t segment_of_prefix(uint8_t byte)
{
	static const uint8_t bytes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

	for (uint8_t i = 0; i < ARRAY_LEN(bytes); i++)
		if (bytes[i] == byte)
			return i;
	return NO_SEGMENT;
}

/* The last of several segment or repeat prefixes counts, as in processors. */
static void convert_prefixes(const ZydisDecodedInstruction *from, bool code32, struct insn *insn)
{
	bool opsize = false, addrsize = false;

	insn->seg = NO_SEGMENT;
	for (unsigned i = 0; i < from->raw.prefix_count; i++) {
		uint8_t byte = from->raw.prefixes[i].value;

		if (from->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY)
			insn->mandatory = byte;
		if (segment_of_prefix(byte) != NO_SEGMENT)
			insn->seg = segment_of_prefix(byte);
		opsize |= byte == 0x66;
		addrsize |= byte == 0x67;
		insn->lock |= byte == 0xf0;
		if (byte == 0xf2 || byte == 0xf3) {
			insn->rep = byte == 0xf3;
			insn->repne = byte == 0xf2;
		}
	}
	insn->opsize = code32 ^ opsize ? 4 : 2;
	insn->addrsize = code32 ^ addrsize ? 4 : 2;
}

static ZyanStatus decode_bytes(const uint8_t *bytes, unsigned len, bool code32, struct insn *insn)
{
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
	ZyanStatus status = ZydisDecoderDecodeFull(&decoders[code32], bytes, len, &zi, zo);

	if (!ZYAN_SUCCESS(status))
		return status;
	memset(insn, 0, sizeof(*insn));
	insn->mnemonic = (uint16_t)zi.mnemonic;
	insn->isa_set = (uint16_t)zi.meta.isa_set;
	insn->length = zi.length;
	insn->opcode = zi.opcode;
	insn->opcode_map = (uint8_t)zi.opcode_map;
	insn->has_modrm = zi.attributes & ZYDIS_ATTRIB_HAS_MODRM;
	if (insn->has_modrm)
		insn->modrm = bytes[zi.raw.modrm.offset];
	memcpy(insn->bytes, bytes, zi.length);
	convert_prefixes(&zi, code32, insn);
	for (unsigned i = 0; i < zi.operand_count_visible && i < ARRAY_LEN(insn->op); i++) {
		convert_operand(&zo[i], &insn->op[i]);
		insn->nops++;
	}
	return status;
}

/* Instruction bytes from CS:EIP, no further than the segment reaches. */
static enum outcome fetch_bytes(struct cpu *cpu, uint8_t *bytes, unsigned *got, bool *at_limit)
{
	const struct cpu_segment *cs = &cpu->seg[S_CS];
	uint32_t eip = (uint32_t)cpu->rip;
	unsigned max = MAX_INSN;

	if (eip > cs->limit)
		return cpu_raise_error(cpu, EXC_GP, 0);
	*at_limit = cs->limit - eip < MAX_INSN - 1;
	if (*at_limit)
		max = cs->limit - eip + 1;
	return cpu->ops->fetch(cpu, gva((uint32_t)(cs->base + eip)), bytes, max, got);
}

/* Why the bytes at hand are not an instruction. */
static enum outcome decode_failed(struct cpu *cpu, ZyanStatus status, unsigned got, bool at_limit)
{
	uint32_t linear = (uint32_t)(cpu->seg[S_CS].base + cpu->rip);
	uint8_t byte;
	unsigned more;

	if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		return cpu_raise_error(cpu, EXC_GP, 0);
	if (status != ZYDIS_STATUS_NO_MORE_DATA)
		return cpu_raise(cpu, EXC_UD);
	if (got >= MAX_INSN)
		return cpu_raise_error(cpu, EXC_GP, 0);
	if (at_limit && (uint32_t)(cpu->rip + got) == cpu->seg[S_CS].limit + 1)
		return cpu_raise_error(cpu, EXC_GP, 0);
	/* The first byte that could not be read makes the page fault. */
	enum outcome out = cpu->ops->fetch(cpu, gva((uint32_t)(linear + got)), &byte, 1, &more);
	return out == OUT_OK ? OUT_RETRY : out;
}

enum outcome cpu_decode(struct cpu *cpu, struct insn *insn)
{
	bool code32 = cpu_code32(cpu), at_limit = false;
	uint8_t bytes[MAX_INSN];
	unsigned got;

	if (!decoders_ready)
		decoders_set_up();
	enum outcome out = fetch_bytes(cpu, bytes, &got, &at_limit);
	if (out != OUT_OK)
		return out;

	uint32_t linear = (uint32_t)(cpu->seg[S_CS].base + cpu->rip);
	uint64_t tag = (uint64_t)linear << 1 | code32;
	struct cache_entry *e = &decode_cache[(linear ^ linear >> 10) & (CACHE_SIZE - 1)];
	if (e->tag != tag || e->insn.length > got || memcmp(e->insn.bytes, bytes, e->insn.length)) {
		e->tag = ~0ull;
		ZyanStatus status = decode_bytes(bytes, got, code32, &e->insn);
		if (!ZYAN_SUCCESS(status))
			return decode_failed(cpu, status, got, at_limit);
		e->tag = tag;
	}
	*insn = e->insn;
	insn->next = (uint32_t)cpu->rip + insn->length;
	insn->next &= code32 ? 0xffffffff : 0xffff;
	return OUT_OK;
}
