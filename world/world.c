/*
 * Worlds as the vCPU thread sees them: the queue of mapping changes, segments, running.
 *
 * Invariant: prot[p] is what page p will be at the next run. The stub carries out all unmappings, then all mappings; so a page
 * that is unmapped while its mapping is still queued turns that mapping into an unmapping.
 */
#include "world/internal.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <x86intrin.h>

/*
 * EFLAGS bits that guest code runs with and may change by itself. Not NT, which would make the stub's IRETQ fault: it can be set in a
 * world, not be brought there, and code that looks at it is not run there while it is set (translator/direct_code.c: needs_met).
 */
#define FLAGS_OWN (FL_ARITH | FL_DF | FL_TF | FL_AC | FL_ID)

/* Components of an XSAVE area that are in it (XSTATE_BV); the others are reset by loading it. */
enum { XSTATE_X87 = 1, XSTATE_SSE = 2 };

_Static_assert((int)WORLD_OPS == (int)WORLD_QUEUE, "one queue");

/* ---------------------------------- life cycle ---------------------------------- */

/* They are made anew when they are wanted: this may be another program's world next. */
static void forget_segments(struct world *w)
{
	for (unsigned i = 0; i < WORLD_LDT_ENTRIES; i++)
		w->ldt[i].attr = SEG_NULL;
}

/* CPUID.1:ECX.OSXSAVE: the host's kernel has enabled vector state that FXSAVE and FXRSTOR do not know. */
static bool has_xstate(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c & 1u << 27;
}

struct world *world_create(int ram_fd, char *err, size_t errlen)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w) {
		snprintf(err, errlen, "out of memory for a world");
		return NULL;
	}
	w->pid = w->pidfd = w->socket = w->cpu = -1;
	w->ram_fd = ram_fd;
	w->prot = mmap(NULL, WORLD_PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		       0);
	if (w->prot == MAP_FAILED || !process_start(w, err, errlen)) {
		if (w->prot == MAP_FAILED)
			snprintf(err, errlen, "out of memory for a world");
		world_destroy(w);
		return NULL;
	}
	forget_segments(w);
	w->orders->xstate = has_xstate();
	return w;
}

void world_destroy(struct world *w)
{
	if (!w)
		return;
	process_end(w);
	if (w->prot && w->prot != MAP_FAILED)
		munmap(w->prot, WORLD_PAGES);
	free(w);
}

bool world_cpuid_faults(const struct world *w)
{
	return w->cpuid_faults;
}

int world_pid(const struct world *w)
{
	return w->pid;
}

/* ---------------------------------- mappings ---------------------------------- */

unsigned world_page(const struct world *w, uint32_t page)
{
	return w->prot[page];
}

static void unmap_everything(struct world *w)
{
	turn_hold(w);
	w->op[0] = (struct world_op){.first = 0, .n = WORLD_PAGES - 1};
	w->op[1] = (struct world_op){.first = WORLD_PAGES - 1, .n = 1};
	w->ops = 2;
	madvise(w->prot, WORLD_PAGES, MADV_DONTNEED);
}

bool world_room(const struct world *w, unsigned n)
{
	return w->ops + n <= WORLD_OPS;
}

unsigned world_orders(const struct world *w)
{
	return w->ops;
}

void world_map(struct world *w, uint32_t first, uint32_t n, uint64_t file, unsigned prot)
{
	if (!world_room(w, 1))
		return; /* it will fault again */
	w->op[w->ops++] = (struct world_op){first, n, file, prot, 0};
	memset(w->prot + first, (int)prot, n);
}

/* Mappings not yet made that touch the range: forget them (the rest of them will fault again). */
static void cancel(struct world *w, uint32_t first, uint32_t last)
{
	for (unsigned i = 0; i < w->ops; i++) {
		struct world_op *o = &w->op[i];

		if (!o->prot || o->first > last || o->first + o->n - 1 < first)
			continue;
		memset(w->prot + o->first, 0, o->n);
		o->prot = 0; /* becomes an unmapping of all of it: something older may be there */
	}
}

static bool extend_last(struct world *w, uint32_t first, uint32_t last)
{
	struct world_op *o = w->ops ? &w->op[w->ops - 1] : NULL;
	uint32_t lo, hi;

	if (!o || o->prot || first > o->first + o->n || last + 1 < o->first)
		return false;
	lo = first < o->first ? first : o->first;
	hi = last >= o->first + o->n ? last : o->first + o->n - 1;
	if (hi - lo >= WORLD_PAGES - 1)
		return false; /* 4 GiB in one call is more than the filter lets through */
	o->first = lo;
	o->n = hi - lo + 1;
	return true;
}

void world_unmap(struct world *w, uint32_t first, uint32_t last)
{
	if (first == 0 && last == WORLD_PAGES - 1)
		forget_segments(w);
	while (first <= last && !w->prot[first])
		first++;
	if (first > last)
		return;
	while (!w->prot[last])
		last--;
	turn_hold(w);
	cancel(w, first, last);
	memset(w->prot + first, 0, last - first + 1);
	if (extend_last(w, first, last))
		return;
	if (last - first >= WORLD_PAGES - 1 || !world_room(w, 1))
		unmap_everything(w);
	else
		w->op[w->ops++] = (struct world_op){.first = first, .n = last - first + 1};
}

/* ---------------------------------- segments ---------------------------------- */

static bool is_null(const struct cpu_segment *s)
{
	return s->attr & SEG_NULL;
}

/* Data, present, expand-up; the limit must be expressible (it always is for what came from a descriptor). */
static bool imitable(const struct cpu_segment *s)
{
	if (is_null(s))
		return true;
	if ((s->attr & (SEG_P | SEG_S | SEG_CODE | SEG_DOWN)) != (SEG_P | SEG_S))
		return false;
	return s->limit <= 0xfffff || (s->limit & 0xfff) == 0xfff;
}

bool world_segments_possible(const struct cpu_segment *fs, const struct cpu_segment *gs)
{
	return imitable(fs) && imitable(gs);
}

static void describe(struct world_ldt *d, unsigned entry, const struct cpu_segment *s)
{
	bool pages = s->limit > 0xfffff;

	*d = (struct world_ldt){.entry = entry, .base = (uint32_t)s->base,
				.limit = pages ? s->limit >> 12 : s->limit};
	/* struct user_desc: seg_32bit, read_exec_only << 3, limit_in_pages << 4, useable << 6 */
	d->flags = 1u | (s->attr & SEG_WRITE ? 0 : 1u << 3) | (pages ? 1u << 4 : 0) | 1u << 6;
}

static bool same_segment(const struct cpu_segment *a, const struct cpu_segment *b)
{
	return a->base == b->base && a->limit == b->limit && !is_null(a) && !is_null(b) &&
	       !((a->attr ^ b->attr) & (SEG_WRITE | SEG_DB));
}

/* Selector of an LDT entry like this segment, made when there is none; entry `keep` stays as it is. */
static uint16_t selector_for(struct world *w, const struct cpu_segment *s, unsigned keep)
{
	unsigned i;

	if (is_null(s))
		return 0;
	for (i = 0; i < WORLD_LDT_ENTRIES; i++)
		if (same_segment(&w->ldt[i], s))
			break;
	if (i == WORLD_LDT_ENTRIES) {
		i = w->ldt_next++ % WORLD_LDT_ENTRIES;
		if (i == keep)
			i = w->ldt_next++ % WORLD_LDT_ENTRIES;
		w->ldt[i] = *s;
		describe(&w->orders->ldt[w->orders->ldt_set++], i, s);
	}
	return (uint16_t)(i << 3 | 7);
}

/* ---------------------------------- running ---------------------------------- */


static void put_image(struct world *w, const struct world_registers *r, const struct cpu_fx *fx)
{
	struct world_page *p = w->page;

	for (unsigned i = 0; i < 8; i++)
		p->gpr[i] = r->gpr[i];
	p->rip = r->eip;
	p->eflags = (r->eflags & FLAGS_OWN) | FL_FIXED1 | FL_IF;
	memcpy(p->fx, fx, sizeof(p->fx));
	memset(p->xsave_header, 0, sizeof(p->xsave_header));
	p->xsave_header[0] = XSTATE_X87 | XSTATE_SSE;
}

/* The queue goes into the page; false: RAM's descriptor could not be sent. */
static bool put_operations(struct world *w)
{
	uint32_t map = 0;

	for (unsigned i = 0; i < w->ops; i++)
		map |= w->op[i].prot;
	memcpy(w->orders->op, w->op, w->ops * sizeof(w->op[0]));
	w->orders->ops = w->ops;
	w->orders->ops_map = map != 0;
	w->ops = 0;
	return !map || process_send_ram(w);
}

/* What the vector unit would refuse to load is masked; the rest may be anything. */
static void take_fx(struct cpu_fx *fx, const struct world_page *p)
{
	uint32_t mask = fx->mxcsr_mask;

	memcpy(fx, p->fx, offsetof(struct cpu_fx, pad));
	memset(fx->pad, 0, sizeof(fx->pad));
	fx->mxcsr_mask = mask;
	fx->mxcsr &= 0xffff;
}

/*
 * Guest code has stopped: are the segment registers what it was entered with? If not, an instruction has been executed that should
 * not have been (see translator/vet.c), and its effect is lost.
 */
static bool take_image(const struct world_page *p, uint16_t fs, uint16_t gs, struct world_registers *r,
		       struct cpu_fx *fx)
{
	if (p->rip >> 32 || p->cs != WORLD_CS || p->ss != WORLD_DS || p->ds != WORLD_DS || p->es != WORLD_DS ||
	    p->fs != fs || p->gs != gs)
		return false;
	for (unsigned i = 0; i < 8; i++)
		r->gpr[i] = (uint32_t)p->gpr[i];
	r->eip = (uint32_t)p->rip;
	r->eflags = (r->eflags & ~(uint32_t)FLAGS_OWN) | (p->eflags & (FLAGS_OWN | FL_NT));
	take_fx(fx, p);
	return true;
}

static enum world_stop take_exit(struct world *w, struct world_exit *x, uint16_t fs, uint16_t gs,
				 struct world_registers *r, struct cpu_fx *fx)
{
	struct world_page p; /* copied once: the world could write while we look */

	memcpy(&p, w->page, sizeof(p));
	switch (p.reason) {
	case WORLD_SIGNAL:
		if (!take_image(&p, fs, gs, r, fx))
			break;
		*x = (struct world_exit){(int)p.sig, p.code, p.trap, p.error, p.arch, (uint32_t)p.address};
		if (p.sig == WORLD_KICK_SIGNAL || p.code <= 0) /* <= 0: sent by a process, not raised by the processor */
			return WORLD_STOP_KICK;
		if (p.trap == EXC_PF && p.sig == 11 && p.address >> 32)
			break;
		return WORLD_STOP_SIGNAL;
	case WORLD_KICKED:
		return WORLD_STOP_KICK;
	case WORLD_MAP_FAILED:
		unmap_everything(w);
		return WORLD_STOP_MAP;
	default:
		break;
	}
	w->dead = true;
	return WORLD_STOP_DEAD;
}

enum world_stop world_run(struct world *w, struct world_registers *r, struct cpu_fx *fx, struct world_exit *x,
			  const _Atomic uint32_t *stop)
{
	uint16_t fs, gs;
	bool answered;

	if (w->dead)
		return WORLD_STOP_UNRUN;
	/* from here on a kick reaches the world; one that came before shows in *stop. Nothing has been noted as done yet. */
	atomic_store(&w->running, true);
	if (stop && *stop) {
		atomic_store(&w->running, false);
		return WORLD_STOP_KICK;
	}
	w->orders->ldt_set = 0;
	gs = selector_for(w, r->gs, WORLD_LDT_ENTRIES);
	fs = selector_for(w, r->fs, gs ? gs >> 3 : WORLD_LDT_ENTRIES);
	w->page->ran = 0;
	w->page->fs = fs;
	w->page->gs = gs;
	put_image(w, r, fx);
	if (!put_operations(w)) {
		atomic_store(&w->running, false);
		w->dead = true;
		return WORLD_STOP_UNRUN;
	}
	place_together(w);
	turn_give(w);
	answered = turn_await(w, stop);
	atomic_store(&w->running, false);
	if (!answered) {
		w->dead = true;
		return __atomic_load_n(&w->page->ran, __ATOMIC_SEQ_CST) ? WORLD_STOP_DEAD : WORLD_STOP_UNRUN;
	}
	return take_exit(w, x, fs, gs, r, fx);
}

/* ---------------------------------- is it possible here? ---------------------------------- */

/*
 * A world in which nothing is mapped: the first fetch must fault at its own address, in 32-bit code, with the registers
 * untouched and a segment register loaded from the LDT.
 */
static bool first_fault(struct world *w)
{
	const struct cpu_segment none = {.attr = SEG_NULL}, data = {.base = 0x12345000, .limit = 0xffffffff,
		.attr = SEG_P | SEG_S | SEG_WRITE | SEG_DB | SEG_G | 3 << SEG_DPL_SHIFT};
	struct world_registers r = {.gpr = {1, 2, 3, 4, 5, 6, 7, 8}, .eip = 0x40001234, .eflags = FL_CF,
				    .fs = &none, .gs = &data};
	struct cpu_fx fx = {.fcw = 0x37f, .mxcsr = 0x1f80};
	struct world_exit x = {0};

	if (world_run(w, &r, &fx, &x, NULL) != WORLD_STOP_SIGNAL)
		return false;
	return x.signal == 11 && x.trap == EXC_PF && x.address == 0x40001234 && r.eip == 0x40001234 &&
	       r.gpr[4] == 5 && r.gpr[7] == 8 && (r.eflags & FL_ARITH) == FL_CF && fx.fcw == 0x37f;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	return clock_gettime(clock, &ts) ? 0 : ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t world_cpu_ns(const struct world *w)
{
	clockid_t clock;

	return w->pid > 0 && !clock_getcpuclockid(w->pid, &clock) ? clock_ns(clock) : 0;
}

void world_measure(struct world *w, struct world_cost *cost)
{
	enum { ROUNDS = 16 };
	int64_t own = world_cpu_ns(w), mine = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	cost->cycles = UINT64_MAX;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start = __rdtsc(), took;

		first_fault(w);
		took = __rdtsc() - start;
		if (took < cost->cycles)
			cost->cycles = took;
	}
	cost->own_ns = (world_cpu_ns(w) - own) / ROUNDS;
	cost->cpu_ns = cost->own_ns + (clock_ns(CLOCK_THREAD_CPUTIME_ID) - mine) / ROUNDS;
}

const char *world_unavailable(int ram_fd, struct world_cost *cost, bool *cpuid_faults)
{
	static char text[256];
	struct world *w = world_create(ram_fd, text, sizeof(text));
	const char *why = NULL;

	if (!w)
		return text;
	if (!first_fault(w))
		why = "32-bit code segments or LDT entries do not work on this host";
	else
		world_measure(w, cost);
	*cpuid_faults = w->cpuid_faults;
	world_destroy(w);
	world_unbind_thread(true); /* threads started by this one inherit what it is bound to */
	return why;
}
