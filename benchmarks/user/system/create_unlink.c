/* A file created, closed and removed again in a tmpfs. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 100;

uint32_t benchmark_unit(void)
{
	static int ready;
	if (!ready++)
		temporary_directory();
	for (uint32_t i = 0; i < benchmark_operations; i++) {
		int fd = must(system_call_vdso(SYS_OPEN, (int)"file", O_RDWR | O_CREAT, 0600), "open");
		system_call_vdso(SYS_CLOSE, fd, 0, 0);
		must(system_call_vdso(SYS_UNLINK, (int)"file", 0, 0), "unlink");
	}
	return 0;
}
