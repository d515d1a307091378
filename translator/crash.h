/*
 * What a crash report says of the translation cache. The raw parts are async-signal-safe and read nothing but memory; the others
 * print to a stream as views do. Either may fault when what they look at is damaged: the caller guards them.
 */
#ifndef RINGFENCE_TRANSLATOR_CRASH_H
#define RINGFENCE_TRANSLATOR_CRASH_H

#include "cpu/rawout.h"
#include "translator/translator.h"

#include <stdint.h>
#include <stdio.h>

enum { TC_CRASH_BLOCKS = 16 };
struct tc_crash_block {
	uint32_t id; /* of the CCF */
	const char *why;
};

/* The blocks worth looking at, most likely culprit first. `host_rip`: where the thread was, 0: not known. */
unsigned tc_crash_blocks(const struct tc *, uint64_t host_rip, struct tc_crash_block[TC_CRASH_BLOCKS]);
/* Is this in translated code? Of which guest instruction (0: none, or it cannot be told)? */
bool tc_crash_locate(const struct tc *, uint64_t host_rip, uint32_t *eip);
/* Bytes, guest's and host's. */
void tc_crash_raw_block(const struct tc *, const struct tc_crash_block *, struct rawout *);
/* The same as `tc show`. */
void tc_crash_show_block(struct tc *, const struct tc_crash_block *, FILE *);
/* The dispatcher's variables and all counters. */
void tc_crash_raw_state(const struct tc *, struct rawout *);
/* The last events. */
void tc_crash_history(const struct tc *, unsigned n, FILE *);
/* From now on the disassembler takes nothing from the heap, which may be damaged or locked. */
void tc_crash_prepare(void);

#endif
