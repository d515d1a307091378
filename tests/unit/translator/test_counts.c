/* Execution counts: exact, whatever interrupts a block; and not one byte of code when they are off. */
#include "bench.h"

#include "translator/counts.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct bench_options counting = {.tc_size = 4 << 20, .counts = true};
static const struct bench_options off = {.tc_size = 4 << 20};
static const struct bench_options lockstep = {.tc_size = 4 << 20, .counts = true, .lockstep = true};

/* Entries of all units that begin at `lin`. */
static uint64_t count_at(struct bench *b, uint32_t lin)
{
	uint64_t sum = 0;

	for (ccf_id id = 1; id < b->tc->ccf_top; id++)
		if (ccf_of(b->tc, id)->state != CCF_FREE && ccf_of(b->tc, id)->lin == lin)
			sum += counts_of(b->tc, id);
	return sum;
}

static void run(struct bench *b, const uint8_t *code, unsigned len)
{
	bench_reset(b, false);
	bench_put(b, AT_CODE, code, len);
	bench_run_tc(b);
	assert_int_equal(bench_vector(b), -1);
}

enum { ROUNDS = 100000, LOOP = AT_CODE + 7, BEHIND = AT_CODE + 11 };

/* mov ecx, ROUNDS; jmp 1f; 1: inc eax; dec ecx; jnz 1b; hlt */
static const uint8_t loop[] = {0xb9, LE32(ROUNDS), 0xeb, 0, 0x40, 0x49, 0x75, 0xfc, 0xf4};

static void check_loop(struct bench *b)
{
	assert_int_equal(b->cpu->gpr[R_EAX], ROUNDS);
	assert_int_equal(count_at(b, AT_CODE), 1);
	assert_int_equal(count_at(b, LOOP), ROUNDS);
	assert_int_equal(count_at(b, BEHIND), 1);
}

static void test_loop(void **state)
{
	struct bench b;

	bench_open(&b, &counting);
	run(&b, loop, sizeof(loop));
	check_loop(&b);
	assert_true(tc_statistics(b.tc)->dispatches < 50); /* chained all the same */
	bench_close(&b);
}

static void test_lockstep(void **state)
{
	struct bench b;

	bench_open(&b, &lockstep);
	run(&b, loop, sizeof(loop));
	check_loop(&b);
	bench_close(&b);
}

/* By the indirect entry: call edx; dec ecx; jnz 1b; hlt; f: inc eax; ret */
static void test_indirect(void **state)
{
	static const uint8_t code[] = {0xb9, LE32(ROUNDS), 0xba, LE32(AT_CODE + 18), 0xeb, 0,
				       0xff, 0xd2, 0x49, 0x75, 0xfb, 0xf4, 0x40, 0xc3};
	struct bench b;

	bench_open(&b, &counting);
	run(&b, code, sizeof(code));
	assert_int_equal(count_at(&b, AT_CODE + 12), ROUNDS);
	assert_int_equal(count_at(&b, AT_CODE + 14), ROUNDS); /* what the calls return to */
	assert_int_equal(count_at(&b, AT_CODE + 18), ROUNDS);
	assert_int_equal(count_at(&b, AT_CODE + 17), 1);
	bench_close(&b);
}

static void *kicker(void *ctx)
{
	struct bench *b = ctx;

	while (!b->interrupt) {
		tc_kick(b->tc);
		usleep(50);
	}
	return NULL;
}

/* A kick takes the exits from the running unit: whoever comes in by the dispatcher is counted as well, once. */
static void test_kicks(void **state)
{
	enum { MANY = 200000000 }; /* long enough for a thread to come by on a busy host */
	static const uint8_t code[] = {0xb9, LE32(MANY), 0xeb, 0, 0x40, 0x49, 0x75, 0xfc, 0xf4};
	pthread_t thread;
	struct bench b;

	bench_open(&b, &counting);
	pthread_create(&thread, NULL, kicker, &b);
	run(&b, code, sizeof(code));
	b.interrupt = true;
	pthread_join(thread, NULL);
	assert_int_equal(b.cpu->gpr[R_EAX], MANY);
	assert_int_equal(count_at(&b, LOOP), MANY);
	assert_true(tc_statistics(b.tc)->kicks > 3);
	bench_close(&b);
}

/* The first instruction of the loop meets pages that no window has yet: beginning it again is no second entry. */
static void test_hidden_faults(void **state)
{
	enum { PAGES = 1000 };
	/* mov esi, AT_FAR; mov ecx, PAGES; jmp 1f; 1: mov al, [esi]; add esi, 4096; dec ecx; jnz 1b; hlt */
	static const uint8_t code[] = {0xbe, LE32(AT_FAR), 0xb9, LE32(PAGES), 0xeb, 0, 0x8a, 0x06,
				       0x81, 0xc6, LE32(0x1000), 0x49, 0x75, 0xf5, 0xf4};
	struct bench b;

	bench_open(&b, &counting);
	run(&b, code, sizeof(code));
	assert_int_equal(count_at(&b, AT_CODE + 12), PAGES);
	assert_true(mmu_statistics(b.mmu)->hidden_faults > 0);
	bench_close(&b);
}

/* A unit whose first instruction raises an exception has not been executed; one that gets further has. */
static void test_exceptions(void **state)
{
	/* xor ebx, ebx; jmp 1f; 1: div ebx; hlt */
	static const uint8_t host[] = {0x31, 0xdb, 0xeb, 0, 0xf7, 0xf3, 0xf4};
	/* xor ebx, ebx; jmp 1f; 1: ud2 */
	static const uint8_t callout[] = {0x31, 0xdb, 0xeb, 0, 0x0f, 0x0b};
	/* xor ebx, ebx; jmp 1f; 1: inc eax; div ebx; hlt */
	static const uint8_t later[] = {0x31, 0xdb, 0xeb, 0, 0x40, 0xf7, 0xf3, 0xf4};
	static const struct {
		const uint8_t *code;
		unsigned len;
		int vector;
		uint64_t count;
	} cases[] = {{host, sizeof(host), 0, 0}, {callout, sizeof(callout), 6, 0}, {later, sizeof(later), 0, 1}};
	struct bench b;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		bench_open(&b, &counting);
		bench_put(&b, AT_CODE, cases[i].code, cases[i].len);
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), cases[i].vector);
		assert_int_equal(count_at(&b, AT_CODE), 1);
		assert_int_equal(count_at(&b, AT_CODE + 4), cases[i].count);
		bench_close(&b);
	}
}

/* The same unit off and on: the counting stands at the direct entry, everything else is as it was. */
static void test_only_added(void **state)
{
	uint8_t plain[CCF_MAX_BYTES];
	const struct ccf *c;
	const uint8_t *host;
	unsigned len, more;
	struct bench b;

	bench_open(&b, &off);
	host = bench_translate(&b, loop, sizeof(loop), &len);
	assert_non_null(host);
	memcpy(plain, host, len);
	assert_int_equal(ccf_of(b.tc, cache_owner(b.tc, (uintptr_t)host))->counting, 0);
	bench_close(&b);

	bench_open(&b, &counting);
	host = bench_translate(&b, loop, sizeof(loop), &more);
	assert_non_null(host);
	c = ccf_of(b.tc, cache_owner(b.tc, (uintptr_t)host));
	assert_int_equal(c->counting, 7 + 4 + 4 + 4);
	assert_int_equal(more, len + c->counting);
	assert_memory_equal(host, plain, c->entry);
	/* up to the jump over what was added behind it */
	assert_memory_equal(host + c->entry + c->counting, plain + c->entry, 5);
	bench_close(&b);
}

static const char *view(struct bench *b, const char *name, const char *args, char *text, size_t textlen)
{
	FILE *f = fmemopen(text, textlen, "w");
	const char *error = tc_view_find(name)->run(b->tc, LOOP, args, f);

	fclose(f);
	return error;
}

static void test_switching(void **state)
{
	char text[4096];
	struct bench b;

	bench_open(&b, &off);
	run(&b, loop, sizeof(loop));
	assert_int_equal(count_at(&b, LOOP), 0);
	assert_non_null(view(&b, "list", "sort=executions", text, sizeof(text)));
	assert_non_null(view(&b, "counts", "perhaps", text, sizeof(text)));
	assert_null(view(&b, "counts", "on", text, sizeof(text)));
	assert_string_equal(text, "executions are counted\n");
	run(&b, loop, sizeof(loop));
	check_loop(&b);
	assert_null(view(&b, "counts", "on", text, sizeof(text))); /* changes nothing */
	check_loop(&b);
	assert_null(view(&b, "list", "sort=executions limit=1", text, sizeof(text)));
	assert_non_null(strstr(text, "  100000  supervisor"));
	assert_null(view(&b, "show", "", text, sizeof(text)));
	assert_non_null(strstr(text, ", 100000 executions; "));
	assert_non_null(strstr(text, "execution count: one more, flags kept"));
	assert_null(view(&b, "why", "", text, sizeof(text)));
	assert_non_null(strstr(text, "executed 100000 times"));
	assert_null(view(&b, "verify", "", text, sizeof(text)));
	assert_non_null(strstr(text, ", 0 bad"));
	assert_null(view(&b, "counts", "off", text, sizeof(text)));
	run(&b, loop, sizeof(loop));
	assert_int_equal(b.cpu->gpr[R_EAX], ROUNDS);
	assert_null(view(&b, "show", "", text, sizeof(text)));
	assert_null(strstr(text, "execution"));
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loop),	      cmocka_unit_test(test_lockstep),
		cmocka_unit_test(test_indirect),      cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_hidden_faults), cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_only_added),
		cmocka_unit_test(test_switching),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
