/*
 * System instructions that kernels live by, in their common case: the path into the kernel and out of it. Everything else, and
 * every fault, is the interpreter's: each function first reads and checks all it needs and changes nothing, then
 * commits and cannot fail. Descriptor tables, the TSS and the kernel's stack are reached through the software TLB.
 *
 * Protected mode, 32-bit flat code and stack, no virtual-8086 mode: the translator asks for no other (xl_system.c).
 */
#include "translator/lean.h"

/* ---------------------------------- guest memory ---------------------------------- */

void *lean_at_miss(const struct tc *tc, bool user, uint32_t lin, bool write)
{
	if (!mmu_lean_refill(tc->mmu, user, write, gva(lin)))
		return NULL;
	return softtlb_host(mmu_softtlb(tc->mmu, user), write, lin);
}

/* The same for supervisor accesses. */
static const void *at(const struct tc *tc, uint32_t lin, unsigned len)
{
	return lean_at(tc, false, lin, len, false);
}

bool lean_read32(const struct tc *tc, uint32_t lin, uint32_t *value)
{
	const void *p = at(tc, lin, 4);

	if (p)
		memcpy(value, p, 4);
	return p;
}

/* ---------------------------------- segment loads ---------------------------------- */

enum {
	DATA_BITS = SEG_P | SEG_S | SEG_CODE | SEG_DOWN | SEG_WRITE | SEG_ACCESSED,
	WRITABLE_DATA = SEG_P | SEG_S | SEG_WRITE | SEG_ACCESSED,
};

static struct cpu_segment segment_of(uint64_t d, uint16_t sel)
{
	uint32_t limit = (d & 0xffff) | (d >> 32 & 0xf0000);
	struct cpu_segment s;

	s.sel = sel;
	s.attr = lean_attr(d);
	s.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
	s.limit = s.attr & SEG_G ? limit << 12 | 0xfff : limit;
	return s;
}

static unsigned dpl_of(uint16_t attr)
{
	return attr >> SEG_DPL_SHIFT & 3;
}

static bool null_selector(uint16_t sel)
{
	return !(sel & ~3u);
}

/* DS, ES, FS, GS with a null selector or writable data from the GDT. */
static bool find_segment(const struct tc *tc, uint16_t sel, struct cpu_segment *s, uint64_t *d)
{
	unsigned rpl = sel & 3, need = rpl > tc->cpu->cpl ? rpl : tc->cpu->cpl;

	if (null_selector(sel)) {
		*s = (struct cpu_segment){.sel = sel, .attr = SEG_NULL};
		return true;
	}
	if (!lean_descriptor(tc, sel, d))
		return false;
	*s = segment_of(*d, sel);
	return (s->attr & DATA_BITS) == WRITABLE_DATA && dpl_of(s->attr) >= need;
}

static void note_loaded(struct tc *tc, unsigned seg, uint16_t sel, uint64_t d)
{
	struct tcx_loaded *l = &tc->x.loaded[seg];

	l->not_sel = ~(uint32_t)sel;
	l->at = (uint32_t)tc->cpu->gdtr.base + (sel & ~7u);
	l->minus_lo = -(uint32_t)d;
	l->minus_hi = -(uint32_t)(d >> 32);
}

/* The present mode with `seg` holding by now what find_segment found. */
static uint32_t mode_with(const struct tc *tc, unsigned seg, const struct cpu_segment *s)
{
	static const uint32_t bit[] = {
		[S_ES] = MODE_FLAT_ES, [S_DS] = MODE_FLAT_DS, [S_FS] = MODE_FULL_FS, [S_GS] = 0};
	bool fits = s->limit == 0xffffffff && (s->base == 0 || seg == S_FS);

	return (tc->mode & ~(MODE_GEAR | MODE_FULL_GS | bit[seg])) | mode_gs(tc->cpu) | (fits ? bit[seg] : 0);
}

/* The whole instruction; ESP moves by `pop`. */
static uint64_t load_segment(struct tc *tc, unsigned seg, uint16_t sel, unsigned pop)
{
	struct cpu *c = tc->cpu;
	struct cpu_segment s;
	uint32_t mode;
	uint64_t d;

	if (!find_segment(tc, sel, &s, &d))
		return LEAN_NO;
	if (null_selector(sel))
		tc->x.loaded[seg].not_sel = 0;
	else
		note_loaded(tc, seg, sel, d);
	c->seg[seg] = s;
	c->gpr[R_ESP] = (uint32_t)(c->gpr[R_ESP] + pop);
	mode = mode_with(tc, seg, &s);
	if (mode == (tc->mode & ~(uint32_t)MODE_GEAR))
		return lean_same(tc);
	lean_check_mode(tc, mode);
	c->rip = tc->x.arg;
	return lean_switch(tc, mode);
}

uint64_t lean_next(struct tc *tc)
{
	tc->cpu->rip = tc->x.arg;
	if (mode_of(tc->cpu) == (tc->mode & ~(uint32_t)MODE_GEAR) && !tc->interrupted)
		return tc->x.target;
	return lean_continue(tc);
}

static uint64_t mov_segment(struct tc *tc, unsigned op)
{
	uint16_t sel = (uint16_t)tc->cpu->gpr[LEAN_REG(op)];

	return load_segment(tc, LEAN_SEG(op), sel, 0);
}

static uint64_t load_segment_value(struct tc *tc, unsigned op)
{
	return load_segment(tc, LEAN_SEG(op), (uint16_t)tc->x.tmp, 0);
}

static uint64_t pop_segment(struct tc *tc, unsigned op)
{
	struct cpu *c = tc->cpu;
	uint32_t value;

	if (c->cpl == 3 || !lean_read32(tc, (uint32_t)c->gpr[R_ESP], &value))
		return LEAN_NO;
	return load_segment(tc, LEAN_SEG(op), (uint16_t)value, 4);
}

/* ---------------------------------- flags ---------------------------------- */

enum { IRET_FLAGS = FL_ARITH | FL_IF | FL_DF | FL_IOPL | FL_AC | FL_ID };

/*
 * TF, NT and VM want the interpreter. RF is dropped: it would be cleared by the next instruction, and means something
 * only to instruction breakpoints, with which nothing is translated.
 */
static bool plain_flags(uint32_t value)
{
	return !(value & (FL_TF | FL_NT | FL_VM));
}

static void set_flags(struct cpu *c, uint32_t value, uint32_t mask)
{
	c->eflags = (c->eflags & ~mask) | (value & mask) | FL_FIXED1;
}

static uint64_t popf(struct tc *tc, unsigned op)
{
	struct cpu *c = tc->cpu;
	uint32_t value, moved;

	if (c->cpl || (lean_eflags(c) & FL_NT) || !lean_read32(tc, (uint32_t)c->gpr[R_ESP], &value) ||
	    !plain_flags(value) || ((value & FL_IF) && tc->x.intr_wait))
		return LEAN_NO;
	moved = (value ^ c->eflags) & FL_IOPL;
	c->gpr[R_ESP] = (uint32_t)(c->gpr[R_ESP] + 4);
	set_flags(c, value, IRET_FLAGS);
	return moved ? lean_next(tc) : lean_same(tc);
}

/* ---------------------------------- IRET ---------------------------------- */

struct iret_frame {
	uint32_t eip, cs, eflags, esp, ss;
};

/* Leaving ring 0 nulls data segments that the outer ring may not use; that case is rare and not ours. */
static bool segments_survive(const struct cpu *c)
{
	static const uint8_t data[] = {S_ES, S_DS, S_FS, S_GS};

	for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
		uint16_t attr = c->seg[data[i]].attr;

		if (!(attr & SEG_NULL) && ((attr & SEG_CODE) || dpl_of(attr) < 3))
			return false;
	}
	return true;
}

static uint64_t iret_same(struct tc *tc, const struct iret_frame *f)
{
	struct cpu *c = tc->cpu;
	struct cpu_segment cs;

	if (!lean_flat_segment(tc, (uint16_t)f->cs, 0, true, &cs))
		return LEAN_NO;
	c->seg[S_CS] = cs;
	c->rip = f->eip;
	c->gpr[R_ESP] = (uint32_t)(c->gpr[R_ESP] + 12);
	set_flags(c, f->eflags, IRET_FLAGS);
	c->nmi_block = 0;
	return lean_privilege(tc);
}

static uint64_t iret_outer(struct tc *tc, const struct iret_frame *f)
{
	struct cpu *c = tc->cpu;
	struct cpu_segment cs, ss;

	if ((f->ss & 3) != 3 || !segments_survive(c) ||
	    !lean_flat_segment(tc, (uint16_t)f->cs, 3, true, &cs) ||
	    !lean_flat_segment(tc, (uint16_t)f->ss, 3, false, &ss))
		return LEAN_NO;
	c->seg[S_CS] = cs;
	c->seg[S_SS] = ss;
	c->rip = f->eip;
	c->gpr[R_ESP] = f->esp;
	set_flags(c, f->eflags, IRET_FLAGS);
	c->cpl = 3;
	c->nmi_block = 0;
	return lean_privilege(tc);
}

static uint64_t iret(struct tc *tc, unsigned op)
{
	struct cpu *c = tc->cpu;
	const struct iret_frame *p = at(tc, (uint32_t)c->gpr[R_ESP], sizeof(*p));
	struct iret_frame f;

	if (!p || c->cpl || (lean_eflags(c) & FL_NT))
		return LEAN_NO;
	memcpy(&f, p, sizeof(f));
	if (!plain_flags(f.eflags))
		return LEAN_NO;
	if ((f.cs & 3) == 3)
		return iret_outer(tc, &f);
	return (f.cs & 3) == 0 ? iret_same(tc, &f) : LEAN_NO;
}

/* ---------------------------------- SYSENTER, SYSEXIT ---------------------------------- */

static struct cpu_segment made_up(uint16_t sel, unsigned type, unsigned dpl)
{
	return (struct cpu_segment){
		.sel = sel,
		.limit = 0xffffffff,
		.attr = (uint16_t)(SEG_P | SEG_S | SEG_DB | SEG_G | type | dpl << SEG_DPL_SHIFT),
	};
}

static void made_up_segments(struct cpu *c, uint16_t cs, uint16_t ss, unsigned dpl)
{
	c->seg[S_CS] = made_up(cs, SEG_CODE | SEG_WRITE | SEG_ACCESSED, dpl);
	c->seg[S_SS] = made_up(ss, SEG_WRITE | SEG_ACCESSED, dpl);
	c->cpl = (uint8_t)dpl;
}

static uint64_t sysenter(struct tc *tc, unsigned op)
{
	struct cpu *c = tc->cpu;
	uint16_t base = (uint16_t)(c->msr.sysenter_cs & 0xfffc);

	if (!base)
		return LEAN_NO;
	made_up_segments(c, base, (uint16_t)(base + 8), 0);
	c->eflags &= ~(uint32_t)(FL_VM | FL_IF | FL_RF);
	c->gpr[R_ESP] = (uint32_t)c->msr.sysenter_esp;
	c->rip = (uint32_t)c->msr.sysenter_eip;
	return lean_privilege(tc);
}

static uint64_t sysexit(struct tc *tc, unsigned op)
{
	struct cpu *c = tc->cpu;
	uint16_t base = (uint16_t)(c->msr.sysenter_cs & 0xfffc);

	if (!base || c->cpl)
		return LEAN_NO;
	made_up_segments(c, (uint16_t)(base + 16) | 3, (uint16_t)(base + 24) | 3, 3);
	c->gpr[R_ESP] = (uint32_t)c->gpr[R_ECX];
	c->rip = (uint32_t)c->gpr[R_EDX];
	return lean_privilege(tc);
}

/* ---------------------------------- entry ---------------------------------- */

static lean_fn *const operation[LEAN_OPS] = {
	[LEAN_MOV_SEG] = mov_segment, [LEAN_LOAD_SEG] = load_segment_value,
	[LEAN_POP_SEG] = pop_segment, [LEAN_POPF] = popf,
	[LEAN_IRET] = iret,           [LEAN_INT] = lean_int,
	[LEAN_SYSENTER] = sysenter,   [LEAN_SYSEXIT] = sysexit,
	[LEAN_STRING] = lean_string,  [LEAN_PUSHF] = lean_pushf,
	[LEAN_PUSH_SEG] = lean_push_segment,
	[LEAN_WRITE_CR] = lean_write_cr, [LEAN_CLTS] = lean_clts,
	[LEAN_INVLPG] = lean_invlpg,  [LEAN_FXSAVE] = lean_fxsave,
	[LEAN_FXRSTOR] = lean_fxrstor, [LEAN_IN] = lean_in,
	[LEAN_OUT] = lean_out,
};

uint64_t lean_system(struct tcx *x)
{
	struct tc *tc = x->tc;
	uint32_t eip = (uint32_t)tc->cpu->rip, mode = tc->mode, next = x->arg;
	uint64_t to;

	if (!tc->lean || tc->watched)
		return LEAN_NO;
	/* the word is a constant in verified code: verify.c */
	to = operation[LEAN_OP(x->op)](tc, x->op);
	if (to == LEAN_NO)
		return to;
	tc->stats.lean_system++;
	history_note(tc->history, HISTORY_CALLOUT, eip, mode, next | (LEAN_OP(x->op) + 1ull) << 32);
	return to;
}
