/* The interval timer through its ports, on a clock moved tick by tick. */
#include "board.h"

/* To the first nanosecond of the tick `n` ticks on, from a clock that stands on such a boundary. */
static int64_t ticks_gone;

static void ticks(int64_t n)
{
	ticks_gone += n;
	int64_t at = (int64_t)(((__int128)ticks_gone * NS_PER_SEC + 1193181) / 1193182);
	advance(at - machine_now(board.m));
}

static int setup(void **state)
{
	ticks_gone = 0;
	board_setup(state);
	out8(0x43, 0x30); /* channel 0 waits */
	pic_init(0x03);
	return 0;
}

static void program(unsigned channel, uint8_t mode, uint16_t count)
{
	out8(0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	out8((uint16_t)(0x40 + channel), (uint8_t)count);
	out8((uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static uint16_t latch(unsigned channel)
{
	out8(0x43, (uint8_t)(channel << 6));
	uint16_t low = in8((uint16_t)(0x40 + channel));
	return (uint16_t)(low | in8((uint16_t)(0x40 + channel)) << 8);
}

static uint8_t status(unsigned channel)
{
	out8(0x43, (uint8_t)(0xe0 | 2u << channel));
	return in8((uint16_t)(0x40 + channel));
}

static bool out2(void)
{
	return in8(0x61) & 0x20;
}

static void gate2(bool on)
{
	out8(0x61, on);
}

static void mode0_counts_once(void **state)
{
	program(0, 0, 100);
	assert_int_equal(latch(0), 100);
	assert_int_equal(status(0), 0x30);
	ticks(99);
	assert_int_equal(latch(0), 1);
	assert_false(pending());
	ticks(1);
	assert_int_equal(ack(), 0x20);
	assert_int_equal(status(0), 0xb0);
	ticks(1);
	assert_int_equal(latch(0), 0xffff); /* goes on counting */
	ticks(200000);
	assert_false(pending());
}

static void mode0_first_byte_stops(void **state)
{
	program(0, 0, 100);
	ticks(50);
	out8(0x40, 10);
	ticks(1000);
	assert_false(pending());
	out8(0x40, 0);
	ticks(10);
	assert_true(pending());
}

static void mode2_is_periodic_without_drift(void **state)
{
	program(0, 2, 11932);
	unsigned n = 0;
	for (unsigned i = 0; i < 1000; i++) {
		advance(MSEC);
		n += ack() == 0x20;
	}
	assert_int_equal(n, 99); /* 1193182 / 11932 = 99.99 */
	ticks_gone = 0;
	assert_true(latch(0) <= 11932);
}

static void mode2_new_count_waits(void **state)
{
	program(0, 2, 1000);
	ticks(400);
	out8(0x40, 200);
	out8(0x40, 0);
	assert_int_equal(status(0), 0xf4); /* null count: not loaded yet */
	assert_int_equal(latch(0), 600);
	ticks(599);
	assert_false(pending());
	ticks(1);
	assert_int_equal(ack(), 0x20);
	assert_int_equal(latch(0), 200);
	assert_int_equal(status(0), 0xb4);
	ticks(199);
	assert_false(pending());
	ticks(1);
	assert_int_equal(ack(), 0x20);
}

static void mode2_output_low_for_one_tick(void **state)
{
	gate2(true);
	program(2, 2, 5);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(latch(2), 5 - i % 5);
		assert_int_equal(out2(), i % 5 != 4);
		ticks(1);
	}
}

static void mode3_square_wave(void **state)
{
	gate2(true);
	program(2, 3, 5);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(out2(), i % 5 < 3);
		ticks(1);
	}
	program(2, 3, 6);
	static const uint16_t counts[] = {6, 4, 2, 6, 4, 2};
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(latch(2), counts[i % 6]);
		assert_int_equal(out2(), i % 6 < 3);
		ticks(1);
	}
}

static void mode3_new_count_at_half_cycle(void **state)
{
	gate2(true);
	program(2, 3, 100);
	ticks(10);
	out8(0x42, 20);
	out8(0x42, 0);
	ticks(39);
	assert_true(out2());
	ticks(1); /* the old high half is over: the new low half */
	assert_false(out2());
	ticks(9);
	assert_false(out2());
	ticks(1);
	assert_true(out2());
	ticks(10);
	assert_false(out2());
}

static void mode1_is_triggered_by_the_gate(void **state)
{
	gate2(false);
	program(2, 1, 10);
	assert_true(out2());
	assert_int_equal(status(2) & 0x40, 0x40);
	ticks(50);
	assert_true(out2());
	gate2(true);
	assert_false(out2());
	ticks(5);
	gate2(false);
	gate2(true); /* again */
	ticks(9);
	assert_false(out2());
	ticks(1);
	assert_true(out2());
}

static void mode4_strobes_once(void **state)
{
	gate2(true);
	program(2, 4, 10);
	ticks(9);
	assert_true(out2());
	ticks(1);
	assert_false(out2());
	ticks(1);
	assert_true(out2());
	program(0, 4, 10);
	ticks(10);
	assert_int_equal(ack(), 0x20);
	ticks(100000);
	assert_false(pending());
}

static void mode5_strobes_after_trigger(void **state)
{
	gate2(false);
	program(2, 5, 10);
	ticks(30);
	assert_true(out2());
	gate2(true);
	ticks(10);
	assert_false(out2());
	ticks(1);
	assert_true(out2());
}

static void gate_stops_mode0(void **state)
{
	gate2(true);
	program(2, 0, 1000);
	ticks(300);
	gate2(false);
	ticks(5000);
	assert_int_equal(latch(2), 700);
	assert_false(out2());
	gate2(true);
	ticks(699);
	assert_false(out2());
	ticks(1);
	assert_true(out2());
}

static void gate_restarts_mode2(void **state)
{
	gate2(true);
	program(2, 2, 100);
	ticks(99);
	assert_false(out2());
	gate2(false);
	assert_true(out2());
	ticks(1000);
	gate2(true);
	assert_int_equal(latch(2), 100);
	ticks(99);
	assert_false(out2());
}

static void bcd(void **state)
{
	gate2(true);
	out8(0x43, 0xb1); /* mode 0, BCD */
	out8(0x42, 0x00);
	out8(0x42, 0x10); /* 1000 */
	ticks(1);
	assert_int_equal(latch(2), 0x0999);
	ticks(999);
	assert_true(out2());
	ticks(1);
	assert_int_equal(latch(2), 0x9999);
}

static void byte_modes(void **state)
{
	gate2(true);
	out8(0x43, 0x90); /* low byte only, mode 0 */
	out8(0x42, 50);
	ticks(10);
	assert_int_equal(in8(0x42), 40);
	assert_int_equal(in8(0x42), 40);
	out8(0x43, 0xa0); /* high byte only */
	out8(0x42, 2);
	ticks(1);
	assert_int_equal(in8(0x42), 1);
	program(2, 0, 0x1234); /* both: reads alternate */
	assert_int_equal(in8(0x42), 0x34);
	assert_int_equal(in8(0x42), 0x12);
	assert_int_equal(in8(0x42), 0x34);
}

static void latches_hold(void **state)
{
	gate2(true);
	program(2, 0, 1000);
	out8(0x43, 0x80);
	ticks(10);
	out8(0x43, 0x80); /* ignored: the first is not read yet */
	assert_int_equal(in8(0x42), 1000 & 0xff);
	ticks(10);
	assert_int_equal(in8(0x42), 1000 >> 8);
	assert_int_equal(latch(2), 980);
	out8(0x43, 0xc8); /* read back status and count: status comes first */
	ticks(5);
	assert_int_equal(in8(0x42), 0x30);
	uint8_t low = in8(0x42);
	assert_int_equal(low | in8(0x42) << 8, 980);
}

static void refresh_toggles(void **state)
{
	unsigned changes = 0;
	uint8_t last = in8(0x61) & 0x10;

	for (unsigned i = 0; i < 1000; i++) {
		advance(USEC);
		uint8_t now = in8(0x61) & 0x10;
		changes += now != last;
		last = now;
	}
	assert_in_range(changes, 65, 67); /* every 15.085 us */
	out8(0x61, 0xff);
	assert_int_equal(in8(0x61) & 0xcf, 0x0f);
}

static void absurd_rates_are_bounded(void **state)
{
	unsigned n = 0;

	program(0, 2, 1);
	for (unsigned i = 0; i < 1000; i++) {
		advance(USEC);
		n += ack() == 0x20;
	}
	assert_in_range(n, 40, 51);
	program(0, 3, 0);
	advance(NS_PER_SEC);
	assert_int_equal(ack(), 0x20);
}

#define PIT_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, board_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PIT_TEST(mode0_counts_once),
		PIT_TEST(mode0_first_byte_stops),
		PIT_TEST(mode2_is_periodic_without_drift),
		PIT_TEST(mode2_new_count_waits),
		PIT_TEST(mode2_output_low_for_one_tick),
		PIT_TEST(mode3_square_wave),
		PIT_TEST(mode3_new_count_at_half_cycle),
		PIT_TEST(mode1_is_triggered_by_the_gate),
		PIT_TEST(mode4_strobes_once),
		PIT_TEST(mode5_strobes_after_trigger),
		PIT_TEST(gate_stops_mode0),
		PIT_TEST(gate_restarts_mode2),
		PIT_TEST(bcd),
		PIT_TEST(byte_modes),
		PIT_TEST(latches_hold),
		PIT_TEST(refresh_toggles),
		PIT_TEST(absurd_rates_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
