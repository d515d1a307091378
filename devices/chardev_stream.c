/*
 * Bytes between a front end and a pair of descriptors, buffered both ways.
 *
 * Output: a guest prints one byte for each OUT, and a write() for each would cost
 * ten times the OUT itself. So bytes collect until STREAM_FLUSH_SIZE are there, or
 * until a timer armed by the first of them fires on the I/O thread. When the
 * descriptor takes no more, the buffer fills to STREAM_SOFT_LIMIT, chardev_write
 * comes up short, and `writable` tells the front end when half of it is free.
 * No call here waits, except stream_flush.
 *
 * Input: read only when the front end has room, so that the host's own flow control
 * (a pipe, a socket's window, the terminal's queue) holds the rest.
 *
 * Invariant: a short write implies `blocked`, so `writable` always follows it.
 */
#include "devices/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_NS = 100 * 1000 * 1000 };

bool fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* ---- watching ---- */

static void set_events(struct watch *w, short *now, short want)
{
	if (w && *now != want) {
		*now = want;
		machine_watch_set(w, want);
	}
}

static void update_watches(struct stream *s)
{
	bool reading = s->in >= 0 && !s->ilen && !s->input_paused && chardev_fe_room(&s->cd);
	short in = reading ? POLLIN : 0;
	short out = s->out >= 0 && s->blocked ? POLLOUT : 0;

	set_events(s->in_watch, &s->in_events, s->in == s->out ? in | out : in);
	set_events(s->out_watch, &s->out_events, out);
}

static void hang_up(struct stream *s, bool output, int error)
{
	s->cd.ops->hangup(&s->cd, output, error);
}

/* ---- output ---- */

static void arm_timer(struct stream *s, long ns)
{
	struct itimerspec when = {.it_value.tv_nsec = ns};

	if (s->timer_armed)
		return;
	s->timer_armed = timerfd_settime(s->timer, 0, &when, NULL) == 0;
}

/* Write what the descriptor takes. False: the peer is gone, and the backend has been told. */
static bool push(struct stream *s)
{
	while (s->olen) {
		ssize_t n = write(s->out, s->obuf + s->ohead, s->olen);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			hang_up(s, true, errno);
			return false;
		}
		if (n <= 0) {
			s->blocked = true;
			return true;
		}
		s->ohead += n;
		s->olen -= n;
	}
	s->ohead = 0;
	s->blocked = false;
	return true;
}

/* Room for n more at the tail; false when the host has no memory. */
static bool reserve(struct stream *s, unsigned n)
{
	unsigned cap = s->ocap ? s->ocap : STREAM_FLUSH_SIZE * 2;
	uint8_t *buf;

	if (s->ohead + s->olen + n <= s->ocap)
		return true;
	if (s->ohead) {
		memmove(s->obuf, s->obuf + s->ohead, s->olen);
		s->ohead = 0;
	}
	while (cap < s->olen + n)
		cap *= 2;
	if (cap == s->ocap)
		return true;
	buf = realloc(s->obuf, cap);
	if (!buf)
		return false;
	s->obuf = buf;
	s->ocap = cap;
	return true;
}

unsigned stream_write(struct chardev *cd, const uint8_t *p, unsigned n, bool force)
{
	struct stream *s = (struct stream *)cd;
	unsigned limit = force ? STREAM_HARD_LIMIT : STREAM_SOFT_LIMIT;
	unsigned taken;

	if (s->out < 0)
		return n; /* nobody listens */
	if (!s->blocked && s->olen + n >= STREAM_FLUSH_SIZE && !push(s))
		return n;
	taken = s->olen >= limit ? 0 : n < limit - s->olen ? n : limit - s->olen;
	if (!s->blocked && taken < n)
		taken = n; /* one huge write: after a short one no wake-up would come */
	if (taken && !reserve(s, taken))
		return n;
	if (taken)
		memcpy(s->obuf + s->ohead + s->olen, p, taken);
	s->olen += taken;
	s->refused = s->refused || taken < n;
	if (s->blocked)
		update_watches(s);
	else if (s->cd.machine)
		arm_timer(s, STREAM_FLUSH_NS);
	return taken;
}

/* On the I/O thread: never from inside a front end's write. */
static void push_and_tell(struct stream *s)
{
	if (s->out < 0 || !push(s))
		return;
	if (s->refused && s->olen <= STREAM_SOFT_LIMIT / 2) {
		s->refused = false;
		chardev_fe_writable(&s->cd);
	}
	update_watches(s);
}

static void on_timer(void *opaque, short revents)
{
	struct stream *s = opaque;
	uint64_t times;

	if (read(s->timer, &times, sizeof(times)) != sizeof(times))
		return;
	s->timer_armed = false;
	s->input_paused = false;
	push_and_tell(s);
	update_watches(s);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

void stream_flush(struct chardev *cd, int timeout_ms)
{
	struct stream *s = (struct stream *)cd;
	int64_t end = now_ms() + timeout_ms;

	while (s->out >= 0 && s->olen) {
		struct pollfd pfd = {.fd = s->out, .events = POLLOUT};
		int64_t left = end - now_ms();
		int ready;

		if (!push(s))
			return;
		if (!s->olen || left <= 0)
			break;
		ready = poll(&pfd, 1, (int)left);
		if (ready == 0 || (ready > 0 && !(pfd.revents & POLLOUT)))
			break; /* too slow, or hung up */
	}
	update_watches(s);
}

/* ---- input ---- */

static void deliver(struct stream *s)
{
	if (s->delivering)
		return;
	s->delivering = true;
	while (s->ilen) {
		unsigned n = chardev_fe_room(&s->cd);

		if (!n)
			break;
		if (n > s->ilen)
			n = s->ilen;
		/* The front end may ask for more from inside. */
		s->ihead += n;
		s->ilen -= n;
		chardev_fe_receive(&s->cd, s->ibuf + s->ihead - n, n);
	}
	s->delivering = false;
}

static void read_input(struct stream *s)
{
	ssize_t n;

	if (s->in < 0 || s->ilen || s->input_paused || !chardev_fe_room(&s->cd))
		return;
	n = read(s->in, s->ibuf, sizeof(s->ibuf));
	if (n > 0) {
		s->ihead = 0;
		s->ilen = n;
		deliver(s);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		hang_up(s, false, n ? errno : 0);
	}
}

void stream_accept_input(struct chardev *cd)
{
	struct stream *s = (struct stream *)cd;

	deliver(s);
	update_watches(s);
}

static void on_ready(void *opaque, short revents)
{
	struct stream *s = opaque;

	if ((revents & POLLHUP) && !(revents & POLLIN) && s->in == s->out) {
		hang_up(s, false, 0);
		return;
	}
	if (s->blocked && (revents & (POLLOUT | POLLERR | POLLHUP)))
		push_and_tell(s);
	if (revents & (POLLIN | POLLERR | POLLHUP))
		read_input(s);
	update_watches(s);
}

static void on_out_ready(void *opaque, short revents)
{
	push_and_tell(opaque);
}

/* ---- life cycle ---- */

static void watch_all(struct stream *s)
{
	struct machine *m = s->cd.machine;

	if (!m)
		return;
	s->in_events = s->out_events = 0;
	if (s->in >= 0)
		s->in_watch = machine_watch_new(m, s->in, 0, on_ready, s);
	if (s->out >= 0 && s->out != s->in)
		s->out_watch = machine_watch_new(m, s->out, 0, on_out_ready, s);
	update_watches(s);
}

static void unwatch(struct watch **w)
{
	if (*w)
		machine_watch_free(*w);
	*w = NULL;
}

bool stream_init(struct stream *s, const struct chardev_ops *ops)
{
	s->cd.ops = ops;
	s->in = s->out = -1;
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	return s->timer >= 0;
}

void stream_start(struct chardev *cd)
{
	struct stream *s = (struct stream *)cd;

	s->timer_watch = machine_watch_new(cd->machine, s->timer, POLLIN, on_timer, s);
	watch_all(s);
	if (s->olen)
		arm_timer(s, STREAM_FLUSH_NS);
}

void stream_connect(struct stream *s, int in, int out)
{
	s->in = in;
	s->out = out;
	s->blocked = false;
	s->ohead = s->olen = 0; /* input of the last peer may still wait: it was sent */
	watch_all(s);
}

void stream_end_input(struct stream *s)
{
	if (s->in < 0)
		return;
	unwatch(&s->in_watch);
	if (s->in != s->out)
		close(s->in);
	s->in = -1;
}

void stream_end_output(struct stream *s)
{
	unwatch(&s->out_watch);
	if (s->out >= 0 && s->out != s->in)
		close(s->out);
	s->out = -1;
	s->blocked = false;
	s->ohead = s->olen = 0;
	if (s->refused) {
		/* Output is dropped from now on: nothing may wait for room. */
		s->refused = false;
		chardev_fe_writable(&s->cd);
	}
}

void stream_disconnect(struct stream *s)
{
	stream_end_input(s);
	stream_end_output(s);
}

void stream_pause_input(struct stream *s)
{
	s->input_paused = true;
	arm_timer(s, PAUSE_NS);
	update_watches(s);
}

void stream_release(struct stream *s)
{
	stream_disconnect(s);
	unwatch(&s->timer_watch);
	if (s->timer >= 0)
		close(s->timer);
	free(s->obuf);
}

void stream_destroy(struct chardev *cd)
{
	stream_release((struct stream *)cd);
	free(cd);
}
