/*
 * Guarded pages: those with translated code, and page tables at rest (quiet.c). One bit for each page of the memfd, so aliases in
 * guest-physical space cannot exist and a run of frames is scanned a word at a time.
 *
 * Guarding write-protects the page everywhere at once (the hook); the end of it gives nothing back:
 * the next write faults, finds the bit clear and raises the rights of that page.
 */
#include "mmu/internal.h"

enum { NOWHERE = -1 };

void physmap_set_code_listener(struct physmap *pm, const struct code_listener *l)
{
	pm->listener = l ? *l : (struct code_listener){0};
}

static bool bit(const uint64_t *map, int64_t page)
{
	return page != NOWHERE && (map[page / 64] >> (page % 64) & 1);
}

static void set(uint64_t *map, int64_t page, bool on)
{
	uint64_t mask = 1ull << (page % 64);

	map[page / 64] = on ? map[page / 64] | mask : map[page / 64] & ~mask;
}

static int64_t file_page(const struct physmap *pm, gpa_t a)
{
	uint64_t offset = physmap_file_offset(pm, a);

	return offset == ~0ull ? NOWHERE : (int64_t)(offset >> PAGE_SHIFT);
}

bool guard_has(const struct physmap *pm, gpa_t page)
{
	return bit(pm->guarded, file_page(pm, page));
}

bool guard_is_table(const struct physmap *pm, gpa_t page)
{
	return bit(pm->table, file_page(pm, page));
}

static void guard(struct physmap *pm, gpa_t page, int64_t n)
{
	set(pm->guarded, n, true);
	if (pm->hooks.guarded)
		pm->hooks.guarded(pm->hooks.ctx, gpa(page.v & ~(uint64_t)PAGE_MASK));
}

/* ---- code ---- */

bool physmap_is_code(const struct physmap *pm, gpa_t page)
{
	return guard_has(pm, page) && !guard_is_table(pm, page);
}

void physmap_mark_code(struct physmap *pm, gpa_t page)
{
	int64_t n = file_page(pm, page);

	guard_table_written(pm, page);
	if (n != NOWHERE && !bit(pm->guarded, n))
		guard(pm, page, n);
}

void physmap_unmark_code(struct physmap *pm, gpa_t page)
{
	int64_t n = file_page(pm, page);

	if (n != NOWHERE && !bit(pm->table, n))
		set(pm->guarded, n, false);
}

/* ---- tables ---- */

bool guard_table(struct physmap *pm, gpa_t page)
{
	int64_t n = file_page(pm, page);

	if (n == NOWHERE || physmap_kind(pm, page) != PAGE_RAM)
		return false;
	if (bit(pm->guarded, n))
		return bit(pm->table, n);
	set(pm->table, n, true);
	guard(pm, page, n);
	return true;
}

bool guard_table_written(struct physmap *pm, gpa_t page)
{
	int64_t n = file_page(pm, page);

	if (!bit(pm->table, n))
		return false;
	set(pm->table, n, false);
	set(pm->guarded, n, false);
	if (pm->hooks.table_written)
		pm->hooks.table_written(pm->hooks.ctx);
	return true;
}

/* ---- writes ---- */

void guard_notify(struct physmap *pm, uint64_t addr, unsigned len)
{
	while (len) {
		unsigned in_page = PAGE_SIZE - (unsigned)(addr & PAGE_MASK);
		unsigned n = len < in_page ? len : in_page;

		if (guard_has(pm, gpa(addr)) && !guard_table_written(pm, gpa(addr)) && pm->listener.written)
			pm->listener.written(pm->listener.ctx, gpa(addr), n);
		addr += n;
		len -= n;
	}
}

uint64_t guard_next(const struct physmap *pm, uint64_t first, uint64_t last, bool guarded)
{
	uint64_t page = first;

	while (page <= last) {
		uint64_t word = pm->guarded[page / 64];

		if (!guarded)
			word = ~word;
		word >>= page % 64;
		if (word) {
			page += (unsigned)__builtin_ctzll(word);
			return page <= last ? page : last + 1;
		}
		page = (page | 63) + 1;
	}
	return last + 1;
}
