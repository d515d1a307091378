/*
 * Two address spaces with different user code at the same address, switched at a high rate; memory
 * that one has and the other has not; and what user code may not reach.
 */
#include "lib/guest.h"

enum { VA = TEST_VA, RWU = PTE_P | PTE_W | PTE_U, PAGES = 4 };

static u32 directories[2][1024] __attribute__((aligned(4096)));
static u32 tables[2][1024] __attribute__((aligned(4096)));

/* Code in frame 0/4, stack in 1/5, data in 2/6; page 3 exists in the first space only. */
static void build(u32 i)
{
	u8 *code = frames[i * PAGES];

	memcpy(directories[i], page_dir, 4096);
	for (u32 p = 0; p < PAGES; p++)
		tables[i][p] = (u32)frames[i * PAGES + p] | RWU;
	if (i)
		tables[i][3] = 0;
	directories[i][VA >> 22] = (u32)tables[i] | RWU;
	/* 1: addl $1+i*2, data; push/pop through the stack; int 0x80; jmp 1b */
	static const u8 body[] = {0x81, 0x05, 0,    0x20, 0, 0x40,
				  0,	0,    0,    0,		   /* addl $imm, 0x40002000 */
				  0x68, 1,    2,    3,	  4, 0x59, /* push; pop %ecx */
				  0xcd, 0x80, 0xeb, 0xec};	   /* int 0x80; jmp start */

	memcpy(code, body, sizeof(body));
	code[6] = 1 + i * 2;
	memset(frames[i * PAGES + 2], 0, 4096);
}

static void switching(void)
{
	struct context c[2];
	bool ok = true;

	for (u32 i = 0; i < 2; i++) {
		build(i);
		c[i] = user_context(VA);
		c[i].esp = VA + 0x1ff0;
	}
	for (u32 n = 0; n < 2000 && ok; n++) {
		u32 i = n & 1;

		write_cr3((u32)directories[i]);
		run(&c[i]);
		ok = c[i].vector == SYSCALL && c[i].ecx == 0x04030201 && c[i].eip == VA + 18;
	}
	report(ok, "2000 switches between two address spaces");
	check_eq(*(u32 *)frames[2], 1000, "the first counted in its own memory");
	check_eq(*(u32 *)frames[PAGES + 2], 3000, "the second in its own");
}

static void separate(void)
{
	struct context c;

	write_cr3((u32)directories[0]);
	c = user_context(CODE("movl %eax,0x40003000\nmovl 0x40003000,%ebx"));
	c.eax = 0x1234;
	run(&c);
	report(c.vector == DONE && c.ebx == 0x1234, "a page of the first space");
	write_cr3((u32)directories[1]);
	c = user_context(c.start);
	run(&c);
	expect(&c, "is not in the second", PF, PFE_U | PFE_W, 0);
	write_cr3((u32)directories[0]);
	c = user_context(CODE("movl 0x40003000,%ebx"));
	run(&c);
	check_eq(c.ebx, 0x1234, "and is unchanged in the first");
	/* The same frame in both, shared. */
	tables[0][8] = tables[1][8] = (u32)frames[9] | RWU;
	for (u32 i = 0; i < 10; i++) {
		write_cr3((u32)directories[i & 1]);
		c = user_context(CODE("incl 0x40008000\nmovl 0x40008000,%eax"));
		run(&c);
	}
	check_eq(c.eax, 10, "a shared frame counts from both");
}

/*
 * Tables that nobody has written for hundreds of loads of CR3, and then somebody does: through a linear address that was written
 * before, through one that was not, and with a string instruction.
 */
static void at_rest(void)
{
	static u32 spare[1024] __attribute__((aligned(4096)));
	struct context c[2];
	bool ok = true;

	for (u32 i = 0; i < 2; i++)
		c[i] = user_context(CODE("movl 0x40008000,%eax"));
	for (u32 n = 0; n < 400; n++) {
		u32 i = n & 1;

		if (n == 300)
			tables[0][8] = (u32)frames[9] | RWU;
		if (n == 320)
			tables[1][8] = (u32)frames[10] | RWU;
		if (n == 340) {
			memcpy(spare, tables[0], 4096);
			spare[8] = (u32)frames[10] | RWU;
			directories[0][VA >> 22] = (u32)spare | RWU;
		}
		if (n == 360)
			memcpy(spare, tables[1], 64);
		if (n == 380)
			spare[8] = 0;
		write_cr3((u32)directories[i]);
		run(&c[i]);
		ok = ok && (n >= 380 && !i ? c[i].vector == PF : c[i].vector == DONE);
		if (ok && c[i].vector == DONE)
			ok = c[i].eax == (i ? n < 320 ? 9 : 10 : n >= 340 ? 10 : 9);
		c[i] = user_context(c[i].start);
	}
	report(ok, "page tables written after a long rest");
	directories[0][VA >> 22] = (u32)tables[0] | RWU;
	write_cr3((u32)directories[0]);
}

static void isolation(void)
{
	struct context c;
	u32 kernel_page = (u32)&tss;

	write_cr3((u32)directories[0]);
	for (u32 i = 0; i < 16; i++)
		directories[0][i] &= ~PTE_U; /* the kernel's own 64 MiB */
	/* The snippets are in there, so copy user code to the region. */
	memcpy(frames[0], "\x8b\x03\xcd\x80", 4);      /* mov (%ebx),%eax */
	memcpy(frames[0] + 16, "\x89\x03\xcd\x80", 4); /* mov %eax,(%ebx) */
	memcpy(frames[0] + 32, "\xff\xe3", 2);	       /* jmp *%ebx */
	write_cr3((u32)directories[0]);
	(void)*(volatile u32 *)kernel_page; /* the kernel has just used the page */
	for (u32 round = 0; round < 3; round++) {
		c = user_context(VA);
		c.esp = VA + 0x1ff0;
		c.ebx = kernel_page;
		run(&c);
		expect(&c, "user read of a kernel page", PF, PFE_P | PFE_U, 0);
		c = user_context(VA + 16);
		c.ebx = kernel_page;
		run(&c);
		expect(&c, "user write of a kernel page", PF, PFE_P | PFE_U | PFE_W, 0);
	}
	c = user_context(VA + 32);
	c.ebx = kernel_page;
	run(&c);
	report(c.vector == PF && c.error == (PFE_P | PFE_U) && c.eip == kernel_page &&
		       c.cs == UCODE,
	       "user jump to a kernel page");
	/* Supervisor code reads and writes user pages, and honours WP. */
	tables[0][2] = (u32)frames[2] | PTE_P | PTE_U;
	write_cr3((u32)directories[0]);
	*(u32 *)frames[2] = 0x600d;
	c = kernel_context(
		CODE("movl 0x40002000,%eax\nmovl %eax,0x40001000\nmovl %eax,0x40002004"));
	write_cr0(read_cr0() | CR0_WP);
	run(&c);
	expect(&c, "kernel write to a read-only user page under WP", PF, PFE_P | PFE_W, 10);
	report(c.eax == 0x600d && *(u32 *)frames[1] == 0x600d,
	       "kernel reads and writes user pages");
	write_cr0(read_cr0() & ~CR0_WP);
	run(&c);
	expect_done(&c, "and without WP it may");
}

void guest_main(void)
{
	paging_enable();
	switching();
	separate();
	tables[0][8] = tables[1][8] = (u32)frames[9] | RWU;
	*(u32 *)frames[9] = 9;
	*(u32 *)frames[10] = 10;
	at_rest();
	isolation();
}
