/* IRET: same and outer privilege, vm86 mode, real mode, flag filtering. */
#include "tests/unit/cpu/mock.h"

enum { TARGET = 0x31000 };

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

static enum outcome iret(struct mock *m, const uint32_t *frame, unsigned n)
{
	uint32_t at = (uint32_t)(m->cpu.seg[S_SS].base + m->cpu.gpr[R_ESP]);

	for (unsigned i = 0; i < n; i++)
		mock_put32(m, at + 4 * i, frame[i]);
	return MOCK_EXEC(m, 0xcf);
}
#define IRET(m, ...)                                                                               \
	iret(m, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static void test_same_level(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 0);
	m->cpu.nmi_block = 1;
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	assert_int_equal(IRET(m, TARGET, SEL_CODE0, 0xffffffff & ~(FL_VM | FL_NT)), OUT_OK);
	assert_int_equal(m->cpu.rip, TARGET);
	assert_int_equal(m->cpu.gpr[R_ESP], esp + 12);
	assert_int_equal(m->cpu.nmi_block, 0);
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL |
						FL_RF | FL_AC | FL_ID);
	/* 16 bits: the upper half of EFLAGS stays. */
	mock_protect(m, 0);
	m->cpu.eflags |= FL_AC;
	mock_put16(m, esp, 0x1234);
	mock_put16(m, esp + 2, SEL_CODE0);
	mock_put16(m, esp + 4, FL_CF | FL_IF);
	assert_int_equal(MOCK_EXEC(m, 0x66, 0xcf), OUT_OK);
	assert_int_equal(m->cpu.rip, 0x1234);
	assert_int_equal(m->cpu.gpr[R_ESP], esp + 6);
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_AC | FL_CF | FL_IF);
}

static void test_flag_filter(void **state)
{
	struct mock *m = *state;

	/* Every CPL against every IOPL: IOPL and IF obey privilege. */
	static const uint16_t code[] = {SEL_CODE0, SEL_CODE1, SEL_CODE2, SEL_CODE3};
	for (unsigned cpl = 0; cpl < 4; cpl++) {
		for (unsigned iopl = 0; iopl < 4; iopl++) {
			mock_protect(m, cpl);
			m->cpu.eflags |= iopl << 12;
			uint32_t want_iopl = cpl == 0 ? 3 - iopl : iopl;
			assert_int_equal(
				IRET(m, TARGET, code[cpl], FL_IF | FL_CF | (3 - iopl) << 12),
				OUT_OK);
			assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_CF | want_iopl << 12 |
								(cpl <= iopl ? FL_IF : 0));
			/* POPFD filters the same way. */
			mock_protect(m, cpl);
			m->cpu.eflags |= iopl << 12;
			mock_put32(m, (uint32_t)m->cpu.gpr[R_ESP],
				   FL_IF | FL_CF | FL_VM | FL_RF | (3 - iopl) << 12);
			assert_int_equal(MOCK_EXEC(m, 0x9d), OUT_OK);
			assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_CF | want_iopl << 12 |
								(cpl <= iopl ? FL_IF : 0));
		}
	}
	/* VM in the image means nothing outside level 0. */
	mock_protect(m, 3);
	assert_int_equal(IRET(m, TARGET, SEL_CODE3, FL_VM), OUT_OK);
	assert_false(m->cpu.eflags & FL_VM);
}

static void test_outer(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 0);
	assert_int_equal(cpu_load_segment(&m->cpu, S_ES, SEL_DATA3), OUT_OK);
	assert_int_equal(IRET(m, TARGET, SEL_CODE3, FL_IF | 3 << 12, 0x7000, SEL_DATA3), OUT_OK);
	assert_int_equal(m->cpu.cpl, 3);
	assert_int_equal(m->cpu.gpr[R_ESP], 0x7000);
	assert_int_equal(m->cpu.seg[S_SS].sel, SEL_DATA3);
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_IF | 3 << 12);
	assert_true(m->cpu.seg[S_DS].attr & SEG_NULL);
	assert_false(m->cpu.seg[S_ES].attr & SEG_NULL);
	/* To a 16-bit stack only SP is loaded. */
	mock_protect(m, 0);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xffff,
			SEG_P | SEG_S | SEG_WRITE | 3 << SEG_DPL_SHIFT);
	assert_int_equal(IRET(m, TARGET, SEL_CODE3, 0, 0x99997000, SEL_FREE | 3), OUT_OK);
	assert_int_equal(m->cpu.gpr[R_ESP], 0x00017000);
	/* Errors */
	mock_protect(m, 0);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, IRET(m, TARGET, SEL_CODE3, 0, 0x7000, 0), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, IRET(m, TARGET, SEL_CODE3, 0, 0x7000, SEL_DATA0), &before, EXC_GP,
			  SEL_DATA0);
	MOCK_EXPECT_FAULT(m, IRET(m, TARGET, SEL_CODE3, 0, 0x7000, SEL_CODE3), &before, EXC_GP,
			  SEL_CODE3 & ~3);
	MOCK_EXPECT_FAULT(m, IRET(m, TARGET, 3, 0), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, IRET(m, TARGET, SEL_LDT, 0), &before, EXC_GP, SEL_LDT);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xff,
			SEG_P | SEG_S | SEG_CODE | 3 << SEG_DPL_SHIFT);
	MOCK_EXPECT_FAULT(m, IRET(m, 0x100, SEL_FREE | 3, 0, 0x7000, SEL_DATA3), &before, EXC_GP,
			  0);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xff, SEG_S | SEG_CODE | 3 << SEG_DPL_SHIFT);
	MOCK_EXPECT_FAULT(m, IRET(m, 0, SEL_FREE | 3, 0, 0x7000, SEL_DATA3), &before, EXC_NP,
			  SEL_FREE);
	mock_protect(m, 3);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, IRET(m, TARGET, SEL_CODE0, 0), &before, EXC_GP, SEL_CODE0);
}

static void test_to_vm86(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 0);
	assert_int_equal(IRET(m, 0x123, 0x3000, FL_VM | FL_IF | 3 << 12, 0x3000, 0x2001, 0x2002,
			      0x2003, 0x2004, 0x2005),
			 OUT_OK);
	assert_int_equal(m->cpu.cpl, 3);
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_VM | FL_IF | 3 << 12);
	assert_int_equal(m->cpu.seg[S_CS].base, 0x30000);
	assert_int_equal(m->cpu.seg[S_CS].limit, 0xffff);
	assert_int_equal(m->cpu.rip, 0x123);
	assert_int_equal(m->cpu.gpr[R_ESP], 0x3000);
	assert_int_equal(m->cpu.seg[S_SS].sel, 0x2001);
	assert_int_equal(m->cpu.seg[S_ES].sel, 0x2002);
	assert_int_equal(m->cpu.seg[S_DS].sel, 0x2003);
	assert_int_equal(m->cpu.seg[S_FS].sel, 0x2004);
	assert_int_equal(m->cpu.seg[S_GS].sel, 0x2005);
	/* EIP beyond 64 KiB */
	mock_protect(m, 0);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, IRET(m, 0x10000, 0x3000, FL_VM, 0, 0, 0, 0, 0, 0), &before, EXC_GP, 0);
}

static void test_in_vm86(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_vm86(m, 0x3000, 0x100, 2);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0xcf), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x9c), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x9d), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0xfa), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0xfb), &before, EXC_GP, 0);
	mock_vm86(m, 0x3000, 0x100, 3);
	mock_put16(m, 0x23000, 0x200);
	mock_put16(m, 0x23002, 0x4000);
	mock_put16(m, 0x23004, FL_IF | FL_CF);
	assert_int_equal(MOCK_EXEC(m, 0xcf), OUT_OK);
	assert_int_equal(m->cpu.seg[S_CS].base, 0x40000);
	assert_int_equal(m->cpu.rip, 0x200);
	/* IOPL and VM do not change, IF does. */
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_VM | 3 << 12 | FL_IF | FL_CF);
}

static void test_real_mode(void **state)
{
	struct mock *m = *state;

	mock_real(m, 0x3000, 0x100);
	mock_put16(m, 0x8000, 0x200);
	mock_put16(m, 0x8002, 0x4000);
	mock_put16(m, 0x8004, FL_IF | FL_IOPL | FL_NT);
	assert_int_equal(MOCK_EXEC(m, 0xcf), OUT_OK);
	assert_int_equal(m->cpu.seg[S_CS].base, 0x40000);
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_IF | FL_IOPL | FL_NT);
	assert_int_equal(m->cpu.gpr[R_ESP], 0x8006);
}

static void test_cli_sti(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	for (unsigned cpl = 0; cpl < 4; cpl++) {
		for (unsigned iopl = 0; iopl < 4; iopl++) {
			mock_protect(m, cpl);
			m->cpu.eflags |= iopl << 12;
			if (cpl > iopl) {
				mock_save(m, &before);
				MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0xfb), &before, EXC_GP, 0);
				MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0xfa), &before, EXC_GP, 0);
				continue;
			}
			assert_int_equal(MOCK_EXEC(m, 0xfb), OUT_OK);
			assert_true(m->cpu.eflags & FL_IF);
			assert_int_equal(m->cpu.shadow, SHADOW_STI);
			assert_false(cpu_interruptible(&m->cpu));
			/* With IF set already there is no shadow. */
			assert_int_equal(MOCK_EXEC(m, 0xfb), OUT_OK);
			assert_int_equal(m->cpu.shadow, 0);
			assert_int_equal(MOCK_EXEC(m, 0xfa), OUT_OK);
			assert_false(m->cpu.eflags & FL_IF);
		}
	}
	/* PUSHFD hides RF and VM. */
	mock_protect(m, 0);
	m->cpu.eflags |= FL_RF | FL_AC;
	assert_int_equal(MOCK_EXEC(m, 0x9c), OUT_OK);
	assert_int_equal(mock_get32(m, (uint32_t)m->cpu.gpr[R_ESP]), FL_FIXED1 | FL_AC);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_same_level), TEST(test_flag_filter), TEST(test_outer),
		TEST(test_to_vm86),    TEST(test_in_vm86),     TEST(test_real_mode),
		TEST(test_cli_sti),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
