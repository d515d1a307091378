/*
 * Stack instructions: the odd cases of PUSH and POP, PUSHA/POPA, ENTER with levels and LEAVE,
 * operand sizes, and pushes that fault and must leave ESP alone. SDM: instruction reference.
 */
#include "lib/guest.h"

enum { RW = PTE_P | PTE_W | PTE_U };

static void odd_cases(void)
{
	struct context c;
	u32 esp;

	c = kernel_context(CODE("pushl %esp\npopl %eax"));
	esp = c.esp;
	run(&c);
	report(c.eax == esp && c.esp == esp, "PUSH ESP pushes the old value");
	c = kernel_context(
		CODE("movl %esp,%ebx\npushl $0x1234\npopl %esp\nmovl %esp,%eax\nmovl %ebx,%esp"));
	run(&c);
	check_eq(c.eax, 0x1234, "POP ESP takes the popped value");
	c = kernel_context(CODE("pushl $7\npushl $9\npopl (%esp)\npopl %eax"));
	run(&c);
	report(c.eax == 9 && c.esp == esp, "POP [ESP] uses ESP after the increment");
	c = kernel_context(
		CODE("pushl $1\npushl $2\npushl $3\npopl 4(%esp)\npopl %eax\npopl %ebx"));
	run(&c);
	report(c.eax == 2 && c.ebx == 3, "POP 4[ESP]");
	c = kernel_context(CODE("pushl $0x55\npushl (%esp)\npopl %eax\npopl %ebx"));
	run(&c);
	report(c.eax == 0x55 && c.ebx == 0x55, "PUSH [ESP] reads before it moves ESP");
	c = kernel_context(CODE("pushw $0x1234\npushw %ax\npopl %ebx"));
	c.eax = 0x5678;
	run(&c);
	report(c.ebx == 0x12345678 && c.esp == esp, "two 16-bit pushes make a dword");
	c = kernel_context(CODE("pushl $-1\npopl %eax\npushw $-2\npopw %bx"));
	run(&c);
	report(c.eax == -1u && (c.ebx & 0xffff) == 0xfffe, "PUSH imm8 is sign-extended");
	c = kernel_context(CODE("pushl $-1\nmovl %esp,%ebx\npopl %ecx\npushl %fs\npopl %eax"));
	run(&c);
	check_eq(c.eax & 0xffff, KDATA, "PUSH FS");
	c = kernel_context(CODE("pushw %ds\npopw %es\nmovl %esp,%eax"));
	run(&c);
	check_eq(c.eax, esp, "16-bit push and pop of segment registers move ESP by 2");
}

static void all_registers(void)
{
	struct context c = kernel_context(
		CODE("pushal\nmovl 12(%esp),%eax\nmovl $0xdead,12(%esp)\nmovl $99,16(%esp)\n"
		     "movl %eax,28(%esp)\npopal"));
	u32 esp = c.esp;

	c.eax = 1;
	c.ecx = 2;
	c.ebx = 4;
	c.edi = 8;
	run(&c);
	check_eq(c.eax, esp, "PUSHA stores the old ESP");
	report(c.ebx == 99 && c.ecx == 2 && c.edi == 8, "POPA loads the others");
	check_eq(c.esp, esp, "POPA skips the stored ESP");
	c = kernel_context(CODE("pushaw\naddl $2,%esp\nsubl $2,%esp\npopaw"));
	c.eax = 0xabcd1234;
	run(&c);
	report(c.esp == esp && c.eax == 0xabcd1234, "PUSHAW and POPAW");
}

static void frames_of_levels(void)
{
	struct context c =
		kernel_context(CODE("enter $16,$0\nmovl %ebp,%eax\nmovl %esp,%ebx\nleave"));
	u32 esp = c.esp;

	c.ebp = 0x77;
	run(&c);
	report(c.eax == esp - 4 && c.ebx == esp - 20 && c.esp == esp && c.ebp == 0x77,
	       "ENTER n,0 and LEAVE");
	c = kernel_context(
		CODE("enter $8,$1\nmovl %ebp,%eax\nmovl -4(%ebp),%ecx\nmovl %esp,%ebx\nleave"));
	c.ebp = 0x77;
	run(&c);
	report(c.eax == esp - 4 && c.ecx == esp - 4 && c.ebx == esp - 16,
	       "ENTER n,1 pushes the frame pointer");
	c = kernel_context(CODE(
		"pushl $0xbbb\npushl $0xaaa\nleal 8(%esp),%ebp\nenter $0,$3\nmovl -4(%ebp),%eax\n"
		"movl -8(%ebp),%ebx\nmovl -12(%ebp),%ecx\nmovl %ebp,%edx\nleave\naddl $8,%esp"));
	run(&c);
	report(c.eax == 0xbbb && c.ebx == 0xaaa && c.ecx == c.edx,
	       "ENTER n,3 copies two display entries");
	c = kernel_context(CODE("enterw $4,$0\nmovl %esp,%ebx\nleavew"));
	c.ebp = (esp & 0xffff0000) | 1; /* LEAVEW moves all of EBP to ESP on a 32-bit stack */
	run(&c);
	report(c.ebx == esp - 6 && (c.ebp & 0xffff) == 1 && c.esp == esp, "ENTERW and LEAVEW");
}

/* All these reach an absent page; whatever is done before the fault must be undone. */
static void faulting(const char *name, u32 code, u32 esp, u32 error)
{
	struct context c = user_context(code);

	c.esp = esp;
	c.ebp = 0x5555;
	c.ebx = TEST_VA + 0x5000; /* absent as well */
	c.eax = 0x1111;
	run(&c);
	expect(&c, name, PF, error, 0);
	report(c.esp == esp && c.ebp == 0x5555 && c.eax == 0x1111, "  registers as before");
}

static void faults(void)
{
	u32 edge = TEST_VA + 0x1000; /* page 1 is there, 0 is not */
	struct context c;

	paging_enable();
	map(0, 0, 0);
	map(1, (u32)frames[1], RW);
	map(2, 0, 0);
	faulting("PUSH into an absent page", CODE("pushl %eax"), edge, PFE_U | PFE_W);
	faulting("CALL with an absent stack", CODE("call 1f\n1: nop"), edge, PFE_U | PFE_W);
	faulting("PUSHF with an absent stack", CODE("pushfl"), edge, PFE_U | PFE_W);
	faulting("PUSHA that straddles", CODE("pushal"), edge + 16, PFE_U | PFE_W);
	faulting("ENTER with an absent stack", CODE("enter $64,$0"), edge, PFE_U | PFE_W);
	c = user_context(CODE("enter $64,$0"));
	c.esp = edge + 16;
	run(&c);
	sdm_only("TCG does not probe the final ESP");
	expect(&c, "ENTER whose locals end in an absent page", PF, PFE_U | PFE_W, 0);
	faulting("PUSH of absent memory", CODE("pushl (%ebx)"), edge + 64, PFE_U);
	faulting("POP into absent memory", CODE("popl (%ebx)"), edge + 64, PFE_U | PFE_W);
	faulting("POP of an absent stack", CODE("popl %eax"), edge + 0x1000, PFE_U);
	faulting("RET of an absent stack", CODE("ret"), edge + 0x1000, PFE_U);
	c = user_context(CODE("popal"));
	c.esp = edge + 0x1000 - 16;
	run(&c);
	expect(&c, "POPA that straddles", PF, PFE_U, 0);
	check_eq(c.esp, edge + 0x1000 - 16,
		 "  ESP as before"); /* the others may be loaded in part */
	c = user_context(CODE("leave"));
	c.ebp = TEST_VA + 0x5000;
	c.esp = edge + 64;
	run(&c);
	expect(&c, "LEAVE with an absent frame", PF, PFE_U, 0);
	report(c.esp == edge + 64 && c.ebp == TEST_VA + 0x5000, "  registers as before");
	c = user_context(CODE("pushl %eax"));
	c.esp = edge + 2;
	*(u32 *)frames[1] = 0;
	run(&c);
	expect(&c, "PUSH that straddles", PF, PFE_U | PFE_W, 0);
	check_eq(c.cr2, edge - 2, "  CR2 is in the absent half");
	check_eq(*(u16 *)frames[1], 0, "  nothing was written");
	map(0, (u32)frames[0], RW);
	run(&c);
	report(c.vector == DONE && c.esp == edge - 2, "  and again with the page there");
	paging_disable();
}

void guest_main(void)
{
	odd_cases();
	all_registers();
	frames_of_levels();
	faults();
}
