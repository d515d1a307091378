/* The local APIC through its MMIO page. */
#include "board.h"

enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HIGH = 0x310,
	LVT_TIMER = 0x320,
	LINT0 = 0x350,
	LINT1 = 0x360,
	LVT_ERROR = 0x370,
	INITIAL = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0,
};
#define BASE 0xfee00000ull
enum { MASKED = 0x10000, PERIODIC = 0x20000, SELF = 0x40000, ALL = 0x80000, OTHERS = 0xc0000 };

static uint32_t get(unsigned reg)
{
	return mem32(BASE + reg);
}
static void put(unsigned reg, uint32_t v)
{
	set_mem32(BASE + reg, v);
}
static void eoi(void)
{
	put(EOI, 0);
}

static int setup(void **state)
{
	board_setup(state);
	out8(0x43, 0x30);
	pic_init(0x03);
	return 0;
}

static void state_after_reset(void **state)
{
	assert_int_equal(get(ID), 0);
	assert_int_equal(get(VERSION), 0x00050014);
	assert_int_equal(get(SVR), 0x1ff);
	assert_int_equal(get(LINT0), 0x700);
	assert_int_equal(get(LINT1), 0x400);
	assert_int_equal(get(LVT_TIMER), MASKED);
	assert_int_equal(get(DFR), 0xffffffff);
	uint8_t byte;
	physmap_read(board.pm, gpa(BASE + VERSION + 2), &byte, 1);
	assert_int_equal(byte, 5);
	assert_int_equal(mem32(BASE + VERSION + 4), 0);
}

static void self_ipi_and_priorities(void **state)
{
	put(ICR, SELF | 0x41);
	put(ICR, SELF | 0x55);
	put(ICR, SELF | 0x52);
	assert_int_equal(get(IRR + 0x20), 1u << 0x15 | 1u << 0x12 | 2);
	assert_int_equal(board.kicks, 1);
	assert_int_equal(ack(), 0x55);
	assert_int_equal(get(PPR), 0x50);
	assert_int_equal(get(ISR + 0x20), 1u << 0x15);
	assert_false(pending()); /* 52h is of the same class */
	put(ICR, SELF | 0x60);
	assert_int_equal(ack(), 0x60);
	eoi();
	assert_int_equal(get(PPR), 0x50);
	eoi();
	assert_int_equal(ack(), 0x52);
	eoi();
	assert_int_equal(ack(), 0x41);
	eoi();
	assert_int_equal(ack(), -1);
	eoi(); /* of nothing */
}

static void task_priority(void **state)
{
	put(TPR, 0x50);
	put(ICR, SELF | 0x51);
	assert_false(pending());
	assert_int_equal(ack(), -1);
	put(TPR, 0x4f);
	assert_true(pending());
	assert_int_equal(ack(), 0x51);
	assert_int_equal(get(PPR), 0x50);
	put(TPR, 0x75);
	assert_int_equal(get(PPR), 0x75);
}

static void destinations(void **state)
{
	put(ICR_HIGH, 0x05000000);
	put(ICR, 0x41);
	assert_false(pending()); /* nobody is number 5 */
	put(ICR_HIGH, 0xff000000);
	put(ICR, 0x41);
	assert_int_equal(ack(), 0x41);
	eoi();
	put(ICR, OTHERS | 0x42);
	assert_false(pending());
	put(ICR, ALL | 0x43);
	assert_int_equal(ack(), 0x43);
	eoi();
	put(LDR, 0x04000000);
	put(ICR_HIGH, 0x03000000);
	put(ICR, 0x800 | 0x44);
	assert_false(pending());
	put(ICR_HIGH, 0x06000000);
	put(ICR, 0x800 | 0x44);
	assert_int_equal(ack(), 0x44);
	eoi();
	put(DFR, 0x0fffffff); /* clusters */
	put(LDR, 0x24000000);
	put(ICR, 0x800 | 0x45);
	assert_false(pending());
	put(ICR_HIGH, 0x2c000000);
	put(ICR, 0x800 | 0x45);
	assert_int_equal(ack(), 0x45);
}

static void nmi_and_init(void **state)
{
	put(ICR_HIGH, 0);
	put(ICR, 0x400);
	assert_true(machine_nmi_ack(board.m));
	put(ICR, OTHERS | 0x400);
	assert_false(machine_nmi_pending(board.m));
	put(ICR, ALL | 0x8500); /* INIT level de-assert: nothing */
	put(ICR, OTHERS | 0x4500);
	put(ICR, OTHERS | 0x4608);
	assert_int_equal(board.events, 0);
	put(ICR, 0x4500);
	assert_int_equal(board.events, 1);
	assert_int_equal(board.event, MACHINE_RESET);
}

static void illegal_vectors(void **state)
{
	put(LVT_ERROR, 0xfe);
	put(ICR, SELF | 0x0f);
	put(ESR, 0);
	assert_int_equal(get(ESR), 0x20);
	assert_int_equal(ack(), 0xfe);
	put(ESR, 0);
	assert_int_equal(get(ESR), 0);
	get(0x3f0);
	put(ESR, 0);
	assert_int_equal(get(ESR), 0x80);
}

static void one_shot_timer(void **state)
{
	put(DIVIDE, 0xb);
	put(LVT_TIMER, 0x31);
	put(INITIAL, 100000);
	advance(40000);
	assert_int_equal(get(CURRENT), 60000);
	advance(59999);
	assert_false(pending());
	advance(1);
	assert_int_equal(get(CURRENT), 0);
	assert_int_equal(ack(), 0x31);
	eoi();
	advance(NS_PER_SEC);
	assert_false(pending());
	put(INITIAL, 1000);
	put(INITIAL, 0); /* stops it */
	advance(NS_PER_SEC);
	assert_false(pending());
}

static void periodic_timer(void **state)
{
	unsigned n = 0;

	put(DIVIDE, 0x3); /* by 16 */
	put(LVT_TIMER, PERIODIC | 0x31);
	put(INITIAL, 62500); /* 1 ms */
	advance(250000);
	assert_int_equal(get(CURRENT), 62500 - 250000 / 16);
	for (unsigned i = 0; i < 1000; i++) {
		advance(MSEC);
		if (ack() == 0x31) {
			n++;
			eoi();
		}
	}
	assert_int_equal(n, 1000);
	put(LVT_TIMER, MASKED | PERIODIC | 0x31);
	advance(10 * MSEC);
	assert_false(pending());
	assert_true(get(CURRENT) > 0);
	put(LVT_TIMER, PERIODIC | 0x31);
	advance(MSEC);
	assert_int_equal(ack(), 0x31);
}

static void late_ticks_merge_and_keep_the_phase(void **state)
{
	put(DIVIDE, 0xb);
	put(LVT_TIMER, PERIODIC | 0x31);
	put(INITIAL, 1000000);
	advance(10 * MSEC + 300000);
	assert_int_equal(ack(), 0x31); /* ten expiries: one in IRR */
	eoi();
	assert_int_equal(ack(), -1);
	advance(699999);
	assert_int_equal(ack(), -1);
	advance(1);
	assert_int_equal(ack(), 0x31);
}

static void divide_values(void **state)
{
	static const struct {
		uint8_t code, by;
	} rows[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		put(DIVIDE, rows[i].code);
		put(INITIAL, 1000);
		advance(500 * rows[i].by);
		assert_int_equal(get(CURRENT), 500);
	}
}

static void absurd_period_is_bounded(void **state)
{
	unsigned n = 0;

	put(DIVIDE, 0xb);
	put(LVT_TIMER, PERIODIC | 0x31);
	put(INITIAL, 1);
	for (unsigned i = 0; i < 1000; i++) {
		advance(USEC);
		if (ack() == 0x31) {
			n++;
			eoi();
		}
	}
	assert_in_range(n, 40, 51);
}

static void software_disable(void **state)
{
	put(LVT_TIMER, 0x31);
	put(SVR, 0xff);
	assert_int_equal(get(LVT_TIMER), MASKED | 0x31);
	assert_int_equal(get(LINT0), MASKED | 0x700);
	put(LINT0, 0x700);
	assert_int_equal(get(LINT0), MASKED | 0x700);
	put(ICR, SELF | 0x41);
	assert_false(pending());
	pulse(5);
	assert_false(pending()); /* the 8259's way in is shut */
	put(SVR, 0x1ff);
	put(LINT0, 0x700);
	assert_int_equal(ack(), 0x25);
}

static void base_register(void **state)
{
	put(ICR, SELF | 0x41);
	machine_apic_base(board.m, BASE); /* disabled */
	assert_int_equal(get(SVR), 0xffffffff);
	assert_int_equal(ack(), -1);
	pulse(5);
	assert_int_equal(ack(), 0x25); /* the pins are INTR and NMI */
	machine_inject_nmi(board.m);
	assert_true(machine_nmi_ack(board.m));
	machine_apic_base(board.m, 0xd0000800 | 0x100);
	assert_int_equal(get(SVR), 0xffffffff);
	assert_int_equal(mem32(0xd0000000 + SVR), 0xff);
	machine_reset(board.m);
	assert_int_equal(get(SVR), 0x1ff);
}

static void virtual_wire_and_priority(void **state)
{
	pulse(5);
	put(ICR, SELF | 0x41);
	assert_int_equal(ack(), 0x41);
	assert_int_equal(ack(), 0x25); /* ExtINT asks for no EOI and no priority */
	eoi();
	put(LINT0, MASKED | 0x700);
	pulse(5);
	assert_false(pending());
	put(LINT0, 0x700);
	assert_int_equal(ack(), 0x25);
}

static void lint0_fixed(void **state)
{
	put(LINT0, 0x33);
	pulse(5);
	assert_int_equal(ack(), 0x33);
	eoi();
	assert_int_equal(ack(), -1);
	machine_lock(board.m);
	assert_int_equal(i8259_ack(board.m->pic), 0x25);
	machine_unlock(board.m);
	put(LINT0, 0x8033); /* level */
	pulse(5);
	assert_int_equal(ack(), 0x33);
	assert_int_equal(get(LINT0), 0xc033);
	assert_int_equal(get(TMR + 0x10), 1u << 0x13);
	eoi();
	assert_int_equal(ack(), 0x33); /* still asserted */
	put(LINT1, 0x34);
	machine_inject_nmi(board.m);
	assert_false(machine_nmi_pending(board.m));
}

static void odd_accesses(void **state)
{
	uint8_t byte = 0x70;
	uint64_t wide = 0xffffffffffffffff;

	physmap_write(board.pm, gpa(BASE + TPR), &byte, 1);
	assert_int_equal(get(TPR), 0);
	physmap_write(board.pm, gpa(BASE + TPR + 2), &wide, 8);
	for (unsigned at = 0; at < 0x1000; at += 4) {
		set_mem32(BASE + at, 0xffffffff);
		mem32(BASE + at);
	}
	advance(MSEC);
	while (ack() >= 0)
		eoi();
}

#define APIC_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, board_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		APIC_TEST(state_after_reset),
		APIC_TEST(self_ipi_and_priorities),
		APIC_TEST(task_priority),
		APIC_TEST(destinations),
		APIC_TEST(nmi_and_init),
		APIC_TEST(illegal_vectors),
		APIC_TEST(one_shot_timer),
		APIC_TEST(periodic_timer),
		APIC_TEST(late_ticks_merge_and_keep_the_phase),
		APIC_TEST(divide_values),
		APIC_TEST(absurd_period_is_bounded),
		APIC_TEST(software_disable),
		APIC_TEST(base_register),
		APIC_TEST(virtual_wire_and_priority),
		APIC_TEST(lint0_fixed),
		APIC_TEST(odd_accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
