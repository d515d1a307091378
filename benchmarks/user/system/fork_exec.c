/* A child that becomes a static program (busybox true: 2 MB, a few dozen pages touched). */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 4;

uint32_t benchmark_unit(void)
{
	static int ready;
	char *arguments[] = {"true", 0};
	uint32_t sum = 0;
	if (!ready++)
		one_processor();
	for (uint32_t i = 0; i < benchmark_operations; i++)
		sum += (uint32_t)run_program(beside("busybox"), arguments);
	return sum;
}
