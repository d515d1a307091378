/* The I/O APIC through its two windows, with its messages arriving at the local APIC. */
#include "board.h"

#define IOAPIC 0xfec00000ull
#define LAPIC  0xfee00000ull
enum {
	MASKED = 0x10000,
	LEVEL = 0x8000,
	REMOTE_IRR = 0x4000,
	LOGICAL = 0x800,
	NMI = 0x400,
	EXTINT = 0x700
};

static uint32_t get(uint8_t reg)
{
	set_mem32(IOAPIC, reg);
	return mem32(IOAPIC + 0x10);
}

static void put(uint8_t reg, uint32_t v)
{
	set_mem32(IOAPIC, reg);
	set_mem32(IOAPIC + 0x10, v);
}

static void pin(unsigned n, uint32_t low)
{
	put((uint8_t)(0x11 + 2 * n), 0);
	put((uint8_t)(0x10 + 2 * n), low);
}

static uint32_t entry(unsigned n)
{
	return get((uint8_t)(0x10 + 2 * n));
}

static void eoi(void)
{
	set_mem32(LAPIC + 0xb0, 0);
}

static void registers(void **state)
{
	assert_int_equal(get(0), 0x01000000);
	put(0, 0xffffffff);
	assert_int_equal(get(0), 0x0f000000);
	assert_int_equal(get(1), 0x00170011);
	for (unsigned n = 0; n < 24; n++)
		assert_int_equal(entry(n), MASKED);
	put(0x10 + 2 * 5, 0xffffffff);
	put(0x11 + 2 * 5, 0xffffffff);
	assert_int_equal(entry(5), 0x1afff);
	assert_int_equal(get(0x11 + 2 * 5), 0xff000000);
	put(0x40, 0xffffffff); /* beyond the last pin */
	put(0xff, 0xffffffff);
	assert_int_equal(get(0x40), 0);
	assert_int_equal(mem32(IOAPIC + 0x20), 0);
}

static void edges(void **state)
{
	pin(5, 0x35);
	pulse(5);
	assert_int_equal(ack(), 0x35);
	eoi();
	assert_false(pending());
	irq(5, true);
	irq(5, true);
	assert_int_equal(ack(), 0x35);
	eoi();
	assert_int_equal(ack(), -1);
	irq(5, false);
	pin(5, MASKED | 0x35);
	pulse(5);
	pin(5, 0x35);
	assert_int_equal(ack(), -1); /* an edge while masked is lost */
}

static void levels(void **state)
{
	pin(9, LEVEL | 0x39);
	irq(9, true);
	assert_int_equal(entry(9), REMOTE_IRR | LEVEL | 0x39);
	assert_int_equal(ack(), 0x39);
	assert_false(pending());
	eoi();
	assert_int_equal(ack(), 0x39); /* still asserted */
	irq(9, false);
	assert_int_equal(entry(9) & REMOTE_IRR, REMOTE_IRR);
	eoi();
	assert_int_equal(entry(9) & REMOTE_IRR, 0);
	assert_false(pending());
	irq(9, true);
	irq(9, false);
	irq(9, true);
	assert_int_equal(ack(), 0x39);
	pin(9, MASKED | LEVEL | 0x39);
	eoi();
	assert_false(pending());
	pin(9, LEVEL | 0x39);
	assert_true(pending()); /* unmasked while asserted */
}

static void remote_irr_can_be_dropped(void **state)
{
	pin(9, LEVEL | 0x39);
	irq(9, true);
	pin(9, MASKED | 0x39);
	assert_int_equal(entry(9) & REMOTE_IRR, 0);
	pin(9, LEVEL | 0x39);
	assert_int_equal(entry(9) & REMOTE_IRR, REMOTE_IRR);
}

static void timer_is_on_pin_2(void **state)
{
	pin(2, 0x30);
	out8(0x43, 0x34);
	out8(0x40, 0xa9);
	out8(0x40, 0x04); /* 1 kHz */
	unsigned n = 0;
	for (unsigned i = 0; i < 100; i++) {
		advance(MSEC);
		if (ack() == 0x30) {
			n++;
			eoi();
		}
	}
	assert_in_range(n, 99, 101);
}

static void logical_destination(void **state)
{
	set_mem32(LAPIC + 0xd0, 0x01000000);
	put(0x11 + 2 * 5, 0x02000000);
	put(0x10 + 2 * 5, LOGICAL | 0x35);
	pulse(5);
	assert_false(pending());
	put(0x11 + 2 * 5, 0x01000000);
	pulse(5);
	assert_int_equal(ack(), 0x35);
}

static void nmi_delivery(void **state)
{
	pin(5, NMI);
	pulse(5);
	assert_true(machine_nmi_ack(board.m));
}

static void extint_through_pin_0(void **state)
{
	set_mem32(LAPIC + 0x350, MASKED); /* LINT0 */
	out8(0x43, 0x30);
	pic_init(0x01);
	pin(0, EXTINT);
	pulse(5);
	assert_int_equal(ack(), 0x25);
	assert_false(pending());
	pulse(3);
	assert_int_equal(ack(), 0x23);
}

static void same_line_reaches_both(void **state)
{
	out8(0x43, 0x30);
	pic_init(0x01);
	pin(5, 0x35);
	pulse(5);
	assert_int_equal(ack(), 0x35);
	assert_int_equal(ack(), 0x25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOARD_TEST(registers),
		BOARD_TEST(edges),
		BOARD_TEST(levels),
		BOARD_TEST(remote_irr_can_be_dropped),
		BOARD_TEST(timer_is_on_pin_2),
		BOARD_TEST(logical_destination),
		BOARD_TEST(nmi_delivery),
		BOARD_TEST(extint_through_pin_0),
		BOARD_TEST(same_line_reaches_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
