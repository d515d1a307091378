/* Run control as the vCPU thread's loop (vcpu.c), the start and the end of the VM (vm.c) see it; others use run_state.h. */
#ifndef RINGFENCE_MONITOR_RUN_CONTROL_H
#define RINGFENCE_MONITOR_RUN_CONTROL_H

#include "monitor/run_state.h"

struct run_control;

/* Null when there is no memory. `paused`: -S. */
struct run_control *run_control_create(bool paused);
void run_control_destroy(struct run_control *);

/* The rest on the vCPU thread. */

/* Before the first instruction: stop the clock if the start is a stopped one. */
void run_control_start(struct vm *);
/* Run what was posted. */
void run_control_work(struct vm *);
/* Guest code is about to run, or has come back. */
void run_control_enter(struct vm *);
void run_control_leave(struct vm *);
/* Stop at this boundary. */
void run_control_stop(struct vm *, const struct vm_stop_info *);
/* The processor is halted and waits, with time running. */
void run_control_wait(struct vm *);
/* The guest powered off; `stay`: the program does not end. */
void run_control_poweroff(struct vm *, bool stay);
/* The machine was reset. */
void run_control_reset(struct vm *);

/* Instructions left of vm_step, 0: not stepping; STEP_* of it. */
uint64_t run_control_steps(const struct vm *);
unsigned run_control_step_flags(const struct vm *);
/* One of them is done; stops after the last. True: stopped. */
bool run_control_stepped(struct vm *);
/* True once after vm_cont or vm_step from a stop at this address: do not stop here again. */
bool run_control_skip(struct vm *, uint32_t pc);
/* Would it? */
bool run_control_skips(const struct vm *, uint32_t pc);
/* Do not stop at this address, where the guest stands, this once. */
void run_control_pass(struct vm *, uint32_t pc);

/* How many steps of any kind were begun, `next` included: for who waits for the end of his own. */
uint64_t run_control_moves(const struct vm *);
void run_control_moved(struct vm *);

#endif
