/*
 * The reference processor's view of memory: reads go through an overlay that holds its writes, writes
 * go nowhere else. Page walks are real and set accessed and dirty bits, as the block itself is about to do.
 *
 * What cannot be done twice (ports, MMIO, paging control, model-specific registers of the machine) makes the reference
 * `opaque`: it stops there.
 */
#include "translator/lockstep.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------ overlay ------------------------------------ */

bool overlay_create(struct overlay *o)
{
	o->write = malloc(OVERLAY_WRITES * sizeof(*o->write));
	o->data = malloc(OVERLAY_DATA);
	return o->write && o->data;
}

void overlay_destroy(struct overlay *o)
{
	for (unsigned i = 0; i < o->allocated; i++)
		free(o->page[i]);
	free(o->write);
	free(o->data);
}

void overlay_reset(struct overlay *o)
{
	o->pages = 0;
	o->writes = 0;
	o->data_len = 0;
	o->full = false;
}

/* Blocks touch few pages, the latest one most often. */
static struct overlay_page *page_find(const struct overlay *o, uint64_t at)
{
	for (unsigned i = o->pages; i-- > 0;)
		if (o->page[i]->gpa == (at & ~(uint64_t)PAGE_MASK))
			return o->page[i];
	return NULL;
}

static struct overlay_page *page_make(struct overlay *o, const struct physmap *pm, uint64_t at)
{
	struct overlay_page *p = page_find(o, at);

	if (p)
		return p;
	if (o->pages == OVERLAY_PAGES)
		return NULL;
	if (o->pages == o->allocated) {
		o->page[o->pages] = malloc(sizeof(*p));
		if (!o->page[o->pages])
			return NULL;
		o->allocated++;
	}
	p = o->page[o->pages++];
	p->gpa = at & ~(uint64_t)PAGE_MASK;
	memcpy(p->old, physmap_host(pm, gpa(p->gpa), PAGE_SIZE), PAGE_SIZE);
	memcpy(p->now, p->old, PAGE_SIZE);
	memset(p->written, 0, sizeof(p->written));
	return p;
}

static void apply(struct overlay_page *p, uint64_t at, const uint8_t *data, unsigned len)
{
	unsigned off = at & PAGE_MASK;

	memcpy(p->now + off, data, len);
	for (unsigned i = off; i < off + len; i++)
		p->written[i / 64] |= 1ull << (i % 64);
}

static void overlay_write(struct overlay *o, const struct physmap *pm, uint64_t at, const void *data,
			  unsigned len, unsigned step)
{
	struct overlay_page *p = page_make(o, pm, at);

	if (!p || o->writes == OVERLAY_WRITES || o->data_len + len > OVERLAY_DATA) {
		o->full = true;
		return;
	}
	memcpy(o->data + o->data_len, data, len);
	o->write[o->writes++] = (struct overlay_write){at, o->data_len, (uint16_t)len, (uint16_t)step};
	o->data_len += len;
	apply(p, at, data, len);
}

void overlay_rewind(struct overlay *o, unsigned step)
{
	for (unsigned i = 0; i < o->pages; i++) {
		memcpy(o->page[i]->now, o->page[i]->old, PAGE_SIZE);
		memset(o->page[i]->written, 0, sizeof(o->page[i]->written));
	}
	for (unsigned i = 0; i < o->writes; i++) {
		const struct overlay_write *w = &o->write[i];

		if (w->step <= step)
			apply(page_find(o, w->gpa), w->gpa, o->data + w->data, w->len);
	}
}

enum { NEIGHBOURS = 8 }; /* bytes beside a write that must not have changed: catches wrong widths */

static bool near_write(const struct overlay_page *p, unsigned i)
{
	unsigned from = i < NEIGHBOURS ? 0 : i - NEIGHBOURS;
	unsigned to = i + NEIGHBOURS >= PAGE_SIZE ? PAGE_SIZE - 1 : i + NEIGHBOURS;

	for (; from <= to; from++)
		if (p->written[from / 64] >> (from % 64) & 1)
			return true;
	return false;
}

/* A page-table entry whose accessed or dirty bit a walk has set since. */
static bool walked(unsigned i, uint8_t ref, uint8_t real)
{
	return i % 4 == 0 && (ref & 1) && (real & ~0x60) == (ref & ~0x60) && (real & ref) == ref;
}

bool overlay_differs(const struct overlay *o, const struct physmap *pm, uint64_t *at)
{
	for (unsigned n = 0; n < o->pages; n++) {
		const struct overlay_page *p = o->page[n];
		const uint8_t *real = physmap_host(pm, gpa(p->gpa), PAGE_SIZE);

		if (!memcmp(real, p->now, PAGE_SIZE))
			continue;
		for (unsigned i = 0; i < PAGE_SIZE; i++) {
			if (real[i] == p->now[i] || !near_write(p, i) || walked(i, p->now[i], real[i]))
				continue;
			*at = p->gpa + i;
			return true;
		}
	}
	return false;
}

/* ------------------------------------ accesses ------------------------------------ */

struct pieces {
	gpa_t at[2];
	unsigned len[2];
};

/* A window is a TLB: what it still has from before a change of the tables, translated code sees, and so must the reference. */
static enum outcome resolve_page(struct cpu *c, gva_t a, unsigned acc, gpa_t *out)
{
	struct lockstep *l = c->ops_ctx;
	struct walk k;

	if (!(l->tc->mode & MODE_LOOKUP) &&
	    mmu_window_frame(l->tc->mmu, acc & ACC_USER, a, acc & (ACC_WRITE | ACC_RMW), out))
		return OUT_OK;
	if (mmu_walk(c, l->tc->pm, a, acc, &k) != OUT_OK)
		return OUT_FAULT;
	*out = k.gpa;
	return OUT_OK;
}

/* Each page of an access before anything is done (SDM: both pages are checked first). */
static enum outcome resolve(struct cpu *c, gva_t a, unsigned len, unsigned acc, struct pieces *p)
{
	uint32_t va = (uint32_t)a.v;
	unsigned room = PAGE_SIZE - (va & PAGE_MASK);

	p->len[0] = len < room ? len : room;
	p->len[1] = len - p->len[0];
	for (unsigned i = 0; i < 2 && p->len[i]; i++) {
		if (resolve_page(c, gva((uint32_t)(va + (i ? p->len[0] : 0))), acc, &p->at[i]) != OUT_OK)
			return OUT_FAULT;
	}
	return OUT_OK;
}

static void read_piece(struct lockstep *l, gpa_t at, uint8_t *out, unsigned len)
{
	enum page_kind kind = physmap_kind(l->tc->pm, at);
	const struct overlay_page *p = page_find(&l->mem, at.v);

	if (p) {
		memcpy(out, p->now + (at.v & PAGE_MASK), len);
	} else if (kind == PAGE_RAM || kind == PAGE_ROM) {
		memcpy(out, physmap_host(l->tc->pm, at, len), len);
	} else {
		memset(out, 0xff, len);
		l->opaque = true;
	}
}

static void write_piece(struct lockstep *l, gpa_t at, const uint8_t *in, unsigned len)
{
	switch (physmap_kind(l->tc->pm, at)) {
	case PAGE_RAM:
		overlay_write(&l->mem, l->tc->pm, at.v, in, len, l->step);
		break;
	case PAGE_ROM:
		break;
	case PAGE_MMIO:
	case PAGE_NONE:
		l->opaque = true;
		break;
	}
}

static enum outcome ref_read(struct cpu *c, gva_t a, void *out, unsigned len, unsigned acc)
{
	struct pieces p;

	if (!len)
		return OUT_OK;
	if (resolve(c, a, len, acc, &p) != OUT_OK)
		return OUT_FAULT;
	read_piece(c->ops_ctx, p.at[0], out, p.len[0]);
	if (p.len[1])
		read_piece(c->ops_ctx, p.at[1], (uint8_t *)out + p.len[0], p.len[1]);
	return OUT_OK;
}

static enum outcome ref_write(struct cpu *c, gva_t a, const void *in, unsigned len, unsigned acc)
{
	struct pieces p;

	if (!len)
		return OUT_OK;
	if (resolve(c, a, len, acc | ACC_WRITE, &p) != OUT_OK)
		return OUT_FAULT;
	write_piece(c->ops_ctx, p.at[0], in, p.len[0]);
	if (p.len[1])
		write_piece(c->ops_ctx, p.at[1], (const uint8_t *)in + p.len[0], p.len[1]);
	return OUT_OK;
}

static enum outcome ref_probe(struct cpu *c, gva_t a, unsigned len, unsigned acc)
{
	struct pieces p;

	return len ? resolve(c, a, len, acc, &p) : OUT_OK;
}

static enum outcome ref_fetch(struct cpu *c, gva_t a, uint8_t *out, unsigned max, unsigned *got)
{
	unsigned room = PAGE_SIZE - ((uint32_t)a.v & PAGE_MASK), first = max < room ? max : room;
	unsigned acc = ACC_EXEC | (c->cpl == 3 ? ACC_USER : 0);

	*got = 0;
	if (ref_read(c, a, out, first, acc) != OUT_OK)
		return OUT_FAULT;
	*got = first;
	if (first < max && ref_read(c, gva((uint32_t)(a.v + first)), out + first, max - first, acc) == OUT_OK)
		*got = max;
	return OUT_OK;
}

/* ------------------------------------ what is not done twice ------------------------------------ */

static void stop(struct cpu *c)
{
	((struct lockstep *)c->ops_ctx)->opaque = true;
}

static uint32_t ref_in(struct cpu *c, uint16_t port, unsigned size)
{
	stop(c);
	return 0;
}

static void ref_out(struct cpu *c, uint16_t port, unsigned size, uint32_t value)
{
	stop(c);
}

static void ref_paging_changed(struct cpu *c, bool flush, bool global)
{
	stop(c);
}

static void ref_invlpg(struct cpu *c, gva_t a)
{
	stop(c);
}

static void ref_apic_base_changed(struct cpu *c)
{
	stop(c);
}

static void ref_ferr(struct cpu *c, bool level)
{
	stop(c);
}

static bool ref_rdmsr(struct cpu *c, uint32_t index, uint64_t *value)
{
	stop(c);
	*value = 0;
	return true;
}

static bool ref_wrmsr(struct cpu *c, uint32_t index, uint64_t value)
{
	stop(c);
	return true;
}

static void ref_read_phys(struct cpu *c, gpa_t at, void *out, unsigned len)
{
	read_piece(c->ops_ctx, at, out, len);
}

const struct cpu_ops lockstep_ops = {
	.read = ref_read,
	.write = ref_write,
	.probe = ref_probe,
	.fetch = ref_fetch,
	.in = ref_in,
	.out = ref_out,
	.paging_changed = ref_paging_changed,
	.invlpg = ref_invlpg,
	.apic_base_changed = ref_apic_base_changed,
	.ferr = ref_ferr,
	.rdmsr = ref_rdmsr,
	.wrmsr = ref_wrmsr,
	.read_phys = ref_read_phys,
};
