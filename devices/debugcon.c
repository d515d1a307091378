/*
 * The debug console of Bochs and QEMU: one port; what is written appears on the
 * host, reading gives E9 so that a guest can tell it is there. It cannot say "busy",
 * so its output is buffered without refusing any.
 */
#include "devices/chardev.h"
#include "devices/chips.h"

static uint32_t debugcon_read(void *opaque, uint16_t port, unsigned size)
{
	return 0xe9;
}

static void debugcon_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	uint8_t byte = value;

	chardev_write_forced(opaque, &byte, 1);
}

static const struct io_ops debugcon_io = {.read = debugcon_read, .write = debugcon_write};

bool debugcon_new(struct machine *m, uint16_t port, struct chardev *cd)
{
	machine_add_io(m, port, 1, &debugcon_io, cd);
	return true;
}
