/*
 * A benchmark program: freestanding, static, 32-bit, the same file natively and in a guest.
 *
 * Each program defines benchmark_unit(): about a millisecond of work natively, the same work and the same
 * result each time. After a quarter of a second to warm up, crt.c runs units for as long as its argument says
 * (milliseconds), times them in samples of about two milliseconds, and prints one line:
 *
 *     NAME median_ns_of_a_unit total_us units result operations_per_unit
 *
 * The median is what gets compared: on a busy host it leaves out the units in which something else ran. The
 * result must be the same wherever the program runs, so that every measurement is also a test.
 */
#ifndef RINGFENCE_BENCHMARKS_USER_BENCH_H
#define RINGFENCE_BENCHMARKS_USER_BENCH_H

#include <stdint.h>

uint32_t benchmark_unit(void);

/* How many operations (system calls, faults) a unit is, for figures per operation; 1 unless the program says. */
extern uint32_t benchmark_operations;
/* Called after the last unit; the program may define it. */
void benchmark_end(void);
/* As the kernel left it: argc, argv, environment, auxiliary vector. */
extern uint32_t *benchmark_stack;

/* A step of a linear congruential generator (Numerical Recipes' constants): cheap, and alike everywhere. */
static inline uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* The bits of a double folded: a result that notices any difference in rounding. */
static inline uint32_t fold_double(double value)
{
	union {
		double d;
		uint32_t half[2];
	} u = {.d = value};
	return u.half[0] ^ u.half[1] * 31;
}

#endif
