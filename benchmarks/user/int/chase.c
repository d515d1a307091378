/* A walk along pointers in random order over half a MiB: the latency of dependent loads. */
#include "../bench.h"

#define NODES 8192
#define STEPS 250000

static struct node {
	struct node *next;
	uint32_t pad[15]; /* one cache line */
} nodes[NODES];

/* Sattolo's shuffle: one cycle through all nodes. */
static void prepare(void)
{
	static uint16_t order[NODES];
	uint32_t seed = 17;
	for (unsigned i = 0; i < NODES; i++)
		order[i] = (uint16_t)i;
	for (unsigned i = NODES - 1; i > 0; i--) {
		unsigned j = random_next(&seed) % i;
		uint16_t t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	for (unsigned i = 0; i < NODES; i++)
		nodes[order[i]].next = &nodes[order[(i + 1) % NODES]];
}

uint32_t benchmark_unit(void)
{
	if (!nodes[0].next)
		prepare();
	const struct node *p = nodes;
	for (unsigned i = 0; i < STEPS; i++)
		p = p->next;
	return (uint32_t)(p - nodes);
}
