/* What faults have taught about single instructions: a direct-mapped table by linear address. */
#include "translator/internal.h"

static uint64_t *slot(const struct tc *tc, uint32_t lin)
{
	return &tc->hint[(lin * 0x9e3779b1u) >> (32 - TC_HINT_BITS)];
}

enum form hint_form(const struct tc *tc, uint32_t lin)
{
	uint64_t h = *slot(tc, lin);

	return (uint32_t)h == lin ? (enum form)(h >> 32) : FORM_WINDOW;
}

void hint_set(struct tc *tc, uint32_t lin, enum form form)
{
	*slot(tc, lin) = (uint64_t)form << 32 | lin;
	history_note(tc->history, HISTORY_FORM, lin, tc->mode, form);
}
