/* What the report takes: all CCFs, the hottest with their code, and a time line of any length. */
#include "bench.h"

#include "translator/counts.h"
#include "translator/report.h"
#include "translator/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct bench_options counting = {.tc_size = 16 << 20, .counts = true};

/* `n` units that jump to the next, `rounds` times over: dec ecx; jnz first at the end. Returns where they begin. */
static void run_chain(struct bench *b, unsigned n, uint32_t rounds)
{
	uint32_t at = AT_FAR, back;
	uint8_t end[] = {0x49, 0x0f, 0x85, 0, 0, 0, 0, 0xf4};
	const uint8_t start[] = {0xb9, LE32(rounds), 0xe9, LE32(AT_FAR - (AT_CODE + 10))};
	const uint8_t jump[] = {0xeb, 2, 0x90, 0x90};

	bench_reset(b, false);
	for (unsigned i = 0; i < n; i++, at += sizeof(jump))
		bench_put(b, at, jump, sizeof(jump));
	back = AT_FAR - (at + 7);
	memcpy(end + 3, &back, 4);
	bench_put(b, at, end, sizeof(end));
	bench_put(b, AT_CODE, start, sizeof(start));
	bench_run_tc(b);
	assert_int_equal(bench_vector(b), -1);
}

static const char *text(const struct tc_report *r, uint32_t at)
{
	return r->text + at;
}

static void test_units(void **state)
{
	struct tc_report *r;
	struct bench b;

	bench_open(&b, &counting);
	run_chain(&b, 1000, 7);
	r = tc_report_take(b.tc, 10);
	assert_non_null(r);
	assert_true(r->counted);
	assert_int_equal(r->ccfs, 1000 + 3);
	for (unsigned i = 0; i < r->ccfs; i++) {
		const struct report_ccf *c = &r->ccf[i];

		assert_int_equal(c->executions, counts_of(b.tc, c->id));
		if (c->lin >= AT_FAR && c->lin < AT_FAR + 4000) {
			assert_int_equal(c->executions, 7);
			assert_int_equal(c->exits, 1);
			assert_int_equal(c->target[0], c->lin + 4);
			assert_int_not_equal(c->to[0], 0);
		}
	}
	assert_int_equal(r->stats.translations, 1003);
	assert_int_equal(r->modes, 1);
	assert_string_equal(text(r, r->mode[0].text), "supervisor 32-bit fpu sse");
	tc_report_free(r);
	bench_close(&b);
}

struct comparison {
	const struct tc_report *r;
	unsigned at;
};

static void same_line(void *ctx, const struct view_line *l)
{
	struct comparison *c = ctx;
	const struct report_line *have = &c->r->line[c->at++];

	assert_string_equal(text(c->r, have->guest), l->guest);
	assert_string_equal(text(c->r, have->host), l->host);
	assert_string_equal(text(c->r, have->why), l->why);
	assert_int_equal(have->off, l->off);
}

/* The code is that of tc show; more executions come first, whatever was asked for. */
static void test_hottest(void **state)
{
	static const unsigned wanted[] = {0, 1, 2, 7, 200, 100000};
	struct bench b;

	bench_open(&b, &counting);
	run_chain(&b, 500, 3);
	for (ccf_id id = 1; id < b.tc->ccf_top; id++)
		b.tc->x.counts[id] = (id * 2654435761u) % 1000;
	for (unsigned k = 0; k < ARRAY_LEN(wanted); k++) {
		struct tc_report *r = tc_report_take(b.tc, wanted[k]);
		unsigned more = 0;

		assert_non_null(r);
		assert_int_equal(r->codes, wanted[k] < r->ccfs ? wanted[k] : r->ccfs);
		for (unsigned i = 0; i < r->codes; i++) {
			const struct report_ccf *c = &r->ccf[r->code[i].ccf];
			struct comparison all = {r, r->code[i].first};

			assert_true(i == 0 || c->executions <= r->ccf[r->code[i - 1].ccf].executions);
			view_code(b.tc, ccf_of(b.tc, c->id), same_line, &all);
			assert_int_equal(all.at, r->code[i].first + r->code[i].lines);
			assert_false(r->code[i].changed);
		}
		/* no one that was left out is hotter */
		for (unsigned i = 0; r->codes && i < r->ccfs; i++)
			more += r->ccf[i].executions > r->ccf[r->code[r->codes - 1].ccf].executions;
		assert_true(more < r->codes || !r->codes);
		tc_report_free(r);
	}
	bench_close(&b);
}

/* Slots fold as time goes on; nothing is lost, and the last one is now. */
static void test_timeline(void **state)
{
	struct history *h;
	struct bench b;

	bench_open(&b, &counting);
	run_chain(&b, 100, 3);
	h = b.tc->history;
	for (unsigned days = 0; days < 3; days++) {
		struct tc_report *r;
		unsigned sum = 0;

		h->start -= 3000ull * 1000 * 1000 * 86400; /* so long ago */
		history_note(h, HISTORY_GEAR, 1, 0, 1);
		r = tc_report_take(b.tc, 0);
		assert_non_null(r);
		assert_true(r->slots > TIMELINE_SLOTS / 2 && r->slots <= TIMELINE_SLOTS);
		for (unsigned i = 0; i < r->slots; i++)
			sum += r->timeline[HISTORY_TRANSLATE].slots[i];
		assert_int_equal(sum, tc_statistics(b.tc)->translations);
		assert_true(r->timeline[HISTORY_GEAR].slots[r->slots - 1] >= 1);
		assert_string_equal(r->timeline[HISTORY_GEAR].word, "gear");
		assert_int_equal(r->event[r->events - 1].kind, HISTORY_GEAR);
		tc_report_free(r);
	}
	bench_close(&b);
}

static void test_empty(void **state)
{
	struct tc_report *r;
	struct bench b;

	bench_open(&b, &counting);
	r = tc_report_take(b.tc, 200);
	assert_non_null(r);
	assert_int_equal(r->ccfs + r->codes + r->lines + r->events + r->modes, 0);
	assert_int_equal(r->slots > 0, 1);
	tc_report_free(r);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_hottest),
		cmocka_unit_test(test_timeline),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
