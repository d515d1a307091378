/* Five bodies attracting each other: scalar SSE2 with square roots and divisions. */
#include "../bench.h"

#define BODIES 5
#define STEPS 10000

struct body {
	double x[3], v[3], mass;
};

/* The Sun and the four large planets, rounded; units: astronomical, days. */
static const struct body initial[BODIES] = {
	{{0, 0, 0}, {0, 0, 0}, 39.478},
	{{4.841, -1.160, -0.1036}, {0.6063, 2.8120, -0.02522}, 0.03769},
	{{8.343, 4.125, -0.4035}, {-1.0108, 1.8257, 0.008416}, 0.01129},
	{{12.894, -15.111, -0.2233}, {1.0828, 0.8687, -0.01083}, 0.001724},
	{{15.380, -25.919, 0.1793}, {0.9791, 0.5947, -0.03476}, 0.002034},
};
static struct body body[BODIES];

static double square_root(double x)
{
	__asm__("sqrtsd %1, %0" : "=x"(x) : "xm"(x));
	return x;
}

static void attract(struct body *a, struct body *b, double dt)
{
	double d[3], square = 0;
	for (int k = 0; k < 3; k++) {
		d[k] = a->x[k] - b->x[k];
		square += d[k] * d[k];
	}
	double factor = dt / (square * square_root(square));
	for (int k = 0; k < 3; k++) {
		a->v[k] -= d[k] * b->mass * factor;
		b->v[k] += d[k] * a->mass * factor;
	}
}

uint32_t benchmark_unit(void)
{
	for (int i = 0; i < BODIES; i++)
		body[i] = initial[i];
	for (int step = 0; step < STEPS; step++) {
		for (int i = 0; i < BODIES; i++) {
			for (int j = i + 1; j < BODIES; j++)
				attract(&body[i], &body[j], 0.001);
		}
		for (int i = 0; i < BODIES; i++) {
			for (int k = 0; k < 3; k++)
				body[i].x[k] += 0.001 * body[i].v[k];
		}
	}
	return fold_double(body[1].x[0]);
}
