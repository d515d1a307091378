/* Flat segments for both rings, one TSS for the ring 0 stack, and the interrupt table. */
#include "kernel.h"

struct tss {
	uint32_t link, esp0, ss0, unused[22];
	uint16_t trap, iomap;
};

struct table_pointer {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

extern const uint32_t trap_stubs[256];

static uint64_t gdt[6] = {
	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff,
};
static uint64_t idt[256];
static struct tss tss = {.ss0 = KDATA, .iomap = sizeof(tss)};

static uint64_t tss_descriptor(void)
{
	uint32_t base = (uint32_t)&tss;
	uint32_t low = base << 16 | (sizeof(tss) - 1);
	uint32_t high = (base & 0xff000000) | 0x8900 | (base >> 16 & 0xff);

	return (uint64_t)high << 32 | low;
}

static uint64_t interrupt_gate(uint32_t handler, unsigned dpl)
{
	uint32_t low = (uint32_t)KCODE << 16 | (handler & 0xffff);
	uint32_t high = (handler & 0xffff0000) | 0x8e00 | dpl << 13;

	return (uint64_t)high << 32 | low;
}

void descriptors_init(void)
{
	struct table_pointer g = {sizeof(gdt) - 1, (uint32_t)gdt},
			     i = {sizeof(idt) - 1, (uint32_t)idt};

	gdt[TSS_SELECTOR / 8] = tss_descriptor();
	for (unsigned v = 0; v < 256; v++)
		idt[v] = interrupt_gate(trap_stubs[v],
					v == 3 || v == 4 || v == SYSCALL_VECTOR ? 3 : 0);
	__asm__ volatile("lgdt %0\n\t"
			 "ljmp %1, $1f\n1:\t"
			 "movw %w2, %%ds\n\tmovw %w2, %%es\n\tmovw %w2, %%ss\n\t"
			 "movw %w3, %%fs\n\tmovw %w3, %%gs\n\t"
			 "lidt %4\n\tlldt %w3\n\tltr %w5"
			 :
			 : "m"(g), "i"(KCODE), "r"(KDATA), "r"(0), "m"(i), "r"(TSS_SELECTOR)
			 : "memory");
}

void descriptors_set_kernel_stack(uint32_t top)
{
	tss.esp0 = top;
}
