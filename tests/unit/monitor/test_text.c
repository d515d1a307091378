/* The parsers of the debug monitor and QMP: expressions, completion, JSON texts in a stream. */
#include "monitor/hmp_internal.h"
#include "monitor/qmp_internal.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

/* ---- expressions ---- */

static void test_expressions(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
		const char *rest;
	} good[] = {
		{"1", 1, ""},
		{"0x10 + 010", 24, ""},
		{"1+2*3-4", 3, ""},
		{"2*(3+4)", 14, ""},
		{"1|2+4", 7, ""}, /* | binds tighter than + */
		{"-1", ~0ull, ""},
		{"~0&0xff", 0xff, ""},
		{"7/2%2", 1, ""},
		{"'z'", 'z', ""},
		{"$eax+1", 0x12345679, ""},
		{"$EIP", 0xc0100000, ""},
		{"$cs", 8, ""},
		{"$cs.base", 0x100, ""},
		{"$cr3", 0x5000, ""},
		{"12 34", 12, "34"},
		{"64 /tmp/x", 64, "/tmp/x"},
		{"64 /./x", 64, "/./x"},
		{"64 /8", 8, ""},
		{" 1 ^ 3 ", 2, ""},
	};
	struct cpu cpu = {.rip = 0xc0100000, .cr3 = 0x5000};
	cpu.gpr[R_EAX] = 0x12345678;
	cpu.seg[S_CS].sel = 8;
	cpu.seg[S_CS].base = 0x100;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const char *p = good[i].text;
		uint64_t value;
		const char *error = hmp_expression(&cpu, &p, &value);
		if (error || value != good[i].value || strcmp(p, good[i].rest))
			fail_msg("%s: %s, %llx, rest '%s'", good[i].text, error ? error : "no error",
				 (unsigned long long)value, p);
	}
}

static void test_bad_expressions(void **state)
{
	static const char *const bad[] = {"",	 "+",	"1+",	 "(1", "()",  "$",  "$nothing", "'a",
					  "1/0", "1%0", "x",	 "''", "((", "~", "1+*2",	"$eaxx",
					  "99999999999999999999", "0xfffffffffffffffff"};
	struct cpu cpu = {0};
	char deep[2000];
	uint64_t value;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *p = bad[i];
		if (!hmp_expression(&cpu, &p, &value))
			fail_msg("'%s' is no expression", bad[i]);
	}
	for (const char *c = "(-~+"; *c; c++) {
		memset(deep, *c, sizeof(deep) - 1);
		deep[sizeof(deep) - 1] = 0;
		const char *p = deep;
		assert_non_null(hmp_expression(&cpu, &p, &value));
	}
}

static void test_random_expressions(void **state)
{
	static const char alphabet[] = "0123456789abcfx$'()+-*/%&|^~ .eips";
	struct cpu cpu = {0};
	srandom(20261120);
	for (unsigned i = 0; i < 200000; i++) {
		char text[24];
		uint64_t value;
		size_t n = (size_t)random() % (sizeof(text) - 1);
		for (size_t k = 0; k < n; k++)
			text[k] = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
		text[n] = 0;
		const char *p = text;
		hmp_expression(&cpu, &p, &value);
		assert_true(p >= text && p <= text + n);
	}
}

/* ---- completion ---- */

static void test_completion(void **state)
{
	static const struct {
		const char *line, *first;
		unsigned count;
	} cases[] = {
		{"inf", "info", 1},
		{"sys", "system_reset", 2},
		{"info regi", "registers", 1},
		{"help memsa", "memsave", 1},
		{"x/4i $ei", "$eip", 1},
		{"p $eb", "$ebx", 2},
		{"sendkey ctrl-alt-f1", "ctrl-alt-f1", 4},
		{"sendkey back", "backslash", 0},
		{"tc gr", "graph", 1},
		{"log cpu", "cpu", 2},
		{"log int,cpu_", "int,cpu_reset", 1},
		{"nonsense x", NULL, 0},
		{"print", "print", 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char word[64] = "";
		unsigned n = 0;
		bool any = hmp_completion(cases[i].line, 0, word, sizeof(word));
		if (cases[i].count || !cases[i].first)
			assert_int_equal(any, cases[i].first != NULL);
		if (cases[i].first && cases[i].count)
			assert_string_equal(word, cases[i].first);
		while (hmp_completion(cases[i].line, n, word, sizeof(word)))
			n++;
		if (cases[i].count)
			assert_int_equal(n, cases[i].count);
	}
}

/* ---- JSON texts ---- */

/* Feeds `text`; returns what came: "T" a text, "B" an error, in order. The last text is kept in `last`. */
static const char *feed(struct qmp_input *in, const char *text, size_t n, char *last, size_t lastlen)
{
	static char came[64];
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		enum qmp_put r = qmp_input_put(in, (uint8_t)text[i]);
		if (r == QMP_MORE)
			continue;
		assert_true(k < sizeof(came) - 1);
		came[k++] = r == QMP_TEXT ? 'T' : 'B';
		if (r == QMP_TEXT) {
			snprintf(last, lastlen, "%s", in->text);
			qmp_input_clear(in);
		}
	}
	came[k] = 0;
	return came;
}

static void test_json_texts(void **state)
{
	static const struct {
		const char *text, *came, *last;
	} cases[] = {
		{"{}", "T", "{}"},
		{"{}{}\r\n{}", "TTT", "{}"},
		{"{\"a\":\"}\"}", "T", "{\"a\":\"}\"}"},
		{"{\"a\":\"\\\"}\"}", "T", "{\"a\":\"\\\"}\"}"},
		{"{'a':'b'}", "T", "{\"a\":\"b\"}"},
		{"{'a':'\"'}", "T", "{\"a\":\"\\\"\"}"},
		{"{'a':'\\''}", "T", "{\"a\":\"'\"}"},
		{"[1,[2]]", "T", "[1,[2]]"},
		{"word {}", "BT", "{}"},
		{"}}} {}", "BT", "{}"},
		{"{\"a\n{}", "BT", "{}"},
		{"{\xff{}", "BT", "{}"},
		{"\xff{}", "T", "{}"},
		{"  \t\r\n", "", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct qmp_input in = {0};
		char last[64] = "";
		const char *came = feed(&in, cases[i].text, strlen(cases[i].text), last, sizeof(last));
		if (strcmp(came, cases[i].came) || strcmp(last, cases[i].last))
			fail_msg("%s: came %s, last %s", cases[i].text, came, last);
		qmp_input_free(&in);
	}
}

static void test_json_limits(void **state)
{
	struct qmp_input in = {0};
	char last[64];
	unsigned errors = 0;
	for (unsigned i = 0; i < 5000; i++)
		errors += qmp_input_put(&in, '[') == QMP_BAD;
	assert_int_equal(errors, 1);
	assert_string_equal(feed(&in, "\n{}", 3, last, sizeof(last)), "T");
	assert_int_equal(qmp_input_put(&in, '{'), QMP_MORE);
	for (unsigned i = errors = 0; i < 3u << 20; i++)
		errors += qmp_input_put(&in, ' ') == QMP_BAD;
	assert_int_equal(errors, 1);
	assert_string_equal(feed(&in, "\n{}", 3, last, sizeof(last)), "T");
	qmp_input_free(&in);
}

static void test_json_random(void **state)
{
	static const char alphabet[] = "{}[]\"'\\:, \na1\xff";
	struct qmp_input in = {0};
	srandom(20261120);
	for (unsigned i = 0; i < 2000000; i++) {
		char c = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
		if (qmp_input_put(&in, (uint8_t)c) != QMP_TEXT)
			continue;
		assert_int_equal(strlen(in.text), in.len);
		json_decref(json_loadb(in.text, in.len, 0, NULL));
		qmp_input_clear(&in);
	}
	qmp_input_free(&in);
}

/* ---- the tables ---- */

static void test_commands(void **state)
{
	const struct qmp_command *c;
	for (unsigned i = 0; (c = qmp_nth(i)); i++)
		assert_ptr_equal(qmp_find(c->name), c);
	assert_null(qmp_find("nothing"));
	assert_true(hmp_named("print|p", "p", 1));
	assert_true(hmp_named("print|p", "print", 5));
	assert_false(hmp_named("print|p", "prin", 4));
	assert_false(hmp_named("print|p", "", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expressions),	   cmocka_unit_test(test_bad_expressions),
		cmocka_unit_test(test_random_expressions), cmocka_unit_test(test_completion),
		cmocka_unit_test(test_json_texts),	   cmocka_unit_test(test_json_limits),
		cmocka_unit_test(test_json_random),	   cmocka_unit_test(test_commands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
