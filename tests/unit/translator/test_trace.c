/* The ring of events, its readers and filters; the log's effect on chaining. */
#include "bench.h"

#include "cpu/log.h"
#include "translator/trace.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const struct bench_options small = {0};

static struct trace_filter parsed(const char *text)
{
	struct trace_filter t;
	const char *wrong = trace_parse(text, &t);

	if (wrong)
		fail_msg("'%s': %s", text, wrong);
	return t;
}

static void test_filters(void **state)
{
	static const char *const bad[] = {"foo", "chain,", ",chain", "addr=", "addr=5..4", "addr=1+0", "mode=", "mode=us",
					  "mode=users", "limit=0", "limit=", "limit=1x", "5x", "chain foo"};
	struct history_event e = {.kind = HISTORY_CHAIN, .lin = 0x1000, .mode = MODE_USER};
	struct trace_filter t = parsed("");

	assert_true(trace_wants(&t, &e));
	t = parsed(" chain,miss\taddr=0x1000..0x1fff  mode=user 7");
	assert_int_equal(t.kinds, 1u << HISTORY_CHAIN | 1u << HISTORY_MISS);
	assert_int_equal(t.limit, 7);
	assert_true(trace_wants(&t, &e));
	e.lin = 0x2000;
	assert_false(trace_wants(&t, &e));
	e.lin = 0x1fff;
	e.mode = 0;
	assert_false(trace_wants(&t, &e));
	t = parsed("mode=kernel limit=0x10");
	assert_true(trace_wants(&t, &e));
	assert_int_equal(t.limit, 16);
	e.kind = HISTORY_GEAR;
	t = parsed("addr=0x1fff");
	assert_false(trace_wants(&t, &e));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(trace_parse(bad[i], &t));
}

static char *read_all(struct tc_trace *t, unsigned *lines)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	*lines = 0;
	for (unsigned n; (n = tc_trace_read(t, f, 1000));)
		*lines += n;
	tc_trace_print_end(t, f);
	fclose(f);
	return text;
}

static void test_live(void **state)
{
	struct bench b;
	const char *wrong;
	unsigned lines;
	char *text;

	bench_open(&b, &small);
	struct history *h = b.tc->history;
	assert_null(tc_trace_open(b.tc, "nonsense", &wrong));
	assert_non_null(wrong);
	assert_false(h->mask >> HISTORY_MISS & 1);
	struct tc_trace *t = tc_trace_open(b.tc, "miss addr=0..9", &wrong);
	struct tc_trace *u = tc_trace_open(b.tc, "miss limit=3", &wrong);
	assert_true(h->mask >> HISTORY_MISS & 1);
	assert_false(h->mask >> HISTORY_CALLOUT & 1);
	for (uint32_t i = 0; i < 20; i++)
		history_note(h, HISTORY_MISS, i, 0, 0);
	text = read_all(t, &lines);
	assert_int_equal(lines, 10);
	assert_non_null(strstr(text, "10 events shown, 0 lost"));
	free(text);
	assert_false(tc_trace_ended(t));
	for (uint32_t i = 0; i < HISTORY_SIZE + 99; i++)
		history_note(h, HISTORY_MISS, 5, 0, 0);
	text = read_all(t, &lines);
	/* one slot is given up: it might be being written */
	assert_int_equal(lines, HISTORY_SIZE - 1);
	assert_non_null(strstr(text, "(100 events lost"));
	assert_non_null(strstr(text, ", 100 lost"));
	free(text);
	text = read_all(u, &lines);
	assert_int_equal(lines, 3);
	assert_true(tc_trace_ended(u));
	free(text);
	tc_trace_close(u);
	assert_true(h->mask >> HISTORY_MISS & 1);
	assert_int_equal(tc_trace_stop(b.tc), 1);
	assert_true(tc_trace_ended(t));
	tc_trace_close(t);
	assert_false(h->mask >> HISTORY_MISS & 1);
	assert_int_equal(tc_trace_stop(b.tc), 0);
	bench_close(&b);
}

/* ---- a reader beside the writer never sees half an event ---- */

static struct history *shared;
static _Atomic bool done;

static void *reader(void *seen)
{
	uint64_t next = 0, *good = seen;
	struct history_event e;

	while (!atomic_load(&done) || next < shared->count) {
		if (next < history_oldest(shared))
			next = history_oldest(shared);
		if (next >= __atomic_load_n(&shared->count, __ATOMIC_ACQUIRE) || !history_copy(shared, next, &e))
			continue;
		if (e.lin != (uint32_t)next || e.arg != ~next || e.mode != (uint32_t)next * 3)
			*good = 0, next = ~0ull;
		else
			++*good, ++next;
	}
	return NULL;
}

static void test_reader(void **state)
{
	enum { EVENTS = 3000000 };
	uint64_t good = 0;
	pthread_t thread;

	shared = history_create(8);
	assert_non_null(shared);
	shared->keep = ~0u;
	pthread_create(&thread, NULL, reader, &good);
	for (uint64_t i = 0; i < EVENTS; i++)
		history_record(shared, HISTORY_MISS, (uint32_t)i, (uint32_t)i * 3, ~i);
	atomic_store(&done, true);
	pthread_join(thread, NULL);
	assert_true(good >= HISTORY_SIZE - 1);
	assert_int_equal(shared->count, EVENTS);
	history_destroy(shared);
}

/* ---- classes that want to see each block ---- */

static void test_unchained(void **state)
{
	/* mov ecx, 1000; again: dec ecx; jnz again; hlt */
	static const uint8_t code[] = {0xb9, 0xe8, 3, 0, 0, 0x49, 0x75, 0xfd, 0xf4};
	struct bench b;
	uint64_t before;

	bench_open(&b, &small);
	for (unsigned round = 0; round < 3; round++) {
		log_set_mask(round == 1 ? LOG_NOCHAIN : 0);
		tc_log_changed(b.tc);
		bench_reset(&b, false);
		bench_put(&b, AT_CODE, code, sizeof(code));
		before = b.tc->stats.dispatches;
		bench_run_tc(&b);
		if (round == 1)
			assert_in_range(b.tc->stats.dispatches - before, 1000, 1010);
		else
			assert_in_range(b.tc->stats.dispatches - before, 1, 20);
	}
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_unchained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
