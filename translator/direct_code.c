/*
 * Pages of code that run directly: which are fit, and taking execution away when they change.
 *
 * An answer of vet.c is kept for a frame until the frame is written; it may also depend on the frame that follows, for the
 * instruction that spans the two. A page is executable in a world only with a valid answer, and while writes to all frames
 * the answer depends on are reported (smc_watch).
 */
#include "translator/direct_internal.h"

#include <sys/mman.h>
#include <x86intrin.h>

/* State of a page: not known, fit (with NEEDS_*), or how many more times it is taken for unfit before it is looked at again. */
enum { VET_UNKNOWN = 0, VET_FIT = 1, VET_UNFIT = 8, REVET = 200 };
enum { CODE_AROUND = 32 }; /* pages */

static bool is_fit(const struct direct *d, uint64_t gfn)
{
	const struct page_vet *p = &d->vet[gfn];

	if (!p->state || p->state >= VET_UNFIT)
		return false;
	return !p->next || p->next == ABSENT || d->vet[p->next - 1].written == p->next_written;
}

/*
 * The host's vector units and its IF are always on: code that can tell the difference cannot run while the guest has
 * them off.
 */
static bool needs_met(const struct tc *tc, uint8_t needs)
{
	const uint32_t units = MODE_FPU | MODE_SSE;

	if ((needs & NEEDS_VECTOR) && (tc->mode & units) != units)
		return false;
	return !(needs & NEEDS_FLAGS) || ((tc->cpu->eflags & (FL_IF | FL_NT)) == FL_IF && cpu_iopl(tc->cpu) == 0);
}

/* Take execution away wherever the answer involved this frame. */
static void revoke_page(struct direct *d, uint64_t gfn)
{
	d->vet[gfn].state = VET_UNKNOWN;
	for (unsigned i = 0; i < d->worlds; i++) {
		struct host_world *h = d->world[i];

		for (unsigned k = 0; k < h->execs;) {
			const struct exec_page *e = &h->exec[k];

			if (e->gfn != gfn && d->vet[e->gfn].next != gfn + 1) {
				k++;
				continue;
			}
			world_unmap(h->w, e->page, e->page);
			h->exec[k] = h->exec[--h->execs];
		}
	}
}

void direct_code_written(struct tc *tc, uint64_t gfn)
{
	struct direct *d = tc->direct;

	if (!d || gfn >= d->pages)
		return;
	d->vet[gfn].written++;
	revoke_page(d, gfn);
}

void direct_code_added(struct tc *tc, uint64_t at)
{
	struct direct *d = tc->direct;
	uint64_t gfn = at >> PAGE_SHIFT;
	unsigned offset = at & PAGE_MASK;

	if (d && gfn < d->pages && is_fit(d, gfn) && !(d->starts[gfn][offset / 64] >> (offset % 64) & 1))
		revoke_page(d, gfn);
}

void direct_flush(struct tc *tc)
{
	struct direct *d = tc->direct;

	if (!d)
		return;
	madvise(d->vet, d->pages * sizeof(*d->vet), MADV_DONTNEED);
	for (unsigned i = 0; i < d->worlds; i++) {
		world_unmap(d->world[i]->w, 0, WORLD_PAGES - 1);
		d->world[i]->execs = 0;
	}
}

static bool vet(struct direct *d, uint32_t lin, uint64_t gfn)
{
	struct page_vet *p = &d->vet[gfn];
	struct tc *tc = d->tc;
	uint64_t next, begin = __rdtsc();
	uint8_t needs = 0;
	bool fit;

	smc_watch(tc, gfn);
	fit = vet_page(tc, lin, gfn, d->starts[gfn], &needs, &next) && (next >= NEXT_ABSENT || next < d->pages);
	d->vet_cycles += __rdtsc() - begin;
	if (!fit) {
		p->state = REVET;
		tc->stats.pages_unfit++;
		return false;
	}
	p->state = VET_FIT | needs;
	p->next = next == NEXT_ABSENT ? ABSENT : 0;
	if (next < NEXT_ABSENT) {
		smc_watch(tc, next);
		p->next = (uint32_t)next + 1;
		p->next_written = d->vet[next].written;
	}
	tc->stats.pages_fit++;
	smc_drop_mode(tc, gfn, MODE_DIRECT);
	return true;
}

/* May the instruction at this address, and so its page, run directly? */
static bool fit(struct direct *d, uint32_t lin, uint64_t at)
{
	uint64_t gfn = at >> PAGE_SHIFT;
	unsigned offset = at & PAGE_MASK;
	struct page_vet *p;

	if (gfn >= d->pages || smc_page_selfchecks(d->tc, at))
		return false;
	p = &d->vet[gfn];
	if (is_fit(d, gfn) && (d->starts[gfn][offset / 64] >> (offset % 64) & 1))
		return needs_met(d->tc, p->state);
	if (p->state > VET_UNFIT) {
		p->state--;
		return false;
	}
	if (p->state != VET_UNKNOWN)
		revoke_page(d, gfn); /* never looked at from here, or not lately */
	return vet(d, lin, gfn) && needs_met(d->tc, p->state);
}

/* Forget what is not executable any more; when that is nothing, start over with an empty world. */
static void make_exec_room(struct host_world *h)
{
	unsigned n = 0;

	if (h->execs < EXEC_MAX)
		return;
	for (unsigned i = 0; i < h->execs; i++)
		if (world_page(h->w, h->exec[i].page) & WORLD_EXEC)
			h->exec[n++] = h->exec[i];
	h->execs = n;
	if (n <= EXEC_MAX / 2)
		return;
	world_unmap(h->w, 0, WORLD_PAGES - 1);
	h->execs = 0;
}

/* Is what follows the page of `lin` what was looked at with it? */
static bool same_next(struct direct *d, const struct host_world *h, uint32_t lin, uint64_t gfn)
{
	uint32_t next = (lin & ~(uint32_t)PAGE_MASK) + PAGE_SIZE;
	struct walk k;

	if (!d->vet[gfn].next)
		return true;
	if (d->vet[gfn].next == ABSENT)
		return !next || !(world_page(h->w, next >> PAGE_SHIFT) & WORLD_EXEC);
	return mmu_walk_quiet(d->tc->cpu, d->tc->pm, gva(next), &k) &&
	       k.gpa.v >> PAGE_SHIFT == d->vet[gfn].next - 1;
}

/* The page before may have been looked at with another one behind it. */
static void check_page_before(struct direct *d, struct host_world *h, uint32_t page, uint64_t gfn)
{
	for (unsigned i = 0; i < h->execs; i++) {
		const struct exec_page *e = &h->exec[i];

		if (e->page + 1 == page && d->vet[e->gfn].next == ABSENT)
			d->vet[e->gfn].state = VET_UNKNOWN;
		if (e->page + 1 != page || !d->vet[e->gfn].next || d->vet[e->gfn].next == gfn + 1)
			continue;
		world_unmap(h->w, e->page, e->page);
		h->exec[i] = h->exec[--h->execs];
		return;
	}
}

/* The user window has this page of code, read-only. */
static bool view_code(struct direct *d, uint32_t lin, uint64_t gfn, struct mmu_view *v)
{
	struct mmu *m = d->tc->mmu;

	if (!mmu_user_view(m, gva(lin), 0, v) &&
	    (mmu_handle_fault(m, true, gva(lin), false) != MMU_FILLED || !mmu_user_view(m, gva(lin), 0, v)))
		return false;
	return v->gfn == gfn && !v->write;
}

static bool offer(struct direct *d, struct host_world *h, uint32_t lin)
{
	uint32_t page = lin >> PAGE_SHIFT;
	struct mmu_view v;
	uint64_t gfn;
	gpa_t at;

	if (page < d->min_page || mmu_track_code(d->tc->mmu, true, gva(lin), &at) != OUT_OK || !fit(d, lin, at.v))
		return false;
	if (world_page(h->w, page) & WORLD_EXEC)
		return true;
	gfn = at.v >> PAGE_SHIFT;
	if (!same_next(d, h, lin, gfn)) {
		revoke_page(d, gfn);
		if (!fit(d, lin, at.v))
			return false;
	}
	if (!view_code(d, lin, gfn, &v))
		return false;
	check_page_before(d, h, page, gfn);
	make_exec_room(h);
	h->exec[h->execs++] = (struct exec_page){page, gfn};
	history_note(d->tc->history, HISTORY_WORLD_MAP, page << PAGE_SHIFT, d->tc->mode,
		     1 | (uint64_t)(WORLD_READ | WORLD_EXEC) << 32);
	world_map(h->w, page, 1, v.file, WORLD_READ | WORLD_EXEC);
	return true;
}

/* An instruction that was looked at on this page; false: none. */
static bool known_start(const struct direct *d, uint64_t gfn, unsigned *offset)
{
	for (unsigned i = 0; i < VET_STARTS; i++) {
		if (d->starts[gfn][i]) {
			*offset = i * 64 + (unsigned)__builtin_ctzll(d->starts[gfn][i]);
			return true;
		}
	}
	return false;
}

/* Pages of code around that the window has got and that are known to be fit: each spares an exit. */
static void offer_known_around(struct direct *d, struct host_world *h, uint32_t page)
{
	uint32_t first = page & ~(uint32_t)(CODE_AROUND - 1);
	struct mmu_view v;
	unsigned offset;

	for (uint32_t p = first; p < first + CODE_AROUND && world_room(h->w, CODE_AROUND); p++) {
		if (p < d->min_page || (world_page(h->w, p) & WORLD_EXEC) ||
		    !mmu_user_view(d->tc->mmu, gva((uint64_t)p << PAGE_SHIFT), 0, &v) || v.write || v.gfn >= d->pages)
			continue;
		if (is_fit(d, v.gfn) && known_start(d, v.gfn, &offset))
			offer(d, h, p << PAGE_SHIFT | offset);
	}
}

bool direct_offer_code(struct direct *d, struct host_world *h, uint32_t lin)
{
	uint32_t page = lin >> PAGE_SHIFT;
	bool new = !(world_page(h->w, page) & WORLD_EXEC);

	if (!offer(d, h, lin))
		return false;
	if (new)
		offer_known_around(d, h, page);
	return true;
}
