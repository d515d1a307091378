/*
 * Random accesses to every chip at once, with time passing and interrupts taken: no guest input may
 * crash or hang a chip, and a machine that was treated so works again after a reset. Most useful
 * under ASan and UBSan.
 */
#include "board.h"

static const uint16_t ports[] = {
	0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,	 0x41,	0x42,  0x43,  0x60,
	0x61,  0x64,  0x70,  0x71,  0x92,  0xf0,  0xcf8, 0xcf9, 0xcfc, 0xcfd, 0xcfe,
	0xcff, 0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x606, 0xa78, 0xa7a, 0xa7b,
};
static const int64_t steps[] = {0, 1, 100, 900, 15000, 250000, 3000000, 1100000000};

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((seed >> 33) % below);
}

/* Small numbers are the interesting ones: counts, vectors, register numbers. */
static uint32_t value(void)
{
	uint32_t v = draw(1u << 31) << 1 ^ draw(1u << 31);

	return v >> draw(32);
}

static void one_port(void)
{
	uint16_t port = ports[draw(ARRAY_LEN(ports))];
	unsigned size = 1u << draw(3);

	if (draw(3))
		machine_out(board.m, port, size, value());
	else
		machine_in(board.m, port, size);
}

static void one_mmio(void)
{
	uint64_t at = draw(2) ? 0xfee00000 + draw(0x100) * 16 : 0xfec00000 + draw(2) * 16;
	uint64_t v = value();
	unsigned size = draw(8) ? 4 : 1u << draw(4);

	if (draw(3))
		physmap_write(board.pm, gpa(at), &v, size);
	else
		physmap_read(board.pm, gpa(at), &v, size);
}

static void one_event(void)
{
	switch (draw(6)) {
	case 0:
		irq(draw(16), draw(2));
		break;
	case 1:
		machine_inject_nmi(board.m);
		machine_nmi_ack(board.m);
		break;
	case 2:
		machine_power_button(board.m);
		break;
	case 3:
		machine_ferr(board.m, draw(2));
		break;
	case 4:
		if (!draw(50))
			machine_apic_base(board.m, 0xfee00000 | draw(2) << 11);
		break;
	default:
		/* pending is a promise that a vector is there */
		if (pending())
			assert_in_range(ack(), 0, 255);
		else
			assert_int_equal(ack(), -1);
	}
}

static void storm(void **state)
{
	for (seed = 1; seed < 6; seed++) {
		uint64_t keep = seed;
		for (unsigned i = 0; i < 200000; i++) {
			switch (draw(4)) {
			case 0:
			case 1:
				one_port();
				break;
			case 2:
				one_mmio();
				break;
			default:
				one_event();
			}
			if (!draw(4))
				advance(steps[draw(draw(100) ? 6 : ARRAY_LEN(steps))]);
		}
		seed = keep;
		machine_reset(board.m);
		out8(0x43, 0x30);
		pic_init(0x03);
		pulse(5);
		assert_true(pending());
		assert_int_equal(ack(), 0x25);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {BOARD_TEST(storm)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
