/* Moving translations to another linear address: see move.h. */
#include "translator/move.h"
#include "cpu/log.h"
#include "translator/counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CCFs of a page that are looked at; more are those of many programs that run at once. */
enum { PATIENCE = 1024 };

struct move {
	struct tc *tc;
	uint32_t from, to; /* linear pages */
	uint32_t lin, mode; /* what is wanted */
	uint64_t gfn;
	bool shared;        /* there are CCFs at the new address already */
	bool exact;         /* the very CCF that is wanted is there */
};

/* Where it is, if it is of the mode that is wanted: known without looking at the record. */
static uint32_t place_of(const struct tc *tc, uint32_t mode, ccf_id id)
{
	return tc->link[id].tag ^ ccf_tag(0, mode);
}

static bool is_on(struct tc *tc, uint32_t page, uint32_t mode, ccf_id id)
{
	return place_of(tc, mode, id) >> PAGE_SHIFT == page && ccf_of(tc, id)->mode == mode;
}

/* Other modes follow when code of theirs is wanted. */
static bool moves(const struct move *m, ccf_id id)
{
	return is_on(m->tc, m->from, m->mode, id);
}

/* May what is there be taken away? */
static bool idle(const struct move *m, ccf_id id)
{
	return ccf_of(m->tc, id)->mode == m->mode && !mmu_code_in_use(m->tc->mmu, place_of(m->tc, m->mode, id) >> PAGE_SHIFT, m->gfn);
}

/* The code is what has not been looked at for long: have it come while the others are looked at. */
static void prefetch_code(struct tc *tc, const struct ccf *c)
{
	const uint8_t *code = tc->rw + c->host - c->entry;
	size_t len = c->host_len + c->insns * sizeof(struct ccf_insn) + c->fields * sizeof(uint16_t);

	for (size_t at = 0; at < len; at += 64)
		__builtin_prefetch(code + at);
}

/*
 * Find an address where the page is not in use any more; one with the very CCF that is wanted, if there is. CCFs of an
 * address tend to follow one another, so the last answer is kept.
 */
static bool find_source(struct move *m, ccf_id first)
{
	uint32_t known = m->to;
	bool found = false, gone = false;
	unsigned n = 0;

	for (ccf_id id = first; id && n < PATIENCE; id = m->tc->link[id].page_next, n++) {
		uint32_t at = place_of(m->tc, m->mode, id), page = at >> PAGE_SHIFT;
		bool wanted = ((at ^ m->lin) & PAGE_MASK) == 0;

		if (found && page == m->from)
			__builtin_prefetch(ccf_of(m->tc, id)); /* it moves: the first line is all that is needed */
		m->shared |= page == m->to;
		if (m->exact || (found && !wanted) || page == m->to)
			continue;
		if (page != known) {
			known = page;
			gone = idle(m, id);
		}
		if (!gone)
			continue;
		m->from = page;
		found = true;
		m->exact = wanted;
	}
	m->shared |= n == PATIENCE;
	return found;
}

/* Would it be translated in the same way at the new address? Forms that were learnt go along: user code's are kept by physical address. */
static bool movable(const struct move *m, const struct ccf *c)
{
	uint32_t lin = m->to << PAGE_SHIFT | (c->lin & PAGE_MASK);

	return !(c->flags & CCF_FIXED) && !(m->shared && ccf_find_lean(m->tc, lin, c->mode, c->gpa));
}

/* Before anything is moved, so that links lead only from what moves to what moves. What stays on the list is moved right after. */
static void drop_unmovable(struct move *m, ccf_id first)
{
	ccf_id next;

	for (ccf_id id = first; id; id = next) {
		struct ccf *c = ccf_of(m->tc, id);

		next = m->tc->link[id].page_next;
		if (!moves(m, id))
			continue;
		prefetch_code(m->tc, c);
		if (!movable(m, c))
			ccf_discard(m->tc, id);
	}
}

static uint32_t moved_field(uint32_t value, enum move_kind kind, uint32_t delta)
{
	switch (kind) {
	case MOVE_ADD:
		return value + delta;
	case MOVE_SUBTRACT:
		return value - delta;
	case MOVE_SLOT:
	default:
		return (value + delta * 8) % (IBTC_SIZE * 8);
	}
}

static void move_code(struct tc *tc, const struct ccf *c, uint32_t delta)
{
	/* by the writable view both: the other one would have the host's TLB miss once more */
	const uint16_t *field = (const void *)(tc->rw + c->map + c->insns * sizeof(struct ccf_insn));
	uint8_t *code = tc->rw + c->host - c->entry;

	for (unsigned i = 0; i < c->fields; i++) {
		uint8_t *p = code + (field[i] & MOVE_OFFSET_MASK);
		uint32_t value;

		memcpy(&value, p, sizeof(value));
		value = moved_field(value, (enum move_kind)(field[i] >> MOVE_KIND_SHIFT), delta);
		memcpy(p, &value, sizeof(value));
	}
}

static void move_one(struct move *m, ccf_id id)
{
	struct ccf *c = ccf_of(m->tc, id);
	uint32_t from = c->lin, delta = (m->to - m->from) << PAGE_SHIFT;

	move_code(m->tc, c, delta);
	ccf_readdress(m->tc, id, from + delta);
	m->tc->history->sample[id] = 0;
	counts_clear(m->tc, id);
	m->tc->stats.relocations++;
	history_note(m->tc->history, HISTORY_MOVE, c->lin, c->mode, from);
}

/*
 * With the verifier on: what was moved is what would be translated. A debug build stops, any other translates. Not those that span
 * pages: what follows the new address is looked at when they are found. Nor those of pages in which forms were learnt, perhaps since; nor
 * those that check themselves and will find that they have changed.
 */
static void verify_moved(struct tc *tc, ccf_id id)
{
	struct ccf *c = ccf_of(tc, id);
	char err[256];

	if (!tc->config.verify || (c->flags & CCF_CROSSING) || hint_on_page(tc, (uint32_t)(c->gpa >> PAGE_SHIFT)) ||
	    ((c->flags & CCF_SELFCHECK) && !ccf_unchanged(tc, c)) ||
	    translate_same(tc, id, err, sizeof(err)))
		return;
	fprintf(stderr, "ringfence: translation moved to %#x differs from a new one: %s\n", c->lin, err);
#ifdef RINGFENCE_DEBUG
	abort();
#endif
	ccf_discard(tc, id);
}

static void move_all(struct move *m, ccf_id first)
{
	ccf_id next;

	for (ccf_id id = first; id; id = next) {
		next = m->tc->link[id].page_next;
		if (!moves(m, id))
			continue;
		move_one(m, id);
		verify_moved(m->tc, id);
	}
}

static bool moved_to(const struct code_page *p, uint32_t page, uint32_t mode)
{
	return p->moved_to == page + 1 && p->moved_mode == mode;
}

void move_offer(struct tc *tc, uint32_t lin, uint32_t mode, uint64_t gpa_)
{
	const struct code_page *p = smc_page(tc, gpa_ >> PAGE_SHIFT);
	uint32_t page = lin >> PAGE_SHIFT;

	if (!p || !moved_to(p, page, mode) || !ccf_tracked_at(tc, lin, mode, gpa_))
		return;
	for (ccf_id id = p->first; id; id = tc->link[id].page_next)
		if (is_on(tc, page, mode, id) && ccf_tracked(tc, ccf_of(tc, id)))
			ibtc_put(tc, id);
}

/* Units end before breakpoints, elsewhere than at the new address; and logs are to show every unit that runs. */
static bool possible(const struct move *m)
{
	return (m->mode & MODE_USER) && m->to != 0xfffff && !m->tc->breakpoints &&
	       !log_on(LOG_IN_ASM | LOG_OP | LOG_OUT_ASM);
}

bool move_page(struct tc *tc, uint32_t lin, uint32_t mode, uint64_t gpa_)
{
	struct move m = {.tc = tc, .to = lin >> PAGE_SHIFT, .mode = mode, .lin = lin, .gfn = gpa_ >> PAGE_SHIFT};
	struct code_page *p = smc_page(tc, m.gfn);
	bool again;

	if (!possible(&m) || !p)
		return false;
	again = moved_to(p, m.to, mode);
	p->moved_to = m.to + 1;
	p->moved_mode = mode;
	if (!find_source(&m, p->first) || (again && !m.exact))
		return false;
	drop_unmovable(&m, p->first);
	move_all(&m, p->first);
	move_offer(tc, lin, mode, gpa_);
	return true;
}
