/* CRC-32 with a table: a dependent chain of loads, shifts and exclusive-ors. */
#include "../bench.h"

#define SIZE 0x40000
#define POLYNOMIAL 0xedb88320u

static uint32_t table[256];
static uint8_t data[SIZE];

static void prepare(void)
{
	uint32_t seed = 7;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
		table[i] = c;
	}
	for (unsigned i = 0; i < SIZE; i++)
		data[i] = (uint8_t)random_next(&seed);
}

uint32_t benchmark_unit(void)
{
	if (!table[1])
		prepare();
	uint32_t c = ~0u;
	for (unsigned i = 0; i < SIZE; i++)
		c = c >> 8 ^ table[(c ^ data[i]) & 255];
	return ~c;
}
