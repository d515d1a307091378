/*
 * The gdb server's connection: bytes in and out, who is connected, and the guest's stops; see
 * gdb.h and gdb_internal.h.
 *
 * Bytes arrive on the I/O thread with the machine lock held. They are copied into one of a few chunks, which travels to
 * the vCPU thread as work; connecting and disconnecting travel the same way, so that everything is seen in the order
 * in which it happened.
 */
#include "monitor/gdb_internal.h"

#include "devices/chardev.h"

#include <stdlib.h>
#include <string.h>

static const char busy[] = "+$E.another debugger is connected to this virtual machine#8f";

/* ---- sending: vCPU thread ---- */

static void send_bytes(struct gdb *g, const char *data, size_t n)
{
	struct machine *m = g->vm->machine;

	if (!g->dev)
		return; /* a test */
	machine_lock(m);
	chardev_write_forced(g->dev, (const uint8_t *)data, (unsigned)n);
	machine_unlock(m);
}

void gdb_send(struct gdb *g, const struct gdb_reply *r)
{
	g->frame_len = gdb_frame(r, g->frame);
	send_bytes(g, g->frame, g->frame_len);
}

/* gdb knows signals: what else there is to be said about a stop goes to its console before. */
static void send_reason(struct gdb *g)
{
	char text[160];

	debug_event_text(vm_stop_info(g->vm), text, sizeof(text) - 1);
	strcat(text, "\n");
	g->console.len = 0;
	gdb_put(&g->console, "O");
	gdb_put_hex(&g->console, text, strlen(text));
	gdb_send(g, &g->console);
}

static void send_stop(struct gdb *g)
{
	if (vm_stop_info(g->vm)->reason == STOP_EVENT)
		send_reason(g);
	g->reply.len = 0;
	gdb_put_stop(g);
	gdb_send(g, &g->reply);
	g->waiting = false;
}

/* ---- receiving: vCPU thread ---- */

static void take_packet(struct gdb *g)
{
	if (!g->no_ack)
		send_bytes(g, "+", 1);
	gdb_execute(g, g->parser.data, g->parser.len);
}

/*
 * Ctrl-C. gdb steps over a breakpoint on its own before it continues, and forgets a Ctrl-C that it sent meanwhile as soon as the
 * step is answered: one that finds the guest standing still is kept for when it goes on, or nothing would ever stop it.
 */
static void interrupt(struct gdb *g)
{
	if (g->waiting)
		vm_stop(g->vm); /* gdb_on_event answers */
	else
		g->interrupted = true;
}

static void take_item(struct gdb *g, enum gdb_item item)
{
	switch (item) {
	case GDB_PACKET:
		take_packet(g);
		break;
	case GDB_TOO_LONG:
		if (!g->no_ack)
			send_bytes(g, "+", 1);
		g->reply.len = 0;
		gdb_error(g, GDB_EINVAL);
		gdb_send(g, &g->reply);
		break;
	case GDB_BAD_SUM:
		if (!g->no_ack)
			send_bytes(g, "-", 1);
		break;
	case GDB_NACK:
		if (!g->no_ack && g->frame_len)
			send_bytes(g, g->frame, g->frame_len);
		break;
	case GDB_INTERRUPT:
		interrupt(g);
		break;
	case GDB_ACK:
	case GDB_NOTHING:
		break;
	}
}

void gdb_input(struct gdb *g, const uint8_t *data, size_t n)
{
	if (!g->connected) /* a device without connections, as stdio */
		gdb_attached(g);
	for (size_t i = 0; i < n; i++)
		take_item(g, gdb_parse(&g->parser, data[i]));
}

void gdb_on_event(void *ctx, enum vm_event event)
{
	struct gdb *g = ctx;

	if (event == VM_EVENT_STOP && g->connected && g->waiting)
		send_stop(g);
}

void gdb_attached(struct gdb *g)
{
	g->connected = true;
	g->parser.state = GDB_IDLE;
	g->no_ack = g->waiting = g->interrupted = g->swbreak = g->hwbreak = false;
	g->frame_len = 0;
	g->step_flags = STEP_NO_INTERRUPTS | STEP_NO_TIME;
	g->was_running = vm_state(g->vm) == VM_RUNNING;
	vm_stop(g->vm);
}

void gdb_detached(struct gdb *g, bool resume)
{
	debug_remove_all(g->vm, &g->software);
	debug_remove_all(g->vm, &g->hardware);
	g->waiting = false;
	if (g->connected && resume)
		vm_cont(g->vm);
}

/* ---- the hand-over ---- */

static void work_input(void *ctx)
{
	struct gdb_chunk *c = ctx;
	struct gdb *g = c->g;

	gdb_input(g, c->data, c->len);
	machine_lock(g->vm->machine);
	c->used = false;
	chardev_accept_input(g->dev);
	machine_unlock(g->vm->machine);
}

static void work_opened(void *ctx)
{
	gdb_attached(ctx);
}

/* Detached already, or lost: then it is as if it had never been there. */
static void work_closed(void *ctx)
{
	struct gdb *g = ctx;

	gdb_detached(g, g->was_running);
	g->connected = false;
}

static struct gdb_chunk *free_chunk(struct gdb *g)
{
	for (unsigned i = 0; i < GDB_CHUNKS; i++) {
		if (!g->chunk[i].used)
			return &g->chunk[i];
	}
	return NULL;
}

static unsigned can_receive(void *ctx)
{
	return free_chunk(ctx) ? GDB_CHUNK_SIZE : 0;
}

static void receive(void *ctx, const uint8_t *data, unsigned n)
{
	struct gdb *g = ctx;
	struct gdb_chunk *c = free_chunk(g);

	if (!c || n > sizeof(c->data))
		return; /* more than can_receive said */
	c->used = true;
	c->g = g;
	c->len = n;
	memcpy(c->data, data, n);
	vm_post(g->vm, work_input, c);
}

static void chardev_event(void *ctx, int event)
{
	struct gdb *g = ctx;

	if (event == CHARDEV_OPENED)
		vm_post(g->vm, work_opened, g);
	else if (event == CHARDEV_CLOSED)
		vm_post(g->vm, work_closed, g);
}

/* ---- life cycle ---- */

/* A network address is where we listen, unless it says otherwise. */
static char *server_spec(const char *spec)
{
	bool network = !strncmp(spec, "tcp:", 4) || !strncmp(spec, "unix:", 5);
	const char *more = !network || strstr(spec, ",server") ? "" : ",server=on,wait=off";
	char *all = NULL;

	if (asprintf(&all, "%s%s%s", spec, more, spec[0] == 't' && network ? ",nodelay=on" : "") < 0)
		return NULL;
	return all;
}

struct gdb *gdb_open(struct vm *vm, const char *spec, char *err, size_t errlen)
{
	static const struct chardev_frontend front_end = {
		.can_receive = can_receive,
		.receive = receive,
		.event = chardev_event,
	};
	struct gdb *g = calloc(1, sizeof(*g));
	char *full = server_spec(spec);

	if (!g || !full)
		snprintf(err, errlen, "out of memory for the gdb server");
	else
		g->dev = chardev_open_labelled(full, "gdb", err, errlen);
	free(full);
	if (!g || !g->dev) {
		free(g);
		return NULL;
	}
	g->vm = vm;
	chardev_refuse_others(g->dev, busy);
	chardev_attach(g->dev, &front_end, g);
	vm_add_listener(vm, gdb_on_event, g);
	return g;
}

void gdb_start(struct gdb *g)
{
	chardev_start(g->dev, g->vm->machine);
}

void gdb_close(struct gdb *g, int exit_code)
{
	char text[8];

	if (!g)
		return;
	if (g->connected) {
		struct gdb_reply *r = &g->reply;

		r->len = 0;
		snprintf(text, sizeof(text), "W%02x", exit_code & 0xff);
		gdb_put(r, text);
		g->frame_len = gdb_frame(r, g->frame);
		chardev_write_forced(g->dev, (const uint8_t *)g->frame, (unsigned)g->frame_len);
	}
	vm_remove_listener(g->vm, gdb_on_event, g);
	chardev_close(g->dev);
	free(g);
}
