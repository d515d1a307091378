/* Random guest programs of unprivileged instructions, the same for the same seed. */
#ifndef RINGFENCE_TESTS_UNIT_TRANSLATOR_PROGRAM_H
#define RINGFENCE_TESTS_UNIT_TRANSLATOR_PROGRAM_H

#include <stdint.h>

enum { PROGRAM_MAX = 8192 };

struct program {
	uint64_t rng;
	uint8_t code[PROGRAM_MAX];
	unsigned len;
};

uint32_t program_random(struct program *);
/* `n` instructions (with what sets up their operands), then HLT, to run at `base`. */
void program_make(struct program *, uint64_t seed, uint32_t base, unsigned n);

#endif
