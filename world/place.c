/*
 * Where a world runs: on the processor of the thread that runs it.
 *
 * Only one of the two ever has something to do, so they need one processor between them. Handed over on one processor, the turn costs
 * a switch of processes (6.5 us there and back). Left to itself the host's scheduler wakes the other side on an idle processor
 * instead, and waking that one up costs 20 to 30 us in a virtual machine; spinning on two processors would be the fastest
 * (2.3 us), but only when the answer is sooner than the spinning side gives up, and at the price of a processor.
 *
 * So both are bound to the processor on which the thread is found. The scheduler must be able to move them when others
 * want that processor, and it cannot move one of two bound tasks: therefore a binding holds for LEASE_NS. Then the thread is unbound
 * for one turn, wakes up where the scheduler thinks best, and they are bound there.
 */
#include "world/internal.h"

#include <sched.h>
#include <time.h>

enum { LEASE_NS = 40 * 1000 * 1000 };

/* Of this thread. */
static _Thread_local struct {
	int cpu;        /* bound to; meaningful when `bound` */
	bool bound;
	cpu_set_t free; /* what it may use when it is not bound */
	int64_t since;
} place;

static int64_t coarse_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static bool bind_to(int pid, int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return !sched_setaffinity(pid, sizeof(one), &one);
}

static bool is_ours(const cpu_set_t *set)
{
	return CPU_COUNT(set) == 1 && CPU_ISSET(place.cpu, set);
}

/* Somebody else may have moved the thread since; that is respected. */
static void unbind(void)
{
	cpu_set_t now;

	place.bound = false;
	if (!sched_getaffinity(0, sizeof(now), &now) && is_ours(&now))
		sched_setaffinity(0, sizeof(place.free), &place.free);
}

static void bind_here(void)
{
	int cpu = sched_getcpu();

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(place.free), &place.free))
		return;
	place.cpu = cpu;
	place.since = coarse_ns();
	place.bound = bind_to(0, cpu);
}

void world_unbind_thread(bool now)
{
	if (place.bound && (now || coarse_ns() - place.since > LEASE_NS))
		unbind();
}

void place_together(struct world *w)
{
	if (!place.bound)
		bind_here();
	else if (coarse_ns() - place.since > LEASE_NS)
		unbind(); /* for this turn; the world stays where it is */
	if (place.bound && w->cpu != place.cpu && bind_to(w->pid, place.cpu))
		w->cpu = place.cpu;
}
