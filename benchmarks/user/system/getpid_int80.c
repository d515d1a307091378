/* The cheapest system call, by INT 80h. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 4000;

uint32_t benchmark_unit(void)
{
	uint32_t changes = 0, pid = (uint32_t)system_call(SYS_GETPID, 0, 0, 0);
	for (uint32_t i = 0; i < benchmark_operations; i++)
		changes += (uint32_t)system_call(SYS_GETPID, 0, 0, 0) != pid;
	return changes;
}
