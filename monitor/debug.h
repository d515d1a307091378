/*
 * Breakpoints and watchpoints, by linear address, shared by the gdb server and the human monitor.
 * Invisible to the guest: neither its memory nor its debug registers are touched.
 *
 * Execution breakpoints cost nothing elsewhere: translations end before them. While a
 * watchpoint is armed (or debug_interpret asks for it) every instruction is interpreted and its accesses checked, as
 * translated code reaches memory without passing by anything that could look.
 *
 * All on the vCPU thread (work: vm_post), or before vm_start.
 */
#ifndef RINGFENCE_MONITOR_DEBUG_H
#define RINGFENCE_MONITOR_DEBUG_H

#include "cpu/types.h"

struct vm;

enum {
	DEBUG_EXECUTE = 1,
	DEBUG_READ = 2,
	DEBUG_WRITE = 4,
	DEBUG_ACCESS = DEBUG_READ | DEBUG_WRITE,
};

struct debug_point {
	const void *owner; /* whose it is: any address that tells the users apart */
	unsigned kind;     /* DEBUG_* */
	uint32_t lin, len; /* len: 1 for DEBUG_EXECUTE */
	uint64_t hits;
};

/* False: there are too many. Adding what the owner has already does nothing. */
bool debug_add(struct vm *, const void *owner, unsigned kind, uint32_t lin, uint32_t len);
/* False: there is no such point. */
bool debug_remove(struct vm *, const void *owner, unsigned kind, uint32_t lin, uint32_t len);
void debug_remove_all(struct vm *, const void *owner);
/* The n-th point of all owners; null ends. */
const struct debug_point *debug_nth(const struct vm *, unsigned n);
/* Interpret every instruction while more `on` than off calls were made: hooks that stop the VM (vm_stop) do so exactly. */
void debug_interpret(struct vm *, bool on);

#endif
