/*
 * What the monitor and a world say to each other: one shared page, used in turns, and one with orders, which the world cannot write.
 *
 * `turn` says whose turn it is; only that side touches the rest. The monitor believes nothing it reads here: it copies once,
 * masks, and takes a wrong answer for the end of the world. All addresses above 4 GiB that exist in a
 * world are those of the stub (linked at STUB_BASE), this page, and nothing else.
 */
#ifndef RINGFENCE_WORLD_PROTOCOL_H
#define RINGFENCE_WORLD_PROTOCOL_H

#define WORLD_STUB_BASE 0x5eed00000000
#define WORLD_PAGE_BASE 0x5eee00000000
#define WORLD_PAGE_SIZE 0x1000
#define WORLD_ORDERS_BASE 0x5eee00001000
#define WORLD_ORDERS_SIZE 0x2000
#define WORLD_KICK_SIGNAL 12 /* SIGUSR2 */
#define WORLD_SOCKET 0       /* descriptors in the world */
#define WORLD_RAM 1          /* open only while mappings change */
#define WORLD_CS 0x23        /* Linux's 32-bit user code and data segments */
#define WORLD_DS 0x2b

#define WORLD_TURN_MONITOR 1

/* Offsets that assembly touches; asserted below. */
#define WP_GPR 16
#define WP_RIP 80
#define WP_EFLAGS 88
#define WP_FS 92
#define WP_GS 94
#define WP_FX 128
#define WP_RAN 116
#define WO_XSTATE 0

#ifndef __ASSEMBLER__
#include <stdint.h>

enum { WORLD_OPS = 192 /* WORLD_QUEUE */, WORLD_LDT_ENTRIES = 16 };
enum { TURN_STARTING, TURN_MONITOR = WORLD_TURN_MONITOR, TURN_WORLD };

enum world_reason {
	WORLD_SIGNAL,     /* guest code stopped by signal `sig`; the image is complete */
	WORLD_KICKED,     /* kicked before guest code ran: the image is as it was */
	WORLD_READY,      /* started and locked up */
	WORLD_MAP_FAILED, /* mapping operation `failed` could not be done; nothing was run */
	WORLD_BROKEN,     /* a signal where none can be: the stub has been tampered with */
};

/* A mapping operation: pages [first, first + n) show RAM from byte `file` on; prot 0 unmaps. */
struct world_op {
	uint32_t first, n;
	uint64_t file;
	uint32_t prot, pad;
};

/* What modify_ldt takes (struct user_desc). */
struct world_ldt {
	uint32_t entry, base, limit, flags;
};

struct world_page {
	uint32_t turn;
	uint32_t monitor_sleeps, world_sleeps;
	uint32_t monitor; /* process id, checked by the stub against its parent */
	/* register image */
	uint64_t gpr[8];
	uint64_t rip;
	uint32_t eflags;
	uint16_t fs, gs;
	uint16_t cs, ss, ds, es;
	uint32_t pad[3];
	uint32_t ran; /* set by the world before guest code runs: what it was given is not the state any more */
	uint32_t cpuid_faults; /* set by the world before it is ready: CPUID raises #GP in it */
	uint32_t pad1;
	uint8_t fx[512];
	uint64_t xsave_header[8]; /* FXSAVE image and this are what XRSTOR takes */
	/* why it came back */
	uint32_t reason, sig;
	int32_t code;
	uint32_t trap, error;
	uint32_t failed;
	uint64_t address;
	uint32_t arch;
	uint32_t parked; /* where the monitor moves a world that sleeps (world/process.c) */
};

/*
 * What to do before guest code runs. Read-only in the world: guest code that has got into 64-bit mode can write all that the stub
 * can write, and must not add orders of its own.
 */
struct world_orders {
	uint32_t xstate; /* there is more vector state than FXRSTOR loads, and XRSTOR to reset it */
	uint32_t ops, ops_map; /* how many operations; do any of them need RAM's descriptor? */
	struct world_ldt ldt[2];
	uint32_t ldt_set;
	struct world_op op[WORLD_OPS];
};

_Static_assert(sizeof(struct world_page) <= WORLD_PAGE_SIZE, "fits");
_Static_assert(sizeof(struct world_orders) <= WORLD_ORDERS_SIZE, "fits");
_Static_assert(__builtin_offsetof(struct world_page, turn) == 0, "layout");
_Static_assert(__builtin_offsetof(struct world_page, gpr) == WP_GPR, "layout");
_Static_assert(__builtin_offsetof(struct world_page, rip) == WP_RIP, "layout");
_Static_assert(__builtin_offsetof(struct world_page, eflags) == WP_EFLAGS, "layout");
_Static_assert(__builtin_offsetof(struct world_page, fs) == WP_FS, "layout");
_Static_assert(__builtin_offsetof(struct world_page, gs) == WP_GS, "layout");
_Static_assert(__builtin_offsetof(struct world_page, fx) == WP_FX, "layout");
_Static_assert(__builtin_offsetof(struct world_page, ran) == WP_RAN, "layout");
_Static_assert(__builtin_offsetof(struct world_page, xsave_header) == WP_FX + 512 && WP_FX % 64 == 0, "what XRSTOR takes");
_Static_assert(__builtin_offsetof(struct world_orders, xstate) == WO_XSTATE, "layout");
#endif
#endif
