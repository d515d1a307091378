/*
 * Status flags of the integer instructions. Each instruction runs with operands from a list of
 * interesting numbers and every incoming CF; results and the flags the manual defines are compared
 * with an oracle written from the definitions. SDM: "EFLAGS Cross-Reference".
 */
#include "lib/guest.h"

static const u32 numbers[] = {0,	  1,	      2,	  0xf,	      0x10,
			      0x7f,	  0x80,	      0xff,	  0x100,      0x7fff,
			      0x8000,	  0xffff,     0x10000,	  0x7fffffff, 0x80000000,
			      0xfffffffe, 0xffffffff, 0x12345678, 0xcafebabe};

struct result {
	u32 value, flags, defined;
};
typedef struct result (*oracle_fn)(u32 a, u32 b, u32 bits, u32 flags);

static u32 mask_of(u32 bits)
{
	return bits == 32 ? 0xffffffff : (1u << bits) - 1;
}

static u32 szp(u32 v, u32 bits)
{
	u32 parity = v ^ v >> 4;

	parity ^= parity >> 2;
	parity ^= parity >> 1;
	v &= mask_of(bits);
	return (v >> (bits - 1) & 1 ? SF_ : 0) | (v ? 0 : ZF_) | (parity & 1 ? 0 : PF_);
}

static struct result add3(u32 a, u32 b, u32 carry, u32 bits)
{
	u32 m = mask_of(bits), sum;
	u64 wide;
	struct result r;

	a &= m;
	b &= m;
	wide = (u64)a + b + carry;
	sum = (u32)wide & m;
	r.value = sum;
	r.flags = szp(sum, bits) | ((wide >> bits) & 1 ? CF_ : 0) | ((a ^ b ^ sum) & AF_);
	r.flags |= (~(a ^ b) & (a ^ sum)) >> (bits - 1) & 1 ? OF_ : 0;
	r.defined = ARITH_;
	return r;
}

/* a - b - carry is a + ~b + 1 - carry with carry and auxiliary carry inverted. */
static struct result sub3(u32 a, u32 b, u32 carry, u32 bits)
{
	struct result r = add3(a, ~b, 1 - carry, bits);

	r.flags ^= CF_ | AF_;
	return r;
}

static struct result logic(u32 v, u32 bits)
{
	return (struct result){v & mask_of(bits), szp(v, bits), ARITH_ & ~AF_};
}

static struct result keep_cf(struct result r, u32 flags)
{
	r.flags = (r.flags & ~CF_) | (flags & CF_);
	return r;
}

#define ORACLE(name, expr)                                                                         \
	static struct result name(u32 a, u32 b, u32 bits, u32 f)                                   \
	{                                                                                          \
		return (void)b, (void)f, (expr);                                                   \
	}
ORACLE(o_add, add3(a, b, 0, bits))
ORACLE(o_adc, add3(a, b, f & 1, bits))
ORACLE(o_sub, sub3(a, b, 0, bits))
ORACLE(o_sbb, sub3(a, b, f & 1, bits))
ORACLE(o_and, logic(a &b, bits))
ORACLE(o_or, logic(a | b, bits))
ORACLE(o_xor, logic(a ^ b, bits))
ORACLE(o_inc, keep_cf(add3(a, 1, 0, bits), f))
ORACLE(o_dec, keep_cf(sub3(a, 1, 0, bits), f))
ORACLE(o_neg, sub3(0, a, 0, bits))
ORACLE(o_not, ((struct result){~a & mask_of(bits), f, ARITH_}))

static struct result o_cmp(u32 a, u32 b, u32 bits, u32 f)
{
	struct result r = sub3(a, b, 0, bits);

	(void)f;
	r.value = a & mask_of(bits);
	return r;
}

static struct result o_test(u32 a, u32 b, u32 bits, u32 f)
{
	struct result r = logic(a & b, bits);

	(void)f;
	r.value = a & mask_of(bits);
	return r;
}

/*
 * Shifts and rotates, one bit at a time as the manual's pseudo-code does. OF is defined for counts
 * of one only, AF never; a count of 0 changes no flag.
 */
enum shift { ROL, ROR, RCL, RCR, SHL, SHR, SAR };

static struct result shift(enum shift kind, u32 a, u32 count, u32 bits, u32 f)
{
	u32 m = mask_of(bits), top = bits - 1, v = a & m, cf = f & 1, of = 0;

	count &= 31;
	if (!count)
		return (struct result){v, f, ARITH_};
	for (u32 i = 0; i < count; i++) {
		u32 high = v >> top & 1, low = v & 1, in = 0;

		if (kind == ROL || kind == RCL || kind == SHL) {
			in = kind == ROL ? high : kind == RCL ? cf : 0;
			v = (v << 1 | in) & m;
			cf = high;
			of = (v >> top & 1) ^ cf;
		} else {
			in = kind == ROR ? low : kind == RCR ? cf : kind == SAR ? high : 0;
			v = v >> 1 | in << top;
			cf = low;
			of = (v >> top & 1) ^ high;
		}
	}
	u32 out = (cf ? CF_ : 0) | (of ? OF_ : 0), defined = CF_ | (count == 1 ? OF_ : 0);

	if (kind >= SHL) {
		out |= szp(v, bits);
		defined |= SF_ | ZF_ | PF_;
		if (kind != SAR && count > bits)
			defined &= ~CF_;
	} else {
		out |= f & (SF_ | ZF_ | AF_ | PF_);
		defined |= SF_ | ZF_ | AF_ | PF_;
	}
	return (struct result){v, out, defined};
}

#define SHIFT_ORACLE(name, kind)                                                                   \
	static struct result name(u32 a, u32 b, u32 bits, u32 f)                                   \
	{                                                                                          \
		return shift(kind, a, b, bits, f);                                                 \
	}
SHIFT_ORACLE(o_rol, ROL)
SHIFT_ORACLE(o_ror, ROR) SHIFT_ORACLE(o_rcl, RCL) SHIFT_ORACLE(o_rcr, RCR) SHIFT_ORACLE(o_shl, SHL)
	SHIFT_ORACLE(o_shr, SHR) SHIFT_ORACLE(o_sar, SAR)

		static bool one_case(u32 code, oracle_fn oracle, u32 bits, u32 a, u32 b, u32 flags)
{
	struct context c = kernel_context(code);
	struct result want = oracle(a, b, bits, flags);
	u32 m = mask_of(bits);

	c.eax = a;
	c.ecx = b;
	c.eflags |= flags;
	run(&c);
	if (c.vector == DONE && c.eax == ((a & ~m) | want.value) &&
	    !((c.eflags ^ want.flags) & want.defined))
		return true;
	puts("a, b, flags in, value, flags out, wanted value, flags: ");
	u32 dump[] = {a, b, flags, c.eax, c.eflags & ARITH_, want.value, want.flags};

	for (u32 i = 0; i < ARRAY_LEN(dump); i++) {
		put_hex(dump[i]);
		puts(" ");
	}
	puts("\n");
	return false;
}

static void family(const char *name, u32 code, oracle_fn oracle, u32 bits, bool shifts)
{
	static const u32 flags_in[] = {0, CF_, ARITH_};
	bool ok = true;

	for (u32 i = 0; ok && i < ARRAY_LEN(numbers); i++) {
		for (u32 j = 0; ok && j < ARRAY_LEN(numbers); j++) {
			u32 b = shifts ? j * 2 - (j & 1)
				       : numbers[j]; /* counts 0 1 4 5 ... and beyond 31 */

			for (u32 k = 0; ok && k < 3; k++)
				ok = one_case(code, oracle, bits, numbers[i], b, flags_in[k]);
		}
	}
	report(ok, name);
}

#define BINARY(op, oracle)                                                                         \
	family(#op " 8", CODE(#op "b %cl,%al"), oracle, 8, false);                                 \
	family(#op " 16", CODE(#op "w %cx,%ax"), oracle, 16, false);                               \
	family(#op " 32", CODE(#op "l %ecx,%eax"), oracle, 32, false)
#define UNARY(op, oracle)                                                                          \
	family(#op " 8", CODE(#op "b %al"), oracle, 8, false);                                     \
	family(#op " 16", CODE(#op "w %ax"), oracle, 16, false);                                   \
	family(#op " 32", CODE(#op "l %eax"), oracle, 32, false)
#define SHIFTS(op, oracle)                                                                         \
	family(#op " 8", CODE(#op "b %cl,%al"), oracle, 8, true);                                  \
	family(#op " 16", CODE(#op "w %cl,%ax"), oracle, 16, true);                                \
	family(#op " 32", CODE(#op "l %cl,%eax"), oracle, 32, true)

/* Single cases: code, EAX, EDX, ECX in; EAX, EDX out; flags out under a mask. */
static void single(const char *name, u32 code, const u32 in[3], const u32 out[2], u32 flags,
		   u32 mask)
{
	struct context c = kernel_context(code);

	c.eax = in[0];
	c.edx = in[1];
	c.ecx = in[2];
	run(&c);
	if (!report(c.vector == DONE && c.eax == out[0] && c.edx == out[1] &&
			    (c.eflags & mask) == flags,
		    name)) {
		check_eq(c.eax, out[0], "  EAX");
		check_eq(c.edx, out[1], "  EDX");
		check_eq(c.eflags & mask, flags, "  flags");
	}
}
#define IN(a, d, c)                                                                                \
	(const u32[])                                                                              \
	{                                                                                          \
		a, d, c                                                                            \
	}
#define OUT(a, d)                                                                                  \
	(const u32[])                                                                              \
	{                                                                                          \
		a, d                                                                               \
	}

static void multiply_and_friends(void)
{
	single("mul wide", CODE("mull %ecx"), IN(0x80000000, 9, 2), OUT(0, 1), CF_ | OF_,
	       CF_ | OF_);
	single("mul narrow", CODE("mull %ecx"), IN(3, 9, 5), OUT(15, 0), 0, CF_ | OF_);
	single("mul byte", CODE("mulb %cl"), IN(0x11110010, 0, 0x20), OUT(0x11110200, 0), CF_ | OF_,
	       CF_ | OF_);
	single("imul one operand", CODE("imull %ecx"), IN(-2u, 0, 3), OUT(-6u, -1u), 0, CF_ | OF_);
	single("imul two operands overflow", CODE("imull %ecx,%eax"), IN(0x10000, 0, 0x10000),
	       OUT(0, 0), CF_ | OF_, CF_ | OF_);
	single("imul by immediate", CODE("imull $-3,%ecx,%eax"), IN(0, 0, 7), OUT(-21u, 0), 0,
	       CF_ | OF_);
	single("div", CODE("divl %ecx"), IN(7, 1, 3), OUT(0x55555557, 2), 0, 0);
	single("idiv", CODE("idivl %ecx"), IN(-7u, -1u, 2), OUT(-3u, -1u), 0, 0);
	single("bt past the register wraps", CODE("btl %ecx,%eax"), IN(2, 0, 33), OUT(2, 0), CF_,
	       CF_);
	single("bts", CODE("btsl $4,%eax"), IN(0, 0, 0), OUT(16, 0), 0, CF_);
	single("btr", CODE("btrl $4,%eax"), IN(0xff, 0, 0), OUT(0xef, 0), CF_, CF_);
	single("btc", CODE("btcl $0,%eax"), IN(1, 0, 0), OUT(0, 0), CF_, CF_);
	single("bsf", CODE("bsfl %ecx,%eax"), IN(0, 0, 0x80), OUT(7, 0), 0, ZF_);
	single("bsr", CODE("bsrl %ecx,%eax"), IN(0, 0, 0x81), OUT(7, 0), 0, ZF_);
	single("bsf of 0", CODE("bsfl %ecx,%edx\nmovl $1,%edx"), IN(5, 1, 0), OUT(5, 1), ZF_, ZF_);
	single("shld", CODE("shldl $4,%edx,%eax"), IN(0x12345678, 0xabcdef01, 0),
	       OUT(0x2345678a, 0xabcdef01), CF_, CF_);
	single("shrd", CODE("shrdl $8,%edx,%eax"), IN(0x12345678, 0xabcdef81, 0),
	       OUT(0x81123456, 0xabcdef81), 0, CF_);
	single("xadd", CODE("xaddl %edx,%eax"), IN(5, 7, 0), OUT(12, 5), 0, CF_ | ZF_);
	single("cmpxchg equal", CODE("cmpxchgl %ecx,%edx"), IN(5, 5, 9), OUT(5, 9), ZF_, ZF_);
	single("cmpxchg different", CODE("cmpxchgl %ecx,%edx"), IN(5, 6, 9), OUT(6, 6), CF_,
	       ZF_ | CF_);
	single("cbw cwd", CODE("cbw\ncwtd"), IN(0x80, 0, 0), OUT(0xff80, 0xffff), 0, 0);
	single("cwde cdq", CODE("cwtl\ncltd"), IN(0x8000, 0, 0), OUT(0xffff8000, -1u), 0, 0);
	single("bswap", CODE("bswapl %eax"), IN(0x12345678, 0, 0), OUT(0x78563412, 0), 0, 0);
	single("lahf/sahf", CODE("movb $0xff,%ah\nsahf\nlahf"), IN(0, 0, 0), OUT(0xd700, 0), 0xd5,
	       0xd5);
	single("stc cmc setc", CODE("stc\ncmc\nsetc %al"), IN(0xff, 0, 0), OUT(0, 0), 0, CF_);
	single("cmov", CODE("cmpl %eax,%eax\ncmovel %ecx,%eax\ncmovnel %ecx,%edx"), IN(1, 2, 3),
	       OUT(3, 2), ZF_, ZF_);
}

static void decimal(void)
{
	single("daa", CODE("addb $0x27,%al\ndaa"), IN(0x35, 0, 0), OUT(0x62, 0), AF_, AF_ | CF_);
	single("daa with carry", CODE("addb $0x99,%al\ndaa"), IN(0x99, 0, 0), OUT(0x98, 0),
	       AF_ | CF_, AF_ | CF_);
	single("das", CODE("subb $0x47,%al\ndas"), IN(0x35, 0, 0), OUT(0x88, 0), AF_ | CF_,
	       AF_ | CF_);
	single("aaa", CODE("addb $9,%al\naaa"), IN(0x0008, 0, 0), OUT(0x0107, 0), AF_ | CF_,
	       AF_ | CF_);
	single("aas", CODE("subb $9,%al\naas"), IN(0x0208, 0, 0), OUT(0x0109, 0), AF_ | CF_,
	       AF_ | CF_);
	single("aam", CODE("aam"), IN(63, 0, 0), OUT(0x0603, 0), 0, ZF_ | SF_);
	single("aad", CODE("aad"), IN(0x0603, 0, 0), OUT(63, 0), 0, ZF_ | SF_);
	single("aam base 16", CODE("aam $16"), IN(0xab, 0, 0), OUT(0x0a0b, 0), 0, ZF_ | SF_);
	single("salc with carry", CODE("stc\n.byte 0xd6"), IN(0x1200, 0, 0), OUT(0x12ff, 0), CF_,
	       CF_);
}

void guest_main(void)
{
	BINARY(add, o_add);
	BINARY(adc, o_adc);
	BINARY(sub, o_sub);
	BINARY(sbb, o_sbb);
	BINARY(and, o_and);
	BINARY(or, o_or);
	BINARY(xor, o_xor);
	BINARY(cmp, o_cmp);
	BINARY(test, o_test);
	UNARY(inc, o_inc);
	UNARY(dec, o_dec);
	UNARY(neg, o_neg);
	UNARY(not, o_not);
	SHIFTS(rol, o_rol);
	SHIFTS(ror, o_ror);
	SHIFTS(rcl, o_rcl);
	SHIFTS(rcr, o_rcr);
	SHIFTS(shl, o_shl);
	SHIFTS(shr, o_shr);
	SHIFTS(sar, o_sar);
	multiply_and_friends();
	decimal();
}
