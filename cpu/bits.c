/*
 * Bit tests, scans, byte swap, population count and CRC32.
 */
#include "cpu/hostop.h"
#include "cpu/ops.h"

HOST_BINARY_WL(bt)
HOST_BINARY_WL(bts)
HOST_BINARY_WL(btr)
HOST_BINARY_WL(btc)
HOST_BINARY_SIZED(bsf, w, uint16_t, uint16_t, "r", "%[s]")
HOST_BINARY_SIZED(bsf, l, uint32_t, uint32_t, "r", "%[s]")
HOST_BINARY_SIZED(bsr, w, uint16_t, uint16_t, "r", "%[s]")
HOST_BINARY_SIZED(bsr, l, uint32_t, uint32_t, "r", "%[s]")
HOST_BINARY_SIZED(popcnt, w, uint16_t, uint16_t, "r", "%[s]")
HOST_BINARY_SIZED(popcnt, l, uint32_t, uint32_t, "r", "%[s]")

/*
 * With a register index and a memory operand, the bit string starts at the
 * operand and the signed index reaches around it (SDM: "Bit(BitBase, BitOffset)").
 */
static uint32_t bit_string_offset(const struct cpu *cpu, const struct insn *insn, uint32_t index)
{
	unsigned size = insn->op[0].size;
	int32_t signed_index = size == 2 ? (int16_t)index : (int32_t)index;
	uint32_t ea = insn_ea(cpu, insn, &insn->op[0]);

	if (insn->op[1].kind == OP_REG)
		ea += (uint32_t)((signed_index >> (size == 2 ? 4 : 5)) * (int)size);
	return insn->addrsize == 4 ? ea : ea & 0xffff;
}

static enum outcome bit_op(struct cpu *cpu, const struct insn *insn, host_binary *const fn[],
			   bool modifies)
{
	const struct operand *d = &insn->op[0];
	uint32_t a = 0, index, off = 0, flags = cpu->eflags;
	enum outcome out = op_read(cpu, insn, 1, &index);

	if (out != OUT_OK)
		return out;
	if (d->kind == OP_REG) {
		a = reg_get(cpu, d->reg, d->size);
	} else {
		off = bit_string_offset(cpu, insn, index);
		out = modifies ? mem_read_rmw(cpu, d->seg, off, &a, d->size)
			       : mem_read(cpu, d->seg, off, &a, d->size);
	}
	if (out != OUT_OK)
		return out;
	a = fn[size_index(d->size)](a, index & (d->size * 8 - 1), &flags);
	if (modifies && d->kind == OP_REG)
		reg_set(cpu, d->reg, d->size, a);
	else if (modifies)
		out = mem_write(cpu, d->seg, off, &a, d->size);
	if (out == OUT_OK)
		set_arith(cpu, flags);
	return out;
}

enum outcome op_bt(struct cpu *cpu, const struct insn *insn)
{
	return bit_op(cpu, insn, host_bt, false);
}

enum outcome op_bts(struct cpu *cpu, const struct insn *insn)
{
	return bit_op(cpu, insn, host_bts, true);
}

enum outcome op_btr(struct cpu *cpu, const struct insn *insn)
{
	return bit_op(cpu, insn, host_btr, true);
}

enum outcome op_btc(struct cpu *cpu, const struct insn *insn)
{
	return bit_op(cpu, insn, host_btc, true);
}

/* destination = f(source), where the old destination may survive (BSF of zero). */
static enum outcome scan(struct cpu *cpu, const struct insn *insn, host_binary *word,
			 host_binary *dword)
{
	const struct operand *d = &insn->op[0];
	uint32_t b, flags = cpu->eflags;
	enum outcome out = op_read(cpu, insn, 1, &b);

	if (out != OUT_OK)
		return out;
	uint32_t a = (d->size == 2 ? word : dword)(reg_get(cpu, d->reg, d->size), b, &flags);
	reg_set(cpu, d->reg, d->size, a);
	set_arith(cpu, flags);
	return OUT_OK;
}

enum outcome op_bsf(struct cpu *cpu, const struct insn *insn)
{
	return scan(cpu, insn, host_bsfw, host_bsfl);
}

enum outcome op_bsr(struct cpu *cpu, const struct insn *insn)
{
	return scan(cpu, insn, host_bsrw, host_bsrl);
}

enum outcome op_popcnt(struct cpu *cpu, const struct insn *insn)
{
	return scan(cpu, insn, host_popcntw, host_popcntl);
}

enum outcome op_bswap(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *d = &insn->op[0];
	uint32_t v = reg_get(cpu, d->reg, 4);

	/* The 16-bit form is undefined; processors agree on zero. */
	reg_set(cpu, d->reg, d->size, d->size == 4 ? __builtin_bswap32(v) : 0);
	return OUT_OK;
}

enum outcome op_crc32(struct cpu *cpu, const struct insn *insn)
{
	uint32_t crc = reg_get(cpu, insn->op[0].reg, 4), v;
	enum outcome out = op_read(cpu, insn, 1, &v);

	if (out != OUT_OK)
		return out;
	/* CRC-32C, bit-reflected polynomial 11EDC6F41h (SDM: CRC32, Operation). */
	if (insn->op[1].size < 4)
		v &= (1u << (8 * insn->op[1].size)) - 1;
	crc ^= v;
	for (unsigned i = 0; i < 8u * insn->op[1].size; i++)
		crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	reg_set(cpu, insn->op[0].reg, 4, crc);
	return OUT_OK;
}
