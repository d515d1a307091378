/*
 * Events as text, filters, and live readers.
 *
 * A reader (struct tc_trace) follows the ring at its own pace. The guest never waits for it: when it is a whole ring
 * behind, it is told how many events it has missed.
 */
#include "translator/trace.h"
#include "translator/lean.h"
#include "translator/view.h"

#include "world/world.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *word, *text;
	bool always;
} kinds[HISTORY_KINDS] = {
#define X(id, word, always, text) {word, text, always},
	HISTORY_EVENTS(X)
#undef X
};

const char *trace_word(enum history_kind kind)
{
	return kinds[kind].word;
}

const char *trace_text(enum history_kind kind)
{
	return kinds[kind].text;
}

uint32_t trace_always(void)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < HISTORY_KINDS; i++)
		mask |= kinds[i].always ? 1u << i : 0;
	return mask;
}

uint64_t trace_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- text ---- */

double history_tick_ns(const struct history *h)
{
	double ticks = (double)(__builtin_ia32_rdtsc() - h->start), ns = (double)(trace_now_ns() - h->start_ns);

	return ticks > 0 ? ns / ticks : 0;
}

/* Seconds since the cache was made. */
static double seconds(const struct history *h, uint64_t tsc)
{
	return (double)(tsc - h->start) * history_tick_ns(h) / 1e9;
}

static void print_callout(const struct history_event *e, FILE *f)
{
	static const char *const lean[LEAN_OPS] = {
#define X(id, text) text,
		LEAN_OPERATIONS(X)
#undef X
	};
	uint32_t op = (uint32_t)(e->arg >> 32);

	if (op && op <= LEAN_OPS)
		fprintf(f, "lean path: %s", lean[op - 1]);
	else
		fprintf(f, "interpreted, next %08x", (uint32_t)e->arg);
}

static void print_fault(const struct history_event *e, FILE *f)
{
	static const char *const name[32] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL,  "#TS", "#NP", "#SS",
		"#GP", "#PF", NULL,  "#MF", "#AC", "#MC", "#XM",
	};
	unsigned vector = e->arg & 0xff;

	if (vector < 32 && name[vector])
		fprintf(f, "%s, error %x", name[vector], (uint32_t)(e->arg >> 32));
	else
		fprintf(f, "vector %02x", vector);
}

static void print_leave(const struct history_event *e, FILE *f)
{
	static const char *const stop[] = {
		[WORLD_STOP_KICK] = "kicked", [WORLD_STOP_SIGNAL] = "trap", [WORLD_STOP_MAP] = "mappings refused",
		[WORLD_STOP_DEAD] = "its process is gone",
		[WORLD_STOP_UNRUN] = "its process was gone already",
	};
	unsigned why = e->arg & 0xff, signal = e->arg >> 8 & 0xff, trap = e->arg >> 16 & 0xff;

	if (why != WORLD_STOP_SIGNAL)
		fputs(why < ARRAY_LEN(stop) && stop[why] ? stop[why] : "?", f);
	else if (trap == EXC_PF)
		fprintf(f, "page fault at %08x", (uint32_t)(e->arg >> 32));
	else
		fprintf(f, "trap %u (signal %u)", trap, signal);
}

static void print_map(const struct history_event *e, FILE *f)
{
	unsigned rights = e->arg >> 32;

	fprintf(f, "%u pages %s%s%s", (uint32_t)e->arg, rights & WORLD_READ ? "r" : "-",
		rights & WORLD_WRITE ? "w" : "-", rights & WORLD_EXEC ? "x" : "-");
}

static void print_translate(const struct history_event *e, FILE *f)
{
	fprintf(f, "%llu instructions, for ", (unsigned long long)e->arg);
	view_print_mode(f, e->mode);
	fprintf(f, " (mode %x)", e->mode);
}

static void print_drop(const struct history_event *e, FILE *f)
{
	if (e->arg == ~0ull)
		fputs("its form or its source was wrong", f);
	else
		fprintf(f, "by a write to gpa %llx", (unsigned long long)e->arg);
}

const char *trace_gear_text(uint64_t gear)
{
	static const char *const how[] = {"reaches memory by look-up", "reaches memory through its window",
					  "runs directly"};

	return gear < ARRAY_LEN(how) ? how[gear] : "?";
}

const char *trace_cause_text(uint64_t cause)
{
	static const char *const text[] = {
		[CAUSE_DEVICE] = "met device memory",
		[CAUSE_USER_PAGE] = "met a user page",
		[CAUSE_PAGE_FAULTS] = "raised page fault after page fault",
		[CAUSE_ARITHMETIC] = "raised one arithmetic exception after the other",
		[CAUSE_EMULATED] = "kept writing to pages with code, or to pages that are mapped for one access",
	};

	return cause < ARRAY_LEN(text) ? text[cause] : "?";
}

void trace_describe(const struct history_event *e, FILE *f)
{
	switch ((enum history_kind)e->kind) {
	case HISTORY_TRANSLATE: print_translate(e, f); break;
	case HISTORY_DROP: print_drop(e, f); break;
	case HISTORY_GEAR: fprintf(f, "space %u: user code %s", e->lin, trace_gear_text(e->arg)); break;
	case HISTORY_CALLOUT: print_callout(e, f); break;
	case HISTORY_FAULT: print_fault(e, f); break;
	case HISTORY_WORLD_LEAVE: print_leave(e, f); break;
	case HISTORY_WORLD_MAP: print_map(e, f); break;
	case HISTORY_REVIVE: fprintf(f, "gpa %llx", (unsigned long long)e->arg); break;
	case HISTORY_EVICT: fputs("its place in the cache was needed", f); break;
	case HISTORY_MOVE:
	case HISTORY_CHAIN:
	case HISTORY_EXIT: fprintf(f, "from %08x", (uint32_t)e->arg); break;
	case HISTORY_MISS: fputs("not in the table of branches", f); break;
	case HISTORY_REFILL: fprintf(f, "look-up filled at %08x", (uint32_t)e->arg); break;
	case HISTORY_HIDDEN: fprintf(f, "window filled at %08x", (uint32_t)e->arg); break;
	case HISTORY_INTERRUPT: fprintf(f, "vector %02x", (uint32_t)e->arg); break;
	case HISTORY_WORLD_ENTER:
	case HISTORY_WORLD_LOST: fprintf(f, "space %u", (uint32_t)e->arg); break;
	case HISTORY_FORM:
		fprintf(f, "%s: by %s from now on", trace_cause_text(e->arg >> 4),
			(e->arg & 0xf) == FORM_LOOKUP ? "look-up" : "callout");
		break;
	case HISTORY_KINDS:
		break;
	}
}

void trace_print(const struct history *h, const struct history_event *e, FILE *f)
{
	if (e->kind >= HISTORY_KINDS)
		return;
	fprintf(f, "%12.6f  %-11s  %08x  ", seconds(h, e->tsc), kinds[e->kind].word, e->lin);
	trace_describe(e, f);
	fputc('\n', f);
}

/* ---- filters ---- */

static bool is_key(const char *word, size_t len, const char *key, const char **value)
{
	size_t n = strlen(key);

	*value = word + n;
	return len > n && !memcmp(word, key, n);
}

static bool parse_kinds(const char *text, size_t len, uint32_t *mask)
{
	while (len) {
		const char *comma = memchr(text, ',', len);
		size_t n = comma ? (size_t)(comma - text) : len;
		unsigned i;

		for (i = 0; i < HISTORY_KINDS; i++)
			if (strlen(kinds[i].word) == n && !memcmp(kinds[i].word, text, n))
				break;
		if (i == HISTORY_KINDS)
			return false;
		*mask |= 1u << i;
		if (!comma)
			return true;
		text += n + 1;
		len -= n + 1;
	}
	return false; /* nothing, or nothing behind a comma */
}

static bool parse_count(const char *text, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*value = strtoull(text, &end, 0);
	return !*end;
}

static const char *parse_word(const char *word, size_t len, struct trace_filter *t)
{
	const char *value;
	char text[80];

	if (is_key(word, len, "addr=", &value)) {
		snprintf(text, sizeof(text), "%.*s", (int)(len - 5), value);
		t->everywhere = false;
		return log_parse_range(text, &t->range) ? NULL : "addr= wants FIRST..LAST, START+LEN or an address";
	}
	if (is_key(word, len, "mode=", &value)) {
		t->mode = len == 9 && !memcmp(value, "user", 4) ? TRACE_USER : TRACE_KERNEL;
		return t->mode == TRACE_USER || (len == 11 && !memcmp(value, "kernel", 6)) ? NULL :
			       "mode= wants user or kernel";
	}
	if (is_key(word, len, "limit=", &value) || (*word >= '0' && *word <= '9')) {
		if (*word >= '0' && *word <= '9')
			value = word;
		snprintf(text, sizeof(text), "%.*s", (int)(word + len - value), value);
		return parse_count(text, &t->limit) && t->limit ? NULL : "a number of events expected";
	}
	if (parse_kinds(word, len, &t->kinds))
		return NULL;
	return "events: translate, revive, move, invalidate, evict, form, gear, chain, exit, miss, callout, hidden, refill, fault, "
	       "interrupt, world-enter, world-leave, world-map, world-lost; filters: addr=, mode=, limit=, or how many";
}

const char *trace_parse(const char *text, struct trace_filter *t)
{
	const char *wrong = NULL;

	*t = (struct trace_filter){.everywhere = true};
	while (!wrong && *(text += strspn(text, " \t"))) {
		size_t len = strcspn(text, " \t");

		wrong = parse_word(text, len, t);
		text += len;
	}
	if (!t->kinds)
		t->kinds = (1u << HISTORY_KINDS) - 1;
	return wrong;
}

bool trace_wants(const struct trace_filter *t, const struct history_event *e)
{
	if (!(t->kinds >> (e->kind % HISTORY_KINDS) & 1))
		return false;
	/* the gear of a whole address space belongs to no address */
	if (!t->everywhere && (e->kind == HISTORY_GEAR || e->lin < t->range.first || e->lin > t->range.last))
		return false;
	return t->mode == TRACE_ANY || (t->mode == TRACE_USER) == !!(e->mode & MODE_USER);
}

/* ---- live ---- */

struct tc_trace {
	struct history *h;
	struct trace_filter filter;
	uint64_t next;        /* the first event not looked at */
	uint64_t shown, lost;
	uint64_t lost_told;
	_Atomic bool stopped;
	struct tc_trace *link;
};

void trace_update_mask(struct history *h)
{
	uint32_t mask = h->on | trace_always();

	for (const struct tc_trace *t = h->readers; t; t = t->link)
		mask |= t->filter.kinds;
	h->keep = mask;
	h->mask = mask | TIMELINE_KINDS;
}

struct tc_trace *tc_trace_open(struct tc *tc, const char *args, const char **wrong)
{
	struct trace_filter filter;
	struct tc_trace *t;

	*wrong = trace_parse(args, &filter);
	if (*wrong)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t) {
		*wrong = "out of memory";
		return NULL;
	}
	t->h = tc->history;
	t->filter = filter;
	t->next = t->h->count;
	t->link = t->h->readers;
	t->h->readers = t;
	trace_update_mask(t->h);
	return t;
}

void tc_trace_close(struct tc_trace *t)
{
	struct tc_trace **p = &t->h->readers;

	while (*p != t)
		p = &(*p)->link;
	*p = t->link;
	trace_update_mask(t->h);
	free(t);
}

unsigned tc_trace_stop(struct tc *tc)
{
	unsigned n = 0;

	for (struct tc_trace *t = tc->history->readers; t; t = t->link, n++)
		atomic_store(&t->stopped, true);
	return n;
}

static void print_lost(struct tc_trace *t, FILE *f)
{
	if (t->lost != t->lost_told)
		fprintf(f, "             (%llu events lost: they came faster than they were taken)\n",
			(unsigned long long)(t->lost - t->lost_told));
	t->lost_told = t->lost;
}

/* What the ring has run over meanwhile. */
static void count_lost(struct tc_trace *t)
{
	uint64_t oldest = history_oldest(t->h);

	if (t->next >= oldest)
		return;
	t->lost += oldest - t->next;
	t->next = oldest;
}

unsigned tc_trace_read(struct tc_trace *t, FILE *f, unsigned max)
{
	uint64_t end = __atomic_load_n(&t->h->count, __ATOMIC_ACQUIRE);
	struct history_event e;
	unsigned n = 0;

	while (n < max && t->next < end && !tc_trace_ended(t)) {
		count_lost(t);
		if (!history_copy(t->h, t->next, &e))
			continue; /* overtaken meanwhile: count it above */
		t->next++;
		if (!trace_wants(&t->filter, &e))
			continue;
		print_lost(t, f);
		trace_print(t->h, &e, f);
		t->shown++;
		n++;
	}
	return n;
}

bool tc_trace_ended(const struct tc_trace *t)
{
	return atomic_load(&t->stopped) || (t->filter.limit && t->shown >= t->filter.limit);
}

void tc_trace_print_end(struct tc_trace *t, FILE *f)
{
	count_lost(t);
	print_lost(t, f);
	fprintf(f, "%llu events shown, %llu lost\n", (unsigned long long)t->shown, (unsigned long long)t->lost);
}
