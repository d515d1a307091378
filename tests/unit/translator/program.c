#include "program.h"

#include "bench.h"

#include <string.h>

uint32_t program_random(struct program *p)
{
	/* xorshift64* */
	p->rng ^= p->rng >> 12;
	p->rng ^= p->rng << 25;
	p->rng ^= p->rng >> 27;
	return (uint32_t)(p->rng * 0x2545f4914f6cdd1dull >> 32);
}

static uint32_t below(struct program *p, uint32_t n)
{
	return program_random(p) % n;
}

static void byte(struct program *p, unsigned b)
{
	if (p->len < PROGRAM_MAX)
		p->code[p->len++] = (uint8_t)b;
}

static void dword(struct program *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		byte(p, v >> i * 8);
}

static void immediate(struct program *p, unsigned size)
{
	/* small and extreme values make interesting flags */
	static const uint32_t nice[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 0x8000};
	uint32_t v = below(p, 3) ? program_random(p) : nice[below(p, ARRAY_LEN(nice))];

	for (unsigned i = 0; i < size; i++)
		byte(p, v >> i * 8);
}

static void mov_imm(struct program *p, unsigned reg, uint32_t v)
{
	byte(p, 0xb8 | reg);
	dword(p, v);
}

/* ------------------------------------ operands ------------------------------------ */

struct operand_plan {
	bool memory, fs;
	uint8_t modrm_mod, rm;
	bool sib;
	uint8_t sib_byte;
	uint32_t disp;
	unsigned disp_size;
};

static uint32_t data_address(struct program *p)
{
	/* aligned more often than not; near page ends too */
	uint32_t a = AT_DATA + 64 + below(p, DATA_BYTES - 256);

	switch (below(p, 8)) {
	case 0:
		return a;
	case 1:
		return (a | 0xfff) - below(p, 8);
	default:
		return a & ~15u;
	}
}

/* A register for addresses: not ESP, which would lose the stack. */
static unsigned address_reg(struct program *p)
{
	static const uint8_t regs[] = {R_EAX, R_ECX, R_EDX, R_EBX, R_EBP, R_ESI, R_EDI};

	return regs[below(p, ARRAY_LEN(regs))];
}

static void plan_based(struct program *p, struct operand_plan *o, uint32_t at)
{
	unsigned base = address_reg(p);

	o->disp_size = below(p, 2) ? 1 : 4;
	o->disp = o->disp_size == 1 ? (uint32_t)(int8_t)program_random(p) : program_random(p) & 0xffff;
	o->modrm_mod = o->disp_size == 1 ? 1 : 2;
	o->rm = (uint8_t)base;
	mov_imm(p, base, at - o->disp);
}

static void plan_indexed(struct program *p, struct operand_plan *o, uint32_t at)
{
	unsigned base = address_reg(p), index = address_reg(p), scale = below(p, 4);
	uint32_t n = below(p, 64);

	while (index == base)
		index = address_reg(p);
	o->sib = true;
	o->rm = 4;
	if (below(p, 4) == 0) { /* no base */
		o->modrm_mod = 0;
		o->disp_size = 4;
		o->disp = at - (n << scale);
		base = 5;
	} else {
		o->modrm_mod = 2;
		o->disp_size = 4;
		o->disp = program_random(p);
		mov_imm(p, base, at - o->disp - (n << scale));
	}
	mov_imm(p, index, n);
	o->sib_byte = (uint8_t)(scale << 6 | index << 3 | base);
}

static void plan_stack(struct program *p, struct operand_plan *o)
{
	o->sib = true;
	o->rm = 4;
	o->sib_byte = 0x24;
	o->modrm_mod = 1;
	o->disp_size = 1;
	o->disp = below(p, 32) * 4;
}

/* Instructions that set up the registers come out at once; the operand itself later. */
static void plan_operand(struct program *p, struct operand_plan *o, bool memory)
{
	uint32_t at = data_address(p);

	memset(o, 0, sizeof(*o));
	o->memory = memory;
	if (!memory) {
		o->modrm_mod = 3;
		o->rm = (uint8_t)below(p, 8);
		return;
	}
	if (below(p, 8) == 0) {
		o->fs = true;
		at -= FS_BASE;
	}
	switch (below(p, 8)) {
	case 0:
		o->modrm_mod = 0;
		o->rm = 5;
		o->disp = at;
		o->disp_size = 4;
		break;
	case 1:
		o->fs = false;
		plan_stack(p, o);
		break;
	case 2:
	case 3:
	case 4:
		plan_indexed(p, o, at);
		break;
	default:
		plan_based(p, o, at);
		break;
	}
}

static void put_modrm(struct program *p, const struct operand_plan *o, unsigned reg)
{
	byte(p, o->modrm_mod << 6 | reg << 3 | o->rm);
	if (o->sib)
		byte(p, o->sib_byte);
	for (unsigned i = 0; i < o->disp_size; i++)
		byte(p, o->disp >> i * 8);
}

/* ------------------------------------ instructions by table ------------------------------------ */

enum { REG_ANY = 8, FM_MEM = 1, FM_REG = 2, FM_OP16 = 4, FM_LOCK = 8, FM_IMMZ = 16, FM_MMX = 32 };

/* prefix (or 0), map (0: one byte, 1: 0F, 2: 0F38, 3: 0F3A), first and last opcode, ModRM.reg range, immediate */
struct recipe {
	uint8_t prefix, map, op, op_last, reg, reg_last, imm, flags;
};

static const struct recipe recipes[] = {
	/* ALU, each with its four ModRM directions */
	{0, 0, 0x00, 0x03, REG_ANY, 0, 0, FM_OP16}, {0, 0, 0x08, 0x0b, REG_ANY, 0, 0, FM_OP16},
	{0, 0, 0x10, 0x13, REG_ANY, 0, 0, FM_OP16}, {0, 0, 0x18, 0x1b, REG_ANY, 0, 0, FM_OP16},
	{0, 0, 0x20, 0x23, REG_ANY, 0, 0, FM_OP16}, {0, 0, 0x28, 0x2b, REG_ANY, 0, 0, FM_OP16},
	{0, 0, 0x30, 0x33, REG_ANY, 0, 0, FM_OP16}, {0, 0, 0x38, 0x3b, REG_ANY, 0, 0, FM_OP16},
	{0, 0, 0x80, 0x80, 0, 7, 1, 0},            {0, 0, 0x82, 0x82, 0, 7, 1, 0},
	{0, 0, 0x83, 0x83, 0, 7, 1, FM_OP16},       {0, 0, 0x81, 0x81, 0, 7, 0, FM_OP16 | FM_IMMZ},
	{0, 0, 0x84, 0x8b, REG_ANY, 0, 0, FM_OP16}, {0, 0, 0xc6, 0xc6, 0, 0, 1, 0},
	{0, 0, 0xc7, 0xc7, 0, 0, 0, FM_OP16 | FM_IMMZ}, {0, 0, 0x8d, 0x8d, REG_ANY, 0, 0, FM_OP16 | FM_MEM},
	{0, 0, 0x69, 0x69, REG_ANY, 0, 0, FM_OP16 | FM_IMMZ}, {0, 0, 0x6b, 0x6b, REG_ANY, 0, 1, FM_OP16},
	{0, 0, 0xf6, 0xf6, 0, 0, 1, 0},            {0, 0, 0xf6, 0xf7, 2, 5, 0, FM_OP16},
	{0, 0, 0xf7, 0xf7, 6, 7, 0, FM_OP16},       {0, 0, 0xfe, 0xff, 0, 1, 0, FM_OP16},
	{0, 0, 0xc0, 0xc1, 0, 7, 1, FM_OP16},       {0, 0, 0xd0, 0xd3, 0, 7, 0, FM_OP16},
	{0, 0, 0x01, 0x01, REG_ANY, 0, 0, FM_LOCK | FM_MEM}, {0, 0, 0xff, 0xff, 6, 6, 0, 0},
	{0, 0, 0x8f, 0x8f, 0, 0, 0, 0},            {0, 0, 0x8c, 0x8c, 0, 5, 0, FM_OP16},
	/* two-byte integer */
	{0, 1, 0xaf, 0xaf, REG_ANY, 0, 0, FM_OP16}, {0, 1, 0x40, 0x4f, REG_ANY, 0, 0, FM_OP16},
	{0, 1, 0x90, 0x9f, 0, 7, 0, 0},            {0, 1, 0xb6, 0xb7, REG_ANY, 0, 0, FM_OP16},
	{0, 1, 0xbe, 0xbf, REG_ANY, 0, 0, FM_OP16}, {0, 1, 0xa4, 0xa4, REG_ANY, 0, 1, FM_OP16},
	{0, 1, 0xa5, 0xa5, REG_ANY, 0, 0, FM_OP16}, {0, 1, 0xac, 0xac, REG_ANY, 0, 1, FM_OP16},
	{0, 1, 0xad, 0xad, REG_ANY, 0, 0, FM_OP16}, {0, 1, 0xa3, 0xa3, REG_ANY, 0, 0, FM_OP16 | FM_REG},
	{0, 1, 0xab, 0xab, REG_ANY, 0, 0, FM_OP16 | FM_REG}, {0, 1, 0xba, 0xba, 4, 7, 1, FM_OP16},
	{0, 1, 0xbc, 0xbd, REG_ANY, 0, 0, FM_OP16}, {0xf3, 1, 0xbc, 0xbd, REG_ANY, 0, 0, 0},
	{0, 1, 0xb0, 0xb1, REG_ANY, 0, 0, FM_OP16 | FM_LOCK}, {0, 1, 0xc0, 0xc1, REG_ANY, 0, 0, FM_OP16},
	{0, 1, 0xc7, 0xc7, 1, 1, 0, FM_MEM},        {0xf3, 1, 0xb8, 0xb8, REG_ANY, 0, 0, 0},
	{0xf2, 2, 0xf0, 0xf1, REG_ANY, 0, 0, 0},   {0, 1, 0xc3, 0xc3, REG_ANY, 0, 0, FM_MEM},
	{0, 1, 0x1f, 0x1f, 0, 0, 0, 0},            {0, 1, 0x18, 0x18, 0, 3, 0, FM_MEM},
	/* x87: arithmetic, loads, stores, constants, comparisons */
	{0, 0, 0xd8, 0xd8, REG_ANY, 0, 0, 0},      {0, 0, 0xdc, 0xdc, REG_ANY, 0, 0, 0},
	{0, 0, 0xda, 0xda, REG_ANY, 0, 0, FM_MEM},  {0, 0, 0xde, 0xde, REG_ANY, 0, 0, FM_MEM},
	{0, 0, 0xd9, 0xd9, 0, 3, 0, FM_MEM},        {0, 0, 0xd9, 0xd9, 0, 1, 0, FM_REG},
	{0, 0, 0xd9, 0xd9, 5, 5, 0, FM_REG},        {0, 0, 0xdd, 0xdd, 0, 3, 0, FM_MEM},
	{0, 0, 0xdb, 0xdb, 0, 3, 0, FM_MEM},        {0, 0, 0xdf, 0xdf, 0, 7, 0, FM_MEM},
	{0, 0, 0xda, 0xdb, 0, 3, 0, FM_REG},        {0, 0, 0xde, 0xde, 0, 2, 0, FM_REG},
	{0, 0, 0xd9, 0xd9, 7, 7, 0, FM_MEM},
	/* MMX */
	{0, 1, 0x60, 0x6b, REG_ANY, 0, 0, FM_MMX},  {0, 1, 0x74, 0x76, REG_ANY, 0, 0, FM_MMX},
	{0, 1, 0xd4, 0xd5, REG_ANY, 0, 0, FM_MMX},  {0, 1, 0xfc, 0xfe, REG_ANY, 0, 0, FM_MMX},
	{0, 1, 0x6e, 0x6f, REG_ANY, 0, 0, FM_MMX},  {0, 1, 0x7e, 0x7f, REG_ANY, 0, 0, FM_MMX},
	/* SSE to SSE4.2 */
	{0, 1, 0x28, 0x29, REG_ANY, 0, 0, 0},      {0, 1, 0x10, 0x11, REG_ANY, 0, 0, 0},
	{0, 1, 0x54, 0x59, REG_ANY, 0, 0, 0},      {0, 1, 0x5c, 0x5f, REG_ANY, 0, 0, 0},
	{0x66, 1, 0x54, 0x59, REG_ANY, 0, 0, 0},   {0x66, 1, 0x5c, 0x5f, REG_ANY, 0, 0, 0},
	{0xf3, 1, 0x58, 0x5f, REG_ANY, 0, 0, 0},   {0xf2, 1, 0x58, 0x5a, REG_ANY, 0, 0, 0},
	{0xf3, 1, 0x10, 0x11, REG_ANY, 0, 0, 0},   {0xf2, 1, 0x10, 0x11, REG_ANY, 0, 0, 0},
	{0xf2, 1, 0x2a, 0x2a, REG_ANY, 0, 0, 0},   {0xf3, 1, 0x2c, 0x2d, REG_ANY, 0, 0, 0},
	{0, 1, 0x2e, 0x2f, REG_ANY, 0, 0, 0},      {0x66, 1, 0x2e, 0x2f, REG_ANY, 0, 0, 0},
	{0x66, 1, 0x60, 0x6f, REG_ANY, 0, 0, 0},   {0xf3, 1, 0x6f, 0x6f, REG_ANY, 0, 0, 0},
	{0x66, 1, 0x70, 0x70, REG_ANY, 0, 1, 0},   {0, 1, 0xc2, 0xc2, REG_ANY, 0, 1, 0},
	{0xf2, 1, 0xc2, 0xc2, REG_ANY, 0, 1, 0},   {0x66, 1, 0xc4, 0xc4, REG_ANY, 0, 1, 0},
	{0x66, 1, 0xc5, 0xc5, REG_ANY, 0, 1, FM_REG}, {0x66, 1, 0xd7, 0xd7, REG_ANY, 0, 0, FM_REG},
	{0x66, 1, 0xd1, 0xd6, REG_ANY, 0, 0, 0},   {0x66, 1, 0xd8, 0xe5, REG_ANY, 0, 0, 0},
	{0x66, 1, 0xe8, 0xef, REG_ANY, 0, 0, 0},   {0x66, 1, 0xf8, 0xfe, REG_ANY, 0, 0, 0},
	{0x66, 1, 0x7e, 0x7f, REG_ANY, 0, 0, 0},   {0xf3, 1, 0x7e, 0x7f, REG_ANY, 0, 0, 0},
	{0, 1, 0x50, 0x50, REG_ANY, 0, 0, FM_REG},  {0xf2, 1, 0x7c, 0x7c, REG_ANY, 0, 0, 0},
	{0x66, 2, 0x00, 0x0b, REG_ANY, 0, 0, 0},   {0x66, 2, 0x1c, 0x1e, REG_ANY, 0, 0, 0},
	{0x66, 2, 0x20, 0x25, REG_ANY, 0, 0, 0},   {0x66, 2, 0x30, 0x35, REG_ANY, 0, 0, 0},
	{0x66, 2, 0x37, 0x40, REG_ANY, 0, 0, 0},   {0x66, 3, 0x0e, 0x0f, REG_ANY, 0, 1, 0},
	{0x66, 3, 0x14, 0x17, REG_ANY, 0, 1, 0},   {0x66, 3, 0x20, 0x22, REG_ANY, 0, 1, 0},
	{0x66, 3, 0x60, 0x63, REG_ANY, 0, 1, 0},   {0, 1, 0xae, 0xae, 3, 3, 0, FM_MEM},
};

static void escape(struct program *p, unsigned map)
{
	static const uint8_t third[] = {0, 0, 0x38, 0x3a};

	if (map)
		byte(p, 0x0f);
	if (third[map])
		byte(p, third[map]);
}

static void put_recipe(struct program *p, const struct recipe *f)
{
	unsigned op = f->op + below(p, f->op_last - f->op + 1u);
	unsigned reg = f->reg == REG_ANY ? below(p, 8) : f->reg + below(p, f->reg_last - f->reg + 1u);
	bool memory = f->flags & FM_MEM || (!(f->flags & FM_REG) && below(p, 2));
	bool op16 = (f->flags & FM_OP16) && below(p, 4) == 0;
	struct operand_plan o;

	/* a destination of ESP would lose the stack */
	if (reg == R_ESP && f->reg == REG_ANY && f->map < 2 && !f->prefix && below(p, 16))
		reg = R_EBX;
	plan_operand(p, &o, memory);
	if (!memory && o.rm == R_ESP && below(p, 16))
		o.rm = R_ESI;
	if (o.fs)
		byte(p, 0x64);
	if ((f->flags & FM_LOCK) && memory)
		byte(p, 0xf0);
	if (op16)
		byte(p, 0x66);
	if (f->prefix)
		byte(p, f->prefix);
	escape(p, f->map);
	byte(p, op);
	put_modrm(p, &o, reg);
	immediate(p, f->flags & FM_IMMZ ? (op16 ? 2 : 4) : f->imm);
	if (f->flags & FM_MMX && below(p, 2)) {
		byte(p, 0x0f); /* emms */
		byte(p, 0x77);
	}
}

/* ------------------------------------ special instructions ------------------------------------ */

static void put_string(struct program *p)
{
	static const uint8_t ops[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};

	mov_imm(p, R_ESI, AT_DATA + 0x800 + below(p, 0xe000));
	mov_imm(p, R_EDI, below(p, 3) ? AT_DATA + 0x800 + below(p, 0xe000) : AT_DATA + 0x8ff8);
	mov_imm(p, R_ECX, below(p, 0x180));
	byte(p, below(p, 4) ? 0xfc : 0xfd);
	if (below(p, 4))
		byte(p, below(p, 2) ? 0xf3 : 0xf2);
	if (below(p, 4) == 0)
		byte(p, 0x66);
	byte(p, ops[below(p, sizeof(ops))]);
}

static void put_simple(struct program *p)
{
	static const uint8_t ops[] = {
		0x98, 0x99, 0x9e, 0x9f, 0xf5, 0xf8, 0xf9, 0xfc, 0x9c, 0x60, 0x61, 0x06, 0x1e, 0x16, 0x0e,
		0x27, 0x2f, 0x37, 0x3f, 0x90, 0x9b, 0xd6, 0xfd,
	};
	unsigned b = ops[below(p, sizeof(ops))];

	if ((b == 0x98 || b == 0x99) && below(p, 3) == 0)
		byte(p, 0x66);
	byte(p, b);
}

static void put_register_op(struct program *p)
{
	unsigned reg = below(p, 8);

	if (reg == R_ESP)
		reg = R_EBP;
	switch (below(p, 6)) {
	case 0:
		byte(p, 0x40 | below(p, 2) << 3 | reg);
		break;
	case 1:
		byte(p, 0x50 | reg);
		break;
	case 2:
		byte(p, 0x58 | reg);
		break;
	case 3:
		byte(p, 0x90 | reg);
		break;
	case 4:
		byte(p, 0x0f);
		byte(p, 0xc8 | reg);
		break;
	default:
		if (below(p, 3) == 0)
			byte(p, 0x66);
		byte(p, 0x50 | below(p, 2) << 3 | reg);
		break;
	}
}

static void put_accumulator(struct program *p)
{
	unsigned op = below(p, 8) << 3 | 4 | below(p, 2);

	switch (below(p, 4)) {
	case 0:
		byte(p, 0xa0 | below(p, 4));
		dword(p, data_address(p));
		break;
	case 1:
		byte(p, 0xb0 | below(p, 8));
		immediate(p, 1);
		break;
	case 2:
		byte(p, below(p, 2) ? 0x68 : 0x6a);
		immediate(p, p->code[p->len - 1] == 0x68 ? 4 : 1);
		break;
	default:
		byte(p, op);
		immediate(p, op & 1 ? 4 : 1);
		break;
	}
}

static void put_xlat(struct program *p)
{
	mov_imm(p, R_EBX, data_address(p));
	byte(p, 0xd7);
}

static void put_leave(struct program *p)
{
	/* push ebp; mov ebp, esp; sub esp, 32; leave */
	static const uint8_t code[] = {0x55, 0x89, 0xe5, 0x83, 0xec, 0x20, 0xc9};

	for (unsigned i = 0; i < sizeof(code); i++)
		byte(p, code[i]);
}

static void put_any(struct program *p);

/* Jcc over one instruction, short or near. */
static void put_jcc(struct program *p)
{
	bool near = below(p, 2);
	unsigned at;

	if (near)
		byte(p, 0x0f);
	byte(p, (near ? 0x80 : 0x70) | below(p, 16));
	at = p->len;
	for (unsigned i = 0; i < (near ? 4u : 1u); i++)
		byte(p, 0);
	put_recipe(p, &recipes[below(p, ARRAY_LEN(recipes))]);
	p->code[at] = (uint8_t)(p->len - at - (near ? 4 : 1));
}

/* Bounded loop around a few instructions that may or may not leave ECX alone. */
static void put_loop(struct program *p)
{
	unsigned top;

	mov_imm(p, R_ECX, 1 + below(p, 5));
	top = p->len;
	put_register_op(p);
	byte(p, 0xe0 | below(p, 3));
	byte(p, top - p->len - 1);
}

static void put_call(struct program *p, uint32_t base)
{
	switch (below(p, 4)) {
	case 0: /* call the next instruction but one, which pops the address */
		byte(p, 0xe8);
		dword(p, 1);
		byte(p, 0x90);
		byte(p, 0x58);
		break;
	case 1: /* push target; ret */
		byte(p, 0x68);
		dword(p, base + p->len + 5 - 1 + 1);
		byte(p, 0xc3);
		break;
	case 2: /* mov edx, target; jmp edx */
		mov_imm(p, R_EDX, base + p->len + 5 + 2 + 1);
		byte(p, 0xff);
		byte(p, 0xe2);
		byte(p, 0x90);
		break;
	default: /* call ecx; the callee drops the address with ret 4 after a push */
		mov_imm(p, R_ECX, base + p->len + 5 + 2);
		byte(p, 0xff);
		byte(p, 0xd1);
		byte(p, 0x59);
		break;
	}
}

static void put_any(struct program *p)
{
	switch (below(p, 24)) {
	case 0:
		put_string(p);
		break;
	case 1:
	case 2:
		put_simple(p);
		break;
	case 3:
	case 4:
		put_register_op(p);
		break;
	case 5:
		put_accumulator(p);
		break;
	case 6:
		put_xlat(p);
		break;
	case 7:
		put_leave(p);
		break;
	case 8:
		put_jcc(p);
		break;
	case 9:
		put_loop(p);
		break;
	default:
		put_recipe(p, &recipes[below(p, ARRAY_LEN(recipes))]);
		break;
	}
}

void program_make(struct program *p, uint64_t seed, uint32_t base, unsigned n)
{
	p->rng = seed * 0x9e3779b97f4a7c15ull + 1;
	p->len = 0;
	for (unsigned i = 0; i < n && p->len < PROGRAM_MAX - 128; i++) {
		if (below(p, 12) == 0)
			put_call(p, base);
		put_any(p);
	}
	byte(p, 0xf4);
}
