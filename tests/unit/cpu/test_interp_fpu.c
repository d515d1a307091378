/*
 * x87, MMX and SSE beyond their arithmetic: who may use them, exceptions late
 * and early, and the state in memory.
 */
#include <string.h>

#include "cpu/fpu.h"
#include "tests/unit/cpu/mock.h"

enum { HEAP = 0x50000 };

static int set_up(void **state)
{
	struct mock *m = mock_create();

	mock_protect(m, 0);
	m->cpu.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	m->cpu.gpr[R_EAX] = HEAP;
	fpu_init(&m->cpu);
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
		mock_put(m, MOCK_CODE, bytes, sizeof(bytes));                            \
		(m)->cpu.rip = MOCK_CODE;                                                \
	} while (0)

static void expect(struct mock *m, enum outcome outcome)
{
	assert_int_equal(cpu_interpret_one(&m->cpu), outcome);
}

static void expect_fault(struct mock *m, unsigned vector)
{
	expect(m, OUT_FAULT);
	assert_int_equal(m->cpu.fault.vector, vector);
}

/* What CR0 and CR4 make of the three kinds. */
static void test_availability(void **state)
{
	static const struct {
		uint32_t cr0, cr4;
		int x87, mmx, sse, fwait; /* -1: runs */
	} cases[] = {
		{0, CR4_OSFXSR, -1, -1, -1, -1},
		{CR0_TS, CR4_OSFXSR, EXC_NM, EXC_NM, EXC_NM, -1},
		{CR0_TS | CR0_MP, CR4_OSFXSR, EXC_NM, EXC_NM, EXC_NM, EXC_NM},
		{CR0_MP, CR4_OSFXSR, -1, -1, -1, -1},
		{CR0_EM, CR4_OSFXSR, EXC_NM, EXC_UD, EXC_UD, -1},
		{0, 0, -1, -1, EXC_UD, -1},
		{CR0_TS, 0, EXC_NM, EXC_NM, EXC_UD, -1},
	};
	struct mock *m = *state;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		const int expected[] = {cases[i].x87, cases[i].mmx, cases[i].sse, cases[i].fwait};

		for (unsigned kind = 0; kind < 4; kind++) {
			if (kind == 0)
				CODE(m, 0xd9, 0xe8); /* FLD1 */
			else if (kind == 1)
				CODE(m, 0x0f, 0xef, 0xc0); /* PXOR mm0, mm0 */
			else if (kind == 2)
				CODE(m, 0x0f, 0x57, 0xc0); /* XORPS xmm0, xmm0 */
			else
				CODE(m, 0x9b);
			m->cpu.cr0 = CR0_PE | CR0_NE | cases[i].cr0;
			m->cpu.cr4 = cases[i].cr4;
			if (expected[kind] < 0)
				expect(m, OUT_OK);
			else
				expect_fault(m, (unsigned)expected[kind]);
		}
	}
}

static void make_pending(struct mock *m)
{
	m->cpu.fx.fcw = 0x37b; /* division by zero unmasked */
	CODE(m, 0xd9, 0xe8);
	expect(m, OUT_OK);
	CODE(m, 0xd9, 0xee);
	expect(m, OUT_OK);
	CODE(m, 0xde, 0xf9); /* FDIVP: 1 / 0 completes and leaves the exception pending */
	expect(m, OUT_OK);
	assert_int_equal(m->cpu.fx.fsw & 0x8084, 0x8084);
}

static void test_x87_exception_is_late(void **state)
{
	struct mock *m = *state;

	make_pending(m);
	CODE(m, 0xdf, 0xe0); /* FNSTSW does not wait */
	expect(m, OUT_OK);
	assert_int_equal(m->cpu.gpr[R_EAX] & 0x8084, 0x8084);
	m->cpu.gpr[R_EAX] = HEAP;
	CODE(m, 0xd9, 0xe8);
	expect_fault(m, EXC_MF);
	CODE(m, 0x0f, 0xef, 0xc0); /* MMX waits, too */
	expect_fault(m, EXC_MF);
	CODE(m, 0x0f, 0x57, 0xc0); /* SSE does not */
	expect(m, OUT_OK);
	CODE(m, 0x9b);
	expect_fault(m, EXC_MF);
	CODE(m, 0xdb, 0xe2); /* FNCLEX */
	expect(m, OUT_OK);
	CODE(m, 0x9b);
	expect(m, OUT_OK);
}

/* CR0.NE = 0: the error goes out as FERR#, and the instruction waits for its interrupt. */
static void test_external_error_reporting(void **state)
{
	struct mock *m = *state;

	make_pending(m);
	m->cpu.cr0 &= ~(uint32_t)CR0_NE;
	m->cpu.eflags |= FL_IF;
	CODE(m, 0xd9, 0xe8);
	expect(m, OUT_RETRY);
	assert_true(m->ferr);
	assert_int_equal(m->cpu.rip, MOCK_CODE);
	m->cpu.eflags &= ~(uint32_t)FL_IF; /* inside the handler it runs */
	expect(m, OUT_OK);
	assert_int_equal(m->cpu.fx.fcw, 0x37b);
	CODE(m, 0xdb, 0xe2);
	expect(m, OUT_OK);
	assert_false(m->ferr);
}

/* A store that ends in an unmasked exception leaves memory alone. */
static void test_store_with_exception(void **state)
{
	struct mock *m = *state;

	CODE(m, 0xd9, 0xee); /* FLDZ, FLDZ, FDIVP: a NaN */
	expect(m, OUT_OK);
	CODE(m, 0xd9, 0xee);
	expect(m, OUT_OK);
	CODE(m, 0xde, 0xf9);
	expect(m, OUT_OK);
	m->cpu.fx.fsw &= 0x3800;
	m->cpu.fx.fcw = 0x37e; /* invalid unmasked */
	mock_put32(m, HEAP, 0x55aa55aa);
	CODE(m, 0xdb, 0x18); /* FISTP */
	expect(m, OUT_OK);
	assert_int_equal(mock_get32(m, HEAP), 0x55aa55aa);
	assert_true(m->cpu.fx.fsw & FSW_ES);
}

static void test_sse_exception(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	static const float one[4] = {1, 1, 1, 1};
	uint8_t before[16];

	memcpy(c->fx.xmm[0], one, 16);
	memset(c->fx.xmm[1], 0, 16);
	memcpy(before, c->fx.xmm[0], 16);
	c->fx.mxcsr = 0x1f80 & ~0x200u; /* division by zero unmasked */
	CODE(m, 0x0f, 0x5e, 0xc1); /* DIVPS */
	expect_fault(m, EXC_XM);
	assert_int_equal(c->fx.mxcsr & 0x3f, 4);
	assert_memory_equal(c->fx.xmm[0], before, 16);
	assert_int_equal(c->rip, MOCK_CODE);
	c->cr4 &= ~(uint32_t)CR4_OSXMMEXCPT;
	expect_fault(m, EXC_UD);
	c->fx.mxcsr = 0x1f80;
	expect(m, OUT_OK);
	assert_int_equal(c->fx.mxcsr, 0x1f84);
}

static void test_alignment(void **state)
{
	struct mock *m = *state;

	m->cpu.gpr[R_EAX] = HEAP + 8;
	CODE(m, 0x0f, 0x28, 0x00); /* MOVAPS */
	expect_fault(m, EXC_GP);
	CODE(m, 0x0f, 0x10, 0x00); /* MOVUPS */
	expect(m, OUT_OK);
	CODE(m, 0x0f, 0x58, 0x00); /* ADDPS */
	expect_fault(m, EXC_GP);
	CODE(m, 0xf2, 0x0f, 0x58, 0x00); /* ADDSD takes eight bytes anywhere */
	expect(m, OUT_OK);
	CODE(m, 0x0f, 0xae, 0x00); /* FXSAVE */
	expect_fault(m, EXC_GP);
	m->page[HEAP >> 12] = MOCK_READONLY;
	m->cpu.gpr[R_EAX] = HEAP + 16;
	CODE(m, 0x0f, 0x29, 0x00); /* MOVAPS store */
	expect_fault(m, EXC_PF);
}

static void test_fxsave_fxrstor(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	memset(m->ram + HEAP, 0xee, 512);
	CODE(m, 0xdd, 0x05, 0x00, 0x10, 0x05, 0x00); /* FLD qword [HEAP + 0x1000] */
	expect(m, OUT_OK);
	memset(c->fx.xmm[7], 0x77, 16);
	CODE(m, 0x0f, 0xae, 0x00);
	expect(m, OUT_OK);
	/* Pointers are the guest's. */
	assert_int_equal(mock_get32(m, HEAP + 8), MOCK_CODE);
	assert_int_equal(mock_get16(m, HEAP + 12), SEL_CODE0);
	assert_int_equal(mock_get32(m, HEAP + 16), HEAP + 0x1000);
	assert_int_equal(mock_get16(m, HEAP + 20), SEL_DATA0);
	assert_int_equal(mock_get16(m, HEAP + 6), 0x505);
	assert_int_equal(m->ram[HEAP + 4], 0x80); /* one register, TOP = 7 */
	assert_int_equal(mock_get32(m, HEAP + 28), MXCSR_MASK);
	assert_int_equal(m->ram[HEAP + 288], 0xee); /* beyond what 32-bit mode defines */
	struct cpu_fx saved = c->fx;
	CODE(m, 0xdb, 0xe3); /* FNINIT */
	expect(m, OUT_OK);
	memset(c->fx.xmm, 0, sizeof(c->fx.xmm));
	CODE(m, 0x0f, 0xae, 0x08); /* FXRSTOR */
	expect(m, OUT_OK);
	assert_memory_equal(&c->fx, &saved, 288);
	mock_put32(m, HEAP + 24, 0x10000 | 0x1f80);
	CODE(m, 0x0f, 0xae, 0x08);
	expect_fault(m, EXC_GP);
}

static void test_environment_formats(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	CODE(m, 0xdd, 0x05, 0x00, 0x10, 0x05, 0x00);
	expect(m, OUT_OK);
	CODE(m, 0xd9, 0x30); /* FNSTENV, 32-bit protected */
	expect(m, OUT_OK);
	assert_int_equal(mock_get16(m, HEAP), 0x37f);
	assert_int_equal(mock_get16(m, HEAP + 4), 7 << 11);
	assert_int_equal(mock_get16(m, HEAP + 8), 0x7fff); /* register 7 is a zero */
	assert_int_equal(mock_get32(m, HEAP + 12), MOCK_CODE);
	assert_int_equal(mock_get32(m, HEAP + 16), 0x505 << 16 | SEL_CODE0);
	assert_int_equal(mock_get32(m, HEAP + 20), HEAP + 0x1000);
	CODE(m, 0x66, 0xd9, 0x30); /* 16-bit protected */
	expect(m, OUT_OK);
	assert_int_equal(mock_get16(m, HEAP + 4), 0x7fff);
	assert_int_equal(mock_get16(m, HEAP + 6), MOCK_CODE & 0xffff);
	assert_int_equal(mock_get16(m, HEAP + 8), SEL_CODE0);
	assert_int_equal(mock_get16(m, HEAP + 10), (HEAP + 0x1000) & 0xffff);
	mock_real(m, MOCK_CODE >> 4, 0);
	c->seg[S_CS].attr &= (uint16_t)~SEG_DB; /* real mode keeps the size it came with */
	c->gpr[R_EBX] = 0x7000;
	c->fx.fip = 0x123;
	c->fx.fcs = 0x3000;
	CODE(m, 0xd9, 0x37); /* FNSTENV [bx], 16-bit real */
	c->rip = 0;
	expect(m, OUT_OK);
	assert_int_equal(mock_get16(m, 0x7006), 0x0123);
	assert_int_equal(mock_get16(m, 0x7008), 0x3505); /* linear 30123, opcode 505 */
}

static void test_save_and_restore(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	for (unsigned i = 0; i < 3; i++) {
		CODE(m, 0xd9, 0xeb); /* FLDPI */
		expect(m, OUT_OK);
	}
	struct cpu_fx before = c->fx;
	CODE(m, 0xdd, 0x30); /* FNSAVE */
	expect(m, OUT_OK);
	assert_int_equal(c->fx.fcw, 0x37f);
	assert_int_equal(c->fx.fsw, 0);
	assert_int_equal(c->fx.ftw, 0);
	CODE(m, 0xdd, 0x20); /* FRSTOR */
	expect(m, OUT_OK);
	assert_int_equal(c->fx.fsw, before.fsw);
	assert_int_equal(c->fx.ftw, before.ftw);
	for (unsigned i = 0; i < 8; i++)
		assert_memory_equal(c->fx.st[i], before.st[i], 10);
	/* FLDENV moves TOP, not the registers. */
	CODE(m, 0xd9, 0x30);
	expect(m, OUT_OK);
	mock_put16(m, HEAP + 4, 6 << 11);
	CODE(m, 0xd9, 0x20);
	expect(m, OUT_OK);
	assert_memory_equal(c->fx.st[0], before.st[1], 10);
	assert_memory_equal(c->fx.st[7], before.st[0], 10);
}

static void test_mxcsr(void **state)
{
	struct mock *m = *state;

	mock_put32(m, HEAP, 0x3f80);
	CODE(m, 0x0f, 0xae, 0x10); /* LDMXCSR */
	expect(m, OUT_OK);
	assert_int_equal(m->cpu.fx.mxcsr, 0x3f80);
	mock_put32(m, HEAP, 0x21f80); /* a bit the guest's processor does not have */
	CODE(m, 0x0f, 0xae, 0x10);
	expect_fault(m, EXC_GP);
	CODE(m, 0x0f, 0xae, 0x18); /* STMXCSR */
	expect(m, OUT_OK);
	assert_int_equal(mock_get32(m, HEAP), 0x3f80);
}

static void test_general_registers(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	memset(c->fx.xmm[1], 0x80, 16);
	CODE(m, 0x0f, 0x50, 0xe1); /* MOVMSKPS esp, xmm1 */
	expect(m, OUT_OK);
	assert_int_equal(c->gpr[R_ESP], 15);
	c->gpr[R_ESP] = 0x12345678;
	CODE(m, 0x66, 0x0f, 0x6e, 0xd4); /* MOVD xmm2, esp */
	expect(m, OUT_OK);
	assert_int_equal(c->fx.xmm[2][3], 0x12);
	c->gpr[R_EDI] = HEAP;
	CODE(m, 0x66, 0x0f, 0xf7, 0xd1); /* MASKMOVDQU xmm2, xmm1 */
	expect(m, OUT_OK);
	assert_int_equal(mock_get32(m, HEAP), 0x12345678);
}

/* The host's own x87 and SSE settings survive the guest's. */
static void test_host_state_survives(void **state)
{
	struct mock *m = *state;
	uint32_t mxcsr, mxcsr_after;
	uint16_t fcw, fcw_after;

	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(fcw));
	m->cpu.fx.fcw = 0x0c40;
	m->cpu.fx.mxcsr = 0xffc0;
	CODE(m, 0xd9, 0xe8);
	expect(m, OUT_OK);
	CODE(m, 0x0f, 0x58, 0xc1);
	expect(m, OUT_OK);
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr_after), "=m"(fcw_after));
	assert_int_equal(mxcsr, mxcsr_after);
	assert_int_equal(fcw, fcw_after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_availability), TEST(test_x87_exception_is_late),
		TEST(test_external_error_reporting), TEST(test_store_with_exception),
		TEST(test_sse_exception), TEST(test_alignment), TEST(test_fxsave_fxrstor),
		TEST(test_environment_formats), TEST(test_save_and_restore), TEST(test_mxcsr),
		TEST(test_general_registers), TEST(test_host_state_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
