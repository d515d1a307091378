/*
 * Answers that need no work: for callers that must not touch vector registers (translator/lean.c), so this file is built without
 * them and calls nothing.
 */
#include "mmu/internal.h"

bool mmu_lean_space(const struct mmu *m, bool user, hva_t *base, unsigned *space)
{
	const struct window *w = user ? m->user : &m->win[MMU_SUPERVISOR];

	if (!w)
		return false;
	*base = hva(w->base);
	*space = w->space;
	return true;
}

bool mmu_lean_code(const struct mmu *m, bool user, gva_t a, gpa_t *out)
{
	const struct window *w = user ? m->user : &m->win[MMU_SUPERVISOR];
	uint32_t va = (uint32_t)a.v, word;

	if (!w)
		return false;
	word = w->shadow[va >> PAGE_SHIFT];
	*out = gpa(((uint64_t)(word >> SH_GFN_SHIFT) << PAGE_SHIFT) | (va & PAGE_MASK));
	return word & SH_CODE;
}

bool mmu_window_frame(const struct mmu *m, bool user, gva_t a, bool write, gpa_t *out)
{
	const struct window *w = user ? m->user : &m->win[MMU_SUPERVISOR];
	uint32_t va = (uint32_t)a.v, word;

	if (!w)
		return false;
	word = w->shadow[va >> PAGE_SHIFT];
	*out = gpa(((uint64_t)(word >> SH_GFN_SHIFT) << PAGE_SHIFT) | (va & PAGE_MASK));
	return word & (write ? SH_W : SH_R);
}
