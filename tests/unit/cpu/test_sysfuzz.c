/*
 * Random descriptor tables, task segments, registers and system instructions:
 * whatever the guest has made of its tables, a fault changes nothing and the
 * state stays one a processor can have.
 */
#include "tests/unit/cpu/mock.h"

#include <stdio.h>
#include <string.h>

enum { ROUNDS = 4000, STEPS = 24 };

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

/* Mostly plausible: present, known tables, small bases; sometimes anything. */
static uint32_t word(void)
{
	switch (rnd() % 4) {
	case 0:
		return rnd();
	case 1:
		return rnd() % 0x200;
	case 2:
		return MOCK_STACK0 + rnd() % 0x8000;
	default:
		return (rnd() % 0x40) << 3 | rnd() % 8;
	}
}

static void scramble_table(struct mock *m, uint32_t at, unsigned entries)
{
	for (unsigned i = 0; i < entries; i++) {
		uint32_t hi = rnd();

		if (rnd() % 3 == 0)
			continue; /* keep the furniture */
		if (rnd() % 8)
			hi |= 1u << 15;
		if (rnd() % 2)
			hi &= 0x00cfff00;
		mock_put32(m, at + 8 * i, rnd() % 2 ? word() << 16 | (rnd() & 0xffff) : rnd());
		mock_put32(m, at + 8 * i + 4, hi);
	}
}

static void scramble(struct mock *m)
{
	switch (rnd() % 4) {
	case 0:
		mock_vm86(m, (uint16_t)(0x3000 + rnd() % 16), (uint16_t)rnd(), rnd() % 4);
		break;
	case 1:
		mock_real(m, (uint16_t)(0x3000 + rnd() % 16), (uint16_t)rnd());
		break;
	default:
		mock_protect(m, rnd() % 4);
		break;
	}
	m->cpu.shutdown = false;
	m->cpu.halted = 0;
	m->cpu.cr4 = rnd() % 2 ? CR4_PAE : 0;
	m->cpu.eflags |= rnd() & (FL_ARITH | FL_TF | FL_IF | FL_NT | FL_RF | FL_AC);
	scramble_table(m, MOCK_GDT + 8, 0x3f);
	scramble_table(m, MOCK_LDT, 0x20);
	scramble_table(m, MOCK_IDT, 0x100);
	for (unsigned i = 0; i < 0x68; i += 4) {
		if (rnd() % 3 == 0)
			mock_put32(m, MOCK_TSS + i, word());
		if (rnd() % 2)
			mock_put32(m, MOCK_TSS2 + i, word());
	}
	for (unsigned i = 0; i < 8; i++) {
		if (i != R_ESP || rnd() % 8 == 0)
			m->cpu.gpr[i] = word();
	}
	for (unsigned i = 0; i < 64; i++)
		mock_put32(m, (uint32_t)(m->cpu.gpr[R_ESP] % (MOCK_RAM - 0x200)) + 4 * i, word());
	memset(m->page, 0, sizeof(m->page));
	for (unsigned i = 0; i < 3; i++)
		m->page[rnd() % (MOCK_RAM >> PAGE_SHIFT)] = (uint8_t)(1u << rnd() % 3);
}

static void check_state(const struct mock *m)
{
	const struct cpu *c = &m->cpu;

	assert_true(c->eflags & FL_FIXED1);
	assert_int_equal(c->eflags & (FL_VIF | FL_VIP), 0);
	assert_true(c->cpl <= 3);
	assert_true(c->rip <= 0xffffffff);
	if (cpu_vm86(c))
		assert_true(cpu_protected(c) && c->cpl == 3 &&
			    c->seg[S_CS].attr == (SEG_P | SEG_S | 3 | 3 << 5));
	if (cpu_protected(c) && !cpu_vm86(c) && !(c->seg[S_CS].attr & SEG_NULL) &&
	    c->seg[S_CS].attr & SEG_CODE)
		assert_int_equal(c->seg[S_CS].sel & 3, c->cpl);
	for (unsigned i = 0; i < 8; i++)
		assert_true(c->gpr[i] <= 0xffffffff);
	for (unsigned i = 0; i < S_COUNT; i++)
		assert_true(c->seg[i].base <= 0xffffffff);
}

/* System instructions alone, with their operands at random. */
static unsigned make_instruction(uint8_t *code)
{
	static const uint8_t one[] = {0xcf, 0xcb, 0xcc, 0xce, 0xf1, 0x9c, 0x9d, 0xfa, 0xfb,
				      0x07, 0x17, 0x1f, 0x06, 0x16, 0xf4, 0xec, 0xef};
	static const uint8_t group[] = {0x00, 0x01, 0x02, 0x03, 0x06, 0x08, 0x20, 0x21, 0x22, 0x23,
					0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0xa2, 0xa1, 0xa9, 0xb2};
	unsigned n = 0;

	if (rnd() % 4 == 0)
		code[n++] = 0x66;
	switch (rnd() % 5) {
	case 0:
		code[n++] = one[rnd() % sizeof(one)];
		break;
	case 1:
		code[n++] = 0x0f;
		code[n++] = group[rnd() % sizeof(group)];
		break;
	case 2:
		code[n++] = rnd() % 2 ? 0xea : 0x9a;
		break;
	case 3:
		code[n++] = rnd() % 2 ? 0xcd : 0xca;
		break;
	default:
		code[n++] = rnd() % 2 ? 0x8e : 0xff;
		break;
	}
	while (n < 12) {
		uint32_t w = word();
		memcpy(code + n, &w, 2);
		n += 2;
	}
	return n;
}

static void step(struct mock *m)
{
	struct cpu *c = &m->cpu, before;
	uint8_t code[16];
	unsigned len = make_instruction(code);
	uint32_t at = (uint32_t)(c->seg[S_CS].base + c->rip);

	if (at < MOCK_RAM - 16)
		mock_put(m, at, code, len);
	mock_save(m, &before);
	if (rnd() % 8 == 0) {
		cpu_deliver_interrupt(c, rnd() % 256);
	} else if (cpu_interpret_one(c) == OUT_FAULT) {
		assert_true(mock_same(m, &before));
		cpu_deliver_fault(c);
	}
	check_state(m);
}

static void test_random_systems(void **state)
{
	struct mock *m = mock_create();

	for (unsigned round = 0; round < ROUNDS; round++) {
		scramble(m);
		for (unsigned i = 0; i < STEPS && !m->cpu.shutdown; i++)
			step(m);
	}
	mock_destroy(m);
}

/* Every model text that a user may type ends in a model or in one line of complaint. */
static void test_random_models(void **state)
{
	static const char alphabet[] = "max,pentium3,+-=sse4.2_onoff\0x7f\xff,nx,level=0x16";
	struct cpu_model model;
	char text[80], err[100];

	for (unsigned i = 0; i < 20000; i++) {
		unsigned n = (unsigned)snprintf(text, sizeof(text), "%s", rnd() % 4 ? "max" : "");
		unsigned end = n + rnd() % (sizeof(text) - n - 1);
		while (n < end)
			text[n++] = alphabet[rnd() % (sizeof(alphabet) - 1)];
		text[n] = 0;
		memset(err, 0, sizeof(err));
		if (!cpu_model_parse(text, &model, err, sizeof(err)))
			assert_true(err[0] && !strchr(err, '\n'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_systems),
		cmocka_unit_test(test_random_models),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
