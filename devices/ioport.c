/*
 * Port I/O dispatch: one byte per port names the region that answers.
 *
 * The table is written only while the machine is created, so looking a port up needs no lock; the
 * lock is taken for the call into the chip. Unassigned ports (Linux delays by writing port 80h)
 * cost a table look-up and nothing else.
 *
 * Built with general registers only, for the two lean functions at the end.
 */
#include "devices/machine.h"

#include <assert.h>

void machine_add_io(struct machine *m, uint16_t base, unsigned count, const struct io_ops *ops,
		    void *opaque)
{
	assert(m->io_count + 1 < IO_REGIONS_MAX && count > 0 && base + count <= IO_PORTS);
	unsigned index = ++m->io_count; /* region 0 stands for "unassigned" */
	m->io_regions[index] = (struct io_region){base, count, ops, opaque, NULL};
	for (unsigned port = base; port < base + count; port++)
		m->io_map[port] = (uint8_t)index;
}

void machine_add_lean_read(struct machine *m, uint16_t base, io_lean_read *fn)
{
	m->io_regions[m->io_map[base]].lean_read = fn;
}

static uint32_t all_ones(unsigned size)
{
	return size >= 4 ? UINT32_MAX : (1u << (8 * size)) - 1;
}

/* Does the region's chip take this access in one piece? */
static bool whole(const struct io_region *r, uint16_t port, unsigned size)
{
	unsigned max = r->ops->max_size ? r->ops->max_size : 1;

	return size <= max && port + size <= r->base + r->count;
}

static uint32_t read_locked(struct machine *m, uint16_t port, unsigned size)
{
	const struct io_region *r = &m->io_regions[m->io_map[port]];

	if (!m->io_map[port] || !r->ops->read)
		return all_ones(size);
	return r->ops->read(r->opaque, port, size) & all_ones(size);
}

static void write_locked(struct machine *m, uint16_t port, unsigned size, uint32_t value)
{
	const struct io_region *r = &m->io_regions[m->io_map[port]];

	if (m->io_map[port] && r->ops->write)
		r->ops->write(r->opaque, port, size, value & all_ones(size));
}

/* Nothing behind any byte of the access? A port number wraps at 64 K. */
static bool unassigned(const struct machine *m, uint16_t port, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (m->io_map[(uint16_t)(port + i)])
			return false;
	return true;
}

bool machine_port_assigned(const struct machine *m, uint16_t port, unsigned size)
{
	return !unassigned(m, port, size);
}

uint32_t machine_in(struct machine *m, uint16_t port, unsigned size)
{
	uint32_t value = 0;

	if (unassigned(m, port, size))
		return all_ones(size);
	machine_lock(m);
	if (m->io_map[port] && whole(&m->io_regions[m->io_map[port]], port, size)) {
		value = read_locked(m, port, size);
	} else {
		for (unsigned i = 0; i < size; i++)
			value |= read_locked(m, (uint16_t)(port + i), 1) << (8 * i);
	}
	machine_unlock(m);
	return value;
}

void machine_out(struct machine *m, uint16_t port, unsigned size, uint32_t value)
{
	if (unassigned(m, port, size))
		return;
	machine_lock(m);
	if (m->io_map[port] && whole(&m->io_regions[m->io_map[port]], port, size)) {
		write_locked(m, port, size, value);
	} else {
		for (unsigned i = 0; i < size; i++)
			write_locked(m, (uint16_t)(port + i), 1, value >> (8 * i));
	}
	machine_unlock(m);
}

bool machine_lean_in(struct machine *m, uint16_t port, unsigned size, uint32_t *value)
{
	const struct io_region *r = &m->io_regions[m->io_map[port]];

	if (unassigned(m, port, size)) {
		*value = all_ones(size);
		return true;
	}
	return size == 1 && r->lean_read && r->lean_read(r->opaque, port, value);
}

bool machine_lean_out(struct machine *m, uint16_t port, unsigned size, uint32_t value)
{
	return unassigned(m, port, size);
}
