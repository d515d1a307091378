/* Calls through a table of functions in an order that does not repeat soon: indirect look-ups. */
#include "../bench.h"

#define CALLS 300000
#define SEQUENCE 1024

#define OPERATION(name, expression) \
	__attribute__((noinline)) static uint32_t name(uint32_t x) \
	{ \
		return expression; \
	}
OPERATION(op_add, x + 0x1234567)
OPERATION(op_xor, x ^ 0x89abcdef)
OPERATION(op_mul, x * 2654435761u)
OPERATION(op_rotate, x << 7 | x >> 25)
OPERATION(op_not, ~x)
OPERATION(op_shift, x ^ x >> 15)
OPERATION(op_sub, x - 0x7654321)
OPERATION(op_lea, x * 9 + 5)

static uint32_t (*const operations[])(uint32_t) = {
	op_add, op_xor, op_mul, op_rotate, op_not, op_shift, op_sub, op_lea,
};
static uint8_t sequence[SEQUENCE];

uint32_t benchmark_unit(void)
{
	uint32_t seed = 5, x = 1;
	for (unsigned i = 0; i < SEQUENCE; i++)
		sequence[i] = random_next(&seed) >> 9 & 7;
	for (unsigned i = 0; i < CALLS; i++)
		x = operations[sequence[i % SEQUENCE]](x);
	return x;
}
