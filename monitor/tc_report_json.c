/*
 * The report's data as JSON, member by member: the cache may hold 100,000 CCFs, so there is never a tree of all of it. CCFs come as
 * columns of numbers; the code of the hottest as lines of four texts.
 */
#include "monitor/tc_report.h"
#include "translator/report.h"

#include <jansson.h>

struct writer {
	FILE *out;
	const char *separator;
	bool ok;
};

/* jansson leaves these as they are; within its strings, where alone they can be, they may be written so. */
static int write_safely(const char *p, size_t n, void *ctx)
{
	FILE *out = ctx;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '<' || p[i] == '>' || p[i] == '&')
			fprintf(out, "\\u%04x", (unsigned)p[i]);
		else
			putc_unlocked(p[i], out);
	}
	return ferror(out) ? -1 : 0;
}

#define DUMP_FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY | JSON_REAL_PRECISION(10))

/* Takes the reference. */
static void member(struct writer *w, const char *name, json_t *value)
{
	fprintf(w->out, "%s\n\"%s\":", w->separator, name);
	w->separator = ",";
	w->ok = value && !json_dump_callback(value, write_safely, w->out, DUMP_FLAGS) && w->ok;
	json_decref(value);
}

/* Names of files need not be UTF-8. */
static json_t *text(const char *p)
{
	json_t *j = p ? json_string(p) : json_null();
	char ascii[512];
	size_t n = 0;

	if (j)
		return j;
	for (; p[n] && n + 1 < sizeof(ascii); n++)
		ascii[n] = p[n] & 0x80 ? '?' : p[n];
	ascii[n] = 0;
	return json_string(ascii);
}

static json_t *machine(const struct tc_report *r, const struct tc_report_facts *f)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:I, s:f, s:I, s:I}", "name", text(f->name), "kernel", text(f->kernel), "version",
			 RINGFENCE_VERSION, "written", f->written, "ram", (json_int_t)f->ram, "seconds",
			 (double)f->run_ns / 1e9, "cache", (json_int_t)r->size, "fill", (json_int_t)r->fill);
}

static json_t *times(const struct tc_report_facts *f)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < f->times; i++)
		json_array_append_new(a, json_pack("{s:s, s:s, s:I}", "key", f->time[i].key, "text", f->time[i].text, "ns",
						   (json_int_t)f->time[i].ns));
	return a;
}

static json_t *statistics(const struct tc_stats *s)
{
	json_t *o = json_object();

#define X(name, text) json_object_set_new(o, #name, json_pack("[I, s]", (json_int_t)s->name, text));
	TC_STATS(X)
#undef X
	return o;
}

static json_t *modes(const struct tc_report *r)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < r->modes; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%u", r->mode[i].mode);
		json_object_set_new(o, key, text(r->text + r->mode[i].text));
	}
	return o;
}

/* ---- CCFs ---- */

#define COLUMNS(X)                                                                                 \
	X(id, c->id)                                                                               \
	X(lin, c->lin)                                                                             \
	X(gpa, (json_int_t)c->gpa)                                                                 \
	X(mode, c->mode)                                                                           \
	X(insns, c->insns)                                                                         \
	X(guest, c->guest_len)                                                                     \
	X(host, c->host_len)                                                                       \
	X(samples, c->samples)                                                                     \
	X(executions, (json_int_t)(c->executions & INT64_MAX))                                    \
	X(flags, c->dormant | c->selfcheck << 1 | c->crossing << 2)                                \
	X(exits, c->exits)                                                                         \
	X(to0, c->to[0])                                                                           \
	X(to1, c->to[1])                                                                           \
	X(target0, c->target[0])                                                                   \
	X(target1, c->target[1])

#define X(name, value)                                                                             \
	static json_int_t column_##name(const struct report_ccf *c) { return value; }
COLUMNS(X)
#undef X

/* A million and a half of them: by themselves they are ten times as fast as by the library. Not negative. */
static void put_number(json_int_t value, FILE *out)
{
	char digits[24];
	unsigned n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		putc_unlocked(digits[--n], out);
}

static void write_column(FILE *out, const char *name, const struct tc_report *r,
			 json_int_t (*value)(const struct report_ccf *))
{
	fprintf(out, "\n\"%s\":[", name);
	for (unsigned i = 0; i < r->ccfs; i++) {
		if (i)
			putc_unlocked(',', out);
		put_number(value(&r->ccf[i]), out);
	}
	putc_unlocked(']', out);
}

static void write_ccfs(struct writer *w, const struct tc_report *r)
{
	const char *separator = "";

	fprintf(w->out, "%s\n\"ccf\":{", w->separator);
#define X(name, value)                                                                             \
	fputs(separator, w->out);                                                                  \
	write_column(w->out, #name, r, column_##name);                                             \
	separator = ",";
	COLUMNS(X)
#undef X
	fputs("}", w->out);
	w->separator = ",";
}

static json_t *code_lines(const struct tc_report *r, const struct report_code *code)
{
	json_t *a = json_array();

	for (unsigned i = code->first; i < code->first + code->lines; i++) {
		const struct report_line *l = &r->line[i];

		json_array_append_new(a, json_pack("[o, I, o, o]", text(r->text + l->guest), (json_int_t)l->off,
						   text(r->text + l->host), text(r->text + l->why)));
	}
	return a;
}

static void write_code(struct writer *w, const struct tc_report *r)
{
	struct writer each = {w->out, "", true};

	fprintf(w->out, "%s\n\"code\":{", w->separator);
	for (unsigned i = 0; i < r->codes; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%u", r->ccf[r->code[i].ccf].id);
		member(&each, key, json_pack("{s:b, s:o}", "changed", r->code[i].changed, "lines", code_lines(r, &r->code[i])));
	}
	fputs("}", w->out);
	w->separator = ",";
	w->ok = w->ok && each.ok;
}

/* ---- what happened ---- */

static json_t *timeline(const struct tc_report *r)
{
	json_t *a = json_array();

	for (unsigned k = 0; k < r->kinds; k++) {
		json_t *slots = json_array();

		for (unsigned i = 0; i < r->slots; i++)
			json_array_append_new(slots, json_integer(r->timeline[k].slots[i]));
		json_array_append_new(a, json_pack("{s:s, s:s, s:o}", "word", r->timeline[k].word, "text", r->timeline[k].text,
						   "slots", slots));
	}
	return json_pack("{s:f, s:f, s:o}", "slot", r->slot_seconds, "seconds", r->seconds, "kinds", a);
}

static json_t *events(const struct tc_report *r)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < r->events; i++)
		json_array_append_new(a, json_pack("[f, i, I, o]", r->event[i].seconds, (int)r->event[i].kind,
						   (json_int_t)r->event[i].lin, text(r->text + r->event[i].what)));
	return a;
}

bool tc_report_json(const struct tc_report *r, const struct tc_report_facts *f, FILE *out)
{
	struct writer w = {out, "", true};

	fputs("{", out);
	member(&w, "machine", machine(r, f));
	member(&w, "counted", json_boolean(r->counted));
	member(&w, "time", times(f));
	member(&w, "statistics", statistics(&r->stats));
	member(&w, "modes", modes(r));
	member(&w, "timeline", timeline(r));
	member(&w, "events", events(r));
	write_ccfs(&w, r);
	write_code(&w, r);
	fputs("}\n", out);
	return w.ok && !ferror(out);
}
