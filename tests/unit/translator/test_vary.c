/* Immediates as data: translator/vary.c. Guests that rewrite their numbers are in tests/guests/smc_numbers.c. */
#include "bench.h"

#include <string.h>

static const struct bench_options small = {.tc_size = 4 << 20};

/*
 * What an instruction loads must lie in the page of its unit. It may be another one by now than the one that was found to vary.
 */
static void test_crossing(void **state)
{
	static const uint8_t whole[] = {0xb8, LE32(1), 0xf4}, crossing[] = {0x81, 0xc0, LE32(1), 0xf4}; /* mov eax, 1; add eax, 1 */
	enum { LIN = AT_CODE + PAGE_SIZE - sizeof(whole) + 1 };
	struct bench b;
	gpa_t at;

	for (unsigned i = 0; i < 2; i++) {
		ccf_id id;

		bench_open(&b, &small);
		bench_reset(&b, false);
		bench_put(&b, LIN, i ? crossing : whole, i ? sizeof(crossing) : sizeof(whole));
		assert_int_equal(mmu_track_code(b.mmu, false, gva(LIN), &at), OUT_OK);
		b.tc->mode = mode_of(b.cpu);
		/* a unit, so that the page is known */
		assert_true(translate(b.tc, LIN, b.tc->mode, LIN));
		smc_page(b.tc, LIN >> PAGE_SHIFT)->selfcheck = true;
		b.tc->vary.lin = LIN;
		b.tc->vary.mode = b.tc->mode;
		b.tc->vary.gpa = LIN;
		b.tc->vary.insns = 1;
		id = translate(b.tc, LIN, b.tc->mode, LIN);
		assert_true(id);
		assert_int_equal(!!(ccf_of(b.tc, id)->flags & CCF_VARIES), !i);
		bench_close(&b);
	}
}

enum { CALL = AT_CODE + 0x2000, ONE = AT_CODE + 0x1000, TWO = AT_CODE + 0x1100, NEXT = AT_CODE + 0x100, ROUNDS = 2000 };

static void put_rewritten_call(struct bench *b)
{
	/* mov esp, CALL + 5; mov eax, [AT_DATA]; xor eax, one ^ two; mov [AT_DATA], eax; mov [CALL + 1], eax; jmp CALL */
	static const uint8_t begin[] = {0xbc, LE32(CALL + 5), 0xa1, LE32(AT_DATA), 0x35, LE32((ONE - CALL - 5) ^ (TWO - CALL - 5)), 0xa3,
					LE32(AT_DATA), 0xa3, LE32(CALL + 1), 0xe9, LE32(CALL - (AT_CODE + 30))};
	static const uint8_t call[] = {0xe8, 0, 0, 0, 0};
	/* inc ebx; jmp NEXT and inc edx; jmp NEXT; NEXT: dec ecx; jnz begin; hlt */
	static const uint8_t one[] = {0x43, 0xe9, LE32(NEXT - (ONE + 6))}, two[] = {0x42, 0xe9, LE32(NEXT - (TWO + 6))};
	static const uint8_t next[] = {0x49, 0x0f, 0x85, LE32(AT_CODE - (NEXT + 7)), 0xf4};

	bench_put(b, AT_CODE, begin, sizeof(begin));
	bench_put(b, CALL, call, sizeof(call));
	bench_put(b, ONE, one, sizeof(one));
	bench_put(b, TWO, two, sizeof(two));
	bench_put(b, NEXT, next, sizeof(next));
	bench_put32(b, AT_DATA, ONE - CALL - 5);
	b->cpu->gpr[R_ECX] = ROUNDS;
}

/* The return address is pushed onto the displacement, which has been read by then. */
static void test_call_over_itself(void **state)
{
	struct bench b;

	for (unsigned user = 0; user < 2; user++) {
		bench_open(&b, &small);
		b.tc->config.lookup = user ? TC_LOOKUP_ON : TC_LOOKUP_OFF;
		bench_reset(&b, user);
		b.cpu->gpr[R_EBX] = b.cpu->gpr[R_EDX] = 0;
		put_rewritten_call(&b);
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), user ? 13 : -1); /* HLT */
		assert_int_equal(b.cpu->gpr[R_EBX], ROUNDS / 2);
		assert_int_equal(b.cpu->gpr[R_EDX], ROUNDS / 2);
		bench_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_call_over_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
