/*
 * Control and debug registers, descriptor-table registers, and the rest of the
 * system instructions.
 *
 * cpu_write_cr and its kin check values, not privilege: the instruction
 * handlers do that, loaders and debuggers need not.
 */
#include "cpu/transfer.h"

#include <string.h>

/* ---- control registers ---- */

/* SDM: "PDPTE Registers". The reserved bits are those of a CPU with PHYS_BITS address bits. */
#define PDPTE_RESERVED (0x1e6ull | PHYS_RESERVED)

enum outcome pdpte_read(struct cpu *cpu, uint64_t cr3, uint64_t out[4])
{
	uint64_t entry[4] = {0};

	if (cpu->ops->read_phys)
		cpu->ops->read_phys(cpu, gpa(cr3 & 0xffffffe0), entry, sizeof(entry));
	for (unsigned i = 0; i < 4; i++) {
		if ((entry[i] & 1) && (entry[i] & PDPTE_RESERVED))
			return cpu_raise_error(cpu, EXC_GP, 0);
	}
	memcpy(out, entry, sizeof(entry));
	return OUT_OK;
}

static enum outcome write_cr0(struct cpu *cpu, uint32_t value)
{
	const uint32_t known = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM |
			       CR0_NW | CR0_CD | CR0_PG;
	uint32_t old = cpu->cr0, changed;
	enum outcome o = OUT_OK;

	value = (value & known) | CR0_ET;
	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		return cpu_raise_error(cpu, EXC_GP, 0);
	changed = old ^ value;
	if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && paging_is_pae(value, cpu->cr4))
		o = pdpte_read(cpu, cpu->cr3, cpu->pdpte);
	if (o != OUT_OK)
		return o;
	cpu->cr0 = value;
	if (changed & (CR0_PG | CR0_PE))
		paging_notify(cpu, true, true);
	else if (changed & CR0_WP)
		paging_notify(cpu, false, false);
	return OUT_OK;
}

static enum outcome write_cr3(struct cpu *cpu, uint32_t value)
{
	enum outcome o = OUT_OK;

	if (paging_is_pae(cpu->cr0, cpu->cr4))
		o = pdpte_read(cpu, value, cpu->pdpte);
	if (o != OUT_OK)
		return o;
	cpu->cr3 = value;
	paging_notify(cpu, true, false);
	return OUT_OK;
}

/* Which CR4 bits exist follows from CPUID; PCE has no feature of its own. */
static uint32_t cr4_known(const struct cpu *cpu)
{
	static const struct {
		uint8_t bit;
		uint32_t cr4;
	} row[] = {
		{F1D_VME, CR4_VME | CR4_PVI}, {F1D_TSC, CR4_TSD}, {F1D_DE, CR4_DE},
		{F1D_PSE, CR4_PSE},	      {F1D_PAE, CR4_PAE}, {F1D_MCE, CR4_MCE},
		{F1D_PGE, CR4_PGE},	      {F1D_MMX, CR4_PCE}, {F1D_FXSR, CR4_OSFXSR},
		{F1D_SSE, CR4_OSXMMEXCPT},
	};
	uint32_t known = 0;

	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		if (cpu_has(cpu, FEAT_1_EDX, row[i].bit))
			known |= row[i].cr4;
	}
	return known;
}

static enum outcome write_cr4(struct cpu *cpu, uint32_t value)
{
	uint32_t changed = cpu->cr4 ^ value;
	enum outcome o = OUT_OK;

	if (value & ~cr4_known(cpu))
		return cpu_raise_error(cpu, EXC_GP, 0);
	if ((changed & (CR4_PAE | CR4_PSE | CR4_PGE)) && paging_is_pae(cpu->cr0, value))
		o = pdpte_read(cpu, cpu->cr3, cpu->pdpte);
	if (o != OUT_OK)
		return o;
	cpu->cr4 = value;
	if (changed & (CR4_PAE | CR4_PSE | CR4_PGE))
		paging_notify(cpu, true, true);
	return OUT_OK;
}

enum outcome cpu_write_cr(struct cpu *cpu, unsigned cr, uint64_t value)
{
	switch (cr) {
	case 0:
		return write_cr0(cpu, (uint32_t)value);
	case 2:
		cpu->cr2 = (uint32_t)value;
		return OUT_OK;
	case 3:
		return write_cr3(cpu, (uint32_t)value);
	case 4:
		return write_cr4(cpu, (uint32_t)value);
	default:
		return cpu_raise(cpu, EXC_UD);
	}
}

enum outcome cpu_read_cr(struct cpu *cpu, unsigned cr, uint64_t *value)
{
	switch (cr) {
	case 0:
		*value = cpu->cr0;
		return OUT_OK;
	case 2:
		*value = cpu->cr2;
		return OUT_OK;
	case 3:
		*value = cpu->cr3;
		return OUT_OK;
	case 4:
		*value = cpu->cr4;
		return OUT_OK;
	default:
		return cpu_raise(cpu, EXC_UD);
	}
}

/* ---- instruction handlers ---- */

static enum outcome require_cpl0(struct cpu *cpu)
{
	return cpu->cpl ? cpu_raise_error(cpu, EXC_GP, 0) : OUT_OK;
}

static unsigned modrm_reg(const struct insn *insn)
{
	return (insn->modrm >> 3) & 7;
}

/* 0F 20 and 22, 0F 21 and 23: the general register is in r/m whatever mod says; bit 1 is the
 * direction. */
enum outcome op_mov_cr(struct cpu *cpu, const struct insn *insn)
{
	unsigned cr = modrm_reg(insn), reg = insn->modrm & 7;
	enum outcome o;

	if (cr == 1 || cr > 4)
		return cpu_raise(cpu, EXC_UD);
	o = require_cpl0(cpu);
	if (o != OUT_OK)
		return o;
	return insn->opcode & 2 ? cpu_write_cr(cpu, cr, (uint32_t)cpu->gpr[reg])
				: cpu_read_cr(cpu, cr, &cpu->gpr[reg]);
}

enum outcome op_mov_dr(struct cpu *cpu, const struct insn *insn)
{
	unsigned dr = modrm_reg(insn), reg = insn->modrm & 7;
	enum outcome o;

	if ((dr == 4 || dr == 5) && (cpu->cr4 & CR4_DE))
		return cpu_raise(cpu, EXC_UD);
	o = require_cpl0(cpu);
	if (o != OUT_OK)
		return o;
	if (cpu->dr[7] & DR7_GD) {
		o = cpu_raise(cpu, EXC_DB);
		cpu->fault.dr6 = DR6_BD;
		return o;
	}
	return insn->opcode & 2 ? cpu_write_dr(cpu, dr, (uint32_t)cpu->gpr[reg])
				: cpu_read_dr(cpu, dr, &cpu->gpr[reg]);
}

enum outcome op_clts(struct cpu *cpu, const struct insn *insn)
{
	enum outcome o = require_cpl0(cpu);

	if (o == OUT_OK)
		cpu->cr0 &= ~(uint32_t)CR0_TS;
	return o;
}

/* LMSW can set PE but not clear it. */
enum outcome op_lmsw(struct cpu *cpu, const struct insn *insn)
{
	const uint32_t low = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	uint32_t value;
	enum outcome o = require_cpl0(cpu);

	if (o == OUT_OK)
		o = op_read(cpu, insn, 0, &value);
	if (o != OUT_OK)
		return o;
	return write_cr0(cpu, (cpu->cr0 & ~(low & ~(uint32_t)CR0_PE)) | (value & low));
}

/* A memory destination is always 16 bits; a 32-bit register gets all of CR0. */
enum outcome op_smsw(struct cpu *cpu, const struct insn *insn)
{
	return op_write(cpu, insn, 0, cpu->cr0);
}

/* INVLPG takes a linear address without limit or type checks. */
enum outcome op_invlpg(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *mem = &insn->op[0];
	enum outcome o;

	if (mem->kind != OP_MEM)
		return cpu_raise(cpu, EXC_UD);
	o = require_cpl0(cpu);
	if (o == OUT_OK && cpu->ops->invlpg)
		cpu->ops->invlpg(
			cpu, gva((uint32_t)(cpu->seg[mem->seg].base + insn_ea(cpu, insn, mem))));
	return o;
}

/* Caches are the host's, always coherent: only the privilege check is left. */
enum outcome op_invd(struct cpu *cpu, const struct insn *insn)
{
	return require_cpl0(cpu);
}

enum outcome op_wbinvd(struct cpu *cpu, const struct insn *insn)
{
	return require_cpl0(cpu);
}

enum outcome op_hlt(struct cpu *cpu, const struct insn *insn)
{
	enum outcome o = require_cpl0(cpu);

	if (o == OUT_OK)
		cpu->halted = 1;
	return o;
}

/* There is no system-management mode to resume from. */
enum outcome op_rsm(struct cpu *cpu, const struct insn *insn)
{
	return cpu_raise(cpu, EXC_UD);
}

/* ---- descriptor-table registers ---- */

static enum outcome load_table(struct cpu *cpu, const struct insn *insn, struct cpu_table *table)
{
	const struct operand *mem = &insn->op[0];
	uint8_t raw[6];
	uint32_t base;
	enum outcome o;

	if (mem->kind != OP_MEM)
		return cpu_raise(cpu, EXC_UD);
	o = require_cpl0(cpu);
	if (o == OUT_OK)
		o = mem_read(cpu, mem->seg, insn_ea(cpu, insn, mem), raw, sizeof(raw));
	if (o != OUT_OK)
		return o;
	memcpy(&table->limit, raw, 2);
	memcpy(&base, raw + 2, 4);
	table->base = insn->opsize == 2 ? base & 0xffffff : base;
	return OUT_OK;
}

static enum outcome store_table(struct cpu *cpu, const struct insn *insn,
				const struct cpu_table *table)
{
	const struct operand *mem = &insn->op[0];
	uint32_t base = insn->opsize == 2 ? table->base & 0xffffff : (uint32_t)table->base;
	uint8_t raw[6];

	if (mem->kind != OP_MEM)
		return cpu_raise(cpu, EXC_UD);
	memcpy(raw, &table->limit, 2);
	memcpy(raw + 2, &base, 4);
	return mem_write(cpu, mem->seg, insn_ea(cpu, insn, mem), raw, sizeof(raw));
}

enum outcome op_lgdt(struct cpu *cpu, const struct insn *insn)
{
	return load_table(cpu, insn, &cpu->gdtr);
}

enum outcome op_lidt(struct cpu *cpu, const struct insn *insn)
{
	return load_table(cpu, insn, &cpu->idtr);
}

enum outcome op_sgdt(struct cpu *cpu, const struct insn *insn)
{
	return store_table(cpu, insn, &cpu->gdtr);
}

enum outcome op_sidt(struct cpu *cpu, const struct insn *insn)
{
	return store_table(cpu, insn, &cpu->idtr);
}

static bool no_selectors(const struct cpu *cpu)
{
	return !cpu_protected(cpu) || cpu_vm86(cpu);
}

/* The descriptor LLDT or LTR names: in the GDT, of one of `types`, present. */
static enum outcome system_descriptor(struct cpu *cpu, uint16_t sel, uint32_t types,
				      struct descriptor *d)
{
	enum outcome o;

	if (selector_local(sel))
		return cpu_raise_error(cpu, EXC_GP, selector_error(sel));
	o = desc_read(cpu, sel, EXC_GP, d);
	if (o != OUT_OK)
		return o;
	if (!desc_is_system(d) || !(types >> desc_type(d) & 1))
		return cpu_raise_error(cpu, EXC_GP, selector_error(sel));
	return desc_present(d) ? OUT_OK : cpu_raise_error(cpu, EXC_NP, selector_error(sel));
}

static enum outcome selector_operand(struct cpu *cpu, const struct insn *insn, uint16_t *sel)
{
	uint32_t value = 0;
	enum outcome o;

	*sel = 0;
	if (no_selectors(cpu))
		return cpu_raise(cpu, EXC_UD);
	o = require_cpl0(cpu);
	if (o == OUT_OK)
		o = op_read(cpu, insn, 0, &value);
	*sel = (uint16_t)value;
	return o;
}

enum outcome op_lldt(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;
	uint16_t sel;
	enum outcome o = selector_operand(cpu, insn, &sel);

	if (o != OUT_OK)
		return o;
	if (selector_null(sel)) {
		segment_set_null(cpu, S_LDTR, sel);
		return OUT_OK;
	}
	o = system_descriptor(cpu, sel, 1u << SYS_LDT, &d);
	if (o == OUT_OK)
		desc_to_segment(&d, sel, &cpu->seg[S_LDTR]);
	return o;
}

enum outcome op_ltr(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;
	uint16_t sel;
	enum outcome o = selector_operand(cpu, insn, &sel);

	if (o == OUT_OK && selector_null(sel))
		o = cpu_raise_error(cpu, EXC_GP, 0);
	if (o == OUT_OK)
		o = system_descriptor(cpu, sel, 1u << SYS_TSS16 | 1u << SYS_TSS32, &d);
	if (o != OUT_OK)
		return o;
	d.hi |= SYS_BUSY << 8;
	o = desc_write_back(cpu, sel, &d);
	if (o == OUT_OK)
		desc_to_segment(&d, sel, &cpu->seg[S_TR]);
	return o;
}

enum outcome op_sldt(struct cpu *cpu, const struct insn *insn)
{
	return no_selectors(cpu) ? cpu_raise(cpu, EXC_UD)
				 : op_write(cpu, insn, 0, cpu->seg[S_LDTR].sel);
}

enum outcome op_str(struct cpu *cpu, const struct insn *insn)
{
	return no_selectors(cpu) ? cpu_raise(cpu, EXC_UD)
				 : op_write(cpu, insn, 0, cpu->seg[S_TR].sel);
}
