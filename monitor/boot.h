/*
 * Loading: from files named on the command line to a guest that stands at its first instruction.
 *
 *   boot_open   reads and checks the files once (may fail, changes nothing else)
 *   boot_load   puts them into guest memory and sets the processor up; again at each reset
 *
 * What the files say is data: every offset, size and address in them is checked against the
 * file or against guest RAM before use.
 */
#ifndef RINGFENCE_MONITOR_BOOT_H
#define RINGFENCE_MONITOR_BOOT_H

#include "cpu/cpu.h"
#include "devices/devices.h"
#include "mmu/mmu.h"

/* ---- image.c: a file in memory ---- */

struct image {
	const char *path; /* for messages; not owned */
	const uint8_t *data;
	size_t size;
	void *owned; /* null when data belongs to somebody else */
};

/* Read a regular file of 1 to `max` bytes; `what` ("kernel") is for the message in err. */
bool image_read(struct image *, const char *path, const char *what, uint64_t max, char *err,
		size_t errlen);
/* An image that is part of the program. */
void image_embed(struct image *, const char *name, const uint8_t *data, size_t size);
void image_free(struct image *);

/* Little-endian fields of a file or table; the caller has checked the bounds. */
static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}
static inline uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}
static inline void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)v);
	put16(p + 2, (uint16_t)(v >> 16));
}
static inline void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

/* ---- boot.c ---- */

enum boot_protocol { BOOT_LINUX, BOOT_MULTIBOOT };
enum { BOOT_MAX_MODULES = 64, BOOT_MAX_E820 = 32 };

struct boot_module {
	struct image image;
	char *text; /* file name and arguments; owned */
	char *path; /* owned */
};

struct boot {
	enum boot_protocol protocol;
	struct image kernel;
	const char *append;			      /* never null */
	struct boot_module modules[BOOT_MAX_MODULES]; /* Linux: the initrd is modules[0] */
	unsigned module_count;
};

/* What a loader writes to. */
struct boot_target {
	struct physmap *map;
	struct cpu *cpu;
	struct e820_entry e820[BOOT_MAX_E820];
	unsigned e820_count;
	gpa_t rsdp;
};

/*
 * Read the files; `ram` bounds their sizes. `kernel` null: the built-in guest. The strings must
 * outlive the boot. On false err has the reason, and boot_close may still be called.
 */
bool boot_open(struct boot *, const char *kernel, const char *initrd, const char *append,
	       uint64_t ram, char *err, size_t errlen);
void boot_close(struct boot *);
/* Fill RAM and the processor's registers. The processor has just been reset. */
MUST_USE bool boot_load(const struct boot *, const struct boot_target *, char *err, size_t errlen);

/* ---- for the loaders ---- */

/* Flat segments as both protocols want them: a GDT at `gdt` (32 bytes of RAM), CS=10h, the rest
 * 18h. */
enum { BOOT_GDT_SIZE = 32, BOOT_CS = 0x10, BOOT_DS = 0x18 };
void boot_enter_flat(struct cpu *, struct physmap *, gpa_t gdt, uint32_t entry);
/* Guest RAM at [at, at+len), or null when that is not all RAM. */
uint8_t *boot_ram(const struct boot_target *, uint64_t at, uint64_t len);
/* Length of the RAM that starts at 1 MiB, as the e820 map has it. */
uint64_t boot_extended_end(const struct boot_target *);

/* Does the file look like this kind of kernel? No more than a magic-number test. */
bool linux_recognize(const struct image *);
bool multiboot_recognize(const struct image *);
MUST_USE bool linux_load(const struct boot *, const struct boot_target *, char *err, size_t errlen);
MUST_USE bool multiboot_load(const struct boot *, const struct boot_target *, char *err,
			     size_t errlen);

#endif
