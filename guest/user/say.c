/* Printing for the user programs. */
#include "user.h"

enum { ROOM = 120 };
static char buffer[ROOM];
static unsigned used;

static void flush(void)
{
	system_call(SYS_WRITE, (unsigned)buffer, used);
	used = 0;
}

/* A message goes out in one system call, so that two processes do not write into each other's
 * lines. */
void say(const char *text)
{
	for (; *text; text++) {
		buffer[used++] = *text;
		if (used == ROOM || *text < ' ')
			flush();
	}
}

void say_number(unsigned v)
{
	char digits[11], *p = digits + 10;

	*p = 0;
	do {
		*--p = '0' + v % 10;
		v /= 10;
	} while (v);
	say(p);
}

void say_name(const char *name)
{
	say(name);
	say("[");
	say_number(system_call(SYS_GETPID, 0, 0));
	say("]: ");
}
