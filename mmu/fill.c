/*
 * Filling windows on hidden faults.
 *
 * A fault asks for one page; a host mapping costs the same for one page as for a
 * thousand. So the page is mapped together with its neighbours that are alike: consecutive in
 * guest-physical memory, same rights, accessed bit set already (and dirty bit, where the
 * mapping is writable), same kind of memory, and not mapped yet. The three page sizes differ
 * only in how neighbours are looked at:
 *
 *   4 KiB pages   the other entries of the same page table
 *   large pages   the whole page, then neighbouring directory entries, up to RUN_LIMIT each way
 *   no paging     guest-physical memory itself, up to RUN_LIMIT each way
 *
 * Example: kernel text in 4 MiB pages at C0000000. The first fetch or load maps C0000000-C3ffffff
 * in one call.
 *
 * A page that is mapped read-only and may be written now (its dirty bit has just been set, or it
 * held code) has its rights raised: mprotect keeps the host's page tables, a new mapping would not.
 */
#include "mmu/internal.h"

/* What a fault is being answered with. Pages are linear page numbers, ends inclusive. */
struct fill {
	struct mmu *m;
	struct window *w;
	struct walk k;
	uint32_t page, lo, hi;
	uint64_t gfn;		 /* of `page` */
	uint64_t gfn_lo, gfn_hi; /* frames of the same kind around it */
	bool write;		 /* map writable */
	bool nowp;		 /* writable only because CR0.WP is clear */
	bool large;
};

/* Frame that page p must have to continue the run. */
static uint64_t frame_of(const struct fill *f, uint32_t p)
{
	return f->gfn + p - f->page; /* modulo 2^64, p may be below page */
}

static bool frame_fits(const struct fill *f, uint32_t p)
{
	uint64_t gfn = frame_of(f, p);

	return gfn >= f->gfn_lo && gfn <= f->gfn_hi;
}

/* With A20 off, frames 1 MiB apart alias: a run stays within its megabyte. */
static void bound_frames(struct fill *f)
{
	const struct phys_range *r = physmap_range(f->m->pm, f->gfn << PAGE_SHIFT);

	f->gfn_lo = r->start >> PAGE_SHIFT;
	f->gfn_hi = (r->end >> PAGE_SHIFT) - 1;
	if (f->m->pm->a20_mask != ~0ull) {
		uint64_t mib = f->gfn & ~255ull;

		if (f->gfn_lo < mib)
			f->gfn_lo = mib;
		if (f->gfn_hi > mib + 255)
			f->gfn_hi = mib + 255;
	}
}

/* ---- neighbours ---- */

/* Does the page-table entry give page p exactly what the fault's page gets? */
static bool pte_alike(const struct fill *f, const uint8_t *table, uint32_t p)
{
	const struct mmu *m = f->m;
	uint64_t must = PTE_P | PTE_RW | PTE_US | PTE_A | (f->k.write ? PTE_D : 0);
	uint64_t e = snapshot_entry(m, table, snapshot_index(f->w, p));
	uint64_t gfn = (e & (m->mode.pae ? PTE_ADDR_PAE : 0xfffff000ull)) >> PAGE_SHIFT;

	if ((e ^ walk_leaf(&f->k)) & must)
		return false;
	if (m->mode.pae && (e & walk_pae_reserved(m->cpu)))
		return false;
	if (physmap_a20(m->pm, gfn << PAGE_SHIFT) >> PAGE_SHIFT != frame_of(f, p))
		return false;
	return snapshot_agrees(m, f->w, p, e);
}

/* May the page join the run, as far as the window is concerned? */
static bool page_free(const struct fill *f, uint32_t p)
{
	return frame_fits(f, p) && !(f->w->shadow[p] & SH_R);
}

static void extend_ptes(struct fill *f)
{
	const uint8_t *table = snapshot_table(f->m, walk_pde(f->m->cpu, &f->k));
	uint32_t pages = 1u << f->w->slot_shift;
	uint32_t first = f->page & ~(pages - 1);

	if (!table)
		return;
	while (f->lo > first && page_free(f, f->lo - 1) && pte_alike(f, table, f->lo - 1))
		f->lo--;
	while (f->hi < first + pages - 1 && page_free(f, f->hi + 1) &&
	       pte_alike(f, table, f->hi + 1))
		f->hi++;
}

/* Is this slot empty, and its directory entry a large page that continues the run? */
static bool slot_alike(const struct fill *f, unsigned slot)
{
	uint64_t must = PTE_P | PTE_RW | PTE_US | PTE_PS | PTE_A | (f->k.write ? PTE_D : 0);
	uint64_t e, gfn;

	if (!f->m->mode.on)
		return true; /* pages are looked at one by one */
	if (f->w->slots[slot].live)
		return false;
	e = snapshot_pde_now(f->m, slot);
	if ((e ^ walk_pde(f->m->cpu, &f->k)) & must)
		return false;
	return walk_large_frame(f->m->cpu, e, &gfn) &&
	       gfn == frame_of(f, (uint32_t)slot << f->w->slot_shift);
}

/* Large pages, and memory without paging: everything within one slot is alike. */
static void extend_slots(struct fill *f)
{
	unsigned shift = f->w->slot_shift;
	uint32_t within = (1u << shift) - 1, top = WINDOW_PAGES - 1;
	uint32_t low_end = f->page > RUN_LIMIT ? f->page - RUN_LIMIT : 0;
	uint32_t high_end = top - f->page > RUN_LIMIT ? f->page + RUN_LIMIT : top;

	while (f->lo > low_end && page_free(f, f->lo - 1)) {
		if (!(f->lo & within) && !slot_alike(f, (f->lo - 1) >> shift))
			break;
		f->lo--;
	}
	while (f->hi < high_end && page_free(f, f->hi + 1)) {
		if (!((f->hi + 1) & within) && !slot_alike(f, (f->hi + 1) >> shift))
			break;
		f->hi++;
	}
}

/* ---- guarded pages in a writable run ---- */

static uint64_t file_page(const struct fill *f, uint32_t p)
{
	return physmap_file_offset(f->m->pm, gpa(frame_of(f, p) << PAGE_SHIFT)) >> PAGE_SHIFT;
}

static unsigned count_stretches(const struct physmap *pm, uint64_t first, uint64_t last)
{
	unsigned n = 0;

	while ((first = guard_next(pm, first, last, true)) <= last) {
		first = guard_next(pm, first, last, false);
		n++;
	}
	return n;
}

/* Each stretch of guarded pages costs a system call and two mappings: keep the nearest few. */
static void clip_guarded(struct fill *f)
{
	const struct physmap *pm = f->m->pm;
	uint64_t first = file_page(f, f->lo);
	uint64_t page = first + (f->page - f->lo), last = first + (f->hi - f->lo);
	uint64_t at = first, keep = first;

	for (unsigned n = count_stretches(pm, first, page); n > FILL_STRETCHES; n--) {
		at = guard_next(pm, at, page, true);
		keep = at = guard_next(pm, at, page, false);
	}
	f->lo += (uint32_t)(keep - first);
	at = page + 1;
	for (unsigned n = 0; at <= last; n++) {
		at = guard_next(pm, at, last, true);
		if (n == FILL_STRETCHES)
			break;
		at = guard_next(pm, at, last, false);
	}
	f->hi = f->page + (uint32_t)((at <= last ? at - 1 : last) - page);
}

/* ---- committing ---- */

/*
 * Record the entries page p comes from: its own page-table entry, or once for each slot the
 * directory entry (large neighbours have one of their own).
 */
static void note_page(struct fill *f, const uint8_t *table, uint32_t p)
{
	uint64_t pde = walk_pde(f->m->cpu, &f->k), leaf = walk_leaf(&f->k);
	unsigned shift = f->w->slot_shift;

	if (f->large || !f->m->mode.on) {
		if (p != f->lo && (p & ((1u << shift) - 1)))
			return;
		if (p >> shift != f->page >> shift)
			pde = leaf = snapshot_pde_now(f->m, p >> shift);
	} else if (p != f->page && table) {
		leaf = snapshot_entry(f->m, table, snapshot_index(f->w, p));
	}
	snapshot_note(f->m, f->w, p, pde, leaf);
}

static bool is_guarded(const struct fill *f, uint32_t p)
{
	return guard_has(f->m->pm, gpa(frame_of(f, p) << PAGE_SHIFT));
}

/* The host mapping of [lo, hi] is in place: make the tables say so. */
static void commit(struct fill *f)
{
	const uint8_t *table = NULL;
	uint32_t flags = SH_R | (f->nowp ? SH_NOWP : 0);
	uint64_t file = file_page(f, f->lo);
	uint64_t file_last = file + (f->hi - f->lo);
	uint64_t guarded = guard_next(f->m->pm, file, file_last, true);

	if (f->m->mode.on && !f->large)
		table = snapshot_table(f->m, walk_pde(f->m->cpu, &f->k));
	for (uint32_t p = f->lo;; p++) {
		uint32_t word = (uint32_t)(frame_of(f, p) << SH_GFN_SHIFT) | flags |
				(f->w->shadow[p] & SH_CODE);

		if (file < guarded)
			word |= f->write ? SH_W : 0;
		else
			guarded = guard_next(f->m->pm, file + 1, file_last, true);
		file++;
		note_page(f, table, p);
		shadow_set(f->m, f->w, p, word);
		if (p == f->hi)
			break;
	}
	log_line(LOG_MMU, "fill: space %u pages %05x-%05x gfn %llx %s%s", f->w->space, f->lo, f->hi,
		 (unsigned long long)frame_of(f, f->lo), f->write ? "rw" : "ro", f->nowp ? " for CR0.WP=0" : "");
	/* a writable mapping that cannot be found again must not exist */
	if (f->write && !rmap_add(f->m, f->w, f->lo, f->hi - f->lo + 1, frame_of(f, f->lo)))
		mmu_evict_all(f->m);
	f->m->stats.fills++;
	f->m->stats.fill_pages += f->hi - f->lo + 1;
}

static bool map_run(struct fill *f)
{
	if (!f->nowp) {
		if (f->large || !f->m->mode.on)
			extend_slots(f);
		else
			extend_ptes(f);
	}
	if (f->write && f->lo != f->hi)
		clip_guarded(f);
	if (!window_map(f->m, f->w, f->lo, f->hi - f->lo + 1, frame_of(f, f->lo), f->write))
		return false;
	commit(f);
	return true;
}

/* Mapped read-only, in the place the run wants, and free to be written? */
static bool can_raise(const struct fill *f, uint32_t p)
{
	uint32_t word = f->w->shadow[p];

	return frame_fits(f, p) && (word & (SH_R | SH_W)) == SH_R &&
	       word >> SH_GFN_SHIFT == frame_of(f, p) && !is_guarded(f, p);
}

/* Neighbours of the same slot come along when the guest's tables let them. */
static bool raise_run(struct fill *f)
{
	const uint8_t *table = NULL;
	uint32_t pages = 1u << f->w->slot_shift;
	uint32_t first = f->page & ~(pages - 1);
	bool by_entry = f->m->mode.on && !f->large;

	if (by_entry)
		table = snapshot_table(f->m, walk_pde(f->m->cpu, &f->k));
	if (!f->nowp && (table || !by_entry)) {
		while (f->lo > first && can_raise(f, f->lo - 1) &&
		       (!by_entry || pte_alike(f, table, f->lo - 1)))
			f->lo--;
		while (f->hi < first + pages - 1 && can_raise(f, f->hi + 1) &&
		       (!by_entry || pte_alike(f, table, f->hi + 1)))
			f->hi++;
	}
	rmap_written(f->m, f->gfn);
	if (!window_protect(f->w, f->lo, f->hi - f->lo + 1, true)) {
		mmu_evict_all(f->m);
		f->lo = f->hi = f->page;
		return map_run(f);
	}
	commit(f);
	return true;
}

/* Writable now, or only after the first write has set the dirty bit? */
static void decide_rights(struct fill *f, bool user, bool write, enum page_kind kind)
{
	bool rw = walk_tables_rw(f->m->cpu, &f->k);

	f->write = kind == PAGE_RAM && f->k.dirty && (rw || !paging_on(f->m->cpu));
	/* pages writable by grace of CR0.WP are opened one at a time: they are closed again soon */
	if (!f->write && write && kind == PAGE_RAM && !user)
		f->write = f->nowp = true;
	f->k.write = f->k.write && rw;
}

static bool fill_page(struct mmu *m, bool user, uint32_t va, bool write, const struct walk *k,
		      enum page_kind kind)
{
	struct fill f = {.m = m, .k = *k, .page = va >> PAGE_SHIFT, .gfn = k->gpa.v >> PAGE_SHIFT};
	uint32_t word;

	mmu_make_room(m);
	f.w = user ? mmu_user_window(m) : &m->win[MMU_SUPERVISOR];
	f.lo = f.hi = f.page;
	f.large = k->page > PAGE_SIZE && m->mode.on;
	bound_frames(&f);
	decide_rights(&f, user, write, kind);
	snapshot_sync(m, f.w, f.page, k);
	word = f.w->shadow[f.page];
	if (!(word & SH_R))
		return map_run(&f);
	if (f.write && can_raise(&f, f.page))
		return raise_run(&f);
	/* Mapped and allowed as far as we know: something else was wrong. Map this page anew. */
	if (!window_map(m, f.w, f.page, 1, f.gfn, f.write))
		return false;
	commit(&f);
	return true;
}

static enum mmu_fill handle(struct mmu *m, bool user, gva_t a, bool write)
{
	unsigned acc = (user ? ACC_USER : 0) | (write ? ACC_WRITE : 0);
	uint32_t va = (uint32_t)a.v, error;
	enum page_kind kind;
	struct walk k;

	if (a.v >> 32) /* a guard: the access straddles the end of the address space */
		return MMU_IO;
	m->stats.walks++;
	if (!walk_access(m->cpu, m->pm, va, acc, &k, &error)) {
		m->stats.true_faults++;
		mmu_page_faulted(m, va);
		m->expected.on = false;
		if (user)
			mmu_expect(m, write, gva(va));
		return MMU_TRUE_FAULT;
	}
	kind = physmap_kind(m->pm, k.gpa);
	if (kind == PAGE_MMIO || kind == PAGE_NONE) {
		m->stats.io_faults++;
		return MMU_IO;
	}
	if (!user && m->refuse_user && k.user && m->mode.on)
		return MMU_USER_PAGE;
	if (write)
		guard_table_written(m->pm, k.gpa);
	if (write && (kind == PAGE_ROM || guard_has(m->pm, k.gpa))) {
		m->stats.code_write_faults++;
		return MMU_CODE_WRITE;
	}
	if (!user && m->mode.on && churn_emulate(m, va >> PAGE_SHIFT))
		return MMU_EMULATE;
	if (!fill_page(m, user, va, write, &k, kind))
		return MMU_IO;
	m->stats.hidden_faults++;
	return MMU_FILLED;
}

bool mmu_fill_expected(struct mmu *m, bool wanted)
{
	const struct expected e = m->expected;
	enum page_kind kind;
	uint32_t error;
	struct walk k;

	m->expected.on = false;
	if (!e.on || !wanted || e.w != m->user)
		return false;
	m->stats.walks++;
	if (!walk_check(m->cpu, m->pm, e.va, ACC_USER | (e.write ? ACC_WRITE : 0), &k, &error) ||
	    (m->mode.on && !walk_marked(m->cpu, &k, e.write)))
		return false;
	kind = physmap_kind(m->pm, k.gpa);
	if (kind != PAGE_RAM || (e.write && guard_has(m->pm, k.gpa)) ||
	    !fill_page(m, true, e.va, e.write, &k, kind))
		return false;
	m->stats.expected_fills++;
	return true;
}

enum mmu_fill mmu_handle_fault(struct mmu *m, bool user, gva_t a, bool write)
{
	static const char *const text[] = {
		[MMU_FILLED] = "hidden fault, filled",
		[MMU_TRUE_FAULT] = "true fault",
		[MMU_IO] = "not mappable: device or nothing",
		[MMU_CODE_WRITE] = "write to a page with code, or to ROM",
		[MMU_EMULATE] = "not worth a mapping",
		[MMU_USER_PAGE] = "user page, not for the supervisor window",
	};
	enum mmu_fill answer = handle(m, user, a, write);

	log_line(LOG_MMU, "fault: %s %s %09llx: %s", user ? "user" : "supervisor", write ? "write" : "read",
		 (unsigned long long)a.v, text[answer]);
	return answer;
}

void mmu_refuse_user_fills(struct mmu *m, bool on)
{
	m->refuse_user = on;
}
