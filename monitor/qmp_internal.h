/*
 * Inside the QMP server: qmp.c has the protocol, qmp_input.c cuts the stream into JSON texts, qmp_commands.c carries
 * out. JSON by jansson, which only these files name.
 */
#ifndef RINGFENCE_MONITOR_QMP_INTERNAL_H
#define RINGFENCE_MONITOR_QMP_INTERNAL_H

#include "monitor/vm_internal.h"

#include <jansson.h>

/* ---- input ---- */

enum { QMP_TEXT_MAX = 1 << 20 };

struct qmp_input {
	char *text;
	size_t len, cap;
	unsigned depth;
	char quote; /* inside a string that began with this */
	bool escaped, word;
	bool skip; /* up to the end of the line: what comes belongs to a text that was refused */
	const char *error; /* why the text is none, when qmp_input_put said QMP_BAD */
};
enum qmp_put { QMP_MORE, QMP_TEXT, QMP_BAD };

/* One more byte. QMP_TEXT: in->text is a whole JSON object or array; call qmp_input_clear after use. */
enum qmp_put qmp_input_put(struct qmp_input *, uint8_t);
void qmp_input_clear(struct qmp_input *);
void qmp_input_free(struct qmp_input *);

/* ---- commands ---- */

struct qmp_error {
	const char *class; /* null: no error */
	char text[512];
};
void qmp_fail(struct qmp_error *, const char *class, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct qmp_command {
	const char *name;
	/* "line:s index:i? flag:b?": what it takes: s string, i integer, b boolean, a array; ? may be left out */
	const char *params;
	/* On the vCPU thread; `args` fit `params`. A new reference; null: an error, or nothing to say ({}). */
	json_t *(*run)(struct vm *, json_t *args, struct qmp_error *);
};
const struct qmp_command *qmp_find(const char *name);
/* The n-th; null ends. */
const struct qmp_command *qmp_nth(unsigned n);
json_t *qmp_version(void);

#endif
