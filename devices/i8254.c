/*
 * The 8254 interval timer: channel 0 is IRQ 0, channel 1 is unused, channel 2 is gated and read
 * back through port 61h (speaker, and the calibration loops of operating systems).
 *
 * Nothing counts here: a channel remembers at which tick of the 1.193 MHz clock its count was
 * loaded, and what the counter and its output would show is computed when somebody looks. A channel
 * that the gate has stopped keeps the ticks it had counted instead. Only channel 0 has a timer, at
 * the next rising edge of its output.
 *
 * Deviations: a count is loaded when it is written, not one clock later; channel 0 pulses its
 * interrupt line at each rising edge instead of following the output, except in mode 0.
 *
 * Built with general registers only, for port 61h on the lean path.
 */
#include "devices/chips.h"

#define PIT_HZ 1193182

enum { CHANNELS = 3, REFRESH_TICKS = 18 };
enum { RW_LATCH = 0, RW_LOW = 1, RW_HIGH = 2, RW_BOTH = 3 };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };

struct channel {
	uint8_t control; /* RW, mode and BCD bits as written, for the status byte */
	uint8_t rw, mode;
	bool bcd;
	bool loaded; /* has a count (modes 1 and 5: and a trigger) since the control word */
	bool gate;
	uint32_t count; /* 1..65536 (10000 in BCD) */
	/* a count that waits: modes 1, 5 for the trigger; modes 2, 3 for the end of the (half)
	 * cycle; 0: none */
	uint32_t next_count;
	int64_t switch_at; /* modes 2, 3: tick at which next_count takes over */
	bool switch_low;   /* mode 3: it takes over in the low half of its cycle */
	int64_t start;	   /* tick of the load */
	int64_t stood;	   /* ticks counted before the gate stopped it */
	bool write_high, read_high;
	uint8_t low_written;
	uint8_t latched; /* bytes of the latched count still to be read, as RW_* bits */
	uint16_t latch;
	bool status_latched;
	uint8_t status;
};

struct i8254 {
	struct machine *m;
	struct line irq0;
	struct timer *timer;
	int64_t edge_at; /* tick of channel 0's next rising edge */
	struct channel ch[CHANNELS];
	uint8_t port61; /* bits 0-3 as written */
};

/* ns * PIT_HZ / NS_PER_SEC; a division of 128 bits would be a library's. */
static int64_t tick_of(int64_t ns)
{
	uint64_t low, high;

	__asm__("mulq %3\n\tdivq %4"
		: "=&a"(low), "=&d"(high)
		: "0"((uint64_t)ns), "r"((uint64_t)PIT_HZ), "r"((uint64_t)NS_PER_SEC)
		: "cc");
	return (int64_t)low;
}

static int64_t tick_now(struct i8254 *s)
{
	return tick_of(machine_now(s->m));
}

/* First nanosecond of a tick. */
static int64_t tick_ns(int64_t tick)
{
	return (int64_t)(((__int128)tick * NS_PER_SEC + PIT_HZ - 1) / PIT_HZ);
}

static bool periodic(const struct channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static bool one_shot_by_gate(const struct channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

/* In modes 0, 2, 3 and 4 a low gate stops the counter. */
static bool standing(const struct channel *c)
{
	return !c->gate && !one_shot_by_gate(c);
}

static int64_t elapsed(const struct channel *c, int64_t tick)
{
	return standing(c) ? c->stood : tick - c->start;
}

/* Ticks for which the output is high in one cycle of mode 3. */
static uint32_t high_half(uint32_t count)
{
	return (count + 1) / 2;
}

static void take_over(struct channel *c, int64_t tick)
{
	if (!c->next_count || !periodic(c) || standing(c) || tick < c->switch_at)
		return;
	c->start = c->switch_at - (c->switch_low ? high_half(c->next_count) : 0);
	c->count = c->next_count;
	c->next_count = 0;
}

static bool output(struct channel *c, int64_t tick)
{
	take_over(c, tick);
	int64_t passed = elapsed(c, tick);

	if (!c->loaded)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
	case 1:
		return passed >= c->count;
	case 2:
		return !c->gate || passed % c->count != c->count - 1;
	case 3:
		return !c->gate || passed % c->count < high_half(c->count);
	default:
		return passed != c->count;
	}
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)(v % 10 | (v / 10 % 10) << 4 | (v / 100 % 10) << 8 |
			  (v / 1000 % 10) << 12);
}

static uint32_t from_bcd(uint32_t v)
{
	return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12 & 15) * 1000;
}

/* What the counting element shows. */
static uint16_t counter(struct channel *c, int64_t tick)
{
	int64_t modulus = c->bcd ? 10000 : 65536;
	int64_t value = c->count;

	take_over(c, tick);
	if (c->loaded) {
		int64_t passed = elapsed(c, tick);
		if (c->mode == 2) {
			value = c->count - passed % c->count;
		} else if (c->mode == 3) {
			int64_t half = high_half(c->count), at = passed % c->count;
			value = (c->count & ~1u) - 2 * (at < half ? at : at - half);
		} else {
			value = (c->count - passed % modulus + modulus) % modulus;
		}
	}
	value %= modulus;
	return c->bcd ? to_bcd((uint32_t)value) : (uint16_t)value;
}

/* ---- channel 0's interrupt ---- */

static void schedule(struct i8254 *s)
{
	struct channel *c = &s->ch[0];
	int64_t now = machine_now(s->m), tick = tick_now(s);

	take_over(c, tick);
	if (!c->loaded || one_shot_by_gate(c)) {
		machine_timer_cancel(s->timer);
		return;
	}
	if (!periodic(c))
		s->edge_at = c->start + c->count;
	else if (c->next_count && !c->switch_low)
		s->edge_at = c->switch_at;
	else if (c->next_count)
		s->edge_at = c->switch_at + (c->next_count - high_half(c->next_count));
	else
		s->edge_at = c->start + ((tick - c->start) / c->count + 1) * c->count;
	int64_t deadline = tick_ns(s->edge_at);
	if (periodic(c) && deadline < now + MACHINE_MIN_PERIOD_NS)
		deadline = now + MACHINE_MIN_PERIOD_NS;
	machine_timer_set(s->timer, deadline);
}

static void edge(void *opaque)
{
	struct i8254 *s = opaque;
	struct channel *c = &s->ch[0];

	line_set(&s->irq0, false);
	line_set(&s->irq0, true);
	if (c->mode != 0) {
		line_set(&s->irq0, false);
		if (periodic(c))
			schedule(s);
	}
}

/* ---- loading ---- */

static void load(struct channel *c, uint32_t count, int64_t tick)
{
	c->count = count;
	c->next_count = 0;
	c->start = tick;
	c->stood = 0;
	c->loaded = true;
}

/* A running cycle of mode 2, and a running half of mode 3, is finished first. */
static void queue(struct channel *c, uint32_t count, int64_t tick)
{
	take_over(c, tick);
	c->start += (tick - c->start) / c->count * c->count;
	c->switch_low = c->mode == 3 && tick - c->start < high_half(c->count);
	c->switch_at = c->start + (c->switch_low ? high_half(c->count) : c->count);
	c->next_count = count;
}

static void write_count(struct channel *c, uint16_t raw, int64_t tick)
{
	uint32_t count = c->bcd ? from_bcd(raw) : raw;

	if (!count)
		count = c->bcd ? 10000 : 65536;
	if (one_shot_by_gate(c))
		c->next_count = count;
	else if (periodic(c) && c->loaded && !standing(c))
		queue(c, count, tick);
	else
		load(c, count, tick);
}

static void set_gate(struct channel *c, bool gate, int64_t tick)
{
	if (gate == c->gate)
		return;
	take_over(c, tick);
	if (one_shot_by_gate(c)) {
		if (gate && (c->next_count || c->loaded))
			load(c, c->next_count ? c->next_count : c->count, tick);
	} else if (periodic(c)) {
		/* falling: the output goes high at once; rising: starts over */
		if (gate && c->loaded)
			load(c, c->next_count ? c->next_count : c->count, tick);
		c->stood = 0;
	} else if (gate) {
		c->start = tick - c->stood;
	} else {
		c->stood = tick - c->start;
	}
	c->gate = gate;
}

/* ---- programming ---- */

static void latch_count(struct channel *c, int64_t tick)
{
	if (c->latched)
		return; /* until it is read, a further latch command is ignored */
	c->latch = counter(c, tick);
	c->latched = c->rw;
}

static void latch_status(struct channel *c, int64_t tick)
{
	if (c->status_latched)
		return;
	c->status = c->control | (output(c, tick) ? STATUS_OUT : 0);
	if (!c->loaded || c->next_count)
		c->status |= STATUS_NULL;
	c->status_latched = true;
}

static void read_back(struct i8254 *s, uint8_t value, int64_t tick)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		if (!(value & (2u << i)))
			continue;
		if (!(value & 0x20))
			latch_count(&s->ch[i], tick);
		if (!(value & 0x10))
			latch_status(&s->ch[i], tick);
	}
}

static void set_control(struct channel *c, uint8_t value)
{
	c->control = value & 0x3f;
	c->rw = value >> 4 & 3;
	c->mode = value >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4; /* X10 and X11 */
	c->bcd = value & 1;
	c->loaded = false;
	c->next_count = 0;
	c->stood = 0;
	c->write_high = c->read_high = false;
	c->latched = 0;
	c->status_latched = false;
}

static void write_control(struct i8254 *s, uint8_t value)
{
	int64_t tick = tick_now(s);

	if (value >> 6 == 3) {
		read_back(s, value, tick);
		return;
	}
	struct channel *c = &s->ch[value >> 6];
	if ((value >> 4 & 3) == RW_LATCH) {
		latch_count(c, tick);
		return;
	}
	set_control(c, value);
	if (c == &s->ch[0]) {
		line_set(&s->irq0, false);
		schedule(s);
	}
}

/* Low, high, or low then high; true when `raw` is complete. */
static bool assemble(struct channel *c, uint8_t value, uint16_t *raw)
{
	switch (c->rw) {
	case RW_LOW:
		*raw = value;
		return true;
	case RW_HIGH:
		*raw = (uint16_t)(value << 8);
		return true;
	default:
		c->write_high = !c->write_high;
		if (!c->write_high) {
			*raw = (uint16_t)(value << 8 | c->low_written);
			return true;
		}
		c->low_written = value;
		if (c->mode == 0) /* the first byte stops the counter and lowers the output */
			c->loaded = false;
		return false;
	}
}

static void pit_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct i8254 *s = opaque;

	if ((port & 3) == 3) {
		write_control(s, (uint8_t)value);
		return;
	}
	struct channel *c = &s->ch[port & 3];
	uint16_t raw;
	bool complete = assemble(c, (uint8_t)value, &raw);
	if (complete)
		write_count(c, raw, tick_now(s));
	if (c == &s->ch[0]) {
		if (c->mode == 0)
			line_set(&s->irq0, false);
		if (complete || !c->loaded)
			schedule(s);
	}
}

static uint32_t pit_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8254 *s = opaque;

	machine_clock_sample(s->m); /* port 61h must not be behind what is read here */
	if ((port & 3) == 3)
		return 0xff; /* the control word cannot be read */
	struct channel *c = &s->ch[port & 3];
	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->latched) {
		bool low = c->latched & RW_LOW;
		c->latched &= (uint8_t) ~(low ? RW_LOW : RW_HIGH);
		return low ? c->latch & 0xff : c->latch >> 8;
	}
	uint16_t value = counter(c, tick_now(s));
	bool high = c->rw == RW_HIGH;
	if (c->rw == RW_BOTH) {
		high = c->read_high;
		c->read_high = !high;
	}
	return high ? value >> 8 : value & 0xff;
}

/* System control port B: gate and speaker of channel 2, refresh toggle, output of channel 2. */
static uint32_t port61(struct i8254 *s, int64_t tick)
{
	unsigned refresh = tick / REFRESH_TICKS & 1;

	return s->port61 | refresh << 4 | (unsigned)output(&s->ch[2], tick) << 5;
}

static uint32_t port61_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8254 *s = opaque;
	uint32_t value = port61(s, tick_now(s));

	machine_clock_sample(s->m);
	return value;
}

/* Channel 2 and port 61h are the vCPU thread's own; only a count that waits would change the channel. */
static bool port61_lean_read(void *opaque, uint16_t port, uint32_t *value)
{
	struct i8254 *s = opaque;
	int64_t ns;

	if (s->ch[2].next_count || !machine_lean_now(s->m, &ns))
		return false;
	*value = port61(s, tick_of(ns));
	return true;
}

static void port61_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct i8254 *s = opaque;

	s->port61 = value & 0x0f;
	set_gate(&s->ch[2], value & 1, tick_now(s));
}

static const struct io_ops pit_ops = {pit_read, pit_write, 1};
static const struct io_ops port61_ops = {port61_read, port61_write, 1};

/* As a BIOS leaves it: channel 0 ticks 18.2 times a second, channel 1 paces the refresh that is not
 * there. */
static void reset(void *opaque)
{
	struct i8254 *s = opaque;
	static const uint8_t control[CHANNELS] = {0x36, 0x54, 0x36};

	for (unsigned i = 0; i < CHANNELS; i++) {
		s->ch[i] = (struct channel){.gate = i != 2, .count = 65536};
		set_control(&s->ch[i], control[i]);
	}
	s->port61 = 0;
	line_set(&s->irq0, false);
	write_count(&s->ch[0], 0, tick_now(s));
	write_count(&s->ch[1], REFRESH_TICKS, tick_now(s));
	schedule(s);
}

struct i8254 *i8254_new(struct machine *m, struct line irq0)
{
	struct i8254 *s = machine_alloc(m, sizeof(*s));

	if (!s || !machine_on_reset(m, reset, s))
		return NULL;
	s->m = m;
	s->irq0 = irq0;
	s->timer = machine_timer_new(m, edge, s);
	machine_add_io(m, 0x40, 4, &pit_ops, s);
	machine_add_io(m, 0x61, 1, &port61_ops, s);
	machine_add_lean_read(m, 0x61, port61_lean_read);
	return s->timer ? s : NULL;
}
