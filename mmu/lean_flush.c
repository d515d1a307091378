/*
 * The flushes that context switches consist of, without saving vector state: built with general registers only, as is all
 * that they call, and no library. Dropping a page takes system calls, so these do only the case in which nothing
 * has to be dropped; they find that out before they change anything that matters.
 */
#include "mmu/internal.h"

#include <string.h>

/* The page-directory pointers that CR3 would load; false: not plain memory, or the load faults. */
static bool read_pdptes(const struct mmu *m, uint32_t cr3, uint64_t out[4])
{
	const uint64_t known = PTE_P | PTE_PWT | PTE_PCD | PTE_AVL | PTE_ADDR_PAE;
	const void *at = physmap_host(m->pm, gpa(cr3 & 0xffffffe0u), 32);

	if (!at)
		return false;
	memcpy(out, at, 32);
	for (unsigned i = 0; i < 4; i++)
		if ((out[i] & PTE_P) && (out[i] & ~known))
			return false;
	return true;
}

static struct window *cached_user(struct mmu *m, uint64_t key)
{
	if (m->user && m->user->cr3 == key)
		return m->user;
	for (unsigned i = 1; i < m->spaces; i++)
		if (m->win[i].assigned && m->win[i].cr3 == key)
			return &m->win[i];
	return NULL;
}

static void commit(struct mmu *m, struct window *user, bool keep)
{
	if (user && user != m->user)
		user->last_use = ++m->clock;
	softtlb_switch(m, m->user, keep, user);
	m->user = user;
	m->cr3 = m->cpu->cr3;
	m->stats.flushes++;
}

static bool user_stays(struct mmu *m, struct window *w)
{
	return !w || quiet_is(m, w) || (snapshot_window_stays(m, w, true) && quiet_after_compare(m, w));
}

bool mmu_lean_load_cr3(struct mmu *m, uint32_t value)
{
	struct cpu *c = m->cpu;
	const uint64_t old = c->cr3;
	uint64_t kept[4], pdpte[4] = {0};
	struct window *user;
	bool keep = m->user && quiet_is(m, m->user);

	if (!m->mode.on || (m->mode.pae && !read_pdptes(m, value, pdpte)))
		return false;
	memcpy(kept, c->pdpte, sizeof(kept));
	if (m->mode.pae)
		memcpy(c->pdpte, pdpte, sizeof(pdpte));
	c->cr3 = value;
	user = cached_user(m, value & (m->mode.pae ? 0xffffffe0u : 0xfffff000u));
	keep = keep && (user != m->user || quiet_is(m, user)); /* not with other page-directory pointers */
	if (snapshot_window_stays(m, &m->win[MMU_SUPERVISOR], false) && user_stays(m, user)) {
		commit(m, user, keep);
		return true;
	}
	c->cr3 = old;
	memcpy(c->pdpte, kept, sizeof(kept));
	return false;
}

bool mmu_lean_invlpg(struct mmu *m, gva_t a)
{
	uint32_t page = (uint32_t)a.v >> PAGE_SHIFT;

	if (m->mode.on && (!snapshot_page_stays(m, &m->win[MMU_SUPERVISOR], page) ||
			   (m->user && !snapshot_page_stays(m, m->user, page))))
		return false;
	softtlb_flush_page(m, (uint32_t)a.v);
	return true;
}
