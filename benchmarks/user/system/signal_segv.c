/* SIGSEGV for a write to a forbidden page; the handler steps over the instruction. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 200;

static uint32_t caught;

/* MOVB $1, (%reg) is three bytes. */
static void step_over(int signal, void *info, uint32_t *context)
{
	(void)signal, (void)info;
	caught++;
	context[CONTEXT_EIP] += 3;
}

uint32_t benchmark_unit(void)
{
	static uint8_t *p;
	if (!p) {
		p = map_pages(1, PROT_NONE);
		on_signal(11, step_over);
	}
	caught = 0;
	for (uint32_t i = 0; i < benchmark_operations; i++)
		__asm__ volatile("movb $1, (%0)" : : "c"(p) : "memory");
	return caught;
}
