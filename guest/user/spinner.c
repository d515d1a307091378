/*
 * Computes in bursts, so that the timer has something to preempt: counts primes by trial division.
 * With an argument it turns a spinner so many times.
 */
#include "user.h"

static unsigned primes, candidate = 2;

static void burst(unsigned n)
{
	for (; n; n--, candidate++) {
		unsigned d = 2;

		while (d * d <= candidate && candidate % d)
			d++;
		primes += d * d > candidate;
	}
	system_call(SYS_PROGRESS, primes, 0);
}

void program(unsigned argument)
{
	static const char frames[4][3] = {"|\b", "/\b", "-\b", "\\\b"};

	if (!argument) {
		say_name("spinner");
		say("hello from ring 3\n");
		for (;;) {
			burst(2000);
			system_call(SYS_SLEEP, 200, 0);
		}
	}
	for (unsigned i = 0; i < argument * 4; i++) {
		say(frames[i & 3]);
		burst(2000);
		system_call(SYS_SLEEP, 50, 0);
	}
	say_name("spinner");
	say_number(primes);
	say(" primes below ");
	say_number(candidate);
	say("\n");
}
