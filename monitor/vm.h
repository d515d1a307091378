/*
 * The virtual machine as a whole: memory, machine, processor and accelerator put together, and its
 * life cycle: start, reset, power-off, quit.
 *
 * Threads: the vCPU thread runs the guest and does resets; the machine's I/O thread runs devices;
 * the program's first thread sits in vm_wait and handles signals. Requests from any
 * thread are bits in one atomic word (vm_request) followed by a kick.
 */
#ifndef RINGFENCE_MONITOR_VM_H
#define RINGFENCE_MONITOR_VM_H

#include "monitor/options.h"

#include <signal.h>

struct vm;

/* Build everything that can fail: files, memory, devices, terminals. Null with a line in err. */
struct vm *vm_create(const struct options *, char *err, size_t errlen);
/* Start the threads. */
bool vm_start(struct vm *, char *err, size_t errlen);
/* What vm_wait waits for: the caller has these signals blocked in all threads. */
void vm_signals(sigset_t *);
/*
 * Wait until the VM has ended by itself or a SIGINT, SIGTERM or SIGHUP asks it to; the exit status. By the thread that called
 * vm_start.
 */
int vm_wait(struct vm *);
/*
 * Stops the threads if they run, writes the report and prints the statistics if asked for, frees everything. False: the report could
 * not be written; stderr says why.
 */
bool vm_destroy(struct vm *);

/* Crash reports are about this machine from now on; `clean_up` as in crash.h. */
void vm_set_crash_subject(struct vm *, void (*clean_up)(void));

#endif
