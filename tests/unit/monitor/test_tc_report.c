/* The report's data as JSON: it can be read back, and nothing in it can end the element of the page that it stands in. */
#include "test.h"

#include "monitor/tc_report.h"
#include "translator/report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTILE "</script><script>alert(1)</script><!--&amp;\"\\\n"

static char *dump(const struct tc_report *r, const struct tc_report_facts *f)
{
	char *json = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&json, &size);

	assert_true(tc_report_json(r, f, out));
	fclose(out);
	return json;
}

static json_t *parsed(const char *json)
{
	json_error_t error;
	json_t *j = json_loads(json, 0, &error);

	if (!j)
		fail_msg("line %d: %s", error.line, error.text);
	return j;
}

static void test_hostile_texts(void **state)
{
	static char text[] = "\0" HOSTILE;
	static const char latin1[] = "caf\xe9 <b>";
	struct report_ccf ccf = {.id = 7, .lin = 0xc0101025, .gpa = 0xf00101025, .executions = 1ull << 40, .mode = 3, .exits = 1,
				 .to = {9, 0}, .target = {0xffffffff, 0}};
	struct report_code code = {.ccf = 0, .first = 0, .lines = 1};
	struct report_line line = {.guest = 1, .host = 1, .why = 0, .off = 5};
	struct report_event event = {.seconds = 1.5, .kind = 0, .lin = 1, .what = 1};
	uint32_t slots[] = {1, 2};
	struct report_timeline kind = {"translate", HOSTILE, slots};
	const struct tc_report r = {.counted = true, .ccfs = 1, .codes = 1, .events = 1, .kinds = 1, .slots = 2, .modes = 1,
				    .lines = 1, .ccf = &ccf, .code = &code, .line = &line, .event = &event, .timeline = &kind,
				    .slot_seconds = 0.5, .mode = {{3, 1}}, .text = text};
	const struct tc_report_facts facts = {.name = HOSTILE, .kernel = latin1, .written = "now", .times = 1,
					      .time = {{"tc", HOSTILE, 12}}};
	char *json = dump(&r, &facts);
	json_t *j = parsed(json), *row;
	const char *host;
	int off;

	assert_null(strpbrk(json, "<>&"));
	for (const char *p = json; *p; p++)
		assert_true(*p == '\n' || (*p >= ' ' && *p < 127));
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "machine"), "name")), HOSTILE);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "machine"), "kernel")), "caf? <b>");
	row = json_array_get(json_object_get(json_object_get(json_object_get(j, "code"), "7"), "lines"), 0);
	assert_int_equal(json_unpack(row, "[s, i, s, s]", &host, &off, &host, &host), 0);
	assert_string_equal(json_string_value(json_array_get(row, 2)), HOSTILE);
	assert_string_equal(json_string_value(json_array_get(row, 3)), "");
	row = json_object_get(j, "ccf");
	assert_int_equal(json_integer_value(json_array_get(json_object_get(row, "executions"), 0)), 1ll << 40);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(row, "gpa"), 0)), 0xf00101025);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(row, "target0"), 0)), 0xffffffff);
	json_decref(j);
	free(json);
}

static void test_empty(void **state)
{
	const struct tc_report r = {.text = (char *)""};
	const struct tc_report_facts facts = {.written = ""};
	char *json = dump(&r, &facts);
	json_t *j = parsed(json);

	assert_true(json_is_null(json_object_get(json_object_get(j, "machine"), "name")));
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "ccf"), "id")), 0);
	assert_int_equal(json_object_size(json_object_get(j, "code")), 0);
	json_decref(j);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile_texts),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
