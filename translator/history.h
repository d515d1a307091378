/*
 * What happened to translations: a ring of events for the debug monitor's `tc why` and `tc trace`.
 *
 * Rare events are always kept; those of every day only while tracing is on. Recording is called from files that may not touch
 * vector registers, so it calls nothing (history.c).
 */
#ifndef RINGFENCE_TRANSLATOR_HISTORY_H
#define RINGFENCE_TRANSLATOR_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(id, word, always kept, text; what `arg` is) */
#define HISTORY_EVENTS(X)                                                                          \
	X(TRANSLATE, translate, true, "translated; arg: guest instructions")                       \
	X(REVIVE, revive, true, "revived: the same bytes are back; arg: guest physical address")   \
	X(DROP, invalidate, true, "dropped; arg: guest physical address written, or all ones")     \
	X(EVICT, evict, true, "evicted for room")                                                  \
	X(FORM, form, true, "another form learnt from a fault; arg: 1 look-up, 2 callout")         \
	X(GEAR, gear, true, "address space changed gear; arg: 1 window, 0 look-up")                \
	X(CHAIN, chain, false, "exit chained; arg: linear address of the unit it leaves")          \
	X(MISS, miss, false, "indirect look-up missed")                                            \
	X(CALLOUT, callout, false, "interpreted for translated code; arg: address of the next instruction") \
	X(HIDDEN, hidden, false, "hidden fault: window filled; arg: linear address")               \
	X(FAULT, fault, false, "exception for the guest; arg: vector")

enum history_kind {
#define X(id, word, always, text) HISTORY_##id,
	HISTORY_EVENTS(X)
#undef X
	HISTORY_KINDS
};

struct history_event {
	uint64_t tsc;
	uint64_t arg;
	uint32_t lin, mode;
	uint32_t kind, pad;
};

enum { HISTORY_SIZE = 1 << 16 };

struct history {
	uint64_t count; /* ever recorded; the next goes to count % HISTORY_SIZE */
	uint32_t mask;  /* 1 << kind: recorded */
	uint64_t write; /* guest physical address being written, ~0: none */
	uint64_t start; /* TSC at creation */
	uint64_t start_ns;
	uint32_t *sample; /* by CCF: kicks that found it running */
	struct history_event event[HISTORY_SIZE];
};

struct tc;
struct history *history_create(uint32_t ccfs);
void history_destroy(struct history *);
void history_record(struct history *, enum history_kind, uint32_t lin, uint32_t mode, uint64_t arg);

/* The inline test is all that an event costs that is not kept. */
static inline void history_note(struct history *h, enum history_kind kind, uint32_t lin, uint32_t mode,
				uint64_t arg)
{
	if (__builtin_expect(h->mask >> kind & 1, 0))
		history_record(h, kind, lin, mode, arg);
}

#endif
