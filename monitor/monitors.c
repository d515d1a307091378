/* The servers together: life, and the news that go to all of them. See monitors.h. */
#include "monitor/monitors.h"
#include "monitor/channel.h"

#include <stdlib.h>

enum { MONITORS_MAX = 16 };

struct server {
	struct channel *channel;
	struct hmp_session *hmp; /* or */
	struct qmp_session *qmp;
};

struct monitors {
	struct server server[MONITORS_MAX];
	unsigned count;
	bool listening;
	atomic_bool host_quit, host_reset;
	bool shutdown_told; /* vCPU thread, then the main thread */
};

static void tell_all(struct monitors *m, const char *event, const char *data)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->server[i].qmp)
			qmp_session_event(m->server[i].qmp, event, data);
}

static void tell_shutdown(struct monitors *m, bool guest, const char *reason)
{
	char data[80];
	if (m->shutdown_told)
		return;
	m->shutdown_told = true;
	snprintf(data, sizeof(data), "{\"guest\": %s, \"reason\": \"%s\"}", guest ? "true" : "false", reason);
	tell_all(m, "SHUTDOWN", data);
}

/* Run control's news, on the vCPU thread. */
static void on_event(void *ctx, enum vm_event event)
{
	struct monitors *m = ctx;
	switch (event) {
	case VM_EVENT_STOP:
		tell_all(m, "STOP", NULL);
		for (unsigned i = 0; i < m->count; i++)
			if (m->server[i].hmp)
				hmp_session_stopped(m->server[i].hmp);
		break;
	case VM_EVENT_RESUME:
		tell_all(m, "RESUME", NULL);
		break;
	case VM_EVENT_RESET:
		m->shutdown_told = false;
		tell_all(m, "RESET",
			 atomic_exchange(&m->host_reset, false)
				 ? "{\"guest\": false, \"reason\": \"host-qmp-system-reset\"}"
				 : "{\"guest\": true, \"reason\": \"guest-reset\"}");
		break;
	case VM_EVENT_SHUTDOWN:
		tell_shutdown(m, true, "guest-shutdown");
		break;
	}
}

static bool make(struct vm *vm, enum monitor_kind kind, struct chardev *dev, struct server *s)
{
	if (kind == MONITOR_QMP) {
		s->qmp = qmp_session_new(vm);
		s->channel = s->qmp ? channel_new(vm, dev, qmp_session_main, s->qmp) : NULL;
	} else {
		s->hmp = hmp_session_new(vm, kind == MONITOR_HMP_MUX, kind != MONITOR_HMP);
		s->channel = s->hmp ? channel_new(vm, dev, hmp_session_main, s->hmp) : NULL;
	}
	return s->channel;
}

bool monitors_add(struct vm *vm, enum monitor_kind kind, struct chardev *dev)
{
	if (!vm->monitors)
		vm->monitors = calloc(1, sizeof(*vm->monitors));
	struct monitors *m = vm->monitors;
	if (!m || m->count == MONITORS_MAX)
		return false;
	struct server *s = &m->server[m->count];
	if (make(vm, kind, dev, s)) {
		m->count++;
		return true;
	}
	hmp_session_free(s->hmp);
	qmp_session_free(s->qmp);
	*s = (struct server){0};
	return false;
}

bool monitors_start(struct vm *vm)
{
	struct monitors *m = vm->monitors;
	if (!m)
		return true;
	vm_add_listener(vm, on_event, m);
	for (unsigned i = 0; i < m->count; i++)
		if (!channel_start(m->server[i].channel, m->server[i].qmp ? "qmp" : "monitor"))
			return false;
	return true;
}

void monitors_stop(struct vm *vm)
{
	struct monitors *m = vm->monitors;
	if (!m)
		return;
	tell_shutdown(m, false, atomic_load(&m->host_quit) ? "host-qmp-quit" : "host-signal");
	for (unsigned i = 0; i < m->count; i++)
		channel_stop(m->server[i].channel);
	for (unsigned i = 0; i < m->count; i++) {
		channel_free(m->server[i].channel);
		hmp_session_free(m->server[i].hmp);
		qmp_session_free(m->server[i].qmp);
	}
	free(m);
	vm->monitors = NULL;
}

void monitors_host_quit(struct vm *vm)
{
	if (vm->monitors)
		atomic_store(&vm->monitors->host_quit, true);
	vm_quit(vm, 0);
}

void monitors_host_reset(struct vm *vm)
{
	if (vm->monitors)
		atomic_store(&vm->monitors->host_reset, true);
	vm_reset(vm);
}

void monitors_power_button(struct vm *vm)
{
	machine_power_button(vm->machine);
	if (vm->monitors)
		tell_all(vm->monitors, "POWERDOWN", NULL);
}
