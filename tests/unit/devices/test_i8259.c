/* The 8259 pair through its ports. The local APIC is in virtual wire mode, as after reset. */
#include "board.h"

/* All chips but the 8259 quiet: the timer's channel 0 waits for a count. All inputs are edges. */
static void quiet(uint8_t icw4)
{
	out8(0x43, 0x30);
	out8(0x4d1, 0);
	pic_init(icw4);
}

static uint8_t read_irr(uint16_t port)
{
	out8(port, 0x0a);
	return in8(port);
}

static uint8_t read_isr(uint16_t port)
{
	out8(port, 0x0b);
	return in8(port);
}

static void masked_after_reset(void **state)
{
	assert_int_equal(in8(0x21), 0xff);
	assert_int_equal(in8(0xa1), 0xff);
	pulse(5);
	assert_false(pending());
	assert_int_equal(ack(), -1);
	assert_int_equal(board.kicks, 0);
	out8(0x21, 0xdf); /* the edge was kept */
	assert_true(pending());
	assert_int_equal(board.kicks, 1);
	assert_int_equal(ack(), 0x0d);
}

static void vectors_and_priority(void **state)
{
	quiet(0x01);
	pulse(7);
	pulse(3);
	assert_int_equal(read_irr(0x20), 0x88);
	assert_int_equal(ack(), 0x23);
	assert_int_equal(read_isr(0x20), 0x08);
	assert_false(pending()); /* 7 is below 3 */
	pulse(1);
	assert_int_equal(ack(), 0x21); /* nested */
	out8(0x20, 0x20);
	assert_int_equal(read_isr(0x20), 0x08);
	out8(0x20, 0x20);
	assert_int_equal(ack(), 0x27);
	out8(0x20, 0x67); /* specific */
	assert_int_equal(read_isr(0x20), 0);
	assert_int_equal(ack(), -1);
}

static void edge_needs_a_new_edge(void **state)
{
	quiet(0x01);
	irq(5, true);
	assert_int_equal(ack(), 0x25);
	out8(0x20, 0x20);
	irq(5, true); /* still high */
	assert_false(pending());
	irq(5, false);
	irq(5, true);
	assert_true(pending());
}

static void second_chip(void **state)
{
	quiet(0x01);
	pulse(12);
	pulse(9);
	assert_int_equal(read_irr(0xa0), 0x12);
	assert_int_equal(ack(), 0x29);
	assert_int_equal(read_isr(0x20), 0x04);
	assert_int_equal(read_isr(0xa0), 0x02);
	pulse(8); /* higher on the second chip, but the cascade input is in service */
	assert_false(pending());
	out8(0xa0, 0x20);
	out8(0x20, 0x20);
	assert_int_equal(ack(), 0x28);
	out8(0xa0, 0x20);
	out8(0x20, 0x20);
	assert_int_equal(ack(), 0x2c);
}

static void special_fully_nested(void **state)
{
	quiet(0x11);
	pulse(12);
	assert_int_equal(ack(), 0x2c);
	pulse(9);
	assert_true(pending());
	assert_int_equal(ack(), 0x29);
	pulse(14);
	assert_false(pending());
	pulse(3);
	assert_false(pending());
}

static void level_triggered(void **state)
{
	quiet(0x01);
	out8(0x4d0, 0xff);
	out8(0x4d1, 0xff);
	assert_int_equal(in8(0x4d0), 0xf8); /* 0-2 are always edges */
	assert_int_equal(in8(0x4d1), 0xde); /* so are 8 and 13 */
	irq(11, true);
	assert_int_equal(ack(), 0x2b);
	out8(0xa0, 0x20);
	out8(0x20, 0x20);
	assert_true(pending()); /* still asserted */
	irq(11, false);
	assert_false(pending());
	assert_int_equal(ack(), -1);
}

static void spurious(void **state)
{
	quiet(0x01);
	out8(0x4d0, 0x20);
	machine_lock(board.m);
	assert_int_equal(i8259_ack(board.m->pic), 0x27); /* nothing asked */
	machine_unlock(board.m);
	assert_int_equal(read_isr(0x20), 0);
	irq(5, true); /* a level that goes away takes its request along */
	irq(5, false);
	assert_false(pending());
	pulse(12); /* masked after the fact: the second chip withdraws its request from the first */
	assert_true(pending());
	out8(0xa1, 0xff);
	assert_false(pending());
	assert_int_equal(ack(), -1);
}

static void auto_eoi_and_rotation(void **state)
{
	quiet(0x03);
	pulse(3);
	assert_int_equal(ack(), 0x23);
	assert_int_equal(read_isr(0x20), 0);
	out8(0x20, 0x80); /* rotate in automatic EOI mode */
	pulse(3);
	assert_int_equal(ack(), 0x23); /* 3 is lowest now, 4 highest */
	pulse(1);
	pulse(4);
	assert_int_equal(ack(), 0x24);
	assert_int_equal(ack(), 0x21);
	out8(0x20, 0x00);
	pulse(5);
	assert_int_equal(ack(), 0x25);
	pulse(1);
	pulse(2 + 1);
	assert_int_equal(ack(), 0x23); /* lowest is still 1 */
}

static void rotation_by_command(void **state)
{
	quiet(0x01);
	pulse(0);
	assert_int_equal(ack(), 0x20);
	out8(0x20, 0xa0); /* rotate on non-specific EOI: 0 becomes lowest */
	pulse(0);
	pulse(6);
	assert_int_equal(ack(), 0x26);
	out8(0x20, 0xe6); /* rotate on specific EOI: 6 lowest, 7 highest */
	pulse(7);
	assert_int_equal(ack(), 0x27);
	out8(0x20, 0x20);
	out8(0x20, 0xc2); /* set priority: 2 lowest, 3 highest */
	pulse(3);
	assert_int_equal(ack(), 0x23);
}

static void special_mask_mode(void **state)
{
	quiet(0x01);
	pulse(1);
	assert_int_equal(ack(), 0x21);
	out8(0x21, 0x02); /* mask the level in service */
	pulse(6);
	assert_false(pending());
	out8(0x20, 0x68); /* special mask mode */
	assert_int_equal(ack(), 0x26);
	out8(0x20, 0x20); /* passes over the masked level */
	assert_int_equal(read_isr(0x20), 0x02);
	out8(0x20, 0x48);
	pulse(6);
	assert_false(pending());
}

static void poll_command(void **state)
{
	quiet(0x01);
	out8(0x20, 0x0c);
	assert_int_equal(in8(0x20), 0);
	pulse(4);
	out8(0x20, 0x0c);
	assert_int_equal(in8(0x20), 0x84);
	assert_int_equal(read_isr(0x20), 0x10);
	assert_int_equal(ack(), -1);
}

static void kick_only_on_rise(void **state)
{
	quiet(0x01);
	board.kicks = 0;
	pulse(5);
	pulse(4);
	pulse(3);
	assert_int_equal(board.kicks, 1);
	assert_int_equal(ack(), 0x23);
	assert_int_equal(board.kicks, 1);
	out8(0x20, 0x20);
	assert_int_equal(board.kicks, 2);
}

static void icw1_starts_over(void **state)
{
	quiet(0x01);
	pulse(5);
	assert_int_equal(ack(), 0x25);
	pulse(6);
	out8(0x20, 0x13); /* single, with ICW4 */
	pulse(1);
	assert_false(pending()); /* not yet programmed */
	out8(0x21, 0x40);
	out8(0x21, 0x01);
	assert_int_equal(in8(0x21), 0);
	assert_int_equal(ack(), 0x41);
	assert_int_equal(read_irr(0x20), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOARD_TEST(masked_after_reset),
		BOARD_TEST(vectors_and_priority),
		BOARD_TEST(edge_needs_a_new_edge),
		BOARD_TEST(second_chip),
		BOARD_TEST(special_fully_nested),
		BOARD_TEST(level_triggered),
		BOARD_TEST(spurious),
		BOARD_TEST(auto_eoi_and_rotation),
		BOARD_TEST(rotation_by_command),
		BOARD_TEST(special_mask_mode),
		BOARD_TEST(poll_command),
		BOARD_TEST(kick_only_on_rise),
		BOARD_TEST(icw1_starts_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
