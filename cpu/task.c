/*
 * Hardware task switches (SDM: "Task Switching").
 *
 *   descriptor of the new TSS checked -> both TSSs and their descriptors probed
 *   -> commit: old state saved, busy bits, link, TR -> new state loaded,
 *   segments checked
 *
 * Everything up to the commit faults in the old task with nothing changed. What
 * goes wrong later is a fault of the new task: its registers and selectors are
 * loaded, the segments not yet checked hold no descriptor.
 */
#include "cpu/transfer.h"

#include <string.h>

/* The two TSS formats (SDM: "32-Bit Task-State Segment", "16-Bit Task-State Segment"). */
struct tss_format {
	unsigned size;		  /* bytes read; also the smallest legal limit + 1 */
	unsigned width;		  /* of EIP, EFLAGS and the general registers */
	unsigned eip;		  /* offset of EIP; EFLAGS and the registers follow */
	unsigned seg, seg_stride; /* ES CS SS DS (FS GS) */
	unsigned nsegs;
	unsigned ldt;
	bool has_cr3;
};
enum { TSS_MAX = 0x68, TSS_CR3 = 0x1c, TSS_TRAP = 0x64 };

static const struct tss_format formats[2] = {
	{.size = 0x2c,
	 .width = 2,
	 .eip = 0x0e,
	 .seg = 0x22,
	 .seg_stride = 2,
	 .nsegs = 4,
	 .ldt = 0x2a},
	{.size = 0x68,
	 .width = 4,
	 .eip = 0x20,
	 .seg = 0x48,
	 .seg_stride = 4,
	 .nsegs = 6,
	 .ldt = 0x60,
	 .has_cr3 = true},
};

static const struct tss_format *format_of(unsigned type)
{
	return &formats[type & 8 ? 1 : 0];
}

struct tss_state {
	uint32_t eip, eflags, gpr[8];
	uint16_t seg[6], ldt;
	uint32_t cr3;
	bool trap;
};

static uint32_t field(const uint8_t *image, unsigned at, unsigned width)
{
	uint32_t v = 0;
	memcpy(&v, image + at, width);
	return v;
}

static void tss_parse(const struct tss_format *f, const uint8_t *image, struct tss_state *s)
{
	const uint32_t upper = f->width == 2 ? 0xffff0000 : 0;

	memset(s, 0, sizeof(*s));
	s->eip = field(image, f->eip, f->width);
	s->eflags = field(image, f->eip + f->width, f->width);
	for (unsigned i = 0; i < 8; i++)
		s->gpr[i] = field(image, f->eip + (2 + i) * f->width, f->width) | upper;
	for (unsigned i = 0; i < f->nsegs; i++)
		s->seg[i] = (uint16_t)field(image, f->seg + i * f->seg_stride, 2);
	s->ldt = (uint16_t)field(image, f->ldt, 2);
	if (f->has_cr3) {
		s->cr3 = field(image, TSS_CR3, 4);
		s->trap = image[TSS_TRAP] & 1;
	}
}

/* ---- before the commit ---- */

/* JMP and CALL blame the selector with #GP, IRET with #TS; gates always name an available TSS. */
static enum outcome new_descriptor(struct cpu *cpu, const struct task_switch *t,
				   struct descriptor *d)
{
	unsigned vector = t->reason == TASK_IRET ? EXC_TS : EXC_GP;
	unsigned busy = t->reason == TASK_IRET ? SYS_BUSY : 0;
	enum outcome o;

	if (selector_local(t->sel) || selector_null(t->sel))
		return cpu_raise_error(cpu, vector, selector_error(t->sel));
	o = desc_read(cpu, t->sel, vector, d);
	if (o != OUT_OK)
		return o;
	if (!desc_is_system(d) || (desc_type(d) & 7) != (SYS_TSS16 | busy))
		return cpu_raise_error(cpu, vector, selector_error(t->sel));
	if (!desc_present(d))
		return cpu_raise_error(cpu, EXC_NP, selector_error(t->sel));
	return OUT_OK;
}

static enum outcome probe(struct cpu *cpu, uint64_t base, unsigned offset, unsigned len,
			  unsigned acc)
{
	return cpu->ops->probe(cpu, gva((uint32_t)(base + offset)), len, acc);
}

static enum outcome probe_descriptor(struct cpu *cpu, uint16_t sel)
{
	return probe(cpu, cpu->gdtr.base, (sel & ~7u) + 4, 4, ACC_WRITE);
}

/* All memory the switch itself touches, so that nothing fails between commit and load. */
static enum outcome probe_all(struct cpu *cpu, const struct task_switch *t,
			      const struct cpu_segment *next)
{
	const struct cpu_segment *old = &cpu->seg[S_TR];
	const struct tss_format *of = format_of(old->attr), *nf = format_of(next->attr);
	bool links = t->reason == TASK_CALL || t->reason == TASK_EVENT;
	enum outcome o;

	if ((old->attr & SEG_NULL) || old->limit < of->size - 1)
		return cpu_raise_error(cpu, EXC_TS, selector_error(old->sel));
	o = probe(cpu, old->base, 0, of->ldt, ACC_WRITE);
	if (o == OUT_OK)
		o = probe(cpu, next->base, 0, nf->size, ACC_READ);
	if (o == OUT_OK && links)
		o = probe(cpu, next->base, 0, 2, ACC_WRITE);
	if (o == OUT_OK)
		o = probe_descriptor(cpu, t->sel);
	if (o == OUT_OK && !links && !selector_null(old->sel))
		o = probe_descriptor(cpu, old->sel);
	return o;
}

/* The new CR3's PDPTEs, before anything is changed. */
static enum outcome read_pdptes(struct cpu *cpu, const struct cpu_segment *next, uint64_t out[4])
{
	uint32_t cr3;
	enum outcome o;

	memcpy(out, cpu->pdpte, sizeof(cpu->pdpte));
	if (!format_of(next->attr)->has_cr3 || !paging_is_pae(cpu->cr0, cpu->cr4))
		return OUT_OK;
	o = cpu->ops->read(cpu, gva((uint32_t)(next->base + TSS_CR3)), &cr3, 4, ACC_READ);
	return o == OUT_OK ? pdpte_read(cpu, cr3, out) : o;
}

/* ---- the commit ---- */

static enum outcome save_old(struct cpu *cpu, const struct task_switch *t)
{
	const struct cpu_segment *old = &cpu->seg[S_TR];
	const struct tss_format *f = format_of(old->attr);
	uint32_t eflags = t->eflags;
	uint8_t image[TSS_MAX];
	gva_t at = gva((uint32_t)(old->base + f->eip));
	unsigned len = f->ldt - f->eip;
	enum outcome o = cpu->ops->read(cpu, at, image + f->eip, len, ACC_READ);

	if (o != OUT_OK)
		return o;
	if (t->reason == TASK_IRET)
		eflags &= ~(uint32_t)FL_NT;
	memcpy(image + f->eip, &t->eip, f->width);
	memcpy(image + f->eip + f->width, &eflags, f->width);
	for (unsigned i = 0; i < 8; i++)
		memcpy(image + f->eip + (2 + i) * f->width, &cpu->gpr[i], f->width);
	for (unsigned i = 0; i < f->nsegs; i++)
		memcpy(image + f->seg + i * f->seg_stride, &cpu->seg[i].sel, 2);
	return cpu->ops->write(cpu, at, image + f->eip, len, ACC_WRITE);
}

static enum outcome set_busy(struct cpu *cpu, uint16_t sel, bool busy)
{
	struct descriptor d;
	enum outcome o = desc_read(cpu, sel, EXC_TS, &d);

	if (o != OUT_OK)
		return o;
	d.hi = busy ? d.hi | SYS_BUSY << 8 : d.hi & ~(uint32_t)(SYS_BUSY << 8);
	return desc_write_back(cpu, sel, &d);
}

static enum outcome commit(struct cpu *cpu, const struct task_switch *t, struct cpu_segment *next)
{
	uint16_t old_sel = cpu->seg[S_TR].sel;
	enum outcome o = save_old(cpu, t);

	if (o == OUT_OK && (t->reason == TASK_JUMP || t->reason == TASK_IRET) &&
	    !selector_null(old_sel))
		o = set_busy(cpu, old_sel, false);
	if (o == OUT_OK && (t->reason == TASK_CALL || t->reason == TASK_EVENT))
		o = cpu->ops->write(cpu, gva(next->base), &old_sel, 2, ACC_WRITE);
	if (o == OUT_OK && t->reason != TASK_IRET)
		o = set_busy(cpu, t->sel, true);
	if (o != OUT_OK)
		return o;
	next->attr |= SYS_BUSY;
	cpu->seg[S_TR] = *next;
	cpu->cr0 |= CR0_TS;
	return OUT_OK;
}

/* ---- the new task ---- */

static void load_registers(struct cpu *cpu, const struct task_switch *t, const struct tss_state *s,
			   bool has_cr3, const uint64_t pdpte[4])
{
	const uint32_t known =
		FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | FL_ID;

	cpu->rip = s->eip;
	cpu->eflags = (s->eflags & known) | FL_FIXED1;
	if (t->reason == TASK_CALL || t->reason == TASK_EVENT)
		cpu->eflags |= FL_NT;
	for (unsigned i = 0; i < 8; i++)
		cpu->gpr[i] = s->gpr[i];
	for (unsigned i = 0; i < 6; i++)
		segment_set_null(cpu, i, s->seg[i]);
	segment_set_null(cpu, S_LDTR, s->ldt);
	cpu->cpl = cpu_vm86(cpu) ? 3 : selector_rpl(s->seg[S_CS]);
	cpu->dr[7] &= ~(uint64_t)DR7_LOCAL;
	if (has_cr3 && (cpu->cr0 & CR0_PG)) {
		cpu->cr3 = s->cr3;
		memcpy(cpu->pdpte, pdpte, sizeof(cpu->pdpte));
		paging_notify(cpu, true, false);
	}
}

static enum outcome load_ldt(struct cpu *cpu, uint16_t sel)
{
	struct descriptor d;
	enum outcome o;

	if (selector_null(sel))
		return OUT_OK;
	if (selector_local(sel))
		return cpu_raise_error(cpu, EXC_TS, selector_error(sel));
	o = desc_read(cpu, sel, EXC_TS, &d);
	if (o != OUT_OK)
		return o;
	if (!desc_is_system(&d) || desc_type(&d) != SYS_LDT || !desc_present(&d))
		return cpu_raise_error(cpu, EXC_TS, selector_error(sel));
	desc_to_segment(&d, sel, &cpu->seg[S_LDTR]);
	return OUT_OK;
}

static enum outcome load_code(struct cpu *cpu, uint16_t sel)
{
	struct descriptor d;
	enum outcome o;

	if (selector_null(sel))
		return cpu_raise_error(cpu, EXC_TS, 0);
	o = desc_read(cpu, sel, EXC_TS, &d);
	if (o != OUT_OK)
		return o;
	bool privilege = desc_is_conforming(&d) ? desc_dpl(&d) <= selector_rpl(sel)
						: desc_dpl(&d) == selector_rpl(sel);
	if (!desc_is_code(&d) || !privilege)
		return cpu_raise_error(cpu, EXC_TS, selector_error(sel));
	if (!desc_present(&d))
		return cpu_raise_error(cpu, EXC_NP, selector_error(sel));
	o = desc_mark_accessed(cpu, sel, &d);
	if (o == OUT_OK)
		desc_to_segment(&d, sel, &cpu->seg[S_CS]);
	return o;
}

static enum outcome load_segments(struct cpu *cpu, const struct tss_state *s)
{
	static const uint8_t data[] = {S_DS, S_ES, S_FS, S_GS};
	enum outcome o = load_ldt(cpu, s->ldt);

	if (o != OUT_OK)
		return o;
	if (cpu_vm86(cpu)) {
		for (unsigned i = 0; i < 6; i++)
			cpu_set_real_segment(cpu, i, s->seg[i]);
		return OUT_OK;
	}
	o = load_code(cpu, s->seg[S_CS]);
	if (o == OUT_OK)
		o = stack_segment_check(cpu, s->seg[S_SS], cpu->cpl, EXC_TS, &cpu->seg[S_SS]);
	for (unsigned i = 0; i < ARRAY_LEN(data) && o == OUT_OK; i++)
		o = data_segment_check(cpu, s->seg[data[i]], cpu->cpl, EXC_TS, &cpu->seg[data[i]]);
	return o;
}

static enum outcome push_error_code(struct cpu *cpu, const struct task_switch *t, unsigned width)
{
	struct frame f = {.size = width};
	struct stack_target stack = stack_current(cpu);
	uint32_t esp;
	enum outcome o;

	frame_add(&f, t->error);
	o = frame_push(cpu, &f, &stack, &esp);
	if (o == OUT_OK)
		cpu->gpr[R_ESP] = esp;
	return o;
}

static enum outcome load_new(struct cpu *cpu, const struct task_switch *t, const uint64_t pdpte[4])
{
	const struct cpu_segment *tr = &cpu->seg[S_TR];
	const struct tss_format *f = format_of(tr->attr);
	uint8_t image[TSS_MAX];
	struct tss_state s;
	enum outcome o = cpu->ops->read(cpu, gva(tr->base), image, f->size, ACC_READ);

	if (o != OUT_OK)
		return o;
	tss_parse(f, image, &s);
	load_registers(cpu, t, &s, f->has_cr3, pdpte);
	o = load_segments(cpu, &s);
	if (o == OUT_OK && t->push_error)
		o = push_error_code(cpu, t, f->width);
	if (o == OUT_OK)
		o = code_limit_check(cpu, &cpu->seg[S_CS], s.eip);
	if (o == OUT_OK && s.trap)
		cpu->pending_db |= DR6_BT;
	return o;
}

enum outcome task_switch(struct cpu *cpu, struct task_switch *t)
{
	struct descriptor d;
	struct cpu_segment next;
	uint64_t pdpte[4];
	enum outcome o;

	t->committed = false;
	transfer_tell(cpu, TRANSFER_TASK, t->sel, t->eip, 0, t->reason);
	o = new_descriptor(cpu, t, &d);
	if (o != OUT_OK)
		return o;
	desc_to_segment(&d, selector_error(t->sel), &next);
	if (next.limit < format_of(next.attr)->size - 1)
		return cpu_raise_error(cpu, EXC_TS, selector_error(t->sel));
	o = probe_all(cpu, t, &next);
	if (o == OUT_OK)
		o = read_pdptes(cpu, &next, pdpte);
	if (o == OUT_OK)
		o = commit(cpu, t, &next);
	if (o != OUT_OK)
		return o;
	t->committed = true;
	return load_new(cpu, t, pdpte);
}

/*
 * For instructions: a fault past the commit point is delivered here, in the new task, because the
 * interpreter would put the old EIP back.
 */
enum outcome cpu_task_switch(struct cpu *cpu, uint16_t tss_selector, enum task_reason reason,
			     uint32_t next_eip, bool push_error, uint32_t error)
{
	struct task_switch t = {
		.sel = tss_selector,
		.reason = reason,
		.eip = next_eip,
		.eflags = cpu->eflags,
		.push_error = push_error,
		.error = error,
	};
	enum outcome o = task_switch(cpu, &t);

	if (o == OUT_FAULT && t.committed) {
		deliver_in_new_task(cpu);
		return OUT_OK;
	}
	return o;
}
