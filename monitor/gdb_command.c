/*
 * The gdb protocol's commands: the table, and those about running and stopping.
 *
 * A packet that is not understood gets an error or, when its command is unknown, the empty answer; it never
 * sets the guest going.
 */
#include "monitor/gdb_internal.h"

#include <string.h>

/* gdb's own signal numbers. */
enum { SIGNAL_INT = 2, SIGNAL_QUIT = 3, SIGNAL_TRAP = 5 };

bool gdb_error(struct gdb *g, unsigned number)
{
	g->reply.len = 0;
	gdb_putf(&g->reply, "E%02x", number);
	return true;
}

bool gdb_ok(struct gdb *g)
{
	g->reply.len = 0;
	gdb_put(&g->reply, "OK");
	return true;
}

/* ---- the stop reply ---- */

static bool has_point(const struct gdb *g, const void *owner, uint32_t pc)
{
	const struct debug_point *p;

	for (unsigned i = 0; (p = debug_nth(g->vm, i)); i++) {
		if (p->owner == owner && (p->kind & DEBUG_EXECUTE) && p->lin == pc)
			return true;
	}
	return false;
}

/*
 * gdb looks for the breakpoint at $pc, and takes the stop for a leftover if there is none: with a code segment that
 * has a base ($pc is EIP, breakpoints are linear) it must be told no more than that there was a trap.
 */
static void put_breakpoint(struct gdb *g, uint32_t pc)
{
	if (g->vm->cpu.seg[S_CS].base)
		return;
	if (g->swbreak && has_point(g, &g->software, pc))
		gdb_put(&g->reply, "swbreak:;");
	else if (g->hwbreak && has_point(g, &g->hardware, pc))
		gdb_put(&g->reply, "hwbreak:;");
}

static void put_watchpoint(struct gdb *g, const struct vm_stop_info *s)
{
	const char *name = s->kind == DEBUG_WRITE  ? "watch"
			   : s->kind == DEBUG_READ ? "rwatch"
						   : "awatch";

	gdb_putf(&g->reply, "%s:%x;", name, s->address);
}

void gdb_put_stop(struct gdb *g)
{
	const struct vm_stop_info *s = vm_stop_info(g->vm);
	unsigned signal = SIGNAL_TRAP;

	if (s->reason == STOP_REQUEST)
		signal = SIGNAL_INT;
	else if (s->reason == STOP_POWEROFF)
		signal = SIGNAL_QUIT;
	gdb_putf(&g->reply, "T%02xthread:1;", signal);
	gdb_put_usual(g);
	if (s->reason == STOP_BREAKPOINT)
		put_breakpoint(g, s->pc);
	else if (s->reason == STOP_WATCHPOINT)
		put_watchpoint(g, s);
}

static bool why_stopped(struct gdb *g, const char *p, size_t n)
{
	if (n)
		return gdb_error(g, GDB_EINVAL);
	gdb_put_stop(g);
	return true;
}

/* ---- running ---- */

/* What vCont can ask for. */
struct action {
	char name;           /* c, s, t, r; 0: none */
	uint32_t first, end; /* r: step while EIP is in there */
};

/* The guest may not be able to run (it has powered off): then that is the answer. */
static bool resume(struct gdb *g, struct action a)
{
	g->waiting = true;
	if (a.name == 'r')
		vm_step_range(g->vm, a.first, a.end, false, g->step_flags);
	else if (a.name == 's')
		vm_step(g->vm, 1, g->step_flags);
	else
		vm_cont(g->vm);
	if (g->interrupted)
		vm_stop(g->vm); /* at once; gdb_on_event answers */
	g->interrupted = false;
	if (vm_state(g->vm) != VM_SHUTDOWN)
		return false;
	g->waiting = false;
	gdb_put_stop(g);
	return true;
}

/* "c" and "s" may say where. */
static bool resume_at(struct gdb *g, const char *p, char name)
{
	uint64_t at = 0;

	if (!*p)
		return resume(g, (struct action){.name = name});
	if (!gdb_get_hex(&p, &at) || *p || at > UINT32_MAX)
		return gdb_error(g, GDB_EINVAL);
	g->vm->cpu.rip = at;
	vm_pc_written(g->vm);
	return resume(g, (struct action){.name = name});
}

static bool cont(struct gdb *g, const char *p, size_t n)
{
	return resume_at(g, p, 'c');
}

static bool step(struct gdb *g, const char *p, size_t n)
{
	return resume_at(g, p, 's');
}

/* The signal is for programs that have such things. */
static bool skip_signal(const char **p)
{
	uint64_t signal;

	if (!gdb_get_hex(p, &signal) || signal > 0xff)
		return false;
	return !**p || gdb_get_char(p, ';');
}

static bool cont_signal(struct gdb *g, const char *p, size_t n)
{
	return skip_signal(&p) ? resume_at(g, p, 'c') : gdb_error(g, GDB_EINVAL);
}

static bool step_signal(struct gdb *g, const char *p, size_t n)
{
	return skip_signal(&p) ? resume_at(g, p, 's') : gdb_error(g, GDB_EINVAL);
}

/* A thread: 1, or -1 and 0 for all and any. Nothing there: ours too. */
static bool get_thread(const char **p)
{
	uint64_t id;

	if (gdb_get_char(p, '-'))
		return gdb_get_char(p, '1');
	return gdb_get_hex(p, &id) && id <= 1;
}

/* "START,END" of a range. */
static bool get_step_range(const char **p, struct action *a)
{
	uint64_t first, end;

	if (!gdb_get_hex(p, &first) || !gdb_get_char(p, ',') || !gdb_get_hex(p, &end))
		return false;
	a->first = (uint32_t)first;
	a->end = (uint32_t)end;
	return first <= UINT32_MAX && end <= UINT32_MAX && first <= end;
}

/* One ";action[signal or range][:thread]". False: malformed. */
static bool get_action(const char **p, struct action *a)
{
	uint64_t signal;

	if (!gdb_get_char(p, ';') || !**p)
		return false;
	*a = (struct action){.name = *(*p)++};
	if (a->name == 'C' || a->name == 'S') {
		if (!gdb_get_hex(p, &signal))
			return false;
		a->name = a->name == 'C' ? 'c' : 's';
	}
	if (!memchr("cstr", a->name, 4) || (a->name == 'r' && !get_step_range(p, a)))
		return false;
	return !gdb_get_char(p, ':') || get_thread(p);
}

/* There is one thread: the first action that applies to it counts. */
static bool v_cont(struct gdb *g, const char *p, size_t n)
{
	struct action first = {0}, next;

	if (!strcmp(p, "?")) {
		gdb_put(&g->reply, "vCont;c;C;s;S;t;r");
		return true;
	}
	while (*p) {
		if (!get_action(&p, &next))
			return gdb_error(g, GDB_EINVAL);
		if (!first.name)
			first = next;
	}
	if (!first.name)
		return gdb_error(g, GDB_EINVAL);
	if (first.name != 't')
		return resume(g, first);
	vm_stop(g->vm);
	return gdb_ok(g);
}

/* ---- leaving ---- */

static bool detach(struct gdb *g, const char *p, size_t n)
{
	if (*p && *p != ';')
		return gdb_error(g, GDB_EINVAL);
	gdb_detached(g, true);
	g->was_running = true; /* nothing is left to be put back when the connection ends */
	return gdb_ok(g);
}

static bool kill_vm(struct gdb *g, const char *p, size_t n)
{
	vm_quit(g->vm, 0);
	return false;
}

static bool v_kill(struct gdb *g, const char *p, size_t n)
{
	vm_quit(g->vm, 0);
	return gdb_ok(g);
}

/* ---- threads: there is one ---- */

static bool select_thread(struct gdb *g, const char *p, size_t n)
{
	if (*p != 'g' && *p != 'c')
		return gdb_error(g, GDB_EINVAL);
	p++;
	return get_thread(&p) && !*p ? gdb_ok(g) : gdb_error(g, GDB_EINVAL);
}

static bool thread_alive(struct gdb *g, const char *p, size_t n)
{
	return get_thread(&p) && !*p ? gdb_ok(g) : gdb_error(g, GDB_EINVAL);
}

/* ---- the table ---- */

/* In this order: the first name that a packet begins with. */
static const struct {
	const char *name;
	gdb_command_fn *fn;
} commands[] = {
	{"?", why_stopped},
	{"c", cont},
	{"C", cont_signal},
	{"s", step},
	{"S", step_signal},
	{"vCont", v_cont},
	{"vKill", v_kill},
	{"k", kill_vm},
	{"D", detach},
	{"H", select_thread},
	{"T", thread_alive},
	{"g", gdb_read_all},
	{"G", gdb_write_all},
	{"p", gdb_read_register},
	{"P", gdb_write_register},
	{"m", gdb_read_memory},
	{"M", gdb_write_memory},
	{"X", gdb_write_binary},
	{"Z", gdb_insert_point},
	{"z", gdb_remove_point},
	{"q", gdb_query},
	{"Q", gdb_set},
};

void gdb_execute(struct gdb *g, const char *packet, size_t n)
{
	bool answer = true;

	g->reply.len = 0;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		size_t len = strlen(commands[i].name);

		if (!strncmp(packet, commands[i].name, len)) {
			answer = commands[i].fn(g, packet + len, n - len);
			break;
		}
	}
	if (answer)
		gdb_send(g, &g->reply);
}
