/* A child that exits at once, from a parent with little memory. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 10;

uint32_t benchmark_unit(void)
{
	static int ready;
	uint32_t sum = 0;
	if (!ready++)
		one_processor();
	for (uint32_t i = 0; i < benchmark_operations; i++) {
		int status = 0;
		int child = must(system_call_vdso(SYS_FORK, 0, 0, 0), "fork");
		if (!child)
			system_call(SYS_EXIT, 7, 0, 0);
		must(system_call5(SYS_WAIT4, child, (int)&status, 0, 0, 0), "wait");
		sum += (uint32_t)status;
	}
	return sum;
}
