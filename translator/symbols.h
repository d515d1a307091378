/*
 * Names of translated code for tools that look at the monitor from outside: perf (symbols.c) and gdb (gdbjit.c).
 */
#ifndef RINGFENCE_TRANSLATOR_SYMBOLS_H
#define RINGFENCE_TRANSLATOR_SYMBOLS_H

#include "translator/internal.h"

struct symbols;

/* As tc->config asks: tc->symbols stays null when it asks for nothing. False with a line in err: a file cannot be written. */
bool symbols_create(struct tc *, char *err, size_t errlen);
void symbols_destroy(struct tc *);
/* A CCF was made or has a new address; its memory is being reused. Cheap when nobody asked. */
void symbols_add(struct tc *, ccf_id);
void symbols_remove(struct tc *, ccf_id);

/* Let a debugger of this process unwind out of the TC. */
struct gdbjit *gdbjit_create(const void *code, size_t size);
void gdbjit_destroy(struct gdbjit *);

#endif
