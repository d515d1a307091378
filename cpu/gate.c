/*
 * Interrupt, trap and task gates of the protected-mode IDT
 * (SDM: "Exception- or Interrupt-Handler Procedures", "Interrupt Tasks",
 * "Interrupt and Exception Handling in Virtual-8086 Mode").
 *
 * Order: gate, handler's code segment, new stack, frame; only the frame's one
 * write comes before the commit, and nothing after it can fail.
 */
#include "cpu/transfer.h"

struct gate {
	uint16_t sel;
	uint32_t offset;
	unsigned type, dpl;
	bool present;
};

/* Selector index 2 in the error code says IDT. */
static uint32_t idt_error(const struct event *e)
{
	return e->vector * 8u + 2;
}

static enum outcome gate_read(struct cpu *cpu, const struct event *e, struct gate *g)
{
	struct descriptor d;
	enum outcome o;

	if (e->vector * 8u + 7 > cpu->idtr.limit)
		return cpu_raise_error(cpu, EXC_GP, idt_error(e));
	o = cpu->ops->read(cpu, gva((uint32_t)(cpu->idtr.base + e->vector * 8u)), &d, sizeof(d),
			   ACC_READ);
	if (o != OUT_OK)
		return o;
	g->sel = (uint16_t)(d.lo >> 16);
	g->type = desc_type(&d);
	g->dpl = desc_dpl(&d);
	g->present = desc_present(&d);
	g->offset = (d.lo & 0xffff) | (g->type & 8 ? d.hi & 0xffff0000 : 0);
	if (!desc_is_system(&d) || (g->type != SYS_TASK_GATE && (g->type & 6) != 6))
		return cpu_raise_error(cpu, EXC_GP, idt_error(e));
	if (e->kind == EVENT_SOFT && g->dpl < cpu->cpl)
		return cpu_raise_error(cpu, EXC_GP, idt_error(e));
	if (!g->present)
		return cpu_raise_error(cpu, EXC_NP, idt_error(e));
	return OUT_OK;
}

/* The handler's code segment; *cpl is the privilege it will run with. */
static enum outcome handler_code(struct cpu *cpu, const struct gate *g, struct cpu_segment *cs,
				 unsigned *cpl)
{
	struct descriptor d;
	enum outcome o;

	if (selector_null(g->sel))
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = desc_read(cpu, g->sel, EXC_GP, &d);
	if (o != OUT_OK)
		return o;
	if (!desc_is_code(&d) || desc_dpl(&d) > cpu->cpl)
		return cpu_raise_error(cpu, EXC_GP, selector_error(g->sel));
	if (!desc_present(&d))
		return cpu_raise_error(cpu, EXC_NP, selector_error(g->sel));
	*cpl = desc_is_conforming(&d) ? cpu->cpl : desc_dpl(&d);
	/* vm86 is left for privilege 0 only. */
	if (cpu_vm86(cpu) && *cpl != 0)
		return cpu_raise_error(cpu, EXC_GP, selector_error(g->sel));
	o = desc_mark_accessed(cpu, g->sel, &d);
	if (o == OUT_OK)
		desc_to_segment(&d, (uint16_t)(selector_error(g->sel) | *cpl), cs);
	return o;
}

static void build_frame(const struct cpu *cpu, const struct event *e, unsigned size, bool inner,
			struct frame *f)
{
	static const uint8_t vm86_order[] = {S_GS, S_FS, S_DS, S_ES};

	f->size = size;
	f->count = 0;
	if (cpu_vm86(cpu)) {
		for (unsigned i = 0; i < ARRAY_LEN(vm86_order); i++)
			frame_add(f, cpu->seg[vm86_order[i]].sel);
	}
	if (inner) {
		frame_add(f, cpu->seg[S_SS].sel);
		frame_add(f, (uint32_t)cpu->gpr[R_ESP]);
	}
	frame_add(f, e->eflags);
	frame_add(f, cpu->seg[S_CS].sel);
	frame_add(f, e->eip);
	if (e->has_error)
		frame_add(f, e->error);
}

static void enter_handler(struct cpu *cpu, const struct gate *g, const struct cpu_segment *cs,
			  unsigned cpl)
{
	static const uint8_t data[] = {S_ES, S_DS, S_FS, S_GS};

	if (cpu_vm86(cpu)) {
		for (unsigned i = 0; i < ARRAY_LEN(data); i++)
			segment_set_null(cpu, data[i], 0);
	}
	cpu->seg[S_CS] = *cs;
	cpu->rip = g->offset;
	cpu->cpl = (uint8_t)cpl;
	cpu->eflags &= ~(uint32_t)(FL_TF | FL_NT | FL_RF | FL_VM);
	if (!(g->type & 1)) /* interrupt gate */
		cpu->eflags &= ~(uint32_t)FL_IF;
}

static enum outcome handler_deliver(struct cpu *cpu, struct event *e, const struct gate *g)
{
	struct cpu_segment cs;
	struct stack_target t = stack_current(cpu);
	struct frame f;
	unsigned cpl = 0;
	uint32_t esp;
	enum outcome o;

	o = handler_code(cpu, g, &cs, &cpl);
	if (o != OUT_OK)
		return o;
	bool inner = cpl != cpu->cpl;
	if (inner) {
		o = inner_stack(cpu, cpl, &t);
		if (o != OUT_OK)
			return o;
	}
	build_frame(cpu, e, g->type & 8 ? 4 : 2, inner, &f);
	o = frame_check(cpu, &f, &t);
	if (o == OUT_OK)
		o = code_limit_check(cpu, &cs, g->offset);
	if (o == OUT_OK)
		o = frame_push(cpu, &f, &t, &esp);
	if (o != OUT_OK)
		return o;
	enter_handler(cpu, g, &cs, cpl);
	if (inner)
		cpu->seg[S_SS] = t.ss;
	cpu->gpr[R_ESP] = esp;
	return OUT_OK;
}

static enum outcome task_deliver(struct cpu *cpu, struct event *e, const struct gate *g)
{
	struct task_switch t = {
		.sel = g->sel,
		.reason = TASK_EVENT,
		.eip = e->eip,
		.eflags = e->eflags,
		.push_error = e->has_error,
		.error = e->error,
	};
	enum outcome o = task_switch(cpu, &t);

	e->committed = t.committed;
	return o;
}

enum outcome gate_deliver(struct cpu *cpu, struct event *e)
{
	struct gate g = {0};
	enum outcome o = gate_read(cpu, e, &g);

	if (o != OUT_OK)
		return o;
	return g.type == SYS_TASK_GATE ? task_deliver(cpu, e, &g) : handler_deliver(cpu, e, &g);
}
