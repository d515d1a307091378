/*
 * Execution counts: how often each CCF was entered, for the debug monitor. Off unless asked for; then not one emitted byte
 * differs. On, every CCF begins with
 *
 *   mov r8, [r14 + counts]     the table: 64 bits for each CCF
 *   mov r9, [r8 + id * 8]
 *   lea r9, [r9 + 1]           flags kept
 *   mov [r8 + id * 8], r9
 *
 * at its direct entry, by which chained exits come, the dispatcher, and what passed the indirect entry. An instruction that is
 * begun again after a hidden fault is no new entry. Everything is on the vCPU thread.
 */
#ifndef RINGFENCE_TRANSLATOR_COUNTS_H
#define RINGFENCE_TRANSLATOR_COUNTS_H

#include "translator/internal.h"

struct tu;

static inline bool counts_on(const struct tc *tc)
{
	return tc->x.counts;
}

/* Entries since the CCF was made; 0 while counts are off. */
static inline uint64_t counts_of(const struct tc *tc, ccf_id id)
{
	return tc->x.counts ? tc->x.counts[id] : 0;
}

/* A new CCF has this number. */
static inline void counts_clear(struct tc *tc, ccf_id id)
{
	if (tc->x.counts)
		tc->x.counts[id] = 0;
}

/*
 * The table is made or freed. CCFs there are must not survive it: their code refers to the table, or does not count. False: no
 * memory, still off.
 */
bool counts_switch(struct tc *, bool on);

/* At the unit's direct entry; sets tu->counting. */
void counts_emit(struct tu *);

#endif
