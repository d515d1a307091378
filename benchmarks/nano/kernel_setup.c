/* Page tables, address spaces and handlers of the nanobenchmarks. */
#include "kernel.h"

enum { MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP };

u32 nano_cr3[2];

static u32 other_dir[1024] __attribute__((aligned(4096)));
static u64 other_pdpt[4] __attribute__((aligned(32)));
static u64 other_pae_dir[512] __attribute__((aligned(4096)));
static u64 other_table[512] __attribute__((aligned(4096)));
static u8 sysenter_stack[1024] __attribute__((aligned(16)));

/* The shortest handlers there can be: what is measured is the way in and out. */
__asm__(".pushsection .text\n"
	".globl nano_fill, nano_skip_error\n"
	"nano_iret:	iretl\n"
	"nano_sysenter:	sysexit\n"
	/* The faulting instructions are two bytes long. */
	"nano_skip_error: addl $4, %esp\n"
	"nano_skip:	addl $2, (%esp)\n"
	"	iretl\n"
	/* Makes the faulting page present, as a kernel does: the PTE's address is in nano_fill_pte, its value beside it. */
	"nano_fill:	addl $4, %esp\n"
	"	pushl %eax\n"
	"	pushl %ecx\n"
	"	movl %cr2, %eax\n"
	"	movl nano_fill_pte, %eax\n"
	"	movl nano_fill_value, %ecx\n"
	"	movl %ecx, (%eax)\n"
	"	popl %ecx\n"
	"	popl %eax\n"
	"	iretl\n"
	".popsection");
u32 *nano_fill_pte, nano_fill_value;
extern u8 nano_iret[], nano_sysenter[], nano_skip[];

void set_pte(u32 page, u32 pa, u32 flags)
{
	if (nano_pae)
		test_table_pae[page] = pa | flags;
	else
		test_table[page] = pa | flags;
}

static void make_other_space(void)
{
	for (u32 i = 0; i < 8; i++) {
		u64 pte = (u32)frames[8 + i] | PTE_P | PTE_W | PTE_U;
		if (nano_pae)
			other_table[i] = pte;
		else
			((u32 *)other_table)[i] = (u32)pte;
	}
	if (nano_pae) {
		memcpy(other_pdpt, pae_pdpt, sizeof(other_pdpt));
		memcpy(other_pae_dir, pae_dir[TEST_VA >> 30], sizeof(other_pae_dir));
		other_pdpt[TEST_VA >> 30] = (u32)other_pae_dir | PTE_P;
		other_pae_dir[0] = (u32)other_table | PTE_P | PTE_W | PTE_U;
		nano_cr3[1] = (u32)other_pdpt;
	} else {
		memcpy(other_dir, page_dir, sizeof(other_dir));
		other_dir[TEST_VA >> 22] = (u32)other_table | PTE_P | PTE_W | PTE_U;
		nano_cr3[1] = (u32)other_dir;
	}
	nano_cr3[0] = read_cr3();
}

void nano_kernel_setup(void)
{
	if (nano_pae)
		paging_enable_pae(false);
	else
		paging_enable();
	for (u32 i = 0; i < 8; i++)
		set_pte(i, (u32)frames[i], PTE_P | PTE_W | PTE_U);
	make_other_space();
	idt[0x80] = make_gate(KCODE, (u32)nano_iret, 0xee, 0);
	idt[DE] = make_gate(KCODE, (u32)nano_skip, 0x8e, 0);
	wrmsr(MSR_SYSENTER_CS, KCODE);
	wrmsr(MSR_SYSENTER_ESP, (u32)(sysenter_stack + sizeof(sysenter_stack)));
	wrmsr(MSR_SYSENTER_EIP, (u32)nano_sysenter);
}
