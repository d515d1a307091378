/*
 * A machine for processor tests: flat memory without page tables, pages whose
 * access faults on demand, recorded port and paging events.
 *
 * Linear addresses are physical addresses. RAM is [0, MOCK_RAM); what lies
 * above faults with #PF like an absent page.
 */
#ifndef RINGFENCE_TESTS_CPU_MOCK_H
#define RINGFENCE_TESTS_CPU_MOCK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "cpu/internal.h"

enum { MOCK_RAM = 1 << 20 };
enum { MOCK_ABSENT = 1, MOCK_READONLY = 2, MOCK_SUPERVISOR = 4 }; /* page restrictions */

struct mock {
	struct cpu cpu;
	struct cpu_model model;
	uint8_t ram[MOCK_RAM];
	uint8_t page[MOCK_RAM >> PAGE_SHIFT];
	/* what the processor did to its surroundings */
	unsigned paging_changes, global_flushes, flushes, invlpgs, apic_changes, ins, outs;
	bool ferr;
	uint64_t last_invlpg;
	uint16_t last_port;
	uint32_t last_out, next_in;
	unsigned last_io_size;
};

/* A machine after reset, with the default model; free with mock_destroy. */
struct mock *mock_create(void);
void mock_destroy(struct mock *);
struct mock *mock_of(struct cpu *);

void mock_put(struct mock *, uint32_t addr, const void *, unsigned len);
void mock_put16(struct mock *, uint32_t addr, uint16_t);
void mock_put32(struct mock *, uint32_t addr, uint32_t);
uint16_t mock_get16(const struct mock *, uint32_t addr);
uint32_t mock_get32(const struct mock *, uint32_t addr);

/*
 * Protected-mode furniture at fixed places.
 *
 * GDT: base and limit in bytes or pages as attr says; attr as in struct cpu_segment.
 */
enum {
	MOCK_GDT = 0x1000,
	MOCK_IDT = 0x2000,
	MOCK_LDT = 0x3000,
	MOCK_TSS = 0x4000,  /* current TSS */
	MOCK_TSS2 = 0x5000, /* another task */
	MOCK_STACK0 = 0x20000,
	MOCK_STACK1 = 0x21000,
	MOCK_STACK2 = 0x22000,
	MOCK_STACK3 = 0x23000, /* tops; one page each grows down from here */
	MOCK_CODE = 0x30000,
};
/* Selectors that mock_protect() makes; flat 4 GiB, 32-bit unless named otherwise. */
enum {
	SEL_CODE0 = 0x08,
	SEL_DATA0 = 0x10,
	SEL_CODE3 = 0x18 | 3,
	SEL_DATA3 = 0x20 | 3,
	SEL_TSS = 0x28,
	SEL_LDT = 0x30,
	SEL_TSS2 = 0x38,
	SEL_CODE1 = 0x40 | 1,
	SEL_DATA1 = 0x48 | 1,
	SEL_CODE2 = 0x50 | 2,
	SEL_DATA2 = 0x58 | 2,
	SEL_CONF0 = 0x60,  /* conforming, DPL 0 */
	SEL_CODE16 = 0x68, /* DPL 0, 64 KiB at MOCK_CODE, 16 bits */
	SEL_DATA16 = 0x70, /* DPL 0, 64 KiB at 0, 16 bits */
	SEL_FREE = 0x80,   /* from here on for tests; table ends at 0x200 */
};
void mock_descriptor(struct mock *, uint32_t table, uint16_t sel, uint32_t base, uint32_t limit20,
		     unsigned attr);
/* An IDT, call or task gate at `addr`; type includes S=0, dpl and present are added. */
void mock_gate(struct mock *, uint32_t addr, uint16_t sel, uint32_t off, unsigned type,
	       unsigned dpl, bool present, unsigned params);
/* Protected mode at the given privilege on the furniture above, EIP at MOCK_CODE, ESP at that
 * level's stack. */
void mock_protect(struct mock *, unsigned cpl);
/* Virtual-8086 mode under the same tables. */
void mock_vm86(struct mock *, uint16_t cs, uint16_t ip, unsigned iopl);
/* Real mode with all segments 0. */
void mock_real(struct mock *, uint16_t cs, uint16_t ip);

/* Put code at CS:EIP and interpret one instruction of it. */
enum outcome mock_exec(struct mock *, const uint8_t *code, unsigned len);
#define MOCK_EXEC(m, ...)                                                                          \
	mock_exec(m, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
/* The last outcome was this fault, and nothing but cpu->fault differs from `before` (may be null).
 */
void mock_expect_fault_at(struct mock *, enum outcome, const struct cpu *before, unsigned vector,
			  uint32_t error, const char *file, int line);
#define MOCK_EXPECT_FAULT(m, outcome, before, vector, error)                                       \
	mock_expect_fault_at(m, outcome, before, vector, error, __FILE__, __LINE__)

/* State comparison for "nothing changed on a fault": all but cpu->fault. */
void mock_save(const struct mock *, struct cpu *copy);
bool mock_same(const struct mock *, const struct cpu *copy);

#endif
