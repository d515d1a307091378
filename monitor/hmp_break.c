/* Human monitor: breakpoints of all kinds (debug.h). */
#include "monitor/debug.h"
#include "monitor/hmp_internal.h"
#include "monitor/run_state.h"

#include <stdlib.h>
#include <string.h>

/* Whose points the monitor's are; several sessions share them. */
static const char owner[] = "monitor";

static bool take_linear(struct hmp *h, uint64_t *address)
{
	if (!hmp_take_expression(h, address))
		return false;
	if (*address <= UINT32_MAX)
		return true;
	hmp_fail(h, "addresses have 32 bits");
	return false;
}

static void add_point(struct hmp *h, struct debug_point p)
{
	p.owner = owner;
	if (hmp_take_end(h) && !debug_add_point(h->vm, &p))
		fputs("Error: there are too many breakpoints: delete some\n", h->out);
}

/* ---- break ---- */

static bool take_mask(struct hmp *h, uint32_t *out)
{
	uint64_t value;
	if (!hmp_take_expression(h, &value))
		return false;
	if (value > UINT32_MAX)
		hmp_fail(h, "a mask has 32 bits");
	*out = (uint32_t)value;
	return value <= UINT32_MAX;
}

/* "3f8" or "3f8-3ff" in C's numbers: an expression would subtract. */
static bool parse_ports(const char *word, struct debug_point *p)
{
	char *end;
	unsigned long first = strtoul(word, &end, 0), last = first;
	if (end == word || *word == '-')
		return false;
	if (*end == '-') {
		const char *second = end + 1;
		last = strtoul(second, &end, 0);
		if (end == second || *second == '-')
			return false;
	}
	if (*end || first > last || last > 0xffff)
		return false;
	p->lin = (uint32_t)first;
	p->len = (uint32_t)(last - first + 1);
	return true;
}

static void break_port(struct hmp *h)
{
	struct debug_point p = {.kind = DEBUG_PORT_READ | DEBUG_PORT_WRITE};
	char word[32];
	if (!hmp_take_word(h, word, sizeof(word)))
		return;
	if (!parse_ports(word, &p)) {
		hmp_fail(h, "a port or a range of ports, as 0x3f8 or 0x3f8-0x3ff, expected");
		return;
	}
	if (hmp_more(h)) {
		if (!hmp_take_word(h, word, sizeof(word)))
			return;
		p.kind = !strcmp(word, "r") ? DEBUG_PORT_READ : !strcmp(word, "w") ? DEBUG_PORT_WRITE : p.kind;
		if (strcmp(word, "r") && strcmp(word, "w") && strcmp(word, "rw")) {
			hmp_fail(h, "one of r, w, rw expected");
			return;
		}
	}
	add_point(h, p);
}

/* "#PF", "pf", "all"; false: it is none of them. */
static bool take_vector_name(struct hmp *h, struct debug_point *p)
{
	const char *text = h->args + (*h->args == '#');
	size_t len = strcspn(text, " \t");
	const char *name;
	if (len == 3 && !strncmp(text, "all", 3)) {
		p->lin = 0;
		p->len = p->kind == DEBUG_EXCEPTION ? 32 : 256;
		h->args = text + len;
		return true;
	}
	for (unsigned vector = 0; vector < 32 && p->kind == DEBUG_EXCEPTION; vector++) {
		if (!(name = debug_exception_name(vector)) || strlen(name) != len || strncasecmp(name, text, len))
			continue;
		p->lin = vector;
		h->args = text + len;
		return true;
	}
	return false;
}

static bool take_vector(struct hmp *h, struct debug_point *p)
{
	uint64_t vector;
	p->len = 1;
	if (hmp_more(h) && take_vector_name(h, p))
		return true;
	if (!hmp_take_expression(h, &vector))
		return false;
	p->lin = (uint32_t)vector;
	if (vector < (p->kind == DEBUG_EXCEPTION ? 32 : 256))
		return true;
	hmp_fail(h, "there is no such vector");
	return false;
}

static void break_exception(struct hmp *h)
{
	struct debug_point p = {.kind = DEBUG_EXCEPTION};
	if (!take_vector(h, &p))
		return;
	if (hmp_more(h) && !take_mask(h, &p.mask))
		return;
	p.value = p.mask;
	if (hmp_more(h) && !take_mask(h, &p.value))
		return;
	add_point(h, p);
}

static void break_interrupt(struct hmp *h)
{
	struct debug_point p = {.kind = DEBUG_INTERRUPT};
	if (take_vector(h, &p))
		add_point(h, p);
}

static void break_control(struct hmp *h)
{
	struct debug_point p = {.kind = DEBUG_CONTROL, .len = 1};
	uint64_t n;
	if (!hmp_take_expression(h, &n))
		return;
	if (n == 1 || n > 4) {
		hmp_fail(h, "one of the control registers 0, 2, 3, 4 expected");
		return;
	}
	p.lin = (uint32_t)n;
	if (!hmp_more(h) || take_mask(h, &p.mask))
		add_point(h, p);
}

static void break_mode(struct hmp *h)
{
	static const char *const names[] = {"protected", "vm86", "paging", "ring"};
	struct debug_point p = {.kind = DEBUG_MODE, .len = 1};
	char word[16];
	while (hmp_more(h)) {
		uint32_t before = p.mask;
		if (!hmp_take_word(h, word, sizeof(word)))
			return;
		for (unsigned i = 0; i < ARRAY_LEN(names); i++)
			p.mask |= strcmp(word, names[i]) ? 0 : 1u << i;
		if (p.mask == before) {
			hmp_fail(h, "some of protected, vm86, paging, ring expected");
			return;
		}
	}
	if (!p.mask)
		p.mask = DEBUG_MODE_PROTECTED | DEBUG_MODE_VM86 | DEBUG_MODE_PAGING;
	add_point(h, p);
}

void hmp_break(struct hmp *h)
{
	static const struct {
		const char *names;
		void (*run)(struct hmp *);
	} kinds[] = {{"port", break_port},
		     {"exception", break_exception},
		     {"interrupt", break_interrupt},
		     {"cr", break_control},
		     {"mode", break_mode}};
	uint64_t address;
	if (hmp_more(h)) {
		size_t len = strcspn(h->args, " \t");
		for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
			if (!hmp_named(kinds[i].names, h->args, len))
				continue;
			h->args += len;
			kinds[i].run(h);
			return;
		}
	}
	if (take_linear(h, &address))
		add_point(h, (struct debug_point){.kind = DEBUG_EXECUTE, .lin = (uint32_t)address, .len = 1});
}

/* ---- the others ---- */

void hmp_watch(struct hmp *h)
{
	static const struct {
		const char *word;
		unsigned kind;
	} kinds[] = {{"r", DEBUG_READ}, {"w", DEBUG_WRITE}, {"rw", DEBUG_ACCESS}};
	uint64_t address, len = 4;
	unsigned kind = DEBUG_WRITE;
	char word[8];
	if (!take_linear(h, &address))
		return;
	if (hmp_more(h) && !strchr("rw", *h->args) && !hmp_take_expression(h, &len))
		return;
	if (hmp_more(h)) {
		if (!hmp_take_word(h, word, sizeof(word)))
			return;
		kind = 0;
		for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
			kind = strcmp(word, kinds[i].word) ? kind : kinds[i].kind;
	}
	if (!kind || !len || len > PAGE_SIZE)
		hmp_fail(h, "a length up to %d and one of r, w, rw expected", PAGE_SIZE);
	else
		add_point(h, (struct debug_point){.kind = kind, .lin = (uint32_t)address, .len = (uint32_t)len});
}

void hmp_delete(struct hmp *h)
{
	uint64_t n;
	if (hmp_more(h) && !strcmp(h->args, "all")) {
		debug_remove_all(h->vm, owner);
		return;
	}
	if (!hmp_take_expression(h, &n) || !hmp_take_end(h))
		return;
	const struct debug_point *p = n < UINT32_MAX ? debug_nth(h->vm, (unsigned)n) : NULL;
	if (!p) {
		fputs("Error: no such breakpoint: see info breakpoints\n", h->out);
		return;
	}
	const struct debug_point copy = *p;
	debug_remove_point(h->vm, &copy);
}

void hmp_info_breakpoints(struct hmp *h)
{
	const struct debug_point *p;
	char text[128];
	if (!hmp_take_end(h))
		return;
	for (unsigned n = 0; (p = debug_nth(h->vm, n)); n++) {
		debug_point_text(p, text, sizeof(text));
		fprintf(h->out, "%u: %s, %llu hits%s\n", n, text, (unsigned long long)p->hits,
			p->owner == owner ? "" : " (gdb's)");
	}
}

/* ---- steps ---- */

static bool may_step(struct hmp *h)
{
	if (vm_state(h->vm) != VM_SHUTDOWN)
		return true;
	fputs("Error: Resetting the Virtual Machine is required\n", h->out);
	return false;
}

void hmp_step(struct hmp *h)
{
	uint64_t n = 1;
	if ((hmp_more(h) && !hmp_take_expression(h, &n)) || !hmp_take_end(h))
		return;
	if (!n) {
		hmp_fail(h, "a number of instructions greater than 0 expected");
	} else if (may_step(h)) {
		vm_stop(h->vm);
		vm_step(h->vm, n, 0);
	}
}

void hmp_next(struct hmp *h)
{
	char word[8] = "";
	if ((hmp_more(h) && !hmp_take_word(h, word, sizeof(word))) || !hmp_take_end(h))
		return;
	if (*word && strcmp(word, "block")) {
		hmp_fail(h, "'block' or nothing expected");
	} else if (may_step(h)) {
		vm_stop(h->vm);
		if (*word)
			debug_next_block(h->vm);
		else
			debug_next(h->vm);
	}
}
