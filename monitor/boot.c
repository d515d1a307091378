/* Opening what is to be booted, and what both boot protocols share; see boot.h. */
#include "monitor/boot.h"
#include "guest/default_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One element of -initrd for Multiboot: "file arguments", up to a comma (a doubled comma is
 * one comma). Linux takes the whole text as one file name, commas and blanks included.
 */
static const char *take_module(const char *text, struct boot_module *m)
{
	size_t n = 0;
	m->text = malloc(strlen(text) + 1);
	if (!m->text)
		return NULL;
	for (; *text; text++) {
		if (*text == ',' && *++text != ',') {
			text--;
			break;
		}
		m->text[n++] = *text;
	}
	m->text[n] = '\0';
	m->path = strndup(m->text, strcspn(m->text, " "));
	return text;
}

static bool read_modules(struct boot *b, const char *text, uint64_t ram, char *err, size_t errlen)
{
	while (text) {
		if (b->module_count == BOOT_MAX_MODULES) {
			snprintf(err, errlen, "-initrd: more than %d modules: remove some",
				 BOOT_MAX_MODULES);
			return false;
		}
		struct boot_module *m = &b->modules[b->module_count++];
		const char *end = take_module(text, m);
		if (!end || !m->path) {
			snprintf(err, errlen, "-initrd: not enough memory");
			return false;
		}
		if (!image_read(&m->image, m->path, "module", ram, err, errlen))
			return false;
		text = *end ? end + 1 : NULL;
	}
	return true;
}

static bool recognize(struct boot *b, char *err, size_t errlen)
{
	const struct image *k = &b->kernel;
	if (linux_recognize(k)) {
		b->protocol = BOOT_LINUX;
		return true;
	}
	if (multiboot_recognize(k)) {
		b->protocol = BOOT_MULTIBOOT;
		return true;
	}
	const char *is = "neither a Linux bzImage nor a Multiboot 1 kernel";
	if (k->size >= 2 && k->data[0] == 0x1f && k->data[1] == 0x8b)
		is = "compressed with gzip: unpack it first (gunzip)";
	else if (k->size >= 4 && !memcmp(k->data, "\177ELF", 4))
		is = "an ELF file without a Multiboot 1 header: for Linux, use the bzImage "
		     "(vmlinuz)";
	snprintf(err, errlen, "kernel '%s' is %s", k->path, is);
	return false;
}

bool boot_open(struct boot *b, const char *kernel, const char *initrd, const char *append,
	       uint64_t ram, char *err, size_t errlen)
{
	memset(b, 0, sizeof(*b));
	b->append = append ? append : "";
	if (!kernel)
		image_embed(&b->kernel, "built-in guest", ringfence_default_guest,
			    ringfence_default_guest_size);
	else if (!image_read(&b->kernel, kernel, "kernel", ram, err, errlen))
		return false;
	if (!recognize(b, err, errlen))
		return false;
	if (!initrd)
		return true;
	if (b->protocol == BOOT_MULTIBOOT)
		return read_modules(b, initrd, ram, err, errlen);
	b->module_count = 1;
	return image_read(&b->modules[0].image, initrd, "initrd", ram, err, errlen);
}

void boot_close(struct boot *b)
{
	for (unsigned i = 0; i < b->module_count; i++) {
		image_free(&b->modules[i].image);
		free(b->modules[i].text);
		free(b->modules[i].path);
	}
	image_free(&b->kernel);
	b->module_count = 0;
}

bool boot_load(const struct boot *b, const struct boot_target *t, char *err, size_t errlen)
{
	if (b->protocol == BOOT_LINUX)
		return linux_load(b, t, err, errlen);
	return multiboot_load(b, t, err, errlen);
}

uint8_t *boot_ram(const struct boot_target *t, uint64_t at, uint64_t len)
{
	/* Inside one RAM entry of the map: reserved areas (ACPI tables, ROM) are not the loader's.
	 */
	for (unsigned i = 0; i < t->e820_count; i++) {
		const struct e820_entry *e = &t->e820[i];
		if (e->type == 1 && at >= e->base && len <= e->len && at - e->base <= e->len - len)
			return physmap_host(t->map, gpa(at), len);
	}
	return NULL;
}

uint64_t boot_extended_end(const struct boot_target *t)
{
	const uint64_t mib = 1 << 20, limit = 1ull << 32;
	for (unsigned i = 0; i < t->e820_count; i++) {
		const struct e820_entry *e = &t->e820[i];
		if (e->type == 1 && e->base <= mib && e->len > mib - e->base)
			return e->base + e->len < limit ? e->base + e->len : limit;
	}
	return mib;
}

/* SDM, "Segment Descriptors": base 0, limit 4 GiB, 32-bit, DPL 0. */
static void flat_segment(struct cpu *c, unsigned seg, uint16_t sel, unsigned type)
{
	c->seg[seg] = (struct cpu_segment){
		.base = 0,
		.limit = 0xffffffff,
		.sel = sel,
		.attr = (uint16_t)(type | SEG_ACCESSED | SEG_S | SEG_P | SEG_DB | SEG_G),
	};
}

void boot_enter_flat(struct cpu *c, struct physmap *map, gpa_t at, uint32_t entry)
{
	const uint64_t code = 0x00cf9b000000ffffull, data = 0x00cf93000000ffffull;
	uint8_t *gdt = physmap_host(map, at, BOOT_GDT_SIZE);
	memset(gdt, 0, BOOT_GDT_SIZE);
	put64(gdt + BOOT_CS, code);
	put64(gdt + BOOT_DS, data);
	c->gdtr = (struct cpu_table){.base = at.v, .limit = BOOT_GDT_SIZE - 1};
	flat_segment(c, S_CS, BOOT_CS, SEG_CODE | SEG_WRITE);
	static const uint8_t data_segments[] = {S_ES, S_SS, S_DS, S_FS, S_GS};
	for (size_t i = 0; i < sizeof(data_segments); i++)
		flat_segment(c, data_segments[i], BOOT_DS, SEG_WRITE);
	c->cr0 = (c->cr0 & ~(uint32_t)CR0_PG) | CR0_PE;
	c->cpl = 0;
	c->eflags = FL_FIXED1;
	c->rip = entry;
	memset(c->gpr, 0, sizeof(c->gpr));
}
