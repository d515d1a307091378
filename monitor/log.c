/* The log's command line; see log.h. */
#include "monitor/log.h"
#include "monitor/keyval.h"
#include "monitor/plain_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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
	if (!strcmp(word, "all"))
		return ((1u << LOG_COUNT) - 1) & ~(unsigned)LOG_JSON;
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
	fputs("Log classes (-d a,b,..., or all):\n", out);
	for (unsigned i = 0; i < LOG_COUNT; i++)
		fprintf(out, "  %-12s %s\n", classes[i].word, classes[i].text);
}

const char *log_class_name(unsigned n)
{
	return n < LOG_COUNT ? classes[n].word : NULL;
}

bool log_parse_ranges(const char *text, struct log_range *r, unsigned *n, char *err, size_t errlen)
{
	unsigned count = 0;
	while (text) {
		struct keyval kv;
		if (!keyval_next(&text, &kv) || kv.value || count == LOG_MAX_RANGES ||
		    !log_parse_range(kv.key, &r[count])) {
			snprintf(err, errlen,
				 "-dfilter: not a list of up to %d of START+LEN, START-LEN, FIRST..LAST",
				 LOG_MAX_RANGES);
			return false;
		}
		count++;
	}
	*n = count;
	return true;
}

/* A stream that others may be about to write to stays: it only gets another descriptor. */
static bool redirect(int fd)
{
	flockfile(log_file);
	fflush(log_file);
	bool done = dup3(fd, fileno(log_file), O_CLOEXEC) >= 0;
	funlockfile(log_file);
	close(fd);
	return done;
}

static bool fail(char *err, size_t errlen, const char *path, const char *why)
{
	snprintf(err, errlen, "-D: cannot write '%s': %s", path, why);
	return false;
}

static bool write_to(int fd, const char *path, char *err, size_t errlen)
{
	if (log_file)
		return redirect(fd) || fail(err, errlen, path, strerror(errno));
	log_file = fdopen(fd, "w");
	if (!log_file) {
		close(fd);
		return fail(err, errlen, path, strerror(errno));
	}
	log_set_stream(log_file);
	return true;
}

bool log_reopen(const char *path, char *err, size_t errlen)
{
	const char *why;
	int fd = plain_file_create(path, &why);

	return fd < 0 ? fail(err, errlen, path, why) : write_to(fd, path, err, errlen);
}

/* Before the guest starts: a pipe may be meant, and waited for. */
bool log_open(unsigned mask, const char *path, char *err, size_t errlen)
{
	if (path) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

		if (fd < 0)
			return fail(err, errlen, path, strerror(errno));
		if (!write_to(fd, path, err, errlen))
			return false;
	}
	log_set_mask(mask);
	return true;
}

void log_close(void)
{
	log_set_mask(0);
	log_set_stream(NULL);
	if (log_file)
		fclose(log_file);
	log_file = NULL;
}
