/* Human monitor: running, stopping, breakpoints, and what a person at the machine could do. */
#include "monitor/debug.h"
#include "monitor/hmp_internal.h"
#include "monitor/log.h"
#include "monitor/monitors.h"
#include "monitor/run_state.h"

#include <string.h>

void hmp_quit(struct hmp *h)
{
	if (hmp_take_end(h))
		monitors_host_quit(h->vm);
}

void hmp_stop(struct hmp *h)
{
	if (hmp_take_end(h))
		vm_stop(h->vm);
}

void hmp_cont(struct hmp *h)
{
	if (!hmp_take_end(h))
		return;
	if (vm_state(h->vm) == VM_SHUTDOWN)
		fputs("Error: Resetting the Virtual Machine is required\n", h->out);
	vm_cont(h->vm);
}

void hmp_step(struct hmp *h)
{
	uint64_t n = 1;
	if ((hmp_more(h) && !hmp_take_expression(h, &n)) || !hmp_take_end(h))
		return;
	if (vm_state(h->vm) == VM_SHUTDOWN)
		fputs("Error: Resetting the Virtual Machine is required\n", h->out);
	else if (!n)
		hmp_fail(h, "a number of instructions greater than 0 expected");
	else {
		vm_stop(h->vm);
		vm_step(h->vm, n, 0);
	}
}

/* ---- breakpoints ---- */

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

static void add_point(struct hmp *h, unsigned kind, uint64_t address, uint64_t len)
{
	if (!debug_add(h->vm, owner, kind, (uint32_t)address, (uint32_t)len))
		fputs("Error: there are too many breakpoints: delete some\n", h->out);
}

void hmp_break(struct hmp *h)
{
	uint64_t address;
	if (take_linear(h, &address) && hmp_take_end(h))
		add_point(h, DEBUG_EXECUTE, address, 1);
}

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
	else if (hmp_take_end(h))
		add_point(h, kind, address, len);
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
	if (!p)
		fputs("Error: no such breakpoint: see info breakpoints\n", h->out);
	else
		debug_remove(h->vm, p->owner, p->kind, p->lin, p->len);
}

void hmp_info_breakpoints(struct hmp *h)
{
	const struct debug_point *p;
	if (!hmp_take_end(h))
		return;
	for (unsigned n = 0; (p = debug_nth(h->vm, n)); n++) {
		const char *kind = p->kind & DEBUG_EXECUTE		     ? "breakpoint"
				   : p->kind == DEBUG_ACCESS		     ? "access watchpoint"
				   : p->kind == DEBUG_READ		     ? "read watchpoint"
									     : "write watchpoint";
		fprintf(h->out, "%u: %s at %08x", n, kind, p->lin);
		if (!(p->kind & DEBUG_EXECUTE))
			fprintf(h->out, ", %u bytes", p->len);
		fprintf(h->out, ", %llu hits%s\n", (unsigned long long)p->hits,
			p->owner == owner ? "" : " (gdb's)");
	}
}

/* ---- the machine ---- */

void hmp_system_reset(struct hmp *h)
{
	if (hmp_take_end(h))
		monitors_host_reset(h->vm);
}

void hmp_system_powerdown(struct hmp *h)
{
	if (hmp_take_end(h))
		monitors_power_button(h->vm);
}

void hmp_nmi(struct hmp *h)
{
	if (hmp_take_end(h))
		machine_inject_nmi(h->vm->machine);
}

void hmp_log(struct hmp *h)
{
	char words[HMP_WORD_MAX], err[OPTIONS_ERROR_LEN];
	unsigned mask = 0;
	if (!hmp_more(h)) {
		log_help(h->out);
		fputs("  none\n", h->out);
		return;
	}
	if (!hmp_take_word(h, words, sizeof(words)) || !hmp_take_end(h))
		return;
	if (strcmp(words, "none") && !log_parse(words, &mask, err, sizeof(err))) {
		fprintf(h->out, "%s\n", err);
		return;
	}
	h->vm->options.log_mask = mask;
	log_set_mask(mask);
	vm_log_changed(h->vm);
}

void hmp_logfile(struct hmp *h)
{
	char path[HMP_WORD_MAX], err[OPTIONS_ERROR_LEN];
	if (!hmp_take_word(h, path, sizeof(path)) || !hmp_take_end(h))
		return;
	if (!log_reopen(path, err, sizeof(err)))
		fprintf(h->out, "%s\n", err);
}
