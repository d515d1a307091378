/* The interrupt controllers and the timer, as much as the tests need. */
#include "guest.h"

void pic_setup(u16 mask)
{
	outb(0x20, 0x11);
	outb(0x21, PIC_BASE);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, PIC_BASE + 8);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, mask);
	outb(0xa1, mask >> 8);
}

void pic_eoi(u8 irq)
{
	if (irq >= 8)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

void pit_periodic(u16 divisor)
{
	outb(0x43, 0x34);
	outb(0x40, divisor);
	outb(0x40, divisor >> 8);
}

void pit_oneshot(u16 count)
{
	outb(0x43, 0x30);
	outb(0x40, count);
	outb(0x40, count >> 8);
}
