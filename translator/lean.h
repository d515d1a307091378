/* What translated code asks of lean_system.c: an operation and its operand in one word (tcx.op). */
#ifndef RINGFENCE_TRANSLATOR_LEAN_H
#define RINGFENCE_TRANSLATOR_LEAN_H

#include "translator/internal.h"

enum lean_op {
	LEAN_MOV_SEG,
	LEAN_POP_SEG,
	LEAN_POPF,
	LEAN_IRET,
	LEAN_INT,
	LEAN_SYSENTER,
	LEAN_SYSEXIT,
	LEAN_OPS,
};

/* operation in bits 0-7; segment or vector in 8-15; general register in 16-23 */
#define LEAN_WORD(op, a, b) ((uint32_t)(op) | (uint32_t)(a) << 8 | (uint32_t)(b) << 16)
#define LEAN_OP(word) ((word) & 0xff)
#define LEAN_SEG(word) ((word) >> 8 & 0xff)
#define LEAN_VECTOR(word) ((word) >> 8 & 0xff)
#define LEAN_REG(word) ((word) >> 16 & 0xff)

#endif
