/*
 * The human monitor as a dialogue on a character device: banner, prompt, line editing, and the answer when a `step` is
 * through.
 */
#include "monitor/channel.h"
#include "monitor/hmp.h"
#include "monitor/hmp_live.h"
#include "monitor/line_edit.h"
#include "monitor/monitors.h"
#include "monitor/run_control.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct hmp_session {
	struct vm *vm;
	struct channel *channel;
	bool focus;    /* a mux slot: quiet until the user comes */
	bool terminal; /* on our own terminal */
	struct line_edit *edit;
	struct tc_trace *live; /* to be printed now */
	atomic_bool stepping, stopped;
};

static int session_getc(void *ctx)
{
	struct hmp_session *s = ctx;
	int c = channel_getc(s->channel);
	if (c != CHANNEL_FOCUS)
		return c;
	channel_write(s->channel, "\n", 1);
	return LINE_EDIT_REDRAW;
}

static void session_write(void *ctx, const char *text, size_t n)
{
	struct hmp_session *s = ctx;
	channel_write(s->channel, text, n);
}

static void print(void *ctx, const char *text)
{
	session_write(ctx, text, strlen(text));
}

struct request {
	struct hmp_session *session;
	const char *line;
	struct hmp_rest rest;
};

static void execute(void *ctx)
{
	struct request *r = ctx;
	struct hmp_session *s = r->session;
	uint64_t before = run_control_moves(s->vm);
	hmp_execute_session(s->vm, r->line, print, s, &s->live, &r->rest);
	atomic_store(&s->stopped, false);
	/* only for what this line began: a step out of HLT may take for ever */
	atomic_store(&s->stepping, run_control_moves(s->vm) != before && vm_state(s->vm) == VM_RUNNING);
}

static void tell_stop(void *ctx)
{
	struct hmp_session *s = ctx;
	hmp_print_stop(s->vm, print, s);
}

/* What a step came to; who types something need not wait for it. */
static void wait_step(struct hmp_session *s)
{
	if (!atomic_load(&s->stepping))
		return;
	channel_wait(s->channel, &s->stopped);
	atomic_store(&s->stepping, false);
	if (atomic_load(&s->stopped))
		channel_run(s->channel, tell_stop, s);
}

void hmp_session_stopped(struct hmp_session *s)
{
	if (!atomic_load(&s->stepping))
		return;
	atomic_store(&s->stopped, true);
	channel_wake(s->channel);
}

/* Our own terminal may have been resized. */
static void follow_size(struct hmp_session *s)
{
	struct winsize size;
	if (s->terminal && !ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		line_edit_resize(s->edit, size.ws_col);
}

/* One line, and what is typed while a live trace that it began is printed. Returns 0, CHANNEL_RESET or CHANNEL_QUIT. */
static int carry_out(struct hmp_session *s, const char *line)
{
	char typed[HMP_LIVE_LINE];
	struct request r = {.session = s, .line = line};
	int why = 0;
	do {
		s->live = NULL;
		if (!channel_run(s->channel, execute, &r))
			return CHANNEL_QUIT;
		hmp_finish(&r.rest, print, s);
		wait_step(s);
		r.line = typed;
		typed[0] = '\0';
		if (s->live)
			why = hmp_live(s->channel, s->live, typed);
	} while (!why && typed[0]);
	return why;
}

/* Lines until the peer changes; false at the end of the VM. */
static bool dialogue(struct hmp_session *s)
{
	print(s, "Ringfence " RINGFENCE_VERSION " monitor - type 'help' for more information\n");
	for (;;) {
		int why;
		follow_size(s);
		const char *line = line_edit_read(s->edit, &why);
		if (!line && why == CHANNEL_RESET)
			return true;
		if (!line)
			return false;
		why = carry_out(s, line);
		if (why)
			return why == CHANNEL_RESET;
	}
}

void hmp_session_main(struct channel *channel, void *ctx)
{
	struct hmp_session *s = ctx;
	static const struct line_edit_ops ops = {
		.getc = session_getc,
		.write = session_write,
		.complete = hmp_completion,
		.prompt = HMP_PROMPT,
	};
	s->channel = channel;
	int c = channel_getc(channel);
	while (s->focus && c != CHANNEL_FOCUS && c != CHANNEL_QUIT)
		c = channel_getc(channel);
	if (c == CHANNEL_QUIT)
		return;
	if (s->focus)
		print(s, "\n");
	const char *term = s->terminal ? getenv("TERM") : NULL;
	s->edit = line_edit_new(&ops, s, term ? term : "vt100");
	if (!s->edit) {
		print(s, "the monitor cannot be used: no memory or no pseudo-terminals\n");
		return;
	}
	while (dialogue(s))
		;
	line_edit_free(s->edit);
}

struct hmp_session *hmp_session_new(struct vm *vm, bool focus, bool terminal)
{
	struct hmp_session *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->vm = vm;
	s->focus = focus;
	s->terminal = terminal;
	return s;
}

void hmp_session_free(struct hmp_session *s)
{
	free(s);
}
