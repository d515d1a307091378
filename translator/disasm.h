/* Disassembly for people: guest and host code in reports. Capstone, like the verifier. */
#ifndef RINGFENCE_TRANSLATOR_DISASM_H
#define RINGFENCE_TRANSLATOR_DISASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One instruction of host (64-bit) or guest (32-bit) code as "mnemonic operands"; its length, 0 when it is none. */
unsigned disasm_one(bool host, const uint8_t *code, size_t len, uint64_t address, char *text, size_t textlen);
/* One line for each instruction: address, bytes, text; `indent` before each. */
void disasm_print(FILE *, const char *indent, bool host, const uint8_t *code, size_t len, uint64_t address);

#endif
