/*
 * A guest that is told the frequency (CPUID leaf 15h) need not calibrate it, which costs Linux a quarter of a second of its boot.
 *
 * Measured against CLOCK_MONOTONIC, from the start of the program to the moment when the guest asks: nobody waits for it, and half a second
 * gives a ten-millionth. (The scale that the kernel publishes to users of perf events would be exact, but opening the first event
 * on a host takes 10 ms, and under a hypervisor there is none.)
 */
#include "monitor/host_tsc.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>
#include <x86intrin.h>

enum { SHORTEST_NS = 10000000, SLEPT_NS = 1000000 };

struct reading {
	uint64_t tsc;
	int64_t ns;
	int64_t suspended; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC: time that the host has slept */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct reading first;
static bool begun, known;
static uint64_t hz;

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The closest of a few pairs of readings: an interruption between the two would spoil one. */
static struct reading read_both(void)
{
	uint64_t best = UINT64_MAX;
	struct reading r = {0};

	for (int i = 0; i < 8; i++) {
		uint64_t before = __rdtsc();
		int64_t t = now_ns(CLOCK_MONOTONIC);
		uint64_t width = __rdtsc() - before;

		if (width < best) {
			best = width;
			r.tsc = before + width / 2;
			r.ns = t;
		}
	}
	r.suspended = now_ns(CLOCK_BOOTTIME) - r.ns;
	return r;
}

void host_tsc_begin(void)
{
	pthread_mutex_lock(&lock);
	if (!begun)
		first = read_both();
	begun = true;
	pthread_mutex_unlock(&lock);
}

/* The later reading, at least SHORTEST_NS behind the first. */
static struct reading second_reading(void)
{
	int64_t until = first.ns + SHORTEST_NS;
	const struct timespec ts = {until / 1000000000, until % 1000000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
	return read_both();
}

/* While the host sleeps the one clock stands still, and nobody knows what the TSC does: then the time before does not count. */
static uint64_t measure(void)
{
	struct reading last = second_reading();
	int64_t slept = last.suspended - first.suspended;

	if (slept > SLEPT_NS || slept < -SLEPT_NS) {
		first = read_both();
		last = second_reading();
	}
	if (last.ns <= first.ns || last.tsc <= first.tsc)
		return 0;
	return (uint64_t)((unsigned __int128)(last.tsc - first.tsc) * 1000000000u / (uint64_t)(last.ns - first.ns));
}

uint64_t host_tsc_hz(void)
{
	host_tsc_begin();
	pthread_mutex_lock(&lock);
	if (!known)
		hz = measure();
	known = true;
	pthread_mutex_unlock(&lock);
	return hz;
}
