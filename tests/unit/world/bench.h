/* A world with 64 pages of RAM: code at CODE, a page of data and stack at DATA. What the tests of worlds share. */
#ifndef RINGFENCE_TESTS_UNIT_WORLD_BENCH_H
#define RINGFENCE_TESTS_UNIT_WORLD_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world/protocol.h"
#include "world/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CODE = 0x10000, DATA = 0x200000, PAGES = 64 };

extern int ram;
extern uint8_t *bytes; /* RAM as the monitor sees it: the first page is code, the second data */
extern struct world *w;
extern struct world_registers r;
extern struct cpu_fx fx;
extern struct world_exit x;
extern struct cpu_segment none;
extern _Atomic uint32_t stop_flag;

int open_world(void **state);
int close_world(void **state);
/* Another one in its place. */
void renew_world(void);
void code(const void *p, size_t n);
#define CODE_IS(...) code((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
enum world_stop run(void);
/* Run; after a while send the signal, if any, and a while later kick. */
enum world_stop run_and(int *sig);
/* Run one instruction or several, from CODE: which signal and trap they end with, how far they get. A trap of -1: any. */
void stops(const char *what, const void *insn, size_t n, int sig, int trap, unsigned at);
#define STOPS(insn, sig, trap, at) stops(#insn, insn, sizeof(insn) - 1, sig, trap, at)

#endif
