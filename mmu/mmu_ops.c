/*
 * Memory as the interpreter and callouts see it: linear accesses of any length up to a page,
 * through the software TLB, the page walk, and the physical map.
 *
 * An access that crosses a page is checked on both pages before anything is read or written.
 */
#include "mmu/internal.h"

#include <string.h>

/* Where one page's part of an access goes: straight to memory, or by way of the physical map. */
struct target {
	uint8_t *host;
	gpa_t gpa;
};

/* An access in at most two pieces. */
struct access {
	struct target part[2];
	unsigned len[2];
};

static enum outcome miss(struct mmu *m, uint32_t va, unsigned acc, struct target *t)
{
	bool user = acc & ACC_USER, write = acc & (ACC_WRITE | ACC_RMW);
	struct walk k;

	m->stats.softtlb_misses++;
	m->stats.walks++;
	if (mmu_walk(m->cpu, m->pm, gva(va), acc, &k) != OUT_OK) {
		mmu_page_faulted(m, va);
		if ((acc & ACC_USER) && m->user && m->user->vmas > 1) /* its window is in use */
			mmu_expect(m, write, gva(va));
		return OUT_FAULT;
	}
	t->gpa = k.gpa;
	t->host = NULL;
	if (softtlb_may_hold(m, k.gpa, write)) {
		t->host = physmap_host(m->pm, k.gpa, 1);
		softtlb_fill(m, va, (struct softtlb_page){t->host - (va & PAGE_MASK), user, write,
							  k.page > PAGE_SIZE && m->mode.on, k.global});
	}
	return OUT_OK;
}

static enum outcome translate(struct mmu *m, uint32_t va, unsigned acc, struct target *t)
{
	t->host = softtlb_host(mmu_softtlb(m, acc & ACC_USER), acc & (ACC_WRITE | ACC_RMW), va);
	return t->host ? OUT_OK : miss(m, va, acc, t);
}

/* Linear addresses wrap at 4 GiB. */
static enum outcome plan(struct mmu *m, gva_t a, unsigned len, unsigned acc, struct access *p)
{
	uint32_t va = (uint32_t)a.v;
	unsigned room = PAGE_SIZE - (va & PAGE_MASK);

	p->len[0] = len < room ? len : room;
	p->len[1] = len - p->len[0];
	if (translate(m, va, acc, &p->part[0]) != OUT_OK)
		return OUT_FAULT;
	if (p->len[1] == 0)
		return OUT_OK;
	return translate(m, va + p->len[0], acc, &p->part[1]);
}

/* The usual sizes in one access each: another processor, or a device, may be looking. */
static inline void copy(void *to, const void *from, unsigned len)
{
	switch (len) {
	case 1:
		memcpy(to, from, 1);
		break;
	case 2:
		memcpy(to, from, 2);
		break;
	case 4:
		memcpy(to, from, 4);
		break;
	case 8:
		memcpy(to, from, 8);
		break;
	default:
		memcpy(to, from, len);
	}
}

enum outcome mmu_op_read(struct cpu *c, gva_t a, void *data, unsigned len, unsigned acc)
{
	struct mmu *m = mmu_of(c);
	uint8_t *out = data;
	struct access p;

	if (len == 0)
		return OUT_OK;
	if (plan(m, a, len, acc & ~(unsigned)ACC_WRITE, &p) != OUT_OK)
		return OUT_FAULT;
	for (unsigned i = 0; i < 2 && p.len[i]; out += p.len[i], i++) {
		if (p.part[i].host)
			copy(out, p.part[i].host, p.len[i]);
		else
			physmap_read(m->pm, p.part[i].gpa, out, p.len[i]);
	}
	return OUT_OK;
}

enum outcome mmu_op_write(struct cpu *c, gva_t a, const void *data, unsigned len, unsigned acc)
{
	struct mmu *m = mmu_of(c);
	const uint8_t *in = data;
	struct access p;

	if (len == 0)
		return OUT_OK;
	if (plan(m, a, len, acc | ACC_WRITE, &p) != OUT_OK)
		return OUT_FAULT;
	for (unsigned i = 0; i < 2 && p.len[i]; in += p.len[i], i++) {
		if (p.part[i].host)
			copy(p.part[i].host, in, p.len[i]);
		else
			physmap_write(m->pm, p.part[i].gpa, in, p.len[i]);
	}
	return OUT_OK;
}

enum outcome mmu_op_probe(struct cpu *c, gva_t a, unsigned len, unsigned acc)
{
	struct access p;

	return len ? plan(mmu_of(c), a, len, acc, &p) : OUT_OK;
}

/* ---- instruction fetch: a small cache of its own, because NX concerns nothing else ---- */

static enum outcome fetch_part(struct mmu *m, uint32_t va, uint8_t *out, unsigned len)
{
	bool user = m->cpu->cpl == 3;
	uint32_t tag = va & ~(uint32_t)PAGE_MASK;
	struct fetch_entry *e = &m->fetch[user][(va >> PAGE_SHIFT) % FETCH_ENTRIES];
	struct walk k;

	if (e->tag == tag) {
		memcpy(out, e->host + (va & PAGE_MASK), len);
		return OUT_OK;
	}
	m->stats.walks++;
	if (mmu_walk(m->cpu, m->pm, gva(va), ACC_EXEC | (user ? ACC_USER : 0), &k) != OUT_OK) {
		mmu_page_faulted(m, va);
		return OUT_FAULT;
	}
	if (physmap_range(m->pm, k.gpa.v)) {
		m->fetched = true;
		e->tag = tag;
		e->host = (uint8_t *)physmap_host(m->pm, k.gpa, 1) - (va & PAGE_MASK);
	}
	physmap_read(m->pm, k.gpa, out, len);
	return OUT_OK;
}

enum outcome mmu_op_fetch(struct cpu *c, gva_t a, uint8_t *out, unsigned max, unsigned *got)
{
	struct mmu *m = mmu_of(c);
	uint32_t va = (uint32_t)a.v;
	unsigned room = PAGE_SIZE - (va & PAGE_MASK);
	unsigned first = max < room ? max : room;

	*got = 0;
	if (fetch_part(m, va, out, first) != OUT_OK)
		return OUT_FAULT;
	*got = first;
	if (first < max && fetch_part(m, va + first, out + first, max - first) == OUT_OK)
		*got = max;
	return OUT_OK;
}

/* ---- debuggers ---- */

static unsigned debug_access(struct mmu *m, gva_t a, void *to, const void *from, unsigned len)
{
	unsigned done = 0;

	while (done < len) {
		uint32_t va = (uint32_t)a.v + done;
		unsigned room = PAGE_SIZE - (va & PAGE_MASK);
		unsigned n = len - done < room ? len - done : room;
		struct walk k;
		void *host;

		if (!mmu_walk_quiet(m->cpu, m->pm, gva(va), &k))
			break;
		host = physmap_host(m->pm, k.gpa, n);
		if (!host)
			break;
		if (to)
			memcpy((uint8_t *)to + done, host, n);
		else
			physmap_write(m->pm, k.gpa, (const uint8_t *)from + done, n);
		done += n;
	}
	return done;
}

unsigned mmu_peek(struct mmu *m, gva_t a, void *data, unsigned len)
{
	return debug_access(m, a, data, NULL, len);
}

unsigned mmu_poke(struct mmu *m, gva_t a, const void *data, unsigned len)
{
	return debug_access(m, a, NULL, data, len);
}
