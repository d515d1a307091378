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

/* Is this what was learnt there? */
static bool is(uint64_t h, uint32_t place, enum form form, enum form_cause cause)
{
	return without_count(h) == entry(place, form, cause);
}

/* Not for good (hint_served). */
static bool for_a_while(uint64_t h, uint32_t place, enum form form)
{
	return is(h, place, form, CAUSE_EMULATED) || is(h, place, form, CAUSE_PAGE_FAULTS);
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
	return *h >> 40 >= (is(*h, place, FORM_WINDOW, CAUSE_EMULATED) ? PATIENCE_AGAIN : PATIENCE);
}

enum { IN_VAIN = 256, SAMPLE = IN_VAIN / 2 }; /* uses in a row after which a look-up form ends; what a tick counts for */

/* True: that ends the look-up form. */
static bool in_vain(uint64_t *h, uint32_t place, unsigned uses)
{
	*h += (uint64_t)uses << 40;
	if (*h >> 40 < IN_VAIN)
		return false;
	*h = entry(place, FORM_WINDOW, (enum form_cause)(*h >> 36 & 0xf));
	return true;
}

void hint_served(struct tc *tc, uint32_t place, bool window_would_do)
{
	uint64_t *h = slot(tc, place);

	if (!for_a_while(*h, place, FORM_LOOKUP))
		return;
	if (window_would_do)
		in_vain(h, place, 1);
	else
		*h = without_count(*h);
}

bool hint_over(const struct tc *tc, uint32_t place)
{
	return for_a_while(*slot(tc, place), place, FORM_WINDOW);
}

void hint_faulted(struct tc *tc, uint32_t place)
{
	uint64_t *h = slot(tc, place);

	if (is(*h, place, FORM_LOOKUP, CAUSE_PAGE_FAULTS))
		*h = without_count(*h);
}

bool hint_sampled(struct tc *tc, uint32_t place)
{
	uint64_t *h = slot(tc, place);

	return is(*h, place, FORM_LOOKUP, CAUSE_PAGE_FAULTS) && in_vain(h, place, SAMPLE);
}
