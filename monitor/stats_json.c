/*
 * The statistics for programs (-d stats,json): one line, so that it can be found among a guest's output.
 *
 *     {"ringfence_statistics": 1, "accel": "dbt", "machine": {...}, "mmu": {...}, "tc": {...}, ...}
 *
 * The counters have the names of the tables they are declared in; "derived" holds what nobody should have to compute.
 */
#include "monitor/log.h"
#include "monitor/vm_internal.h"

#include "translator/translator.h"

#include <stdio.h>

/* Members of one object: what separates them is kept here. */
struct object {
	FILE *out;
	const char *separator;
};

static struct object open_object(FILE *out, const char *name)
{
	fprintf(out, ", \"%s\": {", name);
	return (struct object){.out = out, .separator = ""};
}

static void member(struct object *o, const char *name, uint64_t value)
{
	fprintf(o->out, "%s\"%s\": %llu", o->separator, name, (unsigned long long)value);
	o->separator = ", ";
}

/* Left out when there is nothing to divide by. */
static void ratio(struct object *o, const char *name, double value, double by)
{
	if (by <= 0)
		return;
	fprintf(o->out, "%s\"%s\": %.6g", o->separator, name, value / by);
	o->separator = ", ";
}

static void close_object(struct object *o)
{
	fputs("}", o->out);
}

static void print_machine(const struct vm *vm, FILE *out)
{
	struct object o = open_object(out, "machine");
	member(&o, "run_ns", (uint64_t)(vm_clock_ns() - vm->start_ns));
	member(&o, "halt_ns", (uint64_t)vm->halt_ns);
	member(&o, "interrupts", vm->interrupts);
	member(&o, "nmis", vm->nmis);
	member(&o, "ports_in", vm->ports_in);
	member(&o, "ports_out", vm->ports_out);
	member(&o, "resets", vm->resets);
	member(&o, "interpreted", vm->cpu.interp_count);
	member(&o, "rss_anon_kib", stats_process_kib("RssAnon"));
	member(&o, "rss_shmem_kib", stats_process_kib("RssShmem"));
	close_object(&o);
}

static void print_kinds(const struct vm *vm, FILE *out)
{
	struct kind_count top[40];
	unsigned n = stats_top_kinds(vm, top, 40);
	struct object o = open_object(out, "interpreted_by_opcode");
	for (unsigned i = 0; i < n; i++)
		member(&o, top[i].name, top[i].count);
	close_object(&o);
}

static void print_mmu(const struct mmu_stats *s, FILE *out)
{
	struct object o = open_object(out, "mmu");
#define X(name, text) member(&o, #name, s->name);
	MMU_STATS(X)
#undef X
	member(&o, "mappings_now", s->mappings_now);
	close_object(&o);
}

static void print_tc(const struct tc_stats *s, FILE *out)
{
	struct object o = open_object(out, "tc");
#define X(name, text) member(&o, #name, s->name);
	TC_STATS(X)
#undef X
	close_object(&o);
}

static void print_derived(const struct vm *vm, const struct tc_stats *s, FILE *out)
{
	double run_ns = (double)(vm_clock_ns() - vm->start_ns);
	double all = (double)s->executed + (double)vm->cpu.interp_count;
	struct object o = open_object(out, "derived");
	ratio(&o, "translate_ns_per_guest_instruction", (double)s->translate_ns, (double)s->guest_instructions);
	ratio(&o, "tc_bytes_per_guest_byte", (double)s->host_bytes, (double)s->guest_bytes);
	ratio(&o, "guest_instructions_per_block", (double)s->guest_instructions, (double)s->translations);
	ratio(&o, "translator_share_of_time", (double)s->translate_ns, run_ns);
	ratio(&o, "tc_share_of_instructions", (double)s->executed, all);
	ratio(&o, "instructions_per_dispatch", (double)s->executed, (double)s->dispatches);
	ratio(&o, "instructions_per_callout", (double)s->executed, (double)s->callouts);
	ratio(&o, "instructions_per_lookup_miss", (double)s->executed, (double)s->lookup_misses);
	close_object(&o);
}

void vm_print_stats_json(struct vm *vm, FILE *out)
{
	fprintf(out, "{\"ringfence_statistics\": 1, \"accel\": \"%s\"", vm->accel ? vm->accel->name : "none");
	print_machine(vm, out);
	print_kinds(vm, out);
	if (vm->mmu)
		print_mmu(mmu_statistics(vm->mmu), out);
	if (vm->accel_state && vm_tc(vm)) {
		const struct tc_stats *s = tc_statistics(vm_tc(vm));
		print_tc(s, out);
		print_derived(vm, s, out);
	}
	fputs("}\n", out);
	fflush(out);
}

void vm_print_final_stats(struct vm *vm, FILE *out)
{
	if (vm->options.log_mask & LOG_JSON)
		vm_print_stats_json(vm, out);
	else
		vm_print_stats(vm, out);
}
