/*
 * Constructors of the chips, and the few entries machine.c needs to wire them.
 *
 * Constructors return null or false only when the host is out of memory. What they allocate belongs
 * to the machine.
 */
#ifndef RINGFENCE_DEVICES_CHIPS_H
#define RINGFENCE_DEVICES_CHIPS_H

#include "devices/machine.h"

#include <stdio.h>

/* Character devices (uart16550.c, debugcon.c, debug_exit.c), keyboard controller (i8042.c). */
bool uart16550_new(struct machine *, unsigned index, struct chardev *);
bool i8042_new(struct machine *);
bool debugcon_new(struct machine *, uint16_t port, struct chardev *);
bool debug_exit_new(struct machine *, uint16_t base, uint16_t size);

/* The 8259 pair (i8259.c): 16 inputs, one output. */
struct i8259 *i8259_new(struct machine *, struct line intr);
void i8259_set_irq(struct i8259 *, unsigned irq, bool level);
/* INTA cycle: the vector; a spurious one when the request has gone. */
uint8_t i8259_ack(struct i8259 *);
void i8259_print(const struct i8259 *, FILE *);
void i8259_print_served(const struct i8259 *, FILE *);

/* The timer chip and port 61h (i8254.c). */
struct i8254 *i8254_new(struct machine *, struct line irq0);

/* Real-time clock and CMOS RAM (mc146818.c). */
struct rtc *rtc_new(struct machine *, struct line irq8);

/* Local APIC (lapic.c). */
struct lapic *lapic_new(struct machine *);
void lapic_set_base(struct lapic *, uint64_t apic_base);
void lapic_set_lint(struct lapic *, unsigned lint, bool level);
void lapic_receive(struct lapic *, const struct apic_message *);
/* Accept the highest pending interrupt: its vector, or -1. */
int lapic_ack(struct lapic *);
/* The 8259's request was acknowledged: one ExtINT message is used up. */
void lapic_extint_done(struct lapic *);
/* A register (number: offset / 16) as a read would show it, without a read's effects: there are none. */
uint32_t lapic_peek(struct lapic *, unsigned reg);

/* I/O APIC (ioapic.c). */
struct ioapic *ioapic_new(struct machine *);
void ioapic_set_pin(struct ioapic *, unsigned pin, bool level);
void ioapic_eoi(struct ioapic *, uint8_t vector);
void ioapic_print(const struct ioapic *, FILE *);

/* Power management block and tables (acpi.c, acpi_tables.c, mptable.c). */
struct acpi *acpi_new(struct machine *, struct line sci);
void acpi_power_button(struct acpi *);
/* Write the BIOS area's contents: ACPI and MP tables, BIOS data area; sets machine->rsdp. */
void bios_area_build(struct machine *);

/* PCI configuration mechanism 1 and the host and ISA bridges (pci.c). */
struct pci_bus *pci_new(struct machine *);

/* Port 92h, CF9h (ports92.c). Port F0h and FERR# (ferr.c). */
bool ports92_new(struct machine *);
struct ferr *ferr_new(struct machine *, struct line irq13);
void ferr_set(struct ferr *, bool level);

/* The keyboard controller's side of machine_key (i8042.c). */
void i8042_key(struct machine *, const uint8_t *bytes, unsigned n);

#endif
