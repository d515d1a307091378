/*
 * Virtual time and timers.
 *
 * Virtual time is CLOCK_MONOTONIC less the time spent paused. It starts at 0, frozen, and runs
 * between machine_start and machine_stop. Timers are one-shot, in a binary heap by deadline; the
 * I/O thread runs them under the machine lock. Deadlines are ideal times: a periodic chip sets its
 * next deadline from the last one, so lateness never accumulates.
 *
 * Tests take the clock off the host (machine_clock_fake) and move it by hand.
 */
#include "devices/machine.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

/* Timers run in one go before the lock is let go once, so that the vCPU is not starved of it. */
enum { TIMERS_PER_RUN = 64 };

static int64_t host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

int64_t machine_now(struct machine *m)
{
	int64_t frozen = atomic_load_explicit(&m->clock.frozen, memory_order_acquire);

	if (frozen != CLOCK_RUNNING)
		return frozen;
	return host_now() - atomic_load_explicit(&m->clock.offset, memory_order_relaxed);
}

void machine_pause(struct machine *m, bool paused)
{
	machine_lock(m);
	struct clock *c = &m->clock;
	if (paused && c->frozen == CLOCK_RUNNING) {
		c->frozen = machine_now(m);
	} else if (!paused && c->frozen != CLOCK_RUNNING && !c->fake) {
		c->offset = host_now() - c->frozen;
		atomic_store_explicit(&c->frozen, CLOCK_RUNNING, memory_order_release);
		iothread_poke(m);
	}
	machine_unlock(m);
}

void machine_advance(struct machine *m, int64_t ns)
{
	machine_lock(m);
	if (m->clock.frozen != CLOCK_RUNNING)
		m->clock.frozen += ns;
	machine_unlock(m);
}

bool clock_init(struct machine *m)
{
	m->clock.frozen = 0;
	m->clock.capacity = 16;
	m->clock.heap = calloc(m->clock.capacity + 1, sizeof(*m->clock.heap));
	return m->clock.heap != NULL;
}

void clock_fini(struct machine *m)
{
	while (m->clock.all) {
		struct timer *t = m->clock.all;
		m->clock.all = t->next;
		free(t);
	}
	free(m->clock.heap);
}

/* ---- the heap: a[1] is the root, children of i are 2i and 2i+1 ---- */

static void place(struct clock *c, size_t i, struct timer *t)
{
	c->heap[i] = t;
	t->pos = i;
}

static void sift_up(struct clock *c, size_t i)
{
	struct timer *t = c->heap[i];

	for (; i > 1 && c->heap[i / 2]->deadline > t->deadline; i /= 2)
		place(c, i, c->heap[i / 2]);
	place(c, i, t);
}

static void sift_down(struct clock *c, size_t i)
{
	struct timer *t = c->heap[i];

	for (;;) {
		size_t child = 2 * i;
		if (child > c->count)
			break;
		if (child < c->count && c->heap[child + 1]->deadline < c->heap[child]->deadline)
			child++;
		if (c->heap[child]->deadline >= t->deadline)
			break;
		place(c, i, c->heap[child]);
		i = child;
	}
	place(c, i, t);
}

static void heap_remove(struct clock *c, struct timer *t)
{
	size_t i = t->pos;
	struct timer *last = c->heap[c->count--];

	t->pos = 0;
	if (last == t)
		return;
	place(c, i, last);
	sift_up(c, i);
	sift_down(c, last->pos);
}

/* The heap has room for every timer there is, so that setting one cannot fail. */
static bool reserve(struct clock *c)
{
	if (c->timers < c->capacity)
		return true;
	struct timer **heap = realloc(c->heap, (2 * c->capacity + 1) * sizeof(*heap));
	if (!heap)
		return false;
	c->heap = heap;
	c->capacity *= 2;
	return true;
}

struct timer *machine_timer_new(struct machine *m, void (*fn)(void *opaque), void *opaque)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct timer){.m = m, .fn = fn, .opaque = opaque};
	machine_lock(m);
	bool room = reserve(&m->clock);
	if (room) {
		t->next = m->clock.all;
		m->clock.all = t;
		m->clock.timers++;
	}
	machine_unlock(m);
	if (room)
		return t;
	free(t);
	return NULL;
}

void machine_timer_cancel(struct timer *t)
{
	machine_lock(t->m);
	if (t->pos)
		heap_remove(&t->m->clock, t);
	machine_unlock(t->m);
}

void machine_timer_free(struct timer *t)
{
	if (!t)
		return;
	struct machine *m = t->m;
	machine_lock(m);
	machine_timer_cancel(t);
	struct timer **p = &m->clock.all;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	m->clock.timers--;
	machine_unlock(m);
	free(t);
}

void machine_timer_set(struct timer *t, int64_t deadline_ns)
{
	struct clock *c = &t->m->clock;

	machine_lock(t->m);
	t->deadline = deadline_ns;
	if (t->pos) {
		sift_up(c, t->pos);
		sift_down(c, t->pos);
	} else {
		place(c, ++c->count, t);
		sift_up(c, c->count);
	}
	iothread_wake_at(t->m, deadline_ns);
	machine_unlock(t->m);
}

int64_t clock_run(struct machine *m)
{
	struct clock *c = &m->clock;
	int64_t now = machine_now(m);

	for (unsigned n = 0; n < TIMERS_PER_RUN && c->count && c->heap[1]->deadline <= now; n++) {
		struct timer *t = c->heap[1];
		heap_remove(c, t);
		t->fn(t->opaque);
	}
	return c->count ? c->heap[1]->deadline : CLOCK_NEVER;
}

void machine_clock_fake(struct machine *m)
{
	assert(m->clock.frozen != CLOCK_RUNNING);
	m->clock.fake = true;
}

void machine_clock_advance(struct machine *m, int64_t ns)
{
	struct clock *c = &m->clock;

	assert(c->fake && ns >= 0);
	machine_lock(m);
	int64_t end = c->frozen + ns;
	while (c->count && c->heap[1]->deadline <= end) {
		if (c->heap[1]->deadline > c->frozen)
			c->frozen = c->heap[1]->deadline;
		clock_run(m);
	}
	c->frozen = end;
	machine_unlock(m);
}
