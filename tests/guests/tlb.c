/*
 * What the TLB promises: a change of the tables is seen after INVLPG or a CR3 load; rights may
 * always be widened without a flush (a fault re-walks); global pages survive CR3 loads.
 * SDM: "Caching Translation Information". A stale answer before the flush is allowed, never
 * required.
 */
#include "lib/guest.h"

enum { VA = TEST_VA, RW = PTE_P | PTE_W };

static volatile u32 *const at = (volatile u32 *)VA;

static void frame_values(void)
{
	for (u32 i = 0; i < FRAMES; i++)
		*(u32 *)frames[i] = 0x1000 + i;
}

static void remap(void)
{
	bool ok = true;

	for (u32 i = 0; i < 1000 && ok; i++) {
		test_table[0] = (u32)frames[i % FRAMES] | RW;
		invlpg(VA);
		ok = *at == 0x1000 + i % FRAMES;
	}
	report(ok, "INVLPG shows the new frame, 1000 times");
	ok = true;
	for (u32 i = 0; i < 1000 && ok; i++) {
		test_table[0] = (u32)frames[i % FRAMES] | RW;
		write_cr3((u32)page_dir);
		ok = *at == 0x1000 + i % FRAMES;
	}
	report(ok, "CR3 load shows the new frame, 1000 times");
	test_table[0] = (u32)frames[1] | RW;
	u32 seen = *at;

	report(seen == 0x1000 + 1 || seen == 0x1000 + 999 % FRAMES,
	       "without a flush: the old frame or the new one");
	invlpg(VA + 0xfff);
	check_eq(*at, 0x1001, "INVLPG of any byte of the page");
}

static void rights(void)
{
	struct context c;

	write_cr0(read_cr0() | CR0_WP);
	map(0, (u32)frames[0], PTE_P);
	(void)*at;
	test_table[0] |= PTE_W;
	c = kernel_context(CODE("movl $0x1000,(%ebx)"));
	c.ebx = VA;
	run(&c);
	report(c.vector == DONE || c.vector == PF, "read-only to writable without a flush");
	if (c.vector == PF) {
		/* The fault itself drops the entry: the restart must work. */
		run(&c);
		expect_done(&c, "the fault drops the stale entry");
	}
	test_table[0] &= ~PTE_W;
	invlpg(VA);
	c = kernel_context(c.start);
	c.ebx = VA;
	run(&c);
	expect(&c, "writable to read-only with INVLPG", PF, PFE_P | PFE_W, 0);
	test_table[0] = 0;
	invlpg(VA);
	c = kernel_context(CODE("movl (%ebx),%eax"));
	c.ebx = VA;
	run(&c);
	expect(&c, "unmapped with INVLPG", PF, 0, 0);
	test_table[0] = (u32)frames[2] | RW;
	run(&c); /* restart: absent entries are never cached */
	expect_done(&c, "absent to present needs no flush");
	check_eq(c.eax, 0x1002, "and reads the new frame");
}

/* The dirty bit must be set again after it was cleared and the entry flushed. */
static void dirty_again(void)
{
	map(0, (u32)frames[0], RW);
	*at = 0x1000;
	report(test_table[0] & PTE_D, "dirty after a write");
	test_table[0] &= ~(PTE_D | PTE_A);
	invlpg(VA);
	(void)*at;
	check_eq(test_table[0] & (PTE_A | PTE_D), PTE_A, "read sets A only");
	*at = 0x1000;
	check_eq(test_table[0] & (PTE_A | PTE_D), PTE_A | PTE_D, "write sets D in a live entry");
}

/* A whole table replaced at a directory slot. */
static void directory(void)
{
	static u32 other_table[1024] __attribute__((aligned(4096)));

	map(0, (u32)frames[0], RW);
	other_table[0] = (u32)frames[7] | RW;
	(void)*at;
	page_dir[VA >> 22] = (u32)other_table | RW | PTE_U;
	write_cr3((u32)page_dir);
	check_eq(*at, 0x1007, "directory entry replaced, CR3 loaded");
	page_dir[VA >> 22] = (u32)test_table | RW | PTE_U;
	invlpg(VA);
	check_eq(*at, 0x1000, "directory entry replaced, INVLPG");
}

/* Global entries outlive CR3 loads, and die with INVLPG or a change of CR4.PGE. */
static void global(void)
{
	write_cr4(read_cr4() | CR4_PGE);
	test_table[0] = (u32)frames[3] | RW | PTE_G;
	invlpg(VA);
	(void)*at;
	test_table[0] = (u32)frames[4] | RW | PTE_G;
	write_cr3((u32)page_dir);
	u32 seen = *at;

	report(seen == 0x1003 || seen == 0x1004,
	       "global page after a CR3 load: old or new, no other");
	write_cr4(read_cr4() & ~CR4_PGE);
	check_eq(*at, 0x1004, "clearing CR4.PGE flushes global pages");
	write_cr4(read_cr4() | CR4_PGE);
	test_table[0] = (u32)frames[5] | RW | PTE_G;
	invlpg(VA);
	check_eq(*at, 0x1005, "INVLPG flushes a global page");
	write_cr4(read_cr4() & ~CR4_PGE);
}

/* Switching paging off and on, and writing CR0.WP, flush too. */
static void paging_bits(void)
{
	map(0, (u32)frames[0], RW);
	(void)*at;
	test_table[0] = (u32)frames[6] | RW;
	write_cr0(read_cr0() & ~CR0_PG);
	write_cr0(read_cr0() | CR0_PG);
	check_eq(*at, 0x1006, "turning CR0.PG off and on flushes");
}

/* Changes to the page tables made through another mapping of the table itself. */
static void table_through_itself(void)
{
	volatile u32 *window = (volatile u32 *)(TEST_VA + 10 * 4096);

	map(10, (u32)test_table, RW);
	window[0] = (u32)frames[8] | RW;
	invlpg(VA);
	check_eq(*at, 0x1008, "table changed through a mapping of itself");
	/* The table is written by code that uses the mapping being changed. */
	bool ok = true;

	for (u32 i = 0; i < 100 && ok; i++) {
		window[11] = (u32)frames[i % FRAMES] | RW;
		invlpg(TEST_VA + 11 * 4096);
		ok = *(volatile u32 *)(TEST_VA + 11 * 4096) == 0x1000 + i % FRAMES;
	}
	report(ok, "a page mapped and read 100 times through the self-mapping");
}

void guest_main(void)
{
	frame_values();
	paging_enable();
	remap();
	rights();
	frame_values();
	dirty_again();
	directory();
	global();
	paging_bits();
	table_through_itself();
}
