/* String instructions: copies and fills of the sizes that programs ask for, from 16 bytes to 4 KiB. */
#include "../bench.h"

#define SIZE 4096
#define ROUNDS 16000

static uint8_t from[SIZE], to[SIZE];

static void copy(void *d, const void *s, uint32_t words)
{
	__asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(words)::"memory");
}

static void fill(void *d, uint32_t value, uint32_t words)
{
	__asm__ volatile("rep stosl" : "+D"(d), "+c"(words) : "a"(value) : "memory");
}

uint32_t benchmark_unit(void)
{
	uint32_t seed = 19, result = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t bytes = 16u << (random_next(&seed) >> 5 & 7) << (round & 1);
		uint32_t at = random_next(&seed) % (SIZE - bytes + 1);
		fill(from, round, bytes / 4);
		copy(to + at, from, bytes / 4);
		result = result * 31 + to[at] + to[SIZE / 2];
	}
	return result;
}
