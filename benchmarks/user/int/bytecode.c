/* An interpreter of byte code with a switch in a loop: jumps through a table, data-dependent. */
#include "../bench.h"

enum { HALT, PUSH, ADD, SUB, MUL, AND, LOAD, STORE, JUMP_NZ, DUP, XOR, SHR };

/* i = 20000; x = 1; do { x = x * 69 + i; if (x & 1) x ^= x >> 3; i--; } while (i) */
static const uint8_t program[] = {
	LOAD, 1, PUSH, 69, MUL, LOAD, 0, ADD, STORE, 1,	      /* 0 */
	LOAD, 1, PUSH, 1, AND, PUSH, 1, XOR, JUMP_NZ, 29,     /* 10 */
	LOAD, 1, DUP, PUSH, 3, SHR, XOR, STORE, 1,	      /* 20 */
	LOAD, 0, PUSH, 1, SUB, DUP, STORE, 0, JUMP_NZ, 0, HALT, /* 29 */
};

static uint32_t run(const uint8_t *code, uint32_t *variable)
{
	uint32_t stack[16], *sp = stack;
	for (const uint8_t *pc = code;;) {
		switch (*pc++) {
		case HALT:
			return variable[1];
		case PUSH:
			*sp++ = *pc++;
			break;
		case ADD:
			sp--;
			sp[-1] += sp[0];
			break;
		case SUB:
			sp--;
			sp[-1] -= sp[0];
			break;
		case MUL:
			sp--;
			sp[-1] *= sp[0];
			break;
		case AND:
			sp--;
			sp[-1] &= sp[0];
			break;
		case XOR:
			sp--;
			sp[-1] ^= sp[0];
			break;
		case SHR:
			sp--;
			sp[-1] >>= sp[0];
			break;
		case LOAD:
			*sp++ = variable[*pc++];
			break;
		case STORE:
			variable[*pc++] = *--sp;
			break;
		case DUP:
			sp[0] = sp[-1];
			sp++;
			break;
		case JUMP_NZ:
			pc = *--sp ? code + *pc : pc + 1;
			break;
		}
	}
}

uint32_t benchmark_unit(void)
{
	uint32_t variable[2] = {20000, 1};
	return run(program, variable);
}
