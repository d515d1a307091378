/*
 * Random programs run from the translation cache and by the interpreter; registers, flags, vector state
 * and memory must agree. Seeds are fixed: a failure names the one to look at.
 */
#include "bench.h"
#include "program.h"

#include "translator/disasm.h"
#include "translator/lockstep.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_STEPS = 20000, SECONDS = 5 };

static uint8_t pristine[AT_CODE], image[USED_BYTES], result[USED_BYTES];

/* All RAM there is, so that nothing survives from one run to the next. */
static const struct bench_options plain = {.ram = USED_BYTES, .tc_size = 4 << 20};
static const struct bench_options lockstepped = {.ram = USED_BYTES, .tc_size = 4 << 20, .lockstep = true};

static void open_bench(struct bench *b, bool lockstep)
{
	bench_open(b, lockstep ? &lockstepped : &plain);
	memcpy(pristine, physmap_host(b->pm, gpa(0), AT_CODE), AT_CODE);
}

/* Put memory back to `image` where it differs, so that translations elsewhere live on. */
static void restore(struct bench *b)
{
	const uint8_t *ram = physmap_host(b->pm, gpa(0), USED_BYTES);

	for (unsigned i = 0; i < USED_BYTES; i += 64)
		if (memcmp(ram + i, image + i, 64))
			bench_put(b, i, image + i, 64);
}

static void make_image(struct program *p)
{
	memset(image, 0, sizeof(image));
	memcpy(image, pristine, AT_CODE);
	for (unsigned i = AT_DATA; i < AT_DATA + DATA_BYTES; i++)
		image[i] = (uint8_t)program_random(p);
	memcpy(image + AT_CODE, p->code, p->len);
	image[AT_CODE + p->len] = 0xf4;
}

static void start_state(struct bench *b, uint64_t seed)
{
	struct program r = {.rng = seed + 77};
	struct cpu *c = b->cpu;

	bench_reset(b, seed & 1);
	for (unsigned i = 0; i < 8; i++)
		if (i != R_ESP)
			c->gpr[i] = program_random(&r) & 1 ? program_random(&r) : AT_DATA + (program_random(&r) & 0xfff0);
	c->eflags |= program_random(&r) & FL_ARITH;
	for (unsigned i = 0; i < 8; i++)
		for (unsigned k = 0; k < 16; k++)
			c->fx.xmm[i][k] = (uint8_t)program_random(&r);
	restore(b);
}

static void show(struct bench *b, const struct program *p, uint64_t seed, const struct cpu *ref)
{
	fprintf(stderr, "seed %llu: results differ\n", (unsigned long long)seed);
	for (unsigned i = 0; i < 8; i++)
		fprintf(stderr, "  r%u interpreter %08x translated %08x\n", i, (uint32_t)ref->gpr[i],
			(uint32_t)b->cpu->gpr[i]);
	fprintf(stderr, "  eip %08x %08x  eflags %08x %08x\n", (uint32_t)ref->rip, (uint32_t)b->cpu->rip,
		ref->eflags, b->cpu->eflags);
	for (unsigned i = 0; i < USED_BYTES; i++)
		if (result[i] != ((uint8_t *)physmap_host(b->pm, gpa(i), 1))[0]) {
			fprintf(stderr, "  memory %#x %02x %02x\n", i, result[i],
				((uint8_t *)physmap_host(b->pm, gpa(i), 1))[0]);
			break;
		}
	disasm_print(stderr, "  ", false, p->code, p->len, AT_CODE);
}

static uint64_t current;
static struct bench *running;

/* A program that the interpreter ends and translated code does not. */
static void hangs(int sig)
{
	char text[100];
	int n = snprintf(text, sizeof(text), "seed %llu: hangs, last in C at EIP %#x\n",
			 (unsigned long long)current, (unsigned)running->cpu->rip);

	if (write(STDERR_FILENO, text, (size_t)n) == n)
		_exit(1);
	_exit(2);
}

/* Returns whether the program was of use (it ended). */
static bool one(struct bench *b, uint64_t seed)
{
	static struct program p;
	static struct cpu ref;

	program_make(&p, seed, AT_CODE, 6 + (unsigned)(seed % 40));
	make_image(&p);
	start_state(b, seed);
	if (!bench_run_interp(b, MAX_STEPS))
		return false;
	ref = *b->cpu;
	memcpy(result, physmap_host(b->pm, gpa(0), USED_BYTES), USED_BYTES);
	start_state(b, seed);
	current = seed;
	running = b;
	alarm(5);
	bench_run_tc(b);
	alarm(0);
	if (lockstep_same_cpu(&ref, b->cpu) &&
	    !memcmp(result, physmap_host(b->pm, gpa(0), USED_BYTES), USED_BYTES))
		return true;
	show(b, &p, seed, &ref);
	fail_msg("seed %llu", (unsigned long long)seed);
	return false;
}

static void random_programs(bool lockstep, uint64_t first)
{
	time_t end = time(NULL) + SECONDS;
	unsigned done = 0, useful = 0, whole = 0;
	struct bench b;

	open_bench(&b, lockstep);
	for (uint64_t seed = first; time(NULL) < end; seed++, done++) {
		bool ok = one(&b, seed);

		useful += ok;
		whole += ok && bench_vector(&b) < 0;
	}
	print_message("%u programs, %u ended, %u of them without an exception; %llu blocks translated\n", done,
		      useful, whole, (unsigned long long)tc_statistics(b.tc)->translations);
	if (lockstep)
		assert_true(b.tc->lockstep->compared > useful);
	bench_close(&b);
	assert_true(useful > done / 2);
}

static void test_random(void **state)
{
	random_programs(false, 1);
}

static void test_random_lockstep(void **state)
{
	random_programs(true, 1000000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_lockstep),
	};

	signal(SIGALRM, hangs);
	if (argc > 1) { /* one seed, for debugging, in lockstep */
		struct bench b;

		open_bench(&b, true);
		one(&b, strtoull(argv[1], NULL, 0));
		bench_close(&b);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
