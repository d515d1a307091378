/*
 * The report of the translation cache: one HTML page that needs nothing from elsewhere.
 *
 * In two steps, so that the guest waits for the first only: taking a copy of what is to be shown, and making the page of it.
 * The page is written beside FILE and takes its name when it is complete: whoever reads FILE sees a whole one, and an old one
 * survives when the disk is full.
 */
#ifndef RINGFENCE_MONITOR_TC_REPORT_H
#define RINGFENCE_MONITOR_TC_REPORT_H

#include "monitor/vm_internal.h"

#include <stdio.h>

enum { TC_REPORT_HOTTEST = 200 }; /* CCFs whose code is shown */

struct tc_report_job;

/* On the vCPU thread between two instructions, or when it has ended. Null: no memory. There must be a TC. */
struct tc_report_job *tc_report_begin(struct vm *);
/* Any thread. False with one line in err: nothing was written. */
bool tc_report_write(const struct tc_report_job *, const char *path, char *err, size_t errlen);
void tc_report_free_job(struct tc_report_job *);
/* What was taken, for people: how many CCFs, how long it took. */
void tc_report_describe(const struct tc_report_job *, FILE *);

/* Could FILE be written? Asked at the start, when something can still be done about it. */
bool tc_report_possible(const char *path, char *err, size_t errlen);

/* ---- inside: tc_report_json.c ---- */

struct tc_report_time {
	const char *key, *text;
	int64_t ns;
};

struct tc_report_facts {
	const char *name, *kernel; /* null: none */
	char written[32];          /* when, UTC */
	uint64_t ram;
	int64_t run_ns;            /* since the guest started; the sum of `time` */
	unsigned times;
	struct tc_report_time time[10];
};

struct tc_report;
/* The data of the page as JSON without "<", ">" and "&", so that it can stand in a script element. False: no memory. */
bool tc_report_json(const struct tc_report *, const struct tc_report_facts *, FILE *);

#endif
