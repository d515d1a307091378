/* Private to model.c and features.c: the table of feature names. */
#ifndef RINGFENCE_CPU_MODEL_H
#define RINGFENCE_CPU_MODEL_H

#include "cpu/transfer.h"

struct feature {
	const char *name;
	uint8_t word, bit;
	bool implemented;
};

/* By name, without regard to case; null when there is no such feature. */
const struct feature *feature_find(const char *name, size_t len);
const struct feature *feature_nth(unsigned n);
/* The bits of a feature word that can be offered on this host. */
uint32_t features_implemented(unsigned word);
/* Take away what has lost its foundation (SSE2 without SSE, ...). */
void features_settle(uint32_t words[7]);

#endif
