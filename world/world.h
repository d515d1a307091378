/*
 * Worlds: confined processes in which guest user code runs directly on the processor.
 *
 *   monitor (vCPU thread)                     world process
 *   world_map, world_unmap   queue
 *   world_run  ---- shared page, turn ---->   apply the queue, run guest code
 *              <--- registers, reason -----   stopped by a signal
 *
 * A world shows RAM pages at guest addresses below 4 GiB and holds nothing else that is not its own. What it answers is
 * validated; one that answers wrongly, not at all, or has been killed is WORLD_STOP_DEAD or WORLD_STOP_UNRUN and must be destroyed: its
 * guest loses the registers of that run, or nothing; nobody else loses anything.
 *
 * Threading: a world belongs to its vCPU thread; world_kick may be called from its signal handlers and from any
 * thread while the world exists.
 */
#ifndef RINGFENCE_WORLD_WORLD_H
#define RINGFENCE_WORLD_WORLD_H

#include "cpu/cpu.h"

#include <stdatomic.h>

struct world;

enum { WORLD_READ = 1, WORLD_WRITE = 2, WORLD_EXEC = 4, WORLD_PAGES = 1 << 20 };

enum world_stop {
	WORLD_STOP_SIGNAL,  /* see world_exit */
	WORLD_STOP_KICK,    /* kicked; the registers are valid */
	WORLD_STOP_MAP,     /* the host refused a mapping: nothing was run, all mappings are gone */
	WORLD_STOP_DEAD,    /* the registers are lost */
	WORLD_STOP_UNRUN,   /* dead too, but guest code did not run: the registers still are the state */
};

/* What stopped guest code, as the host's signal frame says. */
struct world_exit {
	int signal, code;
	uint32_t trap, error, arch;
	uint32_t address; /* page faults */
};

/* FS or GS: the hidden part matters, the selector is the world's own. */
struct world_registers {
	uint32_t gpr[8];
	uint32_t eip, eflags;
	const struct cpu_segment *fs, *gs;
};

/* Start a world for this RAM. Takes about a millisecond. Null with one line in err. */
struct world *world_create(int ram_fd, char *err, size_t errlen);
void world_destroy(struct world *);

/* Show n pages of RAM from byte `file` at page numbers first.. (gva >> 12); in force at the next run. */
void world_map(struct world *, uint32_t first, uint32_t n, uint64_t file, unsigned prot);
/* Pages [first, last] must not be reachable at the next run. Any time, any range; pages not mapped are ignored. */
void world_unmap(struct world *, uint32_t first, uint32_t last);
/* WORLD_READ | ... of a page as it will be at the next run; 0: not mapped. */
unsigned world_page(const struct world *, uint32_t page);
enum { WORLD_QUEUE = 192 }; /* mappings and unmappings that can wait for a run */
/* Is there room in the queue for n more mappings? */
bool world_room(const struct world *, unsigned n);
/* How many wait. */
unsigned world_orders(const struct world *);
/* Can FS and GS be imitated? */
bool world_segments_possible(const struct cpu_segment *fs, const struct cpu_segment *gs);

/* Run guest code until it stops. `stop` (may be null) is looked at once before: non-zero means do not run. */
enum world_stop world_run(struct world *, struct world_registers *, struct cpu_fx *, struct world_exit *,
			  const _Atomic uint32_t *stop);
/* Stop guest code soon. Async-signal-safe. */
void world_kick(struct world *);
/*
 * Running a world binds this thread and the world to the processor they are on (place.c); this gives the thread its processors back
 * when that was some time ago, or (`now`) at once.
 */
void world_unbind_thread(bool now);
int world_pid(const struct world *);
/* Does CPUID raise #GP in it? Some hosts can have that. */
bool world_cpuid_faults(const struct world *);
/* What a run costs that stops at once. */
struct world_cost {
	uint64_t cycles;         /* of the TSC, from going in to being back: the least of several */
	int64_t cpu_ns, own_ns;  /* processor time: of both sides on the average, and of the world */
};
/* The world must be empty, and is afterwards. */
void world_measure(struct world *, struct world_cost *);
/*
 * Does this host have what worlds need? Runs one for a moment. Null: yes, at what cost, and what world_cpuid_faults says of each;
 * else one line saying what is missing.
 */
const char *world_unavailable(int ram_fd, struct world_cost *, bool *cpuid_faults);
/* Processor time it has used so far; 0 when it is dead. */
int64_t world_cpu_ns(const struct world *);

#endif
