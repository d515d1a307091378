/*
 * A workbench for single chips: a machine with lock, ports, clock and I/O thread (the real ones)
 * and nothing else. It takes the place of machine.c, so a test that includes this must not call
 * machine_create. Lines, A20 and requests end in the variables below.
 */
#ifndef TESTS_DEVICES_BENCH_H
#define TESTS_DEVICES_BENCH_H

#include "devices/chips.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* needs the ones above */
#include <cmocka.h>

static struct {
	bool irq[ISA_IRQS];
	unsigned rises[ISA_IRQS]; /* edges, as an 8259 would see them */
	unsigned requests;
	enum machine_event event;
	int code;
	void *allocations[64];
	unsigned allocation_count;
	struct reset_hook hooks[16];
	unsigned hook_count;
} bench;

void machine_lock(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
}

void machine_unlock(struct machine *m)
{
	pthread_mutex_unlock(&m->lock);
}

void *machine_alloc(struct machine *m, size_t bytes)
{
	assert_true(bench.allocation_count < ARRAY_LEN(bench.allocations));
	return bench.allocations[bench.allocation_count++] = calloc(1, bytes);
}

bool machine_on_reset(struct machine *m, void (*fn)(void *), void *opaque)
{
	assert_true(bench.hook_count < ARRAY_LEN(bench.hooks));
	bench.hooks[bench.hook_count++] = (struct reset_hook){.fn = fn, .opaque = opaque};
	return true;
}

static void bench_irq(void *opaque, unsigned n, bool level)
{
	bench.rises[n] += level && !bench.irq[n];
	bench.irq[n] = level;
}

struct line machine_irq(struct machine *m, unsigned irq)
{
	return (struct line){bench_irq, m, irq};
}

void machine_request(struct machine *m, enum machine_event event, int code)
{
	bench.requests++;
	bench.event = event;
	bench.code = code;
}

void machine_set_a20(struct machine *m, bool on)
{
	m->a20 = on;
}

void machine_reset(struct machine *m)
{
	for (unsigned i = 0; i < bench.hook_count; i++)
		bench.hooks[i].fn(bench.hooks[i].opaque);
}

static struct machine *bench_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));
	pthread_mutexattr_t attr;

	memset(&bench, 0, sizeof(bench));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&m->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	m->a20 = true;
	assert_true(clock_init(m));
	assert_true(iothread_init(m));
	return m;
}

static void bench_free(struct machine *m)
{
	machine_stop(m);
	iothread_fini(m);
	clock_fini(m);
	for (unsigned i = 0; i < bench.allocation_count; i++)
		free(bench.allocations[i]);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

#endif
