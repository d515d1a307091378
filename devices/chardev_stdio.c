/*
 * The terminal, or whatever standard input and output are.
 *
 * The descriptors 0 and 1 share their open file descriptions with the shell that
 * started us, so making them non-blocking would confuse it (and, after a crash,
 * keep confusing it). Terminals and pipes are therefore opened once more through
 * /proc/self/fd, which gives descriptions of our own; where that fails, the flag is
 * set on the shared one and taken back at the end. Files keep the shared
 * description, for its offset.
 *
 * End of file on standard input ends the input, not the VM.
 */
#include "devices/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

struct stdio {
	struct stream s;
	bool keep_signals;
};

static bool in_use;

/* ---- the terminal's mode ---- */

/* Written before `raw_now`, which the signal-safe side checks. */
static struct termios cooked, raw;
static volatile sig_atomic_t raw_now;
/* File status flags to put back on 0 and 1; -1: untouched. */
static int shared_flags[2] = {-1, -1};

/* A background process that touches the terminal is stopped by SIGTTOU, unless it is blocked.
 * Async-signal-safe. */
static bool set_terminal(const struct termios *t)
{
	sigset_t ttou, old;
	bool ok;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	ok = tcsetattr(STDIN_FILENO, TCSANOW, t) == 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ok;
}

void chardev_stdio_restore(void)
{
	int saved = errno;

	if (raw_now) {
		raw_now = 0;
		set_terminal(&cooked);
	}
	for (int fd = 0; fd < 2; fd++)
		if (shared_flags[fd] >= 0)
			fcntl(fd, F_SETFL, shared_flags[fd]);
	errno = saved;
}

/* Continued after a stop: the shell has put its own mode back. */
static void on_continue(int sig)
{
	int saved = errno;

	if (raw_now)
		set_terminal(&raw);
	errno = saved;
}

bool chardev_stdio_raw(bool keep_signals)
{
	static bool registered;
	struct sigaction cont = {.sa_handler = on_continue, .sa_flags = SA_RESTART};

	if (!raw_now && tcgetattr(STDIN_FILENO, &cooked))
		return false;
	raw = cooked;
	raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
	if (!keep_signals)
		raw.c_lflag &= ~ISIG;
	raw.c_cflag = (raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
	/* OPOST stays: our own messages end in a bare newline. */
	raw.c_oflag |= OPOST;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (!registered) {
		registered = true;
		atexit(chardev_stdio_restore);
		sigaction(SIGCONT, &cont, NULL);
	}
	raw_now = 1;
	if (set_terminal(&raw))
		return true;
	raw_now = 0;
	return false;
}

/* ---- descriptors ---- */

/* A non-blocking descriptor for standard input or output; -1 when it is closed. */
static int open_std(int fd, int mode)
{
	char path[32];
	struct stat st;
	int own, flags;

	if (fstat(fd, &st))
		return -1;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (own >= 0)
			return own;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	flags = fcntl(fd, F_GETFL);
	if (own < 0 || S_ISREG(st.st_mode) || flags < 0 || (flags & O_NONBLOCK))
		return own;
	atexit(chardev_stdio_restore);
	shared_flags[fd] = flags;
	fd_set_nonblocking(own);
	return own;
}

static void stdio_start(struct chardev *cd)
{
	struct stdio *io = (struct stdio *)cd;

	if (isatty(STDIN_FILENO))
		chardev_stdio_raw(io->keep_signals);
	stream_start(cd);
}

/*
 * One direction may end and the other go on. A terminal that belongs to another job answers EIO to
 * our reads (this thread blocks SIGTTIN): the user may bring us back to the foreground.
 */
static void stdio_hangup(struct chardev *cd, bool output, int error)
{
	struct stdio *io = (struct stdio *)cd;

	if (output)
		stream_end_output(&io->s);
	else if (error == EIO && tcgetpgrp(STDIN_FILENO) > 0 &&
		 tcgetpgrp(STDIN_FILENO) != getpgrp())
		stream_pause_input(&io->s);
	else
		stream_end_input(&io->s);
}

static void stdio_destroy(struct chardev *cd)
{
	chardev_stdio_restore();
	in_use = false;
	stream_destroy(cd);
}

static const struct chardev_ops stdio_ops = {
	.start = stdio_start,
	.write = stream_write,
	.accept_input = stream_accept_input,
	.flush = stream_flush,
	.hangup = stdio_hangup,
	.destroy = stdio_destroy,
};

struct chardev *chardev_stdio_open(const struct chardev_spec *spec, char *err, size_t errlen)
{
	struct stdio *io;

	if (in_use)
		return chardev_fail(spec, err, errlen,
				    "standard input and output are in use already; give the other "
				    "devices null or file:PATH");
	io = calloc(1, sizeof(*io));
	if (!io || !stream_init(&io->s, &stdio_ops)) {
		free(io);
		return chardev_fail(spec, err, errlen, "out of memory or file descriptors");
	}
	io->keep_signals = spec->signal;
	stream_connect(&io->s, open_std(STDIN_FILENO, O_RDONLY), open_std(STDOUT_FILENO, O_WRONLY));
	in_use = true;
	return &io->s.cd;
}
