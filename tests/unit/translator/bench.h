/*
 * A machine for translator tests: 16 MiB of RAM, flat segments, paging off, and a processor that either the
 * translator or the interpreter drives. Every exception and interrupt leads to a handler that halts, so that a program ends at its
 * HLT or at its first exception, and either way with its whole state in the cpu.
 */
#ifndef RINGFENCE_TESTS_UNIT_TRANSLATOR_BENCH_H
#define RINGFENCE_TESTS_UNIT_TRANSLATOR_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "translator/internal.h"

enum {
	RAM_BYTES = 16 << 20,
	/* guest physical layout */
	AT_GDT = 0x1000,
	AT_IDT = 0x1800,
	AT_TSS = 0x2000,
	AT_HANDLERS = 0x3000, /* 16 bytes each */
	AT_CODE = 0x10000,
	AT_DATA = 0x20000,
	DATA_BYTES = 0x10000,
	AT_STACK = 0x34000,   /* top; grows down into 30000 */
	AT_STACK0 = 0x3f000,
	USED_BYTES = 0x40000, /* all of the above */
	AT_FAR = 0x100000,    /* for tests that want room */
	AT_MMIO = 0xd0000000,
	FS_BASE = 0x21000,
	/* bench_paging */
	DIRECTORY = 0x50000, /* one for each of two address spaces, a page apart */
	IDENTITY = 0x52000,  /* page table of the first 4 MiB */
	TABLE = 0x53000,     /* of the region, for each address space */
	REGION = 0x40000000,
	RWU = 7,
};

/* The bytes of a constant, in a list of bytes. */
#define LE32(v) (uint8_t)((v) & 0xff), (uint8_t)((v) >> 8 & 0xff), (uint8_t)((v) >> 16 & 0xff), (uint8_t)((v) >> 24 & 0xff)

struct bench {
	struct physmap *pm;
	struct cpu *cpu;
	struct mmu *mmu;
	struct tc *tc;
	/* what the interrupt lines say */
	bool interrupt;
	uint32_t extra_mode; /* added to the processor's mode by bench_translate */
	unsigned mmio_reads, mmio_writes;
	uint32_t mmio_value;
};

struct bench_options {
	size_t ram; /* 0: RAM_BYTES */
	size_t tc_size;
	void (*failed)(void *bench, const char *what, const char *details); /* may be null */
	bool lockstep;
	bool counts;
};

void bench_open(struct bench *, const struct bench_options *);
void bench_close(struct bench *);
/* Descriptor tables and handlers, registers; EIP = AT_CODE, ring 0 or 3, interrupts off. */
void bench_reset(struct bench *, bool user);
/* Ring 3 with paging: the first 4 MiB where they are, and a region of which the page tables are empty. In the first address space. */
void bench_paging(struct bench *);
/* Load CR3. */
void bench_switch(struct bench *, unsigned space);
/* Guest-visible writing: translations are told. */
void bench_put(struct bench *, uint32_t at, const void *, unsigned len);
void bench_put32(struct bench *, uint32_t at, uint32_t value);
uint32_t bench_get32(struct bench *, uint32_t at);
/* Run until the guest halts. */
void bench_run_tc(struct bench *);
/* The same by the interpreter; false when `max` instructions were not enough. */
bool bench_run_interp(struct bench *, unsigned max);
/* Translate what stands at AT_CODE in the processor's present mode, unverified; all of its host code. */
const uint8_t *bench_translate(struct bench *, const void *guest, unsigned len, unsigned *host_len);
/* Vector of the handler that the guest halted in; -1: it halted by itself. */
int bench_vector(const struct bench *);

#endif
