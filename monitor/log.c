/* The log; see log.h. */
#include "monitor/log.h"
#include "monitor/keyval.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

unsigned log_mask;
static FILE *log_file;

static const struct {
	const char *word, *text;
} classes[LOG_COUNT] = {
#define X(id, word, text) {#word, text},
	LOG_CLASSES(X)
#undef X
};

static unsigned class_by_name(const char *word)
{
	for (unsigned i = 0; i < LOG_COUNT; i++) {
		if (!strcmp(word, classes[i].word))
			return 1u << i;
	}
	return 0;
}

bool log_parse(const char *text, unsigned *mask, char *err, size_t errlen)
{
	unsigned found = 0;
	while (text) {
		struct keyval kv;
		if (!keyval_next(&text, &kv)) {
			snprintf(err, errlen, "-d: a word in the list is too long: see -d help");
			return false;
		}
		unsigned c = kv.value ? 0 : class_by_name(kv.key);
		if (!c) {
			snprintf(err, errlen, "-d: unknown log class '%s': see -d help", kv.key);
			return false;
		}
		found |= c;
	}
	*mask |= found;
	return true;
}

void log_help(FILE *out)
{
	fputs("Log classes (-d a,b,...):\n", out);
	for (unsigned i = 0; i < LOG_COUNT; i++)
		fprintf(out, "  %-12s %s\n", classes[i].word, classes[i].text);
}

const char *log_class_name(unsigned n)
{
	return n < LOG_COUNT ? classes[n].word : NULL;
}

void log_set_mask(unsigned mask)
{
	__atomic_store_n(&log_mask, mask, __ATOMIC_RELAXED);
}

bool log_open(unsigned mask, const char *path, char *err, size_t errlen)
{
	if (path) {
		log_file = fopen(path, "we");
		if (!log_file) {
			snprintf(err, errlen, "-D: cannot write '%s': %s", path, strerror(errno));
			return false;
		}
		setvbuf(log_file, NULL, _IOLBF, 0);
	}
	log_mask = mask;
	return true;
}

void log_close(void)
{
	if (log_file)
		fclose(log_file);
	log_file = NULL;
	log_mask = 0;
}

FILE *log_stream(void)
{
	return log_file ? log_file : stderr;
}

void log_line(enum log_class c, const char *format, ...)
{
	if (!log_on(c))
		return;
	/* One locked stretch for each line, so that threads do not interleave. */
	FILE *out = log_stream();
	va_list ap;
	va_start(ap, format);
	flockfile(out);
	vfprintf(out, format, ap);
	fputc('\n', out);
	funlockfile(out);
	va_end(ap);
}
