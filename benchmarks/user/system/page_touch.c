/* First touch of anonymous pages: a page fault, a zeroed page, a new PTE. Mapping and unmapping are included. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 512;

uint32_t benchmark_unit(void)
{
	uint32_t sum = 0;
	volatile uint8_t *p = map_pages(benchmark_operations, PROT_READ | PROT_WRITE);
	for (uint32_t i = 0; i < benchmark_operations; i++)
		sum += p[i * 4096]++;
	system_call(SYS_MUNMAP, (int)p, (int)(benchmark_operations * 4096), 0);
	return sum;
}
