/*
 * Time without a call of the C library, for ports that are read on the lean path: the TSC's progress since the clock was last
 * asked in full.
 *
 * It is never ahead of machine_now, because its rate is a 512th too slow, and never more than 0.3 us behind,
 * because after LEAN_NS it gives up and the full path sets it anew. A register whose full read sets it therefore sees no time go backwards,
 * whichever way it is read.
 *
 * vCPU thread. Built with general registers only.
 */
#include "devices/machine.h"

#include <x86intrin.h>

enum {
	LEAN_NS = 100000,
	MEASURE_NS = 1000000, /* the shortest stretch that gives a rate */
	SLACK = 300, /* ticks that may pass while both clocks are read: 1/3000 of that stretch at 1 GHz */
	MAX_TICKS = 1 << 26, /* so that products fit; at any rate more than LEAN_NS */
};

/* Stretches longer than a second are not used: products must fit. */
static void measure(struct lean_clock *l, uint64_t tsc, int64_t ns, int64_t offset)
{
	int64_t passed = ns - l->from_ns;

	if (l->from_tsc && l->offset == offset && passed < MEASURE_NS)
		return;
	if (l->from_tsc && l->offset == offset && passed < NS_PER_SEC && tsc > l->from_tsc) {
		uint64_t rate = ((uint64_t)passed << 32) / (tsc - l->from_tsc);

		l->rate = rate - (rate >> 9);
	}
	l->from_tsc = tsc;
	l->from_ns = ns;
}

void machine_clock_sample(struct machine *m)
{
	struct lean_clock *l = &m->lean_clock;
	int64_t offset = atomic_load_explicit(&m->clock.offset, memory_order_relaxed);
	uint64_t before = __rdtsc();
	int64_t ns = machine_now(m);
	uint64_t tsc = __rdtsc();

	if (tsc - before > SLACK)
		return;
	measure(l, tsc, ns, offset);
	l->tsc = tsc;
	l->ns = ns;
	l->offset = offset;
}

bool machine_lean_now(const struct machine *m, int64_t *ns)
{
	const struct lean_clock *l = &m->lean_clock;
	uint64_t ticks = __rdtsc() - l->tsc;
	int64_t passed;

	if (!l->rate || ticks > MAX_TICKS ||
	    atomic_load_explicit(&m->clock.frozen, memory_order_acquire) != CLOCK_RUNNING ||
	    atomic_load_explicit(&m->clock.offset, memory_order_relaxed) != l->offset)
		return false;
	passed = (int64_t)(ticks * l->rate >> 32);
	*ns = l->ns + passed;
	return passed <= LEAN_NS;
}
