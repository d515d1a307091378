/* Breakpoints and the reasons of stops as text for people. */
#include "monitor/debug_internal.h"

#include <stdio.h>
#include <string.h>

static const char *const exceptions[] = {
	"DE", "DB", NULL, "BP", "OF", "BR", "UD", "NM", "DF", NULL, "TS", "NP", "SS", "GP", "PF", NULL, "MF", "AC", "MC", "XM",
};

const char *debug_exception_name(unsigned vector)
{
	return vector < ARRAY_LEN(exceptions) ? exceptions[vector] : NULL;
}

static void put_exception(FILE *f, unsigned vector)
{
	const char *name = debug_exception_name(vector);

	fprintf(f, "exception %u", vector);
	if (name)
		fprintf(f, " (#%s)", name);
}

/* "" for one. */
static const char *plural(unsigned n)
{
	return n == 1 ? "" : "s";
}

/* ---- points ---- */

static void put_ports(FILE *f, const struct debug_point *p)
{
	const char *what = p->kind == DEBUG_PORT_READ ? "reads of" : p->kind == DEBUG_PORT_WRITE ? "writes of" : "accesses of";

	fprintf(f, "%s port%s %03x", what, plural(p->len), p->lin);
	if (p->len > 1)
		fprintf(f, "-%03x", p->lin + p->len - 1);
}

static void put_vectors(FILE *f, const struct debug_point *p)
{
	bool exception = p->kind == DEBUG_EXCEPTION;

	if (p->len > 1)
		fprintf(f, "all %s", exception ? "exceptions" : "interrupts");
	else if (exception)
		put_exception(f, p->lin);
	else
		fprintf(f, "interrupt %u", p->lin);
	if (p->mask)
		fprintf(f, " if (error code & %#x) == %#x", p->mask, p->value);
}

static void put_control(FILE *f, const struct debug_point *p)
{
	fprintf(f, "writes of CR%u", p->lin);
	if (p->mask)
		fprintf(f, " that change %#x", p->mask);
}

static void put_mode_kinds(FILE *f, const struct debug_point *p)
{
	static const char *const name[] = {"protected", "vm86", "paging", "ring"};

	fputs("changes of mode:", f);
	for (unsigned i = 0; i < ARRAY_LEN(name); i++) {
		if (p->mask & 1u << i)
			fprintf(f, " %s", name[i]);
	}
}

static void put_memory(FILE *f, const struct debug_point *p)
{
	const char *kind = p->kind & DEBUG_EXECUTE     ? "breakpoint"
			   : p->kind == DEBUG_ACCESS ? "access watchpoint"
			   : p->kind == DEBUG_READ   ? "read watchpoint"
						     : "write watchpoint";

	fprintf(f, "%s at %08x", kind, p->lin);
	if (!(p->kind & DEBUG_EXECUTE))
		fprintf(f, ", %u bytes", p->len);
}

void debug_point_text(const struct debug_point *p, char *out, size_t len)
{
	FILE *f = fmemopen(out, len, "w");

	out[0] = 0;
	if (!f)
		return;
	if (p->kind & (DEBUG_PORT_READ | DEBUG_PORT_WRITE))
		put_ports(f, p);
	else if (p->kind & (DEBUG_EXCEPTION | DEBUG_INTERRUPT))
		put_vectors(f, p);
	else if (p->kind & DEBUG_CONTROL)
		put_control(f, p);
	else if (p->kind & DEBUG_MODE)
		put_mode_kinds(f, p);
	else
		put_memory(f, p);
	fclose(f);
}

/* ---- events ---- */

static void put_port_event(FILE *f, const struct vm_stop_info *e)
{
	fprintf(f, "about to %s port %03x (%u byte%s)", e->kind == DEBUG_PORT_READ ? "read" : "write", e->number, e->size,
		plural(e->size));
}

static void put_exception_event(FILE *f, const struct vm_stop_info *e)
{
	fputs(e->held ? "about to raise " : "delivered ", f);
	put_exception(f, e->number);
	fprintf(f, ", error code %04x", e->value);
	if (e->number == EXC_PF)
		fprintf(f, ", address %08x", e->address);
}

static void put_interrupt_event(FILE *f, const struct vm_stop_info *e)
{
	if (!e->external)
		fprintf(f, "about to execute INT %u", e->number);
	else if (e->number == EXC_NMI)
		fputs("about to take an NMI", f);
	else
		fprintf(f, "about to take interrupt %u", e->number);
}

static void put_control_event(FILE *f, const struct vm_stop_info *e)
{
	fprintf(f, "%s CR%u: %08x -> %08x", e->held ? "about to write" : "a task switch has written", e->number, e->address,
		e->value);
}

static void put_mode(FILE *f, uint32_t mode)
{
	const char *what = mode & DEBUG_MODE_VM86 ? "virtual-8086" : mode & DEBUG_MODE_PROTECTED ? "protected" : "real";

	fprintf(f, "%s mode, ring %u, paging %s", what, mode >> 8, mode & DEBUG_MODE_PAGING ? "on" : "off");
}

static void put_mode_event(FILE *f, const struct vm_stop_info *e)
{
	fputs("the mode has changed: ", f);
	put_mode(f, e->number);
	fputs(" -> ", f);
	put_mode(f, e->value);
}

void debug_event_text(const struct vm_stop_info *e, char *out, size_t len)
{
	static const struct {
		unsigned kinds;
		void (*put)(FILE *, const struct vm_stop_info *);
	} table[] = {
		{DEBUG_PORT_READ | DEBUG_PORT_WRITE, put_port_event}, {DEBUG_EXCEPTION, put_exception_event},
		{DEBUG_INTERRUPT, put_interrupt_event},		      {DEBUG_CONTROL, put_control_event},
		{DEBUG_MODE, put_mode_event},
	};
	FILE *f = fmemopen(out, len, "w");

	out[0] = 0;
	if (!f)
		return;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].kinds & e->kind)
			table[i].put(f, e);
	}
	fclose(f);
}
