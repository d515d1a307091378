/*
 * For callers that must not touch vector registers (translator/lean.c): this file and all that it calls are built without them, and
 * call no library.
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

bool mmu_expecting(const struct mmu *m)
{
	return m->expected.on;
}

void mmu_expect(struct mmu *m, bool write, gva_t a)
{
	m->expected = (struct expected){true, write, (uint32_t)a.v, m->user};
}

static unsigned access_of(bool user, bool write)
{
	return (user ? ACC_USER : 0) | (write ? ACC_WRITE : 0);
}

bool mmu_lean_refill(struct mmu *m, bool user, bool write, gva_t a)
{
	uint32_t va = (uint32_t)a.v & ~(uint32_t)PAGE_MASK, error;
	struct walk k;

	m->stats.walks++;
	if (!walk_check(m->cpu, m->pm, va, access_of(user, write), &k, &error) ||
	    (m->mode.on && !walk_marked(m->cpu, &k, write)) || !softtlb_may_hold(m, k.gpa, write))
		return false;
	m->stats.softtlb_misses++;
	softtlb_fill(m, va, (struct softtlb_page){physmap_host(m->pm, k.gpa, 1), user, write,
						  k.page > PAGE_SIZE && m->mode.on, k.global});
	return true;
}

bool mmu_lean_faults(const struct mmu *m, bool user, bool write, gva_t a, uint32_t *error)
{
	struct walk k;

	return !walk_check(m->cpu, m->pm, (uint32_t)a.v, access_of(user, write), &k, error);
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
