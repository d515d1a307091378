/*
 * Pages that churn: mapped, touched once, and flushed, over and over. Linux patches its text through such a page, thousands of times
 * during a boot. A mapping that serves one access costs more than emulating the access, so the first touch of such a page after a
 * flush is emulated; a second touch shows that this time it is worth a mapping.
 *
 * Supervisor window only: user code has gears (translator/gear.c).
 */
#include "mmu/internal.h"

enum { CHURN_FILLS = 8 }; /* fills before a page counts as churning */

bool churn_emulate(struct mmu *m, uint32_t page)
{
	struct churn *c = &m->churn[page % CHURN_SLOTS];

	if (m->never_emulate)
		return false;
	if (c->page != page) {
		*c = (struct churn){.page = page, .fills = 1, .flush = m->stats.flushes};
		return false;
	}
	if (c->flush == m->stats.flushes)
		return false; /* touched again before a flush */
	c->flush = m->stats.flushes;
	if (c->fills < CHURN_FILLS) {
		c->fills++;
		return false;
	}
	m->stats.emulated++;
	return true;
}

void mmu_emulate_churn(struct mmu *m, bool on)
{
	m->never_emulate = !on;
}
