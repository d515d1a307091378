/* The gdb protocol's q and Q packets: features, threads, the target description, `monitor`. */
#include "monitor/gdb_internal.h"
#include "monitor/hmp.h"

#include <string.h>

/* ---- features ---- */

/* ":name+;name-;name=value...": what the debugger knows. */
static bool supported(struct gdb *g, const char *p, size_t n)
{
	g->swbreak = strstr(p, "swbreak+") != NULL;
	g->hwbreak = strstr(p, "hwbreak+") != NULL;
	gdb_putf(&g->reply, "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+",
		 GDB_PACKET_MAX);
	return true;
}

static bool start_no_ack_mode(struct gdb *g, const char *p, size_t n)
{
	if (n)
		return gdb_error(g, GDB_EINVAL);
	g->no_ack = true;
	return gdb_ok(g);
}

/* ":target.xml:OFFSET,LENGTH" */
static bool read_features(struct gdb *g, const char *p, size_t n)
{
	const char *xml = gdb_target_xml();
	size_t size = strlen(xml), room;
	uint64_t at, len;

	if (strncmp(p, "target.xml:", 11))
		return gdb_error(g, 0);
	p += 11;
	if (!gdb_get_hex(&p, &at) || !gdb_get_char(&p, ',') || !gdb_get_hex(&p, &len) || *p || at > size)
		return gdb_error(g, GDB_EINVAL);
	room = size - at;
	if (len > room)
		len = room;
	if (len > GDB_PACKET_MAX / 2)
		len = GDB_PACKET_MAX / 2; /* each byte could need an escape */
	gdb_put(&g->reply, at + len < size ? "m" : "l");
	gdb_put_binary(&g->reply, xml + at, len);
	return true;
}

/* ---- threads ---- */

static bool text(struct gdb *g, const char *answer)
{
	gdb_put(&g->reply, answer);
	return true;
}

static bool current_thread(struct gdb *g, const char *p, size_t n)
{
	return text(g, "QC1");
}

static bool first_threads(struct gdb *g, const char *p, size_t n)
{
	return text(g, "m1");
}

static bool next_threads(struct gdb *g, const char *p, size_t n)
{
	return text(g, "l");
}

/* We were there before the debugger: its `quit` detaches. */
static bool attached(struct gdb *g, const char *p, size_t n)
{
	return text(g, "1");
}

static bool thread_extra_info(struct gdb *g, const char *p, size_t n)
{
	const char *what = g->vm->cpu.halted ? "CPU#0 [halted]" : "CPU#0 [running]";

	gdb_put_hex(&g->reply, what, strlen(what));
	return true;
}

/* ---- how steps are made: QEMU's packets ---- */

enum { SSTEP_ENABLE = 1, SSTEP_NOIRQ = 2, SSTEP_NOTIMER = 4 };

static bool step_bits(struct gdb *g, const char *p, size_t n)
{
	return text(g, "ENABLE=1,NOIRQ=2,NOTIMER=4");
}

static bool get_step(struct gdb *g, const char *p, size_t n)
{
	gdb_putf(&g->reply, "0x%x",
		 SSTEP_ENABLE | (g->step_flags & STEP_NO_INTERRUPTS ? SSTEP_NOIRQ : 0) |
			 (g->step_flags & STEP_NO_TIME ? SSTEP_NOTIMER : 0));
	return true;
}

static bool set_step(struct gdb *g, const char *p, size_t n)
{
	uint64_t bits;

	if (p[0] == '0' && p[1] == 'x')
		p += 2;
	if (!gdb_get_hex(&p, &bits) || *p || bits > 7)
		return gdb_error(g, GDB_EINVAL);
	g->step_flags = (bits & SSTEP_NOIRQ ? STEP_NO_INTERRUPTS : 0) | (bits & SSTEP_NOTIMER ? STEP_NO_TIME : 0);
	return gdb_ok(g);
}

/* ---- monitor COMMAND ---- */

static void print_console(void *ctx, const char *line)
{
	struct gdb *g = ctx;
	size_t n = strlen(line);

	while (n) {
		size_t part = n < GDB_PACKET_MAX / 2 - 1 ? n : GDB_PACKET_MAX / 2 - 1;

		g->console.len = 0;
		gdb_put(&g->console, "O");
		gdb_put_hex(&g->console, line, part);
		gdb_send(g, &g->console);
		line += part;
		n -= part;
	}
}

static bool monitor_command(struct gdb *g, const char *p, size_t n)
{
	char line[1024];

	if (!n || n % 2 || n / 2 >= sizeof(line) || !gdb_get_bytes(&p, line, n / 2) || *p)
		return gdb_error(g, GDB_EINVAL);
	line[n / 2] = 0;
	hmp_execute(g->vm, line, print_console, g);
	return gdb_ok(g);
}

/* ---- the tables ---- */

struct query {
	const char *name;
	char end; /* what follows the name when there is more; 0: nothing does */
	gdb_command_fn *fn;
};

static const struct query queries[] = {
	{"Supported", ':', supported},
	{"Xfer:features:read", ':', read_features},
	{"C", 0, current_thread},
	{"fThreadInfo", 0, first_threads},
	{"sThreadInfo", 0, next_threads},
	{"ThreadExtraInfo", ',', thread_extra_info},
	{"Attached", ':', attached},
	{"Rcmd", ',', monitor_command},
	{"qemu.sstepbits", 0, step_bits},
	{"qemu.sstep", 0, get_step},
};

static const struct query settings[] = {
	{"StartNoAckMode", 0, start_no_ack_mode},
	{"qemu.sstep", '=', set_step},
};

/* Unknown ones have the empty answer. */
static bool look_up(struct gdb *g, const struct query *table, size_t count, const char *p, size_t n)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(table[i].name);

		if (strncmp(p, table[i].name, len))
			continue;
		if (n == len)
			return table[i].fn(g, p + len, 0);
		if (table[i].end && p[len] == table[i].end)
			return table[i].fn(g, p + len + 1, n - len - 1);
	}
	return true;
}

bool gdb_query(struct gdb *g, const char *p, size_t n)
{
	return look_up(g, queries, ARRAY_LEN(queries), p, n);
}

bool gdb_set(struct gdb *g, const char *p, size_t n)
{
	return look_up(g, settings, ARRAY_LEN(settings), p, n);
}
