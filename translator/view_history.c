/* Views of what happened: `tc why`, `tc trace`. */
#include "translator/counts.h"
#include "translator/trace.h"
#include "translator/view.h"

#include <stdlib.h>
#include <string.h>

struct history *history_create(uint32_t ccfs)
{
	struct history *h = calloc(1, sizeof(*h));

	if (h && !(h->sample = calloc(ccfs, sizeof(*h->sample)))) {
		free(h);
		return NULL;
	}
	if (!h)
		return NULL;
	trace_update_mask(h);
	h->time.shift = TIMELINE_SHIFT;
	h->write = ~0ull;
	h->start = __builtin_ia32_rdtsc();
	h->start_ns = trace_now_ns();
	return h;
}

void history_destroy(struct history *h)
{
	if (h)
		free(h->sample);
	free(h);
}

/* ---- tc trace ---- */

static const char *switch_trace(struct history *h, bool on, const char *args, FILE *f)
{
	struct trace_filter t;
	const char *wrong = trace_parse(args, &t);

	if (wrong)
		return wrong;
	if (!t.everywhere || t.mode || t.limit)
		return "what is recorded can be chosen by events only: filter when it is shown";
	h->on = on ? h->on | t.kinds : h->on & ~t.kinds;
	trace_update_mask(h);
	fputs("recorded:", f);
	for (unsigned i = 0; i < HISTORY_KINDS; i++)
		if (h->keep >> i & 1)
			fprintf(f, " %s", trace_word(i));
	fputc('\n', f);
	return NULL;
}

/* The last `limit` of those wanted: found from the end, printed forwards. */
static void show_trace(const struct history *h, const struct trace_filter *t, FILE *f)
{
	uint64_t oldest = history_oldest(h), from = h->count, left = t->limit ? t->limit : 20;

	while (from > oldest && left)
		left -= trace_wants(t, &h->event[--from % HISTORY_SIZE]);
	fprintf(f, "%llu events recorded\n", (unsigned long long)h->count);
	for (; from < h->count; from++)
		if (trace_wants(t, &h->event[from % HISTORY_SIZE]))
			trace_print(h, &h->event[from % HISTORY_SIZE], f);
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && !memcmp(text, word, len);
}

const char *view_trace(struct tc *tc, uint32_t lin, const char *args, FILE *f)
{
	struct history *h = tc->history;
	size_t len = strcspn(args, " \t");
	const char *rest = args + len + strspn(args + len, " \t"), *wrong;
	struct trace_filter t;

	if (is_word(args, len, "on") || is_word(args, len, "off"))
		return switch_trace(h, len == 2, rest, f);
	if (is_word(args, len, "live"))
		return "live events need a session of the monitor: here use on, and show";
	if (is_word(args, len, "stop")) {
		fprintf(f, "%u live traces stopped\n", tc_trace_stop(tc));
		return NULL;
	}
	wrong = trace_parse(is_word(args, len, "show") ? rest : args, &t);
	if (!wrong)
		show_trace(h, &t, f);
	return wrong;
}

/* ---- tc why ---- */

static void print_forms(struct tc *tc, const struct ccf *c, FILE *f)
{
	const struct ccf_insn *map = ccf_map(tc, c);
	uint32_t at = c->lin;

	for (unsigned i = 0; i < c->insns; at += map[i].guest, i++) {
		uint32_t place = hint_place_in(c, at);

		if (hint_form(tc, place) != FORM_WINDOW)
			fprintf(f, "    the instruction at %08x goes by %s: it %s\n", at,
				hint_form(tc, place) == FORM_LOOKUP ? "look-up" : "callout",
				trace_cause_text(hint_cause(tc, place)));
	}
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

/* The first address of what covers it. */
static uint32_t first_covering(struct tc *tc, uint32_t lin)
{
	uint32_t from = lin;

	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (view_covers(ccf_of(tc, id), lin) && ccf_of(tc, id)->lin < from)
			from = ccf_of(tc, id)->lin;
	return from;
}

static bool is_user_code(struct tc *tc, uint32_t lin)
{
	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (view_covers(ccf_of(tc, id), lin) && ccf_of(tc, id)->mode & MODE_USER)
			return true;
	return false;
}

/* The present space, whose gear decides how user code at the address runs; MMU_SUPERVISOR: it is no user code. */
static unsigned print_gear(struct tc *tc, uint32_t lin, FILE *f)
{
	unsigned space = is_user_code(tc, lin) ? mmu_space(tc->mmu, true) : MMU_SUPERVISOR;

	if (space != MMU_SUPERVISOR)
		fprintf(f, "  in the present space, %u, user code %s\n", space, trace_gear_text(gear_now(tc, space)));
	return space;
}

const char *view_why(struct tc *tc, uint32_t lin, const char *args, FILE *f)
{
	const struct history *h = tc->history;
	uint32_t from = first_covering(tc, lin);
	unsigned shown = 0, space;

	print_page(tc, lin, f);
	if (!print_ccfs(tc, lin, f))
		fputs("  no translation covers it now\n", f);
	space = print_gear(tc, lin, f);
	for (uint64_t i = history_oldest(h); i < h->count; i++) {
		const struct history_event *e = &h->event[i % HISTORY_SIZE];

		if (e->kind == HISTORY_GEAR ? space == MMU_SUPERVISOR || e->lin != space : e->lin < from || e->lin > lin)
			continue;
		trace_print(h, e, f);
		shown++;
	}
	if (!shown)
		fprintf(f, "  nothing of it among the last %llu events\n",
			(unsigned long long)(h->count - history_oldest(h)));
	return NULL;
}
