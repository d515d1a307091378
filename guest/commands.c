/* The shell's commands: one table, one function each. */
#include "kernel.h"

typedef void (*command_fn)(int argc, char **argv);
struct command {
	const char *name, *arguments, *text;
	command_fn run;
};
static const struct command commands[];

static void cmd_help(int argc, char **argv)
{
	for (const struct command *c = commands; c->name; c++)
		print("  %-9s%-16s %s\n", c->name, c->arguments, c->text);
	print("programs:");
	for (unsigned i = 0; program_name(i); i++)
		print(" %s", program_name(i));
	print("\n");
}

static void cmd_ps(int argc, char **argv)
{
	static const char *const states[] = {"free", "ready", "sleeping", "waiting"};

	print("  pid  name      state     cpu ms    pages  progress\n");
	for (unsigned i = 0; i < MAX_PROCESSES; i++) {
		uint32_t flags = irq_save(); /* it must not end while we look */
		struct process *p = &processes[i];

		if (p->state != FREE)
			print("%5u  %-10s%-10s%-10u%-7u%u\n", p->pid, p->name,
			      p == current ? "running" : states[p->state], p->ticks * (1000 / HZ),
			      space_count_pages(p->directory), p->progress);
		irq_restore(flags);
	}
}

static void cmd_mem(int argc, char **argv)
{
	print("RAM %u KiB; this kernel manages the part below 64 MiB: %u KiB free\n",
	      memory_total_frames() * 4, memory_free_frames() * 4);
}

static void cmd_uptime(int argc, char **argv)
{
	uint32_t t = timer_ticks();

	print("up %u.%02u s, %u timer interrupts, TSC %u MHz\n", t / HZ, t % HZ * 100 / HZ, t,
	      timer_tsc_khz() / 1000);
}

static void cmd_run(int argc, char **argv)
{
	uint32_t count = 10;
	struct process *p;

	if (argc < 2 || (argc > 2 && !parse_number(argv[2], &count)) || !count) {
		print("usage: run program [count]\n");
		return;
	}
	p = process_start(argv[1], count);
	if (p)
		print("[%s is pid %u]\n", p->name, p->pid);
	else
		print("cannot start %s: no such program, or no room\n", argv[1]);
}

static void cmd_kill(int argc, char **argv)
{
	uint32_t pid, flags = irq_save();
	struct process *p = argc == 2 && parse_number(argv[1], &pid) ? process_find(pid) : NULL;

	if (!p)
		print("usage: kill pid (see ps)\n");
	else if (p->directory == kernel_directory)
		print("pid %u is a kernel thread\n", pid);
	else
		process_end(p);
	irq_restore(flags);
}

static void cmd_echo(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		print("%s%s", argv[i], i + 1 < argc ? " " : "");
	print("\n");
}

static void cmd_peek(int argc, char **argv)
{
	uint32_t address, count = 64;

	if (argc < 2 || !parse_number(argv[1], &address) ||
	    (argc > 2 && !parse_number(argv[2], &count))) {
		print("usage: peek address [bytes]\n");
		return;
	}
	if (count > 1024)
		count = 1024;
	for (uint32_t i = 0; i < count; i++) {
		if (i % 16 == 0)
			print("%s%08x:", i ? "\n" : "", address + i);
		if (space_readable(kernel_directory, address + i))
			print(" %02x", *(const volatile uint8_t *)(uintptr_t)(address + i));
		else
			print(" --");
	}
	print("\n");
}

static void cmd_fault(int argc, char **argv)
{
	static const char *const kinds[] = {"null", "kernel", "text", "cli", "divide"};
	const unsigned n = sizeof(kinds) / sizeof(kinds[0]);
	unsigned kind = 0;

	while (argc > 1 && kind < n && !string_equal(kinds[kind], argv[1]))
		kind++;
	if (kind == n)
		print("usage: fault [null|kernel|text|cli|divide]\n");
	else if (!process_start("fault", kind))
		print("no room for a process\n");
	else
		thread_sleep_ticks(2);
}

static void cmd_cpuid(int argc, char **argv)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} features[] = {{0, "fpu"},  {3, "pse"},  {4, "tsc"},	{5, "msr"},  {6, "pae"},
			{8, "cx8"},  {9, "apic"}, {11, "sep"},	{13, "pge"}, {15, "cmov"},
			{16, "pat"}, {23, "mmx"}, {24, "fxsr"}, {25, "sse"}, {26, "sse2"}};
	uint32_t a, r[4];

	__asm__ volatile("cpuid" : "=a"(a), "=b"(r[0]), "=d"(r[1]), "=c"(r[2]) : "0"(0));
	r[3] = 0;
	print("%s, highest leaf %u\n", (const char *)r, a);
	__asm__ volatile("cpuid" : "=a"(a), "=b"(r[0]), "=d"(r[1]), "=c"(r[2]) : "0"(1));
	print("family %u model %u stepping %u:", a >> 8 & 15, (a >> 4 & 15) | (a >> 12 & 0xf0),
	      a & 15);
	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (r[1] >> features[i].bit & 1)
			print(" %s", features[i].name);
	}
	print("\n");
}

static void cmd_bench(int argc, char **argv)
{
	bench_run();
}

static void cmd_reboot(int argc, char **argv)
{
	print("rebooting\n");
	machine_reboot();
}

static void cmd_poweroff(int argc, char **argv)
{
	print("power off\n");
	machine_power_off();
}

static const struct command commands[] = {
	{"help", "", "this list", cmd_help},
	{"ps", "", "processes and kernel threads", cmd_ps},
	{"mem", "", "memory in use", cmd_mem},
	{"uptime", "", "time since start", cmd_uptime},
	{"run", "program [count]", "start a user process", cmd_run},
	{"kill", "pid", "end a user process", cmd_kill},
	{"echo", "words", "print the words", cmd_echo},
	{"peek", "address [bytes]", "show kernel memory", cmd_peek},
	{"fault", "[kind]", "a user process does what it must not: null, kernel, text, cli, divide",
	 cmd_fault},
	{"cpuid", "", "the processor", cmd_cpuid},
	{"bench", "", "a few speeds", cmd_bench},
	{"reboot", "", "reset the machine", cmd_reboot},
	{"poweroff", "", "turn the machine off", cmd_poweroff},
	{NULL, NULL, NULL, NULL},
};

void command_run(int argc, char **argv)
{
	for (const struct command *c = commands; c->name; c++) {
		if (string_equal(c->name, argv[0])) {
			c->run(argc, argv);
			return;
		}
	}
	print("%s: unknown command; try help\n", argv[0]);
}
