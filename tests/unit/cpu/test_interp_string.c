/*
 * String instructions: repetition, direction, wrapping, faults in the middle,
 * bounded runs, overlapping moves, ports.
 */
#include <string.h>

#include "cpu/ops.h"
#include "tests/unit/cpu/mock.h"

enum { FROM = 0x50000, TO = 0x60000 };

static int set_up(void **state)
{
	struct mock *m = mock_create();

	mock_protect(m, 0);
	for (unsigned i = 0; i < 0x8000; i++)
		m->ram[FROM + i] = (uint8_t)(i * 7 + (i >> 8));
	m->cpu.gpr[R_ESI] = FROM;
	m->cpu.gpr[R_EDI] = TO;
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	mock_destroy(*state);
	return 0;
}

#define CODE(m, ...)                                                                     \
	do {                                                                             \
		static const uint8_t bytes[] = {__VA_ARGS__};                            \
		mock_put(m, (uint32_t)((m)->cpu.seg[S_CS].base + (m)->cpu.rip), bytes, sizeof(bytes)); \
	} while (0)

/* Run to completion; how often it had to be resumed. */
static unsigned run(struct mock *m)
{
	unsigned retries = 0;
	enum outcome out;

	while ((out = cpu_interpret_one(&m->cpu)) == OUT_RETRY) {
		assert_int_equal(m->cpu.rip, MOCK_CODE);
		retries++;
	}
	assert_int_equal(out, OUT_OK);
	return retries;
}

static void test_long_move(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->gpr[R_ESI] += 3; /* neither end aligned, many pages */
	c->gpr[R_EDI] += 1;
	c->gpr[R_ECX] = 0x1800;
	CODE(m, 0xf3, 0xa5); /* REP MOVSD */
	run(m);
	assert_memory_equal(m->ram + TO + 1, m->ram + FROM + 3, 0x6000);
	assert_int_equal(m->ram[TO], 0);
	assert_int_equal(m->ram[TO + 1 + 0x6000], 0);
	assert_int_equal(c->gpr[R_ECX], 0);
	assert_int_equal(c->gpr[R_ESI], FROM + 3 + 0x6000);
	assert_int_equal(c->gpr[R_EDI], TO + 1 + 0x6000);
}

/* Overlapping moves repeat what lies between the two addresses. */
static void test_overlap(void **state)
{
	static const unsigned distances[] = {1, 2, 3, 7, 8, 9, 31, 64, 100};
	struct mock *m = *state;
	uint8_t expected[1024];

	for (unsigned d = 0; d < ARRAY_LEN(distances); d++) {
		unsigned distance = distances[d];

		for (unsigned i = 0; i < sizeof(expected); i++)
			m->ram[FROM + i] = (uint8_t)(i * 13 + 1);
		memcpy(expected, m->ram + FROM, sizeof(expected));
		for (unsigned i = 0; i + distance < sizeof(expected); i++)
			expected[i + distance] = expected[i];
		m->cpu.rip = MOCK_CODE;
		m->cpu.gpr[R_ESI] = FROM;
		m->cpu.gpr[R_EDI] = FROM + distance;
		m->cpu.gpr[R_ECX] = (uint32_t)sizeof(expected) - distance;
		CODE(m, 0xf3, 0xa4);
		run(m);
		assert_memory_equal(m->ram + FROM, expected, sizeof(expected));
	}
}

static void test_move_down(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->eflags |= FL_DF;
	c->gpr[R_ESI] = FROM + 0x3fe;
	c->gpr[R_EDI] = TO + 0x3fe;
	c->gpr[R_ECX] = 0x200;
	CODE(m, 0x66, 0xf3, 0xa5); /* REP MOVSW */
	run(m);
	assert_memory_equal(m->ram + TO, m->ram + FROM, 0x400);
	assert_int_equal(c->gpr[R_ESI], FROM - 2);
}

static void test_fault_keeps_progress(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	m->page[(TO >> 12) + 2] = MOCK_READONLY;
	c->gpr[R_EDI] = TO + 0x10;
	c->gpr[R_ECX] = 0x3000;
	CODE(m, 0xf3, 0xa4);
	enum outcome out;
	while ((out = cpu_interpret_one(c)) == OUT_RETRY)
		;
	assert_int_equal(out, OUT_FAULT);
	assert_int_equal(c->fault.vector, EXC_PF);
	assert_int_equal(c->fault.cr2, TO + 0x2000);
	assert_int_equal(c->rip, MOCK_CODE);
	assert_int_equal(c->gpr[R_EDI], TO + 0x2000);
	assert_int_equal(c->gpr[R_ESI], FROM + 0x1ff0);
	assert_int_equal(c->gpr[R_ECX], 0x3000 - 0x1ff0);
	/* Resumed after the page is there. */
	m->page[(TO >> 12) + 2] = 0;
	run(m);
	assert_memory_equal(m->ram + TO + 0x10, m->ram + FROM, 0x3000);
}

static void test_store(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->gpr[R_EAX] = 0x11223344;
	c->gpr[R_EDI] = TO + 2;
	c->gpr[R_ECX] = 0x900;
	CODE(m, 0xf3, 0xab);
	run(m);
	assert_int_equal(mock_get32(m, TO + 2), 0x11223344);
	assert_int_equal(mock_get32(m, TO + 2 + 4 * 0x8ff), 0x11223344);
	assert_int_equal(mock_get16(m, TO + 2 + 4 * 0x900), 0);
	assert_int_equal(mock_get16(m, TO), 0);
}

static void test_segment_limit(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->seg[S_ES].limit = TO + 0xff;
	c->gpr[R_ECX] = 0x200;
	CODE(m, 0xf3, 0xaa);
	assert_int_equal(cpu_interpret_one(c), OUT_FAULT);
	assert_int_equal(c->fault.vector, EXC_GP);
	assert_int_equal(c->gpr[R_EDI], TO + 0x100); /* all that fitted */
	assert_int_equal(c->gpr[R_ECX], 0x100);
}

static void test_16_bit_addresses_wrap(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->seg[S_ES].base = TO;
	c->gpr[R_EDI] = 0x1234fff0;
	c->gpr[R_ECX] = 0x77770020;
	c->gpr[R_EAX] = 0x5a;
	CODE(m, 0x67, 0xf3, 0xaa); /* REP STOSB with DI and CX */
	run(m);
	assert_int_equal(m->ram[TO + 0xffff], 0x5a);
	assert_int_equal(m->ram[TO + 0xf], 0x5a);
	assert_int_equal(m->ram[TO + 0x10], 0);
	assert_int_equal(c->gpr[R_EDI], 0x12340010);
	assert_int_equal(c->gpr[R_ECX], 0x77770000);
}

static void test_bounded_runs(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	memset(m->ram + TO, 0, 0x10000);
	c->gpr[R_ECX] = 10000;
	c->gpr[R_EAX] = 1;
	CODE(m, 0xf2, 0xae); /* REPNE SCASB */
	uint64_t count = c->interp_count;
	assert_int_equal(run(m), 2);
	assert_int_equal(c->gpr[R_ECX], 0);
	assert_int_equal(c->interp_count, count + 1);
}

/* Interrupts come in between the runs, even right after STI. */
static void test_resuming_ends_the_shadow(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->eflags |= FL_IF;
	c->shadow = SHADOW_STI;
	c->gpr[R_ECX] = 10000;
	CODE(m, 0xf3, 0xac); /* REP LODSB */
	assert_false(cpu_interruptible(c));
	assert_int_equal(cpu_interpret_one(c), OUT_RETRY);
	assert_true(cpu_interruptible(c));
}

static void test_compare(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	memcpy(m->ram + TO, m->ram + FROM, 100);
	m->ram[TO + 42] ^= 0x80;
	c->gpr[R_ECX] = 100;
	CODE(m, 0xf3, 0xa6); /* REPE CMPSB */
	run(m);
	assert_int_equal(c->gpr[R_ECX], 100 - 43);
	assert_int_equal(c->gpr[R_EDI], TO + 43);
	assert_false(c->eflags & FL_ZF);
	c->rip = MOCK_CODE;
	c->gpr[R_ECX] = 0; /* no iteration: flags stay */
	c->eflags |= FL_ZF;
	run(m);
	assert_true(c->eflags & FL_ZF);
}

static void test_single_step_traps_each_iteration(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->eflags |= FL_TF;
	c->gpr[R_ECX] = 2;
	CODE(m, 0xf3, 0xa4);
	assert_int_equal(cpu_interpret_one(c), OUT_RETRY);
	assert_int_equal(c->gpr[R_ECX], 1);
	assert_int_equal(c->pending_db, DR6_BS);
	c->pending_db = 0;
	assert_int_equal(cpu_interpret_one(c), OUT_OK);
	assert_int_equal(c->pending_db, DR6_BS);
}

static void test_segment_override(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->seg[S_FS].base = 0x100;
	CODE(m, 0x64, 0xac); /* LODSB fs:[esi] */
	run(m);
	assert_int_equal((uint8_t)c->gpr[R_EAX], m->ram[FROM + 0x100]);
}

static void test_ports(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	m->next_in = 0xdeadbeef;
	c->gpr[R_EDX] = 0x1f0;
	c->gpr[R_ECX] = 3;
	CODE(m, 0x66, 0xf3, 0x6d); /* REP INSW */
	run(m);
	assert_int_equal(m->ins, 3);
	assert_int_equal(m->last_io_size, 2);
	assert_int_equal(mock_get32(m, TO), 0xbeefbeef);
	c->rip = MOCK_CODE;
	c->gpr[R_ECX] = 2;
	CODE(m, 0xf3, 0x6f); /* REP OUTSD */
	run(m);
	assert_int_equal(m->outs, 2);
	assert_int_equal(m->last_out, mock_get32(m, FROM + 4));
	/* A port is not read when its value could not be stored. */
	m->page[TO >> 12] = MOCK_READONLY;
	c->rip = MOCK_CODE;
	c->gpr[R_EDI] = TO;
	CODE(m, 0x6c);
	assert_int_equal(cpu_interpret_one(c), OUT_FAULT);
	assert_int_equal(m->ins, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_long_move), TEST(test_overlap), TEST(test_move_down),
		TEST(test_fault_keeps_progress), TEST(test_store), TEST(test_segment_limit),
		TEST(test_16_bit_addresses_wrap), TEST(test_bounded_runs),
		TEST(test_resuming_ends_the_shadow), TEST(test_compare),
		TEST(test_single_step_traps_each_iteration), TEST(test_segment_override), TEST(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
