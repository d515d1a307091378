/*
 * Two small reset registers: system control port A (92h: A20 gate and fast reset) and the reset
 * control register (CF9h), which the FADT names as the way to reboot.
 */
#include "devices/chips.h"

enum { PORT92_RESET = 1, PORT92_A20 = 2 };
enum { RST_SYSTEM = 2, RST_CPU = 4, RST_FULL = 8 };

struct resets {
	struct machine *m;
	uint8_t port92; /* less A20, which lives in the machine */
	uint8_t cf9;
};

static uint32_t port92_read(void *opaque, uint16_t port, unsigned size)
{
	struct resets *s = opaque;

	return s->port92 | (machine_a20(s->m) ? PORT92_A20 : 0);
}

static void port92_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct resets *s = opaque;
	bool rising = (value & PORT92_RESET) && !(s->port92 & PORT92_RESET);

	s->port92 = value & ~(uint32_t)PORT92_A20 & 0xff;
	machine_set_a20(s->m, value & PORT92_A20);
	if (rising)
		machine_request(s->m, MACHINE_RESET, 0);
}

static uint32_t cf9_read(void *opaque, uint16_t port, unsigned size)
{
	struct resets *s = opaque;

	return s->cf9;
}

/* A rising edge of bit 2 resets; hard or soft is all one here. */
static void cf9_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct resets *s = opaque;
	bool rising = (value & RST_CPU) && !(s->cf9 & RST_CPU);

	s->cf9 = value & (RST_SYSTEM | RST_CPU | RST_FULL);
	if (rising)
		machine_request(s->m, MACHINE_RESET, 0);
}

static const struct io_ops port92_ops = {port92_read, port92_write, 1};
static const struct io_ops cf9_ops = {cf9_read, cf9_write, 1};

static void reset(void *opaque)
{
	struct resets *s = opaque;

	s->port92 = s->cf9 = 0;
}

bool ports92_new(struct machine *m)
{
	struct resets *s = machine_alloc(m, sizeof(*s));

	if (!s || !machine_on_reset(m, reset, s))
		return false;
	s->m = m;
	machine_add_io(m, 0x92, 1, &port92_ops, s);
	machine_add_io(m, 0xcf9, 1, &cf9_ops, s);
	return true;
}
