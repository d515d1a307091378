/* Far jumps, calls and returns through segments and gates; SYSENTER. */
#include "tests/unit/cpu/mock.h"

enum { CALL32 = 12, CALL16 = 4, TARGET = 0x31000 };

static int setup(void **state)
{
	*state = mock_create();
	return 0;
}

static int teardown(void **state)
{
	mock_destroy(*state);
	return 0;
}

static enum outcome jump(struct mock *m, uint16_t sel, uint32_t off)
{
	return MOCK_EXEC(m, 0xea, (uint8_t)off, (uint8_t)(off >> 8), (uint8_t)(off >> 16),
			 (uint8_t)(off >> 24), (uint8_t)sel, (uint8_t)(sel >> 8));
}

static enum outcome call(struct mock *m, uint16_t sel, uint32_t off)
{
	return MOCK_EXEC(m, 0x9a, (uint8_t)off, (uint8_t)(off >> 8), (uint8_t)(off >> 16),
			 (uint8_t)(off >> 24), (uint8_t)sel, (uint8_t)(sel >> 8));
}

static void call_gate(struct mock *m, uint16_t sel, uint16_t target, unsigned type, unsigned dpl,
		      unsigned params)
{
	mock_gate(m, MOCK_GDT + (sel & ~7u), target, TARGET, type, dpl, true, params);
}

static void test_jump_code(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 0);
	assert_int_equal(jump(m, SEL_CODE16, 0x123), OUT_OK);
	assert_int_equal(m->cpu.rip, 0x123);
	assert_int_equal(m->cpu.seg[S_CS].base, MOCK_CODE);
	/* To a conforming segment from level 3: CPL stays. RPL is replaced by it. */
	mock_protect(m, 3);
	assert_int_equal(jump(m, SEL_CONF0, TARGET), OUT_OK);
	assert_int_equal(m->cpu.cpl, 3);
	assert_int_equal(m->cpu.seg[S_CS].sel, SEL_CONF0 | 3);
	/* Errors, none of which changes anything. */
	mock_protect(m, 3);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, jump(m, 0, 0), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, jump(m, 0x200, 0), &before, EXC_GP, 0x200);
	MOCK_EXPECT_FAULT(m, jump(m, SEL_DATA3, 0), &before, EXC_GP, SEL_DATA3 & ~3);
	MOCK_EXPECT_FAULT(m, jump(m, SEL_CODE0, 0), &before, EXC_GP, SEL_CODE0);
	MOCK_EXPECT_FAULT(m, jump(m, SEL_CODE2 | 3, 0), &before, EXC_GP, SEL_CODE2 & ~3);
	MOCK_EXPECT_FAULT(m, jump(m, SEL_LDT, 0), &before, EXC_GP, SEL_LDT);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xff,
			SEG_S | SEG_CODE | SEG_DB | 3 << SEG_DPL_SHIFT);
	MOCK_EXPECT_FAULT(m, jump(m, SEL_FREE, 0), &before, EXC_NP, SEL_FREE);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xff,
			SEG_P | SEG_S | SEG_CODE | SEG_DB | 3 << SEG_DPL_SHIFT);
	MOCK_EXPECT_FAULT(m, jump(m, SEL_FREE, 0x100), &before, EXC_GP, 0);
	/* RPL may not be weaker than CPL. */
	mock_protect(m, 0);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, jump(m, SEL_CODE0 | 1, 0), &before, EXC_GP, SEL_CODE0);
}

static void test_call_and_return(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 0);
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	assert_int_equal(call(m, SEL_CODE0, TARGET), OUT_OK);
	assert_int_equal(mock_get32(m, esp - 4), SEL_CODE0);
	assert_int_equal(mock_get32(m, esp - 8), MOCK_CODE + 7);
	assert_int_equal(MOCK_EXEC(m, 0xca, 0x0c, 0x00), OUT_OK);
	assert_int_equal(m->cpu.rip, MOCK_CODE + 7);
	assert_int_equal(m->cpu.gpr[R_ESP], esp + 12);
	/* A frame that does not fit leaves everything as it was. */
	mock_protect(m, 0);
	m->cpu.seg[S_SS].limit = 0xfff;
	m->cpu.gpr[R_ESP] = 0x1004;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, call(m, SEL_CODE0, TARGET), &before, EXC_SS, 0);
	m->cpu.seg[S_SS].limit = 0xffffffff;
	m->cpu.gpr[R_ESP] = 0x50004;
	m->page[0x4f] = MOCK_READONLY;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, call(m, SEL_CODE0, TARGET), &before, EXC_PF, PF_W | PF_P);
	assert_int_equal(m->cpu.fault.cr2, 0x4fffc);
}

static void test_call_gate_inner(void **state)
{
	static const uint16_t code[] = {SEL_CODE0, SEL_CODE1, SEL_CODE2};
	struct mock *m = *state;

	for (unsigned from = 1; from < 4; from++) {
		for (unsigned to = 0; to < from; to++) {
			mock_protect(m, from);
			call_gate(m, SEL_FREE, code[to], CALL32, 3, 3);
			uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP], top = MOCK_STACK0 + to * 0x1000;
			uint16_t cs = m->cpu.seg[S_CS].sel, ss = m->cpu.seg[S_SS].sel;
			for (unsigned i = 0; i < 3; i++)
				mock_put32(m, esp + 4 * i, 0x1110 + i);
			assert_int_equal(call(m, SEL_FREE | 3, 0xffffffff), OUT_OK);
			assert_int_equal(m->cpu.cpl, to);
			assert_int_equal(m->cpu.rip, TARGET);
			assert_int_equal(m->cpu.gpr[R_ESP], top - 28);
			const uint32_t frame[] = {ss,	  esp, 0x1112,	     0x1111,
						  0x1110, cs,  MOCK_CODE + 7};
			for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
				assert_int_equal(mock_get32(m, top - 4 * (i + 1)), frame[i]);
			/* and back, dropping the parameters from both stacks */
			assert_int_equal(MOCK_EXEC(m, 0xca, 12, 0), OUT_OK);
			assert_int_equal(m->cpu.cpl, from);
			assert_int_equal(m->cpu.gpr[R_ESP], esp + 12);
			assert_int_equal(m->cpu.seg[S_SS].sel, ss);
			assert_int_equal(m->cpu.rip, MOCK_CODE + 7);
		}
	}
}

static void test_call_gate_16(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 3);
	call_gate(m, SEL_FREE, SEL_CODE16, CALL16, 3, 2);
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	mock_put16(m, esp, 0xaaaa);
	mock_put16(m, esp + 2, 0xbbbb);
	assert_int_equal(call(m, SEL_FREE, 0), OUT_OK);
	assert_int_equal(m->cpu.rip, TARGET & 0xffff);
	assert_int_equal(m->cpu.gpr[R_ESP], MOCK_STACK0 - 12);
	const uint16_t frame[] = {SEL_DATA3, (uint16_t)esp, 0xbbbb,
				  0xaaaa,    SEL_CODE3,	    (MOCK_CODE + 7) & 0xffff};
	for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
		assert_int_equal(mock_get16(m, MOCK_STACK0 - 2 * (i + 1)), frame[i]);
}

static void test_call_gate_errors(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 3);
	mock_save(m, &before);
	call_gate(m, SEL_FREE, SEL_CODE0, CALL32, 2, 0); /* DPL < CPL */
	MOCK_EXPECT_FAULT(m, call(m, SEL_FREE, 0), &before, EXC_GP, SEL_FREE);
	mock_gate(m, MOCK_GDT + SEL_FREE, SEL_CODE0, TARGET, CALL32, 3, false, 0);
	MOCK_EXPECT_FAULT(m, call(m, SEL_FREE, 0), &before, EXC_NP, SEL_FREE);
	call_gate(m, SEL_FREE, 0, CALL32, 3, 0);
	MOCK_EXPECT_FAULT(m, call(m, SEL_FREE, 0), &before, EXC_GP, 0);
	call_gate(m, SEL_FREE, SEL_DATA0, CALL32, 3, 0);
	MOCK_EXPECT_FAULT(m, call(m, SEL_FREE, 0), &before, EXC_GP, SEL_DATA0);
	/* A jump through a gate may not change privilege. */
	call_gate(m, SEL_FREE, SEL_CODE0, CALL32, 3, 0);
	MOCK_EXPECT_FAULT(m, jump(m, SEL_FREE, 0), &before, EXC_GP, SEL_CODE0);
	call_gate(m, SEL_FREE, SEL_CODE3 & ~3, CALL32, 3, 0);
	assert_int_equal(jump(m, SEL_FREE, 0), OUT_OK);
	assert_int_equal(m->cpu.rip, TARGET);
	/* Inner stack: bad SS is #TS without EXT, absent page is #PF. */
	mock_protect(m, 3);
	call_gate(m, SEL_FREE, SEL_CODE0, CALL32, 3, 1);
	mock_put16(m, MOCK_TSS + 8, SEL_DATA0 | 1);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, call(m, SEL_FREE, 0), &before, EXC_TS, SEL_DATA0);
	mock_put16(m, MOCK_TSS + 8, SEL_DATA0);
	m->page[(MOCK_STACK0 - 1) >> 12] = MOCK_ABSENT;
	MOCK_EXPECT_FAULT(m, call(m, SEL_FREE, 0), &before, EXC_PF, PF_W);
	/* Parameters beyond the caller's stack */
	m->page[(MOCK_STACK0 - 1) >> 12] = 0;
	m->cpu.seg[S_SS].limit = (uint32_t)m->cpu.gpr[R_ESP] + 2;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, call(m, SEL_FREE, 0), &before, EXC_SS, 0);
}

static enum outcome far_return(struct mock *m, uint32_t eip, uint16_t cs, uint32_t esp, uint16_t ss)
{
	uint32_t at = (uint32_t)m->cpu.gpr[R_ESP];

	mock_put32(m, at, eip);
	mock_put32(m, at + 4, cs);
	mock_put32(m, at + 8, esp);
	mock_put32(m, at + 12, ss);
	return MOCK_EXEC(m, 0xcb);
}

static void test_return_errors(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 1);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, far_return(m, 0, 3, 0, 0), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, far_return(m, 0, SEL_CODE0, 0, 0), &before, EXC_GP,
			  SEL_CODE0); /* inward */
	MOCK_EXPECT_FAULT(m, far_return(m, 0, SEL_CODE2 | 3, 0, 0), &before, EXC_GP,
			  SEL_CODE2 & ~3);
	MOCK_EXPECT_FAULT(m, far_return(m, 0, SEL_DATA3, 0, 0), &before, EXC_GP, SEL_DATA3 & ~3);
	/* outer stack: null, wrong RPL, wrong DPL, absent */
	MOCK_EXPECT_FAULT(m, far_return(m, 0, SEL_CODE3, 0, 0), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, far_return(m, 0, SEL_CODE3, 0, SEL_DATA3 & ~1), &before, EXC_GP,
			  SEL_DATA3 & ~3);
	MOCK_EXPECT_FAULT(m, far_return(m, 0, SEL_CODE3, 0, SEL_DATA2 | 3), &before, EXC_GP,
			  SEL_DATA2 & ~3);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xfffff, SEG_S | SEG_WRITE | 3 << SEG_DPL_SHIFT);
	MOCK_EXPECT_FAULT(m, far_return(m, 0, SEL_CODE3, 0, SEL_FREE | 3), &before, EXC_SS,
			  SEL_FREE);
	/* Data segments of the inner level do not leak. */
	assert_int_equal(cpu_load_segment(&m->cpu, S_ES, SEL_DATA3), OUT_OK);
	assert_int_equal(cpu_load_segment(&m->cpu, S_FS, SEL_CONF0),
			 OUT_OK); /* conforming code may stay */
	assert_int_equal(far_return(m, 0x123, SEL_CODE3, 0x7000, SEL_DATA3), OUT_OK);
	assert_int_equal(m->cpu.cpl, 3);
	assert_int_equal(m->cpu.gpr[R_ESP], 0x7000);
	assert_true(m->cpu.seg[S_DS].attr & SEG_NULL);
	assert_int_equal(m->cpu.seg[S_ES].sel, SEL_DATA3);
	assert_int_equal(m->cpu.seg[S_FS].sel, SEL_CONF0);
}

static void test_real_mode(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_real(m, 0x3000, 0x100);
	assert_int_equal(MOCK_EXEC(m, 0x9a, 0x34, 0x12, 0x00, 0x40), OUT_OK);
	assert_int_equal(m->cpu.seg[S_CS].base, 0x40000);
	assert_int_equal(m->cpu.rip, 0x1234);
	assert_int_equal(mock_get16(m, 0x7ffe), 0x3000);
	assert_int_equal(mock_get16(m, 0x7ffc), 0x105);
	assert_int_equal(MOCK_EXEC(m, 0xcb), OUT_OK);
	assert_int_equal(m->cpu.seg[S_CS].sel, 0x3000);
	assert_int_equal(m->cpu.rip, 0x105);
	assert_int_equal(m->cpu.gpr[R_ESP], 0x8000);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x66, 0xea, 0, 0, 1, 0, 0, 0x40), &before, EXC_GP, 0);
	/* vm86: the same addressing, level 3 attributes */
	mock_vm86(m, 0x3000, 0x100, 0);
	assert_int_equal(MOCK_EXEC(m, 0xea, 0x34, 0x12, 0x00, 0x40), OUT_OK);
	assert_int_equal(m->cpu.seg[S_CS].base, 0x40000);
	assert_int_equal(m->cpu.seg[S_CS].attr >> SEG_DPL_SHIFT & 3, 3);
}

static void test_sysenter(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 3);
	m->cpu.eflags |= FL_IF;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x34), &before, EXC_GP, 0);
	m->cpu.msr.sysenter_cs = SEL_CODE0 | 3;
	m->cpu.msr.sysenter_esp = 0x12345678;
	m->cpu.msr.sysenter_eip = TARGET;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x34), OUT_OK);
	assert_int_equal(m->cpu.cpl, 0);
	assert_int_equal(m->cpu.rip, TARGET);
	assert_int_equal(m->cpu.gpr[R_ESP], 0x12345678);
	assert_int_equal(m->cpu.seg[S_CS].sel, SEL_CODE0);
	assert_int_equal(m->cpu.seg[S_SS].sel, SEL_DATA0);
	assert_int_equal(m->cpu.eflags, FL_FIXED1);
	m->cpu.gpr[R_ECX] = 0x1000;
	m->cpu.gpr[R_EDX] = TARGET + 4;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x35), OUT_OK);
	assert_int_equal(m->cpu.cpl, 3);
	assert_int_equal(m->cpu.seg[S_CS].sel, SEL_CODE3);
	assert_int_equal(m->cpu.seg[S_SS].sel, SEL_DATA3);
	assert_int_equal(m->cpu.rip, TARGET + 4);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x35), &before, EXC_GP, 0);
}

static void test_memory_forms(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 0);
	mock_put32(m, 0x7000, TARGET);
	mock_put16(m, 0x7004, SEL_CODE0);
	m->cpu.gpr[R_EAX] = 0x7000;
	assert_int_equal(MOCK_EXEC(m, 0xff, 0x28), OUT_OK); /* jmp far [eax] */
	assert_int_equal(m->cpu.rip, TARGET);
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	mock_put16(m, 0x7002, SEL_CODE16);
	mock_put16(m, 0x7000, 0x345);
	assert_int_equal(MOCK_EXEC(m, 0x66, 0xff, 0x18), OUT_OK); /* call far word [eax] */
	assert_int_equal(m->cpu.rip, 0x345);
	assert_int_equal(m->cpu.gpr[R_ESP], esp - 4);
	assert_int_equal(mock_get16(m, esp - 4), (TARGET + 3) & 0xffff);
	/* the pointer itself in an absent page */
	mock_protect(m, 0);
	m->page[7] = MOCK_ABSENT;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0xff, 0x18), &before, EXC_PF, 0);
}

static void test_call_gate_same_level(void **state)
{
	struct mock *m = *state;

	/* The gate decides the width of the frame, not the instruction; parameters stay where they
	 * are. */
	mock_protect(m, 0);
	call_gate(m, SEL_FREE, SEL_CODE0, CALL16, 0, 5);
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	assert_int_equal(call(m, SEL_FREE, 0), OUT_OK);
	assert_int_equal(m->cpu.rip, TARGET & 0xffff);
	assert_int_equal(m->cpu.gpr[R_ESP], esp - 4);
	assert_int_equal(mock_get16(m, esp - 2), SEL_CODE0);
	/* Conforming code through a gate keeps the caller's level and stack. */
	mock_protect(m, 3);
	call_gate(m, SEL_FREE, SEL_CONF0, CALL32, 3, 5);
	esp = (uint32_t)m->cpu.gpr[R_ESP];
	assert_int_equal(call(m, SEL_FREE, 0), OUT_OK);
	assert_int_equal(m->cpu.cpl, 3);
	assert_int_equal(m->cpu.seg[S_CS].sel, SEL_CONF0 | 3);
	assert_int_equal(m->cpu.gpr[R_ESP], esp - 8);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_jump_code),	     TEST(test_call_and_return),
		TEST(test_call_gate_inner),  TEST(test_call_gate_16),
		TEST(test_call_gate_errors), TEST(test_return_errors),
		TEST(test_real_mode),	     TEST(test_sysenter),
		TEST(test_memory_forms),     TEST(test_call_gate_same_level),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
