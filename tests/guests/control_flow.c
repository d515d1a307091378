/* Jumps, calls, returns and loops: conditions, indirect forms, recursion, jump tables, 16-bit
 * targets. */
#include "lib/guest.h"

static u32 eval(u32 code, u32 eax, u32 ecx, u32 flags)
{
	struct context c = kernel_context(code);

	c.eax = eax;
	c.ecx = ecx;
	c.eflags |= flags;
	run(&c);
	return c.vector == DONE ? c.eax : 0xbad00000 + c.vector;
}

/* Every condition code against every combination of CF, PF, ZF, SF and OF, by Jcc, SETcc and
 * CMOVcc. */
static bool holds(u32 cc, u32 f)
{
	bool cf = f & CF_, zf = f & ZF_, sf = f & SF_, of = f & OF_, pf = f & PF_, r;

	switch (cc >> 1) {
	case 0:
		r = of;
		break;
	case 1:
		r = cf;
		break;
	case 2:
		r = zf;
		break;
	case 3:
		r = cf || zf;
		break;
	case 4:
		r = sf;
		break;
	case 5:
		r = pf;
		break;
	case 6:
		r = !sf != !of;
		break;
	default:
		r = zf || !sf != !of;
	}
	return (cc & 1) ? !r : r;
}

static u8 patch[32] __attribute__((aligned(32), section(".snippet_data")));

static bool condition(u32 cc, u32 form)
{
	static const u8 bodies[3][16] = {
		{0x89, 0xc0, 0x70, 0x02, 0xcd, 0x7f, 0x40, 0xcd,
		 0x7f},				/* mov %eax,%eax; jcc +2; int; inc; int */
		{0x0f, 0x90, 0xc0, 0xcd, 0x7f}, /* setcc %al; int */
		{0x0f, 0x40, 0xc1, 0xcd, 0x7f}, /* cmovcc %ecx,%eax; int */
	};
	static const u32 at[3] = {2, 1, 1};

	memcpy(patch, bodies[form], 16);
	patch[at[form]] += cc;
	for (u32 i = 0; i < 32; i++) {
		u32 f = (i & 1 ? CF_ : 0) | (i & 2 ? PF_ : 0) | (i & 4 ? ZF_ : 0) |
			(i & 8 ? SF_ : 0) | (i & 16 ? OF_ : 0);

		if (eval((u32)patch, 0, 1, f) != (u32)holds(cc, f))
			return false;
	}
	return true;
}

static void conditions(void)
{
	static const char *names[3] = {"Jcc, all conditions and flags",
				       "SETcc, all conditions and flags",
				       "CMOVcc, all conditions and flags"};

	for (u32 form = 0; form < 3; form++) {
		bool ok = true;

		for (u32 cc = 0; cc < 16 && ok; cc++)
			ok = condition(cc, form);
		report(ok, names[form]);
	}
}

static void loops(void)
{
	check_eq(eval(CODE("xorl %eax,%eax\n1: incl %eax\nloop 1b"), 0, 10, 0), 10, "LOOP");
	check_eq(eval(CODE("xorl %eax,%eax\n1: incl %eax\ncmpl $4,%eax\nloopne 1b"), 0, 10, 0), 4,
		 "LOOPNE stops at ZF");
	check_eq(eval(CODE("xorl %eax,%eax\n1: incl %eax\ncmpl %eax,%eax\nloope 1b"), 0, 6, 0), 6,
		 "LOOPE");
	check_eq(eval(CODE("movl $1,%eax\njecxz 1f\nincl %eax\n1: nop"), 0, 0, 0), 1,
		 "JECXZ taken");
	check_eq(eval(CODE("movl $1,%eax\njecxz 1f\nincl %eax\n1: nop"), 0, 0x10000, 0), 2,
		 "JECXZ not taken");
	check_eq(eval(CODE("movl $1,%eax\njcxz 1f\nincl %eax\n1: nop"), 0, 0x10000, 0), 1,
		 "JCXZ looks at CX");
	check_eq(eval(CODE("xorl %eax,%eax\n1: incl %eax\naddr16 loop 1b\nmovl %ecx,%eax"), 0,
		      0xabcd0003, 0),
		 0xabcd0000, "LOOP with 16-bit count leaves the upper half");
	check_eq(eval(CODE("stc\nmovl $3,%ecx\n1: loop 1b\nsetc %al\nmovzbl %al,%eax"), 0, 0, 0), 1,
		 "LOOP leaves the flags");
}

static void indirect(void)
{
	check_eq(eval(CODE("movl $1f,%ecx\njmp *%ecx\nhlt\n1: movl $5,%eax"), 0, 0, 0), 5,
		 "JMP register");
	check_eq(eval(CODE("pushl $1f\njmp *(%esp)\nhlt\n1: popl %eax\nmovl $6,%eax"), 0, 0, 0), 6,
		 "JMP memory");
	check_eq(eval(CODE("call *%ecx\njmp 2f\n1: ret\n2: movl $7,%eax"), 0, CODE("ret"), 0), 7,
		 "CALL register");
	check_eq(eval(CODE("pushl $1f\ncall *(%esp)\njmp 2f\n1: movl $8,%eax\nret\n2: popl %ecx"),
		      0, 0, 0),
		 8, "CALL [ESP] reads before it pushes");
	check_eq(eval(CODE("movl %esp,%ebx\npushl $1\npushl $2\ncall 1f\nsubl %esp,%ebx\nmovl "
			   "%ebx,%eax\njmp 2f\n"
			   "1: ret $8\n2: nop"),
		      0, 0, 0),
		 0, "RET n");
	check_eq(eval(CODE("pushl $1f\nret\nhlt\n1: movl $9,%eax"), 0, 0, 0), 9, "RET as a jump");
	check_eq(eval(CODE("call 1f\nmovl $1,%eax\njmp 3f\n1: movl $2f,(%esp)\nret\n2: movl "
			   "$2,%eax\n3: nop"),
		      0, 0, 0),
		 2, "RET to a changed address");
	check_eq(eval(CODE("call 1f\n1: popl %eax\nsubl $1b,%eax"), 0, 0, 0), 0,
		 "CALL as a way to read EIP");
	/* A table of eight targets, visited 800 times in changing order. */
	check_eq(eval(CODE("movl $800,%ecx\nxorl %eax,%eax\nmovl $1,%edx\n"
			   "9: imull $1103515245,%edx\naddl $12345,%edx\nmovl %edx,%ebx\nshrl "
			   "$16,%ebx\nandl $7,%ebx\n"
			   "jmp *8f(,%ebx,4)\n"
			   "1: addl $1,%eax\njmp 7f\n2: addl $1,%eax\njmp 7f\n3: addl $1,%eax\njmp "
			   "7f\n4: addl $1,%eax\n"
			   "7: loop 9b\njmp 6f\n8: .long 1b,2b,3b,4b,1b,2b,3b,4b\n6: nop"),
		      0, 0, 0),
		 800, "jump table");
}

static u32 depth_reached;
u32 recurse(u32 n);
__attribute__((noinline)) u32 recurse(u32 n)
{
	depth_reached = n > depth_reached ? n : depth_reached;
	return n < 600 ? recurse(n + 1) + n : n;
}

static u32 fibonacci(u32 n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static void recursion(void)
{
	check_eq(recurse(0), 600 * 601 / 2, "600 calls deep and back");
	check_eq(fibonacci(18), 2584, "fibonacci by recursion");
	check_eq(eval(CODE("movl $10000,%ecx\nxorl %eax,%eax\n1: call 2f\nloop 1b\njmp 3f\n2: incl "
			   "%eax\nret\n3: nop"),
		      0, 0, 0),
		 10000, "10000 calls and returns");
	/* Calls without returns, and returns without calls. */
	check_eq(eval(CODE("movl $100,%ecx\n1: call 2f\n2: loop 1b\naddl $400,%esp\nmovl $3,%eax"),
		      0, 0, 0),
		 3, "100 calls without a return");
	check_eq(eval(CODE("movl $100,%ecx\n1: pushl $3f\nloop 1b\nxorl %eax,%eax\n3: incl "
			   "%eax\ncmpl $101,%eax\nje 4f\nret\n4: nop"),
		      0, 0, 0),
		 101, "100 returns without a call");
}

/* A 16-bit operand size cuts the target to 16 bits. */
static void cut_targets(void)
{
	struct context c;

	memcpy((void *)0x7100, "\xcd\x7f", 2);
	c = kernel_context(CODE(".byte 0x66,0xff,0xe0")); /* jmp *%ax */
	c.eax = 0x12347100;
	run(&c);
	report(c.vector == DONE && c.eip == 0x7102, "JMP AX");
	c = kernel_context(CODE("pushw %ax\n.byte 0x66,0xc3"));
	c.eax = 0x7100;
	run(&c);
	report(c.vector == DONE && c.eip == 0x7102, "RETW");
	c = kernel_context(CODE(".byte 0x66,0xff,0xd0"));
	c.eax = 0x7100;
	u32 esp = c.esp;

	run(&c);
	report(c.eip == 0x7102 && c.esp == esp - 2 && *(u16 *)c.esp == (u16)(c.start + 3),
	       "CALL AX pushes IP");
}

void guest_main(void)
{
	conditions();
	loops();
	indirect();
	recursion();
	cut_targets();
}
