/* The kernel's side of the nanobenchmarks. */
#ifndef RINGFENCE_BENCHMARKS_NANO_KERNEL_H
#define RINGFENCE_BENCHMARKS_NANO_KERNEL_H

#include "../../tests/guests/lib/guest.h"

extern bool nano_pae;

/* Paging on (with PAE if nano_pae), gates and MSRs in place. */
void nano_kernel_setup(void);
/* The PTE of page `page` of the region at TEST_VA, in the tables in use; nothing is flushed. */
void set_pte(u32 page, u32 pa, u32 flags);
/* CR3 of the address space in use at first, and of another whose region at TEST_VA has other frames. */
extern u32 nano_cr3[2];

#endif
