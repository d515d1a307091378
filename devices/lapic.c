/*
 * The local APIC (SDM: "Advanced Programmable Interrupt Controller (APIC)"), for one processor.
 *
 * Invariant: after every change the two outputs agree with the state: machine_set_lapic_intr says
 * that IRR holds a vector above the processor priority, machine_set_extint that the 8259 pair's
 * request passes through LINT0 (or around a disabled APIC, or came as an ExtINT message from the
 * I/O APIC).
 *
 * The bus clock is 1 GHz, so the undivided timer counts nanoseconds. The timer counts in arithmetic
 * only; a host timer is set only while its LVT entry is unmasked.
 *
 * Reset leaves the state that a BIOS hands over: enabled, virtual wire mode (LINT0 ExtINT, LINT1
 * NMI).
 */
#include "devices/chips.h"

#include <string.h>

/* Registers, by offset / 16. */
enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR_LOW = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_LVT_END = 0x38,
	REG_INITIAL = 0x38,
	REG_CURRENT = 0x39,
	REG_DIVIDE = 0x3e,
};
enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

/* Version 14h, integrated; highest LVT entry is number 5. */
#define VERSION	       (0x14u | (LVT_COUNT - 1) << 16)
#define LVT_MASKED     (1u << 16)
#define LVT_PERIODIC   (1u << 17)
#define LVT_LEVEL      (1u << 15)
#define LVT_REMOTE_IRR (1u << 14)
#define SVR_ENABLE     (1u << 8)
#define BASE_ENABLE    (1ull << 11)
#define BASE_ADDRESS   0xffffff000ull
#define DEFAULT_BASE   0xfee00000ull

enum { ESR_SEND_VECTOR = 1 << 5, ESR_RECEIVE_VECTOR = 1 << 6, ESR_REGISTER = 1 << 7 };

static const uint32_t lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = 0x300ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,	[LVT_ERROR] = 0x100ff,
};

struct lapic {
	struct machine *m;
	struct mmio_region *mmio;
	struct timer *timer;
	bool enabled; /* IA32_APIC_BASE bit 11 */
	uint32_t id, tpr, ldr, dfr, svr;
	uint32_t isr[8], tmr[8], irr[8];
	uint32_t errors, esr; /* collected; latched by a write to ESR */
	uint32_t icr_low, icr_high;
	uint32_t lvt[LVT_COUNT];
	bool lint[2];	     /* pin levels */
	bool extint_message; /* the I/O APIC delivered an ExtINT not yet acknowledged */
	uint32_t initial, divide;
	int64_t started; /* virtual time at which the count was `initial` */
};

/* ---- vectors ---- */

static void set_bit(uint32_t *set, uint8_t v)
{
	set[v / 32] |= 1u << (v % 32);
}

static void clear_bit(uint32_t *set, uint8_t v)
{
	set[v / 32] &= ~(1u << (v % 32));
}

static bool test_bit(const uint32_t *set, uint8_t v)
{
	return set[v / 32] >> (v % 32) & 1;
}

static int highest(const uint32_t *set)
{
	for (int i = 7; i >= 0; i--)
		if (set[i])
			return i * 32 + 31 - __builtin_clz(set[i]);
	return -1;
}

static uint32_t processor_priority(const struct lapic *a)
{
	int in_service = highest(a->isr);

	if (in_service < 0 || (a->tpr >> 4) >= (unsigned)in_service >> 4)
		return a->tpr;
	return (uint32_t)in_service & 0xf0;
}

/* The vector the processor should be given now, or -1. */
static int deliverable(const struct lapic *a)
{
	int vector = a->enabled ? highest(a->irr) : -1;

	return vector >= 0 && (uint32_t)vector >> 4 > processor_priority(a) >> 4 ? vector : -1;
}

static unsigned lvt_delivery(uint32_t lvt)
{
	return lvt >> 8 & 7;
}

static bool extint_passes(const struct lapic *a)
{
	if (!a->enabled)
		return true;
	uint32_t lvt = a->lvt[LVT_LINT0];
	return a->extint_message || (!(lvt & LVT_MASKED) && lvt_delivery(lvt) == APIC_EXTINT);
}

static void update(struct lapic *a)
{
	machine_set_lapic_intr(a->m, deliverable(a) >= 0);
	machine_set_extint(a->m, a->lint[0] && extint_passes(a));
}

static void error(struct lapic *a, uint32_t bit);

static void accept(struct lapic *a, uint8_t vector, bool level)
{
	if (vector < 16) {
		error(a, ESR_RECEIVE_VECTOR);
		return;
	}
	set_bit(a->irr, vector);
	if (level)
		set_bit(a->tmr, vector);
	else
		clear_bit(a->tmr, vector);
	update(a);
}

/* SDM: "Error Handling". The error interrupt itself is sent only when its vector is legal. */
static void error(struct lapic *a, uint32_t bit)
{
	uint32_t lvt = a->lvt[LVT_ERROR];
	bool news = !(a->errors & bit);

	a->errors |= bit;
	if (news && !(lvt & LVT_MASKED) && (lvt & 0xff) >= 16)
		accept(a, (uint8_t)lvt, false);
}

static void deliver(struct lapic *a, enum apic_delivery how, uint8_t vector, bool level)
{
	switch (how) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (a->svr & SVR_ENABLE)
			accept(a, vector, level);
		break;
	case APIC_NMI:
		machine_raise_nmi(a->m);
		break;
	case APIC_INIT:
		machine_request(a->m, MACHINE_RESET, 0);
		break;
	case APIC_EXTINT:
		a->extint_message = true;
		update(a);
		break;
	case APIC_SMI:	   /* there is no system management mode */
	case APIC_STARTUP: /* the processor is not waiting for one */
		break;
	}
}

/* ---- local interrupt pins ---- */

/* A level-triggered fixed interrupt repeats after each EOI while the pin is high. */
static void sample_level(struct lapic *a, unsigned n)
{
	uint32_t *lvt = &a->lvt[LVT_LINT0 + n];

	if (!a->lint[n] || (*lvt & (LVT_MASKED | LVT_REMOTE_IRR)) ||
	    lvt_delivery(*lvt) != APIC_FIXED || !(*lvt & LVT_LEVEL))
		return;
	*lvt |= LVT_REMOTE_IRR;
	accept(a, (uint8_t)*lvt, true);
}

void lapic_set_lint(struct lapic *a, unsigned n, bool level)
{
	bool rising = level && !a->lint[n];
	uint32_t lvt = a->lvt[LVT_LINT0 + n];

	a->lint[n] = level;
	if (!a->enabled) {
		if (n == 1 && rising)
			machine_raise_nmi(a->m); /* the pins are INTR and NMI now */
	} else if (rising && !(lvt & LVT_MASKED)) {
		unsigned how = lvt_delivery(lvt);
		if (how == APIC_FIXED && (lvt & LVT_LEVEL))
			sample_level(a, n);
		else if (how != APIC_EXTINT)
			deliver(a, how, (uint8_t)lvt, false);
	}
	update(a);
}

/* ---- messages ---- */

/* SDM: "Determining IPI Destination". */
static bool addressed(const struct lapic *a, const struct apic_message *msg)
{
	uint8_t logical = (uint8_t)(a->ldr >> 24);

	if (msg->dest == 0xff)
		return true;
	if (!msg->logical)
		return msg->dest == a->id >> 24;
	if (a->dfr >> 28 == 0xf)
		return msg->dest & logical;
	return msg->dest >> 4 == logical >> 4 && (msg->dest & logical & 15);
}

void lapic_receive(struct lapic *a, const struct apic_message *msg)
{
	if (a->enabled && addressed(a, msg))
		deliver(a, msg->delivery, msg->vector, msg->level);
}

/* SDM: "Interrupt Command Register (ICR)". One processor: others do not exist, broadcasts reach at
 * most us. */
static void send_ipi(struct lapic *a)
{
	uint32_t icr = a->icr_low;
	enum apic_delivery how = icr >> 8 & 7;
	unsigned shorthand = icr >> 18 & 3;
	struct apic_message msg = {(uint8_t)(a->icr_high >> 24), icr >> 11 & 1, false, how,
				   (uint8_t)icr};
	bool fixed = how == APIC_FIXED || how == APIC_LOWEST;
	bool deassert = (icr & 0xc000) == 0x8000;

	if (fixed && msg.vector < 16) {
		error(a, ESR_SEND_VECTOR);
		return;
	}
	if (how == APIC_EXTINT || how == 3 || (how == APIC_INIT && deassert))
		return; /* reserved; INIT level de-assert only synchronizes arbitration IDs */
	bool us = shorthand == 0 ? addressed(a, &msg) : shorthand == 1 ? fixed : shorthand == 2;
	if (us)
		deliver(a, how, msg.vector, false);
}

static void end_of_interrupt(struct lapic *a)
{
	int vector = highest(a->isr);

	if (vector < 0)
		return;
	clear_bit(a->isr, (uint8_t)vector);
	if (test_bit(a->tmr, (uint8_t)vector)) {
		for (unsigned n = 0; n < 2; n++) {
			if ((a->lvt[LVT_LINT0 + n] & 0xff) == (unsigned)vector)
				a->lvt[LVT_LINT0 + n] &= ~LVT_REMOTE_IRR;
			sample_level(a, n);
		}
		machine_apic_eoi(a->m, (uint8_t)vector);
	}
	update(a);
}

int lapic_ack(struct lapic *a)
{
	int vector = deliverable(a);

	if (vector >= 0) {
		clear_bit(a->irr, (uint8_t)vector);
		set_bit(a->isr, (uint8_t)vector);
	}
	update(a);
	return vector;
}

void lapic_extint_done(struct lapic *a)
{
	a->extint_message = false;
	update(a);
}

/* ---- the timer ---- */

static unsigned divide_shift(const struct lapic *a)
{
	unsigned code = (a->divide & 3) | (a->divide >> 1 & 4);

	return code == 7 ? 0 : code + 1;
}

/* Nanoseconds of one count-down. */
static int64_t timer_span(const struct lapic *a)
{
	return (int64_t)a->initial << divide_shift(a);
}

static bool timer_periodic(const struct lapic *a)
{
	return a->lvt[LVT_TIMER] & LVT_PERIODIC;
}

static uint32_t timer_current(struct lapic *a)
{
	int64_t span = timer_span(a), passed = machine_now(a->m) - a->started;

	if (!span || (!timer_periodic(a) && passed >= span))
		return 0;
	return a->initial - (uint32_t)(passed % span >> divide_shift(a));
}

/* Set the host timer to the next time the count reaches zero; `after` is the latest expiry already
 * seen. */
static void timer_schedule(struct lapic *a, int64_t after)
{
	int64_t span = timer_span(a), now = machine_now(a->m);

	if (!span || (a->lvt[LVT_TIMER] & LVT_MASKED) ||
	    (!timer_periodic(a) && after >= a->started + span)) {
		machine_timer_cancel(a->timer);
		return;
	}
	int64_t deadline = a->started + span;
	if (timer_periodic(a)) {
		deadline = a->started + ((after - a->started) / span + 1) * span;
		if (deadline < now + MACHINE_MIN_PERIOD_NS)
			deadline = now + MACHINE_MIN_PERIOD_NS;
	}
	machine_timer_set(a->timer, deadline);
}

/* Late by more than a period: the interrupts merged in IRR, as on a busy processor. */
static void timer_expired(void *opaque)
{
	struct lapic *a = opaque;

	deliver(a, APIC_FIXED, (uint8_t)a->lvt[LVT_TIMER], false);
	timer_schedule(a, machine_now(a->m));
}

/* The divider or the mode changes under way: go on from the present count. */
static void timer_rebase(struct lapic *a, uint32_t current)
{
	int64_t counted = (int64_t)(a->initial - current) << divide_shift(a);

	a->started = machine_now(a->m) - counted;
	timer_schedule(a, machine_now(a->m));
}

/* ---- registers ---- */

static void write_lvt(struct lapic *a, unsigned n, uint32_t value)
{
	uint32_t current = timer_current(a);

	value &= lvt_writable[n];
	if (!(a->svr & SVR_ENABLE))
		value |= LVT_MASKED; /* a software-disabled APIC keeps its LVT masked */
	a->lvt[n] = value | (a->lvt[n] & LVT_REMOTE_IRR);
	if (n == LVT_TIMER)
		timer_rebase(a, current);
	else if (n == LVT_LINT0 || n == LVT_LINT1)
		sample_level(a, n - LVT_LINT0);
}

static void write_svr(struct lapic *a, uint32_t value)
{
	a->svr = value & 0x1ff;
	if (a->svr & SVR_ENABLE)
		return;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		a->lvt[i] |= LVT_MASKED;
	machine_timer_cancel(a->timer);
}

static void write_divide(struct lapic *a, uint32_t value)
{
	uint32_t current = timer_current(a);

	a->divide = value & 0xb;
	timer_rebase(a, current);
}

static void write_register(struct lapic *a, unsigned reg, uint32_t value)
{
	switch (reg) {
	case REG_ID:
		a->id = value & 0xff000000;
		break;
	case REG_TPR:
		a->tpr = value & 0xff;
		break;
	case REG_EOI:
		end_of_interrupt(a);
		break;
	case REG_LDR:
		a->ldr = value & 0xff000000;
		break;
	case REG_DFR:
		a->dfr = value | 0x0fffffff;
		break;
	case REG_SVR:
		write_svr(a, value);
		break;
	case REG_ESR:
		a->esr = a->errors;
		a->errors = 0;
		break;
	case REG_ICR_LOW:
		a->icr_low = value & 0xccfff; /* delivery status is always idle */
		send_ipi(a);
		break;
	case REG_ICR_HIGH:
		a->icr_high = value & 0xff000000;
		break;
	case REG_INITIAL:
		a->initial = value;
		a->started = machine_now(a->m);
		timer_schedule(a, a->started);
		break;
	case REG_DIVIDE:
		write_divide(a, value);
		break;
	default:
		if (reg >= REG_LVT && reg < REG_LVT_END)
			write_lvt(a, reg - REG_LVT, value);
		else if (reg < REG_ID || reg > REG_DIVIDE)
			error(a, ESR_REGISTER);
		break; /* the rest is read only */
	}
}

static uint32_t read_register(struct lapic *a, unsigned reg)
{
	if (reg >= REG_ISR && reg < REG_ESR) {
		const uint32_t *set = reg < REG_TMR ? a->isr : reg < REG_IRR ? a->tmr : a->irr;
		return set[reg & 7];
	}
	if (reg >= REG_LVT && reg < REG_LVT_END)
		return a->lvt[reg - REG_LVT];
	switch (reg) {
	case REG_ID:
		return a->id;
	case REG_VERSION:
		return VERSION;
	case REG_TPR:
		return a->tpr;
	case REG_APR:
	case REG_PPR:
		return processor_priority(a);
	case REG_LDR:
		return a->ldr;
	case REG_DFR:
		return a->dfr;
	case REG_SVR:
		return a->svr;
	case REG_ESR:
		return a->esr;
	case REG_ICR_LOW:
		return a->icr_low;
	case REG_ICR_HIGH:
		return a->icr_high;
	case REG_INITIAL:
		return a->initial;
	case REG_CURRENT:
		return timer_current(a);
	case REG_DIVIDE:
		return a->divide;
	case REG_EOI:
	case REG_RRD:
		return 0;
	default:
		error(a, ESR_REGISTER);
		return 0;
	}
}

/* Registers are 32 bits wide on 16-byte boundaries; narrower reads see their bytes, the gaps read
 * as zero. */
static uint64_t lapic_read(void *opaque, uint64_t offset, unsigned size)
{
	if (offset % 16 >= 4)
		return 0;
	return read_register(opaque, (unsigned)offset / 16) >> (offset % 4 * 8);
}

/* Narrower and misaligned writes are undefined by the manual; they do nothing. */
static void lapic_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct lapic *a = opaque;

	if (size != 4 || offset % 16 || offset >= 0x1000)
		return;
	write_register(a, (unsigned)offset / 16, (uint32_t)value);
	update(a);
}

/* ---- reset and IA32_APIC_BASE ---- */

/* SDM: "Local APIC State After Power-Up or Reset". */
static void power_up(struct lapic *a)
{
	memset(a->isr, 0, sizeof(a->isr));
	memset(a->tmr, 0, sizeof(a->tmr));
	memset(a->irr, 0, sizeof(a->irr));
	a->id = a->tpr = a->ldr = a->errors = a->esr = a->icr_low = a->icr_high = 0;
	a->initial = a->divide = 0;
	a->dfr = UINT32_MAX;
	a->svr = 0xff;
	a->extint_message = false;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		a->lvt[i] = LVT_MASKED;
	machine_timer_cancel(a->timer);
}

void lapic_set_base(struct lapic *a, uint64_t apic_base)
{
	bool enabled = apic_base & BASE_ENABLE;

	if (enabled != a->enabled)
		power_up(a); /* disabling loses the state */
	a->enabled = enabled;
	machine_move_mmio(a->mmio, gpa(apic_base & BASE_ADDRESS), enabled);
	update(a);
}

static void reset(void *opaque)
{
	struct lapic *a = opaque;

	lapic_set_base(a, DEFAULT_BASE | BASE_ENABLE);
	power_up(a);
	a->svr = 0xff | SVR_ENABLE;
	a->lvt[LVT_LINT0] = APIC_EXTINT << 8;
	a->lvt[LVT_LINT1] = APIC_NMI << 8;
	update(a);
}

static const struct mmio_ops lapic_ops = {lapic_read, lapic_write};

struct lapic *lapic_new(struct machine *m)
{
	struct lapic *a = machine_alloc(m, sizeof(*a));

	if (!a || !machine_on_reset(m, reset, a))
		return NULL;
	a->m = m;
	a->timer = machine_timer_new(m, timer_expired, a);
	a->mmio = machine_add_mmio(m, gpa(DEFAULT_BASE), PAGE_SIZE, &lapic_ops, a);
	return a->timer && a->mmio ? a : NULL;
}

uint32_t lapic_peek(struct lapic *a, unsigned reg)
{
	return read_register(a, reg);
}
