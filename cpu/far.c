/*
 * Far jumps, calls and returns (SDM: JMP, CALL, RET; "Calling Procedures Using
 * CALL and RET", "Call Gates").
 *
 * The selector may name a code segment, a call gate, a TSS or a task gate. All
 * checks and the one write of the stack frame come before any register changes.
 */
#include "cpu/transfer.h"

/* For those who look on. */
void transfer_tell(struct cpu *cpu, enum cpu_transfer_kind kind, uint16_t sel, uint32_t eip, unsigned size,
		   unsigned detail)
{
	const struct cpu_transfer t = {kind, sel, eip, size, detail};

	if (cpu->ops->transferring)
		cpu->ops->transferring(cpu, &t);
}

/* ---- code segments ---- */

/*
 * Check the code segment of a jump or call and find the privilege it leads to. `gate`: through a
 * call gate, where the RPL of the target selector does not count and calls may go inward.
 */
static enum outcome target_code_check(struct cpu *cpu, uint16_t sel, bool gate, bool call,
				      struct cpu_segment *cs, unsigned *cpl)
{
	struct descriptor d;
	unsigned dpl;
	bool bad;
	enum outcome o;

	if (selector_null(sel))
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = desc_read(cpu, sel, EXC_GP, &d);
	if (o != OUT_OK)
		return o;
	dpl = desc_dpl(&d);
	if (desc_is_conforming(&d) || (gate && call))
		bad = dpl > cpu->cpl;
	else
		bad = dpl != cpu->cpl || (!gate && selector_rpl(sel) > cpu->cpl);
	if (!desc_is_code(&d) || bad)
		return cpu_raise_error(cpu, EXC_GP, selector_error(sel));
	if (!desc_present(&d))
		return cpu_raise_error(cpu, EXC_NP, selector_error(sel));
	*cpl = desc_is_conforming(&d) ? cpu->cpl : dpl;
	o = desc_mark_accessed(cpu, sel, &d);
	if (o == OUT_OK)
		desc_to_segment(&d, (uint16_t)(selector_error(sel) | *cpl), cs);
	return o;
}

static void enter_code(struct cpu *cpu, const struct cpu_segment *cs, uint32_t eip, unsigned cpl)
{
	cpu->seg[S_CS] = *cs;
	cpu->rip = eip;
	cpu->cpl = (uint8_t)cpl;
}

/* Push CS:EIP on the current stack and go to cs:eip at the same privilege. */
static enum outcome call_same_level(struct cpu *cpu, const struct insn *insn, unsigned size,
				    const struct cpu_segment *cs, uint32_t eip)
{
	struct frame f = {.size = size};
	struct stack_target t = stack_current(cpu);
	uint32_t esp;
	enum outcome o;

	frame_add(&f, cpu->seg[S_CS].sel);
	frame_add(&f, (uint32_t)insn->next);
	o = frame_check(cpu, &f, &t);
	if (o == OUT_OK)
		o = code_limit_check(cpu, cs, eip);
	if (o == OUT_OK)
		o = frame_push(cpu, &f, &t, &esp);
	if (o != OUT_OK)
		return o;
	cpu->gpr[R_ESP] = esp;
	enter_code(cpu, cs, eip, cpu->cpl);
	return OUT_OK;
}

/* ---- call gates ---- */

struct call_gate {
	uint16_t sel;
	uint32_t offset;
	unsigned size; /* 2 or 4 */
	unsigned params;
};

/* Parameters lie above the caller's stack pointer, the first pushed highest. */
static enum outcome copy_parameters(struct cpu *cpu, const struct call_gate *g, struct frame *f)
{
	struct stack_cursor c = stack_begin(cpu);
	uint32_t param[31];

	for (unsigned i = 0; i < g->params; i++) {
		enum outcome o = stack_pop(cpu, &c, g->size, &param[i]);
		if (o != OUT_OK)
			return o;
	}
	for (unsigned i = g->params; i > 0; i--)
		frame_add(f, param[i - 1]);
	return OUT_OK;
}

static enum outcome call_inner_level(struct cpu *cpu, const struct insn *insn,
				     const struct call_gate *g, const struct cpu_segment *cs,
				     unsigned cpl)
{
	struct frame f = {.size = g->size};
	struct stack_target t;
	uint32_t esp;
	enum outcome o = inner_stack(cpu, cpl, &t);

	if (o != OUT_OK)
		return o;
	frame_add(&f, cpu->seg[S_SS].sel);
	frame_add(&f, (uint32_t)cpu->gpr[R_ESP]);
	o = copy_parameters(cpu, g, &f);
	if (o != OUT_OK)
		return o;
	frame_add(&f, cpu->seg[S_CS].sel);
	frame_add(&f, (uint32_t)insn->next);
	o = frame_check(cpu, &f, &t);
	if (o == OUT_OK)
		o = code_limit_check(cpu, cs, g->offset);
	if (o == OUT_OK)
		o = frame_push(cpu, &f, &t, &esp);
	if (o != OUT_OK)
		return o;
	cpu->seg[S_SS] = t.ss;
	cpu->gpr[R_ESP] = esp;
	enter_code(cpu, cs, g->offset, cpl);
	return OUT_OK;
}

static enum outcome through_call_gate(struct cpu *cpu, const struct insn *insn,
				      const struct descriptor *d, bool call)
{
	bool wide = desc_type(d) & 8;
	struct call_gate g = {
		.sel = (uint16_t)(d->lo >> 16),
		.offset = (d->lo & 0xffff) | (wide ? d->hi & 0xffff0000 : 0),
		.size = wide ? 4 : 2,
		.params = d->hi & 0x1f,
	};
	struct cpu_segment cs;
	unsigned cpl = 0;
	enum outcome o = target_code_check(cpu, g.sel, true, call, &cs, &cpl);

	if (o != OUT_OK)
		return o;
	if (call && cpl < cpu->cpl)
		return call_inner_level(cpu, insn, &g, &cs, cpl);
	if (call)
		return call_same_level(cpu, insn, g.size, &cs, g.offset);
	o = code_limit_check(cpu, &cs, g.offset);
	if (o == OUT_OK)
		enter_code(cpu, &cs, g.offset, cpl);
	return o;
}

/* ---- gates and TSSs ---- */

static enum outcome to_system(struct cpu *cpu, const struct insn *insn, uint16_t sel,
			      const struct descriptor *d, bool call)
{
	unsigned type = desc_type(d), dpl = desc_dpl(d);
	enum task_reason reason = call ? TASK_CALL : TASK_JUMP;

	if (dpl < cpu->cpl || dpl < selector_rpl(sel))
		return cpu_raise_error(cpu, EXC_GP, selector_error(sel));
	switch (type) {
	case SYS_TSS16:
	case SYS_TSS32:
		return cpu_task_switch(cpu, sel, reason, (uint32_t)insn->next, false, 0);
	case SYS_TASK_GATE:
	case SYS_CALL16:
	case SYS_CALL32:
		if (!desc_present(d))
			return cpu_raise_error(cpu, EXC_NP, selector_error(sel));
		if (type != SYS_TASK_GATE)
			return through_call_gate(cpu, insn, d, call);
		return cpu_task_switch(cpu, (uint16_t)(d->lo >> 16), reason, (uint32_t)insn->next,
				       false, 0);
	default:
		return cpu_raise_error(cpu, EXC_GP, selector_error(sel));
	}
}

static enum outcome far_protected(struct cpu *cpu, const struct insn *insn, uint16_t sel,
				  uint32_t off, bool call)
{
	struct descriptor d;
	struct cpu_segment cs;
	unsigned cpl = 0;
	enum outcome o;

	transfer_tell(cpu, call ? TRANSFER_CALL : TRANSFER_JUMP, sel, off, insn->opsize, 0);
	if (selector_null(sel))
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = desc_read(cpu, sel, EXC_GP, &d);
	if (o != OUT_OK)
		return o;
	if (desc_is_system(&d))
		return to_system(cpu, insn, sel, &d, call);
	o = target_code_check(cpu, sel, false, call, &cs, &cpl);
	if (o != OUT_OK)
		return o;
	if (call)
		return call_same_level(cpu, insn, insn->opsize, &cs, off);
	o = code_limit_check(cpu, &cs, off);
	if (o == OUT_OK)
		enter_code(cpu, &cs, off, cpu->cpl);
	return o;
}

/* Real and vm86 mode: CS keeps its limit, which bounds the new EIP. */
static enum outcome far_real(struct cpu *cpu, const struct insn *insn, uint16_t sel, uint32_t off,
			     bool call)
{
	struct frame f = {.size = insn->opsize};
	struct stack_target t = stack_current(cpu);
	uint32_t esp = t.esp;
	enum outcome o = OUT_OK;

	if (call) {
		frame_add(&f, cpu->seg[S_CS].sel);
		frame_add(&f, (uint32_t)insn->next);
		o = frame_check(cpu, &f, &t);
	}
	if (o == OUT_OK)
		o = code_limit_check(cpu, &cpu->seg[S_CS], off);
	if (o == OUT_OK && call)
		o = frame_push(cpu, &f, &t, &esp);
	if (o != OUT_OK)
		return o;
	cpu->gpr[R_ESP] = esp;
	cpu_set_real_segment(cpu, S_CS, sel);
	cpu->rip = off;
	return OUT_OK;
}

static bool real_addressing(const struct cpu *cpu)
{
	return !cpu_protected(cpu) || cpu_vm86(cpu);
}

static enum outcome far_transfer(struct cpu *cpu, const struct insn *insn, uint16_t sel,
				 uint32_t off, bool call)
{
	if (insn->opsize == 2)
		off &= 0xffff;
	return real_addressing(cpu) ? far_real(cpu, insn, sel, off, call)
				    : far_protected(cpu, insn, sel, off, call);
}

enum outcome cpu_far_jump(struct cpu *cpu, const struct insn *insn, uint16_t sel, uint32_t off)
{
	return far_transfer(cpu, insn, sel, off, false);
}

enum outcome cpu_far_call(struct cpu *cpu, const struct insn *insn, uint16_t sel, uint32_t off)
{
	return far_transfer(cpu, insn, sel, off, true);
}

/* ---- returns ---- */

static enum outcome return_real(struct cpu *cpu, const struct stack_cursor *c, uint32_t cs,
				uint32_t eip, uint32_t release)
{
	struct stack_cursor end = *c;
	enum outcome o = code_limit_check(cpu, &cpu->seg[S_CS], eip);

	if (o != OUT_OK)
		return o;
	end.esp = (end.esp & ~end.mask) | ((end.esp + release) & end.mask);
	stack_commit(cpu, &end);
	cpu_set_real_segment(cpu, S_CS, (uint16_t)cs);
	cpu->rip = eip;
	return OUT_OK;
}

static enum outcome return_outer(struct cpu *cpu, const struct insn *insn, struct stack_cursor *c,
				 const struct cpu_segment *cs, uint32_t eip, uint32_t release)
{
	unsigned cpl = selector_rpl(cs->sel);
	struct cpu_segment ss;
	uint32_t esp, sel;
	enum outcome o;

	/* The parameters lie on both stacks; the inner copy is skipped to find SS:ESP. */
	c->esp = (c->esp & ~c->mask) | ((c->esp + release) & c->mask);
	o = stack_pop(cpu, c, insn->opsize, &esp);
	if (o == OUT_OK)
		o = stack_pop(cpu, c, insn->opsize, &sel);
	if (o == OUT_OK)
		o = stack_segment_check(cpu, (uint16_t)sel, cpl, EXC_GP, &ss);
	if (o == OUT_OK)
		o = code_limit_check(cpu, cs, eip);
	if (o != OUT_OK)
		return o;
	cpu->seg[S_SS] = ss;
	cpu->gpr[R_ESP] = stack_pointer_merge(&ss, (uint32_t)cpu->gpr[R_ESP], esp + release);
	enter_code(cpu, cs, eip, cpl);
	return_drop_segments(cpu);
	return OUT_OK;
}

enum outcome cpu_far_return(struct cpu *cpu, const struct insn *insn, uint32_t release_bytes)
{
	struct stack_cursor c = stack_begin(cpu);
	struct cpu_segment cs;
	uint32_t eip, sel;
	enum outcome o = stack_pop(cpu, &c, insn->opsize, &eip);

	if (o == OUT_OK)
		o = stack_pop(cpu, &c, insn->opsize, &sel);
	if (o != OUT_OK)
		return o;
	if (real_addressing(cpu))
		return return_real(cpu, &c, sel, eip, release_bytes);
	transfer_tell(cpu, TRANSFER_RETURN, (uint16_t)sel, eip, insn->opsize, release_bytes);
	o = return_code_check(cpu, (uint16_t)sel, &cs);
	if (o != OUT_OK)
		return o;
	if (selector_rpl(cs.sel) > cpu->cpl)
		return return_outer(cpu, insn, &c, &cs, eip, release_bytes);
	o = code_limit_check(cpu, &cs, eip);
	if (o != OUT_OK)
		return o;
	c.esp = (c.esp & ~c.mask) | ((c.esp + release_bytes) & c.mask);
	stack_commit(cpu, &c);
	enter_code(cpu, &cs, eip, cpu->cpl);
	return OUT_OK;
}

/* ---- instructions ---- */

/* The far pointer: in the instruction or in memory. */
static enum outcome far_pointer(struct cpu *cpu, const struct insn *insn, uint16_t *sel,
				uint32_t *off)
{
	const struct operand *op = &insn->op[0];
	uint8_t raw[6] = {0};
	enum outcome o;

	*off = 0;
	if (op->kind == OP_FAR) {
		*sel = op->far_sel;
		*off = (uint32_t)op->imm;
		return OUT_OK;
	}
	o = mem_read(cpu, op->seg, insn_ea(cpu, insn, op), raw, insn->opsize + 2u);
	if (o != OUT_OK)
		return o;
	for (unsigned i = 0; i < insn->opsize; i++)
		*off |= (uint32_t)raw[i] << 8 * i;
	*sel = (uint16_t)(raw[insn->opsize] | raw[insn->opsize + 1] << 8);
	return OUT_OK;
}

static enum outcome far_instruction(struct cpu *cpu, const struct insn *insn, bool call)
{
	uint16_t sel;
	uint32_t off;
	enum outcome o = far_pointer(cpu, insn, &sel, &off);

	return o == OUT_OK ? far_transfer(cpu, insn, sel, off, call) : o;
}

enum outcome op_jmp_far(struct cpu *cpu, const struct insn *insn)
{
	return far_instruction(cpu, insn, false);
}

enum outcome op_call_far(struct cpu *cpu, const struct insn *insn)
{
	return far_instruction(cpu, insn, true);
}

enum outcome op_ret_far(struct cpu *cpu, const struct insn *insn)
{
	uint32_t release = insn->op[0].kind == OP_IMM ? (uint32_t)insn->op[0].imm & 0xffff : 0;

	return cpu_far_return(cpu, insn, release);
}
