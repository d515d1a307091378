/* A byte to another process and back: two context switches. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_operations = 200;

static int there[2], back[2];

static void start_partner(void)
{
	uint8_t byte;
	one_processor();
	must(system_call(SYS_PIPE, (int)there, 0, 0), "pipe");
	must(system_call(SYS_PIPE, (int)back, 0, 0), "pipe");
	if (must(system_call(SYS_FORK, 0, 0, 0), "fork"))
		return;
	system_call(SYS_CLOSE, there[1], 0, 0); /* so that our reads end with the parent */
	while (system_call_vdso(SYS_READ, there[0], (int)&byte, 1) == 1) {
		byte++;
		system_call_vdso(SYS_WRITE, back[1], (int)&byte, 1);
	}
	system_call(SYS_EXIT, 0, 0, 0);
}

uint32_t benchmark_unit(void)
{
	uint8_t byte = 0;
	if (!there[1])
		start_partner();
	for (uint32_t i = 0; i < benchmark_operations; i++) {
		system_call_vdso(SYS_WRITE, there[1], (int)&byte, 1);
		system_call_vdso(SYS_READ, back[0], (int)&byte, 1);
	}
	return byte;
}
