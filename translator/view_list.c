/* Views of many CCFs: `tc list`, `tc graph`, `tc verify`. */
#include "translator/counts.h"
#include "translator/view.h"

#include <stdlib.h>
#include <string.h>

/* ---- tc list ---- */

enum filter { FILTER_NONE, FILTER_LIVE, FILTER_DORMANT, FILTER_USER, FILTER_SUPERVISOR, FILTER_CALLOUTS };
enum order { ORDER_ID, ORDER_EXECUTIONS, ORDER_SAMPLES, ORDER_SIZE, ORDER_AGE, ORDER_EXPANSION, ORDER_CALLOUTS };

struct list {
	enum filter filter;
	enum order order;
	unsigned limit;
};

struct row {
	ccf_id id;
	uint64_t key;
};

static bool find_word(const char *const *words, unsigned n, const char *text, size_t len, unsigned *found)
{
	for (unsigned i = 0; i < n; i++)
		if (words[i] && strlen(words[i]) == len && !memcmp(words[i], text, len)) {
			*found = i;
			return true;
		}
	return false;
}

static const char *parse_list(struct list *l, const char *p)
{
	static const char *const filters[] = {NULL, "live", "dormant", "user", "supervisor", "callouts"};
	static const char *const orders[] = {NULL, "executions", "samples", "size", "age", "expansion", "callouts"};
	unsigned found;

	for (; *p; p += strcspn(p, " \t"), p += strspn(p, " \t")) {
		size_t len = strcspn(p, " \t");

		if (!strncmp(p, "sort=", 5)) {
			if (!find_word(orders, ARRAY_LEN(orders), p + 5, len - 5, &found))
				return "sort is executions, samples, size, age, expansion or callouts";
			l->order = (enum order)found;
		} else if (!strncmp(p, "filter=", 7)) {
			if (!find_word(filters, ARRAY_LEN(filters), p + 7, len - 7, &found))
				return "filter is live, dormant, user, supervisor or callouts";
			l->filter = (enum filter)found;
		} else {
			char *end;

			p += strncmp(p, "limit=", 6) ? 0 : 6;
			l->limit = (unsigned)strtoul(p, &end, 0);
			if (end == p || (*end && *end != ' ' && *end != '\t'))
				return "sort=, filter=, limit= or a number expected";
		}
	}
	return NULL;
}

static bool passes(const struct tc *tc, const struct ccf *c, enum filter filter)
{
	switch (filter) {
	case FILTER_LIVE:
		return c->state == CCF_LIVE;
	case FILTER_DORMANT:
		return c->state == CCF_DORMANT;
	case FILTER_USER:
		return c->mode & MODE_USER;
	case FILTER_SUPERVISOR:
		return !(c->mode & MODE_USER);
	case FILTER_CALLOUTS:
		return view_callouts(tc, c->host - c->entry, c->host_len);
	case FILTER_NONE:
		break;
	}
	return true;
}

/* Bytes of the cache filled since this one was written: its segment is reused in that order. */
static uint64_t age(const struct tc *tc, const struct ccf *c)
{
	return (tc->fill + tc->size - (c->host - c->entry)) % tc->size;
}

static uint64_t sort_key(const struct tc *tc, ccf_id id, enum order order)
{
	const struct ccf *c = &tc->ccf[id];

	switch (order) {
	case ORDER_EXECUTIONS:
		return counts_of(tc, id);
	case ORDER_SAMPLES:
		return tc->history->sample[id];
	case ORDER_SIZE:
		return c->host_len;
	case ORDER_AGE:
		return age(tc, c);
	case ORDER_EXPANSION:
		return c->guest_len ? (uint64_t)c->host_len * 1000 / c->guest_len : 0;
	case ORDER_CALLOUTS:
		return view_callouts(tc, c->host - c->entry, c->host_len);
	case ORDER_ID:
		break;
	}
	return UINT32_MAX - id;
}

static int by_key(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->key != y->key ? (x->key < y->key) - (x->key > y->key) : (x->id > y->id) - (x->id < y->id);
}

static void print_row(const struct tc *tc, ccf_id id, FILE *f)
{
	const struct ccf *c = &tc->ccf[id];
	unsigned chained = 0;

	for (unsigned n = 0; n < CCF_EXITS; n++)
		chained += c->exit[n].to != 0;

	fprintf(f, "%7u  %08x  %09llx  %5u  %5u  %5u  %6u  %5u%%  %-7s  ", id, c->lin,
		(unsigned long long)c->gpa, c->insns, c->guest_len, c->host_len, chained,
		tc->size ? (unsigned)(age(tc, c) * 100 / tc->size) : 0, view_state(c));
	fprintf(f, "%7u  ", tc->history->sample[id]);
	if (counts_on(tc))
		fprintf(f, "%12llu  ", (unsigned long long)counts_of(tc, id));
	view_print_mode(f, c->mode);
	if (view_callouts(tc, c->host - c->entry, c->host_len))
		fprintf(f, " callouts=%u", view_callouts(tc, c->host - c->entry, c->host_len));
	fprintf(f, "%s%s\n", c->flags & CCF_SELFCHECK ? " self-check" : "",
		c->flags & CCF_CROSSING ? " crossing" : "");
}

const char *view_list(struct tc *tc, uint32_t lin, const char *args, FILE *f)
{
	struct list l = {.limit = 50};
	const char *error = parse_list(&l, args);
	struct row *rows;
	unsigned n = 0;

	if (error)
		return error;
	if (l.order == ORDER_EXECUTIONS && !counts_on(tc))
		return "executions are not counted: switch that on by \"tc counts on\"";
	rows = calloc(tc->ccf_top + 1, sizeof(*rows));
	if (!rows)
		return "out of memory";
	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (ccf_of(tc, id)->state != CCF_FREE && passes(tc, ccf_of(tc, id), l.filter))
			rows[n++] = (struct row){id, sort_key(tc, id, l.order)};
	qsort(rows, n, sizeof(*rows), by_key);
	fputs("    CCF  linear    physical   insns  guest   host  chains    age  state    samples  ", f);
	fputs(counts_on(tc) ? "  executions  mode\n" : "mode\n", f);
	for (unsigned i = 0; i < n && i < l.limit; i++)
		print_row(tc, rows[i].id, f);
	fprintf(f, "%u of %u\n", n < l.limit ? n : l.limit, n);
	free(rows);
	return NULL;
}

/* ---- tc graph ---- */

enum { GRAPH_NODES = 200 };

struct graph {
	ccf_id node[GRAPH_NODES];
	unsigned n;
};

static void graph_add(struct graph *g, ccf_id id)
{
	for (unsigned i = 0; i < g->n; i++)
		if (g->node[i] == id)
			return;
	if (g->n < GRAPH_NODES)
		g->node[g->n++] = id;
}

static void print_node(struct tc *tc, ccf_id id, uint32_t lin, FILE *f)
{
	const struct ccf *c = ccf_of(tc, id);

	fprintf(f, "  c%u [label=\"%08x\\n%u insns, %u bytes\"%s%s];\n", id, c->lin, c->insns, c->host_len,
		c->mode & MODE_USER ? ", shape=ellipse" : "", view_covers(c, lin) ? ", style=bold" : "");
	for (unsigned n = 0; n < CCF_EXITS; n++) {
		if (c->exit[n].to)
			fprintf(f, "  c%u -> c%u [label=\"%u\"];\n", id, c->exit[n].to, n);
		else if (exit_used(&c->exit[n]))
			fprintf(f, "  x%u_%u [label=\"%08x\", shape=plaintext]; c%u -> x%u_%u [style=dashed];\n", id,
				n, exit_target(c, n), id, id, n);
	}
}

/* Breadth first along chains, both ways. */
const char *view_graph(struct tc *tc, uint32_t lin, const char *args, FILE *f)
{
	struct graph g = {.n = 0};

	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (ccf_of(tc, id)->state == CCF_LIVE && view_covers(ccf_of(tc, id), lin))
			graph_add(&g, id);
	if (!g.n)
		return "no live translation covers this address";
	for (unsigned i = 0; i < g.n; i++) {
		const struct ccf *c = ccf_of(tc, g.node[i]);

		for (unsigned n = 0; n < CCF_EXITS; n++)
			if (c->exit[n].to)
				graph_add(&g, c->exit[n].to);
		for (uint32_t x = c->incoming; x; x = ccf_of(tc, exit_ccf(x))->exit[exit_index(x)].next)
			graph_add(&g, exit_ccf(x));
	}
	fputs("digraph chains {\n  node [shape=box, fontname=monospace];\n", f);
	for (unsigned i = 0; i < g.n; i++)
		print_node(tc, g.node[i], lin, f);
	fputs("}\n", f);
	return NULL;
}

/* ---- tc verify ---- */

/* As it was emitted: chained exits back at their stubs, which is all that chaining changes. */
static bool verify_ccf(struct tc *tc, const struct ccf *c, char *err, size_t errlen)
{
	static uint8_t code[CCF_MAX_BYTES];
	const struct verify_rights rights = {
		.counter = c->counting ? (ccf_id)(c - tc->ccf) : 0,
		.source = c->flags & CCF_VARIES ? physmap_host(tc->pm, gpa(c->gpa), c->guest_len) : NULL,
		.source_len = c->guest_len,
		.unit = (ccf_id)(c - tc->ccf),
	};

	if (c->host_len > sizeof(code))
		return false;
	memcpy(code, tc->rx + c->host - c->entry, c->host_len);
	for (unsigned n = 0; n < CCF_EXITS; n++) {
		const struct ccf_exit *x = &c->exit[n];
		int32_t rel = (int32_t)x->stub - (int32_t)(x->patch + 4);

		if (x->patch && x->to)
			memcpy(code + x->patch, &rel, sizeof(rel));
	}
	return verify_with(code, c->host_len, c->mode, &rights, err, errlen);
}

/* Do chained exits lead where the records say? */
static bool chains_right(struct tc *tc, const struct ccf *c)
{
	for (unsigned n = 0; n < CCF_EXITS; n++) {
		const struct ccf_exit *x = &c->exit[n];
		uint32_t at = c->host - c->entry + x->patch;
		int32_t rel;

		if (!x->to)
			continue;
		memcpy(&rel, tc->rx + at, sizeof(rel));
		if (at + 4 + (uint32_t)rel != ccf_of(tc, x->to)->host ||
		    ccf_of(tc, x->to)->state != CCF_LIVE || ccf_of(tc, x->to)->lin != exit_target(c, n))
			return false;
	}
	return true;
}

const char *view_verify(struct tc *tc, uint32_t lin, const char *args, FILE *f)
{
	unsigned seen = 0, bad = 0;
	char err[512];

	if (*args)
		return "nothing more expected";
	for (ccf_id id = 1; id < tc->ccf_top; id++) {
		const struct ccf *c = ccf_of(tc, id);

		if (c->state == CCF_FREE)
			continue;
		seen++;
		snprintf(err, sizeof(err), "a chain leads to the wrong place");
		if (verify_ccf(tc, c, err, sizeof(err)) && chains_right(tc, c))
			continue;
		bad++;
		fprintf(f, "CCF %u at %08x: %s\n", id, c->lin, err);
	}
	fprintf(f, "%u CCFs verified, %u bad\n", seen, bad);
	return NULL;
}
