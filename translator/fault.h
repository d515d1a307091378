/*
 * Host signals while translated code runs (fault.c): faults are noted and redirected by the handlers, which are async-signal-safe; the rest
 * is dealt with by the dispatcher.
 */
#ifndef RINGFENCE_TRANSLATOR_FAULT_H
#define RINGFENCE_TRANSLATOR_FAULT_H

#include "translator/internal.h"

bool fault_thread_init(struct tc *, char *err, size_t errlen);
void fault_thread_fini(struct tc *);
/*
 * After LEAVE_FAULT: bring the guest state to an instruction boundary and deal with it. True: x->target is set, enter
 * the TC there; false: dispatch at cpu->rip.
 */
bool fault_handle(struct tc *);
/* A kick came before x->target was entered, which may be an instruction that has faulted: give the guest its ESP (esp.c). */
void fault_not_resumed(struct tc *);
void fault_sampled(struct tc *);
/*
 * Back from its page fault, an instruction of user code goes on in the unit in which it faulted: a unit that begins there would double the
 * code. fault_resume: the host address to go on at; 0: none.
 */
static inline void fault_note(struct tc *tc, uint32_t eip, uint64_t host)
{
	tc->resume.eip = eip;
	tc->resume.mode = tc->mode;
	tc->resume.host = host;
}
uint64_t fault_resume(struct tc *);

#endif
