/*
 * Multiplication and division. A division that would trap is found in C and
 * becomes the guest's #DE; what is left is executed by the host, for the sake
 * of the flags the manual leaves undefined.
 */
#include "cpu/hostop.h"
#include "cpu/ops.h"

HOST_BINARY_SIZED(imul, w, uint16_t, uint16_t, "r", "%[s]")
HOST_BINARY_SIZED(imul, l, uint32_t, uint32_t, "r", "%[s]")

/* The accumulator pair: AX alone for bytes, else (E)DX:(E)AX. */
struct pair {
	uint32_t lo, hi;
};

typedef void host_wide(struct pair *, uint32_t b, uint32_t *flags);

#define HOST_WIDE_BYTE(op)                                                     \
	static void host_wide_##op##b(struct pair *p, uint32_t b, uint32_t *flags) \
	{                                                                      \
		uint16_t a = (uint16_t)p->lo;                                  \
		uint8_t s = (uint8_t)b;                                        \
		uint64_t f = *flags & FL_ARITH;                                \
                                                                               \
		__asm__(HOST_IN #op "b %[s]" HOST_OUT                          \
			: "+a"(a), [f] "+r"(f) : [s] "q"(s) : "cc");           \
		p->lo = a;                                                     \
		*flags = f & FL_ARITH;                                         \
	}

#define HOST_WIDE_SIZED(op, sfx, type)                                         \
	static void host_wide_##op##sfx(struct pair *p, uint32_t b, uint32_t *flags) \
	{                                                                      \
		type a = (type)p->lo, d = (type)p->hi, s = (type)b;            \
		uint64_t f = *flags & FL_ARITH;                                \
                                                                               \
		__asm__(HOST_IN #op #sfx " %[s]" HOST_OUT                      \
			: "+a"(a), "+d"(d), [f] "+r"(f) : [s] "r"(s) : "cc");  \
		p->lo = a;                                                     \
		p->hi = d;                                                     \
		*flags = f & FL_ARITH;                                         \
	}

#define HOST_WIDE(op)                                                          \
	HOST_WIDE_BYTE(op)                                                     \
	HOST_WIDE_SIZED(op, w, uint16_t)                                       \
	HOST_WIDE_SIZED(op, l, uint32_t)                                       \
	static host_wide *const host_wide_##op[] = {                           \
		host_wide_##op##b, host_wide_##op##w, host_wide_##op##l};

HOST_WIDE(mul)
HOST_WIDE(imul)
HOST_WIDE(div)
HOST_WIDE(idiv)

static struct pair get_pair(const struct cpu *cpu, unsigned size)
{
	if (size == 1)
		return (struct pair){.lo = reg_get(cpu, R_EAX, 2)};
	return (struct pair){.lo = reg_get(cpu, R_EAX, size), .hi = reg_get(cpu, R_EDX, size)};
}

static void set_pair(struct cpu *cpu, unsigned size, struct pair p)
{
	if (size == 1) {
		reg_set(cpu, R_EAX, 2, p.lo);
		return;
	}
	reg_set(cpu, R_EAX, size, p.lo);
	reg_set(cpu, R_EDX, size, p.hi);
}

static enum outcome multiply(struct cpu *cpu, const struct insn *insn, host_wide *const fn[])
{
	uint32_t b, flags = cpu->eflags;
	unsigned size = insn->op[0].size;
	enum outcome out = op_read(cpu, insn, 0, &b);

	if (out != OUT_OK)
		return out;
	struct pair p = get_pair(cpu, size);
	fn[size_index(size)](&p, b, &flags);
	set_pair(cpu, size, p);
	set_arith(cpu, flags);
	return OUT_OK;
}

enum outcome op_mul(struct cpu *cpu, const struct insn *insn)
{
	return multiply(cpu, insn, host_wide_mul);
}

enum outcome op_imul(struct cpu *cpu, const struct insn *insn)
{
	uint32_t a, b, flags = cpu->eflags;
	unsigned first = insn->nops == 3 ? 1 : 0;

	if (insn->nops == 1)
		return multiply(cpu, insn, host_wide_imul);
	enum outcome out = op_read(cpu, insn, first, &a);
	if (out == OUT_OK)
		out = op_read(cpu, insn, first + 1, &b);
	if (out != OUT_OK)
		return out;
	a = insn->op[0].size == 2 ? host_imulw(a, b, &flags) : host_imull(a, b, &flags);
	reg_set(cpu, insn->op[0].reg, insn->op[0].size, a);
	set_arith(cpu, flags);
	return OUT_OK;
}

static bool quotient_fits(struct pair p, uint32_t divisor, unsigned size)
{
	uint64_t dividend = size == 1 ? p.lo : (uint64_t)p.hi << (8 * size) | p.lo;

	return divisor && dividend / divisor < 1ull << (8 * size);
}

static bool signed_quotient_fits(struct pair p, uint32_t divisor, unsigned size)
{
	unsigned bits = 8 * size;
	uint64_t raw = size == 1 ? p.lo : (uint64_t)p.hi << bits | p.lo;
	int64_t dividend = (int64_t)(raw << (64 - 2 * bits)) >> (64 - 2 * bits);
	int64_t d = (int64_t)((uint64_t)divisor << (64 - bits)) >> (64 - bits);
	int64_t max = (int64_t)(1ull << (bits - 1));

	if (!d || (dividend == INT64_MIN && d == -1))
		return false;
	return dividend / d < max && dividend / d >= -max;
}

static enum outcome divide(struct cpu *cpu, const struct insn *insn, host_wide *const fn[],
			   bool (*fits)(struct pair, uint32_t, unsigned))
{
	uint32_t b, flags = cpu->eflags;
	unsigned size = insn->op[0].size;
	enum outcome out = op_read(cpu, insn, 0, &b);

	if (out != OUT_OK)
		return out;
	struct pair p = get_pair(cpu, size);
	if (!fits(p, b, size))
		return cpu_raise(cpu, EXC_DE);
	fn[size_index(size)](&p, b, &flags);
	set_pair(cpu, size, p);
	set_arith(cpu, flags);
	return OUT_OK;
}

enum outcome op_div(struct cpu *cpu, const struct insn *insn)
{
	return divide(cpu, insn, host_wide_div, quotient_fits);
}

enum outcome op_idiv(struct cpu *cpu, const struct insn *insn)
{
	return divide(cpu, insn, host_wide_idiv, signed_quotient_fits);
}
