/*
 * The guest's TLB flushes: MOV to CR3, INVLPG, and the control bits that change what paging means.
 */
#include "mmu/internal.h"

static struct paging_mode mode_of(const struct cpu *c)
{
	struct paging_mode mode = {.on = paging_on(c)};

	if (mode.on) {
		mode.pae = paging_pae(c);
		mode.pse = c->cr4 & CR4_PSE;
		mode.nxe = mode.pae && (c->efer & EFER_NXE);
	}
	return mode;
}

static bool same_mode(struct paging_mode a, struct paging_mode b)
{
	return a.on == b.on && a.pae == b.pae && a.pse == b.pse && a.nxe == b.nxe;
}

/* Pages that were writable only while CR0.WP was clear become read-only again. */
static void close_nowp_slot(struct mmu *m, struct window *w, unsigned slot)
{
	uint32_t first = (uint32_t)slot << w->slot_shift;

	for (uint32_t p = first; p < first + (1u << w->slot_shift); p++) {
		if (!(w->shadow[p] & SH_NOWP))
			continue;
		if (!window_protect(w, p, 1, false)) {
			window_unmap_all(m, w);
			return;
		}
		shadow_set(m, w, p, w->shadow[p] & ~(uint32_t)(SH_W | SH_NOWP));
	}
}

static void close_nowp(struct mmu *m)
{
	struct window *w = &m->win[MMU_SUPERVISOR];

	for (unsigned slot = 0; slot < MAX_SLOTS && w->nowp; slot++)
		if (w->slots[slot].live)
			close_nowp_slot(m, w, slot);
}

void mmu_paging_changed(struct mmu *m, bool flush, bool global)
{
	const struct cpu *c = m->cpu;
	struct paging_mode mode = mode_of(c);
	bool wp = c->cr0 & CR0_WP;
	bool moved = c->cr3 != m->cr3;

	softtlb_flush(m, global || wp != m->wp || !same_mode(mode, m->mode));
	m->stats.flushes++;
	if (!same_mode(mode, m->mode)) {
		mmu_drop_everything(m);
		m->mode = mode;
		m->wp = wp;
		m->cr3 = c->cr3;
		for (unsigned i = 0; i < m->spaces; i++)
			m->win[i].slot_shift = mode.pae ? 9 : 10;
		return;
	}
	if (wp && !m->wp)
		close_nowp(m);
	m->wp = wp;
	if (!flush && !moved)
		return;
	m->cr3 = c->cr3;
	mmu_select_user(m);
	snapshot_compare_window(m, &m->win[MMU_SUPERVISOR], global);
	if (m->user) {
		snapshot_compare_window(m, m->user, true);
		quiet_begin(m, m->user);
	}
}

/*
 * A page fault invalidates what the TLB had for its address (SDM: "Operations that Invalidate TLBs
 * and Paging-Structure Caches"): guests rely on it.
 */
void mmu_page_faulted(struct mmu *m, uint32_t va)
{
	mmu_invlpg(m, gva(va));
}

void mmu_invlpg(struct mmu *m, gva_t a)
{
	uint32_t page = (uint32_t)a.v >> PAGE_SHIFT;

	softtlb_flush_page(m, (uint32_t)a.v);
	snapshot_compare_page(m, &m->win[MMU_SUPERVISOR], page);
	if (m->user)
		snapshot_compare_page(m, m->user, page);
}
