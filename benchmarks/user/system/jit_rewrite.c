/* As jit, but the instructions change, not only their numbers: code that is made anew in the same place. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 2000;

/* add, sub or xor $value, %eax; inc %eax or nop; ret at p */
static void write_function(uint8_t *p, uint32_t value)
{
	static const uint8_t operation[] = {0x05, 0x2d, 0x35};

	p[0] = operation[value % 3];
	p[1] = (uint8_t)value;
	p[2] = (uint8_t)(value >> 8);
	p[3] = (uint8_t)(value >> 16);
	p[4] = (uint8_t)(value >> 24);
	p[5] = value % 5 ? 0x40 : 0x90;
	p[6] = 0xc3;
}

uint32_t benchmark_unit(void)
{
	enum { SLOTS = 256, SLOT = 64 };
	static uint8_t *code;
	uint32_t sum = 0;

	if (!code)
		code = map_pages(SLOTS * SLOT / 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	for (uint32_t i = 0; i < benchmark_operations; i++) {
		uint8_t *p = code + i % SLOTS * SLOT;

		write_function(p, i);
		__asm__ volatile("call *%1" : "+a"(sum) : "r"(p) : "memory");
	}
	return sum;
}
