/*
 * The software TLB: guest page -> host address in the monitor's own mapping of RAM. It holds
 * what walks found and is emptied at every flush, so it needs no snapshots; what it held of a quiet space comes back with
 * it. Global pages stay over a MOV to CR3, as in a processor's TLB: kernels mark their own so, and find their stacks and
 * descriptor tables at once after a context switch.
 *
 * Write entries exist only for pages that are dirty already, RAM, and not guarded: a
 * store through one needs no further thought. Emitted code compares inline (translator/xl_lookup.c).
 *
 * It is so large that programs rarely have two pages in one slot. Lists of the slots filled keep flushes
 * short. A slot may be listed twice, or on the local list and hold a global page: then more is flushed than need be.
 *
 * Built with general registers only: lean.c fills it.
 */
#include "mmu/internal.h"

#include <sys/mman.h>

enum { INVALID = 1 }; /* of minus_page: no page's number makes it zero */

struct tlb_list {
	uint32_t n;
	struct tlb_slot slot[8192];
};

struct tlbs {
	struct softtlb tlb[2]; /* [0] supervisor, [1] user */
	struct tlb_list filled[2]; /* [1]: global pages */
	uint64_t large[1024 / 64]; /* by 4 MiB: some entry came from a large page */
};

static void invalidate(struct mmu *m, struct tlb_slot s)
{
	m->tlbs->tlb[s.user].minus_page[s.write][s.index] = INVALID;
}

bool softtlb_create(struct mmu *m)
{
	void *p = mmap(NULL, sizeof(*m->tlbs), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	m->tlbs = p;
	for (unsigned n = 0; n < 4; n++)
		for (unsigned i = 0; i < SOFTTLB_SIZE; i++)
			m->tlbs->tlb[n / 2].minus_page[n & 1][i] = INVALID;
	m->fetched = true;
	softtlb_flush(m, true);
	return true;
}

void softtlb_destroy(struct mmu *m)
{
	if (m->tlbs)
		munmap(m->tlbs, sizeof(*m->tlbs));
}

static void flush_fetch(struct mmu *m)
{
	if (!m->fetched)
		return;
	m->fetched = false;
	for (unsigned i = 0; i < 2 * FETCH_ENTRIES; i++)
		m->fetch[i / FETCH_ENTRIES][i % FETCH_ENTRIES].tag = TAG_INVALID;
}

static void forget_kept(struct mmu *m)
{
	for (unsigned i = 1; i < m->spaces; i++)
		m->win[i].kept_n = 0;
}

static void flush_list(struct mmu *m, struct tlb_list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		invalidate(m, l->slot[i]);
	l->n = 0;
}

void softtlb_flush(struct mmu *m, bool global)
{
	flush_list(m, &m->tlbs->filled[false]);
	if (global) {
		flush_list(m, &m->tlbs->filled[true]);
		for (unsigned i = 0; i < ARRAY_LEN(m->tlbs->large); i++)
			m->tlbs->large[i] = 0;
		forget_kept(m);
	}
	flush_fetch(m);
}

/* The page in a slot; false: none. */
static bool held(const struct mmu *m, struct tlb_slot s, uint32_t *page)
{
	*page = -m->tlbs->tlb[s.user].minus_page[s.write][s.index];
	return *page != (uint32_t)-INVALID;
}

/* Invalidate all pages in the same 4 MiB. */
static void flush_around(struct mmu *m, uint32_t va)
{
	uint32_t page;

	for (unsigned n = 0; n < 2; n++) {
		const struct tlb_list *l = &m->tlbs->filled[n];

		for (uint32_t i = 0; i < l->n; i++)
			if (held(m, l->slot[i], &page) && page >> 10 == va >> 22)
				invalidate(m, l->slot[i]);
	}
}

static struct tlb_slot slot_of(uint32_t va, bool user, bool write)
{
	return (struct tlb_slot){(uint16_t)softtlb_index(va), user, write};
}

/* A large page may have many entries; all lie in the same 4 MiB. */
void softtlb_flush_page(struct mmu *m, uint32_t va)
{
	if (m->tlbs->large[va >> 28] >> (va >> 22 & 63) & 1)
		flush_around(m, va);
	else
		for (unsigned n = 0; n < 4; n++)
			if (softtlb_host(&m->tlbs->tlb[n / 2], n & 1, va))
				invalidate(m, slot_of(va, n / 2, n & 1));
	flush_fetch(m);
}

/* A page became code: read entries may stay, write entries for it must go. */
void softtlb_forget_writes(struct mmu *m, const uint8_t *host_page)
{
	uint32_t page;

	forget_kept(m);
	for (unsigned n = 0; n < 2; n++) {
		const struct tlb_list *l = &m->tlbs->filled[n];

		for (uint32_t i = 0; i < l->n; i++) {
			struct tlb_slot s = l->slot[i];

			if (s.write && held(m, s, &page) &&
			    softtlb_host(&m->tlbs->tlb[s.user], true, page << PAGE_SHIFT) == host_page)
				invalidate(m, s);
		}
	}
}

/* Local pages are listed even when the slot was taken: it may be on the list of global ones. */
static void enlist(struct mmu *m, struct tlb_slot s, bool global)
{
	struct tlb_list *l = &m->tlbs->filled[global];
	uint32_t page;

	if (global && held(m, s, &page))
		return;
	if (l->n == ARRAY_LEN(l->slot))
		softtlb_flush(m, true);
	l->slot[l->n++] = s;
}

bool softtlb_may_hold(const struct mmu *m, gpa_t at, bool write)
{
	enum page_kind kind = physmap_kind(m->pm, at);

	return write ? kind == PAGE_RAM && !guard_has(m->pm, at) : kind == PAGE_RAM || kind == PAGE_ROM;
}

static void put(struct mmu *m, const struct tlb_kept *k, bool global)
{
	struct softtlb *t = &m->tlbs->tlb[k->slot.user];

	enlist(m, k->slot, global);
	t->minus_page[k->slot.write][k->slot.index] = k->minus_page;
	t->delta[k->slot.write][k->slot.index] = k->delta;
}

void softtlb_fill(struct mmu *m, uint32_t va, struct softtlb_page p)
{
	uint32_t page = va >> PAGE_SHIFT;
	struct tlb_kept k = {slot_of(va, p.user, p.write), -page, (uintptr_t)p.host - ((uintptr_t)page << PAGE_SHIFT)};

	put(m, &k, p.global);
	if (p.large)
		m->tlbs->large[va >> 28] |= 1ull << (va >> 22 & 63);
}

struct softtlb *mmu_softtlb(struct mmu *m, bool user)
{
	return &m->tlbs->tlb[user];
}

/* ---- from one space to another ---- */

/* The tables of a quiet window's live slots are guarded, and a walk would find what it found when the page was put here. */
static void keep_page(struct mmu *m, struct window *w, struct tlb_slot s)
{
	const struct softtlb *t = &m->tlbs->tlb[s.user];
	uint32_t page;

	if (w->kept_n < TLB_KEPT && held(m, s, &page) && window_slot(w, page)->live)
		w->kept[w->kept_n++] = (struct tlb_kept){s, t->minus_page[s.write][s.index], t->delta[s.write][s.index]};
}

void softtlb_switch(struct mmu *m, struct window *from, bool keep, const struct window *to)
{
	struct tlb_list *l = &m->tlbs->filled[false];

	if (from)
		from->kept_n = 0;
	if (from && keep)
		for (uint32_t i = l->n; i-- > 0; invalidate(m, l->slot[i]))
			keep_page(m, from, l->slot[i]);
	softtlb_flush(m, false);
	for (unsigned i = to && quiet_is(m, to) ? to->kept_n : 0; i-- > 0;)
		put(m, &to->kept[i], false);
}
