/* The keyboard controller with its keyboard and mouse, through the ports as a driver sees them. */
#include "bench.h"

#include "devices/ps2.h"

enum { DATA = 0x60, CMD = 0x64 };

static struct machine *m;

static uint8_t status(void)
{
	return machine_in(m, CMD, 1);
}

static void command(uint8_t value)
{
	machine_out(m, CMD, 1, value);
}

static void write_data(uint8_t value)
{
	machine_out(m, DATA, 1, value);
}

static uint8_t get(void)
{
	assert_true(status() & 1);
	return machine_in(m, DATA, 1);
}

static void expect(const char *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(get(), (uint8_t)bytes[i]);
	assert_false(status() & 1);
}
#define EXPECT(s) expect(s, sizeof(s) - 1)
#define KEY(s)	  i8042_key(m, (const uint8_t *)(s), sizeof(s) - 1)

static void set_ctr(uint8_t value)
{
	command(0x60);
	write_data(value);
}

static void kbd(uint8_t byte)
{
	write_data(byte);
}

static void mouse(uint8_t byte)
{
	command(0xd4);
	write_data(byte);
}

static int setup(void **state)
{
	m = bench_new();
	assert_true(i8042_new(m));
	machine_reset(m);
	return 0;
}

static int teardown(void **state)
{
	bench_free(m);
	return 0;
}

static void test_controller_commands(void **state)
{
	assert_int_equal(status(), 0x14);
	command(0xaa);
	assert_int_equal(status() & 0x08, 0x08);
	EXPECT("\x55");
	command(0xab);
	EXPECT("\0");
	command(0xa9);
	EXPECT("\0");
	command(0xc0);
	EXPECT("\x80");
	command(0xa4);
	EXPECT("\xf1");
	command(0x20);
	EXPECT("\x65");
	command(0x7f);
	write_data(0x42);
	command(0x3f);
	EXPECT("\x42");
	command(0xff);
	assert_int_equal(bench.requests, 0);
}

/* Linux's i8042_check_aux: bytes through D3 come back as the mouse's, A7 and A8 show in the command
 * byte. */
static void test_linux_finds_aux(void **state)
{
	set_ctr(0x47);
	command(0xd3);
	write_data(0xa5);
	assert_int_equal(status() & 0x21, 0x21);
	assert_true(bench.irq[12]);
	assert_false(bench.irq[1]);
	EXPECT("\xa5");
	assert_false(bench.irq[12]);
	command(0xa7);
	command(0x20);
	EXPECT("\x67");
	command(0xa8);
	command(0x20);
	EXPECT("\x47");
	command(0xd2);
	write_data(0x99);
	assert_int_equal(status() & 0x21, 0x01);
	EXPECT("\x99");
}

static void test_a20_and_reset(void **state)
{
	command(0xd1);
	write_data(0xdd);
	assert_false(m->a20);
	command(0xd0);
	assert_int_equal(get() & 3, 1);
	command(0xdf);
	assert_true(m->a20);
	command(0xdd);
	assert_false(m->a20);
	command(0xd1);
	write_data(0xdf);
	assert_true(m->a20);
	assert_int_equal(bench.requests, 0);
	command(0xfe);
	assert_int_equal(bench.requests, 1);
	assert_int_equal(bench.event, MACHINE_RESET);
	command(0xd1);
	write_data(0xde);
	assert_int_equal(bench.requests, 2);
}

static void test_keyboard_commands(void **state)
{
	set_ctr(0x05); /* no translation */
	kbd(0xff);
	EXPECT("\xfa\xaa");
	kbd(0xf2);
	EXPECT("\xfa\xab\x83");
	kbd(0xee);
	EXPECT("\xee");
	kbd(0xfe);
	EXPECT("\xee");
	kbd(0xed);
	EXPECT("\xfa");
	kbd(0x07);
	EXPECT("\xfa");
	kbd(0xf3);
	kbd(0x00);
	EXPECT("\xfa\xfa");
	kbd(0xf0);
	kbd(0x00);
	EXPECT("\xfa\xfa\x02");
	kbd(0x00); /* not a command */
	EXPECT("\xfe");
	kbd(0xed);
	kbd(0xf4); /* a command where an argument should be */
	EXPECT("\xfa\xfa");
	set_ctr(0x45);
	kbd(0xf2);
	EXPECT("\xfa\xab\x41");
}

static void test_keys_translated(void **state)
{
	KEY("\x1c\xf0\x1c"); /* A */
	assert_true(bench.irq[1]);
	EXPECT("\x1e\x9e");
	assert_int_equal(bench.rises[1], 2);
	assert_false(bench.irq[1]);
	KEY("\xe0\x75\xe0\xf0\x75"); /* up */
	EXPECT("\xe0\x48\xe0\xc8");
	KEY("\x83\xf0\x83"); /* F7 */
	EXPECT("\x41\xc1");
	KEY("\xe1\x14\x77\xe1\xf0\x14\xf0\x77"); /* Pause */
	EXPECT("\xe1\x1d\x45\xe1\x9d\xc5");
}

static void test_scan_code_sets(void **state)
{
	set_ctr(0x05);
	KEY("\x1c\xf0\x1c");
	EXPECT("\x1c\xf0\x1c");
	kbd(0xf0);
	kbd(1);
	EXPECT("\xfa\xfa");
	KEY("\x1c\xf0\x1c\xe0\x75\xe0\xf0\x75\xe1\x14\x77\xe1\xf0\x14\xf0\x77");
	EXPECT("\x1e\x9e\xe0\x48\xe0\xc8\xe1\x1d\x45\xe1\x9d\xc5");
	kbd(0xf0);
	kbd(3);
	EXPECT("\xfa\xfa");
	KEY("\x1c\xf0\x1c\x05\xe0\x75\xe0\xf0\x75\xe0\x12\xe0\x7c");
	EXPECT("\x1c\xf0\x1c\x07\x63\xf0\x63\x57");
	kbd(0xf9); /* make codes only */
	EXPECT("\xfa");
	KEY("\x1c\xf0\x1c");
	EXPECT("\x1c");
	kbd(0xf6);
	kbd(0xf0);
	kbd(0);
	EXPECT("\xfa\xfa\xfa\x02");
}

static void test_disable(void **state)
{
	set_ctr(0x05);
	kbd(0xf5);
	EXPECT("\xfa");
	KEY("\x1c");
	assert_false(status() & 1);
	kbd(0xf4);
	EXPECT("\xfa");
	command(0xad); /* the interface: keys wait */
	KEY("\x1c");
	assert_false(status() & 1);
	command(0xae);
	EXPECT("\x1c");
}

/* A driver that waits for its ACK gets it before the keys that wait, yet no key is torn apart. */
static void test_answers_overtake_keys(void **state)
{
	set_ctr(0x05);
	KEY("\xe0\x75\x1c\x32");
	kbd(0xee);
	EXPECT("\xe0\x75\xee\x1c\x32");
}

static void test_key_flood(void **state)
{
	unsigned n = 0;

	set_ctr(0x05);
	for (unsigned i = 0; i < 1000; i++)
		KEY("\xe0\xf0\x75");
	while (status() & 1) {
		assert_int_equal(get(), n % 3 == 0 ? 0xe0 : n % 3 == 1 ? 0xf0 : 0x75);
		n++;
	}
	assert_true(n >= 16 && n % 3 == 0);
	KEY("\xe0");
	KEY("\xf0");
	KEY("\xe1");
	for (unsigned i = 0; i < 1000; i++)
		command(0x20);
	while (status() & 1)
		get();
}

static void test_mouse(void **state)
{
	set_ctr(0x47);
	command(0xa8);
	mouse(0xff);
	assert_int_equal(status() & 0x21, 0x21);
	EXPECT("\xfa\xaa\x00");
	mouse(0xf2);
	EXPECT("\xfa\x00");
	machine_mouse(m, 5, 5, 0, 0);
	assert_false(status() & 1); /* not enabled */
	mouse(0xe9);
	EXPECT("\xfa\x00\x02\x64");
	mouse(0xe8);
	mouse(0x03);
	EXPECT("\xfa\xfa");
	mouse(0xe7);
	mouse(0xf4);
	EXPECT("\xfa\xfa");
	EXPECT("");
	mouse(0xe9);
	expect("\xfa\x30\x03\x64", 4);
	mouse(0x12);
	EXPECT("\xfe");
	mouse(0xee);
	mouse(0x33);
	mouse(0xf2);
	mouse(0xec);
	EXPECT("\xfa\x33\xf2\xfa");
}

static void test_mouse_stream(void **state)
{
	mouse(0xf4);
	EXPECT("\xfa");
	machine_mouse(m, 3, -2, 1, 1);
	EXPECT("\x29\x03\xfe"); /* no wheel yet */
	machine_mouse(m, -300, 0, 0, 0);
	expect("\x18\x01\x00\x18\xd3\x00", 6);
	mouse(0xf0);
	EXPECT("\xfa");
	machine_mouse(m, 1, 1, 0, 2);
	assert_false(status() & 1);
	mouse(0xeb);
	EXPECT("\xfa\x0a\x01\x01");
	for (unsigned i = 0; i < 100000; i++)
		machine_mouse(m, 0x7fffffff, -0x7fffffff, 0x7fffffff, i);
	mouse(0xea);
	while (status() & 1)
		get();
}

static void knock(uint8_t a, uint8_t b, uint8_t c)
{
	const uint8_t rates[] = {a, b, c};

	for (unsigned i = 0; i < 3; i++) {
		mouse(0xf3);
		mouse(rates[i]);
	}
	EXPECT("\xfa\xfa\xfa\xfa\xfa\xfa");
}

static void test_intellimouse(void **state)
{
	knock(200, 200, 80);
	mouse(0xf2);
	EXPECT("\xfa\x00");
	knock(200, 100, 80);
	mouse(0xf2);
	EXPECT("\xfa\x03");
	mouse(0xf4);
	EXPECT("\xfa");
	machine_mouse(m, 1, 0, -1, 4);
	expect("\x0c\x01\x00\xff", 4);
	knock(200, 200, 80);
	mouse(0xf2);
	EXPECT("\xfa\x04");
	machine_mouse(m, 0, 0, -1, 8);
	expect("\x08\x00\x00\x1f", 4);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_controller_commands),
		T(test_linux_finds_aux),
		T(test_a20_and_reset),
		T(test_keyboard_commands),
		T(test_keys_translated),
		T(test_scan_code_sets),
		T(test_disable),
		T(test_answers_overtake_keys),
		T(test_key_flood),
		T(test_mouse),
		T(test_mouse_stream),
		T(test_intellimouse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
