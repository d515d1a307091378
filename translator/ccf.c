/*
 * CCF records: allocation, the table by (linear address, mode), dropping and revival.
 *
 * Life of a CCF: FREE -> LIVE (insert) -> DORMANT (drop: its source was written) -> LIVE (revive: the same bytes are back)
 * or DEAD (not worth keeping) and in any case FREE (release: its memory in the TC is reused).
 */
#include "translator/symbols.h"

#include <string.h>
#include <xxhash.h>

uint64_t code_hash(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

/* Those of a page are neighbours, so that code met for the first time does not miss the cache once for each block. */
static ccf_id *bucket(struct tc *tc, uint32_t tag)
{
	enum { WITHIN = 8 };
	uint32_t page = (tag >> PAGE_SHIFT) * 0x85ebca6bu >> (32 - (TC_HASH_BITS - WITHIN));

	return &tc->hash[page << WITHIN | (tag >> (PAGE_SHIFT - WITHIN) & ((1u << WITHIN) - 1))];
}

/* The next one with this tag, beginning at `id` itself; 0: none. */
static ccf_id tagged(const struct tc *tc, ccf_id id, uint32_t tag)
{
	while (id && tc->link[id].tag != tag)
		id = tc->link[id].next;
	return id;
}

static ccf_id first_tagged(struct tc *tc, uint32_t tag)
{
	return tagged(tc, *bucket(tc, tag), tag);
}

static ccf_id next_tagged(struct tc *tc, ccf_id id)
{
	return tagged(tc, tc->link[id].next, tc->link[id].tag);
}

ccf_id ccf_alloc(struct tc *tc)
{
	ccf_id id = tc->ccf_free;

	if (!id && tc->ccf_top == tc->ccf_max) {
		cache_flush(tc);
		id = tc->ccf_free;
	}
	if (id)
		tc->ccf_free = tc->link[id].next;
	else
		id = tc->ccf_top++;
	memset(ccf_of(tc, id), 0, sizeof(struct ccf));
	tc->link[id] = (struct ccf_link){0};
	return id;
}

static void hash(struct tc *tc, ccf_id id)
{
	const struct ccf *c = ccf_of(tc, id);
	uint32_t tag = ccf_tag(c->lin, c->mode);

	tc->link[id].tag = tag;
	tc->link[id].next = *bucket(tc, tag);
	*bucket(tc, tag) = id;
}

static void unhash(struct tc *tc, ccf_id id)
{
	ccf_id *p = bucket(tc, tc->link[id].tag);

	while (*p && *p != id)
		p = &tc->link[*p].next;
	if (*p)
		*p = tc->link[id].next;
}

void ccf_insert(struct tc *tc, ccf_id id)
{
	hash(tc, id);
	ccf_of(tc, id)->state = CCF_LIVE;
	smc_add(tc, id);
}

void ccf_readdress(struct tc *tc, ccf_id id, uint32_t lin)
{
	unhash(tc, id);
	ccf_of(tc, id)->lin = lin;
	hash(tc, id);
	symbols_add(tc, id);
}

static bool is_live_at(const struct ccf *c, uint32_t lin, uint32_t mode, uint64_t gpa)
{
	return c->lin == lin && c->mode == mode && c->gpa == gpa && c->state == CCF_LIVE;
}

/*
 * Is the second page the one that the CCF was made from? Tracks it, too: the address space may have had no use for it, or have
 * flushed it, since.
 */
static bool same_second_page(struct tc *tc, const struct ccf *c)
{
	uint32_t second = (c->lin | PAGE_MASK) + 1;
	gpa_t at;

	return mmu_track_code(tc->mmu, c->mode & MODE_USER, gva(second), &at) == OUT_OK && at.v == c->gpa2;
}

ccf_id ccf_find(struct tc *tc, uint32_t lin, uint32_t mode, uint64_t gpa)
{
	for (ccf_id id = first_tagged(tc, ccf_tag(lin, mode)); id; id = next_tagged(tc, id)) {
		const struct ccf *c = ccf_of(tc, id);

		if (is_live_at(c, lin, mode, gpa) && (!(c->flags & CCF_CROSSING) || same_second_page(tc, c)))
			return id;
	}
	return 0;
}

bool ccf_tracked_at(struct tc *tc, uint32_t lin, uint32_t mode, uint64_t gpa)
{
	gpa_t at;

	return mmu_lean_code(tc->mmu, mode & MODE_USER, gva(lin), &at) && at.v == gpa;
}

bool ccf_tracked(struct tc *tc, const struct ccf *c)
{
	return !(c->flags & CCF_CROSSING) || ccf_tracked_at(tc, (c->lin | PAGE_MASK) + 1, c->mode, c->gpa2);
}

ccf_id ccf_find_lean(struct tc *tc, uint32_t lin, uint32_t mode, uint64_t gpa)
{
	for (ccf_id id = first_tagged(tc, ccf_tag(lin, mode)); id; id = next_tagged(tc, id))
		if (is_live_at(ccf_of(tc, id), lin, mode, gpa) && ccf_tracked(tc, ccf_of(tc, id)))
			return id;
	return 0;
}

/* No way leads into it any more, and none out of it. */
static void isolate(struct tc *tc, ccf_id id)
{
	chain_unlink_incoming(tc, id);
	chain_unlink_outgoing(tc, id);
	ibtc_forget_ccf(tc, id);
	smc_remove(tc, id);
	tc->changed = true;
	if (tc->last_exit && exit_ccf(tc->last_exit) == id)
		tc->last_exit = 0;
}

enum { DORMANT_MAX = 4 }; /* of one address and mode */

static void bury(struct tc *tc, ccf_id id)
{
	unhash(tc, id);
	ccf_of(tc, id)->state = CCF_DEAD;
}

/*
 * A dropped CCF waits to be revived, but code that is written over and over (a JIT's) would leave ever more of them behind: only
 * the youngest few of an address are kept.
 */
static void retire(struct tc *tc, ccf_id id)
{
	const struct ccf *c = ccf_of(tc, id);
	unsigned same = 0;
	ccf_id oldest = 0;

	if (c->flags & CCF_NO_REVIVAL) {
		bury(tc, id);
		return;
	}
	for (ccf_id i = first_tagged(tc, ccf_tag(c->lin, c->mode)); i; i = next_tagged(tc, i)) {
		const struct ccf *d = ccf_of(tc, i);

		if (d->lin == c->lin && d->mode == c->mode && d->state == CCF_DORMANT) {
			same++;
			oldest = i;
		}
	}
	if (same > DORMANT_MAX)
		bury(tc, oldest);
}

void ccf_drop(struct tc *tc, ccf_id id)
{
	isolate(tc, id);
	history_note(tc->history, HISTORY_DROP, ccf_of(tc, id)->lin, ccf_of(tc, id)->mode, tc->history->write);
	ccf_of(tc, id)->state = CCF_DORMANT;
	tc->stats.invalidations++;
	retire(tc, id);
}

void ccf_discard(struct tc *tc, ccf_id id)
{
	ccf_of(tc, id)->flags |= CCF_STALE;
	ccf_drop(tc, id);
}

void ccf_release(struct tc *tc, ccf_id id)
{
	struct ccf *c = ccf_of(tc, id);

	if (c->state == CCF_LIVE) {
		isolate(tc, id);
		history_note(tc->history, HISTORY_EVICT, c->lin, c->mode, 0);
	}
	unhash(tc, id);
	symbols_remove(tc, id);
	c->state = CCF_FREE;
	tc->link[id].next = tc->ccf_free;
	tc->ccf_free = id;
}

static bool same_source(struct tc *tc, const struct ccf *c, uint64_t gpa_)
{
	const void *src = physmap_host(tc->pm, gpa(gpa_), c->guest_len);

	return src && code_hash(src, c->guest_len) == c->hash;
}

bool ccf_unchanged(struct tc *tc, const struct ccf *c)
{
	unsigned head = PAGE_SIZE - (unsigned)(c->gpa & PAGE_MASK);
	uint8_t bytes[16]; /* one instruction */
	const void *first, *second;

	if (!(c->flags & CCF_CROSSING)) {
		first = physmap_host(tc->pm, gpa(c->gpa), c->guest_len);
		return first && !memcmp(first, ccf_source(tc, c), c->guest_len);
	}
	first = physmap_host(tc->pm, gpa(c->gpa), head);
	second = physmap_host(tc->pm, gpa(c->gpa2), c->guest_len - head);
	if (!first || !second)
		return false;
	memcpy(bytes, first, head);
	memcpy(bytes + head, second, c->guest_len - head);
	return code_hash(bytes, c->guest_len) == c->hash;
}

/* Not on a self-checking page: what was made before it became one would have it protected again, and dropped by the next writes. */
ccf_id ccf_revive(struct tc *tc, uint32_t lin, uint32_t mode, uint64_t gpa_)
{
	if (smc_page_selfchecks(tc, gpa_))
		return 0;
	for (ccf_id id = first_tagged(tc, ccf_tag(lin, mode)); id; id = next_tagged(tc, id)) {
		struct ccf *c = ccf_of(tc, id);

		if (c->lin != lin || c->mode != mode || c->state != CCF_DORMANT ||
		    (c->flags & CCF_NO_REVIVAL) || !same_source(tc, c, gpa_))
			continue;
		c->gpa = gpa_;
		c->state = CCF_LIVE;
		smc_add(tc, id);
		tc->stats.revivals++;
		history_note(tc->history, HISTORY_REVIVE, lin, mode, gpa_);
		return id;
	}
	return 0;
}

bool ccf_locate(struct tc *tc, ccf_id id, uintptr_t host, uint32_t *eip, uint32_t *host_off,
		unsigned *index)
{
	const struct ccf *c = ccf_of(tc, id);
	const struct ccf_insn *map = ccf_map(tc, c);
	uint32_t at = (uint32_t)(host - (uintptr_t)tc->rx), pos = c->host, lin = c->lin;

	for (unsigned i = 0; i < c->insns; i++) {
		if (at < pos + map[i].host) {
			*eip = lin;
			*host_off = i ? pos : c->host;
			*index = i;
			return true;
		}
		pos += map[i].host;
		lin += map[i].guest;
	}
	return false;
}

bool ccf_after(struct tc *tc, ccf_id id, unsigned index, uintptr_t *host, uint32_t *eip)
{
	const struct ccf *c = ccf_of(tc, id);
	const struct ccf_insn *map = ccf_map(tc, c);

	*host = (uintptr_t)tc->rx + c->host;
	*eip = c->lin;
	for (unsigned i = 0; i <= index; i++) {
		*host += map[i].host;
		*eip += map[i].guest;
	}
	return index + 1u < c->insns;
}
