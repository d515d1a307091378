/*
 * The translator: runs guest code from the translation cache.
 *
 * One `struct tc` serves one vCPU. `tc_run` executes guest code, delivering the guest's exceptions and
 * taking external interrupts through `tc_ops`, until something needs the program above it.
 */
#ifndef RINGFENCE_TRANSLATOR_TRANSLATOR_H
#define RINGFENCE_TRANSLATOR_TRANSLATOR_H

#include "cpu/cpu.h"
#include "mmu/mmu.h"

#include <stdio.h>

struct tc;

/* Which user code reaches memory by look-up instead of through a window: that of young address spaces, all, none. */
enum tc_lookup { TC_LOOKUP_AUTO, TC_LOOKUP_ON, TC_LOOKUP_OFF };

/* Does user code run directly: never, when it computes, whenever it can. */
enum tc_direct { TC_DIRECT_OFF, TC_DIRECT_AUTO, TC_DIRECT_ON };

struct tc_config {
	size_t size;      /* bytes of translated code; 0: default */
	bool verify;      /* run the verifier on every CCF (always on in debug builds) */
	bool lockstep;    /* run every block in the interpreter too and compare */
	bool count;       /* count executed guest instructions (costs a little) */
	bool counts;      /* count the entries of each block, too */
	bool interpret;   /* -accel interp: never translate */
	bool perfmap, jitdump; /* names of translations for perf (symbols.c) */
	enum tc_lookup lookup;
	enum tc_direct direct;
};

struct tc_ops {
	/* machine_interrupt_pending / machine_interrupt_ack and the NMI pair */
	bool (*interrupt_pending)(void *ctx);
	int (*interrupt_ack)(void *ctx);
	bool (*nmi_pending)(void *ctx);
	bool (*nmi_ack)(void *ctx);
	void *ctx;
	/* A translation was refused by the verifier, or lockstep found a difference. May be null. */
	void (*failed)(void *ctx, const char *what, const char *details);
};

enum tc_exit {
	TC_EXIT_KICK,     /* tc_kick was called: look around, call again */
	TC_EXIT_HALT,     /* the guest executed HLT and nothing is pending */
	TC_EXIT_SHUTDOWN, /* triple fault */
	TC_EXIT_DEBUG,    /* before an instruction at a breakpoint */
	TC_EXIT_ERROR,    /* the host failed or lockstep found a difference; reported already */
};

struct tc *tc_create(const struct tc_config *, struct cpu *, struct mmu *, struct physmap *,
		     const struct tc_ops *, char *err, size_t errlen);
void tc_destroy(struct tc *);

/* Must be called once on the vCPU thread before tc_run: alternate signal stack, signal handlers. */
bool tc_thread_init(struct tc *, char *err, size_t errlen);
/* Before that thread ends, if it does before tc_destroy. */
void tc_thread_fini(struct tc *);
enum tc_exit tc_run(struct tc *);

/* Have a running tc_run come back to a block boundary soon and look at interrupts and requests. Any thread. */
void tc_kick(struct tc *);

/*
 * tc_run returns TC_EXIT_DEBUG before it executes the instruction at one of these linear addresses (ascending), also when it
 * starts there. Translations end before them and those that contain them are dropped: other code runs as before. vCPU
 * thread, not inside tc_run. n = 0: none any more. False: no memory, nothing changed.
 */
bool tc_set_breakpoints(struct tc *, const uint32_t *lin, unsigned n);

/*
 * Somebody looks at events (cpu->watch): system instructions then go by the interpreter, which knows of it. Code stays as it is. vCPU
 * thread, not inside tc_run.
 */
void tc_set_watched(struct tc *, bool on);

/* The translated unit of the present mode around `lin`: the address of its last instruction. False: there is none. */
bool tc_unit_end(struct tc *, uint32_t lin, uint32_t *last);

/* Forget all translations (reset). vCPU thread, not inside tc_run. */
void tc_flush(struct tc *);

/* ---- for the debug monitor (view*.c): text. On the vCPU thread outside of tc_run; the guest does not notice. ---- */
struct tc_view {
	const char *name;
	bool address; /* takes an address first */
	const char *params, *help;
	/* `args`: what follows. Null, or what is wrong (a constant string). */
	const char *(*run)(struct tc *, uint32_t lin, const char *args, FILE *);
};
/* The n-th view; null ends. */
const struct tc_view *tc_view_nth(unsigned n);
const struct tc_view *tc_view_find(const char *name);
void tc_view_info(struct tc *, FILE *);
void tc_view_callouts(struct tc *, FILE *);
void tc_view_gears(struct tc *, FILE *);
void tc_view_worlds(struct tc *, FILE *);

/* ---- live events (trace.c): `tc trace live` ---- */
struct tc_trace;
/* `args`: [EVENT,...] [addr=RANGE] [mode=user|kernel] [limit=N]. Null with what is wrong. vCPU thread, outside of tc_run. */
struct tc_trace *tc_trace_open(struct tc *, const char *args, const char **wrong);
/* The same thread, or any when that one has ended. */
void tc_trace_close(struct tc_trace *);
/* All that are open end; how many there are. vCPU thread, outside of tc_run. */
unsigned tc_trace_stop(struct tc *);
/*
 * One reading thread: what has happened since the last call, at most `max` lines; returns how many. The guest never
 * waits: who is too late is told how much was lost.
 */
unsigned tc_trace_read(struct tc_trace *, FILE *, unsigned max);
/* Stopped, or the limit is reached. */
bool tc_trace_ended(const struct tc_trace *);
/* The sums, at the end. */
void tc_trace_print_end(struct tc_trace *, FILE *);
/* An exception or interrupt is about to be delivered. vCPU thread. */
void tc_trace_delivery(struct tc *, const struct cpu_delivery *);

/*
 * The log's classes have changed (cpu/log.h): those that want to see each block take chaining and the lean path away, and
 * give them back. vCPU thread, outside of tc_run.
 */
void tc_log_changed(struct tc *);

/* ---- statistics ---- */
#define TC_STATS(X) \
	X(translations, "blocks translated") \
	X(guest_instructions, "guest instructions translated") \
	X(guest_bytes, "guest bytes translated") \
	X(host_bytes, "host bytes emitted") \
	X(revivals, "blocks revived by content hash") \
	X(relocations, "blocks moved to another linear address") \
	X(invalidations, "blocks dropped by writes") \
	X(evictions, "blocks evicted for room") \
	X(chains, "exits chained") \
	X(dispatches, "returns to the dispatcher") \
	X(lean, "of them without saving vector state") \
	X(lean_system, "system instructions done so") \
	X(lookup_misses, "indirect look-up misses") \
	X(refills, "look-ups that missed and were filled on the lean path") \
	X(lean_faults, "page faults delivered on the lean path") \
	X(callouts, "generic callouts") \
	X(interpreted, "instructions interpreted") \
	X(executed, "instructions executed in translated code (with counting on)") \
	X(interrupts, "external interrupts taken") \
	X(exceptions, "exceptions delivered") \
	X(kicks, "kicks") \
	X(promotions, "address spaces promoted from look-up to window") \
	X(demotions, "address spaces demoted to look-up") \
	X(worlds, "worlds made") \
	X(worlds_recycled, "worlds given to another address space") \
	X(world_entries, "times guest code was run directly") \
	X(world_faults, "page faults in worlds") \
	X(world_fetches, "of them for code") \
	X(world_unfit, "times code came to a page that may not run directly") \
	X(world_traps, "other exceptions in worlds") \
	X(world_calls, "of them INT 80h") \
	X(world_kicks, "worlds interrupted") \
	X(world_deaths, "worlds lost") \
	X(world_deaths_idle, "of them while no guest code ran: nothing was lost with them") \
	X(pages_fit, "code pages found fit to run directly") \
	X(pages_unfit, "code pages found unfit") \
	X(direct_promotions, "address spaces that became candidates for running directly") \
	X(direct_demotions, "of them dismissed") \
	X(direct_demotions_short, "because their stretches were short; the others because worlds cost too much") \
	X(stretches_long, "long stretches of candidates' user code") \
	X(stretches_short, "short stretches") \
	X(stretches_mistaken, "of them run directly") \
	X(stretches_held, "long ones held back: they came to pages that may not run directly again and again") \
	X(translate_ns, "nanoseconds spent translating") \
	X(callout_ns, "in generic callouts (estimated: one in 16 is timed)") \
	X(interpret_ns, "interpreting besides them (estimated: one in 16 is timed)") \
	X(fault_ns, "handling host faults (without the kernel's part)") \
	X(direct_ns, "running guest code directly")
struct tc_stats {
#define X(name, text) uint64_t name;
	TC_STATS(X)
#undef X
};
const struct tc_stats *tc_statistics(const struct tc *);
void tc_print_stats(const struct tc *, FILE *);

#endif
