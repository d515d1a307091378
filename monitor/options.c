/*
 * Command-line parsing: the walk over argv, help, and the nearest name for a misspelt option.
 * What each option does is in options_set.c and options_machine.c; the table is in
 * options_internal.h.
 */
#include "monitor/log.h"
#include "monitor/options_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct option {
	const char *name, *arg, *text;
	option_fn *set;
} table[] = {
#define X(name, arg, handler, text) {name, arg, text, option_set_##handler},
	OPTION_TABLE(X)
#undef X
};

enum options_result option_error(struct option_context *c, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(c->err, c->errlen, format, ap);
	va_end(ap);
	/* One line, whatever the user's words contained. */
	for (char *p = c->err; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	}
	return OPTIONS_FAIL;
}

enum options_result option_set_help(struct option_context *c, const char *arg)
{
	fputs("Usage: ringfence [OPTION...]\n"
	      "Runs an x86 guest without hardware virtualization. Options have QEMU's names and "
	      "meanings:\n\n",
	      c->out);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char left[80];
		snprintf(left, sizeof(left), "-%s%s%s", table[i].name, table[i].arg ? " " : "",
			 table[i].arg ? table[i].arg : "");
		if (strlen(left) > 26)
			fprintf(c->out, "  %s\n  %-26s %s\n", left, "", table[i].text);
		else
			fprintf(c->out, "  %-26s %s\n", left, table[i].text);
	}
	fputs("\nWithout -kernel the built-in demonstration guest is booted.\n"
	      "On the terminal: Ctrl-A H for help, Ctrl-A X to quit.\n",
	      c->out);
	return OPTIONS_DONE;
}

/* Edit distance with rows of bounded length; option names are short. */
static unsigned distance(const char *a, const char *b)
{
	enum { MAX = 32 };
	size_t la = strlen(a), lb = strlen(b);
	if (la >= MAX || lb >= MAX)
		return MAX;
	unsigned row[MAX + 1];
	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

static enum options_result unknown_option(struct option_context *c)
{
	const char *nearest = NULL;
	unsigned best = 3;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		unsigned d = distance(c->name, table[i].name);
		/* half of a short name changed makes another word */
		if (d < best && 2 * d < strlen(table[i].name)) {
			best = d;
			nearest = table[i].name;
		}
	}
	if (nearest)
		return option_error(c,
				    "unknown option '-%s': did you mean '-%s'? (-help lists all)",
				    c->name, nearest);
	return option_error(c, "unknown option '-%s': -help lists all", c->name);
}

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (!strcmp(name, table[i].name))
			return &table[i];
	}
	return NULL;
}

static void set_defaults(struct options *o)
{
	memset(o, 0, sizeof(*o));
	o->ram = 128ull << 20;
	char why[OPTIONS_ERROR_LEN];

	/* parsed, not copied: a model is completed with what the host can do */
	if (!cpu_model_parse(cpu_model_nth(0)->name, &o->cpu, why, sizeof(why)))
		abort(); /* the default model exists */
	o->debug_exit_base = 0x501;
	o->debug_exit_size = 2;
}

/* What only the whole line can show. */
static enum options_result check_whole(struct option_context *c)
{
	struct options *o = c->o;
	if (!o->kernel && (o->initrd || o->append))
		return option_error(c, "-%s needs a kernel to go to: add -kernel FILE",
				    o->initrd ? "initrd" : "append");
	if ((o->accel.perfmap || o->accel.jitdump) && o->accel.kind != ACCEL_DBT)
		return option_error(c, "-%s names translated code: there is none with -accel interp",
				    o->accel.perfmap ? "perfmap" : "jitdump");
	if (o->accel.kind != ACCEL_DBT && o->tc_report)
		return option_error(c, "-tc-report: without -accel dbt there is no translation cache to report on");
	return OPTIONS_RUN;
}

enum options_result options_parse(struct options *o, int argc, char **argv, FILE *out, char *err,
				  size_t errlen)
{
	struct option_context c = {.o = o, .out = out, .err = err, .errlen = errlen};
	set_defaults(o);
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		if (word[0] != '-' || !word[1])
			return option_error(
				&c,
				"unexpected word '%s': options start with '-' (a kernel is "
				"named with -kernel)",
				word);
		c.name = word + 1 + (word[1] == '-');
		const struct option *option = find_option(c.name);
		if (!option)
			return unknown_option(&c);
		const char *arg = NULL;
		if (option->arg) {
			if (i + 1 >= argc)
				return option_error(&c, "-%s needs a value: -%s %s", c.name, c.name,
						    option->arg);
			arg = argv[++i];
		}
		enum options_result r = option->set(&c, arg);
		if (r != OPTIONS_RUN)
			return r;
	}
	return check_whole(&c);
}
