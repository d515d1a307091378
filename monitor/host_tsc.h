/* The frequency of the host's time-stamp counter, which is also the guest's. */
#ifndef RINGFENCE_MONITOR_HOST_TSC_H
#define RINGFENCE_MONITOR_HOST_TSC_H

#include <stdint.h>

/* Call it early: the longer ago, the more exact and the sooner the answer. */
void host_tsc_begin(void);
/*
 * In Hz, always the same; 0 when it cannot be told. The first call waits when less than 10 ms have passed since host_tsc_begin. Any
 * thread.
 */
uint64_t host_tsc_hz(void);

#endif
