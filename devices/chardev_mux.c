/*
 * Several front ends on one backend, and the Ctrl-A escape.
 *
 * Every slot writes to the backend; what is typed goes to the slot in focus. The
 * backend is read even while that slot takes nothing, into a buffer for each slot:
 * otherwise a guest that hangs would take Ctrl-A X away from the user. Only when
 * MUX_INPUT_MAX waits is the backend paused.
 */
#include "devices/chardev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MUX_SLOTS = 4, MUX_INPUT_MAX = 1 << 20, ESCAPE = 1 /* Ctrl-A */ };

struct mux;

struct slot {
	struct chardev cd; /* first */
	struct mux *mux;
	bool delivering, refused;
	uint8_t *buf; /* head .. head + len wait for the front end */
	unsigned cap, head, len;
};

struct mux {
	struct chardev *backend;
	struct slot *slots[MUX_SLOTS]; /* null: closed */
	unsigned opened, focus;
	bool started, escaped;
	bool stamps, line_start;
	struct timespec first_stamp;
	void (*quit)(void *);
	void *quit_ctx;
};

/* ---- input ---- */

static void slot_deliver(struct slot *s)
{
	if (s->delivering)
		return;
	s->delivering = true;
	while (s->len) {
		unsigned n = chardev_fe_room(&s->cd);

		if (!n)
			break;
		if (n > s->len)
			n = s->len;
		s->head += n;
		s->len -= n;
		chardev_fe_receive(&s->cd, s->buf + s->head - n, n);
	}
	s->delivering = false;
}

static bool slot_reserve(struct slot *s)
{
	unsigned cap = s->cap ? s->cap * 2 : 256;
	uint8_t *buf;

	if (s->head + s->len < s->cap)
		return true;
	if (s->head >= s->cap / 2 && s->cap && !s->delivering) {
		memmove(s->buf, s->buf + s->head, s->len);
		s->head = 0;
		return true;
	}
	buf = realloc(s->buf, cap);
	if (!buf)
		return false;
	s->buf = buf;
	s->cap = cap;
	return true;
}

static void slot_append(struct slot *s, uint8_t byte)
{
	if (s && slot_reserve(s))
		s->buf[s->head + s->len++] = byte;
}

static struct slot *focused(struct mux *x)
{
	return x->slots[x->focus];
}

/* ---- the escape ---- */

static void say(struct mux *x, const char *text)
{
	chardev_write_forced(x->backend, (const uint8_t *)text, strlen(text));
}

static void mux_help(struct mux *x)
{
	say(x, "\r\n"
	       "C-a h    this list\r\n"
	       "C-a x    leave the emulator\r\n"
	       "C-a s    write disk changes back (there are no disks yet)\r\n"
	       "C-a t    time stamps before each line, on or off\r\n"
	       "C-a b    send a break (Linux: magic SysRq)\r\n"
	       "C-a c    go to the next of console and monitor\r\n"
	       "C-a C-a  send one C-a\r\n");
}

static void mux_quit(struct mux *x)
{
	say(x, "\r\nRingfence: terminated by the user\r\n");
	if (x->quit)
		x->quit(x->quit_ctx);
}

static void mux_stamps(struct mux *x)
{
	x->stamps = !x->stamps;
	x->line_start = false;
	clock_gettime(CLOCK_MONOTONIC, &x->first_stamp);
}

static void mux_break(struct mux *x)
{
	if (focused(x))
		chardev_fe_event(&focused(x)->cd, CHARDEV_BREAK);
}

static void mux_next(struct mux *x)
{
	unsigned old = x->focus;

	do
		x->focus = (x->focus + 1) % MUX_SLOTS;
	while (x->focus != old && !focused(x));
	if (x->focus != old)
		chardev_fe_event(&focused(x)->cd, CHARDEV_FOCUS);
}

static void mux_send_escape(struct mux *x)
{
	slot_append(focused(x), ESCAPE);
}

static void mux_sync(struct mux *x) {}

static const struct command {
	char key;
	void (*run)(struct mux *);
} commands[] = {
	{'h', mux_help},   {'?', mux_help},  {'x', mux_quit}, {'s', mux_sync},
	{'t', mux_stamps}, {'b', mux_break}, {'c', mux_next}, {ESCAPE, mux_send_escape},
};

static void run_command(struct mux *x, uint8_t key)
{
	/* Ctrl held a little too long is no reason not to understand. */
	uint8_t plain = key >= 'A' && key <= 'Z' ? key + 32 : key;

	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		if (commands[i].key == plain) {
			commands[i].run(x);
			return;
		}
	/* Not ours: the user gets help rather than silence, as the key does nothing. */
	mux_help(x);
}

static unsigned mux_can_receive(void *opaque)
{
	struct mux *x = opaque;
	struct slot *s = focused(x);

	return s && s->len < MUX_INPUT_MAX ? MUX_INPUT_MAX - s->len : !s;
}

static void mux_receive(void *opaque, const uint8_t *p, unsigned n)
{
	struct mux *x = opaque;

	for (unsigned i = 0; i < n; i++) {
		if (x->escaped) {
			x->escaped = false;
			run_command(x, p[i]);
		} else if (p[i] == ESCAPE) {
			x->escaped = true;
		} else {
			slot_append(focused(x), p[i]);
		}
	}
	for (unsigned i = 0; i < MUX_SLOTS; i++)
		if (x->slots[i])
			slot_deliver(x->slots[i]);
}

/* ---- output ---- */

static void write_stamp(struct mux *x)
{
	struct timespec now;
	char text[32];
	int64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (now.tv_sec - x->first_stamp.tv_sec) * 1000ll +
	     (now.tv_nsec - x->first_stamp.tv_nsec) / 1000000;
	snprintf(text, sizeof(text), "[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000),
		 (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
	say(x, text);
}

/* One line at most, so that a stamp can go before the next; returns what the backend took. */
static unsigned write_line(struct mux *x, const uint8_t *p, unsigned n, bool force)
{
	const uint8_t *end = memchr(p, '\n', n);
	unsigned len = end ? end - p + 1 : n, taken;

	if (x->line_start)
		write_stamp(x);
	x->line_start = false;
	taken = x->backend->ops->write(x->backend, p, len, force);
	x->line_start = taken && p[taken - 1] == '\n';
	return taken;
}

static unsigned mux_write(struct chardev *cd, const uint8_t *p, unsigned n, bool force)
{
	struct slot *s = (struct slot *)cd;
	struct mux *x = s->mux;
	unsigned done = 0;

	if (!x->stamps) {
		done = x->backend->ops->write(x->backend, p, n, force);
	} else {
		while (done < n) {
			unsigned before = done;

			done += write_line(x, p + done, n - done, force);
			if (done == before)
				break;
		}
	}
	s->refused = s->refused || done < n;
	return done;
}

static void mux_writable(void *opaque)
{
	struct mux *x = opaque;

	for (unsigned i = 0; i < MUX_SLOTS; i++)
		if (x->slots[i] && x->slots[i]->refused) {
			x->slots[i]->refused = false;
			chardev_fe_writable(&x->slots[i]->cd);
		}
}

static void mux_event(void *opaque, int event)
{
	struct mux *x = opaque;

	for (unsigned i = 0; i < MUX_SLOTS; i++)
		if (x->slots[i])
			chardev_fe_event(&x->slots[i]->cd, event);
}

static const struct chardev_frontend mux_frontend = {
	.can_receive = mux_can_receive,
	.receive = mux_receive,
	.writable = mux_writable,
	.event = mux_event,
};

/* ---- slots as devices ---- */

static void slot_start(struct chardev *cd)
{
	struct mux *x = ((struct slot *)cd)->mux;

	chardev_start(x->backend, cd->machine);
}

static void slot_accept_input(struct chardev *cd)
{
	struct slot *s = (struct slot *)cd;
	bool was_full = s->len >= MUX_INPUT_MAX;

	slot_deliver(s);
	if (was_full && s->len < MUX_INPUT_MAX)
		chardev_accept_input(s->mux->backend);
}

static void slot_flush(struct chardev *cd, int timeout_ms)
{
	struct mux *x = ((struct slot *)cd)->mux;

	x->backend->ops->flush(x->backend, timeout_ms);
}

static void slot_destroy(struct chardev *cd)
{
	struct slot *s = (struct slot *)cd;
	struct mux *x = s->mux;
	bool last = true;

	for (unsigned i = 0; i < MUX_SLOTS; i++) {
		if (x->slots[i] == s)
			x->slots[i] = NULL;
		last = last && !x->slots[i];
	}
	free(s->buf);
	free(s);
	if (last) {
		chardev_close(x->backend);
		free(x);
	} else if (!focused(x)) {
		mux_next(x);
	}
}

static const struct chardev_ops slot_ops = {
	.start = slot_start,
	.write = mux_write,
	.accept_input = slot_accept_input,
	.flush = slot_flush,
	.destroy = slot_destroy,
};

static struct chardev *slot_new(struct mux *x)
{
	struct slot *s;

	if (x->opened == MUX_SLOTS)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->cd.ops = &slot_ops;
	s->mux = x;
	x->slots[x->opened++] = s;
	return &s->cd;
}

struct chardev *chardev_mux_new(struct chardev *backend, void (*quit)(void *), void *quit_ctx)
{
	struct mux *x = calloc(1, sizeof(*x));
	struct chardev *first = x ? slot_new(x) : NULL;

	if (!first) {
		free(x);
		return NULL;
	}
	x->backend = backend;
	x->quit = quit;
	x->quit_ctx = quit_ctx;
	chardev_attach(backend, &mux_frontend, x);
	return first;
}

struct chardev *chardev_mux_port(struct chardev *mux)
{
	return slot_new(((struct slot *)mux)->mux);
}
