/* Port dispatch, PCI configuration, and the small registers: 92h, CF9h, F0h. */
#include "board.h"

/* ---- dispatch ---- */

static struct {
	uint16_t port[8];
	unsigned size[8], count;
	uint32_t value;
} seen;

static uint32_t probe_read(void *opaque, uint16_t port, unsigned size)
{
	seen.port[seen.count] = port;
	seen.size[seen.count++] = size;
	return 0xa0b0c0d0u + port;
}

static void probe_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	seen.port[seen.count] = port;
	seen.size[seen.count++] = size;
	seen.value = value;
}

static const struct io_ops wide = {probe_read, probe_write, 4};
static const struct io_ops narrow = {probe_read, probe_write, 0};

static void dispatch(void **state)
{
	memset(&seen, 0, sizeof(seen));
	machine_add_io(board.m, 0x1000, 8, &wide, NULL);
	machine_add_io(board.m, 0x1008, 4, &narrow, NULL);
	assert_int_equal(in32(0x1000), 0xa0b0d0d0);
	assert_int_equal(seen.size[0], 4);
	assert_int_equal(in16(0x1002), 0xd0d2);
	assert_int_equal(in8(0x1003), 0xd3);
	seen.count = 0;
	assert_int_equal(in32(0x1006), 0xd9d8d7d6); /* crosses into the next chip: bytes */
	assert_int_equal(seen.count, 4);
	seen.count = 0;
	out16(0x1008, 0x1234);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.value, 0x12);
	assert_int_equal(in32(0x100a), 0xffffdbda);	   /* half assigned */
	machine_add_io(board.m, 0x1002, 1, &narrow, NULL); /* shadows */
	seen.count = 0;
	in32(0x1002);
	assert_int_equal(seen.count, 4);
}

static void unassigned_ports(void **state)
{
	assert_int_equal(in8(0x80), 0xff);
	assert_int_equal(in16(0x80), 0xffff);
	assert_int_equal(in32(0xfffe), 0xffffffff); /* wraps */
	out32(0xffff, 0);
	assert_int_equal(in8(0x00), 0xff); /* no DMA controller */
}

/* Every port, every size: nothing crashes, nothing outside asks for anything but reset and
 * power-off. */
static void every_port(void **state)
{
	for (unsigned port = 0; port < 65536; port++) {
		for (unsigned size = 1; size <= 4; size *= 2) {
			machine_in(board.m, (uint16_t)port, size);
			machine_out(board.m, (uint16_t)port, size, 0xa5a5a5a5u ^ port);
			machine_out(board.m, (uint16_t)port, size, 0);
		}
		if (port % 4096 == 0)
			advance(MSEC);
	}
	machine_reset(board.m);
	assert_int_equal(in8(0x21), 0xff);
}

/* ---- PCI ---- */

static uint32_t config(unsigned bus, unsigned slot, unsigned fn, unsigned reg)
{
	out32(0xcf8, 0x80000000 | bus << 16 | slot << 11 | fn << 8 | reg);
	return in32(0xcfc);
}

static void pci_functions(void **state)
{
	assert_int_equal(config(0, 0, 0, 0), 0x12378086);
	assert_int_equal(config(0, 0, 0, 8), 0x06000002);
	assert_int_equal(config(0, 1, 0, 0), 0x70008086);
	assert_int_equal(config(0, 1, 0, 8) >> 16, 0x0601);
	assert_int_equal(config(0, 0, 0, 0x0c) >> 16 & 0xff, 0); /* one function, no bridge */
	for (unsigned slot = 0; slot < 32; slot++)
		for (unsigned fn = slot < 2; fn < 8; fn++)
			assert_true(config(0, slot, fn, 0) == 0xffffffff || (slot == 0 && fn == 0));
	assert_int_equal(config(1, 0, 0, 0), 0xffffffff);
	out32(0xcf8, 0); /* not enabled */
	assert_int_equal(in32(0xcfc), 0xffffffff);
}

static void pci_accesses(void **state)
{
	config(0, 0, 0, 0);
	assert_int_equal(in8(0xcfd), 0x80);
	assert_int_equal(in16(0xcfe), 0x1237);
	assert_int_equal(in32(0xcf8), 0x80000000);
	assert_int_equal(in16(0xcf8), 0xffff);
	out32(0xcf8, 0xffffffff);
	assert_int_equal(in32(0xcf8), 0x80fffffc);
	out32(0xcfc, 0); /* nobody */
	config(0, 0, 0, 0);
	out32(0xcfc, 0xdeadbeef);
	assert_int_equal(in32(0xcfc), 0x12378086); /* read only */
	config(0, 1, 0, 0x60);
	out8(0xcfd, 0x85);
	assert_int_equal(in32(0xcfc), 0x0b0a850a);
	for (unsigned reg = 0x10; reg < 0x28; reg += 4) { /* no BARs */
		config(0, 1, 0, reg);
		out32(0xcfc, 0xffffffff);
		assert_int_equal(in32(0xcfc), 0);
	}
}

/* ---- resets and A20 ---- */

static void cf9(void **state)
{
	out8(0xcf9, 0x02);
	assert_int_equal(board.events, 0);
	assert_int_equal(in8(0xcf9), 0x02);
	out8(0xcf9, 0x06);
	assert_int_equal(board.events, 1);
	assert_int_equal(board.event, MACHINE_RESET);
	out8(0xcf9, 0x06); /* no edge */
	assert_int_equal(board.events, 1);
	out32(0xcf8, 0x80000600); /* the PCI address register is another one */
	assert_int_equal(board.events, 1);
	assert_int_equal(in32(0xcf8), 0x80000600);
}

static void port92(void **state)
{
	assert_int_equal(in8(0x92), 0x02);
	out8(0x92, 0x00);
	assert_false(machine_a20(board.m));
	assert_int_equal(in8(0x92), 0x00);
	out8(0x92, 0x02);
	assert_true(machine_a20(board.m));
	out8(0x64, 0xdd); /* the keyboard controller moves the same gate */
	assert_int_equal(in8(0x92), 0x00);
	out8(0x92, 0x03);
	assert_int_equal(board.events, 1);
	assert_int_equal(board.event, MACHINE_RESET);
	out8(0x92, 0x00);
	machine_reset(board.m);
	assert_int_equal(in8(0x92), 0x02);
}

static void coprocessor_error(void **state)
{
	out8(0x43, 0x30);
	pic_init(0x03);
	machine_ferr(board.m, true);
	assert_int_equal(ack(), 0x2d);
	machine_ferr(board.m, true);
	assert_int_equal(ack(), -1);
	out8(0xf0, 0);
	machine_ferr(board.m, false);
	machine_ferr(board.m, true);
	assert_int_equal(ack(), 0x2d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOARD_TEST(dispatch),	   BOARD_TEST(unassigned_ports),  BOARD_TEST(every_port),
		BOARD_TEST(pci_functions), BOARD_TEST(pci_accesses),	  BOARD_TEST(cf9),
		BOARD_TEST(port92),	   BOARD_TEST(coprocessor_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
