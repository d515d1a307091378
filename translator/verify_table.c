/*
 * What the verifier lets pass: prefixes, instructions, registers, and fields of the monitor's structures. Allowlists: what is
 * not here is refused.
 */
#include "translator/verify.h"

#include <string.h>

bool verify_scan_prefixes(const cs_insn *in, struct vprefix *p)
{
	unsigned i = 0;

	*p = (struct vprefix){0};
	for (; i < in->size; i++) {
		switch (in->bytes[i]) {
		case 0x65: p->gs = true; continue;
		case 0x67: p->addr32 = true; continue;
		case 0x66: p->op16 = true; continue;
		case 0xf0: p->lock = true; continue;
		case 0xf2:
		case 0xf3: p->rep = true; continue;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x64: return false;
		default: break;
		}
		break;
	}
	if (i < in->size && (in->bytes[i] & 0xf0) == 0x40)
		p->rex = in->bytes[i++];
	if (i >= in->size)
		return false;
	p->opcode = in->bytes[i];
	return true;
}

#define I(name) X86_INS_##name

/* Integer instructions without effects beyond their explicit operands, EAX, ECX, EDX and flags. */
static const uint16_t integer_ids[] = {
	I(ADC), I(ADD), I(AND), I(BSF), I(BSR), I(BSWAP), I(BT), I(BTC), I(BTR), I(BTS), I(CBW),
	I(CDQ), I(CLC), I(CLD), I(CMC), I(CMP), I(CMPXCHG), I(CMPXCHG8B), I(CWD), I(CWDE), I(DEC),
	I(DIV), I(IDIV), I(IMUL), I(INC), I(LAHF), I(LEA), I(MOV), I(MOVSX), I(MOVZX), I(MUL), I(NEG),
	I(NOP), I(NOT), I(OR), I(RCL), I(RCR), I(ROL), I(ROR), I(SAHF), I(SAL), I(SAR), I(SBB),
	I(SETA), I(SETAE), I(SETB), I(SETBE), I(SETE), I(SETG), I(SETGE), I(SETL), I(SETLE), I(SETNE),
	I(SETNO), I(SETNP), I(SETNS), I(SETO), I(SETP), I(SETS), I(SHL), I(SHLD), I(SHR), I(SHRD),
	I(STC), I(STD), I(SUB), I(TEST), I(XADD), I(XCHG), I(XOR), I(POPCNT), I(PAUSE), I(LFENCE),
	I(MFENCE), I(SFENCE), I(CMOVA), I(CMOVAE), I(CMOVB), I(CMOVBE), I(CMOVE), I(CMOVG), I(CMOVGE),
	I(CMOVL), I(CMOVLE), I(CMOVNE), I(CMOVNO), I(CMOVNP), I(CMOVNS), I(CMOVO), I(CMOVP), I(CMOVS),
	/* Capstone has these in no group */
	I(FNSTCW), I(FNSTSW), I(FFREEP), I(FSETPM), I(FLDL2E), I(FLDL2T), I(FLDLN2), I(FDISI8087_NOP),
	I(FENI8087_NOP), I(FST), I(FSTP), I(FCMOVB), I(FCMOVBE), I(FCMOVE), I(FCMOVNB), I(FCMOVNBE), I(FCMOVNE), I(FCMOVNU),
	I(FCMOVU), I(MOVNTI),
	/* branches: their own checks follow */
	I(JMP), I(JA), I(JAE), I(JB), I(JBE), I(JE), I(JG), I(JGE), I(JL), I(JLE), I(JNE), I(JNO),
	I(JNP), I(JNS), I(JO), I(JP), I(JS), I(LOOP), I(LOOPE), I(LOOPNE), I(JECXZ), I(JRCXZ),
	/* only as part of a sequence */
	I(PUSHFQ), I(POPFQ), I(PUSH), I(POP), I(RDTSC), I(MOVABS), I(MOVSB), I(MOVSW), I(MOVSD), I(STOSB), I(STOSW), I(STOSD),
	I(LODSB), I(LODSW), I(LODSD), I(CMPSB), I(CMPSW), I(CMPSD), I(SCASB), I(SCASW), I(SCASD),
};

/* Members of the vector groups that have an implicit memory operand, store code addresses, or are privileged. */
static const uint16_t refused_vector_ids[] = {
	I(MASKMOVQ), I(MASKMOVDQU), I(FNSTENV), I(FNSAVE), I(FLDENV), I(FRSTOR), I(FXSAVE), I(FXRSTOR),
	I(MONITOR), I(MWAIT), I(CLFLUSH), I(FEMMS),
};

static const uint8_t vector_groups[] = {
	X86_GRP_FPU,  X86_GRP_MMX,   X86_GRP_SSE1,  X86_GRP_SSE2,
	X86_GRP_SSE3, X86_GRP_SSSE3, X86_GRP_SSE41, X86_GRP_SSE42,
};

static uint8_t id_allowed[X86_INS_ENDING];

enum { ID_INTEGER = 1, ID_REFUSED = 2, ID_READY = 0x80 };

static void fill_ids(void)
{
	for (size_t i = 0; i < ARRAY_LEN(integer_ids); i++)
		id_allowed[integer_ids[i]] = ID_INTEGER;
	for (size_t i = 0; i < ARRAY_LEN(refused_vector_ids); i++)
		id_allowed[refused_vector_ids[i]] = ID_REFUSED;
	id_allowed[X86_INS_INVALID] = ID_READY;
}

bool verify_id_allowed(const cs_insn *in)
{
	const cs_detail *d = in->detail;

	if (!id_allowed[X86_INS_INVALID])
		fill_ids();
	if (in->id == X86_INS_INVALID || in->id >= X86_INS_ENDING)
		return false;
	if (id_allowed[in->id])
		return id_allowed[in->id] == ID_INTEGER;
	for (unsigned g = 0; g < d->groups_count; g++)
		for (size_t i = 0; i < ARRAY_LEN(vector_groups); i++)
			if (d->groups[g] == vector_groups[i])
				return true;
	return false;
}

/* Instructions that only read a memory operand though it comes first. */
static const uint16_t readers[] = {
	I(CMP), I(TEST), I(BT), I(MUL), I(IMUL), I(DIV), I(IDIV), I(NOP), I(FADD), I(FMUL), I(FCOM),
	I(FCOMP), I(FSUB), I(FSUBR), I(FDIV), I(FDIVR), I(FIADD), I(FIMUL), I(FICOM), I(FICOMP),
	I(FISUB), I(FISUBR), I(FIDIV), I(FIDIVR), I(FLD), I(FILD), I(FBLD), I(FLDCW), I(LDMXCSR),
};

/* Does it write its memory operand, operand `n`? Yes when in doubt. */
bool verify_writes_memory(const cs_insn *in, unsigned n)
{
	if (in->id == I(XCHG) || in->id == I(XADD))
		return true;
	if (n > 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		if (in->id == readers[i])
			return false;
	return true;
}

/* Capstone overstates the memory operands of these (SDM, each instruction's page). */
unsigned verify_true_size(const cs_insn *in, unsigned reported)
{
	switch (in->id) {
	case X86_INS_FNSTSW:
	case X86_INS_FNSTCW:
		return 2;
	case X86_INS_COMISS:
	case X86_INS_UCOMISS:
		return 4;
	case X86_INS_COMISD:
	case X86_INS_UCOMISD:
		return 8;
	case X86_INS_PUNPCKLBW:
	case X86_INS_PUNPCKLWD:
	case X86_INS_PUNPCKLDQ:
		return reported == 8 ? 4 : reported; /* MMX: the low half */
	default:
		return reported;
	}
}

/* ---------------------------------- registers ---------------------------------- */

#define R(name) X86_REG_##name
static const struct {
	uint8_t reg, class;
} regs[] = {
	{R(AL), RC_GUEST8},   {R(CL), RC_GUEST8},   {R(DL), RC_GUEST8},   {R(BL), RC_GUEST8},
	{R(AH), RC_GUEST8},   {R(CH), RC_GUEST8},   {R(DH), RC_GUEST8},   {R(BH), RC_GUEST8},
	{R(AX), RC_GUEST16},  {R(CX), RC_GUEST16},  {R(DX), RC_GUEST16},  {R(BX), RC_GUEST16},
	{R(SP), RC_GUEST16},  {R(BP), RC_GUEST16},  {R(SI), RC_GUEST16},  {R(DI), RC_GUEST16},
	{R(EAX), RC_GUEST32}, {R(ECX), RC_GUEST32}, {R(EDX), RC_GUEST32}, {R(EBX), RC_GUEST32},
	{R(ESP), RC_GUEST32}, {R(EBP), RC_GUEST32}, {R(ESI), RC_GUEST32}, {R(EDI), RC_GUEST32},
	{R(RAX), RC_GUEST64}, {R(RCX), RC_GUEST64}, {R(RDX), RC_GUEST64}, {R(RBX), RC_GUEST64},
	{R(RSP), RC_GUEST64}, {R(RBP), RC_GUEST64}, {R(RSI), RC_GUEST64}, {R(RDI), RC_GUEST64},
	{R(R8), RC_SCRATCH},  {R(R8D), RC_SCRATCH}, {R(R8W), RC_SCRATCH}, {R(R8B), RC_SCRATCH},
	{R(R9), RC_SCRATCH},  {R(R9D), RC_SCRATCH}, {R(R9W), RC_SCRATCH}, {R(R9B), RC_SCRATCH},
	{R(R10), RC_SCRATCH}, {R(R10D), RC_SCRATCH}, {R(R10W), RC_SCRATCH}, {R(R10B), RC_SCRATCH},
	{R(R11), RC_SCRATCH}, {R(R11D), RC_SCRATCH}, {R(R11W), RC_SCRATCH}, {R(R11B), RC_SCRATCH},
	{R(R12), RC_PINNED},  {R(R12D), RC_PINNED}, {R(R12W), RC_PINNED}, {R(R12B), RC_PINNED},
	{R(R13), RC_PINNED},  {R(R13D), RC_PINNED}, {R(R13W), RC_PINNED}, {R(R13B), RC_PINNED},
	{R(R14), RC_PINNED},  {R(R14D), RC_PINNED}, {R(R14W), RC_PINNED}, {R(R14B), RC_PINNED},
	{R(R15), RC_PINNED},  {R(R15D), RC_PINNED}, {R(R15W), RC_PINNED}, {R(R15B), RC_PINNED},
	{R(ST0), RC_VECTOR},  {R(ST1), RC_VECTOR},  {R(ST2), RC_VECTOR},  {R(ST3), RC_VECTOR},
	{R(ST4), RC_VECTOR},  {R(ST5), RC_VECTOR},  {R(ST6), RC_VECTOR},  {R(ST7), RC_VECTOR},
	{R(MM0), RC_VECTOR},  {R(MM1), RC_VECTOR},  {R(MM2), RC_VECTOR},  {R(MM3), RC_VECTOR},
	{R(MM4), RC_VECTOR},  {R(MM5), RC_VECTOR},  {R(MM6), RC_VECTOR},  {R(MM7), RC_VECTOR},
	{R(XMM0), RC_VECTOR}, {R(XMM1), RC_VECTOR}, {R(XMM2), RC_VECTOR}, {R(XMM3), RC_VECTOR},
	{R(XMM4), RC_VECTOR}, {R(XMM5), RC_VECTOR}, {R(XMM6), RC_VECTOR}, {R(XMM7), RC_VECTOR},
};

enum reg_class verify_reg_class(unsigned reg)
{
	static uint8_t class[256];

	if (class[0] == 0) {
		memset(class, RC_BAD, sizeof(class));
		for (size_t i = 0; i < ARRAY_LEN(regs); i++)
			class[regs[i].reg] = regs[i].class;
	}
	return reg < sizeof(class) ? class[reg] : RC_BAD;
}

/* ---------------------------------- fields ---------------------------------- */

static const struct {
	bool tcx;
	uint16_t off;
	uint8_t size, rights;
} fields[] = {
	{true, TCX_HOST_RSP, 8, FIELD_READ},
	{true, TCX_INTR_WAIT, 4, FIELD_READ},
	{true, TCX_WINDOW, 8, FIELD_READ},
	{true, TCX_COUNT, 8, FIELD_READ | FIELD_WRITE},
	{true, TCX_COUNTS, 8, FIELD_READ},
	{true, TCX_TMP, 4, FIELD_READ | FIELD_WRITE},
	{false, CPU_EFLAGS, 4, FIELD_READ},
	{false, CPU_EFLAGS + 1, 1, FIELD_WRITE},
	{false, CPU_SHADOW, 1, FIELD_WRITE},
	{false, CPU_TSC_OFFSET, 8, FIELD_READ},
	{false, CPU_CR0, 4, FIELD_READ},
	{false, CPU_CR2, 4, FIELD_READ},
	{false, CPU_CR3, 4, FIELD_READ},
	{false, CPU_CR4, 4, FIELD_READ},
};

static unsigned loaded_rights(int64_t disp, unsigned size)
{
	int64_t off = disp - TCX_LOADED;

	return off >= 0 && off < 6 * TCX_LOADED_SIZE && off % 4 == 0 && size == 4 ? FIELD_READ : 0;
}

static unsigned segment_rights(int64_t disp, unsigned size)
{
	int64_t off = disp - CPU_SEG;

	if (off < 0 || off >= 6 * CPU_SEG_SIZE)
		return 0;
	off %= CPU_SEG_SIZE;
	return (off == CPU_SEG_BASE && size == 4) || (off == CPU_SEG_SEL && size == 2) ? FIELD_READ : 0;
}

unsigned verify_field_rights(bool tcx, int64_t disp, unsigned size)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].tcx == tcx && fields[i].off == disp && fields[i].size == size)
			return fields[i].rights;
	return tcx ? loaded_rights(disp, size) : segment_rights(disp, size);
}
