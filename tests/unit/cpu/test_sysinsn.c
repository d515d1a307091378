/* System instructions: privilege, table registers, I/O permission, CPUID at the instruction level,
 * debug traps. */
#include "tests/unit/cpu/mock.h"

#include <string.h>

static int setup(void **state)
{
	*state = mock_create();
	mock_protect(*state, 0);
	return 0;
}

static int teardown(void **state)
{
	mock_destroy(*state);
	return 0;
}

/* Everything privileged is #GP(0) at levels 1-3 and in vm86 mode, and changes nothing. */
static void test_privilege(void **state)
{
	static const struct {
		uint8_t len, bytes[8];
	} insns[] = {
		{1, {0xf4}},		 /* hlt */
		{2, {0x0f, 0x06}},	 /* clts */
		{2, {0x0f, 0x08}},	 /* invd */
		{2, {0x0f, 0x09}},	 /* wbinvd */
		{3, {0x0f, 0x20, 0xc0}}, /* mov eax, cr0 */
		{3, {0x0f, 0x22, 0xd8}}, /* mov cr3, eax */
		{3, {0x0f, 0x21, 0xf8}}, /* mov eax, dr7 */
		{3, {0x0f, 0x23, 0xf8}}, /* mov dr7, eax */
		{3, {0x0f, 0x01, 0xf0}}, /* lmsw ax */
		{3, {0x0f, 0x01, 0x10}}, /* lgdt [eax] */
		{3, {0x0f, 0x01, 0x18}}, /* lidt [eax] */
		{3, {0x0f, 0x01, 0x38}}, /* invlpg [eax] */
		{2, {0x0f, 0x30}},	 /* wrmsr */
		{2, {0x0f, 0x32}},	 /* rdmsr */
	};
	struct mock *m = *state;
	struct cpu before;

	for (unsigned cpl = 1; cpl <= 4; cpl++) {
		if (cpl == 4)
			mock_vm86(m, 0x3000, 0, 3);
		else
			mock_protect(m, cpl);
		m->cpu.gpr[R_EAX] = 0x7000;
		mock_save(m, &before);
		for (unsigned i = 0; i < ARRAY_LEN(insns); i++)
			MOCK_EXPECT_FAULT(m, mock_exec(m, insns[i].bytes, insns[i].len), &before,
					  EXC_GP, 0);
	}
	mock_protect(m, 3);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xd0), &before, EXC_GP, 0); /* lldt ax */
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xd8), &before, EXC_GP, 0); /* ltr ax */
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0xaa), &before, EXC_UD, 0);	  /* rsm */
}

static void test_control_moves(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu, before;

	c->gpr[R_ECX] = CR0_PE | CR0_TS;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x22, 0xc1), OUT_OK); /* mov cr0, ecx */
	assert_int_equal(c->cr0, CR0_PE | CR0_TS | CR0_ET);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x06), OUT_OK);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x20, 0xc3), OUT_OK); /* mov ebx, cr0 */
	assert_int_equal(c->gpr[R_EBX], CR0_PE | CR0_ET);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x22, 0xc8), &before, EXC_UD, 0); /* cr1 */
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x20, 0xe8), &before, EXC_UD, 0); /* cr5 */
	c->gpr[R_EAX] = 0x12345000;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x22, 0xd0), OUT_OK); /* cr2 and back */
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x20, 0xd2), OUT_OK);
	assert_int_equal(c->gpr[R_EDX], 0x12345000);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x22, 0xd8), OUT_OK); /* cr3 */
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x20, 0xde), OUT_OK);
	assert_int_equal(c->gpr[R_ESI], 0x12345000);
	c->gpr[R_EAX] = CR4_TSD | CR4_DE;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x22, 0xe0), OUT_OK); /* cr4 */
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x20, 0xe7), OUT_OK);
	assert_int_equal(c->gpr[R_EDI], CR4_TSD | CR4_DE);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x23, 0xd8), OUT_OK); /* dr3 */
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x21, 0xda), OUT_OK);
	assert_int_equal(c->gpr[R_EDX], CR4_TSD | CR4_DE);
	/* LMSW sets PE but never clears it; the upper half of CR0 stays. */
	c->gpr[R_EAX] = 0xfffe;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x01, 0xf0), OUT_OK);
	assert_int_equal(c->cr0, CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET);
	c->gpr[R_EAX] = 0;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x01, 0xf0), OUT_OK);
	assert_int_equal(c->cr0, CR0_PE | CR0_ET);
	/* SMSW: 32 bits to a register, 16 to memory, any privilege */
	mock_protect(m, 3);
	c->cr0 |= CR0_WP;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x01, 0xe0), OUT_OK);
	assert_int_equal(c->gpr[R_EAX], c->cr0);
	mock_put32(m, 0x7000, 0xffffffff);
	c->gpr[R_EAX] = 0x7000;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x01, 0x20), OUT_OK);
	assert_int_equal(mock_get32(m, 0x7000), 0xffff0000 | (c->cr0 & 0xffff));
}

static void test_tables(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu, before;

	c->gpr[R_EAX] = 0x7000;
	mock_put16(m, 0x7000, 0x1234);
	mock_put32(m, 0x7002, 0xab345678);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x01, 0x18), OUT_OK); /* lidt */
	assert_int_equal(c->idtr.limit, 0x1234);
	assert_int_equal(c->idtr.base, 0xab345678);
	assert_int_equal(MOCK_EXEC(m, 0x66, 0x0f, 0x01, 0x18), OUT_OK); /* 24 bits of base */
	assert_int_equal(c->idtr.base, 0x345678);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x01, 0x00), OUT_OK); /* sgdt */
	assert_int_equal(mock_get16(m, 0x7000), 0x1ff);
	assert_int_equal(mock_get32(m, 0x7002), MOCK_GDT);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x01, 0x08), OUT_OK); /* sidt */
	assert_int_equal(mock_get16(m, 0x7000), 0x1234);
	assert_int_equal(mock_get32(m, 0x7002), 0x345678);
	/* LLDT: null is allowed and disables the LDT */
	c->gpr[R_EAX] = 0;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x00, 0xd0), OUT_OK);
	assert_true(c->seg[S_LDTR].attr & SEG_NULL);
	c->gpr[R_EAX] = SEL_LDT;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x00, 0xd0), OUT_OK);
	assert_int_equal(c->seg[S_LDTR].base, MOCK_LDT);
	mock_save(m, &before);
	c->gpr[R_EAX] = before.gpr[R_EAX] = SEL_LDT | 4;
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xd0), &before, EXC_GP, SEL_LDT | 4);
	c->gpr[R_EAX] = before.gpr[R_EAX] = SEL_TSS2;
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xd0), &before, EXC_GP, SEL_TSS2);
	/* LTR marks the descriptor busy, so a second load fails */
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x00, 0xd8), OUT_OK);
	assert_int_equal(c->seg[S_TR].base, MOCK_TSS2);
	assert_int_equal(m->ram[MOCK_GDT + SEL_TSS2 + 5] & 0xf, 11);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xd8), &before, EXC_GP, SEL_TSS2);
	c->gpr[R_EAX] = before.gpr[R_EAX] = 0;
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xd8), &before, EXC_GP, 0);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0x67, 9);
	c->gpr[R_EAX] = before.gpr[R_EAX] = SEL_FREE;
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xd8), &before, EXC_NP, SEL_FREE);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x00, 0xcb), OUT_OK); /* str ebx */
	assert_int_equal(c->gpr[R_EBX], SEL_TSS2);
}

static void test_invlpg_hlt(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->gpr[R_EAX] = 0xfffff123;
	c->seg[S_DS].base = 0x2000;
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x01, 0x38), OUT_OK);
	assert_int_equal(m->invlpgs, 1);
	assert_int_equal(m->last_invlpg, 0x1123);
	c->rip = MOCK_CODE;
	assert_int_equal(MOCK_EXEC(m, 0xf4), OUT_OK);
	assert_int_equal(c->halted, 1);
	assert_int_equal(c->rip, MOCK_CODE + 1);
}

static bool io_allowed(struct mock *m, uint16_t port, unsigned size)
{
	return cpu_check_io(&m->cpu, port, size) == OUT_OK;
}

static void test_io_permission(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu, before;

	mock_protect(m, 3);
	assert_false(io_allowed(m, 0x60, 1));
	c->eflags |= FL_IOPL;
	assert_true(io_allowed(m, 0x60, 1));
	mock_vm86(m, 0x3000, 0, 3); /* vm86 asks the map whatever IOPL says */
	assert_false(io_allowed(m, 0x60, 1));
	mock_protect(m, 3);
	/* Every width at every place around a byte boundary. */
	memset(m->ram + MOCK_TSS + 0x68, 0, 8);
	for (unsigned denied = 0; denied < 32; denied++) {
		mock_put32(m, MOCK_TSS + 0x68, 1u << denied);
		for (uint16_t port = 0; port < 28; port++)
			for (unsigned size = 1; size <= 4; size *= 2)
				assert_int_equal(io_allowed(m, port, size),
						 !(denied >= port && denied < port + size));
	}
	/* The map ends with the TSS: both bytes looked at must be inside. */
	mock_put32(m, MOCK_TSS + 0x68, 0);
	c->seg[S_TR].limit = 0x69;
	assert_true(io_allowed(m, 7, 1));
	assert_false(io_allowed(m, 8, 1));
	c->seg[S_TR].limit = 0xfff;
	c->seg[S_TR].attr = SEG_P | 3; /* a 16-bit TSS has no map */
	assert_false(io_allowed(m, 7, 1));
	/* the instructions */
	mock_protect(m, 3);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0xe6, 0x80), &before, EXC_GP, 0);
	assert_int_equal(m->outs, 0);
	c->eflags |= FL_IOPL;
	c->gpr[R_EAX] = 0xaabbccdd;
	c->gpr[R_EDX] = 0xffff03f8;
	assert_int_equal(MOCK_EXEC(m, 0xef), OUT_OK); /* out dx, eax */
	assert_true(m->last_port == 0x3f8 && m->last_io_size == 4 && m->last_out == 0xaabbccdd);
	m->next_in = 0x11223344;
	assert_int_equal(MOCK_EXEC(m, 0xe4, 0xf0), OUT_OK); /* in al, 0xf0 */
	assert_true(m->last_port == 0xf0 && m->last_io_size == 1);
	assert_int_equal(c->gpr[R_EAX], 0xaabbcc44);
	assert_int_equal(MOCK_EXEC(m, 0x66, 0xed), OUT_OK); /* in ax, dx */
	assert_int_equal(c->gpr[R_EAX], 0xaabb3344);
}

static void test_single_step_and_breakpoints(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	const uint8_t nops[] = {0x90, 0x90, 0x90};

	mock_gate(m, MOCK_IDT + EXC_DB * 8, SEL_CODE0, 0x31000, 14, 0, true, 0);
	mock_put(m, MOCK_CODE, nops, sizeof(nops));
	c->eflags |= FL_TF;
	cpu_step(c);
	assert_int_equal(c->rip, 0x31000);
	assert_int_equal(mock_get32(m, (uint32_t)c->gpr[R_ESP]), MOCK_CODE + 1);
	assert_true(c->dr[6] & 1 << 14);
	assert_false(c->eflags & FL_TF);
	/* An instruction breakpoint is met before the instruction; RF lets it through once. */
	mock_protect(m, 0);
	c->dr[0] = MOCK_CODE;
	c->dr[7] = 0x401;
	c->dr[6] = 0xffff0ff0;
	cpu_step(c);
	assert_int_equal(c->rip, 0x31000);
	assert_int_equal(mock_get32(m, (uint32_t)c->gpr[R_ESP]), MOCK_CODE);
	assert_int_equal(c->dr[6], 0xffff0ff1);
	mock_protect(m, 0);
	c->eflags |= FL_RF;
	cpu_step(c);
	assert_int_equal(c->rip, MOCK_CODE + 1);
	assert_false(c->eflags & FL_RF);
	/* An I/O breakpoint traps after the access. */
	mock_protect(m, 0);
	c->cr4 |= CR4_DE;
	c->dr[1] = 0x80;
	c->dr[7] = 0x400 | 1 << 2 | 2 << 20;
	mock_put(m, MOCK_CODE, (const uint8_t[]){0xe6, 0x80}, 2);
	cpu_step(c);
	assert_int_equal(m->outs, 1);
	assert_int_equal(c->rip, 0x31000);
	assert_int_equal(c->dr[6], 0xffff0ff2);
}

static void test_flag_instructions(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->gpr[R_EAX] = 0xffffffff;
	assert_int_equal(MOCK_EXEC(m, 0x9e), OUT_OK); /* sahf */
	assert_int_equal(c->eflags, FL_FIXED1 | FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF);
	assert_int_equal(MOCK_EXEC(m, 0xf8), OUT_OK); /* clc */
	assert_int_equal(MOCK_EXEC(m, 0x9f), OUT_OK); /* lahf */
	assert_int_equal(c->gpr[R_EAX], 0xffffd6ff);
	assert_int_equal(MOCK_EXEC(m, 0xf5), OUT_OK); /* cmc */
	assert_true(c->eflags & FL_CF);
	assert_int_equal(MOCK_EXEC(m, 0xfd), OUT_OK); /* std */
	assert_true(c->eflags & FL_DF);
	assert_int_equal(MOCK_EXEC(m, 0xfc), OUT_OK); /* cld */
	assert_false(c->eflags & FL_DF);
	assert_int_equal(MOCK_EXEC(m, 0xf5), OUT_OK);
	assert_int_equal(MOCK_EXEC(m, 0xf9), OUT_OK); /* stc */
	assert_true(c->eflags & FL_CF);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_privilege),
		TEST(test_control_moves),
		TEST(test_tables),
		TEST(test_invlpg_hlt),
		TEST(test_io_permission),
		TEST(test_single_step_and_breakpoints),
		TEST(test_flag_instructions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
