/*
 * The gdb protocol's memory commands and break- and watchpoints. Addresses are linear ("guest-virtual"): what the
 * guest's page tables map now, whatever the privilege.
 */
#include "monitor/gdb_internal.h"

#include <string.h>

enum { MEMORY_MAX = GDB_PACKET_MAX / 2 };

/* "ADDR,LENGTH". */
static bool get_range(const char **p, uint32_t *at, uint32_t *len)
{
	uint64_t a, n;

	if (!gdb_get_hex(p, &a) || !gdb_get_char(p, ',') || !gdb_get_hex(p, &n))
		return false;
	*at = (uint32_t)a;
	*len = (uint32_t)n;
	return a <= UINT32_MAX && n <= UINT32_MAX;
}

bool gdb_read_memory(struct gdb *g, const char *p, size_t n)
{
	uint8_t data[MEMORY_MAX];
	uint32_t at, len;
	unsigned got;

	if (!get_range(&p, &at, &len) || *p)
		return gdb_error(g, GDB_EINVAL);
	if (len > sizeof(data))
		len = sizeof(data);
	got = mmu_peek(g->vm->mmu, gva(at), data, len);
	if (len && !got)
		return gdb_error(g, GDB_EFAULT);
	gdb_put_hex(&g->reply, data, got);
	return true;
}

static bool poke(struct gdb *g, uint32_t at, const void *data, uint32_t len)
{
	if (mmu_poke(g->vm->mmu, gva(at), data, len) != len)
		return gdb_error(g, GDB_EFAULT);
	return gdb_ok(g);
}

bool gdb_write_memory(struct gdb *g, const char *p, size_t n)
{
	uint8_t data[MEMORY_MAX];
	uint32_t at, len;

	if (!get_range(&p, &at, &len) || !gdb_get_char(&p, ':') || len > sizeof(data) ||
	    !gdb_get_bytes(&p, data, len) || *p)
		return gdb_error(g, GDB_EINVAL);
	return poke(g, at, data, len);
}

bool gdb_write_binary(struct gdb *g, const char *p, size_t n)
{
	const char *end = p + n;
	uint32_t at, len;

	if (!get_range(&p, &at, &len) || !gdb_get_char(&p, ':') || (size_t)(end - p) != len)
		return gdb_error(g, GDB_EINVAL);
	return poke(g, at, p, len);
}

/* ---- points ---- */

struct point {
	const void *owner;
	unsigned kind;
	uint32_t at, len;
};

/* "TYPE,ADDR,KIND"; conditions and commands for the target's side were not offered. */
static bool get_point(struct gdb *g, const char *p, struct point *out)
{
	static const unsigned kinds[] = {DEBUG_EXECUTE, DEBUG_EXECUTE, DEBUG_WRITE, DEBUG_READ, DEBUG_ACCESS};
	unsigned type = (unsigned)(*p - '0');

	if (type >= ARRAY_LEN(kinds))
		return false;
	p++;
	if (!gdb_get_char(&p, ',') || !get_range(&p, &out->at, &out->len) || *p)
		return false;
	out->owner = type ? &g->hardware : &g->software;
	out->kind = kinds[type];
	return out->kind == DEBUG_EXECUTE || out->len;
}

/* Types beyond those there are get the empty answer: not supported. */
static bool known_type(const char *p)
{
	return *p >= '0' && *p <= '4';
}

bool gdb_insert_point(struct gdb *g, const char *p, size_t n)
{
	struct point t;

	if (!known_type(p))
		return *p ? true : gdb_error(g, GDB_EINVAL);
	if (!get_point(g, p, &t))
		return gdb_error(g, GDB_EINVAL);
	return debug_add(g->vm, t.owner, t.kind, t.at, t.len) ? gdb_ok(g) : gdb_error(g, GDB_ENOSPC);
}

/* Removing what is not there is fine: packets may be repeated. */
bool gdb_remove_point(struct gdb *g, const char *p, size_t n)
{
	struct point t;

	if (!known_type(p))
		return *p ? true : gdb_error(g, GDB_EINVAL);
	if (!get_point(g, p, &t))
		return gdb_error(g, GDB_EINVAL);
	debug_remove(g->vm, t.owner, t.kind, t.at, t.len);
	return gdb_ok(g);
}
