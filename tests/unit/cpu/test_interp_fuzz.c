/*
 * Random bytes as instructions, in every mode, on memory with holes. The
 * interpreter must never crash, and an instruction that faults must leave the
 * processor as it was: registers, flags, segments, vector state.
 *
 * RINGFENCE_FUZZ_SEED and RINGFENCE_FUZZ_COUNT change the seed and the length of the run.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/fpu.h"
#include "tests/unit/cpu/mock.h"

enum { REAL_IP = 0x100, REAL_CS = MOCK_CODE >> 4 };

static uint64_t rng_state;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 16);
}

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_mode(struct mock *m)
{
	switch (rnd() % 6) {
	case 0:
		mock_real(m, REAL_CS, REAL_IP);
		break;
	case 1:
		mock_vm86(m, REAL_CS, REAL_IP, rnd() & 3);
		break;
	case 2: /* 16-bit protected */
		mock_protect(m, 0);
		mock_protect(m, rnd() & 3);
		m->cpu.seg[S_CS].attr &= (uint16_t)~SEG_DB;
		if (rnd() & 1)
			m->cpu.seg[S_SS].attr &= (uint16_t)~SEG_DB;
		break;
	default:
		mock_protect(m, rnd() & 3);
		break;
	}
}

static void random_registers(struct mock *m)
{
	struct cpu *c = &m->cpu;

	for (unsigned i = 0; i < 8; i++)
		if (i != R_ESP || rnd() % 8 == 0)
			c->gpr[i] = rnd() % 3 ? rnd() % MOCK_RAM : rnd() % 64;
	c->gpr[R_ECX] = rnd() % 8 ? rnd() % 64 : c->gpr[R_ECX];
	c->eflags = (c->eflags & (FL_VM | FL_IOPL)) | FL_FIXED1 |
		    (rnd() & (FL_ARITH | FL_DF | FL_IF | FL_AC | FL_NT | FL_RF));
	c->cr0 |= rnd() % 4 ? 0 : rnd() & (CR0_TS | CR0_EM | CR0_MP | CR0_AM);
	c->cr4 = rnd() & (CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_DE | CR4_TSD | CR4_VME);
	c->shadow = rnd() % 8 ? 0 : SHADOW_STI;
	c->fx.fcw = (uint16_t)(0x40 | (rnd() & 0xf3f));
	c->fx.fsw = (uint16_t)(rnd() & 0x7f7f);
	c->fx.ftw = (uint8_t)rnd();
	c->fx.mxcsr = rnd() & 0xffff;
	for (unsigned i = 0; i < 8; i++)
		c->fx.xmm[i][rnd() % 16] = (uint8_t)rnd();
}

/* Memory with a few bad pages, none of which holds the furniture or the code. */
static void random_pages(struct mock *m)
{
	memset(m->page, 0, sizeof(m->page));
	for (unsigned i = 0; i < 40; i++) {
		unsigned page = 0x40 + rnd() % ((MOCK_RAM >> PAGE_SHIFT) - 0x40);

		m->page[page] = (uint8_t)(1 << rnd() % 3);
	}
}

static void random_code(struct mock *m)
{
	uint8_t bytes[32];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rnd();
	if (rnd() % 2)
		bytes[rnd() % 2] = 0x0f;
	mock_put(m, (uint32_t)(m->cpu.seg[S_CS].base + m->cpu.rip), bytes, sizeof(bytes));
}

/* Faults that by design change state: progress of REP, sticky flags of #XM. */
static bool may_change_state(struct mock *m, const struct cpu *before)
{
	const uint8_t *code = m->ram + before->seg[S_CS].base + before->rip;

	if (m->cpu.fault.vector == EXC_XM || m->cpu.fault.vector == EXC_UD)
		return m->cpu.fx.mxcsr != before->fx.mxcsr;
	for (unsigned i = 0; i < 15; i++)
		if (code[i] == 0xf2 || code[i] == 0xf3)
			return true;
	return false;
}

static void test_random_bytes(void **state)
{
	uint64_t count = environment_number("RINGFENCE_FUZZ_COUNT", 150000);
	struct cpu *before = aligned_alloc(64, sizeof(*before));
	struct mock *m = mock_create();
	unsigned outcomes[4] = {0};

	rng_state = environment_number("RINGFENCE_FUZZ_SEED", 1) * 2654435761u + 1;
	for (uint64_t i = 0; i < count; i++) {
		if (i % 16 == 0) {
			memset(m->ram, 0, sizeof(m->ram));
			random_pages(m);
		}
		cpu_reset(&m->cpu);
		random_mode(m);
		random_registers(m);
		random_code(m);
		mock_save(m, before);
		enum outcome out = cpu_interpret_one(&m->cpu);
		outcomes[out]++;
		assert_int_not_equal(out, OUT_ERROR);
		if (out != OUT_FAULT || mock_same(m, before) || may_change_state(m, before))
			continue;
		for (unsigned b = 0; b < 15; b++)
			print_message("%02x ", m->ram[before->seg[S_CS].base + before->rip + b]);
		fail_msg("case %lu: state changed by a fault, vector %u", (unsigned long)i, m->cpu.fault.vector);
	}
	assert_true(outcomes[OUT_OK] > count / 10);
	assert_true(outcomes[OUT_FAULT] > count / 10);
	mock_destroy(m);
	free(before);
}

/* Whole steps: deliveries, double and triple faults, wherever the guest ends up. */
static void test_random_steps(void **state)
{
	uint64_t count = environment_number("RINGFENCE_FUZZ_COUNT", 150000) / 50;
	struct mock *m = mock_create();

	rng_state = environment_number("RINGFENCE_FUZZ_SEED", 1) * 40503u + 7;
	for (uint64_t i = 0; i < count; i++) {
		for (unsigned b = 0; i % 16 == 0 && b < sizeof(m->ram); b += 4) {
			uint32_t v = rnd();

			memcpy(m->ram + b, &v, 4);
		}
		random_pages(m);
		cpu_reset(&m->cpu);
		random_mode(m);
		random_registers(m);
		for (unsigned s = 0; s < 50 && !m->cpu.shutdown && !m->cpu.halted; s++)
			cpu_step(&m->cpu);
	}
	mock_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_random_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
