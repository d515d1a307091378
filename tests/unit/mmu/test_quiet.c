/*
 * Address spaces whose tables rest are looked at no more when CR3 is loaded; whoever writes such a table is noticed all the same.
 */
#include "fixture.h"

#include "mmu/internal.h"

#include <string.h>

enum {
	PT1 = 0x10000,
	PT2 = 0x11000,
	SHARED = 0x12000, /* supervisor pages that show the tables: C0010000 is 10000 */
	PD1 = 0x14000,
	PD2 = 0x15000,
	ALIAS = 0xc0000000,
	RESTED = 200, /* loads of CR3 */
};

static void space(struct env *e, uint32_t pd, uint32_t pt, uint32_t frames)
{
	poke32(e, pd, pt | PWUAD);
	poke32(e, pd + 4 * 768, SHARED | PWAD);
	for (unsigned i = 0; i < 8; i++) {
		poke32(e, pt + 4 * i, (frames + i * 0x1000) | PWUAD);
		poke32(e, frames + i * 0x1000, frames + i);
	}
}

static void open_machine(struct env *e)
{
	env_open(e, 32 * MIB, 3, 0);
	for (unsigned i = 0; i < 32; i++)
		poke32(e, SHARED + 4 * i, i << 12 | PWAD);
	space(e, PD1, PT1, 0x200000);
	space(e, PD2, PT2, 0x300000);
	set_paging(e, PD1, CR4_PSE, true);
}

static uint32_t read_user(struct env *e, uint32_t va)
{
	uint32_t v;

	assert_true(touch_read(e, true, va, &v) <= TOUCHED_FILLED);
	return v;
}

/* As system calls do. */
static uint32_t read_kernel(struct env *e, uint32_t va)
{
	uint32_t v;

	assert_int_equal(mmu_op_read(&e->cpu, gva(va), &v, 4, 0), OUT_OK);
	return v;
}

static void switch_spaces(struct env *e, unsigned loads)
{
	try_lean = true;
	for (unsigned n = 0; n < loads; n++) {
		uint32_t frames = n % 2 ? 0x200000 : 0x300000;

		load_cr3(e, n % 2 ? PD1 : PD2);
		assert_int_equal(read_user(e, 0x1000), frames + 1);
		assert_int_equal(read_kernel(e, 0x2000), frames + 2);
	}
}

static void rested_machine(struct env *e)
{
	open_machine(e);
	switch_spaces(e, RESTED);
	assert_int_equal(mmu_statistics(e->m)->quiet, 2);
}

static void test_rest(void **state)
{
	const struct mmu_stats *s;
	struct mmu_stats before;
	struct env e;

	rested_machine(&e);
	s = mmu_statistics(e.m);
	before = *s;
	switch_spaces(&e, RESTED);
	assert_true(s->compares - before.compares <= RESTED); /* the supervisor's */
	assert_int_equal(s->softtlb_misses, before.softtlb_misses);
	assert_int_equal(s->quiet, before.quiet);
	env_close(&e);
}

static void changed(struct env *e)
{
	load_cr3(e, PD2);
	assert_int_equal(read_user(e, 0x1000), 0x300001);
	load_cr3(e, PD1);
	assert_int_equal(read_user(e, 0x1000), 0x200005);
	assert_int_equal(read_kernel(e, 0x1000), 0x200005);
	assert_int_equal(read_kernel(e, 0x2000), 0x200006);
	load_cr3(e, PD2);
	assert_int_equal(read_user(e, 0x1000), 0x300001);
	assert_int_equal(read_kernel(e, 0x2000), 0x300002);
}

/* Through a window; writing costs one fault. */
static void test_written_by_the_kernel(void **state)
{
	uint32_t v;
	struct env e;

	open_machine(&e);
	assert_int_equal(touch_write(&e, false, ALIAS + PT1 + 0x40, 0), TOUCHED_FILLED);
	switch_spaces(&e, RESTED);
	assert_int_equal(touch_read(&e, false, ALIAS + PT1 + 4, &v), TOUCHED);
	assert_int_equal(v, 0x201000 | PWUAD);
	assert_int_equal(touch_write(&e, false, ALIAS + PT1 + 4, 0x205000 | PWUAD), TOUCHED_FILLED);
	assert_int_equal(touch_write(&e, false, ALIAS + PT1 + 8, 0x206000 | PWUAD), TOUCHED);
	changed(&e);
	env_close(&e);
}

/* Through the software TLB. */
static void test_written_by_the_interpreter(void **state)
{
	uint32_t entry = 0x205000 | PWUAD;
	struct env e;

	open_machine(&e);
	assert_int_equal(mmu_op_write(&e.cpu, gva(ALIAS + PT1 + 0x40), "", 1, 0), OUT_OK);
	switch_spaces(&e, RESTED);
	assert_int_equal(mmu_op_write(&e.cpu, gva(ALIAS + PT1 + 4), &entry, 4, 0), OUT_OK);
	entry += 0x1000;
	assert_int_equal(mmu_op_write(&e.cpu, gva(ALIAS + PT1 + 8), &entry, 4, 0), OUT_OK);
	changed(&e);
	env_close(&e);
}

static void test_written_by_a_device(void **state)
{
	struct env e;

	rested_machine(&e);
	poke32(&e, PT1 + 4, 0x205000 | PWUAD);
	poke32(&e, PT1 + 8, 0x206000 | PWUAD);
	changed(&e);
	env_close(&e);
}

static void test_directory_written(void **state)
{
	struct env e;

	rested_machine(&e);
	memcpy(physmap_host(e.pm, gpa(0x16000), PAGE_SIZE), physmap_host(e.pm, gpa(PT1), PAGE_SIZE), PAGE_SIZE);
	poke32(&e, 0x16000 + 4, 0x205000 | PWUAD);
	poke32(&e, 0x16000 + 8, 0x206000 | PWUAD);
	poke32(&e, PD1, 0x16000 | PWUAD);
	changed(&e);
	env_close(&e);
}

/* Tables are found unchanged again, and guarded again, after a while. */
static void test_rest_again(void **state)
{
	struct env e;

	rested_machine(&e);
	poke32(&e, PT1 + 28, 0);
	switch_spaces(&e, RESTED);
	assert_int_equal(mmu_statistics(e.m)->quiet, 3);
	poke32(&e, PT1 + 4, 0x205000 | PWUAD);
	poke32(&e, PT1 + 8, 0x206000 | PWUAD);
	changed(&e);
	env_close(&e);
}

/* Translated code on a page that was a table at rest: both are heard of. */
static gpa_t written_at;

static void on_code(void *ctx, gpa_t at, unsigned len)
{
	written_at = at;
}

static void test_table_becomes_code(void **state)
{
	struct env e;

	rested_machine(&e);
	physmap_set_code_listener(e.pm, &(struct code_listener){.written = on_code});
	assert_false(physmap_is_code(e.pm, gpa(PT1)));
	physmap_mark_code(e.pm, gpa(PT1));
	assert_true(physmap_is_code(e.pm, gpa(PT1)));
	poke32(&e, PT1 + 4, 0x205000 | PWUAD);
	assert_int_equal(written_at.v, PT1 + 4);
	poke32(&e, PT1 + 8, 0x206000 | PWUAD);
	changed(&e);
	assert_true(physmap_is_code(e.pm, gpa(PT1)));
	physmap_unmark_code(e.pm, gpa(PT1));
	env_close(&e);
}

/* Code that appears on a page may not be written through what the software TLB kept. */
static void test_kept_page_becomes_code(void **state)
{
	uint32_t v = 7;
	struct env e;

	rested_machine(&e);
	load_cr3(&e, PD1);
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x3000), &v, 4, 0), OUT_OK);
	load_cr3(&e, PD2);
	written_at = gpa(0);
	physmap_set_code_listener(e.pm, &(struct code_listener){.written = on_code});
	physmap_mark_code(e.pm, gpa(0x203000));
	load_cr3(&e, PD1);
	assert_int_equal(mmu_op_write(&e.cpu, gva(0x3000), &v, 4, 0), OUT_OK);
	assert_int_equal(written_at.v, 0x203000);
	env_close(&e);
}

/* Page-directory pointers are read by the load itself. */
static void test_pointers(void **state)
{
	enum { PDPT1 = 0x13000, PDPT2 = 0x13020, PDA = 0x16000, PDB = 0x17000, PDC = 0x18000, PTA = 0x19000 };
	struct env e;

	env_open(&e, 32 * MIB, 3, 0);
	for (unsigned i = 0; i < 3; i++) {
		poke64(&e, PDA + i * 0x1000, (uint64_t)(PTA + i * 0x1000) | PWUAD);
		for (unsigned p = 0; p < 8; p++) {
			poke64(&e, PTA + i * 0x1000 + 8 * p, (uint64_t)(0x200000 + i * 0x100000 + p * 0x1000) | PWUAD);
			poke32(&e, 0x200000 + i * 0x100000 + p * 0x1000, 0x200000 + i * 0x100000 + p);
		}
	}
	poke64(&e, PDPT1, PDA | P);
	poke64(&e, PDPT2, PDB | P);
	set_paging(&e, PDPT1, CR4_PAE, true);
	try_lean = true;
	for (unsigned n = 0; n < RESTED; n++) {
		load_cr3(&e, n % 2 ? PDPT1 : PDPT2);
		assert_int_equal(read_user(&e, 0x1000), n % 2 ? 0x200001 : 0x300001);
		assert_int_equal(read_kernel(&e, 0x2000), n % 2 ? 0x200002 : 0x300002);
	}
	assert_int_equal(mmu_statistics(e.m)->quiet, 2);
	poke64(&e, PDPT2, PDC | P);
	load_cr3(&e, PDPT2);
	assert_int_equal(read_user(&e, 0x1000), 0x400001);
	assert_int_equal(read_kernel(&e, 0x2000), 0x400002);
	load_cr3(&e, PDPT1);
	assert_int_equal(read_kernel(&e, 0x2000), 0x200002);
	env_close(&e);
}

/*
 * CR3 stays the same and its page-directory pointers change: what was looked up by way of a directory that nobody guards is not kept, be
 * it that the space is left or only loaded again.
 */
static void test_other_pointers(void **state)
{
	enum { PDPT1 = 0x10000, PDPT2 = 0x11000, D1 = 0x12000, D2 = 0x13000, DB = 0x14000, T1 = 0x15000, T2 = 0x16000, TB = 0x17000 };
	static const struct {
		uint32_t table, frames;
	} t[] = {{T1, 0x200000}, {T2, 0x300000}, {TB, 0x400000}};

	for (unsigned leave = 0; leave < 2; leave++) {
		struct env e;

		env_open(&e, 32 * MIB, 3, 0);
		for (unsigned i = 0; i < 3; i++)
			for (unsigned p = 0; p < 8; p++) {
				poke64(&e, t[i].table + 8 * p, (uint64_t)(t[i].frames + p * 0x1000) | PWUAD);
				poke32(&e, t[i].frames + p * 0x1000, t[i].frames + p);
			}
		poke64(&e, PDPT1, D1 | P);
		poke64(&e, PDPT2, DB | P);
		poke64(&e, D1, T1 | PWUAD);
		poke64(&e, D2, T1 | PWUAD);
		poke64(&e, DB, TB | PWUAD);
		set_paging(&e, PDPT1, CR4_PAE, true);
		try_lean = true;
		for (unsigned n = 0; n < 2 * RESTED; n++) {
			load_cr3(&e, n % 2 ? PDPT1 : PDPT2);
			assert_int_equal(read_user(&e, 0x1000), (n % 2 ? 0x200000 : 0x400000) + 1);
		}
		assert_int_equal(mmu_statistics(e.m)->quiet, 2);
		poke64(&e, PDPT1, D2 | P); /* which is like D1 as yet */
		load_cr3(&e, PDPT1);
		poke64(&e, D2, T2 | PWUAD); /* nothing of this slot has been accessed since the load */
		assert_int_equal(read_kernel(&e, 0x2000), 0x300002);
		if (leave) {
			load_cr3(&e, PDPT2);
			assert_int_equal(read_kernel(&e, 0x2000), 0x400002);
		}
		poke64(&e, PDPT1, D1 | P);
		load_cr3(&e, PDPT1);
		assert_int_equal(read_kernel(&e, 0x2000), 0x200002);
		env_close(&e);
	}
}

/* A table that gives few pages is compared where it gives them. */
static void test_lines_in_use(void **state)
{
	struct env e;
	const struct slot *s;

	open_machine(&e);
	for (unsigned i = 0; i < 200; i++)
		poke32(&e, PT1 + 4 * i, (0x400000 + i * 0x2000) | PWUAD);
	load_cr3(&e, PD1);
	for (unsigned i = 0; i < 200; i++)
		read_user(&e, i << 12);
	s = &e.m->user->slots[0];
	assert_int_equal(__builtin_popcountll(s->lines), 13);
	for (unsigned i = 20; i < 200; i++)
		poke32(&e, PT1 + 4 * i, 0);
	load_cr3(&e, PD1);
	assert_int_equal(__builtin_popcountll(s->lines), 2);
	assert_int_equal(touch_read(&e, true, 100 << 12, &(uint32_t){0}), TOUCH_TRUE);
	poke32(&e, PT1 + 4 * 19, 0);
	load_cr3(&e, PD1);
	assert_int_equal(touch_read(&e, true, 19 << 12, &(uint32_t){0}), TOUCH_TRUE);
	env_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_written_by_the_kernel),
		cmocka_unit_test(test_written_by_the_interpreter),
		cmocka_unit_test(test_written_by_a_device),
		cmocka_unit_test(test_directory_written),
		cmocka_unit_test(test_rest_again),
		cmocka_unit_test(test_table_becomes_code),
		cmocka_unit_test(test_kept_page_becomes_code),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_other_pointers),
		cmocka_unit_test(test_lines_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
