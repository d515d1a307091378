/*
 * The mmu of one vCPU: life cycle, which window is whose, and the mapping budget.
 *
 *   window 0        supervisor: what ring 0 sees now. CR3 loads compare it with the new tables,
 *                   so a kernel half that address spaces share stays mapped.
 *   window 1..n     user windows, one for each recently used CR3. A CR3 load selects the
 *                   cached one, compared when it becomes current again, and makes none:
 *                   that is left to its first use.
 *
 * Everything a window holds can be rebuilt from the guest's tables, so whenever
 * the host runs short (mappings, snapshot pages) windows are emptied: least recently
 * used user windows first, then all.
 */
#include "mmu/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_USER_WINDOWS = 32, HEADROOM = 2000, DEFAULT_MAX_MAP_COUNT = 65530 };

/* ---- finding the mmu of a cpu: set at creation, read by cpu_ops ---- */

enum { MAX_MMUS = 16 };
static struct {
	struct cpu *cpu;
	struct mmu *mmu;
} registry[MAX_MMUS];

struct mmu *mmu_of(struct cpu *c)
{
	for (unsigned i = 0; i < MAX_MMUS; i++)
		if (registry[i].cpu == c)
			return registry[i].mmu;
	return NULL;
}

static bool enroll(struct cpu *c, struct mmu *m)
{
	for (unsigned i = 0; i < MAX_MMUS; i++) {
		if (registry[i].cpu && registry[i].cpu != c)
			continue;
		registry[i].cpu = c;
		registry[i].mmu = m;
		return true;
	}
	return false;
}

static void strike(const struct mmu *m)
{
	for (unsigned i = 0; i < MAX_MMUS; i++)
		if (registry[i].mmu == m) {
			registry[i].cpu = NULL;
			registry[i].mmu = NULL;
		}
}

/* ---- hooks of the physical map ---- */

static void guarded(void *ctx, gpa_t page)
{
	struct mmu *m = ctx;

	rmap_protect(m, page.v >> PAGE_SHIFT);
	softtlb_forget_writes(m, physmap_host(m->pm, page, PAGE_SIZE));
}

static void table_written(void *ctx)
{
	struct mmu *m = ctx;

	m->epoch++;
}

static void a20_changed(void *ctx)
{
	mmu_drop_everything(ctx);
}

/* ---- life cycle ---- */

static uint32_t budget(const struct mmu_config *config)
{
	unsigned long limit = DEFAULT_MAX_MAP_COUNT;
	FILE *f;

	if (config && config->max_mappings)
		return config->max_mappings;
	f = fopen("/proc/sys/vm/max_map_count", "r");
	if (f) {
		if (fscanf(f, "%lu", &limit) != 1)
			limit = DEFAULT_MAX_MAP_COUNT;
		fclose(f);
	}
	if (limit > UINT32_MAX)
		limit = UINT32_MAX;
	return limit > 2 * HEADROOM ? (uint32_t)limit - HEADROOM : (uint32_t)limit / 2;
}

static unsigned space_count(const struct mmu_config *config)
{
	unsigned users =
		config && config->user_windows ? config->user_windows : DEFAULT_USER_WINDOWS;

	return users < MMU_MAX_SPACES ? users + 1 : MMU_MAX_SPACES;
}

struct mmu *mmu_create(struct physmap *pm, struct cpu *c, const struct mmu_config *config,
		       char *err, size_t errlen)
{
	struct mmu *m = calloc(1, sizeof(*m));

	if (!m) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	m->pm = pm;
	m->cpu = c;
	m->spaces = space_count(config);
	m->max_mappings = budget(config);
	for (unsigned i = 0; i < m->spaces; i++)
		m->win[i].slot_shift = 10;
	if (!window_reserve(m, err, errlen)) {
		mmu_destroy(m);
		return NULL;
	}
	m->win[MMU_SUPERVISOR].assigned = true;
	/* one snapshot page to begin with: emptying all windows then always yields one */
	if (!rmap_create(m) || !softtlb_create(m) || !snapshot_reserve(m) || !enroll(c, m)) {
		snprintf(err, errlen, "out of memory for the mmu");
		mmu_destroy(m);
		return NULL;
	}
	physmap_set_hooks(pm, &(struct physmap_hooks){guarded, table_written, a20_changed, m});
	mmu_paging_changed(m, true, true);
	m->stats.flushes = 0;
	m->epoch = 1;
	return m;
}

void mmu_destroy(struct mmu *m)
{
	if (!m)
		return;
	strike(m);
	if (m->pm->hooks.ctx == m)
		physmap_set_hooks(m->pm, NULL);
	for (unsigned i = 0; i < m->spaces; i++)
		if (m->win[i].shadow)
			window_clear(m, &m->win[i]);
	window_release(m);
	while (m->snap_free_n)
		free(m->snap_free[--m->snap_free_n]);
	free(m->snap_free);
	rmap_destroy(m);
	softtlb_destroy(m);
	free(m);
}

void mmu_set_listener(struct mmu *m, const struct mmu_listener *l)
{
	m->listener = l ? *l : (struct mmu_listener){0};
}

const struct mmu_stats *mmu_statistics(const struct mmu *m)
{
	return &m->stats;
}

/* ---- whose window is it ---- */

/* Without paging all address spaces are the same one. */
static uint64_t user_key(const struct mmu *m)
{
	if (!m->mode.on)
		return 0;
	return m->cpu->cr3 & (m->mode.pae ? 0xffffffe0u : 0xfffff000u);
}

void mmu_select_user(struct mmu *m)
{
	uint64_t key = user_key(m);

	if (m->user && m->user->cr3 == key)
		return;
	m->user = NULL;
	for (unsigned i = 1; i < m->spaces; i++) {
		struct window *w = &m->win[i];

		if (!w->assigned || w->cr3 != key)
			continue;
		w->last_use = ++m->clock;
		m->user = w;
		return;
	}
}

/* Take a user window from its address space. */
static void recycle(struct mmu *m, struct window *w)
{
	bool was = w->assigned;

	window_clear(m, w);
	w->assigned = w->mirrored = false;
	if (m->user == w)
		m->user = NULL;
	if (was && m->listener.space_recycled)
		m->listener.space_recycled(m->listener.ctx, w->space);
}

/* Least recently used user window, free ones first; the current one only when there is no other. */
static struct window *victim(struct mmu *m)
{
	struct window *best = NULL;

	for (unsigned i = 1; i < m->spaces; i++) {
		struct window *w = &m->win[i];

		if (!w->assigned)
			return w;
		if (w != m->user && (!best || w->last_use < best->last_use))
			best = w;
	}
	return best;
}

struct window *mmu_user_window(struct mmu *m)
{
	struct window *w = m->user;

	if (w)
		return w;
	w = victim(m); /* no current one, so there is always a victim */
	if (w->assigned) {
		m->stats.evictions++;
		recycle(m, w);
	}
	w->assigned = true;
	w->cr3 = user_key(m);
	w->last_use = ++m->clock;
	m->user = w;
	log_line(LOG_MMU, "window: space %u is that of cr3 %08llx", w->space, (unsigned long long)w->cr3);
	return w;
}

static struct window *space_window(struct mmu *m, bool user)
{
	return user ? mmu_user_window(m) : &m->win[MMU_SUPERVISOR];
}

hva_t mmu_window_base(struct mmu *m, bool user)
{
	return hva(space_window(m, user)->base);
}

unsigned mmu_space(struct mmu *m, bool user)
{
	return space_window(m, user)->space;
}

/* ---- running short ---- */

static void evict_mappings(struct mmu *m, struct window *w)
{
	if (w->vmas == 1)
		return;
	window_unmap_all(m, w);
	m->stats.evictions++;
}

void mmu_evict_all(struct mmu *m)
{
	for (unsigned i = 0; i < m->spaces; i++)
		if (m->win[i].assigned)
			window_unmap_all(m, &m->win[i]);
	m->stats.evictions++;
}

/* Least recently used window other than the current that holds something. */
static struct window *lru_occupied(struct mmu *m)
{
	struct window *best = NULL;

	for (unsigned i = 1; i < m->spaces; i++) {
		struct window *w = &m->win[i];

		if (w->assigned && w != m->user && (!best || w->last_use < best->last_use))
			best = w;
	}
	return best;
}

/* Below three quarters of the budget, so that the next fill does not come here again. */
static void reduce_mappings(struct mmu *m)
{
	uint32_t goal = m->max_mappings - m->max_mappings / 4;
	struct window *w;

	while (m->stats.mappings_now > goal && (w = lru_occupied(m))) {
		recycle(m, w);
		m->stats.evictions++;
	}
	if (m->stats.mappings_now <= goal)
		return;
	evict_mappings(m, &m->win[MMU_SUPERVISOR]);
	if (m->user)
		evict_mappings(m, m->user);
}

static void clear_and_tell(struct mmu *m, struct window *w)
{
	bool tracked = w->tracked;

	window_clear(m, w);
	if (tracked && m->listener.code_unmapped)
		m->listener.code_unmapped(m->listener.ctx, w->space, 0, WINDOW_PAGES - 1);
}

static void reduce_snapshots(struct mmu *m)
{
	struct window *w;

	while (!snapshot_reserve(m)) {
		w = lru_occupied(m);
		m->stats.evictions++;
		if (w) {
			recycle(m, w);
			continue;
		}
		clear_and_tell(m, &m->win[MMU_SUPERVISOR]);
		if (m->user)
			clear_and_tell(m, m->user);
	}
}

void mmu_make_room(struct mmu *m)
{
	if (m->stats.mappings_now + FILL_SLACK > m->max_mappings)
		reduce_mappings(m);
	reduce_snapshots(m);
}

void mmu_drop_everything(struct mmu *m)
{
	softtlb_flush(m, true);
	for (unsigned i = 1; i < m->spaces; i++)
		if (m->win[i].assigned)
			recycle(m, &m->win[i]);
	clear_and_tell(m, &m->win[MMU_SUPERVISOR]);
}

/* ---- code ---- */

enum outcome mmu_track_code(struct mmu *m, bool user, gva_t a, gpa_t *out)
{
	uint32_t va = (uint32_t)a.v, page = va >> PAGE_SHIFT;
	struct window *w = space_window(m, user);
	uint32_t word = w->shadow[page];
	enum outcome result;
	struct walk k;

	/* Tracked already: like a TLB hit, good until a flush says otherwise. */
	if (word & SH_CODE) {
		*out = gpa(((uint64_t)(word >> SH_GFN_SHIFT) << PAGE_SHIFT) | (va & PAGE_MASK));
		return OUT_OK;
	}
	m->stats.walks++;
	result = mmu_walk(m->cpu, m->pm, gva(va), ACC_EXEC | (user ? ACC_USER : 0), &k);
	if (result != OUT_OK) {
		mmu_page_faulted(m, va);
		return result;
	}
	*out = k.gpa;
	mmu_make_room(m);
	snapshot_sync(m, w, page, &k);
	snapshot_note(m, w, page, walk_pde(m->cpu, &k), walk_leaf(&k));
	word = w->shadow[page] & (SH_R | SH_W | SH_NOWP);
	shadow_set(m, w, page, (uint32_t)(k.gpa.v >> PAGE_SHIFT << SH_GFN_SHIFT) | word | SH_CODE);
	return OUT_OK;
}

bool mmu_runs_code(const struct mmu *m, unsigned space)
{
	return m->win[space].tracked;
}

bool mmu_code_in_use(const struct mmu *m, uint32_t page, uint64_t gfn)
{
	for (unsigned i = 1; i < m->spaces; i++) {
		const struct window *w = &m->win[i];

		if (w->tracked && (w->shadow[page] & SH_CODE) && w->shadow[page] >> SH_GFN_SHIFT == gfn)
			return true;
	}
	return false;
}
