/*
 * The ACPI tables (ACPI: "ACPI Software Programming Model"): FACS, DSDT, FADT, MADT, RSDT and XSDT,
 * laid out one after the other in ROM, and the RSDP that leads to them.
 *
 * All of it is ROM: the FACS's lock and waking vector are never used, because no AML takes the
 * global lock and there is no sleep state but S5.
 */
#include "devices/acpi.h"

#include <string.h>

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

/* Generic address structure. */
struct gas {
	uint8_t space, width, offset, access;
	uint64_t address;
} __attribute__((packed));
enum { GAS_IO = 1 };

/* Fixed ACPI description table, revision 3. */
struct fadt {
	struct header h;
	uint32_t facs, dsdt;
	uint8_t int_model, profile;
	uint16_t sci;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0,
		gpe1;
	uint8_t pm1_event_len, pm1_control_len, pm2_control_len, pm_timer_len, gpe0_len, gpe1_len,
		gpe1_base, cstate_control;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved;
	uint32_t flags;
	struct gas reset;
	uint8_t reset_value, reserved2[3];
	uint64_t x_facs, x_dsdt;
	struct gas x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control,
		x_pm_timer, x_gpe0, x_gpe1;
} __attribute__((packed));
_Static_assert(sizeof(struct fadt) == 244, "FADT revision 3 is 244 bytes");

enum {
	FADT_WBINVD = 1 << 0,
	FADT_C1 = 1 << 2,
	FADT_NO_SLEEP_BUTTON = 1 << 5,
	FADT_RTC_NOT_FIXED = 1 << 6,
	FADT_TIMER_32 = 1 << 8,
	FADT_RESET_REGISTER = 1 << 10,
};
enum { BOOT_LEGACY_DEVICES = 1, BOOT_8042 = 2, BOOT_NO_VGA = 4 };
enum { NO_C2 = 101, NO_C3 = 1001, CMOS_CENTURY = 0x32, RESET_PORT = 0xcf9, RESET_VALUE = 0x06 };

struct facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} __attribute__((packed));
_Static_assert(sizeof(struct facs) == 64, "FACS is 64 bytes");

struct madt {
	struct header h;
	uint32_t lapic_address, flags;
	struct {
		uint8_t type, length, processor, id;
		uint32_t flags;
	} __attribute__((packed)) lapic;
	struct {
		uint8_t type, length, id, reserved;
		uint32_t address, first_interrupt;
	} __attribute__((packed)) ioapic;
	struct source_override {
		uint8_t type, length, bus, irq;
		uint32_t interrupt;
		uint16_t flags;
	} __attribute__((packed)) timer, sci, pci[2];
	struct {
		uint8_t type, length, processor;
		uint16_t flags;
		uint8_t lint;
	} __attribute__((packed)) nmi;
} __attribute__((packed));
enum { MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_LAPIC_NMI = 4 };
enum { MADT_PCAT_COMPAT = 1, ACTIVE_HIGH = 1, LEVEL = 3 << 2 };

/* A cursor over the ROM that is being written. */
struct rom {
	uint8_t *bytes;
	size_t size, used;
	uint32_t base;
	bool full;
};

static uint8_t checksum(const void *bytes, size_t n)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
	return (uint8_t)-sum;
}

static struct header header(const char *signature, uint8_t revision, size_t length)
{
	struct header h = {
		.length = (uint32_t)length,
		.revision = revision,
		.oem_id = {'R', 'I', 'N', 'G', 'F', 'C'},
		.oem_table_id = {'R', 'I', 'N', 'G', 'F', 'N', 'C', 'E'},
		.oem_revision = 1,
		.creator_id = {'R', 'N', 'G', 'F'},
		.creator_revision = 1,
	};

	memcpy(h.signature, signature, 4);
	return h;
}

/* Copy a table to the next aligned place; its address, 0 when there is no room. */
static uint32_t put(struct rom *r, const void *table, size_t n)
{
	size_t at = (r->used + 63) & ~(size_t)63;

	if (at > r->size || n > r->size - at) {
		r->full = true;
		return 0;
	}
	memcpy(r->bytes + at, table, n);
	r->used = at + n;
	return r->base + (uint32_t)at;
}

/* The same for a table with a header, whose checksum is set here. */
static uint32_t put_table(struct rom *r, void *table, size_t n)
{
	struct header *h = table;

	h->checksum = 0;
	h->checksum = checksum(table, n);
	return put(r, table, n);
}

static uint32_t put_facs(struct rom *r)
{
	struct facs f = {.signature = {'F', 'A', 'C', 'S'}, .length = sizeof(f), .version = 1};

	return put(r, &f, sizeof(f));
}

static uint32_t put_dsdt(struct rom *r, const struct machine *m)
{
	uint8_t table[8192];
	size_t n = acpi_dsdt_build(m, table + sizeof(struct header),
				   sizeof(table) - sizeof(struct header));
	struct header h =
		header("DSDT", 1, sizeof(struct header) + n); /* revision 1: 32-bit integers */

	if (!n) {
		r->full = true;
		return 0;
	}
	memcpy(table, &h, sizeof(h));
	return put_table(r, table, h.length);
}

static struct gas io_register(uint16_t port, uint8_t bytes)
{
	/* access size: 1 byte, 2 word, 3 double word */
	uint8_t access = bytes == 1 ? 1 : bytes == 2 ? 2 : 3;

	return (struct gas){GAS_IO, (uint8_t)(bytes * 8), 0, access, port};
}

static uint32_t put_fadt(struct rom *r, uint32_t facs, uint32_t dsdt)
{
	struct fadt f = {
		.h = header("FACP", 3, sizeof(f)),
		.facs = facs,
		.dsdt = dsdt,
		.x_facs = facs,
		.x_dsdt = dsdt,
		.profile = 1, /* desktop */
		.sci = IRQ_SCI,
		.pm1a_event = ACPI_PM1_EVENT,
		.pm1_event_len = 4,
		.pm1a_control = ACPI_PM1_CONTROL,
		.pm1_control_len = 2,
		.pm_timer = ACPI_PM_TIMER,
		.pm_timer_len = 4,
		.c2_latency = NO_C2,
		.c3_latency = NO_C3,
		.century = CMOS_CENTURY,
		.boot_flags = BOOT_LEGACY_DEVICES | BOOT_8042 | BOOT_NO_VGA,
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP_BUTTON | FADT_RTC_NOT_FIXED |
			 FADT_TIMER_32 | FADT_RESET_REGISTER,
		.reset = io_register(RESET_PORT, 1),
		.reset_value = RESET_VALUE,
		.x_pm1a_event = io_register(ACPI_PM1_EVENT, 4),
		.x_pm1a_control = io_register(ACPI_PM1_CONTROL, 2),
		.x_pm_timer = io_register(ACPI_PM_TIMER, 4),
	};

	return put_table(r, &f, sizeof(f));
}

static struct source_override source(uint8_t irq, uint32_t interrupt, uint16_t flags)
{
	return (struct source_override){
		MADT_OVERRIDE, sizeof(struct source_override), 0, irq, interrupt, flags};
}

static uint32_t put_madt(struct rom *r)
{
	struct madt t = {
		.h = header("APIC", 1, sizeof(t)),
		.lapic_address = LAPIC_ADDRESS,
		.flags = MADT_PCAT_COMPAT,
		.lapic = {MADT_LAPIC, sizeof(t.lapic), 0, LAPIC_ID, 1},
		.ioapic = {MADT_IOAPIC, sizeof(t.ioapic), IOAPIC_ID, 0, IOAPIC_ADDRESS, 0},
		.timer = source(IRQ_PIT, 2, 0),
		.sci = source(IRQ_SCI, IRQ_SCI, ACTIVE_HIGH | LEVEL),
		.pci = {source(10, 10, ACTIVE_HIGH | LEVEL), source(11, 11, ACTIVE_HIGH | LEVEL)},
		.nmi = {MADT_LAPIC_NMI, sizeof(t.nmi), 0xff, 0, 1},
	};

	return put_table(r, &t, sizeof(t));
}

size_t acpi_tables_build(const struct machine *m, uint8_t *bytes, size_t size, uint32_t base,
			 uint8_t rsdp[36])
{
	struct rom r = {.bytes = bytes, .size = size, .base = base};
	uint32_t facs = put_facs(&r), dsdt = put_dsdt(&r, m);
	uint32_t tables[2] = {put_fadt(&r, facs, dsdt), put_madt(&r)};
	struct {
		struct header h;
		uint32_t entry[2];
	} __attribute__((packed)) rsdt = {header("RSDT", 1, sizeof(rsdt)), {tables[0], tables[1]}};
	struct {
		struct header h;
		uint64_t entry[2];
	} __attribute__((packed)) xsdt = {header("XSDT", 1, sizeof(xsdt)), {tables[0], tables[1]}};
	struct {
		char signature[8];
		uint8_t checksum;
		char oem_id[6];
		uint8_t revision;
		uint32_t rsdt, length;
		uint64_t xsdt;
		uint8_t extended_checksum, reserved[3];
	} __attribute__((packed)) p = {
		.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.oem_id = {'R', 'I', 'N', 'G', 'F', 'C'},
		.revision = 2,
		.rsdt = put_table(&r, &rsdt, sizeof(rsdt)),
		.length = sizeof(p),
		.xsdt = put_table(&r, &xsdt, sizeof(xsdt)),
	};

	_Static_assert(sizeof(p) == 36, "RSDP revision 2 is 36 bytes");
	p.checksum = checksum(&p, 20);
	p.extended_checksum = checksum(&p, sizeof(p));
	memcpy(rsdp, &p, sizeof(p));
	return r.full ? 0 : r.used;
}
