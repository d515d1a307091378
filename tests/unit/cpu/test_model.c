/* -cpu parsing and what CPUID makes of a model. */
#include "tests/unit/cpu/mock.h"

#include <string.h>

static bool parse(const char *text, struct cpu_model *m, char *err)
{
	return cpu_model_parse(text, m, err, 128);
}

static bool has(const struct cpu_model *m, unsigned word, unsigned bit)
{
	return m->features[word] >> bit & 1;
}

static void test_names(void **state)
{
	struct cpu_model m;
	char err[128];
	unsigned n = 0;

	for (; cpu_model_nth(n); n++) {
		assert_true(parse(cpu_model_nth(n)->name, &m, err));
		assert_true(has(&m, FEAT_1_EDX, 0));
		assert_true(m.description[0]);
	}
	assert_true(n >= 6);
	assert_true(parse("max", &m, err));
	assert_string_equal(m.name, "ringfence");
	assert_true(parse("Pentium3", &m, err));
	assert_false(parse("pentium9", &m, err));
	assert_non_null(strstr(err, "pentium9"));
	assert_null(strchr(err, '\n'));
	assert_false(parse("", &m, err));
}

static void test_features(void **state)
{
	struct cpu_model m;
	char err[128];

	assert_true(parse("max", &m, err));
	assert_true(has(&m, FEAT_81_EDX, 20));
	assert_true(parse("max,-nx", &m, err));
	assert_false(has(&m, FEAT_81_EDX, 20));
	assert_true(parse("max,pae=off", &m, err)); /* NX stands on PAE */
	assert_false(has(&m, FEAT_81_EDX, 20));
	assert_true(parse("pentium3,+sse2", &m, err));
	assert_true(has(&m, FEAT_1_EDX, 26));
	assert_true(
		parse("max,sse2=on,-sse", &m, err)); /* takes SSE2 and all that follow with it */
	assert_false(has(&m, FEAT_1_EDX, 26));
	assert_int_equal(m.features[FEAT_1_ECX] & (1 | 1 << 9 | 1 << 19 | 1 << 20), 0);
	assert_true(parse("max,-sse4_2,-SSE4.1", &m, err));
	assert_false(has(&m, FEAT_1_ECX, 20) || has(&m, FEAT_1_ECX, 19));
	assert_true(parse("max,-hypervisor", &m, err));
	assert_false(m.hypervisor_leaf);
	assert_true(parse("pentium3,+tsc-adjust,+nx", &m, err)); /* with the leaves that say so */
	assert_true(m.level == 7 && m.xlevel == 0x80000001);
	assert_true(parse("max,-avx,lm=off", &m, err)); /* off already: fine */
	static const char *const bad[] = {
		"max,+avx",
		"max,+lm",
		"max,vme=on",
		"max,+nonsense",
		"max,-",
		"max,+",
		"max,,",
		"max,nx=maybe",
		"max,family=x",
		"max,family=",
		"max,stepping=16",
		"max,vendor=short",
		"max,=on",
		"max,+nx=on",
		"max,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"max,model-id=0123456789012345678901234567890123456789012345678",
	};
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		err[0] = 0;
		if (parse(bad[i], &m, err) || !err[0] || strchr(err, '\n'))
			fail_msg("'%s' was accepted or has no message", bad[i]);
	}
	assert_true(parse("qemu32,family=5,model=0x1f,stepping=3,vendor=AuthenticAMD,model-id=A B",
			  &m, err));
	assert_int_equal(m.family, 5);
	assert_int_equal(m.model, 0x1f);
	assert_string_equal(m.vendor, "AuthenticAMD");
	assert_string_equal(m.brand, "A B");
}

static void cpuid(struct mock *m, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	cpu_cpuid(&m->cpu, leaf, sub, out);
}

static void test_leaves(void **state)
{
	struct mock *m = mock_create();
	uint32_t r[4], top[4];
	char text[49] = "";

	cpuid(m, 0, 0, r);
	assert_int_equal(r[0], 7);
	memcpy(text, &r[1], 4);
	memcpy(text + 4, &r[3], 4);
	memcpy(text + 8, &r[2], 4);
	assert_string_equal(text, "GenuineIntel");
	cpuid(m, 1, 0, r);
	assert_int_equal(r[0], 0x6fb);
	assert_int_equal(r[3], m->model.features[FEAT_1_EDX]);
	assert_true(r[3] & 1 << 9);
	m->cpu.msr.apic_base &= ~0x800ull; /* APIC off: its bit goes */
	cpuid(m, 1, 0, r);
	assert_false(r[3] & 1 << 9);
	cpuid(m, 4, 2, r);
	assert_int_equal((r[1] >> 22) + 1, 8);
	assert_int_equal(((r[1] >> 22) + 1) * ((r[1] & 0xfff) + 1) * (r[2] + 1), 2 << 20);
	cpuid(m, 4, 3, r);
	assert_int_equal(r[0], 0);
	cpuid(m, 7, 0, r);
	assert_true(r[3] & 1u << 29);
	cpuid(m, 7, 1, r);
	assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
	for (unsigned i = 0; i < 3; i++) {
		cpuid(m, 0x80000002 + i, 0, r);
		memcpy(text + 16 * i, r, 16);
	}
	assert_string_equal(text, m->model.brand);
	cpuid(m, 0x80000008, 0, r);
	assert_int_equal(r[0], 32 << 8 | 36);
	cpuid(m, 0x40000000, 0, r);
	assert_memory_equal(&r[1], "RingfenceVMM", 12);
	cpuid(m, 0x40000001, 0, r);
	assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
	/* Beyond the end: the highest basic leaf. */
	cpuid(m, 7, 0, top);
	cpuid(m, 0x1234, 0, r);
	assert_memory_equal(r, top, sizeof(r));
	cpuid(m, 0x80000009, 0, r);
	assert_memory_equal(r, top, sizeof(r));
	/* MISC_ENABLE's limit for old systems */
	assert_int_equal(cpu_wrmsr(&m->cpu, 0x1a0, 1 << 22), OUT_OK);
	cpuid(m, 0, 0, r);
	assert_int_equal(r[0], 3);
	/* the instruction */
	mock_protect(m, 3);
	m->cpu.gpr[R_EAX] = 0x80000000;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0xa2), OUT_OK);
	assert_int_equal(m->cpu.gpr[R_EAX], 0x80000008);
	mock_destroy(m);
}

static void test_tsc_frequency(void **state)
{
	static const uint64_t freq[] = {800000000, 2399987654, 4200123000, 5700000000};
	static const uint64_t crystal[] = {24000000, 25000000, 1000000000};
	struct mock *m = mock_create();
	uint32_t r[4];

	for (unsigned f = 0; f < ARRAY_LEN(freq); f++) {
		for (unsigned c = 0; c < ARRAY_LEN(crystal); c++) {
			cpu_model_set_tsc_hz(&m->model, freq[f], crystal[c]);
			cpuid(m, 0, 0, r);
			assert_int_equal(r[0], 0x16);
			cpuid(m, 0x15, 0, r);
			assert_int_equal(r[2], crystal[c]);
			assert_true(r[0] && (uint64_t)(r[2] / 1000) * r[1] <= UINT32_MAX);
			uint64_t khz =
				r[2] / 1000 * r[1] / r[0]; /* as Linux computes it, in 32 bits */
			int64_t off = (int64_t)khz - (int64_t)(freq[f] / 1000);
			/* never worse than half a step of the largest denominator that fits */
			uint64_t step = (crystal[c] / 1000) * (freq[f] / 1000) / UINT32_MAX;
			assert_true((off < 0 ? -off : off) <= (int64_t)(step * 6 / 10 + 2));
			cpuid(m, 0x16, 0, r);
			assert_int_equal(r[0], (freq[f] + 500) / 1000000);
		}
	}
	cpu_model_set_tsc_hz(&m->model, 0, 0);
	cpuid(m, 0x15, 0, r);
	assert_int_equal(r[0] | r[1] | r[2], 0);
	mock_destroy(m);
}

static unsigned times_asked;

static void when_asked(struct cpu_model *model)
{
	times_asked++;
	cpu_model_set_tsc_hz(model, 2500000000, 1000000000);
}

/* Found when a guest wants it, once; the highest leaf is told before. */
static void test_tsc_deferred(void **state)
{
	struct cpu_model coreduo;
	struct mock *m = mock_create();
	uint32_t r[4];
	char err[128];

	cpu_model_defer_tsc(&m->model, when_asked);
	cpuid(m, 0, 0, r);
	assert_int_equal(r[0], 0x16);
	cpuid(m, 1, 0, r);
	assert_int_equal(times_asked, 0);
	cpuid(m, 0x15, 0, r);
	assert_int_equal((uint64_t)r[2] * r[1] / r[0], 2500000000);
	cpuid(m, 0x16, 0, r);
	assert_int_equal(r[0], 2500);
	cpuid(m, 0x15, 0, r);
	assert_int_equal(times_asked, 1);
	mock_destroy(m);
	assert_true(parse("coreduo", &coreduo, err));
	cpu_model_defer_tsc(&coreduo, when_asked);
	assert_int_equal(coreduo.level, 10);
	assert_null(coreduo.tsc_asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_tsc_frequency),
		cmocka_unit_test(test_tsc_deferred),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
