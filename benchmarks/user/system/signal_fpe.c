/* SIGFPE for a division by zero; the handler steps over the instruction. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 200;

static uint32_t caught;

/* DIVL %ecx is two bytes. */
static void step_over(int signal, void *info, uint32_t *context)
{
	(void)signal, (void)info;
	caught++;
	context[CONTEXT_EIP] += 2;
}

uint32_t benchmark_unit(void)
{
	static int ready;
	if (!ready++)
		on_signal(8, step_over);
	caught = 0;
	for (uint32_t i = 0; i < benchmark_operations; i++) {
		uint32_t a = 1, d = 0;
		__asm__ volatile("divl %2" : "+a"(a), "+d"(d) : "c"(0) : "memory");
	}
	return caught;
}
