/* The translation cache in crash reports; see crash.h. */
#include "translator/crash.h"
#include "translator/disasm.h"
#include "translator/trace.h"
#include "translator/view.h"

static bool plausible(const struct tc *tc, ccf_id id)
{
	const struct ccf *c = &tc->ccf[id];

	return id && id < tc->ccf_top && c->host < tc->size && c->host >= c->entry &&
	       c->host_len <= tc->size - (c->host - c->entry);
}

static void add(const struct tc *tc, struct tc_crash_block *list, unsigned *n, ccf_id id, const char *why)
{
	for (unsigned i = 0; i < *n; i++)
		if (list[i].id == id)
			return;
	if (*n < TC_CRASH_BLOCKS && plausible(tc, id))
		list[(*n)++] = (struct tc_crash_block){id, why};
}

static ccf_id covering(const struct tc *tc, uint32_t lin)
{
	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (tc->ccf[id].state == CCF_LIVE && view_covers(&tc->ccf[id], lin))
			return id;
	return 0;
}

static ccf_id translation_of(const struct tc *tc, const struct history_event *e)
{
	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (tc->ccf[id].state != CCF_FREE && tc->ccf[id].lin == e->lin && tc->ccf[id].mode == e->mode)
			return id;
	return 0;
}

unsigned tc_crash_blocks(const struct tc *tc, uint64_t host_rip, struct tc_crash_block list[TC_CRASH_BLOCKS])
{
	const struct history *h = tc->history;
	unsigned n = 0, translated = 0;

	add(tc, list, &n, cache_owner(tc, host_rip), "the host's instruction pointer is in it");
	add(tc, list, &n, cache_owner(tc, tc->x.target), "was entered last, or called C");
	add(tc, list, &n, covering(tc, (uint32_t)(tc->cpu->seg[S_CS].base + tc->cpu->rip)), "the guest's EIP is in it");
	for (unsigned i = 1; i <= TC_RECENT && i <= tc->recents; i++)
		add(tc, list, &n, cache_owner(tc, tc->recent[(tc->recents - i) % TC_RECENT]), "one of the last that were entered from C");
	for (uint64_t i = h->count; i > history_oldest(h) && translated < 4; i--) {
		const struct history_event *e = &h->event[(i - 1) % HISTORY_SIZE];

		if (e->kind != HISTORY_TRANSLATE)
			continue;
		add(tc, list, &n, translation_of(tc, e), "one of the last that were translated");
		translated++;
	}
	return n;
}

bool tc_crash_locate(const struct tc *tc, uint64_t host_rip, uint32_t *eip)
{
	ccf_id id = cache_owner(tc, host_rip);
	uint32_t host_off;
	unsigned index;

	*eip = 0;
	if (host_rip - (uintptr_t)tc->rx >= tc->size)
		return false;
	if (plausible(tc, id) && !ccf_locate((struct tc *)tc, id, host_rip, eip, &host_off, &index))
		*eip = 0;
	return true;
}

void tc_crash_raw_block(const struct tc *tc, const struct tc_crash_block *b, struct rawout *o)
{
	const struct ccf *c = &tc->ccf[b->id];
	uint64_t room = PAGE_SIZE - (c->gpa & PAGE_MASK);
	unsigned head = c->guest_len < room ? c->guest_len : (unsigned)room;
	const uint8_t *guest = physmap_host(tc->pm, gpa(c->gpa), head);
	uint32_t start = c->host - c->entry;

	rawout_print(o, "CCF %u: %s\n  linear %08x gpa %llx mode %x state %u flags %x, %u instructions, host %p entry %u\n",
		     b->id, b->why, c->lin, (unsigned long long)c->gpa, c->mode, c->state, c->flags, c->insns,
		     (const void *)(tc->rx + start), c->entry);
	rawout_print(o, "  guest %u bytes: ", c->guest_len);
	if (guest)
		rawout_hex(o, guest, head);
	else
		rawout_print(o, "not in RAM");
	rawout_print(o, "\n  host %u bytes: ", c->host_len);
	rawout_hex(o, tc->rw + start, c->host_len);
	rawout_print(o, "\n");
}

void tc_crash_show_block(struct tc *tc, const struct tc_crash_block *b, FILE *f)
{
	fprintf(f, "%s:\n", b->why);
	view_show_ccf(tc, b->id, f);
}

void tc_crash_raw_state(const struct tc *tc, struct rawout *o)
{
	const struct tcx *x = &tc->x;

	rawout_print(o, "mode %x, last leave %u arg %x, target %llx, kick %u, window %llx, R13 %p\n", tc->mode, x->reason,
		     x->arg, (unsigned long long)x->target, x->kick, (unsigned long long)x->window, (const void *)x->ibtc);
	rawout_print(o, "last host fault: rip %llx address %llx error %x signal %u\n", (unsigned long long)x->fault_rip,
		     (unsigned long long)x->fault_addr, x->fault_error, x->fault_signal);
	rawout_print(o, "cache at %p (%p writable), %zu bytes, segment %u filled to %zu; %u CCF records of %u\n",
		     (const void *)tc->rx, (const void *)tc->rw, tc->size, tc->segment, tc->fill, tc->ccf_top, tc->ccf_max);
	rawout_print(o, "verify %u lockstep %u lean %u unchained %u breakpoints %u interrupted %u\n", tc->config.verify,
		     tc->config.lockstep, tc->lean, tc->unchained, tc->breakpoints, tc->interrupted);
#define X(name, text) rawout_print(o, "%16llu  %s\n", (unsigned long long)tc->stats.name, text);
	TC_STATS(X)
#undef X
}

void tc_crash_history(const struct tc *tc, unsigned n, FILE *f)
{
	const struct history *h = tc->history;
	uint64_t oldest = history_oldest(h), from = h->count - oldest > n ? h->count - n : oldest;

	for (; from < h->count; from++)
		trace_print(h, &h->event[from % HISTORY_SIZE], f);
}

void tc_crash_prepare(void)
{
	disasm_without_heap();
}
