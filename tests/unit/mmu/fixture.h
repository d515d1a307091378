/*
 * A machine for mmu tests: physical map, cpu and mmu, with helpers to build guest page tables
 * and to touch windows as translated code would: on a host fault, ask the mmu, try again.
 */
#ifndef RINGFENCE_TESTS_UNIT_MMU_FIXTURE_H
#define RINGFENCE_TESTS_UNIT_MMU_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mmu/mmu.h"

#define MIB (1ull << 20)

enum {
	P = 1,
	W = 2,
	U = 4,
	A = 0x20,
	D = 0x40,
	PS = 0x80,
	G = 0x100,
	PWUAD = P | W | U | A | D,
	PWAD = P | W | A | D,
};

struct env {
	struct physmap *pm;
	struct cpu cpu;
	struct mmu *m;
};

enum touch {
	TOUCHED,	/* no fault */
	TOUCHED_FILLED, /* after one or more hidden faults */
	TOUCH_TRUE,
	TOUCH_IO,
	TOUCH_CODE,
	TOUCH_USER,
};

/* RAM bytes, user windows and mapping budget (0: defaults). */
void env_open(struct env *, uint64_t ram, unsigned users, unsigned budget);
void env_close(struct env *);

/* Physical memory, for building tables; as a device would write it. */
void poke32(struct env *, uint64_t gpa, uint32_t value);
void poke64(struct env *, uint64_t gpa, uint64_t value);
uint32_t peek32(struct env *, uint64_t gpa);
uint64_t peek64(struct env *, uint64_t gpa);

/* Change control registers and tell the mmu, as cpu/ does. */
void set_paging(struct env *, uint32_t cr3, uint32_t cr4, bool wp);
void load_cr3(struct env *, uint32_t cr3);
void flush_page(struct env *, uint32_t va); /* INVLPG */
/* Whether these two try the lean path first, and how often it did it. */
extern bool try_lean;
extern unsigned lean_done;

/* Access the window once; *value is read or written as a dword. */
enum touch touch_read(struct env *, bool user, uint32_t va, uint32_t *value);
enum touch touch_write(struct env *, bool user, uint32_t va, uint32_t value);

#endif
