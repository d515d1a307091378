/* What every benchmark program shares: its start, two system calls and the measuring loop. */
#include "bench.h"
#include "system.h"

#define MAX_SAMPLES 4096
#define MIN_SAMPLES 5
#define SAMPLE_NS 2000000 /* a sample is as many units as take this long: reading the clock is a system call */
#define WARM_NS 250000000 /* before anything counts: what translates code as it runs is cold for longer than a processor's caches */

enum { CLOCK_MONOTONIC = 1 };

uint32_t *benchmark_stack;
__attribute__((weak)) uint32_t benchmark_operations = 1;

__attribute__((weak)) void benchmark_end(void)
{
}

struct timespec32 {
	int32_t sec, nsec;
};

static struct timespec32 now(void)
{
	struct timespec32 t;
	system_call(SYS_CLOCK_GETTIME, CLOCK_MONOTONIC, (int)&t, 0);
	return t;
}

/* Nanoseconds from a to b, up to four seconds. */
static uint32_t elapsed_ns(struct timespec32 a, struct timespec32 b)
{
	return (uint32_t)(b.sec - a.sec) * 1000000000u + (uint32_t)(b.nsec - a.nsec);
}

static char line[128];
static unsigned line_length;

static void put_text(const char *s)
{
	while (*s && line_length < sizeof(line))
		line[line_length++] = *s++;
}

static void put_number(uint32_t value)
{
	char digits[12];
	char *p = digits + sizeof(digits) - 1;
	*p = 0;
	do {
		*--p = (char)('0' + value % 10);
	} while (value /= 10);
	put_text(p);
}

static uint32_t parse_number(const char *s)
{
	uint32_t value = 0;
	while (*s >= '0' && *s <= '9')
		value = value * 10 + (uint32_t)(*s++ - '0');
	return value;
}

static const char *base_name(const char *path)
{
	const char *name = path;
	for (; *path; path++) {
		if (*path == '/')
			name = path + 1;
	}
	return name;
}

static uint32_t samples[MAX_SAMPLES];

/* Shell sort: the samples are few, and recursion would only add code. */
static void sort_samples(unsigned n)
{
	for (unsigned gap = n / 2; gap > 0; gap /= 2) {
		for (unsigned i = gap; i < n; i++) {
			uint32_t x = samples[i];
			unsigned j = i;
			for (; j >= gap && samples[j - gap] > x; j -= gap)
				samples[j] = samples[j - gap];
			samples[j] = x;
		}
	}
}

static void report(const char *name, unsigned n, unsigned units, uint32_t total_us, uint32_t result)
{
	const uint32_t numbers[] = {samples[n / 2], total_us, units, result, benchmark_operations};
	put_text(base_name(name));
	for (unsigned i = 0; i < 5; i++) {
		put_text(" ");
		put_number(numbers[i]);
	}
	put_text("\n");
	system_call(SYS_WRITE, 1, (int)line, (int)line_length);
}

/* Nanoseconds that each of n units takes; false: they do not all give the result. */
static int sample(unsigned n, uint32_t result, uint32_t *ns)
{
	struct timespec32 start = now();
	for (unsigned i = 0; i < n; i++) {
		if (benchmark_unit() != result)
			return 0;
	}
	*ns = elapsed_ns(start, now()) / n;
	return 1;
}

/* How many units make a sample. A VMM's caches are cold for longer than a processor's; its samples must be as long as others. */
static unsigned units_of_sample(uint32_t result, uint32_t *warm_us)
{
	uint32_t quickest = SAMPLE_NS, spent = 0, ns = 0;
	while (spent < WARM_NS && sample(1, result, &ns)) {
		spent += ns + 1;
		if (ns < quickest)
			quickest = ns;
	}
	*warm_us = spent / 1000;
	return quickest < SAMPLE_NS / 2 ? SAMPLE_NS / (quickest + 1) : 1;
}

static int measure(int argc, char **argv)
{
	uint32_t limit_us = (argc > 1 ? parse_number(argv[1]) : 500) * 1000;
	uint32_t result = benchmark_unit(); /* touches the pages, warms the caches */
	uint32_t total_us = 0, warm_us;
	unsigned n = 0, units = units_of_sample(result, &warm_us);
	int same = 1;
	while (same && n < MAX_SAMPLES && (n < MIN_SAMPLES || total_us < limit_us)) {
		same = sample(units, result, &samples[n]);
		total_us += samples[n++] * units / 1000;
	}
	if (!same) {
		put_text("the result changed\n");
		system_call(SYS_WRITE, 1, (int)line, (int)line_length);
		return 1;
	}
	sort_samples(n);
	report(argc > 0 ? argv[0] : "?", n, n * units, warm_us + total_us, result);
	return 0;
}

void start_c(uint32_t *stack);

/* The kernel's process start: argc, then argv, at the top of the stack. */
__attribute__((used)) void start_c(uint32_t *stack)
{
	benchmark_stack = stack;
	int status = measure((int)stack[0], (char **)(stack + 1));
	benchmark_end();
	system_call(SYS_EXIT, status, 0, 0);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	xorl %ebp, %ebp\n"
	"	movl %esp, %eax\n"
	"	andl $-16, %esp\n"
	"	subl $12, %esp\n"
	"	pushl %eax\n"
	"	call start_c\n");
