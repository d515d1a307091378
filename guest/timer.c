/* The 8259 pair, the 8254 as the tick, and the speed of the TSC. */
#include "kernel.h"

enum { PIC1 = 0x20, PIC2 = 0xa0, PIT0 = 0x40, PIT2 = 0x42, PIT_MODE = 0x43, SPEAKER = 0x61 };
enum { PIT_HERTZ = 1193182, EOI = 0x20, CALIBRATE_MS = 10 };

static volatile uint32_t ticks;
static uint32_t tsc_khz;

static void pic_init(void)
{
	static const uint8_t words[2][4] = {{0x11, IRQ_VECTOR, 4, 1}, {0x11, IRQ_VECTOR + 8, 2, 1}};
	static const uint16_t ports[2] = {PIC1, PIC2};

	for (unsigned i = 0; i < 2; i++) {
		outb(ports[i], words[i][0]);
		for (unsigned j = 1; j < 4; j++)
			outb(ports[i] + 1, words[i][j]);
	}
	outb(PIC1 + 1, (uint8_t) ~(1 << IRQ_TIMER | 1 << IRQ_COM1));
	outb(PIC2 + 1, 0xff);
}

/* Count TSC cycles while counter 2 runs down once. */
static void calibrate(void)
{
	enum { COUNT = PIT_HERTZ / 1000 * CALIBRATE_MS };
	uint64_t start;

	outb(SPEAKER, (inb(SPEAKER) & ~2) | 1); /* gate on, speaker off */
	outb(PIT_MODE, 0xb0);			/* counter 2, mode 0 */
	outb(PIT2, COUNT & 0xff);
	outb(PIT2, COUNT >> 8);
	start = rdtsc();
	for (uint32_t i = 0; i < 10000000 && !(inb(SPEAKER) & 0x20); i++)
		;
	tsc_khz = divide(rdtsc() - start, CALIBRATE_MS);
}

void timer_init(void)
{
	enum { DIVISOR = PIT_HERTZ / HZ };

	calibrate();
	pic_init();
	outb(PIT_MODE, 0x34);
	outb(PIT0, DIVISOR & 0xff);
	outb(PIT0, DIVISOR >> 8);
}

void timer_tick(void)
{
	ticks++;
}

void irq_done(unsigned irq)
{
	if (irq >= 8)
		outb(PIC2, EOI);
	outb(PIC1, EOI);
}

uint32_t timer_ticks(void)
{
	return ticks;
}

uint32_t timer_tsc_khz(void)
{
	return tsc_khz;
}
