/*
 * The interpreter's frame: decoding and its faults, gating by CPUID features,
 * branches and their limits, stack forms, debug traps, alignment checks.
 */
#include <string.h>

#include "cpu/ops.h"
#include "tests/unit/cpu/mock.h"

enum { HEAP = 0x50000 };

static int set_up(void **state)
{
	struct mock *m = mock_create();

	mock_protect(m, 0);
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

static void expect_ok(struct mock *m, uint32_t eip)
{
	assert_int_equal(cpu_interpret_one(&m->cpu), OUT_OK);
	assert_int_equal(m->cpu.rip, eip);
}

/* A fault with an unchanged processor. */
static void expect_fault(struct mock *m, unsigned vector, uint32_t error)
{
	static struct cpu before;

	mock_save(m, &before);
	assert_int_equal(cpu_interpret_one(&m->cpu), OUT_FAULT);
	assert_int_equal(m->cpu.fault.vector, vector);
	if (m->cpu.fault.has_error)
		assert_int_equal(m->cpu.fault.error, error);
	assert_true(mock_same(m, &before));
}

/* ---- decoding ---- */

static void test_too_long(void **state)
{
	struct mock *m = *state;
	uint8_t bytes[16];

	memset(bytes, 0x66, sizeof(bytes));
	bytes[14] = 0x90;
	mock_put(m, MOCK_CODE, bytes, 15);
	expect_ok(m, MOCK_CODE + 15); /* fifteen bytes are fine */
	m->cpu.rip = MOCK_CODE;
	bytes[14] = 0x66;
	bytes[15] = 0x90;
	mock_put(m, MOCK_CODE, bytes, 16);
	expect_fault(m, EXC_GP, 0);
}

static void test_lock(void **state)
{
	struct mock *m = *state;

	CODE(m, 0xf0, 0x89, 0xc8); /* LOCK MOV */
	expect_fault(m, EXC_UD, 0);
	CODE(m, 0xf0, 0x01, 0xc8); /* LOCK ADD register */
	expect_fault(m, EXC_UD, 0);
	CODE(m, 0xf0, 0x01, 0x08); /* LOCK ADD [eax], ecx */
	m->cpu.gpr[R_EAX] = HEAP;
	m->cpu.gpr[R_ECX] = 5;
	expect_ok(m, MOCK_CODE + 3);
	assert_int_equal(mock_get32(m, HEAP), 5);
}

static void test_fetch_across_pages(void **state)
{
	struct mock *m = *state;

	m->cpu.rip = MOCK_CODE + 0xffe;
	CODE(m, 0xb8, 1, 2, 3, 4); /* MOV eax, imm32 over the page's end */
	m->page[(MOCK_CODE >> 12) + 1] = MOCK_ABSENT;
	expect_fault(m, EXC_PF, m->cpu.fault.error);
	assert_int_equal(m->cpu.fault.cr2, MOCK_CODE + 0x1000);
	m->page[(MOCK_CODE >> 12) + 1] = 0;
	expect_ok(m, MOCK_CODE + 0x1003);
	assert_int_equal(m->cpu.gpr[R_EAX], 0x04030201);
	/* A shorter instruction does not look at the absent page. */
	m->page[(MOCK_CODE >> 12) + 1] = MOCK_ABSENT;
	m->cpu.rip = MOCK_CODE + 0xfff;
	CODE(m, 0x40);
	expect_ok(m, MOCK_CODE + 0x1000);
}

static void test_code_limit(void **state)
{
	struct mock *m = *state;

	CODE(m, 0xb8, 1, 2, 3, 4);
	m->cpu.seg[S_CS].limit = MOCK_CODE + 3;
	expect_fault(m, EXC_GP, 0);
	m->cpu.seg[S_CS].limit = MOCK_CODE + 4;
	expect_ok(m, MOCK_CODE + 5);
	expect_fault(m, EXC_GP, 0); /* EIP itself is beyond the limit now */
}

static void test_modified_code_is_decoded_anew(void **state)
{
	struct mock *m = *state;

	CODE(m, 0x40); /* INC eax */
	expect_ok(m, MOCK_CODE + 1);
	m->cpu.rip = MOCK_CODE;
	CODE(m, 0x48); /* DEC eax */
	expect_ok(m, MOCK_CODE + 1);
	assert_int_equal(m->cpu.gpr[R_EAX], 0);
	/* The same bytes at the same place mean something else in 16-bit code. */
	m->cpu.rip = MOCK_CODE;
	m->cpu.gpr[R_EAX] = 0xffff;
	CODE(m, 0x40);
	m->cpu.seg[S_CS].attr &= (uint16_t)~SEG_DB;
	m->cpu.seg[S_CS].base = MOCK_CODE;
	m->cpu.rip = 0;
	expect_ok(m, 1);
	assert_int_equal(m->cpu.gpr[R_EAX], 0);
}

/* ---- features ---- */

static void test_absent_extensions(void **state)
{
	static const struct {
		uint8_t bytes[6];
	} absent[] = {
		{{0xc5, 0xf8, 0x58, 0xc1}},             /* VADDPS */
		{{0x0f, 0xc7, 0xf0}},                   /* RDRAND */
		{{0x0f, 0x38, 0xf0, 0x00}},             /* MOVBE */
		{{0x66, 0x0f, 0x38, 0xf6, 0xc0}},       /* ADCX */
		{{0x0f, 0x01, 0xd0}},                   /* XGETBV */
		{{0x0f, 0x05}},                         /* SYSCALL */
		{{0x0f, 0x01, 0xc8}},                   /* MONITOR */
		{{0x66, 0x0f, 0x38, 0xdc, 0xc1}},       /* AESENC */
		{{0xf2, 0x0f, 0x79, 0xc1}},             /* INSERTQ */
		{{0xc4, 0xe2, 0x78, 0xf2, 0xc1}},       /* ANDN */
		{{0x0f, 0x0b}},                         /* UD2 */
		{{0x0f, 0xff, 0xc0}},                   /* UD0 */
		{{0x0f, 0x0f, 0xc1, 0x9e}},             /* PFADD */
	};
	struct mock *m = *state;

	m->cpu.cr4 = CR4_OSFXSR;
	for (unsigned i = 0; i < ARRAY_LEN(absent); i++) {
		mock_put(m, MOCK_CODE, absent[i].bytes, sizeof(absent[i].bytes));
		expect_fault(m, EXC_UD, 0);
	}
}

static void test_old_meanings(void **state)
{
	struct mock *m = *state;

	m->cpu.gpr[R_ECX] = 0x00010000;
	CODE(m, 0xf3, 0x0f, 0xbd, 0xc1); /* LZCNT on newer processors: BSR here */
	expect_ok(m, MOCK_CODE + 4);
	assert_int_equal(m->cpu.gpr[R_EAX], 16);
	m->cpu.rip = MOCK_CODE;
	CODE(m, 0xf3, 0x0f, 0x1e, 0xfb); /* ENDBR32 */
	expect_ok(m, MOCK_CODE + 4);
}

static void test_model_gates(void **state)
{
	static const struct {
		unsigned word, bit;
		uint8_t bytes[6];
	} gates[] = {
		{FEAT_1_EDX, 15, {0x0f, 0x44, 0xc1}},             /* CMOVZ */
		{FEAT_1_EDX, 15, {0xdb, 0xf0}},                   /* FCOMI */
		{FEAT_1_EDX, 8, {0x0f, 0xc7, 0x08}},              /* CMPXCHG8B */
		{FEAT_1_EDX, 23, {0x0f, 0xfc, 0xc1}},             /* PADDB mm */
		{FEAT_1_EDX, 25, {0x0f, 0x58, 0xc1}},             /* ADDPS */
		{FEAT_1_EDX, 25, {0x0f, 0xe0, 0xc1}},             /* PAVGB mm */
		{FEAT_1_EDX, 26, {0x66, 0x0f, 0x58, 0xc1}},       /* ADDPD */
		{FEAT_1_ECX, 0, {0xf2, 0x0f, 0xd0, 0xc1}},        /* ADDSUBPS */
		{FEAT_1_ECX, 9, {0x0f, 0x38, 0x00, 0xc1}},        /* PSHUFB mm */
		{FEAT_1_ECX, 19, {0x66, 0x0f, 0x38, 0x17, 0xc1}}, /* PTEST */
		{FEAT_1_ECX, 20, {0xf2, 0x0f, 0x38, 0xf1, 0xc1}}, /* CRC32 */
		{FEAT_1_ECX, 23, {0xf3, 0x0f, 0xb8, 0xc1}},       /* POPCNT */
		{FEAT_1_EDX, 24, {0x0f, 0xae, 0x00}},             /* FXSAVE */
	};
	struct mock *m = *state;

	m->cpu.cr4 = CR4_OSFXSR;
	m->cpu.fx.fcw = 0x37f;
	m->cpu.gpr[R_EAX] = HEAP;
	memset(m->model.features, 0xff, sizeof(m->model.features));
	for (unsigned i = 0; i < ARRAY_LEN(gates); i++) {
		mock_put(m, MOCK_CODE, gates[i].bytes, sizeof(gates[i].bytes));
		m->model.features[gates[i].word] &= ~(1u << gates[i].bit);
		expect_fault(m, EXC_UD, 0);
		m->model.features[gates[i].word] |= 1u << gates[i].bit;
		assert_int_equal(cpu_interpret_one(&m->cpu), OUT_OK);
		m->cpu.rip = MOCK_CODE;
		m->cpu.gpr[R_EAX] = HEAP;
	}
}

/* ---- branches ---- */

static void test_branch_limit(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->seg[S_CS].limit = MOCK_CODE + 0x100;
	CODE(m, 0xe9, 0x00, 0x10, 0x00, 0x00); /* JMP far beyond */
	expect_fault(m, EXC_GP, 0);
	CODE(m, 0xe8, 0x00, 0x10, 0x00, 0x00); /* CALL: nothing is pushed */
	expect_fault(m, EXC_GP, 0);
	CODE(m, 0x0f, 0x84, 0x00, 0x10, 0x00, 0x00); /* JZ, not taken and taken */
	c->eflags &= ~(uint32_t)FL_ZF;
	expect_ok(m, MOCK_CODE + 6);
	c->rip = MOCK_CODE;
	c->eflags |= FL_ZF;
	expect_fault(m, EXC_GP, 0);
	CODE(m, 0xe2, 0x80); /* LOOP backwards keeps inside */
	c->gpr[R_ECX] = 2;
	expect_ok(m, MOCK_CODE - 126);
	assert_int_equal(c->gpr[R_ECX], 1);
}

static void test_operand_size_truncates(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	CODE(m, 0x66, 0xe9, 0x10, 0x00);
	expect_ok(m, (MOCK_CODE + 4 + 0x10) & 0xffff);
	c->rip = MOCK_CODE;
	c->gpr[R_EAX] = 0x12345678;
	CODE(m, 0x66, 0xff, 0xe0); /* JMP ax */
	expect_ok(m, 0x5678);
	c->rip = MOCK_CODE;
	CODE(m, 0x66, 0xc3); /* RET with 16 bits */
	mock_put16(m, (uint32_t)c->gpr[R_ESP], 0x4321);
	uint64_t esp = c->gpr[R_ESP];
	expect_ok(m, 0x4321);
	assert_int_equal(c->gpr[R_ESP], esp + 2);
}

static void test_counters_by_address_size(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->gpr[R_ECX] = 0x50000;
	CODE(m, 0x67, 0xe3, 0x10); /* JCXZ */
	expect_ok(m, MOCK_CODE + 0x13);
	c->rip = MOCK_CODE;
	CODE(m, 0x67, 0xe2, 0x10); /* LOOP with CX: wraps to FFFF */
	expect_ok(m, MOCK_CODE + 0x13);
	assert_int_equal(c->gpr[R_ECX], 0x5ffff);
	c->rip = MOCK_CODE;
	c->gpr[R_ECX] = 5;
	c->eflags |= FL_ZF;
	CODE(m, 0xe0, 0x10); /* LOOPNE */
	expect_ok(m, MOCK_CODE + 2);
	c->rip = MOCK_CODE;
	CODE(m, 0xe1, 0x10); /* LOOPE */
	expect_ok(m, MOCK_CODE + 0x12);
	assert_int_equal(c->gpr[R_ECX], 3);
}

static void test_call_and_return(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	uint32_t esp = (uint32_t)c->gpr[R_ESP];

	CODE(m, 0xe8, 0x0b, 0x00, 0x00, 0x00); /* CALL +0x10 */
	expect_ok(m, MOCK_CODE + 0x10);
	assert_int_equal(mock_get32(m, esp - 4), MOCK_CODE + 5);
	CODE(m, 0xc2, 0x08, 0x00); /* RET 8 */
	expect_ok(m, MOCK_CODE + 5);
	assert_int_equal(c->gpr[R_ESP], esp + 8);
	/* CALL [esp]: the target is read before the push. */
	mock_put32(m, (uint32_t)c->gpr[R_ESP], MOCK_CODE + 0x40);
	CODE(m, 0xff, 0x14, 0x24);
	expect_ok(m, MOCK_CODE + 0x40);
}

static void test_bound(void **state)
{
	struct mock *m = *state;

	CODE(m, 0x62, 0x01); /* BOUND eax, [ecx] */
	m->cpu.gpr[R_ECX] = HEAP;
	mock_put32(m, HEAP, (uint32_t)-5);
	mock_put32(m, HEAP + 4, 5);
	m->cpu.gpr[R_EAX] = (uint32_t)-5;
	expect_ok(m, MOCK_CODE + 2);
	m->cpu.rip = MOCK_CODE;
	m->cpu.gpr[R_EAX] = 6;
	expect_fault(m, EXC_BR, 0);
}

/* ---- stack ---- */

static void test_push_pop_esp(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	uint32_t esp = (uint32_t)c->gpr[R_ESP];

	CODE(m, 0x54, 0xff, 0x34, 0x24, 0x8f, 0x44, 0x24, 0x08, 0x5c);
	expect_ok(m, MOCK_CODE + 1); /* PUSH esp stores the old value */
	assert_int_equal(mock_get32(m, esp - 4), esp);
	expect_ok(m, MOCK_CODE + 4); /* PUSH [esp] reads by the old value */
	assert_int_equal(mock_get32(m, esp - 8), esp);
	mock_put32(m, esp - 8, 0x1234);
	expect_ok(m, MOCK_CODE + 8); /* POP [esp+8] addresses by the new value */
	assert_int_equal(mock_get32(m, esp - 4 + 8), 0x1234);
	mock_put32(m, esp - 4, 0x777);
	expect_ok(m, MOCK_CODE + 9); /* POP esp leaves the value popped */
	assert_int_equal(c->gpr[R_ESP], 0x777);
}

static void test_pop_to_bad_memory(void **state)
{
	struct mock *m = *state;

	m->page[HEAP >> 12] = MOCK_READONLY;
	CODE(m, 0x8f, 0x05, 0x00, 0x00, 0x05, 0x00); /* POP [HEAP] */
	expect_fault(m, EXC_PF, PF_P | PF_W);
	CODE(m, 0x01, 0x05, 0x00, 0x00, 0x05, 0x00); /* ADD [HEAP], eax faults as a write */
	expect_fault(m, EXC_PF, PF_P | PF_W);
}

static void test_16_bit_stack(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->seg[S_SS].attr &= (uint16_t)~SEG_DB;
	c->seg[S_SS].base = HEAP;
	c->seg[S_SS].limit = 0xffff;
	c->gpr[R_ESP] = 0xabcd0000; /* SP = 0 wraps to FFFC */
	c->gpr[R_EAX] = 0x11223344;
	CODE(m, 0x50, 0x58);
	expect_ok(m, MOCK_CODE + 1);
	assert_int_equal(c->gpr[R_ESP], 0xabcdfffc);
	assert_int_equal(mock_get32(m, HEAP + 0xfffc), 0x11223344);
	expect_ok(m, MOCK_CODE + 2);
	assert_int_equal(c->gpr[R_ESP], 0xabcd0000);
	c->rip = MOCK_CODE;
	c->gpr[R_ESP] = 2; /* a doubleword would reach around the end */
	expect_fault(m, EXC_SS, 0);
}

static void test_pusha_popa(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	uint64_t esp = c->gpr[R_ESP];

	for (unsigned i = 0; i < 8; i++)
		if (i != R_ESP)
			c->gpr[i] = 0x1000 + i;
	CODE(m, 0x60, 0x61);
	expect_ok(m, MOCK_CODE + 1);
	assert_int_equal(c->gpr[R_ESP], esp - 32);
	assert_int_equal(mock_get32(m, (uint32_t)esp - 4), 0x1000);
	assert_int_equal(mock_get32(m, (uint32_t)esp - 20), esp);
	for (unsigned i = 0; i < 8; i++)
		if (i != R_ESP)
			c->gpr[i] = 0;
	expect_ok(m, MOCK_CODE + 2);
	assert_int_equal(c->gpr[R_ESP], esp);
	assert_int_equal(c->gpr[R_EDI], 0x1007);
	m->page[(esp - 32) >> 12] = MOCK_ABSENT;
	c->rip = MOCK_CODE;
	expect_fault(m, EXC_PF, PF_W);
}

static void test_enter_leave(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	uint32_t esp = (uint32_t)c->gpr[R_ESP];

	c->gpr[R_EBP] = HEAP;
	mock_put32(m, HEAP - 4, 0xaaaa);
	CODE(m, 0xc8, 0x10, 0x00, 0x02, 0xc9); /* ENTER 16, 2; LEAVE */
	expect_ok(m, MOCK_CODE + 4);
	assert_int_equal(c->gpr[R_EBP], esp - 4);
	assert_int_equal(c->gpr[R_ESP], esp - 12 - 16);
	assert_int_equal(mock_get32(m, esp - 4), HEAP);
	assert_int_equal(mock_get32(m, esp - 8), 0xaaaa);
	assert_int_equal(mock_get32(m, esp - 12), esp - 4);
	expect_ok(m, MOCK_CODE + 5);
	assert_int_equal(c->gpr[R_ESP], esp);
	assert_int_equal(c->gpr[R_EBP], HEAP);
}

/* ---- traps and checks ---- */

static void test_alignment_check(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 3);
	m->cpu.cr0 |= CR0_AM;
	m->cpu.eflags |= FL_AC;
	m->cpu.gpr[R_EAX] = HEAP + 2;
	CODE(m, 0x8b, 0x08); /* MOV ecx, [eax] */
	expect_fault(m, EXC_AC, 0);
	CODE(m, 0x66, 0x8b, 0x08);
	expect_ok(m, MOCK_CODE + 3);
	m->cpu.rip = MOCK_CODE;
	CODE(m, 0x8b, 0x08);
	m->cpu.cpl = 0; /* only user code is checked */
	expect_ok(m, MOCK_CODE + 2);
}

static void test_single_step(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	CODE(m, 0x90, 0x9d, 0x90);
	c->eflags |= FL_TF;
	expect_ok(m, MOCK_CODE + 1);
	assert_int_equal(c->pending_db, DR6_BS);
	c->pending_db = 0;
	/* POPF that clears TF is still trapped; one that sets it is not. */
	mock_put32(m, (uint32_t)c->gpr[R_ESP], FL_FIXED1);
	expect_ok(m, MOCK_CODE + 2);
	assert_int_equal(c->pending_db, DR6_BS);
	c->pending_db = 0;
	c->rip = MOCK_CODE + 1;
	mock_put32(m, (uint32_t)c->gpr[R_ESP], FL_FIXED1 | FL_TF);
	expect_ok(m, MOCK_CODE + 2);
	assert_int_equal(c->pending_db, 0);
	expect_ok(m, MOCK_CODE + 3);
	assert_int_equal(c->pending_db, DR6_BS);
}

static void test_ss_load_holds_traps(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	CODE(m, 0x8e, 0xd0, 0x90); /* MOV ss, ax; NOP */
	c->gpr[R_EAX] = SEL_DATA0;
	c->eflags |= FL_TF;
	expect_ok(m, MOCK_CODE + 2);
	assert_int_equal(c->pending_db, 0);
	assert_int_equal(c->shadow, SHADOW_SS);
	expect_ok(m, MOCK_CODE + 3);
	assert_int_equal(c->shadow, 0);
	assert_int_equal(c->pending_db, DR6_BS);
}

static void test_data_breakpoint(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->dr[0] = HEAP;
	c->dr[7] = 0x400 | 1 | 1 << 16 | 3 << 18; /* L0, writes, four bytes */
	c->gpr[R_EAX] = HEAP;
	CODE(m, 0x8b, 0x08, 0x88, 0x48, 0x03); /* read; then write of one byte in range */
	expect_ok(m, MOCK_CODE + 2);
	assert_int_equal(c->pending_db & 15, 0);
	expect_ok(m, MOCK_CODE + 5);
	assert_int_equal(c->pending_db & 15, 1);
}

static void test_resume_flag(void **state)
{
	struct mock *m = *state;

	m->cpu.eflags |= FL_RF;
	CODE(m, 0x8b, 0x05, 0xff, 0xff, 0xff, 0x7f); /* faults: RF stays */
	expect_fault(m, EXC_PF, 0);
	CODE(m, 0x90);
	expect_ok(m, MOCK_CODE + 1);
	assert_false(m->cpu.eflags & FL_RF);
}

/* Handler of #DB at a place of its own; the frame it gets is looked at. */
enum { DB_HANDLER = MOCK_CODE + 0x800 };

static void test_step_delivers_traps(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	uint32_t esp = (uint32_t)c->gpr[R_ESP];

	mock_gate(m, MOCK_IDT + 8 * EXC_DB, SEL_CODE0, DB_HANDLER, 14, 0, true, 0);
	CODE(m, 0x40, 0x43); /* INC eax; INC ebx */
	c->eflags |= FL_TF;
	cpu_step(c);
	assert_int_equal(c->gpr[R_EAX], 1);
	assert_int_equal(c->rip, DB_HANDLER);
	assert_int_equal(mock_get32(m, esp - 12), MOCK_CODE + 1);
	assert_true(c->dr[6] & DR6_BS);
	assert_false(c->eflags & FL_TF);
	assert_int_equal(c->pending_db, 0);
}

static void test_step_honours_breakpoints(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	uint32_t esp = (uint32_t)c->gpr[R_ESP];

	mock_gate(m, MOCK_IDT + 8 * EXC_DB, SEL_CODE0, DB_HANDLER, 14, 0, true, 0);
	mock_put(m, DB_HANDLER, (const uint8_t[]){0x81, 0x4c, 0x24, 0x08, 0, 0, 1, 0, 0xcf}, 9);
	CODE(m, 0x40, 0x43);
	c->dr[1] = MOCK_CODE + 1;
	c->dr[7] = 0x400 | 1 << 2;
	cpu_step(c);
	cpu_step(c); /* a fault: EBX is not touched yet */
	assert_int_equal(c->rip, DB_HANDLER);
	assert_int_equal(c->gpr[R_EBX], 0);
	assert_int_equal(mock_get32(m, esp - 12), MOCK_CODE + 1);
	assert_true(c->dr[6] & 2);
	cpu_step(c); /* OR dword [esp+8], RF; IRET: the breakpoint does not hit again */
	cpu_step(c);
	assert_int_equal(c->rip, MOCK_CODE + 1);
	cpu_step(c);
	assert_int_equal(c->gpr[R_EBX], 1);
}

static void test_step_delivers_faults(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	mock_gate(m, MOCK_IDT + 8 * EXC_DE, SEL_CODE0, DB_HANDLER, 14, 0, true, 0);
	CODE(m, 0xf7, 0xf1); /* DIV ecx by zero */
	uint32_t esp = (uint32_t)c->gpr[R_ESP];
	cpu_step(c);
	assert_int_equal(c->rip, DB_HANDLER);
	assert_int_equal(mock_get32(m, esp - 12), MOCK_CODE);
}

static void test_counts_retired(void **state)
{
	struct mock *m = *state;
	uint64_t count = m->cpu.interp_count;

	CODE(m, 0x90, 0x0f, 0x0b);
	expect_ok(m, MOCK_CODE + 1);
	expect_fault(m, EXC_UD, 0);
	assert_int_equal(m->cpu.interp_count, count + 1);
}

static void test_16_bit_addressing(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	c->gpr[R_EBX] = 0xffff8000;
	c->gpr[R_ESI] = 0xa000;
	mock_put32(m, 0x2010, 0xcafe1234);
	CODE(m, 0x67, 0x8b, 0x40, 0x10); /* MOV eax, [bx+si+16]: wraps at 64 KiB */
	expect_ok(m, MOCK_CODE + 4);
	assert_int_equal(c->gpr[R_EAX], 0xcafe1234);
	c->rip = MOCK_CODE;
	CODE(m, 0x67, 0x8d, 0x40, 0x10); /* LEA eax */
	expect_ok(m, MOCK_CODE + 4);
	assert_int_equal(c->gpr[R_EAX], 0x2010);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_too_long), TEST(test_lock), TEST(test_fetch_across_pages),
		TEST(test_code_limit), TEST(test_modified_code_is_decoded_anew),
		TEST(test_absent_extensions), TEST(test_old_meanings), TEST(test_model_gates),
		TEST(test_branch_limit), TEST(test_operand_size_truncates),
		TEST(test_counters_by_address_size), TEST(test_call_and_return), TEST(test_bound),
		TEST(test_push_pop_esp), TEST(test_pop_to_bad_memory), TEST(test_16_bit_stack),
		TEST(test_pusha_popa), TEST(test_enter_leave), TEST(test_alignment_check),
		TEST(test_single_step), TEST(test_ss_load_holds_traps), TEST(test_data_breakpoint),
		TEST(test_resume_flag), TEST(test_step_delivers_traps), TEST(test_step_honours_breakpoints),
		TEST(test_step_delivers_faults), TEST(test_counts_retired), TEST(test_16_bit_addressing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
