/*
 * Faults on the way into a handler: #DF and its rules, ring 0 stacks at the edge of what is mapped,
 * and tables in absent pages.
 * SDM: "Interrupt 8 - Double Fault Exception (#DF)".
 */
#include "lib/guest.h"

enum { RW = PTE_P | PTE_W };

/* The IDT seen through the test region, at other addresses than its own. */
static void alias_idt(void)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, TEST_VA + 0x10000 + ((u32)idt & 4095)};

	map(16, (u32)idt & ~4095u, RW);
	map(17, ((u32)idt & ~4095u) + 4096, RW);
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static void normal_idt(void)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (u32)idt};

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static void fault_in_handler_entry(void)
{
	struct context c;

	/* #NP while delivering INT n: delivered as it is, with EXT clear. */
	c = user_context(CODE("int $0x80"));
	idt[SYSCALL] &= ~(1ull << 47);
	run(&c);
	expect(&c, "INT through an absent gate", NP, SYSCALL * 8 + 2, 0);
	idt_reset(SYSCALL);
	/* #NP while delivering a fault is benign for #UD: #NP with EXT. */
	idt[UD] &= ~(1ull << 47);
	c = kernel_context(CODE("ud2"));
	run(&c);
	sdm_only("TCG leaves EXT clear");
	expect(&c, "#UD through an absent gate: #NP with EXT", NP, UD * 8 + 3, 0);
	idt_reset(UD);
	/* Contributory on contributory: #DF. */
	idt[DE] &= ~(1ull << 47);
	c = kernel_context(CODE("xorl %ecx,%ecx\ndivl %ecx"));
	run(&c);
	idt_reset(DE);
	report(c.vector == DF && c.error == 0, "#DE through an absent gate: #DF");
	/* #PF then a contributory fault: #DF. */
	idt[PF] &= ~(1ull << 47);
	c = kernel_context(CODE("movl 0x40000000,%eax"));
	run(&c);
	idt_reset(PF);
	report(c.vector == DF && c.error == 0, "#PF through an absent gate: #DF");
}

static void odd_stacks(void)
{
	struct context c;
	u32 esp0 = tss.esp0;

	map(4, (u32)frames[4], RW);
	map(5, 0, 0);
	tss.esp0 = TEST_VA + 0x5000; /* top of page 4 */
	c = user_context(CODE("int $0x80"));
	run(&c);
	expect(&c, "entry on a stack that ends at an absent page", SYSCALL, 0, 2);
	tss.esp0 = esp0;
	/* A stack in a read-only page is writable to ring 0 without WP. */
	map(4, (u32)frames[4], PTE_P);
	tss.esp0 = TEST_VA + 0x5000;
	write_cr0(read_cr0() & ~CR0_WP);
	c = user_context(CODE("int $0x80"));
	run(&c);
	expect(&c, "entry on a read-only stack without CR0.WP", SYSCALL, 0, 2);
	tss.esp0 = esp0;
}

static void tables_in_absent_pages(void)
{
	struct context c;
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) real, far_gdt;

	/* A GDT whose second page is absent: a load from there is a page fault, not #GP. */
	__asm__ volatile("sgdt %0" : "=m"(real));
	memcpy(frames[6] + 4096 - 512, gdt, 512);
	map(8, (u32)frames[6], RW);
	map(9, 0, 0);
	far_gdt.base = TEST_VA + 0x9000 - 512;
	far_gdt.limit = 0xfff;
	__asm__ volatile("lgdt %0" : : "m"(far_gdt));
	c = kernel_context(CODE("movl $0x208,%eax\nmovw %ax,%es"));
	run(&c);
	expect(&c, "descriptor in an absent page", PF, 0, 5);
	check_eq(c.cr2, TEST_VA + 0x9008, "  CR2");
	map(9, (u32)frames[7], RW);
	*(u64 *)(frames[7] + 8) = make_segment(0, 0xfffff, SEG_DATA, SEG_G | SEG_B);
	run(&c);
	report(c.vector == DONE && c.es == 0x208, "  and on after the page came");
	__asm__ volatile("lgdt %0" : : "m"(real));
	alias_idt();
	c = kernel_context(CODE("int $0x33"));
	run(&c);
	expect(&c, "INT through an aliased IDT", 0x33, 0, 2);
	normal_idt();
}

void guest_main(void)
{
	paging_enable();
	fault_in_handler_entry();
	odd_stacks();
	tables_in_absent_pages();
	paging_disable();
}
