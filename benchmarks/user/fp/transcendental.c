/* x87's functions: sine, cosine, tangent, arc tangent, logarithm, power of two, square root. */
#include "../bench.h"

#define ROUNDS 5000

static double sine_times_cosine(double x)
{
	double s, c;
	__asm__("fsincos" : "=t"(c), "=u"(s) : "0"(x));
	return s * c;
}

static double tangent(double x)
{
	double t;
	__asm__("fptan\n\tfstp %%st(0)" : "=t"(t) : "0"(x));
	return t;
}

static double arc_tangent(double x)
{
	double a;
	__asm__("fld1\n\tfpatan" : "=t"(a) : "0"(x) : "st(7)");
	return a;
}

static double log2_of(double x)
{
	double l;
	__asm__("fld1\n\tfxch\n\tfyl2x" : "=t"(l) : "0"(x) : "st(7)");
	return l;
}

/* 2^x - 1 for |x| <= 1. */
static double power_less_one(double x)
{
	__asm__("f2xm1" : "+t"(x));
	return x;
}

static double square_root(double x)
{
	__asm__("fsqrt" : "+t"(x));
	return x;
}

uint32_t benchmark_unit(void)
{
	double sum = 0, x = 0.1;
	for (int i = 0; i < ROUNDS; i++) {
		sum += sine_times_cosine(x) + tangent(x * 0.5) + arc_tangent(x);
		sum += log2_of(x + 1) + power_less_one(x * 0.25) + square_root(x);
		x += 0.001;
	}
	return fold_double(sum);
}
