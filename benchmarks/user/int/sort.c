/* Quicksort, recursive, with insertion sort for short runs: compares, unpredictable branches, swaps. */
#include "../bench.h"

#define COUNT 16384
#define SHORT 12

static uint32_t data[COUNT];

static void insertion_sort(uint32_t *a, int n)
{
	for (int i = 1; i < n; i++) {
		uint32_t x = a[i];
		int j = i;
		for (; j > 0 && a[j - 1] > x; j--)
			a[j] = a[j - 1];
		a[j] = x;
	}
}

static void quick_sort(uint32_t *a, int n)
{
	while (n > SHORT) {
		uint32_t pivot = a[n / 2];
		int i = 0, j = n - 1;
		for (;;) {
			while (a[i] < pivot)
				i++;
			while (a[j] > pivot)
				j--;
			if (i >= j)
				break;
			uint32_t t = a[i];
			a[i++] = a[j];
			a[j--] = t;
		}
		quick_sort(a, i);
		a += i;
		n -= i;
	}
	insertion_sort(a, n);
}

uint32_t benchmark_unit(void)
{
	uint32_t seed = 1, result = 0;
	for (unsigned i = 0; i < COUNT; i++)
		data[i] = random_next(&seed);
	quick_sort(data, COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		result = result * 31 + data[i];
	return result;
}
