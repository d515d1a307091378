/*
 * Why each host instruction of a CCF is there, told from what it touches. The register convention (internal.h) makes that possible:
 * GS is the window, R14 and R15 are our own blocks, R8 to R13 never hold guest values that outlive an instruction.
 *
 * A table of patterns in the order of specificity; the first that is found in the disassembly decides.
 */
#include "translator/view.h"

#include <stdlib.h>
#include <string.h>

/* Displacement of the operand [reg + 0x..] or [reg]; false: none with this register. */
static bool displacement(const char *text, const char *reg, unsigned long *disp)
{
	char with[16];
	const char *p;

	snprintf(with, sizeof(with), "[%s", reg);
	p = strstr(text, with);
	if (!p)
		return false;
	p += strlen(with);
	*disp = 0;
	if (*p == ']')
		return true;
	if (strncmp(p, " + ", 3))
		return false;
	*disp = strtoul(p + 3, NULL, 0);
	return true;
}

static const char *tcx_field(unsigned long disp)
{
	static const struct {
		unsigned long disp;
		const char *text;
	} fields[] = {
		{TCX_HOST_RSP, "the monitor's stack, for a moment"},
		{TCX_WINDOW, "string instruction: the window's base, as ES takes no override"},
		{TCX_IBTC, "indirect branch table"},
		{TCX_INTR_WAIT, "does an interrupt wait for IF?"},
		{TCX_KICK, "does anybody want us?"},
		{TCX_STUB_EXIT, "exit: to the dispatcher, to be chained"},
		{TCX_STUB_MISS, "exit: indirect target is not in the table"},
		{TCX_STUB_LEAVE, "exit: to the dispatcher"},
		{TCX_STUB_CHECK, "callout: has the source been written?"},
		{TCX_STUB_SYSTEM, "callout: system instruction (no vector state saved)"},
		{TCX_COUNT, "counting guest instructions"},
		{TCX_STUB_REFILL, "look-up missed: find the page, then again"},
		{TCX_TMP, "a register or an operand kept aside"},
		{TCX_COUNTS, "execution count: table of counters"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].disp == disp)
			return fields[i].text;
	if (disp >= TCX_LOADED && disp < TCX_LOADED + 6 * TCX_LOADED_SIZE)
		return "segment: does it hold this already?";
	return "translator's block";
}

static void cpu_field(unsigned long disp, char *why, size_t whylen)
{
	static const char *const gpr[] = {"EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"};
	static const char *const seg[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

	if (disp < CPU_GPR + 64)
		snprintf(why, whylen, "vCPU: %s", gpr[disp / 8]);
	else if (disp >= CPU_SEG && disp < CPU_SEG + S_COUNT * CPU_SEG_SIZE)
		snprintf(why, whylen, "vCPU: segment %s%s", seg[(disp - CPU_SEG) / CPU_SEG_SIZE],
			 (disp - CPU_SEG) % CPU_SEG_SIZE == CPU_SEG_SEL ? " selector" : " base");
	else
		snprintf(why, whylen, "vCPU: %s",
			 disp == CPU_RIP			      ? "EIP"
			 : disp >= CPU_EFLAGS && disp < CPU_EFLAGS + 4 ? "virtual EFLAGS (IF, IOPL, AC, ...)"
			 : disp == CPU_SHADOW			      ? "interrupt shadow"
			 : disp == CPU_TSC_OFFSET		      ? "TSC offset"
			 : disp >= CPU_CR0 && disp <= CPU_CR3	      ? "control register"
								      : "state");
}

static bool is_jump(const char *text)
{
	return *text == 'j' || !strncmp(text, "loop", 4);
}

/* A direct jump: chained, to its stub, or within the CCF. */
static bool explain_jump(const struct view_context *v, const char *text, uint32_t off, unsigned len, char *why,
			 size_t whylen)
{
	const struct ccf *c = v->c;
	const char *p = strrchr(text, ' ');

	if (!is_jump(text) || strchr(text, '[') || !p || strncmp(p + 1, "0x", 2))
		return false;
	for (unsigned n = 0; n < CCF_EXITS; n++) {
		const struct ccf_exit *x = &c->exit[n];

		if (!x->patch || c->host - c->entry + x->patch != off + len - 4)
			continue;
		if (x->to)
			snprintf(why, whylen, "chain: to CCF %u at %08x", x->to, exit_target(c, n));
		else
			snprintf(why, whylen, "exit to %08x, not chained yet", exit_target(c, n));
		return true;
	}
	snprintf(why, whylen, v->entry ? *text == 'l' ? "we are not: out by the start" : "we are" : v->guest ? "within the expansion" : "to a stub");
	return true;
}

static bool explain_memory(const struct view_context *v, const char *text, char *why, size_t whylen)
{
	unsigned long disp;

	if (strstr(text, "gs:[")) {
		bool stack = strstr(text, "gs:[esp") || strstr(text, "gs:[r8d]") || strstr(text, "gs:[r9d]");

		snprintf(why, whylen, stack && strstr(text, "esp") ? "stack, through the window"
								   : "window access");
	} else if (displacement(text, "r14", &disp)) {
		if (disp == TCX_STUB_INTERP)
			snprintf(why, whylen, "callout: interpreter (%s)", v->callout ? v->callout : "?");
		else
			snprintf(why, whylen, "%s", tcx_field(disp));
	} else if (displacement(text, "r15", &disp)) {
		cpu_field(disp, why, whylen);
	} else if (strstr(text, "[r13 +")) {
		snprintf(why, whylen, "indirect branch table: jump to the target's CCF");
	} else if (strstr(text, "[r12 + r10")) {
		snprintf(why, whylen, "look-up: software TLB");
	} else if (strstr(text, "[r10 + r8") || strstr(text, "[r8 + r10")) {
		snprintf(why, whylen, "look-up access");
	} else if (strstr(text, "[r8 + ")) {
		snprintf(why, whylen, "execution count");
	} else if (strstr(text, "[rip")) {
		snprintf(why, whylen, "where to go on afterwards");
	} else {
		return false;
	}
	return true;
}

static bool same_mnemonic(const char *a, const char *b)
{
	size_t n = strcspn(a, " ");

	return n == strcspn(b, " ") && !memcmp(a, b, n);
}

/* Registers only. */
static void explain_registers(const struct view_context *v, const char *text, char *why, size_t whylen)
{
	bool scratch = strstr(text, "r8") || strstr(text, "r9") || strstr(text, "r10") || strstr(text, "r11");

	if (v->entry && !strcmp(text, "mov rcx, r9"))
		snprintf(why, whylen, "ECX back");
	else if (v->entry)
		snprintf(why, whylen, "are we what R8 asks for? flags kept");
	else if (!strncmp(text, "rdtsc", 5))
		snprintf(why, whylen, "the host's time, to be made the guest's");
	else if (!strncmp(text, "pushf", 5) || !strncmp(text, "popf", 4) || !strncmp(text, "lahf", 4))
		snprintf(why, whylen, "flag save");
	else if (scratch && v->lookup)
		snprintf(why, whylen, "look-up");
	else if (scratch && strstr(text, "esp"))
		snprintf(why, whylen, "stack: new address");
	else if (!strcmp(text, "lea r9, [r9 + 1]"))
		snprintf(why, whylen, "execution count: one more, flags kept");
	else if (scratch)
		snprintf(why, whylen, v->guest ? "operand in scratch" : "for the stub");
	else if (v->guest && same_mnemonic(text, v->guest))
		snprintf(why, whylen, "ident");
	else if (!strncmp(text, "lea ", 4) && strstr(text, "esp"))
		snprintf(why, whylen, "stack pointer, flags kept");
	else if (!strncmp(text, "lea ", 4))
		snprintf(why, whylen, "address arithmetic, flags kept");
	else
		snprintf(why, whylen, "expansion");
}

void view_explain(const struct view_context *v, const char *text, uint32_t off, unsigned len, char *why,
		  size_t whylen)
{
	if (explain_jump(v, text, off, len, why, whylen))
		return;
	/* LEA touches nothing: its operand is arithmetic */
	if ((strncmp(text, "lea ", 4) || strstr(text, "[rip")) && explain_memory(v, text, why, whylen))
		return;
	explain_registers(v, text, why, whylen);
}
