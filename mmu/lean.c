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

static bool permitted(const struct mmu *m, const struct walk *k, bool user, bool write)
{
	if (user && !k->user)
		return false;
	return !write || (user ? walk_tables_rw(m->cpu, k) : k->write);
}

/* RAM, and for writes free of translated code; ROM can be read. */
static bool plain(const struct mmu *m, gpa_t at, bool write)
{
	enum page_kind kind = physmap_kind(m->pm, at);

	return write ? kind == PAGE_RAM && !physmap_is_code(m->pm, at) : kind == PAGE_RAM || kind == PAGE_ROM;
}

bool mmu_lean_refill(struct mmu *m, bool user, bool write, gva_t a)
{
	uint32_t va = (uint32_t)a.v & ~(uint32_t)PAGE_MASK;
	struct walk k;

	m->stats.walks++;
	if (!mmu_walk_quiet(m->cpu, m->pm, gva(va), &k) || !permitted(m, &k, user, write) ||
	    (m->mode.on && !walk_marked(m->cpu, &k, write)) || !plain(m, k.gpa, write))
		return false;
	m->stats.softtlb_misses++;
	softtlb_fill(m, va, (struct softtlb_page){physmap_host(m->pm, k.gpa, 1), user, write,
						  k.page > PAGE_SIZE && m->mode.on, k.global});
	return true;
}

bool mmu_lean_faults(const struct mmu *m, bool user, bool write, gva_t a, uint32_t *error)
{
	unsigned acc = (user ? ACC_USER : 0) | (write ? ACC_WRITE : 0);
	struct walk k;

	return !walk_check(m->cpu, m->pm, (uint32_t)a.v, acc, &k, error);
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
