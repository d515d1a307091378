/*
 * Power-off by ACPI: RSDP -> RSDT -> FADT gives the PM1a control port, and the _S5_ object in the
 * DSDT the value to write there. Reset by the 8042, then CF9h, then a triple fault.
 *
 * Tables are read through the physical window, which moves: copy out before following a pointer.
 */
#include "kernel.h"

struct header {
	char signature[4];
	uint32_t length;
};
enum {
	HEADER_SIZE = 36,
	FADT_DSDT = 40,
	FADT_SMI_CMD = 48,
	FADT_ACPI_ENABLE = 52,
	FADT_PM1A_CNT = 64
};
enum { SCI_EN = 1, SLP_EN = 1 << 13, MOST_TABLES = 64, MOST_DSDT = 1 << 20 };

static uint32_t read32(uint32_t pa)
{
	uint32_t v;

	memcpy(&v, memory_map_physical(pa), sizeof(v));
	return v;
}

static bool signature_at(uint32_t pa, const char *signature)
{
	return !memcmp(memory_map_physical(pa), signature, string_length(signature));
}

static uint32_t find_rsdp(void)
{
	uint32_t ebda = *(const uint16_t *)to_virtual(0x40e) << 4;

	for (uint32_t pa = ebda; ebda >= 0x80000 && pa < ebda + 1024; pa += 16) {
		if (!memcmp(to_virtual(pa), "RSD PTR ", 8))
			return pa;
	}
	for (uint32_t pa = 0xe0000; pa < 0x100000; pa += 16) {
		if (!memcmp(to_virtual(pa), "RSD PTR ", 8))
			return pa;
	}
	return 0;
}

static uint32_t find_fadt(void)
{
	uint32_t rsdp = find_rsdp(), rsdt, tables;

	if (!rsdp)
		return 0;
	rsdt = read32(rsdp + 16);
	if (!signature_at(rsdt, "RSDT"))
		return 0;
	tables = (read32(rsdt + 4) - HEADER_SIZE) / 4;
	for (uint32_t i = 0; i < tables && i < MOST_TABLES; i++) {
		uint32_t table = read32(rsdt + HEADER_SIZE + i * 4);

		if (signature_at(table, "FACP"))
			return table;
	}
	return 0;
}

/*
 * Name(_S5_, Package(){a, ...}) in AML: the name, PackageOp (12h), a package length of one to four
 * bytes (its first byte's top bits say how many follow), the element count, then the first element:
 * a byte constant behind 0Ah, or Zero/One themselves.
 */
static bool find_s5(uint32_t dsdt, uint8_t *type)
{
	uint32_t length = read32(dsdt + 4);
	const uint8_t *p = memory_map_physical(dsdt);

	if (length > MOST_DSDT)
		length = MOST_DSDT;
	for (uint32_t i = HEADER_SIZE; i + 12 < length; i++) {
		if (memcmp(p + i, "_S5_", 4) || p[i + 4] != 0x12)
			continue;
		const uint8_t *element = p + i + 5 + (p[i + 5] >> 6) + 2;

		*type = *element == 0x0a ? element[1] : *element;
		return true;
	}
	return false;
}

/* With the ACPI tables out of firmware's hands the hardware may need to be told once. */
static void acpi_enable(uint32_t fadt, uint16_t control)
{
	uint16_t smi = read32(fadt + FADT_SMI_CMD);
	uint8_t value = read32(fadt + FADT_ACPI_ENABLE);

	if (!smi || !value || (inw(control) & SCI_EN))
		return;
	outb(smi, value);
	for (uint32_t i = 0; i < 100000 && !(inw(control) & SCI_EN); i++)
		;
}

void machine_power_off(void)
{
	uint32_t fadt = find_fadt();
	uint16_t control;
	uint8_t type;

	if (!fadt) {
		print("no ACPI tables: cannot power off\n");
		return;
	}
	control = read32(fadt + FADT_PM1A_CNT);
	if (!find_s5(read32(fadt + FADT_DSDT), &type)) {
		print("no S5 state in the DSDT: cannot power off\n");
		return;
	}
	acpi_enable(fadt, control);
	outw(control, (inw(control) & SCI_EN) | type << 10 | SLP_EN);
	thread_sleep_ticks(HZ * 2); /* the power may take a moment to go */
	print("still here: the machine ignored S5\n");
}

static void pause_briefly(void)
{
	uint64_t start = rdtsc();

	while (rdtsc() - start < (uint64_t)timer_tsc_khz() * 100)
		;
}

void machine_reboot(void)
{
	static const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) nothing = {0, 0};

	__asm__ volatile("cli");
	outb(0x64, 0xfe);
	pause_briefly();
	outb(0xcf9, 6);
	pause_briefly();
	__asm__ volatile("lidt %0; int3" : : "m"(nothing));
}
