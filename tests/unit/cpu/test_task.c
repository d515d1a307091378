/* Hardware task switches by jump, call, gate, event and IRET. */
#include "tests/unit/cpu/mock.h"

#include <string.h>

enum { TSS32 = 9, TSS32_BUSY = 11, TASK_GATE = 5, ENTRY = 0x31000 };

/* The other task: level 0, on its own stack, registers recognizable. */
static void make_task(struct mock *m, uint32_t eflags)
{
	mock_put32(m, MOCK_TSS2 + 0x1c, 0x00066000); /* CR3 */
	mock_put32(m, MOCK_TSS2 + 0x20, ENTRY);
	mock_put32(m, MOCK_TSS2 + 0x24, eflags);
	for (unsigned i = 0; i < 8; i++)
		mock_put32(m, MOCK_TSS2 + 0x28 + 4 * i, 0x22000000 + i);
	mock_put32(m, MOCK_TSS2 + 0x28 + 4 * R_ESP, MOCK_STACK1);
	for (unsigned i = 0; i < 6; i++)
		mock_put32(m, MOCK_TSS2 + 0x48 + 4 * i, i == S_CS ? SEL_CODE0 : SEL_DATA0);
	mock_put32(m, MOCK_TSS2 + 0x60, SEL_LDT);
}

static int setup(void **state)
{
	struct mock *m = mock_create();

	mock_protect(m, 0);
	make_task(m, FL_FIXED1 | FL_IF);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	mock_destroy(*state);
	return 0;
}

static enum outcome far(struct mock *m, uint8_t opcode, uint16_t sel)
{
	return MOCK_EXEC(m, opcode, 0, 0, 0, 0, (uint8_t)sel, (uint8_t)(sel >> 8));
}

static unsigned type_of(const struct mock *m, uint16_t sel)
{
	return m->ram[MOCK_GDT + (sel & ~7) + 5] & 0xf;
}

static void expect_in_new_task(const struct mock *m)
{
	assert_int_equal(m->cpu.rip, ENTRY);
	assert_int_equal(m->cpu.seg[S_TR].sel, SEL_TSS2);
	assert_int_equal(m->cpu.seg[S_TR].attr & SEG_TYPE, TSS32_BUSY);
	assert_int_equal(type_of(m, SEL_TSS2), TSS32_BUSY);
	assert_int_equal(m->cpu.gpr[R_EDI], 0x22000000 + R_EDI);
	assert_true(m->cpu.cr0 & CR0_TS);
	assert_int_equal(m->cpu.seg[S_LDTR].sel, SEL_LDT);
	assert_int_equal(m->cpu.seg[S_LDTR].base, MOCK_LDT);
}

static void test_jump(void **state)
{
	struct mock *m = *state;

	m->cpu.gpr[R_EBX] = 0x12345678;
	m->cpu.eflags |= FL_CF;
	m->cpu.dr[7] = 0x7ff;
	assert_int_equal(far(m, 0xea, SEL_TSS2), OUT_OK);
	expect_in_new_task(m);
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_IF);
	assert_int_equal(m->cpu.dr[7], 0x7ff & ~0x155u); /* local breakpoints end with the task */
	assert_int_equal(m->cpu.cr3, 0);		 /* no paging: CR3 is not loaded */
	assert_int_equal(type_of(m, SEL_TSS), TSS32);
	assert_int_equal(mock_get32(m, MOCK_TSS + 0x20), MOCK_CODE + 7);
	assert_int_equal(mock_get32(m, MOCK_TSS + 0x24), FL_FIXED1 | FL_CF);
	assert_int_equal(mock_get32(m, MOCK_TSS + 0x28 + 4 * R_EBX), 0x12345678);
	assert_int_equal(mock_get16(m, MOCK_TSS + 0x4c), SEL_CODE0);
	assert_int_equal(mock_get16(m, MOCK_TSS + 0x54), SEL_DATA0);
	assert_int_equal(mock_get16(m, MOCK_TSS2), 0); /* no link */
}

static void test_call_and_iret(void **state)
{
	struct mock *m = *state;

	m->cpu.gpr[R_EBX] = 0x12345678;
	assert_int_equal(far(m, 0x9a, SEL_TSS2), OUT_OK);
	expect_in_new_task(m);
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_IF | FL_NT);
	assert_int_equal(type_of(m, SEL_TSS), TSS32_BUSY);
	assert_int_equal(mock_get16(m, MOCK_TSS2), SEL_TSS);
	m->cpu.nmi_block = 1;
	assert_int_equal(MOCK_EXEC(m, 0xcf), OUT_OK);
	assert_int_equal(m->cpu.seg[S_TR].sel, SEL_TSS);
	assert_int_equal(m->cpu.rip, MOCK_CODE + 7);
	assert_int_equal(m->cpu.gpr[R_EBX], 0x12345678);
	assert_int_equal(m->cpu.eflags, FL_FIXED1);
	assert_int_equal(m->cpu.nmi_block, 0);
	assert_int_equal(type_of(m, SEL_TSS2), TSS32);
	assert_int_equal(mock_get32(m, MOCK_TSS2 + 0x20), ENTRY + 1);
	assert_false(mock_get32(m, MOCK_TSS2 + 0x24) & FL_NT);
}

static void test_event_gate(void **state)
{
	struct mock *m = *state;

	mock_gate(m, MOCK_IDT + EXC_GP * 8, SEL_TSS2, 0, TASK_GATE, 0, true, 0);
	assert_int_equal(cpu_raise_error(&m->cpu, EXC_GP, 0x77), OUT_FAULT);
	cpu_deliver_fault(&m->cpu);
	expect_in_new_task(m);
	assert_int_equal(m->cpu.gpr[R_ESP], MOCK_STACK1 - 4);
	assert_int_equal(mock_get32(m, MOCK_STACK1 - 4), 0x77);
	assert_true(m->cpu.eflags & FL_NT);
	assert_int_equal(mock_get32(m, MOCK_TSS + 0x20), MOCK_CODE);
	assert_true(mock_get32(m, MOCK_TSS + 0x24) & FL_RF);
}

static void test_double_fault_task(void **state)
{
	struct mock *m = *state;

	/* The classic use: a stack that is gone. */
	mock_gate(m, MOCK_IDT + EXC_PF * 8, SEL_CODE0, ENTRY, 14, 0, true, 0);
	mock_gate(m, MOCK_IDT + EXC_DF * 8, SEL_TSS2, 0, TASK_GATE, 0, true, 0);
	m->cpu.gpr[R_ESP] = 0x50000;
	m->page[0x4f] = MOCK_ABSENT;
	m->cpu.fault = (struct cpu_fault){
		.vector = EXC_PF, .has_error = true, .error = PF_W, .cr2 = 0x4fffc};
	cpu_deliver_fault(&m->cpu);
	assert_false(m->cpu.shutdown);
	expect_in_new_task(m);
	assert_int_equal(mock_get32(m, MOCK_STACK1 - 4), 0);
	assert_int_equal(m->cpu.cr2, 0x4fffc);
}

static void test_gate_in_gdt(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 3);
	mock_gate(m, MOCK_GDT + SEL_FREE, SEL_TSS2, 0, TASK_GATE, 3, true, 0);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, far(m, 0x9a, SEL_TSS2), &before, EXC_GP, SEL_TSS2); /* TSS has DPL 0 */
	assert_int_equal(far(m, 0x9a, SEL_FREE), OUT_OK);
	expect_in_new_task(m);
	assert_int_equal(m->cpu.cpl, 0);
}

static void test_early_faults(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, far(m, 0xea, SEL_TSS), &before, EXC_GP, SEL_TSS); /* busy */
	mock_gate(m, MOCK_GDT + SEL_FREE, SEL_TSS2 | 4, 0, TASK_GATE, 0, true, 0);
	MOCK_EXPECT_FAULT(m, far(m, 0xea, SEL_FREE), &before, EXC_GP,
			  SEL_TSS2 | 4); /* in the LDT */
	mock_gate(m, MOCK_GDT + SEL_FREE, SEL_TSS2, 0, TASK_GATE, 0, false, 0);
	MOCK_EXPECT_FAULT(m, far(m, 0xea, SEL_FREE), &before, EXC_NP, SEL_FREE);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, MOCK_TSS2, 0x66, SEG_P | TSS32);
	MOCK_EXPECT_FAULT(m, far(m, 0xea, SEL_FREE), &before, EXC_TS, SEL_FREE); /* too short */
	mock_descriptor(m, MOCK_GDT, SEL_FREE, MOCK_TSS2, 0x67, TSS32);
	MOCK_EXPECT_FAULT(m, far(m, 0xea, SEL_FREE), &before, EXC_NP, SEL_FREE);
	m->page[MOCK_TSS2 >> 12] = MOCK_ABSENT;
	MOCK_EXPECT_FAULT(m, far(m, 0xea, SEL_TSS2), &before, EXC_PF, 0);
	m->page[MOCK_TSS2 >> 12] = MOCK_READONLY; /* a jump does not write it */
	m->page[MOCK_TSS >> 12] = MOCK_READONLY;
	MOCK_EXPECT_FAULT(m, far(m, 0xea, SEL_TSS2), &before, EXC_PF, PF_W | PF_P);
	m->page[MOCK_TSS >> 12] = 0;
	MOCK_EXPECT_FAULT(m, far(m, 0x9a, SEL_TSS2), &before, EXC_PF,
			  PF_W | PF_P); /* the link would */
	assert_int_equal(far(m, 0xea, SEL_TSS2), OUT_OK);
	/* IRET blames the link with #TS. */
	mock_protect(m, 0);
	m->cpu.eflags |= FL_NT;
	mock_put16(m, MOCK_TSS, SEL_FREE);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, MOCK_TSS2, 0x67, SEG_P | TSS32); /* not busy */
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0xcf), &before, EXC_TS, SEL_FREE);
	mock_put16(m, MOCK_TSS, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0xcf), &before, EXC_TS, 0);
}

/* What goes wrong after the commit is delivered in the new task. */
static void late(struct mock *m, unsigned field, uint32_t value, unsigned vector, uint32_t error)
{
	mock_protect(m, 0);
	make_task(m, FL_FIXED1);
	memset(m->ram + MOCK_IDT, 0, 0x800);
	mock_gate(m, MOCK_IDT + vector * 8, SEL_CODE0, 0x32000, 14, 0, true, 0);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xfffff, SEG_S | SEG_WRITE | SEG_DB | SEG_G);
	mock_descriptor(m, MOCK_GDT, SEL_FREE + 8, 0, 0xfffff,
			SEG_S | SEG_CODE | SEG_WRITE | SEG_DB | SEG_G);
	mock_put32(m, MOCK_TSS2 + field, value);
	assert_int_equal(far(m, 0xea, SEL_TSS2), OUT_OK);
	assert_false(m->cpu.shutdown);
	assert_int_equal(m->cpu.seg[S_TR].sel, SEL_TSS2);
	assert_int_equal(m->cpu.rip, 0x32000);
	assert_int_equal(mock_get32(m, (uint32_t)m->cpu.gpr[R_ESP]), error);
}

static void test_late_faults(void **state)
{
	struct mock *m = *state;

	late(m, 0x54, SEL_FREE, EXC_NP, SEL_FREE);	 /* DS absent */
	late(m, 0x54, SEL_LDT, EXC_TS, SEL_LDT);	 /* DS not data */
	late(m, 0x48, 0x200, EXC_TS, 0x200);		 /* ES beyond the table */
	late(m, 0x54, SEL_DATA0 | 3, EXC_TS, SEL_DATA0); /* DS too privileged for its RPL */
	mock_descriptor(m, MOCK_GDT, SEL_CODE16, 0, 0xffff,
			SEG_P | SEG_S | SEG_CODE | SEG_WRITE | 1);
	late(m, 0x4c, SEL_CODE16, EXC_GP, 0); /* EIP beyond CS */
}

static void test_debug_trap_and_vm86(void **state)
{
	struct mock *m = *state;

	mock_put32(m, MOCK_TSS2 + 0x64, 1);
	make_task(m, FL_FIXED1 | FL_VM);
	for (unsigned i = 0; i < 6; i++)
		mock_put32(m, MOCK_TSS2 + 0x48 + 4 * i, 0x3000 + i);
	mock_put32(m, MOCK_TSS2 + 0x20, 0x123);
	assert_int_equal(far(m, 0xea, SEL_TSS2), OUT_OK);
	assert_int_equal(m->cpu.pending_db, 1 << 15);
	assert_int_equal(m->cpu.cpl, 3);
	assert_int_equal(m->cpu.rip, 0x123);
	assert_int_equal(m->cpu.seg[S_GS].base, 0x30050);
}

static void test_cr3(void **state)
{
	struct mock *m = *state;

	m->cpu.cr0 |= CR0_PG;
	m->paging_changes = m->global_flushes = 0;
	assert_int_equal(far(m, 0xea, SEL_TSS2), OUT_OK);
	assert_int_equal(m->cpu.cr3, 0x66000);
	assert_int_equal(m->paging_changes, 1);
	assert_int_equal(m->global_flushes, 0);
	/* PAE: reserved bits in the new PDPTEs stop the switch before it starts. */
	struct cpu before;
	mock_protect(m, 0);
	m->cpu.cr0 |= CR0_PG;
	m->cpu.cr4 |= CR4_PAE;
	mock_put32(m, 0x66000, 0x3);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, far(m, 0xea, SEL_TSS2), &before, EXC_GP, 0);
	mock_put32(m, 0x66000, 0x67001);
	assert_int_equal(far(m, 0xea, SEL_TSS2), OUT_OK);
	assert_int_equal(m->cpu.pdpte[0], 0x67001);
}

static void test_16_bit_tss(void **state)
{
	struct mock *m = *state;
	const uint32_t at = 0x6000;

	mock_descriptor(m, MOCK_GDT, SEL_FREE, at, 0x2b, SEG_P | 1);
	mock_put16(m, at + 0x0e, 0x1234);
	mock_put16(m, at + 0x10, FL_FIXED1 | FL_ZF);
	for (unsigned i = 0; i < 8; i++)
		mock_put16(m, at + 0x12 + 2 * i, (uint16_t)(0x3300 + i));
	for (unsigned i = 0; i < 4; i++)
		mock_put16(m, at + 0x22 + 2 * i, i == S_CS ? SEL_CODE16 : SEL_DATA0);
	m->cpu.gpr[R_EAX] = 0x11112222;
	assert_int_equal(far(m, 0x9a, SEL_FREE), OUT_OK);
	assert_int_equal(m->cpu.rip, 0x1234);
	assert_int_equal(m->cpu.gpr[R_ESI], 0xffff3306);
	assert_int_equal(m->cpu.eflags, FL_FIXED1 | FL_ZF | FL_NT);
	assert_int_equal(m->cpu.seg[S_CS].base, MOCK_CODE);
	assert_true(m->cpu.seg[S_FS].attr & SEG_NULL);
	assert_int_equal(mock_get16(m, at), SEL_TSS);
	/* back to the 32-bit task */
	assert_int_equal(MOCK_EXEC(m, 0xcf), OUT_OK);
	assert_int_equal(m->cpu.gpr[R_EAX], 0x11112222);
	assert_int_equal(mock_get16(m, at + 0x0e), 0x1235);
	assert_int_equal(type_of(m, SEL_FREE), 1);
}

/*
 * LDT, CS or SS that cannot be loaded leaves no stack to push a fault on: only a task gate survives
 * it.
 */
static void late_to_task(struct mock *m, unsigned field, uint32_t value, unsigned vector,
			 uint32_t error)
{
	const uint32_t handler = 0x6000;

	mock_protect(m, 0);
	make_task(m, FL_FIXED1);
	memset(m->ram + MOCK_IDT, 0, 0x800);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0xfffff, SEG_S | SEG_WRITE | SEG_DB | SEG_G);
	mock_descriptor(m, MOCK_GDT, SEL_FREE + 8, 0, 0xfffff,
			SEG_S | SEG_CODE | SEG_WRITE | SEG_DB | SEG_G);
	mock_descriptor(m, MOCK_GDT, SEL_FREE + 16, handler, 0x67, SEG_P | TSS32);
	memcpy(m->ram + handler, m->ram + MOCK_TSS2, 0x68);
	mock_put32(m, handler + 0x28 + 4 * R_ESP, MOCK_STACK2);
	mock_gate(m, MOCK_IDT + vector * 8, SEL_FREE + 16, 0, TASK_GATE, 0, true, 0);
	mock_put32(m, MOCK_TSS2 + field, value);
	assert_int_equal(far(m, 0xea, SEL_TSS2), OUT_OK);
	assert_false(m->cpu.shutdown);
	assert_int_equal(m->cpu.seg[S_TR].sel, SEL_FREE + 16);
	assert_int_equal(mock_get16(m, handler), SEL_TSS2);
	assert_int_equal(mock_get32(m, MOCK_STACK2 - 4), error);
}

static void test_late_without_stack(void **state)
{
	struct mock *m = *state;

	late_to_task(m, 0x60, SEL_LDT | 4, EXC_TS, SEL_LDT | 4); /* LDT in the LDT */
	late_to_task(m, 0x60, SEL_DATA0, EXC_TS, SEL_DATA0);	 /* LDT not one */
	late_to_task(m, 0x4c, 0, EXC_TS, 0);
	late_to_task(m, 0x4c, SEL_DATA0, EXC_TS, SEL_DATA0);
	late_to_task(m, 0x4c, SEL_CODE3 & ~3, EXC_TS, SEL_CODE3 & ~3);
	late_to_task(m, 0x4c, SEL_FREE + 8, EXC_NP, SEL_FREE + 8);
	late_to_task(m, 0x50, 0, EXC_TS, 0);
	late_to_task(m, 0x50, SEL_DATA3, EXC_TS, SEL_DATA3 & ~3);
	late_to_task(m, 0x50, SEL_FREE, EXC_SS, SEL_FREE);
}

static void test_software_interrupt_task(void **state)
{
	struct mock *m = *state;

	/* INT n through a task gate whose task has a bad DS: the fault is the new task's. */
	mock_gate(m, MOCK_IDT + 0x40 * 8, SEL_TSS2, 0, TASK_GATE, 0, true, 0);
	mock_gate(m, MOCK_IDT + EXC_TS * 8, SEL_CODE0, 0x32000, 14, 0, true, 0);
	mock_put32(m, MOCK_TSS2 + 0x54, SEL_LDT);
	assert_int_equal(MOCK_EXEC(m, 0xcd, 0x40), OUT_OK);
	assert_int_equal(m->cpu.rip, 0x32000);
	assert_int_equal(m->cpu.seg[S_TR].sel, SEL_TSS2);
	assert_int_equal(mock_get32(m, (uint32_t)m->cpu.gpr[R_ESP]), SEL_LDT);
	assert_int_equal(mock_get32(m, MOCK_TSS + 0x20), MOCK_CODE + 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_jump),
		TEST(test_call_and_iret),
		TEST(test_event_gate),
		TEST(test_double_fault_task),
		TEST(test_gate_in_gdt),
		TEST(test_early_faults),
		TEST(test_late_faults),
		TEST(test_late_without_stack),
		TEST(test_software_interrupt_task),
		TEST(test_debug_trap_and_vm86),
		TEST(test_cr3),
		TEST(test_16_bit_tss),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
