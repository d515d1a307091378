/* Batches, the median, the line of output; see nano.h. */
#include "nano.h"

enum { BATCHES = 15, BATCH_CYCLES = 1000000, MOST = 1 << 20 };

static unsigned long long time_stamp(void)
{
	unsigned long long v;
	__asm__ volatile("rdtsc" : "=A"(v) : : "memory");
	return v;
}

/* Cycles of a batch; what does not fit is far from anything measured here. */
static unsigned batch(const struct nano *b, unsigned n)
{
	unsigned long long start = time_stamp();
	b->run(n);
	unsigned long long cycles = time_stamp() - start;
	return cycles > 400000000 ? 400000000 : (unsigned)cycles;
}

static void sort(unsigned *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		for (unsigned j = i; j && v[j - 1] > v[j]; j--) {
			unsigned t = v[j];
			v[j] = v[j - 1];
			v[j - 1] = t;
		}
	}
}

static void put_number(unsigned v)
{
	char digits[12];
	char *p = digits + sizeof(digits) - 1;
	*p = 0;
	do {
		*--p = (char)('0' + v % 10);
	} while (v /= 10);
	nano_put(p);
}

static void report(const char *name, unsigned cycles, unsigned n)
{
	nano_put("NANO ");
	nano_put(name);
	nano_put(" ");
	put_number(cycles / n);
	unsigned hundredths = cycles % n * 100 / n; /* n is at most 2 ** 20 */
	nano_put(hundredths < 10 ? ".0" : ".");
	put_number(hundredths);
	nano_put("\n");
}

static void measure(const struct nano *b)
{
	unsigned v[BATCHES], n = 8;
	if (b->prepare)
		b->prepare();
	batch(b, n);
	while (n < MOST && batch(b, n) < BATCH_CYCLES)
		n *= 2;
	for (unsigned i = 0; i < BATCHES; i++)
		v[i] = batch(b, n);
	sort(v, BATCHES);
	report(b->name, v[BATCHES / 2], n);
}

/* Is `name` one of the words? Words of no benchmark's name do not count: a loader may add its own. */
static int has_word(const char *s, const char *name)
{
	while (s && *s) {
		unsigned i = 0;
		while (name[i] && s[i] == name[i])
			i++;
		if (!name[i] && (!s[i] || s[i] == ' '))
			return 1;
		while (*s && *s != ' ')
			s++;
		while (*s == ' ')
			s++;
	}
	return 0;
}

static int any_wanted(const char *wanted)
{
	const struct nano *const lists[] = {nano_user_level, nano_kernel_level};
	for (unsigned i = 0; i < 2; i++) {
		for (const struct nano *b = lists[i]; b->name; b++) {
			if (has_word(wanted, b->name))
				return 1;
		}
	}
	return 0;
}

void nano_measure(const struct nano *list, const char *wanted)
{
	int all = !any_wanted(wanted);
	for (; list->name; list++) {
		if (all || has_word(wanted, list->name))
			measure(list);
	}
}
