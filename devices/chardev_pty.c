/*
 * A pseudo-terminal: we hold the master, and the user opens the slave we announce.
 *
 * While nobody has the slave open the kernel reports a hang-up on the master, always
 * and again, and never says when it ends; so the master is looked at ten times a
 * second until it does. Meanwhile output is dropped: nobody is there to see it.
 * The stream gets duplicates of the master, which it closes at each hang-up.
 */
#include "devices/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

enum { LOOK_NS = 100 * 1000 * 1000 };

struct pty {
	struct stream s;
	int master;
	int look; /* timerfd, runs while there is no peer */
	struct watch *look_watch;
};

static void look_often(struct pty *p, bool on)
{
	struct itimerspec t = {0};

	if (on)
		t.it_value.tv_nsec = t.it_interval.tv_nsec = LOOK_NS;
	timerfd_settime(p->look, 0, &t, NULL);
}

static void on_look(void *opaque, short revents)
{
	struct pty *p = opaque;
	struct pollfd pfd = {.fd = p->master};
	uint64_t times;
	int fd;

	if (read(p->look, &times, sizeof(times)) != sizeof(times) || p->s.in >= 0)
		return;
	if (poll(&pfd, 1, 0) < 0 || (pfd.revents & POLLHUP))
		return;
	fd = fcntl(p->master, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return;
	look_often(p, false);
	stream_connect(&p->s, fd, fd);
	chardev_fe_event(&p->s.cd, CHARDEV_OPENED);
}

static void pty_hangup(struct chardev *cd, bool output, int error)
{
	struct pty *p = (struct pty *)cd;

	stream_disconnect(&p->s);
	look_often(p, true);
	chardev_fe_event(cd, CHARDEV_CLOSED);
}

static void pty_start(struct chardev *cd)
{
	struct pty *p = (struct pty *)cd;

	p->look_watch = machine_watch_new(cd->machine, p->look, POLLIN, on_look, p);
	stream_start(cd);
	look_often(p, true);
}

static void pty_destroy(struct chardev *cd)
{
	struct pty *p = (struct pty *)cd;

	if (p->look_watch)
		machine_watch_free(p->look_watch);
	if (p->look >= 0)
		close(p->look);
	if (p->master >= 0)
		close(p->master);
	stream_destroy(cd);
}

static const struct chardev_ops pty_ops = {
	.start = pty_start,
	.write = stream_write,
	.accept_input = stream_accept_input,
	.flush = stream_flush,
	.hangup = pty_hangup,
	.destroy = pty_destroy,
};

/* Raw, so that the line discipline does not echo the guest's output back to it. */
static bool make_slave_raw(const char *name)
{
	struct termios t;
	int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	bool ok;

	if (slave < 0)
		return false;
	ok = tcgetattr(slave, &t) == 0;
	if (ok) {
		cfmakeraw(&t);
		ok = tcsetattr(slave, TCSANOW, &t) == 0;
	}
	close(slave);
	return ok;
}

struct chardev *chardev_pty_open(const struct chardev_spec *spec, char *err, size_t errlen)
{
	struct pty *p = calloc(1, sizeof(*p));
	char name[64];

	if (!p)
		return chardev_fail(spec, err, errlen, "out of memory");
	p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	p->look = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (!stream_init(&p->s, &pty_ops) || p->look < 0 || p->master < 0 || grantpt(p->master) ||
	    unlockpt(p->master) || ptsname_r(p->master, name, sizeof(name)) ||
	    !make_slave_raw(name)) {
		chardev_fail(spec, err, errlen,
			     "cannot make a pseudo-terminal: %s; is /dev/pts mounted?",
			     strerror(errno));
		pty_destroy(&p->s.cd);
		return NULL;
	}
	printf("char device redirected to %s (label %s)\n", name, spec->label);
	fflush(stdout);
	return &p->s.cd;
}
