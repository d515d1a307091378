/*
 * Translated code and guest writes.
 *
 * A page that has CCFs is write-protected in every window (physmap_mark_code). A write to it arrives here before it is done:
 *
 *   it overlaps a CCF         that CCF is dropped
 *   no CCF is left            the page is given back to plain writing
 *   again and again           data shares the page with code, or code is rewritten all the time: all CCFs are dropped; when even
 *                             that happens often, the page is left writable and its CCFs check themselves at entry, until
 *                             that has been in vain for long (a kernel patching itself at start)
 */
#include "translator/direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	NEAR_MISSES = 8,  /* writes beside code before the page is given up */
	HITS = 32,        /* or writes to code */
	THRASH_LIMIT = 4, /* times a page is given up before it becomes self-checking */
	CLEAN_LIMIT = 256, /* checks in a row that find nothing before it is protected again, for the first time */
	MAX_PATIENCE = 8,  /* doublings of that: data that keeps changing beside code would have it given up again and again */
};

/*
 * The table of pages has twice as many slots as the guest has pages, reserved without memory: it never fills, whatever the guest
 * makes code of. Neighbours stay neighbours, so that little of it is touched.
 */
static unsigned page_slot(const struct tc *tc, uint64_t gfn)
{
	return (unsigned)gfn & (tc->page_slots - 1);
}

static unsigned next_slot(const struct tc *tc, unsigned i)
{
	return (i + 1) & (tc->page_slots - 1);
}

static struct code_page *page_find(struct tc *tc, uint64_t gfn)
{
	for (unsigned i = page_slot(tc, gfn); tc->page[i].used; i = next_slot(tc, i))
		if (tc->page[i].gfn == gfn)
			return &tc->page[i];
	return NULL;
}

static struct code_page *page_make(struct tc *tc, uint64_t gfn)
{
	struct code_page *p = page_find(tc, gfn);
	unsigned i;

	if (p)
		return p;
	for (i = page_slot(tc, gfn); tc->page[i].used; i = next_slot(tc, i))
		;
	p = &tc->page[i];
	*p = (struct code_page){.gfn = gfn, .used = true};
	tc->pages++;
	return p;
}

/* Of the two pages that a CCF may lie in; ~0: there is no second one. */
static uint64_t page_gpa(const struct ccf *c, unsigned which)
{
	if (!which)
		return c->gpa;
	return c->gpa2 >> PAGE_SHIFT == c->gpa >> PAGE_SHIFT ? ~0ull : c->gpa2;
}

static void begin_on(struct tc *tc, struct code_page *p, ccf_id id)
{
	tc->link[id].page_next = p->first;
	tc->link[id].page_prev = 0;
	if (p->first)
		tc->link[p->first].page_prev = id;
	p->first = id;
}

static void span_into(struct tc *tc, struct code_page *p, ccf_id id)
{
	struct ccf *c = ccf_of(tc, id);

	c->into_next = p->into;
	c->into_prev = 0;
	if (p->into)
		ccf_of(tc, p->into)->into_prev = id;
	p->into = id;
}

void smc_add(struct tc *tc, ccf_id id)
{
	struct ccf *c = ccf_of(tc, id);

	direct_code_added(tc, c->gpa);
	for (unsigned k = 0; k < 2; k++) {
		uint64_t at = page_gpa(c, k);
		struct code_page *p;

		if (at == ~0ull)
			continue;
		p = page_make(tc, at >> PAGE_SHIFT);
		(k ? span_into : begin_on)(tc, p, id);
		if (!(c->flags & CCF_SELFCHECK))
			physmap_mark_code(tc->pm, gpa(at & ~(uint64_t)PAGE_MASK));
	}
}

static void begin_no_more(struct tc *tc, struct code_page *p, ccf_id id)
{
	const struct ccf_link *l = &tc->link[id];

	*(l->page_prev ? &tc->link[l->page_prev].page_next : &p->first) = l->page_next;
	if (l->page_next)
		tc->link[l->page_next].page_prev = l->page_prev;
}

static void span_no_more(struct tc *tc, struct code_page *p, ccf_id id)
{
	const struct ccf *c = ccf_of(tc, id);

	*(c->into_prev ? &ccf_of(tc, c->into_prev)->into_next : &p->into) = c->into_next;
	if (c->into_next)
		ccf_of(tc, c->into_next)->into_prev = c->into_prev;
}

void smc_remove(struct tc *tc, ccf_id id)
{
	const struct ccf *c = ccf_of(tc, id);

	for (unsigned k = 0; k < 2; k++) {
		uint64_t at = page_gpa(c, k);
		struct code_page *p = at == ~0ull ? NULL : page_find(tc, at >> PAGE_SHIFT);

		if (p)
			(k ? span_no_more : begin_no_more)(tc, p, id);
	}
}

struct code_page *smc_page(struct tc *tc, uint64_t gfn)
{
	return page_find(tc, gfn);
}

bool smc_page_selfchecks(struct tc *tc, uint64_t gpa_)
{
	struct code_page *p = page_find(tc, gpa_ >> PAGE_SHIFT);

	return p && p->selfcheck;
}

static bool touches(uint64_t at, uint64_t len, uint64_t start, uint64_t end)
{
	return start < at + len && at < end;
}

/* Does [start, end) touch it? Both its pages may be the same one, mapped twice. */
static bool overlaps(const struct ccf *c, uint64_t start, uint64_t end)
{
	uint64_t head = PAGE_SIZE - (c->gpa & PAGE_MASK);

	if (c->gpa2 == ~0ull)
		return touches(c->gpa, c->guest_len, start, end);
	return touches(c->gpa, head, start, end) || touches(c->gpa2, c->guest_len - head, start, end);
}

static bool drop_if_overlapping(struct tc *tc, ccf_id id, uint64_t start, uint64_t end)
{
	if (!overlaps(ccf_of(tc, id), start, end))
		return false;
	ccf_drop(tc, id);
	return true;
}

static unsigned drop_on_page(struct tc *tc, struct code_page *p, uint64_t start, uint64_t end)
{
	unsigned dropped = 0;
	ccf_id next;

	for (ccf_id id = p->first; id; id = next) {
		next = tc->link[id].page_next;
		dropped += drop_if_overlapping(tc, id, start, end);
	}
	for (ccf_id id = p->into; id; id = next) {
		next = ccf_of(tc, id)->into_next;
		dropped += drop_if_overlapping(tc, id, start, end);
	}
	return dropped;
}

static void give_up_page(struct tc *tc, struct code_page *p)
{
	drop_on_page(tc, p, p->gfn << PAGE_SHIFT, (p->gfn + 1) << PAGE_SHIFT);
	p->writes = p->hits = 0;
	if (++p->thrash >= THRASH_LIMIT)
		p->selfcheck = true;
}

/* Of the two pages that a CCF may lie in, the one for which it checks itself. */
static struct code_page *selfchecking_page(struct tc *tc, const struct ccf *c)
{
	for (unsigned k = 0; k < 2; k++) {
		uint64_t at = page_gpa(c, k);
		struct code_page *p = at == ~0ull ? NULL : page_find(tc, at >> PAGE_SHIFT);

		if (p && p->selfcheck)
			return p;
	}
	return NULL;
}

static uint32_t clean_limit(const struct code_page *p)
{
	return (uint32_t)CLEAN_LIMIT << p->patience;
}

bool smc_lean_unchanged(struct tc *tc, const struct ccf *c)
{
	struct code_page *p = page_find(tc, c->gpa >> PAGE_SHIFT);

	if (!p || !p->selfcheck || p->clean + 1 >= clean_limit(p))
		return false;
	p->clean++;
	return true;
}

/* A CCF of a self-checking page has compared its source. True: the page is protected again, and the CCF gone. */
bool smc_selfchecked(struct tc *tc, ccf_id id, bool unchanged)
{
	struct code_page *p = selfchecking_page(tc, ccf_of(tc, id));

	if (!p)
		return false;
	p->clean = unchanged ? p->clean + 1 : 0;
	if (p->clean < clean_limit(p))
		return false;
	for (ccf_id i = p->first; i; i = tc->link[i].page_next)
		ccf_of(tc, i)->flags |= CCF_STALE;
	for (ccf_id i = p->into; i; i = ccf_of(tc, i)->into_next)
		ccf_of(tc, i)->flags |= CCF_STALE;
	drop_on_page(tc, p, p->gfn << PAGE_SHIFT, (p->gfn + 1) << PAGE_SHIFT);
	p->selfcheck = false;
	if (p->patience < MAX_PATIENCE)
		p->patience++;
	p->thrash = 0;
	p->writes = p->hits = 0;
	p->clean = 0;
	return true;
}

static void written(void *ctx, gpa_t at, unsigned len)
{
	struct tc *tc = ctx;
	struct code_page *p = page_find(tc, at.v >> PAGE_SHIFT);

	direct_code_written(tc, at.v >> PAGE_SHIFT);
	tc->history->write = at.v;
	if (p && (drop_on_page(tc, p, at.v, at.v + len) ? ++p->hits >= HITS : ++p->writes >= NEAR_MISSES))
		give_up_page(tc, p);
	if (!p || (!p->first && !p->into))
		physmap_unmark_code(tc->pm, at);
	tc->history->write = ~0ull;
}

void smc_code_unmapped(void *ctx, unsigned space, uint64_t first, uint64_t last)
{
	struct tc *tc = ctx;

	if (last - first >= 16)
		ibtc_forget_space(tc, space);
	else
		for (uint64_t page = first; page <= last; page++)
			ibtc_forget_page(tc, space, page);
	tc->changed = true;
	if (space != MMU_SUPERVISOR) {
		/* another program, under the CR3 of one that has ended, or by exec */
		if (!mmu_runs_code(tc->mmu, space))
			gear_reset(tc, space);
		return; /* user CCFs are never chained across pages */
	}
	for (ccf_id id = 1; id < tc->ccf_top; id++) {
		struct ccf *c = ccf_of(tc, id);
		uint64_t page = c->lin >> PAGE_SHIFT;
		uint64_t end = (c->lin + c->guest_len - 1) >> PAGE_SHIFT;

		if (c->state == CCF_LIVE && end >= first && page <= last)
			chain_unlink_incoming(tc, id);
	}
}

void smc_space_recycled(void *ctx, unsigned space)
{
	smc_code_unmapped(ctx, space, 0, 0xfffff);
	gear_reset(ctx, space);
}

static size_t table_bytes(const struct tc *tc)
{
	return tc->page_slots * sizeof(*tc->page);
}

static bool reserve_pages(struct tc *tc)
{
	uint64_t pages = (physmap_below_4g(tc->pm) + physmap_above_4g(tc->pm)) >> PAGE_SHIFT;
	void *p;

	tc->page_slots = 1 << 12;
	while (tc->page_slots < 2 * pages)
		tc->page_slots *= 2;
	p = mmap(NULL, table_bytes(tc), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0);
	tc->page = p == MAP_FAILED ? NULL : p;
	return tc->page;
}

bool smc_create(struct tc *tc, char *err, size_t errlen)
{
	struct code_listener listener = {.written = written, .ctx = tc};

	tc->hint = calloc(1 << TC_HINT_BITS, sizeof(*tc->hint));
	if (!reserve_pages(tc) || !tc->hint) {
		snprintf(err, errlen, "out of memory for code page tables");
		return false;
	}
	physmap_set_code_listener(tc->pm, &listener);
	return true;
}

void smc_destroy(struct tc *tc)
{
	struct code_listener none = {0};

	if (tc->pm)
		physmap_set_code_listener(tc->pm, &none);
	if (tc->page)
		munmap(tc->page, table_bytes(tc));
	free(tc->hint);
}

/* ---- pages whose code runs directly (direct.c) ---- */

void smc_watch(struct tc *tc, uint64_t gfn)
{
	page_make(tc, gfn);
	physmap_mark_code(tc->pm, gpa(gfn << PAGE_SHIFT));
}

unsigned smc_starts(struct tc *tc, uint64_t gfn, uint16_t *starts, unsigned max, unsigned *tail)
{
	struct code_page *p = page_find(tc, gfn);
	unsigned n = 0;

	*tail = 0;
	for (ccf_id id = p ? p->first : 0; id && n < max; id = tc->link[id].page_next)
		starts[n++] = (uint16_t)(ccf_of(tc, id)->gpa & PAGE_MASK);
	for (ccf_id id = p ? p->into : 0; id; id = ccf_of(tc, id)->into_next)
		*tail = ccf_of(tc, id)->guest_len - (PAGE_SIZE - (unsigned)(ccf_of(tc, id)->gpa & PAGE_MASK));
	return n;
}

void smc_discard_at(struct tc *tc, uint64_t at)
{
	struct code_page *p = page_find(tc, at >> PAGE_SHIFT);
	ccf_id next;

	for (ccf_id id = p ? p->first : 0; id; id = next) {
		const struct ccf *c = ccf_of(tc, id);

		next = tc->link[id].page_next;
		if (at - c->gpa < c->guest_len)
			ccf_discard(tc, id);
	}
}

void smc_drop_mode(struct tc *tc, uint64_t gfn, uint32_t mode_bit)
{
	struct code_page *p = page_find(tc, gfn);
	ccf_id next;

	for (ccf_id id = p ? p->first : 0; id; id = next) {
		next = tc->link[id].page_next;
		if (ccf_of(tc, id)->mode & mode_bit)
			ccf_drop(tc, id);
	}
}

/* Every CCF is gone: forget the pages as well. */
void smc_clear(struct tc *tc)
{
	direct_flush(tc);
	for (unsigned i = 0; tc->pages && i < tc->page_slots; i++)
		if (tc->page[i].used)
			physmap_unmark_code(tc->pm, gpa(tc->page[i].gfn << PAGE_SHIFT));
	if (tc->pages)
		madvise(tc->page, table_bytes(tc), MADV_DONTNEED); /* zero again */
	memset(tc->hint, 0, (1 << TC_HINT_BITS) * sizeof(*tc->hint));
	memset(tc->hint_page, 0, sizeof(tc->hint_page));
	tc->pages = 0;
}
