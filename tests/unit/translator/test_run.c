/* Targeted runs: chaining, indirect branches, self-modifying code, revival, eviction, kicks, MMIO, page crossing. */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct bench_options small = {.tc_size = 4 << 20};

#define RUN(b, ...)                                                                                \
	do {                                                                                       \
		static const uint8_t code_[] = {__VA_ARGS__, 0xf4};                                \
		bench_reset(b, false);                                                             \
		bench_put(b, AT_CODE, code_, sizeof(code_));                                       \
		bench_run_tc(b);                                                                   \
		assert_int_equal(bench_vector(b), -1);                                             \
	} while (0)

static uint32_t reg(const struct bench *b, unsigned r)
{
	return (uint32_t)b->cpu->gpr[r];
}

static void test_chaining(void **state)
{
	struct bench b;

	bench_open(&b, &small);
	/* mov ecx, 100000; 1: inc eax; dec ecx; jnz 1b */
	RUN(&b, 0xb9, LE32(100000), 0x31, 0xc0, 0x40, 0x49, 0x75, 0xfc);
	assert_int_equal(reg(&b, R_EAX), 100000);
	assert_true(tc_statistics(b.tc)->chains >= 1);
	assert_true(tc_statistics(b.tc)->dispatches < 50);
	bench_close(&b);
}

/* Branches out of the middle of a unit: each is left where it should be, chained, and what was executed is known. */
static void test_side_exits(void **state)
{
	enum { ROUNDS = 4096 };
	struct bench b;

	bench_open(&b, &small);
	b.tc->config.count = true;
	/* mov ecx, ROUNDS; 1: test cl, 1; jz 2; inc eax; 2: test cl, 6; jnz 3; inc ebx; 3: cmp cl, 128; jb 4; inc edx; 4: dec ecx; jnz 1 */
	RUN(&b, 0x31, 0xc0, 0x31, 0xdb, 0x31, 0xd2, 0xb9, LE32(ROUNDS), 0xf6, 0xc1, 1, 0x74, 1, 0x40, 0xf6, 0xc1, 6, 0x75, 1,
	    0x43, 0x80, 0xf9, 128, 0x72, 1, 0x42, 0x49, 0x75, 0xeb);
	assert_int_equal(reg(&b, R_EAX), ROUNDS / 2);
	assert_int_equal(reg(&b, R_EBX), ROUNDS / 4);
	assert_int_equal(reg(&b, R_EDX), ROUNDS / 2);
	assert_int_equal(tc_statistics(b.tc)->executed, 4 + 8 * ROUNDS + ROUNDS / 2 + ROUNDS / 4 + ROUNDS / 2 + 1);
	assert_true(tc_statistics(b.tc)->dispatches < 50);
	bench_close(&b);
}

/* One of two functions that share a slot of the branch table, and a thunk, are called through a register: with ECX and CF as they are. */
static void call_by_table(bool loop_cheap, bool user)
{
	enum { ROUNDS = 300, FIRST = AT_CODE + 0x800, SECOND = FIRST + 0x10000, THUNK = FIRST + 0x100, RETURN = AT_CODE + 30 };
	/* xor eax, eax; mov ecx, ROUNDS; 1: mov edx, FIRST; stc; call edx; mov edx, SECOND; stc; call edx; mov edx, THUNK; call edx;
	   dec ecx; jnz 1; hlt */
	static const uint8_t code[] = {0x31, 0xc0, 0xb9, LE32(ROUNDS), 0xba, LE32(FIRST), 0xf9, 0xff, 0xd2, 0xba, LE32(SECOND), 0xf9, 0xff,
				       0xd2, 0xba, LE32(THUNK), 0xff, 0xd2, 0x49, 0x75, 0xe6, 0xf4};
	static const uint8_t adc_1[] = {0x83, 0xd0, 0x00, 0xc3}, adc_16[] = {0x83, 0xd0, 0x0f, 0xc3}, thunk[] = {0x8b, 0x1c, 0x24, 0xc3};
	struct bench b;

	bench_open(&b, &small);
	b.tc->loop_cheap = loop_cheap;
	bench_reset(&b, user);
	bench_put(&b, AT_CODE, code, sizeof(code));
	bench_put(&b, FIRST, adc_1, sizeof(adc_1));
	bench_put(&b, SECOND, adc_16, sizeof(adc_16));
	bench_put(&b, THUNK, thunk, sizeof(thunk));
	bench_run_tc(&b);
	assert_int_equal(bench_vector(&b), user ? 13 : -1);
	assert_int_equal(reg(&b, R_EAX), ROUNDS * 17);
	assert_int_equal(reg(&b, R_EBX), RETURN);
	assert_int_equal(reg(&b, R_ECX), 0);
	assert_true(tc_statistics(b.tc)->dispatches < 50);
	bench_close(&b);
}

static void test_branch_table(void **state)
{
	for (unsigned i = 0; i < 4; i++)
		call_by_table(i & 1, i & 2);
}

struct outcome_of {
	uint64_t gpr[8];
	uint32_t eflags, memory;
};

static struct outcome_of run_once(struct bench *b, bool interp)
{
	struct outcome_of o;

	bench_reset(b, true);
	bench_put32(b, AT_DATA, 0x87654321);
	if (interp)
		assert_true(bench_run_interp(b, 1000));
	else
		bench_run_tc(b);
	assert_int_equal(bench_vector(b), 13); /* HLT of user code */
	memcpy(o.gpr, b->cpu->gpr, sizeof(o.gpr));
	o.eflags = bench_get32(b, (uint32_t)b->cpu->gpr[R_ESP] + 12); /* error code, EIP, CS, EFLAGS */
	o.memory = bench_get32(b, AT_DATA);
	return o;
}

/* By look-up, AH to BH cannot be encoded beside the registers that hold the address. */
static void test_high_bytes(void **state)
{
	static const uint16_t opcodes[] = {0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x84, 0x86, 0x88, 0x02, 0x0a,
					   0x12, 0x1a, 0x22, 0x2a, 0x32, 0x3a, 0x8a, 0x0fc0, 0x0fb0};
	struct bench b;

	bench_open(&b, &small);
	b.tc->config.lookup = TC_LOOKUP_ON;
	for (unsigned i = 0; i < ARRAY_LEN(opcodes); i++) {
		for (unsigned reg = 4; reg < 8; reg++) {
			/* mov eax, ...; mov ebx, ...; mov edx, ...; mov ecx, AT_DATA; add al, 0x80; op [ecx], reg; hlt */
			uint8_t code[] = {0xb8, LE32(0x12345678), 0xbb, LE32(0x9abcdef0), 0xba, LE32(0x13572143), 0xb9,
					  LE32(AT_DATA), 0x04, 0x80, 0x90, opcodes[i] & 0xff, (uint8_t)(reg << 3 | 1), 0xf4};
			struct outcome_of ours, right;

			if (opcodes[i] >> 8)
				code[22] = 0x0f;
			bench_put(&b, AT_CODE, code, sizeof(code));
			ours = run_once(&b, false);
			right = run_once(&b, true);
			assert_memory_equal(&ours, &right, sizeof(ours));
		}
	}
	/* the golden files tell which are interpreted */
	assert_true(tc_statistics(b.tc)->refills > 0);
	bench_close(&b);
}

/* REP STOSB of user code, `rounds` times, that has learnt from page faults to look up: the form that it has then. */
static enum form string_form(struct bench *b, unsigned rounds)
{
	enum { PLACE = AT_CODE + 19 };
	/* mov eax, 0x5a; mov ebx, rounds; 1: mov ecx, 5; mov edi, AT_DATA - 1; rep stosb; xor ecx, ecx; rep stosb; dec ebx; jnz 1; hlt */
	const uint8_t code[] = {0xb0, 0x5a, 0xbb, LE32(rounds), 0x90, 0x90, 0xb9, LE32(5), 0xbf, LE32(AT_DATA), 0xf3, 0xaa, 0x31,
				0xc9, 0xf3, 0xaa, 0x4b, 0x75, 0xeb, 0xf4};
	uint64_t lean;

	bench_reset(b, true);
	bench_put(b, AT_CODE, code, sizeof(code));
	bench_put32(b, AT_DATA, 0);
	bench_put32(b, AT_DATA + 4, 0);
	hint_set(b->tc, PLACE, PLACE, FORM_LOOKUP, CAUSE_PAGE_FAULTS);
	hint_set(b->tc, PLACE + 4, PLACE + 4, FORM_LOOKUP, CAUSE_USER_PAGE);
	smc_discard_at(b->tc, PLACE);
	lean = tc_statistics(b->tc)->lean_system;
	bench_run_tc(b);
	assert_int_equal(bench_vector(b), 13);
	assert_int_equal(bench_get32(b, AT_DATA), 0x5a5a5a5a);
	assert_int_equal(bench_get32(b, AT_DATA + 4), 0x5a);
	/* neither the one that stores nothing, nor this one when it has its window back */
	assert_in_range(tc_statistics(b->tc)->lean_system - lean, rounds < 250 ? rounds : 250, rounds < 256 ? rounds : 256);
	return hint_form(b->tc, PLACE);
}

static void test_string_form(void **state)
{
	struct bench b;

	bench_open(&b, &small);
	b.tc->config.lookup = TC_LOOKUP_OFF;
	assert_int_equal(string_form(&b, 200), FORM_LOOKUP);
	assert_int_equal(string_form(&b, 1000), FORM_WINDOW);
	bench_close(&b);
}

/* Where a look-up form has ended, other code is put, of which an instruction is a callout anyway: it stays translated. */
static void call_after_form(bool user, enum form_cause cause)
{
	enum { ROUNDS = 1000, PLACE = AT_CODE + 7 };
	/* mov esi, ROUNDS; nop; nop; 1: cpuid; dec esi; jnz 1; hlt */
	static const uint8_t code[] = {0xbe, LE32(ROUNDS), 0x90, 0x90, 0x0f, 0xa2, 0x4e, 0x75, 0xfb, 0xf4};
	struct bench b;

	bench_open(&b, &small);
	b.tc->config.lookup = TC_LOOKUP_OFF;
	bench_reset(&b, user);
	hint_set(b.tc, PLACE, PLACE, FORM_LOOKUP, cause);
	for (unsigned i = 0; i < 256; i++)
		hint_served(b.tc, PLACE, true);
	assert_int_equal(hint_form(b.tc, PLACE), FORM_WINDOW);
	bench_put(&b, AT_CODE, code, sizeof(code));
	bench_run_tc(&b);
	assert_in_range(tc_statistics(b.tc)->callouts, ROUNDS, ROUNDS + 10);
	assert_in_range(tc_statistics(b.tc)->translations, 1, 10);
	bench_close(&b);
}

static void test_form_over(void **state)
{
	call_after_form(true, CAUSE_PAGE_FAULTS);
	call_after_form(false, CAUSE_EMULATED);
}

static void test_indirect(void **state)
{
	struct bench b;

	bench_open(&b, &small);
	/* mov ecx, 50000; mov edx, f; 1: call edx; dec ecx; jnz 1b; hlt; f: inc eax; ret */
	RUN(&b, 0x31, 0xc0, 0xb9, LE32(50000), 0xba, LE32(AT_CODE + 18), 0xff, 0xd2, 0x49, 0x75, 0xfb, 0xf4,
	    0x40, 0xc3);
	assert_int_equal(reg(&b, R_EAX), 50000);
	assert_true(tc_statistics(b.tc)->dispatches < 50);
	bench_close(&b);
}

/* A function is called through the table, changed by the guest, and called again. */
static void test_indirect_after_change(void **state)
{
	struct bench b;

	bench_open(&b, &small);
	/* mov edx, f; call edx; call edx; mov byte [f+1], 7; call edx; hlt; f: mov al, 3; add ebx, eax; ret */
	RUN(&b, 0x31, 0xc0, 0x31, 0xdb, 0xba, LE32(AT_CODE + 23), 0xff, 0xd2, 0xff, 0xd2, 0xc6, 0x05,
	    LE32(AT_CODE + 24), 7, 0xff, 0xd2, 0xf4, 0xb0, 3, 0x01, 0xc3, 0xc3);
	assert_int_equal(reg(&b, R_EBX), 3 + 3 + 7);
	assert_true(tc_statistics(b.tc)->invalidations >= 1);
	bench_close(&b);
}

/* A store changes an instruction further on in its own block. */
static void test_store_to_own_block(void **state)
{
	struct bench b;

	bench_open(&b, &small);
	/* mov byte [next+1], 9; next: mov al, 1 */
	RUN(&b, 0x31, 0xc0, 0xc6, 0x05, LE32(AT_CODE + 10), 9, 0xb0, 1);
	assert_int_equal(reg(&b, R_EAX), 9);
	bench_close(&b);
}

static void test_revival(void **state)
{
	static const uint8_t one[] = {0xb8, 1, 0, 0, 0, 0xf4}, two[] = {0xb8, 2, 0, 0, 0, 0xf4};
	uint64_t translations;
	struct bench b;

	bench_open(&b, &small);
	for (unsigned i = 0; i < 6; i++) {
		bench_reset(&b, false);
		bench_put(&b, AT_CODE, i & 1 ? two : one, sizeof(one));
		bench_run_tc(&b);
		assert_int_equal(reg(&b, R_EAX), i & 1 ? 2 : 1);
		if (i == 1)
			translations = tc_statistics(b.tc)->translations;
	}
	assert_int_equal(tc_statistics(b.tc)->translations, translations);
	assert_true(tc_statistics(b.tc)->revivals >= 4);
	bench_close(&b);
}

/* mov gs, edx; mov ecx, 1000; 1: add eax, ecx; dec ecx; jnz 1b; hlt */
static void run_with_gs(struct bench *b, uint16_t gs)
{
	bench_reset(b, false);
	b->cpu->gpr[R_EDX] = gs;
	b->cpu->gpr[R_EAX] = 0;
	bench_run_tc(b);
	assert_int_equal(reg(b, R_EAX), 500500);
	assert_int_equal(b->cpu->seg[S_GS].sel, gs);
}

/* What GS holds makes no other code in ring 0; until ring 0 uses GS: then it does, so that it need not be interpreted. */
static void test_gs_in_ring0(void **state)
{
	static const uint8_t code[] = {0x8e, 0xea, 0xb9, LE32(1000), 0x01, 0xc8, 0x49, 0x75, 0xfb, 0xf4};
	uint64_t before;
	struct bench b;

	mode_ring0_gs = false;
	bench_open(&b, &small);
	bench_put(&b, AT_CODE, code, sizeof(code));
	run_with_gs(&b, 0x10);
	before = tc_statistics(b.tc)->translations;
	run_with_gs(&b, 0);
	run_with_gs(&b, 0x10);
	assert_int_equal(tc_statistics(b.tc)->translations, before);
	assert_false(mode_ring0_gs);

	bench_put32(&b, AT_DATA, 3);
	before = tc_statistics(b.tc)->interpreted;
	/* xor eax, eax; mov ecx, 1000; 1: add eax, gs:[data]; dec ecx; jnz 1b */
	RUN(&b, 0x31, 0xc0, 0xb9, LE32(1000), 0x65, 0x03, 0x05, LE32(AT_DATA), 0x49, 0x75, 0xf6);
	assert_int_equal(reg(&b, R_EAX), 3000);
	assert_true(mode_ring0_gs);
	assert_in_range(tc_statistics(b.tc)->interpreted - before, 0, 4);
	mode_ring0_gs = false;
	bench_close(&b);
}

enum { WRITES = 100000 };

/* Data beside code that changes it: the page is soon left writable, and stays so for longer each time. */
static void test_data_beside_code(void **state)
{
	const struct tc_stats *s;
	struct bench b;

	bench_open(&b, &small);
	/* mov ecx, WRITES; 1: inc dword [data]; dec ecx; jnz 1b */
	RUN(&b, 0xb9, LE32(WRITES), 0xff, 0x05, LE32(AT_CODE + 0x800), 0x49, 0x75, 0xf7);
	assert_int_equal(bench_get32(&b, AT_CODE + 0x800), WRITES);
	s = tc_statistics(b.tc);
	assert_true(s->invalidations < 300);
	assert_true(s->translations < 300);
	assert_true(s->interpreted < 1000);
	bench_close(&b);
}

/* A number in the code changes each time: its instruction comes to load it. */
static void test_number_rewritten(void **state)
{
	const struct tc_stats *s;
	struct bench b;

	bench_open(&b, &small);
	/* mov ecx, WRITES; xor eax, eax; 1: inc dword [2f + 1]; jmp 2f; 2: add eax, 0; dec ecx; jnz 1b */
	RUN(&b, 0xb9, LE32(WRITES), 0x31, 0xc0, 0xff, 0x05, LE32(AT_CODE + 16), 0xeb, 0, 0x05, LE32(0), 0x49, 0x75, 0xf0);
	assert_int_equal(reg(&b, R_EAX), (uint32_t)((uint64_t)WRITES * (WRITES + 1) / 2));
	s = tc_statistics(b.tc);
	assert_true(s->translations < 4000);
	assert_true(s->interpreted < 4000);
	assert_true(s->callouts < 5000);
	bench_close(&b);
}

/* EIP, in ring 0, with CR4.OSFXSR as said; the vector of the exception that ends it, -1: none. */
static int run_with_sse(struct bench *b, uint32_t eip, bool on)
{
	bench_reset(b, false);
	b->cpu->cr4 = on ? b->cpu->cr4 | CR4_OSFXSR : b->cpu->cr4 & ~(uint32_t)CR4_OSFXSR;
	b->cpu->rip = eip;
	b->cpu->gpr[R_EAX] = 0;
	bench_run_tc(b);
	return bench_vector(b);
}

/* Turning SSE on makes no other code of ring 0; SSE itself works when it is on, and never else, whatever was translated before. */
static void test_sse_in_ring0(void **state)
{
	/* mov ecx, 1000; 1: add eax, ecx; dec ecx; jnz 1b; hlt */
	static const uint8_t plain[] = {0xb9, LE32(1000), 0x01, 0xc8, 0x49, 0x75, 0xfb, 0xf4};
	/* mov ecx, 1000; 1: movd xmm0, ecx; movd edx, xmm0; add eax, edx; dec ecx; jnz 1b; hlt */
	static const uint8_t sse[] = {0xb9, LE32(1000), 0x66, 0x0f, 0x6e, 0xc1, 0x66, 0x0f, 0x7e, 0xc2, 0x01, 0xd0, 0x49, 0x75, 0xf3, 0xf4};
	uint64_t before;
	struct bench b;

	mode_ring0_sse = false;
	bench_open(&b, &small);
	bench_put(&b, AT_CODE, plain, sizeof(plain));
	bench_put(&b, AT_FAR, sse, sizeof(sse));
	assert_int_equal(run_with_sse(&b, AT_CODE, false), -1);
	before = tc_statistics(b.tc)->translations;
	assert_int_equal(run_with_sse(&b, AT_CODE, true), -1);
	assert_int_equal(reg(&b, R_EAX), 500500);
	assert_int_equal(tc_statistics(b.tc)->translations, before);

	assert_int_equal(run_with_sse(&b, AT_FAR, false), EXC_UD);
	assert_false(mode_ring0_sse);
	for (unsigned i = 0; i < 2; i++) { /* at first what was translated while it was off */
		assert_int_equal(run_with_sse(&b, AT_FAR, true), -1);
		assert_int_equal(reg(&b, R_EAX), 500500);
	}
	bench_put(&b, AT_FAR, sse, sizeof(sse));
	before = tc_statistics(b.tc)->interpreted;
	tc_flush(b.tc);
	assert_int_equal(run_with_sse(&b, AT_FAR, true), -1);
	assert_in_range(tc_statistics(b.tc)->interpreted - before, 0, 4);
	assert_true(mode_ring0_sse);
	assert_int_equal(run_with_sse(&b, AT_FAR, false), EXC_UD);
	assert_int_equal(run_with_sse(&b, AT_CODE, false), -1);
	mode_ring0_sse = false;
	bench_close(&b);
}

/* An instruction becomes another one each time: its translations succeed each other in one place. */
static void test_code_rewritten(void **state)
{
	const struct tc_stats *s;
	uint32_t want = 0;
	struct bench b;

	for (unsigned i = 0; i < WRITES; i++)
		want = i % 2 ? want + 3 : want ^ 3;
	bench_open(&b, &small);
	/* mov ecx, WRITES; xor eax, eax; 1: xor byte [2f], 30h (ADD and XOR); jmp 2f; 2: add eax, 3; dec ecx; jnz 1b */
	RUN(&b, 0xb9, LE32(WRITES), 0x31, 0xc0, 0x80, 0x35, LE32(AT_CODE + 16), 0x30, 0xeb, 0, 0x05, LE32(3), 0x49, 0x75, 0xef);
	assert_int_equal(reg(&b, R_EAX), want);
	s = tc_statistics(b.tc);
	assert_true(s->translations > WRITES / 2);
	assert_int_equal(s->evictions, 0);
	assert_true(s->dispatches < WRITES / 4);
	bench_close(&b);
}

enum { BLOCKS = 20000 };

/* More blocks than fit into the smallest cache: inc eax; jmp next */
static void test_eviction(void **state)
{
	static const struct bench_options tiny = {.tc_size = 1 << 20};
	struct bench b;

	bench_open(&b, &tiny);
	for (unsigned i = 0; i < BLOCKS; i++) {
		uint8_t code[16] = {0x40, 0xe9};
		uint32_t rel = i == BLOCKS - 1 ? 0 : 16 - 6;

		memcpy(code + 2, &rel, 4);
		code[6] = 0x49; /* the last: dec ecx; jnz first; hlt */
		code[7] = 0x0f;
		code[8] = 0x85;
		rel = (uint32_t) - (16 * (BLOCKS - 1) + 13);
		memcpy(code + 9, &rel, 4);
		code[13] = 0xf4;
		bench_put(&b, AT_FAR + i * 16, code, sizeof(code));
	}
	bench_reset(&b, false);
	b.cpu->rip = AT_FAR;
	b.cpu->gpr[R_ECX] = 3;
	bench_run_tc(&b);
	assert_int_equal(reg(&b, R_EAX), 3 * BLOCKS);
	assert_true(tc_statistics(b.tc)->evictions > 1000);
	bench_close(&b);
}

/* ------------------------------------ kicks ------------------------------------ */

static void *kicker(void *arg)
{
	struct bench *b = arg;

	usleep(30000);
	b->interrupt = true;
	tc_kick(b->tc);
	return NULL;
}

static void run_until_kicked(struct bench *b, const uint8_t *code, unsigned len)
{
	struct timespec start, end;
	pthread_t t;
	double ms;

	bench_reset(b, false);
	bench_put(b, AT_CODE, code, len);
	b->cpu->eflags |= FL_IF;
	clock_gettime(CLOCK_MONOTONIC, &start);
	pthread_create(&t, NULL, kicker, b);
	bench_run_tc(b);
	clock_gettime(CLOCK_MONOTONIC, &end);
	pthread_join(t, NULL);
	ms = (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
	assert_int_equal(bench_vector(b), 0x20);
	assert_true(ms < 1000);
}

/* An interrupt that waits for IF must not swallow a request: every kick comes out of tc_run. */
static void test_kick_with_interrupts_off(void **state)
{
	static const uint8_t self[] = {0xeb, 0xfe};
	struct bench b;
	pthread_t t;

	bench_open(&b, &small);
	bench_reset(&b, false);
	bench_put(&b, AT_CODE, self, sizeof(self));
	b.interrupt = true;
	alarm(60);
	for (unsigned i = 0; i < 3; i++) {
		pthread_create(&t, NULL, kicker, &b);
		assert_int_equal(tc_run(b.tc), TC_EXIT_KICK);
		pthread_join(t, NULL);
	}
	alarm(0);
	assert_true(b.interrupt);
	assert_int_equal(b.cpu->rip, AT_CODE);
	bench_close(&b);
}

static void test_kick(void **state)
{
	static const uint8_t self[] = {0xeb, 0xfe};
	static const uint8_t pair[] = {0x40, 0xeb, 0x00, 0x43, 0xeb, 0xfa};
	static const uint8_t indirect[] = {0xb8, LE32(AT_CODE), 0xff, 0xe0};
	/* 1: mov ecx, 400000h; mov esi, 200000h; mov edi, 600000h; rep movsb; jmp 1b */
	static const uint8_t rep[] = {0xb9, LE32(0x400000), 0xbe, LE32(0x200000), 0xbf, LE32(0x600000), 0xf3,
				      0xa4, 0xeb, 0xed};
	static const uint8_t loop[] = {0xb9, LE32(0xffffffff), 0xe2, 0xfe, 0xeb, 0xf7};
	struct bench b;

	bench_open(&b, &small);
	alarm(60);
	run_until_kicked(&b, self, sizeof(self));
	run_until_kicked(&b, pair, sizeof(pair));
	run_until_kicked(&b, indirect, sizeof(indirect));
	run_until_kicked(&b, rep, sizeof(rep));
	/* a string instruction stops between iterations with the registers in step */
	if (reg(&b, R_ESI) >= 0x200000)
		assert_int_equal(reg(&b, R_EDI) - reg(&b, R_ESI), 0x400000);
	run_until_kicked(&b, loop, sizeof(loop));
	alarm(0);
	bench_close(&b);
}

/* ------------------------------------ memory ------------------------------------ */

static void test_mmio(void **state)
{
	struct bench b;
	uint64_t faults;

	bench_open(&b, &small);
	/* mov ecx, 100; 1: mov eax, [mmio]; mov [mmio+4], ecx; dec ecx; jnz 1b */
	RUN(&b, 0xb9, LE32(100), 0xa1, LE32(AT_MMIO), 0x89, 0x0d, LE32(AT_MMIO + 4), 0x49, 0x75, 0xf2);
	assert_int_equal(b.mmio_reads, 100);
	assert_int_equal(b.mmio_writes, 100);
	assert_int_equal(b.mmio_value, 1);
	assert_int_equal(reg(&b, R_EAX), 0x55667788);
	/* the form was learnt: not one host fault for each access */
	faults = mmu_statistics(b.mmu)->io_faults;
	assert_true(faults < 20);
	bench_close(&b);
}

/* mov eax, imm32 with its last three bytes in the next page */
static void test_page_crossing(void **state)
{
	static const uint8_t insn[] = {0xb8, LE32(0x12345678), 0xf4};
	struct bench b;

	bench_open(&b, &small);
	bench_put(&b, AT_FAR + PAGE_SIZE - 2, insn, sizeof(insn));
	for (unsigned i = 0; i < 3; i++) {
		bench_reset(&b, false);
		b.cpu->rip = AT_FAR + PAGE_SIZE - 2;
		bench_run_tc(&b);
		assert_int_equal(reg(&b, R_EAX), 0x12345678 + (i << 24));
		bench_put(&b, AT_FAR + PAGE_SIZE + 2, &(uint8_t){(uint8_t)(0x13 + i)}, 1);
	}
	bench_close(&b);
}

/* Linear LIN.. is physical AT_FAR, and the page after it one that lies elsewhere; the rest of the first 4 MiB is as it was. */
enum { PAGE_DIR = 0x300000, PAGE_TABLE = 0x301000, LIN = 0x400000, SECOND = 0x200000 };

static void paging_on(struct bench *b)
{
	bench_put32(b, PAGE_DIR, 0x83);
	bench_put32(b, PAGE_DIR + 4, PAGE_TABLE | 3);
	bench_put32(b, PAGE_TABLE, AT_FAR | 3);
	bench_put32(b, PAGE_TABLE + 4, SECOND | 3);
	b->cpu->cr3 = PAGE_DIR;
	b->cpu->cr4 |= CR4_PSE;
	b->cpu->cr0 |= CR0_PG;
	mmu_paging_changed(b->mmu, true, true);
}

enum { SPOILING = 100, CALM = 100 };

/*
 * Writes beside the code make one of the two pages self-checking; after that the instruction that spans them keeps its translation,
 * and changes of either half are still seen.
 */
static void crossing_selfcheck(uint32_t spoilt)
{
	static const uint8_t insn[] = {0xb8, LE32(0x12345600), 0xf4};
	uint64_t before = 0;
	struct bench b;

	bench_open(&b, &small);
	bench_put(&b, AT_FAR + PAGE_SIZE - 2, insn, 2);
	bench_put(&b, SECOND, insn + 2, sizeof(insn) - 2);
	for (unsigned i = 0; i < SPOILING + CALM; i++) {
		bench_reset(&b, false);
		paging_on(&b);
		b.cpu->rip = LIN + PAGE_SIZE - 2;
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), -1);
		assert_int_equal(reg(&b, R_EAX), 0x12345600);
		if (i < SPOILING)
			bench_put32(&b, spoilt, i);
		if (i == SPOILING)
			before = tc_statistics(b.tc)->translations;
	}
	assert_true(tc_statistics(b.tc)->translations <= before + 4);
	for (unsigned i = 0; i < 4; i++) {
		bench_put(&b, AT_FAR + PAGE_SIZE - 1, &(uint8_t){(uint8_t)i}, 1);
		bench_put(&b, SECOND, &(uint8_t){(uint8_t)(2 * i)}, 1);
		bench_reset(&b, false);
		paging_on(&b);
		b.cpu->rip = LIN + PAGE_SIZE - 2;
		bench_run_tc(&b);
		assert_int_equal(reg(&b, R_EAX), 0x12340000 | 2 * i << 8 | i);
	}
	bench_close(&b);
}

static void test_crossing_selfcheck(void **state)
{
	crossing_selfcheck(AT_FAR + 0x100);
	crossing_selfcheck(SECOND + 0x100);
}

/* More pages of code than a table of fixed size would hold. */
static void test_many_code_pages(void **state)
{
	enum { PAGES = 70000 };
	static const struct bench_options big = {.ram = (size_t)320 << 20, .tc_size = 4 << 20};
	/* inc eax; jmp to the same place in the next page */
	static const uint8_t code[] = {0x40, 0xe9, LE32(PAGE_SIZE - 6)}, end = 0xf4;
	struct bench b;

	bench_open(&b, &big);
	for (uint32_t i = 0; i < PAGES; i++)
		bench_put(&b, AT_FAR + i * PAGE_SIZE, code, sizeof(code));
	bench_put(&b, AT_FAR + PAGES * PAGE_SIZE, &end, 1);
	alarm(120);
	for (unsigned round = 0; round < 2; round++) {
		bench_reset(&b, false);
		b.cpu->rip = AT_FAR;
		bench_run_tc(&b);
		assert_int_equal(reg(&b, R_EAX), PAGES);
	}
	alarm(0);
	bench_close(&b);
}

/* A fault in mid-block: what came before is done, what follows is not, and the frame says where. */
static void test_precise_fault(void **state)
{
	static const uint8_t code[] = {0x40, 0x31, 0xc9, 0x43, 0xf7, 0xf1, 0x43, 0xf4};
	struct bench b;

	bench_open(&b, &small);
	bench_reset(&b, false);
	bench_put(&b, AT_CODE, code, sizeof(code));
	bench_run_tc(&b);
	assert_int_equal(bench_vector(&b), EXC_DE);
	assert_int_equal(reg(&b, R_EAX), 1);
	assert_int_equal(reg(&b, R_EBX), 1);
	assert_int_equal(bench_get32(&b, reg(&b, R_ESP)), AT_CODE + 4);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chaining),
		cmocka_unit_test(test_side_exits),
		cmocka_unit_test(test_branch_table),
		cmocka_unit_test(test_high_bytes),
		cmocka_unit_test(test_string_form),
		cmocka_unit_test(test_form_over),
		cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_indirect_after_change),
		cmocka_unit_test(test_store_to_own_block),
		cmocka_unit_test(test_revival),
		cmocka_unit_test(test_gs_in_ring0),
		cmocka_unit_test(test_data_beside_code),
		cmocka_unit_test(test_number_rewritten),
		cmocka_unit_test(test_code_rewritten),
		cmocka_unit_test(test_sse_in_ring0),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_kick),
		cmocka_unit_test(test_kick_with_interrupts_off),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_page_crossing),
		cmocka_unit_test(test_crossing_selfcheck),
		cmocka_unit_test(test_many_code_pages),
		cmocka_unit_test(test_precise_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
