/*
 * The DSDT: what is on the board that cannot be probed. As ASL:
 *
 *   Name (_S5, Package () { 0, 0, 0, 0 })
 *   Scope (_SB) {
 *     Device (PCI0) {
 *       Name (_HID, EisaId ("PNP0A03"))  Name (_UID, 0)
 *       Name (_CRS, ResourceTemplate () {
 *         WordBusNumber (0..FF)  IO (CF8..CFF)  WordIO (0..CF7)  WordIO (D00..FFFF)
 *         DWordMemory (A0000..BFFFF, Cacheable)
 *         DWordMemory (E0000000..FEBFFFFF, NonCacheable) })
 *       Name (_PRT, Package () { Package () { slot << 16 | FFFF, pin, 0, irq }, ... })
 *       Device (ISA) {
 *         Name (_ADR, 00010000h)
 *         Device (RTC) { EisaId ("PNP0B00")  IO (70, 2)  IRQ {8} }
 *         ... the interrupt controller, timer, keyboard and coprocessor alike ...
 *         Device (COM1) { EisaId ("PNP0501")  Name (_UID, 1)  IO (3F8, 8)  IRQ {4} }
 *       }
 *     }
 *   }
 *
 * The interrupts in _PRT are the same numbers for the 8259 pair and the I/O APIC, so there is
 * no _PIC method.
 */
#include "devices/acpi.h"
#include "devices/aml.h"

/* Slots that have an interrupt routed: room for devices to come. */
enum { FIRST_SLOT = 2, LAST_SLOT = 7, PINS_PER_SLOT = 4 };
enum { SPACE_IO = 1, SPACE_BUS = 2 };

struct io_range {
	uint16_t base;
	uint8_t length;
};

struct isa_device {
	const char *name, *hid;
	struct io_range io[2];
	int irq;     /* -1: none */
	uint8_t uid; /* 0: none */
};

static const struct isa_device fixed_devices[] = {
	{"PIC", "PNP0000", {{0x20, 2}, {0xa0, 2}}, 2, 0},
	{"TIMR", "PNP0100", {{0x40, 4}}, 0, 0},
	{"RTC", "PNP0B00", {{0x70, 2}}, IRQ_RTC, 0},
	{"SPKR", "PNP0800", {{0x61, 1}}, -1, 0},
	{"KBD", "PNP0303", {{0x60, 1}, {0x64, 1}}, IRQ_KBD, 0},
	{"MOU", "PNP0F13", {{0}}, 12, 0},
	{"FPU", "PNP0C04", {{0xf0, 1}}, IRQ_FPU, 0},
};

static const struct isa_device serial_ports[] = {
	{"COM1", "PNP0501", {{0x3f8, 8}}, 4, 1},
	{"COM2", "PNP0501", {{0x2f8, 8}}, 3, 2},
	{"COM3", "PNP0501", {{0x3e8, 8}}, 4, 3},
	{"COM4", "PNP0501", {{0x2e8, 8}}, 3, 4},
};

static void isa_device(struct aml *a, const struct isa_device *d)
{
	aml_mark device = aml_device(a, d->name);

	aml_hid(a, d->hid);
	if (d->uid) {
		aml_name(a, "_UID");
		aml_int(a, d->uid);
	}
	aml_mark resources = aml_resources(a);
	for (unsigned i = 0; i < ARRAY_LEN(d->io) && d->io[i].length; i++)
		aml_io(a, d->io[i].base, d->io[i].length);
	if (d->irq >= 0)
		aml_irq(a, (unsigned)d->irq);
	aml_resources_end(a, resources);
	aml_end(a, device);
}

static void isa_bridge(struct aml *a, const struct machine *m)
{
	aml_mark bridge = aml_device(a, "ISA");

	aml_name(a, "_ADR");
	aml_int(a, 0x00010000);
	for (size_t i = 0; i < ARRAY_LEN(fixed_devices); i++)
		isa_device(a, &fixed_devices[i]);
	for (size_t i = 0; i < ARRAY_LEN(serial_ports); i++)
		if (m->config.serial[i])
			isa_device(a, &serial_ports[i]);
	aml_end(a, bridge);
}

static void interrupt_routing(struct aml *a)
{
	aml_name(a, "_PRT");
	aml_mark table = aml_package(a, (LAST_SLOT - FIRST_SLOT + 1) * PINS_PER_SLOT);
	for (unsigned slot = FIRST_SLOT; slot <= LAST_SLOT; slot++) {
		for (unsigned pin = 0; pin < PINS_PER_SLOT; pin++) {
			aml_mark entry = aml_package(a, 4);
			aml_int(a, slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_int(a, 0); /* not a link device: the interrupt itself follows */
			aml_int(a, pci_irq(slot, pin));
			aml_end(a, entry);
		}
	}
	aml_end(a, table);
}

static void root_bridge(struct aml *a, const struct machine *m)
{
	aml_mark bridge = aml_device(a, "PCI0");

	aml_hid(a, "PNP0A03");
	aml_name(a, "_UID");
	aml_int(a, 0);
	aml_mark resources = aml_resources(a);
	aml_word_space(a, SPACE_BUS, 0, 0xff);
	aml_io(a, 0xcf8, 8);
	aml_word_space(a, SPACE_IO, 0, 0xcf7);
	aml_word_space(a, SPACE_IO, 0xd00, 0xffff);
	aml_dword_memory(a, 0xa0000, 0xbffff, true);
	aml_dword_memory(a, PHYSMAP_HOLE_START, IOAPIC_ADDRESS - 1, false);
	aml_resources_end(a, resources);
	interrupt_routing(a);
	isa_bridge(a, m);
	aml_end(a, bridge);
}

size_t acpi_dsdt_build(const struct machine *m, uint8_t *out, size_t size)
{
	struct aml a = {.out = out, .size = size};

	aml_name(&a, "\\_S5");
	aml_mark s5 = aml_package(&a, 4);
	aml_int(&a, ACPI_S5_TYPE);
	aml_int(&a, ACPI_S5_TYPE);
	aml_int(&a, 0);
	aml_int(&a, 0);
	aml_end(&a, s5);
	aml_mark scope = aml_scope(&a, "\\_SB");
	root_bridge(&a, m);
	aml_end(&a, scope);
	return a.full ? 0 : a.len;
}
