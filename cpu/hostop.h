/*
 * One arithmetic instruction executed by the host on plain values.
 *
 * Why not compute in C: translated code executes these very instructions on
 * the host, and lockstep compares all six arithmetic flags. Where the manual
 * leaves a flag undefined, only the host itself says what it does. None of
 * these instructions can trap: divisions are checked before they get here.
 *
 * HOST_IN loads the arithmetic flags from %[f] and HOST_OUT stores them there;
 * both step over the red zone, and LEA keeps the flags.
 */
#ifndef RINGFENCE_CPU_HOSTOP_H
#define RINGFENCE_CPU_HOSTOP_H

#include "cpu/internal.h"

#define HOST_IN "lea -128(%%rsp), %%rsp\n\tpush %[f]\n\tpopfq\n\t"
#define HOST_OUT "\n\tpushfq\n\tpop %[f]\n\tlea 128(%%rsp), %%rsp"

/* Flags go in and out by `flags`; only FL_ARITH is looked at. */
typedef uint32_t host_unary(uint32_t a, uint32_t *flags);
typedef uint32_t host_binary(uint32_t a, uint32_t b, uint32_t *flags);

#define HOST_UNARY_SIZED(op, sfx, type)                                        \
	static uint32_t host_##op##sfx(uint32_t a, uint32_t *flags)            \
	{                                                                      \
		type d = (type)a;                                              \
		uint64_t f = *flags & FL_ARITH;                                \
                                                                               \
		__asm__(HOST_IN #op #sfx " %[d]" HOST_OUT                      \
			: [d] "+q"(d), [f] "+r"(f) : : "cc");                  \
		*flags = f & FL_ARITH;                                         \
		return d;                                                      \
	}

/* `src` is the constraint and `text` the operand of the second value. */
#define HOST_BINARY_SIZED(op, sfx, type, src_type, src, text)                  \
	static uint32_t host_##op##sfx(uint32_t a, uint32_t b, uint32_t *flags) \
	{                                                                      \
		type d = (type)a;                                              \
		src_type s = (src_type)b;                                      \
		uint64_t f = *flags & FL_ARITH;                                \
                                                                               \
		__asm__(HOST_IN #op #sfx " " text ", %[d]" HOST_OUT            \
			: [d] "+q"(d), [f] "+r"(f) : [s] src(s) : "cc");       \
		*flags = f & FL_ARITH;                                         \
		return d;                                                      \
	}

#define HOST_UNARY(op)                                                         \
	HOST_UNARY_SIZED(op, b, uint8_t)                                       \
	HOST_UNARY_SIZED(op, w, uint16_t)                                      \
	HOST_UNARY_SIZED(op, l, uint32_t)                                      \
	static host_unary *const host_##op[] = {host_##op##b, host_##op##w, host_##op##l};

#define HOST_BINARY(op)                                                        \
	HOST_BINARY_SIZED(op, b, uint8_t, uint8_t, "q", "%[s]")                \
	HOST_BINARY_SIZED(op, w, uint16_t, uint16_t, "r", "%[s]")              \
	HOST_BINARY_SIZED(op, l, uint32_t, uint32_t, "r", "%[s]")              \
	static host_binary *const host_##op[] = {host_##op##b, host_##op##w, host_##op##l};

#define HOST_SHIFT(op)                                                         \
	HOST_BINARY_SIZED(op, b, uint8_t, uint8_t, "c", "%%cl")                \
	HOST_BINARY_SIZED(op, w, uint16_t, uint8_t, "c", "%%cl")               \
	HOST_BINARY_SIZED(op, l, uint32_t, uint8_t, "c", "%%cl")               \
	static host_binary *const host_##op[] = {host_##op##b, host_##op##w, host_##op##l};

/* No 8-bit form; the first entry is never used. */
#define HOST_BINARY_WL(op)                                                     \
	HOST_BINARY_SIZED(op, w, uint16_t, uint16_t, "r", "%[s]")              \
	HOST_BINARY_SIZED(op, l, uint32_t, uint32_t, "r", "%[s]")              \
	static host_binary *const host_##op[] = {NULL, host_##op##w, host_##op##l};

/* Index of the tables above for a size of 1, 2 or 4 bytes. */
static inline unsigned size_index(unsigned size) { return size >> 1; }

static inline void set_arith(struct cpu *cpu, uint32_t flags)
{
	cpu->eflags = (cpu->eflags & ~(uint32_t)FL_ARITH) | (flags & FL_ARITH);
}

#endif
