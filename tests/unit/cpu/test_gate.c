/* Interrupt and trap gates, faults on the way, double and triple faults. */
#include "tests/unit/cpu/mock.h"

#include <string.h>

enum { INT32 = 14, TRAP32 = 15, INT16 = 6, TRAP16 = 7, HANDLER = 0x31000 };

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

static void gate(struct mock *m, unsigned vector, uint16_t sel, unsigned type, unsigned dpl)
{
	mock_gate(m, MOCK_IDT + vector * 8, sel, HANDLER, type, dpl, true, 0);
}

static enum outcome int_n(struct mock *m, uint8_t n)
{
	return MOCK_EXEC(m, 0xcd, n);
}

static void test_same_level(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 0);
	m->cpu.eflags |= FL_IF | FL_TF | FL_NT;
	gate(m, 0x40, SEL_CODE0, TRAP32, 0);
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	assert_int_equal(int_n(m, 0x40), OUT_OK);
	assert_int_equal(m->cpu.rip, HANDLER);
	assert_int_equal(m->cpu.gpr[R_ESP], esp - 12);
	assert_int_equal(mock_get32(m, esp - 4), FL_FIXED1 | FL_IF | FL_TF | FL_NT);
	assert_int_equal(mock_get32(m, esp - 8), SEL_CODE0);
	assert_int_equal(mock_get32(m, esp - 12), MOCK_CODE + 2);
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_IF);
	/* An interrupt gate also clears IF. */
	gate(m, 0x40, SEL_CODE0, INT32, 0);
	m->cpu.rip = MOCK_CODE;
	assert_int_equal(int_n(m, 0x40), OUT_OK);
	assert_int_equal(m->cpu.eflags, FL_FIXED1);
}

static void test_16_bit_gate(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 0);
	mock_gate(m, MOCK_IDT + 0x40 * 8, SEL_CODE16, 0x99991234, INT16, 0, true, 0);
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	m->cpu.rip = MOCK_CODE;
	assert_int_equal(int_n(m, 0x40), OUT_OK);
	assert_int_equal(m->cpu.rip, 0x1234);
	assert_int_equal(m->cpu.gpr[R_ESP], esp - 6);
	assert_int_equal(mock_get16(m, esp - 6), (MOCK_CODE + 2) & 0xffff);
}

static void test_inner_levels(void **state)
{
	static const uint16_t code[] = {SEL_CODE0, SEL_CODE1, SEL_CODE2};
	static const uint16_t data[] = {SEL_DATA0, SEL_DATA1, SEL_DATA2};
	struct mock *m = *state;

	for (unsigned from = 1; from < 4; from++) {
		for (unsigned to = 0; to < from; to++) {
			mock_protect(m, from);
			gate(m, 0x40, code[to], INT32, 3);
			uint32_t top = MOCK_STACK0 + to * 0x1000, esp = (uint32_t)m->cpu.gpr[R_ESP];
			uint16_t cs = m->cpu.seg[S_CS].sel, ss = m->cpu.seg[S_SS].sel;
			assert_int_equal(int_n(m, 0x40), OUT_OK);
			assert_int_equal(m->cpu.cpl, to);
			assert_int_equal(m->cpu.seg[S_CS].sel, code[to] | to);
			assert_int_equal(m->cpu.seg[S_SS].sel, data[to]);
			assert_int_equal(m->cpu.gpr[R_ESP], top - 20);
			assert_int_equal(mock_get32(m, top - 4), ss);
			assert_int_equal(mock_get32(m, top - 8), esp);
			assert_int_equal(mock_get32(m, top - 16), cs);
		}
	}
}

static void test_conforming(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 3);
	gate(m, 0x40, SEL_CONF0, INT32, 3);
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	assert_int_equal(int_n(m, 0x40), OUT_OK);
	assert_int_equal(m->cpu.cpl, 3);
	assert_int_equal(m->cpu.seg[S_CS].sel, SEL_CONF0 | 3);
	assert_int_equal(m->cpu.gpr[R_ESP], esp - 12);
}

static void test_gate_errors(void **state)
{
	struct mock *m = *state;
	const uint32_t at = MOCK_IDT + 0x40 * 8;
	struct cpu before;

	mock_protect(m, 3);
	mock_save(m, &before);
	/* beyond the IDT */
	m->cpu.idtr.limit = 0x40 * 8 + 6;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, 0x40 * 8 + 2);
	m->cpu.idtr.limit = 0x7ff;
	mock_save(m, &before);
	/* not a gate: every type */
	for (unsigned type = 0; type < 16; type++) {
		if (type == 5 || type == 6 || type == 7 || type == 14 || type == 15)
			continue;
		mock_gate(m, at, SEL_CODE0, HANDLER, type, 3, true, 0);
		MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, 0x40 * 8 + 2);
	}
	/* gate privilege, for software alone */
	gate(m, 0x40, SEL_CODE0, INT32, 2);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, 0x40 * 8 + 2);
	/* gate absent */
	mock_gate(m, at, SEL_CODE0, HANDLER, INT32, 3, false, 0);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_NP, 0x40 * 8 + 2);
	/* handler's segment: null, beyond the table, data, outer level, absent */
	gate(m, 0x40, 3, INT32, 3);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, 0);
	gate(m, 0x40, 0x200, INT32, 3);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, 0x200);
	gate(m, 0x40, SEL_DATA0, INT32, 3);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, SEL_DATA0);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xfffff, SEG_S | SEG_CODE | SEG_DB | SEG_G);
	gate(m, 0x40, SEL_FREE, INT32, 3);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_NP, SEL_FREE);
	/* handler beyond its segment */
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, HANDLER - 1, SEG_P | SEG_S | SEG_CODE | SEG_DB);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, 0);
	/* an outer level is never entered */
	mock_protect(m, 0);
	mock_save(m, &before);
	gate(m, 0x40, SEL_CODE3, INT32, 3);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, SEL_CODE3 & ~3);
}

static void test_stack_switch_errors(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 3);
	gate(m, 0x40, SEL_CODE0, INT32, 3);
	mock_save(m, &before);
	/* SS in the TSS: null, beyond the table, wrong RPL, wrong DPL, not writable, absent */
	mock_put16(m, MOCK_TSS + 8, 0);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_TS, 0);
	mock_put16(m, MOCK_TSS + 8, 0x200);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_TS, 0x200);
	mock_put16(m, MOCK_TSS + 8, SEL_DATA0 | 1);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_TS, SEL_DATA0);
	mock_put16(m, MOCK_TSS + 8, SEL_DATA1 & ~3);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_TS, SEL_DATA1 & ~3);
	mock_put16(m, MOCK_TSS + 8, SEL_CODE0);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_TS, SEL_CODE0);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xfffff, SEG_S | SEG_WRITE | SEG_DB | SEG_G);
	mock_put16(m, MOCK_TSS + 8, SEL_FREE);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_SS, SEL_FREE);
	/* no room: four of five words fit */
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xfffff,
			SEG_P | SEG_S | SEG_WRITE | SEG_DB | SEG_G | 1);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0x20000, 15, SEG_P | SEG_S | SEG_WRITE | SEG_DB | 1);
	mock_put32(m, MOCK_TSS + 4, 16);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_SS, SEL_FREE);
	/* the TSS is too short for the level */
	mock_put16(m, MOCK_TSS + 8, SEL_DATA0);
	m->cpu.seg[S_TR].limit = 8;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_TS, SEL_TSS);
}

static void test_frame_page_fault(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 3);
	gate(m, 0x40, SEL_CODE0, INT32, 3);
	/* Two words in the upper page, three in the absent lower one. */
	mock_put32(m, MOCK_TSS + 4, 0x41008);
	m->page[0x40] = MOCK_ABSENT;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_PF, PF_W);
	assert_int_equal(m->cpu.fault.cr2, 0x40ffc);
	assert_int_equal(mock_get32(m, 0x41004), 0);
	m->page[0x40] = 0;
	assert_int_equal(int_n(m, 0x40), OUT_OK);
	assert_int_equal(m->cpu.gpr[R_ESP], 0x41008 - 20);
}

static void test_error_code_and_rf(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 3);
	m->cpu.eflags |= FL_IF;
	gate(m, EXC_GP, SEL_CODE0, INT32, 0);
	assert_int_equal(cpu_raise_error(&m->cpu, EXC_GP, 0x1234), OUT_FAULT);
	cpu_deliver_fault(&m->cpu);
	assert_int_equal(m->cpu.cpl, 0);
	assert_int_equal(m->cpu.gpr[R_ESP], MOCK_STACK0 - 24);
	assert_int_equal(mock_get32(m, MOCK_STACK0 - 24), 0x1234);
	assert_int_equal(mock_get32(m, MOCK_STACK0 - 20), MOCK_CODE);
	assert_int_equal(mock_get32(m, MOCK_STACK0 - 12), FL_FIXED1 | FL_IF | FL_RF);
	assert_int_equal(m->cpu.eflags, FL_FIXED1);
	/* An external interrupt saves RF as it is. */
	mock_protect(m, 3);
	gate(m, 0x20, SEL_CODE0, INT32, 0);
	m->cpu.halted = 1;
	cpu_deliver_interrupt(&m->cpu, 0x20);
	assert_int_equal(m->cpu.halted, 0);
	assert_int_equal(mock_get32(m, MOCK_STACK0 - 12), FL_FIXED1);
	/* NMI blocks further NMIs. */
	gate(m, EXC_NMI, SEL_CODE0, INT32, 0);
	cpu_deliver_interrupt(&m->cpu, EXC_NMI);
	assert_int_equal(m->cpu.nmi_block, 1);
}

static void test_cr2_and_dr6(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 0);
	gate(m, EXC_PF, SEL_CODE0, INT32, 0);
	gate(m, EXC_DB, SEL_CODE0, INT32, 0);
	m->cpu.fault = (struct cpu_fault){
		.vector = EXC_PF, .has_error = true, .error = 6, .cr2 = 0xdeadb000};
	cpu_deliver_fault(&m->cpu);
	assert_int_equal(m->cpu.cr2, 0xdeadb000);
	m->cpu.dr[6] |= 3;
	m->cpu.dr[7] |= 1 << 13;
	m->cpu.fault = (struct cpu_fault){.vector = EXC_DB, .dr6 = 1 << 14 | 4};
	cpu_deliver_fault(&m->cpu);
	assert_int_equal(m->cpu.dr[6], 0xffff0ff0 | 1 << 14 | 4);
	assert_false(m->cpu.dr[7] & 1 << 13);
}

/* First event, what its delivery meets, and what must arrive. Null handlers make #GP, absent pages
 * #PF. */
static void combine(struct mock *m, unsigned first, bool second_pf, unsigned arrives,
		    uint32_t error)
{
	mock_protect(m, 0);
	memset(m->page, 0, sizeof(m->page));
	memset(m->ram + MOCK_IDT, 0, 0x800);
	m->cpu.cr2 = 0;
	m->cpu.shutdown = false;
	gate(m, arrives, SEL_CODE0, INT32, 0);
	if (second_pf) {
		/* the first gate's code descriptor lies in an absent page */
		gate(m, first, SEL_FREE | 4, INT32, 0);
		m->cpu.seg[S_LDTR].base = 0x50000;
		m->page[0x50] = MOCK_ABSENT;
	}
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	m->cpu.fault = (struct cpu_fault){.vector = (uint8_t)first,
					  .has_error = first >= 10 && first <= 14};
	cpu_deliver_fault(&m->cpu);
	assert_false(m->cpu.shutdown);
	assert_int_equal(m->cpu.rip, HANDLER);
	assert_int_equal(m->cpu.gpr[R_ESP], esp - 16);
	assert_int_equal(mock_get32(m, esp - 16), error);
}

static void test_double_fault_table(void **state)
{
	struct mock *m = *state;

	combine(m, EXC_UD, false, EXC_GP,
		EXC_UD * 8 + 2 + 1);	      /* benign, then #GP: serially (EXT set) */
	combine(m, EXC_UD, true, EXC_PF, 0);  /* benign, then #PF */
	combine(m, EXC_DE, false, EXC_DF, 0); /* contributory twice */
	combine(m, EXC_TS, false, EXC_DF, 0);
	combine(m, EXC_NP, false, EXC_DF, 0);
	combine(m, EXC_SS, false, EXC_DF, 0);
	combine(m, EXC_GP, false, EXC_DF, 0);
	combine(m, EXC_GP, true, EXC_PF, 0);		  /* contributory, then #PF: serially */
	combine(m, EXC_PF, false, EXC_DF, 0);		  /* #PF, then contributory */
	combine(m, EXC_PF, true, EXC_DF, 0);		  /* #PF twice */
	assert_int_equal(m->cpu.cr2, 0x50000 + SEL_FREE); /* the second one's address */
}

static void test_triple_fault(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 0);
	assert_int_equal(cpu_raise_error(&m->cpu, EXC_GP, 0), OUT_FAULT);
	m->cpu.idtr.limit = 0;
	cpu_deliver_fault(&m->cpu);
	assert_true(m->cpu.shutdown);
	cpu_step(&m->cpu); /* stays down */
	assert_int_equal(m->cpu.rip, MOCK_CODE);
}

static void test_external_error_bit(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 0);
	gate(m, EXC_NP, SEL_CODE0, INT32, 0);
	mock_gate(m, MOCK_IDT + 0x20 * 8, SEL_CODE0, HANDLER, INT32, 0, false, 0);
	uint32_t esp = (uint32_t)m->cpu.gpr[R_ESP];
	cpu_deliver_interrupt(&m->cpu, 0x20);
	assert_int_equal(mock_get32(m, esp - 16), 0x20 * 8 + 3);
}

static void test_vm86_in(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_vm86(m, 0x3000, 0x100, 3);
	for (unsigned s = 0; s < 6; s++)
		if (s != S_CS)
			cpu_set_real_segment(&m->cpu, s, (uint16_t)(0x2000 + s));
	gate(m, 0x40, SEL_CODE0, INT32, 3);
	assert_int_equal(int_n(m, 0x40), OUT_OK);
	assert_int_equal(m->cpu.cpl, 0);
	assert_false(m->cpu.eflags & FL_VM);
	assert_int_equal(m->cpu.gpr[R_ESP], MOCK_STACK0 - 36);
	const uint32_t frame[] = {0x2000 + S_GS,
				  0x2000 + S_FS,
				  0x2000 + S_DS,
				  0x2000 + S_ES,
				  0x2000 + S_SS,
				  0x3000,
				  FL_FIXED1 | FL_VM | 3 << 12,
				  0x3000,
				  0x102};
	for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
		assert_int_equal(mock_get32(m, MOCK_STACK0 - 4 * (i + 1)), frame[i]);
	for (unsigned s = 0; s < 6; s++)
		if (s != S_CS && s != S_SS)
			assert_true(m->cpu.seg[s].sel == 0 && (m->cpu.seg[s].attr & SEG_NULL));
	/* INT n needs IOPL 3; INT3 does not. */
	mock_vm86(m, 0x3000, 0x100, 2);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, 0);
	gate(m, EXC_BP, SEL_CODE0, INT32, 3);
	assert_int_equal(MOCK_EXEC(m, 0xcc), OUT_OK);
	/* Handlers that do not lead to level 0 are refused. */
	mock_vm86(m, 0x3000, 0x100, 3);
	mock_save(m, &before);
	gate(m, 0x40, SEL_CODE1, INT32, 3);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, SEL_CODE1 & ~3);
	gate(m, 0x40, SEL_CONF0, INT32, 3);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, SEL_CONF0);
}

static void test_real_mode(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_real(m, 0x3000, 0x100);
	m->cpu.eflags |= FL_IF | FL_TF;
	mock_put16(m, 0x40 * 4, 0x1234);
	mock_put16(m, 0x40 * 4 + 2, 0x3100);
	assert_int_equal(int_n(m, 0x40), OUT_OK);
	assert_int_equal(m->cpu.seg[S_CS].base, 0x31000);
	assert_int_equal(m->cpu.rip, 0x1234);
	assert_int_equal(m->cpu.gpr[R_ESP], 0x8000 - 6);
	assert_int_equal(mock_get16(m, 0x8000 - 2), FL_FIXED1 | FL_IF | FL_TF);
	assert_int_equal(mock_get16(m, 0x8000 - 4), 0x3000);
	assert_int_equal(mock_get16(m, 0x8000 - 6), 0x102);
	assert_int_equal(m->cpu.eflags, FL_FIXED1);
	/* Beyond the table: #GP, whose own entry and the double fault's are beyond it too. */
	mock_real(m, 0x3000, 0x100);
	m->cpu.idtr.limit = 0x10;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, int_n(m, 0x40), &before, EXC_GP, 0);
	cpu_deliver_fault(&m->cpu);
	assert_true(m->cpu.shutdown);
}

static void test_icebp(void **state)
{
	struct mock *m = *state;

	mock_protect(m, 3);
	gate(m, EXC_DB, SEL_CODE0, INT32, 0); /* DPL 0 does not matter to INT1 */
	assert_int_equal(MOCK_EXEC(m, 0xf1), OUT_OK);
	assert_int_equal(m->cpu.cpl, 0);
	assert_int_equal(mock_get32(m, MOCK_STACK0 - 20), MOCK_CODE + 1);
	/* INTO looks at OF and at the gate's DPL. */
	mock_protect(m, 3);
	gate(m, EXC_OF, SEL_CODE0, INT32, 3);
	assert_int_equal(MOCK_EXEC(m, 0xce), OUT_OK);
	assert_int_equal(m->cpu.cpl, 3);
	m->cpu.eflags |= FL_OF;
	assert_int_equal(MOCK_EXEC(m, 0xce), OUT_OK);
	assert_int_equal(m->cpu.cpl, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_same_level),
		TEST(test_16_bit_gate),
		TEST(test_inner_levels),
		TEST(test_conforming),
		TEST(test_gate_errors),
		TEST(test_stack_switch_errors),
		TEST(test_frame_page_fault),
		TEST(test_error_code_and_rf),
		TEST(test_cr2_and_dr6),
		TEST(test_double_fault_table),
		TEST(test_triple_fault),
		TEST(test_external_error_bit),
		TEST(test_vm86_in),
		TEST(test_real_mode),
		TEST(test_icebp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
