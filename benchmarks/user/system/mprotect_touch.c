/* A page made read-only and writable again, and written: two changes of a PTE and a fault. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 512;

uint32_t benchmark_unit(void)
{
	enum { PAGES = 64 };
	static volatile uint8_t *p;
	if (!p)
		p = map_pages(PAGES, PROT_READ | PROT_WRITE);
	for (uint32_t i = 0; i < benchmark_operations; i++) {
		volatile uint8_t *page = p + i % PAGES * 4096;
		system_call_vdso(SYS_MPROTECT, (int)page, 4096, PROT_READ);
		system_call_vdso(SYS_MPROTECT, (int)page, 4096, PROT_READ | PROT_WRITE);
		*page = (uint8_t)i;
	}
	return *p;
}
