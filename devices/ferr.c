/*
 * The coprocessor error latch of the PC: a rising FERR# sets it, which raises IRQ 13; a write to
 * port F0h (or F1h, the coprocessor's reset) clears it. The latch, not FERR#, is what the interrupt
 * controller sees.
 */
#include "devices/chips.h"

struct ferr {
	struct line irq;
	bool pin;
};

void ferr_set(struct ferr *s, bool level)
{
	if (level && !s->pin)
		line_set(&s->irq, true);
	s->pin = level;
}

static void latch_clear(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct ferr *s = opaque;

	line_set(&s->irq, false);
}

static const struct io_ops ops = {NULL, latch_clear, 1};

static void reset(void *opaque)
{
	struct ferr *s = opaque;

	s->pin = false;
	line_set(&s->irq, false);
}

struct ferr *ferr_new(struct machine *m, struct line irq13)
{
	struct ferr *s = machine_alloc(m, sizeof(*s));

	if (!s || !machine_on_reset(m, reset, s))
		return NULL;
	s->irq = irq13;
	machine_add_io(m, 0xf0, 2, &ops, s);
	return s;
}
