/*
 * Nanobenchmarks: what single operations of a processor cost, in TSC cycles, after Adams and Agesen, "A Comparison of
 * Software and Hardware Techniques for x86 Virtualization" (ASPLOS 2006).
 *
 * Each is a function that does its operation n times. measure.c runs it in batches of about half a millisecond and
 * prints the median batch:
 *
 *     NANO name cycles.hundredths
 *
 * guest.c makes a Multiboot kernel of all of them (with the run-time of the test kernels, tests/guests/lib), native.c a
 * Linux program of those that user code can do, for comparison with the bare host.
 */
#ifndef RINGFENCE_BENCHMARKS_NANO_H
#define RINGFENCE_BENCHMARKS_NANO_H

struct nano {
	const char *name;
	void (*run)(unsigned n);
	void (*prepare)(void); /* before the first batch; may be 0 */
};

extern const struct nano nano_user_level[], nano_kernel_level[]; /* ended by a name of 0 */

/* Run and report those of the list whose names are among `wanted` (separated by spaces); all when it holds none. */
void nano_measure(const struct nano *list, const char *wanted);
/* Output, by the program. */
void nano_put(const char *);

#endif
