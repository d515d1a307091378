/*
 * The translation cache for people: totals, and the table of views. All on the vCPU thread outside of tc_run; views change nothing
 * but the tracing and counting they are asked to switch.
 */
#include "translator/view.h"
#include "translator/classify.h"
#include "translator/counts.h"
#include "translator/disasm.h"
#include "translator/trace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct tc_view views[] = {
	{"list", false, "[sort=executions|samples|size|age|expansion|callouts] [limit=N] [filter=live|dormant|user|supervisor|callouts]",
	 "the units of translation", view_list},
	{"show", true, "ADDR", "guest and host code side by side, with the reason for each host instruction",
	 view_show},
	{"why", true, "ADDR", "what became of the code at ADDR: translations, forms, writes, gear", view_why},
	{"graph", true, "ADDR", "the chains around ADDR as a Graphviz graph", view_graph},
	{"verify", false, "", "run the verifier over everything in the cache", view_verify},
	{"trace", false, "on|off [EVENT,...] | [show] [N] [FILTER] | live [FILTER] | stop",
	 "record events of every day too; list the last N (default 20), or print them as they happen until Enter; "
	 "FILTER: [EVENT,...] [addr=FIRST..LAST|START+LEN] [mode=user|kernel] [limit=N]", view_trace},
	{"counts", false, "[on|off]", "count how often each unit is executed; a change empties the cache", view_counts},
};

const struct tc_view *tc_view_nth(unsigned n)
{
	return n < ARRAY_LEN(views) ? &views[n] : NULL;
}

const struct tc_view *tc_view_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(views); i++)
		if (!strcmp(views[i].name, name))
			return &views[i];
	return NULL;
}

/* ---- shared ---- */

void view_print_mode(FILE *f, uint32_t mode)
{
	static const struct {
		uint32_t bit;
		const char *set, *clear;
	} words[] = {
		{MODE_USER, "user", "supervisor"}, {MODE_CODE32, " 32-bit", " 16-bit"},
		{MODE_STACK32, "", " 16-bit-stack"}, {MODE_FLAT_CS, "", " cs-not-flat"},
		{MODE_FLAT_DS, "", " ds-not-flat"}, {MODE_FLAT_ES, "", " es-not-flat"},
		{MODE_FLAT_SS, "", " ss-not-flat"}, {MODE_FPU, " fpu", ""},
		{MODE_SSE, " sse", ""},		    {MODE_LOOKUP, " look-up", ""},
	};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		fputs(mode & words[i].bit ? words[i].set : words[i].clear, f);
}

const char *view_state(const struct ccf *c)
{
	return c->state == CCF_LIVE ? "live" : c->state == CCF_DORMANT ? "dormant" : "free";
}

unsigned view_source(struct tc *tc, const struct ccf *c, uint8_t *bytes, unsigned max)
{
	unsigned len = c->guest_len < max ? c->guest_len : max, head = PAGE_SIZE - (c->gpa & PAGE_MASK);
	const uint8_t *p;

	if (c->gpa2 == ~0ull || head > len)
		head = len;
	p = physmap_host(tc->pm, gpa(c->gpa), head);
	if (!p)
		return 0;
	memcpy(bytes, p, head);
	if (head == len)
		return len;
	p = physmap_host(tc->pm, gpa(c->gpa2), len - head);
	if (!p)
		return head;
	memcpy(bytes + head, p, len - head);
	return len;
}

bool view_covers(const struct ccf *c, uint32_t lin)
{
	return c->state != CCF_FREE && lin - c->lin < c->guest_len;
}

unsigned view_callouts(const struct tc *tc, uint32_t off, uint32_t len)
{
	/* jmp [r14 + TCX_STUB_INTERP], as emit_jmp_mem makes it */
	static const uint8_t pattern[] = {0x41, 0xff, 0x66, TCX_STUB_INTERP};
	const uint8_t *p = tc->rx + off, *end = p + len;
	unsigned n = 0;

	while ((p = memmem(p, (size_t)(end - p), pattern, sizeof(pattern)))) {
		p += sizeof(pattern);
		n++;
	}
	return n;
}

unsigned view_disasm(const struct ccf *c, const uint8_t *bytes, unsigned len, uint32_t lin, char *text, size_t textlen)
{
	return disasm_guest(c->mode & MODE_CODE32 ? DISASM_32 : DISASM_16, DISASM_INTEL, bytes, len, lin, text,
			    textlen);
}

const char *view_callout_text(const struct tc *tc, const struct ccf *c, uint32_t lin, unsigned why)
{
	uint32_t place = hint_place_in(c, lin);
	enum form form = hint_form(tc, place);

	if (form == FORM_CALLOUT)
		return trace_cause_text(hint_cause(tc, place));
	if (why == WHY_NONE || why == WHY_STACK || why == WHY_FLOW)
		return form == FORM_LOOKUP || (c->mode & MODE_LOOKUP) ? "only when its look-up misses"
								      : "an operand that is not expanded";
	return classify_why_text(why);
}

/* ---- counts ---- */

const char *view_counts(struct tc *tc, uint32_t lin, const char *args, FILE *f)
{
	bool on = !strcmp(args, "on");

	if (*args && !on && strcmp(args, "off"))
		return "on or off";
	if (*args && on != counts_on(tc)) {
		tc_flush(tc);
		if (!counts_switch(tc, on))
			return "out of memory";
	}
	fprintf(f, "executions are %s\n", counts_on(tc) ? "counted" : "not counted");
	return NULL;
}

/* ---- totals ---- */

struct totals {
	unsigned live, dormant, user, lookup, selfcheck, crossing, calling;
	unsigned exits, chained;
	uint64_t guest_bytes, host_bytes;
};

static void add_ccf(const struct tc *tc, const struct ccf *c, struct totals *t)
{
	if (c->state == CCF_DORMANT)
		t->dormant++;
	if (c->state != CCF_LIVE)
		return;
	t->live++;
	t->user += !!(c->mode & MODE_USER);
	t->lookup += !!(c->mode & MODE_LOOKUP);
	t->selfcheck += !!(c->flags & CCF_SELFCHECK);
	t->crossing += !!(c->flags & CCF_CROSSING);
	t->calling += view_callouts(tc, c->host - c->entry, c->host_len) > 0;
	t->guest_bytes += c->guest_len;
	t->host_bytes += c->host_len;
	for (unsigned n = 0; n < CCF_EXITS; n++) {
		t->exits += exit_used(&c->exit[n]);
		t->chained += c->exit[n].to != 0;
	}
}

static double ratio(uint64_t a, uint64_t b)
{
	return b ? (double)a / (double)b : 0;
}

void tc_view_info(struct tc *tc, FILE *f)
{
	const struct tc_stats *s = tc_statistics(tc);
	struct totals t = {0};

	for (ccf_id id = 1; id < tc->ccf_top; id++)
		add_ccf(tc, ccf_of(tc, id), &t);
	fprintf(f, "size                %zu KiB in %d segments, filling number %u at %zu KiB\n", tc->size >> 10,
		TC_SEGMENTS, tc->segment, tc->fill >> 10);
	fprintf(f, "CCFs                %u live, %u dormant, %u records of %u\n", t.live, t.dormant,
		tc->ccf_top ? tc->ccf_top - 1 : 0, tc->ccf_max);
	fprintf(f, "  live ones         %u supervisor, %u user (%u by look-up)\n", t.live - t.user, t.user, t.lookup);
	fprintf(f, "                    %u with callouts, %u self-checking, %u across pages\n", t.calling,
		t.selfcheck, t.crossing);
	fprintf(f, "expansion           %.2f host bytes for each guest byte (%llu for %llu)\n",
		ratio(t.host_bytes, t.guest_bytes), (unsigned long long)t.host_bytes,
		(unsigned long long)t.guest_bytes);
	fprintf(f, "direct exits        %u, %u of them chained (%.1f%%)\n", t.exits, t.chained,
		100 * ratio(t.chained, t.exits));
	fprintf(f, "pages with code     %u\n", tc->pages);
	fprintf(f, "retranslation       %llu invalidated, %llu revived, %llu evicted of %llu translated\n",
		(unsigned long long)s->invalidations, (unsigned long long)s->revivals,
		(unsigned long long)s->evictions, (unsigned long long)s->translations);
	if (s->executed)
		fprintf(f, "indirect hits       %.4f%% misses of %llu instructions executed\n",
			100 * ratio(s->lookup_misses, s->executed), (unsigned long long)s->executed);
	fprintf(f, "execution counts    %s\n", counts_on(tc) ? "on" : "off");
	fputs("counters\n", f);
	tc_print_stats(tc, f);
}

void tc_view_gears(struct tc *tc, FILE *f)
{
	fputs("space  gear      callouts  faults  patience\n", f);
	for (unsigned i = 1; i < MMU_MAX_SPACES; i++) {
		const struct gear *g = &tc->gear[i];
		bool direct = tc->direct && tc->direct_gear[i].on; /* by stretches: info worlds */

		if (direct || g->window || g->callouts || g->faults || g->patience)
			fprintf(f, "%5u  %-8s  %8u  %6u  %8u\n", i,
				direct ? "direct" : g->window ? "window" : "look-up", g->callouts, g->faults,
				g->patience);
	}
}

/* ---- callouts ---- */

enum { CALLOUT_NAMES = 256 };

struct callout_count {
	char name[20];
	const char *why;
	unsigned count;
};

static void count_callout(struct callout_count *table, unsigned *n, const char *name, const char *why)
{
	unsigned i;

	for (i = 0; i < *n; i++)
		if (table[i].why == why && !strcmp(table[i].name, name))
			break;
	if (i == CALLOUT_NAMES)
		return;
	if (i == *n) {
		(*n)++;
		table[i] = (struct callout_count){.why = why};
		snprintf(table[i].name, sizeof(table[i].name), "%.19s", name);
	}
	table[i].count++;
}

static void count_ccf(struct tc *tc, const struct ccf *c, struct callout_count *table, unsigned *n)
{
	const struct ccf_insn *map = ccf_map(tc, c);
	uint8_t bytes[CCF_MAX_INSNS * 16];
	unsigned len = view_source(tc, c, bytes, sizeof(bytes)), at = 0;
	uint32_t off = c->host;

	for (unsigned i = 0; i < c->insns && at < len; off += map[i].host, at += map[i].guest, i++) {
		char text[128];
		struct tinsn t;

		if (!view_callouts(tc, off, map[i].host) || !decode(&t, bytes + at, len - at, c->lin + at))
			continue;
		view_disasm(c, bytes + at, len - at, c->lin + at, text, sizeof(text));
		text[strcspn(text, " ")] = 0;
		count_callout(table, n, text, view_callout_text(tc, c, c->lin + at, t.why));
	}
}

static int by_count(const void *a, const void *b)
{
	const struct callout_count *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

void tc_view_callouts(struct tc *tc, FILE *f)
{
	struct callout_count *table = calloc(CALLOUT_NAMES, sizeof(*table));
	unsigned n = 0;

	if (!table)
		return;
	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (ccf_of(tc, id)->state == CCF_LIVE)
			count_ccf(tc, ccf_of(tc, id), table, &n);
	qsort(table, n, sizeof(*table), by_count);
	fprintf(f, "%llu callouts made so far; instructions in live CCFs that make one:\n",
		(unsigned long long)tc_statistics(tc)->callouts);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%6u  %-12s  %s\n", table[i].count, table[i].name, table[i].why);
	free(table);
}
