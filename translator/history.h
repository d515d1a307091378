/*
 * What happened to translations and in translated code: a ring of events for the debug monitor's `tc why` and `tc trace`, and for
 * crash reports.
 *
 * Rare events are always kept; those of every day only while somebody wants them. Recording is called from files that may not
 * touch vector registers, so it calls nothing (history.c). The vCPU thread writes and never waits; readers on other threads copy
 * (history_copy) and find out afterwards whether they were overtaken.
 */
#ifndef RINGFENCE_TRANSLATOR_HISTORY_H
#define RINGFENCE_TRANSLATOR_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(id, word, always kept, text; what `arg` is) */
#define HISTORY_EVENTS(X)                                                                          \
	X(TRANSLATE, "translate", true, "translated; arg: guest instructions")                     \
	X(REVIVE, "revive", true, "revived: the same bytes are back; arg: guest physical address") \
	X(MOVE, "move", true, "moved here; arg: from which linear address")                        \
	X(DROP, "invalidate", true, "dropped; arg: guest physical address written, or all ones")   \
	X(EVICT, "evict", true, "evicted for room")                                                \
	X(FORM, "form", true, "another form learnt from a fault; arg: HISTORY_FORM_ARG")            \
	X(GEAR, "gear", true, "space `lin` changed gear; arg: 0 look-up, 1 window, 2 direct")      \
	X(CHAIN, "chain", false, "exit chained; arg: linear address of the unit it leaves")        \
	X(EXIT, "exit", false, "a direct exit came to C; arg: linear address of the unit it leaves") \
	X(MISS, "miss", false, "indirect look-up missed")                                          \
	X(CALLOUT, "callout", false, "done in C for translated code; arg: next address, lean operation + 1 above") \
	X(HIDDEN, "hidden", false, "hidden fault: window filled; arg: linear address")             \
	X(REFILL, "refill", false, "a look-up missed: software TLB filled; arg: linear address")   \
	X(FAULT, "fault", false, "exception for the guest; arg: vector, error code above")         \
	X(INTERRUPT, "interrupt", false, "external interrupt or NMI; arg: vector")                 \
	X(WORLD_ENTER, "world-enter", false, "user code is run directly; arg: space")              \
	X(WORLD_LEAVE, "world-leave", false, "and came back; arg: HISTORY_LEAVE")                  \
	X(WORLD_MAP, "world-map", false, "pages shown in a world; arg: pages, WORLD_* rights above") \
	X(WORLD_LOST, "world-lost", true, "a world ended or broke its rules; arg: space")

enum history_kind {
#define X(id, word, always, text) HISTORY_##id,
	HISTORY_EVENTS(X)
#undef X
	HISTORY_KINDS
};
#define HISTORY_FORM_ARG(form, cause) ((uint64_t)(cause) << 4 | (uint64_t)(form))
#define HISTORY_LEAVE(stop, signal, trap, address) \
	((uint64_t)(address) << 32 | (uint64_t)(trap) << 16 | (uint64_t)(signal) << 8 | (uint64_t)(stop))

struct history_event {
	uint64_t tsc;
	uint64_t arg;
	uint32_t lin, mode;
	uint32_t kind, pad;
};

enum { HISTORY_SIZE = 1 << 16 };

/*
 * The time line: how many events of each kind in each piece of time, from the creation on. When the last slot is full two become one
 * and a slot is twice as long, so a run of any length has between half of the slots and all of them. Besides what is kept it
 * counts, always, what costs so much that counting it does not show.
 */
enum { TIMELINE_SLOTS = 512, TIMELINE_SHIFT = 20 };
enum { TIMELINE_KINDS = 1 << HISTORY_HIDDEN | 1 << HISTORY_FAULT | 1 << HISTORY_INTERRUPT };
struct timeline {
	unsigned shift; /* a slot is 1 << shift TSC ticks */
	uint32_t n[TIMELINE_SLOTS][HISTORY_KINDS];
};

struct tc_trace;

struct history {
	uint64_t count; /* ever recorded; the next goes to count % HISTORY_SIZE */
	uint32_t mask;  /* 1 << kind: history_record is called; `keep` and TIMELINE_KINDS */
	uint32_t keep;  /* goes into the ring; what `on` and the readers ask for */
	uint32_t on;    /* what is recorded without readers */
	uint64_t write; /* guest physical address being written, ~0: none */
	uint64_t start; /* TSC at creation */
	uint64_t start_ns;
	uint32_t *sample; /* by CCF: kicks that found it running */
	struct tc_trace *readers; /* vCPU thread */
	struct timeline time;
	struct history_event event[HISTORY_SIZE];
};

struct tc;
struct history *history_create(uint32_t ccfs);
void history_destroy(struct history *);
void history_record(struct history *, enum history_kind, uint32_t lin, uint32_t mode, uint64_t arg);
/* The oldest event that is still there. */
uint64_t history_oldest(const struct history *);
/* Copy event n. False: it has been overwritten, or was while it was copied. Any thread. */
bool history_copy(const struct history *, uint64_t n, struct history_event *);

/* Nanoseconds for each TSC tick, measured since the creation. */
double history_tick_ns(const struct history *);

/* The inline test is all that an event costs that is not kept. */
static inline void history_note(struct history *h, enum history_kind kind, uint32_t lin, uint32_t mode,
				uint64_t arg)
{
	if (__builtin_expect(h->mask >> kind & 1, 0))
		history_record(h, kind, lin, mode, arg);
}

#endif
