/*
 * Formatted output that is async-signal-safe: no heap, no locks, no locale. For crash reports.
 */
#ifndef RINGFENCE_CPU_RAWOUT_H
#define RINGFENCE_CPU_RAWOUT_H

#include <stddef.h>
#include <stdint.h>

struct rawout {
	int fd;        /* -1: nowhere */
	int second;    /* the same goes there; -1: nowhere */
	unsigned left; /* lines that `second` still gets */
	unsigned used;
	char buf[1024];
};

/* Of printf: %s %c %u %d %x %p %%, the modifiers l ll z, width, 0, -, and a precision for %s. */
void rawout_print(struct rawout *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rawout_write(struct rawout *, const char *, size_t);
void rawout_hex(struct rawout *, const uint8_t *, size_t); /* "55 89 e5" */
void rawout_flush(struct rawout *);

#endif
