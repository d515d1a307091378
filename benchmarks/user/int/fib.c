/* Recursive Fibonacci numbers: calls and returns, and little else. */
#include "../bench.h"

/* Not inlined into itself, which would turn most of the calls into jumps. */
__attribute__((noinline)) static uint32_t fib(uint32_t n)
{
	if (n < 2)
		return n;
	uint32_t a = fib(n - 1);
	__asm__("" : "+r"(a)); /* keeps the second call from becoming a loop */
	return a + fib(n - 2);
}

uint32_t benchmark_unit(void)
{
	return fib(27);
}
