/*
 * A guest that is told the frequency (CPUID leaf 15h) need not calibrate it, which costs
 * Linux a quarter of a second of its boot. Two sources: the scale that the host's kernel publishes
 * to users of perf events, exact; where those are forbidden (containers), a measurement against
 * CLOCK_MONOTONIC.
 */
#include "monitor/host_tsc.h"

#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

static uint64_t from_scale(const struct perf_event_mmap_page *page)
{
	if (!page->cap_user_time || !page->time_mult)
		return 0;
	/* ns = ticks * mult >> shift */
	return (uint64_t)(((unsigned __int128)1000000000u << page->time_shift) / page->time_mult);
}

static uint64_t from_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	size_t len = (size_t)sysconf(_SC_PAGESIZE);
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	uint64_t hz = 0;
	void *page;

	if (fd < 0)
		return 0;
	page = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED) {
		hz = from_scale(page);
		munmap(page, len);
	}
	close(fd);
	return hz;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The closest of a few pairs of readings: an interruption between the two would spoil one. */
static void read_both(uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 8; i++) {
		uint64_t before = __rdtsc(), t = now_ns(), width = __rdtsc() - before;

		if (width < best) {
			best = width;
			*tsc = before + width / 2;
			*ns = t;
		}
	}
}

static uint64_t measured(void)
{
	const struct timespec wait = {0, 10000000};
	uint64_t tsc0, ns0, tsc1, ns1;

	read_both(&tsc0, &ns0);
	nanosleep(&wait, NULL);
	read_both(&tsc1, &ns1);
	if (ns1 == ns0)
		return 0;
	return (uint64_t)((unsigned __int128)(tsc1 - tsc0) * 1000000000u / (ns1 - ns0));
}

uint64_t host_tsc_hz(void)
{
	uint64_t hz = from_perf();

	return hz ? hz : measured();
}
