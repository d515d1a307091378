/*
 * CPUID (SDM: "CPUID-CPU Identification"): every leaf from the model alone,
 * nothing from the host, and only what is implemented.
 */
#include "cpu/transfer.h"

#include <string.h>

enum { CACHE_LINE = 64 };

static void leaf_vendor(const struct cpu *cpu, uint32_t out[4])
{
	const struct cpu_model *m = cpu->model;

	out[0] = m->level;
	/* An old system's BIOS switch: old kernels cannot stand more than leaf 3. */
	if ((cpu->msr.misc_enable & MISC_ENABLE_LIMIT_CPUID) && out[0] > 3)
		out[0] = 3;
	memcpy(&out[1], m->vendor, 4);
	memcpy(&out[3], m->vendor + 4, 4);
	memcpy(&out[2], m->vendor + 8, 4);
}

static void leaf_features(const struct cpu *cpu, uint32_t out[4])
{
	const struct cpu_model *m = cpu->model;

	out[0] = model_signature(m);
	out[1] = 1u << 16; /* one logical processor, APIC ID 0 */
	if (cpu_has(cpu, FEAT_1_EDX, F1D_CLFLUSH))
		out[1] |= (CACHE_LINE / 8) << 8;
	out[2] = m->features[FEAT_1_ECX];
	out[3] = m->features[FEAT_1_EDX];
	if (!(cpu->msr.apic_base & APIC_BASE_ENABLE))
		out[3] &= ~(1u << F1D_APIC);
}

/* Descriptors: 32 KiB L1 data (2Ch) and instruction (30h) caches, 2 MiB L2 (7Dh). */
static void leaf_descriptors(uint32_t out[4])
{
	out[0] = 1;
	out[3] = 0x002c307d;
}

/* The same caches as parameters (SDM: "Deterministic Cache Parameters Leaf"). */
static void leaf_cache(uint32_t subleaf, uint32_t out[4])
{
	static const struct {
		uint8_t type, level;
		uint8_t ways;
		uint32_t sets;
	} cache[] = {
		{1, 1, 8, 64},
		{2, 1, 8, 64},
		{3, 2, 8, 4096},
	};

	if (subleaf >= ARRAY_LEN(cache))
		return;
	out[0] = cache[subleaf].type | (uint32_t)cache[subleaf].level << 5 | 1u << 8;
	out[1] = (cache[subleaf].ways - 1u) << 22 | (CACHE_LINE - 1);
	out[2] = cache[subleaf].sets - 1;
}

/* The timer of the local APIC never stops. */
static void leaf_power(const struct cpu *cpu, uint32_t out[4])
{
	if (cpu_has(cpu, FEAT_1_EDX, F1D_APIC))
		out[0] = 1u << 2;
}

static void leaf_extended_features(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
	if (subleaf)
		return;
	out[1] = cpu->model->features[FEAT_7_EBX];
	out[3] = cpu->model->features[FEAT_7_EDX];
}

/* A model that has been told to defer it is not one of the constant ones. */
static const struct cpu_model *with_tsc(const struct cpu *cpu)
{
	if (cpu->model->tsc_asked)
		cpu->model->tsc_asked((struct cpu_model *)cpu->model);
	return cpu->model;
}

/* TSC = crystal * EBX / EAX. */
static void leaf_tsc(const struct cpu_model *m, uint32_t out[4])
{
	out[0] = m->tsc_den;
	out[1] = m->tsc_num;
	out[2] = m->crystal_khz * 1000;
}

static void leaf_frequency(const struct cpu_model *m, uint32_t out[4])
{
	out[0] = out[1] = m->tsc_khz / 1000;
	out[2] = m->tsc_khz ? 100 : 0;
}

static void basic(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	switch (leaf) {
	case 0:
		leaf_vendor(cpu, out);
		break;
	case 1:
		leaf_features(cpu, out);
		break;
	case 2:
		leaf_descriptors(out);
		break;
	case 4:
		leaf_cache(subleaf, out);
		break;
	case 6:
		leaf_power(cpu, out);
		break;
	case 7:
		leaf_extended_features(cpu, subleaf, out);
		break;
	case 0x15:
		leaf_tsc(with_tsc(cpu), out);
		break;
	case 0x16:
		leaf_frequency(with_tsc(cpu), out);
		break;
	default: /* no performance counters (0Ah), topology (0Bh) or XSAVE (0Dh) */
		break;
	}
}

static void extended(const struct cpu *cpu, uint32_t leaf, uint32_t out[4])
{
	const struct cpu_model *m = cpu->model;

	switch (leaf) {
	case 0x80000000:
		out[0] = m->xlevel;
		break;
	case 0x80000001:
		out[2] = m->features[FEAT_81_ECX];
		out[3] = m->features[FEAT_81_EDX];
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		memcpy(out, m->brand + (leaf - 0x80000002) * 16, 16);
		break;
	case 0x80000006: /* 2 MiB L2, 8 ways, 64-byte lines */
		out[2] = 2048u << 16 | 6u << 12 | CACHE_LINE;
		break;
	case 0x80000007:
		out[3] = m->features[FEAT_87_EDX];
		break;
	case 0x80000008:
		out[0] = 32u << 8 |
			 (m->features[FEAT_1_EDX] & (1u << F1D_PAE | 1u << F1D_PSE36) ? PHYS_BITS
										      : 32);
		break;
	default:
		break;
	}
}

/* Software-defined leaves: who we are. No interface of another hypervisor is claimed. */
static void hypervisor(uint32_t leaf, uint32_t out[4])
{
	static const char signature[] = "RingfenceVMM";

	if (leaf != 0x40000000)
		return;
	out[0] = 0x40000000;
	memcpy(&out[1], signature, 12);
}

void cpu_cpuid(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	const struct cpu_model *m = cpu->model;

	memset(out, 0, 4 * sizeof(out[0]));
	if (leaf >= 0x40000000 && leaf <= 0x4fffffff && m->hypervisor_leaf)
		hypervisor(leaf, out);
	else if (leaf >= 0x80000000 && leaf <= m->xlevel)
		extended(cpu, leaf, out);
	else /* out of range: the highest basic leaf answers */
		basic(cpu, leaf <= m->level ? leaf : m->level, subleaf, out);
}

enum outcome op_cpuid(struct cpu *cpu, const struct insn *insn)
{
	uint32_t out[4];

	cpu_cpuid(cpu, (uint32_t)cpu->gpr[R_EAX], (uint32_t)cpu->gpr[R_ECX], out);
	cpu->gpr[R_EAX] = out[0];
	cpu->gpr[R_EBX] = out[1];
	cpu->gpr[R_ECX] = out[2];
	cpu->gpr[R_EDX] = out[3];
	return OUT_OK;
}
