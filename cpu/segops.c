/*
 * Instructions on segment registers and selectors: MOV, PUSH, POP, LDS and
 * kin, LAR, LSL, VERR, VERW, ARPL.
 */
#include "cpu/transfer.h"

static unsigned modrm_reg(const struct insn *insn)
{
	return (insn->modrm >> 3) & 7;
}

/*
 * A write of SS holds off events until the next instruction has loaded ESP
 * (SDM: "Masking Exceptions and Interrupts When Switching Stacks").
 */
static enum outcome load_and_shadow(struct cpu *cpu, unsigned seg, uint16_t sel)
{
	enum outcome o = cpu_load_segment(cpu, seg, sel);

	if (o == OUT_OK && seg == S_SS)
		cpu->shadow |= SHADOW_SS;
	return o;
}

enum outcome op_mov_sreg(struct cpu *cpu, const struct insn *insn)
{
	unsigned seg = modrm_reg(insn);
	uint32_t value;
	enum outcome o;

	if (seg > S_GS)
		return cpu_raise(cpu, EXC_UD);
	if (insn->opcode == 0x8c)
		return op_write(cpu, insn, 0, cpu->seg[seg].sel);
	if (seg == S_CS)
		return cpu_raise(cpu, EXC_UD);
	o = op_read(cpu, insn, 1, &value);
	return o == OUT_OK ? load_and_shadow(cpu, seg, (uint16_t)value) : o;
}

/* PUSH and POP of a segment register carry its number in bits 3-5 of the opcode, in both maps. */
static unsigned opcode_seg(const struct insn *insn)
{
	return (insn->opcode >> 3) & 7;
}

enum outcome op_push_sreg(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	enum outcome o = stack_push(cpu, &c, insn->opsize, cpu->seg[opcode_seg(insn)].sel);

	if (o == OUT_OK)
		stack_commit(cpu, &c);
	return o;
}

enum outcome op_pop_sreg(struct cpu *cpu, const struct insn *insn)
{
	struct stack_cursor c = stack_begin(cpu);
	uint32_t value;
	enum outcome o = stack_pop(cpu, &c, insn->opsize, &value);

	if (o == OUT_OK)
		o = load_and_shadow(cpu, opcode_seg(insn), (uint16_t)value);
	if (o == OUT_OK)
		stack_commit(cpu, &c);
	return o;
}

static unsigned far_pointer_seg(const struct insn *insn)
{
	switch (insn->opcode) {
	case 0xc4:
		return S_ES;
	case 0xc5:
		return S_DS;
	case 0xb2:
		return S_SS;
	case 0xb4:
		return S_FS;
	default:
		return S_GS;
	}
}

enum outcome op_load_far_pointer(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *mem = &insn->op[1];
	uint8_t raw[6] = {0};
	uint32_t offset = 0;
	enum outcome o;

	if (mem->kind != OP_MEM)
		return cpu_raise(cpu, EXC_UD);
	o = mem_read(cpu, mem->seg, insn_ea(cpu, insn, mem), raw, insn->opsize + 2u);
	if (o != OUT_OK)
		return o;
	for (unsigned i = 0; i < insn->opsize; i++)
		offset |= (uint32_t)raw[i] << 8 * i;
	/* LSS loads ESP in the same instruction: no shadow is needed. */
	o = cpu_load_segment(cpu, far_pointer_seg(insn),
			     (uint16_t)(raw[insn->opsize] | raw[insn->opsize + 1] << 8));
	if (o == OUT_OK)
		reg_set(cpu, insn->op[0].reg, insn->opsize, offset);
	return o;
}

/* ---- looking at descriptors ---- */

static bool no_selectors(const struct cpu *cpu)
{
	return !cpu_protected(cpu) || cpu_vm86(cpu);
}

static void set_zf(struct cpu *cpu, bool on)
{
	cpu->eflags = on ? cpu->eflags | FL_ZF : cpu->eflags & ~(uint32_t)FL_ZF;
}

/* Is the descriptor one the current privilege and the selector's RPL may see? */
static bool visible(const struct cpu *cpu, uint16_t sel, const struct descriptor *d)
{
	return desc_is_conforming(d) ||
	       (desc_dpl(d) >= cpu->cpl && desc_dpl(d) >= selector_rpl(sel));
}

/* System types LAR and LSL accept, as bit sets (SDM: LAR, LSL). */
enum {
	LSL_TYPES = 1 << SYS_TSS16 | 1 << SYS_LDT | 1 << SYS_TSS16_BUSY | 1 << SYS_TSS32 |
		    1 << SYS_TSS32_BUSY,
	LAR_TYPES = LSL_TYPES | 1 << SYS_CALL16 | 1 << SYS_TASK_GATE | 1 << SYS_CALL32,
};

/* The descriptor of operand `n`; *ok = false where the instruction just clears ZF. */
static enum outcome inspect(struct cpu *cpu, const struct insn *insn, unsigned n, uint32_t types,
			    struct descriptor *d, bool *ok)
{
	uint32_t sel;
	enum outcome o;

	*ok = false;
	if (no_selectors(cpu))
		return cpu_raise(cpu, EXC_UD);
	o = op_read(cpu, insn, n, &sel);
	if (o != OUT_OK || selector_null((uint16_t)sel))
		return o;
	o = desc_find(cpu, (uint16_t)sel, d, ok);
	if (o != OUT_OK || !*ok)
		return o;
	if (desc_is_system(d))
		*ok = types >> desc_type(d) & 1;
	*ok = *ok && visible(cpu, (uint16_t)sel, d);
	return OUT_OK;
}

enum outcome op_lar(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;
	bool ok;
	enum outcome o = inspect(cpu, insn, 1, LAR_TYPES, &d, &ok);

	if (o != OUT_OK)
		return o;
	if (ok)
		reg_set(cpu, insn->op[0].reg, insn->opsize,
			d.hi & (insn->opsize == 2 ? 0xff00 : 0x00f0ff00));
	set_zf(cpu, ok);
	return OUT_OK;
}

enum outcome op_lsl(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;
	struct cpu_segment s;
	bool ok;
	enum outcome o = inspect(cpu, insn, 1, LSL_TYPES, &d, &ok);

	if (o != OUT_OK)
		return o;
	if (ok) {
		desc_to_segment(&d, 0, &s);
		reg_set(cpu, insn->op[0].reg, insn->opsize, s.limit);
	}
	set_zf(cpu, ok);
	return OUT_OK;
}

enum outcome op_verr(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;
	bool ok;
	enum outcome o = inspect(cpu, insn, 0, 0, &d, &ok);

	if (o == OUT_OK)
		set_zf(cpu, ok && (!desc_is_code(&d) || (desc_type(&d) & SEG_WRITE)));
	return o;
}

enum outcome op_verw(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;
	bool ok;
	enum outcome o = inspect(cpu, insn, 0, 0, &d, &ok);

	if (o == OUT_OK)
		set_zf(cpu, ok && desc_is_writable_data(&d));
	return o;
}

enum outcome op_arpl(struct cpu *cpu, const struct insn *insn)
{
	uint32_t dst, src;
	enum outcome o;

	if (no_selectors(cpu))
		return cpu_raise(cpu, EXC_UD);
	o = op_read(cpu, insn, 1, &src);
	if (o == OUT_OK)
		o = op_read_rmw(cpu, insn, 0, &dst);
	if (o != OUT_OK)
		return o;
	bool raise = (dst & 3) < (src & 3);
	if (raise)
		o = op_write(cpu, insn, 0, (dst & ~3u) | (src & 3));
	if (o == OUT_OK)
		set_zf(cpu, raise);
	return o;
}
