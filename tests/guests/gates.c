/*
 * Far transfers: JMP, CALL and RET between segments, call gates between rings with parameters and
 * the stack switch, and IRET in its variants. SDM: "Privilege Checking When Transferring Program
 * Control Between Code Segments", IRET in the instruction reference.
 */
#include "lib/guest.h"

enum { GATE = FREE_SEL, GATE2 = FREE_SEL + 8, SEG = FREE_SEL + 16, GATE386 = 0x8c };

static void direct_far(void)
{
	struct context c;

	c = kernel_context(CODE("lcall $8,$1f\nmovl $5,%ebx\njmp 2f\n1: movl (%esp),%eax\nmovl "
				"4(%esp),%ecx\nlret\n2: nop"));
	run(&c);
	expect_done(&c, "far call and return in ring 0");
	report(c.eax == c.start + 7 && c.ecx == KCODE && c.ebx == 5, "far call pushes CS and EIP");
	c = kernel_context(CODE("pushl $0x1111\npushl $8\npushl $1f\nlret $4\n1: movl %esp,%eax"));
	u32 esp = c.esp;

	run(&c);
	check_eq(c.eax, esp, "RETF n releases the parameters");
	c = kernel_context(CODE("ljmp $0x18,$0"));
	run(&c);
	expect(&c, "far jump to an outer ring", GP, 0x18, 0);
	c = user_context(CODE("ljmp $8,$0"));
	run(&c);
	expect(&c, "far jump to an inner ring", GP, 8, 0);
	c = user_context(CODE("lcall $0,$0"));
	run(&c);
	expect(&c, "far call to a null selector", GP, 0, 0);
	c = kernel_context(CODE("ljmp $0x10,$0"));
	run(&c);
	expect(&c, "far jump to a data segment", GP, 0x10, 0);
	gdt_set(SEG, 0, 0xfffff, SEG_CODE & 0x7f, SEG_G | SEG_B);
	c = kernel_context(CODE("ljmp $0x70,$0"));
	run(&c);
	expect(&c, "far jump to an absent segment", NP, SEG, 0);
	gdt_set(SEG, 0, 0xfffff, SEG_CONFORM, SEG_G | SEG_B);
	c = user_context(CODE("ljmp $0x70,$1f\n1: movl %cs,%eax"));
	run(&c);
	expect_done(&c, "far jump from ring 3 to conforming ring 0 code");
	check_eq(c.eax, SEG | 3, "conforming code keeps CPL 3");
	c = user_context(CODE("ljmp $0x70,$1f\n1: hlt"));
	run(&c);
	report(c.vector == GP && c.error == 0, "and has no privilege");
}

static void call_gates(void)
{
	struct context c;
	u32 target = CODE("movl %esp,%eax\nmovl (%esp),%ebx\nmovl 4(%esp),%ecx\nmovl "
			  "8(%esp),%edx\nmovl 12(%esp),%esi\n"
			  "movl 16(%esp),%edi\nmovl 20(%esp),%ebp");

	gdt[GATE / 8] = make_gate(KCODE, target, GATE386 | DPL3, 2);
	c = user_context(CODE("pushl $0xaaaa\npushl $0xbbbb\nlcall $0x63,$0x12345678"));
	u32 esp = c.esp, start = c.start;

	run(&c);
	expect_done(&c, "call gate from ring 3 to ring 0");
	check_eq(c.cs, KCODE, "runs at ring 0");
	check_eq(c.eax, tss.esp0 - 24, "on the stack of the TSS");
	report(c.ebx == start + 17 && c.ecx == UCODE, "return address");
	report(c.edx == 0xbbbb && c.esi == 0xaaaa, "two parameters copied");
	report(c.edi == esp - 8 && c.ebp == UDATA, "old stack pointer");
	/* Back with RETF 8: both stacks release the parameters. */
	target = CODE("lret $8");
	gdt[GATE / 8] = make_gate(KCODE, target, GATE386 | DPL3, 2);
	c = user_context(
		CODE("pushl $0xaaaa\npushl $0xbbbb\nlcall $0x63,$0\nmovl %cs,%eax\nmovl %ss,%ebx"));
	esp = c.esp;
	run(&c);
	expect_done(&c, "call gate and RETF n");
	report(c.eax == UCODE && c.ebx == UDATA && c.esp == esp, "back in ring 3 with its stack");
	c = kernel_context(CODE("lcall $0x60,$0\n"));
	gdt[GATE / 8] = make_gate(KCODE, CODE("movl %esp,%eax"), GATE386 | DPL3, 2);
	esp = c.esp;
	run(&c);
	check_eq(c.eax, esp - 8, "call gate within ring 0 copies no parameters");
	c = kernel_context(CODE("ljmp $0x60,$0"));
	gdt[GATE / 8] = make_gate(KCODE, CODE("nop"), GATE386 | DPL3, 0);
	run(&c);
	expect_done(&c, "jump through a call gate");
	c = user_context(CODE("ljmp $0x63,$0"));
	run(&c);
	expect(&c, "jump through a gate to an inner ring", GP, KCODE, 0);
	gdt[GATE / 8] = make_gate(KCODE, 0, GATE386, 0);
	c = user_context(CODE("lcall $0x63,$0"));
	run(&c);
	expect(&c, "gate with DPL 0 from ring 3", GP, GATE, 0);
	gdt[GATE / 8] = make_gate(KCODE, 0, (GATE386 | DPL3) & 0x7f, 0);
	c = user_context(CODE("lcall $0x63,$0"));
	run(&c);
	expect(&c, "absent gate", NP, GATE, 0);
	gdt[GATE / 8] = make_gate(0, 0, GATE386 | DPL3, 0);
	c = user_context(CODE("lcall $0x63,$0"));
	run(&c);
	expect(&c, "gate to a null selector", GP, 0, 0);
	/* Leaving ring 0 clears data segments that ring 3 may not have. */
	gdt[GATE / 8] = make_gate(
		KCODE, CODE("movw $0x10,%ax\nmovw %ax,%fs\nmovw $0x23,%ax\nmovw %ax,%gs\nlret"),
		GATE386 | DPL3, 0);
	c = user_context(CODE("lcall $0x63,$0"));
	run(&c);
	expect_done(&c, "far return to ring 3");
	report(c.fs == 0 && c.gs == UDATA, "inner-ring data segments are nulled");
}

/* IRET with a hand-made frame: EIP, CS, EFLAGS [, ESP, SS]. */
static struct context iret_with(u32 cs, u32 eip, u32 flags, u32 esp, u32 ss)
{
	struct context c = kernel_context(
		CODE("pushl %edx\npushl %ecx\npushl %ebx\npushl %eax\npushl %esi\niretl"));

	c.edx = ss;
	c.ecx = esp;
	c.ebx = flags;
	c.eax = cs;
	c.esi = eip;
	run(&c);
	return c;
}

static void iret(void)
{
	u32 landing = CODE("pushfl\npopl %edi\nnop");
	struct context c;

	c = iret_with(UCODE, landing, 2 | CF_ | ZF_, user_stack_top - 64, UDATA);
	expect_done(&c, "IRET to ring 3");
	report(c.cs == UCODE && c.ss == UDATA && c.edi == (2 | CF_ | ZF_),
	       "CS, SS and EFLAGS of ring 3");
	c = iret_with(UCODE, landing, 2 | IOPL_ | DF_, user_stack_top - 64, UDATA);
	check_eq(c.edi, 2 | IOPL_ | DF_, "ring 0 may set IOPL and DF");
	c = iret_with(KCODE, landing, 2 | OF_ | ID_, 0, 0);
	check_eq(c.edi, 2 | OF_ | ID_, "IRET within ring 0");
	c = iret_with(UCODE, landing, 2, user_stack_top, KDATA);
	expect(&c, "IRET to ring 3 with a ring 0 stack", GP, KDATA, 5);
	c = iret_with(UCODE, landing, 2, user_stack_top, 0);
	expect(&c, "IRET to ring 3 with a null stack", GP, 0, 5);
	c = iret_with(0, landing, 2, 0, 0);
	expect(&c, "IRET to a null CS", GP, 0, 5);
	c = iret_with(KDATA, landing, 2, 0, 0);
	expect(&c, "IRET to a data segment", GP, KDATA, 5);
	c = iret_with(GDT_ENTRIES * 8, landing, 2, 0, 0);
	expect(&c, "IRET beyond the GDT", GP, GDT_ENTRIES * 8, 5);
	gdt_set(SEG, 0, 0xfffff, (SEG_CODE | DPL3) & 0x7f, SEG_G | SEG_B);
	c = iret_with(SEG | 3, landing, 2, user_stack_top, UDATA);
	expect(&c, "IRET to an absent segment", NP, SEG, 5);
	/* In ring 3 IRET cannot change IF or IOPL, nor enter ring 0. */
	c = user_context(
		CODE("pushl $0x3202\npushl $0x1b\npushl $1f\niretl\n1: pushfl\npopl %eax"));
	run(&c);
	expect_done(&c, "IRET in ring 3");
	check_eq(c.eax & (IF_ | IOPL_), 0, "IF and IOPL stay as they were");
	c = user_context(CODE("pushl $2\npushl $8\npushl $0\niretl"));
	run(&c);
	expect(&c, "IRET in ring 3 to ring 0", GP, 8, 6);
	c = user_context(
		CODE("pushl $0x20002\npushl $0x1b\npushl $1f\niretl\n1: pushfl\npopl %eax"));
	run(&c);
	sdm_only("TCG enters virtual-8086 mode from any ring");
	expect_done(&c, "IRET in ring 3 with VM in the image");
	sdm_only("TCG enters virtual-8086 mode from any ring");
	report(!((c.eax | c.eflags) & VM_), "VM is not taken");
	/* IRETW: 16-bit frame. */
	c = kernel_context(CODE("pushw $0x43\npushw $0x30\npushw %si\niretw\n1: nop"));
	memcpy((void *)0x7000, "\x66\x9c\x66\x58\xcd\x7f", 6);
	c.esi = 0x7000;
	run(&c);
	report(c.vector == DONE && c.eip == 0x7006 && (c.eax & 0xffff) == 0x43,
	       "IRETW to a 16-bit segment");
}

void guest_main(void)
{
	direct_far();
	call_gates();
	iret();
}
