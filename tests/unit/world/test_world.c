/* Worlds: running 32-bit code in one, what stops it, mappings, violent ends. */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void test_registers(void **state)
{
	/* inc eax; add esp, 4; push ebp; stc; ud2 */
	CODE_IS(0x40, 0x83, 0xec, 0x04, 0x55, 0xf9, 0x0f, 0x0b);
	for (unsigned i = 0; i < 8; i++)
		if (i != R_ESP)
			r.gpr[i] = 0xf0000000 + i;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.signal, SIGILL);
	assert_int_equal(x.trap, EXC_UD);
	assert_int_equal(r.eip, CODE + 6);
	assert_int_equal(r.gpr[R_EAX], 0xf0000001);
	assert_int_equal(r.gpr[R_EDI], 0xf0000007);
	assert_int_equal(r.gpr[R_ESP], DATA + 0x1000 - 8);
	assert_true(r.eflags & FL_CF);
	assert_int_equal(*(uint32_t *)(bytes + 4096 + 0xff8), 0xf0000005);
}

static void test_page_faults(void **state)
{
	CODE_IS(0xa1, 0x00, 0x00, 0x30, 0x00, /* mov eax, [300000] */
		0xa3, 0x04, 0x00, 0x30, 0x00, /* mov [300004], eax */
		0xff, 0xe0);                  /* jmp eax */
	*(uint32_t *)(bytes + 2 * 4096) = DATA;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.trap, EXC_PF);
	assert_int_equal(x.address, 0x300000);
	assert_int_equal(x.error & (PF_W | PF_I), 0);
	assert_int_equal(r.eip, CODE);
	world_map(w, 0x300, 1, 2 * 4096, WORLD_READ);
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.address, 0x300004);
	assert_int_equal(x.error & (PF_W | PF_P), PF_W | PF_P);
	assert_int_equal(r.eip, CODE + 5);
	world_map(w, 0x300, 1, 2 * 4096, WORLD_READ | WORLD_WRITE);
	assert_int_equal(run(), WORLD_STOP_SIGNAL); /* data is not executable */
	assert_int_equal(x.address, DATA);
	assert_true(x.error & PF_I);
	assert_int_equal(*(uint32_t *)(bytes + 2 * 4096 + 4), DATA);
	/* taken away again, in the same batch as something else came */
	world_map(w, 0x301, 1, 3 * 4096, WORLD_READ);
	world_unmap(w, 0x300, 0x301);
	assert_int_equal(world_page(w, 0x301), 0);
	r.eip = CODE;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.address, 0x300000);
	world_unmap(w, 0, WORLD_PAGES - 1);
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.address, CODE);
}

static void test_segments(void **state)
{
	struct cpu_segment gs = {.base = DATA - 0x100, .limit = 0xffffffff,
				 .attr = SEG_P | SEG_S | SEG_WRITE | SEG_DB | SEG_G | 3 << SEG_DPL_SHIFT};
	struct cpu_segment fs = gs;

	CODE_IS(0x65, 0xa1, 0x00, 0x01, 0x00, 0x00,              /* mov eax, gs:[100] */
		0x64, 0x8b, 0x1d, 0x00, 0x00, 0x00, 0x00, 0x0f, 0x0b); /* mov ebx, fs:[0]; ud2 */
	*(uint32_t *)(bytes + 4096) = 0x11111111;
	*(uint32_t *)(bytes + 4096 + 8) = 0x22222222;
	fs.base = DATA + 8;
	fs.limit = 3;
	r.gs = &gs;
	r.fs = &fs;
	for (unsigned i = 0; i < 40; i++) {
		gs.base = DATA - 0x100 + 4 * (i % 20);
		*(uint32_t *)(bytes + 4096 + 4 * (i % 20)) = i;
		*(uint32_t *)(bytes + 4096 + 8) = 0x22222222;
		r.eip = CODE;
		assert_int_equal(run(), WORLD_STOP_SIGNAL);
		assert_int_equal(x.signal, SIGILL);
		assert_int_equal(r.gpr[R_EAX], i % 20 == 2 ? 0x22222222 : i);
		assert_int_equal(r.gpr[R_EBX], 0x22222222);
	}
	fs.limit = 2; /* now the dword is beyond it */
	r.eip = CODE;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.trap, EXC_GP);
	assert_int_equal(r.eip, CODE + 6);
	r.gs = &none;
	r.eip = CODE;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.trap, EXC_GP);
	assert_int_equal(r.eip, CODE);
}

static void test_vector_state(void **state)
{
	CODE_IS(0xd9, 0xe8, 0xd9, 0xe8, 0xde, 0xc1, /* fld1; fld1; faddp */
		0x66, 0x0f, 0xfe, 0xc1, 0x0f, 0x0b); /* paddd xmm0, xmm1; ud2 */
	memset(fx.xmm[0], 1, 16);
	memset(fx.xmm[1], 2, 16);
	fx.xmm[7][3] = 77;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(fx.xmm[0][15], 3);
	assert_int_equal(fx.xmm[7][3], 77);
	assert_int_equal(fx.ftw, 0x80);
	assert_int_equal(fx.st[0][9], 0x40); /* 2.0 */
	/* an unmasked error is pending: the next waiting instruction reports it */
	CODE_IS(0x9b, 0x0f, 0x0b);
	fx.fcw = 0x37b;
	fx.fsw |= 0x8084;
	r.eip = CODE;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.signal, SIGFPE);
	assert_int_equal(x.trap, EXC_MF);
	assert_int_equal(r.eip, CODE);
}

/*
 * What the guest's processor does not have, and the host's does: code that finds a way to use it (translator/vet.c refuses it) must
 * not leave anything there for the next address space. YMM and ZMM beyond XMM, mask registers.
 */
static void test_other_vector_state(void **state)
{
	bool avx512 = __builtin_cpu_supports("avx512f");

	if (!__builtin_cpu_supports("avx"))
		skip();
	for (unsigned wide = 0; wide <= avx512; wide++) {
		if (wide)
			CODE_IS(0x62, 0xf3, 0x7d, 0x48, 0x25, 0xc0, 0xff, /* vpternlogd zmm0, zmm0, zmm0, ff */
				0xc5, 0xfc, 0x46, 0xc8, 0x0f, 0x0b);       /* kxnorw k1, k0, k0; ud2 */
		else
			CODE_IS(0xc5, 0xfc, 0xc2, 0xc0, 0x0f, 0x0f, 0x0b); /* vcmptrueps ymm0, ymm0, ymm0; ud2 */
		memset(&fx.xmm, 0, sizeof(fx.xmm));
		r.eip = CODE;
		assert_int_equal(run(), WORLD_STOP_SIGNAL);
		assert_int_equal(x.signal, SIGILL);
		assert_int_equal(fx.xmm[0][15], 0xff); /* it did run */
		if (wide)
			CODE_IS(0x62, 0xf1, 0x7c, 0x48, 0x11, 0x05, 0x00, 0x00, 0x20, 0x00, /* vmovups [DATA], zmm0 */
				0xc5, 0xf8, 0x93, 0xc1, 0x0f, 0x0b);                         /* kmovw eax, k1; ud2 */
		else
			CODE_IS(0xc5, 0xfc, 0x11, 0x05, 0x00, 0x00, 0x20, 0x00, 0x0f, 0x0b); /* vmovups [DATA], ymm0; ud2 */
		memset(bytes + 4096, 1, 64);
		r.eip = CODE;
		r.gpr[R_EAX] = 0;
		assert_int_equal(run(), WORLD_STOP_SIGNAL);
		assert_int_equal(x.signal, SIGILL);
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(bytes[4096 + i], i < 16 ? 0xff : i < 32 || wide ? 0 : 1);
		assert_int_equal(r.gpr[R_EAX], 0);
	}
}

static void test_traps(void **state)
{
	CODE_IS(0x90);
	STOPS("\xcc", SIGTRAP, 3, 1);
	STOPS("\xcd\x03", SIGTRAP, 3, 2);
	STOPS("\xcd\x2e", SIGSEGV, EXC_GP, 0);
	STOPS("\xcd\x21", SIGSEGV, EXC_GP, 0);
	STOPS("\x31\xc0\xf7\xf0", SIGFPE, EXC_DE, 2);
	STOPS("\xfa", SIGSEGV, EXC_GP, 0);
	STOPS("\xe4\x60", SIGSEGV, EXC_GP, 0);
	STOPS("\xf4", SIGSEGV, EXC_GP, 0);
	STOPS("\x0f\x20\xc0", SIGSEGV, EXC_GP, 0);
	r.eflags |= FL_OF;
	STOPS("\xce", SIGSEGV, 4, 1);
	/* POPF sets TF: one more instruction, then the trap */
	STOPS("\x68\x02\x01\x00\x00\x9d\x90\x90", SIGTRAP, 1, 7);
	assert_true(r.eflags & FL_TF);
	r.eflags &= ~(uint32_t)FL_TF;
	/* and PUSHF shows what a guest with interrupts on sees */
	STOPS("\x9c\x58\x0f\x0b", SIGILL, EXC_UD, 2);
	assert_int_equal(r.gpr[R_EAX] & ~(uint32_t)FL_ARITH, FL_FIXED1 | FL_IF);
}

/* It says of itself whether this traps. */
static void test_cpuid(void **state)
{
	CODE_IS(0x90);
	r.gpr[R_EAX] = 0;
	STOPS("\x0f\xa2\x0f\x0b", world_cpuid_faults(w) ? SIGSEGV : SIGILL, world_cpuid_faults(w) ? EXC_GP : EXC_UD,
	      world_cpuid_faults(w) ? 0 : 2);
	assert_true(world_cpuid_faults(w) == (r.gpr[R_EAX] == 0)); /* there is more than one leaf */
}

static void test_kick(void **state)
{
	CODE_IS(0x40, 0xeb, 0xfd); /* inc eax; jmp */
	r.gpr[R_EAX] = 0;
	assert_int_equal(run_and(NULL), WORLD_STOP_KICK);
	assert_true(r.gpr[R_EAX] > 1000);
	assert_true(r.eip == CODE || r.eip == CODE + 1);
	/* while it is not running: nothing is run */
	world_kick(w);
	atomic_store(&stop_flag, 1);
	assert_int_equal(world_run(w, &r, &fx, &x, &stop_flag), WORLD_STOP_KICK);
	/* and what was prepared for that run is not forgotten: a descriptor, a mapping */
	{
		struct cpu_segment gs = {.base = DATA, .limit = 0xffffffff,
					 .attr = SEG_P | SEG_S | SEG_WRITE | SEG_DB | SEG_G | 3 << SEG_DPL_SHIFT};

		memcpy(bytes + 0x800, "\x65\xa1\0\0\0\0\x8b\x15\0\0\x30\0\x0f\x0b", 14); /* mov eax, gs:[0]; mov edx, [300000] */
		*(uint32_t *)(bytes + 4096) = 0x1234;
		*(uint32_t *)(bytes + 8192) = 0x5678;
		world_map(w, 0x300, 1, 8192, WORLD_READ);
		r.gs = &gs;
		r.eip = CODE + 0x800;
		assert_int_equal(world_run(w, &r, &fx, &x, &stop_flag), WORLD_STOP_KICK);
		while (run() == WORLD_STOP_KICK)
			;
		assert_int_equal(x.signal, SIGILL);
		assert_int_equal(r.gpr[R_EAX], 0x1234);
		assert_int_equal(r.gpr[R_EDX], 0x5678);
		r.gs = &none;
		r.eip = CODE;
	}
	/* many kicks in a row do not exhaust anything */
	for (unsigned i = 0; i < 200; i++) {
		kill(world_pid(w), WORLD_KICK_SIGNAL);
		assert_int_equal(run(), WORLD_STOP_KICK);
	}
}

static void test_stopped_and_killed(void **state)
{
	int sig = SIGSTOP;

	CODE_IS(0x40, 0xeb, 0xfd);
	assert_int_equal(run_and(&sig), WORLD_STOP_KICK);
	sig = SIGKILL;
	/* a kick of before may be pending still; the world has been killed by the time this returns */
	if (run_and(&sig) == WORLD_STOP_KICK)
		assert_int_equal(run(), WORLD_STOP_UNRUN);
	assert_int_equal(run(), WORLD_STOP_UNRUN);
}

/* Killed while guest code runs: the registers are lost. Killed while it does not: they are not, and this is told. */
static void test_killed(void **state)
{
	char err[256];
	int sig = SIGKILL;

	CODE_IS(0x40, 0xeb, 0xfd);
	assert_int_equal(run_and(&sig), WORLD_STOP_DEAD);
	world_destroy(w);
	w = world_create(ram, err, sizeof(err));
	assert_non_null(w);
	CODE_IS(0x40, 0x0f, 0x0b);
	r.eip = CODE;
	r.gpr[R_EAX] = 7;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	kill(world_pid(w), SIGKILL);
	assert_int_equal(run(), WORLD_STOP_UNRUN);
	assert_int_equal(r.eip, CODE + 1);
	assert_int_equal(r.gpr[R_EAX], 8);
}

/* What it costs is measured in processor time of both sides, and something. */
static void test_measure(void **state)
{
	struct world_cost c;
	int64_t before = world_cpu_ns(w);

	world_measure(w, &c);
	assert_true(c.cycles > 0 && c.cycles < UINT64_MAX);
	assert_true(c.own_ns > 0 && c.cpu_ns > c.own_ns);
	assert_true(world_cpu_ns(w) - before >= 16 * c.own_ns);
}

/* This thread and the world share a processor while runs follow each other; afterwards the thread may use all it could before. */
static void test_place(void **state)
{
	cpu_set_t before, bound, world, after;

	world_unbind_thread(true); /* of the tests before */
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CODE_IS(0x0f, 0x0b);
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(sched_getaffinity(0, sizeof(bound), &bound), 0);
	assert_int_equal(sched_getaffinity(world_pid(w), sizeof(world), &world), 0);
	assert_int_equal(CPU_COUNT(&bound), 1);
	assert_true(CPU_EQUAL(&bound, &world));
	world_unbind_thread(true);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
	/* and a lease ends by itself, for one run */
	for (unsigned i = 0, freed = 0; !freed; i++) {
		assert_true(i < 1000);
		r.eip = CODE;
		assert_int_equal(run(), WORLD_STOP_SIGNAL);
		assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
		freed = CPU_EQUAL(&before, &after);
		usleep(1000);
	}
	/* who was bound otherwise by others meanwhile stays so */
	r.eip = CODE;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	world_unbind_thread(true);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

/* Signals that other processes send end a run at most, whatever they are called; what is for the whole process group is ignored. */
static void test_signals_from_outside(void **state)
{
	static int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGUSR1, SIGPIPE, SIGSEGV, SIGBUS, SIGILL,
				SIGFPE, SIGTRAP, SIGSYS};

	CODE_IS(0x40, 0xeb, 0xfd);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		assert_int_equal(run_and(&signals[i]), WORLD_STOP_KICK);
		assert_true(r.eip == CODE || r.eip == CODE + 1);
		/* between two runs */
		kill(world_pid(w), signals[i]);
	}
	memcpy(bytes, "\x0f\x0b", 2);
	r.eip = CODE;
	while (run() == WORLD_STOP_KICK)
		;
	assert_int_equal(x.signal, SIGILL);
	assert_int_equal(x.trap, EXC_UD);
}

/* The monitor is killed: its worlds go too. */
static void test_monitor_killed(void **state)
{
	int fds[2], pid = 0;
	pid_t monitor;
	char err[256];

	assert_int_equal(pipe(fds), 0);
	monitor = fork();
	if (monitor == 0) {
		struct world *mine = world_create(ram, err, sizeof(err));

		pid = mine ? world_pid(mine) : 0;
		if (write(fds[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		pause();
	}
	assert_int_equal(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
	assert_true(pid > 0);
	assert_int_equal(kill(pid, 0), 0);
	kill(monitor, SIGKILL);
	waitpid(monitor, NULL, 0);
	for (unsigned i = 0; i < 200 && kill(pid, 0) == 0; i++) {
		char path[64], stat = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		f = fopen(path, "r");
		if (f && fscanf(f, "%*d %*s %c", &stat) == 1 && stat == 'Z')
			pid = 0; /* dead, waiting for whoever inherits it */
		if (f)
			fclose(f);
		if (!pid)
			break;
		usleep(10000);
	}
	assert_true(pid == 0 || kill(pid, 0) < 0);
	close(fds[0]);
	close(fds[1]);
}

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_nothing_leaks(void **state)
{
	unsigned before = open_files();
	char err[256];

	for (unsigned i = 0; i < 20; i++) {
		struct world *one = world_create(ram, err, sizeof(err));

		assert_non_null(one);
		world_destroy(one);
	}
	assert_int_equal(open_files(), before);
}

static void test_available(void **state)
{
	struct world_cost c = {0};
	cpu_set_t before, after;
	bool cpuid_faults;

	world_unbind_thread(true);
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_null(world_unavailable(ram, &c, &cpuid_faults));
	assert_int_equal(cpuid_faults, world_cpuid_faults(w));
	assert_true(c.cycles > 0 && c.cpu_ns > 0);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
		T(test_available), T(test_registers), T(test_page_faults), T(test_segments),
		T(test_vector_state), T(test_other_vector_state), T(test_traps), T(test_cpuid),
		T(test_kick), T(test_stopped_and_killed), T(test_killed), T(test_measure), T(test_place),
		T(test_signals_from_outside), T(test_monitor_killed), T(test_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
