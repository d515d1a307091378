/*
 * When the monitor itself fails: a message, a report in a file for a bug report, and then the end that the signal means.
 */
#ifndef RINGFENCE_MONITOR_CRASH_H
#define RINGFENCE_MONITOR_CRASH_H

#include "translator/translator.h"

/* What is there to report on; null where there is nothing (yet). */
struct crash_subject {
	const struct cpu *cpu;
	struct mmu *mmu;
	struct tc *tc;
	/* Called before anything else: put the terminal back. Async-signal-safe. May be null. */
	void (*clean_up)(void);
	/* One more part of the report. May be null. */
	void (*more)(FILE *);
};

/* Handlers for the signals that mean a failure (SIGSEGV, SIGABRT, ...), for all threads. Once, before threads are made. */
void crash_install(void);
/* Copied. At any time; what it points to must live until the next call. */
void crash_set_subject(const struct crash_subject *);
/*
 * Something is wrong that is no signal: say so and write a report; the process goes on. Only the first few in a process. Not
 * async-signal-safe by contract, but it takes no locks.
 */
void crash_report(const char *what, const char *details);

#endif
