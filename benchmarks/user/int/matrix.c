/* Multiplication of integer matrices: multiply-add with three addresses in the inner loop. */
#include "../bench.h"

#define N 120

static int32_t a[N][N], b[N][N], c[N][N];

uint32_t benchmark_unit(void)
{
	uint32_t seed = 13, result = 0;
	for (int i = 0; i < N * N; i++) {
		a[i / N][i % N] = (int32_t)random_next(&seed);
		b[i / N][i % N] = (int32_t)random_next(&seed);
	}
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			uint32_t sum = 0;
			for (int k = 0; k < N; k++)
				sum += (uint32_t)a[i][k] * (uint32_t)b[k][j];
			c[i][j] = (int32_t)sum;
		}
	}
	for (int i = 0; i < N; i++)
		result = result * 31 + (uint32_t)c[i][N - 1 - i];
	return result;
}
