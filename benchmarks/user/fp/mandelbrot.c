/* The Mandelbrot set with x87: the register stack, comparisons, no memory to speak of. */
#include "../bench.h"

#define SIZE 48
#define LIMIT 128

static unsigned iterations(double cr, double ci)
{
	double zr = 0, zi = 0;
	unsigned n = 0;
	while (n < LIMIT) {
		double r2 = zr * zr, i2 = zi * zi;
		if (r2 + i2 > 4)
			break;
		zi = 2 * zr * zi + ci;
		zr = r2 - i2 + cr;
		n++;
	}
	return n;
}

uint32_t benchmark_unit(void)
{
	uint32_t result = 0;
	for (int y = 0; y < SIZE; y++) {
		for (int x = 0; x < SIZE; x++)
			result = result * 31 + iterations(-2.0 + 2.5 * x / SIZE, -1.25 + 2.5 * y / SIZE);
	}
	return result;
}
