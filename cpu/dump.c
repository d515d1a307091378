/* The processor's state for people, in QEMU's layout: `info registers`, the log, crash reports. */
#include "cpu/cpu.h"

#include <string.h>

static const char *segment_type(const struct cpu_segment *s)
{
	static const char *const system[] = {
		"Reserved",  "TSS16-avl", "LDT",      "TSS16-busy", "CallGate16", "TaskGate",
		"IntGate16", "TrapGate16", "Reserved", "TSS32-avl",  "Reserved",   "TSS32-busy",
		"CallGate32", "Reserved",  "IntGate32", "TrapGate32",
	};
	static char text[16];
	if (!(s->attr & SEG_S))
		return system[s->attr & SEG_TYPE];
	bool code = s->attr & SEG_CODE;
	snprintf(text, sizeof(text), "%s [%c%c%c]", code ? s->attr & SEG_DB ? "CS32" : "CS16" : "DS  ",
		 s->attr & SEG_DOWN ? (code ? 'C' : 'E') : '-',
		 s->attr & SEG_WRITE ? (code ? 'R' : 'W') : '-', s->attr & SEG_ACCESSED ? 'A' : '-');
	return text;
}

/* The third number is the descriptor's upper doubleword without its base, as QEMU keeps it. */
static void print_segment(FILE *f, const struct cpu *c, const char *name, const struct cpu_segment *s)
{
	uint32_t attr = s->attr & SEG_NULL ? 0 : s->attr;
	uint32_t limit = attr & SEG_G ? s->limit >> 12 : s->limit;
	fprintf(f, "%-3s=%04x %08x %08x %08x", name, s->sel, (unsigned)s->base, s->limit,
		(attr & 0xff) << 8 | (limit & 0xf0000) | (attr & 0xf00) << 12);
	if (cpu_protected(c) && (attr & SEG_P))
		fprintf(f, " DPL=%u %s", attr >> SEG_DPL_SHIFT & 3, segment_type(s));
	fputc('\n', f);
}

static void print_general(FILE *f, const struct cpu *c, bool a20)
{
	static const uint32_t flag[] = {FL_DF, FL_OF, FL_SF, FL_ZF, FL_AF, FL_PF, FL_CF};
	static const char letter[] = "DOSZAPC";
	char flags[sizeof(letter)] = "";
	for (unsigned i = 0; i < ARRAY_LEN(flag); i++)
		flags[i] = c->eflags & flag[i] ? letter[i] : '-';
	fprintf(f, "CPU#0\nEAX=%08x EBX=%08x ECX=%08x EDX=%08x\n", (unsigned)c->gpr[R_EAX],
		(unsigned)c->gpr[R_EBX], (unsigned)c->gpr[R_ECX], (unsigned)c->gpr[R_EDX]);
	fprintf(f, "ESI=%08x EDI=%08x EBP=%08x ESP=%08x\n", (unsigned)c->gpr[R_ESI],
		(unsigned)c->gpr[R_EDI], (unsigned)c->gpr[R_EBP], (unsigned)c->gpr[R_ESP]);
	fprintf(f, "EIP=%08x EFL=%08x [%s] CPL=%u II=%u A20=%u SMM=0 HLT=%u\n",
		(unsigned)c->rip, c->eflags, flags, c->cpl, c->shadow != 0,
		a20, c->halted);
}

static void print_system(FILE *f, const struct cpu *c)
{
	static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"};
	for (unsigned i = 0; i < S_COUNT; i++)
		print_segment(f, c, names[i], &c->seg[i]);
	fprintf(f, "GDT=     %08x %08x\nIDT=     %08x %08x\n", (unsigned)c->gdtr.base,
		c->gdtr.limit, (unsigned)c->idtr.base, c->idtr.limit);
	fprintf(f, "CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n", c->cr0, (unsigned)c->cr2,
		(unsigned)c->cr3, c->cr4);
	for (unsigned i = 0; i < 4; i++)
		fprintf(f, "DR%u=%08x ", i, (unsigned)c->dr[i]);
	fprintf(f, "\nDR6=%08x DR7=%08x\nEFER=%016llx\n", (unsigned)c->dr[6],
		(unsigned)c->dr[7], (unsigned long long)c->efer);
}

static uint64_t read64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static void print_vector(FILE *f, const struct cpu_fx *fx)
{
	unsigned top = fx->fsw >> 11 & 7;
	fprintf(f, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", fx->fcw, fx->fsw, top,
		fx->ftw, fx->mxcsr);
	/* physical registers; the image has them from the top of the stack */
	for (unsigned i = 0; i < 8; i++) {
		const uint8_t *st = fx->st[(i - top) & 7];
		fprintf(f, "FPR%u=%016llx %04x%c", i, (unsigned long long)read64(st),
			(unsigned)(read64(st + 8) & 0xffff), i & 1 ? '\n' : ' ');
	}
	for (unsigned i = 0; i < 8; i++)
		fprintf(f, "XMM%02u=%016llx %016llx%c", i,
			(unsigned long long)read64(fx->xmm[i] + 8),
			(unsigned long long)read64(fx->xmm[i]), i & 1 ? '\n' : ' ');
}

void cpu_dump(const struct cpu *c, FILE *f, unsigned flags)
{
	print_general(f, c, !(flags & CPU_DUMP_A20_OFF));
	print_system(f, c);
	if (flags & CPU_DUMP_FPU)
		print_vector(f, &c->fx);
}
