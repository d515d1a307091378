/*
 * The pair of 8259A interrupt controllers, with the edge/level control registers of the PCI chip
 * sets.
 *
 * Invariant: each chip's output is recomputed after every change of its state. The second chip's
 * output is the first one's input 2; the first one's output is the board's INTR.
 *
 * Deviations, shared with the chip sets: ICW1.LTIM is ignored (ELCR replaces it), and an edge stays
 * latched in IRR when the line falls before the acknowledge cycle, so that chips may pulse their
 * lines.
 */
#include "devices/chips.h"

enum { INPUTS = 8, CASCADE = 2 };

/* What the next byte written to the odd port is. */
enum init_step { STEP_OCW1, STEP_ICW2, STEP_ICW3, STEP_ICW4 };

struct pic {
	struct i8259 *pair;
	bool master;
	uint8_t lines; /* input levels */
	uint8_t irr, isr, imr;
	uint8_t elcr, elcr_writable;
	uint8_t vector_base;
	uint8_t lowest; /* the input that has the lowest priority now */
	enum init_step step;
	bool single, needs_icw4;
	bool auto_eoi, rotate_auto_eoi;
	bool special_mask, special_nested;
	bool read_isr, poll;
	bool output;
};

struct i8259 {
	struct pic chip[2];
	struct line intr;
	uint64_t served[2 * INPUTS]; /* interrupts acknowledged, for the debug monitor */
};

/* Rank 0 is the highest priority, 8 means none. */
static unsigned best_rank(const struct pic *p, uint8_t set)
{
	unsigned rank = 0;

	while (rank < INPUTS && !((set >> ((p->lowest + 1 + rank) % INPUTS)) & 1))
		rank++;
	return rank;
}

static unsigned input_of_rank(const struct pic *p, unsigned rank)
{
	return (p->lowest + 1 + rank) % INPUTS;
}

/* The input that asks for service and may have it, or -1. */
static int requesting(const struct pic *p)
{
	unsigned rank = best_rank(p, p->irr & ~p->imr);
	/* in special mask mode a masked level no longer holds back the others */
	uint8_t in_service = p->special_mask ? p->isr & ~p->imr : p->isr;
	unsigned limit = best_rank(p, in_service);

	if (rank == INPUTS || p->step != STEP_OCW1)
		return -1;
	unsigned input = input_of_rank(p, rank);
	/* special fully nested: the second chip may interrupt its own handler */
	bool nested = p->special_nested && p->master && input == CASCADE && rank == limit;
	return rank < limit || nested ? (int)input : -1;
}

static void update(struct pic *p);

static void set_input(struct pic *p, unsigned input, bool level)
{
	uint8_t bit = (uint8_t)(1u << input);
	bool follows = (p->elcr & bit) || (p->master && input == CASCADE);

	if (level && (follows || !(p->lines & bit)))
		p->irr |= bit;
	else if (!level && follows)
		p->irr &= (uint8_t)~bit;
	p->lines = level ? p->lines | bit : p->lines & (uint8_t)~bit;
	update(p);
}

static void set_output(struct pic *p, bool level)
{
	if (p->output == level)
		return;
	p->output = level;
	if (p->master)
		line_set(&p->pair->intr, level);
	else
		set_input(&p->pair->chip[0], CASCADE, level);
}

static void update(struct pic *p)
{
	set_output(p, requesting(p) >= 0);
}

void i8259_set_irq(struct i8259 *s, unsigned irq, bool level)
{
	if (irq < 2 * INPUTS && irq != CASCADE)
		set_input(&s->chip[irq / INPUTS], irq % INPUTS, level);
}

/* One chip's acknowledge cycle: the input, or 7 (nothing in service) when the request has gone. */
static unsigned acknowledge(struct pic *p, bool *spurious)
{
	int input = requesting(p);

	*spurious = input < 0;
	if (input < 0)
		return INPUTS - 1;
	uint8_t bit = (uint8_t)(1u << input);
	if (!(p->elcr & bit))
		p->irr &= (uint8_t)~bit;
	if (!p->auto_eoi)
		p->isr |= bit;
	else if (p->rotate_auto_eoi)
		p->lowest = (uint8_t)input;
	/* INT falls at each acknowledge, so that the next request is an edge */
	set_output(p, false);
	return (unsigned)input;
}

uint8_t i8259_ack(struct i8259 *s)
{
	struct pic *master = &s->chip[0], *slave = &s->chip[1];
	bool spurious;
	unsigned input = acknowledge(master, &spurious);
	unsigned irq = input, vector = master->vector_base + input;

	if (!spurious && input == CASCADE) {
		input = acknowledge(slave, &spurious);
		irq = INPUTS + input;
		vector = slave->vector_base + input;
		update(slave);
	}
	update(master);
	s->served[irq] += !spurious;
	return (uint8_t)vector;
}

/* ---- programming ---- */

/* Highest-priority level in service, for a non-specific EOI; special mask mode passes over masked
 * ones. */
static unsigned current_level(const struct pic *p)
{
	uint8_t set = p->special_mask ? p->isr & ~p->imr : p->isr;
	unsigned rank = best_rank(p, set);

	return rank == INPUTS ? INPUTS : input_of_rank(p, rank);
}

static void end_of_interrupt(struct pic *p, unsigned level, bool rotate)
{
	if (level >= INPUTS)
		return;
	p->isr &= (uint8_t) ~(1u << level);
	if (rotate)
		p->lowest = (uint8_t)level;
}

/* Operation command word 2: bits 7-5 are R, SL, EOI. */
static void write_ocw2(struct pic *p, uint8_t value)
{
	unsigned level = value & 7;

	switch (value >> 5) {
	case 0:
		p->rotate_auto_eoi = false;
		break;
	case 1:
		end_of_interrupt(p, current_level(p), false);
		break;
	case 2:
		break;
	case 3:
		end_of_interrupt(p, level, false);
		break;
	case 4:
		p->rotate_auto_eoi = true;
		break;
	case 5:
		end_of_interrupt(p, current_level(p), true);
		break;
	case 6:
		p->lowest = (uint8_t)level;
		break;
	case 7:
		end_of_interrupt(p, level, true);
		break;
	}
}

static void write_ocw3(struct pic *p, uint8_t value)
{
	if (value & 0x04)
		p->poll = true;
	if (value & 0x02)
		p->read_isr = value & 0x01;
	if (value & 0x40)
		p->special_mask = value & 0x20;
}

static void write_icw1(struct pic *p, uint8_t value)
{
	p->irr = p->lines & p->elcr; /* edges seen before are forgotten */
	p->isr = p->imr = 0;
	p->lowest = INPUTS - 1;
	p->special_mask = p->special_nested = p->auto_eoi = p->rotate_auto_eoi = false;
	p->read_isr = p->poll = false;
	p->single = value & 0x02;
	p->needs_icw4 = value & 0x01;
	p->step = STEP_ICW2;
}

static void write_command(struct pic *p, uint8_t value)
{
	if (value & 0x10)
		write_icw1(p, value);
	else if (value & 0x08)
		write_ocw3(p, value);
	else
		write_ocw2(p, value);
}

static void write_data(struct pic *p, uint8_t value)
{
	switch (p->step) {
	case STEP_OCW1:
		p->imr = value;
		break;
	case STEP_ICW2:
		p->vector_base = value & 0xf8;
		p->step = !p->single ? STEP_ICW3 : p->needs_icw4 ? STEP_ICW4 : STEP_OCW1;
		break;
	case STEP_ICW3: /* the cascade is wired, not programmed */
		p->step = p->needs_icw4 ? STEP_ICW4 : STEP_OCW1;
		break;
	case STEP_ICW4:
		p->special_nested = value & 0x10;
		p->auto_eoi = value & 0x02;
		p->step = STEP_OCW1;
		break;
	}
}

/* Poll command: the read is the acknowledge cycle. */
static uint8_t read_poll(struct pic *p)
{
	bool spurious;
	unsigned input = acknowledge(p, &spurious);

	p->poll = false;
	update(p);
	return spurious ? 0 : (uint8_t)(0x80 | input);
}

static uint32_t pic_read(void *opaque, uint16_t port, unsigned size)
{
	struct pic *p = opaque;

	if (p->poll)
		return read_poll(p);
	if (port & 1)
		return p->imr;
	return p->read_isr ? p->isr : p->irr;
}

static void pic_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct pic *p = opaque;

	if (port & 1)
		write_data(p, (uint8_t)value);
	else
		write_command(p, (uint8_t)value);
	update(p);
}

static uint32_t elcr_read(void *opaque, uint16_t port, unsigned size)
{
	struct pic *p = opaque;

	return p->elcr;
}

static void elcr_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct pic *p = opaque;
	uint8_t elcr = value & p->elcr_writable;

	/* an input that changes its nature forgets its edge and shows its level */
	p->irr = (p->irr & (uint8_t) ~(elcr ^ p->elcr)) | (p->lines & elcr);
	p->elcr = elcr;
	update(p);
}

static const struct io_ops pic_ops = {pic_read, pic_write, 1};
static const struct io_ops elcr_ops = {elcr_read, elcr_write, 1};

/* As a BIOS leaves it: vectors 08h and 70h, everything masked; SCI and the PCI interrupts are
 * levels. */
static void reset(void *opaque)
{
	struct i8259 *s = opaque;

	for (unsigned i = 2; i-- > 0;) {
		struct pic *p = &s->chip[i];
		write_icw1(p, 0x11);
		p->step = STEP_OCW1;
		p->vector_base = i ? 0x70 : 0x08;
		p->imr = 0xff;
		p->elcr = i ? 0x0e : 0x00;
		p->irr = p->lines = 0;
		update(p);
	}
}

struct i8259 *i8259_new(struct machine *m, struct line intr)
{
	struct i8259 *s = machine_alloc(m, sizeof(*s));

	if (!s || !machine_on_reset(m, reset, s))
		return NULL;
	s->intr = intr;
	for (unsigned i = 0; i < 2; i++) {
		struct pic *p = &s->chip[i];
		p->pair = s;
		p->master = i == 0;
		/* IRQs 0-2, 8 and 13 are always edges */
		p->elcr_writable = i ? 0xde : 0xf8;
		machine_add_io(m, i ? 0xa0 : 0x20, 2, &pic_ops, p);
		machine_add_io(m, (uint16_t)(0x4d0 + i), 1, &elcr_ops, p);
	}
	return s;
}

/* ---- for the debug monitor ---- */

void i8259_print(const struct i8259 *s, FILE *f)
{
	for (unsigned i = 2; i-- > 0;) {
		const struct pic *p = &s->chip[i];

		fprintf(f,
			"pic%u: irr=%02x imr=%02x isr=%02x hprio=%u irq_base=%02x rr_sel=%u "
			"elcr=%02x fnm=%u\n",
			i, p->irr, p->imr, p->isr, (p->lowest + 1) % INPUTS, p->vector_base,
			p->read_isr, p->elcr, p->special_nested);
	}
}

void i8259_print_served(const struct i8259 *s, FILE *f)
{
	for (unsigned i = 0; i < 2 * INPUTS; i++)
		if (s->served[i])
			fprintf(f, "%2u: %llu\n", i, (unsigned long long)s->served[i]);
}
