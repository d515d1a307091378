/*
 * Execution counts: how often each CCF was entered, for the debug monitor. Off unless asked for; then not one emitted byte
 * differs. On, every CCF begins with
 *
 *   mov r8, [r14 + counts]     the table: 64 bits for each CCF
 *   mov r9, [r8 + id * 8]
 *   lea r9, [r9 + 1]           flags kept
 *   mov [r8 + id * 8], r9
 *
 * at its direct entry, by which chained exits come, the dispatcher, and what passed the indirect entry. When the first instruction
 * then faults (a hidden fault, an exception, a kick within a string) nothing has been executed, and the entry is taken back: the unit
 * will be entered again, and counted. Everything is on the vCPU thread.
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

/* The entry that was counted last came to nothing. */
static inline void counts_take_back(struct tc *tc, ccf_id id)
{
	if (tc->x.counts && ccf_of(tc, id)->counting)
		tc->x.counts[id]--;
}

/* The instruction at `eip` raised an exception, in the unit that has this host address: was it the unit's first? */
static inline void counts_raised(struct tc *tc, uintptr_t host, uint32_t eip)
{
	ccf_id id = tc->x.counts ? cache_owner(tc, host) : 0;

	if (id && ccf_of(tc, id)->lin == eip)
		counts_take_back(tc, id);
}

/*
 * The table is made or freed. CCFs there are must not survive it: their code refers to the table, or does not count. False: no
 * memory, still off.
 */
bool counts_switch(struct tc *, bool on);

/* At the unit's direct entry; sets tu->counting. */
void counts_emit(struct tu *);

#endif
