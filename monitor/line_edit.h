/*
 * Line editing for a byte stream that is no terminal of ours: a socket, a mux slot, a pty. On top of libedit, which only
 * line_edit.c names.
 */
#ifndef RINGFENCE_MONITOR_LINE_EDIT_H
#define RINGFENCE_MONITOR_LINE_EDIT_H

#include <stdbool.h>
#include <stddef.h>

struct line_edit;

struct line_edit_ops {
	/* The next byte, waiting for it; LINE_EDIT_REDRAW: show prompt and line again; other negative values end the line. */
	int (*getc)(void *ctx);
	void (*write)(void *ctx, const char *text, size_t n);
	/* The n-th way to complete the last word of `line`: false after the last. */
	bool (*complete)(const char *line, unsigned n, char *out, size_t outlen);
	const char *prompt;
};
enum { LINE_EDIT_REDRAW = -1000 };

/* `terminal`: as in $TERM. Null when the host has no memory, or no pseudo-terminals. */
struct line_edit *line_edit_new(const struct line_edit_ops *, void *ctx, const char *terminal);
void line_edit_free(struct line_edit *);
/* The width of the peer's window; one too narrow or too wide to be true is passed over. */
void line_edit_resize(struct line_edit *, unsigned columns);
/*
 * Read one line (without its newline), with history. Null: getc ended it with the value in *why. Valid until the next
 * call.
 */
const char *line_edit_read(struct line_edit *, int *why);

#endif
