/*
 * PCI configuration mechanism 1 (ports CF8h and CFCh) and what sits on bus 0: the 440FX host bridge
 * and the PIIX3 ISA bridge. Absent functions read all ones and ignore writes.
 *
 * A function is 256 bytes of configuration space and a mask of the bits that may be written; none
 * of them does anything.
 */
#include "devices/chips.h"

enum { SLOTS = 32, CONFIG_SIZE = 256 };

#define ADDRESS_ENABLE	 (1u << 31)
#define ADDRESS_WRITABLE 0x80fffffcu

struct pci_function {
	bool present;
	uint8_t config[CONFIG_SIZE];
	uint8_t writable[CONFIG_SIZE];
};

struct pci_bus {
	uint32_t address;
	struct pci_function slot[SLOTS]; /* function 0 of each device of bus 0 */
};

/* Power-on value and writable bits of one configuration byte. */
struct config_byte {
	uint8_t offset, value, writable;
};

static const struct config_byte host_bridge[] = {
	{0x00, 0x86, 0},
	{0x01, 0x80, 0},
	{0x02, 0x37, 0},
	{0x03, 0x12, 0}, /* Intel 82441FX */
	{0x04, 0x06, 0},
	{0x06, 0x80, 0},
	{0x07, 0x02, 0},
	{0x08, 0x02, 0},
	{0x0b, 0x06, 0}, /* revision 2; class: host bridge */
	{0x0d, 0x00, 0xf8},
	/* PAM: C0000-FFFFF; the ROM area's attributes are fixed, the bits are only kept */
	{0x59, 0x10, 0x30},
	{0x5a, 0x11, 0x33},
	{0x5b, 0x11, 0x33},
	{0x5c, 0x11, 0x33},
	{0x5d, 0x11, 0x33},
	{0x5e, 0x11, 0x33},
	{0x5f, 0x11, 0x33},
};

static const struct config_byte isa_bridge[] = {
	{0x00, 0x86, 0},
	{0x01, 0x80, 0},
	{0x02, 0x00, 0},
	{0x03, 0x70, 0}, /* Intel PIIX3 */
	{0x04, 0x07, 0},
	{0x07, 0x02, 0},
	{0x0a, 0x01, 0},
	{0x0b, 0x06, 0}, /* class: ISA bridge */
	{0x4c, 0x4d, 0xff},
	{0x4e, 0x03, 0xff},
	/* PIRQ A-D, routed as the ACPI tables say */
	{0x60, 0x0a, 0x8f},
	{0x61, 0x0b, 0x8f},
	{0x62, 0x0a, 0x8f},
	{0x63, 0x0b, 0x8f},
	{0x82, 0x02,
	 0x0f}, /* passive release is on: systems switch it on, noisily, when it is not */
};

static const struct {
	unsigned slot;
	const struct config_byte *bytes;
	size_t count;
} functions[] = {
	{0, host_bridge, ARRAY_LEN(host_bridge)},
	{1, isa_bridge, ARRAY_LEN(isa_bridge)},
};

/* The function that the address register selects, or null. */
static struct pci_function *selected(struct pci_bus *s)
{
	unsigned bus_and_function = s->address & 0x00ff0700;
	struct pci_function *f = &s->slot[s->address >> 11 & (SLOTS - 1)];

	return (s->address & ADDRESS_ENABLE) && !bus_and_function && f->present ? f : NULL;
}

static uint32_t data_read(void *opaque, uint16_t port, unsigned size)
{
	struct pci_bus *s = opaque;
	struct pci_function *f = selected(s);
	unsigned offset = (s->address & 0xfc) + (port & 3);
	uint32_t value = 0;

	if (!f)
		return UINT32_MAX;
	for (unsigned i = 0; i < size && offset + i < CONFIG_SIZE; i++)
		value |= (uint32_t)f->config[offset + i] << (8 * i);
	return value;
}

static void data_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct pci_bus *s = opaque;
	struct pci_function *f = selected(s);
	unsigned offset = (s->address & 0xfc) + (port & 3);

	for (unsigned i = 0; f && i < size && offset + i < CONFIG_SIZE; i++) {
		uint8_t *byte = &f->config[offset + i], mask = f->writable[offset + i];
		*byte = (uint8_t)((*byte & ~mask) | (value >> (8 * i) & mask));
	}
}

/* The address register exists only for 32-bit accesses at CF8h; CF9h is another chip's. */
static uint32_t address_read(void *opaque, uint16_t port, unsigned size)
{
	struct pci_bus *s = opaque;

	return size == 4 ? s->address : UINT32_MAX;
}

static void address_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct pci_bus *s = opaque;

	if (size == 4)
		s->address = value & ADDRESS_WRITABLE;
}

static const struct io_ops address_ops = {address_read, address_write, 4};
static const struct io_ops data_ops = {data_read, data_write, 4};

static void reset(void *opaque)
{
	struct pci_bus *s = opaque;

	s->address = 0;
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		struct pci_function *f = &s->slot[functions[i].slot];
		*f = (struct pci_function){.present = true};
		f->writable[0x3c] = 0xff; /* interrupt line: a note from firmware to systems */
		for (size_t k = 0; k < functions[i].count; k++) {
			const struct config_byte *b = &functions[i].bytes[k];
			f->config[b->offset] = b->value;
			f->writable[b->offset] = b->writable;
		}
	}
}

struct pci_bus *pci_new(struct machine *m)
{
	struct pci_bus *s = machine_alloc(m, sizeof(*s));

	if (!s || !machine_on_reset(m, reset, s))
		return NULL;
	machine_add_io(m, 0xcf8, 4, &address_ops, s);
	machine_add_io(m, 0xcfc, 4, &data_ops, s);
	return s;
}
