/* What a user program of the default guest can do: see ../syscall.h. */
#ifndef GUEST_USER_H
#define GUEST_USER_H

#include "../syscall.h"

static inline unsigned system_call(enum syscall number, unsigned a, unsigned b)
{
	unsigned result;

	__asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b) : "memory");
	return result;
}

/* Shown at the next control character, such as a newline. */
void say(const char *text);
void say_number(unsigned);
/* "name[pid]: " */
void say_name(const char *name);
/* The program; 0 means "started at boot: work quietly for ever". */
void program(unsigned argument);
#endif
