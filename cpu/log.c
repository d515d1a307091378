/* The log; see log.h. */
#include "cpu/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

unsigned log_mask;
static FILE *log_file; /* null: stderr */
static struct log_range ranges[LOG_MAX_RANGES];
static unsigned range_count;

void log_set_mask(unsigned mask)
{
	__atomic_store_n(&log_mask, mask, __ATOMIC_RELAXED);
}

void log_set_stream(FILE *f)
{
	log_file = f;
}

FILE *log_stream(void)
{
	return log_file ? log_file : stderr;
}

FILE *log_begin(unsigned classes)
{
	FILE *out = log_stream();

	if (!log_on(classes))
		return NULL;
	flockfile(out);
	return out;
}

/* Flushed at once: a log is read while it grows, and after a crash. */
void log_end(FILE *out)
{
	fflush(out);
	funlockfile(out);
}

void log_line(enum log_class c, const char *format, ...)
{
	FILE *out = log_begin(c);
	va_list ap;

	if (!out)
		return;
	va_start(ap, format);
	vfprintf(out, format, ap);
	va_end(ap);
	fputc('\n', out);
	log_end(out);
}

/* ---- ranges ---- */

/* strtoull takes signs and blanks, too. */
static bool take_number(const char **text, uint64_t *value)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	*value = strtoull(*text, &end, 0);
	if (end == *text)
		return false;
	*text = end;
	return true;
}

bool log_parse_range(const char *text, struct log_range *r)
{
	uint64_t start, other = 1;
	char op = '+';

	if (!take_number(&text, &start))
		return false;
	if (*text) {
		op = *text++;
		if (op == '.' && *text++ != '.')
			return false;
		if (!strchr("+-.", op) || !take_number(&text, &other) || *text)
			return false;
	}
	if (op == '.')
		*r = (struct log_range){start, other};
	else if (!other)
		return false;
	else if (op == '+')
		*r = (struct log_range){start, start + other - 1};
	else
		*r = (struct log_range){start - (other - 1), start};
	return r->first <= r->last;
}

void log_set_ranges(const struct log_range *r, unsigned n)
{
	range_count = n;
	if (n)
		memcpy(ranges, r, n * sizeof(*r));
}

bool log_in_range(uint64_t address)
{
	for (unsigned i = 0; i < range_count; i++)
		if (address >= ranges[i].first && address <= ranges[i].last)
			return true;
	return !range_count;
}
