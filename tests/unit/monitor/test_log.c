/* Log classes, and lines in a file. */
#include "test.h"

#include "monitor/log.h"

#include <unistd.h>

static void test_parse(void **state)
{
	char err[256];
	unsigned mask = 0;
	assert_true(log_parse("int", &mask, err, sizeof(err)));
	assert_int_equal(mask, LOG_INT);
	assert_true(log_parse("mmu,cpu_reset", &mask, err, sizeof(err)));
	assert_int_equal(mask, LOG_INT | LOG_MMU | LOG_CPU_RESET);
}

static void test_parse_bad(void **state)
{
	static const char *const bad[] = {"", "nonsense", "int,", ",int", "int=1", "int mmu"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char err[256] = "";
		unsigned mask = LOG_MMU;
		assert_false(log_parse(bad[i], &mask, err, sizeof(err)));
		assert_int_equal(mask, LOG_MMU);
		assert_non_null(strstr(err, "-d"));
	}
	char *huge = malloc(5000), err[256];
	unsigned mask = 0;
	memset(huge, 'x', 4999);
	huge[4999] = '\0';
	assert_false(log_parse(huge, &mask, err, sizeof(err)));
	free(huge);
}

static void test_help_lists_all(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	log_help(f);
	fclose(f);
#define X(id, word, about) assert_non_null(strstr(text, #word));
	LOG_CLASSES(X)
#undef X
	free(text);
}

static void test_file(void **state)
{
	char path[] = "/tmp/ringfence-log-XXXXXX", err[256], text[256];
	close(mkstemp(path));
	assert_true(log_open(LOG_INT, path, err, sizeof(err)));
	log_line(LOG_INT, "vector %d", 32);
	log_line(LOG_MMU, "not wanted");
	log_close();
	assert_false(log_on(LOG_INT));
	FILE *f = fopen(path, "r");
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	unlink(path);
	assert_string_equal(text, "vector 32\n");
}

static void test_file_unwritable(void **state)
{
	char err[256] = "";
	assert_false(log_open(LOG_INT, "/nonexistent/dir/log", err, sizeof(err)));
	assert_non_null(strstr(err, "/nonexistent/dir/log"));
	assert_ptr_equal(log_stream(), stderr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),		cmocka_unit_test(test_parse_bad),
		cmocka_unit_test(test_help_lists_all),	cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_unwritable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
