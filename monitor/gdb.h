/*
 * The gdb server: the remote serial protocol on a character device (-gdb, -s).
 *
 * One debugger at a time; a second one is told so and let go. A debugger that connects stops the guest. One that
 * vanishes leaves no breakpoints behind, and the guest runs if it ran before.
 */
#ifndef RINGFENCE_MONITOR_GDB_H
#define RINGFENCE_MONITOR_GDB_H

#include <stdbool.h>
#include <stddef.h>

struct vm;
struct gdb;

/* Listen on `spec`, words as for -serial; tcp: and unix: are servers that do not wait unless they say otherwise. Null with a
 * line in err. */
struct gdb *gdb_open(struct vm *, const char *spec, char *err, size_t errlen);
/* Serve; the machine exists, the vCPU thread not yet. */
void gdb_start(struct gdb *);
/* The VM has ended, with this status: tells the debugger. The machine is stopped. Null is fine. */
void gdb_close(struct gdb *, int exit_code);

#endif
