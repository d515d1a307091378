/*
 * All four rings: code in rings 1 and 2, gates between them with their stacks from the TSS, what
 * each may do, and paging's view of them (rings 0 to 2 are supervisors). SDM: "Privilege Levels",
 * "Stack Switching".
 */
#include "lib/guest.h"

enum {
	C1 = 0x80 | 1,
	D1 = 0x88 | 1,
	C2 = 0x90 | 2,
	D2 = 0x98 | 2,
	GATE1 = 0xa0 | 3,
	GATE0 = 0xa8 | 3,
	CALL32 = 0x8c
};

static u8 stacks[3][4096] __attribute__((aligned(16)));

static struct context ring(u32 level, u32 code)
{
	struct context c = kernel_context(code);

	c.cs = level == 1 ? C1 : C2;
	c.ss = c.ds = c.es = c.fs = c.gs = level == 1 ? D1 : D2;
	c.esp = (u32)stacks[level] + 2048;
	return c;
}

static void segments(void)
{
	for (u32 level = 1; level < 3; level++) {
		gdt_set(0x80 + (level - 1) * 16, 0, 0xfffff, SEG_CODE | level << 5, SEG_G | SEG_B);
		gdt_set(0x88 + (level - 1) * 16, 0, 0xfffff, SEG_DATA | level << 5, SEG_G | SEG_B);
	}
	tss.ss1 = D1;
	tss.esp1 = (u32)stacks[1] + 4096;
	tss.ss2 = D2;
	tss.esp2 = (u32)stacks[2] + 4096;
}

static void rights(void)
{
	struct context c;

	for (u32 level = 1; level < 3; level++) {
		c = ring(level, CODE("movl %cs,%eax\nmovl %ss,%ebx"));
		run(&c);
		report(c.vector == DONE && (c.eax & 3) == level && (c.ebx & 3) == level,
		       level == 1 ? "ring 1" : "ring 2");
		c = ring(level, CODE("hlt"));
		run(&c);
		expect(&c, "HLT needs ring 0", GP, 0, 0);
		c = ring(level, CODE("cli"));
		run(&c);
		expect(&c, "CLI above the IOPL", GP, 0, 0);
		c = ring(level, CODE("cli\ninb $0x80,%al"));
		c.eflags |= 0x2000;
		run(&c);
		expect_done(&c, "CLI and IN at IOPL 2");
		c = ring(level, CODE("movw $0x10,%ax\nmovw %ax,%es"));
		run(&c);
		expect(&c, "a ring 0 data segment", GP, KDATA, 4);
		c = ring(level, CODE("movw $0x23,%ax\nmovw %ax,%es"));
		run(&c);
		expect_done(&c, "a ring 3 data segment");
	}
	c = ring(2, CODE("movw $0x89,%ax\nmovw %ax,%es"));
	run(&c);
	expect(&c, "ring 2 and a ring 1 segment", GP, D1 & ~3, 4);
}

static void inward(void)
{
	struct context c;

	gdt[GATE1 / 8] =
		make_gate(C1 & ~3, CODE("movl %esp,%ebx\nmovl %cs,%ecx\nlcall $0xab,$0\nlret"),
			  CALL32 | DPL3, 0);
	gdt[GATE0 / 8] =
		make_gate(KCODE, CODE("movl %esp,%esi\nmovl %cs,%edi\nmovl 12(%esp),%edx\nlret"),
			  CALL32 | DPL3, 0);
	c = user_context(CODE("lcall $0xa3,$0\nmovl %cs,%eax"));
	run(&c);
	expect_done(&c, "ring 3 calls ring 1, which calls ring 0, and both return");
	report(c.ecx == C1 && c.ebx == tss.esp1 - 16, "ring 1 on its own stack");
	report(c.edi == KCODE && c.esi == tss.esp0 - 16, "ring 0 on its own stack");
	report(c.edx == D1 && c.eax == UCODE, "ring 1's SS on ring 0's stack");
	c = ring(2, CODE("lcall $0xa2,$0\nmovl %cs,%eax"));
	run(&c);
	report(c.vector == DONE && c.eax == C2, "ring 2 calls ring 1 and comes back");
	/* A handler in ring 1. */
	idt[0x45] =
		make_gate(C1 & ~3, CODE("movl %cs,%eax\nmovl %esp,%ebx\niretl"), 0x8e | DPL3, 0);
	c = user_context(CODE("int $0x45\nmovl %cs,%ecx"));
	run(&c);
	report(c.vector == DONE && c.eax == C1 && c.ebx == tss.esp1 - 20 && c.ecx == UCODE,
	       "an interrupt handler in ring 1");
	c = kernel_context(CODE("int $0x45"));
	run(&c);
	expect(&c, "which ring 0 may not call", GP, C1 & ~3, 0);
	idt_reset(0x45);
	tss.ss1 = 0;
	c = user_context(CODE("lcall $0xa3,$0"));
	run(&c);
	expect(&c, "a null stack segment in the TSS", TS, 0, 0);
	tss.ss1 = D2;
	c = user_context(c.start);
	run(&c);
	expect(&c, "a stack segment of the wrong ring", TS, D2 & ~3, 0);
	gdt[0x88 / 8] &= ~(1ull << 47);
	tss.ss1 = D1;
	c = user_context(c.start);
	run(&c);
	sdm_only("TCG raises #TS");
	expect(&c, "an absent stack segment", SS, D1 & ~3, 0);
	gdt[0x88 / 8] |= 1ull << 47;
}

static void paging(void)
{
	struct context c;

	paging_enable();
	map(0, (u32)frames[0], PTE_P | PTE_W);
	for (u32 level = 1; level < 3; level++) {
		c = ring(level, CODE("movl $5,0x40000000"));
		run(&c);
		expect_done(&c, "rings 1 and 2 reach supervisor pages");
		c = ring(level, CODE("movl $5,0x40001000"));
		run(&c);
		expect(&c, "and their faults are a supervisor's", PF, PFE_W, 0);
	}
	paging_disable();
}

void guest_main(void)
{
	segments();
	rights();
	inward();
	paging();
}
