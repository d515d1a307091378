/*
 * Processor models, and the -cpu option.
 *
 * A model is a name for a signature, leaf limits and feature words. The default
 * is everything that is implemented; the others are processors of the period
 * with QEMU's names, less what is not implemented. Models say the same on
 * every host, except that instructions borrowed from the host's SIMD units
 * need a host that has them.
 */
#include "cpu/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define B(bit) (1u << (bit))
enum {
	EDX_486 = B(F1D_FPU),
	EDX_PENTIUM = EDX_486 | B(F1D_DE) | B(F1D_PSE) | B(F1D_TSC) | B(F1D_MSR) | B(F1D_MCE) |
		      B(F1D_CX8) | B(F1D_MMX),
	EDX_PENTIUM2 = EDX_PENTIUM | B(F1D_PAE) | B(F1D_APIC) | B(F1D_SEP) | B(F1D_MTRR) |
		       B(F1D_PGE) | B(F1D_MCA) | B(F1D_CMOV) | B(F1D_PAT) | B(F1D_PSE36) |
		       B(F1D_FXSR),
	EDX_PENTIUM3 = EDX_PENTIUM2 | B(F1D_SSE),
	EDX_CORE = EDX_PENTIUM3 | B(F1D_SSE2) | B(F1D_CLFLUSH),
	EDX_QEMU32 = EDX_PENTIUM3 & ~(B(F1D_MTRR) | B(F1D_MCA) | B(F1D_PSE36)),
};
#define HV	(1u << F1C_HYPERVISOR)
#define ECX_ALL (B(F1C_SSE3) | B(F1C_SSSE3) | B(F1C_SSE41) | B(F1C_SSE42) | B(F1C_POPCNT) | HV)

static const struct cpu_model models[] = {
	{
		.name = "ringfence",
		.description = "everything that is implemented (default; also: max)",
		.vendor = "GenuineIntel",
		.brand = "Ringfence Virtual CPU",
		.family = 6,
		.model = 15,
		.stepping = 11,
		.features = {EDX_CORE, ECX_ALL, B(F7B_TSC_ADJUST), B(F7D_ARCH_CAP), B(F81D_NX), 0,
			     B(F87D_INVTSC)},
		.level = 7,
		.xlevel = 0x80000008,
	},
	{
		.name = "qemu32",
		.description = "QEMU's generic 32-bit processor",
		.vendor = "GenuineIntel",
		.brand = "Ringfence Virtual CPU (qemu32)",
		.family = 6,
		.model = 6,
		.stepping = 3,
		.features = {EDX_QEMU32 | B(F1D_SSE2), B(F1C_SSE3) | HV},
		.level = 4,
		.xlevel = 0x80000004,
	},
	{
		.name = "486",
		.description = "Intel 486 DX2",
		.vendor = "GenuineIntel",
		.family = 4,
		.model = 8,
		.stepping = 0,
		.features = {EDX_486, HV},
		.level = 1,
	},
	{
		.name = "pentium",
		.description = "Intel Pentium with MMX",
		.vendor = "GenuineIntel",
		.family = 5,
		.model = 4,
		.stepping = 3,
		.features = {EDX_PENTIUM, HV},
		.level = 1,
	},
	{
		.name = "pentium2",
		.description = "Intel Pentium II",
		.vendor = "GenuineIntel",
		.family = 6,
		.model = 5,
		.stepping = 2,
		.features = {EDX_PENTIUM2, HV},
		.level = 2,
	},
	{
		.name = "pentium3",
		.description = "Intel Pentium III",
		.vendor = "GenuineIntel",
		.family = 6,
		.model = 8,
		.stepping = 3,
		.features = {EDX_PENTIUM3, HV},
		.level = 3,
	},
	{
		.name = "coreduo",
		.description = "Intel Core Duo",
		.vendor = "GenuineIntel",
		.brand = "Genuine Intel(R) CPU           T2600  @ 2.16GHz",
		.family = 6,
		.model = 14,
		.stepping = 8,
		.features = {EDX_CORE, B(F1C_SSE3) | HV, 0, 0, B(F81D_NX)},
		.level = 10,
		.xlevel = 0x80000008,
	},
	{
		.name = "n270",
		.description = "Intel Atom N270",
		.vendor = "GenuineIntel",
		.brand = "Intel(R) Atom(TM) CPU N270   @ 1.60GHz",
		.family = 6,
		.model = 28,
		.stepping = 2,
		.features = {EDX_CORE, B(F1C_SSE3) | B(F1C_SSSE3) | HV, 0, 0, B(F81D_NX)},
		.level = 10,
		.xlevel = 0x80000008,
	},
};

static const struct {
	const char *alias, *name;
} aliases[] = {
	{"max", "ringfence"},
	{"base", "pentium2"},
	{"qemu32-v1", "qemu32"},
};
#undef B

const struct cpu_model *cpu_model_nth(unsigned n)
{
	return n < ARRAY_LEN(models) ? &models[n] : NULL;
}

/* SDM: "Version Information Returned by CPUID in EAX". */
uint32_t model_signature(const struct cpu_model *m)
{
	uint32_t family = m->family > 15 ? 15u << 8 | (m->family - 15) << 20 : m->family << 8;

	return m->stepping | (m->model & 0xf) << 4 | family | (m->model >> 4) << 16;
}

/* ---- parsing ---- */

static bool same(const char *text, size_t len, const char *name)
{
	return strlen(name) == len && strncasecmp(text, name, len) == 0;
}

static const struct cpu_model *model_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < ARRAY_LEN(aliases); i++) {
		if (same(name, len, aliases[i].alias)) {
			name = aliases[i].name;
			len = strlen(name);
			break;
		}
	}
	for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
		if (same(name, len, models[i].name))
			return &models[i];
	}
	return NULL;
}

static bool apply_feature(struct cpu_model *m, const char *name, size_t len, bool on, char *err,
			  size_t errlen)
{
	const struct feature *f = feature_find(name, len);

	if (!f) {
		snprintf(err, errlen, "-cpu: there is no feature '%.*s'", (int)len, name);
		return false;
	}
	if (!on) {
		m->features[f->word] &= ~(1u << f->bit);
		return true;
	}
	if (!(features_implemented(f->word) >> f->bit & 1)) {
		snprintf(err, errlen, "-cpu: feature '%s' is not implemented%s; leave it out",
			 f->name, f->implemented ? " on this host" : "");
		return false;
	}
	m->features[f->word] |= 1u << f->bit;
	return true;
}

/* Numbers of the signature and the leaf limits, as QEMU names them. */
static bool apply_number(struct cpu_model *m, const char *name, size_t len, const char *value,
			 size_t vlen, bool *known, char *err, size_t errlen)
{
	const struct {
		const char *name;
		uint32_t *field;
		uint32_t max;
	} row[] = {
		{"family", &m->family, 270},	    {"model", &m->model, 255},
		{"stepping", &m->stepping, 15},	    {"level", &m->level, 0x16},
		{"xlevel", &m->xlevel, 0x80000008},
	};
	char digits[16], *end;

	*known = false;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		if (!same(name, len, row[i].name))
			continue;
		*known = true;
		snprintf(digits, sizeof(digits), "%.*s", (int)vlen, value);
		unsigned long v = strtoul(digits, &end, 0);
		if (!vlen || *end || digits[0] == '-' || vlen >= sizeof(digits) || v > row[i].max) {
			snprintf(err, errlen, "-cpu: %s must be a number up to %u, not '%.*s'",
				 row[i].name, row[i].max, (int)vlen, value);
			return false;
		}
		*row[i].field = (uint32_t)v;
	}
	return true;
}

static bool apply_text(struct cpu_model *m, const char *name, size_t len, const char *value,
		       size_t vlen, bool *known, char *err, size_t errlen)
{
	*known = true;
	if (same(name, len, "vendor")) {
		if (vlen != 12) {
			snprintf(err, errlen, "-cpu: vendor must have 12 characters");
			return false;
		}
		memcpy(m->vendor, value, 12);
		return true;
	}
	if (same(name, len, "model-id")) {
		if (vlen >= sizeof(m->brand)) {
			snprintf(err, errlen, "-cpu: model-id must have at most 48 characters");
			return false;
		}
		memset(m->brand, 0, sizeof(m->brand));
		memcpy(m->brand, value, vlen);
		return true;
	}
	*known = false;
	return true;
}

static bool apply_assignment(struct cpu_model *m, const char *name, size_t len, const char *value,
			     size_t vlen, char *err, size_t errlen)
{
	bool known;

	if (!apply_number(m, name, len, value, vlen, &known, err, errlen))
		return false;
	if (!known && !apply_text(m, name, len, value, vlen, &known, err, errlen))
		return false;
	if (known)
		return true;
	bool on = same(value, vlen, "on") || same(value, vlen, "true") || same(value, vlen, "yes");
	if (!on && !same(value, vlen, "off") && !same(value, vlen, "false") &&
	    !same(value, vlen, "no")) {
		snprintf(err, errlen, "-cpu: '%.*s' must be on or off, not '%.*s'", (int)len, name,
			 (int)vlen, value);
		return false;
	}
	return apply_feature(m, name, len, on, err, errlen);
}

/* One comma-separated item; underscores in names are dashes, as in QEMU. */
static bool apply_item(struct cpu_model *m, const char *item, size_t len, char *err, size_t errlen)
{
	const char *equals = memchr(item, '=', len);
	char name[32];
	size_t nlen = equals ? (size_t)(equals - item) : len;
	bool sign = nlen && (item[0] == '+' || item[0] == '-');

	if (nlen <= sign || nlen - sign >= sizeof(name) || (sign && equals)) {
		snprintf(err, errlen,
			 "-cpu: cannot read '%.*s'; write +feature, -feature or feature=on|off",
			 (int)(len > 60 ? 60 : len), item);
		return false;
	}
	nlen -= sign;
	for (size_t i = 0; i < nlen; i++)
		name[i] = item[i + sign] == '_' ? '-' : item[i + sign];
	if (equals)
		return apply_assignment(m, name, nlen, equals + 1,
					len - (size_t)(equals + 1 - item), err, errlen);
	return apply_feature(m, name, nlen, !sign || item[0] == '+', err, errlen);
}

/* A feature switched on brings the leaf that reports it. */
static void raise_levels(struct cpu_model *m)
{
	const struct {
		uint8_t word;
		uint32_t *level, least;
	} row[] = {
		{FEAT_7_EBX, &m->level, 7},
		{FEAT_7_EDX, &m->level, 7},
		{FEAT_81_EDX, &m->xlevel, 0x80000001},
		{FEAT_81_ECX, &m->xlevel, 0x80000001},
		{FEAT_87_EDX, &m->xlevel, 0x80000007},
	};

	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		if (m->features[row[i].word] && *row[i].level < row[i].least)
			*row[i].level = row[i].least;
	}
}

static void finish(struct cpu_model *m)
{
	for (unsigned w = 0; w < ARRAY_LEN(m->features); w++)
		m->features[w] &= features_implemented(w);
	features_settle(m->features);
	raise_levels(m);
	m->hypervisor_leaf = m->features[FEAT_1_ECX] >> F1C_HYPERVISOR & 1;
	if (m->features[FEAT_7_EDX] >> F7D_ARCH_CAP & 1)
		m->arch_capabilities = host_arch_capabilities();
}

bool cpu_model_parse(const char *text, struct cpu_model *out, char *err, size_t errlen)
{
	size_t len = strcspn(text, ",");
	const struct cpu_model *base = model_find(text, len);

	if (!base) {
		snprintf(err, errlen, "-cpu: there is no model '%.*s'; '-cpu help' lists them",
			 (int)(len > 60 ? 60 : len), text);
		return false;
	}
	*out = *base;
	for (const char *p = text + len; *p; p += len) {
		p++;
		len = strcspn(p, ",");
		if (!apply_item(out, p, len, err, errlen))
			return false;
	}
	finish(out);
	return true;
}

/* ---- the TSC's frequency ---- */

/* Do the model's leaves go so far, or may they? */
static bool may_tell_tsc(const struct cpu_model *m)
{
	return m->level >= 7 && m->level != 10;
}

void cpu_model_defer_tsc(struct cpu_model *m, void (*asked)(struct cpu_model *))
{
	if (!may_tell_tsc(m))
		return;
	m->level = 0x16;
	m->tsc_asked = asked;
}

/*
 * Kernels compute crystal_khz * num in 32 bits; among the fractions for which
 * that fits, take the one nearest to the true ratio.
 */
void cpu_model_set_tsc_hz(struct cpu_model *m, uint64_t tsc_hz, uint64_t crystal_hz)
{
	uint64_t tsc = (tsc_hz + 500) / 1000, crystal = crystal_hz / 1000;
	uint64_t best = UINT64_MAX;

	m->tsc_asked = NULL;
	m->tsc_khz = m->crystal_khz = m->tsc_num = m->tsc_den = 0;
	if (!may_tell_tsc(m) || !tsc || tsc >= 1u << 26 || !crystal || crystal >= 1u << 22)
		return;
	m->level = 0x16;
	m->tsc_khz = (uint32_t)tsc;
	m->crystal_khz = (uint32_t)crystal;
	for (uint64_t den = 1; den <= 10000; den++) {
		uint64_t num = (tsc * den + crystal / 2) / crystal;
		if (num * crystal > UINT32_MAX)
			break;
		uint64_t got = num * crystal, want = tsc * den;
		uint64_t error = (got > want ? got - want : want - got) * 10000 / den;
		if (num && error < best) {
			best = error;
			m->tsc_num = (uint32_t)num;
			m->tsc_den = (uint32_t)den;
		}
	}
}
