/*
 * The verifier's view of one instruction: which kind it is, and the rules that it must keep wherever
 * it stands.
 *
 *   memory     gs:[EA32], a known field by [r14 + disp] or [r15 + disp], what a look-up found, a counter; nothing else
 *   registers  R12-R15 are never operands; guest registers are never written with 64 bits but in the known sequences, so
 *              their upper halves stay zero
 *   prefixes   65 and 67 together or not at all; no other segment prefix; REX last
 *   opcodes    those of verify_table.c; no VEX but the two SHRX of a look-up, no EVEX or XOP
 */
#include "translator/verify.h"

#include <stddef.h>
#include <string.h>

static bool vex_like(uint8_t op)
{
	return op == 0x62 || op == 0xc4 || op == 0xc5 || op == 0x8f || op == 0xd5;
}

static const cs_x86_op *operand(const cs_insn *in, unsigned n)
{
	const cs_x86 *x = &in->detail->x86;

	return n < x->op_count ? &x->operands[n] : NULL;
}

static bool is_reg(const cs_insn *in, unsigned n, unsigned reg)
{
	const cs_x86_op *op = operand(in, n);

	return op && op->type == X86_OP_REG && op->reg == reg;
}

static const x86_op_mem *mem_operand(const cs_insn *in, unsigned n)
{
	const cs_x86_op *op = operand(in, n);

	return op && op->type == X86_OP_MEM ? &op->mem : NULL;
}

/* ------------------------------------ kinds ------------------------------------ */

/* Register-to-register and register-immediate forms with a special meaning. */
static const struct {
	uint16_t id, dst, src;
	uint8_t kind;
} moves[] = {
	{X86_INS_MOV, X86_REG_R9, X86_REG_RCX, K_SAVE_RCX},
	{X86_INS_MOV, X86_REG_RCX, X86_REG_R9, K_RESTORE_RCX},
	{X86_INS_MOV, X86_REG_R9, X86_REG_RSP, K_SAVE_RSP},
	{X86_INS_MOV, X86_REG_RSP, X86_REG_R9, K_RESTORE_RSP},
	{X86_INS_MOV, X86_REG_ESI, X86_REG_ESI, K_CUT_RSI},
	{X86_INS_MOV, X86_REG_EDI, X86_REG_EDI, K_CUT_RDI},
	{X86_INS_MOVZX, X86_REG_R9D, X86_REG_R8W, K_INDEX_R9},
	{X86_INS_MOVZX, X86_REG_R10D, X86_REG_R11W, K_INDEX},
	{X86_INS_MOV, X86_REG_R8D, 0, K_IMM_R8},
	{X86_INS_MOV, X86_REG_R9D, 0, K_IMM_R9},
	{X86_INS_MOV, X86_REG_R10D, 0, K_IMM_R10},
	{X86_INS_MOV, X86_REG_R11D, 0, K_IMM_R11},
};

static enum kind kind_of_move(const cs_insn *in, struct vinsn *v)
{
	const cs_x86_op *src = operand(in, 1);

	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		if (in->id != moves[i].id || !is_reg(in, 0, moves[i].dst) || !src)
			continue;
		if (moves[i].src ? !is_reg(in, 1, moves[i].src) : src->type != X86_OP_IMM)
			continue;
		v->imm = moves[i].src ? 0 : (uint32_t)src->imm;
		return moves[i].kind;
	}
	return K_PLAIN;
}

static bool plain_base(const x86_op_mem *m, unsigned base, int64_t disp)
{
	return m && m->segment == X86_REG_INVALID && m->base == base && m->index == X86_REG_INVALID &&
	       m->disp == disp;
}

/* [r8 + 8 * n]: a counter, where R8 holds the table of them. */
static bool is_counter(const x86_op_mem *m, struct vinsn *v)
{
	if (!m || !plain_base(m, X86_REG_R8, m->disp))
		return false;
	v->counter = m->disp >= 0 && m->disp % 8 == 0 ? m->disp / 8 : -1;
	return true;
}

/* [r12 + r10 * scale + field]: one of the two arrays of a software TLB; the second is that of pages to write. */
static bool is_tlb(const x86_op_mem *m, int scale, int64_t field, struct vinsn *v)
{
	int64_t at;

	if (!m || m->segment != X86_REG_INVALID || m->base != X86_REG_R12 || m->index != X86_REG_R10 ||
	    m->scale != scale)
		return false;
	at = m->disp + TLB_BIAS - field;
	v->writes = at != 0;
	return at == 0 || at == (int64_t)scale * SOFTTLB_SIZE;
}

/* A load from [r8 + n]: of a unit's source, where R8 has been set to it. */
static bool is_source_read(const cs_insn *in, struct vinsn *v)
{
	const x86_op_mem *m = mem_operand(in, 1);

	if (!m || !plain_base(m, X86_REG_R8, m->disp))
		return false;
	v->source = m->disp;
	v->size = operand(in, 1)->size;
	return true;
}

static bool is_slot(const x86_op_mem *m)
{
	return m && plain_base(m, X86_REG_R13, m->disp) && m->disp >= 0 && m->disp <= (IBTC_SIZE - 1) * 8 && m->disp % 8 == 0;
}

/* Loads and stores of fields with a special meaning. */
static enum kind kind_of_field(const cs_insn *in, struct vinsn *v)
{
	if (in->id == X86_INS_MOVZX && is_source_read(in, v))
		return K_SOURCE_READ;
	if (in->id != X86_INS_MOV)
		return K_PLAIN;
	if (is_reg(in, 0, X86_REG_RSP) && plain_base(mem_operand(in, 1), X86_REG_R14, TCX_HOST_RSP))
		return K_HOST_RSP;
	if (is_reg(in, 0, X86_REG_R8) && plain_base(mem_operand(in, 1), X86_REG_R14, TCX_WINDOW))
		return K_WINDOW;
	if (is_reg(in, 0, X86_REG_ECX) && is_tlb(mem_operand(in, 1), 4, offsetof(struct softtlb, minus_page), v))
		return K_TAG;
	if (is_reg(in, 0, X86_REG_R10) && is_tlb(mem_operand(in, 1), 8, offsetof(struct softtlb, delta), v))
		return K_DELTA;
	if (is_reg(in, 0, X86_REG_R11D) && plain_base(mem_operand(in, 1), X86_REG_R14, TCX_TMP))
		return K_TAKE_BACK;
	if (is_reg(in, 0, X86_REG_R8) && plain_base(mem_operand(in, 1), X86_REG_R14, TCX_COUNTS))
		return K_COUNTS;
	if (is_reg(in, 0, X86_REG_R9) && is_counter(mem_operand(in, 1), v))
		return K_COUNT_LOAD;
	if (is_reg(in, 1, X86_REG_R9) && is_counter(mem_operand(in, 0), v))
		return K_COUNT_STORE;
	if (is_reg(in, 0, X86_REG_R8D) && is_reg(in, 1, X86_REG_EDX))
		return K_TSC_HIGH;
	return is_source_read(in, v) ? K_SOURCE_READ : K_PLAIN;
}

static const struct {
	uint16_t dst, base, index;
	uint8_t scale, kind;
} leas[] = {
	{X86_REG_RSI, X86_REG_R8, X86_REG_RSI, 1, K_BASE_RSI},
	{X86_REG_RDI, X86_REG_R8, X86_REG_RDI, 1, K_BASE_RDI},
	{X86_REG_ECX, X86_REG_RCX, X86_REG_R11, 1, K_COMPARE},
	{X86_REG_RCX, X86_REG_R10, X86_REG_R11, 8, K_BOTH_ZERO},
};

static enum kind kind_of_lea(const cs_insn *in, struct vinsn *v)
{
	const x86_op_mem *m = mem_operand(in, 1);

	if (!m)
		return K_PLAIN;
	for (size_t i = 0; i < ARRAY_LEN(leas); i++)
		if (is_reg(in, 0, leas[i].dst) && m->base == leas[i].base && m->index == leas[i].index &&
		    m->scale == leas[i].scale && m->disp == 0)
			return leas[i].kind;
	if (is_reg(in, 0, X86_REG_R9) && plain_base(m, X86_REG_R9, 1))
		return K_COUNT_ADD;
	if (is_reg(in, 0, X86_REG_R8D))
		return K_EA;
	if (is_reg(in, 0, X86_REG_R11D) && plain_base(m, X86_REG_R8, m->disp) && m->disp >= 0 && m->disp < 16) {
		v->size = (unsigned)m->disp + 1;
		return K_LAST_BYTE;
	}
	if (is_reg(in, 0, X86_REG_R9) && plain_base(m, X86_REG_RIP, m->disp)) {
		v->target = (int64_t)(in->address + in->size) + m->disp;
		return K_NEXT_R9;
	}
	return K_PLAIN;
}

/* ------------------------------------ branches ------------------------------------ */

static const char *indirect_jump(const cs_insn *in, struct vinsn *v)
{
	static const struct {
		uint8_t off, kind;
	} stubs[] = {
		{TCX_STUB_EXIT, K_JUMP_EXIT},      {TCX_STUB_MISS, K_JUMP_MISS},
		{TCX_STUB_LEAVE, K_JUMP_LEAVE},    {TCX_STUB_INTERP, K_JUMP_CALLOUT},
		{TCX_STUB_CHECK, K_JUMP_CALLOUT},  {TCX_STUB_SYSTEM, K_JUMP_SYSTEM},
		{TCX_STUB_REFILL, K_JUMP_REFILL},
	};
	const x86_op_mem *m = mem_operand(in, 0);

	if (!m || operand(in, 0)->size != 8 || m->segment != X86_REG_INVALID)
		return "indirect jump through a register";
	for (size_t i = 0; i < ARRAY_LEN(stubs); i++) {
		if (plain_base(m, X86_REG_R14, stubs[i].off)) {
			v->kind = stubs[i].kind;
			v->check = stubs[i].off == TCX_STUB_CHECK;
			return NULL;
		}
	}
	if (m->base != X86_REG_R13)
		return "indirect jump through unknown memory";
	if (m->index == X86_REG_R9 && m->scale == 8 && m->disp == 0) {
		v->kind = K_JUMP_TABLE;
		return NULL;
	}
	if (is_slot(m)) {
		v->kind = K_JUMP_SLOT;
		return NULL;
	}
	return "indirect jump beside the branch table";
}

static const char *direct_branch(const cs_insn *in, const struct vprefix *p, struct vinsn *v)
{
	bool counted = in->id == X86_INS_LOOP || in->id == X86_INS_LOOPE || in->id == X86_INS_LOOPNE ||
		       in->id == X86_INS_JECXZ;

	if (p->rex || p->op16 || p->rep || p->lock || p->gs)
		return "prefix on a branch";
	v->kind = in->id == X86_INS_JMP ? K_JUMP : in->id == X86_INS_JRCXZ ? K_JRCXZ : K_JCC;
	if (in->id == X86_INS_LOOP && !p->addr32)
		v->kind = K_LOOP;
	else if (p->addr32 != counted)
		return "wrong count width of a branch";
	v->target = operand(in, 0)->imm;
	return NULL;
}

static bool is_branch(const cs_insn *in)
{
	switch (in->id) {
	case X86_INS_LOOP:
	case X86_INS_LOOPE:
	case X86_INS_LOOPNE:
	case X86_INS_JECXZ:
	case X86_INS_JRCXZ:
		return true;
	default:
		return in->id >= X86_INS_JAE && in->id <= X86_INS_JS;
	}
}

static const char *check_branch(const cs_insn *in, const struct vprefix *p, struct vinsn *v)
{
	if (in->detail->x86.op_count != 1)
		return "branch of an unknown form";
	if (operand(in, 0)->type == X86_OP_IMM)
		return direct_branch(in, p, v);
	if (p->gs || p->addr32 || p->op16 || p->rep || p->lock || in->id != X86_INS_JMP ||
	    p->opcode != 0xff || (in->detail->x86.modrm >> 3 & 7) != 4)
		return "branch of an unknown form";
	return indirect_jump(in, v);
}

/* ------------------------------------ strings ------------------------------------ */

static bool is_string(const struct vprefix *p)
{
	return (p->opcode >= 0xa4 && p->opcode <= 0xa7) || (p->opcode >= 0xaa && p->opcode <= 0xaf);
}

static const char *check_string(const struct vprefix *p, struct vinsn *v)
{
	static const uint8_t uses[] = {
		[0x4] = USES_RSI | USES_RDI, [0x6] = USES_RSI | USES_RDI, /* MOVS, CMPS */
		[0xa] = USES_RDI,            [0xc] = USES_RSI,            /* STOS, LODS */
		[0xe] = USES_RDI,                                         /* SCAS */
	};

	if (p->gs || p->addr32 || p->rex || p->lock)
		return "prefix on a string instruction";
	v->kind = K_STRING;
	v->string = uses[p->opcode & 0xe];
	v->guest_memory = true;
	return NULL;
}

/* ------------------------------------ operands ------------------------------------ */

static const char *check_eflags_store(const cs_insn *in, uint32_t mode)
{
	const cs_x86_op *imm = operand(in, 1);
	uint8_t rest = (uint8_t)((mode >> MODE_IOPL_SHIFT & 3) << 4 | ((mode & MODE_NT) ? 0x40 : 0));

	if (!(mode & MODE_CLI_OK))
		return "IF written without the right to";
	if (imm->type != X86_OP_IMM || ((uint8_t)imm->imm & ~2) != rest)
		return "flags other than IF written";
	return NULL;
}

static const char *check_field(const cs_insn *in, unsigned n, uint32_t mode)
{
	const cs_x86_op *op = operand(in, n);
	const x86_op_mem *m = &op->mem;
	bool tcx = m->base == X86_REG_R14;
	unsigned need = n == 0 ? FIELD_WRITE : FIELD_READ;

	if ((in->id != X86_INS_MOV && in->id != X86_INS_MOVZX) || in->detail->x86.op_count != 2)
		return "monitor memory touched by other than MOV";
	if (m->index != X86_REG_INVALID || m->segment != X86_REG_INVALID)
		return "monitor memory not by base and displacement";
	if (!(verify_field_rights(tcx, m->disp, op->size) & need))
		return "monitor memory that is no permitted field";
	if (!tcx && n == 0 && m->disp == CPU_EFLAGS + 1)
		return check_eflags_store(in, mode);
	return NULL;
}

static bool base_allowed(unsigned reg, bool guest)
{
	enum reg_class c = verify_reg_class(reg);

	if (reg == X86_REG_INVALID || reg == X86_REG_EIZ || reg == X86_REG_RIZ)
		return true;
	if (c == RC_SCRATCH)
		return true;
	return c == (guest ? RC_GUEST32 : RC_GUEST64);
}

/* [r10 + r8] behind a look-up; where it may stand is the grammar's business. */
static bool is_host_access(const cs_insn *in, unsigned n)
{
	const x86_op_mem *m = mem_operand(in, n);

	return in->id != X86_INS_LEA && m->base == X86_REG_R10 && m->index == X86_REG_R8 && m->scale == 1 &&
	       m->disp == 0 && m->segment == X86_REG_INVALID;
}

/* A bit offset in a register reaches beyond the operand that was looked up. */
static bool bit_string(const cs_insn *in)
{
	const cs_x86_op *offset = operand(in, 1);

	switch (in->id) {
	case X86_INS_BT:
	case X86_INS_BTC:
	case X86_INS_BTR:
	case X86_INS_BTS:
		return offset && offset->type == X86_OP_REG;
	default:
		return false;
	}
}

/*
 * F2 and F3 where they do not choose the instruction confuse Capstone's idea of the operand size, and so of the length, when
 * 66 is there too.
 */
static bool idle_rep(const cs_insn *in, const struct vprefix *p)
{
	if (!p->rep)
		return false;
	if (p->opcode != 0x0f)
		return p->opcode != 0x90;
	return p->op16 && in->id != X86_INS_POPCNT && in->id != X86_INS_CRC32;
}

static const char *check_host_access(const cs_insn *in, unsigned n, const struct vprefix *p, struct vinsn *v)
{
	if (p->gs || p->addr32)
		return "window prefixes on a looked-up access";
	if (bit_string(in))
		return "bit string by look-up";
	if (v->kind != K_PLAIN)
		return "looked-up access in another sequence";
	v->kind = K_HOST_ACCESS;
	v->guest_memory = true;
	v->size = verify_true_size(in, operand(in, n)->size);
	v->writes = verify_writes_memory(in, n);
	return NULL;
}

static const char *check_memory(const cs_insn *in, unsigned n, const struct vprefix *p, uint32_t mode,
				struct vinsn *v)
{
	const x86_op_mem *m = mem_operand(in, n);

	if (in->id == X86_INS_LEA) {
		if (p->gs || p->addr32)
			return "prefix on LEA";
		return base_allowed(m->base, false) && base_allowed(m->index, false) ? NULL :
									   "LEA shows a host address";
	}
	if (v->kind == K_TAG || v->kind == K_DELTA || v->kind == K_COUNT_LOAD || v->kind == K_COUNT_STORE ||
	    v->kind == K_SOURCE_READ)
		return p->gs || p->addr32 ? "prefixes on monitor memory" : NULL;
	if (is_host_access(in, n))
		return check_host_access(in, n, p, v);
	if (m->base == X86_REG_R14 || m->base == X86_REG_R15)
		return p->gs || p->addr32 ? "prefixes on monitor memory" : check_field(in, n, mode);
	if (!p->gs || m->segment != X86_REG_GS)
		return "memory access outside the window: no GS prefix";
	if (!p->addr32 || in->detail->x86.addr_size != 4)
		return "memory access outside the window: 64-bit address";
	if (!base_allowed(m->base, true) || !base_allowed(m->index, true))
		return "guest address made from a host register";
	v->guest_memory = true;
	return NULL;
}

/* 64-bit operands appear only in the sequences and in arithmetic on scratch registers. */
static bool may_have_guest64(enum kind k)
{
	switch (k) {
	case K_SAVE_RCX:
	case K_RESTORE_RCX:
	case K_SAVE_RSP:
	case K_HOST_RSP:
	case K_RESTORE_RSP:
	case K_BASE_RSI:
	case K_BASE_RDI:
	case K_BOTH_ZERO:
		return true;
	default:
		return false;
	}
}

static const char *check_register(const cs_insn *in, unsigned n, const struct vinsn *v)
{
	switch (verify_reg_class(operand(in, n)->reg)) {
	case RC_GUEST8:
	case RC_GUEST16:
	case RC_GUEST32:
	case RC_SCRATCH:
	case RC_VECTOR:
		return NULL;
	case RC_GUEST64:
		return may_have_guest64(v->kind) ? NULL : "64-bit operation on a guest register";
	case RC_PINNED:
		return "R12, R13, R14 or R15 as an operand";
	case RC_NONE:
	case RC_BAD:
	default:
		return "register that translated code does not use";
	}
}

/* Does the ModRM byte agree with what Capstone reports? */
static bool memory_agrees(const cs_insn *in, unsigned memory)
{
	const cs_x86 *x = &in->detail->x86;
	bool has = x->encoding.modrm_offset && x->modrm >> 6 != 3;

	return memory <= 1 && has == (memory == 1);
}

static const char *check_operands(const cs_insn *in, const struct vprefix *p, uint32_t mode, struct vinsn *v)
{
	const cs_x86 *x = &in->detail->x86;
	unsigned memory = 0;
	const char *wrong = NULL;

	for (unsigned n = 0; n < x->op_count && !wrong; n++) {
		if (x->operands[n].type == X86_OP_REG) {
			wrong = check_register(in, n, v);
		} else if (x->operands[n].type == X86_OP_MEM) {
			memory++;
			if (v->kind != K_NEXT_R9)
				wrong = check_memory(in, n, p, mode, v);
		}
	}
	if (!wrong && !memory_agrees(in, memory))
		wrong = "memory operand that is not decoded as one";
	if (!wrong && memory == 0 && (p->gs || p->addr32))
		wrong = "window prefixes without a memory operand";
	return wrong;
}

/* REX.W: scratch registers with MOV and LEA, or a known sequence. */
static const char *check_wide(const cs_insn *in, const struct vinsn *v)
{
	const x86_op_mem *m = mem_operand(in, 0);
	unsigned reg = m ? 1 : 0;

	if (may_have_guest64(v->kind) || v->kind == K_NEXT_R9 || v->kind == K_WINDOW ||
	    v->kind == K_DELTA || v->kind == K_COUNT_STORE || v->kind == K_SOURCE)
		return NULL;
	if (in->id != X86_INS_MOV && in->id != X86_INS_LEA && in->id != X86_INS_BSWAP)
		return "64-bit operation";
	if (m && m->base != X86_REG_R14)
		return "64-bit store";
	if (operand(in, reg)->type != X86_OP_REG || verify_reg_class(operand(in, reg)->reg) != RC_SCRATCH)
		return "64-bit operation";
	return NULL;
}

/* The second operand of AND or OR with R8D, on its way to RFLAGS. */
static bool is_flags(const cs_insn *in, uint32_t imm)
{
	const cs_x86_op *op = operand(in, 1);

	return is_reg(in, 0, X86_REG_R8D) && op && op->type == X86_OP_IMM && op->imm == (int64_t)imm;
}

static enum kind kind_of(const cs_insn *in, struct vinsn *v)
{
	enum kind k;

	switch (in->id) {
	case X86_INS_PUSHFQ:
		return K_PUSHFQ;
	case X86_INS_POPFQ:
		return K_POPFQ;
	case X86_INS_PUSH:
		return K_PUSH_R8;
	case X86_INS_AND:
		return is_flags(in, FL_HOST) ? K_GUEST_FLAGS : K_PLAIN;
	case X86_INS_OR:
		return is_flags(in, FL_IF | FL_FIXED1) ? K_FIXED_FLAGS : K_PLAIN;
	case X86_INS_POP:
		return K_POP_R8;
	case X86_INS_RDTSC:
		return K_RDTSC;
	case X86_INS_MOVABS:
		v->source = operand(in, 1) && operand(in, 1)->type == X86_OP_IMM ? operand(in, 1)->imm : 0;
		return is_reg(in, 0, X86_REG_R8) ? K_SOURCE : K_PLAIN;
	case X86_INS_LEA:
		return kind_of_lea(in, v);
	default:
		k = kind_of_move(in, v);
		return k == K_PLAIN ? kind_of_field(in, v) : k;
	}
}

/* shrx r11d, r8d, r12d and shrx r11d, r11d, r12d */
static enum kind look_up_shift(const cs_insn *in)
{
	static const uint8_t page[] = {0xc4, 0x42, 0x1b, 0xf7, 0xd8}, last[] = {0xc4, 0x42, 0x1b, 0xf7, 0xdb};

	if (in->id != X86_INS_SHRX || in->size != sizeof(page))
		return K_PLAIN;
	return !memcmp(in->bytes, page, sizeof(page)) ? K_PAGE :
	       !memcmp(in->bytes, last, sizeof(last)) ? K_LAST_PAGE :
							K_PLAIN;
}

const char *verify_insn(const cs_insn *in, uint32_t mode, struct vinsn *v)
{
	struct vprefix p;
	const char *wrong;

	*v = (struct vinsn){.kind = K_PLAIN, .target = -1};
	if ((v->kind = look_up_shift(in)) != K_PLAIN)
		return NULL;
	if (!verify_scan_prefixes(in, &p))
		return "segment prefix other than GS";
	if (vex_like(p.opcode) || !verify_id_allowed(in))
		return "instruction that is not on the list";
	if (is_string(&p))
		return check_string(&p, v);
	if (is_branch(in))
		return check_branch(in, &p, v);
	if (idle_rep(in, &p))
		return "F2 or F3 without a meaning";
	v->kind = kind_of(in, v);
	if ((v->kind == K_POP_R8 || v->kind == K_PUSH_R8) && !is_reg(in, 0, X86_REG_R8))
		return "PUSH or POP of other than R8";
	if (v->kind == K_RDTSC && !(mode & MODE_TSC_OK))
		return "RDTSC in a mode in which it faults";
	v->writes_r9 = is_reg(in, 0, X86_REG_R9) || is_reg(in, 0, X86_REG_R9D) ||
		       is_reg(in, 0, X86_REG_R9W) || is_reg(in, 0, X86_REG_R9B);
	wrong = check_operands(in, &p, mode, v);
	if (!wrong && (p.rex & 8))
		wrong = check_wide(in, v);
	return wrong;
}
