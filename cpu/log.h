/*
 * The log: classes of events that -d switches on, written to stderr or to -D's file. It lives in the lowest folder so
 * that every module can write to it; what -d and -dfilter say is parsed in monitor/log.c.
 *
 * The mask is set before the machine starts, and by the debug monitor's `log`; a disabled class costs one load and one
 * test. Records from different threads never interleave.
 */
#ifndef RINGFENCE_CPU_LOG_H
#define RINGFENCE_CPU_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* X(id, word, text): QEMU's words and meanings, then our own. */
#define LOG_CLASSES(X)                                                                             \
	X(OUT_ASM, out_asm, "host code of each block translated")                                  \
	X(IN_ASM, in_asm, "guest code of each block translated")                                   \
	X(OP, op, "how each guest instruction is translated, and why")                             \
	X(INT, int, "interrupts and exceptions as the processor delivers them")                    \
	X(EXEC, exec, "each block (or interpreted instruction) before it runs")                    \
	X(CPU, cpu, "the registers before each block")                                             \
	X(FPU, fpu, "with 'cpu' and 'int': x87 and SSE registers too")                             \
	X(MMU, mmu, "paging changes, window fills and drops, hidden and true faults")              \
	X(PCALL, pcall, "far calls, jumps, returns, IRET and task switches in protected mode")     \
	X(CPU_RESET, cpu_reset, "processor state at each reset and triple fault")                  \
	X(UNIMP, unimp, "model-specific registers the guest asks for and we do not have")          \
	X(GUEST_ERRORS, guest_errors, "what guests should not do: accesses to nothing, triple faults") \
	X(NOCHAIN, nochain, "do not chain blocks; 'exec' and 'cpu' do the same")                   \
	X(IOPORT, ioport, "every port access")                                                     \
	X(STATS, stats, "statistics of all modules at exit")                                       \
	X(JSON, json, "with stats: as one line of JSON")

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

extern unsigned log_mask;
void log_set_mask(unsigned mask);
static inline bool log_on(unsigned classes)
{
	return __builtin_expect(__atomic_load_n(&log_mask, __ATOMIC_RELAXED) & classes, 0);
}

/* Where to write; null: stderr. The stream stays the caller's; it is flushed after each record. */
void log_set_stream(FILE *);
/* Never null. */
FILE *log_stream(void);

/* A record of one line. */
void log_line(enum log_class, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A record of several lines: null when none of the classes is on, else write and call log_end. */
FILE *log_begin(unsigned classes);
void log_end(FILE *);

/* ---- addresses (-dfilter) ---- */

struct log_range {
	uint64_t first, last;
};
enum { LOG_MAX_RANGES = 32 };
/* One range: FIRST..LAST, START+LEN or START-LEN (LEN bytes that end with START), or one address. C's numbers. */
bool log_parse_range(const char *text, struct log_range *);
/* Blocks elsewhere are not logged; n = 0: all are. Before the machine starts. */
void log_set_ranges(const struct log_range *, unsigned n);
/* For the classes that speak of blocks. */
bool log_in_range(uint64_t address);

#endif
