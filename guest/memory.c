/*
 * Physical frames on a free list threaded through the frames themselves, and address spaces.
 *
 * Everything above KERNEL_BASE is the same in every directory and never changes after start (but
 * for the physical window, which only the shell uses on kernel_directory), so directories copy it
 * once.
 */
#include "kernel.h"

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr;
};
struct multiboot_region {
	uint32_t size; /* of the rest */
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

enum { MB_MEMORY = 1, MB_MMAP = 64, REGION_RAM = 1 };
enum pte { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_PS = 128 };
enum { WINDOW = 0xff000000, FIRST_KERNEL_SLOT = 768 };
#define FRAME_OF(entry) to_virtual((entry)&0xfffff000)

struct free_frame {
	struct free_frame *next;
};
static struct free_frame *free_list;
static uint32_t free_count, total_count;
extern uint8_t kernel_end[];

void *frame_alloc(void)
{
	uint32_t flags = irq_save();
	struct free_frame *f = free_list;

	if (f) {
		free_list = f->next;
		free_count--;
	}
	irq_restore(flags);
	return f ? memset(f, 0, PAGE) : NULL;
}

void frame_free(void *frame)
{
	uint32_t flags = irq_save();
	struct free_frame *f = frame;

	f->next = free_list;
	free_list = f;
	free_count++;
	irq_restore(flags);
}

/*
 * Threading the list through memory touches every frame once, so only the first 64 MiB are taken:
 * a start should not cost a write to each page of a large guest.
 */
static void add_region(uint64_t base, uint64_t length)
{
	enum { MOST = 64 << 20 };
	uint64_t end = base + length, lowest = to_physical(kernel_end);

	total_count += length >> 12;
	if (base < lowest)
		base = lowest;
	if (end > MOST)
		end = MOST;
	for (base = (base + PAGE - 1) & ~(uint64_t)(PAGE - 1); base + PAGE <= end; base += PAGE)
		frame_free(to_virtual(base));
}

void memory_init(const struct multiboot_info *info)
{
	if (info->flags & MB_MMAP) {
		uint32_t at = info->mmap_addr, end = at + info->mmap_length;

		while (at < end) {
			const struct multiboot_region *r = to_virtual(at);

			if (r->type == REGION_RAM && r->base >> 32 == 0)
				add_region(r->base, r->length);
			at += r->size + 4;
		}
	} else if (info->flags & MB_MEMORY) {
		add_region(0x100000, (uint64_t)info->mem_upper << 10);
	}
}

uint32_t memory_total_frames(void)
{
	return total_count;
}

uint32_t memory_free_frames(void)
{
	return free_count;
}

void *memory_map_physical(uint32_t pa)
{
	uint32_t slot = (uint32_t)WINDOW >> 22, base = pa & 0xffc00000;

	kernel_directory[slot] = base | PTE_PS | PTE_W | PTE_P;
	kernel_directory[slot + 1] = (base + 0x400000) | PTE_PS | PTE_W | PTE_P;
	load_cr3(to_physical(kernel_directory));
	return (void *)((uint32_t)WINDOW + (pa - base));
}

/* ---- address spaces ---- */

uint32_t *space_create(void)
{
	uint32_t *directory = frame_alloc();

	if (directory)
		memcpy(directory + FIRST_KERNEL_SLOT, kernel_directory + FIRST_KERNEL_SLOT,
		       (1024 - FIRST_KERNEL_SLOT) * sizeof(*directory));
	return directory;
}

void space_destroy(uint32_t *directory)
{
	for (unsigned i = 0; i < FIRST_KERNEL_SLOT; i++) {
		if (!(directory[i] & PTE_P))
			continue;
		uint32_t *table = FRAME_OF(directory[i]);

		for (unsigned j = 0; j < 1024; j++) {
			if (table[j] & PTE_P)
				frame_free(FRAME_OF(table[j]));
		}
		frame_free(table);
	}
	frame_free(directory);
}

bool space_map(uint32_t *directory, uint32_t va, void *frame, bool writable)
{
	uint32_t *slot = &directory[va >> 22], *table;

	if (!(*slot & PTE_P)) {
		table = frame_alloc();
		if (!table)
			return false;
		*slot = to_physical(table) | PTE_P | PTE_W | PTE_U;
	}
	table = FRAME_OF(*slot);
	table[va >> 12 & 1023] = to_physical(frame) | PTE_P | PTE_U | (writable ? PTE_W : 0);
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
	return true;
}

/* The entry that maps va, or 0. */
static uint32_t entry_of(const uint32_t *directory, uint32_t va)
{
	uint32_t slot = directory[va >> 22];

	if (!(slot & PTE_P) || (slot & PTE_PS))
		return slot & PTE_P ? slot : 0;
	slot = ((const uint32_t *)FRAME_OF(slot))[va >> 12 & 1023];
	return slot & PTE_P ? slot : 0;
}

bool space_user_range(const uint32_t *directory, uint32_t va, uint32_t length)
{
	if (va >= (uint32_t)KERNEL_BASE || length > (uint32_t)KERNEL_BASE - va)
		return false;
	for (uint32_t page = va & ~(PAGE - 1); page < va + length; page += PAGE) {
		if (!(entry_of(directory, page) & PTE_U))
			return false;
	}
	return true;
}

bool space_readable(const uint32_t *directory, uint32_t va)
{
	return entry_of(directory, va) != 0;
}

uint32_t space_count_pages(const uint32_t *directory)
{
	uint32_t n = 0;

	if (directory == kernel_directory)
		return 0;
	for (unsigned i = 0; i < FIRST_KERNEL_SLOT; i++) {
		if (!(directory[i] & PTE_P))
			continue;
		const uint32_t *table = FRAME_OF(directory[i]);

		for (unsigned j = 0; j < 1024; j++)
			n += table[j] & PTE_P;
	}
	return n;
}
