/* Code that changes data in its own page. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 20000;

/* incl counter; mov counter, %eax; ret at p */
static void write_function(uint8_t *p, uint32_t *counter)
{
	p[0] = 0xff;
	p[1] = 0x05;
	*(uint32_t **)(p + 2) = counter;
	p[6] = 0xa1;
	*(uint32_t **)(p + 7) = counter;
	p[11] = 0xc3;
}

uint32_t benchmark_unit(void)
{
	static uint8_t *code;
	uint32_t *counter, result = 0;

	if (!code)
		code = map_pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
	counter = (uint32_t *)(code + 2048);
	write_function(code, counter);
	*counter = 0;
	for (uint32_t i = 0; i < benchmark_operations; i++)
		__asm__ volatile("call *%1" : "+a"(result) : "r"(code) : "memory");
	return result;
}
