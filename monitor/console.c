/*
 * Which character device each serial port, the debug monitors and QMP get.
 *
 *   -serial given        what it says
 *   -nodefaults          no port
 *   -display none        a port that leads nowhere (QEMU's would be in a window that is not there)
 *   otherwise            mon:stdio: this terminal, with the Ctrl-A keys
 *
 * Whatever is opened as mon: has a monitor behind Ctrl-A C; the one that is so by default only while -monitor does not say
 * where the monitor is to be.
 */
#include "monitor/monitors.h"
#include "monitor/vm_internal.h"

#include <stdio.h>
#include <string.h>

static void quit(void *vm)
{
	vm_request(vm, REQUEST_QUIT, 0);
}

static bool out_of_memory(const char *label, char *err, size_t errlen)
{
	snprintf(err, errlen, "out of memory for %s", label);
	return false;
}

static bool remember(struct vm *vm, struct chardev *dev, const char *spec, const char *label)
{
	struct opened *o = &vm->opened_as[vm->opened_count];
	snprintf(o->label, sizeof(o->label), "%s", label);
	o->spec = spec;
	vm->opened[vm->opened_count++] = dev;
	return true;
}

/* Open one device; *slot stays null for "none". */
static bool open_device(struct vm *vm, const char *spec, const char *label, struct chardev **slot,
			char *err, size_t errlen)
{
	if (!strcmp(spec, "none"))
		return true;
	struct chardev *dev = chardev_open_labelled(spec, label, err, errlen);
	if (dev && !strncmp(spec, "mon:", 4)) {
		struct chardev *mux = chardev_mux_new(dev, quit, vm);
		if (!mux) {
			chardev_close(dev);
			return out_of_memory(label, err, errlen);
		}
		dev = mux;
	}
	*slot = dev;
	return dev && remember(vm, dev, spec, label);
}

/* The monitor behind Ctrl-A C. */
static bool open_hidden_monitor(struct vm *vm, struct chardev *mux, const char *spec, char *err,
				size_t errlen)
{
	struct chardev *port = chardev_mux_port(mux);
	if (!port)
		return out_of_memory("the monitor", err, errlen);
	char label[24];
	snprintf(label, sizeof(label), "compat_monitor%u", vm->opened_count);
	remember(vm, port, spec, label);
	return monitors_add(vm, MONITOR_HMP_MUX, port) || out_of_memory("the monitor", err, errlen);
}

static bool open_serial(struct vm *vm, char *err, size_t errlen)
{
	struct options *o = &vm->options;
	bool by_default = !o->serial_count;
	if (by_default && !o->nodefaults)
		o->serial[o->serial_count++] =
			o->display_none && !o->nographic ? "null" : "mon:stdio";
	for (unsigned i = 0; i < o->serial_count; i++) {
		char label[24];
		snprintf(label, sizeof(label), "serial%u", i);
		if (!open_device(vm, o->serial[i], label, &vm->serial[i], err, errlen))
			return false;
		if (!strncmp(o->serial[i], "mon:", 4) && !(by_default && o->monitor_count) &&
		    !open_hidden_monitor(vm, vm->serial[i], o->serial[i], err, errlen))
			return false;
	}
	return true;
}

static bool open_monitors(struct vm *vm, const char *const *specs, unsigned n, bool qmp, char *err,
			  size_t errlen)
{
	for (unsigned i = 0; i < n; i++) {
		char label[24];
		struct chardev *dev = NULL;
		enum monitor_kind kind = qmp			       ? MONITOR_QMP
					 : strstr(specs[i], "stdio") ? MONITOR_HMP_TERMINAL
								     : MONITOR_HMP;
		snprintf(label, sizeof(label), "%s%u", qmp ? "qmp" : "monitor", i);
		if (!open_device(vm, specs[i], label, &dev, err, errlen))
			return false;
		if (dev && !monitors_add(vm, kind, dev))
			return out_of_memory(label, err, errlen);
	}
	return true;
}

bool console_open(struct vm *vm, char *err, size_t errlen)
{
	struct options *o = &vm->options;
	if (!open_serial(vm, err, errlen))
		return false;
	if (o->debugcon && !open_device(vm, o->debugcon, "debugcon", &vm->debugcon, err, errlen))
		return false;
	return open_monitors(vm, o->monitor, o->monitor_count, false, err, errlen) &&
	       open_monitors(vm, o->qmp, o->qmp_count, true, err, errlen);
}

void console_close(struct vm *vm)
{
	while (vm->opened_count)
		chardev_close(vm->opened[--vm->opened_count]);
}
