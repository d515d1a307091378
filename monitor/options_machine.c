/* Handlers of the options that describe the virtual machine. */
#include "mmu/mmu.h"
#include "monitor/keyval.h"
#include "monitor/options_internal.h"

#include <string.h>
#include <time.h>

/* 36 address bits, less the hole below 4 GiB. */
#define RAM_MAX ((64ull << 30) - ((4ull << 30) - PHYSMAP_HOLE_START))
#define RAM_MIN (1ull << 20)

static bool is_help(const char *arg)
{
	return !strcmp(arg, "help") || !strcmp(arg, "?");
}

static enum options_result too_long(struct option_context *c)
{
	return option_error(c, "-%s: one part of the value is longer than %d characters", c->name,
			    KEYVAL_MAX - 1);
}

enum options_result option_set_memory(struct option_context *c, const char *arg)
{
	const char *rest = arg;
	struct keyval kv;
	if (!keyval_next(&rest, &kv))
		return too_long(c);
	const char *number = kv.key;
	if (kv.value) {
		if (strcmp(kv.key, "size"))
			return option_error(c,
					    "-m %s: unknown key '%s': use -m SIZE, as in -m 512M",
					    arg, kv.key);
		number = kv.value;
	}
	if (rest)
		return option_error(c, "-m %s: memory cannot be added later: use -m SIZE alone",
				    arg);
	uint64_t bytes;
	if (!parse_size(number, 1 << 20, &bytes))
		return option_error(
			c, "-m %s: not a size: use a number of MiB, or one with k, M or G", arg);
	if (bytes < RAM_MIN || bytes > RAM_MAX)
		return option_error(c, "-m %s: out of range: between 1M and %lluM", arg,
				    (unsigned long long)(RAM_MAX >> 20));
	c->o->ram = (bytes + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
	return OPTIONS_RUN;
}

enum options_result option_set_cpu(struct option_context *c, const char *arg)
{
	if (is_help(arg)) {
		const struct cpu_model *m;
		fputs("Processor models:\n", c->out);
		for (unsigned i = 0; (m = cpu_model_nth(i)); i++)
			fprintf(c->out, "  %-12s %s\n", m->name, m->description);
		return OPTIONS_DONE;
	}
	char why[256];
	if (!cpu_model_parse(arg, &c->o->cpu, why, sizeof(why)))
		return option_error(c, "%s", why);
	return OPTIONS_RUN;
}

enum options_result option_set_smp(struct option_context *c, const char *arg)
{
	static const char *const keys[] = {"cpus", "maxcpus", "sockets",
					   "dies", "cores",   "threads"};
	const char *rest = arg;
	while (rest) {
		struct keyval kv;
		if (!keyval_next(&rest, &kv))
			return too_long(c);
		bool known = !kv.value;
		for (size_t i = 0; i < ARRAY_LEN(keys) && !known; i++)
			known = !strcmp(kv.key, keys[i]);
		uint64_t n;
		if (!known || !parse_number(kv.value ? kv.value : kv.key, UINT32_MAX, &n))
			return option_error(c, "-smp %s: not understood: use -smp 1", arg);
		if (n != 1)
			return option_error(
				c, "-smp %s: only one processor is available: use -smp 1", arg);
	}
	return OPTIONS_RUN;
}

/* The name in "-accel NAME" and "accel=NAME". */
static enum options_result set_accel_name(struct option_context *c, const char *name)
{
	if (!strcmp(name, "dbt"))
		c->o->accel.kind = ACCEL_DBT;
	else if (!strcmp(name, "interp"))
		c->o->accel.kind = ACCEL_INTERP;
	else
		return option_error(c, "-%s: unknown accelerator '%s': use dbt or interp", c->name,
				    name);
	return OPTIONS_RUN;
}

/* ---- keys of -accel dbt ---- */

static enum options_result set_switch(struct option_context *c, const struct keyval *kv, bool *sw)
{
	if (!kv->value || !parse_switch(kv->value, sw))
		return option_error(c, "-accel: %s is on or off", kv->key);
	return OPTIONS_RUN;
}

static enum options_result set_lockstep(struct option_context *c, const struct keyval *kv)
{
	return set_switch(c, kv, &c->o->accel.lockstep);
}

static enum options_result set_verify(struct option_context *c, const struct keyval *kv)
{
	return set_switch(c, kv, &c->o->accel.verify);
}

static enum options_result set_counts(struct option_context *c, const struct keyval *kv)
{
	return set_switch(c, kv, &c->o->accel.counts);
}

/* tc-size, and QEMU's name for it, which counts MiB too; there 0 means the default. */
static enum options_result set_tc_size(struct option_context *c, const struct keyval *kv)
{
	uint64_t *size = &c->o->accel.tc_size;

	if (!strcmp(kv->key, "tb-size") && kv->value && !strcmp(kv->value, "0"))
		return OPTIONS_RUN;
	if (!kv->value || !parse_size(kv->value, 1 << 20, size) || *size < (1 << 20) || *size > (1ull << 30))
		return option_error(c, "-accel: %s is a size between 1M and 1G", kv->key);
	return OPTIONS_RUN;
}

/* auto, on or off: the caller's three values, in this order. */
static enum options_result set_gear(struct option_context *c, const struct keyval *kv, const int values[3],
				    int *out)
{
	bool on;

	if (kv->value && !strcmp(kv->value, "auto"))
		*out = values[0];
	else if (kv->value && parse_switch(kv->value, &on))
		*out = on ? values[1] : values[2];
	else
		return option_error(c, "-accel: %s is auto, on or off", kv->key);
	return OPTIONS_RUN;
}

static enum options_result set_lookup(struct option_context *c, const struct keyval *kv)
{
	static const int values[] = {LOOKUP_AUTO, LOOKUP_ON, LOOKUP_OFF};
	int value = c->o->accel.lookup;
	enum options_result r = set_gear(c, kv, values, &value);

	c->o->accel.lookup = (enum accel_lookup)value;
	return r;
}

static enum options_result set_direct(struct option_context *c, const struct keyval *kv)
{
	static const int values[] = {DIRECT_AUTO, DIRECT_ON, DIRECT_OFF};
	int value = c->o->accel.direct;
	enum options_result r = set_gear(c, kv, values, &value);

	c->o->accel.direct = (enum accel_direct)value;
	return r;
}

static const struct {
	const char *key;
	enum options_result (*set)(struct option_context *, const struct keyval *);
} accel_keys[] = {
	{"counts", set_counts}, {"direct", set_direct},   {"lockstep", set_lockstep},
	{"lookup", set_lookup}, {"tb-size", set_tc_size}, {"tc-size", set_tc_size},
	{"verify", set_verify},
};

static enum options_result set_accel_key(struct option_context *c, const struct keyval *kv)
{
	for (size_t i = 0; i < ARRAY_LEN(accel_keys); i++) {
		if (strcmp(kv->key, accel_keys[i].key))
			continue;
		if (c->o->accel.kind != ACCEL_DBT)
			return option_error(c, "-accel: '%s' belongs to -accel dbt", kv->key);
		return accel_keys[i].set(c, kv);
	}
	return option_error(c, "-accel: unknown key '%s': use counts, direct, lockstep, lookup, tc-size or verify", kv->key);
}

enum options_result option_set_accel(struct option_context *c, const char *arg)
{
	if (is_help(arg)) {
		fputs("Accelerators:\n"
		      "  dbt          translate guest code (default)\n"
		      "    counts=on|off    count how often each block is executed, for the debug monitor\n"
		      "    direct=auto|on|off  run user code untranslated in confined processes: what computes (auto,\n"
		      "                     the default), all, or none\n"
		      "    lockstep=on|off  run every block in the interpreter too and compare\n"
		      "    lookup=auto|on|off  which user code reaches memory through the software TLB: that of\n"
		      "                     young address spaces (auto), all, or none\n"
		      "    tc-size=N        size of the translation cache, in MiB unless it has a suffix;\n"
		      "                     QEMU's tb-size=N is the same\n"
		      "    verify=on|off    check every translation before it runs\n"
		      "  interp       interpret every instruction (slow; the reference)\n",
		      c->out);
		return OPTIONS_DONE;
	}
	const char *rest = arg;
	struct keyval kv;
	if (!keyval_next(&rest, &kv))
		return too_long(c);
	if (kv.value)
		return option_error(c,
				    "-accel %s: name the accelerator first, as in -accel dbt,%s=%s",
				    arg, kv.key, kv.value);
	enum options_result r = set_accel_name(c, kv.key);
	while (r == OPTIONS_RUN && rest) {
		if (!keyval_next(&rest, &kv))
			return too_long(c);
		r = set_accel_key(c, &kv);
	}
	return r;
}

enum options_result option_set_machine(struct option_context *c, const char *arg)
{
	if (is_help(arg)) {
		fputs("Machine types:\n  pc           a PC with ISA, PCI and ACPI (default)\n",
		      c->out);
		return OPTIONS_DONE;
	}
	const char *rest = arg;
	for (bool first = true; rest; first = false) {
		struct keyval kv;
		if (!keyval_next(&rest, &kv))
			return too_long(c);
		if (kv.value && !strcmp(kv.key, "accel")) {
			enum options_result r = set_accel_name(c, kv.value);
			if (r != OPTIONS_RUN)
				return r;
			continue;
		}
		const char *type = kv.value && !strcmp(kv.key, "type") ? kv.value
				   : !kv.value && first		       ? kv.key
								       : NULL;
		if (!type)
			return option_error(c, "-%s: unknown setting '%s': use pc[,accel=dbt]",
					    c->name, kv.key);
		if (strcmp(type, "pc"))
			return option_error(c, "-%s: unknown machine type '%s': use pc", c->name,
					    type);
	}
	return OPTIONS_RUN;
}

/* 2026-01-31T12:00:00 or 2026-01-31; UTC, as in QEMU. */
static bool parse_date(const char *text, int64_t *seconds)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end) {
		memset(&tm, 0, sizeof(tm));
		end = strptime(text, "%Y-%m-%d", &tm);
	}
	/* The chip counts two century digits; strptime takes the 30th of February. */
	if (!end || *end || tm.tm_year < 70 || tm.tm_year > 8099)
		return false;
	int month = tm.tm_mon, day = tm.tm_mday;
	*seconds = timegm(&tm);
	return tm.tm_mon == month && tm.tm_mday == day;
}

static bool set_rtc_key(struct rtc_config *rtc, const struct keyval *kv)
{
	if (!kv->value)
		return false;
	if (!strcmp(kv->key, "base")) {
		rtc->localtime = !strcmp(kv->value, "localtime");
		rtc->has_base = !rtc->localtime && strcmp(kv->value, "utc");
		return !rtc->has_base || parse_date(kv->value, &rtc->base);
	}
	if (!strcmp(kv->key, "clock")) {
		rtc->clock_vm = !strcmp(kv->value, "vm");
		return rtc->clock_vm || !strcmp(kv->value, "host") || !strcmp(kv->value, "rt");
	}
	if (!strcmp(kv->key, "driftfix")) {
		rtc->driftfix = !strcmp(kv->value, "slew");
		return rtc->driftfix || !strcmp(kv->value, "none");
	}
	return false;
}

enum options_result option_set_rtc(struct option_context *c, const char *arg)
{
	const char *rest = arg;
	while (rest) {
		struct keyval kv;
		if (!keyval_next(&rest, &kv))
			return too_long(c);
		if (!set_rtc_key(&c->o->rtc, &kv))
			return option_error(c,
					    "-rtc: '%s%s%s' not understood: use "
					    "base=utc|localtime|2026-01-31T12:00:00, "
					    "clock=host|rt|vm, driftfix=none|slew",
					    kv.key, kv.value ? "=" : "", kv.value ? kv.value : "");
	}
	return OPTIONS_RUN;
}

static enum options_result set_debug_exit(struct option_context *c, const char *rest)
{
	struct options *o = c->o;
	uint64_t base = 0x501, size = 2;
	while (rest) {
		struct keyval kv;
		if (!keyval_next(&rest, &kv))
			return too_long(c);
		bool ok = kv.value;
		if (ok && !strcmp(kv.key, "iobase"))
			ok = parse_number(kv.value, 0xffff, &base);
		else if (ok && !strcmp(kv.key, "iosize"))
			ok = parse_number(kv.value, 4, &size) &&
			     (size == 1 || size == 2 || size == 4);
		else
			ok = false;
		if (!ok)
			return option_error(c,
					    "-device isa-debug-exit: '%s' not understood: use "
					    "iobase=0-0xffff and "
					    "iosize=1, 2 or 4",
					    kv.key);
	}
	if (base + size > 0x10000)
		return option_error(
			c, "-device isa-debug-exit: the ports end beyond ffffh: lower iobase");
	o->debug_exit = true;
	o->debug_exit_base = (uint16_t)base;
	o->debug_exit_size = (uint16_t)size;
	return OPTIONS_RUN;
}

enum options_result option_set_device(struct option_context *c, const char *arg)
{
	if (is_help(arg)) {
		fputs("Devices:\n  isa-debug-exit[,iobase=0x501][,iosize=2]  writing v exits with "
		      "status 2v+1\n",
		      c->out);
		return OPTIONS_DONE;
	}
	const char *rest = arg;
	struct keyval kv;
	if (!keyval_next(&rest, &kv))
		return too_long(c);
	const char *name = kv.value && !strcmp(kv.key, "driver") ? kv.value : kv.key;
	if (strcmp(name, "isa-debug-exit"))
		return option_error(c, "-device: unknown device '%s': -device help lists them",
				    name);
	return set_debug_exit(c, rest);
}
