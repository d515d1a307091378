/*
 * A character device as a dialogue: a thread of its own that reads bytes as they come, may wait, and writes.
 *
 * The debug monitor's servers are such threads because they wait: for their peer, and for the vCPU thread to carry out
 * what they ask (channel_run). While nothing is said the thread sleeps, and costs nothing.
 */
#ifndef RINGFENCE_MONITOR_CHANNEL_H
#define RINGFENCE_MONITOR_CHANNEL_H

#include "monitor/vm_internal.h"

struct channel;

/* channel_getc's answers that are not bytes. */
enum {
	CHANNEL_RESET = -1, /* the first answer, and at each new peer: begin anew */
	CHANNEL_QUIT = -2,  /* the VM has ended: return from `main` */
	CHANNEL_FOCUS = -3, /* the user switched to us */
	CHANNEL_TIMEOUT = -4, /* channel_poll only */
};

/* Null when there is no memory. The chardev stays the caller's. Before vm_start. */
struct channel *channel_new(struct vm *, struct chardev *, void (*main)(struct channel *, void *ctx),
			    void *ctx);
bool channel_start(struct channel *, const char *name);
/* After the vCPU thread and the I/O thread have ended: ends the thread. */
void channel_stop(struct channel *);
void channel_free(struct channel *);

/* ---- in the thread ---- */

int channel_getc(struct channel *);
/* The same within some milliseconds, else CHANNEL_TIMEOUT. */
int channel_poll(struct channel *, int ms);
/*
 * Have fn(ctx) called on the vCPU thread between two instructions and wait for it. False: the VM has ended, and
 * it was not called.
 */
bool channel_run(struct channel *, void (*fn)(void *ctx), void *ctx);
/* Wait until *flag, which is set before channel_wake, or input comes, or another peer, or the end. */
void channel_wait(struct channel *, atomic_bool *flag);

/* ---- any thread, without the machine lock or with it ---- */

/* Newlines become CR LF. What a peer does not take in time is kept up to 16 MiB. */
void channel_write(struct channel *, const char *text, size_t n);
void channel_wake(struct channel *);
/* As much of it as a peer that reads has room for: returns how much was taken. Never more than 64 KiB wait. */
size_t channel_offer(struct channel *, const char *text, size_t n);

#endif
