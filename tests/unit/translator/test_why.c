/* `tc why` and the events of forms: each form learnt is put down to what taught it. */
#include "bench.h"

#include "translator/trace.h"
#include "translator/view.h"

#include <stdio.h>
#include <string.h>

static const struct bench_options options = {.tc_size = 4 << 20};

/* What there is to say of the address holds the text. */
static void expect(struct bench *b, uint32_t lin, const char *what)
{
	char text[8192];
	FILE *f = fmemopen(text, sizeof(text), "w");

	assert_null(tc_view_find("why")->run(b->tc, lin, "", f));
	fclose(f);
	if (!strstr(text, what))
		fail_msg("'%s' is missing in: %s", what, text);
}

static void test_device(void **state)
{
	/* mov ecx, 100; 1: mov eax, [mmio]; dec ecx; jnz 1b; hlt */
	static const uint8_t code[] = {0xb9, LE32(100), 0xa1, LE32(AT_MMIO), 0x49, 0x75, 0xf8, 0xf4};
	struct bench b;

	bench_open(&b, &options);
	bench_put(&b, AT_CODE, code, sizeof(code));
	bench_run_tc(&b);
	assert_int_equal(b.mmio_reads, 100);
	expect(&b, AT_CODE + 5, "the instruction at 00010005 goes by callout: it met device memory\n");
	expect(&b, AT_CODE + 5, "met device memory: by callout from now on\n");
	bench_close(&b);
}

static void test_arithmetic(void **state)
{
	/* xor ebx, ebx; jmp 1f; 1: div ebx; hlt */
	static const uint8_t code[] = {0x31, 0xdb, 0xeb, 0, 0xf7, 0xf3, 0xf4};
	struct bench b;

	bench_open(&b, &options);
	for (unsigned i = 0; i < 20; i++) {
		bench_reset(&b, false);
		bench_put(&b, AT_CODE, code, sizeof(code));
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), 0);
	}
	expect(&b, AT_CODE + 4, "raised one arithmetic exception after the other: by callout from now on\n");
	expect(&b, AT_CODE + 4, "goes by callout: it raised one arithmetic exception after the other\n");
	bench_close(&b);
}

/*
 * Code that is written by REP MOVS again and again: after a while without host faults. And when the same instruction has other work, it
 * has its window back, until it meets code again.
 *
 *   mov ebp, [rounds]; 1: mov esi, source; inc byte [esi]; mov edi, [to]; mov ecx, 1; rep movsb; mov eax, f; call eax; dec ebp; jnz 1b; hlt
 *   f: mov eax, byte written; add ebx, eax; ret
 */
enum { REP_MOVSB = AT_CODE + 24, SOURCE = AT_DATA, TO = AT_DATA + 8, ROUNDS = AT_DATA + 12 };

static void copy_bytes(struct bench *b, uint32_t to, unsigned rounds)
{
	bench_reset(b, false);
	bench_put32(b, TO, to);
	bench_put32(b, ROUNDS, rounds);
	b->cpu->gpr[R_EBX] = 0;
	bench_run_tc(b);
	assert_int_equal(bench_vector(b), -1);
}

static void test_code_writes(void **state)
{
	static const uint8_t code[] = {0x8b, 0x2d, LE32(ROUNDS), 0xbe, LE32(SOURCE), 0xfe, 0x06, 0x8b, 0x3d, LE32(TO), 0xb9,
				       LE32(1), 0xf3, 0xa4, 0xb8, LE32(AT_FAR), 0xff, 0xd0, 0x4d, 0x75, 0xe2, 0xf4},
			     f[] = {0xb8, LE32(0), 0x01, 0xc3, 0xc3};
	const struct mmu_stats *stats;
	uint64_t faults;
	struct bench b;

	bench_open(&b, &options);
	stats = mmu_statistics(b.mmu);
	bench_put(&b, AT_CODE, code, sizeof(code));
	bench_put(&b, AT_FAR, f, sizeof(f));
	copy_bytes(&b, AT_FAR + 1, 40);
	assert_int_equal(b.cpu->gpr[R_EBX], 40 * 41 / 2);
	assert_in_range(stats->code_write_faults, 1, 16);
	faults = stats->code_write_faults;
	expect(&b, REP_MOVSB, "goes by look-up: it kept writing to pages with code");

	copy_bytes(&b, AT_DATA + 0x100, 400);
	assert_int_equal(hint_form(b.tc, REP_MOVSB), FORM_WINDOW);
	assert_int_equal(bench_get32(&b, AT_DATA + 0x100), (40 + 400) & 0xff);
	assert_int_equal(stats->code_write_faults, faults);

	copy_bytes(&b, AT_FAR + 1, 10); /* by window, two faults: it is known already */
	assert_int_equal(b.cpu->gpr[R_EBX], 10 * (440 % 256) + 55);
	assert_int_equal(stats->code_write_faults, faults + 2);
	assert_int_equal(hint_form(b.tc, REP_MOVSB), FORM_LOOKUP);
	bench_close(&b);
}

/* What the event keeps and what the slot keeps are told alike. */
static void test_causes(void **state)
{
	struct bench b;

	bench_open(&b, &options);
	for (unsigned cause = CAUSE_DEVICE; cause <= CAUSE_EMULATED; cause++) {
		enum form form = cause & 1 ? FORM_LOOKUP : FORM_CALLOUT;
		char line[160];

		hint_set(b.tc, AT_CODE + cause, AT_CODE + cause, form, cause);
		assert_int_equal(hint_form(b.tc, AT_CODE + cause), form);
		assert_int_equal(hint_cause(b.tc, AT_CODE + cause), cause);
		hint_exception(b.tc, AT_CODE + cause); /* counted in the same slot */
		assert_int_equal(hint_form(b.tc, AT_CODE + cause), form);
		assert_int_equal(hint_cause(b.tc, AT_CODE + cause), cause);
		snprintf(line, sizeof(line), "%s: by %s from now on\n", trace_cause_text(cause),
			 form == FORM_LOOKUP ? "look-up" : "callout");
		expect(&b, AT_CODE + cause, line);
	}
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_code_writes),
		cmocka_unit_test(test_causes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
