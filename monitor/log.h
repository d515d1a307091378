/*
 * The log: classes of events that -d switches on, written to stderr or to -D's file.
 *
 * The mask is set before the machine starts, and by the debug monitor's `log`; a disabled class
 * costs one load and one test. Lines from different threads never interleave.
 */
#ifndef RINGFENCE_MONITOR_LOG_H
#define RINGFENCE_MONITOR_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define LOG_CLASSES(X)                                                                             \
	X(STATS, stats, "statistics of all modules at exit")                                       \
	X(JSON, json, "with stats: as one line of JSON")                                           \
	X(INT, int, "external interrupts and NMIs as the processor takes them")                    \
	X(CPU_RESET, cpu_reset, "processor state at each reset and triple fault")                  \
	X(MMU, mmu, "changes of CR0, CR3 and CR4 that concern paging, and INVLPG")                 \
	X(IOPORT, ioport, "every port access")                                                     \
	X(UNIMP, unimp, "model-specific registers the guest asks for and we do not have")          \
	X(EXEC, exec, "every instruction's address (with -accel interp only)")

enum log_index {
#define X(id, word, text) LOG_INDEX_##id,
	LOG_CLASSES(X)
#undef X
		LOG_COUNT
};
enum log_class {
#define X(id, word, text) LOG_##id = 1u << LOG_INDEX_##id,
	LOG_CLASSES(X)
#undef X
};

/* Parse "int,mmu" into a mask; false with a line in err when a word is unknown. "help" is the
 * caller's business. */
bool log_parse(const char *text, unsigned *mask, char *err, size_t errlen);
void log_help(FILE *);
/* The n-th class; null ends. */
const char *log_class_name(unsigned n);
void log_set_mask(unsigned mask);

/* Open the log. `path` null: stderr. False with a line in err. */
bool log_open(unsigned mask, const char *path, char *err, size_t errlen);
void log_close(void);

extern unsigned log_mask;
static inline bool log_on(enum log_class c)
{
	return __builtin_expect(__atomic_load_n(&log_mask, __ATOMIC_RELAXED) & c, 0);
}
/* Where to write; never null. */
FILE *log_stream(void);
void log_line(enum log_class, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
