/* A fast Fourier transform, radix two: scalar SSE2 over an array with strides that double. */
#include "../bench.h"

#define BITS 12
#define N (1 << BITS)

static double re[N], im[N], cosine[N / 2], sine[N / 2];

/* Rotated step by step from (1, 0): no library, and exact enough. */
static void prepare(void)
{
	const double step_cos = 0.99999882345170188, step_sin = 0.00153398018628476561; /* of 2 pi / 4096 */
	cosine[0] = 1;
	for (int i = 1; i < N / 2; i++) {
		cosine[i] = cosine[i - 1] * step_cos - sine[i - 1] * step_sin;
		sine[i] = sine[i - 1] * step_cos + cosine[i - 1] * step_sin;
	}
}

static void load_reversed(void)
{
	for (unsigned i = 0; i < N; i++) {
		unsigned reversed = 0;
		for (unsigned bit = 0; bit < BITS; bit++)
			reversed |= (i >> bit & 1) << (BITS - 1 - bit);
		re[reversed] = (double)(i * 37 % 101);
		im[reversed] = 0;
	}
}

static void butterflies(int half)
{
	for (int start = 0; start < N; start += 2 * half) {
		for (int k = 0; k < half; k++) {
			int i = start + k, j = i + half, w = k * (N / 2 / half);
			double tr = re[j] * cosine[w] + im[j] * sine[w];
			double ti = im[j] * cosine[w] - re[j] * sine[w];
			re[j] = re[i] - tr;
			im[j] = im[i] - ti;
			re[i] += tr;
			im[i] += ti;
		}
	}
}

uint32_t benchmark_unit(void)
{
	if (cosine[0] == 0)
		prepare();
	uint32_t result = 0;
	for (int round = 0; round < 6; round++) {
		load_reversed();
		for (int half = 1; half < N; half *= 2)
			butterflies(half);
	}
	for (int i = 0; i < N; i += 97)
		result = result * 31 + fold_double(re[i]) + fold_double(im[i]);
	return result;
}
