/*
 * The memory of the translation cache, mapped twice: once writable and once executable, never both through one mapping.
 * It is filled front to back in TC_SEGMENTS segments; when the end is reached
 * the oldest segment is evicted and filled again (first in, first out).
 *
 * CCFs start at multiples of CCF_ALIGN, so each such granule belongs to one CCF: `granule` answers "whose code is this?" in
 * constant time, also for signal handlers.
 */
#include "translator/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Anonymous shared memory, seen a second time by mremap's way of duplicating such mappings. It has no name of its own because perf
 * looks up the symbols of anonymous code only (symbols.c).
 */
static bool map_views(struct tc *tc)
{
	tc->rw = mmap(NULL, tc->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tc->rw == MAP_FAILED)
		return false;
	tc->rx = mremap(tc->rw, 0, tc->size, MREMAP_MAYMOVE);
	return tc->rx != MAP_FAILED && !mprotect(tc->rx, tc->size, PROT_READ | PROT_EXEC);
}

static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

bool cache_create(struct tc *tc, char *err, size_t errlen)
{
	tc->size = tc->config.size ? tc->config.size : (size_t)64 << 20;
	tc->seg_size = tc->size / TC_SEGMENTS & ~(size_t)(PAGE_SIZE - 1);
	tc->size = tc->seg_size * TC_SEGMENTS;
	tc->ccf_max = (uint32_t)(tc->size / (2 * CCF_ALIGN));
	tc->granule = reserve(tc->size / CCF_ALIGN * sizeof(ccf_id));
	tc->ccf = reserve(tc->ccf_max * sizeof(struct ccf));
	tc->link = reserve(tc->ccf_max * sizeof(struct ccf_link));
	if (!map_views(tc) || !tc->granule || !tc->ccf || !tc->link) {
		snprintf(err, errlen, "cannot map a translation cache of %zu MiB: %s", tc->size >> 20,
			 strerror(errno));
		return false;
	}
	tc->ccf_top = 1;
	return true;
}

static void unmap(void *p, size_t bytes)
{
	if (p && p != MAP_FAILED)
		munmap(p, bytes);
}

void cache_destroy(struct tc *tc)
{
	unmap(tc->rw, tc->size);
	unmap(tc->rx, tc->size);
	unmap(tc->granule, tc->size / CCF_ALIGN * sizeof(ccf_id));
	unmap(tc->ccf, tc->ccf_max * sizeof(struct ccf));
	unmap(tc->link, tc->ccf_max * sizeof(struct ccf_link));
}

/* What was never filled is not looked at either: that would make memory of it. */
static void evict_range(struct tc *tc, size_t from, size_t to)
{
	ccf_id last = 0;

	tc->spare.len = 0;
	if (to > tc->top)
		to = tc->top;
	for (size_t g = from / CCF_ALIGN; g < to / CCF_ALIGN; g++) {
		ccf_id id = tc->granule[g];

		tc->granule[g] = 0;
		if (!id || id == last)
			continue;
		ccf_release(tc, id);
		tc->stats.evictions++;
		last = id;
	}
}

static size_t next_room(struct tc *tc, size_t need)
{
	size_t at;

	if (tc->fill + need > (tc->segment + 1) * tc->seg_size) {
		tc->segment = (tc->segment + 1) % TC_SEGMENTS;
		tc->fill = tc->segment * tc->seg_size;
		evict_range(tc, tc->fill, tc->fill + tc->seg_size);
	}
	at = tc->fill;
	tc->fill += need;
	if (tc->top < tc->fill)
		tc->top = tc->fill;
	return at;
}

uint32_t cache_reserve(struct tc *tc, ccf_id id, size_t len)
{
	size_t need = (len + CCF_ALIGN - 1) & ~(size_t)(CCF_ALIGN - 1), at = tc->spare.off;

	if (need <= tc->spare.len)
		need = tc->spare.len; /* all of it, or it would get smaller each time */
	else
		at = next_room(tc, need);
	tc->spare.len = 0;
	for (size_t g = at / CCF_ALIGN; g < (at + need) / CCF_ALIGN; g++)
		tc->granule[g] = id;
	return (uint32_t)at;
}

void cache_write(struct tc *tc, uint32_t off, const void *code, size_t len)
{
	memcpy(tc->rw + off, code, len);
}

/*
 * Code that is rewritten all the time would fill the cache with its past, and have everything else evicted; and the room is warm.
 */
void cache_give_back(struct tc *tc, ccf_id id)
{
	const struct ccf *c = ccf_of(tc, id);
	uint32_t off = c->host - c->entry;
	size_t g = off / CCF_ALIGN;

	for (; g < tc->size / CCF_ALIGN && tc->granule[g] == id; g++)
		tc->granule[g] = 0;
	ccf_release(tc, id);
	tc->spare.off = off;
	tc->spare.len = (uint32_t)(g * CCF_ALIGN) - off;
}

ccf_id cache_owner(const struct tc *tc, uintptr_t host)
{
	uintptr_t off = host - (uintptr_t)tc->rx;

	return off < tc->size ? tc->granule[off / CCF_ALIGN] : 0;
}

void cache_flush(struct tc *tc)
{
	evict_range(tc, 0, tc->size);
	tc->fill = tc->top = 0;
	tc->segment = 0;
}
