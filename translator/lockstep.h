/*
 * Inside lockstep: the reference processor's memory (lockstep_memory.c), what is compared
 * (lockstep_compare.c), and the order of events (lockstep.c).
 */
#ifndef RINGFENCE_TRANSLATOR_LOCKSTEP_H
#define RINGFENCE_TRANSLATOR_LOCKSTEP_H

#include "translator/internal.h"

#include <stdio.h>

/* A guest physical page that the reference has written. */
struct overlay_page {
	uint64_t gpa;
	uint8_t old[PAGE_SIZE];           /* before the block */
	uint8_t now[PAGE_SIZE];           /* as the reference left it */
	uint64_t written[PAGE_SIZE / 64]; /* bit for each byte */
};

/* One write, so that memory can be had as it was after any instruction. */
struct overlay_write {
	uint64_t gpa;
	uint32_t data; /* offset in overlay.data */
	uint16_t len;
	uint16_t step; /* instructions completed when this one is done */
};

enum { OVERLAY_PAGES = 2048, OVERLAY_WRITES = 1 << 20, OVERLAY_DATA = 16 << 20 };

struct overlay {
	struct overlay_page *page[OVERLAY_PAGES]; /* allocated up to `allocated`, in use up to `pages` */
	unsigned pages, allocated;
	struct overlay_write *write;
	unsigned writes;
	uint8_t *data;
	uint32_t data_len;
	bool full; /* an allocation or a limit was hit: the block cannot be compared */
};

struct lockstep {
	struct tc *tc;
	struct cpu ref;        /* the reference while it runs */
	struct cpu *state;     /* [CCF_MAX_INSNS + 1]: after so many instructions */
	unsigned steps;        /* instructions the reference completed; the last may be a delivered fault */
	unsigned step;         /* the one it is executing, from 1 */
	bool opaque;           /* it met something that must not be done twice */
	bool skip;
	struct overlay mem;

	/* the block, copied: it may be dropped while it runs */
	uint32_t lin, mode;
	unsigned insns;
	uint32_t eip[CCF_MAX_INSNS + 1];
	uint8_t guest[CCF_MAX_INSNS * 15];
	unsigned guest_len;
	uint32_t host;
	unsigned host_len;

	uint64_t compared, early, skipped;
};

/* ---- lockstep_memory.c ---- */
extern const struct cpu_ops lockstep_ops; /* ops_ctx: struct lockstep */
bool overlay_create(struct overlay *);
void overlay_destroy(struct overlay *);
void overlay_reset(struct overlay *);
/* Memory as it was after `step` instructions; the log keeps what came later. */
void overlay_rewind(struct overlay *, unsigned step);
/* First byte in which the machine's memory differs from the overlay; false: none. */
bool overlay_differs(const struct overlay *, const struct physmap *, uint64_t *gpa);

/* ---- lockstep_compare.c ---- */
bool lockstep_same_cpu(const struct cpu *ref, const struct cpu *tc);
void lockstep_report(struct lockstep *, FILE *, const struct cpu *ref);

/* "N blocks compared, ..." */
void lockstep_print_stats(const struct lockstep *, FILE *);

#endif
