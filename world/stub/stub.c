/*
 * The program a world runs: all that is left in it besides guest user pages.
 *
 *   start     map the shared page, give up everything else, lock up
 *   wait      until it is the world's turn
 *   prepare   unmap; LDT entry; receive RAM's descriptor, map, close it
 *   run       guest code, until a signal stops it
 *   report    registers and reason into the shared page; the monitor's turn
 *
 * Signal handlers never return: the next run starts from the image with IRETQ, which is cheaper than sigreturn and
 * leaves no sigreturn for guest code to misuse. All signals are blocked while the stub runs, except in the few instructions before IRETQ.
 */
#include "world/stub/stub.h"

#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <ucontext.h>

enum { ALT_STACK = 64 * 1024 };
#define TOP_OF_USER 0x7ffffffff000ul
#define BLOCK_ALL (~0ul)

static uint8_t alt_stack[ALT_STACK] __attribute__((aligned(64)));
extern const char __executable_start[], _end[] __attribute__((visibility("hidden")));

static long sys3(long nr, long a, long b, long c)
{
	return raw_syscall(nr, a, b, c, 0, 0, 0);
}

static _Noreturn void die(void)
{
	for (;;)
		__builtin_trap(); /* SIGILL is blocked: the kernel ends the process */
}

/* ---------------------------------- turns ---------------------------------- */

static uint32_t turn(void)
{
	return __atomic_load_n(&PAGE->turn, __ATOMIC_SEQ_CST);
}

static void give_turn(void)
{
	__atomic_store_n(&PAGE->turn, TURN_MONITOR, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&PAGE->monitor_sleeps, __ATOMIC_SEQ_CST))
		sys_wake(&PAGE->turn, 1, 1);
}

/* ---------------------------------- work ---------------------------------- */

static _Noreturn void report(uint32_t reason)
{
	PAGE->reason = reason;
	__atomic_store_n(&PAGE->world_sleeps, 1, __ATOMIC_SEQ_CST);
	give_turn();
	wait_turn();
}

static void unmap_first(void)
{
	const struct world_op *o = ORDERS->op;
	uint32_t n = ORDERS->ops;

	for (uint32_t i = 0; i < n && i < WORLD_OPS; i++)
		if (!o[i].prot)
			sys_munmap((unsigned long)o[i].first << 12, (unsigned long)o[i].n << 12);
}

/* Entered with RAM's descriptor open; it is closed before anything else happens. */
_Noreturn void apply_operations(void)
{
	uint32_t n = ORDERS->ops, bad = WORLD_OPS;

	for (uint32_t i = 0; i < n && i < WORLD_OPS; i++) {
		const struct world_op *o = &ORDERS->op[i];

		if (o->prot && bad == WORLD_OPS &&
		    sys_mmap((unsigned long)o->first << 12, (unsigned long)o->n << 12, o->prot, MAP_RAM_FLAGS,
			     WORLD_RAM, o->file) < 0)
			bad = i;
	}
	sys_close(WORLD_RAM);
	if (bad != WORLD_OPS) {
		PAGE->failed = bad;
		report(WORLD_MAP_FAILED);
	}
	enter_guest();
}

/* Entered from the wait, by whatever has ended that. */
_Noreturn void woken(void)
{
	if (turn() != TURN_WORLD)
		wait_turn();
	__atomic_store_n(&PAGE->world_sleeps, 0, __ATOMIC_SEQ_CST);
	unmap_first();
	for (uint32_t i = 0; i < ORDERS->ldt_set && i < 2; i++)
		sys_modify_ldt(0x11, &ORDERS->ldt[i], sizeof(ORDERS->ldt[i]));
	if (ORDERS->ops_map)
		receive_ram();
	enter_guest();
}

/* ---------------------------------- signals ---------------------------------- */

static void copy_image(const ucontext_t *uc)
{
	static const uint8_t order[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};
	const greg_t *r = uc->uc_mcontext.gregs;
	const uint64_t *from = (const uint64_t *)uc->uc_mcontext.fpregs;
	uint64_t *to = (uint64_t *)PAGE->fx;

	for (unsigned i = 0; i < 8; i++)
		PAGE->gpr[i] = (uint64_t)r[order[i]];
	PAGE->rip = (uint64_t)r[REG_RIP];
	PAGE->eflags = (uint32_t)r[REG_EFL];
	PAGE->cs = (uint16_t)r[REG_CSGSFS];
	PAGE->ss = (uint16_t)((uint64_t)r[REG_CSGSFS] >> 48);
	for (unsigned i = 0; i < sizeof(PAGE->fx) / 8; i++)
		to[i] = from[i];
	__asm__ volatile("movw %%ds, %0" : "=m"(PAGE->ds));
	__asm__ volatile("movw %%es, %0" : "=m"(PAGE->es));
	__asm__ volatile("movw %%fs, %0" : "=m"(PAGE->fs));
	__asm__ volatile("movw %%gs, %0" : "=m"(PAGE->gs));
}

/* Stopped on the way to guest code? There a kick may come, and a segment that cannot be loaded may fault. */
static int entering(uintptr_t rip)
{
	return (rip >= (uintptr_t)enter_begin && rip < (uintptr_t)enter_end) || rip == (uintptr_t)site_unblock;
}

/* A handler inherits these from the guest: AC would check the stub's own accesses, with NT its IRETQ faults. */
enum { FLAG_NT = 1 << 14, FLAG_AC = 1 << 18 };

static void drop_guest_flags(void)
{
	__asm__ volatile("pushfq; andl %0, (%%rsp); popfq" : : "i"(~(FLAG_AC | FLAG_NT)) : "cc", "memory");
}

static _Noreturn void on_signal(int sig, siginfo_t *si, void *context)
{
	const ucontext_t *uc = context;
	const greg_t *r = uc->uc_mcontext.gregs;

	if (r[REG_EFL] & (FLAG_AC | FLAG_NT))
		drop_guest_flags();
	if ((uint16_t)r[REG_CSGSFS] != WORLD_CS) {
		/* not entered yet; anything else in 64-bit mode is not the guest as it should be */
		int calm = (sig == WORLD_KICK_SIGNAL || si->si_code <= 0) && entering((uintptr_t)r[REG_RIP]);

		report(calm ? WORLD_KICKED : WORLD_BROKEN);
	}
	copy_image(uc);
	PAGE->sig = (uint32_t)sig;
	PAGE->code = si->si_code;
	PAGE->trap = (uint32_t)r[REG_TRAPNO];
	PAGE->error = (uint32_t)r[REG_ERR];
	PAGE->address = (uint64_t)r[REG_CR2];
	PAGE->arch = sig == SIGSYS ? si->si_arch : 0;
	report(WORLD_SIGNAL);
}

struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	const void *restorer;
	unsigned long mask;
};

/*
 * What is sent to the monitor's process group (Ctrl-C, timeout) is the monitor's to decide. Job control stops a world like
 * everybody else.
 */
static void ignore_signals(void)
{
	static const struct kernel_sigaction ignore = {.handler = (void *)SIG_IGN};

	for (int sig = 1; sig <= 64; sig++)
		if (sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU && sig != SIGCONT)
			raw_syscall(13 /* rt_sigaction */, sig, (long)&ignore, 0, 8, 0, 0);
}

static void catch_signals(void)
{
	static const uint8_t signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, WORLD_KICK_SIGNAL};
	stack_t ss = {.ss_sp = alt_stack, .ss_size = sizeof(alt_stack)};
	struct kernel_sigaction sa = {on_signal, SA_SIGINFO | SA_ONSTACK | 0x04000000, restorer, BLOCK_ALL};
	static const unsigned long all = BLOCK_ALL;

	if (sys3(131 /* sigaltstack */, (long)&ss, 0, 0))
		die();
	for (unsigned i = 0; i < sizeof(signals); i++)
		if (raw_syscall(13 /* rt_sigaction */, signals[i], (long)&sa, 0, 8, 0, 0))
			die();
	raw_syscall(14 /* rt_sigprocmask */, SIG_SETMASK, (long)&all, 0, 8, 0, 0);
}

/* ---------------------------------- start ---------------------------------- */

static void limit(int resource, unsigned long value)
{
	struct rlimit l = {value, value};

	raw_syscall(302 /* prlimit64 */, 0, resource, (long)&l, 0, 0, 0);
}

/*
 * Not dumpable: no core files with guest memory, and no other process of the same user can trace a world. The monitor needs
 * neither. CPUID is made to fault where the host can. RDTSC is not: for a process in which it faults, each switch to and from it
 * writes CR4, which costs 5 us in a virtual machine; the translator keeps RDTSC out (translator/vet.c).
 */
static void lock_up(void)
{
	sys3(157 /* prctl */, PR_SET_PDEATHSIG, SIGKILL, 0);
	if (sys3(110 /* getppid */, 0, 0, 0) != (long)PAGE->monitor)
		die(); /* the monitor died before that */
	sys3(157, PR_SET_NAME, (long)"ringfence-world", 0);
	sys3(157, PR_SET_DUMPABLE, 0, 0);
	PAGE->cpuid_faults = sys3(158 /* arch_prctl */, 0x1012 /* ARCH_SET_CPUID */, 0, 0) == 0;
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NPROC, 0);
	limit(RLIMIT_NOFILE, 2);
	if (sys3(157, PR_SET_NO_NEW_PRIVS, 1, 0))
		die();
}

static void unmap_all_else(void)
{
	uintptr_t first = (uintptr_t)__executable_start, end = ((uintptr_t)_end + 4095) & ~4095ul;

	if (sys3(11, 0, (long)first, 0) || sys3(11, (long)end, (long)(WORLD_PAGE_BASE - end), 0) ||
	    sys3(11, WORLD_ORDERS_BASE + WORLD_ORDERS_SIZE,
		 (long)(TOP_OF_USER - WORLD_ORDERS_BASE - WORLD_ORDERS_SIZE), 0))
		die();
}

_Noreturn void stub_main(void)
{
	/* MAP_SHARED | MAP_FIXED; the orders only to read */
	long page = raw_syscall(9, WORLD_PAGE_BASE, WORLD_PAGE_SIZE, 3, 0x11, WORLD_RAM, 0);
	long orders = raw_syscall(9, WORLD_ORDERS_BASE, WORLD_ORDERS_SIZE, 1, 0x11, WORLD_RAM, WORLD_PAGE_SIZE);

	if (page != (long)WORLD_PAGE_BASE || orders != (long)WORLD_ORDERS_BASE)
		die();
	sys3(436 /* close_range */, 1, 0xffffffff, 0);
	lock_up();
	unmap_all_else();
	ignore_signals();
	catch_signals();
	if (install_filter() < 0)
		die();
	report(WORLD_READY);
}
