/* The frequency of the host's time-stamp counter, which is also the guest's. */
#ifndef RINGFENCE_MONITOR_HOST_TSC_H
#define RINGFENCE_MONITOR_HOST_TSC_H

#include <stdint.h>

/* In Hz; 0 when it cannot be told. May take 10 ms. */
uint64_t host_tsc_hz(void);

#endif
