/*
 * The interpreter against the host processor.
 *
 * Random unprivileged instructions are executed twice from the same random
 * state: by cpu_interpret_one(), and by the host in a real 32-bit code segment
 * (compatibility mode), so that the encodings 64-bit mode gave away, BCD,
 * INC/DEC r32, PUSHA and so on, are compared as well. Registers, all six
 * arithmetic flags, memory, x87, MMX and SSE state must come out the same, and
 * so must the exception vector. A second run does the same in a 16-bit code
 * segment with small data and stack segments, made in the LDT, for instructions that
 * do not fault.
 *
 * RINGFENCE_DIFF_SEED and RINGFENCE_DIFF_COUNT change the seed and the length of the run.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <asm/ldt.h>

#include "cpu/fpu.h"
#include "tests/unit/cpu/mock.h"

enum {
	CODE = 0x20000000, /* all below 2 GiB, where 64-bit absolute addressing reaches, too */
	DATA = 0x21000000,
	CONTEXT = 0x22000000,
	DATA_SIZE = 0x4000,
	INSN_ROOM = 15,
	HOST_FLAGS = FL_ARITH | FL_DF,
	MAX_REPORTS = 20,
};

/* Shared with the 32-bit code: lives at CONTEXT. */
struct context {
	struct cpu_fx fx_in, fx_out;
	uint32_t gpr_in[8], gpr_out[8];
	uint32_t flags_in, flags_out;
	uint64_t rsp, resume;
	uint32_t entry;
	uint16_t entry_cs;
	uint16_t flat_sel, data_sel;
	uint32_t esp_in; /* with ss_in, for LSS */
	uint16_t ss_in;
};

enum { LDT_CODE16, LDT_DATA16, SEL_FLAT = 0x2b, SEL_FLAT_CODE = 0x23 };

/* Where the guest's segments are in this run: flat, or bases of their own in 16-bit code. */
static bool code16;
static uint32_t code_base, data_base;

/* What one execution came to. */
struct result {
	int vector; /* -1: none */
	uint32_t gpr[8], flags;
	struct cpu_fx fx;
};

static struct context *const context = (struct context *)(uintptr_t)CONTEXT;
static uint8_t *const code = (uint8_t *)(uintptr_t)CODE;
static uint8_t *const host_data = (uint8_t *)(uintptr_t)DATA;
static uint8_t guest_data[DATA_SIZE], pristine_data[DATA_SIZE];
static uint8_t *insn_at; /* where the instruction under test is patched in */
static sigjmp_buf trapped;
static struct result *trap_result;

/* ---- random numbers ---- */

static uint64_t rng_state;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 16);
}

static uint32_t below(uint32_t n)
{
	return rnd() % n;
}

static bool one_in(uint32_t n)
{
	return below(n) == 0;
}

/* ---- the host's side ---- */

static void on_signal(int sig, siginfo_t *info, void *data)
{
	static const int order[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX,
				     REG_RSP, REG_RBP, REG_RSI, REG_RDI};
	ucontext_t *uc = data;

	trap_result->vector = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
	for (unsigned i = 0; i < 8; i++)
		trap_result->gpr[i] = (uint32_t)uc->uc_mcontext.gregs[order[i]];
	trap_result->flags = (uint32_t)uc->uc_mcontext.gregs[REG_EFL];
	memcpy(&trap_result->fx, uc->uc_mcontext.fpregs, sizeof(trap_result->fx));
	siglongjmp(trapped, 1);
}

static uint8_t *put8(uint8_t *p, unsigned v)
{
	*p = (uint8_t)v;
	return p + 1;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
	return p + 4;
}

static uint8_t *put_bytes(uint8_t *p, const char *bytes, unsigned len)
{
	memcpy(p, bytes, len);
	return p + len;
}

#define FIELD(name) (CONTEXT + (uint32_t)offsetof(struct context, name))

static uint16_t ldt_selector(unsigned entry)
{
	return (uint16_t)(entry << 3 | 7);
}

static uint8_t *put_far_jump(uint8_t *p, uint32_t offset, uint16_t sel)
{
	p = put32(put8(p, 0xea), offset);
	return put8(put8(p, sel & 0xff), sel >> 8);
}

/* Into the 16-bit segments; MOV to segment registers keeps the flags. */
static uint8_t *put_enter_16(uint8_t *p)
{
	p = put32(put_bytes(p, "\x8e\x05", 2), FIELD(data_sel));   /* mov es, [data_sel] */
	p = put32(put_bytes(p, "\x0f\xb2\x25", 3), FIELD(esp_in)); /* lss esp, [esp_in] */
	p = put32(put_bytes(p, "\x8e\x1d", 2), FIELD(data_sel));   /* mov ds, [data_sel] */
	return put_far_jump(p, (uint32_t)(p + 7 - code), ldt_selector(LDT_CODE16));
}

static uint8_t *put_leave_16(uint8_t *p)
{
	p = put8(p, 0x66);
	p = put_far_jump(p, (uint32_t)(uintptr_t)(p + 7), SEL_FLAT_CODE);
	p = put32(put_bytes(p, "\x2e\x8e\x1d", 3), FIELD(flat_sel)); /* mov ds, cs:[flat_sel] */
	return put32(put_bytes(p, "\x8e\x05", 2), FIELD(flat_sel));  /* mov es, [flat_sel] */
}

/* Load the state, room for the instruction, store the state, back to 64 bits. */
static void build_harness(void)
{
	uint8_t *p = code;

	p = put32(put_bytes(p, "\x0f\xae\x0d", 3), FIELD(fx_in));  /* fxrstor [fx_in] */
	p = put8(put32(put8(p, 0xbc), FIELD(flags_in)), 0x9d);     /* mov esp, &flags_in; popfd */
	for (unsigned r = 0; r < 8; r++)                           /* mov r, [gpr_in + 4r] */
		p = put32(put8(put8(p, 0x8b), 0x05 | r << 3), FIELD(gpr_in) + 4 * r);
	if (code16)
		p = put_enter_16(p);
	insn_at = p;
	p += INSN_ROOM;
	if (code16)
		p = put_leave_16(p);
	for (unsigned r = 0; r < 8; r++)
		p = put32(put8(put8(p, 0x89), 0x05 | r << 3), FIELD(gpr_out) + 4 * r);
	p = put32(put_bytes(p, "\x8e\x15", 2), FIELD(flat_sel));   /* mov ss, [flat_sel] */
	p = put8(put32(put8(p, 0xbc), FIELD(flags_out) + 4), 0x9c); /* mov esp; pushfd */
	p = put32(put_bytes(p, "\x0f\xae\x05", 3), FIELD(fx_out));  /* fxsave [fx_out] */
	p = put_far_jump(p, (uint32_t)(uintptr_t)(p + 7), 0x33);
	p = put32(put_bytes(p, "\x48\x8b\x24\x25", 4), FIELD(rsp)); /* mov rsp, [rsp] */
	put32(put_bytes(p, "\xff\x24\x25", 3), FIELD(resume));      /* jmp [resume] */
	context->entry = CODE;
	context->entry_cs = SEL_FLAT_CODE;
	context->flat_sel = SEL_FLAT;
	context->data_sel = ldt_selector(LDT_DATA16);
	context->ss_in = ldt_selector(LDT_DATA16);
}

static bool set_up_ldt(void)
{
	struct user_desc c = {.entry_number = LDT_CODE16, .base_addr = CODE, .limit = 0xffff,
			      .contents = MODIFY_LDT_CONTENTS_CODE};
	struct user_desc d = {.entry_number = LDT_DATA16, .base_addr = DATA, .limit = DATA_SIZE - 1,
			      .contents = MODIFY_LDT_CONTENTS_DATA};

	return syscall(SYS_modify_ldt, 1, &c, sizeof(c)) == 0 &&
	       syscall(SYS_modify_ldt, 1, &d, sizeof(d)) == 0;
}

static void *map_low(uintptr_t at, size_t size, int prot)
{
	return mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static bool set_up_host(void)
{
	static const int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS, SIGTRAP};
	static uint8_t stack[1 << 16];
	static bool done;
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = on_signal,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	if (done)
		return true;
	if (map_low(CODE, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC) != code ||
	    map_low(DATA, DATA_SIZE, PROT_READ | PROT_WRITE) != host_data ||
	    map_low(CONTEXT, PAGE_SIZE, PROT_READ | PROT_WRITE) != context)
		return false;
	sigaltstack(&ss, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &sa, NULL);
	done = true;
	return true;
}

static void enter_compat(void)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "push %%rbx\n\t"
			 "push %%rbp\n\t"
			 "mov %%rsp, %c[rsp](%[ctx])\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "mov %%rax, %c[resume](%[ctx])\n\t"
			 "mov $0x2b, %%eax\n\t"
			 "mov %%eax, %%ds\n\t"
			 "mov %%eax, %%es\n\t"
			 "mov %%eax, %%ss\n\t" /* a signal may have left another */
			 "ljmp *%c[entry](%[ctx])\n"
			 "1:\n\t"
			 "cld\n\t"
			 "fninit\n\t"
			 "pop %%rbp\n\t"
			 "pop %%rbx\n\t"
			 "lea 128(%%rsp), %%rsp"
			 :
			 : [ctx] "D"(context), [rsp] "i"(offsetof(struct context, rsp)),
			   [resume] "i"(offsetof(struct context, resume)),
			   [entry] "i"(offsetof(struct context, entry))
			 : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
			   "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "memory", "cc");
}

static void run_on_host(const struct insn *insn, struct result *r)
{
	uint32_t mxcsr = 0x1f80;

	memset(insn_at, 0x90, INSN_ROOM);
	memcpy(insn_at, insn->bytes, insn->length);
	memset(r, 0, sizeof(*r));
	trap_result = r;
	if (sigsetjmp(trapped, 0) == 0) {
		enter_compat();
		r->vector = -1;
		memcpy(r->gpr, context->gpr_out, sizeof(r->gpr));
		r->flags = context->flags_out;
		r->fx = context->fx_out;
	}
	__asm__ volatile("fninit; ldmxcsr %0; cld" : : "m"(mxcsr));
}

/* ---- the interpreter's side: the same addresses, its own memory ---- */

static bool in_data(gva_t at, unsigned len)
{
	return at.v >= DATA && at.v + len <= DATA + DATA_SIZE;
}

static enum outcome absent(struct cpu *cpu, gva_t at)
{
	cpu->fault = (struct cpu_fault){.vector = EXC_PF, .has_error = true, .cr2 = at.v};
	return OUT_FAULT;
}

static enum outcome data_read(struct cpu *cpu, gva_t at, void *to, unsigned len, unsigned acc)
{
	if (!in_data(at, len))
		return absent(cpu, at);
	memcpy(to, guest_data + (at.v - DATA), len);
	return OUT_OK;
}

static enum outcome data_write(struct cpu *cpu, gva_t at, const void *from, unsigned len,
			       unsigned acc)
{
	if (!in_data(at, len))
		return absent(cpu, at);
	memcpy(guest_data + (at.v - DATA), from, len);
	return OUT_OK;
}

static enum outcome data_probe(struct cpu *cpu, gva_t at, unsigned len, unsigned acc)
{
	return in_data(at, len) ? OUT_OK : absent(cpu, at);
}

static enum outcome code_fetch(struct cpu *cpu, gva_t at, uint8_t *to, unsigned max, unsigned *got)
{
	memcpy(to, (const void *)(uintptr_t)at.v, max);
	*got = max;
	return OUT_OK;
}

static const struct cpu_ops ops = {
	.read = data_read, .write = data_write, .probe = data_probe, .fetch = code_fetch,
};

static void set_up_cpu(struct cpu *cpu, struct cpu_model *model)
{
	const unsigned data = SEG_P | SEG_S | SEG_DB | SEG_G | SEG_WRITE | SEG_ACCESSED |
			      3 << SEG_DPL_SHIFT;

	memset(model, 0, sizeof(*model));
	memset(model->features, 0xff, sizeof(model->features));
	memset(cpu, 0, sizeof(*cpu));
	cpu->ops = &ops;
	cpu->model = model;
	for (unsigned s = S_ES; s <= S_GS; s++)
		cpu->seg[s] = (struct cpu_segment){.limit = 0xffffffff, .sel = 0x2b, .attr = data};
	cpu->seg[S_CS].sel = SEL_FLAT_CODE;
	cpu->seg[S_CS].attr |= SEG_CODE;
	for (unsigned s = S_ES; code16 && s <= S_DS; s++) {
		cpu->seg[s].base = s == S_CS ? CODE : DATA;
		cpu->seg[s].limit = s == S_CS ? 0xffff : DATA_SIZE - 1;
		cpu->seg[s].attr &= (uint16_t)~(SEG_DB | SEG_G);
		cpu->seg[s].sel = ldt_selector(s == S_CS ? LDT_CODE16 : LDT_DATA16);
	}
	cpu->cpl = 3;
	cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG;
	cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
}

static void run_interpreted(struct cpu *cpu, struct result *r)
{
	enum outcome out;

	cpu->rip = (uint32_t)(uintptr_t)insn_at - code_base;
	for (unsigned i = 0; i < 8; i++)
		cpu->gpr[i] = context->gpr_in[i];
	cpu->eflags = context->flags_in | FL_FIXED1 | FL_IF;
	cpu->fx = context->fx_in;
	do {
		out = cpu_interpret_one(cpu);
	} while (out == OUT_RETRY);
	r->vector = out == OUT_FAULT ? cpu->fault.vector : -1;
	for (unsigned i = 0; i < 8; i++)
		r->gpr[i] = (uint32_t)cpu->gpr[i];
	r->flags = cpu->eflags;
	r->fx = cpu->fx;
}

/* ---- random states ---- */

static uint32_t random_value(void)
{
	static const uint32_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
					 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x99, 0x0a};

	switch (below(5)) {
	case 0:
		return edges[below(ARRAY_LEN(edges))];
	case 1:
		return below(64);
	case 2:
		return data_base + DATA_SIZE / 2 + below(256);
	default:
		return rnd() ^ rnd() << 16;
	}
}

static uint32_t random_pointer(void)
{
	uint32_t p = data_base + DATA_SIZE / 2 + below(512) - 256;

	return one_in(4) ? p : p & ~15u;
}

static uint64_t random_double_bits(void)
{
	double d = ((double)(int32_t)rnd()) * (one_in(2) ? 1.0 : 1e-3);
	static const uint64_t edges[] = {0, 0x8000000000000000, 0x3ff0000000000000, 0x7ff0000000000000,
					 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 1,
					 0x000fffffffffffff, 0x7fefffffffffffff, 0x0010000000000000};
	uint64_t bits;

	memcpy(&bits, &d, 8);
	if (one_in(4))
		return edges[below(ARRAY_LEN(edges))];
	return one_in(4) ? (uint64_t)rnd() << 32 | rnd() : bits;
}

static void random_vector(uint8_t out[16])
{
	for (unsigned i = 0; i < 16; i += 8) {
		uint64_t v = random_double_bits();

		if (one_in(2)) {
			float f[2] = {(float)(int32_t)rnd(), (float)below(1000) / 7};
			static const uint32_t edges[] = {0, 0x80000000, 0x7f800000, 0x7fc00000, 1,
							 0x7f800001, 0x7f7fffff, 0x00800000};
			memcpy(&v, f, 8);
			if (one_in(3))
				memcpy(&v, &edges[below(ARRAY_LEN(edges))], 4);
		}
		memcpy(out + i, &v, 8);
	}
}

static void random_extended(uint8_t out[16])
{
	uint64_t bits = random_double_bits();
	double d;
	long double x;

	memset(out, 0, 16);
	memcpy(&d, &bits, 8);
	x = d;
	memcpy(out, &x, 10);
	if (one_in(8))
		for (unsigned i = 0; i < 10; i++)
			out[i] = (uint8_t)rnd();
	if (one_in(8)) { /* an MMX value */
		memcpy(out, &bits, 8);
		memset(out + 8, 0xff, 2);
	}
}

static void random_fx(struct cpu_fx *fx)
{
	memset(fx, 0, sizeof(*fx));
	fx->fcw = (uint16_t)(0x7f | below(16) << 8);
	if (one_in(8))
		fx->fcw = (uint16_t)((fx->fcw & ~0x3f) | below(64));
	fx->fsw = (uint16_t)(below(8) << 11 | (rnd() & 0x4700));
	if (one_in(8))
		fx->fsw |= below(64);
	if (fx->fsw & ~fx->fcw & 0x3f)
		fx->fsw |= FSW_ES | FSW_B;
	fx->ftw = one_in(3) ? (uint8_t)rnd() : one_in(2) ? 0xff : 0;
	fx->mxcsr = 0x1f80 | below(4) << 13 | (one_in(4) ? 0x8000 : 0) | (one_in(4) ? 0x40 : 0);
	if (one_in(6) && !code16)
		fx->mxcsr = (fx->mxcsr & ~0x1f80u) | below(64) << 7;
	if (one_in(6))
		fx->mxcsr |= below(64);
	fx->mxcsr_mask = MXCSR_MASK;
	for (unsigned i = 0; i < 8; i++) {
		random_extended(fx->st[i]);
		random_vector(fx->xmm[i]);
	}
}

static void random_state(void)
{
	for (unsigned i = 0; i < 8; i++)
		context->gpr_in[i] = random_value();
	context->gpr_in[R_ESP] = data_base + DATA_SIZE / 4 + below(64) * 4;
	if (code16 && one_in(2)) /* the upper half of ESP is not the 16-bit stack's */
		context->gpr_in[R_ESP] |= rnd() << 16;
	context->flags_in = FL_FIXED1 | (rnd() & FL_ARITH) | (one_in(4) ? FL_DF : 0);
	random_fx(&context->fx_in);
	/* Memory holds numbers of all kinds; refreshing a part is enough. */
	for (unsigned i = 0; i < 16; i++)
		random_vector(pristine_data + (below(64) + DATA_SIZE / 32 - 32) * 16);
}

/* ---- random instructions ---- */

static void put_address_16(uint8_t *p, unsigned mod, unsigned rm)
{
	static const uint8_t base[8] = {R_EBX, R_EBX, R_EBP, R_EBP, R_ESI, R_EDI, R_EBP, R_EBX};
	uint32_t disp = below(64);

	context->gpr_in[base[rm]] = random_pointer() | (one_in(2) ? rnd() << 16 : 0);
	if (rm < 4)
		context->gpr_in[rm & 1 ? R_EDI : R_ESI] = below(4) * 16;
	if (mod == 0 && rm == 6) {
		disp = random_pointer();
		mod = 2;
	}
	if (mod >= 1)
		p = put8(p, disp & 0xff);
	if (mod == 2)
		put8(p, disp >> 8 & 0xff);
}

static void put_address(uint8_t *p, unsigned mod, unsigned rm)
{
	uint32_t disp = below(64) & ~(one_in(2) ? 15u : 0);

	if (rm == 4) {
		unsigned base = below(8), index = below(8);

		*p++ = (uint8_t)(below(4) << 6 | index << 3 | base);
		if (index != 4)
			context->gpr_in[index] = one_in(4) ? below(32) : below(4) * 16;
		if (base != 5 || mod != 0)
			context->gpr_in[base] = random_pointer();
		else
			rm = 5;
	} else if (rm != 5 || mod != 0) {
		context->gpr_in[rm] = random_pointer();
	}
	if (mod == 0 && rm == 5)
		p = put32(p, random_pointer());
	else if (mod == 1)
		p = put8(p, disp);
	else if (mod == 2)
		p = put32(p, disp);
}

/* An opcode with every byte after it random, except that addresses make sense. */
static void random_instruction(void)
{
	static const uint8_t prefixes[] = {0x66, 0xf2, 0xf3};
	uint8_t *p = insn_at, opcode = (uint8_t)rnd();
	unsigned map = below(10);
	bool address16 = code16;

	for (unsigned i = 0; i < INSN_ROOM; i++)
		insn_at[i] = (uint8_t)rnd();
	if (one_in(32))
		*p++ = 0xf0;
	if (code16 && one_in(3)) {
		*p++ = 0x67;
		address16 = false;
	}
	if (map >= 4 ? one_in(2) : one_in(4))
		*p++ = prefixes[below(3)];
	if (map >= 4)
		*p++ = 0x0f;
	if (map == 8)
		*p++ = 0x38;
	if (map == 9)
		*p++ = 0x3a;
	*p++ = opcode;
	if (map < 4 && (opcode & 0xfc) == 0xa0) {
		put32(p, random_pointer());
		return;
	}
	uint8_t modrm = (uint8_t)rnd();
	if (one_in(2))
		modrm |= 0xc0;
	*p++ = modrm;
	if (modrm < 0xc0 && address16)
		put_address_16(p, modrm >> 6, modrm & 7);
	else if (modrm < 0xc0)
		put_address(p, modrm >> 6, modrm & 7);
	if (one_in(4)) { /* for string instructions and register bit indices */
		context->gpr_in[R_ESI] = random_pointer();
		context->gpr_in[R_EDI] = random_pointer();
		context->gpr_in[R_ECX] = below(24);
	}
}

/* System instructions see the machine around them, branches leave the harness. */
static bool comparable(op_fn *fn, const struct insn *insn)
{
	static op_fn *const excluded[] = {
		op_popf, op_hlt, op_clts, op_lmsw, op_smsw, op_invlpg, op_invd, op_wbinvd, op_lgdt,
		op_lidt, op_sgdt, op_sidt, op_lldt, op_ltr, op_sldt, op_str, op_lar, op_lsl, op_verr,
		op_verw, op_arpl, op_load_far_pointer, op_iret, op_int, op_int3, op_into, op_int1,
		op_sysenter, op_sysexit, op_cpuid, op_rdtsc, op_rdpmc, op_rdmsr, op_wrmsr, op_rsm,
		op_in, op_out, op_ins, op_outs, op_jmp_any, op_call_any, op_ret_any, op_jcc, op_loop,
		op_loope, op_loopne, op_jcxz, op_fnstenv, op_fnsave, op_fxsave,
	};

	for (unsigned i = 0; i < ARRAY_LEN(excluded); i++)
		if (fn == excluded[i])
			return false;
	for (unsigned i = 0; i < insn->nops; i++)
		if (insn->op[i].kind == OP_SEG || insn->op[i].kind == OP_CR || insn->op[i].kind == OP_DR)
			return false;
	/* The host has TZCNT and LZCNT, and knows no PREFETCH of a register. */
	if ((fn == op_bsf || fn == op_bsr) && insn->rep)
		return false;
	if (fn == op_nop && insn->opcode_map == 1 && insn->opcode == 0x0d)
		return false;
	/* FS and GS belong to the test program itself. */
	return (insn->addrsize == 4 || code16) && insn->seg != S_FS && insn->seg != S_GS;
}

/* ---- comparison ---- */

static const char *difference(const struct result *host, const struct result *guest)
{
	const struct cpu_fx *h = &host->fx, *g = &guest->fx;

	if (host->vector != guest->vector)
		return "exception";
	if (memcmp(host->gpr, guest->gpr, sizeof(host->gpr)))
		return "general registers";
	if ((host->flags ^ guest->flags) & HOST_FLAGS)
		return "flags";
	if (memcmp(host_data, guest_data, DATA_SIZE))
		return "memory";
	/* Some hosts enter MMX mode before they raise #XM for a conversion from memory. */
	if (host->vector != EXC_XM && (h->fcw != g->fcw || h->fsw != g->fsw || h->ftw != g->ftw))
		return "x87 control, status or tags";
	for (unsigned i = 0; i < 8; i++)
		if (host->vector != EXC_XM && memcmp(h->st[i], g->st[i], 10))
			return "x87 registers";
	if (memcmp(h->xmm, g->xmm, 8 * 16))
		return "SSE registers";
	if (h->mxcsr != g->mxcsr)
		return "MXCSR";
	return NULL;
}

static void print_result(const char *who, const struct result *r)
{
	printf("  %-6s vector %d flags %03x mxcsr %04x fcw %04x fsw %04x ftw %02x\n        ", who,
	       r->vector, r->flags & HOST_FLAGS, r->fx.mxcsr, r->fx.fcw, r->fx.fsw, r->fx.ftw);
	for (unsigned i = 0; i < 8; i++)
		printf(" %08x", r->gpr[i]);
	printf("\n");
}

static void report(const char *what, const struct insn *insn, const struct result *host,
		   const struct result *guest)
{
	printf("%s differ:", what);
	for (unsigned i = 0; i < insn->length; i++)
		printf(" %02x", insn->bytes[i]);
	printf("\n  before flags %03x mxcsr %04x fcw %04x fsw %04x ftw %02x\n        ", context->flags_in,
	       context->fx_in.mxcsr, context->fx_in.fcw, context->fx_in.fsw, context->fx_in.ftw);
	for (unsigned i = 0; i < 8; i++)
		printf(" %08x", context->gpr_in[i]);
	printf("\n");
	print_result("host", host);
	print_result("guest", guest);
}

/*
 * Differences that are known and documented (simd.c): with overflow or underflow unmasked,
 * underflow of an exact result, and the inexact flag beside either; and DPPS and DPPD, which stop
 * between their multiplications and additions.
 */
static bool known_difference(const struct insn *insn, const struct result *host,
			     const struct result *guest)
{
	uint32_t unmasked = ~(context->fx_in.mxcsr >> 7) & 0x18;

	if (host->vector != EXC_XM)
		return false;
	if (insn->opcode_map == 3 && (insn->opcode == 0x40 || insn->opcode == 0x41))
		return guest->vector == EXC_XM;
	if (!unmasked)
		return false;
	return guest->vector == -1 || !((host->fx.mxcsr ^ guest->fx.mxcsr) & ~0x30u);
}

struct tally {
	unsigned compared, differences;
};

static void try_one(struct cpu *cpu, struct tally *t)
{
	struct insn insn;
	struct result host, guest;

	random_state();
	random_instruction();
	context->esp_in = context->gpr_in[R_ESP];
	cpu->rip = (uint32_t)(uintptr_t)insn_at - code_base;
	if (cpu_decode(cpu, &insn) != OUT_OK)
		return;
	op_fn *fn = cpu_find_handler(cpu, &insn);
	if (!fn || !comparable(fn, &insn))
		return;
	memcpy(guest_data, pristine_data, DATA_SIZE);
	run_interpreted(cpu, &guest);
	if (guest.vector == EXC_PF) /* random addresses are not comparable */
		return;
	if (code16 && guest.vector >= 0) /* no signal is delivered on a 16-bit stack */
		return;
	memcpy(host_data, pristine_data, DATA_SIZE);
	run_on_host(&insn, &host);
	t->compared++;
	const char *what = difference(&host, &guest);
	if (!what || known_difference(&insn, &host, &guest))
		return;
	if (t->differences++ < MAX_REPORTS)
		report(what, &insn, &host, &guest);
}

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void run_random(bool in_code16, uint64_t default_count)
{
	uint64_t count = environment_number("RINGFENCE_DIFF_COUNT", default_count);
	static struct cpu cpu;
	static struct cpu_model model;
	struct tally t = {0};

	code16 = in_code16;
	code_base = code16 ? CODE : 0;
	data_base = code16 ? 0 : DATA;
	rng_state = environment_number("RINGFENCE_DIFF_SEED", 0x52464e43) * 2654435761u + 1;
	build_harness();
	set_up_cpu(&cpu, &model);
	for (uint64_t i = 0; i < count; i++)
		try_one(&cpu, &t);
	printf("%u instructions compared, %u differ\n", t.compared, t.differences);
	assert_int_equal(t.differences, 0);
	assert_true(t.compared > count / 20);
}

static void test_random_instructions(void **state)
{
	if (!set_up_host()) {
		printf("no memory below 4 GiB; nothing compared\n");
		skip();
	}
	run_random(false, 400000);
}

static void test_random_16_bit_instructions(void **state)
{
	if (!set_up_host() || !set_up_ldt()) {
		printf("no 16-bit segments on this host; nothing compared\n");
		skip();
	}
	run_random(true, 200000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_instructions),
		cmocka_unit_test(test_random_16_bit_instructions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
