/*
 * The x87 environment and the whole state in memory: FNSTENV, FLDENV, FNSAVE,
 * FRSTOR, FXSAVE, FXRSTOR.
 *
 * The environment has four layouts: 16 or 32 bits, protected or real
 * (SDM: "x87 FPU Instruction and Operand (Data) Pointers"). The real-mode ones
 * hold linear addresses, cut up around the opcode.
 */
#include <string.h>

#include "cpu/fpu.h"

enum { FX_IMAGE = 288 }; /* what 32-bit FXSAVE defines of its 512 bytes: to the end of XMM7 */

struct environment {
	uint16_t words[14]; /* 14 or 28 bytes */
	unsigned len;
};

static bool real_format(const struct cpu *cpu)
{
	return !cpu_protected(cpu) || cpu_vm86(cpu);
}

/* Full tags: 0 valid, 1 zero, 2 special, 3 empty (SDM: "x87 FPU Tag Word"). */
static unsigned tag_of(const uint8_t *st)
{
	uint64_t mantissa;
	uint16_t exponent;

	memcpy(&mantissa, st, 8);
	memcpy(&exponent, st + 8, 2);
	exponent &= 0x7fff;
	if (exponent == 0)
		return mantissa ? 2 : 1;
	return exponent == 0x7fff || !(mantissa >> 63) ? 2 : 0;
}

static uint16_t full_tags(const struct cpu *cpu)
{
	unsigned top = cpu->fx.fsw >> FSW_TOP_SHIFT & 7, tags = 0;

	for (unsigned phys = 0; phys < 8; phys++) {
		unsigned tag = 3;

		if (cpu->fx.ftw >> phys & 1)
			tag = tag_of(cpu->fx.st[(phys - top) & 7]);
		tags |= tag << (2 * phys);
	}
	return (uint16_t)tags;
}

static uint8_t abridged_tags(uint16_t full)
{
	unsigned tags = 0;

	for (unsigned phys = 0; phys < 8; phys++)
		if ((full >> (2 * phys) & 3) != 3)
			tags |= 1u << phys;
	return (uint8_t)tags;
}

static void environment_make(const struct cpu *cpu, unsigned opsize, struct environment *e)
{
	const struct cpu_fx *fx = &cpu->fx;
	uint32_t ip = fx->fip, dp = fx->fdp;
	uint16_t v[7] = {fx->fcw, fx->fsw, full_tags(cpu)};
	uint16_t high[7] = {0xffff, 0xffff, 0xffff, (uint16_t)(ip >> 16), 0,
			    (uint16_t)(dp >> 16), 0xffff};

	if (real_format(cpu)) {
		ip += (uint32_t)fx->fcs << 4;
		dp += (uint32_t)fx->fds << 4;
		v[4] = (uint16_t)((fx->fop & 0x7ff) | (ip >> 16 & 0xf) << 12);
		v[6] = (uint16_t)((dp >> 16 & 0xf) << 12);
		high[3] = 0;
		high[4] = (uint16_t)(ip >> 20);
		high[5] = 0;
		high[6] = (uint16_t)(dp >> 20);
	} else {
		v[4] = fx->fcs;
		v[6] = fx->fds;
		high[4] = fx->fop & 0x7ff;
	}
	v[3] = (uint16_t)ip;
	v[5] = (uint16_t)dp;
	e->len = opsize == 4 ? 28 : 14;
	for (unsigned i = 0; i < 7; i++) {
		if (opsize == 4) {
			e->words[2 * i] = v[i];
			e->words[2 * i + 1] = high[i];
		} else {
			e->words[i] = v[i];
		}
	}
}

static void environment_load(struct cpu *cpu, unsigned opsize, const struct environment *e)
{
	struct cpu_fx *fx = &cpu->fx;
	uint16_t v[7], high[7] = {0};

	for (unsigned i = 0; i < 7; i++) {
		v[i] = e->words[opsize == 4 ? 2 * i : i];
		if (opsize == 4)
			high[i] = e->words[2 * i + 1];
	}
	fx->fcw = (v[0] & 0x1f3f) | 0x40;
	fpu_set_status(cpu, v[1]);
	fx->ftw = abridged_tags(v[2]);
	if (real_format(cpu)) {
		fx->fip = v[3] | (uint32_t)(v[4] >> 12) << 16 | (uint32_t)high[4] << 20;
		fx->fdp = v[5] | (uint32_t)(v[6] >> 12) << 16 | (uint32_t)high[6] << 20;
		fx->fop = v[4] & 0x7ff;
		fx->fcs = 0;
		fx->fds = 0;
	} else {
		fx->fip = v[3] | (uint32_t)high[3] << 16;
		fx->fdp = v[5] | (uint32_t)high[5] << 16;
		fx->fcs = v[4];
		fx->fds = v[6];
		if (opsize == 4)
			fx->fop = high[4] & 0x7ff;
	}
	fpu_update_summary(cpu);
}

enum outcome op_fnstenv(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *m = &insn->op[0];
	struct environment e;
	enum outcome out = fpu_check_present(cpu);

	if (out != OUT_OK)
		return out;
	environment_make(cpu, insn->opsize, &e);
	out = mem_write(cpu, m->seg, insn_ea(cpu, insn, m), e.words, e.len);
	if (out != OUT_OK)
		return out;
	cpu->fx.fcw |= FPU_EXCEPTIONS;
	fpu_update_summary(cpu);
	return OUT_OK;
}

enum outcome op_fldenv(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *m = &insn->op[0];
	struct environment e = {.len = insn->opsize == 4 ? 28 : 14};
	enum outcome out = fpu_check_x87(cpu);

	if (out == OUT_OK)
		out = mem_read(cpu, m->seg, insn_ea(cpu, insn, m), e.words, e.len);
	if (out == OUT_OK)
		environment_load(cpu, insn->opsize, &e);
	return out;
}

enum outcome op_fnsave(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *m = &insn->op[0];
	struct environment e;
	uint8_t image[28 + 80];
	enum outcome out = fpu_check_present(cpu);

	if (out != OUT_OK)
		return out;
	environment_make(cpu, insn->opsize, &e);
	memcpy(image, e.words, e.len);
	for (unsigned i = 0; i < 8; i++)
		memcpy(image + e.len + 10 * i, cpu->fx.st[i], 10);
	out = mem_write(cpu, m->seg, insn_ea(cpu, insn, m), image, e.len + 80);
	if (out == OUT_OK)
		fpu_init(cpu);
	return out;
}

enum outcome op_frstor(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *m = &insn->op[0];
	struct environment e = {.len = insn->opsize == 4 ? 28 : 14};
	uint8_t image[28 + 80];
	enum outcome out = fpu_check_x87(cpu);

	if (out == OUT_OK)
		out = mem_read(cpu, m->seg, insn_ea(cpu, insn, m), image, e.len + 80);
	if (out != OUT_OK)
		return out;
	memcpy(e.words, image, e.len);
	environment_load(cpu, insn->opsize, &e);
	memset(cpu->fx.st, 0, sizeof(cpu->fx.st));
	for (unsigned i = 0; i < 8; i++)
		memcpy(cpu->fx.st[i], image + e.len + 10 * i, 10);
	return OUT_OK;
}

/* #NM, and #GP(0) unless the area is aligned. */
static enum outcome fx_area(struct cpu *cpu, const struct insn *insn, unsigned acc, gva_t *area)
{
	const struct operand *m = &insn->op[0];
	enum outcome out = fpu_check_present(cpu);

	if (out == OUT_OK)
		out = cpu_linear(cpu, m->seg, insn_ea(cpu, insn, m), 512, acc | cpu_acc(cpu), area);
	if (out == OUT_OK && (area->v & 15))
		out = cpu_raise_error(cpu, EXC_GP, 0);
	return out;
}

enum outcome op_fxsave(struct cpu *cpu, const struct insn *insn)
{
	unsigned acc = ACC_WRITE | cpu_acc(cpu);
	struct cpu_fx image = cpu->fx;
	gva_t area;
	enum outcome out = fx_area(cpu, insn, ACC_WRITE, &area);

	if (out == OUT_OK)
		out = cpu->ops->probe(cpu, area, 512, acc);
	if (out != OUT_OK)
		return out;
	image.rsvd0 = 0;
	image.rsvd1 = 0;
	image.rsvd2 = 0;
	image.mxcsr_mask = MXCSR_MASK;
	out = cpu->ops->write(cpu, area, &image, FX_IMAGE, acc);
	if (out == OUT_OK && debug_armed(cpu))
		cpu->pending_db |= debug_match_data(cpu, area.v, FX_IMAGE, ACC_WRITE);
	return out;
}

enum outcome op_fxrstor(struct cpu *cpu, const struct insn *insn)
{
	unsigned acc = ACC_READ | cpu_acc(cpu);
	uint16_t summary = cpu->fx.fsw & (FSW_ES | FSW_B);
	struct cpu_fx image;
	gva_t area;
	enum outcome out = fx_area(cpu, insn, ACC_READ, &area);

	if (out == OUT_OK)
		out = cpu->ops->read(cpu, area, &image, sizeof(image), acc);
	if (out != OUT_OK)
		return out;
	if (image.mxcsr & ~(uint32_t)MXCSR_MASK)
		return cpu_raise_error(cpu, EXC_GP, 0);
	if (debug_armed(cpu))
		cpu->pending_db |= debug_match_data(cpu, area.v, FX_IMAGE, ACC_READ);
	image.mxcsr_mask = cpu->fx.mxcsr_mask;
	image.fcw = (image.fcw & 0x1f3f) | 0x40;
	image.fop &= 0x7ff;
	for (unsigned i = 0; i < 8; i++) /* the reserved bytes beside each register */
		memset(&image.st[i][10], 0, 6);
	memcpy(&cpu->fx, &image, FX_IMAGE);
	cpu->fx.fsw = (cpu->fx.fsw & ~(FSW_ES | FSW_B)) | summary;
	fpu_update_summary(cpu);
	return OUT_OK;
}
