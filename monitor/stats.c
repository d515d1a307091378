/* The statistics at exit (-d stats): every module's table, one line each. */
#include "monitor/vm_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

int64_t vm_clock_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void line(FILE *out, uint64_t value, const char *text)
{
	fprintf(out, "%16llu  %s\n", (unsigned long long)value, text);
}

static void print_mmu(const struct vm *vm, FILE *out)
{
	const struct mmu_stats *s = mmu_statistics(vm->mmu);
	fprintf(out, "-- mmu\n");
#define X(name, text) line(out, s->name, text);
	MMU_STATS(X)
#undef X
	line(out, s->mappings_now, "host mappings at the end");
}

/* One "Name:  N kB" line of /proc/self/status. */
uint64_t stats_process_kib(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long kib = 0;
	char text[128];
	size_t len = strlen(name);
	while (f && fgets(text, sizeof(text), f)) {
		if (!strncmp(text, name, len) && text[len] == ':')
			sscanf(text + len + 1, "%llu", &kib);
	}
	if (f)
		fclose(f);
	return kib;
}

static void name_kind(unsigned kind, char *name, size_t len)
{
	static const char *const maps[] = {"", "0f ", "0f 38 ", "0f 3a "};
	snprintf(name, len, "%s%02x /%u", maps[kind >> 11], kind >> 3 & 0xff, kind & 7);
}

unsigned stats_top_kinds(const struct vm *vm, struct kind_count *top, unsigned max)
{
	const uint64_t *counts = vm->cpu.interp_kinds;
	unsigned n = 0;
	for (unsigned kind = 0; counts && kind < CPU_KINDS; kind++) {
		struct kind_count new = {.count = counts[kind]};
		unsigned i = n;
		if (!new.count || (n == max && new.count <= top[n - 1].count))
			continue;
		name_kind(kind, new.name, sizeof(new.name));
		if (n < max)
			n++;
		else
			i--;
		for (; i && top[i - 1].count < new.count; i--)
			top[i] = top[i - 1];
		top[i] = new;
	}
	return n;
}

static void print_kinds(const struct vm *vm, FILE *out)
{
	struct kind_count top[12];
	unsigned n = stats_top_kinds(vm, top, 12);
	for (unsigned i = 0; i < n; i++)
		fprintf(out, "%16llu  of opcode %s\n", (unsigned long long)top[i].count, top[i].name);
}

void vm_print_stats(struct vm *vm, FILE *out)
{
	double seconds = (double)(vm_clock_ns() - vm->start_ns) / 1e9;
	fprintf(out, "\nringfence statistics%s%s (accel %s)\n", vm->options.name ? " of " : "",
		vm->options.name ? vm->options.name : "", vm->accel ? vm->accel->name : "none");
	fprintf(out, "-- machine\n%16.3f  seconds from start to end\n%16.3f  seconds halted\n",
		seconds, (double)vm->halt_ns / 1e9);
	line(out, vm->interrupts, "external interrupts taken");
	line(out, vm->nmis, "NMIs taken");
	line(out, vm->ports_in, "port reads");
	line(out, vm->ports_out, "port writes");
	line(out, vm->resets, "resets, the first start included");
	fprintf(out, "-- cpu\n");
	line(out, vm->cpu.interp_count, "instructions interpreted");
	print_kinds(vm, out);
	if (vm->mmu)
		print_mmu(vm, out);
	if (vm->accel_state) {
		fprintf(out, "-- accelerator\n");
		vm->accel->stats(vm->accel_state, out);
	}
	fprintf(out, "-- host memory\n");
	line(out, stats_process_kib("RssAnon"), "KiB private to the monitor now");
	line(out, stats_process_kib("RssShmem"), "KiB of guest RAM and translation cache touched now");
	fflush(out);
}
