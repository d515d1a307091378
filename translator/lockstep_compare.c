/*
 * What lockstep compares, and how it reports a difference.
 *
 * All six arithmetic flags are compared, those too that the manual leaves undefined: the interpreter has the
 * host compute them with the very instructions that translated code executes (cpu/hostop.h).
 */
#include "translator/disasm.h"
#include "translator/lockstep.h"

#include <string.h>

#define FIELD(text, member) {text, offsetof(struct cpu, member), sizeof(((struct cpu *)0)->member)}
#define HALF(text, member) {text, offsetof(struct cpu, member), 4}

/*
 * Left out: interp_count, fault and ops (the reference's own), shadow (see below), and of the FXSAVE area what
 * holds host addresses (FIP, FDP, FOP) or is reserved.
 */
static const struct {
	const char *name;
	uint16_t off, size;
} fields[] = {
	HALF("EIP", rip), HALF("EAX", gpr[R_EAX]), HALF("ECX", gpr[R_ECX]), HALF("EDX", gpr[R_EDX]),
	HALF("EBX", gpr[R_EBX]), HALF("ESP", gpr[R_ESP]), HALF("EBP", gpr[R_EBP]),
	HALF("ESI", gpr[R_ESI]), HALF("EDI", gpr[R_EDI]), FIELD("EFLAGS", eflags), FIELD("CPL", cpl),
	FIELD("halted", halted), FIELD("NMI block", nmi_block), FIELD("ES", seg[S_ES]),
	FIELD("CS", seg[S_CS]), FIELD("SS", seg[S_SS]), FIELD("DS", seg[S_DS]), FIELD("FS", seg[S_FS]),
	FIELD("GS", seg[S_GS]), FIELD("LDTR", seg[S_LDTR]), FIELD("TR", seg[S_TR]), FIELD("CR0", cr0),
	FIELD("CR2", cr2), FIELD("CR3", cr3), FIELD("CR4", cr4), FIELD("EFER", efer),
	FIELD("PDPTEs", pdpte), FIELD("debug registers", dr), FIELD("GDTR base", gdtr.base),
	FIELD("GDTR limit", gdtr.limit), FIELD("IDTR base", idtr.base), FIELD("IDTR limit", idtr.limit),
	FIELD("MSRs", msr), FIELD("pending #DB", pending_db), FIELD("shutdown", shutdown),
	FIELD("FCW", fx.fcw), FIELD("FSW", fx.fsw), FIELD("FTW", fx.ftw), FIELD("MXCSR", fx.mxcsr),
	{"ST0", offsetof(struct cpu, fx.st[0]), 10}, {"ST1", offsetof(struct cpu, fx.st[1]), 10},
	{"ST2", offsetof(struct cpu, fx.st[2]), 10}, {"ST3", offsetof(struct cpu, fx.st[3]), 10},
	{"ST4", offsetof(struct cpu, fx.st[4]), 10}, {"ST5", offsetof(struct cpu, fx.st[5]), 10},
	{"ST6", offsetof(struct cpu, fx.st[6]), 10}, {"ST7", offsetof(struct cpu, fx.st[7]), 10},
	FIELD("XMM0", fx.xmm[0]), FIELD("XMM1", fx.xmm[1]), FIELD("XMM2", fx.xmm[2]),
	FIELD("XMM3", fx.xmm[3]), FIELD("XMM4", fx.xmm[4]), FIELD("XMM5", fx.xmm[5]),
	FIELD("XMM6", fx.xmm[6]), FIELD("XMM7", fx.xmm[7]),
};

static bool field_differs(const struct cpu *a, const struct cpu *b, unsigned i)
{
	return memcmp((const char *)a + fields[i].off, (const char *)b + fields[i].off, fields[i].size);
}

/*
 * Translated STI sets the shadow only when an interrupt is waiting, so it may lack one that
 * the reference has, never the other way round.
 */
static bool shadow_differs(const struct cpu *ref, const struct cpu *tc)
{
	return tc->shadow & ~ref->shadow;
}

bool lockstep_same_cpu(const struct cpu *ref, const struct cpu *tc)
{
	for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
		if (field_differs(ref, tc, i))
			return false;
	return !shadow_differs(ref, tc);
}

/* ------------------------------------ report ------------------------------------ */

/* Small fields as one number, larger ones as bytes in memory order. */
static void print_value(FILE *f, const struct cpu *c, unsigned i)
{
	const uint8_t *p = (const uint8_t *)c + fields[i].off;

	if (fields[i].size <= 8) {
		uint64_t v = 0;

		memcpy(&v, p, fields[i].size);
		fprintf(f, "%0*llx", fields[i].size * 2, (unsigned long long)v);
		return;
	}
	for (unsigned n = 0; n < fields[i].size && n < 32; n++)
		fprintf(f, "%02x", p[n]);
}

static void report_fields(FILE *f, const struct cpu *ref, const struct cpu *tc)
{
	for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
		if (!field_differs(ref, tc, i))
			continue;
		fprintf(f, "  %-16s reference ", fields[i].name);
		print_value(f, ref, i);
		fputs("  translated ", f);
		print_value(f, tc, i);
		fputc('\n', f);
	}
	if (shadow_differs(ref, tc))
		fprintf(f, "  %-16s reference %02x  translated %02x\n", "shadow", ref->shadow, tc->shadow);
}

static void report_memory(FILE *f, const struct lockstep *l)
{
	const struct physmap *pm = l->tc->pm;
	uint64_t at;

	if (!overlay_differs(&l->mem, pm, &at))
		return;
	for (unsigned n = 0; n < l->mem.pages; n++) {
		const struct overlay_page *p = l->mem.page[n];
		unsigned off = at & PAGE_MASK & ~7u;
		const uint8_t *real = physmap_host(pm, gpa(p->gpa), PAGE_SIZE);

		if (p->gpa != (at & ~(uint64_t)PAGE_MASK))
			continue;
		fprintf(f, "  memory %010llx reference ", (unsigned long long)(p->gpa + off));
		for (unsigned i = 0; i < 8; i++)
			fprintf(f, "%02x", p->now[off + i]);
		fputs("  translated ", f);
		for (unsigned i = 0; i < 8; i++)
			fprintf(f, "%02x", real[off + i]);
		fputs("  before ", f);
		for (unsigned i = 0; i < 8; i++)
			fprintf(f, "%02x", p->old[off + i]);
		fputc('\n', f);
	}
}

static void report_start(FILE *f, const struct cpu *c)
{
	static const char *const name[] = {"EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"};

	fputs("  registers before:", f);
	for (unsigned i = 0; i < 8; i++)
		fprintf(f, "%s %s=%08x", i == 4 ? "\n                   " : "", name[i], (uint32_t)c->gpr[i]);
	fprintf(f, " EFLAGS=%08x\n", c->eflags);
}

void lockstep_report(struct lockstep *l, FILE *f, const struct cpu *ref)
{
	fprintf(f, "ringfence: lockstep: translation of %#x (mode %#x) differs from the interpreter\n", l->lin,
		l->mode);
	report_fields(f, ref, l->tc->cpu);
	report_memory(f, l);
	report_start(f, &l->state[0]);
	fprintf(f, "  guest, %u instructions, of which the interpreter did %u:\n", l->insns, l->steps);
	disasm_print(f, "    ", false, l->guest, l->guest_len, l->lin);
	fprintf(f, "  host:\n");
	disasm_print(f, "    ", true, tc_rx(l->tc, l->host), l->host_len, l->host);
}

void lockstep_print_stats(const struct lockstep *l, FILE *f)
{
	fprintf(f, "  lockstep: %llu blocks compared, %llu of them stopped early; %llu not compared\n",
		(unsigned long long)l->compared, (unsigned long long)l->early, (unsigned long long)l->skipped);
}
