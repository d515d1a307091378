/* The file named by -pidfile. */
#ifndef RINGFENCE_MONITOR_PIDFILE_H
#define RINGFENCE_MONITOR_PIDFILE_H

#include <stdbool.h>
#include <stddef.h>

/* Write our process id; fails when a running process holds the file. */
bool pidfile_create(const char *path, char *err, size_t errlen);
/* Remove the file if we made it. Async-signal-safe, idempotent. */
void pidfile_remove(void);

#endif
