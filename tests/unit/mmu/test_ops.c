/* cpu_ops memory functions and the software TLB. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

enum { PD = 0x10000, PT = 0x11000, PTTOP = 0x12000 };

static void open_machine(struct env *e)
{
	env_open(e, 32 * MIB, 2, 0);
	poke32(e, PD, PT | PWUAD);
	poke32(e, PD + 4 * 1023, PTTOP | PWUAD);
	for (unsigned i = 0; i < 16; i++)
		poke32(e, PT + 4 * i, (0x200000 + i * 0x2000) | P | W | U);
	poke32(e, PTTOP + 4 * 1023, 0x300000 | P | W | U);
	set_paging(e, PD, CR4_PSE, true);
}

static void test_crossing(void **state)
{
	struct env e;
	uint8_t out[16], in[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	open_machine(&e);
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x1ffd), in, 8, ACC_USER), OUT_OK);
	assert_int_equal(((uint8_t *)physmap_host(e.pm, gpa(0x202ffd), 3))[2], 3);
	assert_int_equal(((uint8_t *)physmap_host(e.pm, gpa(0x204000), 5))[4], 8);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x1ffd), out, 8, 0), OUT_OK);
	assert_memory_equal(in, out, 8);
	/* wrap at 4 GiB */
	assert_int_equal(mmu_op_write(&e.cpu, gva(0xfffffffe), in, 4, 0), OUT_OK);
	assert_int_equal(peek32(&e, 0x300ffc), 0x02010000);
	assert_int_equal(peek32(&e, 0x200000), 0x0403);
	/* both pages are checked before anything is written */
	poke32(&e, PT + 4 * 4, 0);
	poke32(&e, 0x206ffc, 0);
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x3ffe), in, 4, ACC_USER), OUT_FAULT);
	assert_int_equal(e.cpu.fault.cr2, 0x4000);
	assert_int_equal(e.cpu.fault.error, PF_U | PF_W);
	assert_int_equal(peek32(&e, 0x206ffc), 0);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x3ffe), out, 4, 0), OUT_FAULT);
	assert_int_equal(e.cpu.fault.error, 0);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x4000), out, 0, 0), OUT_OK);
	env_close(&e);
}

static void test_rmw_and_probe(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	poke32(&e, PT + 4 * 2, 0x204000 | P | U);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x2000), &v, 4, ACC_USER), OUT_OK);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x2000), &v, 4, ACC_USER | ACC_RMW), OUT_FAULT);
	assert_int_equal(e.cpu.fault.error, PF_P | PF_U | PF_W);
	assert_int_equal(mmu_op_probe(&e.cpu, gva(0x1ffe), 4, ACC_USER | ACC_WRITE), OUT_FAULT);
	assert_int_equal(e.cpu.fault.cr2, 0x2000);
	assert_int_equal(mmu_op_probe(&e.cpu, gva(0x1ffe), 4, ACC_USER), OUT_OK);
	assert_int_equal(mmu_op_probe(&e.cpu, gva(0x5000), 4, ACC_WRITE), OUT_OK);
	assert_int_equal(peek32(&e, PT + 20) & (A | D), A | D);
	env_close(&e);
}

static bool tlb_has(struct env *e, bool user, bool write, uint32_t va)
{
	uint8_t *host = softtlb_host(mmu_softtlb(e->m, user), write, va);

	if (!host)
		return false;
	assert_ptr_equal(host, physmap_host(e->pm, gpa(0x200000 + (va >> 12) * 0x2000 + (va & 0xfff)), 1));
	return true;
}

static void test_softtlb(void **state)
{
	struct env e;
	uint32_t v = 5;
	uint64_t walks;

	open_machine(&e);
	assert_false(tlb_has(&e, false, false, 0));
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x1010), &v, 4, 0), OUT_OK);
	assert_true(tlb_has(&e, false, false, 0x1010));
	assert_false(tlb_has(&e, false, true, 0x1010));
	assert_false(tlb_has(&e, true, false, 0x1010));
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x1010), &v, 4, 0), OUT_OK);
	assert_true(tlb_has(&e, false, true, 0x1010));
	assert_int_equal(peek32(&e, PT + 4) & D, D);
	walks = mmu_statistics(e.m)->walks;
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x1ff0), &v, 4, 0), OUT_OK);
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x1ff0), &v, 4, 0), OUT_OK);
	assert_int_equal(mmu_statistics(e.m)->walks, walks);
	/* stale until INVLPG, then right */
	poke32(&e, PT + 4, 0x300000 | PWUAD);
	poke32(&e, 0x300000, 4711);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x1000), &v, 4, 0), OUT_OK);
	assert_int_not_equal(v, 4711);
	mmu_invlpg(e.m, gva(0x1000));
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x1000), &v, 4, 0), OUT_OK);
	assert_int_equal(v, 4711);
	load_cr3(&e, PD);
	assert_false(tlb_has(&e, false, false, 0x1000));
	env_close(&e);
}

/* Global pages stay over a MOV to CR3, the others and all rights go; INVLPG and CR4.PGE take them away. */
static void test_softtlb_and_global_pages(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	set_paging(&e, PD, CR4_PSE | CR4_PGE, true);
	poke32(&e, PT + 4, peek32(&e, PT + 4) | G);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x1000), &v, 4, 0), OUT_OK);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x5000), &v, 4, 0), OUT_OK);
	load_cr3(&e, PD);
	assert_true(tlb_has(&e, false, false, 0x1000));
	assert_false(tlb_has(&e, false, false, 0x5000));
	mmu_invlpg(e.m, gva(0x1000));
	assert_false(tlb_has(&e, false, false, 0x1000));
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x1000), &v, 4, 0), OUT_OK);
	e.cpu.cr4 &= ~(uint32_t)CR4_PGE;
	mmu_paging_changed(e.m, true, true);
	assert_false(tlb_has(&e, false, false, 0x1000));
	env_close(&e);
}

/* What the lean path may fill: nothing that faults or would set a bit in the tables. */
static void test_lean_refill(void **state)
{
	struct env e;

	open_machine(&e);
	poke32(&e, PD, peek32(&e, PD) | A);
	poke32(&e, PT + 4, (peek32(&e, PT + 4) | A) & ~(uint32_t)D);
	assert_true(mmu_lean_refill(e.m, false, false, gva(0x1234)));
	assert_true(tlb_has(&e, false, false, 0x1234));
	assert_false(mmu_lean_refill(e.m, false, true, gva(0x1234))); /* clean */
	poke32(&e, PT + 4, peek32(&e, PT + 4) | D);
	assert_true(mmu_lean_refill(e.m, false, true, gva(0x1234)));
	poke32(&e, PT + 4, peek32(&e, PT + 4) & ~(uint32_t)(A | D | W));
	mmu_invlpg(e.m, gva(0x1000));
	assert_false(mmu_lean_refill(e.m, false, false, gva(0x1234))); /* not accessed */
	assert_int_equal(peek32(&e, PT + 4) & A, 0);
	poke32(&e, PT + 4, peek32(&e, PT + 4) | A | D);
	assert_false(mmu_lean_refill(e.m, false, true, gva(0x1234))); /* read-only, CR0.WP */
	poke32(&e, PT + 4, peek32(&e, PT + 4) & ~(uint32_t)U);
	assert_false(mmu_lean_refill(e.m, true, false, gva(0x1234))); /* supervisor's */
	poke32(&e, PT + 4, 0);
	assert_false(mmu_lean_refill(e.m, false, false, gva(0x1234))); /* not there */
	env_close(&e);
}

/* More pages than the lists of filled slots have room for: all of them go at once, none is forgotten. */
static void test_softtlb_overflow(void **state)
{
	struct env e;

	env_open(&e, 64 * MIB, 2, 0);
	physmap_set_a20(e.pm, true);
	for (uint32_t va = MIB; va < 64 * MIB; va += 4096)
		assert_true(mmu_lean_refill(e.m, false, false, gva(va)));
	load_cr3(&e, 0);
	for (uint32_t va = MIB; va < 64 * MIB; va += 4096)
		assert_null(softtlb_host(mmu_softtlb(e.m, false), false, va));
	env_close(&e);
}

static void test_softtlb_and_large_pages(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	poke32(&e, PD + 4, 0x400000 | PWUAD | PS);
	poke32(&e, 0x801000, 7);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x401000), &v, 4, 0), OUT_OK);
	poke32(&e, PD + 4, 0x800000 | PWUAD | PS);
	mmu_invlpg(e.m, gva(0x700000));
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x401000), &v, 4, 0), OUT_OK);
	assert_int_equal(v, 7);
	env_close(&e);
}

static unsigned written_calls;

static void on_written(void *ctx, gpa_t a, unsigned len)
{
	written_calls++;
}

static void test_code_pages(void **state)
{
	struct env e;
	uint32_t v = 9;

	open_machine(&e);
	physmap_set_code_listener(e.pm, &(struct code_listener){on_written, NULL});
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x1000), &v, 4, ACC_USER), OUT_OK);
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x1000), &v, 4, 0), OUT_OK);
	assert_true(tlb_has(&e, true, true, 0x1000));
	physmap_mark_code(e.pm, gpa(0x202000));
	assert_false(tlb_has(&e, true, true, 0x1000));
	assert_false(tlb_has(&e, false, true, 0x1000));
	written_calls = 0;
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x1000), &v, 4, 0), OUT_OK);
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x1004), &v, 4, 0), OUT_OK);
	assert_int_equal(written_calls, 2);
	assert_false(tlb_has(&e, false, true, 0x1000));
	physmap_unmark_code(e.pm, gpa(0x202000));
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x1000), &v, 4, 0), OUT_OK);
	assert_true(tlb_has(&e, false, true, 0x1000));
	/* A and D bits of a page table that holds code are reported like any write */
	physmap_mark_code(e.pm, gpa(PT));
	written_calls = 0;
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x6000), &v, 4, 0), OUT_OK);
	assert_int_equal(written_calls, 1);
	env_close(&e);
}

static char io_log[200];

static uint64_t dev_read(void *opaque, uint64_t offset, unsigned size)
{
	return 0x55;
}

static void dev_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	size_t n = strlen(io_log);

	snprintf(io_log + n, sizeof(io_log) - n, "w%u@%x=%llx ", size, (unsigned)offset,
		 (unsigned long long)value);
}

static void test_mmio_and_rom(void **state)
{
	static const struct mmio_ops ops = {dev_read, dev_write};
	struct env e;
	uint32_t v = 0x11223344;

	open_machine(&e);
	physmap_add_mmio(e.pm, gpa(0xfee00000), 0x1000, &ops, NULL);
	poke32(&e, PT + 4 * 1, 0xfee00000u | PWUAD);
	poke32(&e, PT + 4 * 2, 0xf0000u | PWUAD);
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x1ffe), &v, 4, 0), OUT_OK); /* MMIO, then ROM */
	assert_string_equal(io_log, "w2@ffe=3344 ");
	assert_int_equal(peek32(&e, 0xf0000), 0);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x1080), &v, 4, 0), OUT_OK);
	assert_int_equal(v, 0x55);
	assert_int_equal(mmu_op_read(&e.cpu, gva(0x2000), &v, 4, 0), OUT_OK);
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x2000), &v, 4, 0), OUT_OK);
	assert_int_equal(peek32(&e, 0xf0000), 0);
	env_close(&e);
}

static void test_fetch(void **state)
{
	struct env e;
	uint8_t buf[15];
	unsigned got;

	open_machine(&e);
	memset(physmap_host(e.pm, gpa(0x202ff8), 8), 0x90, 8);
	memset(physmap_host(e.pm, gpa(0x204000), 8), 0xcc, 8);
	assert_int_equal(mmu_op_fetch(&e.cpu, gva(0x1ff8), buf, 15, &got), OUT_OK);
	assert_int_equal(got, 15);
	assert_int_equal(buf[7], 0x90);
	assert_int_equal(buf[8], 0xcc);
	poke32(&e, PT + 8, 0x204000 | P); /* supervisor only */
	load_cr3(&e, PD);
	e.cpu.cpl = 3;
	assert_int_equal(mmu_op_fetch(&e.cpu, gva(0x1ff8), buf, 15, &got), OUT_OK);
	assert_int_equal(got, 8);
	assert_int_equal(mmu_op_fetch(&e.cpu, gva(0x2000), buf, 15, &got), OUT_FAULT);
	assert_int_equal(e.cpu.fault.error, PF_P | PF_U);
	e.cpu.cpl = 0;
	assert_int_equal(mmu_op_fetch(&e.cpu, gva(0x2000), buf, 4, &got), OUT_OK);
	e.cpu.cpl = 3; /* the fetch cache is by privilege */
	assert_int_equal(mmu_op_fetch(&e.cpu, gva(0x2000), buf, 4, &got), OUT_FAULT);
	env_close(&e);
}

static void test_debugger(void **state)
{
	struct env e;
	uint8_t buf[0x2000];

	open_machine(&e);
	poke32(&e, PT + 4 * 3, 0);
	poke32(&e, 0x202ffc, 0xaabbccdd);
	assert_int_equal(mmu_peek(e.m, gva(0x1ffc), buf, 0x2000), 0x1004);
	assert_int_equal(buf[0], 0xdd);
	assert_int_equal(peek32(&e, PT + 4) & A, 0);
	buf[0] = 1;
	assert_int_equal(mmu_poke(e.m, gva(0x2ffc), buf, 8), 4);
	assert_int_equal(peek32(&e, 0x204ffc) & 0xff, 1);
	assert_int_equal(mmu_peek(e.m, gva(0x70000000), buf, 1), 0);
	assert_ptr_equal(mmu_of(&e.cpu), e.m);
	env_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crossing),   cmocka_unit_test(test_rmw_and_probe),
		cmocka_unit_test(test_softtlb),	   cmocka_unit_test(test_softtlb_and_large_pages),
		cmocka_unit_test(test_softtlb_and_global_pages), cmocka_unit_test(test_lean_refill),
		cmocka_unit_test(test_softtlb_overflow),
		cmocka_unit_test(test_code_pages), cmocka_unit_test(test_mmio_and_rom),
		cmocka_unit_test(test_fetch),	   cmocka_unit_test(test_debugger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
