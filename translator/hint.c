/*
 * What faults have taught about single instructions: a direct-mapped table by place. A slot holds the address in bits 0-31,
 * the form in 32-35, its cause in 36-39 and a count of exceptions in 40-63.
 */
#include "translator/internal.h"

static uint64_t *slot(const struct tc *tc, uint32_t place)
{
	return &tc->hint[(place * 0x9e3779b1u) >> (32 - TC_HINT_BITS)];
}

enum form hint_form(const struct tc *tc, uint32_t place)
{
	uint64_t h = *slot(tc, place);

	return (uint32_t)h == place ? (enum form)(h >> 32 & 0xf) : FORM_WINDOW;
}

enum form_cause hint_cause(const struct tc *tc, uint32_t place)
{
	return (enum form_cause)(*slot(tc, place) >> 36 & 0xf);
}

static unsigned page_bit(uint32_t page)
{
	return page & (HINT_PAGES - 1);
}

bool hint_on_page(const struct tc *tc, uint32_t page)
{
	return tc->hint_page[page_bit(page) / 64] >> (page_bit(page) % 64) & 1;
}

/* What is learnt, with no exception counted. */
static uint64_t entry(uint32_t place, enum form form, enum form_cause cause)
{
	return (uint64_t)cause << 36 | (uint64_t)form << 32 | place;
}

static uint64_t without_count(uint64_t h)
{
	return h & ((1ull << 40) - 1);
}

void hint_set(struct tc *tc, uint32_t place, uint32_t lin, enum form form, enum form_cause cause)
{
	unsigned bit = page_bit(place >> PAGE_SHIFT);

	tc->hint_page[bit / 64] |= 1ull << (bit % 64);
	*slot(tc, place) = entry(place, form, cause);
	history_note(tc->history, HISTORY_FORM, lin, tc->mode, HISTORY_FORM_ARG(form, cause));
}

/* Learnt because accesses were emulated, and now in this form (hint_served). */
static bool emulated(uint64_t h, uint32_t place, enum form form)
{
	return without_count(h) == entry(place, form, CAUSE_EMULATED);
}

/*
 * The instruction raised an exception, or had to be emulated, by way of a host signal (a division by zero, say). True when it keeps doing
 * so: then another form does it at a fraction of the price.
 */
bool hint_exception(struct tc *tc, uint32_t place)
{
	enum { PATIENCE = 16, PATIENCE_AGAIN = 2 };
	uint64_t *h = slot(tc, place);

	if ((uint32_t)*h != place)
		*h = (uint64_t)FORM_WINDOW << 32 | place;
	*h += 1ull << 40;
	return *h >> 40 >= (emulated(*h, place, FORM_WINDOW) ? PATIENCE_AGAIN : PATIENCE);
}

/*
 * The loop that copies is shared: Linux patches its text by the MEMCPY that everybody calls, thousands of times while it starts and hardly ever
 * after. So its look-up form ends when it was of no use 256 times in a row.
 */
void hint_served(struct tc *tc, uint32_t place, bool window_would_do)
{
	enum { PATIENCE = 256 };
	uint64_t *h = slot(tc, place);

	if (!emulated(*h, place, FORM_LOOKUP))
		return;
	*h = window_would_do ? *h + (1ull << 40) : without_count(*h);
	if (*h >> 40 >= PATIENCE)
		*h = entry(place, FORM_WINDOW, CAUSE_EMULATED);
}

bool hint_over(const struct tc *tc, uint32_t place)
{
	return emulated(*slot(tc, place), place, FORM_WINDOW);
}

static bool by_page_faults(uint64_t h, uint32_t place)
{
	return without_count(h) == entry(place, FORM_LOOKUP, CAUSE_PAGE_FAULTS);
}

void hint_faulted(struct tc *tc, uint32_t place)
{
	uint64_t *h = slot(tc, place);

	if (by_page_faults(*h, place))
		*h = without_count(*h);
}

bool hint_sampled(struct tc *tc, uint32_t place)
{
	enum { PATIENCE = 2 };
	uint64_t *h = slot(tc, place);

	if (!by_page_faults(*h, place))
		return false;
	*h += 1ull << 40;
	if (*h >> 40 < PATIENCE)
		return false;
	*h = (uint64_t)FORM_WINDOW << 32 | place;
	return true;
}
