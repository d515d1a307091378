/* Printing for the user programs. */
#include "user.h"

void say(const char *text)
{
	unsigned n = 0;

	while (text[n])
		n++;
	system_call(SYS_WRITE, (unsigned)text, n);
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
