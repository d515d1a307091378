/* A few speeds, by the TSC: enough to see which gear the machine runs in. */
#include "kernel.h"

enum { LOOPS = 20000000, COPIES = 1024, COPY_SIZE = 1 << 16, CR3_LOADS = 20000 };

static uint32_t microseconds(uint64_t cycles)
{
	return divide(cycles, timer_tsc_khz() / 1000 ? timer_tsc_khz() / 1000 : 1);
}

static void integer_loop(void)
{
	uint64_t start = rdtsc();
	uint32_t n = LOOPS, x = 1, us;

	__asm__ volatile("1: leal (%1,%1,2), %1\n\txorl %0, %1\n\taddl $7, %1\n\tdecl %0\n\tjnz 1b"
			 : "+r"(n), "+r"(x)
			 :
			 : "cc");
	us = microseconds(rdtsc() - start);
	print("  integer loop      %8u million instructions per second\n",
	      divide((uint64_t)LOOPS * 5, us ? us : 1));
}

static void copy(void)
{
	static uint8_t from[COPY_SIZE], to[COPY_SIZE];
	uint64_t start = rdtsc();
	uint32_t us;

	for (unsigned i = 0; i < COPIES; i++)
		memcpy(to, from, COPY_SIZE);
	us = microseconds(rdtsc() - start);
	print("  memory copy       %8u MB per second\n",
	      divide((uint64_t)COPIES * COPY_SIZE, us ? us : 1));
}

static void cr3_loads(void)
{
	uint64_t start = rdtsc();
	uint32_t us;

	for (unsigned i = 0; i < CR3_LOADS; i++)
		load_cr3(to_physical(kernel_directory));
	us = microseconds(rdtsc() - start);
	print("  CR3 load          %8u ns\n", divide((uint64_t)us * 1000, CR3_LOADS));
}

void bench_run(void)
{
	struct process *p;
	uint32_t pid;

	integer_loop();
	copy();
	cr3_loads();
	p = process_start("bench", 0);
	pid = p ? p->pid : 0;
	while (p && process_find(pid))
		thread_sleep_ticks(HZ / 50);
}
