/* Speeds as seen from ring 3. */
#include "user.h"

enum { CALLS = 100000, YIELDS = 20000, STACK_BYTES = 48 * 1024 };

static unsigned long long tsc(void)
{
	unsigned long long v;

	__asm__ volatile("rdtsc" : "=A"(v));
	return v;
}

/* Nanoseconds for each of n. */
static unsigned per_item(unsigned long long cycles, unsigned n)
{
	unsigned khz = system_call(SYS_TSC_KHZ, 0, 0), each, ns, rest;

	/* 64 by 32 bits without libgcc; both quotients are small. */
	__asm__("divl %4"
		: "=a"(each), "=d"(rest)
		: "0"((unsigned)cycles), "1"((unsigned)(cycles >> 32) % n), "r"(n));
	__asm__("mull %4\n\tdivl %5"
		: "=&a"(ns), "=&d"(rest)
		: "0"(each), "1"(0), "r"(1000000), "r"(khz ? khz : 1));
	return ns;
}

static void show(const char *what, unsigned ns)
{
	say(what);
	say_number(ns);
	say(" ns\n");
}

void program(unsigned argument)
{
	unsigned long long start = tsc();
	volatile char room[STACK_BYTES]; /* untouched stack: each page faults once */

	(void)argument;
	for (unsigned i = 0; i < CALLS; i++)
		system_call(SYS_GETPID, 0, 0);
	show("  system call       ", per_item(tsc() - start, CALLS));
	start = tsc();
	for (unsigned i = 0; i < YIELDS; i++)
		system_call(SYS_YIELD, 0, 0);
	show("  yield             ", per_item(tsc() - start, YIELDS));
	start = tsc();
	for (unsigned i = 0; i < STACK_BYTES; i += 4096)
		room[i]++;
	show("  page fault        ", per_item(tsc() - start, STACK_BYTES / 4096));
}
