/*
 * Linux bzImage by the 32-bit boot protocol (Linux, Documentation/x86/boot.rst, "32-bit Boot
 * Protocol").
 *
 *   guest memory       what
 *   00010000h          zero page (struct boot_params)
 *   00011000h          GDT
 *   00020000h          command line
 *   00100000h          protected-mode kernel, entered here; it decompresses itself to pref_address
 *   ... top of RAM     initrd, as high as the kernel can reach it
 *
 * The kernel image is data: everything its header says is checked.
 */
#include "monitor/boot.h"

#include <stdio.h>
#include <string.h>

enum {
	ZERO_PAGE = 0x10000,
	GDT = 0x11000,
	COMMAND_LINE = 0x20000,
	COMMAND_LINE_ROOM = 0x10000,
	KERNEL = 0x100000,
};

/* Offsets in the file's first sectors and, the same, in the zero page ("The Real-Mode Kernel
 * Header"). */
enum {
	HDR_START = 0x1f1, /* setup_sects; the header is copied from here */
	HDR_SYSSIZE = 0x1f4,
	HDR_VID_MODE = 0x1fa,
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP = 0x201, /* second byte of the jump: length of the header after 202h */
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_TYPE_OF_LOADER = 0x210,
	HDR_LOADFLAGS = 0x211,
	HDR_CODE32_START = 0x214,
	HDR_RAMDISK_IMAGE = 0x218,
	HDR_RAMDISK_SIZE = 0x21c,
	HDR_CMD_LINE_PTR = 0x228,
	HDR_INITRD_ADDR_MAX = 0x22c,
	HDR_KERNEL_ALIGNMENT = 0x230,
	HDR_CMDLINE_SIZE = 0x238,
	HDR_PREF_ADDRESS = 0x258,
	HDR_INIT_SIZE = 0x260,
	HDR_END_MIN = 0x22c, /* what version 2.02 has */
	HDR_END_MAX = 0x290, /* where the zero page's next field is */
	LOADED_HIGH = 1,
};

/* Offsets in the zero page alone ("The zero page"). */
enum {
	ZP_ALT_MEM_K = 0x1e0,
	ZP_ACPI_RSDP = 0x070,
	ZP_E820_ENTRIES = 0x1e8,
	ZP_E820_TABLE = 0x2d0,
	ZP_E820_MAX = 128,
	ZP_SIZE = 4096,
};

/* The header, reduced to what loading needs. */
struct linux_header {
	unsigned version;
	unsigned end;	   /* of the setup header in the file */
	size_t setup_size; /* real-mode part */
	size_t kernel_size;
	uint64_t initrd_max;	       /* last address the initrd may occupy */
	uint64_t command_max;	       /* characters without the final zero */
	uint64_t room_start, room_end; /* what the kernel occupies until it has set itself up */
};

bool linux_recognize(const struct image *k)
{
	return k->size >= HDR_VERSION + 2 && get16(k->data + HDR_BOOT_FLAG) == 0xaa55 &&
	       !memcmp(k->data + HDR_MAGIC, "HdrS", 4);
}

static bool refuse(const struct image *k, const char *why, char *err, size_t errlen)
{
	snprintf(err, errlen, "kernel '%s': %s", k->path, why);
	return false;
}

/* Where the kernel will be while it decompresses itself: here, or at its preferred address. */
static void find_room(struct linux_header *h, const uint8_t *data)
{
	h->room_start = KERNEL;
	h->room_end = KERNEL + h->kernel_size;
	if (h->version < 0x20a || h->end < HDR_INIT_SIZE + 4)
		return;
	uint64_t preferred = get64(data + HDR_PREF_ADDRESS);
	uint64_t end = (preferred > KERNEL && preferred < 1ull << 32 ? preferred : KERNEL) +
		       get32(data + HDR_INIT_SIZE);
	if (end > h->room_end)
		h->room_end = end;
}

static bool parse_header(struct linux_header *h, const struct image *k, char *err, size_t errlen)
{
	const uint8_t *data = k->data;
	memset(h, 0, sizeof(*h));
	h->version = get16(data + HDR_VERSION);
	h->end = HDR_MAGIC + data[HDR_JUMP];
	if (h->end > HDR_END_MAX)
		h->end = HDR_END_MAX;
	if (h->version < 0x202)
		return refuse(k, "its boot protocol is older than 2.02: use a newer kernel", err,
			      errlen);
	if (h->end < HDR_END_MIN || k->size < HDR_END_MAX)
		return refuse(k, "the setup header is incomplete: the file is damaged", err,
			      errlen);
	if (!(data[HDR_LOADFLAGS] & LOADED_HIGH))
		return refuse(k, "it is a zImage: use a bzImage", err, errlen);
	unsigned sectors = data[HDR_START] ? data[HDR_START] : 4;
	h->setup_size = (sectors + 1) * 512u;
	uint64_t claimed = h->setup_size + (uint64_t)get32(data + HDR_SYSSIZE) * 16;
	/*
	 * Before 2.04 syssize had two bytes that meant little for a bzImage. It counts paragraphs, of which the
	 * last need not be whole (memtest86+).
	 */
	if (k->size <= h->setup_size || (h->version >= 0x204 && k->size + 15 < claimed))
		return refuse(k, "the file is truncated", err, errlen);
	h->kernel_size = k->size - h->setup_size;
	h->initrd_max = h->version >= 0x203 ? get32(data + HDR_INITRD_ADDR_MAX) : 0x37ffffff;
	h->command_max = h->version >= 0x206 && h->end >= HDR_CMDLINE_SIZE + 4
				 ? get32(data + HDR_CMDLINE_SIZE)
				 : 255;
	if (h->command_max > COMMAND_LINE_ROOM - 1)
		h->command_max = COMMAND_LINE_ROOM - 1;
	find_room(h, data);
	return true;
}

/* Place the initrd at the top of RAM; its address in *at. */
static bool load_initrd(const struct boot *b, const struct boot_target *t,
			const struct linux_header *h, uint32_t *at, char *err, size_t errlen)
{
	const struct image *rd = &b->modules[0].image;
	uint64_t top = boot_extended_end(t);
	if (top > h->initrd_max + 1)
		top = h->initrd_max + 1;
	uint64_t start = top >= rd->size ? (top - rd->size) & ~(uint64_t)PAGE_MASK : 0;
	uint8_t *where = start >= h->room_end ? boot_ram(t, start, rd->size) : NULL;
	if (!where) {
		snprintf(err, errlen,
			 "initrd '%s' (%zu KiB) does not fit into the guest's RAM beside the "
			 "kernel (which needs "
			 "%llu KiB): raise -m",
			 rd->path, rd->size >> 10, (unsigned long long)h->room_end >> 10);
		return false;
	}
	memcpy(where, rd->data, rd->size);
	*at = (uint32_t)start;
	return true;
}

static bool load_command_line(const struct boot *b, const struct boot_target *t,
			      const struct linux_header *h, char *err, size_t errlen)
{
	size_t len = strlen(b->append);
	if (len > h->command_max) {
		snprintf(err, errlen,
			 "-append has %zu characters, but the kernel takes %llu: shorten it", len,
			 (unsigned long long)h->command_max);
		return false;
	}
	memcpy(physmap_host(t->map, gpa(COMMAND_LINE), COMMAND_LINE_ROOM), b->append, len + 1);
	return true;
}

static void fill_e820(uint8_t *zp, const struct boot_target *t)
{
	unsigned n = t->e820_count < ZP_E820_MAX ? t->e820_count : ZP_E820_MAX;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *e = zp + ZP_E820_TABLE + i * 20;
		put64(e, t->e820[i].base);
		put64(e + 8, t->e820[i].len);
		put32(e + 16, t->e820[i].type);
	}
	zp[ZP_E820_ENTRIES] = (uint8_t)n;
	put32(zp + ZP_ALT_MEM_K, (uint32_t)((boot_extended_end(t) - KERNEL) >> 10));
}

static void fill_zero_page(const struct boot *b, const struct boot_target *t,
			   const struct linux_header *h, uint32_t initrd)
{
	const uint8_t *file = b->kernel.data;
	uint8_t *zp = physmap_host(t->map, gpa(ZERO_PAGE), ZP_SIZE);
	memset(zp, 0, ZP_SIZE);
	memcpy(zp + HDR_START, file + HDR_START, h->end - HDR_START);
	fill_e820(zp, t);
	if (h->version >= 0x20e)
		put64(zp + ZP_ACPI_RSDP, t->rsdp.v);
	put16(zp + HDR_VID_MODE, 0xffff); /* "normal" */
	zp[HDR_TYPE_OF_LOADER] = 0xff;	  /* no registered loader */
	put32(zp + HDR_CODE32_START, KERNEL);
	put32(zp + HDR_CMD_LINE_PTR, COMMAND_LINE);
	put32(zp + HDR_RAMDISK_IMAGE, initrd);
	put32(zp + HDR_RAMDISK_SIZE, initrd ? (uint32_t)b->modules[0].image.size : 0);
}

bool linux_load(const struct boot *b, const struct boot_target *t, char *err, size_t errlen)
{
	struct linux_header h;
	uint32_t initrd = 0;
	if (!parse_header(&h, &b->kernel, err, errlen))
		return false;
	/* The image itself must be there now, what it grows to must be there when it runs. */
	uint8_t *where = boot_ram(t, KERNEL, h.kernel_size);
	if (!where || h.room_end > boot_extended_end(t)) {
		snprintf(err, errlen, "kernel '%s' needs %llu MiB of RAM at least: raise -m",
			 b->kernel.path, (unsigned long long)(h.room_end + 0xfffff) >> 20);
		return false;
	}
	if (!boot_ram(t, ZERO_PAGE, COMMAND_LINE + COMMAND_LINE_ROOM - ZERO_PAGE)) {
		snprintf(err, errlen, "the machine has no low memory for the kernel's parameters");
		return false;
	}
	if (b->module_count && !load_initrd(b, t, &h, &initrd, err, errlen))
		return false;
	if (!load_command_line(b, t, &h, err, errlen))
		return false;
	memcpy(where, b->kernel.data + h.setup_size, h.kernel_size);
	fill_zero_page(b, t, &h, initrd);
	boot_enter_flat(t->cpu, t->map, gpa(GDT), KERNEL);
	t->cpu->gpr[R_ESI] = ZERO_PAGE;
	return true;
}
