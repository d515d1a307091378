/* The 16550A against its data sheet, with a backend that records and can be made to refuse. */
#include "bench.h"

#include "devices/chardev.h"

enum { BASE = 0x3f8, DATA = BASE, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };
enum { COM1 = 4 };

struct fake {
	struct chardev cd;
	char out[256];
	unsigned len, room;
	unsigned accepts;
};

static void fake_start(struct chardev *cd) {}

static void fake_accept(struct chardev *cd)
{
	((struct fake *)cd)->accepts++;
}

static unsigned fake_write(struct chardev *cd, const uint8_t *p, unsigned n, bool force)
{
	struct fake *f = (struct fake *)cd;
	unsigned taken = force || n < f->room ? n : f->room;

	assert_true(f->len + taken < sizeof(f->out));
	memcpy(f->out + f->len, p, taken);
	f->len += taken;
	f->room -= taken < f->room ? taken : f->room;
	return taken;
}

static const struct chardev_ops fake_ops = {
	.start = fake_start, .write = fake_write, .accept_input = fake_accept};

static struct machine *m;
static struct fake host, host3;

/* Whatever is read: if the lean path answers, it is the same. */
static uint8_t in(uint16_t port)
{
	uint32_t lean;
	bool answered = machine_lean_in(m, port, 1, &lean);
	uint8_t value = machine_in(m, port, 1);

	if (answered)
		assert_int_equal(lean, value);
	return value;
}

static void out(uint16_t port, uint8_t value)
{
	machine_out(m, port, 1, value);
}

static unsigned room(void)
{
	return chardev_fe_room(&host.cd);
}

static void type(const char *text)
{
	chardev_fe_receive(&host.cd, (const uint8_t *)text, strlen(text));
}

static int setup(void **state)
{
	m = bench_new();
	machine_clock_fake(m);
	host = (struct fake){.cd.ops = &fake_ops, .room = 200};
	assert_true(uart16550_new(m, 0, &host.cd));
	machine_reset(m);
	return 0;
}

static int teardown(void **state)
{
	bench_free(m);
	return 0;
}

/* The steps of Linux's autoconfig() and autoconfig_16550a(), which must find a 16550A. */
static void test_linux_detects_16550a(void **state)
{
	out(IER, 0);
	assert_int_equal(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	assert_int_equal(in(IER)&0x0f, 0x0f);
	out(IER, 0);
	out(MCR, 0x1a);
	assert_int_equal(in(MSR)&0xf0, 0x90);
	out(MCR, 0x08);
	out(LCR, 0xbf);
	out(FCR, 0);
	out(LCR, 0);
	out(FCR, 0x01);
	assert_int_equal(in(IIR) >> 6, 3);
	out(LCR, 0x80);
	assert_int_not_equal(in(IIR), 0); /* no EFR: not a 16650 */
	out(LCR, 0xbf);
	assert_int_not_equal(in(IIR), 0);
	out(LCR, 0);
	out(FCR, 0x21);
	assert_int_equal(in(IIR)&0xe0, 0xc0); /* no 64-byte FIFO: not a 16750 */
	out(FCR, 0x01);
	out(IER, 0x40);
	assert_int_equal(in(IER), 0); /* no UUE: not an XScale */
	out(SCR, 0xa5);
	assert_int_equal(in(SCR), 0xa5);
	assert_int_equal(in(MSR), 0xb2); /* DSR came back when loopback ended */
	assert_int_equal(in(MSR), 0xb0);
}

static void test_divisor_latch(void **state)
{
	out(LCR, 0x83);
	out(DATA, 0x34);
	out(IER, 0x12);
	assert_int_equal(in(DATA), 0x34);
	assert_int_equal(in(IER), 0x12);
	out(LCR, 0x03);
	assert_int_equal(in(IER), 0);
	assert_int_equal(host.len, 0);
}

static void test_transmit(void **state)
{
	assert_int_equal(in(LSR), 0x60);
	out(DATA, 'a');
	out(DATA, 'b');
	assert_int_equal(in(LSR), 0x60);
	assert_memory_equal(host.out, "ab", 2);
	assert_int_equal(bench.rises[COM1], 0);
}

static void test_thre_interrupt(void **state)
{
	out(IER, 0x02);
	assert_true(bench.irq[COM1]); /* empty: enabling interrupts at once */
	assert_int_equal(in(IIR), 0x02);
	assert_false(bench.irq[COM1]); /* reading IIR ends it */
	assert_int_equal(in(IIR), 0x01);
	out(IER, 0x00);
	out(IER, 0x02);
	assert_int_equal(in(IIR), 0x02); /* raised again: Linux's test for a THRE bug */
	unsigned rises = bench.rises[COM1];
	out(DATA, 'x');
	assert_int_equal(bench.rises[COM1], rises + 1);
	out(DATA, 'y');
	assert_int_equal(bench.rises[COM1], rises + 2); /* it fell in between */
}

static void test_busy_host_holds_transmitter(void **state)
{
	out(FCR, 0x01);
	host.room = 2;
	out(DATA, '1');
	out(DATA, '2');
	assert_int_equal(in(LSR), 0x60);
	out(DATA, '3');
	assert_int_equal(in(LSR), 0x00);
	out(IER, 0x02);
	assert_false(bench.irq[COM1]);
	/* A guest that goes on regardless: nothing may be lost or change places. */
	for (char c = '4'; c < '4' + 20; c++)
		out(DATA, c);
	host.room = 3;
	chardev_fe_writable(&host.cd);
	assert_int_equal(in(LSR), 0x00);
	host.room = 100;
	chardev_fe_writable(&host.cd);
	assert_int_equal(in(LSR), 0x60);
	assert_true(bench.irq[COM1]);
	assert_int_equal(host.len, 23);
	for (unsigned i = 0; i < host.len; i++)
		assert_int_equal(host.out[i], '1' + i);
	chardev_fe_writable(&host.cd);
	assert_int_equal(bench.rises[COM1], 1);
}

static void test_reset_sends_what_waits(void **state)
{
	host.room = 0;
	out(DATA, 'z');
	machine_reset(m);
	assert_int_equal(host.len, 1);
	assert_int_equal(in(LSR), 0x60);
}

/* The lean path answers for LSR alone, and only while nothing is going on. */
static void test_lean_line_status(void **state)
{
	uint32_t value;

	for (uint16_t port = BASE; port <= SCR; port++)
		assert_int_equal(machine_lean_in(m, port, 1, &value), port == LSR);
	assert_true(machine_lean_in(m, LSR, 1, &value));
	assert_int_equal(value, 0x60);
	assert_false(machine_lean_in(m, LSR, 2, &value));

	type("a");
	assert_false(machine_lean_in(m, LSR, 1, &value));
	assert_int_equal(in(LSR), 0x61);
	in(DATA);
	assert_true(machine_lean_in(m, LSR, 1, &value));

	host.room = 0;
	out(DATA, 'x');
	assert_false(machine_lean_in(m, LSR, 1, &value));
	assert_int_equal(in(LSR), 0);
	host.room = 1;
	chardev_fe_writable(&host.cd);
	assert_true(machine_lean_in(m, LSR, 1, &value));

	out(MCR, 0x10); /* loopback: two bytes into a receiver for one */
	out(DATA, 1);
	out(DATA, 2);
	in(DATA);
	assert_false(machine_lean_in(m, LSR, 1, &value));
	assert_int_equal(in(LSR), 0x62);
	assert_int_equal(in(LSR), 0x60);
	assert_true(machine_lean_in(m, LSR, 1, &value));
}

static void test_receive_without_fifo(void **state)
{
	assert_int_equal(room(), 1);
	out(IER, 0x01);
	type("q");
	assert_int_equal(room(), 0);
	assert_true(bench.irq[COM1]);
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(LSR), 0x61);
	unsigned accepts = host.accepts;
	assert_int_equal(in(DATA), 'q');
	assert_true(host.accepts > accepts);
	assert_false(bench.irq[COM1]);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(DATA), 'q');
}

static void test_trigger_and_timeout(void **state)
{
	static const unsigned levels[] = {1, 4, 8, 14};

	out(LCR, 0x83);
	out(DATA, 1);
	out(IER, 0);
	out(LCR, 0x03);
	out(IER, 0x01);
	for (unsigned i = 0; i < 4; i++) {
		out(FCR, 0x03 | i << 6);
		machine_clock_advance(m, 1000000); /* past the pace of reception */
		assert_int_equal(room(), 16);
		for (unsigned n = 1; n < levels[i]; n++)
			type("x");
		assert_int_equal(in(IIR), 0xc1);
		type("x");
		assert_int_equal(in(IIR), 0xc4);
		in(DATA);
		assert_int_equal(in(IIR), 0xc1);
	}
	/*
	 * 13 characters wait below the trigger: four character times (10 bits at 115200) later they
	 * are announced.
	 */
	machine_clock_advance(m, 347000);
	assert_int_equal(in(IIR), 0xc1);
	machine_clock_advance(m, 1000);
	assert_int_equal(in(IIR), 0xcc);
	in(DATA);
	assert_int_equal(in(IIR), 0xc1);
	machine_clock_advance(m, 1000000);
	assert_int_equal(in(IIR), 0xcc);
	while (in(LSR)&1)
		in(DATA);
	assert_int_equal(in(IIR), 0xc1);
	machine_clock_advance(m, 1000000);
	assert_int_equal(in(IIR), 0xc1);
}

static void test_fifo_order_and_reset(void **state)
{
	out(FCR, 0x01);
	type("0123456789abcdef");
	assert_int_equal(room(), 0);
	assert_int_equal(in(DATA), '0');
	assert_int_equal(room(), 0); /* 16 came at once: the 17th has to wait for its time */
	unsigned accepts = host.accepts;
	machine_clock_advance(m, 16 * 50000);
	assert_true(host.accepts > accepts);
	assert_int_equal(room(), 1);
	type("g");
	for (const char *p = "123456789abcdefg"; *p; p++)
		assert_int_equal(in(DATA), *p);
	type("xyz");
	out(FCR, 0x03);
	assert_int_equal(in(LSR)&1, 0);
	type("xyz");
	out(FCR, 0x00); /* leaving FIFO mode clears it */
	assert_int_equal(in(LSR)&1, 0);
}

static void test_loopback(void **state)
{
	out(FCR, 0x01);
	out(MCR, 0x10);
	assert_int_equal(in(MSR)&0xf0, 0);
	assert_int_equal(room(), 0); /* the line is cut off */
	for (unsigned i = 0; i < 16; i++)
		out(DATA, 'A' + i);
	assert_int_equal(in(LSR), 0x61);
	out(DATA, 'X');
	out(IER, 0x04);
	assert_int_equal(in(IIR), 0xc6);
	assert_int_equal(in(LSR), 0x63); /* overrun: the new one is lost */
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(IIR), 0xc1);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(DATA), 'A' + i);
	assert_int_equal(host.len, 0);
	out(MCR, 0x10 | 0x04);
	assert_int_equal(in(MSR), 0x40); /* RI rising: no delta */
	out(MCR, 0x10);
	assert_int_equal(in(MSR), 0x04); /* trailing edge */
	out(MCR, 0x13);
	assert_int_equal(in(MSR), 0x33);
	assert_int_equal(in(MSR), 0x30);
}

static void test_modem_interrupt_and_priorities(void **state)
{
	out(IER, 0x0f);
	out(MCR, 0x10);
	out(DATA, 'a');
	out(DATA, 'b'); /* no FIFO: overrun, the old one is lost */
	assert_int_equal(in(IIR), 0x06);
	assert_int_equal(in(LSR), 0x63);
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(DATA), 'b');
	assert_int_equal(in(IIR), 0x02);
	assert_int_equal(in(IIR), 0x00);
	assert_int_equal(in(MSR), 0x0b);
	assert_int_equal(in(IIR), 0x01);
	assert_false(bench.irq[COM1]);
}

static void test_break(void **state)
{
	out(FCR, 0x01);
	out(IER, 0x04);
	type("a");
	chardev_fe_event(&host.cd, CHARDEV_BREAK);
	type("b");
	assert_int_equal(in(LSR), 0xe1); /* an error waits behind 'a' */
	assert_int_equal(in(DATA), 'a');
	assert_int_equal(in(IIR), 0xc6);
	assert_int_equal(in(LSR), 0xf1);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(DATA), 0);
	assert_int_equal(in(DATA), 'b');
}

static void test_shared_interrupt(void **state)
{
	host3 = (struct fake){.cd.ops = &fake_ops, .room = 200};
	assert_true(uart16550_new(m, 2, &host3.cd));
	machine_reset(m);
	out(IER, 0x02);
	machine_out(m, 0x3e9, 1, 0x02);
	in(IIR);
	assert_true(bench.irq[COM1]);
	machine_in(m, 0x3ea, 1);
	assert_false(bench.irq[COM1]);
}

static void test_wide_access(void **state)
{
	machine_out(m, DATA, 2, 0x0f00 | 'w'); /* two registers */
	assert_int_equal(host.out[0], 'w');
	assert_int_equal(in(IER), 0x0f);
}

static void test_debug_ports(void **state)
{
	host.room = 0;
	assert_true(debugcon_new(m, 0xe9, &host.cd));
	assert_true(debug_exit_new(m, 0x501, 2));
	assert_int_equal(in(0xe9), 0xe9);
	out(0xe9, '!');
	assert_int_equal(host.out[0], '!'); /* even though the host refuses */
	out(0x501, 0x21);
	assert_int_equal(bench.requests, 1);
	assert_int_equal(bench.event, MACHINE_EXIT);
	assert_int_equal(bench.code, 0x43);
	machine_out(m, 0x501, 2, 0x8000);
	assert_int_equal(bench.code, 0x10001);
	assert_true(debug_exit_new(m, 0xffff, 8));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_linux_detects_16550a),
		T(test_divisor_latch),
		T(test_transmit),
		T(test_thre_interrupt),
		T(test_busy_host_holds_transmitter),
		T(test_reset_sends_what_waits),
		T(test_lean_line_status),
		T(test_receive_without_fifo),
		T(test_trigger_and_timeout),
		T(test_fifo_order_and_reset),
		T(test_loopback),
		T(test_modem_interrupt_and_priorities),
		T(test_break),
		T(test_shared_interrupt),
		T(test_wide_access),
		T(test_debug_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
