/*
 * Breakpoints of all kinds, shared by the gdb server and the human monitor. Invisible to the guest: neither its memory nor its
 * debug registers are touched.
 *
 *   execution   before the instruction at a linear address. Costs nothing elsewhere: translations end before them.
 *   watchpoint  after the instruction that touched memory. While one is armed (or debug_interpret asks for it) every instruction
 *               is interpreted and its accesses checked, as translated code reaches memory without passing by anything that could
 *               look.
 *   event       before what happens rarely: port accesses, exceptions, interrupts, writes of control registers; after a change of
 *               mode, that is before the first instruction in the new one. The interpreter, which carries all of them out,
 *               tells of them (cpu_watch); translated code runs on, but for the lean path of system instructions.
 *
 * An event that is held has not happened: the state is that before the instruction, or, of an exception, that in which it was
 * raised (EIP at the instruction that faulted; CR2 and the stack are as they were). It happens when the guest goes on. Past holding
 * is an exception that came of the delivery of another event (as double faults do) or of a task switch: it is delivered, and
 * the guest stops before the handler's first instruction.
 *
 * All on the vCPU thread (work: vm_post), or before vm_start.
 */
#ifndef RINGFENCE_MONITOR_DEBUG_H
#define RINGFENCE_MONITOR_DEBUG_H

#include "cpu/types.h"

#include <stddef.h>

struct vm;

enum {
	DEBUG_EXECUTE = 1,
	DEBUG_READ = 2,
	DEBUG_WRITE = 4,
	DEBUG_ACCESS = DEBUG_READ | DEBUG_WRITE,
	DEBUG_PORT_READ = 8,
	DEBUG_PORT_WRITE = 16,
	DEBUG_EXCEPTION = 32, /* the processor's own, INT3, INTO, INT1 */
	DEBUG_INTERRUPT = 64, /* from outside, NMI (vector 2), INT n */
	DEBUG_CONTROL = 128,
	DEBUG_MODE = 256,
	DEBUG_EVENTS = DEBUG_PORT_READ | DEBUG_PORT_WRITE | DEBUG_EXCEPTION | DEBUG_INTERRUPT | DEBUG_CONTROL | DEBUG_MODE,
};

/* Which changes of mode count: `mask` of DEBUG_MODE. */
enum {
	DEBUG_MODE_PROTECTED = 1, /* CR0.PE */
	DEBUG_MODE_VM86 = 2,      /* EFLAGS.VM */
	DEBUG_MODE_PAGING = 4,    /* CR0.PG */
	DEBUG_MODE_RING = 8,      /* CPL */
};

struct debug_point {
	const void *owner; /* whose it is: any address that tells the users apart */
	unsigned kind;     /* DEBUG_* */
	/* a range of addresses, ports, vectors; a control register. len: 1 for DEBUG_EXECUTE */
	uint32_t lin, len;
	/* exceptions: error code & mask == value; control registers: any bit of the mask changes, 0: any write; DEBUG_MODE_* */
	uint32_t mask, value;
	uint64_t hits;
};

/* False: there are too many. Adding what the owner has already does nothing. */
bool debug_add(struct vm *, const void *owner, unsigned kind, uint32_t lin, uint32_t len);
/* The same with everything told; `hits` is not looked at. */
bool debug_add_point(struct vm *, const struct debug_point *);
/* False: there is no such point. */
bool debug_remove(struct vm *, const void *owner, unsigned kind, uint32_t lin, uint32_t len);
bool debug_remove_point(struct vm *, const struct debug_point *);
void debug_remove_all(struct vm *, const void *owner);
/* The n-th point of all owners; null ends. */
const struct debug_point *debug_nth(const struct vm *, unsigned n);
/* Interpret every instruction while more `on` than off calls were made: hooks that stop the VM (vm_stop) do so exactly. */
void debug_interpret(struct vm *, bool on);

/* Steps of the stopped guest. Over a call (CALL, INT n, a repeated instruction), which is left at full speed: */
void debug_next(struct vm *);
/* To the end of the translated unit, or where there is none the basic block, and through its last instruction. */
void debug_next_block(struct vm *);

/* ---- as text (debug_text.c) ---- */

/* "write watchpoint at 00001000, 4 bytes" */
void debug_point_text(const struct debug_point *, char *out, size_t len);
/* Why the guest stands still, for events: "about to write port 3f8 (1 byte)". */
struct vm_stop_info;
void debug_event_text(const struct vm_stop_info *, char *out, size_t len);
/* "PF" of 14; null: it has none. */
const char *debug_exception_name(unsigned vector);

#endif
