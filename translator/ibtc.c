/*
 * Indirect-branch tables: where returns, indirect jumps and calls, and user code's jumps to other
 * pages find their targets (see xl_flow.c for the code that looks).
 *
 * A table belongs to one (space, mode); its entries are indirect entries of CCFs that are valid for that space. Thus an
 * address-space switch changes R13 and flushes nothing. Invariant: an entry exists only while the linear page of its
 * CCF is tracked in the space (mmu_track_code), so whatever changes the mapping comes by here.
 */
#include "translator/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TABLE_BYTES (IBTC_SIZE * sizeof(uintptr_t))

/*
 * Tables are private mappings of one file in which every slot misses: what is never written is
 * shared, so a table costs only the pages that hold something.
 */
static uintptr_t *table_new(struct tc *tc)
{
	void *p = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
		       tc->ibtc_fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void fill_chunk(struct tc *tc, uintptr_t *slot)
{
	for (unsigned i = 0; i < IBTC_CHUNK; i++)
		slot[i] = (uintptr_t)tc->x.stub_miss;
}

bool ibtc_create(struct tc *tc, char *err, size_t errlen)
{
	tc->ibtc_fd = memfd_create("ringfence-branches", MFD_CLOEXEC);
	if (tc->ibtc_fd >= 0 && !ftruncate(tc->ibtc_fd, TABLE_BYTES))
		tc->ibtc_miss = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, tc->ibtc_fd, 0);
	if (!tc->ibtc_miss || tc->ibtc_miss == MAP_FAILED) {
		snprintf(err, errlen, "cannot map the branch tables: %s", strerror(errno));
		tc->ibtc_miss = NULL;
		return false;
	}
	for (unsigned i = 0; i < IBTC_SIZE; i += IBTC_CHUNK)
		fill_chunk(tc, tc->ibtc_miss + i);
	return true;
}

void ibtc_destroy(struct tc *tc)
{
	for (unsigned i = 0; i < IBTC_TABLES; i++)
		if (tc->ibtc[i].slot)
			munmap(tc->ibtc[i].slot, TABLE_BYTES);
	if (tc->ibtc_miss)
		munmap(tc->ibtc_miss, TABLE_BYTES);
	if (tc->ibtc_fd > 0)
		close(tc->ibtc_fd);
}

enum { WORD_SLOTS = 64 * IBTC_CHUNK };

/*
 * Empty `n` slots. Only chunks that were written to hold anything; they are cache lines, because a process leaves some hundred entries
 * scattered over its table, and tables change hands with every fork.
 */
static void clear_slots(struct tc *tc, struct ibtc *t, unsigned first, unsigned n)
{
	for (unsigned w = first / WORD_SLOTS; w < (first + n) / WORD_SLOTS; w++) {
		for (uint64_t set = t->chunks[w]; set; set &= set - 1)
			fill_chunk(tc, t->slot + w * WORD_SLOTS + (unsigned)__builtin_ctzll(set) * IBTC_CHUNK);
		t->chunks[w] = 0;
	}
}
_Static_assert(PAGE_SIZE % WORD_SLOTS == 0, "a page's slots are whole words of chunks");

static void clear(struct tc *tc, struct ibtc *t)
{
	clear_slots(tc, t, 0, IBTC_SIZE);
	t->thunks = 0;
}

static struct ibtc *victim(struct tc *tc)
{
	struct ibtc *best = &tc->ibtc[0];

	for (unsigned i = 0; i < IBTC_TABLES; i++) {
		if (!tc->ibtc[i].valid)
			return &tc->ibtc[i];
		if (tc->ibtc[i].used_at < best->used_at)
			best = &tc->ibtc[i];
	}
	return best;
}

/* A new table, in place of the one that has been idle longest. */
static struct ibtc *table_for(struct tc *tc, unsigned space, uint32_t mode)
{
	struct ibtc *t = victim(tc);

	if (!t->slot && !(t->slot = table_new(tc)))
		return NULL;
	clear(tc, t);
	t->valid = true;
	t->space = (uint16_t)space;
	t->mode = mode;
	return t;
}

static bool serves(const struct ibtc *t, unsigned space, uint32_t mode)
{
	return t && t->valid && t->space == space && t->mode == mode;
}

/* Where the table used last for such a mode is noted. A kernel is entered and left with another FS or GS than it runs with. */
static struct ibtc **last_of(struct tc *tc, uint32_t mode)
{
	_Static_assert(MODE_FULL_GS == MODE_FULL_FS << 1 && MODE_USER == 1 && IBTC_LAST == 8, "see below");
	return &tc->ibtc_last[mode / MODE_FULL_FS % 4 * 2 + (mode & MODE_USER)];
}

static struct ibtc *known(struct tc *tc, unsigned space, uint32_t mode)
{
	struct ibtc *t = *last_of(tc, mode);

	if (serves(t, space, mode))
		return t;
	for (unsigned i = 0; i < IBTC_TABLES; i++)
		if (serves(&tc->ibtc[i], space, mode))
			return &tc->ibtc[i];
	return NULL;
}

static void use(struct tc *tc, struct ibtc *t)
{
	tc->ibtc_now = t;
	if (t) {
		*last_of(tc, t->mode) = t;
		t->used_at = ++tc->clock;
	}
	tc->x.ibtc = t && !tc->unchained ? t->slot : tc->ibtc_miss;
}

bool ibtc_select_known(struct tc *tc, unsigned space, uint32_t mode)
{
	struct ibtc *t = known(tc, space, mode);

	if (t)
		use(tc, t);
	return t;
}

void ibtc_select(struct tc *tc, unsigned space, uint32_t mode)
{
	if (!ibtc_select_known(tc, space, mode))
		use(tc, table_for(tc, space, mode));
}

static uintptr_t entry_of(struct tc *tc, const struct ccf *c)
{
	return (uintptr_t)(tc->rx + c->host - c->entry + c->island);
}

static uint64_t thunk_name(uint32_t lin, unsigned thunk)
{
	return lin | (uint64_t)thunk << 32;
}

/* Asked for many of one page in a row. */
static bool has_thunk(struct ibtc *t, uint64_t name)
{
	if (t->thunk_found < t->thunks && t->thunk[t->thunk_found] == name)
		return true;
	for (unsigned i = 0; i < t->thunks; i++) {
		if (t->thunk[i] == name) {
			t->thunk_found = i;
			return true;
		}
	}
	return false;
}

/* When there is no room the table begins anew: who calls those that were there needs them. */
static void note_thunk(struct tc *tc, struct ibtc *t, uint64_t name)
{
	if (has_thunk(t, name))
		return;
	if (t->thunks == IBTC_THUNKS)
		clear(tc, t);
	t->thunk[t->thunks++] = name;
}

bool ibtc_has_thunk_of(const struct tc *tc, const struct ccf *c)
{
	return tc->ibtc_now && has_thunk(tc->ibtc_now, thunk_name(c->lin + c->thunk_ahead, c->needs));
}

/* Its thunk may be at hand: its page is tracked already, and it has been translated there. */
static bool learn_thunk(struct tc *tc, const struct ccf *c)
{
	uint32_t lin = c->lin + c->thunk_ahead;
	ccf_id id;
	gpa_t at;

	if (!tc->ibtc_now || tc->breakpoints || !mmu_lean_code(tc->mmu, tc->mode & MODE_USER, gva(lin), &at))
		return false;
	id = ccf_find_lean(tc, lin, c->mode, at.v);
	return id && ccf_of(tc, id)->thunk == c->needs && ibtc_put(tc, id);
}

bool ibtc_put(struct tc *tc, ccf_id id)
{
	struct ibtc *t = tc->ibtc_now;
	struct ccf *c = ccf_of(tc, id);
	unsigned i = c->lin & 0xffff, chunk = i / IBTC_CHUNK;

	if (c->needs && !ibtc_has_thunk_of(tc, c) && !learn_thunk(tc, c))
		return false;
	if (!t)
		return true;
	if (c->thunk)
		note_thunk(tc, t, thunk_name(c->lin, c->thunk));
	c->tables |= 1u << (t - tc->ibtc);
	t->slot[i] = entry_of(tc, c);
	t->chunks[chunk / 64] |= 1ull << (chunk % 64);
	return true;
}

void ibtc_forget_ccf(struct tc *tc, ccf_id id)
{
	struct ccf *c = ccf_of(tc, id);

	for (; c->tables; c->tables &= c->tables - 1) {
		struct ibtc *t = &tc->ibtc[__builtin_ctz(c->tables)];

		if (t->valid && t->slot[c->lin & 0xffff] == entry_of(tc, c))
			t->slot[c->lin & 0xffff] = (uintptr_t)tc->x.stub_miss;
		if (t->valid && c->thunk && has_thunk(t, thunk_name(c->lin, c->thunk)))
			clear(tc, t);
	}
}
_Static_assert(IBTC_TABLES <= 32, "a bit for each in ccf.tables");

void ibtc_forget_space(struct tc *tc, unsigned space)
{
	for (unsigned i = 0; i < IBTC_TABLES; i++)
		if (tc->ibtc[i].valid && tc->ibtc[i].space == space)
			clear(tc, &tc->ibtc[i]);
}

static bool has_thunk_on(const struct ibtc *t, uint64_t lin_page)
{
	for (unsigned i = 0; i < t->thunks; i++)
		if ((uint32_t)t->thunk[i] >> PAGE_SHIFT == lin_page)
			return true;
	return false;
}

/*
 * Entries of one linear page: they lie within one run of 4096 slots, shared with other pages that have the same
 * low bits; all of the run goes, except when nothing was ever put there. The page before may have a CCF that spans into this
 * one; it starts in the last 15 bytes. Who calls the page's thunks may be anywhere.
 */
void ibtc_forget_page(struct tc *tc, unsigned space, uint64_t lin_page)
{
	unsigned first = (unsigned)(lin_page << PAGE_SHIFT) & 0xffff;

	for (unsigned i = 0; i < IBTC_TABLES; i++) {
		struct ibtc *t = &tc->ibtc[i];

		if (!t->valid || t->space != space)
			continue;
		if (has_thunk_on(t, lin_page)) {
			clear(tc, t);
			continue;
		}
		clear_slots(tc, t, first, PAGE_SIZE);
		for (unsigned k = 1; k < 16; k++)
			t->slot[(first - k) & 0xffff] = (uintptr_t)tc->x.stub_miss;
	}
}

void ibtc_clear_all(struct tc *tc)
{
	for (unsigned i = 0; i < IBTC_TABLES; i++)
		if (tc->ibtc[i].valid)
			clear(tc, &tc->ibtc[i]);
}
