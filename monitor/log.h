/* What -d, -D, -dfilter and the debug monitor's `log` say; the log itself is cpu/log.h. */
#ifndef RINGFENCE_MONITOR_LOG_H
#define RINGFENCE_MONITOR_LOG_H

#include "cpu/log.h"

#include <stddef.h>

/* Parse "int,mmu" into a mask ("all": every class but json); false with a line in err when a word is unknown. "help"
 * is the caller's business. */
bool log_parse(const char *text, unsigned *mask, char *err, size_t errlen);
void log_help(FILE *);
/* The n-th class; null ends. */
const char *log_class_name(unsigned n);

/* -dfilter's list; at most LOG_MAX_RANGES. False with a line in err. */
bool log_parse_ranges(const char *text, struct log_range *, unsigned *n, char *err, size_t errlen);

/* Open the log. `path` null: stderr. False with a line in err. */
bool log_open(unsigned mask, const char *path, char *err, size_t errlen);
/* The debug monitor's `logfile`: from now on there, which is no pipe. vCPU thread. */
bool log_reopen(const char *path, char *err, size_t errlen);
void log_close(void);

#endif
