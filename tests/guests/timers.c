/*
 * The PC's interrupt sources as a kernel sees them: 8254 and 8259 (priorities, masks, EOI,
 * spurious), local APIC timer, RTC update interrupt, UART transmitter, counter 2 by the speaker
 * port.
 */
#include "lib/guest.h"

static volatile u32 count[256];
static volatile u32 order[64], ordered;

static void seen(struct context *c)
{
	count[c->vector]++;
	if (ordered < ARRAY_LEN(order))
		order[ordered++] = c->vector;
}

static int on_irq(struct context *c)
{
	seen(c);
	pic_eoi(c->vector - PIC_BASE);
	return 1;
}

static void wait_for(volatile u32 *counter, u32 value)
{
	for (u64 start = rdtsc(); *counter < value && rdtsc() - start < 20000000000ull;)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* Let what is pending come in. */
static void open_window(void)
{
	__asm__ volatile("sti; nop; nop; nop; cli" : : : "memory");
}

static void pit(void)
{
	isr[PIC_BASE] = on_irq;
	pic_setup(0xfffe);
	count[PIC_BASE] = 0;
	pit_periodic(11932);
	wait_for(&count[PIC_BASE], 20);
	report(count[PIC_BASE] >= 20, "20 ticks of the 8254 at 100 Hz");
	/* Counter 0 is read while it runs. */
	u32 low = 0xffff, high = 0;

	for (u32 i = 0; i < 2000; i++) {
		outb(0x43, 0);
		u32 v = inb(0x40);

		v |= inb(0x40) << 8;
		low = v < low ? v : low;
		high = v > high ? v : high;
	}
	report(high <= 11932 && high > low, "the counter counts down within its period");
	outb(0x21, 0xff);
	count[PIC_BASE] = 0;
	for (u32 i = 0; i < 1000; i++)
		open_window();
	check_eq(count[PIC_BASE], 0, "a masked line is silent");
	pit_oneshot(1000);
	outb(0x21, 0xfe);
	open_window(); /* an edge latched while masked may still come */
	count[PIC_BASE] = 0;
	pit_oneshot(1000);
	wait_for(&count[PIC_BASE], 1);
	u64 start = rdtsc();

	while (rdtsc() - start < 10000000)
		open_window();
	check_eq(count[PIC_BASE], 1, "mode 0 interrupts once");
	/* Counter 2: its output shows in bit 5 of port 61h. */
	outb(0x61, (inb(0x61) & ~2) | 1);
	outb(0x43, 0xb0);
	outb(0x42, 0xff);
	outb(0x42, 0x20);
	report(!(inb(0x61) & 0x20), "counter 2 is low after mode 0 is set");
	u32 spins = 0;

	while (!(inb(0x61) & 0x20) && spins < 100000000)
		spins++;
	report(inb(0x61) & 0x20, "and goes high at its end");
}

static volatile u32 rtc_causes;

/* Reading register C shows the cause and lets the next interrupt come: it belongs in the handler. */
static int on_rtc(struct context *c)
{
	outb(0x70, 0x8c);
	rtc_causes += (inb(0x71) & 0xc0) == 0xc0;
	return on_irq(c);
}

static void rtc(void)
{
	isr[PIC_BASE + 8] = on_rtc;
	pic_setup(0xfefb); /* IRQ 8 and the cascade */
	outb(0x70, 0x8c);
	(void)inb(0x71); /* before it is enabled, or the edge of a tick in between stays latched */
	outb(0x70, 0x8a);
	u8 a = inb(0x71);

	outb(0x70, 0x8a);
	outb(0x71, (a & 0xf0) | 6); /* 1024 Hz */
	outb(0x70, 0x8b);
	u8 b = inb(0x71);

	outb(0x70, 0x8b);
	outb(0x71, b | 0x40);
	wait_for(&count[PIC_BASE + 8], 10);
	report(count[PIC_BASE + 8] >= 10, "RTC periodic interrupts");
	check_eq(rtc_causes, count[PIC_BASE + 8], "each with its cause in register C");
	outb(0x70, 0x8b);
	outb(0x71, b);
	outb(0x70, 0x0c);
	(void)inb(0x71);
	outb(0x70, 9);
	u8 year = inb(0x71);

	outb(0x70, 8);
	u8 month = inb(0x71);

	report(year <= 0x99 && month >= 1 && month <= 0x12, "a plausible date");
}

/* Two lines pending at once: the lower number first. A line in service holds back those below it.
 */
static void priorities(void)
{
	isr[PIC_BASE] = on_irq;
	isr[PIC_BASE + 4] = on_irq;
	pic_setup(0xffee);
	count[PIC_BASE] = count[PIC_BASE + 4] = 0;
	outb(0x3fc, inb(0x3fc) | 8);
	outb(0x3f9, 2); /* transmitter empty: pending at once */
	pit_oneshot(50);
	do
		outb(0x20, 0x0a);
	while ((inb(0x20) & 0x11) != 0x11);
	ordered = 0;
	open_window();
	open_window();
	report(ordered == 2 && order[0] == PIC_BASE && order[1] == PIC_BASE + 4,
	       "IRQ 0 before IRQ 4");
	outb(0x3f9, 0);
	(void)inb(0x3fa);
	outb(0x20, 0x0b);
	check_eq(inb(0x20), 0, "nothing in service after the EOIs");
}

enum { MSR_APIC_BASE = 0x1b, APIC_TIMER_VECTOR = 0x60, SELF_VECTOR = 0x70, SPURIOUS = 0xff };

static volatile u32 *apic(u32 reg)
{
	return (volatile u32 *)(0xfee00000 + reg);
}

static int on_apic(struct context *c)
{
	seen(c);
	*apic(0xb0) = 0;
	return 1;
}

static void local_apic(void)
{
	u32 spins = 0;

	pic_setup(0xffff);
	isr[APIC_TIMER_VECTOR] = isr[SELF_VECTOR] = isr[SELF_VECTOR + 0x10] = on_apic;
	check_eq((u32)rdmsr(MSR_APIC_BASE) & 0xfffff800, 0xfee00800,
		 "APIC_BASE: enabled, at FEE00000");
	report((*apic(0x30) & 0xff) >= 0x10, "APIC version");
	*apic(0xf0) = 0x100 | SPURIOUS;
	*apic(0x80) = 0;
	*apic(0x3e0) = 0xb; /* divide by 1 */
	*apic(0x320) = APIC_TIMER_VECTOR;
	*apic(0x380) = 1000000;
	wait_for(&count[APIC_TIMER_VECTOR], 1);
	check_eq(count[APIC_TIMER_VECTOR], 1, "one-shot timer");
	check_eq(*apic(0x390), 0, "its count stays at 0");
	*apic(0x320) = APIC_TIMER_VECTOR | 1 << 17;
	*apic(0x380) = 1000000;
	wait_for(&count[APIC_TIMER_VECTOR], 6);
	report(count[APIC_TIMER_VECTOR] >= 6, "periodic timer");
	*apic(0x320) = 1 << 16;
	*apic(0x380) = 0;
	open_window();
	/* Interrupts to itself, two levels. */
	ordered = 0;
	*apic(0x310) = 0;
	*apic(0x300) = 0x40000 | SELF_VECTOR;
	*apic(0x300) = 0x40000 | (SELF_VECTOR + 0x10);
	while ((!(*apic(0x230) & 1 << 16) || !(*apic(0x240) & 1 << 0)) && ++spins < 1000)
		;
	open_window();
	open_window();
	report(ordered == 2 && order[0] == SELF_VECTOR + 0x10 && order[1] == SELF_VECTOR,
	       "the higher vector first");
	*apic(0x80) = 0x70; /* task priority holds class 7 back */
	count[SELF_VECTOR] = 0;
	*apic(0x300) = 0x40000 | SELF_VECTOR;
	for (u32 i = 0; i < 100; i++)
		open_window();
	check_eq(count[SELF_VECTOR], 0, "the task priority holds it back");
	*apic(0x80) = 0;
	for (u32 i = 0; i < 100; i++)
		open_window();
	check_eq(count[SELF_VECTOR], 1, "and lets it through");
}

void guest_main(void)
{
	pit();
	rtc();
	priorities();
	local_apic();
}
