/* `tc why` and the events of forms: each form learnt is put down to what taught it. */
#include "bench.h"

#include "translator/trace.h"
#include "translator/view.h"

#include <stdio.h>
#include <string.h>

#define LE32(v) (v) & 0xff, (v) >> 8 & 0xff, (v) >> 16 & 0xff, (v) >> 24 & 0xff

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

/* What the event keeps and what the slot keeps are told alike. */
static void test_causes(void **state)
{
	struct bench b;

	bench_open(&b, &options);
	for (unsigned cause = CAUSE_DEVICE; cause <= CAUSE_ARITHMETIC; cause++) {
		enum form form = cause & 1 ? FORM_LOOKUP : FORM_CALLOUT;
		char line[160];

		hint_set(b.tc, AT_CODE + cause, form, cause);
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
		cmocka_unit_test(test_causes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
