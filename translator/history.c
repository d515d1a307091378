/* Recording events; see history.h. Built without vector registers, like its callers. */
#include "translator/history.h"

void history_record(struct history *h, enum history_kind kind, uint32_t lin, uint32_t mode, uint64_t arg)
{
	struct history_event *e = &h->event[h->count++ % HISTORY_SIZE];

	e->tsc = __builtin_ia32_rdtsc();
	e->kind = kind;
	e->lin = lin;
	e->mode = mode;
	e->arg = arg;
}
