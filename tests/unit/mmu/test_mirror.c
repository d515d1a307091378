/* Mirrors: whatever a user window loses is reported before it is gone for the guest. */
#include "fixture.h"

#include <string.h>

enum { PD = 0x10000, PT = 0x11000, PD2 = 0x12000 };

/* The mirror under test: a copy of what views said, minus what was reported. */
static uint8_t shown[1 << 20]; /* 1 read, 2 write */
static uint64_t frame[1 << 20];
static unsigned reports;

static void dropped(void *ctx, unsigned space, uint32_t first, uint32_t last)
{
	assert_int_not_equal(space, 0);
	reports++;
	memset(shown + first, 0, last - first + 1);
}

static void show(struct env *e, uint32_t va)
{
	struct mmu_view v;

	if (!mmu_user_view(e->m, gva(va), 1000, &v))
		return;
	assert_true(v.first <= va >> 12 && v.last >= va >> 12);
	for (uint32_t p = v.first; p <= v.last; p++) {
		shown[p] = v.write ? 3 : 1;
		frame[p] = v.gfn + p - v.page;
	}
	assert_int_equal(v.file, physmap_file_offset(e->pm, gpa(frame[v.first] << 12)));
}

/* The mirror never shows what the guest's tables, flushed just now, do not give. */
static void check(struct env *e)
{
	for (uint32_t p = 0; p < 1024; p++) {
		uint32_t pte = peek32(e, PT + 4 * p);

		if (!shown[p])
			continue;
		assert_int_equal(pte & 5, 5);
		assert_int_equal(frame[p], pte >> 12);
		assert_true(!(shown[p] & 2) || (pte & 2));
		assert_true(!(shown[p] & 2) || !physmap_is_code(e->pm, gpa(frame[p] << 12)));
	}
}

static void test_random(void **state)
{
	uint32_t seed = 1;
	unsigned views = 0;
	struct env e;

	env_open(&e, 32 * MIB, 2, 0);
	poke32(&e, PD, PT | PWUAD);
	poke32(&e, PD2, PT | PWUAD);
	set_paging(&e, PD, CR4_PSE, true);
	mmu_set_mirror(e.m, &(struct mmu_mirror){dropped, NULL});
	mmu_mirror_space(e.m, mmu_space(e.m, true), true);
	memset(shown, 0, sizeof(shown));
	for (unsigned i = 0; i < 30000; i++) {
		uint32_t page, v;

		seed = seed * 1664525 + 1013904223;
		page = (seed >> 8) % 64;
		switch (seed >> 28) {
		case 0: /* another frame, other rights */
			poke32(&e, PT + 4 * page, (0x200000 + (seed >> 12) % 128 * 0x1000) | (seed >> 20 & 7) | A | D);
			mmu_invlpg(e.m, gva(page << 12));
			break;
		case 1:
			load_cr3(&e, PD);
			break;
		case 2:
			physmap_mark_code(e.pm, gpa(0x200000 + page * 0x1000));
			break;
		case 3:
			physmap_unmark_code(e.pm, gpa(0x200000 + page * 0x1000));
			break;
		case 4:
			poke32(&e, PT + 4 * page, (0x200000 + page * 0x1000) | PWUAD);
			mmu_invlpg(e.m, gva(page << 12));
			break;
		default:
			if (seed & 0x400000)
				touch_write(&e, true, page << 12, i);
			else
				touch_read(&e, true, page << 12, &v);
			show(&e, page << 12);
			views++;
		}
		check(&e);
	}
	assert_true(reports > 100 && views > 1000);
	reports = 0;
	mmu_destroy(e.m);
	e.m = NULL;
	assert_true(reports > 0);
	physmap_destroy(e.pm);
}

/* A recycled window takes its mirror away, and is not reported on any more. */
static void test_recycled(void **state)
{
	struct mmu_view v;
	struct env e;
	uint32_t value;

	env_open(&e, 32 * MIB, 2, 0);
	poke32(&e, PD, PT | PWUAD);
	for (unsigned i = 0; i < 64; i++)
		poke32(&e, PT + 4 * i, (0x200000 + i * 0x1000) | PWUAD);
	set_paging(&e, PD, CR4_PSE, true);
	mmu_set_mirror(e.m, &(struct mmu_mirror){dropped, NULL});
	mmu_mirror_space(e.m, mmu_space(e.m, true), true);
	assert_false(mmu_user_view(e.m, gva(0x5000), 8, &v));
	assert_int_equal(touch_read(&e, true, 0x5000, &value), TOUCHED_FILLED);
	assert_true(mmu_user_view(e.m, gva(0x5000), 2, &v));
	assert_int_equal(v.first, 3);
	assert_int_equal(v.last, 7);
	reports = 0;
	for (unsigned i = 0; i < 3; i++) {
		poke32(&e, PD2 + i * 0x1000, PT | PWUAD);
		load_cr3(&e, PD2 + i * 0x1000);
		touch_read(&e, true, 0x5000, &value);
	}
	assert_int_equal(reports, 1);
	env_close(&e);
	assert_int_equal(reports, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_recycled)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
