/* Multiplication of matrices of doubles, two at a time: packed SSE2 loads, products and sums. */
#include "../bench.h"

#define N 96

typedef double pair __attribute__((vector_size(16)));

static pair a[N][N / 2], b[N][N / 2], c[N][N / 2];

static void prepare(void)
{
	uint32_t seed = 23;
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N / 2; j++) {
			a[i][j] = (pair){random_next(&seed) * 1e-6, random_next(&seed) * 1e-6};
			b[i][j] = (pair){random_next(&seed) * 1e-6, random_next(&seed) * 1e-6};
		}
	}
}

static void multiply_row(int i)
{
	for (int j = 0; j < N / 2; j += 4) {
		pair sum[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
		for (int k = 0; k < N; k++) {
			double x = a[i][k / 2][k & 1];
			const pair both = {x, x};
			for (int l = 0; l < 4; l++)
				sum[l] += both * b[k][j + l];
		}
		for (int l = 0; l < 4; l++)
			c[i][j + l] = sum[l];
	}
}

uint32_t benchmark_unit(void)
{
	uint32_t result = 0;
	if (a[0][0][0] == 0)
		prepare();
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < N; i++)
			multiply_row(i);
	}
	for (int i = 0; i < N; i++)
		result = result * 31 + fold_double(c[i][i / 2][i & 1]);
	return result;
}
