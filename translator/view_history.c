/* Views of what happened: `tc why`, `tc trace`. */
#include "translator/counts.h"
#include "translator/view.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *word, *text;
	bool always;
} kinds[HISTORY_KINDS] = {
#define X(id, word, always, text) {#word, text, always},
	HISTORY_EVENTS(X)
#undef X
};

static uint32_t always_mask(void)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < HISTORY_KINDS; i++)
		mask |= kinds[i].always ? 1u << i : 0;
	return mask;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct history *history_create(uint32_t ccfs)
{
	struct history *h = calloc(1, sizeof(*h));

	if (h && !(h->sample = calloc(ccfs, sizeof(*h->sample)))) {
		free(h);
		return NULL;
	}
	if (!h)
		return NULL;
	h->mask = always_mask();
	h->write = ~0ull;
	h->start = __builtin_ia32_rdtsc();
	h->start_ns = now_ns();
	return h;
}

void history_destroy(struct history *h)
{
	if (h)
		free(h->sample);
	free(h);
}

/* Seconds since the cache was made, from TSC ticks. */
static double seconds(const struct history *h, uint64_t tsc)
{
	double ticks = (double)(__builtin_ia32_rdtsc() - h->start), ns = (double)(now_ns() - h->start_ns);

	return ticks > 0 ? (double)(tsc - h->start) * (ns / ticks) / 1e9 : 0;
}

static void print_event(const struct history *h, const struct history_event *e, FILE *f)
{
	fprintf(f, "%12.6f  %-10s  %08x  ", seconds(h, e->tsc), kinds[e->kind].word, e->lin);
	switch ((enum history_kind)e->kind) {
	case HISTORY_TRANSLATE:
		fprintf(f, "%llu instructions, for ", (unsigned long long)e->arg);
		view_print_mode(f, e->mode);
		fprintf(f, " (mode %x)", e->mode);
		break;
	case HISTORY_DROP:
		if (e->arg == ~0ull)
			fputs("its form or its source was wrong", f);
		else
			fprintf(f, "by a write to gpa %llx", (unsigned long long)e->arg);
		break;
	case HISTORY_FORM:
		fputs(e->arg == FORM_LOOKUP ? "met a user page: by look-up from now on"
					    : "met device memory: by callout from now on",
		      f);
		break;
	case HISTORY_GEAR:
		fprintf(f, "space %u: user code reaches memory %s", e->lin,
			e->arg ? "through its window" : "by look-up");
		break;
	case HISTORY_EVICT:
		fputs("its place in the cache was needed", f);
		break;
	default:
		fprintf(f, "%llx", (unsigned long long)e->arg);
		break;
	}
	fputc('\n', f);
}

static uint64_t oldest(const struct history *h)
{
	return h->count > HISTORY_SIZE ? h->count - HISTORY_SIZE : 0;
}

/* ---- tc trace ---- */

static bool parse_kinds(const char *text, uint32_t *mask)
{
	*mask = 0;
	while (*text) {
		size_t len = strcspn(text, ", \t");
		unsigned i;

		for (i = 0; i < HISTORY_KINDS; i++)
			if (strlen(kinds[i].word) == len && !memcmp(kinds[i].word, text, len))
				break;
		if (i == HISTORY_KINDS)
			return false;
		*mask |= 1u << i;
		text += len;
		text += strspn(text, ", \t");
	}
	return true;
}

static const char *switch_trace(struct history *h, bool on, const char *args, FILE *f)
{
	uint32_t mask;

	if (!parse_kinds(args, &mask))
		return "events: translate, revive, invalidate, evict, form, gear, chain, miss, callout, hidden, fault";
	if (!mask)
		mask = (1u << HISTORY_KINDS) - 1;
	h->mask = on ? h->mask | mask : (h->mask & ~mask) | always_mask();
	fputs("recorded:", f);
	for (unsigned i = 0; i < HISTORY_KINDS; i++)
		if (h->mask >> i & 1)
			fprintf(f, " %s", kinds[i].word);
	fputc('\n', f);
	return NULL;
}

const char *view_trace(struct tc *tc, uint32_t lin, const char *args, FILE *f)
{
	struct history *h = tc->history;
	size_t len = strcspn(args, " \t");
	const char *rest = args + len + strspn(args + len, " \t");
	unsigned long n = 20;
	char *end;

	if (len == 2 && !memcmp(args, "on", 2))
		return switch_trace(h, true, rest, f);
	if (len == 3 && !memcmp(args, "off", 3))
		return switch_trace(h, false, rest, f);
	if (len == 4 && !memcmp(args, "show", 4))
		args = rest;
	if (*args) {
		n = strtoul(args, &end, 0);
		if (*end)
			return "on, off, or how many events to show";
	}
	fprintf(f, "%llu events recorded\n", (unsigned long long)h->count);
	if (n > h->count - oldest(h))
		n = h->count - oldest(h);
	for (uint64_t i = h->count - n; i < h->count; i++)
		print_event(h, &h->event[i % HISTORY_SIZE], f);
	return NULL;
}

/* ---- tc why ---- */

static void print_forms(struct tc *tc, const struct ccf *c, FILE *f)
{
	const struct ccf_insn *map = (const void *)(tc->rx + c->map);
	uint32_t at = c->lin;

	for (unsigned i = 0; i < c->insns; at += map[i].guest, i++)
		if (hint_form(tc, at) != FORM_WINDOW)
			fprintf(f, "    the instruction at %08x reaches memory by %s: it met %s\n", at,
				hint_form(tc, at) == FORM_LOOKUP ? "look-up" : "callout",
				hint_form(tc, at) == FORM_LOOKUP ? "user pages" : "device memory");
}

static unsigned print_ccfs(struct tc *tc, uint32_t lin, FILE *f)
{
	unsigned found = 0;

	for (ccf_id id = 1; id < tc->ccf_top; id++) {
		const struct ccf *c = ccf_of(tc, id);

		if (!view_covers(c, lin))
			continue;
		found++;
		fprintf(f, "  CCF %u at %08x (gpa %08llx), %s, for ", id, c->lin, (unsigned long long)c->gpa,
			view_state(c));
		view_print_mode(f, c->mode);
		fprintf(f, " (mode %x)%s%s%s%s\n", c->mode, c->flags & CCF_CROSSING ? ", spans two pages" : "",
			c->flags & CCF_SELFCHECK ? ", checks its own source at entry" : "",
			c->flags & CCF_STALE ? ", not to be revived" : "",
			c->incoming ? ", chained to" : "");
		if (c->counting)
			fprintf(f, "    executed %llu times\n", (unsigned long long)counts_of(tc, id));
		print_forms(tc, c, f);
	}
	return found;
}

static void print_page(struct tc *tc, uint32_t lin, FILE *f)
{
	struct walk w;

	if (!mmu_walk_quiet(tc->cpu, tc->pm, gva(lin), &w)) {
		fputs("  the address is not mapped now\n", f);
		return;
	}
	fprintf(f, "  the address is gpa %llx now; its page is %s\n", (unsigned long long)w.gpa.v,
		physmap_is_code(tc->pm, gpa(w.gpa.v & ~(uint64_t)PAGE_MASK)) ?
			"write-protected: it holds translations" :
		smc_page_selfchecks(tc, w.gpa.v) ? "written too often: its CCFs check themselves" :
						   "not write-protected");
}

const char *view_why(struct tc *tc, uint32_t lin, const char *args, FILE *f)
{
	const struct history *h = tc->history;
	uint32_t from = lin;
	unsigned shown = 0;

	print_page(tc, lin, f);
	if (!print_ccfs(tc, lin, f))
		fputs("  no translation covers it now\n", f);
	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (view_covers(ccf_of(tc, id), lin) && ccf_of(tc, id)->lin < from)
			from = ccf_of(tc, id)->lin;
	for (uint64_t i = oldest(h); i < h->count; i++) {
		const struct history_event *e = &h->event[i % HISTORY_SIZE];

		if (e->kind == HISTORY_GEAR || e->lin < from || e->lin > lin)
			continue;
		print_event(h, e, f);
		shown++;
	}
	if (!shown)
		fprintf(f, "  nothing of it among the last %llu events\n",
			(unsigned long long)(h->count - oldest(h)));
	return NULL;
}
