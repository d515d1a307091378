/* Where the ACPI power management block is: shared by the chip (acpi.c) and the tables
 * (acpi_tables.c). */
#ifndef RINGFENCE_DEVICES_ACPI_H
#define RINGFENCE_DEVICES_ACPI_H

#include "devices/machine.h"

/*
 * PM1 where QEMU's PC has it, and with the same sleep type: small guests power off with OUT 604h,
 * 2000h without reading any table. The timer covers A79h, where ISA Plug and Play cards are written to ("Plug and Play ISA
 * Specification", auto-configuration ports): this machine has no slots for them, and a system that respects what is in use does not
 * look. Linux waits 0.35 s for cards otherwise. Who writes there all the same writes to a timer, which does nothing.
 */
enum {
	ACPI_PM1_EVENT = 0x600, /* status, enable */
	ACPI_PM1_CONTROL = 0x604,
	ACPI_PM1_LENGTH = 8,
	ACPI_PM_TIMER = 0xa78,
	ACPI_S5_TYPE = 0,
};

enum { LAPIC_ID = 0, IOAPIC_ID = 1 };
#define LAPIC_ADDRESS  0xfee00000u
#define IOAPIC_ADDRESS 0xfec00000u

/* The interrupt of a PCI device's pin (0: INTA#), the same with and without APIC. */
static inline unsigned pci_irq(unsigned slot, unsigned pin)
{
	return (slot + pin) & 1 ? 11 : 10;
}

/*
 * Build all ACPI tables except the RSDP in `rom`, which the guest sees at `base`; returns the bytes
 * used, 0 when they do not fit. `rsdp` (36 bytes) is filled in.
 */
size_t acpi_tables_build(const struct machine *, uint8_t *rom, size_t size, uint32_t base,
			 uint8_t rsdp[36]);
/* The DSDT's AML without its header; the bytes used, 0 when they do not fit. */
size_t acpi_dsdt_build(const struct machine *, uint8_t *out, size_t size);
/* MP configuration table and floating pointer (mptable.c). */
size_t mp_table_build(uint8_t *rom, size_t size, uint32_t base);

#endif
