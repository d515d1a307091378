/*
 * Execution of one x87, MMX or SSE instruction by the host.
 *
 * The instruction is re-encoded for 64-bit mode as "instruction; RET":
 *
 *     guest   66 0F 2F 44 8E 10     COMISD xmm0, [esi+ecx*4+16]
 *     host    66 41 0F 2F 00 C3     COMISD xmm0, [r8]; RET
 *     guest   0F 50 F9              MOVMSKPS edi, xmm1
 *     host    0F 50 C1 C3           MOVMSKPS eax, xmm1; RET
 *
 * A memory operand becomes a buffer at R8; a general register becomes EAX.
 * Around it the C code's vector state is saved, the guest's loaded, and back.
 * Invariant: the frame never holds a state that lets the host trap: MXCSR has
 * every exception masked and x87 exceptions already pending are masked.
 *
 * The code lives in two views of one memfd, of which none is both writable and
 * executable. It depends on nothing but the key, so it is cached by it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cpuid.h>

#include "cpu/fpu.h"

enum { SLOTS = 4096, SLOT_SIZE = 16, RET = 0xc3, REX_B = 0x41 };

struct arena {
	uint8_t *write, *exec;
	uint64_t key[SLOTS]; /* 0: empty */
};

static _Thread_local struct arena arena;

static bool arena_set_up(void)
{
	size_t size = (size_t)SLOTS * SLOT_SIZE;
	int fd = memfd_create("ringfence-hostexec", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		goto fail;
	uint8_t *w = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint8_t *x = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (w == MAP_FAILED || x == MAP_FAILED)
		goto fail;
	close(fd);
	arena.write = w;
	arena.exec = x;
	return true;
fail:
	perror("ringfence: memory for vector instructions");
	if (fd >= 0)
		close(fd);
	return false;
}

bool cpu_prepare_thread(void)
{
	return arena.exec || arena_set_up();
}

/* What the host is to execute, as bytes. */
struct encoding {
	uint8_t bytes[SLOT_SIZE];
	uint8_t len;
};

static void put(struct encoding *e, uint8_t byte)
{
	e->bytes[e->len++] = byte;
}

static uint8_t host_modrm(const struct insn *insn)
{
	uint8_t modrm = insn->modrm;

	if (insn_memory(insn))
		modrm &= 0x38; /* [r8] */
	for (unsigned i = 0; i < insn->nops; i++) {
		if (insn->op[i].kind != OP_REG)
			continue;
		if (insn->op[i].enc == ENC_MODRM_REG)
			modrm &= 0xc7; /* EAX */
		else if (insn->op[i].enc == ENC_MODRM_RM)
			modrm &= 0xf8;
	}
	return modrm;
}

static void encode(const struct insn *insn, struct encoding *e)
{
	e->len = 0;
	if (insn->mandatory)
		put(e, insn->mandatory);
	if (insn_memory(insn))
		put(e, REX_B);
	if (insn->opcode_map >= 1)
		put(e, 0x0f);
	if (insn->opcode_map == 2)
		put(e, 0x38);
	if (insn->opcode_map == 3)
		put(e, 0x3a);
	put(e, insn->opcode);
	if (insn->has_modrm)
		put(e, host_modrm(insn));
	for (unsigned i = 0; i < insn->nops; i++)
		if (insn->op[i].kind == OP_IMM)
			put(e, (uint8_t)insn->op[i].imm);
	put(e, RET);
}

/* At most eight bytes precede RET, so they and the length make a key that is never 0. */
static uint64_t encoding_key(const struct encoding *e)
{
	uint64_t key = 0;

	for (unsigned i = 0; i + 1u < e->len; i++)
		key = key << 8 | e->bytes[i];
	return key;
}

static const uint8_t *code_for(const struct insn *insn)
{
	struct encoding e;

	encode(insn, &e);
	uint64_t key = encoding_key(&e);
	unsigned slot = (unsigned)(key * 0x9e3779b97f4a7c15ull >> 52);
	if (arena.key[slot] != key) {
		bool reused = arena.key[slot] != 0;

		memcpy(arena.write + (size_t)slot * SLOT_SIZE, e.bytes, SLOT_SIZE);
		arena.key[slot] = key;
		if (reused) { /* SDM: "Handling Self- and Cross-Modifying Code" */
			unsigned a, b, c, d;

			__cpuid(0, a, b, c, d);
		}
	}
	return arena.exec + (size_t)slot * SLOT_SIZE;
}

_Static_assert(offsetof(struct host_frame, host) == 512, "named by the assembly below");
_Static_assert(offsetof(struct host_frame, mem) == 1024, "named by the assembly below");
_Static_assert(offsetof(struct host_frame, flags) == 1088, "named by the assembly below");

enum outcome host_execute(const struct insn *insn, struct host_frame *f)
{
	if (!cpu_prepare_thread())
		return OUT_ERROR;

	const uint8_t *code = code_for(insn);
	register uint8_t *mem __asm__("r8") = f->mem;
	/* The red zone is stepped over; the flags travel by the stack. */
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "fxsave64 512(%[frame])\n\t"
			 "fxrstor (%[frame])\n\t"
			 "pushq 1088(%[frame])\n\t"
			 "popfq\n\t"
			 "call *%[code]\n\t"
			 "pushfq\n\t"
			 "popq 1088(%[frame])\n\t"
			 "fxsave (%[frame])\n\t"
			 "fxrstor64 512(%[frame])\n\t"
			 "lea 128(%%rsp), %%rsp"
			 : "+a"(f->eax), "+c"(f->ecx), "+d"(f->edx), "+r"(mem)
			 : [frame] "b"(f), [code] "S"(code)
			 : "cc", "memory");
	return OUT_OK;
}

void host_frame_fill(const struct cpu *cpu, struct host_frame *f)
{
	f->guest = cpu->fx;
	f->guest.mxcsr = (cpu->fx.mxcsr & MXCSR_MASK & ~(uint32_t)FPU_EXCEPTIONS) | MXCSR_MASKS;
	if (fpu_error_pending(cpu)) {
		f->guest.fcw |= FPU_EXCEPTIONS;
		f->guest.fsw &= (uint16_t)~(FSW_ES | FSW_B);
	}
	f->flags = cpu->eflags & FL_ARITH;
	f->eax = (uint32_t)cpu->gpr[R_EAX];
	f->ecx = (uint32_t)cpu->gpr[R_ECX];
	f->edx = (uint32_t)cpu->gpr[R_EDX];
}

void host_frame_commit(struct cpu *cpu, const struct host_frame *f)
{
	if (!fpu_error_pending(cpu)) /* else it was masked for the run */
		cpu->fx.fcw = f->guest.fcw;
	cpu->fx.fsw = f->guest.fsw;
	cpu->fx.ftw = f->guest.ftw;
	memcpy(cpu->fx.st, f->guest.st, sizeof(cpu->fx.st));
	memcpy(cpu->fx.xmm, f->guest.xmm, 8 * sizeof(cpu->fx.xmm[0]));
	fpu_update_summary(cpu);
}
