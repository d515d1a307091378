/* `info worlds`: which address spaces run directly and why, what their worlds do, what it costs. */
#include "translator/direct_internal.h"

#include <stdio.h>
#include <string.h>

static const char *state_of(const struct tc *tc, const struct direct_gear *g, unsigned space)
{
	static const char *const dismissed[] = {
		[DEMOTED_NEVER] = "not yet a candidate",
		[DEMOTED_SHORT] = "dismissed: short stretches only",
		[DEMOTED_COST] = "dismissed: its world cost too much",
	};

	if (g->banned)
		return "never again: its worlds broke, or none could be made";
	if (direct_gear(tc, space))
		return "runs directly";
	return g->on ? "candidate; this stretch runs translated" : dismissed[g->demoted];
}

/* Spaces of which there is something to tell. */
static bool known(const struct direct_gear *g)
{
	return g->on || g->banned || g->demoted || g->ticks || g->deaths;
}

static void print_space(struct tc *tc, unsigned space, FILE *f)
{
	const struct direct_gear *g = &tc->direct_gear[space];
	const struct host_world *h = NULL;

	for (unsigned i = 0; i < tc->direct->worlds; i++)
		if (tc->direct->world[i]->space == space)
			h = tc->direct->world[i];
	if (!h && !known(g))
		return;
	fprintf(f, "%5u  ", space);
	if (h)
		fprintf(f, "%7d  %9llu  %5u", world_pid(h->w), (unsigned long long)h->entries, h->execs);
	else
		fprintf(f, "%7s  %9s  %5s", "-", "-", "-");
	fprintf(f, "  %8u  %5u  %6u  %s\n", g->patience, g->ticks, g->deaths, state_of(tc, g, space));
}

static void print_spaces(struct tc *tc, FILE *f)
{
	const struct world_cost *c = &tc->direct->cost;

	fprintf(f, "going in and out: %lld.%lld us of processor time (the world's part %lld.%lld), %llu cycles at best\n",
		(long long)c->cpu_ns / 1000, (long long)c->cpu_ns / 100 % 10, (long long)c->own_ns / 1000,
		(long long)c->own_ns / 100 % 10, (unsigned long long)c->cycles);
	if (tc->config.direct == TC_DIRECT_ON)
		fputs("all user code runs directly where it can\n", f);
	else
		fprintf(f, "a stretch of user code is long from %llu cycles on\n", (unsigned long long)direct_long(tc));
	fputs("space  process    entries   code  patience  ticks  deaths\n", f);
	for (unsigned i = 0; i < MMU_MAX_SPACES; i++)
		print_space(tc, i, f);
}

void tc_view_worlds(struct tc *tc, FILE *f)
{
	const struct tc_stats *s = tc_statistics(tc);
	static const char *const prefixes[] = {"world", "pages_", "direct_", "stretches_"};

	if (tc->direct)
		print_spaces(tc, f);
	else
		fputs("user code never runs directly here: see -accel dbt,direct=\n", f);
#define X(name, text)                                                                              \
	for (unsigned i = 0; i < ARRAY_LEN(prefixes); i++)                                         \
		if (!strncmp(#name, prefixes[i], strlen(prefixes[i])))                             \
			fprintf(f, "%14llu  %s\n", (unsigned long long)s->name, text);
	TC_STATS(X)
#undef X
}
