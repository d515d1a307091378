/* Inside the debugger's core: what debug.c, debug_event.c and debug_next.c share. */
#ifndef RINGFENCE_MONITOR_DEBUG_INTERNAL_H
#define RINGFENCE_MONITOR_DEBUG_INTERNAL_H

#include "monitor/debug.h"
#include "monitor/run_control.h"
#include "monitor/vm_internal.h"

/* What the mode of the processor is, as far as DEBUG_MODE tells it apart. */
struct debug_mode {
	uint8_t bits; /* DEBUG_MODE_*: PE, VM, PG are on */
	uint8_t cpl;
};

struct debug {
	struct debug_point *point;
	unsigned count;
	uint32_t *exec; /* addresses of the execution breakpoints and of `until`, ascending */
	unsigned exec_count, watch_count, event_count;
	unsigned interpret;
	/* what the instruction being executed has touched */
	bool hit;
	struct vm_stop_info info;
	/* events */
	bool stopping; /* one was seen: the guest does nothing more before it stops */
	bool passing;  /* what happens now was held, and has been looked at */
	bool told;     /* of the control register being written */
	struct vm_stop_info event;
	int held_vector; /* of an interrupt from outside, acknowledged but not delivered; -1: none */
	struct debug_mode mode;
	uint32_t cr3;
	/* `next` over a call: stop at `lin` when the call has come back */
	struct debug_until {
		bool active;
		uint32_t lin, esp, cr3;
		uint8_t cpl;
	} until;
};

/* debug.c */
void debug_points_changed(struct vm *);

/* debug_event.c */
extern const struct cpu_watch debug_watch;
/* Is it a held event that the guest was stopped for? */
bool debug_event_held(const struct vm *);
/* Deliver the interrupt that was held, if there is one and it may come here. True: done. */
bool debug_pass_interrupt(struct vm *);

/* debug_next.c */
/* At the address of `until`: has the call come back? */
bool debug_until_reached(const struct vm *);

#endif
