/* Inside crash reports: what the parts (crash_parts.c) are made from. */
#ifndef RINGFENCE_MONITOR_CRASH_INTERNAL_H
#define RINGFENCE_MONITOR_CRASH_INTERNAL_H

#include "monitor/crash.h"
#include "translator/crash.h"

#include <signal.h>

struct crash {
	struct crash_subject subject;
	const char *what, *details; /* not a signal */
	int signal;                 /* 0: not a signal */
	const siginfo_t *info;
	const ucontext_t *context;
	uint64_t rip;  /* of the host; 0: not known */
	struct rawout out;
	FILE *file;    /* writes to `out` */
	struct tc_crash_block block[TC_CRASH_BLOCKS];
	unsigned blocks;
};

/* One part of the report; may fault or hang: crash.c guards it. */
struct crash_part {
	const char *title; /* in the file only; may be null */
	void (*write)(struct crash *);
	unsigned lines; /* of it on stderr too */
};
extern const struct crash_part crash_parts[];
extern const unsigned crash_part_count;

#endif
