/*
 * Cutting a byte stream into JSON texts. Objects follow each other without anything between them, and a person may type
 * one over several lines, so brackets are counted. Strings in single quotes, which QMP allows, are rewritten.
 *
 * Whatever comes, the next text that begins after an error is understood: bytes outside of brackets count for nothing but one
 * error for each stretch of them, and of a text that is too large the rest of the line is skipped. FFh, which no text contains, begins anew.
 */
#include "monitor/qmp_internal.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 1024 };

void qmp_input_clear(struct qmp_input *in)
{
	in->len = 0;
	in->depth = 0;
	in->quote = 0;
	in->escaped = false;
}

void qmp_input_free(struct qmp_input *in)
{
	free(in->text);
	*in = (struct qmp_input){0};
}

static enum qmp_put bad(struct qmp_input *in, const char *why)
{
	qmp_input_clear(in);
	in->error = why;
	return QMP_BAD;
}

/* Refused before its end: the rest must not be taken for something else. */
static enum qmp_put refuse(struct qmp_input *in, const char *why)
{
	in->skip = true;
	return bad(in, why);
}

static bool put(struct qmp_input *in, char c)
{
	if (in->len + 1 >= in->cap) {
		size_t cap = in->cap ? in->cap * 2 : 256;
		char *text = cap <= QMP_TEXT_MAX ? realloc(in->text, cap) : NULL;
		if (!text)
			return false;
		in->text = text;
		in->cap = cap;
	}
	in->text[in->len++] = c;
	in->text[in->len] = 0;
	return true;
}

static enum qmp_put outside(struct qmp_input *in, char c)
{
	if (c == '{' || c == '[') {
		in->word = false;
		in->depth = 1;
		return put(in, c) ? QMP_MORE : refuse(in, "too large");
	}
	if (strchr(" \t\r\n", c)) {
		in->word = false;
		return QMP_MORE;
	}
	if (in->word)
		return QMP_MORE;
	in->word = true;
	return bad(in, "expecting value");
}

static bool in_string(struct qmp_input *in, char c)
{
	if (in->escaped) {
		in->escaped = false;
		/* JSON has no \' */
		if (c == '\'')
			in->len--;
		return put(in, c);
	}
	if (c == '\\') {
		in->escaped = true;
	} else if (c == in->quote) {
		in->quote = 0;
		c = '"';
	} else if (c == '"') {
		return put(in, '\\') && put(in, c);
	}
	return put(in, c);
}

enum qmp_put qmp_input_put(struct qmp_input *in, uint8_t byte)
{
	char c = (char)byte;
	if (in->skip) {
		in->skip = c != '\n' && byte != 0xff;
		return QMP_MORE;
	}
	if (byte == 0xff)
		return in->depth ? bad(in, "cut off by a reset of the parser") :
				   (qmp_input_clear(in), QMP_MORE);
	if (!in->depth)
		return outside(in, c);
	if (!c)
		return bad(in, "a NUL character");
	if (in->quote) {
		/* a line end inside a string is an error, and a good place to begin anew */
		if (c == '\n')
			return bad(in, "a string has no end");
		return in_string(in, c) ? QMP_MORE : refuse(in, "too large");
	}
	if (c == '"' || c == '\'') {
		in->quote = c;
		c = '"';
	} else if (c == '{' || c == '[') {
		if (++in->depth > DEPTH_MAX)
			return refuse(in, "nested too deep");
	} else if (c == '}' || c == ']') {
		in->depth--;
	}
	if (!put(in, c))
		return refuse(in, "too large");
	return in->depth ? QMP_MORE : QMP_TEXT;
}
