/*
 * The software TLB: guest page -> host address in the monitor's own mapping of RAM. It holds
 * what walks found and is emptied at every flush, so it needs no snapshots.
 *
 * Write entries exist only for pages that are dirty already, RAM, and free of translated code: a
 * store through one needs no further thought. Emitted code compares tags inline. The bitmaps say
 * which entries a flush has to clear.
 */
#include "mmu/internal.h"

#include <stdlib.h>
#include <string.h>

static void invalidate(struct mmu *m, unsigned user, unsigned write, unsigned i)
{
	struct softtlb *t = &m->tlb[user];

	(write ? t->write : t->read)[i] = (struct softtlb_entry){.tag = TAG_INVALID, .minus_page = 1};
	m->tlb_used[user][write][i / 64] &= ~(1ull << (i % 64));
}

bool softtlb_create(struct mmu *m)
{
	m->tlb = aligned_alloc(64, 2 * sizeof(*m->tlb));
	if (!m->tlb)
		return false;
	memset(m->tlb, 0, 2 * sizeof(*m->tlb));
	memset(m->tlb_used, 0xff, sizeof(m->tlb_used));
	softtlb_flush(m);
	return true;
}

/* Call f for every entry in use; it says whether the entry must go. */
static void sweep(struct mmu *m, bool (*f)(const struct softtlb_entry *, const void *),
		  const void *arg)
{
	for (unsigned n = 0; n < 4 * SOFTTLB_SIZE / 64; n++) {
		unsigned user = n / (2 * SOFTTLB_SIZE / 64), write = n / (SOFTTLB_SIZE / 64) & 1;
		unsigned word = n % (SOFTTLB_SIZE / 64);

		for (uint64_t left = m->tlb_used[user][write][word]; left; left &= left - 1) {
			unsigned i = word * 64 + (unsigned)__builtin_ctzll(left);
			const struct softtlb *t = &m->tlb[user];

			if (f(write ? &t->write[i] : &t->read[i], arg))
				invalidate(m, user, write, i);
		}
	}
}

static bool every(const struct softtlb_entry *e, const void *arg)
{
	return true;
}

static void flush_fetch(struct mmu *m)
{
	for (unsigned i = 0; i < 2 * FETCH_ENTRIES; i++)
		m->fetch[i / FETCH_ENTRIES][i % FETCH_ENTRIES].tag = TAG_INVALID;
}

void softtlb_flush(struct mmu *m)
{
	sweep(m, every, NULL);
	flush_fetch(m);
	m->tlb_large = false;
}

static bool same_slot(const struct softtlb_entry *e, const void *arg)
{
	return ((e->tag ^ *(const uint32_t *)arg) >> 22) == 0;
}

static bool same_page(const struct softtlb_entry *e, const void *arg)
{
	return ((e->tag ^ *(const uint32_t *)arg) >> PAGE_SHIFT) == 0;
}

/* A large page may have many entries; all lie in the same 4 MiB. */
void softtlb_flush_page(struct mmu *m, uint32_t va)
{
	if (m->tlb_large) {
		sweep(m, same_slot, &va);
	} else {
		unsigned i = (va >> PAGE_SHIFT) & (SOFTTLB_SIZE - 1);

		for (unsigned n = 0; n < 4; n++) {
			const struct softtlb *t = &m->tlb[n / 2];

			if (same_page(n & 1 ? &t->write[i] : &t->read[i], &va))
				invalidate(m, n / 2, n & 1, i);
		}
	}
	flush_fetch(m);
}

static bool maps_host_page(const struct softtlb_entry *e, const void *arg)
{
	return e->delta + e->tag == (uintptr_t)arg;
}

/* A page became code: read entries may stay, write entries for it must go. */
void softtlb_forget_writes(struct mmu *m, const uint8_t *host_page)
{
	for (unsigned user = 0; user < 2; user++)
		for (unsigned word = 0; word < SOFTTLB_SIZE / 64; word++)
			for (uint64_t left = m->tlb_used[user][1][word]; left; left &= left - 1) {
				unsigned i = word * 64 + (unsigned)__builtin_ctzll(left);

				if (maps_host_page(&m->tlb[user].write[i], host_page))
					invalidate(m, user, 1, i);
			}
}

void softtlb_fill(struct mmu *m, bool user, bool write, uint32_t va, uint8_t *host_page, bool large)
{
	struct softtlb *t = &m->tlb[user];
	unsigned i = (va >> PAGE_SHIFT) & (SOFTTLB_SIZE - 1);
	uint32_t tag = va & ~(uint32_t)PAGE_MASK;

	*(write ? &t->write[i] : &t->read[i]) =
		(struct softtlb_entry){.tag = tag, .minus_page = -(tag >> PAGE_SHIFT),
				       .delta = (uintptr_t)host_page - tag};
	m->tlb_used[user][write][i / 64] |= 1ull << (i % 64);
	m->tlb_large = m->tlb_large || large;
}

struct softtlb *mmu_softtlb(struct mmu *m, bool user)
{
	return &m->tlb[user];
}
