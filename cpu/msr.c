/*
 * Model-specific registers: one table row per register or range, with the
 * CPUID feature that brings it. What has no row is asked of the machine
 * (ops->rdmsr, ops->wrmsr) and is #GP(0) if it does not know it either.
 */
#include "cpu/transfer.h"

typedef uint64_t msr_get(const struct cpu *, uint32_t index);
typedef bool msr_set(struct cpu *, uint32_t index, uint64_t value); /* false: #GP */

enum { ALWAYS = 0xff, MC_BANKS = 4, VARIABLE_MTRRS = 8, FAMILY_6 = 6 };

/* ---- value checks ---- */

/* Memory types 0, 1, 4, 5, 6; PAT also has 7 (UC-). */
static bool memory_types(uint64_t value, unsigned mask)
{
	for (unsigned i = 0; i < 8; i++, value >>= 8) {
		unsigned type = value & 0xff;
		if (type > 7 || !(mask >> type & 1))
			return false;
	}
	return true;
}
enum { MTRR_TYPES = 0x73, PAT_TYPES = 0xf3 };

/* ---- registers that are plain state ---- */

static uint64_t get_zero(const struct cpu *cpu, uint32_t i)
{
	return 0;
}

static bool set_ignored(struct cpu *cpu, uint32_t i, uint64_t v)
{
	return true;
}

/* Registers the hardware loads with errors: software may only clear them. */
static bool set_zero(struct cpu *cpu, uint32_t i, uint64_t v)
{
	return v == 0;
}

static uint64_t get_tsc(const struct cpu *cpu, uint32_t i)
{
	return cpu_tsc(cpu);
}

static bool set_tsc(struct cpu *cpu, uint32_t i, uint64_t v)
{
	uint64_t delta = v - cpu_tsc(cpu);

	cpu->tsc_offset = (int64_t)((uint64_t)cpu->tsc_offset + delta);
	cpu->msr.tsc_adjust += delta;
	return true;
}

static uint64_t get_tsc_adjust(const struct cpu *cpu, uint32_t i)
{
	return cpu->msr.tsc_adjust;
}

static bool set_tsc_adjust(struct cpu *cpu, uint32_t i, uint64_t v)
{
	cpu->tsc_offset = (int64_t)((uint64_t)cpu->tsc_offset + (v - cpu->msr.tsc_adjust));
	cpu->msr.tsc_adjust = v;
	return true;
}

static uint64_t get_apic_base(const struct cpu *cpu, uint32_t i)
{
	return cpu->msr.apic_base;
}

static bool set_apic_base(struct cpu *cpu, uint32_t i, uint64_t v)
{
	if (v & (0xfffull & ~(uint64_t)(APIC_BASE_BSP | APIC_BASE_ENABLE)) || v & PHYS_RESERVED)
		return false;
	cpu->msr.apic_base = v;
	if (cpu->ops->apic_base_changed)
		cpu->ops->apic_base_changed(cpu);
	return true;
}

static uint64_t get_sysenter(const struct cpu *cpu, uint32_t i)
{
	const uint64_t value[] = {cpu->msr.sysenter_cs, cpu->msr.sysenter_esp,
				  cpu->msr.sysenter_eip};

	return value[i - 0x174];
}

static bool set_sysenter(struct cpu *cpu, uint32_t i, uint64_t v)
{
	uint64_t *reg[] = {&cpu->msr.sysenter_cs, &cpu->msr.sysenter_esp, &cpu->msr.sysenter_eip};

	*reg[i - 0x174] = (uint32_t)v;
	return true;
}

static uint64_t get_pat(const struct cpu *cpu, uint32_t i)
{
	return cpu->msr.pat;
}

static bool set_pat(struct cpu *cpu, uint32_t i, uint64_t v)
{
	if (!memory_types(v, PAT_TYPES))
		return false;
	cpu->msr.pat = v;
	return true;
}

/*
 * The microcode revision, whatever is written: an update is accepted and does
 * nothing (SDM: "Determining the Signature"). It is recent enough that Linux
 * does not see an n270 with its early large-page erratum.
 */
static uint64_t get_bios_sign_id(const struct cpu *cpu, uint32_t i)
{
	return 0x218ull << 32;
}

static uint64_t get_misc_enable(const struct cpu *cpu, uint32_t i)
{
	return cpu->msr.misc_enable;
}

static bool set_misc_enable(struct cpu *cpu, uint32_t i, uint64_t v)
{
	const uint64_t writable = MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_LIMIT_CPUID;

	if (v >> 40)
		return false;
	cpu->msr.misc_enable = (cpu->msr.misc_enable & ~writable) | (v & writable);
	return true;
}

static uint64_t get_arch_capabilities(const struct cpu *cpu, uint32_t i)
{
	return cpu->model->arch_capabilities;
}

/* LBR and BTF are stored; branch recording and branch stepping are not done. */
static uint64_t get_debugctl(const struct cpu *cpu, uint32_t i)
{
	return cpu->msr.spare[0];
}

static bool set_debugctl(struct cpu *cpu, uint32_t i, uint64_t v)
{
	if (v & ~3ull)
		return false;
	cpu->msr.spare[0] = v;
	return true;
}

/* ---- EFER ---- */

static uint64_t get_efer(const struct cpu *cpu, uint32_t i)
{
	return cpu->efer;
}

static bool set_efer(struct cpu *cpu, uint32_t i, uint64_t v)
{
	if (v & ~(uint64_t)EFER_NXE)
		return false;
	bool changed = cpu->efer != v;
	cpu->efer = v;
	if (changed)
		paging_notify(cpu, true, true);
	return true;
}

/* ---- MTRRs (SDM: "Memory Type Range Registers"): kept and checked, without effect ---- */

static uint64_t get_mtrr_cap(const struct cpu *cpu, uint32_t i)
{
	return 0x500 | VARIABLE_MTRRS; /* write-combining, fixed ranges */
}

static uint64_t get_mtrr_variable(const struct cpu *cpu, uint32_t i)
{
	unsigned n = (i - 0x200) / 2;

	return i & 1 ? cpu->msr.mtrr_mask[n] : cpu->msr.mtrr_base[n];
}

static bool set_mtrr_variable(struct cpu *cpu, uint32_t i, uint64_t v)
{
	unsigned n = (i - 0x200) / 2;

	if (v & PHYS_RESERVED)
		return false;
	if (i & 1) {
		if (v & 0x7ff)
			return false;
		cpu->msr.mtrr_mask[n] = v;
		return true;
	}
	if ((v & 0xf00) || (v & 0xff) > 6 || !(MTRR_TYPES >> (v & 0xff) & 1))
		return false;
	cpu->msr.mtrr_base[n] = v;
	return true;
}

/* 250h: 64 KiB ranges; 258h, 259h: 16 KiB; 268h-26Fh: 4 KiB. */
static unsigned fixed_index(uint32_t i)
{
	if (i == 0x250)
		return 0;
	return i < 0x260 ? 1 + (i - 0x258) : 3 + (i - 0x268);
}

static uint64_t get_mtrr_fixed(const struct cpu *cpu, uint32_t i)
{
	return cpu->msr.mtrr_fixed[fixed_index(i)];
}

static bool set_mtrr_fixed(struct cpu *cpu, uint32_t i, uint64_t v)
{
	if (!memory_types(v, MTRR_TYPES))
		return false;
	cpu->msr.mtrr_fixed[fixed_index(i)] = v;
	return true;
}

static uint64_t get_mtrr_def_type(const struct cpu *cpu, uint32_t i)
{
	return cpu->msr.mtrr_def_type;
}

static bool set_mtrr_def_type(struct cpu *cpu, uint32_t i, uint64_t v)
{
	if ((v & ~0xcffull) || (v & 0xff) > 6 || !(MTRR_TYPES >> (v & 0xff) & 1))
		return false;
	cpu->msr.mtrr_def_type = v;
	return true;
}

/* ---- machine check: banks that never report ---- */

static uint64_t get_mcg_cap(const struct cpu *cpu, uint32_t i)
{
	return MC_BANKS;
}

static uint64_t get_mcg_status(const struct cpu *cpu, uint32_t i)
{
	return cpu->msr.mcg_status;
}

static bool set_mcg_status(struct cpu *cpu, uint32_t i, uint64_t v)
{
	if (v)
		return false;
	cpu->msr.mcg_status = 0;
	return true;
}

/* Four registers a bank: CTL, STATUS, ADDR, MISC. */
static uint64_t get_mc_bank(const struct cpu *cpu, uint32_t i)
{
	unsigned bank = (i - 0x400) / 4;

	switch (i & 3) {
	case 0:
		return cpu->msr.mc_ctl[bank];
	case 1:
		return cpu->msr.mc_status[bank];
	default:
		return 0;
	}
}

static bool set_mc_bank(struct cpu *cpu, uint32_t i, uint64_t v)
{
	unsigned bank = (i - 0x400) / 4;

	if ((i & 3) == 0) {
		cpu->msr.mc_ctl[bank] = v;
		return true;
	}
	return v == 0;
}

/* ---- the table ---- */

struct msr_row {
	uint32_t first, last;
	uint8_t word, bit; /* CPUID feature; word ALWAYS: none needed */
	uint8_t min_family;
	msr_get *get; /* null: write-only */
	msr_set *set; /* null: read-only */
};

static const struct msr_row rows[] = {
	{0x000, 0x001, FEAT_1_EDX, F1D_MCE, 5, get_zero, set_ignored}, /* P5_MC_ADDR, P5_MC_TYPE */
	{0x010, 0x010, FEAT_1_EDX, F1D_TSC, 5, get_tsc, set_tsc},
	{0x017, 0x017, ALWAYS, 0, FAMILY_6, get_zero, NULL}, /* PLATFORM_ID */
	{0x01b, 0x01b, FEAT_1_EDX, F1D_APIC, FAMILY_6, get_apic_base, set_apic_base},
	{0x02a, 0x02a, ALWAYS, 0, FAMILY_6, get_zero, set_zero}, /* EBL_CR_POWERON */
	{0x03b, 0x03b, FEAT_7_EBX, F7B_TSC_ADJUST, FAMILY_6, get_tsc_adjust, set_tsc_adjust},
	{0x079, 0x079, ALWAYS, 0, FAMILY_6, NULL, set_ignored}, /* BIOS_UPDT_TRIG */
	{0x08b, 0x08b, ALWAYS, 0, FAMILY_6, get_bios_sign_id, set_ignored},
	{0x0fe, 0x0fe, FEAT_1_EDX, F1D_MTRR, FAMILY_6, get_mtrr_cap, NULL},
	{0x10a, 0x10a, FEAT_7_EDX, F7D_ARCH_CAP, FAMILY_6, get_arch_capabilities, NULL},
	{0x174, 0x176, FEAT_1_EDX, F1D_SEP, FAMILY_6, get_sysenter, set_sysenter},
	{0x179, 0x179, FEAT_1_EDX, F1D_MCA, FAMILY_6, get_mcg_cap, NULL},
	{0x17a, 0x17a, FEAT_1_EDX, F1D_MCA, FAMILY_6, get_mcg_status, set_mcg_status},
	{0x1a0, 0x1a0, ALWAYS, 0, FAMILY_6, get_misc_enable, set_misc_enable},
	{0x1d9, 0x1d9, ALWAYS, 0, FAMILY_6, get_debugctl, set_debugctl},
	{0x200, 0x20f, FEAT_1_EDX, F1D_MTRR, FAMILY_6, get_mtrr_variable, set_mtrr_variable},
	{0x250, 0x250, FEAT_1_EDX, F1D_MTRR, FAMILY_6, get_mtrr_fixed, set_mtrr_fixed},
	{0x258, 0x259, FEAT_1_EDX, F1D_MTRR, FAMILY_6, get_mtrr_fixed, set_mtrr_fixed},
	{0x268, 0x26f, FEAT_1_EDX, F1D_MTRR, FAMILY_6, get_mtrr_fixed, set_mtrr_fixed},
	{0x277, 0x277, FEAT_1_EDX, F1D_PAT, FAMILY_6, get_pat, set_pat},
	{0x2ff, 0x2ff, FEAT_1_EDX, F1D_MTRR, FAMILY_6, get_mtrr_def_type, set_mtrr_def_type},
	{0x400, 0x400 + 4 * MC_BANKS - 1, FEAT_1_EDX, F1D_MCA, FAMILY_6, get_mc_bank, set_mc_bank},
	{0xc0000080, 0xc0000080, FEAT_81_EDX, F81D_NX, FAMILY_6, get_efer, set_efer},
};

static const struct msr_row *find(const struct cpu *cpu, uint32_t index)
{
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const struct msr_row *r = &rows[i];

		if (index < r->first || index > r->last)
			continue;
		if (cpu->model->family < r->min_family)
			return NULL;
		if (r->word != ALWAYS && !cpu_has(cpu, r->word, r->bit))
			return NULL;
		return r;
	}
	return NULL;
}

enum outcome cpu_rdmsr(struct cpu *cpu, uint32_t index, uint64_t *value)
{
	const struct msr_row *r = find(cpu, index);

	if (r && r->get) {
		*value = r->get(cpu, index);
		return OUT_OK;
	}
	if (!r && cpu->ops->rdmsr && cpu->ops->rdmsr(cpu, index, value))
		return OUT_OK;
	return cpu_raise_error(cpu, EXC_GP, 0);
}

enum outcome cpu_wrmsr(struct cpu *cpu, uint32_t index, uint64_t value)
{
	const struct msr_row *r = find(cpu, index);

	if (r && r->set && r->set(cpu, index, value))
		return OUT_OK;
	if (!r && cpu->ops->wrmsr && cpu->ops->wrmsr(cpu, index, value))
		return OUT_OK;
	return cpu_raise_error(cpu, EXC_GP, 0);
}

enum outcome op_rdmsr(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value;
	enum outcome o;

	if (cpu->cpl)
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = cpu_rdmsr(cpu, (uint32_t)cpu->gpr[R_ECX], &value);
	if (o != OUT_OK)
		return o;
	cpu->gpr[R_EAX] = (uint32_t)value;
	cpu->gpr[R_EDX] = (uint32_t)(value >> 32);
	return OUT_OK;
}

enum outcome op_wrmsr(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value = (uint32_t)cpu->gpr[R_EAX] | cpu->gpr[R_EDX] << 32;

	if (cpu->cpl)
		return cpu_raise_error(cpu, EXC_GP, 0);
	return cpu_wrmsr(cpu, (uint32_t)cpu->gpr[R_ECX], value);
}
