/*
 * The MC146818 real-time clock and its CMOS RAM, ports 70h and 71h; bit 7 of port 70h masks NMI.
 *
 * The clock does not tick here: the time shown is the source (host clock or virtual time) plus an
 * offset, which writing the time registers moves. While the clock is held (SET, or the divider
 * chain in reset) the registers are plain storage. Flags that nobody asked to be interrupted by
 * (UF, AF, PF) are worked out when register C is read; a timer runs only while an interrupt is
 * enabled.
 *
 * Registers hold "calendar seconds": seconds since the epoch on the clock's own face, be that UTC
 * or local time.
 */
#include "devices/chips.h"

#include <time.h>

enum {
	SECONDS,
	SECONDS_ALARM,
	MINUTES,
	MINUTES_ALARM,
	HOURS,
	HOURS_ALARM,
	WEEKDAY,
	DAY,
	MONTH,
	YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
	CENTURY = 0x32,
	CENTURY_PS2 = 0x37,
};
enum { A_UIP = 0x80 };
enum {
	B_SET = 0x80,
	B_PIE = 0x40,
	B_AIE = 0x20,
	B_UIE = 0x10,
	B_SQWE = 0x08,
	B_BINARY = 0x04,
	B_24H = 0x02
};
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10, C_FLAGS = C_PF | C_AF | C_UF };
enum { HOUR_PM = 0x80, ALARM_ANY = 0xc0, CMOS_SIZE = 128 };

/* UIP is set this long before the update (data sheet: 244 us). */
#define UIP_NS	   244000
#define CRYSTAL_HZ 32768

struct rtc {
	struct machine *m;
	struct line irq;
	struct timer *timer;
	uint8_t index;
	uint8_t ram[CMOS_SIZE];
	int64_t offset_ns;   /* clock face minus source */
	int64_t seen_second; /* UF and AF are worked out up to this second of the face */
	int64_t seen_period; /* PF up to this period */
	unsigned owed;	     /* periodic interrupts that were not taken in time (driftfix) */
};

/* ---- the face ---- */

static int64_t source_ns(struct rtc *r)
{
	struct timespec ts;

	if (r->m->config.rtc.clock_vm || r->m->clock.fake)
		return machine_now(r->m);
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static int64_t face_ns(struct rtc *r)
{
	return source_ns(r) + r->offset_ns;
}

static bool held(const struct rtc *r)
{
	return (r->ram[REG_B] & B_SET) || (r->ram[REG_A] & 0x60) == 0x60;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static uint8_t encode(const struct rtc *r, int v)
{
	return (uint8_t)(r->ram[REG_B] & B_BINARY ? v : v / 10 * 16 + v % 10);
}

static int decode(const struct rtc *r, uint8_t v)
{
	return r->ram[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(const struct rtc *r, int hour)
{
	if (r->ram[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int decode_hour(const struct rtc *r, uint8_t v)
{
	if (r->ram[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & ~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* Write the face into the registers. */
static void show(struct rtc *r)
{
	time_t t = (time_t)floor_div(face_ns(r), NS_PER_SEC);
	struct tm tm;

	gmtime_r(&t, &tm);
	int year = tm.tm_year + 1900;
	r->ram[SECONDS] = encode(r, tm.tm_sec);
	r->ram[MINUTES] = encode(r, tm.tm_min);
	r->ram[HOURS] = encode_hour(r, tm.tm_hour);
	r->ram[WEEKDAY] = encode(r, tm.tm_wday + 1);
	r->ram[DAY] = encode(r, tm.tm_mday);
	r->ram[MONTH] = encode(r, tm.tm_mon + 1);
	r->ram[YEAR] = encode(r, year % 100);
	r->ram[CENTURY] = encode(r, year / 100 % 100);
}

/* Keep what the guest or the command line sets within what nanoseconds in 64 bits can say (1906 to
 * 2191). */
static int64_t clamp_seconds(int64_t seconds)
{
	const int64_t first = -2000000000ll, last = 7000000000ll;

	return seconds < first ? first : seconds > last ? last : seconds;
}

/* Take the face from the registers; odd values are carried over as timegm does. */
static void set_face(struct rtc *r, int64_t fraction_ns)
{
	struct tm tm = {
		.tm_sec = decode(r, r->ram[SECONDS]),
		.tm_min = decode(r, r->ram[MINUTES]),
		.tm_hour = decode_hour(r, r->ram[HOURS]),
		.tm_mday = decode(r, r->ram[DAY]),
		.tm_mon = decode(r, r->ram[MONTH]) - 1,
		.tm_year = decode(r, r->ram[CENTURY]) * 100 + decode(r, r->ram[YEAR]) - 1900,
	};

	r->offset_ns = clamp_seconds(timegm(&tm)) * NS_PER_SEC + fraction_ns - source_ns(r);
	r->seen_second = floor_div(face_ns(r), NS_PER_SEC);
}

/* ---- interrupts ---- */

/* The periodic rate in crystal cycles; 0: off (data sheet: "Periodic Interrupt Rate"). */
static int64_t period_cycles(const struct rtc *r)
{
	unsigned rate = r->ram[REG_A] & 15;

	if (!rate || (r->ram[REG_A] & 0x70) != 0x20)
		return 0;
	return 1ll << (rate <= 2 ? rate + 6 : rate - 1);
}

static int64_t period_now(struct rtc *r, int64_t cycles)
{
	return (int64_t)((__int128)machine_now(r->m) * CRYSTAL_HZ / NS_PER_SEC / cycles);
}

static bool alarm_field(const struct rtc *r, unsigned reg, int value,
			int (*dec)(const struct rtc *, uint8_t))
{
	uint8_t alarm = r->ram[reg];

	return (alarm & ALARM_ANY) == ALARM_ANY || dec(r, alarm) == value;
}

static bool alarm_at(const struct rtc *r, int64_t second)
{
	int64_t day = second - floor_div(second, 86400) * 86400;

	return alarm_field(r, SECONDS_ALARM, (int)(day % 60), decode) &&
	       alarm_field(r, MINUTES_ALARM, (int)(day / 60 % 60), decode) &&
	       alarm_field(r, HOURS_ALARM, (int)(day / 3600), decode_hour);
}

/* Updates since we last looked: UF, and AF when the alarm matched one of them (a day holds every
 * time there is). */
static void catch_up_seconds(struct rtc *r)
{
	int64_t second = floor_div(face_ns(r), NS_PER_SEC);

	if (held(r) || second <= r->seen_second) {
		r->seen_second = second;
		return;
	}
	r->ram[REG_C] |= C_UF;
	if (second - r->seen_second > 86400)
		r->seen_second = second - 86400;
	while (r->seen_second < second && !(r->ram[REG_C] & C_AF))
		if (alarm_at(r, ++r->seen_second))
			r->ram[REG_C] |= C_AF;
	r->seen_second = second;
}

static void catch_up_periods(struct rtc *r)
{
	int64_t cycles = period_cycles(r);

	if (!cycles)
		return;
	int64_t now = period_now(r, cycles), passed = now - r->seen_period;
	r->seen_period = now;
	if (passed <= 0)
		return;
	bool untaken = (r->ram[REG_C] & C_PF) && (r->ram[REG_B] & B_PIE);
	if (r->m->config.rtc.driftfix && (r->ram[REG_B] & B_PIE) && r->owed < 1000)
		r->owed += (unsigned)(passed - 1 + untaken);
	r->ram[REG_C] |= C_PF;
}

static void update_irq(struct rtc *r)
{
	bool level = r->ram[REG_C] & r->ram[REG_B] & C_FLAGS;

	r->ram[REG_C] = (r->ram[REG_C] & C_FLAGS) | (level ? C_IRQF : 0);
	line_set(&r->irq, level);
}

static void schedule(struct rtc *r)
{
	int64_t now = machine_now(r->m), next = CLOCK_NEVER, cycles = period_cycles(r);

	if (cycles && (r->ram[REG_B] & B_PIE)) {
		__int128 at = (__int128)(r->seen_period + 1) * cycles * NS_PER_SEC;
		next = (int64_t)((at + CRYSTAL_HZ - 1) / CRYSTAL_HZ);
	}
	if (!held(r) && (r->ram[REG_B] & (B_UIE | B_AIE))) {
		int64_t face = face_ns(r),
			wait = (floor_div(face, NS_PER_SEC) + 1) * NS_PER_SEC - face;
		if (now + wait < next)
			next = now + wait;
	}
	if (next == CLOCK_NEVER)
		machine_timer_cancel(r->timer);
	else
		machine_timer_set(r->timer, next);
}

static void tick(void *opaque)
{
	struct rtc *r = opaque;

	catch_up_seconds(r);
	catch_up_periods(r);
	update_irq(r);
	schedule(r);
}

/* ---- registers ---- */

static uint8_t read_a(struct rtc *r)
{
	int64_t face = face_ns(r), into = face - floor_div(face, NS_PER_SEC) * NS_PER_SEC;
	bool updating = !held(r) && into >= NS_PER_SEC - UIP_NS;

	return r->ram[REG_A] | (updating ? A_UIP : 0);
}

/* Reading clears the flags and lowers the line; an owed periodic interrupt follows at once. */
static uint8_t read_c(struct rtc *r)
{
	catch_up_seconds(r);
	catch_up_periods(r);
	update_irq(r);
	uint8_t value = r->ram[REG_C];
	r->ram[REG_C] = 0;
	update_irq(r);
	if (r->owed && (value & C_PF) && (r->ram[REG_B] & B_PIE)) {
		r->owed--;
		r->ram[REG_C] |= C_PF;
		update_irq(r);
	}
	return value;
}

static uint32_t rtc_read(void *opaque, uint16_t port, unsigned size)
{
	struct rtc *r = opaque;

	if (!(port & 1))
		return 0xff;
	if (!held(r))
		show(r);
	switch (r->index) {
	case REG_A:
		return read_a(r);
	case REG_C:
		return read_c(r);
	case REG_D:
		return 0x80; /* the battery is good */
	case CENTURY_PS2:
		return r->ram[CENTURY];
	default:
		return r->ram[r->index];
	}
}

/* Leaving the held state: the face starts from the registers, after a divider reset with half a
 * second gone. */
static void release(struct rtc *r, bool was_held, bool by_divider)
{
	if (was_held && !held(r))
		set_face(r, by_divider ? NS_PER_SEC / 2 : 0);
	else if (!was_held && held(r))
		show(r);
}

static void write_a(struct rtc *r, uint8_t value)
{
	bool was = held(r), was_reset = (r->ram[REG_A] & 0x60) == 0x60;

	if (!was)
		show(r);
	r->ram[REG_A] = value & 0x7f;
	release(r, was, was_reset);
	int64_t cycles = period_cycles(r);
	r->seen_period = cycles ? period_now(r, cycles) : 0;
	r->owed = 0;
}

static void write_b(struct rtc *r, uint8_t value)
{
	bool was = held(r);

	if (!was)
		show(r);
	/* a change of format leaves the registers' bits alone until they are next shown */
	if (value & B_SET)
		value &= (uint8_t)~B_UIE;
	catch_up_periods(r);
	if (!(value & B_PIE))
		r->owed = 0;
	r->ram[REG_B] = value;
	release(r, was, false);
}

static void write_time(struct rtc *r, unsigned reg, uint8_t value)
{
	int64_t face = face_ns(r), fraction = face - floor_div(face, NS_PER_SEC) * NS_PER_SEC;

	if (!held(r))
		show(r);
	r->ram[reg] = value;
	/* the weekday follows the date; writing it has no effect on a running clock */
	if (!held(r))
		set_face(r, fraction);
}

static void rtc_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct rtc *r = opaque;

	if (!(port & 1)) {
		r->index = value & 0x7f;
		machine_mask_nmi(r->m, value & 0x80);
		return;
	}
	catch_up_seconds(r);
	switch (r->index) {
	case SECONDS:
	case MINUTES:
	case HOURS:
	case WEEKDAY:
	case DAY:
	case MONTH:
	case YEAR:
	case CENTURY:
		write_time(r, r->index, (uint8_t)value);
		break;
	case CENTURY_PS2:
		write_time(r, CENTURY, (uint8_t)value);
		break;
	case REG_A:
		write_a(r, (uint8_t)value);
		break;
	case REG_B:
		write_b(r, (uint8_t)value);
		break;
	case REG_C:
	case REG_D:
		return; /* read only */
	default:
		r->ram[r->index] = (uint8_t)value;
		break;
	}
	update_irq(r);
	schedule(r);
}

/* ---- power-on contents ---- */

static int64_t local_seconds(int64_t utc)
{
	time_t t = (time_t)utc;
	struct tm tm;

	localtime_r(&t, &tm);
	return timegm(&tm);
}

static void start_face(struct rtc *r)
{
	const struct rtc_config *c = &r->m->config.rtc;
	int64_t start = clamp_seconds(c->base) * NS_PER_SEC;

	if (!c->has_base) {
		struct timespec ts;
		clock_gettime(CLOCK_REALTIME, &ts);
		int64_t seconds = c->localtime ? local_seconds(ts.tv_sec) : ts.tv_sec;
		start = seconds * NS_PER_SEC + ts.tv_nsec;
	}
	r->offset_ns = start - source_ns(r);
	r->seen_second = floor_div(start, NS_PER_SEC);
}

static void put16(struct rtc *r, unsigned low, uint64_t value)
{
	if (value > 0xffff)
		value = 0xffff;
	r->ram[low] = (uint8_t)value;
	r->ram[low + 1] = (uint8_t)(value >> 8);
}

/* Memory sizes and equipment, where a BIOS keeps them. */
static void fill_cmos(struct rtc *r)
{
	uint64_t low = r->m->config.ram_below_4g, high = r->m->config.ram_above_4g;
	uint64_t kib = low >> 10, extended = kib > 1024 ? kib - 1024 : 0;
	unsigned sum = 0;

	put16(r, 0x15, kib < 640 ? kib : 640);
	put16(r, 0x17, extended);
	put16(r, 0x30, extended);
	put16(r, 0x34, low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0);
	put16(r, 0x5b, high >> 16 & 0xffff);
	r->ram[0x5d] = (uint8_t)(high >> 32);
	r->ram[0x14] = 0x02 | 0x30; /* coprocessor; no CGA or EGA: monochrome */
	for (unsigned i = 0x10; i <= 0x2d; i++)
		sum += r->ram[i];
	r->ram[0x2e] = (uint8_t)(sum >> 8); /* the checksum is stored high byte first */
	r->ram[0x2f] = (uint8_t)sum;
}

/* The battery keeps time and RAM; reset clears the interrupt enables. */
static void reset(void *opaque)
{
	struct rtc *r = opaque;

	r->ram[REG_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
	r->ram[REG_C] = 0;
	r->index = 0;
	r->owed = 0;
	update_irq(r);
	schedule(r);
}

static const struct io_ops rtc_ops = {rtc_read, rtc_write, 1};

struct rtc *rtc_new(struct machine *m, struct line irq8)
{
	struct rtc *r = machine_alloc(m, sizeof(*r));

	if (!r || !machine_on_reset(m, reset, r))
		return NULL;
	r->m = m;
	r->irq = irq8;
	r->timer = machine_timer_new(m, tick, r);
	r->ram[REG_A] = 0x26; /* 32.768 kHz crystal, 1024 Hz */
	r->ram[REG_B] = B_24H;
	start_face(r);
	fill_cmos(r);
	machine_add_io(m, 0x70, 2, &rtc_ops, r);
	return r->timer ? r : NULL;
}
