/*
 * Where the vCPU thread's time goes, in TSC ticks: what is not translated code is metered. Callouts and interpreted instructions
 * are so short that two readings of the clock would show: one in METER_EVERY is timed and stands for the others.
 *
 * Translating has its own counter (tc_stats); what remains is translated code and the dispatcher.
 */
#ifndef RINGFENCE_TRANSLATOR_METER_H
#define RINGFENCE_TRANSLATOR_METER_H

#include <stdint.h>

enum meter {
	METER_CALLOUT,   /* interpreting for translated code */
	METER_INTERPRET, /* interpreting for the dispatcher */
	METER_FAULT,     /* host faults in translated code, from the handler on: the kernel's part is not seen */
	METER_DIRECT,    /* code that runs directly, and its comings and goings */
	METERS,
};
enum { METER_EVERY = 16 };

struct meters {
	uint64_t ticks[METERS];
	uint32_t turn[METERS];
};

/* 0: this one is not timed. */
static inline uint64_t meter_begin_often(struct meters *m, enum meter what)
{
	return m->turn[what]++ % METER_EVERY ? 0 : __builtin_ia32_rdtsc();
}

static inline void meter_end_often(struct meters *m, enum meter what, uint64_t begin)
{
	if (begin)
		m->ticks[what] += (__builtin_ia32_rdtsc() - begin) * METER_EVERY;
}

static inline void meter_end(struct meters *m, enum meter what, uint64_t begin)
{
	m->ticks[what] += __builtin_ia32_rdtsc() - begin;
}

#endif
