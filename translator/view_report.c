/* Taking what the report shows; see report.h. */
#include "translator/report.h"
#include "translator/counts.h"
#include "translator/trace.h"
#include "translator/view.h"

#include <stdlib.h>
#include <string.h>

enum { EVENTS_MAX = 300 }; /* of each kind */

struct taker {
	struct tc *tc;
	struct tc_report *r;
	FILE *text;
	unsigned line_room;
};

/* Where the text stands that is written by the caller next. */
static uint32_t here(struct taker *t)
{
	long at = ftell(t->text);

	return at > 0 ? (uint32_t)at : 0;
}

static void end_text(struct taker *t)
{
	fputc(0, t->text);
}

static uint32_t put_text(struct taker *t, const char *text)
{
	uint32_t at = here(t);

	if (!*text)
		return 0; /* the text begins with an empty one */
	fputs(text, t->text);
	end_text(t);
	return at;
}

/* ---- CCFs ---- */

static struct report_ccf take_ccf(const struct tc *tc, ccf_id id)
{
	const struct ccf *c = &tc->ccf[id];
	struct report_ccf out = {
		.gpa = c->gpa,
		.executions = counts_of(tc, id),
		.id = id,
		.lin = c->lin,
		.mode = c->mode,
		.samples = tc->history->sample[id],
		.guest_len = c->guest_len,
		.host_len = c->host_len,
		.insns = c->insns,
		.dormant = c->state != CCF_LIVE,
		.selfcheck = c->flags & CCF_SELFCHECK,
		.crossing = c->flags & CCF_CROSSING,
	};

	for (unsigned n = 0; n < CCF_EXITS; n++) {
		if (!exit_used(&c->exit[n]))
			continue;
		out.to[out.exits] = c->exit[n].to;
		out.target[out.exits++] = exit_target(c, n);
	}
	return out;
}

static bool take_ccfs(struct taker *t)
{
	struct tc *tc = t->tc;
	struct tc_report *r = t->r;

	r->ccf = malloc((tc->ccf_top + 1) * sizeof(*r->ccf));
	if (!r->ccf)
		return false;
	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (ccf_of(tc, id)->state != CCF_FREE)
			r->ccf[r->ccfs++] = take_ccf(tc, id);
	return true;
}

static void take_mode(struct taker *t, uint32_t mode)
{
	struct tc_report *r = t->r;

	for (unsigned i = 0; i < r->modes; i++)
		if (r->mode[i].mode == mode)
			return;
	if (r->modes == ARRAY_LEN(r->mode))
		return;
	r->mode[r->modes].mode = mode;
	r->mode[r->modes++].text = here(t);
	view_print_mode(t->text, mode);
	end_text(t);
}

static void take_modes(struct taker *t)
{
	uint32_t last = 0;

	for (unsigned i = 0; i < t->r->ccfs; i++) {
		if (t->r->ccf[i].mode != last)
			take_mode(t, t->r->ccf[i].mode);
		last = t->r->ccf[i].mode;
	}
}

/* ---- the hottest ---- */

/* Is `a` hotter? The larger one when both are equally hot, so that there is an order. */
static bool hotter(const struct report_ccf *a, const struct report_ccf *b)
{
	if (a->executions != b->executions)
		return a->executions > b->executions;
	if (a->samples != b->samples)
		return a->samples > b->samples;
	if (a->insns != b->insns)
		return a->insns > b->insns;
	return a->id < b->id;
}

/* A heap with the least hot one on top: it goes when a hotter one comes. */
static void sift_down(const struct tc_report *r, uint32_t *heap, unsigned n)
{
	for (unsigned i = 0, child; (child = 2 * i + 1) < n; i = child) {
		uint32_t swap = heap[i];

		if (child + 1 < n && hotter(&r->ccf[heap[child]], &r->ccf[heap[child + 1]]))
			child++;
		if (!hotter(&r->ccf[heap[i]], &r->ccf[heap[child]]))
			return;
		heap[i] = heap[child];
		heap[child] = swap;
	}
}

static void sift_up(const struct tc_report *r, uint32_t *heap, unsigned i)
{
	for (unsigned parent; i; i = parent) {
		uint32_t swap = heap[i];

		parent = (i - 1) / 2;
		if (!hotter(&r->ccf[heap[parent]], &r->ccf[heap[i]]))
			return;
		heap[i] = heap[parent];
		heap[parent] = swap;
	}
}

/* Indices of the hottest, ascending by heat; returns how many. */
static unsigned find_hottest(const struct tc_report *r, uint32_t *heap, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->ccfs; i++) {
		if (n < max) {
			heap[n] = i;
			sift_up(r, heap, n++);
		} else if (max && hotter(&r->ccf[i], &r->ccf[heap[0]])) {
			heap[0] = i;
			sift_down(r, heap, n);
		}
	}
	return n;
}

static void take_line(void *ctx, const struct view_line *l)
{
	struct taker *t = ctx;
	struct tc_report *r = t->r;

	if (r->lines == t->line_room) {
		unsigned room = t->line_room ? 2 * t->line_room : 4096;
		void *more = realloc(r->line, room * sizeof(*r->line));

		if (!more) {
			r->lost = true;
			return;
		}
		r->line = more;
		t->line_room = room;
	}
	r->line[r->lines++] = (struct report_line){put_text(t, l->guest), put_text(t, l->host), put_text(t, l->why), l->off};
}

static void take_code(struct taker *t, uint32_t index)
{
	struct tc_report *r = t->r;
	struct report_code *code = &r->code[r->codes++];
	const struct ccf *c = ccf_of(t->tc, r->ccf[index].id);

	*code = (struct report_code){.ccf = index, .first = r->lines, .changed = view_changed(t->tc, c)};
	view_code(t->tc, c, take_line, t);
	code->lines = r->lines - code->first;
}

static bool take_hottest(struct taker *t, unsigned max)
{
	struct tc_report *r = t->r;
	uint32_t *heap = malloc((max + 1) * sizeof(*heap));
	unsigned n;

	r->code = calloc(max + 1, sizeof(*r->code));
	if (!heap || !r->code) {
		free(heap);
		return false;
	}
	n = find_hottest(r, heap, max);
	/* from the top of the heap, the least hot first; then turned round */
	for (unsigned left = n; left; left--) {
		uint32_t least = heap[0];

		heap[0] = heap[left - 1];
		sift_down(r, heap, left - 1);
		heap[left - 1] = least;
	}
	for (unsigned i = 0; i < n; i++)
		take_code(t, heap[i]);
	free(heap);
	return true;
}

/* ---- what happened ---- */

/* Up to now: when nothing has happened for long, in longer pieces than the history has. */
static bool take_timeline(struct taker *t)
{
	const struct history *h = t->tc->history;
	struct tc_report *r = t->r;
	double tick = history_tick_ns(h) / 1e9;
	uint64_t ticks = __builtin_ia32_rdtsc() - h->start;
	unsigned shift = h->time.shift;

	while (ticks >> shift >= TIMELINE_SLOTS)
		shift++;
	r->slots = (unsigned)(ticks >> shift) + 1;
	r->slot_seconds = (double)(1ull << shift) * tick;
	r->seconds = (double)ticks * tick;
	r->timeline = calloc(HISTORY_KINDS, sizeof(*r->timeline));
	r->slot_counts = calloc((size_t)HISTORY_KINDS * r->slots, sizeof(uint32_t));
	if (!r->timeline || !r->slot_counts)
		return false;
	for (unsigned k = 0; k < HISTORY_KINDS; k++) {
		uint32_t *slots = r->slot_counts + (size_t)k * r->slots;

		for (unsigned i = 0; i < TIMELINE_SLOTS && i >> (shift - h->time.shift) < r->slots; i++)
			slots[i >> (shift - h->time.shift)] += h->time.n[i][k];
		r->timeline[k] = (struct report_timeline){trace_word(k), trace_text(k), slots};
	}
	r->kinds = HISTORY_KINDS;
	return true;
}

static void take_event(struct taker *t, const struct history_event *e, double tick)
{
	const struct history *h = t->tc->history;
	struct tc_report *r = t->r;

	r->event[r->events++] = (struct report_event){(double)(e->tsc - h->start) * tick, e->kind, e->lin, here(t)};
	trace_describe(e, t->text);
	end_text(t);
}

/* The last EVENTS_MAX of each kind that the ring still has: translations would hide what is rare. */
static bool take_events(struct taker *t)
{
	const struct history *h = t->tc->history;
	unsigned seen[HISTORY_KINDS] = {0}, all = 0, kept = 0;
	uint64_t oldest = history_oldest(h), first[HISTORY_KINDS];

	for (unsigned k = 0; k < HISTORY_KINDS; k++)
		first[k] = h->count;
	for (uint64_t i = h->count; i-- > oldest;) {
		unsigned kind = h->event[i % HISTORY_SIZE].kind;

		if (seen[kind] < EVENTS_MAX) {
			seen[kind]++;
			all++;
			first[kind] = i;
		}
	}
	t->r->event = calloc(all + 1, sizeof(*t->r->event));
	if (!t->r->event)
		return false;
	for (uint64_t i = oldest; i < h->count && kept < all; i++) {
		const struct history_event *e = &h->event[i % HISTORY_SIZE];

		if (i < first[e->kind])
			continue;
		take_event(t, e, history_tick_ns(h) / 1e9);
		kept++;
	}
	return true;
}

/* ---- all of it ---- */

struct tc_report *tc_report_take(struct tc *tc, unsigned hottest)
{
	struct tc_report *r = calloc(1, sizeof(*r));
	struct taker t = {.tc = tc, .r = r};
	size_t size = 0;
	bool ok;

	if (!r)
		return NULL;
	t.text = open_memstream(&r->text, &size);
	if (!t.text) {
		free(r);
		return NULL;
	}
	end_text(&t);
	r->counted = counts_on(tc);
	r->size = tc->size;
	r->fill = tc->fill;
	r->stats = *tc_statistics(tc);
	ok = take_timeline(&t) && take_ccfs(&t) && take_hottest(&t, hottest) && take_events(&t);
	take_modes(&t);
	ok = !fclose(t.text) && ok && !r->lost;
	if (ok)
		return r;
	tc_report_free(r);
	return NULL;
}

void tc_report_free(struct tc_report *r)
{
	if (!r)
		return;
	free(r->ccf);
	free(r->code);
	free(r->line);
	free(r->event);
	free(r->timeline);
	free(r->slot_counts);
	free(r->text);
	free(r);
}
