/* Human monitor: info about the machine and the monitor itself. */
#include "monitor/debug.h"
#include "monitor/hmp_internal.h"
#include "monitor/run_state.h"
#include "translator/translator.h"

#include <string.h>

/* What follows "paused": QEMU's word for debuggers' stops, and why. */
static void print_pause(struct hmp *h, const struct vm_stop_info *info)
{
	char text[160];
	switch (info->reason) {
	case STOP_START:
		fputs(" (prelaunch)\n", h->out);
		break;
	case STOP_BREAKPOINT:
		fprintf(h->out, " (debug)\nbreakpoint at %08x\n", info->pc);
		break;
	case STOP_WATCHPOINT:
		fprintf(h->out, " (debug)\nwatchpoint: %08x was touched\n", info->address);
		break;
	case STOP_EVENT:
		debug_event_text(info, text, sizeof(text));
		fprintf(h->out, " (debug)\n%s\n", text);
		break;
	default:
		fputc('\n', h->out);
	}
}

void hmp_info_status(struct hmp *h)
{
	static const char *const text[] = {"running", "paused", "paused (shutdown)"};
	if (!hmp_take_end(h))
		return;
	fprintf(h->out, "VM status: %s", text[vm_state(h->vm)]);
	if (vm_state(h->vm) == VM_PAUSED)
		print_pause(h, vm_stop_info(h->vm));
	else
		fputc('\n', h->out);
}

void hmp_info_version(struct hmp *h)
{
	if (hmp_take_end(h))
		fprintf(h->out, "%s\n", RINGFENCE_VERSION);
}

void hmp_info_name(struct hmp *h)
{
	if (hmp_take_end(h) && h->vm->options.name)
		fprintf(h->out, "%s\n", h->vm->options.name);
}

void hmp_info_kvm(struct hmp *h)
{
	if (hmp_take_end(h))
		fputs("kvm support: not compiled\n", h->out);
}

void hmp_info_uptime(struct hmp *h)
{
	if (!hmp_take_end(h))
		return;
	fprintf(h->out, "%.3f seconds since the start, %.3f of them halted; virtual time %.3f\n",
		(double)(vm_clock_ns() - h->vm->start_ns) / 1e9, (double)h->vm->halt_ns / 1e9,
		(double)machine_now(h->vm->machine) / 1e9);
}

void hmp_info_stats(struct hmp *h)
{
	if (hmp_take_end(h))
		vm_print_stats(h->vm, h->out);
}

void hmp_info_chardev(struct hmp *h)
{
	if (!hmp_take_end(h))
		return;
	for (unsigned i = 0; i < h->vm->opened_count; i++)
		fprintf(h->out, "%s: filename=%s\n", h->vm->opened_as[i].label,
			h->vm->opened_as[i].spec);
}

void hmp_info_pic(struct hmp *h)
{
	if (hmp_take_end(h))
		machine_print_pic(h->vm->machine, h->out);
}

void hmp_info_lapic(struct hmp *h)
{
	if (hmp_take_end(h))
		machine_print_lapic(h->vm->machine, h->out);
}

void hmp_info_irq(struct hmp *h)
{
	if (hmp_take_end(h))
		machine_print_irqs(h->vm->machine, h->out);
}

void hmp_info_mtree(struct hmp *h)
{
	char word[8];
	/* QEMU's -f, the flat view, is the only one */
	if (hmp_more(h) && (!hmp_take_word(h, word, sizeof(word)) || !hmp_take_end(h)))
		return;
	fputs("address-space: memory\n", h->out);
	physmap_print(h->vm->map, h->out);
	fputs("\naddress-space: I/O\n", h->out);
	machine_print_ports(h->vm->machine, h->out);
}

/* ---- memory as the processor and the translator see it ---- */

void hmp_info_mem(struct hmp *h)
{
	if (hmp_take_end(h))
		mmu_print_mem(&h->vm->cpu, h->vm->map, h->out);
}

void hmp_info_tlb(struct hmp *h)
{
	if (hmp_take_end(h))
		mmu_print_tlb(&h->vm->cpu, h->vm->map, h->out);
}

void hmp_info_windows(struct hmp *h)
{
	if (!hmp_take_end(h))
		return;
	mmu_print_windows(h->vm->mmu, h->out);
	if (vm_tc(h->vm))
		tc_view_gears(vm_tc(h->vm), h->out);
}

void hmp_info_snapshots(struct hmp *h)
{
	if (hmp_take_end(h))
		mmu_print_snapshots(h->vm->mmu, h->out);
}

/* ---- the translation cache ---- */

static struct tc *the_tc(struct hmp *h)
{
	struct tc *tc = vm_tc(h->vm);
	if (!tc)
		fputs("Error: there is no translation cache: the guest is interpreted (-accel interp)\n",
		      h->out);
	return tc;
}

void hmp_info_tc(struct hmp *h)
{
	if (hmp_take_end(h) && the_tc(h))
		tc_view_info(the_tc(h), h->out);
}

void hmp_info_worlds(struct hmp *h)
{
	if (hmp_take_end(h) && the_tc(h))
		tc_view_worlds(the_tc(h), h->out);
}

void hmp_info_callouts(struct hmp *h)
{
	if (hmp_take_end(h) && the_tc(h))
		tc_view_callouts(the_tc(h), h->out);
}

/* The argument that is an address, when the view takes one. */
static bool take_address(struct hmp *h, uint32_t *lin)
{
	uint64_t address;
	if (!hmp_take_expression(h, &address) || !hmp_take_end(h))
		return false;
	if (address > UINT32_MAX)
		hmp_fail(h, "addresses have 32 bits");
	*lin = (uint32_t)address;
	return address <= UINT32_MAX;
}

/* `tc trace live` is the session's business. */
static bool is_live(const struct hmp *h, const struct tc_view *view)
{
	return h->live && !strcmp(view->name, "trace") && hmp_named("live", h->args, strcspn(h->args, " \t"));
}

static const char *open_live(struct hmp *h, struct tc *tc)
{
	const char *wrong;
	*h->live = tc_trace_open(tc, h->args + strcspn(h->args, " \t"), &wrong);
	return *h->live ? NULL : wrong;
}

void hmp_tc(struct hmp *h)
{
	char word[16];
	const struct tc_view *view;
	uint32_t lin = 0;
	struct tc *tc = the_tc(h);
	if (!tc || !hmp_take_word(h, word, sizeof(word)))
		return;
	if (!strcmp(word, hmp_report_name)) {
		hmp_tc_report(h);
		return;
	}
	view = tc_view_find(word);
	if (!view) {
		hmp_fail(h, "unknown view '%s'", word);
		return;
	}
	if (view->address && !take_address(h, &lin))
		return;
	if (!view->address)
		hmp_more(h);
	const char *error = is_live(h, view) ? open_live(h, tc) : view->run(tc, lin, h->args, h->out);
	if (error)
		hmp_fail(h, "%s", error);
}
