/*
 * Debug exceptions: single step, the breakpoint registers for fetches, data and ports, general
 * detect, and the MOV SS shadow. SDM: "Debug Exception (#DB)", "Debug Registers".
 */
#include "lib/guest.h"

enum {
	DR6_B0 = 1,
	DR6_B1 = 2,
	DR6_BD = 1 << 13,
	DR6_BS = 1 << 14,
	DR6_BT = 1 << 15,
	DR6_ONES = 0xffff0ff0
};
enum { EXEC, WRITE, IO, ACCESS };
enum { LEN1 = 0, LEN2 = 1, LEN4 = 3 };

static u32 dr7(u32 n, u32 kind, u32 len)
{
	return 0x700 | 2 << n * 2 | kind << (16 + n * 4) | len << (18 + n * 4);
}

static void clear(void)
{
	write_dr7(0x400);
	write_dr6(DR6_ONES);
}

static u32 steps;
static u32 step_at[64];

static int on_step(struct context *c)
{
	if (steps < ARRAY_LEN(step_at))
		step_at[steps] = c->eip;
	steps++;
	write_dr6(DR6_ONES);
	return 1;
}

static void single_step(void)
{
	struct context c;

	clear();
	c = kernel_context(CODE("nop\nnop"));
	c.eflags |= TF_;
	run(&c);
	expect(&c, "TF: trap after the first instruction", DB, 0, 1);
	report(c.eflags & TF_, "TF is in the saved flags");
	check_eq(read_dr6(), DR6_ONES | DR6_BS, "DR6.BS");
	clear();
	c = user_context(CODE("incl %eax\nincl %eax"));
	c.eflags |= TF_;
	run(&c);
	expect(&c, "TF in ring 3", DB, 0, 1);
	check_eq(c.eax, 1, "  one instruction was executed");
	run(&c);
	report(c.vector == DB && c.eax == 2, "  and then one more");
	clear();
	c = kernel_context(CODE("pushl $0x102\npopfl\nnop\nnop"));
	run(&c);
	expect(&c, "POPF that sets TF: trap after the next instruction", DB, 0, 7);
	clear();
	c = kernel_context(CODE("pushl $2\npopfl\nnop"));
	c.eflags |= TF_;
	run(&c);
	run(&c);
	expect(&c, "POPF that clears TF: still a trap after it", DB, 0, 3);
	clear();
	c = kernel_context(CODE("int $0x33"));
	c.eflags |= TF_;
	run(&c);
	expect(&c, "INT n under TF enters the handler without a trap", 0x33, 0, 2);
	clear();
	c = kernel_context(CODE("ud2"));
	c.eflags |= TF_;
	run(&c);
	expect(&c, "a fault comes before the trap", UD, 0, 0);
	clear();
	/* Count steps through straight code, a taken jump, a call and a REP. */
	isr[DB] = on_step;
	steps = 0;
	c = kernel_context(CODE("movl $3,%ecx\njmp 1f\nnop\n1: call 2f\njmp 3f\n2: ret\n3: rep "
				"stosb\npushl $2\npopfl\nnop"));
	c.eflags |= TF_;
	c.edi = (u32)frames[0];
	run(&c);
	isr[DB] = 0;
	expect_done(&c, "stepping through a snippet");
	/* mov jmp call ret jmp, rep (an iteration each), push popf: 5 + 3 + 2 */
	check_eq(steps, 10, "traps, one for each iteration of REP");
	report(step_at[5] == step_at[6] && step_at[4] == step_at[5] && step_at[7] == step_at[6] + 2,
	       "within REP the saved EIP is the REP");
	clear();
	c = kernel_context(CODE("movl %ss,%eax\nmovw %ax,%ss\nnop\nnop"));
	c.eflags |= TF_;
	run(&c);
	clear();
	run(&c);
	expect(&c, "MOV SS holds the trap back by one instruction", DB, 0, 5);
	clear();
}

static void breakpoints(void)
{
	struct context c;
	static u32 data[4] __attribute__((aligned(16)));

	c = kernel_context(CODE("nop\nincl %eax\nincl %eax\nnop"));
	write_dr0(c.start + 2);
	clear();
	write_dr7(dr7(0, EXEC, LEN1));
	run(&c);
	expect(&c, "instruction breakpoint is a fault", DB, 0, 2);
	check_eq(c.eax, 1, "  the instruction was not executed");
	check_eq(read_dr6() & 0xe00f, DR6_B0, "  DR6.B0");
	write_dr6(DR6_ONES);
	c.eflags |= RF_;
	run(&c);
	report(c.vector == DONE && c.eax == 2, "RF lets it go on");
	sdm_only("TCG clears RF at the end of a block only");
	check_eq(c.eflags & RF_, 0, "RF is cleared by the instruction");
	c = kernel_context(c.start);
	write_dr7(0x700);
	run(&c);
	expect_done(&c, "a disabled breakpoint is silent");

	clear();
	write_dr1((u32)&data[1]);
	write_dr7(dr7(1, WRITE, LEN4));
	c = kernel_context(CODE("movl (%ebx),%eax\nmovl %ecx,(%ebx)\nnop"));
	c.ebx = (u32)&data[1];
	c.ecx = 0x55;
	run(&c);
	expect(&c, "data write breakpoint is a trap", DB, 0, 4);
	report(data[1] == 0x55, "  the write was done");
	check_eq(read_dr6() & 0xe00f, DR6_B1, "  DR6.B1");
	clear();
	write_dr7(dr7(1, ACCESS, LEN4));
	c = kernel_context(c.start);
	c.ebx = (u32)&data[1];
	run(&c);
	expect(&c, "data access breakpoint sees reads", DB, 0, 2);
	clear();
	write_dr7(dr7(1, WRITE, LEN4));
	c = kernel_context(CODE("movb %cl,(%ebx)\nmovl %ecx,1(%ebx)"));
	c.ebx = (u32)&data[0];
	run(&c);
	expect(&c, "an access that overlaps in part", DB, 0, 5);
	clear();
	write_dr7(dr7(1, WRITE, LEN4));
	c = kernel_context(CODE("rep stosl"));
	c.edi = (u32)data;
	c.ecx = 4;
	run(&c);
	report(c.vector == DB && c.ecx == 2 && c.edi == (u32)&data[2],
	       "data breakpoint within REP STOS");
	clear();
	write_dr2(0x80);
	write_cr4(read_cr4() | CR4_DE);
	write_dr7(dr7(2, IO, LEN1));
	c = kernel_context(CODE("outb %al,$0x81\noutb %al,$0x80\nnop"));
	run(&c);
	expect(&c, "I/O breakpoint", DB, 0, 4);
	clear();
	write_cr4(read_cr4() & ~CR4_DE);
}

static void registers(void)
{
	struct context c;

	clear();
	write_dr3(0x12345678);
	check_eq(read_dr3(), 0x12345678, "DR3 holds its value");
	write_dr7(0);
	check_eq(read_dr7() & 0x400, 0x400, "DR7 bit 10 is always 1");
	write_dr6(0);
	check_eq(read_dr6() & 0xffff0ff0, DR6_ONES, "DR6's fixed bits are 1");
	c = kernel_context(CODE("movl %dr4,%eax"));
	write_cr4(read_cr4() | CR4_DE);
	run(&c);
	expect(&c, "DR4 under CR4.DE", UD, 0, 0);
	write_cr4(read_cr4() & ~CR4_DE);
	c = kernel_context(c.start);
	run(&c);
	expect_done(&c, "DR4 is DR6 without CR4.DE");
	clear();
	write_dr7(0x400 | 1 << 13);
	c = kernel_context(CODE("movl %dr0,%eax"));
	run(&c);
	sdm_only("TCG has no general detect");
	expect(&c, "general detect", DB, 0, 0);
	write_dr7(0x400);
	sdm_only("TCG has no general detect");
	report(read_dr6() & DR6_BD, "DR6.BD");
	clear();
}

void guest_main(void)
{
	single_step();
	breakpoints();
	registers();
}
