/*
 * The I/O thread: sleeps in ppoll until a watched descriptor is ready, a timer is due, or somebody
 * pokes it through an eventfd; then runs callbacks under the machine lock.
 *
 * The thread notes the deadline it sleeps towards. Setting a timer matters to it only when the new
 * deadline is earlier: guests move their timers all the time, mostly further away. Then whoever sets the timer arms
 * a timerfd that is among the descriptors, which costs one system call; to wake the thread just to have it sleep again
 * would cost two context switches, on a processor that is idle as a rule. A timer that moved away makes one early
 * wake-up, which finds nothing due.
 *
 * Watches may be made, changed and freed from any thread and from callbacks: a freed watch is only
 * marked while the list may be walked, and reaped by the I/O thread (or at once when there is
 * none).
 */
#include "devices/machine.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* sleep_until while the thread is awake: no deadline is earlier, so no poke is made */
#define AWAKE INT64_MIN

/* The descriptors of one ppoll call: the eventfd, the timerfd, and those that are watched. */
enum { OWN = 2 };

struct poll_set {
	struct pollfd *fds;
	struct watch **watches;
	size_t count, capacity;
};

bool iothread_init(struct machine *m)
{
	m->io.sleep_until = AWAKE;
	m->io.wakeup = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m->io.alarm = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	return m->io.wakeup >= 0 && m->io.alarm >= 0;
}

static void reap(struct iothread *io)
{
	for (struct watch **p = &io->watches; *p;) {
		struct watch *w = *p;
		if (!w->dead) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		free(w);
	}
}

void iothread_fini(struct machine *m)
{
	for (struct watch *w = m->io.watches; w; w = w->next)
		w->dead = true;
	reap(&m->io);
	if (m->io.wakeup >= 0)
		close(m->io.wakeup);
	if (m->io.alarm >= 0)
		close(m->io.alarm);
}

/* From now until `deadline`, at least a nanosecond: to a timerfd zero means never. */
static struct timespec time_left(struct machine *m, int64_t deadline)
{
	int64_t left = deadline - machine_now(m);

	if (left < 1)
		left = 1;
	return (struct timespec){left / NS_PER_SEC, left % NS_PER_SEC};
}

void iothread_poke(struct machine *m)
{
	struct iothread *io = &m->io;

	if (!io->started || io->sleep_until == AWAKE)
		return;
	uint64_t one = 1;
	ssize_t done = write(io->wakeup, &one, sizeof(one));
	(void)done;		 /* EAGAIN: the counter is full, so the thread is already poked */
	io->sleep_until = AWAKE; /* once is enough */
}

void iothread_wake_at(struct machine *m, int64_t deadline)
{
	struct iothread *io = &m->io;

	if (!io->started || io->sleep_until == AWAKE || deadline >= io->sleep_until ||
	    m->clock.frozen != CLOCK_RUNNING)
		return;
	const struct itimerspec alarm = {.it_value = time_left(m, deadline)};
	if (timerfd_settime(io->alarm, 0, &alarm, NULL))
		iothread_poke(m);
	else
		io->sleep_until = deadline;
}

/* ---- watches ---- */

struct watch *machine_watch_new(struct machine *m, int fd, short events, void (*fn)(void *, short),
				void *opaque)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct watch){.m = m, .fd = fd, .events = events, .fn = fn, .opaque = opaque};
	machine_lock(m);
	w->next = m->io.watches;
	m->io.watches = w;
	iothread_poke(m);
	machine_unlock(m);
	return w;
}

void machine_watch_set(struct watch *w, short events)
{
	machine_lock(w->m);
	if (w->events != events) {
		w->events = events;
		iothread_poke(w->m);
	}
	machine_unlock(w->m);
}

void machine_watch_free(struct watch *w)
{
	if (!w)
		return;
	struct machine *m = w->m;
	machine_lock(m);
	w->dead = true;
	w->events = 0;
	if (m->io.started)
		iothread_poke(m);
	else
		reap(&m->io);
	machine_unlock(m);
}

/* ---- the thread ---- */

static bool grow(struct poll_set *s)
{
	size_t capacity = s->capacity ? 2 * s->capacity : 16;
	struct pollfd *fds = realloc(s->fds, capacity * sizeof(*fds));

	if (fds)
		s->fds = fds;
	struct watch **watches = realloc(s->watches, capacity * sizeof(struct watch *));
	if (watches)
		s->watches = watches;
	if (!fds || !watches)
		return false;
	s->capacity = capacity;
	return true;
}

/* The first entries are our own. Out of memory: what fits is polled; the rest waits for better times. */
static void poll_set_build(struct poll_set *s, const struct iothread *io)
{
	s->count = 0;
	if (!s->capacity && !grow(s))
		return;
	for (; s->count < OWN; s->count++) {
		s->fds[s->count] = (struct pollfd){.fd = s->count == 0 ? io->wakeup : io->alarm, .events = POLLIN};
		s->watches[s->count] = NULL;
	}
	for (struct watch *w = io->watches; w; w = w->next) {
		if (!w->events || w->dead)
			continue;
		if (s->count == s->capacity && !grow(s))
			return;
		s->fds[s->count] = (struct pollfd){.fd = w->fd, .events = w->events};
		s->watches[s->count++] = w;
	}
}

static void poll_set_dispatch(struct poll_set *s)
{
	for (size_t i = 0; i < OWN && i < s->count; i++) {
		uint64_t times;
		ssize_t done = s->fds[i].revents ? read(s->fds[i].fd, &times, sizeof(times)) : 0;
		(void)done;
	}
	for (size_t i = OWN; i < s->count; i++) {
		struct watch *w = s->watches[i];
		/* another callback, or another thread while we slept, may have lost interest */
		short wanted = (short)(w->events | POLLERR | POLLHUP | POLLNVAL);
		short revents = (short)(s->fds[i].revents & wanted);
		if (revents && w->events && !w->dead)
			w->fn(w->opaque, revents);
	}
}

/* Sleep until `deadline` of virtual time; called and returns with the lock held. */
static void sleep_locked(struct machine *m, struct poll_set *s, int64_t deadline)
{
	struct iothread *io = &m->io;
	struct timespec ts, *timeout = NULL;

	if (m->clock.frozen != CLOCK_RUNNING)
		deadline = CLOCK_NEVER; /* time stands still: only descriptors and pokes count */
	if (deadline != CLOCK_NEVER) {
		ts = time_left(m, deadline);
		timeout = &ts;
	}
	io->sleep_until = deadline;
	machine_unlock(m);
	int ready = ppoll(s->fds, s->count, timeout, NULL);
	machine_lock(m);
	io->sleep_until = AWAKE;
	if (ready <= 0) {
		for (size_t i = 0; i < s->count; i++)
			s->fds[i].revents = 0;
	}
}

static void *thread_main(void *opaque)
{
	struct machine *m = opaque;
	struct poll_set set = {0};

	prctl(PR_SET_NAME, "ringfence-io");
	/* the default slack of 50 us would be added to every timer */
	prctl(PR_SET_TIMERSLACK, 1);
	machine_lock(m);
	while (!m->io.stop) {
		/* paused: time stands still, and timers that are due wait with it */
		int64_t deadline = m->clock.frozen == CLOCK_RUNNING ? clock_run(m) : CLOCK_NEVER;
		reap(&m->io);
		poll_set_build(&set, &m->io);
		sleep_locked(m, &set, deadline);
		poll_set_dispatch(&set);
	}
	machine_unlock(m);
	free(set.fds);
	free(set.watches);
	return NULL;
}

/* The vCPU's and the terminal's signals are not for this thread. */
static int create_with_signals_blocked(struct machine *m)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int error = pthread_create(&m->io.thread, NULL, thread_main, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

bool machine_start(struct machine *m, char *err, size_t errlen)
{
	if (m->io.started)
		return true;
	m->io.stop = false;
	m->io.started = true;
	int error = create_with_signals_blocked(m);
	if (error) {
		m->io.started = false;
		snprintf(err, errlen, "cannot start the I/O thread: %s", strerror(error));
		return false;
	}
	machine_pause(m, false);
	return true;
}

void machine_stop(struct machine *m)
{
	if (!m->io.started)
		return;
	machine_pause(m, true);
	machine_lock(m);
	m->io.stop = true;
	iothread_poke(m);
	machine_unlock(m);
	pthread_join(m->io.thread, NULL);
	machine_lock(m);
	m->io.started = false;
	reap(&m->io);
	machine_unlock(m);
}
