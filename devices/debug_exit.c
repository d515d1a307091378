/*
 * isa-debug-exit: writing v ends the VM with exit status 2v + 1, so that a guest's
 * test can report success and failure and neither looks like a clean power-off.
 */
#include "devices/chips.h"

static uint32_t debug_exit_read(void *opaque, uint16_t port, unsigned size)
{
	return 0;
}

static void debug_exit_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	/*
	 * Unsigned: any value a guest writes must shift; the program above reduces it to an exit
	 * status.
	 */
	machine_request(opaque, MACHINE_EXIT, (int)(value << 1 | 1));
}

static const struct io_ops debug_exit_io = {
	.read = debug_exit_read, .write = debug_exit_write, .max_size = 4};

bool debug_exit_new(struct machine *m, uint16_t base, uint16_t size)
{
	/* The user chose both numbers: the range ends where the ports do. */
	if (size > IO_PORTS - base)
		size = IO_PORTS - base;
	machine_add_io(m, base, size, &debug_exit_io, m);
	return true;
}
