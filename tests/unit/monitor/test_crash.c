/* Crash reports: children that fail in different ways; what they leave behind, and how they end. */
#include "bench.h"

#include "monitor/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child left. */
struct left {
	int status;
	char report[1 << 20], second[1 << 16], errors[1 << 16];
};
static struct left left;
static struct bench bench;

/* ---- the verifier can be made to refuse ---- */

static bool refuse;
bool __real_verify_with(const uint8_t *, size_t, uint32_t, const struct verify_rights *, char *, size_t);
bool __wrap_verify_with(const uint8_t *, size_t, uint32_t, const struct verify_rights *, char *, size_t);
bool __wrap_verify_with(const uint8_t *code, size_t len, uint32_t mode, const struct verify_rights *rights, char *err, size_t errlen)
{
	if (!refuse)
		return __real_verify_with(code, len, mode, rights, err, errlen);
	snprintf(err, errlen, "for a test");
	return false;
}

/* ---- children ---- */

static void read_file(const char *dir, const char *name, char *text, size_t max)
{
	char path[300];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (f) {
		n = fread(text, 1, max - 1, f);
		fclose(f);
		unlink(path);
	}
	text[n] = '\0';
}

static void report_failure(void *b, const char *what, const char *details)
{
	crash_report(what, details);
}

/* The guest has run a little: its first block adds, its second one halts. */
static void start_guest(bool lockstep)
{
	static const uint8_t code[] = {0x40, 0x83, 0xc0, 0x05, 0xeb, 0x00, 0x4b, 0xf4};
	const struct bench_options options = {.lockstep = lockstep, .failed = report_failure};

	bench_open(&bench, &options);
	bench_put(&bench, AT_CODE, code, sizeof(code));
	bench_run_tc(&bench);
}

static void in_child(const char *dir, void (*fn)(void))
{
	int fd;

	if (chdir(dir))
		_exit(99);
	fd = open("errors", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(fd, STDERR_FILENO);
	crash_install();
	fn();
	_exit(0);
}

static void run_child(void (*fn)(void))
{
	char dir[] = "/tmp/ringfence-crash-test-XXXXXX", name[64];
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	fflush(stdout);
	pid = fork();
	if (!pid)
		in_child(dir, fn);
	assert_int_equal(waitpid(pid, &left.status, 0), pid);
	snprintf(name, sizeof(name), "ringfence-crash-%d.txt", (int)pid);
	read_file(dir, name, left.report, sizeof(left.report));
	snprintf(name, sizeof(name), "ringfence-crash-%d-2.txt", (int)pid);
	read_file(dir, name, left.second, sizeof(left.second));
	read_file(dir, "errors", left.errors, sizeof(left.errors));
	snprintf(name, sizeof(name), "%s/core", dir);
	unlink(name);
	if (rmdir(dir))
		print_message("%s stays: %s\n", dir, strerror(errno));
}

static void expect(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' is missing in: %.3000s", what, text);
}

static void expect_signal(int sig)
{
	if (!WIFSIGNALED(left.status) || WTERMSIG(left.status) != sig)
		fail_msg("status %x, not signal %d; %s", left.status, sig,
			 left.errors + (strlen(left.errors) > 900 ? strlen(left.errors) - 900 : 0));
}

static void subject(void (*more)(FILE *))
{
	start_guest(false);
	crash_set_subject(&(struct crash_subject){.cpu = bench.cpu, .mmu = bench.mmu, .tc = bench.tc, .more = more});
}

/* ---- a fault of ours ---- */

static void write_to(volatile uintptr_t address)
{
	*(volatile int *)address = 1;
}

static void fault(void)
{
	subject(NULL);
	write_to(0x120);
}

static void test_fault(void **state)
{
	run_child(fault);
	expect_signal(SIGSEGV);
	expect(left.report, "internal error: SIGSEGV (memory access) at address 0x120");
	expect(left.report, "EAX=00000006");
	/* the first block: in bytes, and disassembled beside what became of it */
	expect(left.report, "linear 00010000");
	expect(left.report, "guest 6 bytes: 40 83 c0 05 eb 00");
	expect(left.report, "00010001  add eax, 5");
	expect(left.report, "inc eax  ");
	expect(left.report, "  blocks translated");
	expect(left.report, "== the last events");
	expect(left.report, "translate    00010000");
	expect(left.report, "model name");
	expect(left.report, "[stack]");
	assert_null(strstr(left.report, "this part"));
	expect(left.errors, "ringfence: internal error: SIGSEGV");
	expect(left.errors, "EAX=00000006");
	expect(left.errors, "please attach ringfence-crash-");
	assert_ptr_equal(strstr(left.errors, "ringfence: internal error"), left.errors);
}

static void failed_check(void)
{
	subject(NULL);
	abort();
}

static void test_abort(void **state)
{
	run_child(failed_check);
	expect_signal(SIGABRT);
	expect(left.report, "internal error: SIGABRT (a check failed)");
	expect(left.report, "00010001  add eax, 5");
}

static int overflow(int n)
{
	volatile char big[4096];

	big[n & 4095] = (char)n;
	return n ? overflow(n + 1) + big[n & 4095] : 0;
}

static void deep(void)
{
	subject(NULL);
	_exit(overflow(1));
}

static void test_stack_overflow(void **state)
{
	run_child(deep);
	expect_signal(SIGSEGV);
	expect(left.report, "00010001  add eax, 5");
}

static void nothing_yet(void)
{
	raise(SIGBUS);
}

static void test_nothing_yet(void **state)
{
	run_child(nothing_yet);
	expect_signal(SIGBUS);
	expect(left.report, "SIGBUS");
	expect(left.report, "there is none yet");
	assert_null(strstr(left.report, "this part"));
}

/* ---- damaged tables: each part by itself ---- */

static void damaged(void)
{
	subject(NULL);
	bench.tc->rw = (uint8_t *)16;
	bench.tc->history = (struct history *)4096;
	abort();
}

static void test_damaged(void **state)
{
	run_child(damaged);
	expect_signal(SIGABRT);
	expect(left.report, "(this part failed: signal 11)");
	/* before and behind it */
	expect(left.report, "EAX=00000006");
	expect(left.report, "  blocks translated");
	expect(left.report, "EIP=00010008");
	expect(left.report, "[stack]");
	expect(left.errors, "please attach");
}

static void loop_for_ever(FILE *f)
{
	for (volatile unsigned i = 0;; i++)
		;
}

static void hanging(void)
{
	subject(loop_for_ever);
	abort();
}

static void test_hanging(void **state)
{
	run_child(hanging);
	expect_signal(SIGABRT);
	expect(left.report, "(this part took too long)");
	expect(left.report, "[stack]");
}

/* ---- beside other threads ---- */

static void *fail_too(void *unused)
{
	write_to(0x440);
	return NULL;
}

static void several(void)
{
	pthread_t thread[4];

	subject(NULL);
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, fail_too, NULL);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

static void test_several(void **state)
{
	run_child(several);
	expect_signal(SIGSEGV);
	expect(left.report, "at address 0x440");
	expect(left.report, "[stack]");
	assert_true(strlen(left.second) == 0);
}

/* While a report is written that the VM survives: the other thread's failure comes after it. */
static void fail_beside(FILE *f)
{
	static pthread_t thread;

	if (!thread && pthread_create(&thread, NULL, fail_too, NULL))
		_exit(6);
	usleep(100000);
}

static void in_turn(void)
{
	subject(fail_beside);
	crash_report("for a test", "one");
	sleep(20);
	_exit(5);
}

static void test_in_turn(void **state)
{
	run_child(in_turn);
	expect_signal(SIGSEGV);
	expect(left.report, "for a test");
	expect(left.second, "at address 0x440");
	expect(left.second, "[stack]");
}

/* ---- alarms that come when their part has just ended ---- */

static unsigned late;
unsigned __real_alarm(unsigned);
unsigned __wrap_alarm(unsigned);
unsigned __wrap_alarm(unsigned seconds)
{
	unsigned before = __real_alarm(seconds);

	if (!seconds && late) {
		late--;
		raise(SIGALRM);
	}
	return before;
}

static void late_alarms(void)
{
	subject(NULL);
	late = 100;
	crash_report("for a test", "alarms");
	_exit(late < 100 ? 5 : 6);
}

static void test_late_alarms(void **state)
{
	run_child(late_alarms);
	assert_true(WIFEXITED(left.status));
	assert_int_equal(WEXITSTATUS(left.status), 5);
	expect(left.report, "[stack]");
	assert_null(strstr(left.report, "this part"));
	expect(left.errors, "please attach");
}

/* In translated code, but sent by somebody: not the guest's. */
static void *send(void *thread)
{
	usleep(100000);
	pthread_kill(*(pthread_t *)thread, SIGSEGV);
	return NULL;
}

static void in_translated_code(void)
{
	/* mov edx, 1234567h; jmp $ */
	static const uint8_t code[] = {0xba, 0x67, 0x45, 0x23, 0x01, 0xeb, 0xfe};
	pthread_t me = pthread_self(), thread;

	subject(NULL);
	bench_reset(&bench, false);
	bench_put(&bench, AT_CODE, code, sizeof(code));
	pthread_create(&thread, NULL, send, &me);
	bench_run_tc(&bench);
}

static void test_in_translated_code(void **state)
{
	run_child(in_translated_code);
	expect_signal(SIGSEGV);
	expect(left.report, "the host's instruction pointer is in it");
	expect(left.report, "00010005  jmp 0x10005");
	/* the guest's registers were the host's */
	expect(left.report, "in translated code");
	expect(left.report, "EDX=01234567");
	expect(left.report, "EIP=00010005");
}

/* ---- no signals ---- */

static void refused(void)
{
	subject(NULL);
	refuse = true;
	bench_reset(&bench, false);
	bench.cpu->rip = AT_CODE + 1;
	bench_run_tc(&bench);
	_exit(bench.cpu->gpr[R_EBX] == 0xffffffff ? 7 : 8);
}

static void test_refused(void **state)
{
	run_child(refused);
	expect(left.report, "internal error: the verifier refused a translation");
	expect(left.report, "translation at 0x10001, mode");
	expect(left.report, "add eax, 5");
	expect(left.errors, "please attach");
#ifdef RINGFENCE_DEBUG
	expect_signal(SIGABRT);
	expect(left.second, "SIGABRT");
#else
	/* interpreted instead */
	assert_true(WIFEXITED(left.status));
	assert_int_equal(WEXITSTATUS(left.status), 7);
#endif
}

/* The translation is changed behind lockstep's back: INC EAX becomes DEC EAX. */
static void differs(void)
{
	static const uint8_t inc[] = {0xff, 0xc0};
	uint8_t *p;

	start_guest(true);
	crash_set_subject(&(struct crash_subject){.cpu = bench.cpu, .mmu = bench.mmu, .tc = bench.tc});
	p = memmem(bench.tc->rw, 4096, inc, sizeof(inc));
	if (!p)
		_exit(9);
	p[1] = 0xc8;
	bench_reset(&bench, false);
	for (enum tc_exit why = TC_EXIT_KICK; why == TC_EXIT_KICK;)
		if ((why = tc_run(bench.tc)) == TC_EXIT_ERROR)
			_exit(3);
}

static void test_lockstep(void **state)
{
	run_child(differs);
	assert_true(WIFEXITED(left.status));
	assert_int_equal(WEXITSTATUS(left.status), 3);
	expect(left.report, "internal error: lockstep found a difference");
	expect(left.report, "lockstep: translation of 0x10000");
	expect(left.report, "EAX              reference 00000006  translated 00000004");
	expect(left.errors, "lockstep: translation of 0x10000");
	expect(left.errors, "please attach");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_stack_overflow),
		cmocka_unit_test(test_nothing_yet),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_hanging),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_in_turn),
		cmocka_unit_test(test_late_alarms),
		cmocka_unit_test(test_in_translated_code),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lockstep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
