/* A copy of four MiB, a word at a time, with a sum: memory that does not fit the inner caches. */
#include "../bench.h"

#define WORDS (1024 * 1024)

/* Apart by something else than a power of two, so that no cache or TLB, hard or soft, sees only conflicts. */
static uint32_t from[WORDS + 37 * 1024], to[WORDS + 37 * 1024];

uint32_t benchmark_unit(void)
{
	uint32_t sum = 0;
	if (!from[1]) {
		for (unsigned i = 0; i < WORDS; i++)
			from[i] = i * 3 + 1;
	}
	for (unsigned i = 0; i < WORDS; i++) {
		to[i] = from[i];
		sum += from[i];
		__asm__ volatile("" ::: "memory"); /* a word at a time: no vectors, no call of memcpy */
	}
	return sum ^ to[WORDS / 2];
}
