/* Pages that are mapped, touched once and flushed again and again are emulated at their first touch. */
#include "fixture.h"

enum { PD = 0x10000, PT = 0x11000 };

static void open_machine(struct env *e)
{
	env_open(e, 32 * MIB, 3, 0);
	poke32(e, PD, PT | PWUAD);
	for (unsigned i = 0; i < 4; i++)
		poke32(e, PT + 4 * i, (0x200000 + i * 0x2000) | PWUAD);
	set_paging(e, PD, CR4_PSE, true);
}

/* Another frame, and a flush: what a kernel's patching page goes through. */
static void remap(struct env *e, unsigned i, unsigned round)
{
	poke32(e, PT + 4 * i, (0x300000 + round * 0x2000) | PWUAD);
	load_cr3(e, PD);
}

static void test_first_touch_is_emulated(void **state)
{
	unsigned emulated = 0;
	struct env e;

	open_machine(&e);
	for (unsigned round = 0; round < 32; round++) {
		enum mmu_fill fill;

		remap(&e, 1, round);
		fill = mmu_handle_fault(e.m, false, gva(0x1000), false);
		assert_true(fill == MMU_FILLED || fill == MMU_EMULATE);
		emulated += fill == MMU_EMULATE;
	}
	assert_in_range(emulated, 20, 31);
	assert_int_equal(mmu_statistics(e.m)->emulated, emulated);
	env_close(&e);
}

static void test_second_touch_fills(void **state)
{
	struct env e;
	uint32_t v;

	open_machine(&e);
	for (unsigned round = 0; round < 32; round++) {
		remap(&e, 1, round);
		poke32(&e, 0x300000 + round * 0x2000, round);
		/* touch_read asks again after an emulation */
		assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED_FILLED);
		assert_int_equal(v, round);
		assert_int_equal(touch_read(&e, false, 0x1000, &v), TOUCHED);
	}
	env_close(&e);
}

static void test_user_window_never_emulates(void **state)
{
	struct env e;

	open_machine(&e);
	for (unsigned round = 0; round < 32; round++) {
		remap(&e, 1, round);
		assert_int_equal(mmu_handle_fault(e.m, true, gva(0x1000), false), MMU_FILLED);
	}
	env_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_touch_is_emulated),
		cmocka_unit_test(test_second_touch_fills),
		cmocka_unit_test(test_user_window_never_emulates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
