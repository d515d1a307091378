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
#include "translator/direct_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <x86intrin.h>

enum { REACH = 256, AROUND = 256, DEATHS_MAX = 8, STUCK = 4 };
/*
 * Every so many exits: at most one part in SHARE of the processor time for going in and out. What else is done for a world counts as
 * exits too: that mappings are made, each of them, and looking at code.
 */
enum { AUDIT = 128, SHARE = 20, MAPPING_WEIGHT = 2, MAPPINGS_AN_EXIT = 4 };
/* A world that was not used for so many times what an exit costs (50 ms) may go to another space. */
enum { IDLE_EXITS = 7000 };

/* ---------------------------------- life cycle ---------------------------------- */

/* A space that does not run directly any more has no use for its world, and following its window costs something. */
static bool dismissed(const struct direct *d, unsigned space)
{
	return d->tc->config.direct == TC_DIRECT_AUTO && !d->tc->direct_gear[space].on;
}

static void release(struct direct *d, struct host_world *h)
{
	mmu_mirror_space(d->tc->mmu, h->space, false);
	world_unmap(h->w, 0, WORLD_PAGES - 1);
	h->space = NO_SPACE;
	h->used = 0;
}

static void dropped(void *ctx, unsigned space, uint32_t first, uint32_t last)
{
	struct direct *d = ctx;

	for (unsigned i = 0; i < d->worlds; i++) {
		if (d->world[i]->space != space)
			continue;
		if (dismissed(d, space))
			release(d, d->world[i]);
		else
			world_unmap(d->world[i]->w, first, last);
	}
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
	struct world_cost cost;
	const char *why;
	struct direct *d;

	if (tc->config.direct == TC_DIRECT_OFF || tc->config.lockstep || tc->config.interpret)
		return NULL;
	why = world_unavailable(physmap_fd(tc->pm), &cost, &tc->cpuid_faults);
	d = why ? NULL : calloc(1, sizeof(*d));
	if (!d) {
		fprintf(stderr, "ringfence: user code runs translated, not directly: %s\n", why ? why : "out of memory");
		return NULL;
	}
	d->tc = tc;
	d->cost = cost;
	tc->exit_cycles = cost.cycles;
	pthread_mutex_init(&d->kicking, NULL);
	d->min_page = lowest_page();
	d->pages = guest_pages(tc->pm);
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

bool direct_kick(struct tc *tc)
{
	struct direct *d = tc->direct;
	struct world *w;

	if (!d)
		return false;
	pthread_mutex_lock(&d->kicking);
	w = d->running;
	if (w)
		world_kick(w);
	pthread_mutex_unlock(&d->kicking);
	return w;
}

void direct_rest(struct tc *tc)
{
	if (tc->direct)
		world_unbind_thread(false);
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
	if (h->space != NO_SPACE)
		mmu_mirror_space(d->tc->mmu, h->space, false);
	pthread_mutex_lock(&d->kicking);
	world_destroy(h->w);
	pthread_mutex_unlock(&d->kicking);
	for (unsigned i = 0; i < d->worlds; i++)
		if (d->world[i] == h)
			d->world[i] = d->world[--d->worlds];
	free(h);
}

/* What going in and out costs: the least that was ever found. A busy host makes it look dearer than it is. */
static void measure(struct direct *d, struct world *w)
{
	struct world_cost c;

	world_measure(w, &c);
	if (c.cpu_ns < d->cost.cpu_ns)
		d->cost = c;
	d->tc->exit_cycles = d->cost.cycles;
}

/* None can be made: this space is not tried again. */
static void refused(struct direct *d, unsigned space, const char *why)
{
	if (!d->refused)
		fprintf(stderr, "ringfence: some user code runs translated, not directly: %s\n", why);
	d->refused = true;
	d->tc->direct_gear[space].banned = true;
}

static struct host_world *make_world(struct direct *d, unsigned space)
{
	struct host_world *h = calloc(1, sizeof(*h));
	char err[256] = "out of memory";

	if (h)
		h->w = world_create(physmap_fd(d->tc->pm), err, sizeof(err));
	if (!h || !h->w) {
		refused(d, space, err);
		free(h);
		return NULL;
	}
	d->world[d->worlds++] = h;
	d->tc->stats.worlds++;
	measure(d, h->w);
	return h;
}

/* The least recently used one may change hands: not one that will soon be wanted again, unless it must be. */
static struct host_world *oldest_world(struct direct *d)
{
	struct host_world *h = d->worlds ? d->world[0] : NULL;

	for (unsigned i = 1; i < d->worlds; i++)
		if (d->world[i]->used < h->used)
			h = d->world[i];
	if (h && h->space != NO_SPACE && d->tc->config.direct == TC_DIRECT_AUTO &&
	    __rdtsc() - h->used < IDLE_EXITS * d->cost.cycles)
		return NULL;
	return h;
}

static struct host_world *any_world(struct direct *d, unsigned space)
{
	struct host_world *h = oldest_world(d);

	if (d->worlds < WORLDS_MAX && (!h || h->space != NO_SPACE))
		return make_world(d, space);
	if (!h)
		return NULL;
	if (h->space != NO_SPACE)
		release(d, h);
	d->tc->stats.worlds_recycled++;
	return h;
}

static struct host_world *world_of(struct direct *d, unsigned space)
{
	struct host_world *h = find_world(d, space);

	if (!h) {
		h = any_world(d, space);
		if (!h)
			return NULL;
		h->space = space;
		h->execs = h->exits = 0;
		h->entries = 0;
	}
	h->used = __rdtsc();
	/* a window that was recycled meanwhile has reported everything as dropped */
	mmu_mirror_space(d->tc->mmu, space, true);
	return h;
}

/* ---------------------------------- data pages ---------------------------------- */

/* Show what the view has of a page and its neighbours not shown yet; returns the first page behind them. */
static uint32_t show(struct direct *d, struct host_world *h, uint32_t page, const struct mmu_view *v)
{
	unsigned rights = WORLD_READ | (v->write ? WORLD_WRITE : 0);
	uint32_t lo, hi;

	for (lo = page; lo > v->first && lo > d->min_page && !world_page(h->w, lo - 1); lo--)
		;
	for (hi = page; hi < v->last && !world_page(h->w, hi + 1); hi++)
		;
	history_note(d->tc->history, HISTORY_WORLD_MAP, lo << PAGE_SHIFT, d->tc->mode,
		     (hi - lo + 1) | (uint64_t)rights << 32);
	world_map(h->w, lo, hi - lo + 1, v->file + ((uint64_t)(lo - v->first) << PAGE_SHIFT), rights);
	return hi + 1;
}

/* Pages around that the window has got will be wanted too: each spares an exit, and costs a tenth of one. */
static void show_around(struct direct *d, struct host_world *h, uint32_t page)
{
	uint32_t p = page & ~(AROUND - 1), end = p + AROUND;
	struct mmu_view v;

	while (p < end && world_room(h->w, 2)) {
		if (p < d->min_page || world_page(h->w, p) || !mmu_user_view(d->tc->mmu, gva((uint64_t)p << PAGE_SHIFT), REACH, &v))
			p++;
		else
			p = show(d, h, p, &v);
	}
}

/* Show a page and what is around it with the window's rights; false: the window does not have it with the rights asked for. */
static bool offer_data(struct direct *d, struct host_world *h, uint32_t lin, bool write)
{
	uint32_t page = lin >> PAGE_SHIFT;
	unsigned want;
	struct mmu_view v;

	if (!mmu_user_view(d->tc->mmu, gva(lin), REACH, &v) || (write && !v.write))
		return false;
	want = WORLD_READ | (v.write ? WORLD_WRITE : 0);
	if (world_page(h->w, page) & WORLD_EXEC)
		return false;
	if ((world_page(h->w, page) & want) == want)
		world_unmap(h->w, page, page); /* it says it has not got what it was given: once more */
	show(d, h, page, &v);
	show_around(d, h, page);
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
	history_note(d->tc->history, HISTORY_HIDDEN, (uint32_t)d->tc->cpu->rip, d->tc->mode, lin);
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
	if (x->error & PF_I) {
		tc->stats.world_fetches++;
	} else {
		if (!data_fault(d, h, x->address, x->error & PF_W))
			interpret_here(tc);
		return;
	}
	/* the page of the instruction itself is the dispatcher's business; it may also reach into the next one */
	if (x->address >> PAGE_SHIFT != rip >> PAGE_SHIFT &&
	    (vet_insn_end(tc, rip) >> PAGE_SHIFT != x->address >> PAGE_SHIFT ||
	     !direct_offer_code(d, h, vet_insn_end(tc, rip))))
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
		tc->stats.world_calls++;
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

/*
 * The world is lost. The state of the processor is that of the last entry. If guest code has run since, it is not the state any more,
 * and nobody knows what is: the memory has moved on, the registers are gone. What was running gets a general protection
 * fault, which operating systems answer by ending the program; a machine check would end the operating system.
 */
static void lost(struct direct *d, struct host_world *h, bool ran)
{
	struct tc *tc = d->tc;

	loaded_forget(tc);
	if (!d->warned && ran)
		fprintf(stderr, "ringfence: a process running guest code ended or broke its rules at %#x\n",
			(unsigned)tc->cpu->rip);
	d->warned |= ran;
	tc->stats.world_deaths++;
	history_note(tc->history, HISTORY_WORLD_LOST, (uint32_t)tc->cpu->rip, tc->mode, h->space);
	if (++tc->direct_gear[h->space].deaths >= DEATHS_MAX)
		tc->direct_gear[h->space].banned = true;
	discard(d, h);
	if (!ran)
		tc->stats.world_deaths_idle++;
	else if (cpu_raise_error(tc->cpu, EXC_GP, 0) == OUT_FAULT)
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
	struct tc *tc = d->tc;
	struct cpu *c = tc->cpu;
	struct world_registers r = {.eip = (uint32_t)c->rip, .eflags = c->eflags, .fs = &c->seg[S_FS],
				    .gs = &c->seg[S_GS]};
	enum world_stop stop;

	for (unsigned i = 0; i < 8; i++)
		r.gpr[i] = (uint32_t)c->gpr[i];
	history_note(tc->history, HISTORY_WORLD_ENTER, r.eip, tc->mode, h->space);
	d->running = h->w;
	stop = world_run(h->w, &r, &c->fx, x, &d->tc->x.kick);
	d->running = NULL;
	for (unsigned i = 0; i < 8; i++)
		c->gpr[i] = r.gpr[i];
	c->rip = r.eip;
	c->eflags = r.eflags;
	tc->stats.world_entries++;
	h->entries++;
	history_note(tc->history, HISTORY_WORLD_LEAVE, r.eip, tc->mode,
		     HISTORY_LEAVE(stop, x->signal, x->trap, (uint32_t)x->address));
	return stop;
}

/* What this entry costs, in exits. */
static unsigned weight_of_entry(struct direct *d, const struct host_world *h)
{
	unsigned orders = world_orders(h->w), weight = 1;

	if (orders)
		weight += MAPPING_WEIGHT + orders / MAPPINGS_AN_EXIT;
	weight += (unsigned)(d->vet_cycles / (d->cost.cycles + 1));
	d->vet_cycles = 0;
	return weight;
}

/* Going in and out must stay a small share of the time: of processor time, because others may use the processors, too. */
static void audit(struct direct *d, struct host_world *h, unsigned weight)
{
	struct direct_gear *g = &d->tc->direct_gear[h->space];
	int64_t now, spent, useful;

	if (g->forgiven >= weight) {
		g->forgiven -= weight; /* a new world has to be filled */
		return;
	}
	if (!h->exits)
		h->cpu_ns = world_cpu_ns(h->w);
	h->exits += weight;
	if (h->exits < AUDIT)
		return;
	now = world_cpu_ns(h->w);
	spent = (int64_t)h->exits * d->cost.cpu_ns;
	useful = now - h->cpu_ns - (int64_t)h->exits * d->cost.own_ns;
	if (useful < spent * SHARE)
		direct_demote(d->tc, h->space, DEMOTED_COST);
	h->exits = 0;
}

bool direct_run(struct tc *tc)
{
	struct direct *d = tc->direct;
	struct host_world *h;
	struct world_exit x = {0};
	unsigned weight;

	if (!possible(tc) || !(h = world_of(d, mmu_space(tc->mmu, true))))
		return false;
	if (!direct_offer_code(d, h, (uint32_t)tc->cpu->rip)) {
		direct_unfit(tc, h->space);
		return false;
	}
	tc->last_exit = 0;
	tc->changed = false;
	weight = weight_of_entry(d, h);
	switch (enter(d, h, &x)) {
	case WORLD_STOP_KICK:
		tc->stats.world_kicks++;
		return true;
	case WORLD_STOP_SIGNAL:
		if (x.signal == SIGSEGV && x.trap == EXC_PF)
			page_fault(d, h, &x);
		else if (!trap(d, &x)) {
			lost(d, h, true);
			return true;
		}
		break;
	case WORLD_STOP_MAP:
		h->execs = 0;
		interpret_here(tc);
		break;
	case WORLD_STOP_DEAD:
		lost(d, h, true);
		return true;
	case WORLD_STOP_UNRUN:
		lost(d, h, false);
		return true;
	}
	audit(d, h, weight);
	return true;
}
