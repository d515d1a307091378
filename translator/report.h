/*
 * What the report of the translation cache shows, taken at one moment: plain data, a copy. It is made on the vCPU thread outside of
 * tc_run (or when there is no such thread any more) in a few milliseconds; what is done with it afterwards keeps nobody waiting.
 */
#ifndef RINGFENCE_TRANSLATOR_REPORT_H
#define RINGFENCE_TRANSLATOR_REPORT_H

#include "translator/translator.h"

enum { REPORT_EXITS = 6 };

struct report_ccf {
	uint64_t gpa;
	uint64_t executions; /* 0 when they are not counted */
	uint32_t id, lin, mode;
	uint32_t samples;    /* kicks that found it running */
	uint32_t to[REPORT_EXITS];     /* chained to this CCF; 0: not */
	uint32_t target[REPORT_EXITS]; /* linear address */
	uint16_t guest_len, host_len;
	uint8_t insns, exits;
	bool dormant, selfcheck, crossing;
};

/* Places in report->text. */
struct report_line {
	uint32_t guest, host, why;
	uint32_t off; /* of the host instruction in the cache */
};

struct report_code {
	uint32_t ccf; /* index of report->ccf */
	uint32_t first, lines;
	bool changed; /* the source is not what it was made from */
};

struct report_event {
	double seconds; /* since the cache was made */
	uint32_t kind, lin;
	uint32_t what; /* place in report->text */
};

/* Events of one kind over time: slots[i] in the i-th piece of time. */
struct report_timeline {
	const char *word, *text;
	const uint32_t *slots;
};

struct tc_report {
	bool counted;    /* executions are */
	bool lost;       /* out of memory: something is missing */
	unsigned ccfs, codes, events, kinds, slots;
	unsigned modes;  /* different ones */
	struct report_ccf *ccf;   /* by id */
	struct report_code *code; /* the hottest, descending */
	struct report_line *line;
	unsigned lines;
	struct report_event *event; /* ascending; the last ones of each kind that the history still has */
	struct report_timeline *timeline;
	uint32_t *slot_counts;
	double slot_seconds, seconds; /* length of a slot; since the cache was made */
	uint64_t size, fill;          /* of the cache, bytes */
	struct {
		uint32_t mode, text;
	} mode[64];
	struct tc_stats stats;
	char *text;
};

/* With the code of the `hottest` most executed CCFs (most often sampled ones, if executions are not counted). Null: no memory. */
struct tc_report *tc_report_take(struct tc *, unsigned hottest);
void tc_report_free(struct tc_report *);

#endif
