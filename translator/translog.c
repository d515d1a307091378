/*
 * The log's view of translation and execution. QEMU's layout where QEMU has the class; `op`, the step between guest and host code,
 * says for each guest instruction how it was classified, how it reaches memory, and why.
 */
#include "translator/translog.h"
#include "translator/disasm.h"
#include "translator/view.h"

#include <string.h>

/* ---- translation ---- */

static const char *action_name(unsigned action)
{
	static const char *const name[] = {
#define X(id) #id,
		ACTIONS(X)
#undef X
	};

	return action < ARRAY_LEN(name) ? name[action] : "?";
}

static void print_bytes(FILE *f, const uint8_t *p, unsigned n, unsigned width)
{
	for (unsigned i = 0; i < n || i < width; i++)
		if (i < n)
			fprintf(f, "%02x ", p[i]);
		else
			fputs("   ", f);
}

static void print_in(const struct tu *u, FILE *f)
{
	char text[160];

	fprintf(f, "IN: [CCF %u, gpa %llx, ", u->id, (unsigned long long)u->gpa);
	view_print_mode(f, u->mode);
	fputs("]\n", f);
	for (unsigned i = 0; i < u->n; i++) {
		const struct tinsn *t = &u->insn[i];

		disasm_guest(u->mode & MODE_CODE32 ? DISASM_32 : DISASM_16, DISASM_INTEL, t->bytes, t->z.length, t->eip,
			     text, sizeof(text));
		fprintf(f, "0x%08x:  ", t->eip);
		print_bytes(f, t->bytes, t->z.length, 8);
		fprintf(f, " %s\n", text);
	}
	fputc('\n', f);
}

/* Offset of the unit's code in the TC. */
static uint32_t code_at(const struct tu *u)
{
	const struct ccf *c = ccf_of(u->tc, u->id);

	return c->host - c->entry;
}

/* Why this expansion comes to C; "" when it does not. */
static const char *calls_text(const struct tu *u, const struct tinsn *t, uint32_t off, unsigned len)
{
	/* jmp [r14 + TCX_STUB_SYSTEM], as emit_jmp_mem makes it */
	static const uint8_t system[] = {0x41, 0xff, 0x66, TCX_STUB_SYSTEM};

	if (memmem(u->tc->rx + off, len, system, sizeof(system)))
		return "by the lean path";
	if (!view_callouts(u->tc, off, len))
		return "";
	if (t->form != FORM_LOOKUP && t->action != ACT_INTERPRET && t->action != ACT_LEAVE_TC)
		return "calls out: not expanded here";
	return t->form == FORM_LOOKUP ? "calls out when its look-up misses" : "calls out";
}

static void print_op(const struct tu *u, FILE *f)
{
	static const char *const form[] = {"window", "look-up", "callout"};
	uint32_t off = ccf_of(u->tc, u->id)->host;

	fputs("OP:\n", f);
	for (unsigned i = 0; i < u->n; off += u->map[i++].host) {
		const struct tinsn *t = &u->insn[i];
		const char *calls = calls_text(u, t, off, u->map[i].host);

		fprintf(f, "0x%08x:  %-9s  %-7s  %2u -> %3u bytes  %s%s%s\n", t->eip, action_name(t->action),
			form[t->form], t->z.length, u->map[i].host, classify_why_text(t->why), *calls ? "; " : "",
			calls);
	}
	fputc('\n', f);
}

static void print_host(const struct tu *u, FILE *f, uint32_t off, uint32_t end)
{
	char text[160];

	while (off < end) {
		const uint8_t *p = u->tc->rx + off;
		unsigned n = disasm_one(true, p, end - off, (uintptr_t)p, text, sizeof(text));

		n = n ? n : 1;
		fprintf(f, "%p:  ", (const void *)p);
		print_bytes(f, p, n, 10);
		fprintf(f, " %s\n", text);
		off += n;
	}
}

static void print_out(const struct tu *u, FILE *f)
{
	uint32_t start = code_at(u), off = start + u->entry;

	fprintf(f, "OUT: [size=%zu]\n  -- indirect entry\n", u->e.len);
	print_host(u, f, start, off);
	for (unsigned i = 0; i < u->n; off += u->map[i++].host) {
		fprintf(f, "  -- guest addr 0x%08x\n", u->insn[i].eip);
		print_host(u, f, off, off + u->map[i].host);
	}
	fputs("  -- exits\n", f);
	print_host(u, f, off, start + (uint32_t)u->e.len);
	fputc('\n', f);
}

void translog_unit(const struct tu *u)
{
	FILE *f = log_in_range(u->lin) ? log_begin(LOG_IN_ASM | LOG_OP | LOG_OUT_ASM) : NULL;

	if (!f)
		return;
	fputs("----------------\n", f);
	if (log_on(LOG_IN_ASM))
		print_in(u, f);
	if (log_on(LOG_OP))
		print_op(u, f);
	if (log_on(LOG_OUT_ASM))
		print_out(u, f);
	log_end(f);
}

/* ---- execution ---- */

static void print_step(const struct tc *tc, const void *host)
{
	const struct cpu *c = tc->cpu;
	uint32_t pc = (uint32_t)(c->seg[S_CS].base + c->rip);
	FILE *f = log_in_range(pc) ? log_begin(LOG_EXEC | LOG_CPU) : NULL;

	if (!f)
		return;
	if (log_on(LOG_EXEC))
		fprintf(f, "Trace 0: %p [%08x/%08x/%08x]%s\n", host, (unsigned)c->seg[S_CS].base, pc, tc->mode,
			host ? "" : " interpreted");
	if (log_on(LOG_CPU))
		cpu_dump(c, f, log_on(LOG_FPU) ? CPU_DUMP_FPU : 0);
	log_end(f);
}

void translog_block(struct tc *tc, ccf_id id)
{
	print_step(tc, tc_rx(tc, ccf_of(tc, id)->host));
}

void translog_step(struct tc *tc)
{
	print_step(tc, NULL);
}

void tc_log_changed(struct tc *tc)
{
	bool unchained = tc->config.lockstep || log_on(LOG_EXEC | LOG_CPU | LOG_NOCHAIN);

	/* the lean path delivers software interrupts and returns from them without telling */
	tc->lean = !unchained && !log_on(LOG_INT | LOG_PCALL);
	if (unchained && !tc->unchained)
		for (ccf_id id = 1; id < tc->ccf_top; id++)
			if (ccf_of(tc, id)->state == CCF_LIVE)
				chain_unlink_outgoing(tc, id);
	tc->unchained = unchained;
}

void tc_trace_delivery(struct tc *tc, const struct cpu_delivery *d)
{
	enum history_kind kind = d->kind == EVENT_EXTERNAL ? HISTORY_INTERRUPT : HISTORY_FAULT;

	history_note(tc->history, kind, d->eip, tc->mode, d->vector | (uint64_t)(d->has_error ? d->error : 0) << 32);
}
