/* What the debug monitor shows of the machine. Nothing here changes anything. */
#include "devices/chips.h"

/* Register numbers of the local APIC: offset / 16 (SDM: "Local APIC Register Address Map"). */
enum {
	LAPIC_ID = 0x02,
	LAPIC_TPR = 0x08,
	LAPIC_APR = 0x09,
	LAPIC_PPR = 0x0a,
	LAPIC_LDR = 0x0d,
	LAPIC_DFR = 0x0e,
	LAPIC_SVR = 0x0f,
	LAPIC_ISR = 0x10,
	LAPIC_IRR = 0x20,
	LAPIC_ESR = 0x28,
	LAPIC_ICR = 0x30,
	LAPIC_ICR2 = 0x31,
	LAPIC_TIMER = 0x32,
	LAPIC_INITIAL = 0x38,
	LAPIC_CURRENT = 0x39,
	LAPIC_DIVIDE = 0x3e,
};

void machine_print_pic(struct machine *m, FILE *f)
{
	machine_lock(m);
	ioapic_print(m->ioapic, f);
	i8259_print(m->pic, f);
	machine_unlock(m);
}

static const char *delivery_text(uint32_t entry)
{
	static const char *const text[] = {"Fixed", "...", "SMI", "...", "NMI", "INIT", "...", "ExtINT"};

	return text[entry >> 8 & 7];
}

static void print_lvt(FILE *f, const char *name, uint32_t lvt, bool timer)
{
	fprintf(f, "%s\t 0x%08x active-%s %-5s %-6s %-11s %-8s %-6s (vec %u)\n", name, lvt,
		lvt >> 13 & 1 ? "lo" : "hi", lvt >> 15 & 1 ? "level" : "edge",
		lvt >> 16 & 1 ? "masked" : "", lvt >> 12 & 1 ? "pending" : "",
		!timer		? ""
		: lvt >> 17 & 1 ? "periodic"
				: "one-shot",
		delivery_text(lvt), lvt & 0xff);
}

static void print_vectors(struct machine *m, FILE *f, const char *name, unsigned first)
{
	bool any = false;

	fprintf(f, "%s\t ", name);
	for (unsigned v = 0; v < 256; v++) {
		if (!(lapic_peek(m->lapic, first + v / 32) >> (v % 32) & 1))
			continue;
		fprintf(f, "%u ", v);
		any = true;
	}
	fputs(any ? "\n" : "(none)\n", f);
}

static void print_timer(struct machine *m, FILE *f)
{
	uint32_t divide = lapic_peek(m->lapic, LAPIC_DIVIDE);
	unsigned code = (divide & 3) | (divide >> 1 & 4);

	fprintf(f, "Timer\t DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n", divide,
		1u << ((code + 1) & 7), lapic_peek(m->lapic, LAPIC_INITIAL),
		lapic_peek(m->lapic, LAPIC_CURRENT));
}

static void print_commands(struct machine *m, FILE *f)
{
	static const char *const shorthand[] = {"no-shorthand", "self", "all-self", "all"};
	uint32_t svr = lapic_peek(m->lapic, LAPIC_SVR), icr = lapic_peek(m->lapic, LAPIC_ICR);

	fprintf(f, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", svr,
		svr & 0x100 ? "enabled" : "disabled", svr & 0x200 ? "on" : "off", svr & 0xff);
	fprintf(f, "ICR\t 0x%08x %s %s %s %s\n", icr, icr >> 11 & 1 ? "logical" : "physical",
		icr >> 15 & 1 ? "level" : "edge", icr >> 14 & 1 ? "assert" : "de-assert",
		shorthand[icr >> 18 & 3]);
	fprintf(f, "ICR2\t 0x%08x\nESR\t 0x%08x\n", lapic_peek(m->lapic, LAPIC_ICR2),
		lapic_peek(m->lapic, LAPIC_ESR));
}

void machine_print_lapic(struct machine *m, FILE *f)
{
	static const struct {
		const char *name;
		unsigned reg;
	} lvt[] = {{"LVT0", LAPIC_TIMER + 3},	{"LVT1", LAPIC_TIMER + 4},   {"LVTPC", LAPIC_TIMER + 2},
		   {"LVTERR", LAPIC_TIMER + 5}, {"LVTTHMR", LAPIC_TIMER + 1}, {"LVTT", LAPIC_TIMER}};

	machine_lock(m);
	fprintf(f, "dumping local APIC state for CPU %u \n\n", lapic_peek(m->lapic, LAPIC_ID) >> 24);
	for (unsigned i = 0; i < ARRAY_LEN(lvt); i++)
		print_lvt(f, lvt[i].name, lapic_peek(m->lapic, lvt[i].reg), lvt[i].reg == LAPIC_TIMER);
	print_timer(m, f);
	print_commands(m, f);
	print_vectors(m, f, "ISR", LAPIC_ISR);
	print_vectors(m, f, "IRR", LAPIC_IRR);
	fprintf(f, "\nAPR 0x%02x TPR 0x%02x DFR 0x%02x LDR 0x%02x PPR 0x%02x\n",
		lapic_peek(m->lapic, LAPIC_APR), lapic_peek(m->lapic, LAPIC_TPR),
		lapic_peek(m->lapic, LAPIC_DFR) >> 28, lapic_peek(m->lapic, LAPIC_LDR) >> 24,
		lapic_peek(m->lapic, LAPIC_PPR));
	machine_unlock(m);
}

void machine_print_irqs(struct machine *m, FILE *f)
{
	machine_lock(m);
	fputs("IRQ statistics for lapic (by vector):\n", f);
	for (unsigned v = 0; v < ARRAY_LEN(m->lapic_served); v++)
		if (m->lapic_served[v])
			fprintf(f, "%2u: %llu\n", v, (unsigned long long)m->lapic_served[v]);
	fputs("IRQ statistics for isa-i8259:\n", f);
	i8259_print_served(m->pic, f);
	machine_unlock(m);
}

static const char *port_name(uint16_t base)
{
	static const struct {
		uint16_t base;
		const char *name;
	} names[] = {{0x20, "pic"},   {0xa0, "pic"},	  {0x40, "pit"},	{0x60, "i8042-data"},
		     {0x61, "pcspk"}, {0x64, "i8042-cmd"}, {0x70, "rtc"},	{0x92, "port92"},
		     {0xe9, "debugcon"}, {0xf0, "ioportF0"}, {0x3f8, "serial"}, {0x2f8, "serial"},
		     {0x3e8, "serial"}, {0x2e8, "serial"}, {0x4d0, "elcr"}, {0x4d1, "elcr"},
		     {0x501, "isa-debug-exit"}, {0x600, "acpi"}, {0xa78, "acpi-tmr"}, {0xcf8, "pci-conf-idx"},
		     {0xcf9, "reset-control"}, {0xcfa, "pci-conf-idx"}, {0xcfc, "pci-conf-data"}};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].base == base)
			return names[i].name;
	return "device";
}

/* Stretches of ports that one region answers; the table is fixed once the machine is there. */
void machine_print_ports(struct machine *m, FILE *f)
{
	for (unsigned port = 0, end; port < IO_PORTS; port = end) {
		for (end = port + 1; end < IO_PORTS && m->io_map[end] == m->io_map[port]; end++)
			;
		if (m->io_map[port])
			fprintf(f, "  %016x-%016x (prio 0, i/o): %s\n", port, end - 1, port_name((uint16_t)port));
	}
}

bool machine_a20_enabled(struct machine *m)
{
	machine_lock(m);
	bool on = m->a20;
	machine_unlock(m);
	return on;
}
