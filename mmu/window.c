/*
 * Windows as host mappings. All are reserved at once, without memory:
 *
 *   | guard 4G | window 0 | guard 4G | window 1 | guard 4G | ...
 *
 * so that mmu_window_of is arithmetic. An address beyond either end of a window (an operand
 * that straddles 4 GiB, a string instruction running backwards) lies in a guard.
 */
#include "mmu/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { RESERVE_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };

static size_t bytes(uint64_t pages)
{
	return (size_t)(pages << PAGE_SHIFT);
}

static void *at(const struct window *w, uint32_t page)
{
	return (void *)(w->base + bytes(page));
}

#define WORDS_BYTES (WINDOW_PAGES * sizeof(uint32_t))
#define TABLE_BYTES (2 * WORDS_BYTES + MAX_SLOTS * sizeof(struct slot))

static bool reserve_tables(struct window *w)
{
	uint8_t *p = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, RESERVE_FLAGS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	w->shadow = (uint32_t *)p;
	w->parked = w->shadow + WINDOW_PAGES;
	w->slots = (struct slot *)(w->parked + WINDOW_PAGES);
	return true;
}

bool window_reserve(struct mmu *m, char *err, size_t errlen)
{
	/* one window's worth more, to align */
	uint64_t size = m->spaces * WINDOW_STRIDE + 2 * WINDOW_SIZE;
	void *p = mmap(NULL, size, PROT_NONE, RESERVE_FLAGS, -1, 0);

	if (p == MAP_FAILED) {
		snprintf(err, errlen,
			 "cannot reserve %llu GiB of addresses for the guest's windows: %s "
			 "(is there a limit on address space? see ulimit -v)",
			 (unsigned long long)(size >> 30), strerror(errno));
		return false;
	}
	m->region = (uintptr_t)p;
	m->region_size = size;
	for (unsigned i = 0; i < m->spaces; i++) {
		struct window *w = &m->win[i];
		uintptr_t first = (m->region + WINDOW_SIZE - 1) & ~(uintptr_t)(WINDOW_SIZE - 1);

		w->space = i;
		w->base = first + WINDOW_SIZE + i * WINDOW_STRIDE;
		w->vmas = 1;
		if (!reserve_tables(w)) {
			snprintf(err, errlen, "cannot reserve the windows' tables: %s",
				 strerror(errno));
			return false;
		}
	}
	m->stats.mappings_now = m->spaces;
	return true;
}

void window_release(struct mmu *m)
{
	if (m->region)
		munmap((void *)m->region, m->region_size);
	for (unsigned i = 0; i < m->spaces; i++)
		if (m->win[i].shadow)
			munmap(m->win[i].shadow, TABLE_BYTES);
}

/*
 * The guards between windows are split in the middle: the lower half is above one window, the upper
 * half below the next. The address within the window is then outside [0, 4 GiB), as mmu.h says.
 */
bool mmu_window_of(const struct mmu *m, uintptr_t addr, bool *user, gva_t *out)
{
	uintptr_t first = m->win[0].base - WINDOW_SIZE / 2;
	uint64_t offset = addr - first;
	uint64_t index = offset / WINDOW_STRIDE;

	if (index >= m->spaces)
		return false;
	*user = index != MMU_SUPERVISOR;
	*out = gva(addr - m->win[index].base);
	return true;
}

bool window_protect(struct window *w, uint32_t page, uint32_t n, bool write)
{
	return mprotect(at(w, page), bytes(n), PROT_READ | (write ? PROT_WRITE : 0)) == 0;
}

bool window_park(struct window *w, uint32_t page, uint32_t n)
{
	log_line(LOG_MMU, "park: space %u pages %05x-%05x", w->space, page, page + n - 1);
	return mprotect(at(w, page), bytes(n), PROT_NONE) == 0;
}

/* Guarded pages inside a writable run are taken back one stretch at a time. */
static bool protect_guarded(struct mmu *m, struct window *w, uint32_t page, uint32_t n,
			 uint64_t file_page)
{
	uint64_t last = file_page + n - 1, first = file_page;

	while ((first = guard_next(m->pm, first, last, true)) <= last) {
		uint64_t end = guard_next(m->pm, first, last, false);

		if (!window_protect(w, page + (uint32_t)(first - file_page),
				    (uint32_t)(end - first), false))
			return false;
		first = end;
	}
	return true;
}

/* Are all pages still mapped, just inaccessible? */
static bool all_parked(const struct window *w, uint32_t page, uint32_t n, uint64_t gfn)
{
	if (!w->parked_n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (w->parked[page + i] != ((uint32_t)((gfn + i) << SH_GFN_SHIFT) | SH_PARKED))
			return false;
	return true;
}

static bool map_once(struct mmu *m, struct window *w, uint32_t page, uint32_t n, uint64_t gfn,
		     bool write)
{
	uint64_t file = physmap_file_offset(m->pm, gpa(gfn << PAGE_SHIFT));
	int prot = PROT_READ | (write ? PROT_WRITE : 0),
	    flags = MAP_SHARED | MAP_FIXED | MAP_NORESERVE;

	if (all_parked(w, page, n, gfn)) {
		if (!window_protect(w, page, n, write))
			return false;
	} else if (mmap(at(w, page), bytes(n), prot, flags, m->pm->fd, (off_t)file) == MAP_FAILED) {
		return false;
	}
	parked_forget(m, w, page, n);
	return !write || protect_guarded(m, w, page, n, file >> PAGE_SHIFT);
}

bool window_map(struct mmu *m, struct window *w, uint32_t page, uint32_t n, uint64_t gfn,
		bool write)
{
	if (map_once(m, w, page, n, gfn, write))
		return true;
	/* too many mappings whatever we counted: start over with none */
	mmu_evict_all(m);
	if (map_once(m, w, page, n, gfn, write))
		return true;
	window_unmap(m, w, page, n);
	return false;
}

static bool map_nothing(const struct window *w, uint32_t page, uint32_t n)
{
	return mmap(at(w, page), bytes(n), PROT_NONE, RESERVE_FLAGS | MAP_FIXED, -1, 0) !=
	       MAP_FAILED;
}

/* Mapping nothing over it keeps the addresses reserved. */
void window_unmap(struct mmu *m, struct window *w, uint32_t page, uint32_t n)
{
	log_line(LOG_MMU, "drop: space %u pages %05x-%05x", w->space, page, page + n - 1);
	/* splitting a mapping can fail for their number; replacing the whole window cannot */
	if (map_nothing(w, page, n))
		parked_forget(m, w, page, n);
	else
		window_unmap_all(m, w);
}

static void forget_mappings(struct mmu *m, struct window *w, unsigned n)
{
	uint32_t first = (uint32_t)n << w->slot_shift;

	for (uint32_t p = first; w->slots[n].live && p < first + (1u << w->slot_shift); p++) {
		uint32_t word = w->shadow[p];

		if (word & SH_R)
			shadow_set(m, w, p,
				   word & SH_CODE ? word & ~(uint32_t)(SH_R | SH_W | SH_NOWP) : 0);
	}
}

/* Nothing is mapped in the window any more. */
static void forget_parked(struct mmu *m, struct window *w)
{
	if (w->parked_n)
		madvise(w->parked, WORDS_BYTES, MADV_DONTNEED);
	w->parked_n = 0;
	m->stats.mappings_now -= w->vmas - 1;
	w->vmas = 1;
}

void window_unmap_all(struct mmu *m, struct window *w)
{
	log_line(LOG_MMU, "drop: space %u everything", w->space);
	map_nothing(w, 0, WINDOW_PAGES);
	for (unsigned i = 0; i < ARRAY_LEN(w->used); i++)
		for (uint64_t left = w->used[i]; left; left &= left - 1)
			forget_mappings(m, w, i * 64 + (unsigned)__builtin_ctzll(left));
	forget_parked(m, w);
}

void window_clear(struct mmu *m, struct window *w)
{
	bool empty = !w->parked_n;

	if (w->mirrored)
		mirror_cleared(m, w);
	w->quiet = (struct quiet){0};
	w->kept_n = 0;
	for (unsigned i = 0; i < ARRAY_LEN(w->used); i++) {
		for (uint64_t left = w->used[i]; left; left &= left - 1) {
			struct slot *s = &w->slots[i * 64 + (unsigned)__builtin_ctzll(left)];

			if (s->snap)
				snapshot_free(m, s->snap);
			*s = (struct slot){0};
			empty = false;
		}
		w->used[i] = 0;
	}
	w->ever = 0;
	if (empty)
		return;
	map_nothing(w, 0, WINDOW_PAGES);
	madvise(w->shadow, WORDS_BYTES, MADV_DONTNEED);
	forget_parked(m, w);
	w->nowp = w->tracked = 0;
}
