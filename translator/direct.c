/*
 * Running user code directly.
 *
 * An address space in direct gear has a world. Code of pages that may run directly (vet.c) runs there; code of other pages runs
 * translated, in units of their own (MODE_DIRECT), which exist on such pages only: as soon as control leaves
 * them, the dispatcher finds no unit and comes here.
 *
 *   dispatcher -> direct_run -> world_run -> why did it stop?
 *        page fault    the user window has the page, or the mmu fills it: show it in the world too
 *        fetch         the dispatcher decides anew
 *        a trap        the interpreter executes that one instruction and raises what it raises
 *        kick          the dispatcher looks at what is pending
 *
 * Invariants:
 *   - a world shows no more than the user window of its space (mmu/mirror.c);
 *   - a page is executable in a world only while it is vetted and its writes are reported (smc_watch).
 */
#include "translator/direct.h"
#include "world/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { WORLDS_MAX = 8, EXEC_MAX = 4096, REACH = 256, DEATHS_MAX = 8, STUCK = 4, REVET = 200 };
/* State of a page: not known, fit (with NEEDS_*), or how many more times it is taken for unfit before it is looked at again. */
enum { VET_UNKNOWN = 0, VET_FIT = 1, VET_UNFIT = 8 };
enum { AUDIT = 512, SHARE = 20 }; /* at most one part in so many for going in and out */

/* What is known of a page of guest-physical memory; indexed by frame. */
struct page_vet {
	uint8_t state;
	uint16_t written;      /* counts writes */
	uint16_t next_written; /* that of `next` when it was looked at */
	uint32_t next;         /* the answer depends on the frame next - 1; 0: on no other; ABSENT */
};
#define ABSENT UINT32_MAX /* it holds as long as the following page is not executable */

struct exec_page {
	uint32_t page;
	uint64_t gfn;
};

struct host_world {
	struct world *w;
	unsigned space;
	uint64_t used;
	unsigned execs;
	struct exec_page exec[EXEC_MAX];
};

struct direct {
	struct tc *tc;
	struct host_world *world[WORLDS_MAX];
	unsigned worlds;
	struct world *_Atomic running;
	uint64_t clock;
	uint32_t min_page; /* lower ones cannot be mapped */
	uint64_t pages;    /* of guest-physical space */
	struct page_vet *vet;
	uint64_t (*starts)[VET_STARTS];
	int64_t exit_ns; /* what going in and out costs */
	uint32_t stuck_rip, stuck;
	bool warned;
};

/* ---------------------------------- life cycle ---------------------------------- */

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void dropped(void *ctx, unsigned space, uint32_t first, uint32_t last)
{
	struct direct *d = ctx;

	for (unsigned i = 0; i < d->worlds; i++)
		if (d->world[i]->space == space)
			world_unmap(d->world[i]->w, first, last);
}

static uint32_t lowest_page(void)
{
	unsigned long bytes = 65536;
	FILE *f = fopen("/proc/sys/vm/mmap_min_addr", "r");

	if (f) {
		if (fscanf(f, "%lu", &bytes) != 1)
			bytes = 65536;
		fclose(f);
	}
	return (uint32_t)((bytes + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static uint64_t guest_pages(const struct physmap *pm)
{
	uint64_t above = physmap_above_4g(pm);

	return (above ? (1ull << 32) + above : physmap_below_4g(pm)) >> PAGE_SHIFT;
}

struct direct *direct_create(struct tc *tc)
{
	const char *why;
	struct direct *d;

	if (tc->config.direct == TC_DIRECT_OFF || tc->config.lockstep || tc->config.interpret)
		return NULL;
	why = world_unavailable(physmap_fd(tc->pm));
	d = why ? NULL : calloc(1, sizeof(*d));
	if (!d) {
		fprintf(stderr, "ringfence: user code runs translated, not directly: %s\n", why ? why : "out of memory");
		return NULL;
	}
	d->tc = tc;
	d->min_page = lowest_page();
	d->pages = guest_pages(tc->pm);
	d->exit_ns = 5000;
	d->vet = reserve(d->pages * sizeof(*d->vet));
	d->starts = reserve(d->pages * sizeof(*d->starts));
	if (!d->vet || !d->starts) {
		direct_destroy(d);
		return NULL;
	}
	mmu_set_mirror(tc->mmu, &(struct mmu_mirror){dropped, d});
	return d;
}

void direct_destroy(struct direct *d)
{
	if (!d)
		return;
	mmu_set_mirror(d->tc->mmu, NULL);
	for (unsigned i = 0; i < MMU_MAX_SPACES; i++)
		mmu_mirror_space(d->tc->mmu, i, false);
	for (unsigned i = 0; i < d->worlds; i++) {
		world_destroy(d->world[i]->w);
		free(d->world[i]);
	}
	if (d->vet)
		munmap(d->vet, d->pages * sizeof(*d->vet));
	if (d->starts)
		munmap(d->starts, d->pages * sizeof(*d->starts));
	free(d);
}

void direct_kick(struct tc *tc)
{
	struct world *w = tc->direct ? tc->direct->running : NULL;

	if (w)
		world_kick(w);
}

/* ---------------------------------- the pool ---------------------------------- */

static struct host_world *find_world(struct direct *d, unsigned space)
{
	for (unsigned i = 0; i < d->worlds; i++)
		if (d->world[i]->space == space)
			return d->world[i];
	return NULL;
}

static void discard(struct direct *d, struct host_world *h)
{
	mmu_mirror_space(d->tc->mmu, h->space, false);
	world_destroy(h->w);
	for (unsigned i = 0; i < d->worlds; i++)
		if (d->world[i] == h)
			d->world[i] = d->world[--d->worlds];
	free(h);
}

static struct host_world *make_world(struct direct *d)
{
	struct host_world *h = malloc(sizeof(*h));
	char err[256];

	if (!h)
		return NULL;
	h->w = world_create(physmap_fd(d->tc->pm), err, sizeof(err));
	if (!h->w) {
		free(h);
		return NULL;
	}
	d->world[d->worlds++] = h;
	d->tc->stats.worlds++;
	return h;
}

/* The least recently used one changes hands, empty. */
static struct host_world *recycle_world(struct direct *d)
{
	struct host_world *h = d->world[0];

	for (unsigned i = 1; i < d->worlds; i++)
		if (d->world[i]->used < h->used)
			h = d->world[i];
	mmu_mirror_space(d->tc->mmu, h->space, false);
	world_unmap(h->w, 0, WORLD_PAGES - 1);
	d->tc->stats.worlds_recycled++;
	return h;
}

static struct host_world *world_of(struct direct *d, unsigned space)
{
	struct host_world *h = find_world(d, space);

	if (!h) {
		h = d->worlds < WORLDS_MAX ? make_world(d) : recycle_world(d);
		if (!h)
			return NULL;
		h->space = space;
		h->execs = 0;
	}
	h->used = ++d->clock;
	/* a window that was recycled meanwhile has reported everything as dropped */
	mmu_mirror_space(d->tc->mmu, space, true);
	return h;
}

/* ---------------------------------- code pages ---------------------------------- */

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
	uint64_t next;
	uint8_t needs = 0;

	smc_watch(tc, gfn);
	if (!vet_page(tc, lin, gfn, d->starts[gfn], &needs, &next) || (next < NEXT_ABSENT && next >= d->pages)) {
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

/* The page of `lin` is executable in the world at its next run; false: not possible. */
static bool offer_code(struct direct *d, struct host_world *h, uint32_t lin)
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
	world_map(h->w, page, 1, v.file, WORLD_READ | WORLD_EXEC);
	return true;
}

/* ---------------------------------- data pages ---------------------------------- */

/* Show a page and its neighbours with the window's rights; false: the window does not have it with the rights asked for. */
static bool offer_data(struct direct *d, struct host_world *h, uint32_t lin, bool write)
{
	uint32_t page = lin >> PAGE_SHIFT, lo, hi;
	unsigned want;
	struct mmu_view v;

	if (!mmu_user_view(d->tc->mmu, gva(lin), REACH, &v) || (write && !v.write))
		return false;
	want = WORLD_READ | (v.write ? WORLD_WRITE : 0);
	if (world_page(h->w, page) & WORLD_EXEC)
		return false;
	if ((world_page(h->w, page) & want) == want)
		world_unmap(h->w, page, page); /* it says it has not got what it was given: once more */
	for (lo = page; lo > v.first && lo > d->min_page && !world_page(h->w, lo - 1); lo--)
		;
	for (hi = page; hi < v.last && !world_page(h->w, hi + 1); hi++)
		;
	world_map(h->w, lo, hi - lo + 1, v.file + ((uint64_t)(lo - v.first) << PAGE_SHIFT), want);
	return true;
}

static bool data_fault(struct direct *d, struct host_world *h, uint32_t lin, bool write)
{
	if (lin >> PAGE_SHIFT < d->min_page)
		return false;
	if (offer_data(d, h, lin, write))
		return true;
	if (mmu_handle_fault(d->tc->mmu, true, gva(lin), write) != MMU_FILLED)
		return false;
	gear_fault(d->tc);
	return offer_data(d, h, lin, write);
}

/* ---------------------------------- why it stopped ---------------------------------- */

/* The same instruction again and again: the host and we do not agree. */
static bool stuck(struct direct *d, uint32_t rip)
{
	d->stuck = d->stuck_rip == rip ? d->stuck + 1 : 0;
	d->stuck_rip = rip;
	return d->stuck >= STUCK;
}

static void page_fault(struct direct *d, struct host_world *h, const struct world_exit *x)
{
	struct tc *tc = d->tc;
	uint32_t rip = (uint32_t)tc->cpu->rip;

	tc->stats.world_faults++;
	if (stuck(d, rip)) {
		d->stuck = 0;
		interpret_here(tc);
		return;
	}
	if (!(x->error & PF_I)) {
		if (!data_fault(d, h, x->address, x->error & PF_W))
			interpret_here(tc);
		return;
	}
	/* the page of the instruction itself is the dispatcher's business; it may also reach into the next one */
	if (x->address >> PAGE_SHIFT != rip >> PAGE_SHIFT &&
	    (vet_insn_end(tc, rip) >> PAGE_SHIFT != x->address >> PAGE_SHIFT ||
	     !offer_code(d, h, vet_insn_end(tc, rip))))
		interpret_here(tc);
	else if (world_page(h->w, x->address >> PAGE_SHIFT) & WORLD_EXEC && d->stuck)
		world_unmap(h->w, x->address >> PAGE_SHIFT, x->address >> PAGE_SHIFT);
}

/* A software interrupt was executed, and EIP is behind it: back to its first byte. */
static void rewind_interrupt(struct tc *tc, uint8_t one_byte)
{
	uint8_t last = 0;

	mmu_peek(tc->mmu, gva((uint32_t)(tc->cpu->rip - 1)), &last, 1);
	tc->cpu->rip = (uint32_t)(tc->cpu->rip - (last == one_byte ? 1 : 2));
}

/* False: no guest instruction does that. */
static bool trap(struct direct *d, const struct world_exit *x)
{
	struct tc *tc = d->tc;
	uint8_t insn[2] = {0};

	tc->stats.world_traps++;
	if (x->signal == SIGSYS) {
		mmu_peek(tc->mmu, gva((uint32_t)(tc->cpu->rip - 2)), insn, 2);
		if (insn[0] != 0xcd || insn[1] != 0x80)
			return false;
		tc->cpu->rip = (uint32_t)(tc->cpu->rip - 2);
	} else if (x->signal == SIGTRAP && x->trap == EXC_DB) {
		if (tc->cpu->eflags & FL_TF)
			tc->cpu->pending_db |= 1 << 14; /* DR6.BS: POPF has set TF, and one instruction was executed */
		return true;
	} else if (x->signal == SIGTRAP && x->trap == EXC_BP) {
		rewind_interrupt(tc, 0xcc);
	} else if (x->signal == SIGSEGV && x->trap == EXC_OF) {
		rewind_interrupt(tc, 0xce);
	}
	interpret_here(tc);
	return true;
}

/* The world is lost, and the registers with it: what was running gets a general protection fault. */
static void lost(struct direct *d, struct host_world *h)
{
	struct tc *tc = d->tc;

	if (!d->warned)
		fprintf(stderr, "ringfence: a process running guest code ended or broke its rules at %#x\n",
			(unsigned)tc->cpu->rip);
	d->warned = true;
	tc->stats.world_deaths++;
	if (++tc->direct_gear[h->space].deaths >= DEATHS_MAX)
		tc->direct_gear[h->space].banned = true;
	discard(d, h);
	if (cpu_raise_error(tc->cpu, EXC_GP, 0) == OUT_FAULT)
		cpu_deliver_fault(tc->cpu);
}

/* ---------------------------------- running ---------------------------------- */

enum {
	NEEDED = MODE_USER | MODE_CODE32 | MODE_STACK32 | MODE_FLAT_CS | MODE_FLAT_DS | MODE_FLAT_ES | MODE_FLAT_SS,
};

/* Is the processor's state one that a world can have? */
static bool possible(const struct tc *tc)
{
	const struct cpu *c = tc->cpu;

	return (tc->mode & NEEDED) == NEEDED && !(c->eflags & (FL_AC | FL_VIF | FL_VIP)) &&
	       world_segments_possible(&c->seg[S_FS], &c->seg[S_GS]);
}

static enum world_stop enter(struct direct *d, struct host_world *h, struct world_exit *x)
{
	struct cpu *c = d->tc->cpu;
	struct world_registers r = {.eip = (uint32_t)c->rip, .eflags = c->eflags, .fs = &c->seg[S_FS],
				    .gs = &c->seg[S_GS]};
	enum world_stop stop;

	for (unsigned i = 0; i < 8; i++)
		r.gpr[i] = (uint32_t)c->gpr[i];
	d->running = h->w;
	stop = world_run(h->w, &r, &c->fx, x, &d->tc->x.kick);
	d->running = NULL;
	for (unsigned i = 0; i < 8; i++)
		c->gpr[i] = r.gpr[i];
	c->rip = r.eip;
	c->eflags = r.eflags;
	d->tc->stats.world_entries++;
	return stop;
}

/* Going in and out must stay a small share of the time. */
static void audit(struct direct *d, unsigned space)
{
	struct direct_gear *g = &d->tc->direct_gear[space];
	int64_t now;

	if (++g->exits < AUDIT)
		return;
	now = now_ns();
	if (now - g->audit_ns < AUDIT * SHARE * d->exit_ns)
		direct_demote(d->tc, space);
	g->exits = 0;
	g->audit_ns = now;
}

bool direct_run(struct tc *tc)
{
	struct direct *d = tc->direct;
	unsigned space = mmu_space(tc->mmu, true);
	struct host_world *h;
	struct world_exit x = {0};

	if (!possible(tc) || !(h = world_of(d, space)))
		return false;
	if (!offer_code(d, h, (uint32_t)tc->cpu->rip))
		return false;
	tc->last_exit = 0;
	tc->changed = false;
	switch (enter(d, h, &x)) {
	case WORLD_STOP_KICK:
		tc->stats.world_kicks++;
		return true;
	case WORLD_STOP_SIGNAL:
		if (x.signal == SIGSEGV && x.trap == EXC_PF)
			page_fault(d, h, &x);
		else if (!trap(d, &x))
			lost(d, h);
		break;
	case WORLD_STOP_MAP:
		h->execs = 0;
		interpret_here(tc);
		break;
	case WORLD_STOP_DEAD:
		lost(d, h);
		break;
	}
	audit(d, space);
	return true;
}
