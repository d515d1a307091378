/*
 * A Linux program of what direct execution must not change: registers across faults and timers, signal contexts, single steps,
 * threads with TLS, code that is written while it runs, segments, fork. No C library: it is built on hosts without 32-bit
 * ones. Prints "ok NAME" or "FAIL NAME", and "done" at the end. Runs on a 64-bit Linux host as well.
 */
typedef unsigned char u8;
typedef unsigned int u32;

/* ---------------------------------- system calls ---------------------------------- */

enum {
	SYS_exit = 1, SYS_fork = 2, SYS_write = 4, SYS_waitpid = 7, SYS_getpid = 20, SYS_setitimer = 104, SYS_clone = 120,
	SYS_modify_ldt = 123, SYS_mprotect = 125, SYS_sched_yield = 158, SYS_rt_sigreturn = 173, SYS_rt_sigaction = 174,
	SYS_sigaltstack = 186, SYS_mmap2 = 192, SYS_futex = 240, SYS_set_thread_area = 243, SYS_exit_group = 252,
};

/* pushes and pops EBP by hand: the sixth argument */
static int sys6(int nr, int a, int b, int c, int d, int e, int f)
{
	int r;

	__asm__ volatile("pushl %%ebp; pushl %7; popl %%ebp; int $0x80; popl %%ebp"
			 : "=a"(r)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "m"(f)
			 : "memory");
	return r;
}
#define SYS(nr, a, b, c) sys6(nr, (int)(a), (int)(b), (int)(c), 0, 0, 0)

static int vsyscall; /* __kernel_vsyscall: SYSENTER */

static int fast_getpid(void)
{
	int r = SYS_getpid;

	__asm__ volatile("call *%1" : "+a"(r) : "m"(vsyscall) : "memory", "ecx", "edx");
	return r;
}

static void print(const char *s)
{
	int n = 0;

	while (s[n])
		n++;
	SYS(SYS_write, 1, s, n);
}

static void check(int condition, const char *name)
{
	print(condition ? "ok " : "FAIL ");
	print(name);
	print("\n");
}

static void *pages(u32 n, int prot)
{
	return (void *)sys6(SYS_mmap2, 0, (int)n * 4096, prot, 0x22, -1, 0);
}

void *memcpy(void *to, const void *from, u32 n)
{
	for (u32 i = 0; i < n; i++)
		((u8 *)to)[i] = ((const u8 *)from)[i];
	return to;
}

void *memset(void *at, int c, u32 n)
{
	for (u32 i = 0; i < n; i++)
		((volatile u8 *)at)[i] = (u8)c;
	return at;
}

/* ---------------------------------- signals ---------------------------------- */

enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11, SIGALRM = 14 };
enum { R_GS, R_FS, R_ES, R_DS, R_EDI, R_ESI, R_EBP, R_ESP, R_EBX, R_EDX, R_ECX, R_EAX, R_TRAP, R_ERR, R_EIP, R_CS, R_EFL };

struct context {
	u32 flags, link, stack[3];
	u32 r[17];
};
struct sigaction {
	void (*handler)(int, void *, struct context *);
	u32 flags;
	void (*restorer)(void);
	u32 mask[2];
};

void restorer(void);
__asm__("restorer: movl $173, %eax; int $0x80");

static void on(int sig, void (*handler)(int, void *, struct context *))
{
	struct sigaction sa = {handler, 0x0c000004, restorer, {0, 0}}; /* SIGINFO, RESTORER, ONSTACK */

	sys6(SYS_rt_sigaction, sig, (int)&sa, 0, 8, 0, 0);
}

/* A fault in code() comes back here by a changed context. */
static volatile struct context got;
static volatile int got_signal;
u32 back_eip, back_esp; /* named by assembly */

static void catch(int sig, void *info, struct context *c)
{
	got_signal = sig;
	memcpy((void *)&got, c, sizeof(got));
	c->r[R_EIP] = back_eip;
	c->r[R_ESP] = back_esp;
	c->r[R_EFL] &= ~0x40500u; /* AC, DF, TF */
}

static u8 *code, *data;

/* Run bytes at code + 16 with known registers; EDI and EBX point to data. */
static void run(const void *bytes, u32 n)
{
	memset(code, 0x90, 256);
	memcpy(code + 16, bytes, n);
	memcpy(code + 16 + n, "\x0f\x0b", 2);
	got_signal = 0;
	__asm__ volatile("pushal; movl $1f, back_eip; movl %%esp, back_esp; movl %0, %%edi; movl %0, %%ebx; pushl %1\n\t"
			 "movl $0x11111111, %%ecx; movl $0x22222222, %%edx; movl $0x66666666, %%esi\n\t"
			 "movl $0x55555555, %%ebp; movl $0x12345678, %%eax; testl %%eax, %%eax; ret\n"
			 "1: popal" : : "r"(data), "r"(code + 16) : "memory", "cc");
}

static void contexts(void)
{
	static const struct {
		const char *name, *bytes;
		u32 n, sig, trap, err, eip;
	} t[] = {
#define T(name, bytes, sig, trap, err, eip) {name, bytes, sizeof(bytes) - 1, sig, trap, err, eip}
		T("store to a read-only page", "\xc7\x87\x10\x10\x00\x00\x01\x00\x00\x00", SIGSEGV, 14, 7, 0),
		T("load from nothing", "\x8b\x87\x00\x20\x00\x00", SIGSEGV, 14, 4, 0),
		T("load across into nothing", "\x8b\x87\xfe\x1f\x00\x00", SIGSEGV, 14, 4, 0),
		T("PUSH into nothing", "\x8d\xa7\x00\x30\x00\x00\x50", SIGSEGV, 14, 6, 6),
		T("division by zero", "\x31\xc9\xf7\xf1", SIGFPE, 0, 0, 2),
		T("division overflow", "\xb8\x00\x00\x00\x80\x99\x83\xc9\xff\xf7\xf9", SIGFPE, 0, 0, 9),
		T("INT3", "\xcc", SIGTRAP, 3, 0, 1),
		T("INT 3", "\xcd\x03", SIGTRAP, 3, 0, 2),
		T("INTO", "\xb0\x7f\x04\x01\xce", SIGSEGV, 4, 0, 5),
		T("BOUND", "\x6a\x05\x6a\x01\xb8\x09\x00\x00\x00\x62\x04\x24", SIGSEGV, 5, 0, 9),
		T("UD2", "\x0f\x0b", SIGILL, 6, 0, 0),
		T("LOCK INC EAX", "\xf0\x40", SIGILL, 6, 0, 0),
		T("HLT", "\xf4", SIGSEGV, 13, 0, 0),
		T("STI", "\xfb", SIGSEGV, 13, 0, 0),
		T("IN", "\xe4\x60", SIGSEGV, 13, 0, 0),
		T("INT 13h", "\xcd\x13", SIGSEGV, 13, 0x9a, 0),
		T("MOV from CR0", "\x0f\x20\xc0", SIGSEGV, 13, 0, 0),
		T("MOVAPS off its boundary", "\x0f\x28\x47\x01", SIGSEGV, 13, 0, 0),
		T("15 prefixes", "\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x90", SIGSEGV, 13, 0, 0),
		T("alignment check", "\x9c\x81\x0c\x24\x00\x00\x04\x00\x9d\x8b\x47\x01", SIGBUS, 17, 0, 9),
		T("x87 division by zero", "\xdb\xe3\x68\x7b\x03\x00\x00\xd9\x2c\x24\xd9\xe8\xd9\xee\xde\xf9\x9b", SIGFPE, 16, 0, 16),
		T("SSE division by zero", "\x0f\x57\xc0\x0f\x57\xc9\x68\x00\x1d\x00\x00\x0f\xae\x14\x24\xf3\x0f\x5e\xc1", SIGFPE, 19, 0, 15),
	};

	for (u32 round = 0; round < 2; round++)
		for (u32 i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
			run(t[i].bytes, t[i].n);
			check(got_signal == (int)t[i].sig && got.r[R_TRAP] == t[i].trap && got.r[R_ERR] == t[i].err &&
				      got.r[R_EIP] - (u32)code - 16 == t[i].eip && got.r[R_EBP] == 0x55555555 &&
				      got.r[R_ESI] == 0x66666666 && got.r[R_EBX] == (u32)data,
			      t[i].name);
		}
}

static volatile u32 steps, path;

static void on_step(int sig, void *info, struct context *c)
{
	steps++;
	path = path * 31 + (c->r[R_EIP] & 0xfff);
}

static void single_steps(void)
{
	u32 first = 0;

	on(SIGTRAP, on_step);
	for (u32 i = 0; i < 3; i++) {
		steps = path = 0;
		__asm__ volatile("pushfl; orl $0x100, (%%esp); popfl; movl $10, %%ecx; 1: decl %%ecx; jnz 1b; movl $20, %%eax; int $0x80\n\t"
				 "pushfl; andl $0xfffffeff, (%%esp); popfl" : : : "eax", "ecx", "memory", "cc");
		first = i ? first : path;
		check(steps == 25 && path == first, "single steps");
	}
	on(SIGTRAP, catch);
}

static volatile u32 alarms, strange;
extern u8 loop_begin[], loop_end[];

static void on_alarm(int sig, void *info, struct context *c)
{
	u32 eip = c->r[R_EIP];

	alarms++;
	if (eip >= (u32)loop_begin && eip < (u32)loop_end && c->r[R_ESI] != 0x1234567)
		strange++;
}

static void timers(void)
{
	u32 every[4] = {0, 3000, 0, 3000}, none[4] = {0, 0, 0, 0}, sum, n = 0;

	on(SIGALRM, on_alarm);
	SYS(SYS_setitimer, 0, every, 0);
	do {
		/* sum of 1 to a million, mod 2^32 */
		__asm__ volatile("movl $0x1234567, %%esi; xorl %0, %0; movl $1000000, %%ecx\n"
				 "loop_begin: addl %%ecx, %0; decl %%ecx; jnz loop_begin\n"
				 "loop_end:" : "=&r"(sum) : : "ecx", "esi", "cc");
		strange += sum != 1784293664u;
	} while (alarms < 50 && ++n < 100000);
	SYS(SYS_setitimer, 0, none, 0);
	check(alarms >= 50 && !strange, "timers while computing");
}

static volatile u32 handler_esp;
static struct {
	void *sp;
	int flags;
	u32 size;
} alternate = {0, 0, 8 * 4096};

static void on_stack(int sig, void *info, struct context *c)
{
	handler_esp = (u32)&c;
	catch(sig, info, c);
}

static void alternate_stack(void)
{
	on(SIGSEGV, on_stack);
	run("\x31\xe4\x50", 3); /* xor esp, esp; push eax */
	check(got_signal == SIGSEGV && got.r[R_ESP] == 0 && handler_esp - (u32)alternate.sp < alternate.size, "alternate stack");
	on(SIGSEGV, catch);
}

/* ---------------------------------- code that changes ---------------------------------- */

static u32 call(const void *f)
{
	u32 r;

	__asm__ volatile("call *%1" : "=a"(r) : "r"(f) : "ecx", "edx", "memory", "cc");
	return r;
}

static void changing_code(void)
{
	u8 *p = pages(1, 7);
	u32 bad = 0, sum = 0, at = (u32)p + 11;

	for (u32 i = 0; i < 3000; i++) {
		memcpy(p, "\xb8\x00\x00\x00\x00\xc3", 6);
		memcpy(p + 1, &i, 4);
		bad += call(p) != i;
	}
	check(!bad, "code that is rewritten");
	for (u32 i = 0; i < 3000; i++) { /* mov dword [at], i; mov eax, 0 */
		memcpy(p, "\xc7\x05....,,,,\xb8\x00\x00\x00\x00\xc3", 16);
		memcpy(p + 2, &at, 4);
		memcpy(p + 6, &i, 4);
		sum += call(p);
	}
	check(sum == 2999 * 3000 / 2, "code that writes its next instruction");
	/* a counter beside the code: inc dword [p + 100]; mov eax, [p + 100]; ret */
	at = (u32)p + 100;
	memcpy(p, "\xff\x05....\xa1....\xc3", 12);
	memcpy(p + 2, &at, 4);
	memcpy(p + 7, &at, 4);
	memset(p + 100, 0, 4);
	for (u32 i = 1; i <= 20000; i++)
		bad += call(p) != i;
	check(!bad, "data in a page of code");
	for (u32 i = 0; i < 300; i++) {
		SYS(SYS_mprotect, p, 4096, 3);
		memcpy(p, "\xb8\x00\x00\x00\x00\xc3", 6);
		memcpy(p + 1, &i, 4);
		SYS(SYS_mprotect, p, 4096, 5);
		bad += call(p) != i;
	}
	check(!bad, "pages that become code");
}

/* ---------------------------------- segments and threads ---------------------------------- */

struct user_desc {
	u32 entry, base, limit, flags; /* seg_32bit, contents << 1, read_exec_only << 3, limit_in_pages << 4, useable << 6 */
};

static u32 load_fs(u32 selector, u32 offset)
{
	u32 v;

	__asm__ volatile("movl %1, %%fs; movl %%fs:(%2), %0" : "=r"(v) : "r"(selector), "r"(offset));
	return v;
}

static void segments(void)
{
	static u32 words[64];
	u32 bad = 0;

	for (u32 i = 0; i < 64; i++)
		words[i] = i * 3;
	for (u32 i = 0; i < 40; i++) {
		struct user_desc d = {i, (u32)(words + i), 15, 0x41};

		bad += SYS(SYS_modify_ldt, 1, &d, sizeof(d)) != 0;
	}
	for (u32 round = 0; round < 20; round++)
		for (u32 i = 0; i < 40; i++)
			bad += load_fs(i * 8 + 7, 12) != (i + 3) * 3;
	check(!bad, "local descriptors");
	run("\x66\xb8\x0f\x00\x8e\xe0\x64\xa1\x0d\x00\x00\x00", 12); /* mov ax, 15; mov fs, ax; mov eax, fs:[13] */
	check(got_signal == SIGSEGV && got.r[R_TRAP] == 13 && got.r[R_EIP] == (u32)code + 22, "beyond a segment's limit");
	__asm__ volatile("movl %0, %%fs" : : "r"(0));
}

enum { THREADS = 4, ROUNDS = 3000 };
static volatile u32 lock, counter, tids[THREADS], sums[THREADS], tls_words[THREADS];
static u32 tls_entry;

static void acquire(void)
{
	while (__sync_lock_test_and_set(&lock, 1))
		sys6(SYS_futex, (int)&lock, 0, 1, 0, 0, 0);
}

static void release(void)
{
	__sync_lock_release(&lock);
	SYS(SYS_futex, &lock, 1, 1);
}

__attribute__((used)) static void thread(u32 me)
{
	u32 mine;

	__asm__ volatile("movl %0, %%gs" : : "r"(tls_entry * 8 + 3));
	for (u32 i = 0; i < ROUNDS; i++) {
		__asm__ volatile("incl %%gs:0; movl %%gs:0, %0" : "=r"(mine) : : "cc", "memory");
		if (i % 16 == 0) {
			acquire();
			counter++;
			release();
		}
	}
	sums[me] = mine;
	SYS(SYS_exit, 0, 0, 0);
}

static void start(u32 me)
{
	u32 *stack = (u32 *)((u8 *)pages(4, 3) + 4 * 4096);
	struct user_desc tls = {tls_entry, (u32)&tls_words[me], 0xfffff, 0x51};
	u32 nr = SYS_clone;

	tls_words[me] = me * 1000000;
	tids[me] = 1;
	stack[-3] = me; /* the argument, above it the function */
	stack[-2] = (u32)thread;
	/* VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, CHILD_CLEARTID; the child finds its argument on its stack */
	__asm__ volatile("int $0x80; testl %%eax, %%eax; jnz 1f; call *4(%%esp); 1:"
			 : "+a"(nr)
			 : "b"(0x2d0f00), "c"(stack - 3), "d"(0), "S"(&tls), "D"(&tids[me])
			 : "memory", "cc");
}

static void threads(void)
{
	struct user_desc d = {~0u, 0, 0xfffff, 0x51};
	u32 bad = 0;

	SYS(SYS_set_thread_area, &d, 0, 0);
	tls_entry = d.entry;
	for (u32 i = 0; i < THREADS; i++)
		start(i);
	for (u32 i = 0; i < THREADS; i++) {
		while (tids[i])
			sys6(SYS_futex, (int)&tids[i], 0, (int)tids[i], 0, 0, 0);
		bad += sums[i] != i * 1000000 + ROUNDS;
	}
	check(!bad, "thread-local storage");
	check(counter == THREADS * ((ROUNDS + 15) / 16), "a lock between threads");
}

/* ---------------------------------- processes ---------------------------------- */

static u32 deep(u32 n, volatile u32 *p)
{
	u32 bad = 0;
	int pid, status = 0;

	if (!n)
		return 0;
	p[n * 1024] = n;
	pid = SYS(SYS_fork, 0, 0, 0);
	if (!pid) {
		u32 r = deep(n - 1, p);

		for (u32 i = n; i <= 20; i++)
			bad += p[i * 1024] != i;
		p[n * 1024] = 1000;
		SYS(SYS_exit_group, bad ? 200 : r + 1, 0, 0);
	}
	SYS(SYS_waitpid, pid, &status, 0);
	return p[n * 1024] == n ? status >> 8 & 0xff : 99;
}

static int find_vsyscall(u32 *sp)
{
	sp += 1 + *sp + 1;
	while (*sp++)
		;
	for (; *sp; sp += 2)
		if (*sp == 32) /* AT_SYSINFO */
			return (int)sp[1];
	return 0;
}

__attribute__((used)) static void start_c(u32 *sp)
{
	u32 bad = 0;

	code = pages(1, 7);
	data = pages(4, 3);
	SYS(SYS_mprotect, data + 4096, 4096, 1);
	(void)*(volatile u32 *)(data + 4096 + 16); /* there */
	SYS(91 /* munmap */, data + 8192, 4096, 0);
	alternate.sp = pages(8, 3);
	SYS(SYS_sigaltstack, &alternate, 0, 0);
	on(SIGSEGV, catch);
	on(SIGBUS, catch);
	on(SIGFPE, catch);
	on(SIGILL, catch);
	on(SIGTRAP, catch);
	vsyscall = find_vsyscall(sp);
	for (u32 i = 0; i < 1000; i++)
		bad += SYS(SYS_getpid, 0, 0, 0) != (vsyscall ? fast_getpid() : SYS(SYS_getpid, 0, 0, 0));
	check(!bad, "system calls both ways");
	contexts();
	single_steps();
	timers();
	alternate_stack();
	changing_code();
	segments();
	threads();
	check(deep(20, pages(32, 3)) == 20, "fork in fork");
	print("done\n");
	SYS(SYS_exit_group, 0, 0, 0);
}

__asm__(".globl _start; _start: movl %esp, %eax; andl $-16, %esp; subl $12, %esp; pushl %eax; call start_c");
