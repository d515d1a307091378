/*
 * 16-bit protected mode code and 16-bit stacks, and the round trip to real mode and back.
 * SDM: "Mixing 16-Bit and 32-Bit Code", "Switching Back to Real-Address Mode".
 */
#include "lib/guest.h"

enum { AT = 0x7000, STACK16 = FREE_SEL, CODE16_BASED = FREE_SEL + 8 };

extern const u8 real_trip[], real_trip_end[], sixteen[], sixteen_end[];

/* All is addressed relative to its copy at AT, in low memory. */
__asm__(".section .rodata\n"
	".code16\n"
	"sixteen:\n"
	"	movw $0x1234, %ax\n"
	"	pushw %ax\n"
	"	popw %bx\n"
	"	call 1f\n"
	"	jmp 2f\n"
	"1:	movl $0x87654321, %ecx\n"
	"	movw %sp, %bp\n"
	"	movw (%bp), %bp\n"
	"	ret\n"
	"2:	movw $0xfff0, %si\n"
	"	movw $0x20, %di\n"
	"	movb (%si), %dl\n"     /* DS:FFF0 */
	"	movb 0x20(%si), %dh\n" /* wraps to DS:0010 */
	"	int $0x7f\n"
	"sixteen_end:\n"

	/* Entered at ring 0 in a 16-bit segment of base AT with interrupts off. */
	"real_trip:\n"
	"	movl %cr0, %eax\n"
	"	andb $0xfe, %al\n"
	"	movl %eax, %cr0\n"
	"	ljmpw $0x700, $(1f - real_trip)\n"
	"1:	movw %cs, %bx\n"
	"	lidtl %cs:(real_idt - real_trip)\n"
	"	movw $0x800, %ax\n"
	"	movw %ax, %ds\n"
	"	movw %ax, %ss\n"
	"	movl $0x1000, %esp\n"
	"	movw $0xbeef, 0x10\n" /* at 8010 linear */
	"	movw $0x2222, %ax\n"
	"	int $0x60\n" /* its handler changes CX */
	"	pushfw\n"
	"	popw %dx\n"
	"	pushw %cs\n"
	"	pushw $(2f - real_trip)\n"
	"	lret\n"
	"2:	movl %cr0, %eax\n"
	"	orb $1, %al\n"
	"	movl %eax, %cr0\n"
	"	ljmpl $0x08, $real_return\n"
	"real_handler:\n"
	"	movw $0x6060, %cx\n"
	"	iretw\n"
	"real_idt:\n"
	"	.word 0x3ff\n"
	"	.long 0\n"
	"real_trip_end:\n"

	".code32\n"
	".section .snippets,\"awx\",@progbits\n"
	"real_return:\n"
	"	movw $0x10, %ax\n"
	"	movw %ax, %ds\n"
	"	movw %ax, %ss\n"
	"	movl kernel_stack_top, %esp\n"
	"	lidt idt_pointer\n"
	"	int $0x7f\n"
	".text\n");
extern const u8 real_handler[];
struct {
	u16 limit;
	u32 base;
} __attribute__((packed)) idt_pointer;

static void protected16(void)
{
	struct context c = kernel_context(0);
	u8 *low = (u8 *)0x20000;

	memcpy((void *)AT, sixteen, sixteen_end - sixteen);
	gdt_set(CODE16_BASED, AT, 0xffff, SEG_CODE, 0);
	gdt_set(STACK16, 0x20000, 0xffff, SEG_DATA, 0);
	low[0xfff0] = 0x5a;
	low[0x10] = 0xa5;
	c.cs = CODE16_BASED;
	c.ds = STACK16;
	c.ss = STACK16;
	c.esp = 0x8000;
	run(&c);
	expect(&c, "16-bit code in a based segment", DONE, 0, sixteen_end - sixteen);
	report((c.ebx & 0xffff) == 0x1234 && c.ecx == 0x87654321,
	       "16-bit push and pop, 32-bit operand");
	check_eq(c.edx & 0xff, 0x5a, "16-bit address");
	check_eq(c.edx >> 8 & 0xff, 0xa5, "16-bit effective address wraps");
	check_eq(c.ebp & 0xffff, 8, "16-bit CALL pushes IP");
}

/* A 16-bit stack segment (B = 0) under 32-bit code: SP alone moves, and wraps. */
static void stack16(void)
{
	struct context c;

	gdt_set(STACK16, 0x20000, 0xffff, SEG_DATA, 0);
	c = kernel_context(
		CODE("movl %esp,%edx\nmovl %ss,%ecx\nmovw %ax,%ss\nmovl $0xabcd0000,%esp\npushl "
		     "$0x11223344\n"
		     "movl %esp,%ebx\npopl %esi\nmovl %esp,%edi\nmovw %cx,%ss\nmovl %edx,%esp"));
	c.eax = STACK16;
	run(&c);
	expect_done(&c, "32-bit push on a 16-bit stack");
	check_eq(c.ebx, 0xabcdfffc, "SP wraps, the upper half stays");
	report(c.esi == 0x11223344 && c.edi == 0xabcd0000, "and back");
	c = kernel_context(CODE("call 1f\nnop\n1: popl %eax"));
	c.ss = STACK16;
	c.esp = 0x4000;
	run(&c);
	expect_done(&c, "CALL on a 16-bit stack");
	check_eq(c.eax, c.start + 5, "its return address");
	c = kernel_context(CODE("enter $8,$0\nmovl %ebp,%eax\nleave"));
	c.ss = STACK16;
	c.esp = 0x4000;
	c.ebp = 0xffff1234;
	run(&c);
	report(c.vector == DONE && c.esp == 0x4000 && c.ebp == 0xffff1234 &&
		       (c.eax & 0xffff) == 0x3ffc,
	       "ENTER and LEAVE on a 16-bit stack");
	/* Faults and interrupts are delivered on it as well: the run-time only looks at SS:ESP. */
	c = kernel_context(CODE("pushal\nud2"));
	c.ss = STACK16;
	c.esp = 0x4000;
	run(&c);
	expect(&c, "exception delivered on a 16-bit stack", UD, 0, 1);
	check_eq(c.esp, 0x4000 - 32, "ESP of the interrupted code");
}

static void real_mode(void)
{
	u16 *ivt = (u16 *)(0x60 * 4);
	struct context c = kernel_context(0);

	memcpy((void *)AT, real_trip, real_trip_end - real_trip);
	ivt[0] = real_handler - real_trip;
	ivt[1] = AT >> 4;
	__asm__ volatile("sidt %0" : "=m"(idt_pointer));
	gdt_set(CODE16_BASED, AT, 0xffff, SEG_CODE, 0);
	*(u16 *)0x8010 = 0;
	c.cs = CODE16_BASED;
	c.start = c.eip = 0;
	c.ds = c.es = c.ss = DATA16;
	c.esp = 0x6000;
	run(&c);
	report(c.vector == DONE && c.cs == KCODE, "to real mode and back");
	check_eq(c.ebx & 0xffff, AT >> 4, "CS in real mode");
	check_eq(*(u16 *)0x8010, 0xbeef, "DS is a paragraph number");
	check_eq(c.ecx & 0xffff, 0x6060, "INT through the real-mode table");
	report((c.edx & 2) && !(c.edx & IF_), "FLAGS in real mode");
	__asm__ volatile("lidt %0" : : "m"(idt_pointer));
	c = kernel_context(CODE("int3"));
	run(&c);
	expect(&c, "protected mode works as before", BP, 0, 1);
}

void guest_main(void)
{
	protected16();
	stack16();
	real_mode();
}
