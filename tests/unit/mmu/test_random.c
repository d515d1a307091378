/*
 * A long random run: whatever the guest does to its tables, after a flush windows, software TLB and
 * code tracking agree with a walk. Frames are few, so that aliases abound; the mapping budget is
 * small in half of the runs, so that evictions do too. 32-bit and PAE tables.
 */
#include "fixture.h"

#include "mmu/internal.h"

#include <stdio.h>
#include <string.h>

enum {
	DIRS = 3,  /* address spaces; there are two user windows */
	SLOTS = 3, /* directory entries in use; the last page table is shared, as a kernel's */
	SLOT_PAGES = 72, /* pages in use in each */
	FRAME0 = 0x800,
	FRAMES = 256,
	SPACES = 3,
};

struct machine {
	struct env e;
	bool pae;
	unsigned dir; /* current address space */
	/* what code tracking promised: frame + 1 of each page, by space */
	uint32_t tracked[SPACES][SLOTS * SLOT_PAGES];
};

static uint32_t rng;

static uint32_t next(uint32_t below)
{
	rng = rng * 1664525 + 1013904223;
	return (rng >> 8) % below;
}

/* ---- the guest's tables ---- */

static uint32_t pdpt_at(unsigned d)
{
	return 0x70000 + d * 0x1000;
}
static uint32_t pd_at(unsigned d)
{
	return 0x100000 + d * 0x1000;
}
static uint32_t pt_at(unsigned d, unsigned s)
{
	return 0x110000 + (s == SLOTS - 1 ? s : d * SLOTS + s) * 0x1000;
}

static uint32_t page_va(const struct machine *g, unsigned n)
{
	return (n / SLOT_PAGES) << (g->pae ? 21 : 22) | (n % SLOT_PAGES) << 12;
}

static void put(struct machine *g, uint64_t table, unsigned index, uint64_t entry)
{
	if (g->pae)
		poke64(&g->e, table + 8 * index, entry);
	else
		poke32(&g->e, table + 4 * index, (uint32_t)entry);
}

static void put_random_pte(struct machine *g, unsigned d, unsigned s, unsigned index)
{
	static const uint32_t rights[] = {
		0, PWUAD, PWUAD, PWAD, P | U | A, P | W | U | A, P | W | U, PWAD, P | A,
	};
	uint64_t nx = g->pae && next(4) == 0 ? 1ull << 63 : 0;
	/* mostly linear, so that runs happen */
	uint32_t frame = FRAME0 + (next(4) ? index + s * 64 : next(FRAMES));

	put(g, pt_at(d, s), index, (uint64_t)frame << 12 | rights[next(ARRAY_LEN(rights))] | nx);
}

static void change_tables(struct machine *g)
{
	unsigned d = next(DIRS), s = next(SLOTS), first = next(SLOT_PAGES - 8);

	for (unsigned i = first + next(8); i-- > first;)
		put_random_pte(g, d, s, i);
	if (next(20) == 0) {
		uint32_t pde = next(2) ? pt_at(d, s) | PWUAD
				       : (FRAME0 << 12) | PS | (next(2) ? PWUAD : PWAD);

		put(g, pd_at(d), s, next(8) ? pde : 0);
	}
}

/* ---- what the mmu promises ---- */

static void on_unmapped(void *ctx, unsigned space, uint64_t first, uint64_t last)
{
	struct machine *g = ctx;

	assert_true(space < SPACES && first <= last);
	for (unsigned n = 0; n < SLOTS * SLOT_PAGES; n++) {
		uint64_t page = page_va(g, n) >> 12;

		if (page >= first && page <= last)
			g->tracked[space][n] = 0;
	}
}

static void on_recycled(void *ctx, unsigned space)
{
	struct machine *g = ctx;

	memset(g->tracked[space], 0, sizeof(g->tracked[space]));
}

static void check_tracked(struct machine *g)
{
	for (unsigned user = 0; user < 2; user++) {
		const uint32_t *tracked = g->tracked[mmu_space(g->e.m, user)];

		for (unsigned n = 0; n < SLOTS * SLOT_PAGES; n++) {
			struct walk k;

			if (!tracked[n])
				continue;
			assert_true(mmu_walk_quiet(&g->e.cpu, g->e.pm, gva(page_va(g, n)), &k));
			assert_true(k.exec && (!user || k.user));
			assert_int_equal(k.gpa.v >> 12, tracked[n] - 1);
		}
	}
}

static void track(struct machine *g, bool user, unsigned n)
{
	struct walk k;
	gpa_t a;
	bool mapped = mmu_walk_quiet(&g->e.cpu, g->e.pm, gva(page_va(g, n)), &k);
	bool allowed = mapped && k.exec && (!user || k.user);
	enum outcome r = mmu_track_code(g->e.m, user, gva(page_va(g, n) + 5), &a);

	assert_int_equal(r, allowed ? OUT_OK : OUT_FAULT);
	if (!allowed)
		return;
	assert_int_equal(a.v, k.gpa.v + 5);
	g->tracked[mmu_space(g->e.m, user)][n] = (uint32_t)(a.v >> 12) + 1;
}

static void check_access(struct machine *g, bool user, bool write, uint32_t va)
{
	struct env *e = &g->e;
	struct walk k;
	bool mapped = mmu_walk_quiet(&e->cpu, e->pm, gva(va), &k);
	bool rw = mapped && walk_tables_rw(&e->cpu, &k);
	bool readable = mapped && (!user || k.user);
	bool code = mapped && physmap_is_code(e->pm, k.gpa);
	uint32_t v = next(1u << 30), seen = 0;
	enum touch t = write ? touch_write(e, user, va, v) : touch_read(e, user, va, &seen);

	if (!readable || (write && !rw)) {
		assert_int_equal(t, TOUCH_TRUE);
	} else if (write && code) {
		assert_int_equal(t, TOUCH_CODE);
	} else {
		assert_true(t <= TOUCHED_FILLED);
		assert_int_equal(peek32(e, k.gpa.v), write ? v : seen);
		assert_true(mmu_walk_quiet(&e->cpu, e->pm, gva(va), &k));
		assert_true(k.entry[k.levels - 1] & A);
		assert_true(!write || (k.entry[k.levels - 1] & D));
	}
	assert_int_equal(mmu_op_read(&e->cpu, gva(va), &seen, 4, user ? ACC_USER : 0),
			 readable ? OUT_OK : OUT_FAULT);
	if (readable)
		assert_int_equal(seen, peek32(e, k.gpa.v));
	assert_int_equal(mmu_op_probe(&e->cpu, gva(va), 4, ACC_WRITE | (user ? ACC_USER : 0)),
			 readable && rw ? OUT_OK : OUT_FAULT);
}

/* ---- steps ---- */

static void flush_step(struct machine *g)
{
	for (unsigned n = next(4); n; n--)
		change_tables(g);
	g->dir = next(DIRS);
	load_cr3(&g->e, g->pae ? pdpt_at(g->dir) : pd_at(g->dir));
}

/* Two address spaces take turns, the second half of the time without new A and D bits, until their tables are known to rest. */
static void rest_step(struct machine *g)
{
	unsigned first = next(DIRS), second = (first + 1 + next(DIRS - 1)) % DIRS;

	for (unsigned n = 0; n < 300; n++) {
		g->dir = n % 2 ? first : second;
		load_cr3(&g->e, g->pae ? pdpt_at(g->dir) : pd_at(g->dir));
		if (n < 150 || n > 290)
			check_access(g, next(2), next(2), page_va(g, next(SLOTS * SLOT_PAGES)) + 4 * next(1024));
	}
}

/* One entry, one INVLPG: everything else is as before. */
static void invlpg_step(struct machine *g)
{
	unsigned s = next(SLOTS), index = next(SLOT_PAGES);

	put_random_pte(g, g->dir, s, index);
	flush_page(&g->e, page_va(g, s * SLOT_PAGES + index) + next(4096));
}

static void mark_step(struct machine *g)
{
	physmap_mark_code(g->e.pm, gpa((uint64_t)(FRAME0 + next(FRAMES)) << 12));
	if (next(6) == 0)
		for (unsigned i = next(3); i < FRAMES; i += 3)
			physmap_unmark_code(g->e.pm, gpa((uint64_t)(FRAME0 + i) << 12));
}

/* What /proc/self/maps says of pages [first, last] of a window must be what the shadow says. */
static void check_mapping(const struct machine *g, const struct window *w, uint32_t first,
			  uint32_t last, const char *rights, uint64_t file)
{
	for (uint32_t p = first; p <= last; p++) {
		uint32_t word = w->shadow[p];
		uint64_t frame = word >> SH_GFN_SHIFT;

		assert_int_equal(rights[0] == 'r', !!(word & SH_R));
		assert_int_equal(rights[1] == 'w', !!(word & SH_W));
		assert_int_equal(rights[2], '-');
		if (!(word & SH_R)) {
			assert_int_equal(rights[3] == 's', !!w->parked[p]);
			word = w->parked[p];
			frame = word >> SH_GFN_SHIFT;
		}
		if (!word)
			continue;
		assert_int_equal(physmap_file_offset(g->e.pm, gpa(frame << 12)),
				 file + ((uint64_t)(p - first) << 12));
		if (w->shadow[p] & SH_W)
			assert_false(guard_has(g->e.pm, gpa(frame << 12)));
	}
}

static unsigned check_window(const struct machine *g, const struct window *w)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long lo, hi, file;
		char rights[8];

		if (sscanf(line, "%lx-%lx %7s %lx", &lo, &hi, rights, &file) != 4)
			continue;
		if (hi <= w->base || lo >= w->base + WINDOW_SIZE)
			continue;
		if (lo < w->base)
			lo = w->base;
		if (hi > w->base + WINDOW_SIZE)
			hi = w->base + WINDOW_SIZE;
		check_mapping(g, w, (lo - w->base) >> 12, ((hi - w->base) >> 12) - 1, rights, file);
		n++;
	}
	fclose(f);
	return n;
}

/* The count that the budget relies on is the host's own. */
static void check_windows(struct machine *g)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < g->e.m->spaces; i++) {
		assert_int_equal(check_window(g, &g->e.m->win[i]), g->e.m->win[i].vmas);
		sum += g->e.m->win[i].vmas;
	}
	assert_int_equal(sum, mmu_statistics(g->e.m)->mappings_now);
}

static void build_tables(struct machine *g)
{
	for (unsigned d = 0; d < DIRS; d++) {
		poke64(&g->e, pdpt_at(d), pd_at(d) | P);
		for (unsigned s = 0; s < SLOTS; s++)
			put(g, pd_at(d), s, pt_at(d, s) | PWUAD);
	}
}

static void run(bool pae, unsigned budget, unsigned rounds, uint32_t seed)
{
	static struct machine g;

	memset(&g, 0, sizeof(g));
	g.pae = pae;
	rng = seed;
	env_open(&g.e, 32 * MIB, SPACES - 1, budget);
	build_tables(&g);
	g.e.cpu.efer = EFER_NXE;
	set_paging(&g.e, pae ? pdpt_at(0) : pd_at(0), CR4_PSE | (pae ? CR4_PAE : 0), true);
	mmu_set_listener(g.e.m, &(struct mmu_listener){on_unmapped, on_recycled, &g});
	lean_done = 0;
	for (unsigned r = 0; r < rounds; r++) {
		try_lean = next(2);
		if (next(40) == 0)
			rest_step(&g);
		if (next(2))
			flush_step(&g);
		else
			invlpg_step(&g);
		if (next(2))
			mark_step(&g);
		for (unsigned n = 0; n < 20; n++) {
			unsigned page = next(SLOTS * SLOT_PAGES);

			check_access(&g, next(2), next(2), page_va(&g, page) + 4 * next(1024));
			if (next(4) == 0)
				track(&g, next(2), page);
		}
		check_tracked(&g);
		if (r % 64 == 0)
			check_windows(&g);
	}
	check_windows(&g);
	assert_true(lean_done > rounds / 20);
	assert_true(mmu_statistics(g.e.m)->quiet > 5);
	env_close(&g.e);
}

static void test_32bit(void **state)
{
	run(false, 0, 2000, 1);
}

static void test_32bit_tight(void **state)
{
	run(false, 120, 1500, 2);
}

static void test_pae(void **state)
{
	run(true, 0, 2000, 3);
}

static void test_pae_tight(void **state)
{
	run(true, 120, 1500, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_32bit_tight),
		cmocka_unit_test(test_pae),
		cmocka_unit_test(test_pae_tight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
