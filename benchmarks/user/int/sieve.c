/* The sieve of Eratosthenes: byte stores with a stride, an L2-sized array. */
#include "../bench.h"

#define LIMIT 250000

static uint8_t composite[LIMIT];

uint32_t benchmark_unit(void)
{
	uint32_t count = 0;
	for (unsigned i = 0; i < LIMIT; i++)
		composite[i] = 0;
	for (unsigned i = 2; i < LIMIT; i++) {
		if (composite[i])
			continue;
		count++;
		for (unsigned j = i * 2; j < LIMIT; j += i)
			composite[j] = 1;
	}
	return count;
}
