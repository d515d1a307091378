/* Inside the stub. It has no C library, no thread-local storage and no vector code. */
#ifndef RINGFENCE_WORLD_STUB_H
#define RINGFENCE_WORLD_STUB_H

#include "world/protocol.h"

#define PAGE ((struct world_page *)WORLD_PAGE_BASE)
#define ORDERS ((const struct world_orders *)WORLD_ORDERS_BASE)

/* all in one piece: no global offset table */
#pragma GCC visibility push(hidden)

/* entry.S: system calls by their one permitted place, and the addresses seccomp sees for them */
long raw_syscall(long nr, long a, long b, long c, long d, long e, long f);
long sys_mmap(unsigned long at, unsigned long len, long prot, long flags, long fd, unsigned long off);
long sys_munmap(unsigned long at, unsigned long len);
long sys_close(long fd);
long sys_wake(volatile uint32_t *word, long op, uint32_t value);
long sys_modify_ldt(long func, const void *desc, unsigned long bytes);
extern const char site_mmap[], site_munmap[], site_close[], site_wake[], site_modify_ldt[];
extern const char site_recvmsg[], site_unblock[], site_wait[];
extern const char enter_begin[], enter_end[], restorer[], no_signals[], ram_message[];
/* These two go on in apply_operations and woken, whoever called them. */
_Noreturn void receive_ram(void);
_Noreturn void wait_turn(void);
_Noreturn void enter_guest(void);

/* stub.c */
_Noreturn void stub_main(void);
_Noreturn void apply_operations(void);
_Noreturn void woken(void);

/* filter.c: from here on only the sites work. */
long install_filter(void);

#pragma GCC visibility pop

enum { MAP_RAM_FLAGS = 0x4011 }; /* MAP_SHARED | MAP_FIXED | MAP_NORESERVE */

#endif
