/*
 * Debug registers (SDM: "Debug Registers"): values, and matching of accesses.
 *
 * Matching returns the DR6 bits of the breakpoints that are enabled and hit.
 * Data and I/O breakpoints are traps, collected in cpu->pending_db; instruction
 * breakpoints are faults and are looked for before the instruction runs.
 */
#include "cpu/transfer.h"

enum { RW_EXEC = 0, RW_WRITE = 1, RW_IO = 2, RW_ACCESS = 3 };

static unsigned alias(unsigned dr)
{
	return dr == 4 || dr == 5 ? dr + 2 : dr;
}

enum outcome cpu_write_dr(struct cpu *cpu, unsigned dr, uint64_t value)
{
	uint32_t v = (uint32_t)value;

	if ((dr == 4 || dr == 5) && (cpu->cr4 & CR4_DE))
		return cpu_raise(cpu, EXC_UD);
	switch (alias(dr)) {
	case 6:
		cpu->dr[6] = (v & DR6_WRITABLE) | DR6_FIXED;
		return OUT_OK;
	case 7:
		cpu->dr[7] = (v & DR7_WRITABLE) | DR7_FIXED;
		return OUT_OK;
	default:
		cpu->dr[dr & 3] = v;
		return OUT_OK;
	}
}

enum outcome cpu_read_dr(struct cpu *cpu, unsigned dr, uint64_t *value)
{
	if ((dr == 4 || dr == 5) && (cpu->cr4 & CR4_DE))
		return cpu_raise(cpu, EXC_UD);
	*value = cpu->dr[alias(dr) & 7];
	return OUT_OK;
}

static bool enabled(const struct cpu *cpu, unsigned n)
{
	return cpu->dr[7] >> (2 * n) & 3;
}

static unsigned kind(const struct cpu *cpu, unsigned n)
{
	return (cpu->dr[7] >> (16 + 4 * n)) & 3;
}

/* Length code 2 is 8 bytes on processors that have it, undefined on others. */
static unsigned length(const struct cpu *cpu, unsigned n)
{
	static const uint8_t bytes[] = {1, 2, 8, 4};

	return bytes[(cpu->dr[7] >> (18 + 4 * n)) & 3];
}

/* Do [addr, addr+len) and breakpoint n overlap? Its low address bits are ignored by its length. */
static bool overlaps(const struct cpu *cpu, unsigned n, uint32_t addr, unsigned len)
{
	uint32_t size = length(cpu, n);
	uint32_t start = (uint32_t)cpu->dr[n] & ~(size - 1);

	return addr - start < size || start - addr < len;
}

uint32_t debug_match_data(const struct cpu *cpu, uint64_t linear, unsigned len, unsigned acc)
{
	uint32_t hit = 0;

	for (unsigned n = 0; n < 4; n++) {
		bool wanted = kind(cpu, n) == RW_ACCESS ||
			      (kind(cpu, n) == RW_WRITE && (acc & ACC_WRITE));

		if (enabled(cpu, n) && wanted && overlaps(cpu, n, (uint32_t)linear, len))
			hit |= 1u << n;
	}
	return hit;
}

uint32_t debug_match_io(const struct cpu *cpu, uint16_t port, unsigned len)
{
	uint32_t hit = 0;

	if (!(cpu->cr4 & CR4_DE))
		return 0;
	for (unsigned n = 0; n < 4; n++) {
		if (enabled(cpu, n) && kind(cpu, n) == RW_IO && overlaps(cpu, n, port, len))
			hit |= 1u << n;
	}
	return hit;
}

uint32_t debug_match_exec(const struct cpu *cpu, uint64_t linear)
{
	uint32_t hit = 0;

	if (cpu->eflags & FL_RF)
		return 0;
	for (unsigned n = 0; n < 4; n++) {
		if (enabled(cpu, n) && kind(cpu, n) == RW_EXEC &&
		    (uint32_t)cpu->dr[n] == (uint32_t)linear)
			hit |= 1u << n;
	}
	return hit;
}
