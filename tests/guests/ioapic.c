/*
 * The I/O APIC: the UART's line and the 8254's through redirection entries, masks, level and edge,
 * and the 8259 out of the way. SDM: "Advanced Programmable Interrupt Controller"; 82093AA data
 * sheet.
 */
#include "lib/guest.h"

enum { IOAPIC = 0xfec00000, LAPIC = 0xfee00000, UART_GSI = 4, PIT_GSI = 2, MASKED = 1 << 16 };
enum { UART_VECTOR = 0x61, PIT_VECTOR = 0x62 };

static volatile u32 count[256];

static void write_reg(u32 reg, u32 value)
{
	*(volatile u32 *)IOAPIC = reg;
	*(volatile u32 *)(IOAPIC + 0x10) = value;
}

static u32 read_reg(u32 reg)
{
	*(volatile u32 *)IOAPIC = reg;
	return *(volatile u32 *)(IOAPIC + 0x10);
}

static void redirect(u32 gsi, u32 low)
{
	write_reg(0x11 + gsi * 2, 0); /* to local APIC 0 */
	write_reg(0x10 + gsi * 2, low);
}

static int on_interrupt(struct context *c)
{
	count[c->vector]++;
	if (c->vector == UART_VECTOR)
		outb(0x3f9, 0); /* the transmitter's cause is gone */
	*(volatile u32 *)(LAPIC + 0xb0) = 0;
	return 1;
}

static void open_window(void)
{
	for (u32 i = 0; i < 2000; i++)
		__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

void guest_main(void)
{
	pic_setup(0xffff);
	isr[UART_VECTOR] = isr[PIT_VECTOR] = on_interrupt;
	*(volatile u32 *)(LAPIC + 0xf0) = 0x1ff;
	*(volatile u32 *)(LAPIC + 0x80) = 0;
	report((read_reg(1) >> 16 & 0xff) == 23, "24 redirection entries");
	check_eq(read_reg(0x10 + UART_GSI * 2) & MASKED, MASKED, "masked after reset");
	redirect(UART_GSI, UART_VECTOR | MASKED);
	check_eq(read_reg(0x10 + UART_GSI * 2) & 0x100ff, UART_VECTOR | MASKED,
		 "an entry holds its value");
	outb(0x3fc, inb(0x3fc) | 8);
	outb(0x3f9, 2); /* transmitter empty */
	open_window();
	check_eq(count[UART_VECTOR], 0, "masked: silent");
	outb(0x3f9, 0);
	redirect(UART_GSI, UART_VECTOR);
	outb(0x3f9, 2);
	open_window();
	check_eq(count[UART_VECTOR], 1, "an edge interrupts once");
	redirect(UART_GSI, UART_VECTOR | 1 << 15);
	outb(0x3f9, 2);
	open_window();
	check_eq(count[UART_VECTOR], 2, "a level, gone when its cause is");
	check_eq(read_reg(0x10 + UART_GSI * 2) & 1 << 14, 0, "remote IRR is clear after the EOI");
	redirect(UART_GSI, MASKED);
	redirect(PIT_GSI, PIT_VECTOR);
	pit_periodic(2000);
	for (u64 start = rdtsc(); count[PIT_VECTOR] < 10 && rdtsc() - start < 20000000000ull;)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	report(count[PIT_VECTOR] >= 10, "the 8254 through the I/O APIC");
	redirect(PIT_GSI, MASKED);
}
