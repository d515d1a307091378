/*
 * Mirrors of user windows: another address space (a world) shows what a user window shows.
 *
 * Everything that takes something away from a window goes by shadow_set or window_clear, so those two report here. Giving is
 * up to the mirror: it asks for a view when it faults. A mirror therefore never shows more than its window.
 */
#include "mmu/internal.h"

void mmu_set_mirror(struct mmu *m, const struct mmu_mirror *mirror)
{
	m->mirror = mirror ? *mirror : (struct mmu_mirror){0};
}

void mmu_mirror_space(struct mmu *m, unsigned space, bool on)
{
	m->win[space].mirrored = on && m->mirror.dropped;
}

void mirror_changed(struct mmu *m, struct window *w, uint32_t page, uint32_t old, uint32_t word)
{
	if (!(old & SH_R))
		return;
	if (!(word & SH_R) || (old ^ word) >> SH_GFN_SHIFT || (old & ~word & SH_W))
		m->mirror.dropped(m->mirror.ctx, w->space, page, page);
}

void mirror_cleared(struct mmu *m, struct window *w)
{
	m->mirror.dropped(m->mirror.ctx, w->space, 0, WINDOW_PAGES - 1);
}

/* Does p continue what `word` shows at `page`? */
static bool continues(const struct window *w, uint32_t word, uint32_t page, uint32_t p,
		      const struct phys_range *r)
{
	uint32_t gfn = (word >> SH_GFN_SHIFT) + (p - page), other = w->shadow[p];

	return !((other ^ word) & (SH_R | SH_W)) && other >> SH_GFN_SHIFT == gfn &&
	       (uint64_t)gfn << PAGE_SHIFT >= r->start && (uint64_t)gfn << PAGE_SHIFT < r->end;
}

bool mmu_user_view(struct mmu *m, gva_t a, uint32_t reach, struct mmu_view *v)
{
	struct window *w = mmu_user_window(m);
	uint32_t page = (uint32_t)a.v >> PAGE_SHIFT, word = w->shadow[page], lo = page, hi = page;
	const struct phys_range *r;

	if (!(word & SH_R))
		return false;
	r = physmap_range(m->pm, (uint64_t)(word >> SH_GFN_SHIFT) << PAGE_SHIFT);
	while (lo > 0 && page - lo < reach && continues(w, word, page, lo - 1, r))
		lo--;
	while (hi < WINDOW_PAGES - 1 && hi - page < reach && continues(w, word, page, hi + 1, r))
		hi++;
	*v = (struct mmu_view){.page = page, .first = lo, .last = hi, .gfn = word >> SH_GFN_SHIFT, .write = word & SH_W};
	v->file = physmap_file_offset(m->pm, gpa((v->gfn - (page - lo)) << PAGE_SHIFT));
	return true;
}
