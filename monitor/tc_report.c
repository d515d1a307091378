/* Taking and writing the report; see tc_report.h. The page's parts are tc_report.html, .css and .js (tc_report_page.S). */
#include "monitor/tc_report.h"
#include "translator/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern const char tc_report_html[], tc_report_html_end[];
extern const char tc_report_css[], tc_report_css_end[];
extern const char tc_report_js[], tc_report_js_end[];

struct tc_report_job {
	struct tc_report *report;
	struct tc_report_facts facts;
	int64_t took_ns;
	char *name, *kernel;
};

/* ---- taking ---- */

static void add_time(struct tc_report_facts *f, const char *key, const char *text, int64_t ns)
{
	f->time[f->times++] = (struct tc_report_time){key, text, ns > 0 ? ns : 0};
}

/* What is metered, and the rest: translated code. The guest's time from its start to its end or now. */
static void take_times(const struct vm *vm, const struct tc_stats *s, struct tc_report_facts *f)
{
	int64_t end = vm->end_ns ? vm->end_ns : vm_clock_ns(), known = 0;

	f->run_ns = vm->run_ns ? end - vm->run_ns : 0;
	add_time(f, "tc", "translated code, dispatcher", 0);
	add_time(f, "translator", "translator", (int64_t)s->translate_ns);
	add_time(f, "interpreter", "interpreter (code that is not translated)", (int64_t)s->interpret_ns);
	add_time(f, "callouts", "callouts (instructions interpreted for translated code)", (int64_t)s->callout_ns);
	add_time(f, "faults", "host faults (without the kernel's part)", (int64_t)s->fault_ns);
	add_time(f, "direct", "code that ran directly", (int64_t)s->direct_ns);
	add_time(f, "monitor", "debug monitor, gdb, QMP", vm->work_ns);
	add_time(f, "halted", "halted: the guest had nothing to do", vm->halt_ns);
	add_time(f, "paused", "stopped by a debugger or a monitor", vm->paused_ns);
	for (unsigned i = 1; i < f->times; i++)
		known += f->time[i].ns;
	f->time[0].ns = f->run_ns > known ? f->run_ns - known : 0;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

struct tc_report_job *tc_report_begin(struct vm *vm)
{
	struct tc_report_job *j = calloc(1, sizeof(*j));
	int64_t begin = vm_clock_ns();
	time_t now = time(NULL);
	struct tm tm;

	if (!j)
		return NULL;
	j->report = tc_report_take(vm_tc(vm), TC_REPORT_HOTTEST);
	if (!j->report) {
		free(j);
		return NULL;
	}
	j->facts.name = j->name = copy(vm->options.name);
	j->facts.kernel = j->kernel = copy(vm->options.kernel);
	j->facts.ram = vm->options.ram;
	strftime(j->facts.written, sizeof(j->facts.written), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	take_times(vm, &j->report->stats, &j->facts);
	j->took_ns = vm_clock_ns() - begin;
	return j;
}

void tc_report_free_job(struct tc_report_job *j)
{
	if (!j)
		return;
	tc_report_free(j->report);
	free(j->name);
	free(j->kernel);
	free(j);
}

void tc_report_describe(const struct tc_report_job *j, FILE *out)
{
	fprintf(out, "%u CCFs, code of the hottest %u; the guest waited %.1f ms\n", j->report->ccfs, j->report->codes,
		(double)j->took_ns / 1e6);
}

/* ---- the page ---- */

/* What stands before the marker; the text behind it is left. */
static void until(const char **text, const char *end, const char *marker, FILE *out)
{
	const char *at = memmem(*text, (size_t)(end - *text), marker, strlen(marker));

	if (!at)
		abort(); /* our own page */
	fwrite(*text, 1, (size_t)(at - *text), out);
	*text = at + strlen(marker);
}

static bool write_page(const struct tc_report_job *j, FILE *out)
{
	const char *html = tc_report_html;
	bool ok;

	until(&html, tc_report_html_end, "/* tc_report.css */", out);
	fwrite(tc_report_css, 1, (size_t)(tc_report_css_end - tc_report_css), out);
	until(&html, tc_report_html_end, "/* data */", out);
	ok = tc_report_json(j->report, &j->facts, out);
	until(&html, tc_report_html_end, "/* tc_report.js */", out);
	fwrite(tc_report_js, 1, (size_t)(tc_report_js_end - tc_report_js), out);
	fwrite(html, 1, (size_t)(tc_report_html_end - html), out);
	return ok;
}

/* ---- the file ---- */

static bool fail(char *err, size_t errlen, const char *path, const char *why)
{
	snprintf(err, errlen, "cannot write the report '%s': %s", path, why);
	return false;
}

/* A name that is a link is followed: what it leads to is replaced, not the link. Only regular files are replaced. */
static bool resolve(const char *path, char *out, size_t outlen, char *err, size_t errlen)
{
	char *real = realpath(path, NULL);
	struct stat st;
	int n = snprintf(out, outlen, "%s", real ? real : path);

	free(real);
	if (n < 0 || (size_t)n >= outlen)
		return fail(err, errlen, path, strerror(ENAMETOOLONG));
	if (stat(out, &st)) {
		size_t len = strlen(out);

		return len && out[len - 1] != '/' ? true : fail(err, errlen, path, strerror(len ? EISDIR : ENOENT));
	}
	if (S_ISDIR(st.st_mode))
		return fail(err, errlen, path, strerror(EISDIR));
	return S_ISREG(st.st_mode) ? true : fail(err, errlen, path, "not a regular file");
}

/* A file beside the one that is meant, with a name of its own; -1 with errno. */
static int open_beside(const char *real, mode_t mode, char *name, size_t len)
{
	enum { TRIES = 100 };

	for (unsigned i = 0; i < TRIES; i++) {
		uint32_t random;
		int fd;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -1;
		snprintf(name, len, "%s.%08x", real, random);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

bool tc_report_possible(const char *path, char *err, size_t errlen)
{
	char real[PATH_MAX], temporary[PATH_MAX + 16];
	int fd;

	if (!resolve(path, real, sizeof(real), err, errlen))
		return false;
	fd = open_beside(real, 0600, temporary, sizeof(temporary));
	if (fd < 0)
		return fail(err, errlen, path, strerror(errno));
	close(fd);
	unlink(temporary);
	return true;
}

static bool write_file(const struct tc_report_job *j, int fd, const char *path, char *err, size_t errlen)
{
	FILE *f = fdopen(fd, "w");
	bool ok;
	int error;

	if (!f) {
		close(fd);
		return fail(err, errlen, path, strerror(errno));
	}
	errno = 0;
	ok = write_page(j, f) && !ferror(f);
	error = errno;
	if (fclose(f)) {
		ok = false;
		error = errno;
	}
	return ok ? true : fail(err, errlen, path, strerror(error ? error : ENOMEM));
}

bool tc_report_write(const struct tc_report_job *j, const char *path, char *err, size_t errlen)
{
	char real[PATH_MAX], temporary[PATH_MAX + 16];
	struct stat st;
	bool replaces;
	int fd;

	if (!resolve(path, real, sizeof(real), err, errlen))
		return false;
	/* a new file as the umask says, one that is replaced with the mode it had: until then nobody else's */
	replaces = !stat(real, &st);
	fd = open_beside(real, replaces ? 0600 : 0666, temporary, sizeof(temporary));
	if (fd < 0)
		return fail(err, errlen, path, strerror(errno));
	if (replaces)
		(void)fchmod(fd, st.st_mode & 0777); /* fails on unusual file systems only */
	if (!write_file(j, fd, path, err, errlen)) {
		unlink(temporary);
		return false;
	}
	if (!rename(temporary, real))
		return true;
	fail(err, errlen, path, strerror(errno));
	unlink(temporary);
	return false;
}
