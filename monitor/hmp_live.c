/*
 * Live events; see hmp_live.h.
 *
 * Text is offered to the peer, not forced on it: while it does not take what it was given, no more events are read, the guest's ring
 * runs on, and what is lost is counted there. Nobody waits for the peer but this thread.
 */
#include "monitor/hmp_live.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, POLL_MS = 20, CTRL_C = 3 };

/* Text on its way to the peer. */
struct outgoing {
	char *text;
	size_t size, sent;
};

static bool is_sent(struct outgoing *o)
{
	return o->sent == o->size;
}

/* Have `fill` write the next piece. */
static void refill(struct outgoing *o, struct tc_trace *t, bool end)
{
	free(o->text);
	*o = (struct outgoing){0};
	FILE *f = open_memstream(&o->text, &o->size);
	if (!f)
		return;
	if (end)
		tc_trace_print_end(t, f);
	else
		tc_trace_read(t, f, BATCH);
	fclose(f);
}

static void offer(struct channel *c, struct outgoing *o)
{
	if (!is_sent(o))
		o->sent += channel_offer(c, o->text + o->sent, o->size - o->sent);
}

/* A byte of input: true when it ends the trace. */
static bool take_key(int c, char line[HMP_LIVE_LINE], size_t *len)
{
	if (c == '\r' || c == '\n')
		return true;
	if (c == CTRL_C) {
		line[0] = '\0';
		return true;
	}
	if ((c == '\b' || c == 0x7f) && *len)
		line[--*len] = '\0';
	else if (c >= ' ' && c < 0x7f && *len < HMP_LIVE_LINE - 1) {
		line[(*len)++] = (char)c;
		line[*len] = '\0';
	}
	return false;
}

/* Returns 0, CHANNEL_RESET or CHANNEL_QUIT. */
static int print_until(struct channel *c, struct tc_trace *t, struct outgoing *o, char line[HMP_LIVE_LINE])
{
	size_t len = 0;
	for (;;) {
		if (is_sent(o)) {
			if (tc_trace_ended(t))
				return 0;
			refill(o, t, false);
		}
		offer(c, o);
		int key = channel_poll(c, o->size && is_sent(o) ? 0 : POLL_MS);
		if (key == CHANNEL_RESET || key == CHANNEL_QUIT)
			return key;
		if (key >= 0 && take_key(key, line, &len))
			return 0;
	}
}

static void close_trace(void *trace)
{
	tc_trace_close(trace);
}

int hmp_live(struct channel *c, struct tc_trace *t, char line[HMP_LIVE_LINE])
{
	struct outgoing o = {0};
	line[0] = '\0';
	int end = print_until(c, t, &o, line);
	if (!end) {
		/* the rest and the sums are not much: as any answer */
		channel_write(c, o.text + o.sent, o.size - o.sent);
		refill(&o, t, true);
		channel_write(c, o.text, o.size);
	}
	free(o.text);
	if (!channel_run(c, close_trace, t)) {
		tc_trace_close(t);
		return CHANNEL_QUIT;
	}
	if (!strcmp(line, "tc trace stop"))
		line[0] = '\0';
	return end;
}
