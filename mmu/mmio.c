/*
 * Device regions of the physical map. There are a dozen at most: scanning a short table beats
 * anything cleverer.
 */
#include "mmu/internal.h"

#include <assert.h>
#include <string.h>

static bool holds(const struct mmio_region *r, uint64_t addr)
{
	return r->enabled && addr - r->base < r->len;
}

const struct mmio_region *mmio_find(const struct physmap *pm, uint64_t addr)
{
	/* Where a guest moved one region over another the first in the table wins, always. */
	for (unsigned i = 0; i < pm->mmio_count; i++)
		if (holds(&pm->mmio[i], addr))
			return &pm->mmio[i];
	return NULL;
}

void physmap_add_mmio(struct physmap *pm, gpa_t base, uint64_t len, const struct mmio_ops *ops,
		      void *opaque)
{
	assert(pm->mmio_count < MMIO_MAX);
	for (unsigned i = 0; i < pm->mmio_count; i++) {
		const struct mmio_region *r = &pm->mmio[i];

		assert(!r->enabled || base.v + len <= r->base || r->base + r->len <= base.v);
		(void)r;
	}
	pm->mmio[pm->mmio_count++] = (struct mmio_region){base.v, len, ops, opaque, len != 0};
}

void physmap_move_mmio(struct physmap *pm, void *opaque, gpa_t new_base, bool enabled)
{
	for (unsigned i = 0; i < pm->mmio_count; i++) {
		struct mmio_region *r = &pm->mmio[i];

		if (r->opaque != opaque)
			continue;
		r->base = new_base.v;
		r->enabled = enabled && r->len;
		return;
	}
}

/* Largest naturally aligned power of two, at most 8, that fits. */
static unsigned natural_size(const struct mmio_region *r, uint64_t offset, unsigned len)
{
	unsigned size = 8;

	while (size > len || (offset & (size - 1)) || size > r->len - offset)
		size >>= 1;
	return size;
}

unsigned mmio_read(const struct mmio_region *r, uint64_t addr, void *data, unsigned len)
{
	uint64_t offset = addr - r->base;
	unsigned size = natural_size(r, offset, len);
	uint64_t value = r->ops->read ? r->ops->read(r->opaque, offset, size) : ~0ull;

	memcpy(data, &value, size); /* little-endian host */
	return size;
}

unsigned mmio_write(const struct mmio_region *r, uint64_t addr, const void *data, unsigned len)
{
	uint64_t offset = addr - r->base;
	unsigned size = natural_size(r, offset, len);
	uint64_t value = 0;

	memcpy(&value, data, size);
	if (r->ops->write)
		r->ops->write(r->opaque, offset, size, value);
	return size;
}
