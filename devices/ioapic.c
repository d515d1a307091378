/*
 * The I/O APIC (82093AA): 24 pins at FEC00000h.
 *
 * Pins are wired in parallel with the 8259 pair's inputs; the timer comes in on pin 2, the 8259
 * pair's output on pin 0. Lines carry "asserted", so the polarity bit is kept but changes nothing.
 *
 * An edge on a masked pin is lost, as in the chip. A level-triggered pin sends one message when it
 * is asserted and remote IRR is clear, and again after the EOI while it stays so.
 */
#include "devices/acpi.h"
#include "devices/chips.h"

enum { PINS = 24 };

#define VERSION		 (0x11u | (PINS - 1) << 16)
#define ENTRY_MASKED	 (1ull << 16)
#define ENTRY_LEVEL	 (1ull << 15)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LOGICAL	 (1ull << 11)
/* bits 12 (delivery status) and 14 are read only, 17-55 are reserved */
#define ENTRY_WRITABLE 0xff0000000001afffull

enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_ENTRIES = 0x10 };
/* offsets in the page; EOI exists from version 20h on and does nothing here */
enum { OFFSET_SELECT = 0x00, OFFSET_WINDOW = 0x10 };

struct ioapic {
	struct machine *m;
	uint8_t select;
	uint32_t id;
	uint32_t lines; /* pin levels */
	uint64_t entry[PINS];
};

static void send(struct ioapic *s, unsigned pin)
{
	uint64_t e = s->entry[pin];
	enum apic_delivery how = e >> 8 & 7;
	bool fixed = how == APIC_FIXED || how == APIC_LOWEST;
	bool level = fixed && (e & ENTRY_LEVEL);

	if (level)
		s->entry[pin] |= ENTRY_REMOTE_IRR;
	machine_apic_send(s->m, &(struct apic_message){
					.dest = (uint8_t)(e >> 56),
					.logical = e & ENTRY_LOGICAL,
					.level = level,
					.delivery = how,
					.vector = (uint8_t)e,
				});
}

/* An asserted level-triggered pin that has not been sent (or whose EOI has come). */
static void service_level(struct ioapic *s, unsigned pin)
{
	uint64_t e = s->entry[pin];

	if ((s->lines >> pin & 1) && (e & ENTRY_LEVEL) && !(e & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		send(s, pin);
}

void ioapic_set_pin(struct ioapic *s, unsigned pin, bool level)
{
	if (pin >= PINS)
		return;
	uint32_t bit = 1u << pin;
	bool rising = level && !(s->lines & bit);

	s->lines = level ? s->lines | bit : s->lines & ~bit;
	if (s->entry[pin] & ENTRY_LEVEL)
		service_level(s, pin);
	else if (rising && !(s->entry[pin] & ENTRY_MASKED))
		send(s, pin);
}

void ioapic_eoi(struct ioapic *s, uint8_t vector)
{
	for (unsigned pin = 0; pin < PINS; pin++) {
		uint64_t *e = &s->entry[pin];
		if (!(*e & ENTRY_LEVEL) || (uint8_t)*e != vector || !(*e & ENTRY_REMOTE_IRR))
			continue;
		*e &= ~ENTRY_REMOTE_IRR;
		service_level(s, pin);
	}
}

static uint32_t read_selected(const struct ioapic *s)
{
	unsigned n = s->select - REG_ENTRIES;

	switch (s->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return s->id;
	case REG_VERSION:
		return VERSION;
	}
	if (s->select < REG_ENTRIES || n / 2 >= PINS)
		return 0;
	return (uint32_t)(s->entry[n / 2] >> (n % 2 * 32));
}

static void write_entry(struct ioapic *s, unsigned n, uint32_t value)
{
	uint64_t *e = &s->entry[n / 2], fixed = *e & ENTRY_REMOTE_IRR;
	unsigned shift = n % 2 * 32;

	*e = (*e & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
	*e = (*e & ENTRY_WRITABLE) | fixed;
	/* Turning a pin to edge drops remote IRR: systems clear a stuck level interrupt that way.
	 */
	if (!(*e & ENTRY_LEVEL))
		*e &= ~ENTRY_REMOTE_IRR;
	service_level(s, n / 2);
}

static void write_selected(struct ioapic *s, uint32_t value)
{
	if (s->select == REG_ID)
		s->id = value & 0x0f000000;
	else if (s->select >= REG_ENTRIES && s->select < REG_ENTRIES + 2 * PINS)
		write_entry(s, s->select - REG_ENTRIES, value);
}

static uint64_t ioapic_read(void *opaque, uint64_t offset, unsigned size)
{
	struct ioapic *s = opaque;

	switch (offset & ~3ull) {
	case OFFSET_SELECT:
		return (uint32_t)s->select >> (offset % 4 * 8);
	case OFFSET_WINDOW:
		return read_selected(s) >> (offset % 4 * 8);
	default:
		return 0;
	}
}

static void ioapic_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct ioapic *s = opaque;

	if (offset == OFFSET_SELECT)
		s->select = (uint8_t)value;
	else if (offset == OFFSET_WINDOW && size == 4)
		write_selected(s, (uint32_t)value);
}

static void reset(void *opaque)
{
	struct ioapic *s = opaque;

	s->select = 0;
	s->id = IOAPIC_ID << 24;
	s->lines = 0;
	for (unsigned pin = 0; pin < PINS; pin++)
		s->entry[pin] = ENTRY_MASKED;
}

static const struct mmio_ops ioapic_ops = {ioapic_read, ioapic_write};

struct ioapic *ioapic_new(struct machine *m)
{
	struct ioapic *s = machine_alloc(m, sizeof(*s));

	if (!s || !machine_on_reset(m, reset, s))
		return NULL;
	s->m = m;
	return machine_add_mmio(m, gpa(IOAPIC_ADDRESS), PAGE_SIZE, &ioapic_ops, s) ? s : NULL;
}

/* ---- for the debug monitor ---- */

static void print_pins(FILE *f, const char *what, uint32_t pins)
{
	fprintf(f, "  %-10s", what);
	for (unsigned i = 0; i < PINS; i++)
		if (pins >> i & 1)
			fprintf(f, " %u", i);
	fputs(pins ? "\n" : " (none)\n", f);
}

void ioapic_print(const struct ioapic *s, FILE *f)
{
	static const char *const delivery[] = {"fixed", "lowest", "SMI",   "...",
					       "NMI",	"INIT",	  "...",   "ExtINT"};
	uint32_t remote = 0;

	fprintf(f, "ioapic0: ver=0x%x id=0x%02x sel=0x%02x\n", VERSION & 0xff, s->id >> 24,
		s->select);
	for (unsigned i = 0; i < PINS; i++) {
		uint64_t e = s->entry[i];

		remote |= e & ENTRY_REMOTE_IRR ? 1u << i : 0;
		fprintf(f, "  pin %-2u 0x%016llx dest=%llx vec=%-3llu active-%s %-5s %-6s %-6s %s\n",
			i, (unsigned long long)e, (unsigned long long)e >> 56,
			(unsigned long long)e & 0xff, e >> 13 & 1 ? "lo" : "hi",
			e & ENTRY_LEVEL ? "level" : "edge", e & ENTRY_MASKED ? "masked" : "",
			delivery[e >> 8 & 7], e & ENTRY_LOGICAL ? "logical" : "physical");
	}
	print_pins(f, "IRR", s->lines);
	print_pins(f, "Remote IRR", remote);
}
