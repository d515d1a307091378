/* Inside the views of the translation cache (view_*.c); the public part is in translator.h. */
#ifndef RINGFENCE_TRANSLATOR_VIEW_H
#define RINGFENCE_TRANSLATOR_VIEW_H

#include "translator/history.h"
#include "translator/internal.h"

#include <stdio.h>

/* Each is a row of the table in view.c. Null, or what is wrong with the arguments (a constant string). */
typedef const char *view_fn(struct tc *, uint32_t lin, const char *args, FILE *);
view_fn view_list, view_show, view_why, view_graph, view_verify, view_trace, view_counts;

/* "supervisor 32-bit fpu": what a mode says. */
void view_print_mode(FILE *, uint32_t mode);
const char *view_state(const struct ccf *);
/* The CCF's source as it is in memory now; returns how many bytes are there (less than guest_len: gone). */
unsigned view_source(struct tc *, const struct ccf *, uint8_t *bytes, unsigned max);
bool view_covers(const struct ccf *, uint32_t lin);
/*
 * Why the expansion of the instruction at lin leaves for the interpreter; `why` is classification's. A constant
 * string.
 */
const char *view_callout_text(const struct tc *, const struct ccf *, uint32_t lin, unsigned why);
/* Does host code [off, off + len) of the TC leave for the interpreter? */
unsigned view_callouts(const struct tc *, uint32_t off, uint32_t len);
/* Guest disassembly in the CCF's mode. */
unsigned view_disasm(const struct ccf *, const uint8_t *, unsigned len, uint32_t lin, char *text, size_t textlen);

/* A line of a CCF's code, guest beside host; `guest` is empty where the host instruction belongs to the guest's above. */
struct view_line {
	const char *guest; /* "c0101025  push gs", or "(indirect entry)" */
	uint32_t off;      /* in the TC */
	const char *host;  /* may be empty: nothing to do */
	const char *why;
};
typedef void view_line_fn(void *ctx, const struct view_line *);
/* The guest's side is what is in memory now: has it changed since it was translated? */
bool view_changed(struct tc *, const struct ccf *);
void view_code(struct tc *, const struct ccf *, view_line_fn *, void *ctx);

/* What `tc show` prints of one. */
void view_show_ccf(struct tc *, ccf_id, FILE *);

/* view_explain.c: why a host instruction is there. */
struct view_context {
	struct tc *tc;
	const struct ccf *c;
	const char *guest;   /* text of the guest instruction, null outside of any */
	const char *callout; /* why it may not be copied */
	bool entry;          /* the indirect entry */
	bool lookup;         /* its memory is reached by look-up */
};
/* `text`: Intel syntax; `off`, `len`: where it is in the TC. Writes the reason. */
void view_explain(const struct view_context *, const char *text, uint32_t off, unsigned len, char *why,
		  size_t whylen);

#endif
