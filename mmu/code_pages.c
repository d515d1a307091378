/*
 * Which pages hold translated code. One bit for each page of the memfd, so aliases in
 * guest-physical space cannot exist and a run of frames is scanned a word at a time.
 *
 * Marking write-protects the page everywhere at once (the hook); unmarking gives nothing back:
 * the next write faults, finds the bit clear and raises the rights of that page.
 */
#include "mmu/internal.h"

void physmap_set_code_listener(struct physmap *pm, const struct code_listener *l)
{
	pm->listener = l ? *l : (struct code_listener){0};
}

static bool bit(const struct physmap *pm, uint64_t page)
{
	return pm->code[page / 64] >> (page % 64) & 1;
}

bool physmap_is_code(const struct physmap *pm, gpa_t page)
{
	uint64_t offset = physmap_file_offset(pm, page);

	return offset != ~0ull && bit(pm, offset >> PAGE_SHIFT);
}

void physmap_mark_code(struct physmap *pm, gpa_t page)
{
	uint64_t offset = physmap_file_offset(pm, page);
	uint64_t n = offset >> PAGE_SHIFT;

	if (offset == ~0ull || bit(pm, n))
		return;
	pm->code[n / 64] |= 1ull << (n % 64);
	if (pm->hooks.code_marked)
		pm->hooks.code_marked(pm->hooks.ctx, gpa(page.v & ~(uint64_t)PAGE_MASK));
}

void physmap_unmark_code(struct physmap *pm, gpa_t page)
{
	uint64_t offset = physmap_file_offset(pm, page);
	uint64_t n = offset >> PAGE_SHIFT;

	if (offset != ~0ull)
		pm->code[n / 64] &= ~(1ull << (n % 64));
}

void code_pages_notify(struct physmap *pm, uint64_t addr, unsigned len)
{
	if (!pm->listener.written)
		return;
	while (len) {
		unsigned in_page = PAGE_SIZE - (unsigned)(addr & PAGE_MASK);
		unsigned n = len < in_page ? len : in_page;

		if (physmap_is_code(pm, gpa(addr)))
			pm->listener.written(pm->listener.ctx, gpa(addr), n);
		addr += n;
		len -= n;
	}
}

uint64_t code_pages_next(const struct physmap *pm, uint64_t first, uint64_t last, bool marked)
{
	uint64_t page = first;

	while (page <= last) {
		uint64_t word = pm->code[page / 64];

		if (!marked)
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
