/* A hash in the manner of SHA-256: rotates, additions and logic with more live values than registers. */
#include "../bench.h"

#define BLOCKS 3000

static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static void mix_block(uint32_t *s, const uint32_t *w)
{
	uint32_t a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
	for (int i = 0; i < 64; i++) {
		uint32_t t = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
			     w[i & 15] + (uint32_t)i * 0x9e3779b9u;
		uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
		h = g;
		g = f;
		f = e;
		e = d + t;
		d = c;
		c = b;
		b = a;
		a = t + u;
	}
	const uint32_t end[8] = {a, b, c, d, e, f, g, h};
	for (int i = 0; i < 8; i++)
		s[i] += end[i];
}

uint32_t benchmark_unit(void)
{
	uint32_t state[8] = {1, 2, 3, 4, 5, 6, 7, 8}, words[16], seed = 3;
	for (int block = 0; block < BLOCKS; block++) {
		for (int i = 0; i < 16; i++)
			words[i] = random_next(&seed);
		mix_block(state, words);
	}
	return state[0] ^ state[7];
}
