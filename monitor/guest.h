/* The built-in guest: a Multiboot kernel built from guest/ and linked into the program. */
#ifndef RINGFENCE_MONITOR_GUEST_H
#define RINGFENCE_MONITOR_GUEST_H

#include <stddef.h>

extern const unsigned char ringfence_default_guest[];
extern const size_t ringfence_default_guest_size;

#endif
