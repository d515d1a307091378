/*
 * Crash reports: when, where to, and how not to make things worse.
 *
 * All of it may run in a signal handler of a process whose heap, locks and tables may be damaged. So the report is made of parts
 * (crash_parts.c), the plainest first: first what reads only registers and memory and writes with write(2); then what goes
 * by a stream and disassembles, with a heap of its own. Each part is guarded: a fault in it, or two seconds gone by, ends that
 * part, and the next one follows. What is written stays written.
 *
 *   signal --> one thread reports, others that fail meanwhile wait for their turn
 *              part 1 .. n: sigsetjmp, alarm, write
 *              then the signal's default action: status and core dump are those of the failure
 */
#include "monitor/crash_internal.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PART_SECONDS = 2, MAX_REPORTS = 9, MAIN_STACK = 256 * 1024 };

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGQUIT};

static struct crash_subject subject;
static struct crash crash;
static atomic_int owner; /* the thread that reports; 0: none */
static sigjmp_buf way_out;
static volatile sig_atomic_t guarded; /* way_out is valid */
static char tmpdir[200];
static char stream_buffer[4096];
static FILE *stream;
static unsigned reports;

/* ---- the file ---- */

static ssize_t stream_write(void *cookie, const char *p, size_t n)
{
	rawout_write(&crash.out, p, n);
	return (ssize_t)n;
}

static int try_file(struct rawout *name, const char *dir)
{
	name->used = 0;
	rawout_print(name, "%s%sringfence-crash-%d", dir, *dir ? "/" : "", (int)getpid());
	if (reports > 1)
		rawout_print(name, "-%u", reports);
	rawout_print(name, ".txt");
	name->buf[name->used] = '\0';
	return open(name->buf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* In the current directory, else $TMPDIR, else /tmp; `name` gets its name, "" when there is none. */
static int create_file(struct rawout *name)
{
	const char *const dirs[] = {"", tmpdir, "/tmp"};

	for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		int fd = i == 1 && !*tmpdir ? -1 : try_file(name, dirs[i]);

		if (fd >= 0)
			return fd;
	}
	name->used = 0;
	name->buf[0] = '\0';
	return -1;
}

/* ---- one part after the other ---- */

/* The step, to its end or to a fault in it or two seconds: that signal, else 0. */
static int guard(void (*step)(const void *), const void *arg)
{
	int fault = sigsetjmp(way_out, 1);

	if (!fault) {
		guarded = 1;
		alarm(PART_SECONDS);
		step(arg);
	}
	guarded = 0;
	alarm(0);
	return fault;
}

static void write_part(const void *arg)
{
	const struct crash_part *part = arg;

	if (part->title)
		rawout_print(&crash.out, "\n== %s\n", part->title);
	rawout_flush(&crash.out);
	crash.out.left = part->lines;
	crash.out.second = part->lines ? STDERR_FILENO : -1;
	part->write(&crash);
	fflush(crash.file);
	rawout_flush(&crash.out);
}

static void say_failed(const void *arg)
{
	const int *fault = arg;

	if (*fault == SIGALRM)
		rawout_print(&crash.out, "\n(this part took too long)\n");
	else
		rawout_print(&crash.out, "\n(this part failed: signal %d)\n", *fault);
	rawout_flush(&crash.out);
}

static void run_part(const struct crash_part *part)
{
	int fault = guard(write_part, part);

	/* it may be stderr that nobody reads */
	if (fault == SIGALRM)
		crash.out.second = -1;
	if (fault)
		guard(say_failed, &fault);
	crash.out.second = -1;
}

static void write_end(const void *arg)
{
	const struct rawout *name = arg;

	crash.out.second = STDERR_FILENO;
	crash.out.left = 3;
	if (*name->buf)
		rawout_print(&crash.out, "ringfence: please attach %s to a bug report\n", name->buf);
	else
		rawout_print(&crash.out, "ringfence: no report could be written: no directory is writable\n");
	rawout_flush(&crash.out);
}

static void write_report(void)
{
	static struct rawout name;

	reports++;
	crash.subject = subject;
	crash.out = (struct rawout){.fd = create_file(&name), .second = -1};
	crash.file = stream;
	crash.blocks = 0;
	for (unsigned i = 0; i < crash_part_count; i++)
		run_part(&crash_parts[i]);
	guard(write_end, &name);
	if (crash.out.fd >= 0)
		close(crash.out.fd);
	crash.out.fd = -1;
}

/* ---- signals ---- */

static int self(void)
{
	return (int)syscall(SYS_gettid);
}

static void unblock_fatal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	for (unsigned i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaddset(&set, fatal[i]);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* The default action of the signal: by doing again what raised it, or by sending it again. */
static void die(int sig, bool synchronous)
{
	signal(sig, SIG_DFL);
	if (!synchronous)
		syscall(SYS_tgkill, getpid(), self(), sig);
}

/* The reporter fails: leave the part, or give up. */
static void fail_again(int sig)
{
	if (guarded)
		siglongjmp(way_out, sig);
	die(crash.signal ? crash.signal : sig, false);
}

/* An alarm that comes when its part has just ended means nothing. */
static void on_alarm(int sig)
{
	int reporter = atomic_load(&owner);

	if (reporter && reporter != self())
		syscall(SYS_tgkill, getpid(), reporter, sig);
	else if (reporter && guarded)
		siglongjmp(way_out, sig);
}

/* Another thread's report may be of something that the VM survives: then it is this one's turn. */
static void become_owner(int sig)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	int none = 0;

	while (!atomic_compare_exchange_strong(&owner, &none, self())) {
		if (none == self())
			fail_again(sig);
		nanosleep(&pause, NULL);
		none = 0;
	}
}

/* Sent by somebody, not raised by an instruction? */
static bool was_sent(int sig, const siginfo_t *info)
{
	return info->si_code <= 0 || sig == SIGABRT || sig == SIGQUIT || sig == SIGSYS;
}

static void on_fatal(int sig, siginfo_t *info, void *context)
{
	become_owner(sig);
	unblock_fatal();
	crash.signal = sig;
	crash.info = info;
	crash.context = context;
	crash.rip = (uint64_t)crash.context->uc_mcontext.gregs[REG_RIP];
	crash.what = crash.details = NULL;
	write_report();
	die(sig, !was_sent(sig, info));
}

static void handle(int sig, const struct sigaction *sa)
{
	if (sigaction(sig, sa, NULL))
		abort(); /* these signals can be handled */
}

void crash_install(void)
{
	static char stack[MAIN_STACK];
	const stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	struct sigaction late = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_NODEFER};
	const cookie_io_functions_t io = {.write = stream_write};
	void *frame[2];

	/* of this thread: a report of a stack overflow needs another stack */
	sigaltstack(&ss, NULL);
	if (getenv("TMPDIR"))
		snprintf(tmpdir, sizeof(tmpdir), "%s", getenv("TMPDIR"));
	stream = fopencookie(NULL, "w", io);
	if (stream)
		setvbuf(stream, stream_buffer, _IOFBF, sizeof(stream_buffer));
	/* loads the unwinder, which would not do in a handler */
	backtrace(frame, 2);
	for (unsigned i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		handle(fatal[i], &sa);
	handle(SIGALRM, &late);
}

void crash_set_subject(const struct crash_subject *s)
{
	subject = *s;
}

void crash_report(const char *what, const char *details)
{
	int none = 0;

	if (!stream || reports >= MAX_REPORTS || !atomic_compare_exchange_strong(&owner, &none, self()))
		return;
	crash.signal = 0;
	crash.rip = 0;
	crash.what = what;
	crash.details = details;
	write_report();
	atomic_store(&owner, 0);
}
