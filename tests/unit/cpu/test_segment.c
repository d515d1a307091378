/*
 * Segment register loads and access checks, permuted over every descriptor and
 * compared with small oracles written from the SDM's tables.
 */
#include "tests/unit/cpu/mock.h"

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

/* Vector a load of `sel` must raise, 0 for none. */
static unsigned oracle_load(bool stack, unsigned attr, unsigned rpl, unsigned cpl)
{
	unsigned dpl = attr >> SEG_DPL_SHIFT & 3;
	bool s = attr & SEG_S, code = attr & SEG_CODE, p = attr & SEG_P;
	bool bit1 = attr & SEG_WRITE, bit2 = attr & SEG_DOWN;

	if (stack) {
		if (!s || code || !bit1 || rpl != cpl || dpl != cpl)
			return EXC_GP;
		return p ? 0 : EXC_SS;
	}
	if (!s || (code && !bit1))
		return EXC_GP;
	bool conforming = code && bit2;
	if (!conforming && (dpl < cpl || dpl < rpl))
		return EXC_GP;
	return p ? 0 : EXC_NP;
}

static void load_one(struct mock *m, unsigned seg, unsigned attr, unsigned rpl, unsigned cpl)
{
	uint16_t sel = (uint16_t)(SEL_FREE | rpl);
	unsigned want = oracle_load(seg == S_SS, attr, rpl, cpl);
	struct cpu before;

	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0x12345678, 0x54321, attr);
	mock_save(m, &before);
	enum outcome o = cpu_load_segment(&m->cpu, seg, sel);
	if (want) {
		MOCK_EXPECT_FAULT(m, o, &before, want, SEL_FREE);
		return;
	}
	assert_int_equal(o, OUT_OK);
	assert_int_equal(m->cpu.seg[seg].sel, sel);
	assert_int_equal(m->cpu.seg[seg].base, 0x12345678);
	assert_int_equal(m->cpu.seg[seg].limit, attr & SEG_G ? 0x54321fff : 0x54321);
	assert_int_equal(m->cpu.seg[seg].attr, attr | SEG_ACCESSED);
	assert_true(m->ram[MOCK_GDT + SEL_FREE + 5] & SEG_ACCESSED);
}

static void test_load_permuted(void **state)
{
	struct mock *m = *state;

	for (unsigned cpl = 0; cpl < 4; cpl++) {
		mock_protect(m, cpl);
		for (unsigned access = 0; access < 256; access++) {
			for (unsigned rpl = 0; rpl < 4; rpl++) {
				load_one(m, S_SS, access, rpl, cpl);
				load_one(m, S_DS, access | SEG_G, rpl, cpl);
				load_one(m, S_GS, access | SEG_DB, rpl, cpl);
			}
		}
	}
}

static void test_load_null_and_tables(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_protect(m, 0);
	for (unsigned rpl = 0; rpl < 4; rpl++) {
		assert_int_equal(cpu_load_segment(&m->cpu, S_FS, (uint16_t)rpl), OUT_OK);
		assert_int_equal(m->cpu.seg[S_FS].sel, rpl);
		assert_true(m->cpu.seg[S_FS].attr & SEG_NULL);
		mock_save(m, &before);
		MOCK_EXPECT_FAULT(m, cpu_load_segment(&m->cpu, S_SS, (uint16_t)rpl), &before,
				  EXC_GP, 0);
	}
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, cpu_load_segment(&m->cpu, S_DS, 0x200), &before, EXC_GP, 0x200);
	MOCK_EXPECT_FAULT(m, cpu_load_segment(&m->cpu, S_SS, 0x203), &before, EXC_GP, 0x200);
	/* the last entry of the table, cut by one byte */
	m->cpu.gdtr.limit = SEL_DATA0 + 6;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, cpu_load_segment(&m->cpu, S_DS, SEL_DATA0), &before, EXC_GP,
			  SEL_DATA0);
	m->cpu.gdtr.limit = SEL_DATA0 + 7;
	assert_int_equal(cpu_load_segment(&m->cpu, S_DS, SEL_DATA0), OUT_OK);
	/* LDT */
	mock_descriptor(m, MOCK_LDT, 0x08, 0x777, 0xff, SEG_P | SEG_S | SEG_WRITE);
	assert_int_equal(cpu_load_segment(&m->cpu, S_DS, 0x0c), OUT_OK);
	assert_int_equal(m->cpu.seg[S_DS].base, 0x777);
	m->cpu.seg[S_LDTR].attr = SEG_NULL;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, cpu_load_segment(&m->cpu, S_DS, 0x0c), &before, EXC_GP, 0x0c);
	/* descriptor in an absent page; accessed bit in a read-only one */
	m->cpu.gdtr.limit = 0x1ff;
	m->page[MOCK_GDT >> 12] = MOCK_ABSENT;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, cpu_load_segment(&m->cpu, S_DS, SEL_DATA0), &before, EXC_PF, 0);
	m->page[MOCK_GDT >> 12] = MOCK_READONLY;
	assert_int_equal(cpu_load_segment(&m->cpu, S_DS, SEL_DATA0), OUT_OK);
	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0, SEG_P | SEG_S | SEG_WRITE);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, cpu_load_segment(&m->cpu, S_DS, SEL_FREE), &before, EXC_PF,
			  PF_P | PF_W);
}

/* May `len` bytes at `off` be accessed with `acc`? */
static bool oracle_access(unsigned attr, uint32_t limit, uint64_t off, unsigned len, unsigned acc)
{
	bool code = attr & SEG_CODE, bit1 = attr & SEG_WRITE, down = !code && (attr & SEG_DOWN);
	uint64_t last = off + len - 1;

	if ((acc & (ACC_WRITE | ACC_RMW)) && (code || !bit1))
		return false;
	if (acc == ACC_READ && code && !bit1)
		return false;
	if (down)
		return off > limit && last <= (attr & SEG_DB ? 0xffffffffull : 0xffffull);
	return limit == 0xffffffff || last <= limit;
}

static void test_access_permuted(void **state)
{
	static const uint32_t limits[] = {0,	  1,	   3,	       0xfff,	  0xfffe,
					  0xffff, 0x10000, 0xfffffffe, 0xffffffff};
	static const int around[] = {-4, -3, -2, -1, 0, 1, 2};
	static const unsigned accs[] = {ACC_READ, ACC_WRITE, ACC_RMW}, lens[] = {1, 2, 4, 6, 8, 16};
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	gva_t at;

	mock_protect(m, 0);
	for (unsigned type = 0; type < 16; type++)
		for (unsigned l = 0; l < ARRAY_LEN(limits); l++)
			for (unsigned db = 0; db < 2; db++)
				for (unsigned o = 0; o < 4 * ARRAY_LEN(around); o++)
					for (unsigned n = 0; n < ARRAY_LEN(lens) * ARRAY_LEN(accs);
					     n++) {
						const uint32_t anchor[] = {limits[l], 0, 0xffff,
									   0xffffffff};
						uint32_t off =
							anchor[o / ARRAY_LEN(around)] +
							(uint32_t)around[o % ARRAY_LEN(around)];
						unsigned len = lens[n % ARRAY_LEN(lens)],
							 acc = accs[n / ARRAY_LEN(lens)];
						unsigned attr =
							SEG_P | SEG_S | type | (db ? SEG_DB : 0);
						unsigned seg = n & 1 ? S_DS : S_SS;

						c->seg[seg] = (struct cpu_segment){
							.base = 0xfffff000,
							.limit = limits[l],
							.attr = (uint16_t)attr};
						enum outcome got =
							cpu_linear(c, seg, off, len, acc, &at);
						if (oracle_access(attr, limits[l], off, len, acc)) {
							assert_int_equal(got, OUT_OK);
							assert_int_equal(
								at.v, (uint32_t)(off + 0xfffff000));
						} else {
							MOCK_EXPECT_FAULT(
								m, got, NULL,
								seg == S_SS ? EXC_SS : EXC_GP, 0);
						}
					}
	c->seg[S_DS] = (struct cpu_segment){.attr = SEG_NULL};
	MOCK_EXPECT_FAULT(m, cpu_linear(c, S_DS, 0, 1, ACC_READ, &at), NULL, EXC_GP, 0);
}

static void test_real_segments(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	gva_t at;

	/* Unreal mode: a limit from protected mode survives a real-mode load. */
	mock_protect(m, 0);
	c->cr0 &= ~(uint32_t)CR0_PE;
	assert_int_equal(cpu_load_segment(c, S_DS, 0x1234), OUT_OK);
	assert_int_equal(c->seg[S_DS].base, 0x12340);
	assert_int_equal(c->seg[S_DS].limit, 0xffffffff);
	assert_int_equal(cpu_linear(c, S_DS, 0x100000, 4, ACC_WRITE, &at), OUT_OK);
	/* A null register becomes an ordinary one, an expand-down one grows up again. */
	c->seg[S_FS] = (struct cpu_segment){.attr = SEG_NULL};
	assert_int_equal(cpu_load_segment(c, S_FS, 0x10), OUT_OK);
	assert_int_equal(cpu_linear(c, S_FS, 0xffff, 1, ACC_WRITE, &at), OUT_OK);
	assert_int_equal(at.v, 0x100ff);
	c->seg[S_FS] =
		(struct cpu_segment){.limit = 0xfff, .attr = SEG_P | SEG_S | SEG_DOWN | SEG_WRITE};
	assert_int_equal(cpu_load_segment(c, S_FS, 0x10), OUT_OK);
	assert_int_equal(cpu_linear(c, S_FS, 0, 4, ACC_READ, &at), OUT_OK);
	/* CS may be written through in real mode. */
	assert_int_equal(cpu_linear(c, S_CS, 0, 4, ACC_WRITE, &at), OUT_OK);
	/* vm86 always has 64 KiB */
	mock_vm86(m, 0, 0, 0);
	assert_int_equal(cpu_load_segment(c, S_ES, 0xffff), OUT_OK);
	assert_int_equal(c->seg[S_ES].base, 0xffff0);
	MOCK_EXPECT_FAULT(m, cpu_linear(c, S_ES, 0xffff, 2, ACC_READ, &at), NULL, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, cpu_linear(c, S_SS, 0xffff, 2, ACC_READ, &at), NULL, EXC_SS, 0);
}

static void test_instructions(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu, before;

	mock_protect(m, 0);
	c->gpr[R_EAX] = SEL_DATA3;
	assert_int_equal(MOCK_EXEC(m, 0x8e, 0xc0), OUT_OK); /* mov es, ax */
	assert_int_equal(c->seg[S_ES].sel, SEL_DATA3);
	c->gpr[R_EBX] = 0xffffffff;
	assert_int_equal(MOCK_EXEC(m, 0x8c, 0xc3), OUT_OK); /* mov ebx, es */
	assert_int_equal(c->gpr[R_EBX], SEL_DATA3);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x8e, 0xc8), &before, EXC_UD, 0); /* mov cs, ax */
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x8e, 0xf0), &before, EXC_UD, 0); /* register 6 */
	c->gpr[R_EAX] = SEL_DATA0;
	assert_int_equal(MOCK_EXEC(m, 0x8e, 0xd0), OUT_OK); /* mov ss, ax */
	assert_int_equal(c->shadow, SHADOW_SS);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0xa0), OUT_OK); /* push fs */
	assert_int_equal(c->shadow, 0);
	assert_int_equal(mock_get32(m, (uint32_t)c->gpr[R_ESP]), SEL_DATA0);
	mock_put32(m, (uint32_t)c->gpr[R_ESP], SEL_DATA3);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0xa9), OUT_OK); /* pop gs */
	assert_int_equal(c->seg[S_GS].sel, SEL_DATA3);
	/* A pop that faults leaves ESP alone. */
	mock_put32(m, (uint32_t)c->gpr[R_ESP], SEL_LDT);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x1f), &before, EXC_GP, SEL_LDT);
	/* LDS, LSS and their failure */
	mock_put32(m, 0x7000, 0x12345678);
	mock_put16(m, 0x7004, SEL_DATA3);
	assert_int_equal(MOCK_EXEC(m, 0xc5, 0x0d, 0x00, 0x70, 0, 0), OUT_OK);
	assert_int_equal(c->gpr[R_ECX], 0x12345678);
	assert_int_equal(c->seg[S_DS].sel, SEL_DATA3);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0xb2, 0x25, 0x00, 0x70, 0, 0), &before, EXC_GP,
			  SEL_DATA3 & ~3);
	mock_put16(m, 0x7004, SEL_DATA0);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0xb2, 0x25, 0x00, 0x70, 0, 0), OUT_OK);
	assert_int_equal(c->gpr[R_ESP], 0x12345678);
}

/* LAR, LSL, VERR, VERW against their tables of types, at every privilege. */
static void verify_one(struct mock *m, unsigned access, unsigned rpl)
{
	struct cpu *c = &m->cpu;
	unsigned type = access & 0xf, dpl = access >> SEG_DPL_SHIFT & 3;
	bool s = access & SEG_S, code = s && (type & 8), conforming = code && (type & 4);
	bool visible = conforming || (dpl >= c->cpl && dpl >= rpl);
	bool lsl = s || type == 1 || type == 2 || type == 3 || type == 9 || type == 11;
	bool lar = lsl || type == 4 || type == 5 || type == 12;
	const struct {
		uint8_t op1, op2;
		bool want;
	} row[] = {
		{0x02, 0xc1, visible && lar},			     /* lar eax, ecx */
		{0x03, 0xc1, visible && lsl},			     /* lsl eax, ecx */
		{0x00, 0xe1, visible && s && (!code || (type & 2))}, /* verr cx */
		{0x00, 0xe9, visible && s && !code && (type & 2)},   /* verw cx */
	};

	mock_descriptor(m, MOCK_GDT, SEL_FREE, 0, 0x12345, access | SEG_G);
	c->gpr[R_ECX] = SEL_FREE | rpl;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		c->gpr[R_EAX] = 0x55;
		assert_int_equal(MOCK_EXEC(m, 0x0f, row[i].op1, row[i].op2), OUT_OK);
		assert_int_equal(!!(c->eflags & FL_ZF), row[i].want);
		c->rip = MOCK_CODE;
		if (i < 2)
			assert_int_equal(c->gpr[R_EAX], !row[i].want ? 0x55
							: i	     ? 0x12345fff
								     : 0x800000 | access << 8);
	}
}

static void test_verify(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	for (unsigned cpl = 0; cpl < 4; cpl++) {
		mock_protect(m, cpl);
		for (unsigned access = 0; access < 256; access++)
			for (unsigned rpl = 0; rpl < 4; rpl++)
				verify_one(m, access, rpl);
	}
	m->cpu.gpr[R_ECX] = 3; /* null */
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x02, 0xc1), OUT_OK);
	assert_false(m->cpu.eflags & FL_ZF);
	m->cpu.gpr[R_ECX] = 0x400; /* beyond the table */
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x03, 0xc1), OUT_OK);
	assert_false(m->cpu.eflags & FL_ZF);
	/* ARPL */
	m->cpu.gpr[R_EAX] = 0x1238;
	m->cpu.gpr[R_EBX] = 2;
	assert_int_equal(MOCK_EXEC(m, 0x63, 0xd8), OUT_OK);
	assert_int_equal(m->cpu.gpr[R_EAX], 0x123a);
	assert_true(m->cpu.eflags & FL_ZF);
	assert_int_equal(MOCK_EXEC(m, 0x63, 0xd8), OUT_OK);
	assert_false(m->cpu.eflags & FL_ZF);
	/* None of them exists outside protected mode. */
	mock_vm86(m, 0x3000, 0, 3);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x02, 0xc1), &before, EXC_UD, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xe1), &before, EXC_UD, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x63, 0xd8), &before, EXC_UD, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xc0), &before, EXC_UD, 0); /* sldt */
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x00, 0xd8), &before, EXC_UD, 0); /* ltr */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_load_permuted),   TEST(test_load_null_and_tables),
		TEST(test_access_permuted), TEST(test_real_segments),
		TEST(test_instructions),    TEST(test_verify),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
