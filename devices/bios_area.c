/*
 * What a BIOS would have left in memory: the tables in E0000-FFFFF, a reset vector, the BIOS data
 * area, and the memory map for the boot loader.
 *
 *	E0000	ACPI tables
 *	F0000	RSDP
 *	F0100	MP floating pointer and configuration table
 *	FE05B	code that resets the machine: where the reset vector leads
 *	FFFF0	reset vector, date, model byte
 */
#include "devices/acpi.h"
#include "devices/chips.h"

#include <assert.h>
#include <string.h>

enum {
	BIOS_BASE = 0xe0000,
	BIOS_SIZE = 0x20000,
	RSDP_ADDRESS = 0xf0000,
	MP_ADDRESS = 0xf0100,
	MP_SIZE = 0x400,
	POST_ADDRESS = 0xfe05b,
	RESET_VECTOR = 0xffff0,
	BDA_ADDRESS = 0x400,
	BDA_SIZE = 0x100,
	EBDA_ADDRESS = 0x9fc00,
	LOW_END = 0xa0000,
	HIGH_START = 0x100000,
};
enum { E820_RAM = 1, E820_RESERVED = 2 };

/* Systems that reboot by jumping to the reset vector get their reset: out CF9h, 6. */
static const uint8_t post_code[] = {0xfa, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4, 0xeb, 0xfd};
/* jmp F000:E05B; date; model FCh (AT) */
static const uint8_t reset_vector[16] = {0xea, 0x5b, 0xe0, 0x00, 0xf0, '0', '1', '/',
					 '0',  '1',  '/',  '2',	 '6',  0,   0xfc};

static void build_rom(struct machine *m, uint8_t *rom)
{
	memset(rom, 0, BIOS_SIZE);
	size_t acpi = acpi_tables_build(m, rom, RSDP_ADDRESS - BIOS_BASE, BIOS_BASE,
					rom + RSDP_ADDRESS - BIOS_BASE);
	size_t mp = mp_table_build(rom + MP_ADDRESS - BIOS_BASE, MP_SIZE, MP_ADDRESS);
	/* their size does not depend on the guest */
	assert(acpi && mp);
	(void)acpi;
	(void)mp;
	memcpy(rom + POST_ADDRESS - BIOS_BASE, post_code, sizeof(post_code));
	memcpy(rom + RESET_VECTOR - BIOS_BASE, reset_vector, sizeof(reset_vector));
	m->rsdp = gpa(RSDP_ADDRESS);
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static void build_bda(const struct machine *m, uint8_t *bda)
{
	static const uint16_t ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	unsigned serials = 0;

	memset(bda, 0, BDA_SIZE);
	for (unsigned i = 0; i < ARRAY_LEN(ports); i++)
		if (m->config.serial[i])
			put16(bda + 2 * serials++, ports[i]);
	put16(bda + 0x0e, EBDA_ADDRESS >> 4);
	put16(bda + 0x10,
	      serials << 9 | 0x30 | 0x02); /* equipment: serial ports, monochrome, coprocessor */
	put16(bda + 0x13, EBDA_ADDRESS >> 10);
}

void bios_area_build(struct machine *m)
{
	uint8_t *rom = physmap_host(m->physmap, gpa(BIOS_BASE), BIOS_SIZE);
	uint8_t *bda = physmap_host(m->physmap, gpa(BDA_ADDRESS), BDA_SIZE);
	uint8_t *ebda = physmap_host(m->physmap, gpa(EBDA_ADDRESS), 1);

	if (rom)
		build_rom(m, rom);
	if (bda)
		build_bda(m, bda);
	if (ebda)
		*ebda = 1; /* its size in KiB */
}

gpa_t machine_rsdp(const struct machine *m)
{
	return m->rsdp;
}

unsigned machine_e820(const struct machine *m, struct e820_entry *out, unsigned max)
{
	uint64_t low = m->config.ram_below_4g, high = m->config.ram_above_4g,
		 base_end = low < EBDA_ADDRESS ? low : EBDA_ADDRESS;
	const struct e820_entry map[] = {
		{0, base_end, E820_RAM},
		{EBDA_ADDRESS, LOW_END - EBDA_ADDRESS, E820_RESERVED},
		{BIOS_BASE, BIOS_SIZE, E820_RESERVED},
		{HIGH_START, low > HIGH_START ? low - HIGH_START : 0, E820_RAM},
		{1ull << 32, high, E820_RAM},
	};
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(map) && n < max; i++)
		if (map[i].len)
			out[n++] = map[i];
	return n;
}
