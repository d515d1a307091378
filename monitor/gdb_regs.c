/*
 * Registers as gdb numbers them: the order of the table is that of the `g` packet and of the
 * target description (gdb_target.c) made from it.
 *
 * gdb's own features come first (org.gnu.gdb.i386.core and .sse), then what a kernel's debugger wants besides.
 */
#include "monitor/gdb_internal.h"

#include <string.h>

/* ---- plain ones ---- */

static void store32(void *out, uint64_t value)
{
	uint32_t v = (uint32_t)value;

	memcpy(out, &v, sizeof(v));
}

static uint32_t load32(const void *in)
{
	uint32_t v;

	memcpy(&v, in, sizeof(v));
	return v;
}

static void get_gpr(const struct cpu *c, unsigned n, void *out)
{
	store32(out, c->gpr[n]);
}

static bool set_gpr(struct gdb *g, unsigned n, const void *in)
{
	g->vm->cpu.gpr[n] = load32(in);
	return true;
}

static void get_eip(const struct cpu *c, unsigned n, void *out)
{
	store32(out, c->rip);
}

/* A halted processor that is sent elsewhere runs there. */
static bool set_eip(struct gdb *g, unsigned n, const void *in)
{
	struct cpu *c = &g->vm->cpu;

	if (c->rip == load32(in))
		return true;
	c->rip = load32(in);
	c->halted = 0;
	vm_pc_written(g->vm);
	return true;
}

static void get_eflags(const struct cpu *c, unsigned n, void *out)
{
	store32(out, c->eflags);
}

/* Virtual-8086 mode is not entered and left by a flag alone. */
static bool set_eflags(struct gdb *g, unsigned n, const void *in)
{
	const uint32_t writable = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_AC | FL_VIF | FL_VIP | FL_ID;
	struct cpu *c = &g->vm->cpu;
	uint32_t value = load32(in);

	if ((value ^ c->eflags) & FL_VM)
		return false;
	c->eflags = (value & writable) | (c->eflags & ~writable) | FL_FIXED1;
	return true;
}

/* ---- segments ---- */

static void get_selector(const struct cpu *c, unsigned s, void *out)
{
	store32(out, c->seg[s].sel);
}

/* As an instruction would load it; CS is loaded by none alone, except where a selector is only a base. */
static bool set_selector(struct gdb *g, unsigned s, const void *in)
{
	struct cpu *c = &g->vm->cpu;
	uint32_t value = load32(in);

	if (value == c->seg[s].sel)
		return true;
	if (value > 0xffff)
		return false;
	if (!cpu_protected(c) || cpu_vm86(c)) {
		cpu_set_real_segment(c, s, (uint16_t)value);
		return true;
	}
	return s != S_CS && cpu_load_segment(c, s, (uint16_t)value) == OUT_OK;
}

static void get_base(const struct cpu *c, unsigned s, void *out)
{
	store32(out, c->seg[s].base);
}

static bool set_base(struct gdb *g, unsigned s, const void *in)
{
	g->vm->cpu.seg[s].base = load32(in);
	return true;
}

/* ---- x87 and SSE ---- */

static void get_st(const struct cpu *c, unsigned n, void *out)
{
	memcpy(out, c->fx.st[n], 10);
}

static bool set_st(struct gdb *g, unsigned n, const void *in)
{
	memcpy(g->vm->cpu.fx.st[n], in, 10);
	return true;
}

/* One register's two bits of the full tag word (SDM: "x87 FPU Tag Word"). */
static unsigned tag_of(const uint8_t st[16])
{
	uint64_t mantissa;
	unsigned exponent = (st[8] | st[9] << 8) & 0x7fff;

	memcpy(&mantissa, st, sizeof(mantissa));
	if (!exponent && !mantissa)
		return 1;
	if (!exponent || exponent == 0x7fff || !(mantissa >> 63))
		return 2;
	return 0;
}

static uint16_t full_tag_word(const struct cpu_fx *fx)
{
	unsigned top = (fx->fsw >> 11) & 7, tags = 0;

	for (unsigned physical = 0; physical < 8; physical++) {
		unsigned tag = fx->ftw & (1u << physical) ? tag_of(fx->st[(physical - top) & 7]) : 3;

		tags |= tag << 2 * physical;
	}
	return (uint16_t)tags;
}

static uint8_t abridged_tag_word(uint16_t tags)
{
	unsigned in_use = 0;

	for (unsigned physical = 0; physical < 8; physical++) {
		if (((tags >> 2 * physical) & 3) != 3)
			in_use |= 1u << physical;
	}
	return (uint8_t)in_use;
}

/* In gdb's order. */
enum { X87_FCTRL, X87_FSTAT, X87_FTAG, X87_FISEG, X87_FIOFF, X87_FOSEG, X87_FOOFF, X87_FOP };

static void get_x87(const struct cpu *c, unsigned n, void *out)
{
	const struct cpu_fx *fx = &c->fx;
	const uint32_t values[] = {fx->fcw, fx->fsw, full_tag_word(fx), fx->fcs, fx->fip, fx->fds, fx->fdp, fx->fop};

	store32(out, values[n]);
}

static bool set_x87(struct gdb *g, unsigned n, const void *in)
{
	struct cpu_fx *fx = &g->vm->cpu.fx;
	uint32_t v = load32(in);

	switch (n) {
	case X87_FCTRL:
		fx->fcw = (uint16_t)v;
		break;
	case X87_FSTAT:
		fx->fsw = (uint16_t)v;
		break;
	case X87_FTAG:
		fx->ftw = abridged_tag_word((uint16_t)v);
		break;
	case X87_FISEG:
		fx->fcs = (uint16_t)v;
		break;
	case X87_FIOFF:
		fx->fip = v;
		break;
	case X87_FOSEG:
		fx->fds = (uint16_t)v;
		break;
	case X87_FOOFF:
		fx->fdp = v;
		break;
	default:
		fx->fop = v & 0x7ff;
	}
	return true;
}

static void get_xmm(const struct cpu *c, unsigned n, void *out)
{
	memcpy(out, c->fx.xmm[n], 16);
}

static bool set_xmm(struct gdb *g, unsigned n, const void *in)
{
	memcpy(g->vm->cpu.fx.xmm[n], in, 16);
	return true;
}

static void get_mxcsr(const struct cpu *c, unsigned n, void *out)
{
	store32(out, c->fx.mxcsr);
}

/* A reserved bit would be a fault of LDMXCSR, and of our own FXRSTOR. */
static bool set_mxcsr(struct gdb *g, unsigned n, const void *in)
{
	if (load32(in) & ~0xffbfu)
		return false;
	g->vm->cpu.fx.mxcsr = load32(in);
	return true;
}

/* ---- control ---- */

static void get_cr(const struct cpu *c, unsigned n, void *out)
{
	uint64_t value = 0;

	/* the registers of the table exist */
	if (n == 2)
		value = c->cr2;
	else
		value = n == 0 ? c->cr0 : n == 3 ? c->cr3 : c->cr4;
	store32(out, value);
}

/* As MOV to CR checks it; the fault it would be is not delivered. */
static bool set_cr(struct gdb *g, unsigned n, const void *in)
{
	struct cpu *c = &g->vm->cpu;
	uint32_t now;

	get_cr(c, n, &now);
	return now == load32(in) || cpu_write_cr(c, n, load32(in)) == OUT_OK;
}

static void get_efer(const struct cpu *c, unsigned n, void *out)
{
	store32(out, c->efer);
}

static bool set_efer(struct gdb *g, unsigned n, const void *in)
{
	struct cpu *c = &g->vm->cpu;

	return c->efer == load32(in) || cpu_wrmsr(c, 0xc0000080, load32(in)) == OUT_OK;
}

/* ---- the table ---- */

#define GPR(name, type, n) {name, type, 4, get_gpr, set_gpr, n, NULL}
#define SEG(name, n) {name, GDB_INT32, 4, get_selector, set_selector, n, NULL}
#define ST(n) {"st" #n, GDB_X87, 10, get_st, set_st, n, NULL}
#define X87(name, n) {name, GDB_X87_CONTROL, 4, get_x87, set_x87, n, NULL}
#define XMM(n, feature) {"xmm" #n, GDB_XMM, 16, get_xmm, set_xmm, n, feature}
#define BASE(name, n, feature) {name, GDB_INT32, 4, get_base, set_base, n, feature}
#define CR(name, type, n) {name, type, 4, get_cr, set_cr, n, NULL}

const struct gdb_reg gdb_regs[] = {
	{"eax", GDB_INT32, 4, get_gpr, set_gpr, R_EAX, "org.gnu.gdb.i386.core"},
	GPR("ecx", GDB_INT32, R_ECX),
	GPR("edx", GDB_INT32, R_EDX),
	GPR("ebx", GDB_INT32, R_EBX),
	GPR("esp", GDB_STACK, R_ESP),
	GPR("ebp", GDB_STACK, R_EBP),
	GPR("esi", GDB_INT32, R_ESI),
	GPR("edi", GDB_INT32, R_EDI),
	{"eip", GDB_CODE, 4, get_eip, set_eip, 0, NULL},
	{"eflags", GDB_EFLAGS, 4, get_eflags, set_eflags, 0, NULL},
	SEG("cs", S_CS),
	SEG("ss", S_SS),
	SEG("ds", S_DS),
	SEG("es", S_ES),
	SEG("fs", S_FS),
	SEG("gs", S_GS),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	X87("fctrl", X87_FCTRL),
	X87("fstat", X87_FSTAT),
	X87("ftag", X87_FTAG),
	X87("fiseg", X87_FISEG),
	X87("fioff", X87_FIOFF),
	X87("foseg", X87_FOSEG),
	X87("fooff", X87_FOOFF),
	X87("fop", X87_FOP),
	XMM(0, "org.gnu.gdb.i386.sse"),
	XMM(1, NULL), XMM(2, NULL), XMM(3, NULL), XMM(4, NULL), XMM(5, NULL), XMM(6, NULL), XMM(7, NULL),
	{"mxcsr", GDB_MXCSR, 4, get_mxcsr, set_mxcsr, 0, NULL},
	BASE("cs_base", S_CS, "org.ringfence.i386.system"),
	BASE("ss_base", S_SS, NULL),
	BASE("ds_base", S_DS, NULL),
	BASE("es_base", S_ES, NULL),
	BASE("fs_base", S_FS, NULL),
	BASE("gs_base", S_GS, NULL),
	CR("cr0", GDB_CR0, 0),
	CR("cr2", GDB_STACK, 2),
	CR("cr3", GDB_INT32, 3),
	CR("cr4", GDB_CR4, 4),
	{"efer", GDB_EFER, 4, get_efer, set_efer, 0, NULL},
};
const unsigned gdb_reg_count = ARRAY_LEN(gdb_regs);

/* ---- the packets ---- */

enum { REG_MAX = 16 };

bool gdb_read_all(struct gdb *g, const char *p, size_t n)
{
	uint8_t value[REG_MAX];

	if (n)
		return gdb_error(g, GDB_EINVAL);
	for (unsigned i = 0; i < gdb_reg_count; i++) {
		gdb_regs[i].get(&g->vm->cpu, gdb_regs[i].arg, value);
		gdb_put_hex(&g->reply, value, gdb_regs[i].size);
	}
	return true;
}

/* What a debugger looks at after each step (by number): it then need not ask. */
void gdb_put_usual(struct gdb *g)
{
	static const unsigned usual[] = {4, 5, 8}; /* esp, ebp, eip */
	uint8_t value[REG_MAX];

	for (unsigned i = 0; i < ARRAY_LEN(usual); i++) {
		const struct gdb_reg *r = &gdb_regs[usual[i]];

		r->get(&g->vm->cpu, r->arg, value);
		gdb_putf(&g->reply, "%02x:", usual[i]);
		gdb_put_hex(&g->reply, value, r->size);
		gdb_put(&g->reply, ";");
	}
}

static size_t all_size(void)
{
	size_t size = 0;

	for (unsigned i = 0; i < gdb_reg_count; i++)
		size += gdb_regs[i].size;
	return size;
}

/* All or nothing as to the packet's form; values that cannot be are left out, and reported. */
bool gdb_write_all(struct gdb *g, const char *p, size_t n)
{
	uint8_t value[REG_MAX];
	bool good = true;

	if (n != 2 * all_size() || strspn(p, "0123456789abcdefABCDEF") != n)
		return gdb_error(g, GDB_EINVAL);
	for (unsigned i = 0; i < gdb_reg_count; i++) {
		const struct gdb_reg *r = &gdb_regs[i];

		if (gdb_get_bytes(&p, value, r->size))
			good &= r->set(g, r->arg, value);
	}
	return good ? gdb_ok(g) : gdb_error(g, GDB_EINVAL);
}

static const struct gdb_reg *get_number(const char **p)
{
	uint64_t n;

	return gdb_get_hex(p, &n) && n < gdb_reg_count ? &gdb_regs[n] : NULL;
}

bool gdb_read_register(struct gdb *g, const char *p, size_t n)
{
	const struct gdb_reg *r = get_number(&p);
	uint8_t value[REG_MAX];

	if (!r || *p)
		return gdb_error(g, GDB_EINVAL);
	r->get(&g->vm->cpu, r->arg, value);
	gdb_put_hex(&g->reply, value, r->size);
	return true;
}

bool gdb_write_register(struct gdb *g, const char *p, size_t n)
{
	const struct gdb_reg *r = get_number(&p);
	uint8_t value[REG_MAX];

	if (!r || !gdb_get_char(&p, '=') || !gdb_get_bytes(&p, value, r->size) || *p)
		return gdb_error(g, GDB_EINVAL);
	return r->set(g, r->arg, value) ? gdb_ok(g) : gdb_error(g, GDB_EINVAL);
}
