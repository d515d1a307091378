/* Control, debug and model-specific registers: reserved bits, consistency, side effects. */
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

static void forget(struct mock *m)
{
	m->paging_changes = m->flushes = m->global_flushes = 0;
}

static void test_reset_state(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;

	cpu_reset(c);
	assert_int_equal(c->rip, 0xfff0);
	assert_int_equal(c->seg[S_CS].sel, 0xf000);
	assert_int_equal(c->seg[S_CS].base, 0xffff0000);
	assert_int_equal(c->seg[S_CS].limit, 0xffff);
	assert_int_equal(c->eflags, 2);
	assert_int_equal(c->cr0, 0x60000010);
	assert_int_equal(c->gpr[R_EDX], 6 << 8 | 15 << 4 | 11);
	assert_int_equal(c->dr[6], 0xffff0ff0);
	assert_int_equal(c->dr[7], 0x400);
	assert_int_equal(c->idtr.limit, 0xffff);
	assert_int_equal(c->msr.apic_base, 0xfee00900);
	assert_true(c->msr.pat == 0x0007040600070406ull);
	assert_ptr_equal(c->model, &m->model);
	assert_true(cpu_tsc(c) < 1ull << 40); /* starts near zero */
}

static void test_firmware_mtrrs(void **state)
{
	struct mock *m = *state;
	uint64_t v;

	cpu_firmware_init(&m->cpu, 0xe0000000);
	/* What was set up is what WRMSR would have accepted. */
	for (uint32_t i = 0x200; i <= 0x2ff; i++) {
		if (cpu_rdmsr(&m->cpu, i, &v) == OUT_OK)
			assert_int_equal(cpu_wrmsr(&m->cpu, i, v), OUT_OK);
	}
	assert_int_equal(cpu_rdmsr(&m->cpu, 0x201, &v), OUT_OK);
	assert_true(v == 0xfe0000800ull);
	/* A0000h-BFFFFh uncached, 80000h-9FFFFh write-back */
	assert_int_equal(cpu_rdmsr(&m->cpu, 0x259, &v), OUT_OK);
	assert_true(v == 0);
	assert_int_equal(cpu_rdmsr(&m->cpu, 0x258, &v), OUT_OK);
	assert_true(v == 0x0606060606060606ull);
}

static void test_cr0(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, cpu_write_cr(&m->cpu, 0, CR0_PG), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, cpu_write_cr(&m->cpu, 0, CR0_PE | CR0_NW), &before, EXC_GP, 0);
	assert_int_equal(cpu_write_cr(&m->cpu, 0, 0x1ffaffc0 | CR0_PE), OUT_OK);
	assert_int_equal(m->cpu.cr0, CR0_PE | CR0_ET); /* reserved bits read as zero, ET as one */
	forget(m);
	assert_int_equal(cpu_write_cr(&m->cpu, 0, CR0_PE | CR0_PG), OUT_OK);
	assert_true(m->flushes == 1 && m->global_flushes == 1);
	forget(m);
	assert_int_equal(cpu_write_cr(&m->cpu, 0, CR0_PE | CR0_PG | CR0_WP), OUT_OK);
	assert_true(m->paging_changes == 1 && m->flushes == 0);
	forget(m);
	assert_int_equal(cpu_write_cr(&m->cpu, 0, CR0_PE | CR0_PG | CR0_WP | CR0_TS | CR0_MP),
			 OUT_OK);
	assert_int_equal(m->paging_changes, 0);
	assert_int_equal(cpu_write_cr(&m->cpu, 1, 0), OUT_FAULT);
	assert_int_equal(m->cpu.fault.vector, EXC_UD);
}

static void test_cr3_cr4(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	forget(m);
	assert_int_equal(cpu_write_cr(&m->cpu, 3, 0x12345018), OUT_OK);
	assert_int_equal(m->cpu.cr3, 0x12345018);
	assert_true(m->flushes == 1 && m->global_flushes == 0);
	/* Every CR4 bit: known ones stick, others fault. */
	const uint32_t known = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
			       CR4_OSFXSR | CR4_OSXMMEXCPT;
	for (unsigned bit = 0; bit < 32; bit++) {
		assert_int_equal(cpu_write_cr(&m->cpu, 4, 0), OUT_OK);
		mock_save(m, &before);
		forget(m);
		enum outcome o = cpu_write_cr(&m->cpu, 4, 1u << bit);
		if (!(known >> bit & 1)) {
			MOCK_EXPECT_FAULT(m, o, &before, EXC_GP, 0);
			continue;
		}
		assert_int_equal(o, OUT_OK);
		assert_int_equal(m->global_flushes, !!((CR4_PSE | CR4_PAE | CR4_PGE) >> bit & 1));
	}
	/* A model without PAE has no CR4.PAE. */
	m->model.features[FEAT_1_EDX] &= ~(1u << 6);
	assert_int_equal(cpu_write_cr(&m->cpu, 4, 0), OUT_OK);
	assert_int_equal(cpu_write_cr(&m->cpu, 4, CR4_PAE), OUT_FAULT);
}

static void test_pdptes(void **state)
{
	struct mock *m = *state;
	struct cpu before;

	m->cpu.cr4 = CR4_PAE;
	m->cpu.cr3 = 0x60000;
	mock_put32(m, 0x60000, 0x61001);
	mock_put32(m, 0x60018, 0x64001);
	assert_int_equal(cpu_write_cr(&m->cpu, 0, CR0_PE | CR0_PG), OUT_OK);
	assert_int_equal(m->cpu.pdpte[0], 0x61001);
	assert_int_equal(m->cpu.pdpte[1], 0);
	assert_int_equal(m->cpu.pdpte[3], 0x64001);
	/* Each bit of a present entry, at each place. */
	const uint64_t reserved = 0x1e6 | ~((1ull << 36) - 1);
	memset(m->ram + 0x65000, 0, 32);
	mock_save(m, &before);
	for (unsigned n = 0; n < 4; n++) {
		for (unsigned bit = 1; bit < 64; bit++) {
			uint64_t entry = 1 | 1ull << bit;
			mock_put(m, 0x65000 + 8 * n, &entry, 8);
			enum outcome o = cpu_write_cr(&m->cpu, 3, 0x65000);
			if (reserved >> bit & 1) {
				MOCK_EXPECT_FAULT(m, o, &before, EXC_GP, 0);
			} else {
				assert_int_equal(o, OUT_OK);
				m->cpu.cr3 = before.cr3;
				memcpy(m->cpu.pdpte, before.pdpte, sizeof(before.pdpte));
			}
			entry &= ~1ull; /* absent: nothing is reserved */
			mock_put(m, 0x65000 + 8 * n, &entry, 8);
			assert_int_equal(cpu_write_cr(&m->cpu, 3, 0x65000), OUT_OK);
			m->cpu.cr3 = before.cr3;
			memcpy(m->cpu.pdpte, before.pdpte, sizeof(before.pdpte));
		}
		mock_put(m, 0x65000 + 8 * n, &(uint64_t){0}, 8);
	}
	/* Not in PAE paging: nobody looks. */
	m->cpu.cr4 = 0;
	mock_put32(m, 0x65000, 0x7);
	assert_int_equal(cpu_write_cr(&m->cpu, 3, 0x65000), OUT_OK);
}

static void test_debug_registers(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu, before;
	uint64_t v;

	assert_int_equal(cpu_write_dr(c, 6, 0), OUT_OK);
	assert_int_equal(c->dr[6], 0xffff0ff0);
	assert_int_equal(cpu_write_dr(c, 6, 0xffffffff), OUT_OK);
	assert_int_equal(c->dr[6], 0xffffefff);
	assert_int_equal(cpu_write_dr(c, 7, 0xffffffff), OUT_OK);
	assert_int_equal(c->dr[7], 0xffff27ff);
	assert_int_equal(cpu_write_dr(c, 5, 0), OUT_OK); /* an alias */
	assert_int_equal(cpu_read_dr(c, 7, &v), OUT_OK);
	assert_int_equal(v, 0x400);
	c->cr4 |= CR4_DE;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, cpu_write_dr(c, 5, 0), &before, EXC_UD, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x21, 0xe0), &before, EXC_UD, 0); /* mov eax, dr4 */
	/* General detect: the access faults, the handler may proceed. */
	c->dr[7] |= 1 << 13;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x23, 0xc0), &before, EXC_DB, 0);
	assert_int_equal(c->fault.dr6, 1 << 13);
	mock_protect(m, 3);
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x23, 0xc0), &before, EXC_GP, 0);
}

static void test_breakpoint_matching(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu;
	static const struct {
		unsigned code, bytes;
	} lens[] = {{0, 1}, {1, 2}, {3, 4}};

	/* Every alignment and length of breakpoint and access, against byte sets. */
	for (unsigned l = 0; l < ARRAY_LEN(lens); l++) {
		for (uint32_t at = 0; at < 8; at++) {
			uint32_t first = (0x1000 + at) & ~(lens[l].bytes - 1);
			c->dr[2] = 0x1000 + at;
			c->dr[7] = 0x400 | 1 << 4 | 3 << 24 | lens[l].code << 26;
			for (uint32_t a = 0xff0; a < 0x1018; a++) {
				for (unsigned len = 1; len <= 8; len++) {
					bool hit = a < first + lens[l].bytes && first < a + len;
					assert_int_equal(debug_match_data(c, a, len, ACC_READ),
							 hit ? 4 : 0);
				}
			}
		}
	}
	c->dr[7] = 0x400 | 1 << 4 | 1 << 24; /* writes alone */
	assert_int_equal(debug_match_data(c, c->dr[2], 1, ACC_READ), 0);
	assert_int_equal(debug_match_data(c, c->dr[2], 1, ACC_WRITE), 4);
	c->dr[7] = 0x400 | 1 << 4 | 2 << 24; /* ports, with CR4.DE */
	c->dr[2] = 0x3f8;
	assert_int_equal(debug_match_io(c, 0x3f8, 1), 0);
	c->cr4 |= CR4_DE;
	assert_int_equal(debug_match_io(c, 0x3f8, 1), 4);
	assert_int_equal(debug_match_io(c, 0x3f6, 4), 4);
	assert_int_equal(debug_match_io(c, 0x3f9, 1), 0);
	assert_int_equal(debug_match_data(c, 0x3f8, 1, ACC_WRITE), 0);
	c->dr[7] = 0x400 | 2 << 4; /* execution, global enable */
	assert_int_equal(debug_match_exec(c, 0x3f8), 4);
	assert_int_equal(debug_match_exec(c, 0x3f9), 0);
	c->eflags |= FL_RF;
	assert_int_equal(debug_match_exec(c, 0x3f8), 0);
}

static void expect_msr(struct mock *m, uint32_t i, uint64_t write, bool ok, uint64_t read)
{
	uint64_t v = 0;
	enum outcome o = cpu_wrmsr(&m->cpu, i, write);

	if (!ok) {
		MOCK_EXPECT_FAULT(m, o, NULL, EXC_GP, 0);
		return;
	}
	assert_int_equal(o, OUT_OK);
	assert_int_equal(cpu_rdmsr(&m->cpu, i, &v), OUT_OK);
	assert_true(v == read);
}

static void test_msrs(void **state)
{
	struct mock *m = *state;
	uint64_t v;

	expect_msr(m, 0x174, 0x1ffffffffull, true, 0xffffffff);
	expect_msr(m, 0x175, 0x1234, true, 0x1234);
	for (unsigned type = 0; type < 256; type++) {
		bool pat_ok = type <= 7 && type != 2 && type != 3, mtrr_ok = pat_ok && type != 7;
		for (unsigned byte = 0; byte < 8; byte++) {
			uint64_t value = (uint64_t)type << 8 * byte;
			expect_msr(m, 0x277, value, pat_ok, value);
			expect_msr(m, 0x26f, value, mtrr_ok, value);
		}
		expect_msr(m, 0x2ff, type, mtrr_ok, type);
		expect_msr(m, 0x202, type, mtrr_ok, type);
	}
	expect_msr(m, 0x203, 0xfff000800ull, true, 0xfff000800ull);
	expect_msr(m, 0x203, 0x400, false, 0);
	expect_msr(m, 0x203, 1ull << 36, false, 0);
	expect_msr(m, 0x210, 0, false, 0);
	expect_msr(m, 0x1b, 0xfee00900, true, 0xfee00900);
	assert_int_equal(m->apic_changes, 1);
	expect_msr(m, 0x1b, 0xfee00d00, false, 0); /* x2APIC */
	expect_msr(m, 0x1b, 1ull << 36 | 0x900, false, 0);
	forget(m);
	expect_msr(m, 0xc0000080, EFER_NXE, true, EFER_NXE);
	assert_int_equal(m->paging_changes, 1);
	expect_msr(m, 0xc0000080, 1, false, 0);
	expect_msr(m, 0xc0000080, 0x500, false, 0);
	m->model.features[FEAT_81_EDX] = 0;
	expect_msr(m, 0xc0000080, 0, false, 0);
	expect_msr(m, 0x400, ~0ull, true, ~0ull);
	expect_msr(m, 0x401, 1, false, 0);
	expect_msr(m, 0x410, 0, false, 0); /* bank 4 of 4 */
	expect_msr(m, 0x401, 0, true, 0);
	expect_msr(m, 0x402, 0, true, 0);
	expect_msr(m, 0x17a, 0, true, 0);
	expect_msr(m, 0x17a, 4, false, 0);
	expect_msr(m, 0x250, 0x0606060606060606ull, true, 0x0606060606060606ull);
	expect_msr(m, 0x259, 0x0101010101010101ull, true, 0x0101010101010101ull);
	expect_msr(m, 0x1d9, 3, true, 3);
	expect_msr(m, 0x1d9, 4, false, 0);
	expect_msr(m, 0x8b, 0, true, 0x218ull << 32);
	expect_msr(m, 0x1a0, 0, true, 0x1800);
	expect_msr(m, 0x1a0, 1ull << 40, false, 0);
	assert_int_equal(cpu_rdmsr(&m->cpu, 0xfe, &v), OUT_OK);
	assert_int_equal(v, 0x508);
	assert_int_equal(cpu_rdmsr(&m->cpu, 0x179, &v), OUT_OK);
	assert_int_equal(v, 4);
	expect_msr(m, 0x10a, 0, false, 0); /* read-only */
	assert_int_equal(cpu_rdmsr(&m->cpu, 0x10a, &v), OUT_OK);
	assert_true(v & 1); /* RDCL_NO */
	assert_int_equal(cpu_rdmsr(&m->cpu, 0xdeadbeef, &v), OUT_FAULT);
	assert_int_equal(m->cpu.fault.vector, EXC_GP);
}

static void test_tsc(void **state)
{
	struct mock *m = *state;
	struct cpu *c = &m->cpu, before;
	uint64_t v;

	assert_int_equal(cpu_wrmsr(c, 0x10, 1ull << 50), OUT_OK);
	v = cpu_tsc(c);
	assert_true(v >= 1ull << 50 && v < (1ull << 50) + (1ull << 36));
	/* TSC_ADJUST follows TSC and moves it. */
	assert_int_equal(cpu_rdmsr(c, 0x3b, &v), OUT_OK);
	assert_int_equal(cpu_wrmsr(c, 0x3b, v + (1ull << 50)), OUT_OK);
	v = cpu_tsc(c);
	assert_true(v >= 1ull << 51 && v < (1ull << 51) + (1ull << 36));
	/* CR4.TSD */
	mock_protect(m, 3);
	assert_int_equal(MOCK_EXEC(m, 0x0f, 0x31), OUT_OK);
	assert_true((c->gpr[R_EDX] << 32 | c->gpr[R_EAX]) >= v);
	c->cr4 |= CR4_TSD;
	mock_save(m, &before);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x31), &before, EXC_GP, 0);
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x33), &before, EXC_GP, 0); /* rdpmc */
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x32), &before, EXC_GP, 0); /* rdmsr */
	MOCK_EXPECT_FAULT(m, MOCK_EXEC(m, 0x0f, 0x30), &before, EXC_GP, 0); /* wrmsr */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reset_state),
		TEST(test_firmware_mtrrs),
		TEST(test_cr0),
		TEST(test_cr3_cr4),
		TEST(test_pdptes),
		TEST(test_debug_registers),
		TEST(test_breakpoint_matching),
		TEST(test_msrs),
		TEST(test_tsc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
