/* Counts, sleeping in between; with an argument it shows so many numbers and ends. */
#include "user.h"

static unsigned count; /* in .bss: each process has its own */

void program(unsigned argument)
{
	if (!argument) {
		say_name("counter");
		say("hello from ring 3\n");
		for (;;) {
			system_call(SYS_PROGRESS, ++count, 0);
			system_call(SYS_SLEEP, 100, 0);
		}
	}
	while (count < argument) {
		say_name("counter");
		say_number(++count);
		say("\n");
		system_call(SYS_PROGRESS, count, 0);
		system_call(SYS_SLEEP, 200, 0);
	}
}
