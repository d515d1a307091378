/*
 * MMX and SSE, executed by the host with every exception masked. The flags
 * that a masked run sets in MXCSR tell which exceptions an unmasked one would
 * have raised; then nothing is committed and #XM goes to the guest.
 *
 * Known differences, with overflow or underflow unmasked: processors also
 * raise underflow for a tiny result that is exact, which a masked run does not
 * report; and the inexact flag that comes with either exception is that of the
 * result rounded to an unbounded exponent, where a masked run always sets it.
 * DPPS and DPPD raise exceptions of their multiplications without those of their
 * additions; here the flags of both are set.
 */
#include "cpu/fpu.h"
#include "cpu/hostop.h"

/* Exceptions found before the operation is carried out; they keep it from being. */
enum { XM_EARLY = 0x07 };

static enum outcome check_alignment(struct cpu *cpu, const struct insn *insn,
				    const struct operand *m, uint32_t off)
{
	unsigned acc = (m->rw & OPND_WRITE ? ACC_WRITE : ACC_READ) | cpu_acc(cpu);
	gva_t linear;

	if (m->size != 16 || (insn_traits(insn) & TRAIT_UNALIGNED))
		return OUT_OK;
	enum outcome out = cpu_linear(cpu, m->seg, off, m->size, acc, &linear);
	if (out == OUT_OK && (linear.v & 15))
		out = cpu_raise_error(cpu, EXC_GP, 0);
	return out;
}

static enum outcome load_operand(struct cpu *cpu, const struct insn *insn, const struct operand *m,
				 uint32_t off, void *buf)
{
	enum outcome out = check_alignment(cpu, insn, m, off);

	if (out != OUT_OK || !(m->rw & OPND_READ))
		return out;
	return m->rw & OPND_WRITE ? mem_read_rmw(cpu, m->seg, off, buf, m->size) :
				    mem_read(cpu, m->seg, off, buf, m->size);
}

/* The explicit general register, or null; its number is in ModRM. */
static const struct operand *general_register(const struct insn *insn, unsigned *number)
{
	for (unsigned i = 0; i < insn->nops; i++) {
		const struct operand *op = &insn->op[i];

		if (op->kind != OP_REG || op->enc == ENC_OTHER)
			continue;
		*number = op->enc == ENC_MODRM_RM ? insn->modrm & 7 : insn->modrm >> 3 & 7;
		return op;
	}
	return NULL;
}

/* SDM: "SIMD Floating-Point Exceptions". */
static enum outcome check_exceptions(struct cpu *cpu, const struct host_frame *f)
{
	uint32_t raised = f->guest.mxcsr & FPU_EXCEPTIONS;
	uint32_t unmasked = raised & ~(cpu->fx.mxcsr >> 7);

	if (!unmasked)
		return OUT_OK;
	cpu->fx.mxcsr |= unmasked & XM_EARLY ? raised & XM_EARLY : raised;
	return cpu_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

static enum outcome execute(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *m = insn_memory(insn);
	uint32_t off = m ? insn_ea(cpu, insn, m) : 0;
	struct host_frame f;
	unsigned number = 0;
	const struct operand *gpr = general_register(insn, &number);
	enum outcome out = OUT_OK;

	if (m && (m->size == 0 || m->size > 16))
		return cpu_raise(cpu, EXC_UD);
	if (m)
		out = load_operand(cpu, insn, m, off, f.mem);
	if (out != OUT_OK)
		return out;
	host_frame_fill(cpu, &f);
	if (gpr)
		f.eax = (uint32_t)cpu->gpr[number];
	out = host_execute(insn, &f);
	if (out == OUT_OK)
		out = check_exceptions(cpu, &f);
	if (out == OUT_OK && m && (m->rw & OPND_WRITE))
		out = mem_write(cpu, m->seg, off, f.mem, m->size);
	if (out != OUT_OK)
		return out;
	host_frame_commit(cpu, &f);
	cpu->fx.mxcsr |= f.guest.mxcsr & FPU_EXCEPTIONS;
	if (gpr && (gpr->rw & OPND_WRITE))
		cpu->gpr[number] = f.eax;
	if (insn_traits(insn) & TRAIT_INDEX)
		cpu->gpr[R_ECX] = f.ecx;
	set_arith(cpu, (uint32_t)f.flags);
	return OUT_OK;
}

enum outcome op_mmx(struct cpu *cpu, const struct insn *insn)
{
	enum outcome out = fpu_check_mmx(cpu);

	return out == OUT_OK ? execute(cpu, insn) : out;
}

enum outcome op_sse(struct cpu *cpu, const struct insn *insn)
{
	enum outcome out = fpu_check_sse(cpu);

	/* What touches MMX registers also waits for the x87; CVTPI2PS and CVTPI2PD from memory do not. */
	bool from_memory = insn->opcode == 0x2a && insn_memory(insn);
	if (out == OUT_OK && (insn_traits(insn) & TRAIT_MMX) && !from_memory)
		out = fpu_report_error(cpu);
	return out == OUT_OK ? execute(cpu, insn) : out;
}

enum outcome op_ldmxcsr(struct cpu *cpu, const struct insn *insn)
{
	uint32_t v;
	enum outcome out = fpu_check_sse(cpu);

	if (out == OUT_OK)
		out = op_read(cpu, insn, 0, &v);
	if (out != OUT_OK)
		return out;
	if (v & ~(uint32_t)MXCSR_MASK)
		return cpu_raise_error(cpu, EXC_GP, 0);
	cpu->fx.mxcsr = v;
	return OUT_OK;
}

enum outcome op_stmxcsr(struct cpu *cpu, const struct insn *insn)
{
	enum outcome out = fpu_check_sse(cpu);

	return out == OUT_OK ? op_write(cpu, insn, 0, cpu->fx.mxcsr) : out;
}

/*
 * Bytes of `data` whose `mask` byte has its top bit set go to DS:(E)DI. The whole operand must be
 * writable, whatever the mask (SDM leaves faults of unselected bytes to the implementation).
 */
static enum outcome store_masked(struct cpu *cpu, const struct insn *insn, const uint8_t *data,
				 const uint8_t *mask, unsigned len)
{
	unsigned seg = insn->seg == NO_SEGMENT ? S_DS : insn->seg;
	uint32_t off = reg_get(cpu, R_EDI, insn->addrsize);
	uint8_t bytes[16];
	enum outcome out = mem_read_rmw(cpu, seg, off, bytes, len);

	if (out != OUT_OK)
		return out;
	for (unsigned i = 0; i < len; i++)
		if (mask[i] & 0x80)
			bytes[i] = data[i];
	return mem_write(cpu, seg, off, bytes, len);
}

/* MASKMOVQ and MASKMOVDQU: ModRM.reg is the data and ModRM.rm the mask. */
enum outcome op_maskmov(struct cpu *cpu, const struct insn *insn)
{
	bool wide = insn->mandatory == 0x66;
	unsigned data = insn->modrm >> 3 & 7, mask = insn->modrm & 7;
	enum outcome out = wide ? fpu_check_sse(cpu) : fpu_check_mmx(cpu);

	if (out != OUT_OK)
		return out;
	if (wide)
		return store_masked(cpu, insn, cpu->fx.xmm[data], cpu->fx.xmm[mask], 16);
	/* MMn is physical register n; the image is ordered from the top of the stack. */
	unsigned top = cpu->fx.fsw >> FSW_TOP_SHIFT & 7;
	out = store_masked(cpu, insn, cpu->fx.st[(data - top) & 7], cpu->fx.st[(mask - top) & 7],
			   8);
	if (out == OUT_OK) { /* every MMX instruction but EMMS: all valid, TOP = 0 */
		fpu_set_status(cpu, (uint16_t)(cpu->fx.fsw & ~(7 << FSW_TOP_SHIFT)));
		cpu->fx.ftw = 0xff;
	}
	return out;
}
