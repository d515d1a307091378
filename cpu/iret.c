/*
 * IRET in all its variants (SDM: IRET/IRETD): real and vm86 mode, same and
 * outer privilege, return to vm86 mode, return from a nested task.
 *
 * A successful IRET ends the blocking of NMIs.
 */
#include "cpu/transfer.h"

enum outcome return_code_check(struct cpu *cpu, uint16_t sel, struct cpu_segment *out)
{
	struct descriptor d;
	unsigned rpl = selector_rpl(sel);
	enum outcome o;

	if (selector_null(sel))
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = desc_read(cpu, sel, EXC_GP, &d);
	if (o != OUT_OK)
		return o;
	bool privilege = desc_is_conforming(&d) ? desc_dpl(&d) <= rpl : desc_dpl(&d) == rpl;
	if (!desc_is_code(&d) || rpl < cpu->cpl || !privilege)
		return cpu_raise_error(cpu, EXC_GP, selector_error(sel));
	if (!desc_present(&d))
		return cpu_raise_error(cpu, EXC_NP, selector_error(sel));
	o = desc_mark_accessed(cpu, sel, &d);
	if (o == OUT_OK)
		desc_to_segment(&d, sel, out);
	return o;
}

void return_drop_segments(struct cpu *cpu)
{
	static const uint8_t data[] = {S_ES, S_FS, S_GS, S_DS};

	for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
		const struct cpu_segment *s = &cpu->seg[data[i]];
		bool conforming = (s->attr & (SEG_CODE | SEG_DOWN)) == (SEG_CODE | SEG_DOWN);

		if (!(s->attr & SEG_NULL) && !conforming && segment_dpl(s) < cpu->cpl)
			segment_set_null(cpu, data[i], 0);
	}
}

/* What IRET may write, before IF and IOPL are filtered by privilege. */
static uint32_t iret_mask(unsigned opsize)
{
	uint32_t mask = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT;

	return opsize == 4 ? mask | FL_RF | FL_AC | FL_ID : mask;
}

static enum outcome iret_real(struct cpu *cpu, const struct insn *insn,
			      const struct stack_cursor *c, const uint32_t popped[3])
{
	enum outcome o = code_limit_check(cpu, &cpu->seg[S_CS], popped[0]);

	if (o != OUT_OK)
		return o;
	stack_commit(cpu, c);
	cpu_set_real_segment(cpu, S_CS, (uint16_t)popped[1]);
	cpu->rip = popped[0];
	cpu_write_eflags(cpu, popped[2], iret_mask(insn->opsize));
	cpu->nmi_block = 0;
	return OUT_OK;
}

/* SDM: RETURN-TO-VIRTUAL-8086-MODE. ESP, SS, ES, DS, FS, GS follow EFLAGS. */
static enum outcome iret_to_vm86(struct cpu *cpu, struct stack_cursor *c, const uint32_t popped[3])
{
	static const uint8_t order[] = {S_SS, S_ES, S_DS, S_FS, S_GS};
	uint32_t esp, sel[ARRAY_LEN(order)];
	enum outcome o = stack_pop(cpu, c, 4, &esp);

	for (unsigned i = 0; i < ARRAY_LEN(order) && o == OUT_OK; i++)
		o = stack_pop(cpu, c, 4, &sel[i]);
	if (o == OUT_OK && popped[0] > 0xffff)
		o = cpu_raise_error(cpu, EXC_GP, 0);
	if (o != OUT_OK)
		return o;
	cpu_write_eflags(cpu, popped[2], iret_mask(4));
	cpu->eflags |= FL_VM;
	cpu->cpl = 3;
	cpu_set_real_segment(cpu, S_CS, (uint16_t)popped[1]);
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		cpu_set_real_segment(cpu, order[i], (uint16_t)sel[i]);
	cpu->gpr[R_ESP] = esp;
	cpu->rip = popped[0];
	cpu->nmi_block = 0;
	return OUT_OK;
}

static enum outcome iret_outer_stack(struct cpu *cpu, const struct insn *insn,
				     struct stack_cursor *c, unsigned cpl, struct cpu_segment *ss,
				     uint32_t *esp)
{
	uint32_t sel;
	enum outcome o = stack_pop(cpu, c, insn->opsize, esp);

	if (o == OUT_OK)
		o = stack_pop(cpu, c, insn->opsize, &sel);
	return o == OUT_OK ? stack_segment_check(cpu, (uint16_t)sel, cpl, EXC_GP, ss) : o;
}

static enum outcome iret_protected(struct cpu *cpu, const struct insn *insn, struct stack_cursor *c,
				   const uint32_t popped[3])
{
	struct cpu_segment cs, ss;
	uint32_t esp;
	enum outcome o = return_code_check(cpu, (uint16_t)popped[1], &cs);

	if (o != OUT_OK)
		return o;
	unsigned cpl = selector_rpl(cs.sel);
	bool outer = cpl > cpu->cpl;
	if (outer)
		o = iret_outer_stack(cpu, insn, c, cpl, &ss, &esp);
	if (o == OUT_OK)
		o = code_limit_check(cpu, &cs, popped[0]);
	if (o != OUT_OK)
		return o;
	/* The privilege that executes IRET filters the flags, not the one returned to. */
	cpu_write_eflags(cpu, popped[2], iret_mask(insn->opsize));
	cpu->seg[S_CS] = cs;
	cpu->rip = popped[0];
	cpu->cpl = (uint8_t)cpl;
	cpu->nmi_block = 0;
	if (!outer) {
		stack_commit(cpu, c);
		return OUT_OK;
	}
	cpu->seg[S_SS] = ss;
	cpu->gpr[R_ESP] = stack_pointer_merge(&ss, (uint32_t)cpu->gpr[R_ESP], esp);
	return_drop_segments(cpu);
	return OUT_OK;
}

/* NT is set: the back link of the current TSS names the task to return to. */
static enum outcome iret_task(struct cpu *cpu, const struct insn *insn)
{
	uint16_t link;
	enum outcome o = cpu->ops->read(cpu, gva(cpu->seg[S_TR].base), &link, 2, ACC_READ);

	if (o != OUT_OK)
		return o;
	o = cpu_task_switch(cpu, link, TASK_IRET, (uint32_t)insn->next, false, 0);
	if (o == OUT_OK)
		cpu->nmi_block = 0;
	return o;
}

enum outcome op_iret(struct cpu *cpu, const struct insn *insn)
{
	bool protected_mode = cpu_protected(cpu) && !cpu_vm86(cpu);
	struct stack_cursor c = stack_begin(cpu);
	uint32_t popped[3]; /* EIP, CS, EFLAGS */
	enum outcome o = OUT_OK;

	if (cpu_vm86(cpu) && cpu_iopl(cpu) < 3)
		return cpu_raise_error(cpu, EXC_GP, 0);
	if (protected_mode && (cpu->eflags & FL_NT))
		return iret_task(cpu, insn);
	for (unsigned i = 0; i < 3 && o == OUT_OK; i++)
		o = stack_pop(cpu, &c, insn->opsize, &popped[i]);
	if (o != OUT_OK)
		return o;
	if (!protected_mode)
		return iret_real(cpu, insn, &c, popped);
	transfer_tell(cpu, TRANSFER_IRET, (uint16_t)popped[1], popped[0], insn->opsize, 0);
	if (insn->opsize == 4 && (popped[2] & FL_VM) && cpu->cpl == 0)
		return iret_to_vm86(cpu, &c, popped);
	return iret_protected(cpu, insn, &c, popped);
}
