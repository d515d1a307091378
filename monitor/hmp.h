/*
 * The human monitor: commands as lines of text, with QEMU's names and formats where QEMU has the command.
 *
 * hmp_execute is the whole of it for those who have a line (QMP's human-monitor-command, gdb's `monitor`);
 * hmp_session.c adds the dialogue: prompt, line editing, history, completion.
 */
#ifndef RINGFENCE_MONITOR_HMP_H
#define RINGFENCE_MONITOR_HMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct vm;

#define HMP_PROMPT "(ringfence) "

/*
 * Run one line. What the command says, errors included, is handed to `print` at once,
 * on the calling thread: the vCPU's, in posted work (run_state.h). `step` and `cont` only set the guest going.
 */
void hmp_execute(struct vm *, const char *line, void (*print)(void *, const char *), void *ctx);

/*
 * The same for a session, which can go on when the vCPU's part is done: *live is what it shall print now (hmp_live.h), or null; what
 * is left in *rest it does by hmp_finish, on any thread, while the guest runs: writing files. hmp_finish must be called.
 */
struct hmp_rest {
	void (*fn)(void *ctx, FILE *out); /* null: nothing is left; `out` may be null */
	void *ctx;
};
struct tc_trace;
void hmp_execute_session(struct vm *, const char *line, void (*print)(void *, const char *), void *ctx,
			 struct tc_trace **live, struct hmp_rest *);
void hmp_finish(struct hmp_rest *, void (*print)(void *, const char *), void *ctx);

/* One line for people: where and why the guest stands still. vCPU thread. */
void hmp_print_stop(struct vm *, void (*print)(void *, const char *), void *ctx);

/*
 * The n-th way to complete the word that ends `line` (its last, perhaps empty, word): the whole word; false after
 * the last. Any thread.
 */
bool hmp_completion(const char *line, unsigned n, char *out, size_t outlen);

#endif
