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

enum outcome op_daa(struct cpu *cpu, const struct insn *insn)
{
	uint8_t old = (uint8_t)cpu->gpr[R_EAX], al = old;
	uint32_t flags = 0;

	if ((al & 0xf) > 9 || (cpu->eflags & FL_AF)) {
		al += 6;
		flags |= FL_AF;
	}
	if (old > 0x99 || (cpu->eflags & FL_CF)) {
		al += 0x60;
		flags |= FL_CF;
	}
	reg_set(cpu, 0, 1, al);
	set_arith(cpu, flags | szp(al));
	return OUT_OK;
}

enum outcome op_das(struct cpu *cpu, const struct insn *insn)
{
	uint8_t old = (uint8_t)cpu->gpr[R_EAX], al = old;
	uint32_t flags = 0;

	if ((al & 0xf) > 9 || (cpu->eflags & FL_AF)) {
		flags |= FL_AF | (al < 6 ? FL_CF : 0);
		al -= 6;
	}
	if (old > 0x99 || (cpu->eflags & FL_CF)) {
		al -= 0x60;
		flags |= FL_CF;
	}
	reg_set(cpu, 0, 1, al);
	set_arith(cpu, flags | szp(al));
	return OUT_OK;
}

/* AAA and AAS: AX moves by `step` when the digit needs it. */
static enum outcome ascii_adjust(struct cpu *cpu, int step)
{
	uint16_t ax = (uint16_t)cpu->gpr[R_EAX];
	bool adjust = (ax & 0xf) > 9 || (cpu->eflags & FL_AF);

	if (adjust)
		ax = (uint16_t)(ax + step);
	ax &= 0xff0f;
	reg_set(cpu, R_EAX, 2, ax);
	set_arith(cpu, (adjust ? FL_AF | FL_CF : 0) | szp((uint8_t)ax));
	return OUT_OK;
}

enum outcome op_aaa(struct cpu *cpu, const struct insn *insn) { return ascii_adjust(cpu, 0x106); }
enum outcome op_aas(struct cpu *cpu, const struct insn *insn) { return ascii_adjust(cpu, -0x106); }

enum outcome op_aam(struct cpu *cpu, const struct insn *insn)
{
	uint8_t base = (uint8_t)insn->op[0].imm, al = (uint8_t)cpu->gpr[R_EAX];

	if (!base)
		return cpu_raise(cpu, EXC_DE);
	reg_set(cpu, R_EAX, 2, (uint32_t)(al / base) << 8 | al % base);
	set_arith(cpu, szp(al % base));
	return OUT_OK;
}

enum outcome op_aad(struct cpu *cpu, const struct insn *insn)
{
	uint32_t ax = (uint32_t)cpu->gpr[R_EAX];
	uint8_t al = (uint8_t)(ax + (ax >> 8 & 0xff) * (uint8_t)insn->op[0].imm);

	reg_set(cpu, R_EAX, 2, al);
	set_arith(cpu, szp(al));
	return OUT_OK;
}
