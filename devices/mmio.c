/*
 * MMIO regions of chips: the physical map calls these from the vCPU thread without
 * the machine lock; they take it and pass the access on.
 */
#include "devices/machine.h"

#include <stdlib.h>

struct mmio_region {
	struct machine *m;
	const struct mmio_ops *ops;
	void *opaque;
	struct mmio_region *next;
};

static uint64_t locked_read(void *opaque, uint64_t offset, unsigned size)
{
	struct mmio_region *r = opaque;

	machine_lock(r->m);
	uint64_t value = r->ops->read(r->opaque, offset, size);
	machine_unlock(r->m);
	return value;
}

static void locked_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct mmio_region *r = opaque;

	machine_lock(r->m);
	r->ops->write(r->opaque, offset, size, value);
	machine_unlock(r->m);
}

static const struct mmio_ops locked_ops = {locked_read, locked_write};

struct mmio_region *machine_add_mmio(struct machine *m, gpa_t base, uint64_t len,
				     const struct mmio_ops *ops, void *opaque)
{
	struct mmio_region *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	*r = (struct mmio_region){m, ops, opaque, m->mmio};
	m->mmio = r;
	physmap_add_mmio(m->physmap, base, len, &locked_ops, r);
	return r;
}

void machine_move_mmio(struct mmio_region *r, gpa_t base, bool enabled)
{
	physmap_move_mmio(r->m->physmap, r, base, enabled);
}

/* The regions leave the physical map with the machine: it may live on. */
void mmio_fini(struct machine *m)
{
	while (m->mmio) {
		struct mmio_region *r = m->mmio;

		physmap_move_mmio(m->physmap, r, gpa(0), false);
		m->mmio = r->next;
		free(r);
	}
}
