/*
 * What interrupt and trap gates do to EFLAGS, what image they push (RF for faults, TF, NT), 16-bit
 * gates, and handlers in conforming segments. SDM: "Exception- or Interrupt-Handler Procedures".
 */
#include "lib/guest.h"

enum { V = 0x44, INT32 = 0x8e, TRAP32 = 0x8f, INT16 = 0x86, TRAP16 = 0x87, CONFORMING = FREE_SEL };

/* The handler: EAX = EFLAGS inside, EBX, ECX, EDX = the dwords of the frame. */
static u32 handler(void)
{
	return CODE("pushfl\npopl %eax\nmovl (%esp),%ebx\nmovl 4(%esp),%ecx\nmovl "
		    "8(%esp),%edx\nmovl %esp,%esi\n"
		    "movl %cs,%edi");
}

static struct context through(u8 type, u32 flags, bool user)
{
	u32 code = CODE("int $0x44\nnop");
	struct context c = user ? user_context(code) : kernel_context(code);

	idt[V] = make_gate(KCODE, handler(), type | DPL3, 0);
	c.eflags |= flags;
	run(&c);
	return c;
}

static void flags_inside(void)
{
	struct context c;

	c = through(INT32, IF_ | CF_ | DF_, false);
	report(c.vector == DONE && (c.eax & (IF_ | CF_ | DF_)) == (CF_ | DF_),
	       "interrupt gate clears IF only");
	report((c.edx & (IF_ | CF_ | DF_)) == (IF_ | CF_ | DF_), "the image has the old flags");
	report(c.ecx == KCODE && c.ebx == c.start + 2, "CS and EIP in the frame");
	c = through(TRAP32, IF_ | CF_, false);
	report((c.eax & (IF_ | CF_)) == (IF_ | CF_), "trap gate leaves IF");
	c = through(TRAP32, 0, false);
	check_eq(c.eax & IF_, 0, "trap gate leaves IF clear, too");
	c = through(INT32, AC_ | ID_ | IOPL_ | OF_, true);
	check_eq(c.eax & (AC_ | ID_ | IOPL_ | OF_), AC_ | ID_ | IOPL_ | OF_,
		 "AC, ID, IOPL and OF stay");
	check_eq(c.edi & 3, 0, "the handler runs in ring 0");
	check_eq(c.esi, tss.esp0 - 20, "five dwords on the stack of the TSS");
	c = through(INT32, NT_, false);
	report(!(c.eax & NT_) && (c.edx & NT_), "NT is cleared, and kept in the image");
	c = through(INT32, TF_, false);
	report(c.vector == DB || (!(c.eax & TF_) && (c.edx & TF_)), "TF is cleared inside");
}

static void fault_images(void)
{
	struct context c;

	c = kernel_context(CODE("ud2"));
	run(&c);
	sdm_only("TCG does not set RF in the images of faults");
	check_eq(c.eflags & RF_, RF_, "a fault's image has RF");
	c = kernel_context(CODE("int3"));
	c.eflags |= RF_;
	run(&c);
	sdm_only("TCG clears RF at the end of a block only");
	check_eq(c.eflags & RF_, 0, "a trap's image has not");
	c = user_context(CODE("movl 0,%eax\nhlt"));
	run(&c);
	sdm_only("TCG does not set RF in the images of faults");
	check_eq(c.eflags & RF_, RF_, "nor does the ring matter");
}

/* A 16-bit gate pushes words. */
static void narrow_gates(void)
{
	struct context c = kernel_context(CODE("int $0x44\nnop"));
	u32 esp = c.esp;

	memcpy((void *)0x7000, "\x89\xe0\x8b\x1c\x24\x0f\xb7\x4c\x24\x04\xcd\x7f",
	       12); /* esp, [esp], word [esp+4] */
	idt[V] = make_gate(KCODE, 0x7000, INT16 | DPL3, 0);
	c.eflags |= CF_ | IF_;
	run(&c);
	expect(&c, "16-bit interrupt gate", DONE, 0, c.eip - c.start);
	check_eq(c.eax, esp - 6, "pushes three words");
	check_eq(c.ebx, (u32)KCODE << 16 | (u16)(c.start + 2), "IP and CS");
	check_eq(c.ecx & (CF_ | IF_), CF_ | IF_, "FLAGS");
	memcpy((void *)0x7000, "\x66\xcf", 2); /* IRETW: in 32-bit code it pops words */
	memcpy((void *)0x7200, "\xcd\x44\x90\xcd\x7f", 5);
	c = kernel_context(0x7200);
	run(&c);
	expect(&c, "IRETW from it, to low memory", DONE, 0, 5);
	idt[V] = make_gate(KCODE, 0x7000, TRAP16 | DPL3, 0);
	c = user_context(0x7200);
	c.esp &= 0xffff0000;
	c.esp |= 0x8000;
	run(&c);
	report(c.vector == DONE && c.cs == UCODE, "16-bit trap gate from ring 3 and IRETW back");
}

static void conforming(void)
{
	struct context c = user_context(CODE("int $0x44\nnop"));
	u32 esp = c.esp;

	gdt_set(CONFORMING, 0, 0xfffff, SEG_CONFORM, SEG_G | SEG_B);
	idt[V] = make_gate(CONFORMING, handler(), INT32 | DPL3, 0);
	run(&c);
	expect(&c, "handler in a conforming segment", DONE, 0, c.eip - c.start);
	check_eq(c.edi, CONFORMING | 3, "runs in ring 3");
	check_eq(c.esi, esp - 12, "on the same stack");
}

void guest_main(void)
{
	flags_inside();
	fault_images();
	narrow_gates();
	conforming();
	idt_reset(V);
}
