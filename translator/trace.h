/* Events as text, which of them are wanted, and those who read them while they happen. */
#ifndef RINGFENCE_TRANSLATOR_TRACE_H
#define RINGFENCE_TRANSLATOR_TRACE_H

#include "cpu/log.h"
#include "translator/history.h"
#include "translator/internal.h"

#include <stdio.h>

enum trace_mode { TRACE_ANY, TRACE_USER, TRACE_KERNEL };

struct trace_filter {
	uint32_t kinds;
	enum trace_mode mode;
	bool everywhere;
	struct log_range range; /* of linear addresses, unless everywhere */
	uint64_t limit;         /* of events; 0: none was given */
};

/*
 * [EVENT,...] [addr=RANGE] [mode=user|kernel] [limit=N] [N]. Nothing said about events: all. Null, or what is wrong (a
 * constant string).
 */
const char *trace_parse(const char *text, struct trace_filter *);
bool trace_wants(const struct trace_filter *, const struct history_event *);
/* "chain", "miss", ...; only those always kept: */
const char *trace_word(enum history_kind);
/* Of HISTORY_GEAR's argument, after "user code"; of enum form_cause, after "it". */
const char *trace_gear_text(uint64_t gear);
const char *trace_cause_text(uint64_t cause);
/* What it means, and what its argument is. */
const char *trace_text(enum history_kind);
uint32_t trace_always(void);
/* One line. Async-signal-safe as far as fprintf is. */
void trace_print(const struct history *, const struct history_event *, FILE *);
/* The last column of it: what happened. */
void trace_describe(const struct history_event *, FILE *);
/* What is recorded follows from h->on and the readers. */
void trace_update_mask(struct history *);
uint64_t trace_now_ns(void);

#endif
