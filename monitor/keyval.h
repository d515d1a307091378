/*
 * Small parsers for the values of options: lists of key=value, sizes, numbers, switches.
 * All return false on malformed input and then leave the result alone.
 */
#ifndef RINGFENCE_MONITOR_KEYVAL_H
#define RINGFENCE_MONITOR_KEYVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEYVAL_MAX = 256 };

/* One element of a comma-separated list. `value` is null when there was no '='. */
struct keyval {
	char text[KEYVAL_MAX];
	const char *key;
	const char *value;
};

/*
 * Take the next element off *rest (which becomes null after the last one). A doubled comma stands
 * for one comma, as in QEMU. False when the element is longer than KEYVAL_MAX - 1.
 */
bool keyval_next(const char **rest, struct keyval *);

/* "512", "1.5G", "64k": `unit` multiplies a number without a suffix. No negative numbers, no
 * overflow. */
bool parse_size(const char *text, uint64_t unit, uint64_t *bytes);
/* Decimal or 0x hexadecimal, at most `max`. */
bool parse_number(const char *text, uint64_t max, uint64_t *value);
/* on|off|yes|no|true|false */
bool parse_switch(const char *text, bool *value);

#endif
