/*
 * What a crash report says, the plainest first. Up to "== blocks, guest beside host" nothing but registers and memory is read, and nothing
 * but write(2) called.
 */
#include "monitor/crash_internal.h"
#include "monitor/options.h"

#include <execinfo.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 100, FRAMES = 64 };

/* ---- raw ---- */

static void tidy(struct crash *k)
{
	if (k->subject.clean_up && k->signal)
		k->subject.clean_up();
}

static const char *signal_text(int sig)
{
	switch (sig) {
	case SIGSEGV: return "SIGSEGV (memory access)";
	case SIGBUS: return "SIGBUS (memory access)";
	case SIGILL: return "SIGILL (illegal instruction)";
	case SIGFPE: return "SIGFPE (arithmetic)";
	case SIGABRT: return "SIGABRT (a check failed)";
	case SIGSYS: return "SIGSYS (system call)";
	case SIGQUIT: return "SIGQUIT";
	default: return "signal";
	}
}

static void what_happened(struct crash *k)
{
	char thread[17] = "";

	prctl(PR_GET_NAME, thread);
	if (!k->signal) {
		rawout_print(&k->out, "ringfence: internal error: %s\n", k->what);
		if (k->details)
			rawout_print(&k->out, "%s\n", k->details);
	} else if (k->signal == SIGQUIT || (k->info->si_code <= 0 && k->info->si_pid != getpid())) {
		rawout_print(&k->out, "ringfence: ended by %s", signal_text(k->signal));
		if (k->info->si_code <= 0)
			rawout_print(&k->out, " from process %d", k->info->si_pid);
		rawout_print(&k->out, "\n");
	} else {
		rawout_print(&k->out, "ringfence: internal error: %s", signal_text(k->signal));
		if (k->signal == SIGSEGV || k->signal == SIGBUS)
			rawout_print(&k->out, " at address %p", k->info->si_addr);
		rawout_print(&k->out, ", the virtual machine is lost\n");
	}
	rawout_print(&k->out, "ringfence " RINGFENCE_VERSION ", thread %s (%d of process %d), host rip %llx, seconds since 1970: %ld\n",
		     thread, (int)gettid(), (int)getpid(), (unsigned long long)k->rip, (long)time(NULL));
	if (strcmp(thread, "vcpu0"))
		rawout_print(&k->out, "(not the processor's thread: that one runs on, and what follows may be some time old)\n");
}

static const char *const reg[] = {"EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"};

/* In translated code the general registers are the host's. */
static void registers_in_host(struct crash *k)
{
	static const int index[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};
	const greg_t *r = k->context->uc_mcontext.gregs;
	uint32_t eip;

	if (!k->subject.tc || !tc_crash_locate(k->subject.tc, k->rip, &eip))
		return;
	rawout_print(&k->out, "in translated code; instead of what follows the host's registers hold\n");
	for (unsigned i = 0; i < 8; i++)
		rawout_print(&k->out, "%s=%08x ", reg[i], (unsigned)r[index[i]]);
	rawout_print(&k->out, "\nEIP=%08x and arithmetic flags %08x\n", eip, (unsigned)r[REG_EFL] & FL_HOST);
}

static void guest_processor(struct crash *k)
{
	static const char *const seg[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"};
	const struct cpu *c = k->subject.cpu;

	if (!c) {
		rawout_print(&k->out, "there is none yet\n");
		return;
	}
	if (k->signal)
		registers_in_host(k);
	for (unsigned i = 0; i < 8; i++)
		rawout_print(&k->out, "%s=%08x%c", reg[i], (unsigned)c->gpr[i], i % 4 == 3 ? '\n' : ' ');
	rawout_print(&k->out, "EIP=%08x EFL=%08x CPL=%u halted=%u shadow=%u nmi_block=%u pending_db=%x shutdown=%u\n",
		     (unsigned)c->rip, c->eflags, c->cpl, c->halted, c->shadow, c->nmi_block, c->pending_db, c->shutdown);
	for (unsigned i = 0; i < S_COUNT; i++)
		rawout_print(&k->out, "%-3s=%04x base %08x limit %08x attr %04x\n", seg[i], c->seg[i].sel,
			     (unsigned)c->seg[i].base, c->seg[i].limit, c->seg[i].attr);
	rawout_print(&k->out, "CR0=%08x CR2=%08x CR3=%08x CR4=%08x EFER=%08x GDT=%08x+%04x IDT=%08x+%04x\n", c->cr0,
		     (unsigned)c->cr2, (unsigned)c->cr3, c->cr4, (unsigned)c->efer, (unsigned)c->gdtr.base, c->gdtr.limit,
		     (unsigned)c->idtr.base, c->idtr.limit);
	rawout_print(&k->out, "last exception: vector %u error %x CR2 %08x; %llu instructions interpreted\n", c->fault.vector,
		     c->fault.error, (unsigned)c->fault.cr2, (unsigned long long)c->interp_count);
}

/* The general registers are the guest's when the host was in translated code. */
static void host_registers(struct crash *k)
{
	static const struct {
		const char *name;
		int index;
	} name[] = {{"rax", REG_RAX}, {"rbx", REG_RBX}, {"rcx", REG_RCX}, {"rdx", REG_RDX}, {"rsi", REG_RSI},
		   {"rdi", REG_RDI}, {"rbp", REG_RBP}, {"rsp", REG_RSP}, {"r8 ", REG_R8},  {"r9 ", REG_R9},
		   {"r10", REG_R10}, {"r11", REG_R11}, {"r12", REG_R12}, {"r13", REG_R13}, {"r14", REG_R14},
		   {"r15", REG_R15}, {"rip", REG_RIP}, {"efl", REG_EFL}, {"err", REG_ERR}, {"trp", REG_TRAPNO},
		   {"cr2", REG_CR2}};

	for (unsigned i = 0; k->context && i < sizeof(name) / sizeof(name[0]); i++)
		rawout_print(&k->out, "%s=%016llx%c", name[i].name,
			     (unsigned long long)k->context->uc_mcontext.gregs[name[i].index], i % 4 == 3 ? '\n' : ' ');
	rawout_print(&k->out, "\n");
}

static void blocks_raw(struct crash *k)
{
	if (!k->subject.tc)
		return;
	k->blocks = tc_crash_blocks(k->subject.tc, k->rip, k->block);
	for (unsigned i = 0; i < k->blocks; i++)
		tc_crash_raw_block(k->subject.tc, &k->block[i], &k->out);
}

static void counters(struct crash *k)
{
	const struct mmu_stats *s = k->subject.mmu ? mmu_statistics(k->subject.mmu) : NULL;

	if (k->subject.tc)
		tc_crash_raw_state(k->subject.tc, &k->out);
	if (!s)
		return;
#define X(name, text) rawout_print(&k->out, "%16llu  %s\n", (unsigned long long)s->name, text);
	MMU_STATS(X)
#undef X
	rawout_print(&k->out, "%16llu  host mappings\n", (unsigned long long)s->mappings_now);
}

/* ---- by a stream ---- */

static void first_block(struct crash *k)
{
	tc_crash_prepare();
	if (k->blocks)
		tc_crash_show_block(k->subject.tc, &k->block[0], k->file);
}

static void more_blocks(struct crash *k)
{
	for (unsigned i = 1; i < k->blocks; i++) {
		tc_crash_show_block(k->subject.tc, &k->block[i], k->file);
		fputc('\n', k->file);
	}
}

static void processor_in_full(struct crash *k)
{
	if (k->subject.cpu)
		cpu_dump(k->subject.cpu, k->file, CPU_DUMP_FPU);
}

static void events(struct crash *k)
{
	if (k->subject.tc)
		tc_crash_history(k->subject.tc, EVENTS, k->file);
}

static void windows(struct crash *k)
{
	if (k->subject.mmu)
		mmu_print_windows(k->subject.mmu, k->file);
}

static void host_stack(struct crash *k)
{
	void *frame[FRAMES];
	int n = backtrace(frame, FRAMES);

	rawout_flush(&k->out);
	backtrace_symbols_fd(frame, n, k->out.fd);
	if (k->out.second >= 0)
		backtrace_symbols_fd(frame, n < 16 ? n : 16, k->out.second);
}

static void more(struct crash *k)
{
	if (k->subject.more)
		k->subject.more(k->file);
}

/* A file of /proc; NULs become blanks. `only`: lines that begin with it, the first one. */
static void copy_file(struct crash *k, const char *path, const char *only)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text, sizeof(text) - 1)) > 0) {
		char *line;

		for (ssize_t i = 0; i < n; i++)
			text[i] = text[i] ? text[i] : ' ';
		text[n] = '\0';
		line = only ? strstr(text, only) : text;
		if (line)
			rawout_write(&k->out, line, only ? strcspn(line, "\n") : strlen(line));
		if (only)
			break;
	}
	if (fd >= 0)
		close(fd);
	rawout_print(&k->out, "\n");
}

static void host(struct crash *k)
{
	struct utsname u;

	if (!uname(&u))
		rawout_print(&k->out, "%s %s %s\n", u.sysname, u.release, u.version);
	copy_file(k, "/proc/cpuinfo", "model name");
	copy_file(k, "/proc/self/cmdline", NULL);
	copy_file(k, "/proc/self/status", NULL);
}

/* A guest has thousands of mappings: last, so that nothing is missed when the disk is full. */
static void mappings(struct crash *k)
{
	copy_file(k, "/proc/self/maps", NULL);
}

const struct crash_part crash_parts[] = {
	{NULL, tidy, 0},
	{"what happened", what_happened, 200}, /* a difference found by lockstep has both sides of a block */
	{"the guest's processor", guest_processor, 12},
	{"the host's registers", host_registers, 0},
	{"blocks, in bytes", blocks_raw, 0},
	{"state and counters", counters, 40},
	{"the block that ran, guest beside host", first_block, 60},
	{"the host's stack", host_stack, 20},
	{"other blocks, guest beside host", more_blocks, 30},
	{"the guest's processor in full", processor_in_full, 0},
	{"the last events", events, 0},
	{"windows", windows, 0},
	{"more", more, 0},
	{"the host", host, 0},
	{"mappings", mappings, 0},
};
const unsigned crash_part_count = sizeof(crash_parts) / sizeof(crash_parts[0]);
