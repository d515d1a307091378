/*
 * Self-modifying code. x86 promises that a write to code is seen by the next jump at the latest,
 * and processors since the P6 that it is seen at once; by any mapping. SDM: "Self-Modifying Code".
 * All tests jump or are far enough from the write to be safe by the older rule, except where said.
 */
#include "lib/guest.h"

enum { RW = PTE_P | PTE_W | PTE_U };

static u8 code[8192] __attribute__((aligned(4096), section(".snippet_data")));

/* mov $value,%eax; int $0x7f */
static void put_mov(u8 *at, u32 value)
{
	at[0] = 0xb8;
	*(u32 *)(at + 1) = value;
	at[5] = 0xcd;
	at[6] = 0x7f;
}

static u32 call_code(u32 at)
{
	struct context c = kernel_context(at);

	run(&c);
	return c.vector == DONE ? c.eax : 0xbad;
}

static void between_runs(void)
{
	bool ok = true;

	for (u32 i = 0; i < 500 && ok; i++) {
		put_mov(code, i);
		ok = call_code((u32)code) == i;
	}
	report(ok, "code rewritten and rerun 500 times");
	ok = true;
	for (u32 i = 0; i < 200 && ok; i++) {
		put_mov(code + i * 8, i * 3);
		ok = call_code((u32)code + i * 8) == i * 3;
	}
	report(ok, "new code beside old in the same page, 200 times");
	ok = true;
	for (u32 i = 0; i < 200 && ok; i++)
		ok = call_code((u32)code + i * 8) == i * 3;
	report(ok, "the old code is still what it was");
}

/* The write and the code written are in one stretch of straight code. */
static void same_block(void)
{
	struct context c =
		kernel_context(CODE("movb $0x42,9f+1\nnop\nnop\n9: movb $0x11,%al\nnop"));

	run(&c);
	check_eq((u8)c.eax, 0x42, "write to an instruction ahead in the same block");
	c = kernel_context(CODE("movb $0x42,9f+1\njmp 9f\n9: movb $0x11,%al\nnop"));
	run(&c);
	check_eq((u8)c.eax, 0x42, "write to an instruction behind a jump");
	/* A loop that increments its own immediate. */
	c = kernel_context(CODE("movl $50,%ecx\nxorl %edx,%edx\n8: movl $1,%eax\naddl "
				"%eax,%edx\nincl 8b+1\nloop 8b"));
	run(&c);
	check_eq(c.edx, 50 * 51 / 2, "a loop that changes its own immediate");
	/* An instruction that overwrites itself runs to its end as it was. */
	c = kernel_context(
		CODE("movl $0x90909090,9f\nmovl $5,%eax\njmp 9f\n9: int3\nint3\nint3\nint3"));
	run(&c);
	expect_done(&c, "breakpoints overwritten with NOPs");
	c = kernel_context(CODE("movl $9f,%edi\nmovl $0xcc,%eax\nmovl $1,%ecx\n9: rep stosb\nnop"));
	run(&c);
	sdm_only("TCG fetches it once more");
	expect(&c, "REP STOSB over itself finishes", DONE, 0, c.eip - c.start);
}

static void rep_over_code(void)
{
	struct context c;

	put_mov(code + 64, 1);
	report(call_code((u32)code + 64) == 1, "code before REP STOS");
	c = kernel_context(CODE("rep stosl"));
	c.edi = (u32)code + 32;
	c.ecx = 100;
	c.eax = 0x7fcd7fcd;
	run(&c);
	c = kernel_context((u32)code + 64);
	c.eax = 77;
	run(&c);
	report(c.vector == DONE && c.eax == 77 && c.eip == c.start + 2,
	       "REP STOS over code is seen");
	put_mov(code + 4096, 5);
	(void)call_code((u32)code + 4096);
	put_mov(frames[5], 6);
	memcpy(code + 4096, frames[5], 7);
	check_eq(call_code((u32)code + 4096), 6, "REP MOVS over code is seen");
}

/* The instruction's bytes lie in two pages; each is changed in turn. */
static void across_pages(void)
{
	u8 *at = code + 4096 - 2;

	put_mov(at, 0x11111111);
	check_eq(call_code((u32)at), 0x11111111, "instruction across a page boundary");
	code[4096] = 0x22;
	check_eq(call_code((u32)at), 0x11112211, "its part in the second page changes");
	at[1] = 0x33;
	check_eq(call_code((u32)at), 0x11112233, "its part in the first page changes");
}

static void alias(void)
{
	volatile u8 *view = (volatile u8 *)TEST_VA;
	bool ok = true;

	paging_enable();
	map(0, (u32)code, RW);
	map(1, (u32)code, RW);
	for (u32 i = 0; i < 100 && ok; i++) {
		put_mov((u8 *)view, i);
		ok = call_code((u32)code) == i && call_code(TEST_VA + 0x1000) == i;
	}
	report(ok, "code written through an alias");
	put_mov(code, 1);
	(void)call_code(TEST_VA);
	put_mov(code, 2);
	check_eq(call_code(TEST_VA), 2, "code run through an alias, written directly");
	/* Another frame at the same address. */
	put_mov(frames[0], 10);
	put_mov(frames[1], 20);
	ok = true;
	for (u32 i = 0; i < 100 && ok; i++) {
		map(2, (u32)frames[i & 1], RW);
		ok = call_code(TEST_VA + 0x2000) == (i & 1 ? 20 : 10);
	}
	report(ok, "two frames of code taking turns at one address");
	/* An instruction whose second half is in another frame each time. */
	put_mov(frames[4] + 4096 - 2, 0x11111111);
	memcpy(frames[6], frames[5], 8);
	frames[6][0] = 0x22;
	map(6, (u32)frames[4], RW);
	ok = true;
	for (u32 i = 0; i < 100 && ok; i++) {
		map(7, (u32)frames[5 + (i & 1)], RW);
		ok = call_code(TEST_VA + 0x7000 - 2) == (i & 1 ? 0x11112211 : 0x11111111);
	}
	report(ok, "two frames taking turns under an instruction's second half");
	map(7, 0, 0);
	struct context half = kernel_context(TEST_VA + 0x7000 - 2);

	run(&half);
	expect(&half, "an instruction's second half is absent", PF, 0, 0);
	check_eq(read_cr2(), TEST_VA + 0x7000, "and CR2 names the second page");
	/* A fault restarts with the code as it is by then. */
	map(3, (u32)frames[2], 0);
	struct context c = kernel_context(TEST_VA + 0x3000);

	run(&c);
	expect(&c, "fetch from an absent page", PF, 0, 0);
	put_mov(frames[2], 30);
	map(3, (u32)frames[2], RW);
	run(&c);
	check_eq(c.eax, 30, "and again after the page came");
	paging_disable();
}

/* Data and code in one page, the data written by the code itself many times. */
static void mixed_page(void)
{
	static const u8 counter[] = {
		0xb9, 0x10, 0x27, 0, 0,	   /* mov $10000,%ecx */
		0xff, 0x05, 0,	  0, 0, 0, /* 1: incl data */
		0xe2, 0xf8,		   /* loop 1b */
		0xcd, 0x7f,
	};
	u32 *data = (u32 *)(code + 2048);

	memcpy(code + 1024, counter, sizeof(counter));
	*(u32 *)(code + 1024 + 7) = (u32)data;
	*data = 0;
	(void)call_code((u32)code + 1024);
	check_eq(*data, 10000, "code that writes data in its own page 10000 times");
	for (u32 i = 0; i < 50; i++) {
		put_mov(code + 1100, i);
		(*data)++;
		(void)call_code((u32)code + 1100);
	}
	check_eq(*data, 10050, "data and code of one page written in turn");
}

/* The same bytes come back to the same place, and to another place. */
static void copied(void)
{
	static const u8 relative[] = {0xe8, 0, 0, 0, 0, 0x58, 0xcd, 0x7f}; /* call +0; pop %eax */
	bool ok = true;

	for (u32 i = 0; i < 16 && ok; i++) {
		memcpy(frames[i] + i * 8, relative, sizeof(relative));
		ok = call_code((u32)frames[i] + i * 8) == (u32)frames[i] + i * 8 + 5;
	}
	report(ok, "position-dependent code copied to 16 places");
	ok = true;
	for (u32 i = 0; i < 100 && ok; i++) {
		if (i & 1)
			memcpy(frames[0], relative, sizeof(relative));
		else
			put_mov(frames[0], 123);
		ok = call_code((u32)frames[0]) == (i & 1 ? (u32)frames[0] + 5 : 123);
	}
	report(ok, "two codes taking turns in one place");
}

void guest_main(void)
{
	between_runs();
	same_block();
	rep_over_code();
	across_pages();
	alias();
	mixed_page();
	copied();
}
