/* Arguments of the human monitor's commands; see hmp_internal.h. */
#include "monitor/hmp_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

void hmp_fail(struct hmp *h, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vfprintf(h->out, format, ap);
	va_end(ap);
	const char *name = h->command->names;
	fprintf(h->out, "\nTry \"help %s%.*s\" for more information\n", h->info ? "info " : "",
		(int)strcspn(name, "|"), name);
}

bool hmp_more(struct hmp *h)
{
	while (isspace((unsigned char)*h->args))
		h->args++;
	return *h->args;
}

bool hmp_take_word(struct hmp *h, char *out, size_t outlen)
{
	if (!hmp_more(h)) {
		hmp_fail(h, "a parameter is missing");
		return false;
	}
	char quote = *h->args == '"' ? *h->args++ : 0;
	size_t n = 0;
	while (*h->args && (quote ? *h->args != quote : !isspace((unsigned char)*h->args))) {
		if (quote && *h->args == '\\' && h->args[1])
			h->args++;
		if (n + 1 == outlen) {
			hmp_fail(h, "a parameter is longer than %zu characters", outlen - 1);
			return false;
		}
		out[n++] = *h->args++;
	}
	out[n] = 0;
	if (quote && *h->args++ != quote) {
		h->args--;
		hmp_fail(h, "unterminated string");
		return false;
	}
	return true;
}

bool hmp_take_expression(struct hmp *h, uint64_t *value)
{
	hmp_more(h);
	const char *error = hmp_expression(&h->vm->cpu, &h->args, value);
	if (error)
		hmp_fail(h, "%s", error);
	return !error;
}

bool hmp_take_end(struct hmp *h)
{
	if (!hmp_more(h))
		return true;
	hmp_fail(h, "%.*s: extraneous characters at the end of line",
		 (int)strcspn(h->command->names, "|"), h->command->names);
	return false;
}

static unsigned unit_size(char c)
{
	return c == 'b' ? 1 : c == 'h' ? 2 : c == 'w' ? 4 : c == 'g' || c == 'L' ? 8 : 0;
}

/* Format and unit stay for the next command, as in QEMU. */
bool hmp_take_format(struct hmp *h, struct hmp_format *f)
{
	static char last_format = 'x';
	static unsigned last_size = 4;
	*f = (struct hmp_format){1, 0, 0};
	if (hmp_more(h) && *h->args == '/') {
		unsigned count = 0;
		bool digits = false;
		h->args++;
		for (; isdigit((unsigned char)*h->args); h->args++, digits = true)
			count = count < 100000000 ? count * 10 + (unsigned)(*h->args - '0') : count;
		for (; *h->args && !isspace((unsigned char)*h->args); h->args++) {
			if (strchr("oduxci", *h->args)) {
				f->format = *h->args;
			} else if (unit_size(*h->args)) {
				f->size = unit_size(*h->args);
			} else {
				hmp_fail(h, "invalid char in format: '%c'", *h->args);
				return false;
			}
		}
		f->count = digits ? count : 1;
	}
	f->format = f->format ? f->format : last_format;
	f->size = f->size ? f->size : last_size;
	last_format = f->format;
	if (f->format != 'i')
		last_size = f->size;
	return true;
}
