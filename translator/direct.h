/* Running user code directly: the translator's side of worlds (world/world.h). */
#ifndef RINGFENCE_TRANSLATOR_DIRECT_H
#define RINGFENCE_TRANSLATOR_DIRECT_H

#include "translator/internal.h"

struct direct;

/* ---- direct.c ---- */
/* Null when it is off, or not possible here (one line on stderr says why). */
struct direct *direct_create(struct tc *);
void direct_destroy(struct direct *);
/*
 * In MODE_DIRECT, at a boundary with nothing pending: run guest code at cpu->rip in a world until it stops, and deal with why.
 * False: nothing was done, this code has to run translated.
 */
bool direct_run(struct tc *);
/*
 * tc->x.kick has been set. Have the world that runs come back; false: none runs, nor will before kick has been looked at. Any thread.
 */
bool direct_kick(struct tc *);
/* Control is back at the run loop: give the thread the processors it may use, if no world has run for a while. */
void direct_rest(struct tc *);
/* The bytes of a page of RAM are about to change, or it is not write-protected any more. */
void direct_code_written(struct tc *, uint64_t gfn);
/* A unit of translated code begins at this address. */
void direct_code_added(struct tc *, uint64_t gpa);
/* All translations were forgotten. */
void direct_flush(struct tc *);

/* ---- direct_gear.c ---- */
/* Does user code of this space run directly? */
bool direct_gear(const struct tc *, unsigned space);
void direct_tick(struct tc *, unsigned space);
void direct_demote(struct tc *, unsigned space, enum demotion why);
/* User code of a space is about to run, and has ended to run for the kernel's. */
void direct_user_code(struct tc *, unsigned space);
void direct_kernel_code(struct tc *); /* tc->stretch is not null */
/* User code has come to a page that may not run directly. */
void direct_unfit(struct tc *, unsigned space);
/* From how many cycles of the TSC on is a stretch long? */
uint64_t direct_long(const struct tc *);
void direct_gear_reset(struct tc *, unsigned space);

/* ---- vet.c ---- */
enum { VET_STARTS = 4096 / 64 }; /* words of a bitmap of instruction starts */
/*
 * May all code of the page of `lin` (which is mapped to frame gfn) run directly? `lin` is an instruction that is about to. `starts`
 * receives the offsets of the instructions looked at, `needs` what must be so while they run, `next` the frame of
 * the following page if the answer depends on it, NEXT_ABSENT if it holds as long as nothing executable follows, else NEXT_ANY.
 */
#define NEXT_ANY (~0ull)
#define NEXT_ABSENT (~0ull - 1)
enum { NEEDS_VECTOR = 2, /* FPU and SSE are on */ NEEDS_FLAGS = 4 /* IF is 1, IOPL 0, NT 0: EFLAGS may be looked at */ };
bool vet_page(struct tc *, uint32_t lin, uint64_t gfn, uint64_t *starts, uint8_t *needs, uint64_t *next);
/* Where the instruction at this address ends; the address itself when it cannot be decoded. */
uint32_t vet_insn_end(struct tc *, uint32_t lin);

/* ---- smc.c ---- */
/* Report writes to the page as if it held translations. */
void smc_watch(struct tc *, uint64_t gfn);
/* Offsets of units that begin in the page, and where the last one that began before it ends in it (else 0). At most max. */
unsigned smc_starts(struct tc *, uint64_t gfn, uint16_t *starts, unsigned max, unsigned *tail);
/* Drop the units of a mode on a page: it runs another way from now on. */
void smc_drop_mode(struct tc *, uint64_t gfn, uint32_t mode_bit);

#endif
