/* Timers on a fake clock, and the I/O thread on the real one. */
#include "board.h"

#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

/* ---- the heap ---- */

enum { MANY = 300 };
static int64_t fired[MANY];
static unsigned fired_count;

static void record(void *opaque)
{
	fired[fired_count++] = machine_now(board.m);
}

static void timers_fire_in_order(void **state)
{
	struct timer *t[MANY];
	uint32_t seed = 1;
	unsigned cancelled = 0;

	fired_count = 0;
	out8(0x43, 0x30);
	for (unsigned i = 0; i < MANY; i++) {
		t[i] = machine_timer_new(board.m, record, NULL);
		seed = seed * 1664525 + 1013904223;
		machine_timer_set(t[i], 1 + (seed >> 8) % 1000000);
	}
	for (unsigned i = 0; i < MANY; i += 3) {
		machine_timer_cancel(t[i]);
		cancelled++;
	}
	for (unsigned i = 1; i < MANY; i += 3)
		machine_timer_set(t[i], 1000000 - i);
	advance(1000000);
	assert_int_equal(fired_count, MANY - cancelled);
	for (unsigned i = 1; i < fired_count; i++)
		assert_true(fired[i - 1] <= fired[i]);
	for (unsigned i = 0; i < MANY; i++)
		machine_timer_free(t[i]);
	advance(NS_PER_SEC);
	assert_int_equal(fired_count, MANY - cancelled);
}

static struct timer *again;

static void rearm(void *opaque)
{
	fired_count++;
	machine_timer_set(again, machine_now(board.m) + 1000);
}

static void a_callback_may_set_its_timer(void **state)
{
	fired_count = 0;
	again = machine_timer_new(board.m, rearm, NULL);
	machine_timer_set(again, 1000);
	advance(100 * 1000);
	assert_int_equal(fired_count, 100);
	machine_timer_free(again);
}

/* ---- the I/O thread ---- */

static struct machine *real_machine(void)
{
	struct machine_config config = {.ram_below_4g = BOARD_RAM};
	struct machine_ops ops = {0};
	char err[200];

	memset(&board, 0, sizeof(board));
	board.pm = physmap_create(BOARD_RAM, err, sizeof(err));
	board.m = machine_create(&config, board.pm, &ops, err, sizeof(err));
	assert_non_null(board.m);
	return board.m;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static _Atomic int64_t fired_at;

static void note(void *opaque)
{
	atomic_store(&fired_at, machine_now(board.m));
}

static bool fires_within(int64_t deadline, long ms)
{
	for (long i = 0; i < ms && !atomic_load(&fired_at); i++)
		sleep_ms(1);
	return atomic_load(&fired_at) >= deadline;
}

static void real_timers(void **state)
{
	struct machine *m = real_machine();
	struct timer *t = machine_timer_new(m, note, NULL);
	char err[200];

	assert_int_equal(machine_now(m), 0);
	sleep_ms(2);
	assert_int_equal(machine_now(m), 0); /* does not run yet */
	assert_true(machine_start(m, err, sizeof(err)));
	assert_true(machine_start(m, err, sizeof(err)));
	sleep_ms(5); /* the thread sleeps towards the 18 Hz tick */
	int64_t deadline = machine_now(m) + 3 * MSEC;
	machine_timer_set(t, deadline);
	assert_true(fires_within(deadline, 2000));
	atomic_store(&fired_at, 0);
	machine_pause(m, true);
	int64_t frozen = machine_now(m);
	machine_timer_set(t, frozen + MSEC);
	sleep_ms(20);
	assert_int_equal(machine_now(m), frozen);
	assert_int_equal(atomic_load(&fired_at), 0);
	machine_pause(m, false);
	assert_true(fires_within(frozen + MSEC, 2000));
	assert_true(atomic_load(&fired_at) < frozen + 20 * MSEC + NS_PER_SEC);
	machine_stop(m);
	machine_stop(m);
	frozen = machine_now(m);
	sleep_ms(2);
	assert_int_equal(machine_now(m), frozen);
	assert_true(machine_start(m, err, sizeof(err)));
	sleep_ms(2);
	assert_true(machine_now(m) > frozen);
	machine_timer_free(t);
	board_teardown(state);
}

/* Two full looks at the clock, far enough apart for a rate; the host may be busy, so they are tried again. */
static bool lean_clock_set(struct machine *m)
{
	int64_t ns;

	for (unsigned tries = 0; tries < 1000; tries++) {
		sleep_ms(2);
		machine_clock_sample(m);
		if (machine_lean_now(m, &ns))
			return true;
	}
	return false;
}

/* The lean path's time is never ahead of the other, never goes backwards, and gives up soon. */
static void lean_time(void **state)
{
	struct machine *m = real_machine();
	int64_t ns, last = 0;
	unsigned gave_up = 0, told = 0, near = 0;
	char err[200];

	machine_clock_sample(m);
	assert_false(machine_lean_now(m, &ns)); /* the clock stands */
	assert_true(machine_start(m, err, sizeof(err)));
	assert_true(lean_clock_set(m));
	for (unsigned i = 0; i < 200000; i++) {
		int64_t before = machine_now(m);

		if (!machine_lean_now(m, &ns)) {
			gave_up++;
			machine_clock_sample(m);
			continue;
		}
		told++;
		near += before - ns < 1000; /* not when the host stopped us while we set it */
		assert_true(ns >= last);
		assert_true(ns <= machine_now(m));
		last = ns;
	}
	assert_true(told > 1000);
	assert_true(gave_up > 0);
	assert_true(near > told / 2);
	assert_true(lean_clock_set(m));
	machine_pause(m, true);
	assert_false(machine_lean_now(m, &ns));
	sleep_ms(1);
	machine_pause(m, false);
	assert_false(machine_lean_now(m, &ns)); /* set before the pause */
	board_teardown(state);
}

/* Port 61h by the lean path shows what it shows by the other: here all but the refresh bit stand still. */
static void lean_port61(void **state)
{
	struct machine *m = real_machine();
	unsigned told = 0, toggles = 0;
	uint32_t value, last = 0;
	char err[200];

	assert_false(machine_lean_in(m, 0x61, 1, &value));
	assert_true(machine_lean_in(m, 0x80, 4, &value) && value == 0xffffffff);
	assert_true(machine_lean_out(m, 0x80, 1, 0));
	assert_false(machine_lean_out(m, 0x61, 1, 0));
	assert_false(machine_lean_in(m, 0x60, 2, &value));
	assert_true(machine_start(m, err, sizeof(err)));
	out8(0x43, 0xb0); /* channel 2, mode 0, and as long as it goes */
	out8(0x42, 0xff);
	out8(0x42, 0xff);
	out8(0x61, 0x0c); /* its gate is low: it stands */
	assert_true(lean_clock_set(m));
	for (unsigned i = 0; i < 200000; i++) {
		if (machine_lean_in(m, 0x61, 1, &value))
			told++;
		else
			value = in8(0x61);
		assert_int_equal(value & ~0x10u, 0x0c);
		toggles += (value ^ last) >> 4 & 1;
		last = value;
	}
	assert_true(told > 1000);
	assert_true(toggles > 10);
	board_teardown(state);
}

static struct watch *watch;
static int pipe_fd[2];
static atomic_uint calls;

static void readable(void *opaque, short revents)
{
	char byte;

	assert_true(revents & POLLIN);
	assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
	atomic_fetch_add(&calls, 1);
	if (byte == 'q') {
		machine_watch_free(watch);
		watch = NULL;
	}
}

static void wait_calls(unsigned n)
{
	for (unsigned i = 0; i < 2000 && atomic_load(&calls) < n; i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&calls), n);
}

static void watches(void **state)
{
	struct machine *m = real_machine();
	char err[200];

	atomic_store(&calls, 0);
	assert_int_equal(pipe(pipe_fd), 0);
	watch = machine_watch_new(m, pipe_fd[0], POLLIN, readable, NULL);
	assert_true(machine_start(m, err, sizeof(err)));
	assert_int_equal(write(pipe_fd[1], "a", 1), 1);
	wait_calls(1);
	machine_watch_set(watch, 0);
	assert_int_equal(write(pipe_fd[1], "b", 1), 1);
	sleep_ms(10);
	wait_calls(1);
	machine_watch_set(watch, POLLIN);
	wait_calls(2);
	assert_int_equal(write(pipe_fd[1], "qx", 2), 2); /* frees itself: the rest stays unread */
	wait_calls(3);
	sleep_ms(10);
	wait_calls(3);
	machine_pause(m, true); /* descriptors are served while time stands still */
	struct watch *second = machine_watch_new(m, pipe_fd[0], POLLIN, readable, NULL);
	wait_calls(4);
	machine_watch_free(second);
	board_teardown(state);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* The thread must sleep, not spin: processor time over 200 ms of idling. */
static void idle_costs_nothing(void **state)
{
	struct machine *m = real_machine();
	struct timespec before, after;
	char err[200];

	assert_true(machine_start(m, err, sizeof(err)));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	sleep_ms(200);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	int64_t used = (after.tv_sec - before.tv_sec) * NS_PER_SEC + after.tv_nsec - before.tv_nsec;
	assert_true(used < 50 * MSEC);
	board_teardown(state);
}

/* How often the I/O thread went to sleep. */
static unsigned long sleeps(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned long n = 0;

	for (struct dirent *d; (d = readdir(tasks));) {
		char path[300], line[200];
		bool io = false;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", d->d_name);
		FILE *f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f)) {
			io |= !strcmp(line, "Name:\tringfence-io\n");
			if (io)
				sscanf(line, "voluntary_ctxt_switches: %lu", &n);
		}
		if (f)
			fclose(f);
	}
	closedir(tasks);
	return n;
}

/*
 * A timer that is set again and again, each time earlier: the thread sleeps on, and wakes up in time for the earliest. It sleeps towards
 * the 18 Hz tick at least, so a round in four or so tells nothing.
 */
static void earlier_timers_wake_nobody(void **state)
{
	enum { ROUNDS = 8, SETTINGS = 50 };
	struct machine *m = real_machine();
	struct timer *t = machine_timer_new(m, note, NULL);
	unsigned long woken = 0;
	char err[200];

	assert_true(machine_start(m, err, sizeof(err)));
	sleep_ms(5);
	for (unsigned round = 0; round < ROUNDS; round++) {
		int64_t deadline = machine_now(m) + 40 * MSEC;
		unsigned long before = sleeps();
		assert_true(before > 0);
		atomic_store(&fired_at, 0);
		for (unsigned i = 0; i < SETTINGS && machine_now(m) < deadline - 10 * MSEC; i++) {
			deadline -= MSEC / 5;
			machine_timer_set(t, deadline);
			nanosleep(&(struct timespec){0, 50000}, NULL); /* it would have time to wake up */
		}
		woken += sleeps() - before;
		assert_true(fires_within(deadline, 2000));
		assert_true(atomic_load(&fired_at) < deadline + NS_PER_SEC);
	}
	assert_true(woken < ROUNDS * SETTINGS / 10);
	machine_timer_free(t);
	board_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOARD_TEST(timers_fire_in_order),     BOARD_TEST(a_callback_may_set_its_timer),
		cmocka_unit_test(real_timers),	      cmocka_unit_test(watches),
		cmocka_unit_test(lean_time),	      cmocka_unit_test(lean_port61),
		cmocka_unit_test(idle_costs_nothing), cmocka_unit_test(earlier_timers_wake_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
