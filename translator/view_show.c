/*
 * `tc show`: a CCF's guest and host code side by side.
 *
 *   guest instruction            | host instruction                       why
 *   c1000000  push ebp           | lea r8d, [rsp - 4]                     stack: new address
 *                                | mov dword ptr gs:[r8d], ebp            window access
 */
#include "translator/classify.h"
#include "translator/counts.h"
#include "translator/disasm.h"
#include "translator/view.h"

#include <string.h>

enum { GUEST_WIDTH = 44, HOST_WIDTH = 52, SHOW_MAX = 8 };

struct show {
	struct tc *tc;
	const struct ccf *c;
	view_line_fn *line;
	void *ctx;
	struct view_context v;
};

static void tell(const struct show *s, const char *guest, uint32_t off, const char *host, const char *why)
{
	const struct view_line line = {guest, off, host, why};

	s->line(s->ctx, &line);
}

/* Host code [off, off + len) of the TC; the first line carries the guest instruction. */
static void show_host(struct show *s, const char *guest, uint32_t off, uint32_t len)
{
	uint32_t end = off + len;

	if (!len)
		tell(s, guest, off, "", "nothing to do");
	while (off < end) {
		char text[160], why[128];
		const uint8_t *p = s->tc->rx + off;
		unsigned n = disasm_one(true, p, end - off, (uint64_t)(uintptr_t)p, text, sizeof(text));

		n = n ? n : 1;
		view_explain(&s->v, text, off, n, why, sizeof(why));
		tell(s, guest, off, text, why);
		guest = "";
		off += n;
	}
}

static void show_insn(struct show *s, const uint8_t *bytes, unsigned len, uint32_t lin, uint32_t off,
		      uint32_t host_len)
{
	char text[128], guest[160];
	struct tinsn t;

	view_disasm(s->c, bytes, len, lin, text, sizeof(text));
	snprintf(guest, sizeof(guest), "%08x  %s", lin, text);
	s->v.guest = text;
	s->v.callout = NULL;
	if (view_callouts(s->tc, off, host_len) && decode(&t, bytes, len, lin))
		s->v.callout = view_callout_text(s->tc, s->c, lin, t.why);
	s->v.lookup = (s->c->mode & MODE_LOOKUP) || hint_form(s->tc, hint_place_in(s->c, lin)) == FORM_LOOKUP;
	show_host(s, guest, off, host_len);
}

/* What stands before the first instruction: both ways in. */
static void show_entries(struct show *s, uint32_t start)
{
	s->v.entry = true;
	if (s->c->entry)
		show_host(s, "(indirect entry)", start, s->c->entry);
	s->v.entry = false;
	if (s->c->counting)
		show_host(s, "(execution count)", s->c->host, s->c->counting);
}

bool view_changed(struct tc *tc, const struct ccf *c)
{
	uint8_t bytes[CCF_MAX_INSNS * 16];

	return view_source(tc, c, bytes, sizeof(bytes)) < c->guest_len || code_hash(bytes, c->guest_len) != c->hash;
}

void view_code(struct tc *tc, const struct ccf *c, view_line_fn *line, void *ctx)
{
	struct show s = {.tc = tc, .c = c, .line = line, .ctx = ctx, .v = {.tc = tc, .c = c}};
	const struct ccf_insn *map = ccf_map(tc, c);
	uint8_t bytes[CCF_MAX_INSNS * 16];
	unsigned len = view_source(tc, c, bytes, sizeof(bytes)), at = 0;
	uint32_t start = c->host - c->entry, off = c->host + c->counting;

	show_entries(&s, start);
	for (unsigned i = 0; i < c->insns && at < len; i++) {
		unsigned host_len = map[i].host - (i ? 0u : c->counting);

		show_insn(&s, bytes + at, len - at, c->lin + at, off, host_len);
		off += host_len;
		at += map[i].guest;
	}
	s.v.guest = NULL;
	s.v.lookup = false;
	if (off < start + c->host_len)
		show_host(&s, "(exits and stubs)", off, start + c->host_len - off);
}

static void print_line(void *f, const struct view_line *l)
{
	char host[200] = "";

	if (*l->host)
		snprintf(host, sizeof(host), "%07x  %.160s", l->off, l->host);
	fprintf(f, "  %-*.*s | %-*s  %s\n", GUEST_WIDTH, GUEST_WIDTH, l->guest, HOST_WIDTH, host, l->why);
}

void view_show_ccf(struct tc *tc, ccf_id id, FILE *f)
{
	const struct ccf *c = ccf_of(tc, id);

	fprintf(f, "CCF %u at %08x, gpa %08llx, %s: %u instructions, %u bytes -> %u bytes at TC+%x, %u samples",
		id, c->lin, (unsigned long long)c->gpa, view_state(c), c->insns, c->guest_len, c->host_len,
		c->host - c->entry, tc->history->sample[id]);
	if (c->counting)
		fprintf(f, ", %llu executions", (unsigned long long)counts_of(tc, id));
	fputs("; ", f);
	view_print_mode(f, c->mode);
	fprintf(f, " (mode %x)\n", c->mode);
	if (view_changed(tc, c))
		fputs("  (the source has changed since: the guest's side shows what is there now)\n", f);
	view_code(tc, c, print_line, f);
}

const char *view_show(struct tc *tc, uint32_t lin, const char *args, FILE *f)
{
	unsigned found = 0;

	for (ccf_id id = 1; id < tc->ccf_top; id++) {
		if (!view_covers(ccf_of(tc, id), lin))
			continue;
		if (++found <= SHOW_MAX)
			view_show_ccf(tc, id, f);
	}
	if (!found)
		return "no translation covers this address";
	if (found > SHOW_MAX)
		fprintf(f, "and %u more\n", found - SHOW_MAX);
	return NULL;
}
