/* Execution counts; see counts.h. */
#include "translator/counts.h"
#include "translator/tu.h"

#include <sys/mman.h>

/* Memory comes page by page as counters are used. */
static size_t table_bytes(const struct tc *tc)
{
	return ((size_t)tc->ccf_max * sizeof(uint64_t) + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
}

bool counts_switch(struct tc *tc, bool on)
{
	void *p;

	if (on == counts_on(tc))
		return true;
	if (!on) {
		munmap(tc->x.counts, table_bytes(tc));
		tc->x.counts = NULL;
		return true;
	}
	p = mmap(NULL, table_bytes(tc), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	tc->x.counts = p;
	return true;
}

void counts_emit(struct tu *u)
{
	const struct xmem counter = {H_R8, H_NONE, 1, false, (int32_t)(u->id * sizeof(uint64_t))};
	size_t start = u->e.len;

	u->counting = 0;
	if (!counts_on(u->tc))
		return;
	emit_load64(&u->e, H_R8, tcx_mem(TCX_COUNTS));
	emit_load64(&u->e, H_R9, counter);
	emit_lea64(&u->e, H_R9, (struct xmem){H_R9, H_NONE, 1, false, 1});
	emit_rm(&u->e, 0x89 | X_W, H_R9, counter);
	u->counting = (uint8_t)(u->e.len - start);
}
