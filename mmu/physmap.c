/*
 * The guest physical map: which guest-physical address is RAM, ROM, a device or nothing.
 *
 * RAM and ROM live in one memfd, so that windows (and later worlds) can map the same pages
 * at other host addresses. The file is the guest's low memory from 0 followed by
 * what lies above 4 GiB:
 *
 *   guest   0      A0000  C0000  100000      below      4 GiB      4 GiB + above
 *           | RAM  | (VGA)| ROM  | RAM       |  (hole)  | RAM      |
 *   file    0      A0000  C0000  100000      below                 below + above
 *
 * The VGA stretch of the file is never shown. RAM wins where a guest moves a device over it.
 */
#include "mmu/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VGA_START 0xa0000ull
#define ROM_START 0xc0000ull
#define ROM_END	  0x100000ull
#define FOUR_GIB  (1ull << 32)

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void add_range(struct physmap *pm, uint64_t start, uint64_t end, uint64_t file,
		      enum page_kind kind)
{
	if (start < end)
		pm->range[pm->ranges++] = (struct phys_range){start, end, file, kind};
}

/* Most used first: look-ups scan in order. */
static void lay_out(struct physmap *pm, uint64_t bytes)
{
	uint64_t low_file;

	pm->ram = bytes;
	pm->below = min64(bytes, PHYSMAP_HOLE_START);
	pm->above = bytes - pm->below;
	/* ROM exists however little RAM there is */
	low_file = pm->below > ROM_END ? pm->below : ROM_END;
	pm->file_size = low_file + pm->above;
	add_range(pm, ROM_END, pm->below, ROM_END, PAGE_RAM);
	add_range(pm, 0, min64(pm->below, VGA_START), 0, PAGE_RAM);
	add_range(pm, FOUR_GIB, FOUR_GIB + pm->above, low_file, PAGE_RAM);
	add_range(pm, ROM_START, ROM_END, ROM_START, PAGE_ROM);
}

static bool allocate(struct physmap *pm, char *err, size_t errlen)
{
	pm->fd = memfd_create("guest-ram", MFD_CLOEXEC);
	if (pm->fd < 0 || ftruncate(pm->fd, (off_t)pm->file_size) < 0) {
		snprintf(err, errlen, "cannot create %llu bytes of guest memory: %s",
			 (unsigned long long)pm->file_size, strerror(errno));
		return false;
	}
	pm->host = mmap(NULL, pm->file_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			pm->fd, 0);
	if (pm->host == MAP_FAILED) {
		pm->host = NULL;
		snprintf(err, errlen, "cannot map %llu bytes of guest memory: %s",
			 (unsigned long long)pm->file_size, strerror(errno));
		return false;
	}
	pm->guarded = calloc((pm->file_size >> PAGE_SHIFT) / 64 + 1, sizeof(*pm->guarded));
	pm->table = calloc((pm->file_size >> PAGE_SHIFT) / 64 + 1, sizeof(*pm->table));
	if (!pm->guarded || !pm->table) {
		snprintf(err, errlen, "out of memory for the guest memory map");
		return false;
	}
	return true;
}

struct physmap *physmap_create(uint64_t bytes, char *err, size_t errlen)
{
	struct physmap *pm;

	if (bytes == 0 || bytes % PAGE_SIZE ||
	    bytes > PHYSMAP_HOLE_START + (1ull << PHYS_BITS) - FOUR_GIB) {
		snprintf(
			err, errlen,
			"guest memory of %llu bytes: must be a multiple of 4 KiB, at most 63.5 GiB",
			(unsigned long long)bytes);
		return NULL;
	}
	pm = calloc(1, sizeof(*pm));
	if (!pm) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	pm->fd = -1;
	pm->a20_mask = ~0ull;
	lay_out(pm, bytes);
	if (!allocate(pm, err, errlen)) {
		physmap_destroy(pm);
		return NULL;
	}
	return pm;
}

void physmap_destroy(struct physmap *pm)
{
	if (!pm)
		return;
	if (pm->host)
		munmap(pm->host, pm->file_size);
	if (pm->fd >= 0)
		close(pm->fd);
	free(pm->guarded);
	free(pm->table);
	free(pm);
}

int physmap_fd(const struct physmap *pm)
{
	return pm->fd;
}
uint64_t physmap_ram_size(const struct physmap *pm)
{
	return pm->ram;
}
uint64_t physmap_below_4g(const struct physmap *pm)
{
	return pm->below;
}
uint64_t physmap_above_4g(const struct physmap *pm)
{
	return pm->above;
}

/* Punching holes gives the memory back to the host and shows zeros through every mapping. */
void physmap_clear_ram(struct physmap *pm)
{
	for (unsigned i = 0; i < pm->ranges; i++) {
		const struct phys_range *r = &pm->range[i];
		uint64_t len = r->end - r->start;

		if (r->kind != PAGE_RAM)
			continue;
		if (fallocate(pm->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->file,
			      (off_t)len) < 0)
			memset(pm->host + r->file, 0, len);
	}
}

void physmap_set_hooks(struct physmap *pm, const struct physmap_hooks *hooks)
{
	pm->hooks = hooks ? *hooks : (struct physmap_hooks){0};
}

void physmap_set_a20(struct physmap *pm, bool on)
{
	uint64_t mask = on ? ~0ull : ~(1ull << 20);

	if (mask == pm->a20_mask)
		return;
	pm->a20_mask = mask;
	if (pm->hooks.a20_changed)
		pm->hooks.a20_changed(pm->hooks.ctx);
}

const struct phys_range *physmap_range(const struct physmap *pm, uint64_t addr)
{
	for (unsigned i = 0; i < pm->ranges; i++)
		if (addr - pm->range[i].start < pm->range[i].end - pm->range[i].start)
			return &pm->range[i];
	return NULL;
}

enum page_kind physmap_kind(const struct physmap *pm, gpa_t a)
{
	const struct phys_range *r = physmap_range(pm, a.v);

	if (r)
		return r->kind;
	return mmio_find(pm, a.v) ? PAGE_MMIO : PAGE_NONE;
}

uint64_t physmap_file_offset(const struct physmap *pm, gpa_t a)
{
	const struct phys_range *r = physmap_range(pm, a.v);

	return r ? r->file + (a.v - r->start) : ~0ull;
}

void *physmap_host(const struct physmap *pm, gpa_t a, uint64_t len)
{
	const struct phys_range *r = physmap_range(pm, a.v);
	gpa_t last = gpa(a.v + len - 1);
	uint64_t offset;

	if (!r)
		return NULL;
	offset = r->file + (a.v - r->start);
	if (len <= r->end - a.v)
		return pm->host + offset;
	if (last.v < a.v || physmap_file_offset(pm, last) != offset + len - 1)
		return NULL;
	/* ROM and the RAM above it are contiguous; across the VGA hole nothing is */
	if (a.v < VGA_START && last.v >= ROM_START)
		return NULL;
	return pm->host + offset;
}

void physmap_read(struct physmap *pm, gpa_t a, void *data, unsigned len)
{
	uint8_t *out = data;
	uint64_t at = a.v;

	while (len) {
		const struct phys_range *r = physmap_range(pm, at);
		const struct mmio_region *io = r ? NULL : mmio_find(pm, at);
		unsigned n;

		if (r) {
			n = (unsigned)min64(len, r->end - at);
			memcpy(out, pm->host + r->file + (at - r->start), n);
		} else if (io) {
			n = mmio_read(io, at, out, len);
		} else {
			n = 1; /* byte by byte: a region may start anywhere */
			*out = 0xff;
			log_line(LOG_GUEST_ERRORS, "Invalid read at addr 0x%llx", (unsigned long long)at);
		}
		out += n;
		at += n;
		len -= n;
	}
}

/* Aligned power-of-two stores must not tear: page-table entries are written this way. */
static void store(uint8_t *to, const uint8_t *from, unsigned n)
{
	if (n == 4 && !((uintptr_t)to & 3)) {
		uint32_t v;
		memcpy(&v, from, 4);
		__atomic_store_n((uint32_t *)to, v, __ATOMIC_RELAXED);
	} else if (n == 8 && !((uintptr_t)to & 7)) {
		uint64_t v;
		memcpy(&v, from, 8);
		__atomic_store_n((uint64_t *)to, v, __ATOMIC_RELAXED);
	} else {
		memcpy(to, from, n);
	}
}

void physmap_write(struct physmap *pm, gpa_t a, const void *data, unsigned len)
{
	const uint8_t *in = data;
	uint64_t at = a.v;

	while (len) {
		const struct phys_range *r = physmap_range(pm, at);
		const struct mmio_region *io = r ? NULL : mmio_find(pm, at);
		unsigned n = 1;

		if (r) {
			n = (unsigned)min64(len, r->end - at);
			if (r->kind == PAGE_RAM) {
				guard_notify(pm, at, n);
				store(pm->host + r->file + (at - r->start), in, n);
			}
		} else if (io) {
			n = mmio_write(io, at, in, len);
		} else {
			log_line(LOG_GUEST_ERRORS, "Invalid write at addr 0x%llx, value 0x%02x",
				 (unsigned long long)at, *in);
		}
		in += n;
		at += n;
		len -= n;
	}
}
