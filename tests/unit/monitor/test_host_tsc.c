/* The host's TSC frequency: true to the clock, the same whoever asks, and not before there is enough to go by. */
#include "monitor/host_tsc.h"
#include "test.h"

#include <pthread.h>
#include <time.h>
#include <x86intrin.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void *ask(void *answer)
{
	*(uint64_t *)answer = host_tsc_hz();
	return NULL;
}

static void test_frequency(void **state)
{
	const struct timespec pause = {0, 100000000};
	uint64_t answer[2], tsc;
	pthread_t thread[2];
	double begin = now(), seconds, ratio;

	host_tsc_begin();
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, ask, &answer[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_true(now() - begin >= 0.0099);
	assert_int_equal(answer[0], answer[1]);

	begin = now();
	tsc = __rdtsc();
	nanosleep(&pause, NULL);
	tsc = __rdtsc() - tsc;
	seconds = now() - begin;
	ratio = (double)tsc / seconds / (double)answer[0];
	if (ratio < 0.99 || ratio > 1.01) /* two readings that a busy host may part */
		fail_msg("%llu Hz, but %llu ticks in %f s", (unsigned long long)answer[0], (unsigned long long)tsc, seconds);
	assert_int_equal(host_tsc_hz(), answer[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_frequency)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
