/*
 * The human monitor: finding the command, help, completion. Commands are in hmp_*.c by subject; the table is in
 * hmp_internal.h.
 */
#include "monitor/hmp_internal.h"
#include "monitor/log.h"
#include "translator/translator.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct hmp_command commands[] = {
#define X(names, params, fn, help) {names, params, help, hmp_##fn},
	HMP_COMMANDS(X)
#undef X
};
static const struct hmp_command info_commands[] = {
#define X(names, params, fn, help) {names, params, help, hmp_##fn},
	HMP_INFO_COMMANDS(X)
#undef X
};

bool hmp_named(const char *names, const char *word, size_t len)
{
	for (; *names; names += strcspn(names, "|"), names += *names == '|')
		if (strcspn(names, "|") == len && len && !memcmp(names, word, len))
			return true;
	return false;
}

static const struct hmp_command *find(const struct hmp_command *table, size_t n, const char *word,
				      size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (hmp_named(table[i].names, word, len))
			return &table[i];
	return NULL;
}

/* A command's name ends at a blank, or at the slash of its format. */
static size_t name_length(const char *text)
{
	size_t n = 0;
	while (text[n] && !isspace((unsigned char)text[n]) && text[n] != '/')
		n++;
	return n;
}

void hmp_info(struct hmp *h)
{
	if (!hmp_more(h)) {
		for (size_t i = 0; i < ARRAY_LEN(info_commands); i++)
			fprintf(h->out, "info %s -- %s\n", info_commands[i].names,
				info_commands[i].help);
		return;
	}
	size_t len = name_length(h->args);
	const struct hmp_command *c =
		find(info_commands, ARRAY_LEN(info_commands), h->args, len);
	if (!c) {
		fprintf(h->out, "unknown command: 'info %.*s'\n", (int)len, h->args);
		return;
	}
	h->args += len;
	h->command = c;
	h->info = true;
	c->run(h);
}

static void print_help(struct hmp *h, const struct hmp_command *c, const char *prefix)
{
	fprintf(h->out, "%s%s%s%s -- %s\n", prefix, c->names, *c->params ? " " : "", c->params,
		c->help);
}

/* "help info" lists what can be asked for; "help info mem" explains one. */
void hmp_help(struct hmp *h)
{
	bool info = false;
	if (!hmp_more(h)) {
		for (size_t i = 0; i < ARRAY_LEN(commands); i++)
			print_help(h, &commands[i], "");
		return;
	}
	size_t len = strcspn(h->args, " \t");
	if (hmp_named("info|i", h->args, len)) {
		info = true;
		h->args += len;
		if (!hmp_more(h)) {
			hmp_info(h);
			return;
		}
		len = strcspn(h->args, " \t");
	}
	const struct hmp_command *c =
		info ? find(info_commands, ARRAY_LEN(info_commands), h->args, len)
		     : find(commands, ARRAY_LEN(commands), h->args, len);
	if (!c) {
		fprintf(h->out, "unknown command: '%s%.*s'\n", info ? "info " : "", (int)len, h->args);
		return;
	}
	print_help(h, c, info ? "info " : "");
	const struct tc_view *view;
	for (unsigned i = 0; c->run == hmp_tc && (view = tc_view_nth(i)); i++)
		fprintf(h->out, "tc %s %s -- %s\n", view->name, view->params, view->help);
	if (c->run == hmp_tc)
		fprintf(h->out, "tc %s %s -- %s\n", hmp_report_name, hmp_report_params, hmp_report_help);
}

static void run_line(struct hmp *h)
{
	if (!hmp_more(h))
		return;
	size_t len = name_length(h->args);
	h->command = find(commands, ARRAY_LEN(commands), h->args, len);
	if (!h->command) {
		fprintf(h->out, "unknown command: '%.*s'\n", (int)len, h->args);
		return;
	}
	h->args += len;
	h->command->run(h);
}

/* What is printed to `out` goes to print(ctx) at once when `out` is closed. */
struct output {
	FILE *out;
	char *text;
	size_t size;
	void (*print)(void *, const char *);
	void *ctx;
};

static bool open_output(struct output *o)
{
	o->out = open_memstream(&o->text, &o->size);
	if (!o->out)
		o->print(o->ctx, "out of memory\n");
	return o->out;
}

static void close_output(struct output *o)
{
	bool ok = !fclose(o->out);
	if (ok && o->size)
		o->print(o->ctx, o->text);
	else if (!ok)
		o->print(o->ctx, "out of memory\n");
	free(o->text);
}

void hmp_execute_session(struct vm *vm, const char *line, void (*print)(void *, const char *), void *ctx,
			 struct tc_trace **live, struct hmp_rest *rest)
{
	struct output o = {.print = print, .ctx = ctx};
	*rest = (struct hmp_rest){0};
	if (!open_output(&o))
		return;
	struct hmp h = {.vm = vm, .args = line, .out = o.out, .live = live, .rest = rest};
	run_line(&h);
	close_output(&o);
}

void hmp_finish(struct hmp_rest *rest, void (*print)(void *, const char *), void *ctx)
{
	struct output o = {.print = print, .ctx = ctx};
	if (!rest->fn)
		return;
	bool open = open_output(&o);
	rest->fn(rest->ctx, open ? o.out : NULL);
	if (open)
		close_output(&o);
}

void hmp_execute(struct vm *vm, const char *line, void (*print)(void *, const char *), void *ctx)
{
	struct hmp_rest rest;
	hmp_execute_session(vm, line, print, ctx, NULL, &rest);
	hmp_finish(&rest, print, ctx);
}

/* ---- completion ---- */

/* What the words of a command can be; null after the last. */
static const char *command_name(unsigned n)
{
	return n < ARRAY_LEN(commands) ? commands[n].names : NULL;
}

static const char *info_name(unsigned n)
{
	return n < ARRAY_LEN(info_commands) ? info_commands[n].names : NULL;
}

static const char *const registers[] = {"$eax", "$ebx", "$ecx", "$edx",	   "$esi", "$edi",
					"$ebp", "$esp", "$eip", "$eflags", "$cs",  "$ds",
					"$es",	"$ss",	"$fs",	"$gs",	   "$cr0", "$cr2",
					"$cr3", "$cr4"};

static const char *register_name(unsigned n)
{
	return n < ARRAY_LEN(registers) ? registers[n] : NULL;
}

static const char *break_word(unsigned n)
{
	static const char *const kinds[] = {"port", "exception", "interrupt", "cr", "mode"};
	return n < ARRAY_LEN(kinds) ? kinds[n] : register_name(n - ARRAY_LEN(kinds));
}

static const char *next_word(unsigned n)
{
	return n ? NULL : "block";
}

static const char *view_name(unsigned n)
{
	if (tc_view_nth(n))
		return tc_view_nth(n)->name;
	return !n || tc_view_nth(n - 1) ? hmp_report_name : NULL;
}

typedef const char *word_fn(unsigned n);

static word_fn *words_after(const char *line, size_t len)
{
	static const struct {
		const char *command;
		word_fn *words;
	} second[] = {
		{"info", info_name},	  {"i", info_name},	   {"help", command_name},
		{"?", command_name},	  {"tc", view_name},	   {"x", register_name},
		{"xp", register_name},	  {"p", register_name},	   {"print", register_name},
		{"sendkey", hmp_key_name}, {"log", log_class_name},  {"break", break_word},
		{"b", break_word},	  {"next", next_word},	   {"n", next_word},
	};
	while (len && isspace((unsigned char)*line))
		line++, len--;
	size_t first = name_length(line);
	if (first > len)
		first = len;
	if (first == len && line[first] != '/')
		return command_name;
	for (size_t i = 0; i < ARRAY_LEN(second); i++)
		if (strlen(second[i].command) == first && !memcmp(second[i].command, line, first))
			return second[i].words;
	return NULL;
}

bool hmp_completion(const char *line, unsigned n, char *out, size_t outlen)
{
	size_t len = strlen(line), start = len;
	while (start && !isspace((unsigned char)line[start - 1]))
		start--;
	/* after a comma or a dash the next of several begins: log and sendkey */
	size_t part = start;
	while (part < len && (start || line[0] == '$') && strpbrk(line + part, ",-"))
		part = (size_t)(strpbrk(line + part, ",-") - line) + 1;
	word_fn *words = words_after(line, start);
	const char *word;
	for (unsigned i = 0; words && (word = words(i)); i++) {
		/* of "print|p" the long name is the one to learn */
		size_t name = strcspn(word, "|");
		if (name < len - part || memcmp(word, line + part, len - part) || n--)
			continue;
		snprintf(out, outlen, "%.*s%.*s", (int)(part - start), line + start, (int)name, word);
		return true;
	}
	return false;
}
