/*
 * String instructions.
 *
 * Each iteration commits (E)SI, (E)DI and (E)CX once nothing of it can fault
 * any more, so a fault in the middle keeps the progress made (SDM: REP,
 * Description). A repeated instruction runs a bounded number of iterations and
 * then returns OUT_RETRY with EIP still at it: that is where interrupts and
 * single-step traps come in.
 *
 * Long ascending moves and stores go by whole pieces of pages. Two linear
 * addresses of one physical page, closer than the piece, would tell the
 * difference; no program can rely on that order, since processors' own fast
 * strings do not keep it either.
 */
#include <string.h>

#include "cpu/ops.h"

enum {
	BUDGET = 4096,     /* cost after which OUT_RETRY is due; an iteration costs 1 */
	PIECE_COST = 64,   /* cost of one piece of a page */
	PIECE_MIN = 8,     /* fewer elements are not worth a piece */
};

/* One string instruction's ways. */
struct string_op {
	op_fn *once;
	/* Elements done at once, out of `count`; 0: use once(). May be null. */
	uint32_t (*piece)(struct cpu *, const struct insn *, uint32_t count);
	bool compares; /* REPE and REPNE look at ZF */
};

static unsigned element_size(const struct insn *insn)
{
	return insn->opcode & 1 ? insn->opsize : 1;
}

static unsigned source_segment(const struct insn *insn)
{
	return insn->seg == NO_SEGMENT ? S_DS : insn->seg;
}

static void advance(struct cpu *cpu, const struct insn *insn, unsigned reg, uint32_t bytes)
{
	uint32_t v = (uint32_t)cpu->gpr[reg];

	v = cpu->eflags & FL_DF ? v - bytes : v + bytes;
	reg_set(cpu, reg, insn->addrsize, v);
}

static uint32_t pointer(const struct cpu *cpu, const struct insn *insn, unsigned reg)
{
	return reg_get(cpu, reg, insn->addrsize);
}

/* Does anything want to see every single iteration? */
static bool must_go_slowly(const struct cpu *cpu)
{
	return (cpu->eflags & (FL_TF | FL_AC | FL_DF)) || debug_armed(cpu);
}

static enum outcome repeat(struct cpu *cpu, const struct insn *insn, const struct string_op *op)
{
	uint32_t count = pointer(cpu, insn, R_ECX), pending = cpu->pending_db;
	int budget = cpu->eflags & FL_TF ? 1 : BUDGET;

	while (count) {
		uint32_t done = 0;

		if (op->piece && count >= PIECE_MIN && !must_go_slowly(cpu))
			done = op->piece(cpu, insn, count);
		if (done) {
			budget -= PIECE_COST;
		} else {
			enum outcome out = op->once(cpu, insn);
			if (out != OUT_OK)
				return out;
			done = 1;
			budget--;
		}
		count -= done;
		reg_set(cpu, R_ECX, insn->addrsize, count);
		if (op->compares && !!(cpu->eflags & FL_ZF) == insn->repne)
			break;
		if (!count || (budget > 0 && cpu->pending_db == pending))
			continue;
		if (cpu->eflags & FL_TF) /* each iteration is a step */
			cpu->pending_db |= DR6_BS;
		return OUT_RETRY;
	}
	return OUT_OK;
}

static enum outcome run(struct cpu *cpu, const struct insn *insn, const struct string_op *op)
{
	return insn->rep || insn->repne ? repeat(cpu, insn, op) : op->once(cpu, insn);
}

/* Elements from `off`, at `linear`, to the end of the page or of the offsets. */
static uint32_t elements_to_end(const struct insn *insn, uint32_t off, gva_t linear)
{
	uint64_t offsets = (insn->addrsize == 4 ? 1ull << 32 : 1ull << 16) - off;
	uint64_t bytes = PAGE_SIZE - (linear.v & PAGE_MASK);

	return (uint32_t)((bytes < offsets ? bytes : offsets) / element_size(insn));
}

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---- MOVS ---- */

static enum outcome movs_once(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = element_size(insn);
	uint32_t v = 0;
	enum outcome out = mem_read(cpu, source_segment(insn), pointer(cpu, insn, R_ESI), &v, size);

	if (out == OUT_OK)
		out = mem_write(cpu, S_ES, pointer(cpu, insn, R_EDI), &v, size);
	if (out != OUT_OK)
		return out;
	advance(cpu, insn, R_ESI, size);
	advance(cpu, insn, R_EDI, size);
	return OUT_OK;
}

/* Faults are left to movs_once(), which makes them for the right element. */
static uint32_t movs_piece(struct cpu *cpu, const struct insn *insn, uint32_t count)
{
	uint32_t si = pointer(cpu, insn, R_ESI), di = pointer(cpu, insn, R_EDI);
	unsigned size = element_size(insn), acc = cpu_acc(cpu);
	uint8_t data[PAGE_SIZE];
	gva_t from, to;

	if (cpu_linear(cpu, source_segment(insn), si, size, ACC_READ | acc, &from) != OUT_OK ||
	    cpu_linear(cpu, S_ES, di, size, ACC_WRITE | acc, &to) != OUT_OK)
		return 0;
	count = min32(count, elements_to_end(insn, si, from));
	count = min32(count, elements_to_end(insn, di, to));
	if (to.v > from.v) /* an overlapping move repeats its first elements */
		count = min32(count, (uint32_t)(to.v - from.v) / size);
	uint32_t bytes = count * size;
	if (count < PIECE_MIN ||
	    cpu_linear(cpu, source_segment(insn), si, bytes, ACC_READ | acc, &from) != OUT_OK ||
	    cpu_linear(cpu, S_ES, di, bytes, ACC_WRITE | acc, &to) != OUT_OK ||
	    cpu->ops->read(cpu, from, data, bytes, ACC_READ | acc) != OUT_OK ||
	    cpu->ops->write(cpu, to, data, bytes, ACC_WRITE | acc) != OUT_OK)
		return 0;
	advance(cpu, insn, R_ESI, bytes);
	advance(cpu, insn, R_EDI, bytes);
	return count;
}

enum outcome op_movs(struct cpu *cpu, const struct insn *insn)
{
	static const struct string_op op = {movs_once, movs_piece, false};

	return run(cpu, insn, &op);
}

/* ---- STOS ---- */

static enum outcome stos_once(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = element_size(insn);
	uint32_t v = (uint32_t)cpu->gpr[R_EAX];
	enum outcome out = mem_write(cpu, S_ES, pointer(cpu, insn, R_EDI), &v, size);

	if (out == OUT_OK)
		advance(cpu, insn, R_EDI, size);
	return out;
}

static uint32_t stos_piece(struct cpu *cpu, const struct insn *insn, uint32_t count)
{
	uint32_t di = pointer(cpu, insn, R_EDI), v = (uint32_t)cpu->gpr[R_EAX];
	unsigned size = element_size(insn), acc = ACC_WRITE | cpu_acc(cpu);
	uint8_t data[PAGE_SIZE];
	gva_t to;

	if (cpu_linear(cpu, S_ES, di, size, acc, &to) != OUT_OK)
		return 0;
	count = min32(count, elements_to_end(insn, di, to));
	uint32_t bytes = count * size;
	if (count < PIECE_MIN || cpu_linear(cpu, S_ES, di, bytes, acc, &to) != OUT_OK)
		return 0;
	for (uint32_t i = 0; i < bytes; i += size)
		memcpy(data + i, &v, size);
	if (cpu->ops->write(cpu, to, data, bytes, acc) != OUT_OK)
		return 0;
	advance(cpu, insn, R_EDI, bytes);
	return count;
}

enum outcome op_stos(struct cpu *cpu, const struct insn *insn)
{
	static const struct string_op op = {stos_once, stos_piece, false};

	return run(cpu, insn, &op);
}

/* ---- LODS, CMPS, SCAS ---- */

static enum outcome lods_once(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = element_size(insn);
	uint32_t v = 0;
	enum outcome out = mem_read(cpu, source_segment(insn), pointer(cpu, insn, R_ESI), &v, size);

	if (out != OUT_OK)
		return out;
	reg_set(cpu, R_EAX, size, v);
	advance(cpu, insn, R_ESI, size);
	return OUT_OK;
}

enum outcome op_lods(struct cpu *cpu, const struct insn *insn)
{
	static const struct string_op op = {lods_once, NULL, false};

	return run(cpu, insn, &op);
}

static enum outcome cmps_once(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = element_size(insn);
	uint32_t a = 0, b = 0;
	enum outcome out = mem_read(cpu, source_segment(insn), pointer(cpu, insn, R_ESI), &a, size);

	if (out == OUT_OK)
		out = mem_read(cpu, S_ES, pointer(cpu, insn, R_EDI), &b, size);
	if (out != OUT_OK)
		return out;
	alu_compare(cpu, a, b, size);
	advance(cpu, insn, R_ESI, size);
	advance(cpu, insn, R_EDI, size);
	return OUT_OK;
}

enum outcome op_cmps(struct cpu *cpu, const struct insn *insn)
{
	static const struct string_op op = {cmps_once, NULL, true};

	return run(cpu, insn, &op);
}

static enum outcome scas_once(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = element_size(insn);
	uint32_t b = 0;
	enum outcome out = mem_read(cpu, S_ES, pointer(cpu, insn, R_EDI), &b, size);

	if (out != OUT_OK)
		return out;
	alu_compare(cpu, reg_get(cpu, R_EAX, size), b, size);
	advance(cpu, insn, R_EDI, size);
	return OUT_OK;
}

enum outcome op_scas(struct cpu *cpu, const struct insn *insn)
{
	static const struct string_op op = {scas_once, NULL, true};

	return run(cpu, insn, &op);
}

/* ---- INS, OUTS ---- */

/* The port is read only when the store cannot fault: reading may have effects. */
static enum outcome ins_once(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = element_size(insn);
	uint16_t port = (uint16_t)cpu->gpr[R_EDX];
	uint32_t di = pointer(cpu, insn, R_EDI);
	enum outcome out = cpu_check_io(cpu, port, size);

	if (out == OUT_OK)
		out = mem_probe_write(cpu, S_ES, di, size);
	if (out != OUT_OK)
		return out;
	uint32_t v = cpu->ops->in(cpu, port, size);
	if (debug_armed(cpu))
		cpu->pending_db |= debug_match_io(cpu, port, size);
	out = mem_write(cpu, S_ES, di, &v, size);
	if (out == OUT_OK)
		advance(cpu, insn, R_EDI, size);
	return out;
}

enum outcome op_ins(struct cpu *cpu, const struct insn *insn)
{
	static const struct string_op op = {ins_once, NULL, false};

	return run(cpu, insn, &op);
}

static enum outcome outs_once(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = element_size(insn);
	uint16_t port = (uint16_t)cpu->gpr[R_EDX];
	uint32_t v = 0;
	enum outcome out = cpu_check_io(cpu, port, size);

	if (out == OUT_OK)
		out = mem_read(cpu, source_segment(insn), pointer(cpu, insn, R_ESI), &v, size);
	if (out != OUT_OK)
		return out;
	cpu->ops->out(cpu, port, size, v);
	if (debug_armed(cpu))
		cpu->pending_db |= debug_match_io(cpu, port, size);
	advance(cpu, insn, R_ESI, size);
	return OUT_OK;
}

enum outcome op_outs(struct cpu *cpu, const struct insn *insn)
{
	static const struct string_op op = {outs_once, NULL, false};

	return run(cpu, insn, &op);
}

enum outcome op_movsd_any(struct cpu *cpu, const struct insn *insn)
{
	return insn->opcode_map == 0 ? op_movs(cpu, insn) : op_sse(cpu, insn);
}

enum outcome op_cmpsd_any(struct cpu *cpu, const struct insn *insn)
{
	return insn->opcode_map == 0 ? op_cmps(cpu, insn) : op_sse(cpu, insn);
}
