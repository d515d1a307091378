/*
 * Which character device each serial port gets.
 *
 *   -serial given        what it says
 *   -nodefaults          no port
 *   -display none        a port that leads nowhere (QEMU's would be in a window that is not there)
 *   otherwise            mon:stdio: this terminal, with the Ctrl-A keys
 */
#include "monitor/vm_internal.h"

#include <stdio.h>
#include <string.h>

static void quit(void *vm)
{
	vm_request(vm, REQUEST_QUIT, 0);
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
			snprintf(err, errlen, "out of memory for %s", label);
		}
		dev = mux;
	}
	if (!dev)
		return false;
	vm->opened[vm->opened_count++] = dev;
	*slot = dev;
	return true;
}

bool console_open(struct vm *vm, char *err, size_t errlen)
{
	struct options *o = &vm->options;
	if (!o->serial_count && !o->nodefaults)
		o->serial[o->serial_count++] =
			o->display_none && !o->nographic ? "null" : "mon:stdio";
	for (unsigned i = 0; i < o->serial_count; i++) {
		char label[24];
		snprintf(label, sizeof(label), "serial%u", i);
		if (!open_device(vm, o->serial[i], label, &vm->serial[i], err, errlen))
			return false;
	}
	return !o->debugcon || open_device(vm, o->debugcon, "debugcon", &vm->debugcon, err, errlen);
}

void console_close(struct vm *vm)
{
	while (vm->opened_count)
		chardev_close(vm->opened[--vm->opened_count]);
}
