/*
 * The ACPI power management block: PM1a event and control registers and the PM timer (ACPI: "ACPI
 * Hardware Specification"). The machine is always in ACPI mode: SCI_EN reads as one and there is no
 * SMI command port.
 *
 * Invariant: SCI is asserted exactly while a status bit and its enable bit are both set.
 */
#include "devices/acpi.h"
#include "devices/chips.h"

#define PM_TIMER_HZ 3579545

enum {
	STS_TIMER = 1 << 0,
	STS_GLOBAL = 1 << 5,
	STS_POWER_BUTTON = 1 << 8,
	STS_RTC = 1 << 10,
	STS_WAKE = 1 << 15
};
enum {
	STS_ALL = STS_TIMER | 1 << 4 | STS_GLOBAL | STS_POWER_BUTTON | 1 << 9 | STS_RTC | STS_WAKE,
	EN_ALL = STS_TIMER | STS_GLOBAL | STS_POWER_BUTTON | 1 << 9 | STS_RTC,
};
enum {
	CNT_SCI_EN = 1 << 0,
	CNT_BM_RLD = 1 << 1,
	CNT_SLEEP_TYPE = 7 << 10,
	CNT_SLEEP_ENABLE = 1 << 13
};

struct acpi {
	struct machine *m;
	struct line sci;
	struct timer *timer; /* carries TMR_STS while TMR_EN is set */
	uint16_t status, enable, control;
	int64_t seen_half; /* half turns of the PM timer that TMR_STS has told of */
};

static int64_t pm_ticks(struct acpi *s)
{
	return (int64_t)((__int128)machine_now(s->m) * PM_TIMER_HZ / NS_PER_SEC);
}

/* TMR_STS is set whenever the top bit of the 32-bit timer changes, every ten minutes. */
static void update(struct acpi *s)
{
	int64_t half = pm_ticks(s) >> 31;

	if (half != s->seen_half)
		s->status |= STS_TIMER;
	s->seen_half = half;
	if (s->enable & STS_TIMER)
		machine_timer_set(
			s->timer,
			(int64_t)(((__int128)(half + 1) << 31) * NS_PER_SEC / PM_TIMER_HZ) + 1);
	else
		machine_timer_cancel(s->timer);
	line_set(&s->sci, s->status & s->enable & EN_ALL);
}

static void timer_turned(void *opaque)
{
	update(opaque);
}

void acpi_power_button(struct acpi *s)
{
	s->status |= STS_POWER_BUTTON;
	update(s);
}

/* The registers as the aligned double words they share. */
static uint32_t dword(struct acpi *s, unsigned offset)
{
	switch (offset) {
	case 0:
		update(s);
		return s->status | (uint32_t)s->enable << 16;
	case 4:
		return s->control | CNT_SCI_EN;
	default: /* behind them */
		return ~0u;
	}
}

static uint32_t pm_read(void *opaque, uint16_t port, unsigned size)
{
	unsigned offset = port - ACPI_PM1_EVENT, shift = offset % 4 * 8;
	uint64_t value = dword(opaque, offset & ~3u) >> shift;

	if (offset % 4 + size > 4) /* misaligned: the next double word's low bytes */
		value |= (uint64_t)dword(opaque, (offset & ~3u) + 4) << (32 - shift);
	return (uint32_t)value;
}

/* Behind its four bytes there is nothing: all ones. */
static uint32_t timer_read(void *opaque, uint16_t port, unsigned size)
{
	return (uint32_t)((pm_ticks(opaque) | ~(uint64_t)UINT32_MAX) >> (port - ACPI_PM_TIMER) * 8);
}

static void timer_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
}

static const struct io_ops timer_ops = {timer_read, timer_write, 4};

static void write_control(struct acpi *s, uint16_t value)
{
	s->control = value & (CNT_BM_RLD | CNT_SLEEP_TYPE);
	if ((value & CNT_SLEEP_ENABLE) && (value & CNT_SLEEP_TYPE) >> 10 == ACPI_S5_TYPE)
		machine_request(s->m, MACHINE_SHUTDOWN, 0);
}

static void pm_write_byte(struct acpi *s, unsigned offset, uint8_t value)
{
	unsigned shift = offset % 2 * 8;
	uint16_t lane = (uint16_t)(0xff << shift), wide = (uint16_t)(value << shift);

	switch (offset & ~1u) {
	case 0:
		s->status &= (uint16_t)~wide; /* write one to clear */
		break;
	case 2:
		s->enable = ((s->enable & ~lane) | wide) & EN_ALL;
		break;
	case 4:
		write_control(s, (uint16_t)((s->control & ~lane) | wide));
		break;
	}
}

static void pm_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct acpi *s = opaque;
	unsigned offset = port - ACPI_PM1_EVENT;

	if (offset <= 1)
		update(s); /* have TMR_STS worked out before it is cleared */
	for (unsigned i = 0; i < size; i++)
		pm_write_byte(s, offset + i, (uint8_t)(value >> (8 * i)));
	update(s);
}

static const struct io_ops pm_ops = {pm_read, pm_write, 4};

static void reset(void *opaque)
{
	struct acpi *s = opaque;

	s->status = s->enable = s->control = 0;
	s->seen_half = pm_ticks(s) >> 31;
	update(s);
}

struct acpi *acpi_new(struct machine *m, struct line sci)
{
	struct acpi *s = machine_alloc(m, sizeof(*s));

	if (!s || !machine_on_reset(m, reset, s))
		return NULL;
	s->m = m;
	s->sci = sci;
	s->timer = machine_timer_new(m, timer_turned, s);
	machine_add_io(m, ACPI_PM1_EVENT, ACPI_PM1_LENGTH, &pm_ops, s);
	machine_add_io(m, ACPI_PM_TIMER, 4, &timer_ops, s);
	return s->timer ? s : NULL;
}
