#include "bench.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------ the machine around the processor ------------------------------------ */

static uint32_t no_in(struct cpu *c, uint16_t port, unsigned size) { return 0xffffffff; }
static void no_out(struct cpu *c, uint16_t port, unsigned size, uint32_t value) {}
static void no_apic(struct cpu *c) {}
static void no_ferr(struct cpu *c, bool level) {}

static void paging_changed(struct cpu *c, bool flush, bool global)
{
	mmu_paging_changed(mmu_of(c), flush, global);
}

static void invlpg(struct cpu *c, gva_t a)
{
	mmu_invlpg(mmu_of(c), a);
}

static void read_phys(struct cpu *c, gpa_t at, void *out, unsigned len)
{
	physmap_read(((struct bench *)c->ops_ctx)->pm, at, out, len);
}

static const struct cpu_ops ops = {
	.read = mmu_op_read,
	.write = mmu_op_write,
	.probe = mmu_op_probe,
	.fetch = mmu_op_fetch,
	.in = no_in,
	.out = no_out,
	.paging_changed = paging_changed,
	.invlpg = invlpg,
	.apic_base_changed = no_apic,
	.ferr = no_ferr,
	.read_phys = read_phys,
};

static bool interrupt_pending(void *ctx)
{
	return ((struct bench *)ctx)->interrupt;
}

static int interrupt_ack(void *ctx)
{
	((struct bench *)ctx)->interrupt = false;
	return 0x20;
}

static bool no_nmi(void *ctx) { return false; }

static uint64_t mmio_read(void *ctx, uint64_t offset, unsigned size)
{
	struct bench *b = ctx;

	b->mmio_reads++;
	return 0x1122334455667788ull >> (offset & 3) * 8;
}

static void mmio_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
	struct bench *b = ctx;

	b->mmio_writes++;
	b->mmio_value = (uint32_t)value;
}

static const struct mmio_ops mmio = {mmio_read, mmio_write};

void bench_open(struct bench *b, const struct bench_options *o)
{
	struct tc_config config = {.size = o->tc_size, .verify = true, .lockstep = o->lockstep, .count = true,
				   .counts = o->counts};
	struct tc_ops tc_ops = {interrupt_pending, interrupt_ack, no_nmi, no_nmi, b, o->failed};
	struct mmu_config mmu_config = {.user_windows = 2};
	char err[200] = "";

	memset(b, 0, sizeof(*b));
	b->pm = physmap_create(o->ram ? o->ram : RAM_BYTES, err, sizeof(err));
	if (!b->pm)
		fail_msg("physmap_create: %s", err);
	physmap_add_mmio(b->pm, gpa(AT_MMIO), PAGE_SIZE, &mmio, b);
	b->cpu = aligned_alloc(64, (sizeof(*b->cpu) + 63) & ~(size_t)63);
	assert_non_null(b->cpu);
	memset(b->cpu, 0, sizeof(*b->cpu));
	b->cpu->ops = &ops;
	b->cpu->ops_ctx = b;
	b->cpu->model = cpu_model_nth(0);
	b->mmu = mmu_create(b->pm, b->cpu, &mmu_config, err, sizeof(err));
	if (!b->mmu)
		fail_msg("mmu_create: %s", err);
	b->tc = tc_create(&config, b->cpu, b->mmu, b->pm, &tc_ops, err, sizeof(err));
	if (!b->tc || !tc_thread_init(b->tc, err, sizeof(err)))
		fail_msg("tc_create: %s", err);
	bench_reset(b, false);
}

void bench_close(struct bench *b)
{
	tc_destroy(b->tc);
	mmu_destroy(b->mmu);
	physmap_destroy(b->pm);
	free(b->cpu);
}

/* ------------------------------------ guest state ------------------------------------ */

void bench_put(struct bench *b, uint32_t at, const void *data, unsigned len)
{
	physmap_write(b->pm, gpa(at), data, len);
}

void bench_put32(struct bench *b, uint32_t at, uint32_t value)
{
	bench_put(b, at, &value, 4);
}

uint32_t bench_get32(struct bench *b, uint32_t at)
{
	uint32_t v;

	physmap_read(b->pm, gpa(at), &v, 4);
	return v;
}

static void put_descriptor(struct bench *b, unsigned index, uint32_t base, uint32_t limit, uint32_t attr)
{
	uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 |
		     (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)(attr >> 8 & 0xf) << 52 |
		     (uint64_t)(base >> 24) << 56;

	bench_put(b, AT_GDT + index * 8, &d, 8);
}

/* GDT: 1 code0, 2 data0, 3 code3, 4 data3, 5 FS, 6 TSS */
static void put_tables(struct bench *b)
{
	put_descriptor(b, 1, 0, 0xfffff, 0xc9b);
	put_descriptor(b, 2, 0, 0xfffff, 0xc93);
	put_descriptor(b, 3, 0, 0xfffff, 0xcfb);
	put_descriptor(b, 4, 0, 0xfffff, 0xcf3);
	put_descriptor(b, 5, FS_BASE, 0xfffff, 0xcf3);
	put_descriptor(b, 6, AT_TSS, 0x67, 0x08b);
	bench_put32(b, AT_TSS + 4, AT_STACK0);
	bench_put32(b, AT_TSS + 8, 2 << 3);
	for (unsigned v = 0; v < 0x30; v++) {
		uint32_t at = AT_HANDLERS + v * 16;
		uint32_t gate[2] = {(1 << 3) << 16 | (at & 0xffff), (at & 0xffff0000) | 0xee00};

		bench_put(b, AT_IDT + v * 8, gate, 8);
		bench_put32(b, at, 0x90fdebf4); /* hlt; jmp back */
	}
}

static struct cpu_segment flat_segment(unsigned sel, uint32_t base, unsigned attr)
{
	return (struct cpu_segment){.base = base, .limit = 0xffffffff, .sel = (uint16_t)sel, .attr = (uint16_t)attr};
}

static void put_segments(struct cpu *c, bool user)
{
	struct cpu_segment data = user ? flat_segment(4 << 3 | 3, 0, 0xcf3) : flat_segment(2 << 3, 0, 0xc93);

	c->seg[S_CS] = user ? flat_segment(3 << 3 | 3, 0, 0xcfb) : flat_segment(1 << 3, 0, 0xc9b);
	c->seg[S_DS] = c->seg[S_ES] = c->seg[S_SS] = c->seg[S_GS] = data;
	c->seg[S_FS] = flat_segment(5 << 3 | 3, FS_BASE, 0xcf3);
	c->seg[S_TR] = (struct cpu_segment){.base = AT_TSS, .limit = 0x67, .sel = 6 << 3, .attr = 0x8b};
	c->seg[S_LDTR] = (struct cpu_segment){.attr = SEG_NULL};
}

void bench_reset(struct bench *b, bool user)
{
	struct cpu *c = b->cpu;

	cpu_reset(c);
	c->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_MP;
	c->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	put_segments(c, user);
	c->cpl = user ? 3 : 0;
	c->gdtr = (struct cpu_table){.base = AT_GDT, .limit = 0x7f};
	c->idtr = (struct cpu_table){.base = AT_IDT, .limit = 0x30 * 8 - 1};
	c->eflags = FL_FIXED1;
	c->fx.fcw = 0x37f;
	c->fx.ftw = 0;
	c->rip = AT_CODE;
	c->gpr[R_ESP] = AT_STACK - 0x100;
	c->tsc_offset = 0;
	put_tables(b);
	mmu_paging_changed(b->mmu, true, true);
}

void bench_run_tc(struct bench *b)
{
	enum tc_exit out;

	do
		out = tc_run(b->tc);
	while (out == TC_EXIT_KICK);
	if (out != TC_EXIT_HALT)
		fail_msg("the translator stopped with %d at EIP %#x", out, (unsigned)b->cpu->rip);
}

bool bench_run_interp(struct bench *b, unsigned max)
{
	while (!b->cpu->halted && !b->cpu->shutdown && max--)
		cpu_step(b->cpu);
	return b->cpu->halted;
}

int bench_vector(const struct bench *b)
{
	uint64_t off = b->cpu->rip - AT_HANDLERS;

	return off < 0x30 * 16 ? (int)(off / 16) : -1;
}

/* Code is written there over and over, but each is to be translated as the first one. */
void bench_switch(struct bench *b, unsigned space)
{
	b->cpu->cr3 = DIRECTORY + space * PAGE_SIZE;
	mmu_paging_changed(b->mmu, true, true);
}

void bench_paging(struct bench *b)
{
	for (unsigned i = 0; i < 1024; i++)
		bench_put32(b, IDENTITY + i * 4, i << PAGE_SHIFT | RWU);
	for (unsigned space = 0; space < 2; space++) {
		bench_put32(b, DIRECTORY + space * PAGE_SIZE, IDENTITY | RWU);
		bench_put32(b, DIRECTORY + space * PAGE_SIZE + (REGION >> 22) * 4, (TABLE + space * PAGE_SIZE) | RWU);
	}
	bench_reset(b, true);
	b->cpu->cr0 |= CR0_PG;
	bench_switch(b, 0);
}

const uint8_t *bench_translate(struct bench *b, const void *guest, unsigned len, unsigned *host_len)
{
	struct tc *tc = b->tc;
	struct code_page *p = smc_page(tc, AT_CODE >> PAGE_SHIFT);
	const struct ccf *c;
	ccf_id id;

	if (p)
		p->hits = 0;
	bench_put(b, AT_CODE, guest, len);
	tc->config.verify = false;
	tc->config.count = false;
	tc->mode = mode_of(b->cpu) | b->extra_mode;
	ibtc_select(tc, mmu_space(b->mmu, tc->mode & MODE_USER), tc->mode);
	id = translate(tc, AT_CODE, tc->mode, AT_CODE);
	if (!id)
		return NULL;
	c = ccf_of(tc, id);
	*host_len = c->host_len;
	return tc_rx(tc, c->host - c->entry);
}
