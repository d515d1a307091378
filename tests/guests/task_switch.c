/*
 * Hardware task switches: JMP, CALL with IRET back, task gates in the GDT and the IDT, the busy
 * bit, NT, the back link, CR3 and LDT of the new task, CR0.TS, and a double fault handled by a task
 * of its own. SDM: "Task Management".
 */
#include "lib/guest.h"

struct small_tss {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
};
enum { T2 = FREE_SEL, GATE = FREE_SEL + 8, TASK_GATE = 0x85 };

static struct small_tss task;
static u8 task_stack[4096] __attribute__((aligned(16)));

static void task_reset(u32 eip)
{
	memset(&task, 0, sizeof(task));
	task.eip = eip;
	task.eflags = 2;
	task.cs = KCODE;
	task.ds = task.es = task.fs = task.gs = task.ss = KDATA;
	task.esp = (u32)(task_stack + sizeof(task_stack));
	task.esp0 = task.esp - 512;
	task.ss0 = KDATA;
	task.cr3 = read_cr3();
	task.eax = 0xeaa;
	task.edi = 0xed1;
	task.iomap = sizeof(task);
	gdt_set(T2, (u32)&task, sizeof(task) - 1, SEG_TSS, 0);
	gdt_set(TSS_SEL, (u32)&tss, sizeof(tss) - 1, SEG_TSS | 2, 0);
	tss.cr3 = read_cr3();
}

static bool busy(u16 sel)
{
	return gdt[sel / 8] >> 41 & 1;
}

/* After a test that ended inside the second task: become the first again. */
static void back_to_first(void)
{
	gdt_set(TSS_SEL, (u32)&tss, sizeof(tss) - 1, SEG_TSS, 0);
	__asm__ volatile("ltr %w0; clts" : : "r"(TSS_SEL));
}

static void by_jump(void)
{
	struct context c;

	task_reset(CODE("movl %eax,%ebx\nstr %ecx\nmovl %cr0,%edx\nljmp $0x28,$0"));
	c = kernel_context(CODE("movl $0x77,%esi\nljmp $0x60,$0\nmovl %cr0,%edi\nclts"));
	run(&c);
	expect_done(&c, "JMP to a TSS and back");
	check_eq(c.esi, 0x77, "the first task's registers return");
	report(task.ebx == 0xeaa && task.edi == 0xed1, "the second task had its own");
	check_eq(task.ecx & 0xffff, T2, "STR in the second task");
	report(task.edx & CR0_TS, "the switch sets CR0.TS");
	report(busy(TSS_SEL) && !busy(T2), "busy bits after two jumps");
	check_eq(task.link & 0xffff, 0, "JMP sets no back link");
	check_eq(tss.eip, c.start + 12, "saved EIP is after the jump");
	c = kernel_context(CODE("ljmp $0x28,$0"));
	run(&c);
	expect(&c, "JMP to the busy task itself", GP, TSS_SEL, 0);
	gdt[T2 / 8] &= ~(1ull << 47);
	c = kernel_context(CODE("ljmp $0x60,$0"));
	run(&c);
	expect(&c, "JMP to an absent TSS", NP, T2, 0);
	gdt_set(T2, (u32)&task, 0x66, SEG_TSS, 0);
	c = kernel_context(CODE("ljmp $0x60,$0"));
	run(&c);
	expect(&c, "JMP to a TSS with too small a limit", TS, T2, 0);
	gdt_set(T2, (u32)&task, sizeof(task) - 1, SEG_TSS, 0);
	c = user_context(CODE("ljmp $0x60,$0"));
	run(&c);
	expect(&c, "JMP to a DPL 0 TSS from ring 3", GP, T2, 0);
}

static void by_call(void)
{
	struct context c;

	task_reset(CODE("1: pushfl\npopl %ebx\nincl %ebp\niretl\njmp 1b"));
	c = kernel_context(CODE("lcall $0x60,$0\nlcall $0x60,$0\npushfl\npopl %eax\nclts"));
	run(&c);
	expect_done(&c, "CALL to a TSS, IRET, twice");
	check_eq(task.ebp, 2, "the second call goes on after the IRET");
	check_eq(task.link & 0xffff, TSS_SEL, "back link");
	report(task.ebx & NT_, "NT is set in the called task");
	check_eq(c.eax & NT_, 0, "NT is clear in the caller");
	report(busy(TSS_SEL) && !busy(T2), "busy bits after CALL and IRET");
	gdt[GATE / 8] = make_gate(T2, 0, TASK_GATE | DPL3, 0);
	task_reset(CODE("incl %ebp\niretl"));
	c = user_context(CODE("lcall $0x6b,$0\nmovl %cs,%ecx"));
	run(&c);
	expect_done(&c, "CALL through a task gate from ring 3 and IRET back");
	report(task.ebp == 1 && c.ecx == UCODE, "back in ring 3");
	__asm__ volatile("clts");
}

static void by_interrupt(void)
{
	struct context c;

	task_reset(CODE("incl %ebp\nmovl 4(%esp),%ecx\nmovl %esp,%edx\niretl"));
	idt[0x50] = make_gate(T2, 0, TASK_GATE | DPL3, 0);
	c = user_context(CODE("movl $9,%esi\nint $0x50\nnop"));
	run(&c);
	expect_done(&c, "INT through a task gate");
	report(task.ebp == 1 && c.esi == 9, "handler task ran");
	check_eq(tss.eip, c.start + 7, "saved EIP is after the INT");
	/* A fault with an error code: it is pushed on the new task's stack. */
	task_reset(CODE("popl %eax\nnop\nnop"));
	idt[NP] = make_gate(T2, 0, TASK_GATE, 0);
	gdt_set(FREE_SEL + 24, 0, 0xfffff, SEG_DATA & 0x7f, SEG_G | SEG_B);
	c = kernel_context(CODE("movl $0x78,%eax\nmovw %ax,%es"));
	run(&c);
	idt_reset(NP);
	check_eq(c.eax, FREE_SEL + 24, "error code on the stack of the fault's task");
	check_eq(tss.eip, c.start + 5, "saved EIP is the faulting instruction");
	report(busy(TSS_SEL) && busy(T2), "both tasks are busy");
	back_to_first();
}

/* The stack is gone: only a task gate can report the double fault. */
static void double_fault(void)
{
	struct context c;
	u32 start;

	paging_enable();
	task_reset(CODE("popl %eax\nmovl %cr2,%ebx\nnop"));
	task.cr3 = (u32)page_dir;
	tss.cr3 = (u32)page_dir;
	idt[DF] = make_gate(T2, 0, TASK_GATE, 0);
	map(0, 0, 0);
	c = kernel_context(CODE("movl $0x40000100,%esp\npushl $1\nnop"));
	start = c.start;
	run(&c);
	expect_done(&c, "push on an absent stack: #DF through a task gate");
	check_eq(c.eax, 0, "the error code of #DF is 0");
	/* The push fails at 400000FC; delivering that fault fails at the same place or just below.
	 */
	report(c.ebx - 0x400000f0 <= 12, "CR2 is in the absent stack");
	check_eq(tss.eip, start + 5, "saved EIP is the push");
	check_eq(tss.esp, 0x40000100, "ESP of the failed push is unchanged");
	back_to_first();
	/* Two contributory faults in a row. */
	task_reset(CODE("popl %eax\nnop"));
	idt[GP] = make_gate(GDT_ENTRIES * 8 - 8, 0, 0x8e, 0); /* empty descriptor: #GP again */
	c = kernel_context(CODE("movw $0x1ff8,%ax\nmovw %ax,%es"));
	task.cr3 = (u32)page_dir;
	tss.cr3 = (u32)page_dir;
	run(&c);
	idt_reset(GP);
	expect_done(&c, "#GP while delivering #GP is #DF");
	check_eq(c.eax, 0, "its error code is 0");
	idt_reset(DF);
	back_to_first();
	paging_disable();
}

void guest_main(void)
{
	by_jump();
	by_call();
	by_interrupt();
	double_fault();
}
