/* Operations of a kernel, and of user code that needs one. */
#include "kernel.h"
#include "nano.h"

extern u8 nano_skip_error[], nano_fill[];
extern u32 *nano_fill_pte, nano_fill_value;

enum { LAPIC = 0xfee00000, IPI_VECTOR = 0x90 };
enum { WARM = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D };

static volatile u32 ticks;

__asm__(".pushsection .text\n"
	"nano_ipi:	movl $0, 0xfee000b0\n"
	"	incl nano_ticks\n"
	"	iretl\n"
	"nano_timer:	pushl %eax\n"
	"	movb $0x20, %al\n"
	"	outb %al, $0x20\n"
	"	incl nano_ticks\n"
	"	popl %eax\n"
	"	iretl\n"
	".set nano_ticks, ticks\n"
	".popsection");
extern u8 nano_ipi[], nano_timer[];

/* Ring 3 code that counts ESI down; EBX is the address it uses. */
static void run_user(u32 code, unsigned n)
{
	struct context c = user_context(code);
	c.esi = n;
	c.ebx = TEST_VA;
	run(&c);
	if (c.vector != DONE)
		puts("FAIL the user code met a trap\n");
}

static void syscall_int(unsigned n)
{
	run_user(CODE("1: int $0x80\n decl %esi\n jnz 1b"), n);
}

static void syscall_sysenter(unsigned n)
{
	run_user(CODE("1: movl %esp, %ecx\n movl $2f, %edx\n sysenter\n"
		      "2: decl %esi\n jnz 1b"),
		 n);
}

/* ---- faults ---- */

static void prepare_fault(void)
{
	idt[PF] = make_gate(KCODE, (u32)nano_skip_error, 0x8e, 0);
	set_pte(0, 0, 0);
	invlpg(TEST_VA);
}

static void prepare_fill(void)
{
	idt[PF] = make_gate(KCODE, (u32)nano_fill, 0x8e, 0);
	nano_fill_pte = nano_pae ? (u32 *)test_table_pae : test_table;
	nano_fill_value = (u32)frames[0] | PTE_P | PTE_W | PTE_U;
}

static void pgfault_user(unsigned n)
{
	run_user(CODE("1: movl (%ebx), %eax\n decl %esi\n jnz 1b"), n);
}

static void pgfault_kernel(unsigned n)
{
	__asm__ volatile("1: movl (%1), %%eax\n decl %0\n jnz 1b" : "+r"(n) : "b"(TEST_VA) : "eax", "cc");
}

/* The handler makes the page present; afterwards it is taken away again. */
static void pgfault_fill(unsigned n)
{
	while (n--) {
		set_pte(0, 0, 0);
		invlpg(TEST_VA);
		(void)*(volatile u32 *)TEST_VA;
	}
}

static void divzero(unsigned n)
{
	__asm__ volatile("1: divl %1\n decl %%esi\n jnz 1b" : "+S"(n) : "c"(0) : "eax", "edx", "cc");
}

/* ---- memory management ---- */

static void prepare_pages(void)
{
	idt_reset(PF);
	for (u32 i = 0; i < 8; i++) {
		set_pte(i, (u32)frames[i], WARM);
		invlpg(TEST_VA + i * 4096);
		*(volatile u32 *)(TEST_VA + i * 4096) = i;
	}
}

/* A PTE in use is made read-only and writable in turn; nobody is told yet. */
static void ptemod(unsigned n)
{
	volatile u32 *pte = nano_pae ? (u32 *)(test_table_pae + 1) : test_table + 1;
	while (n--)
		*pte ^= PTE_W;
}

/* The same with all that belongs to it: INVLPG and the next read. */
static void ptemod_touch(unsigned n)
{
	while (n--) {
		set_pte(1, (u32)frames[n & 1], WARM);
		invlpg(TEST_VA + 4096);
		(void)*(volatile u32 *)(TEST_VA + 4096);
	}
}

static void invlpg_warm(unsigned n)
{
	while (n--) {
		invlpg(TEST_VA + 4096);
		(void)*(volatile u32 *)(TEST_VA + 4096);
	}
}

/* Each switch is followed by reads of four pages, which differ between the two. */
static void cr3_switch(unsigned n)
{
	n |= 1; /* end in the first */
	while (n--) {
		write_cr3(nano_cr3[n & 1]);
		for (u32 i = 0; i < 4; i++)
			(void)*(volatile u32 *)(TEST_VA + i * 4096);
	}
}

/* ---- control registers, flags, segments ---- */

static void cr0_write(unsigned n)
{
	u32 cr0 = read_cr0();
	while (n--)
		write_cr0(cr0);
}

static void cr2_read(unsigned n)
{
	while (n--)
		(void)read_cr2();
}

static void clts(unsigned n)
{
	while (n--)
		__asm__ volatile("clts");
}

static void iret_same_ring(unsigned n)
{
	__asm__ volatile("1: pushfl\n pushl %%cs\n pushl $2f\n iretl\n2: decl %0\n jnz 1b"
			 : "+r"(n)
			 :
			 : "cc", "memory");
}

static void cli_sti(unsigned n)
{
	__asm__ volatile("1: cli\n sti\n decl %0\n jnz 1b\n cli" : "+r"(n) : : "cc", "memory");
}

static void popf(unsigned n)
{
	__asm__ volatile("1: pushfl\n popfl\n decl %0\n jnz 1b" : "+r"(n) : : "cc", "memory");
}

/* As Linux's spin_lock_irqsave and its counterpart do. */
static void save_cli_restore(unsigned n)
{
	__asm__ volatile("sti\n 1: pushfl\n popl %%edx\n cli\n pushl %%edx\n popfl\n decl %0\n jnz 1b\n cli"
			 : "+r"(n)
			 :
			 : "edx", "cc", "memory");
}

static void segment_load(unsigned n)
{
	__asm__ volatile("1: movl %1, %%es\n decl %0\n jnz 1b" : "+r"(n) : "r"(KDATA) : "cc", "memory");
}

static void segment_pop(unsigned n)
{
	__asm__ volatile("1: pushl %%fs\n popl %%fs\n decl %0\n jnz 1b" : "+r"(n) : : "cc", "memory");
}

static void prepare_fpu(void)
{
	write_cr4(read_cr4() | CR4_OSFXSR);
}

static void fxsave_fxrstor(unsigned n)
{
	static u8 area[512] __attribute__((aligned(16)));
	while (n--)
		__asm__ volatile("fxsave %0\n fxrstor %0" : "+m"(area));
}

/* ---- devices and interrupts ---- */

static void in_port(unsigned n)
{
	while (n--)
		(void)inb(0x61);
}

static void out_port(unsigned n)
{
	while (n--)
		outb(0x80, 0);
}

static void mmio_read(unsigned n)
{
	while (n--)
		(void)*(volatile u32 *)(LAPIC + 0x20);
}

static void prepare_ipi(void)
{
	idt[IPI_VECTOR] = make_gate(KCODE, (u32)nano_ipi, 0x8e, 0);
	*(volatile u32 *)(LAPIC + 0xf0) = 0x1ff; /* the local APIC on */
}

/* An interrupt to ourselves, its handler with the EOI, and back. */
static void interrupt(unsigned n)
{
	__asm__ volatile("sti");
	while (n--) {
		u32 before = ticks;
		*(volatile u32 *)(LAPIC + 0x300) = 0x44000 | IPI_VECTOR;
		while (ticks == before)
			;
	}
	__asm__ volatile("cli");
}

static void prepare_timer(void)
{
	idt[PIC_BASE] = make_gate(KCODE, (u32)nano_timer, 0x8e, 0);
	pic_setup(0xfffe);
}

/* Halted until the PIT's interrupt 50 us later: these 50 us are part of the figure. */
static void timer_50us(unsigned n)
{
	while (n--) {
		u32 before = ticks;
		pit_oneshot(60);
		while (ticks == before)
			__asm__ volatile("sti\n hlt\n cli" : : : "memory");
	}
}

const struct nano nano_kernel_level[] = {
	{"syscall_int", syscall_int, 0},
	{"syscall_sysenter", syscall_sysenter, 0},
	{"pgfault_user", pgfault_user, prepare_fault},
	{"pgfault_kernel", pgfault_kernel, prepare_fault},
	{"pgfault_fill", pgfault_fill, prepare_fill},
	{"divzero", divzero, 0},
	{"ptemod", ptemod, prepare_pages},
	{"ptemod_touch", ptemod_touch, prepare_pages},
	{"invlpg", invlpg_warm, prepare_pages},
	{"cr3_switch", cr3_switch, prepare_pages},
	{"cr0_write", cr0_write, 0},
	{"cr2_read", cr2_read, 0},
	{"clts", clts, 0},
	{"iret", iret_same_ring, 0},
	{"cli_sti", cli_sti, 0},
	{"popf", popf, 0},
	{"save_cli_restore", save_cli_restore, 0},
	{"segment_load", segment_load, 0},
	{"segment_pop", segment_pop, 0},
	{"fxsave_fxrstor", fxsave_fxrstor, prepare_fpu},
	{"in", in_port, 0},
	{"out", out_port, 0},
	{"mmio_read", mmio_read, 0},
	{"interrupt", interrupt, prepare_ipi},
	{"timer_50us", timer_50us, prepare_timer},
	{0, 0, 0},
};
