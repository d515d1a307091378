/* The power management block through its ports, and the tables as a guest finds them. */
#include "board.h"

#include "devices/aml.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATUS = 0x600, ENABLE = 0x602, CONTROL = 0x604, TIMER = 0xa78, BUTTON = 1 << 8 };

/* ---- registers ---- */

static void pm_timer(void **state)
{
	uint32_t start = in32(TIMER);

	advance(NS_PER_SEC);
	assert_in_range(in32(TIMER) - start, 3579545, 3579546);
	assert_int_equal(in16(TIMER), in32(TIMER) & 0xffff);
	assert_int_equal(in8(TIMER + 3), in32(TIMER) >> 24);
	out32(TIMER, 0); /* read only */
	assert_true(in32(TIMER) != 0);
	/* where ISA PnP cards are written to, were there any; behind the timer is nothing */
	out8(0xa79, 0x6a);
	assert_int_equal(in32(TIMER), 3579545);
	assert_int_equal(in32(0xa79), 0xff000000 | 3579545 >> 8);
	assert_int_equal(in32(CONTROL + 4), 0xffffffff);
	advance(1300 * NS_PER_SEC); /* wraps at 32 bits */
	assert_int_equal(in32(TIMER), (uint32_t)(3579545ull * 1301));
}

static void timer_status(void **state)
{
	out8(0x43, 0x30);
	pic_init(0x03);
	assert_int_equal(in16(STATUS), 0);
	out16(ENABLE, 1);
	advance(599 * NS_PER_SEC);
	assert_false(pending());
	advance(2 * NS_PER_SEC); /* 2^31 ticks: 599.9 s */
	assert_int_equal(in16(STATUS), 1);
	assert_int_equal(ack(), 0x29);
	out16(STATUS, 1);
	assert_int_equal(in16(STATUS), 0);
	assert_int_equal(ack(), -1);
	advance(600 * NS_PER_SEC);
	assert_int_equal(ack(), 0x29);
}

static void power_button(void **state)
{
	out8(0x43, 0x30);
	pic_init(0x03);
	out16(ENABLE, BUTTON);
	assert_int_equal(in16(CONTROL) & 1, 1); /* SCI_EN */
	machine_power_button(board.m);
	assert_int_equal(ack(), 0x29);
	assert_int_equal(in16(STATUS), BUTTON);
	assert_int_equal(in32(STATUS), BUTTON << 16 | BUTTON);
	assert_int_equal(ack(), 0x29); /* a level */
	out8(STATUS + 1, BUTTON >> 8);
	assert_int_equal(ack(), -1);
	out16(ENABLE, 0);
	machine_power_button(board.m);
	assert_int_equal(ack(), -1);
	out16(ENABLE, 0xffff);
	assert_int_equal(ack(), 0x29);
	machine_reset(board.m);
	assert_int_equal(in32(STATUS), 0);
}

static void power_off(void **state)
{
	out16(CONTROL, 0x0001);
	out16(CONTROL, 0x2000 | 3 << 10); /* S3 is not there */
	assert_int_equal(board.events, 0);
	out16(CONTROL, 0x2000);
	assert_int_equal(board.events, 1);
	assert_int_equal(board.event, MACHINE_SHUTDOWN);
	assert_int_equal(in16(CONTROL) & 0x2000, 0);
}

/* ---- tables ---- */

static const uint8_t *at(uint32_t address, uint32_t len)
{
	const uint8_t *p = physmap_host(board.pm, gpa(address), len);

	assert_non_null(p);
	assert_in_range(address, 0xe0000, 0x100000 - len);
	return p;
}

static unsigned sum(const uint8_t *p, unsigned n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

static uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

/* A table by signature through the RSDT; checks every checksum on the way. */
static const uint8_t *table(const char *signature)
{
	const uint8_t *rsdp = at((uint32_t)machine_rsdp(board.m).v, 36), *found = NULL;

	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	const uint8_t *rsdt = at(le32(rsdp + 16), 36), *xsdt = at(le32(rsdp + 24), 36);
	assert_memory_equal(rsdt, "RSDT", 4);
	assert_memory_equal(xsdt, "XSDT", 4);
	assert_int_equal(sum(rsdt, le32(rsdt + 4)), 0);
	assert_int_equal(sum(xsdt, le32(xsdt + 4)), 0);
	unsigned n = (le32(rsdt + 4) - 36) / 4;
	assert_int_equal((le32(xsdt + 4) - 36) / 8, n);
	for (unsigned i = 0; i < n; i++) {
		uint32_t address = le32(rsdt + 36 + 4 * i);
		assert_int_equal(le32(xsdt + 36 + 8 * i), address);
		const uint8_t *t = at(address, 36);
		assert_int_equal(sum(t, le32(t + 4)), 0);
		if (!memcmp(t, signature, 4))
			found = t;
	}
	return found;
}

static void fadt(void **state)
{
	const uint8_t *t = table("FACP");

	assert_non_null(t);
	assert_memory_equal(at(le32(t + 36), 64), "FACS", 4);
	const uint8_t *dsdt = at(le32(t + 40), 36);
	assert_memory_equal(dsdt, "DSDT", 4);
	assert_int_equal(sum(dsdt, le32(dsdt + 4)), 0);
	assert_int_equal(t[46], 9);
	assert_int_equal(le32(t + 56), STATUS);
	assert_int_equal(le32(t + 64), CONTROL);
	assert_int_equal(le32(t + 76), TIMER);
	assert_int_equal(t[108], 0x32);
	assert_int_equal(le32(t + 120), 0xcf9);
	assert_int_equal(t[128], 6);
}

static void madt(void **state)
{
	const uint8_t *t = table("APIC"), *end = t + le32(t + 4);
	unsigned kinds[5] = {0};

	assert_int_equal(le32(t + 36), 0xfee00000);
	assert_int_equal(le32(t + 40), 1);
	for (const uint8_t *e = t + 44; e < end; e += e[1]) {
		assert_in_range(e[1], 6, 12);
		assert_in_range(e[0], 0, 4);
		kinds[e[0]]++;
	}
	assert_int_equal(kinds[0], 1);
	assert_int_equal(kinds[1], 1);
	assert_int_equal(kinds[2], 4);
	assert_int_equal(kinds[4], 1);
	assert_memory_equal(t + 64, "\x02\x0a\x00\x00\x02\x00\x00\x00\x00\x00",
			    10); /* IRQ 0 is interrupt 2 */
	assert_memory_equal(t + 74, "\x02\x0a\x00\x09\x09\x00\x00\x00\x0d\x00", 10);
}

static void mp_table(void **state)
{
	const uint8_t *fp = at(0xf0100, 16);

	assert_memory_equal(fp, "_MP_", 4);
	assert_int_equal(sum(fp, 16), 0);
	const uint8_t *t = at(le32(fp + 4), 44);
	assert_memory_equal(t, "PCMP", 4);
	unsigned length = t[4] | t[5] << 8, entries = t[34] | t[35] << 8;
	assert_int_equal(sum(t, length), 0);
	const uint8_t *e = t + 44;
	for (unsigned i = 0; i < entries; i++)
		e += e[0] == 0 ? 20 : 8;
	assert_int_equal(e - t, length);
}

/* Guest writes do not reach the tables, and reset puts them back in any case. */
static void tables_survive(void **state)
{
	set_mem32(0xe0000, 0);
	set_mem32(0xf0000, 0);
	assert_non_null(table("FACP"));
	memset(physmap_host(board.pm, gpa(0xe0000), 0x20000), 0xff, 0x20000);
	machine_reset(board.m);
	assert_non_null(table("APIC"));
	assert_int_equal(*at(0xffff0, 1), 0xea);
}

static bool have(const char *command)
{
	char line[200];

	snprintf(line, sizeof(line), "command -v %s >/dev/null 2>&1", command);
	return system(line) == 0;
}

/* ACPICA's own compiler reads the DSDT back, without a complaint, and compiles what it read. */
static void dsdt_disassembles(void **state)
{
	struct chardev *const some =
		(struct chardev *)&board; /* only its presence matters for the tables */
	char dir[] = "/tmp/ringfence-dsdt-XXXXXX", line[400];

	if (!have("iasl"))
		skip();
	assert_non_null(mkdtemp(dir));
	const uint8_t *t = table("FACP"), *dsdt = at(le32(t + 40), 36);
	board.m->config.serial[0] = board.m->config.serial[3] = some;
	machine_lock(board.m);
	bios_area_build(board.m);
	machine_unlock(board.m);
	snprintf(line, sizeof(line), "%s/dsdt.dat", dir);
	FILE *f = fopen(line, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(dsdt, 1, le32(dsdt + 4), f), le32(dsdt + 4));
	fclose(f);
	snprintf(line, sizeof(line),
		 "cd %s && iasl -d dsdt.dat >log 2>&1 && ! grep -qi 'error\\|warning' log && "
		 "grep -q 'Device (COM4)' dsdt.dsl && grep -q 'IRQNoFlags' dsdt.dsl && "
		 "iasl -ve dsdt.dsl >log2 2>&1 && grep -q ' 0 Errors' log2",
		 dir);
	int status = system(line);
	if (status == 0) {
		snprintf(line, sizeof(line), "rm -rf %s", dir);
		assert_int_equal(system(line), 0);
	}
	assert_int_equal(status, 0);
}

static void aml_lengths(void **state)
{
	uint8_t out[5000];

	/* one, two and three byte package lengths */
	for (unsigned n = 0; n < 4500; n++) {
		struct aml a = {.out = out, .size = sizeof(out)};
		aml_mark p = aml_package(&a, 7);
		for (unsigned i = 0; i < n; i++)
			aml_byte(&a, 0);
		aml_end(&a, p);
		unsigned extra = out[1] >> 6, length = extra ? out[1] & 15 : out[1];
		for (unsigned i = 0; i < extra; i++)
			length |= (unsigned)out[2 + i] << (4 + 8 * i);
		assert_int_equal(length, a.len - 1);
		assert_int_equal(out[2 + extra], 7);
		assert_false(a.full);
	}
	struct aml small = {.out = out, .size = 20};
	aml_mark p = aml_scope(&small, "\\_SB");
	aml_hid(&small, "PNP0A03");
	assert_memory_equal(out + small.len - 4, "\x41\xd0\x0a\x03", 4);
	aml_int(&small, 0x12345678);
	aml_end(&small, p);
	assert_true(small.full);
}

static void memory_map(void **state)
{
	struct e820_entry map[16];
	unsigned n = machine_e820(board.m, map, 16);

	assert_int_equal(n, 4);
	for (unsigned i = 1; i < n; i++)
		assert_true(map[i].base >= map[i - 1].base + map[i - 1].len);
	assert_int_equal(map[0].len, 0x9fc00);
	assert_int_equal(map[n - 1].base + map[n - 1].len, BOARD_RAM);
	assert_int_equal(machine_e820(board.m, map, 2), 2);
	board.m->config.ram_above_4g = 1 << 30;
	assert_int_equal(machine_e820(board.m, map, 16), 5);
	assert_true(map[4].base == 1ull << 32 && map[4].len == 1 << 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOARD_TEST(pm_timer),	 BOARD_TEST(timer_status),   BOARD_TEST(power_button),
		BOARD_TEST(power_off),	 BOARD_TEST(fadt),	     BOARD_TEST(madt),
		BOARD_TEST(mp_table),	 BOARD_TEST(tables_survive), BOARD_TEST(dsdt_disassembles),
		BOARD_TEST(aml_lengths), BOARD_TEST(memory_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
