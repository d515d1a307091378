/*
 * EFLAGS as a control register: POPF, PUSHF and IRET at ring 0 and 3 under each IOPL, the STI
 * shadow (that of MOV SS is in debug.c), CLI and STI rights, HLT and its wake-up. SDM: "POPF",
 * "STI", "EFLAGS Register".
 */
#include "lib/guest.h"

static void popf(void)
{
	struct context c;
	u32 code = CODE("pushl %eax\npopfl\npushfl\npopl %ebx\npushl $2\npopfl");

	c = kernel_context(code);
	c.eax = ID_ | AC_ | NT_ | IOPL_ | OF_ | DF_ | ARITH_ | 2;
	run(&c);
	check_eq(c.ebx, ID_ | AC_ | NT_ | IOPL_ | OF_ | DF_ | ARITH_ | 2,
		 "ring 0 sets all it asks for");
	c = kernel_context(code);
	c.eax = 0xffffffff & ~(TF_ | IF_);
	run(&c);
	check_eq(c.ebx & (VM_ | RF_ | 8 | 32 | 0x8000 | 1 << 19 | 1 << 20 | 0xffc00000 | 2), 2,
		 "VM, RF, VIF, VIP and reserved bits cannot be set");
	for (u32 i = 0, wrong = 0; i < 128; i++) {
		c = kernel_context(code);
		c.eax = 2 | (i & 1 ? CF_ : 0) | (i & 2 ? 4 : 0) | (i & 4 ? 0x10 : 0) | (i & 8 ? ZF_ : 0) |
			(i & 16 ? 0x80 : 0) | (i & 32 ? OF_ : 0) | (i & 64 ? DF_ : 0);
		run(&c);
		wrong += c.ebx != c.eax;
		if (i == 127)
			check_eq(wrong, 0, "ring 0 sets every combination of flags");
	}
	c = user_context(code);
	c.eax = IF_ | IOPL_ | CF_ | 2;
	run(&c);
	check_eq(c.ebx, CF_ | 2, "ring 3 at IOPL 0 cannot change IF and IOPL");
	c = user_context(code);
	c.eflags |= IOPL_;
	c.eax = IF_ | CF_ | 2;
	run(&c);
	check_eq(c.ebx, IF_ | IOPL_ | CF_ | 2, "ring 3 at IOPL 3 changes IF, not IOPL");
	c = user_context(CODE("pushw $0xd5\npopfw\npushfl\npopl %ebx"));
	c.eflags |= ID_;
	run(&c);
	check_eq(c.ebx, ID_ | 0xd7, "POPFW leaves the upper half");
	c = user_context(CODE("cli\nsti\npushfl\npopl %ebx\ncli"));
	c.eflags |= IOPL_;
	run(&c);
	expect_done(&c, "CLI and STI at IOPL 3");
	check_eq(c.ebx & IF_, IF_, "STI sets IF");
	c = kernel_context(CODE("pushl $0x10002\npopfl\npushfl\npopl %eax"));
	c.eflags |= RF_;
	run(&c);
	check_eq(c.eax & RF_, 0, "PUSHF shows RF as 0");
	/* Code that has run before without RF is entered in another way, maybe. */
	for (u32 i = 0; i < 20 && !(c.eax & RF_); i++) {
		c = kernel_context(c.start);
		c.eflags |= i & 1 ? RF_ : 0;
		run(&c);
	}
	check_eq(c.eax & RF_, 0, "nor after RF was loaded often");
	for (u32 i = 0; i < 20; i++) {
		c = user_context(i ? c.start : CODE("nop\nnop"));
		c.eflags |= i & 1 ? RF_ : 0;
		run(&c);
	}
	sdm_only("TCG clears RF at the end of a block only");
	check_eq(c.eflags & RF_, 0, "RF does not outlive the instruction in ring 3");
}

static volatile u32 interrupts;
static u32 interrupted_at;

/* IRQ 0 once: remember where, and mask it. */
static int on_timer(struct context *c)
{
	interrupted_at = c->eip;
	interrupts++;
	pic_eoi(0);
	outb(0x21, 0xff);
	return 1;
}

/* Have IRQ 0 pending at the 8259 while IF is clear. */
static void pend_timer(void)
{
	interrupts = 0;
	pic_setup(0xfffe);
	pit_oneshot(50);
	do
		outb(0x20, 0x0a); /* read IRR */
	while (!(inb(0x20) & 1));
}

static void expect_at(const char *name, u32 code, u32 offset)
{
	struct context c;

	pend_timer();
	c = kernel_context(code);
	run(&c);
	if (!report(interrupts == 1 && interrupted_at == c.start + offset, name)) {
		check_eq(interrupts, 1, "  interrupts");
		check_eq(interrupted_at - c.start, offset, "  at");
	}
}

static void shadows(void)
{
	isr[PIC_BASE] = on_timer;
	expect_at("STI holds interrupts for one instruction", CODE("sti\nnop\nnop\nnop\ncli"), 2);
	pend_timer();
	struct context c = kernel_context(CODE("sti\ncli\nnop\nnop"));

	run(&c);
	check_eq(interrupts, 0, "STI, CLI lets none through");
	expect_at("POPF has no shadow", CODE("pushl $0x202\npopfl\nnop\nnop\ncli"), 6);
	expect_at("STI with IF set already has no shadow",
		  CODE("pushl $0x202\npopfl\nsti\nnop\ncli"), 6);
	expect_at("STI before HLT: wakes after the HLT", CODE("sti\nhlt\nnop\ncli"), 2);
	/* The frame IRETs into IF = 1: no shadow. */
	expect_at("IRET with IF has no shadow",
		  CODE("pushl $0x202\npushl $8\npushl $1f\niretl\n1: nop\nnop\ncli"), 13);
}

static void halt(void)
{
	struct context c;

	interrupts = 0;
	isr[PIC_BASE] = on_timer;
	pic_setup(0xfffe);
	pit_oneshot(20000);
	c = kernel_context(CODE("sti\n1: hlt\ncmpl $0,(%ebx)\nje 1b\ncli"));
	c.ebx = (u32)&interrupts;
	run(&c);
	report(c.vector == DONE && interrupts == 1, "HLT sleeps until the timer");
	check_eq(interrupted_at - c.start, 2, "the saved EIP is after the HLT");
	/* The interrupt comes in ring 3, too. */
	interrupts = 0;
	pic_setup(0xfffe);
	pit_oneshot(5000);
	c = user_context(CODE("1: cmpl $0,(%ebx)\nje 1b"));
	c.eflags |= IF_;
	c.ebx = (u32)&interrupts;
	run(&c);
	report(c.vector == DONE && interrupts == 1, "an interrupt of ring 3 code, resumed");
	interrupts = 0;
	pic_setup(0xfffe);
	pit_oneshot(5000);
	c = kernel_context(CODE("sti\n1: jmp 1b"));
	isr[PIC_BASE] = 0;
	run(&c);
	expect(&c, "an interrupt of a jump to itself", PIC_BASE, 0, 1);
	pic_eoi(0);
}

void guest_main(void)
{
	popf();
	shadows();
	halt();
}
