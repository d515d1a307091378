/* The real-time clock and CMOS through ports 70h and 71h, on virtual time. */
#include "board.h"

enum {
	SEC,
	SEC_ALARM,
	MIN,
	MIN_ALARM,
	HOUR,
	HOUR_ALARM,
	WDAY,
	DAY,
	MONTH,
	YEAR,
	A,
	B,
	C,
	D,
	CENTURY = 0x32
};

static uint8_t get(uint8_t reg)
{
	out8(0x70, reg);
	return in8(0x71);
}

static void put(uint8_t reg, uint8_t v)
{
	out8(0x70, reg);
	out8(0x71, v);
}

static int setup(void **state)
{
	board_setup(state);
	out8(0x43, 0x30);
	pic_init(0x03);
	return 0;
}

static void face_is(unsigned hour, unsigned min, unsigned sec)
{
	assert_int_equal(get(HOUR), hour);
	assert_int_equal(get(MIN), min);
	assert_int_equal(get(SEC), sec);
}

static void shows_the_base(void **state)
{
	face_is(0x05, 0x06, 0x07);
	assert_int_equal(get(WDAY), 5);
	assert_int_equal(get(DAY), 0x04);
	assert_int_equal(get(MONTH), 0x03);
	assert_int_equal(get(YEAR), 0x21);
	assert_int_equal(get(CENTURY), 0x20);
	assert_int_equal(get(D), 0x80);
	assert_int_equal(get(A), 0x26);
	advance(54 * NS_PER_SEC);
	face_is(0x05, 0x07, 0x01);
	advance(19 * 3600 * NS_PER_SEC);
	face_is(0x00, 0x07, 0x01);
	assert_int_equal(get(DAY), 0x05);
}

static void binary_and_12_hours(void **state)
{
	put(B, 0x06);
	advance(10 * 3600 * NS_PER_SEC);
	face_is(15, 6, 7);
	assert_int_equal(get(YEAR), 21);
	put(B, 0x04);
	assert_int_equal(get(HOUR), 0x83);
	put(B, 0x00);
	assert_int_equal(get(HOUR), 0x83);
	advance(9 * 3600 * NS_PER_SEC); /* midnight */
	assert_int_equal(get(HOUR), 0x12);
	put(HOUR, 0x92); /* noon */
	put(B, 0x02);
	assert_int_equal(get(HOUR), 0x12);
}

static void set_holds_the_clock(void **state)
{
	put(B, 0x82);
	put(SEC, 0x30);
	put(MIN, 0x59);
	put(HOUR, 0x23);
	put(DAY, 0x28);
	put(MONTH, 0x02);
	put(YEAR, 0x24);
	advance(10 * NS_PER_SEC);
	face_is(0x23, 0x59, 0x30);
	assert_int_equal(get(A) & 0x80, 0);
	put(B, 0x02);
	advance(30 * NS_PER_SEC);
	face_is(0, 0, 0);
	assert_int_equal(get(DAY), 0x29); /* 2024 is a leap year */
	assert_int_equal(get(MONTH), 0x02);
}

static void absurd_dates_do_no_harm(void **state)
{
	for (unsigned reg = 0; reg < 10; reg++)
		put((uint8_t)reg, 0xff);
	put(CENTURY, 0xff);
	put(B, 0x06);
	put(YEAR, 0xff);
	advance(NS_PER_SEC);
	get(SEC);
	put(CENTURY, 0x00);
	get(YEAR);
}

static void update_in_progress(void **state)
{
	advance(NS_PER_SEC - 300 * USEC);
	assert_int_equal(get(A) & 0x80, 0);
	advance(100 * USEC);
	assert_int_equal(get(A) & 0x80, 0x80);
	advance(200 * USEC);
	assert_int_equal(get(A) & 0x80, 0);
	assert_int_equal(get(SEC), 0x08);
}

static void update_interrupt(void **state)
{
	put(A, 0x20); /* no periodic flag */
	put(B, 0x12);
	get(C);
	advance(999 * MSEC);
	assert_false(pending());
	advance(MSEC);
	assert_int_equal(ack(), 0x28);
	assert_int_equal(get(C), 0x90);
	assert_int_equal(get(C), 0);
	advance(NS_PER_SEC);
	assert_int_equal(ack(), 0x28);
	put(B, 0x02);
	advance(5 * NS_PER_SEC);
	assert_false(pending());
	assert_int_equal(get(C), 0x10); /* the flag is set all the same */
}

static void alarm_interrupt(void **state)
{
	put(A, 0x20);
	put(SEC_ALARM, 0x10);
	put(MIN_ALARM, 0x07);
	put(HOUR_ALARM, 0xc0); /* any */
	get(C);
	put(B, 0x22);
	advance(62 * NS_PER_SEC);
	assert_false(pending());
	advance(NS_PER_SEC);
	assert_int_equal(ack(), 0x28);
	assert_int_equal(get(C) & 0xf0, 0xb0);
	advance(3599 * NS_PER_SEC);
	assert_false(pending());
	advance(NS_PER_SEC);
	assert_int_equal(ack(), 0x28);
}

static void alarm_flag_without_interrupt(void **state)
{
	put(A, 0x20);
	put(SEC_ALARM, 0x00);
	put(MIN_ALARM, 0x00);
	put(HOUR_ALARM, 0x12);
	get(C);
	advance(3600 * NS_PER_SEC);
	assert_int_equal(get(C), 0x10);
	advance(7 * 3600 * NS_PER_SEC);
	assert_int_equal(get(C), 0x30);
}

static unsigned count_periodic(unsigned ms)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ms * 20; i++) {
		advance(50 * USEC);
		if (ack() == 0x28) {
			n++;
			assert_int_equal(get(C) & 0xc0, 0xc0);
		}
	}
	return n;
}

static void periodic_interrupt(void **state)
{
	put(B, 0x42);
	get(C);
	assert_in_range(count_periodic(1000), 1023, 1025);
	put(A, 0x2f); /* 2 Hz */
	assert_in_range(count_periodic(2000), 3, 4);
	put(A, 0x21); /* 256 Hz: rates 1 and 2 repeat 8 and 9 */
	assert_in_range(count_periodic(1000), 255, 257);
	put(A, 0x20);
	assert_int_equal(count_periodic(500), 0);
}

static void periodic_not_acknowledged_is_one(void **state)
{
	put(B, 0x42);
	get(C);
	advance(100 * MSEC);
	assert_int_equal(ack(), 0x28);
	assert_int_equal(ack(), -1);
	get(C);
	assert_int_equal(ack(), -1);
}

static void drift_fix_makes_up(void **state)
{
	struct machine_config config = {.rtc.driftfix = true};

	board_teardown(state);
	board_open_with(&config);
	out8(0x43, 0x30);
	pic_init(0x03);
	put(B, 0x42);
	get(C);
	advance(10 * MSEC); /* ten periods, none taken */
	unsigned n = 0;
	while (ack() == 0x28 && n < 100) {
		n++;
		get(C);
	}
	assert_in_range(n, 9, 11);
}

static void divider_reset_holds(void **state)
{
	put(A, 0x76);
	advance(5 * NS_PER_SEC);
	assert_int_equal(get(SEC), 0x07);
	put(A, 0x26); /* the first update comes half a second later */
	advance(499 * MSEC);
	assert_int_equal(get(SEC), 0x07);
	advance(2 * MSEC);
	assert_int_equal(get(SEC), 0x08);
}

static void memory_sizes(void **state)
{
	assert_int_equal(get(0x15) | get(0x16) << 8, 640);
	assert_int_equal(get(0x17) | get(0x18) << 8, 63 * 1024);
	assert_int_equal(get(0x34) | get(0x35) << 8, 48 * 16);
	unsigned sum = 0;
	for (uint8_t i = 0x10; i <= 0x2d; i++)
		sum += get(i);
	assert_int_equal(get(0x2e) << 8 | get(0x2f), sum);
	put(0x40, 0x5a);
	machine_reset(board.m);
	assert_int_equal(get(0x40), 0x5a); /* the battery */
}

static void nmi_mask(void **state)
{
	machine_inject_nmi(board.m);
	assert_true(machine_nmi_pending(board.m));
	assert_true(machine_nmi_ack(board.m));
	assert_false(machine_nmi_ack(board.m));
	out8(0x70, 0x80);
	machine_inject_nmi(board.m);
	assert_false(machine_nmi_pending(board.m));
	out8(0x70, 0x00);
	assert_true(machine_nmi_ack(board.m));
}

static void reset_disables_interrupts(void **state)
{
	put(B, 0x72);
	machine_reset(board.m);
	assert_int_equal(get(B), 0x02);
	advance(3 * NS_PER_SEC);
	face_is(0x05, 0x06, 0x10);
}

#define RTC_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, board_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RTC_TEST(shows_the_base),
		RTC_TEST(binary_and_12_hours),
		RTC_TEST(set_holds_the_clock),
		RTC_TEST(absurd_dates_do_no_harm),
		RTC_TEST(update_in_progress),
		RTC_TEST(update_interrupt),
		RTC_TEST(alarm_interrupt),
		RTC_TEST(alarm_flag_without_interrupt),
		RTC_TEST(periodic_interrupt),
		RTC_TEST(periodic_not_acknowledged_is_one),
		RTC_TEST(drift_fix_makes_up),
		RTC_TEST(divider_reset_holds),
		RTC_TEST(memory_sizes),
		RTC_TEST(nmi_mask),
		RTC_TEST(reset_disables_interrupts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
