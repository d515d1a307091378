/* The guest physical map: layout, ROM, MMIO dispatch, code-page notification, failures. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static struct physmap *make(uint64_t bytes)
{
	char err[200];
	struct physmap *pm = physmap_create(bytes, err, sizeof(err));

	assert_non_null(pm);
	return pm;
}

static void test_layout(void **state)
{
	struct physmap *pm = make(64 * MIB);

	assert_int_equal(physmap_kind(pm, gpa(0)), PAGE_RAM);
	assert_int_equal(physmap_kind(pm, gpa(0x9ffff)), PAGE_RAM);
	assert_int_equal(physmap_kind(pm, gpa(0xa0000)), PAGE_NONE);
	assert_int_equal(physmap_kind(pm, gpa(0xbffff)), PAGE_NONE);
	assert_int_equal(physmap_kind(pm, gpa(0xc0000)), PAGE_ROM);
	assert_int_equal(physmap_kind(pm, gpa(0xfffff)), PAGE_ROM);
	assert_int_equal(physmap_kind(pm, gpa(0x100000)), PAGE_RAM);
	assert_int_equal(physmap_kind(pm, gpa(64 * MIB - 1)), PAGE_RAM);
	assert_int_equal(physmap_kind(pm, gpa(64 * MIB)), PAGE_NONE);
	assert_int_equal(physmap_below_4g(pm), 64 * MIB);
	assert_int_equal(physmap_above_4g(pm), 0);
	assert_null(physmap_host(pm, gpa(0x9f000), 0x30000));
	assert_null(physmap_host(pm, gpa(0x9f000), 0x1001));
	assert_non_null(physmap_host(pm, gpa(0x9f000), 0x1000));
	assert_null(physmap_host(pm, gpa(64 * MIB - 4), 8));
	assert_null(physmap_host(pm, gpa(~0ull - 3), 8));
	physmap_destroy(pm);
}

static void test_big_and_tiny(void **state)
{
	struct physmap *pm = make(4096 * MIB);
	uint32_t v = 0x12345678;

	assert_int_equal(physmap_below_4g(pm), PHYSMAP_HOLE_START);
	assert_int_equal(physmap_above_4g(pm), 512 * MIB);
	assert_int_equal(physmap_kind(pm, gpa(PHYSMAP_HOLE_START)), PAGE_NONE);
	assert_int_equal(physmap_kind(pm, gpa(1ull << 32)), PAGE_RAM);
	assert_int_equal(physmap_kind(pm, gpa((1ull << 32) + 512 * MIB)), PAGE_NONE);
	assert_int_equal(physmap_file_offset(pm, gpa(1ull << 32)), PHYSMAP_HOLE_START);
	physmap_write(pm, gpa((1ull << 32) + 512 * MIB - 4), &v, 4);
	v = 0;
	physmap_read(pm, gpa((1ull << 32) + 512 * MIB - 4), &v, 4);
	assert_int_equal(v, 0x12345678);
	physmap_destroy(pm);

	pm = make(64 * 1024);
	assert_int_equal(physmap_kind(pm, gpa(0xffff)), PAGE_RAM);
	assert_int_equal(physmap_kind(pm, gpa(0x10000)), PAGE_NONE);
	assert_int_equal(physmap_kind(pm, gpa(0xf0000)), PAGE_ROM);
	physmap_destroy(pm);
	pm = make(MIB);
	assert_int_equal(physmap_kind(pm, gpa(0x100000)), PAGE_NONE);
	physmap_destroy(pm);
}

static void test_refusals(void **state)
{
	char err[200] = "";

	assert_null(physmap_create(0, err, sizeof(err)));
	assert_true(strlen(err) > 0);
	assert_null(physmap_create(4097, err, sizeof(err)));
	assert_null(physmap_create(~0ull & ~4095ull, err, sizeof(err)));
}

static void test_rom_and_nothing(void **state)
{
	struct physmap *pm = make(2 * MIB);
	uint8_t *rom = physmap_host(pm, gpa(0xf0000), 0x10000);
	uint8_t buf[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	rom[0xfffe] = 0xaa;
	rom[0xffff] = 0xbb;
	physmap_write(pm, gpa(0xffffe), buf, 4); /* two bytes of ROM, two of RAM */
	memset(buf, 0, sizeof(buf));
	physmap_read(pm, gpa(0xffffe), buf, 4);
	assert_int_equal(buf[0], 0xaa);
	assert_int_equal(buf[1], 0xbb);
	assert_int_equal(buf[2], 3);
	assert_int_equal(buf[3], 4);
	physmap_read(pm, gpa(2 * MIB - 2), buf, 4); /* two bytes of RAM, two of nothing */
	assert_int_equal(buf[0], 0);
	assert_int_equal(buf[2], 0xff);
	assert_int_equal(buf[3], 0xff);
	physmap_clear_ram(pm);
	assert_int_equal(rom[0xffff], 0xbb);
	physmap_read(pm, gpa(0x100000), buf, 1);
	assert_int_equal(buf[0], 0);
	physmap_destroy(pm);
}

struct device {
	char log[400];
	uint64_t last;
};

static uint64_t dev_read(void *opaque, uint64_t offset, unsigned size)
{
	struct device *d = opaque;
	size_t n = strlen(d->log);

	snprintf(d->log + n, sizeof(d->log) - n, "r%u@%x ", size, (unsigned)offset);
	return 0x1122334455667788ull;
}

static void dev_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct device *d = opaque;
	size_t n = strlen(d->log);

	snprintf(d->log + n, sizeof(d->log) - n, "w%u@%x ", size, (unsigned)offset);
	d->last = value;
}

static const struct mmio_ops dev_ops = {dev_read, dev_write};

static void test_mmio(void **state)
{
	struct physmap *pm = make(2 * MIB);
	struct device d = {0}, vga = {0};
	uint8_t buf[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

	physmap_add_mmio(pm, gpa(0xfee00000), 0x1000, &dev_ops, &d);
	physmap_add_mmio(pm, gpa(0xa0000), 0x20000, &dev_ops, &vga);
	assert_int_equal(physmap_kind(pm, gpa(0xfee00fff)), PAGE_MMIO);
	assert_int_equal(physmap_kind(pm, gpa(0xfee01000)), PAGE_NONE);
	assert_int_equal(physmap_kind(pm, gpa(0xb8000)), PAGE_MMIO);
	physmap_write(pm, gpa(0xfee00001), buf, 9);
	assert_string_equal(d.log, "w1@1 w2@2 w4@4 w2@8 ");
	assert_int_equal(d.last, 0x0908);
	d.log[0] = 0;
	physmap_read(pm, gpa(0xfee00ff8), buf, 12); /* the region ends after eight */
	assert_string_equal(d.log, "r8@ff8 ");
	assert_int_equal(buf[0], 0x88);
	assert_int_equal(buf[8], 0xff);
	physmap_move_mmio(pm, &d, gpa(0xfec00000), true);
	assert_int_equal(physmap_kind(pm, gpa(0xfee00000)), PAGE_NONE);
	assert_int_equal(physmap_kind(pm, gpa(0xfec00000)), PAGE_MMIO);
	/* a guest may move it anywhere; RAM wins */
	physmap_move_mmio(pm, &d, gpa(0x100000), true);
	assert_int_equal(physmap_kind(pm, gpa(0x100000)), PAGE_RAM);
	physmap_move_mmio(pm, &d, gpa(0xfec00000), false);
	assert_int_equal(physmap_kind(pm, gpa(0xfec00000)), PAGE_NONE);
	physmap_destroy(pm);
}

struct writes {
	char log[200];
	struct physmap *pm;
};

static void on_written(void *ctx, gpa_t a, unsigned len)
{
	struct writes *w = ctx;
	size_t n = strlen(w->log);

	snprintf(w->log + n, sizeof(w->log) - n, "%x+%u ", (unsigned)a.v, len);
	physmap_unmark_code(w->pm, a);
}

static void test_code_listener(void **state)
{
	struct physmap *pm = make(2 * MIB);
	struct writes w = {.pm = pm};
	struct code_listener l = {on_written, &w};
	uint8_t buf[0x1100] = {0};

	physmap_set_code_listener(pm, &l);
	physmap_mark_code(pm, gpa(0x2000));
	physmap_mark_code(pm, gpa(0x4000));
	physmap_mark_code(pm, gpa(0x80000000)); /* nothing there: ignored */
	assert_true(physmap_is_code(pm, gpa(0x2abc)));
	assert_false(physmap_is_code(pm, gpa(0x3000)));
	assert_false(physmap_is_code(pm, gpa(0x80000000)));
	physmap_write(pm, gpa(0x1ffc), buf, 8);
	assert_string_equal(w.log, "2000+4 ");
	assert_false(physmap_is_code(pm, gpa(0x2000)));
	physmap_write(pm, gpa(0x3f80), buf, 0x1100);
	assert_string_equal(w.log, "2000+4 4000+4096 ");
	physmap_destroy(pm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),	 cmocka_unit_test(test_big_and_tiny),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_rom_and_nothing),
		cmocka_unit_test(test_mmio),	 cmocka_unit_test(test_code_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
