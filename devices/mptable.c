/*
 * The Intel MultiProcessor Specification's tables, for systems that do not read ACPI: one
 * processor, a PCI and an ISA bus, the I/O APIC and how the ISA interrupts reach it.
 */
#include "devices/acpi.h"

#include <string.h>

enum { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };
enum { INT_VECTORED = 0, INT_NMI = 1, INT_EXTINT = 3 };
enum { BUS_PCI = 0, BUS_ISA = 1 };
/* active high, level; 0 means "as the bus does it" */
enum { FLAGS_HIGH_LEVEL = 1 | 3 << 2 };

struct floating_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length, revision, checksum, feature[5];
} __attribute__((packed));

struct table_header {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t lapic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct table_header) == 44, "MP configuration table header is 44 bytes");

struct processor {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
} __attribute__((packed));

struct bus {
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

struct io_apic {
	uint8_t type, id, version, flags;
	uint32_t address;
} __attribute__((packed));

struct interrupt {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, irq, apic, pin;
} __attribute__((packed));

struct writer {
	uint8_t *bytes;
	size_t size, used;
	unsigned entries;
	bool full;
};

static void put(struct writer *w, const void *entry, size_t n)
{
	if (n > w->size - w->used) {
		w->full = true;
		return;
	}
	memcpy(w->bytes + w->used, entry, n);
	w->used += n;
	w->entries++;
}

static void put_interrupts(struct writer *w)
{
	for (unsigned irq = 0; irq < ISA_IRQS; irq++) {
		struct interrupt i = {MP_IO_INTERRUPT, INT_VECTORED, 0,		  BUS_ISA,
				      (uint8_t)irq,    IOAPIC_ID,    (uint8_t)irq};
		if (irq == IRQ_CASCADE)
			continue;
		if (irq == IRQ_PIT)
			i.pin = 2;
		if (irq >= IRQ_SCI && irq <= 11)
			i.flags = FLAGS_HIGH_LEVEL;
		put(w, &i, sizeof(i));
	}
	put(w, &(struct interrupt){MP_LOCAL_INTERRUPT, INT_EXTINT, 0, BUS_ISA, 0, 0xff, 0},
	    sizeof(struct interrupt));
	put(w, &(struct interrupt){MP_LOCAL_INTERRUPT, INT_NMI, 0, BUS_ISA, 0, 0xff, 1},
	    sizeof(struct interrupt));
}

static uint8_t checksum(const void *bytes, size_t n)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
	return (uint8_t)-sum;
}

size_t mp_table_build(uint8_t *rom, size_t size, uint32_t base)
{
	struct floating_pointer fp = {{'_', 'M', 'P', '_'}, base + sizeof(fp), 1, 4, 0, {0}};
	struct table_header h = {
		.signature = {'P', 'C', 'M', 'P'},
		.revision = 4,
		.oem_id = "RINGFENC", /* both fields are full: no final zero */
		.product_id = "PC          ",
		.lapic = LAPIC_ADDRESS,
	};
	struct writer w = {.bytes = rom, .size = size, .used = sizeof(fp) + sizeof(h)};

	if (size < w.used)
		return 0;
	/* enabled, bootstrap; family 6, with a coprocessor and an APIC */
	put(&w, &(struct processor){MP_PROCESSOR, LAPIC_ID, 0x14, 3, 0x600, 0x201, {0}},
	    sizeof(struct processor));
	put(&w, &(struct bus){MP_BUS, BUS_PCI, {'P', 'C', 'I', ' ', ' ', ' '}}, sizeof(struct bus));
	put(&w, &(struct bus){MP_BUS, BUS_ISA, {'I', 'S', 'A', ' ', ' ', ' '}}, sizeof(struct bus));
	put(&w, &(struct io_apic){MP_IOAPIC, IOAPIC_ID, 0x11, 1, IOAPIC_ADDRESS},
	    sizeof(struct io_apic));
	put_interrupts(&w);
	if (w.full)
		return 0;

	h.length = (uint16_t)(w.used - sizeof(fp));
	h.entries = (uint16_t)w.entries;
	fp.checksum = checksum(&fp, sizeof(fp));
	memcpy(rom, &fp, sizeof(fp));
	memcpy(rom + sizeof(fp), &h, sizeof(h));
	rom[sizeof(fp) + offsetof(struct table_header, checksum)] =
		checksum(rom + sizeof(fp), h.length);
	return w.used;
}
