/*
 * The embedded default guest as a Multiboot ELF image, ready to be loaded like any -kernel file.
 * Built from this folder; see kernel.h.
 */
#ifndef RINGFENCE_GUEST_DEFAULT_GUEST_H
#define RINGFENCE_GUEST_DEFAULT_GUEST_H

extern const unsigned char ringfence_default_guest[];
extern const unsigned long ringfence_default_guest_size;

#endif
