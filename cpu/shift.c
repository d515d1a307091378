/*
 * Shifts and rotates. The host masks the count and leaves the flags alone for
 * a count of zero, exactly as the guest expects; a memory operand is written
 * even then, as processors do.
 */
#include "cpu/hostop.h"
#include "cpu/ops.h"

HOST_SHIFT(rol)
HOST_SHIFT(ror)
HOST_SHIFT(rcl)
HOST_SHIFT(rcr)
HOST_SHIFT(shl)
HOST_SHIFT(shr)
HOST_SHIFT(sar)

static enum outcome shift(struct cpu *cpu, const struct insn *insn, host_binary *const fn[])
{
	uint32_t a, count, flags = cpu->eflags;
	enum outcome out = op_read(cpu, insn, 1, &count);

	if (out == OUT_OK)
		out = op_read_rmw(cpu, insn, 0, &a);
	if (out != OUT_OK)
		return out;
	a = fn[size_index(insn->op[0].size)](a, count, &flags);
	out = op_write(cpu, insn, 0, a);
	if (out == OUT_OK)
		set_arith(cpu, flags);
	return out;
}

enum outcome op_rol(struct cpu *cpu, const struct insn *insn)
{
	return shift(cpu, insn, host_rol);
}

enum outcome op_ror(struct cpu *cpu, const struct insn *insn)
{
	return shift(cpu, insn, host_ror);
}

enum outcome op_rcl(struct cpu *cpu, const struct insn *insn)
{
	return shift(cpu, insn, host_rcl);
}

enum outcome op_rcr(struct cpu *cpu, const struct insn *insn)
{
	return shift(cpu, insn, host_rcr);
}

enum outcome op_shl(struct cpu *cpu, const struct insn *insn)
{
	return shift(cpu, insn, host_shl);
}

enum outcome op_shr(struct cpu *cpu, const struct insn *insn)
{
	return shift(cpu, insn, host_shr);
}

enum outcome op_sar(struct cpu *cpu, const struct insn *insn)
{
	return shift(cpu, insn, host_sar);
}

typedef uint32_t host_double(uint32_t a, uint32_t b, uint8_t count, uint32_t *flags);

#define HOST_DOUBLE_SIZED(op, sfx, type)                                                           \
	static uint32_t host_##op##sfx(uint32_t a, uint32_t b, uint8_t count, uint32_t *flags)     \
	{                                                                                          \
		type d = (type)a, s = (type)b;                                                     \
		uint64_t f = *flags & FL_ARITH;                                                    \
                                                                                                   \
		__asm__(HOST_IN #op #sfx " %%cl, %[s], %[d]" HOST_OUT                              \
			: [d] "+r"(d), [f] "+r"(f)                                                 \
			: [s] "r"(s), "c"(count)                                                   \
			: "cc");                                                                   \
		*flags = f & FL_ARITH;                                                             \
		return d;                                                                          \
	}

HOST_DOUBLE_SIZED(shld, w, uint16_t)
HOST_DOUBLE_SIZED(shld, l, uint32_t)
HOST_DOUBLE_SIZED(shrd, w, uint16_t)
HOST_DOUBLE_SIZED(shrd, l, uint32_t)

static enum outcome shift_double(struct cpu *cpu, const struct insn *insn, host_double *fn)
{
	uint32_t a, b, count, flags = cpu->eflags;
	enum outcome out = op_read(cpu, insn, 1, &b);

	if (out == OUT_OK)
		out = op_read(cpu, insn, 2, &count);
	if (out == OUT_OK)
		out = op_read_rmw(cpu, insn, 0, &a);
	if (out != OUT_OK)
		return out;
	a = fn(a, b, (uint8_t)count, &flags);
	out = op_write(cpu, insn, 0, a);
	if (out == OUT_OK)
		set_arith(cpu, flags);
	return out;
}

enum outcome op_shld(struct cpu *cpu, const struct insn *insn)
{
	return shift_double(cpu, insn, insn->op[0].size == 2 ? host_shldw : host_shldl);
}

enum outcome op_shrd(struct cpu *cpu, const struct insn *insn)
{
	return shift_double(cpu, insn, insn->op[0].size == 2 ? host_shrdw : host_shrdl);
}
