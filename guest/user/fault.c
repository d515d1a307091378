/* Does what a user process must not; the kernel ends it. Coming out alive is the failure. */
#include "user.h"

void program(unsigned kind)
{
	unsigned address[] = {0, 0xc0100000, 0x400000};

	switch (kind) {
	case 0:
	case 1:
		*(volatile unsigned *)address[kind];
		break;
	case 2:
		*(volatile unsigned *)address[kind] = 0;
		break;
	case 3:
		__asm__ volatile("cli");
		break;
	default:
		__asm__ volatile("divl %0" : : "r"(0), "a"(1), "d"(1));
	}
	say("fault: still alive?\n");
}
