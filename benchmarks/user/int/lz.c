/* Decompression in the manner of LZ77: literals and overlapping copies of earlier output, byte by byte. */
#include "../bench.h"

#define INPUT 65536
#define OUTPUT (256 * 1024)

static uint8_t input[INPUT], output[OUTPUT];
static unsigned input_length;

/*
 * A token: length - 1 in seven bits. Literals follow when the top bit is clear, else the distance back in two bytes.
 */
static void prepare(void)
{
	uint32_t seed = 11;
	unsigned done = 0, n = 0;
	while (n < INPUT - 140) {
		uint32_t r = random_next(&seed) >> 3, length = 1 + (r >> 8 & (r & 64 ? 63 : 7));
		uint32_t distance = 1 + (r >> 1) % 32000;
		if (done + length > OUTPUT)
			break;
		if (r & 1 && distance <= done) {
			input[n++] = (uint8_t)(0x80 | (length - 1));
			input[n++] = (uint8_t)distance;
			input[n++] = (uint8_t)(distance >> 8);
		} else {
			input[n++] = (uint8_t)(length - 1);
			for (uint32_t i = 0; i < length; i++)
				input[n++] = (uint8_t)random_next(&seed);
		}
		done += length;
	}
	input_length = n;
}

static uint8_t *decompress(const uint8_t *in, const uint8_t *end, uint8_t *out)
{
	while (in < end) {
		unsigned token = *in++, length = (token & 127) + 1;
		if (token & 128) {
			const uint8_t *from = out - (in[0] | in[1] << 8);
			in += 2;
			do
				*out++ = *from++;
			while (--length);
		} else {
			do
				*out++ = *in++;
			while (--length);
		}
	}
	return out;
}

uint32_t benchmark_unit(void)
{
	uint32_t result = 0;
	if (!input_length)
		prepare();
	for (int round = 0; round < 8; round++) {
		uint8_t *end = decompress(input, input + input_length, output);
		result = result * 31 + (uint32_t)(end - output) + end[-1] + output[(end - output) / 2];
	}
	return result;
}
