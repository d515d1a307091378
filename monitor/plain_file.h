/*
 * Files that a command of the monitor writes. Commands run on the vCPU thread, which must not wait for whoever reads a pipe: so
 * only regular files and character devices will do.
 */
#ifndef RINGFENCE_MONITOR_PLAIN_FILE_H
#define RINGFENCE_MONITOR_PLAIN_FILE_H

/* Create or empty the file; -1 with the reason in *why, which stays valid until the thread's next strerror(). */
int plain_file_create(const char *path, const char **why);

#endif
