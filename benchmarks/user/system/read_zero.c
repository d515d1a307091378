/* Reads of one byte from /dev/zero: a system call with a descriptor, a driver and a copy to the user. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 4000;

uint32_t benchmark_unit(void)
{
	static int fd = -1;
	uint32_t sum = 0;
	if (fd < 0)
		fd = must(system_call(SYS_OPEN, (int)"/dev/zero", 0, 0), "/dev/zero");
	for (uint32_t i = 0; i < benchmark_operations; i++) {
		uint8_t byte = 1;
		sum += (uint32_t)system_call_vdso(SYS_READ, fd, (int)&byte, 1) + byte;
	}
	return sum;
}
