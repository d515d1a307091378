/*
 * Golden translations: the files of tests/golden/ hold guest code and the host code that it becomes.
 *
 *   mode kernel                       processor state for what follows: kernel, user, lookup (user code by look-up)
 *   guest 8b449108  mov eax, ...      guest bytes; the text is for the reader
 *   <tab>mov eax, ...                 host code from the direct entry up to the exit stubs
 *
 * Files are made again and compared whole. "translator_golden rebase" rewrites them; read the difference before
 * committing it.
 */
#include "bench.h"

#include "translator/disasm.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool rebase;

static void set_mode(struct bench *b, const char *mode)
{
	bool lookup = !strcmp(mode, "lookup");

	b->tc->config.lookup = lookup ? TC_LOOKUP_ON : TC_LOOKUP_OFF;
	b->extra_mode = lookup ? MODE_LOOKUP : 0;
	bench_reset(b, strcmp(mode, "kernel") != 0);
}

static unsigned parse_hex(const char *p, uint8_t *out, unsigned max)
{
	unsigned n = 0, v;

	while (n < max && isxdigit((unsigned char)p[0]) && isxdigit((unsigned char)p[1]) &&
	       sscanf(p, "%2x", &v) == 1) {
		out[n++] = (uint8_t)v;
		p += 2;
	}
	return n;
}

static unsigned first_stub(const struct ccf *c)
{
	unsigned end = c->host_len;

	for (unsigned i = 0; i < CCF_EXITS; i++)
		if (c->exit[i].stub && c->exit[i].stub < end)
			end = c->exit[i].stub;
	return end;
}

static void host_lines(struct bench *b, FILE *out, const uint8_t *host)
{
	const struct ccf *c = ccf_of(b->tc, cache_owner(b->tc, (uintptr_t)host));
	unsigned end = first_stub(c);
	char text[200];

	for (unsigned at = c->entry, n; at < end; at += n) {
		n = disasm_one(true, host + at, end - at, at, text, sizeof(text));
		fprintf(out, "\t%s\n", text);
		if (!n)
			break;
	}
}

static void one_case(struct bench *b, FILE *out, const char *hex)
{
	uint8_t code[64];
	unsigned n = parse_hex(hex, code, 32), len;
	char text[200];
	const uint8_t *host;

	memset(code + n, 0xf4, sizeof(code) - n);
	disasm_one(false, code, n, AT_CODE, text, sizeof(text));
	fputs("guest ", out);
	for (unsigned i = 0; i < n; i++)
		fprintf(out, "%02x", code[i]);
	fprintf(out, "  %s\n", text);
	/* one instruction: the unit ends at what cannot be decoded */
	memset(code + n, 0xff, sizeof(code) - n);
	host = bench_translate(b, code, sizeof(code), &len);
	if (host)
		host_lines(b, out, host);
	else
		fputs("\t(interpreted)\n", out);
}

static char *make_again(struct bench *b, FILE *in)
{
	char *text = NULL, line[400];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	set_mode(b, "kernel");
	while (fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '\t')
			continue;
		if (!strncmp(line, "guest ", 6)) {
			one_case(b, out, line + 6);
			continue;
		}
		if (!strncmp(line, "mode ", 5))
			set_mode(b, line + 5);
		fprintf(out, "%s\n", line);
	}
	fclose(out);
	return text;
}

static void report_difference(const char *name, const char *want, const char *got)
{
	unsigned line = 1;

	while (*want && *want == *got) {
		line += *want == '\n';
		want++;
		got++;
	}
	print_error("%s:%u: expected ...%.60s\n  got ...%.60s\n", name, line, want, got);
}

static bool same_file(struct bench *b, const char *path)
{
	char *want = calloc(1, 1 << 20), *got;
	FILE *f = fopen(path, "r");
	bool same;

	assert_non_null(f);
	assert_non_null(want);
	assert_true(fread(want, 1, (1 << 20) - 1, f) > 0);
	rewind(f);
	got = make_again(b, f);
	fclose(f);
	same = !strcmp(want, got);
	if (!same && rebase) {
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(got, f);
		fclose(f);
		print_message("%s: rewritten\n", path);
		same = true;
	}
	if (!same)
		report_difference(path, want, got);
	free(want);
	free(got);
	return same;
}

static void test_golden(void **state)
{
	static const struct bench_options small = {.tc_size = 4 << 20};
	unsigned files = 0, wrong = 0;
	DIR *dir = opendir(GOLDEN_DIR);
	struct dirent *e;
	struct bench b;

	assert_non_null(dir);
	bench_open(&b, &small);
	mode_ring0_gs = true; /* as after its first use */
	while ((e = readdir(dir))) {
		char path[600];

		if (!strstr(e->d_name, ".txt"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", GOLDEN_DIR, e->d_name);
		files++;
		wrong += !same_file(&b, path);
	}
	closedir(dir);
	bench_close(&b);
	assert_true(files >= 5);
	assert_int_equal(wrong, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};

	rebase = argc > 1 && !strcmp(argv[1], "rebase");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
