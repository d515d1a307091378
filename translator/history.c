/* Recording events; see history.h. Built without vector registers, like its callers. */
#include "translator/history.h"

/* Two slots become one. Volatile: the compiler may not make this a call of memset, which would use vector registers. */
static void fold(struct timeline *t)
{
	volatile uint32_t(*n)[HISTORY_KINDS] = t->n;

	for (unsigned i = 0; i < TIMELINE_SLOTS; i++)
		for (unsigned k = 0; k < HISTORY_KINDS; k++)
			n[i][k] = i < TIMELINE_SLOTS / 2 ? n[2 * i][k] + n[2 * i + 1][k] : 0;
	t->shift++;
}

static void count(struct timeline *t, uint64_t ticks, enum history_kind kind)
{
	while (ticks >> t->shift >= TIMELINE_SLOTS)
		fold(t);
	t->n[ticks >> t->shift][kind]++;
}

void history_record(struct history *h, enum history_kind kind, uint32_t lin, uint32_t mode, uint64_t arg)
{
	uint64_t n = h->count, now = __builtin_ia32_rdtsc();
	struct history_event *e = &h->event[n % HISTORY_SIZE];

	count(&h->time, now - h->start, kind);
	if (!(h->keep >> kind & 1))
		return;

	/* word by word, in order: a reader that sees the new event has seen `count` reach it */
	__atomic_store_n(&e->tsc, now, __ATOMIC_RELAXED);
	__atomic_store_n(&e->arg, arg, __ATOMIC_RELAXED);
	__atomic_store_n(&e->lin, lin, __ATOMIC_RELAXED);
	__atomic_store_n(&e->mode, mode, __ATOMIC_RELAXED);
	__atomic_store_n(&e->kind, kind, __ATOMIC_RELAXED);
	__atomic_store_n(&h->count, n + 1, __ATOMIC_RELEASE);
}

uint64_t history_oldest(const struct history *h)
{
	uint64_t count = __atomic_load_n(&h->count, __ATOMIC_ACQUIRE);

	/* the slot of the one before may be being filled */
	return count >= HISTORY_SIZE ? count - HISTORY_SIZE + 1 : 0;
}

bool history_copy(const struct history *h, uint64_t n, struct history_event *out)
{
	const struct history_event *e = &h->event[n % HISTORY_SIZE];

	if (n >= __atomic_load_n(&h->count, __ATOMIC_ACQUIRE))
		return false;
	out->tsc = __atomic_load_n(&e->tsc, __ATOMIC_RELAXED);
	out->arg = __atomic_load_n(&e->arg, __ATOMIC_RELAXED);
	out->lin = __atomic_load_n(&e->lin, __ATOMIC_RELAXED);
	out->mode = __atomic_load_n(&e->mode, __ATOMIC_RELAXED);
	out->kind = __atomic_load_n(&e->kind, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return n >= history_oldest(h);
}
