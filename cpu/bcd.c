/*
 * Decimal adjustments. The host cannot execute these in 64-bit mode, so they
 * are computed here; where the manual leaves flags undefined, current AMD
 * processors are followed.
 */
#include "cpu/hostop.h"
#include "cpu/ops.h"

/* SF, ZF and PF of a byte. */
static uint32_t szp(uint8_t v)
{
	return (v & 0x80 ? FL_SF : 0) | (v ? 0 : FL_ZF) | (__builtin_parity(v) ? 0 : FL_PF);
}

/* Signed overflow of a byte addition and subtraction. */
static uint32_t overflow_add(uint8_t a, uint8_t b, uint8_t sum)
{
	return (a ^ sum) & (b ^ sum) & 0x80 ? FL_OF : 0;
}

static uint32_t overflow_sub(uint8_t a, uint8_t b, uint8_t difference)
{
	return (a ^ b) & (a ^ difference) & 0x80 ? FL_OF : 0;
}

enum outcome op_daa(struct cpu *cpu, const struct insn *insn)
{
	uint8_t al = (uint8_t)cpu->gpr[R_EAX], adjust = 0, sum;
	uint32_t flags = 0;

	if ((al & 0xf) > 9 || (cpu->eflags & FL_AF)) {
		adjust += 6;
		flags |= FL_AF;
	}
	if (al > 0x99 || (cpu->eflags & FL_CF)) {
		adjust += 0x60;
		flags |= FL_CF;
	}
	sum = (uint8_t)(al + adjust);
	reg_set(cpu, 0, 1, sum);
	set_arith(cpu, flags | szp(sum) | overflow_add(al, adjust, sum));
	return OUT_OK;
}

enum outcome op_das(struct cpu *cpu, const struct insn *insn)
{
	uint8_t al = (uint8_t)cpu->gpr[R_EAX], adjust = 0, difference;
	uint32_t flags = 0;

	if ((al & 0xf) > 9 || (cpu->eflags & FL_AF)) {
		adjust += 6;
		flags |= FL_AF | (al < 6 ? FL_CF : 0);
	}
	if (al > 0x99 || (cpu->eflags & FL_CF)) {
		adjust += 0x60;
		flags |= FL_CF;
	}
	difference = (uint8_t)(al - adjust);
	reg_set(cpu, 0, 1, difference);
	set_arith(cpu, flags | szp(difference) | overflow_sub(al, adjust, difference));
	return OUT_OK;
}

/*
 * AAA and AAS: AX moves by `step` when the digit needs it. SF, ZF, PF and OF
 * are those of the 16-bit addition, before the high digit of AL is cleared.
 */
static enum outcome ascii_adjust(struct cpu *cpu, uint16_t step)
{
	uint16_t ax = (uint16_t)cpu->gpr[R_EAX], sum = ax;
	bool adjust = (ax & 0xf) > 9 || (cpu->eflags & FL_AF);
	uint32_t flags = 0;

	if (adjust) {
		sum = (uint16_t)(ax + step);
		flags |= FL_AF | FL_CF;
		flags |= (ax ^ sum) & (step ^ sum) & 0x8000 ? FL_OF : 0;
	}
	flags |= (szp((uint8_t)sum) & FL_PF) | (sum & 0x8000 ? FL_SF : 0) | (sum ? 0 : FL_ZF);
	reg_set(cpu, R_EAX, 2, sum & 0xff0f);
	set_arith(cpu, flags);
	return OUT_OK;
}

enum outcome op_aaa(struct cpu *cpu, const struct insn *insn)
{
	return ascii_adjust(cpu, 0x106);
}

enum outcome op_aas(struct cpu *cpu, const struct insn *insn)
{
	return ascii_adjust(cpu, (uint16_t)-0x106);
}

enum outcome op_aam(struct cpu *cpu, const struct insn *insn)
{
	uint8_t base = (uint8_t)insn->op[0].imm, al = (uint8_t)cpu->gpr[R_EAX];

	if (!base)
		return cpu_raise(cpu, EXC_DE);
	reg_set(cpu, R_EAX, 2, (uint32_t)(al / base) << 8 | al % base);
	set_arith(cpu, szp(al % base));
	return OUT_OK;
}

/* All flags are those of the byte addition. */
enum outcome op_aad(struct cpu *cpu, const struct insn *insn)
{
	uint32_t ax = (uint32_t)cpu->gpr[R_EAX];
	uint8_t al = (uint8_t)ax, tens = (uint8_t)((ax >> 8) * (uint8_t)insn->op[0].imm);
	uint8_t sum = (uint8_t)(al + tens);
	uint32_t flags = szp(sum) | overflow_add(al, tens, sum);

	if (sum < al)
		flags |= FL_CF;
	if ((al ^ tens ^ sum) & 0x10)
		flags |= FL_AF;
	reg_set(cpu, R_EAX, 2, sum);
	set_arith(cpu, flags);
	return OUT_OK;
}
