/* Disassembly for people: guest and host code in reports. Capstone, like the verifier. */
#ifndef RINGFENCE_TRANSLATOR_DISASM_H
#define RINGFENCE_TRANSLATOR_DISASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum disasm_mode { DISASM_16, DISASM_32, DISASM_64 };
enum disasm_syntax { DISASM_INTEL, DISASM_ATT };

/*
 * One instruction as "mnemonic operands"; its length, 0 (and "(bad)") when it is none. Not for several threads at once: the
 * vCPU's.
 */
unsigned disasm_guest(enum disasm_mode, enum disasm_syntax, const uint8_t *code, size_t len, uint64_t address,
		      char *text, size_t textlen);
/* The same of host (64-bit) or 32-bit guest code, in Intel's syntax. */
unsigned disasm_one(bool host, const uint8_t *code, size_t len, uint64_t address, char *text, size_t textlen);
/* One line for each instruction: address, bytes, text; `indent` before each. */
void disasm_print(FILE *, const char *indent, bool host, const uint8_t *code, size_t len, uint64_t address);

/*
 * For crash reports: from now on nothing is taken from the heap. What other threads were disassembling is
 * lost; the process must be about to end, or nobody else disassemble.
 */
void disasm_without_heap(void);

#endif
