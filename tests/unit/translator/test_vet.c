/* Which pages of code may run directly: translator/vet.c. */
#include "bench.h"

#include "translator/direct.h"

#include <string.h>

static struct bench b;

enum { PAGE = AT_FAR + 8 * PAGE_SIZE };

static void fill(uint8_t byte)
{
	uint8_t bytes[3 * PAGE_SIZE];

	memset(bytes, byte, sizeof(bytes));
	bench_put(&b, PAGE - PAGE_SIZE, bytes, sizeof(bytes));
}

static bool fit_from(uint32_t lin, uint8_t *needs, uint64_t *next)
{
	uint64_t starts[VET_STARTS];

	return vet_page(b.tc, lin, lin >> PAGE_SHIFT, starts, needs, next);
}

/* The page is NOPs but for these bytes, and is entered at its beginning. */
static bool fit(unsigned at, const void *bytes, unsigned len, uint8_t filler)
{
	uint64_t next;
	uint8_t needs;

	fill(filler);
	bench_put(&b, PAGE, "\xeb\xfe", 2); /* jmp to itself: nothing else is reached from there */
	bench_put(&b, PAGE + at, bytes, len);
	return fit_from(PAGE, &needs, &next);
}

struct vet_case {
	bool fit;
	unsigned len;
	const char *bytes, *what;
};

static const struct vet_case instructions[] = {
	{true, 5, "\xb8\x01\x02\x03\x04", "MOV"},
	{true, 2, "\xcd\x80", "INT 80h traps"},
	{true, 1, "\xf4", "HLT traps"},
	{true, 2, "\xe4\x60", "IN traps"},
	{true, 1, "\x9c", "PUSHF"},
	{true, 4, "\x0f\x28\x04\x24", "MOVAPS"},
	{false, 2, "\x0f\xa2", "CPUID"},
	{false, 2, "\x0f\x31", "RDTSC"},
	{false, 3, "\x0f\x01\xf9", "RDTSCP"},
	{false, 4, "\xf3\x0f\xc7\xf8", "RDPID"},
	{false, 3, "\x0f\x01\xd0", "XGETBV"},
	{false, 2, "\x0f\x34", "SYSENTER"},
	{false, 2, "\x0f\x05", "SYSCALL"},
	{false, 3, "\x0f\x01\xe0", "SMSW"},
	{false, 3, "\x0f\x01\x00", "SGDT"},
	{false, 3, "\x0f\x00\xc8", "STR"},
	{false, 3, "\x0f\x02\xc1", "LAR"},
	{false, 2, "\x8c\xd8", "MOV from DS"},
	{false, 2, "\x8e\xe8", "MOV to GS"},
	{false, 1, "\x1e", "PUSH DS"},
	{false, 2, "\x0f\xa1", "POP FS"},
	{false, 2, "\xc5\x03", "LDS"},
	{false, 7, "\xea\x00\x00\x00\x00\x33\x00", "JMP far"},
	{false, 2, "\xff\x18", "CALL far"},
	{false, 1, "\xcb", "RET far"},
	{false, 1, "\xcf", "IRET"},
	{false, 1, "\xf1", "INT1"},
	{false, 3, "\xdd\x34\x24", "FNSAVE"},
	{false, 4, "\xc5\xf8\x77\x90", "VZEROUPPER"},
	{false, 6, "\x62\xf1\x7c\x48\x28\xc0", "VMOVAPS of ZMM"},
	/* REP BSF is TZCNT on the host: the flags tell */
	{true, 3, "\x0f\xbc\xc1", "BSF"},
	{true, 6, "\xf3\x0f\xbc\xc1\x85\xc0", "REP BSF, TEST"},
	{true, 6, "\xf3\x0f\xbc\xc1\x01\xc2", "REP BSF, ADD"},
	{false, 6, "\xf3\x0f\xbc\xc1\x74\x02", "REP BSF, JZ"},
	{false, 7, "\xf3\x0f\xbc\xc1\x0f\x94\xc2", "REP BSF, SETZ"},
	{false, 7, "\xf3\x0f\xbc\xc1\x40\x72\x02", "REP BSF, INC, JC"},
	{false, 5, "\xf3\x0f\xbc\xc1\xc3", "REP BSF, RET"},
	{true, 10, "\xf3\x0f\xbc\xc1\x50\xe8\x00\x00\x00\x00", "REP BSF, PUSH, CALL"},
	{true, 6, "\xf3\x0f\xbc\xc1\xff\xd0", "REP BSF, CALL EAX"},
	{false, 9, "\xf3\x0f\xbc\xc1\x0f\x94\xc2\xff\xd0", "REP BSF, SETZ, CALL EAX"},
	{false, 7, "\xf3\x0f\xbc\xc1\xff\x18\x90", "REP BSF, CALL far"},
	{false, 6, "\xf3\x0f\xbd\xc1\x85\xc0", "REP BSR"},
	{true, 8, "\xf3\x0f\xbc\xc1\xeb\x02\xc3\xc3", "REP BSF, JMP, CMP"},
	{true, 9, "\xf3\x0f\xbc\xc1\xe9\xf7\x0e\x00\x00", "REP BSF, JMP into the next page, CMP"},
	{false, 9, "\xf3\x0f\xbc\xc1\xe9\xf7\x0e\x00\xf0", "REP BSF, JMP into nowhere"},
};

static void harmful_instructions(void **state)
{
	for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
		const struct vet_case *c = &instructions[i];

		/* around bit scans CMP, which overwrites the flags */
		if (fit(0x100, c->bytes, c->len, c->bytes[0] == '\xf3' ? 0x39 : 0x90) != c->fit)
			fail_msg("%s", c->what);
	}
}

/* At no offset, not even as part of an operand of code that was followed. */
static void inside_instructions(void **state)
{
	assert_false(fit(0, "\xb8\x00\x0f\xa2\x00\xeb\xf9", 7, 0x90)); /* mov eax, 00a20f00h; jmp $-5 */
	assert_false(fit(0, "\x81\xc1\x0f\x01\xe0\x00\xeb\xf8", 8, 0x90));
	assert_true(fit(0, "\xb8\x00\x0f\xa3\x00\xeb\xf9", 7, 0x90));
	/* PUSH DS, a far jump, SYSENTER: only where decoding meets them */
	assert_true(fit(0, "\xb8\x1e\xea\x0f\x34\xeb\xf9", 7, 0x90));
	/* in the last byte of the page */
	assert_false(fit(PAGE_SIZE - 1, "\x0f\xa2", 2, 0x90));
}

/* Where CPUID traps in worlds, as it does on some hosts, it may be anywhere; what does not trap still may not. */
static void cpuid_that_traps(void **state)
{
	b.tc->cpuid_faults = true;
	assert_true(fit(0x100, "\x0f\xa2", 2, 0x90));
	assert_true(fit(0, "\xb8\x00\x0f\xa2\x00\xeb\xf9", 7, 0x90));
	assert_true(fit(PAGE_SIZE - 1, "\x0f\xa2", 2, 0x90));
	assert_false(fit(0x100, "\x0f\xa2\x0f\x31", 4, 0x90)); /* RDTSC */
	assert_false(fit(0, "\x81\xc1\x0f\x01\xe0\x00\xeb\xf8", 8, 0x90));
	b.tc->cpuid_faults = false;
}

/* Branches and addresses that lead into an instruction. */
static void ways_into_the_middle(void **state)
{
	uint32_t target = PAGE + 0x102;
	uint8_t bytes[32] = {0x90, 0xb8, 0x8c, 0xd8, 0x90, 0x90, 0xeb, 0xfe}; /* mov eax, ...: hides MOV EAX, DS */

	assert_true(fit(0x100, bytes, 8, 0x90));
	bytes[6] = 0xeb, bytes[7] = 0xfa; /* jmp to it */
	assert_false(fit(0x100, bytes, 8, 0x90));
	bytes[7] = 0xfe;
	bytes[9] = 0x68; /* push its address */
	memcpy(bytes + 10, &target, 4);
	assert_false(fit(0x100, bytes, 14, 0x90));
	target += PAGE_SIZE; /* an address in another page says nothing */
	memcpy(bytes + 10, &target, 4);
	assert_true(fit(0x100, bytes, 14, 0x90));
}

static void two_pages(void **state)
{
	uint64_t next = 0;
	uint8_t needs;

	/* an instruction that ends in the next page makes the answer depend on it */
	fill(0x90);
	bench_put(&b, PAGE + PAGE_SIZE - 2, "\xb8\x00\x00\x00\x00", 5);
	assert_true(fit_from(PAGE, &needs, &next));
	assert_int_equal(next, (PAGE >> PAGE_SHIFT) + 1);
	bench_put(&b, PAGE + PAGE_SIZE - 2, "\x90\x90", 2);
	assert_true(fit_from(PAGE, &needs, &next));
	assert_true(next == NEXT_ANY);
	/* the tail of the page before is not taken for an instruction: mov eax, 1e8c..h */
	fill(0x90);
	bench_put(&b, PAGE - 2, "\xb8\x00\x8c\xd8\x1e", 5);
	assert_true(fit_from(PAGE + 3, &needs, &next));
}

static void conditions(void **state)
{
	uint64_t next;
	uint8_t needs;

	fill(0x90);
	assert_true(fit_from(PAGE, &needs, &next));
	assert_int_equal(needs, 0);
	bench_put(&b, PAGE + 10, "\x9c", 1); /* PUSHF */
	assert_true(fit_from(PAGE, &needs, &next));
	assert_int_equal(needs, NEEDS_FLAGS);
	bench_put(&b, PAGE + 20, "\x0f\x57\xc0", 3); /* XORPS */
	assert_true(fit_from(PAGE, &needs, &next));
	assert_int_equal(needs, NEEDS_FLAGS | NEEDS_VECTOR);
}

static int open_machine(void **state)
{
	bench_open(&b, &(struct bench_options){0});
	return 0;
}

static int close_machine(void **state)
{
	bench_close(&b);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(harmful_instructions), cmocka_unit_test(inside_instructions), cmocka_unit_test(cpuid_that_traps),
		cmocka_unit_test(ways_into_the_middle), cmocka_unit_test(two_pages), cmocka_unit_test(conditions),
	};

	return cmocka_run_group_tests(tests, open_machine, close_machine);
}
