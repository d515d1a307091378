/*
 * The names of CPUID feature bits (QEMU's), which of them are implemented, and
 * what each stands on.
 */
#include "cpu/model.h"

#include <string.h>
#include <strings.h>

static const struct feature features[] = {
	{"fpu", FEAT_1_EDX, 0, true},
	{"vme", FEAT_1_EDX, 1, false},
	{"de", FEAT_1_EDX, 2, true},
	{"pse", FEAT_1_EDX, 3, true},
	{"tsc", FEAT_1_EDX, 4, true},
	{"msr", FEAT_1_EDX, 5, true},
	{"pae", FEAT_1_EDX, 6, true},
	{"mce", FEAT_1_EDX, 7, true},
	{"cx8", FEAT_1_EDX, 8, true},
	{"apic", FEAT_1_EDX, 9, true},
	{"sep", FEAT_1_EDX, 11, true},
	{"mtrr", FEAT_1_EDX, 12, true},
	{"pge", FEAT_1_EDX, 13, true},
	{"mca", FEAT_1_EDX, 14, true},
	{"cmov", FEAT_1_EDX, 15, true},
	{"pat", FEAT_1_EDX, 16, true},
	{"pse36", FEAT_1_EDX, 17, true},
	{"pn", FEAT_1_EDX, 18, false},
	{"clflush", FEAT_1_EDX, 19, true},
	{"ds", FEAT_1_EDX, 21, false},
	{"acpi", FEAT_1_EDX, 22, false},
	{"mmx", FEAT_1_EDX, 23, true},
	{"fxsr", FEAT_1_EDX, 24, true},
	{"sse", FEAT_1_EDX, 25, true},
	{"sse2", FEAT_1_EDX, 26, true},
	{"ss", FEAT_1_EDX, 27, false},
	{"ht", FEAT_1_EDX, 28, false},
	{"tm", FEAT_1_EDX, 29, false},
	{"ia64", FEAT_1_EDX, 30, false},
	{"pbe", FEAT_1_EDX, 31, false},
	{"sse3", FEAT_1_ECX, 0, true},
	{"pni", FEAT_1_ECX, 0, true},
	{"pclmulqdq", FEAT_1_ECX, 1, false},
	{"dtes64", FEAT_1_ECX, 2, false},
	{"monitor", FEAT_1_ECX, 3, false},
	{"ds-cpl", FEAT_1_ECX, 4, false},
	{"vmx", FEAT_1_ECX, 5, false},
	{"smx", FEAT_1_ECX, 6, false},
	{"est", FEAT_1_ECX, 7, false},
	{"tm2", FEAT_1_ECX, 8, false},
	{"ssse3", FEAT_1_ECX, 9, true},
	{"fma", FEAT_1_ECX, 12, false},
	{"cx16", FEAT_1_ECX, 13, false},
	{"xtpr", FEAT_1_ECX, 14, false},
	{"pdcm", FEAT_1_ECX, 15, false},
	{"pcid", FEAT_1_ECX, 17, false},
	{"dca", FEAT_1_ECX, 18, false},
	{"sse4.1", FEAT_1_ECX, 19, true},
	{"sse4-1", FEAT_1_ECX, 19, true},
	{"sse4.2", FEAT_1_ECX, 20, true},
	{"sse4-2", FEAT_1_ECX, 20, true},
	{"x2apic", FEAT_1_ECX, 21, false},
	{"movbe", FEAT_1_ECX, 22, false},
	{"popcnt", FEAT_1_ECX, 23, true},
	{"tsc-deadline", FEAT_1_ECX, 24, false},
	{"aes", FEAT_1_ECX, 25, false},
	{"xsave", FEAT_1_ECX, 26, false},
	{"osxsave", FEAT_1_ECX, 27, false},
	{"avx", FEAT_1_ECX, 28, false},
	{"f16c", FEAT_1_ECX, 29, false},
	{"rdrand", FEAT_1_ECX, 30, false},
	{"hypervisor", FEAT_1_ECX, 31, true},
	{"fsgsbase", FEAT_7_EBX, 0, false},
	{"tsc-adjust", FEAT_7_EBX, 1, true},
	{"bmi1", FEAT_7_EBX, 3, false},
	{"hle", FEAT_7_EBX, 4, false},
	{"avx2", FEAT_7_EBX, 5, false},
	{"smep", FEAT_7_EBX, 7, false},
	{"bmi2", FEAT_7_EBX, 8, false},
	{"erms", FEAT_7_EBX, 9, false},
	{"invpcid", FEAT_7_EBX, 10, false},
	{"rtm", FEAT_7_EBX, 11, false},
	{"rdseed", FEAT_7_EBX, 18, false},
	{"adx", FEAT_7_EBX, 19, false},
	{"smap", FEAT_7_EBX, 20, false},
	{"clflushopt", FEAT_7_EBX, 23, false},
	{"clwb", FEAT_7_EBX, 24, false},
	{"sha-ni", FEAT_7_EBX, 29, false},
	{"md-clear", FEAT_7_EDX, 10, false},
	{"spec-ctrl", FEAT_7_EDX, 26, false},
	{"stibp", FEAT_7_EDX, 27, false},
	{"flush-l1d", FEAT_7_EDX, 28, false},
	{"arch-capabilities", FEAT_7_EDX, 29, true},
	{"ssbd", FEAT_7_EDX, 31, false},
	{"syscall", FEAT_81_EDX, 11, false},
	{"nx", FEAT_81_EDX, 20, true},
	{"xd", FEAT_81_EDX, 20, true},
	{"mmxext", FEAT_81_EDX, 22, false},
	{"fxsr-opt", FEAT_81_EDX, 25, false},
	{"pdpe1gb", FEAT_81_EDX, 26, false},
	{"rdtscp", FEAT_81_EDX, 27, false},
	{"lm", FEAT_81_EDX, 29, false},
	{"3dnowext", FEAT_81_EDX, 30, false},
	{"3dnow", FEAT_81_EDX, 31, false},
	{"lahf-lm", FEAT_81_ECX, 0, false},
	{"svm", FEAT_81_ECX, 2, false},
	{"abm", FEAT_81_ECX, 5, false},
	{"sse4a", FEAT_81_ECX, 6, false},
	{"3dnowprefetch", FEAT_81_ECX, 8, false},
	{"invtsc", FEAT_87_EDX, 8, true},
};

static const struct {
	uint8_t word, bit, on_word, on_bit;
} foundations[] = {
	{FEAT_1_EDX, F1D_SSE, FEAT_1_EDX, F1D_FXSR},
	{FEAT_1_EDX, F1D_SSE2, FEAT_1_EDX, F1D_SSE},
	{FEAT_1_ECX, F1C_SSE3, FEAT_1_EDX, F1D_SSE2},
	{FEAT_1_ECX, F1C_SSSE3, FEAT_1_ECX, F1C_SSE3},
	{FEAT_1_ECX, F1C_SSE41, FEAT_1_ECX, F1C_SSSE3},
	{FEAT_1_ECX, F1C_SSE42, FEAT_1_ECX, F1C_SSE41},
	{FEAT_1_EDX, F1D_MMX, FEAT_1_EDX, F1D_FPU},
	{FEAT_1_EDX, F1D_FXSR, FEAT_1_EDX, F1D_FPU},
	{FEAT_1_EDX, F1D_MCA, FEAT_1_EDX, F1D_MCE},
	{FEAT_81_EDX, F81D_NX, FEAT_1_EDX, F1D_PAE},
	{FEAT_87_EDX, F87D_INVTSC, FEAT_1_EDX, F1D_TSC},
	{FEAT_7_EBX, F7B_TSC_ADJUST, FEAT_1_EDX, F1D_TSC},
};

const struct feature *feature_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
		if (strlen(features[i].name) == len &&
		    strncasecmp(features[i].name, name, len) == 0)
			return &features[i];
	}
	return NULL;
}

const struct feature *feature_nth(unsigned n)
{
	return n < ARRAY_LEN(features) ? &features[n] : NULL;
}

/* SSE3 and later are executed by the host's own units, so the host must have them. */
uint32_t features_implemented(unsigned word)
{
	const uint32_t borrowed = 1u << F1C_SSE3 | 1u << F1C_SSSE3 | 1u << F1C_SSE41 |
				  1u << F1C_SSE42 | 1u << F1C_POPCNT;
	uint32_t bits = 0;

	for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
		if (features[i].word == word && features[i].implemented)
			bits |= 1u << features[i].bit;
	}
	if (word == FEAT_1_ECX)
		bits &= host_leaf1_ecx() | ~borrowed;
	if (word == FEAT_87_EDX && !host_tsc_invariant())
		bits &= ~(1u << F87D_INVTSC);
	return bits;
}

void features_settle(uint32_t words[7])
{
	/* Foundations may stand on others that come later in the table. */
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < ARRAY_LEN(foundations); i++) {
			if (!(words[foundations[i].on_word] >> foundations[i].on_bit & 1))
				words[foundations[i].word] &= ~(1u << foundations[i].bit);
		}
	}
}
