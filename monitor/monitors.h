/* The debug monitor's servers of one VM: human monitors and QMP, each on its own character device. */
#ifndef RINGFENCE_MONITOR_MONITORS_H
#define RINGFENCE_MONITOR_MONITORS_H

#include "monitor/run_state.h"

#include <stdbool.h>
#include <stddef.h>

struct vm;
struct chardev;
struct channel;
struct monitors;

enum monitor_kind {
	MONITOR_HMP,
	MONITOR_HMP_MUX,      /* a mux slot: silent until the user comes */
	MONITOR_HMP_TERMINAL, /* on our own terminal */
	MONITOR_QMP,
};

/* False: no memory, or too many. The chardev stays the caller's. Before vm_start. */
bool monitors_add(struct vm *, enum monitor_kind, struct chardev *);
bool monitors_start(struct vm *);
/* After the vCPU thread and the I/O thread have ended, before the chardevs are closed. */
void monitors_stop(struct vm *);

/* What QMP calls host-qmp-quit and so on: who asked for the end or the reset that comes. Any thread. */
void monitors_host_quit(struct vm *);
void monitors_host_reset(struct vm *);
/* Press the power button, and say so to all. vCPU thread. */
void monitors_power_button(struct vm *);

/* ---- the kinds ---- */

struct hmp_session;
struct hmp_session *hmp_session_new(struct vm *, bool focus, bool terminal);
void hmp_session_main(struct channel *, void *session);
/* The guest has stopped. vCPU thread. */
void hmp_session_stopped(struct hmp_session *);
void hmp_session_free(struct hmp_session *);

struct qmp_session;
struct qmp_session *qmp_session_new(struct vm *);
void qmp_session_main(struct channel *, void *session);
/* Send an event; `data` is a JSON object as text, or null. Any thread. */
void qmp_session_event(struct qmp_session *, const char *name, const char *data);
void qmp_session_free(struct qmp_session *);

#endif
