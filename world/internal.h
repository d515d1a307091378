/* Inside world/: a world as the monitor has it. */
#ifndef RINGFENCE_WORLD_INTERNAL_H
#define RINGFENCE_WORLD_INTERNAL_H

#include "world/protocol.h"
#include "world/world.h"

struct world {
	int pid, pidfd, socket, ram_fd;
	struct world_page *page; /* shared */
	struct world_orders *orders;
	bool dead;
	bool cpuid_faults;
	bool asleep; /* known to be, since it was last given the turn */
	int cpu; /* the processor it is bound to; -1: none yet */
	atomic_bool running;
	uint8_t *prot; /* of each page */
	struct world_op op[WORLD_OPS];
	unsigned ops;
	struct cpu_segment ldt[WORLD_LDT_ENTRIES]; /* what the entries imitate; selector field unused */
	unsigned ldt_next;
};

/* process.c */
bool process_start(struct world *, char *err, size_t errlen);
void process_end(struct world *);
/* Has it ended? A stopped one is continued. */
bool process_gone(struct world *);
/* Wait until it is the monitor's turn; false: the world is dead. */
bool turn_await(struct world *, const _Atomic uint32_t *stop);
void turn_give(struct world *);
/* It is the monitor's turn: make sure that the world runs nothing. One that cannot be shown to sleep is killed. */
void turn_hold(struct world *);
bool process_send_ram(struct world *);

/* place.c */
/* Have the world run on the processor that this thread is on, and both stay there for a while. */
void place_together(struct world *);

#endif
