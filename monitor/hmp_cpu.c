/* Human monitor: the processor. */
#include "monitor/debug.h"
#include "monitor/hmp_internal.h"
#include "monitor/run_state.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void hmp_info_registers(struct hmp *h)
{
	const struct cpu *c = &h->vm->cpu;
	char word[8];
	/* QEMU's -a: of all processors */
	if (hmp_more(h) && (!hmp_take_word(h, word, sizeof(word)) || !hmp_take_end(h)))
		return;
	fputc('\n', h->out);
	cpu_dump(c, h->out, CPU_DUMP_FPU | (machine_a20_enabled(h->vm->machine) ? 0 : CPU_DUMP_A20_OFF));
}

void hmp_info_cpus(struct hmp *h)
{
	if (!hmp_take_end(h))
		return;
	fprintf(h->out, "* CPU #0: thread_id=%ld%s\n", syscall(SYS_gettid),
		h->vm->cpu.halted ? " (halted)" : "");
}

void hmp_print_location(struct hmp *h)
{
	const struct cpu *c = &h->vm->cpu;
	hmp_disassemble(h, (uint32_t)(c->seg[S_CS].base + c->rip), 1, false);
}

static const char *stop_text(enum stop_reason reason)
{
	switch (reason) {
	case STOP_NONE:
	case STOP_START:
		return "not started";
	case STOP_REQUEST:
		return "stopped";
	case STOP_STEP:
		return "stepped";
	case STOP_BREAKPOINT:
		return "breakpoint";
	case STOP_WATCHPOINT:
		return "watchpoint";
	case STOP_EVENT:
		return "event";
	case STOP_POWEROFF:
		return "the guest is off";
	case STOP_RESET:
		return "reset";
	}
	return "";
}

void hmp_print_stop(struct vm *vm, void (*print)(void *, const char *), void *ctx)
{
	char line[2048] = "";
	struct hmp h = {.vm = vm, .out = fmemopen(line, sizeof(line) - 1, "w")};
	const struct vm_stop_info *info = vm_stop_info(vm);
	if (!h.out)
		return;
	fputs(stop_text(info->reason), h.out);
	if (info->reason == STOP_WATCHPOINT)
		fprintf(h.out, " (%08x was touched)", info->address);
	if (info->reason == STOP_EVENT) {
		char text[160];
		debug_event_text(info, text, sizeof(text));
		fprintf(h.out, " (%s)", text);
	}
	fputs(": ", h.out);
	hmp_print_location(&h);
	fclose(h.out);
	print(ctx, line);
}
