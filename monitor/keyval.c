/* Parsers for option values; see keyval.h. */
#include "monitor/keyval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool keyval_next(const char **rest, struct keyval *kv)
{
	const char *p = *rest;
	size_t n = 0;
	for (; *p; p++) {
		if (*p == ',') {
			if (p[1] != ',')
				break;
			p++;
		}
		if (n + 1 >= sizeof(kv->text))
			return false;
		kv->text[n++] = *p;
	}
	kv->text[n] = '\0';
	*rest = *p == ',' ? p + 1 : NULL;
	kv->key = kv->text;
	char *equals = strchr(kv->text, '=');
	kv->value = equals ? equals + 1 : NULL;
	if (equals)
		*equals = '\0';
	return true;
}

static bool suffix_unit(const char *s, uint64_t *unit)
{
	static const char letters[] = "bkmgt";
	if (!*s)
		return true;
	const char *at = strchr(letters, *s | 0x20);
	if (!at || s[1])
		return false;
	*unit = 1ull << (10 * (at - letters));
	return true;
}

bool parse_size(const char *text, uint64_t unit, uint64_t *bytes)
{
	if (*text < '0' || *text > '9')
		return false;
	char *end;
	errno = 0;
	uint64_t whole = strtoull(text, &end, 10);
	if (errno)
		return false;
	/* The fraction in 1/10^9; more digits than that change nothing a page would notice. */
	uint64_t fraction = 0, scale = 1;
	if (*end == '.') {
		const char *digit = ++end;
		while (*end >= '0' && *end <= '9') {
			if (scale < 1000000000) {
				fraction = fraction * 10 + (uint64_t)(*end - '0');
				scale *= 10;
			}
			end++;
		}
		if (end == digit)
			return false;
	}
	if (!suffix_unit(end, &unit))
		return false;
	uint64_t total;
	if (__builtin_mul_overflow(whole, unit, &total))
		return false;
	uint64_t part = (uint64_t)((__uint128_t)unit * fraction / scale);
	if (__builtin_add_overflow(total, part, &total))
		return false;
	*bytes = total;
	return true;
}

bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
	if (*text < '0' || *text > '9')
		return false;
	char *end;
	errno = 0;
	bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
	uint64_t v = strtoull(text, &end, hex ? 16 : 10);
	if (errno || *end || (hex && end == text + 2) || v > max)
		return false;
	*value = v;
	return true;
}

bool parse_switch(const char *text, bool *value)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"on", true},  {"off", false}, {"yes", true},
		     {"no", false}, {"true", true}, {"false", false}};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i].word)) {
			*value = words[i].value;
			return true;
		}
	}
	return false;
}
