/*
 * Internals shared by the character devices' host backends; front ends include
 * devices.h only (and chardev_write_forced, below).
 *
 *   front end --chardev_write--> struct stream's output buffer --write(2)--> fd
 *             <---receive------- struct stream's input buffer <--read(2)---- fd
 *
 * A backend is a `struct chardev` with operations. Those that move bytes through
 * descriptors (stdio, file, socket, pty) embed a `struct stream`, which owns both
 * buffers and all watching; they only say how a descriptor comes and what to do
 * when it goes. Everything runs under the machine lock once the device is started.
 */
#ifndef RINGFENCE_DEVICES_CHARDEV_H
#define RINGFENCE_DEVICES_CHARDEV_H

#include "devices/devices.h"

/* ---- a device (chardev.c) ---- */

struct chardev_ops {
	void (*start)(struct chardev *);
	/* Takes what fits and returns its length; `force` takes everything up to a much higher
	 * limit. */
	unsigned (*write)(struct chardev *, const uint8_t *, unsigned n, bool force);
	void (*accept_input)(struct chardev *);
	void (*flush)(struct chardev *, int timeout_ms);
	/*
	 * The peer is gone: reading or (`output`) writing ended with `error`, 0 for end of file.
	 * Streams only.
	 */
	void (*hangup)(struct chardev *, bool output, int error);
	/* Release everything, the chardev itself included. Output has been flushed. */
	void (*destroy)(struct chardev *);
};

struct chardev {
	const struct chardev_ops *ops;
	struct machine *machine; /* null until started */
	struct chardev_frontend fe;
	void *fe_opaque;
};

/* What the front end takes now; 0 without one. */
unsigned chardev_fe_room(const struct chardev *);
void chardev_fe_receive(struct chardev *, const uint8_t *, unsigned n);
void chardev_fe_writable(struct chardev *);
void chardev_fe_event(struct chardev *, int event);

/*
 * Like chardev_write, but never refuses before an absurd amount (STREAM_HARD_LIMIT) is
 * waiting: for front ends that have no way to make the guest wait.
 */
void chardev_write_forced(struct chardev *, const uint8_t *, unsigned n);

/* ---- specs ---- */

struct chardev_spec {
	const char *text;  /* the whole spec, for messages */
	const char *label; /* "serial0": how messages call the device */
	bool mon;	   /* had the mon: prefix */
	char address[256]; /* what follows "kind:" */
	bool server, wait, nodelay, signal, append;
};

/*
 * One line into err: "character device 'SPEC': ...". Returns null, for `return chardev_fail(...)`.
 */
void *chardev_fail(const struct chardev_spec *, char *err, size_t errlen, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

struct chardev *chardev_null_open(const struct chardev_spec *, char *err, size_t errlen);
struct chardev *chardev_stdio_open(const struct chardev_spec *, char *err, size_t errlen);
struct chardev *chardev_file_open(const struct chardev_spec *, char *err, size_t errlen);
struct chardev *chardev_unix_open(const struct chardev_spec *, char *err, size_t errlen);
struct chardev *chardev_tcp_open(const struct chardev_spec *, char *err, size_t errlen);
struct chardev *chardev_pty_open(const struct chardev_spec *, char *err, size_t errlen);

/* ---- byte streams over descriptors (chardev_stream.c) ---- */

enum {
	STREAM_SOFT_LIMIT = 64 << 10, /* chardev_write refuses more than this */
	STREAM_HARD_LIMIT = 16 << 20, /* forced output beyond this is dropped */
	STREAM_FLUSH_SIZE = 4096,     /* this much is written at once, less waits STREAM_FLUSH_NS */
	STREAM_FLUSH_NS = 250 * 1000,
	STREAM_IN_SIZE = 4096,
};

struct stream {
	struct chardev cd;		    /* first: a struct chardev * is a struct stream * */
	int in, out;			    /* -1: none; may be equal; must not block. Owned. */
	struct watch *in_watch, *out_watch; /* out_watch null when in == out */
	short in_events, out_events;
	int timer; /* timerfd: real time, since output also flows while the VM is paused */
	struct watch *timer_watch;
	bool timer_armed;
	bool blocked; /* the descriptor took no more: POLLOUT is watched */
	bool refused; /* the front end waits for `writable` */
	bool delivering;
	bool input_paused; /* until the timer fires */
	uint8_t *obuf;	   /* ohead .. ohead + olen wait to be written */
	unsigned ocap, ohead, olen;
	uint8_t ibuf[STREAM_IN_SIZE];
	unsigned ihead, ilen;
};

bool stream_init(struct stream *, const struct chardev_ops *);
/* Connect to descriptors; owns them from now on. */
void stream_connect(struct stream *, int in, int out);
/* Close the descriptors; unwritten output is dropped. */
void stream_disconnect(struct stream *);
/* Close one direction; the other goes on. */
void stream_end_input(struct stream *);
void stream_end_output(struct stream *);
/* Look again in a tenth of a second. */
void stream_pause_input(struct stream *);
void stream_release(struct stream *); /* all of the above, and the buffers */

/* Ready-made operations. */
void stream_start(struct chardev *);
unsigned stream_write(struct chardev *, const uint8_t *, unsigned n, bool force);
void stream_accept_input(struct chardev *);
void stream_flush(struct chardev *, int timeout_ms);
void stream_destroy(struct chardev *);

bool fd_set_nonblocking(int fd);

#endif
