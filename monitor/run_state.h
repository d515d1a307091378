/*
 * Run control: whether the guest runs, who may stop it, and how others get at the processor.
 *
 *   RUNNING --vm_stop, breakpoint, end of vm_step--> PAUSED --vm_cont, vm_step--> RUNNING
 *      |                                               ^
 *      +--power-off with -no-shutdown--> SHUTDOWN --reset
 *
 * The processor's state belongs to the vCPU thread. Debuggers and monitors therefore do not lock it:
 * they send work there. Work (vm_post) runs between two guest instructions with the state in
 * struct cpu complete, whether the guest runs, is halted or stopped, in the order it was posted,
 * and without any lock held; it may take the machine lock, for instance to write to a chardev.
 * Nobody waits for work: whoever waited with the machine lock held could wait for ever.
 *
 * While the guest is stopped, virtual time and the guest's TSC stand still.
 */
#ifndef RINGFENCE_MONITOR_RUN_STATE_H
#define RINGFENCE_MONITOR_RUN_STATE_H

#include "cpu/types.h"

struct vm;

enum vm_state { VM_RUNNING, VM_PAUSED, VM_SHUTDOWN };

enum stop_reason {
	STOP_NONE,       /* never stopped */
	STOP_START,      /* -S */
	STOP_REQUEST,    /* vm_stop */
	STOP_STEP,       /* vm_step is through */
	STOP_BREAKPOINT, /* at the address, before the instruction */
	STOP_WATCHPOINT, /* after the instruction that touched memory */
	STOP_EVENT,      /* at an event (debug.h) */
	STOP_POWEROFF,   /* the guest is off (VM_SHUTDOWN) */
	STOP_RESET,      /* was VM_SHUTDOWN, and reset: now PAUSED */
};

/* Why and where the guest stands still. */
struct vm_stop_info {
	enum stop_reason reason;
	uint32_t pc;      /* linear address of the next instruction */
	uint32_t address; /* STOP_WATCHPOINT: first watched byte that was touched; STOP_EVENT: of a page fault */
	unsigned kind;    /* STOP_WATCHPOINT, STOP_EVENT: the DEBUG_* kind of the point (debug.h) */
	/* STOP_EVENT */
	bool held;        /* it has not happened yet */
	bool external;    /* an interrupt from outside */
	uint8_t size;     /* of a port access */
	uint32_t number;  /* port, vector, control register; the mode before */
	uint32_t value;   /* error code; what is written; the mode now */
};

enum vm_event { VM_EVENT_STOP, VM_EVENT_RESUME, VM_EVENT_RESET, VM_EVENT_SHUTDOWN };

/*
 * Called on the vCPU thread, with no lock held, after the change. STOP comes for each way into PAUSED or SHUTDOWN (not for a
 * start with -S); SHUTDOWN when the guest powered off, before STOP if the program stays. It may post, stop and continue.
 */
typedef void vm_event_fn(void *ctx, enum vm_event);

/* ---- any thread ---- */

/* Have fn(ctx) called on the vCPU thread soon. What is still queued when the VM ends is not called. */
void vm_post(struct vm *, void (*fn)(void *ctx), void *ctx);
enum vm_state vm_state(const struct vm *);
/*
 * Requests. Called by posted work or a listener they take effect at once; by others, and by what a guest instruction
 * calls, at the next instruction boundary. Stopping what is stopped, continuing what runs or is shut down: nothing happens.
 */
void vm_stop(struct vm *);
void vm_cont(struct vm *);
enum {
	STEP_NO_INTERRUPTS = 1, /* hold interrupts and NMIs off (a halted processor still takes them) */
	STEP_NO_TIME = 2,       /* no timer runs meanwhile (while halted they do) */
};
/*
 * Execute `count` > 0 instructions (the delivery of an exception belongs to the one that raised it; a repeated one is one), then
 * stop.
 */
void vm_step(struct vm *, uint64_t count, unsigned flags);
/* Execute at least one, and go on while EIP is in [first, end). `past`: when it arrives at `end`, one more. */
void vm_step_range(struct vm *, uint32_t first, uint32_t end, bool past, unsigned flags);
/* QEMU's system_reset and quit. */
void vm_reset(struct vm *);
void vm_quit(struct vm *, int exit_code);

/* ---- vCPU thread ---- */

const struct vm_stop_info *vm_stop_info(const struct vm *);
/* The debugger moved EIP: a breakpoint where the guest now stands is not skipped by vm_cont. */
void vm_pc_written(struct vm *);

/* ---- before vm_start, or on the vCPU thread ---- */

void vm_add_listener(struct vm *, vm_event_fn *, void *ctx);
void vm_remove_listener(struct vm *, vm_event_fn *, void *ctx);

#endif
