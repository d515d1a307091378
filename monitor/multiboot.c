/*
 * Multiboot 1 kernels: ELF32, and any format with the a.out kludge (Multiboot Specification 0.6.96,
 * "OS image format", "Machine state", "Boot information format").
 *
 *   guest memory           what
 *   where the image says   the kernel
 *   behind it, by pages    modules
 *   00010000h              GDT, boot information, strings; behind the modules when the kernel is
 * there
 *
 * The kernel image is data: everything its headers say is checked.
 */
#include "monitor/boot.h"
#include "monitor/options.h"

#include <stdio.h>
#include <string.h>

enum {
	HEADER_MAGIC = 0x1badb002,
	BOOT_MAGIC = 0x2badb002,
	SEARCH = 8192, /* the header lies wholly within these first bytes */
	HEADER_SIZE = 12,
	KLUDGE_SIZE = 32,
	FLAG_KLUDGE = 1 << 16,
	FLAG_MUST_KNOW =
		0xfff8, /* bits 0-2: page alignment, memory, video (a wish that may be ignored) */
	INFO_AT = 0x10000,
	MODULES_AT_LEAST = 0x100000,
};

enum { /* boot information: flags and offsets */
       INFO_MEMORY = 1 << 0,
       INFO_COMMAND = 1 << 2,
       INFO_MODULES = 1 << 3,
       INFO_MMAP = 1 << 6,
       INFO_LOADER = 1 << 9,
       IN_FLAGS = 0,
       IN_MEM_LOWER = 4,
       IN_MEM_UPPER = 8,
       IN_COMMAND = 16,
       IN_MODULES = 20, /* count, address */
       IN_MMAP = 44,	/* length, address */
       IN_LOADER = 64,
       INFO_SIZE = 88,
       MODULE_SIZE = 16,
       MMAP_SIZE = 24,
};

enum { /* ELF32 */
       EH_TYPE = 16,
       EH_MACHINE = 18,
       EH_ENTRY = 24,
       EH_PHOFF = 28,
       EH_PHENTSIZE = 42,
       EH_PHNUM = 44,
       EH_SIZE = 52,
       PH_TYPE = 0,
       PH_OFFSET = 4,
       PH_VADDR = 8,
       PH_PADDR = 12,
       PH_FILESZ = 16,
       PH_MEMSZ = 20,
       PH_SIZE = 32,
       PT_LOAD = 1,
       EM_386 = 3,
};

/* A load in progress. */
struct load {
	const struct boot *boot;
	const struct boot_target *target;
	char *err;
	size_t errlen;
	uint64_t info_len;
	bool info_blocked; /* the kernel is where the boot information would go */
	uint64_t end;	   /* first byte behind everything loaded */
	uint32_t entry;
	uint32_t module_start[BOOT_MAX_MODULES];
};

static bool refuse(struct load *l, const char *why)
{
	snprintf(l->err, l->errlen, "kernel '%s': %s", l->boot->kernel.path, why);
	return false;
}

/* Offset of the header in the file, or -1. */
static long find_header(const struct image *k)
{
	size_t limit = k->size < SEARCH ? k->size : SEARCH;
	for (size_t at = 0; at + HEADER_SIZE <= limit; at += 4) {
		const uint8_t *p = k->data + at;
		if (get32(p) == HEADER_MAGIC && get32(p) + get32(p + 4) + get32(p + 8) == 0)
			return (long)at;
	}
	return -1;
}

bool multiboot_recognize(const struct image *k)
{
	return find_header(k) >= 0;
}

/* Copy `filesz` bytes of the file and clear up to `memsz`. */
static bool load_segment(struct load *l, uint64_t offset, uint64_t paddr, uint64_t filesz,
			 uint64_t memsz)
{
	const struct image *k = &l->boot->kernel;
	if (!memsz)
		return true;
	if (offset > k->size || filesz > k->size - offset)
		return refuse(l, "the file is truncated: a segment lies beyond its end");
	if (filesz > memsz)
		return refuse(
			l, "a segment is larger in the file than in memory: the file is damaged");
	uint8_t *where = boot_ram(l->target, paddr, memsz);
	if (!where) {
		snprintf(l->err, l->errlen,
			 "kernel '%s' wants to be at %llxh-%llxh, where the guest has no RAM: "
			 "raise -m",
			 k->path, (unsigned long long)paddr,
			 (unsigned long long)(paddr + memsz - 1));
		return false;
	}
	memcpy(where, k->data + offset, filesz);
	memset(where + filesz, 0, memsz - filesz);
	if (paddr < INFO_AT + l->info_len && paddr + memsz > INFO_AT)
		l->info_blocked = true;
	if (paddr + memsz > l->end)
		l->end = paddr + memsz;
	return true;
}

static bool load_kludge(struct load *l, long at)
{
	const struct image *k = &l->boot->kernel;
	if (k->size - (size_t)at < KLUDGE_SIZE)
		return refuse(l, "the file is truncated: its Multiboot header is incomplete");
	const uint8_t *h = k->data + at;
	uint64_t header_addr = get32(h + 12), start = get32(h + 16), load_end = get32(h + 20);
	uint64_t bss_end = get32(h + 24);
	if (start > header_addr || header_addr - start > (uint64_t)at)
		return refuse(l, "its Multiboot header has impossible load addresses");
	uint64_t offset = (uint64_t)at - (header_addr - start);
	uint64_t filesz = load_end ? load_end - start : k->size - offset;
	uint64_t memsz = bss_end ? bss_end - start : filesz;
	if ((load_end && load_end < start) || (bss_end && bss_end < start + filesz))
		return refuse(l, "its Multiboot header has impossible load addresses");
	l->entry = get32(h + 28);
	return load_segment(l, offset, start, filesz, memsz);
}

static bool load_elf(struct load *l)
{
	const struct image *k = &l->boot->kernel;
	const uint8_t *eh = k->data;
	if (k->size < EH_SIZE || memcmp(eh, "\177ELF", 4))
		return refuse(l, "it is no ELF file and its Multiboot header has no addresses");
	if (eh[4] != 1 || eh[5] != 1 || get16(eh + EH_MACHINE) != EM_386)
		return refuse(l,
			      "it is not a 32-bit x86 ELF file: 64-bit kernels are not supported");
	uint64_t phoff = get32(eh + EH_PHOFF);
	unsigned size = get16(eh + EH_PHENTSIZE), count = get16(eh + EH_PHNUM);
	if (size < PH_SIZE || !count || phoff > k->size || (uint64_t)size * count > k->size - phoff)
		return refuse(l, "the file is truncated: its program headers are incomplete");
	uint32_t entry = get32(eh + EH_ENTRY);
	l->entry = entry;
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *ph = k->data + phoff + (uint64_t)size * i;
		if (get32(ph + PH_TYPE) != PT_LOAD)
			continue;
		uint32_t vaddr = get32(ph + PH_VADDR), paddr = get32(ph + PH_PADDR),
			 memsz = get32(ph + PH_MEMSZ);
		if (!load_segment(l, get32(ph + PH_OFFSET), paddr, get32(ph + PH_FILESZ), memsz))
			return false;
		/* Kernels linked high give a virtual entry; paging is off, so the physical one is
		 * meant. */
		if (entry - vaddr < memsz)
			l->entry = entry - vaddr + paddr;
	}
	return l->end ? true : refuse(l, "it has nothing to load");
}

static bool load_modules(struct load *l)
{
	uint64_t at = l->end > MODULES_AT_LEAST ? l->end : MODULES_AT_LEAST;
	for (unsigned i = 0; i < l->boot->module_count; i++) {
		const struct image *m = &l->boot->modules[i].image;
		at = (at + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
		uint8_t *where = boot_ram(l->target, at, m->size);
		if (!where) {
			snprintf(
				l->err, l->errlen,
				"module '%s' (%zu KiB) does not fit into the guest's RAM: raise -m",
				m->path, m->size >> 10);
			return false;
		}
		memcpy(where, m->data, m->size);
		l->module_start[i] = (uint32_t)at;
		at += m->size;
	}
	l->end = at;
	return true;
}

/* Bytes that the boot information takes, strings included. */
static uint64_t info_length(const struct boot *b, const struct boot_target *t)
{
	uint64_t n = BOOT_GDT_SIZE + INFO_SIZE + sizeof("ringfence " RINGFENCE_VERSION);
	n += t->e820_count * MMAP_SIZE + b->module_count * MODULE_SIZE;
	n += strlen(b->kernel.path) + strlen(b->append) + 2;
	for (unsigned i = 0; i < b->module_count; i++)
		n += strlen(b->modules[i].text) + 1;
	return n;
}

/* A place in guest memory that is written from front to back. */
struct writer {
	uint8_t *host;
	uint32_t at;
};

static struct writer take(struct writer *w, size_t len)
{
	struct writer taken = *w;
	w->host += len;
	w->at += (uint32_t)len;
	return taken;
}

static uint32_t put_string(struct writer *w, const char *first, const char *second)
{
	size_t a = strlen(first), b = second ? strlen(second) : 0;
	struct writer s = take(w, a + b + 1 + (second != NULL));
	memcpy(s.host, first, a);
	if (second) {
		s.host[a] = ' ';
		memcpy(s.host + a + 1, second, b);
	}
	s.host[a + b + (second != NULL)] = '\0';
	return s.at;
}

static void put_mmap(uint8_t *info, struct writer *w, const struct boot_target *t)
{
	struct writer map = take(w, t->e820_count * MMAP_SIZE);
	for (unsigned i = 0; i < t->e820_count; i++) {
		uint8_t *e = map.host + i * MMAP_SIZE;
		put32(e, MMAP_SIZE - 4); /* the size field does not count itself */
		put64(e + 4, t->e820[i].base);
		put64(e + 12, t->e820[i].len);
		put32(e + 20, t->e820[i].type);
	}
	put32(info + IN_MMAP, t->e820_count * MMAP_SIZE);
	put32(info + IN_MMAP + 4, map.at);
}

static void put_modules(const struct load *l, uint8_t *info, struct writer *w)
{
	const struct boot *b = l->boot;
	struct writer list = take(w, b->module_count * MODULE_SIZE);
	for (unsigned i = 0; i < b->module_count; i++) {
		uint8_t *m = list.host + i * MODULE_SIZE;
		put32(m, l->module_start[i]);
		put32(m + 4, l->module_start[i] + (uint32_t)b->modules[i].image.size);
		put32(m + 8, put_string(w, b->modules[i].text, NULL));
		put32(m + 12, 0);
	}
	put32(info + IN_MODULES, b->module_count);
	put32(info + IN_MODULES + 4, list.at);
}

/* Write GDT and boot information, and enter the kernel ("Machine state"). */
static bool enter(struct load *l)
{
	const struct boot_target *t = l->target;
	const char *append = l->boot->append;
	uint64_t at = l->info_blocked ? (l->end + PAGE_MASK) & ~(uint64_t)PAGE_MASK : INFO_AT;
	struct writer w = {boot_ram(t, at, l->info_len), (uint32_t)at};
	if (!w.host)
		return refuse(l, "there is no RAM left for the boot information: raise -m");
	memset(w.host, 0, l->info_len);
	take(&w, BOOT_GDT_SIZE);
	struct writer info = take(&w, INFO_SIZE);
	put_mmap(info.host, &w, t);
	put_modules(l, info.host, &w);
	put32(info.host + IN_FLAGS,
	      INFO_MEMORY | INFO_COMMAND | INFO_MODULES | INFO_MMAP | INFO_LOADER);
	put32(info.host + IN_MEM_LOWER, 640);
	put32(info.host + IN_MEM_UPPER, (uint32_t)((boot_extended_end(t) - (1 << 20)) >> 10));
	put32(info.host + IN_COMMAND,
	      put_string(&w, l->boot->kernel.path, *append ? append : NULL));
	put32(info.host + IN_LOADER, put_string(&w, "ringfence " RINGFENCE_VERSION, NULL));
	boot_enter_flat(t->cpu, t->map, gpa(at), l->entry);
	t->cpu->gpr[R_EAX] = BOOT_MAGIC;
	t->cpu->gpr[R_EBX] = info.at;
	return true;
}

bool multiboot_load(const struct boot *b, const struct boot_target *t, char *err, size_t errlen)
{
	struct load l = {.boot = b,
			 .target = t,
			 .err = err,
			 .errlen = errlen,
			 .info_len = info_length(b, t)};
	long at = find_header(&b->kernel);
	if (at < 0)
		return refuse(&l, "it has no Multiboot header");
	uint32_t flags = get32(b->kernel.data + at + 4);
	if (flags & FLAG_MUST_KNOW)
		return refuse(
			&l,
			"its Multiboot header asks for a feature that Multiboot 1 does not have");
	if (!(flags & FLAG_KLUDGE ? load_kludge(&l, at) : load_elf(&l)))
		return false;
	return load_modules(&l) && enter(&l);
}
