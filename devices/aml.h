/*
 * A builder of ACPI Machine Language: appends encoded objects to a buffer. Running out of room sets
 * `full` and drops the rest; the caller looks once, at the end.
 */
#ifndef RINGFENCE_DEVICES_AML_H
#define RINGFENCE_DEVICES_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *out;
	size_t size, len;
	bool full;
};

void aml_bytes(struct aml *, const void *, size_t n);
void aml_byte(struct aml *, uint8_t);
/* A name of one segment, at most four letters, perhaps after a backslash: "PCI0", "\\_S5". */
void aml_name_string(struct aml *, const char *name);
/* An integer constant in its shortest encoding. */
void aml_int(struct aml *, uint32_t);
/* Name (name, ...): the object follows. */
void aml_name(struct aml *, const char *name);
/* Name (_HID, EisaId ("PNPxxxx")) */
void aml_hid(struct aml *, const char *pnp_id);

/* Constructs with a length: what is appended between begin and aml_end is inside. */
typedef size_t aml_mark;
aml_mark aml_scope(struct aml *, const char *name);
aml_mark aml_device(struct aml *, const char *name);
aml_mark aml_package(struct aml *, uint8_t elements);
void aml_end(struct aml *, aml_mark);

/* A resource template: descriptors between begin and end. */
aml_mark aml_resources(struct aml *);
void aml_resources_end(struct aml *, aml_mark);
void aml_io(struct aml *, uint16_t base, uint8_t length);
void aml_irq(struct aml *, unsigned irq);
/* A producer's window; `type` 1: I/O ports, 2: bus numbers. */
void aml_word_space(struct aml *, uint8_t type, uint16_t first, uint16_t last);
/* A producer's memory window, cacheable or not. */
void aml_dword_memory(struct aml *, uint32_t first, uint32_t last, bool cacheable);

#endif
