/* What direct.c and direct_code.c share. */
#ifndef RINGFENCE_TRANSLATOR_DIRECT_INTERNAL_H
#define RINGFENCE_TRANSLATOR_DIRECT_INTERNAL_H

#include "translator/direct.h"
#include "world/world.h"

#include <pthread.h>

enum { WORLDS_MAX = 8, EXEC_MAX = 4096, NO_SPACE = MMU_MAX_SPACES };

/* What is known of a page of guest-physical memory; indexed by frame. */
struct page_vet {
	uint8_t state;
	uint32_t written;      /* counts writes */
	uint32_t next_written; /* that of `next` when it was looked at */
	uint32_t next;         /* the answer depends on the frame next - 1; 0: on no other; ABSENT */
};
#define ABSENT UINT32_MAX /* it holds as long as the following page is not executable */

struct exec_page {
	uint32_t page;
	uint64_t gfn;
};

struct host_world {
	struct world *w;
	unsigned space; /* NO_SPACE: none at present */
	uint64_t used; /* TSC */
	uint64_t entries; /* since it is this space's */
	unsigned execs;
	/* since the last audit */
	unsigned exits;
	int64_t cpu_ns; /* its processor time at the first of them */
	struct exec_page exec[EXEC_MAX];
};

struct direct {
	struct tc *tc;
	struct host_world *world[WORLDS_MAX];
	unsigned worlds;
	struct world *_Atomic running;
	pthread_mutex_t kicking; /* held by who kicks it, and while a world is destroyed */
	uint32_t min_page; /* lower ones cannot be mapped */
	uint64_t pages;    /* of guest-physical space */
	struct page_vet *vet;
	uint64_t (*starts)[VET_STARTS];
	struct world_cost cost; /* of going in and out */
	uint64_t vet_cycles;    /* spent on looking at pages, and not yet accounted for */
	uint32_t stuck_rip, stuck;
	bool warned, refused;
};

/* ---- direct_code.c ---- */
/* The page of `lin` is executable in the world at its next run; false: not possible. */
bool direct_offer_code(struct direct *, struct host_world *, uint32_t lin);

#endif
