/*
 * Types shared by every module: addresses that cannot be mixed, and outcomes.
 *
 * Address types are one-member structs so that the compiler refuses a guest
 * physical address where a guest virtual one is wanted. All are 64 bits wide:
 * 32-bit guests use the low half, long-mode guests will use all of it.
 */
#ifndef RINGFENCE_CPU_TYPES_H
#define RINGFENCE_CPU_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { uint64_t v; } gva_t; /* guest virtual (linear) address */
typedef struct { uint64_t v; } gpa_t; /* guest physical address */
typedef struct { uintptr_t v; } hva_t; /* host virtual address */

static inline gva_t gva(uint64_t v) { return (gva_t){v}; }
static inline gpa_t gpa(uint64_t v) { return (gpa_t){v}; }
static inline hva_t hva(uintptr_t v) { return (hva_t){v}; }

enum { PAGE_SHIFT = 12, PAGE_SIZE = 1 << PAGE_SHIFT, PAGE_MASK = PAGE_SIZE - 1 };

/*
 * What became of an operation on guest state.
 *
 *   OUT_OK     done
 *   OUT_FAULT  the guest made an exception; it is described in cpu->fault and
 *              no architectural state has changed
 *   OUT_RETRY  nothing was done; the caller re-reads its inputs and tries again
 *   OUT_ERROR  the host failed (out of memory, a system call); reported already
 */
enum outcome { OUT_OK, OUT_FAULT, OUT_RETRY, OUT_ERROR };

#define MUST_USE __attribute__((warn_unused_result))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
