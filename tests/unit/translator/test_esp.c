/* ESP that moves late (translator/esp.c): whatever leaves the TC in between finds the ESP that the guest would have. */
#include "bench.h"

#include "translator/classify.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/*
 * The stack's second page has lost its A bit, so its entry in the window is gone: the second PUSH faults the host, and is resumed. EDI
 * counts calls, EBX complains.
 */
__asm__(".section .rodata\n"
	".code32\n"
	"code:\n"
	"	movl	$20000, %ebp\n"
	"1:	andl	$~0x20, 0x520c0\n"
	"	invlpg	0x30000\n"
	"	movl	$0x31004, %esp\n"
	"	pushl	%ebp\n"
	"	pushl	$0x1234\n"
	"	movl	4(%esp), %edx\n"
	"	pushl	%ecx\n"
	"	pushl	4(%esp)\n"
	"	call	2f\n"
	"	popl	%esi\n"
	"	popl	%ecx\n"
	"	leal	4(%esp), %edx\n"
	"	popl	%eax\n"
	"	popl	%eax\n"
	"	cmpl	$0x31004, %esp\n"
	"	jne	3f\n"
	"	cmpl	$0x31000, %edx\n"
	"	jne	3f\n"
	"	cmpl	$0x1234, %esi\n"
	"	jne	3f\n"
	"	cmpl	%ebp, %eax\n"
	"	jne	3f\n"
	"	decl	%ebp\n"
	"	jnz	1b\n"
	"	hlt\n"
	"2:	incl	%edi\n"
	"	ret\n"
	"3:	movl	$1, %ebx\n"
	"	hlt\n"
	"code_end:\n"
	".code64\n"
	".text\n");
extern const uint8_t code[], code_end[];

enum { RW = 3, ROUNDS = 20000 };

static void open_bench(struct bench *b)
{
	static const struct bench_options options = {.tc_size = 4 << 20};

	bench_open(b, &options);
	mmu_emulate_churn(b->mmu, false);
	for (unsigned i = 0; i < 1024; i++)
		bench_put32(b, IDENTITY + i * 4, i << PAGE_SHIFT | RW);
	bench_put32(b, DIRECTORY, IDENTITY | RW);
	bench_put(b, AT_CODE, code, (unsigned)(code_end - code));
	bench_reset(b, false);
	b->cpu->cr0 |= CR0_PG;
	b->cpu->cr3 = DIRECTORY;
	b->cpu->gpr[R_EBX] = b->cpu->gpr[R_EDI] = 0;
	mmu_paging_changed(b->mmu, true, true);
}

static void run_once(struct bench *b)
{
	const struct cpu ready = *b->cpu;
	uint64_t faults = mmu_statistics(b->mmu)->hidden_faults;

	bench_run_tc(b);
	assert_int_equal(bench_vector(b), -1);
	assert_int_equal((uint32_t)b->cpu->gpr[R_EBX], 0);
	assert_int_equal((uint32_t)b->cpu->gpr[R_EDI], ROUNDS);
	assert_true(mmu_statistics(b->mmu)->hidden_faults - faults >= ROUNDS);
	*b->cpu = ready;
}

static void test_resumed(void **state)
{
	struct bench b;

	open_bench(&b);
	run_once(&b);
	bench_close(&b);
}

static atomic_bool over;

static void *kick(void *tc)
{
	while (!atomic_load(&over)) {
		tc_kick(tc);
		for (unsigned i = 0; i < 50; i++)
			__builtin_ia32_pause();
	}
	return NULL;
}

/* A kick may come between the fault and its resumption. */
static void test_kicked(void **state)
{
	pthread_t kicker;
	struct bench b;

	open_bench(&b);
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&kicker, NULL, kick, b.tc), 0);
	while (tc_statistics(b.tc)->kicks < 100)
		run_once(&b);
	atomic_store(&over, true);
	pthread_join(kicker, NULL);
	bench_close(&b);
}

/*
 * A CALL that is interpreted (its segment is not flat), behind PUSHes whose moves are pending, to the next instruction: it comes back into
 * its own expansion, where a kick may be waiting.
 */
static void test_interpreted(void **state)
{
	/* push eax; push eax; call cs:[AT_DATA]; add esp, 12; dec ebp; jnz; hlt */
	static const uint8_t program[] = {0x50, 0x50, 0x2e, 0xff, 0x15, 0x00, 0x00, 0x02, 0x00, 0x83, 0xc4, 0x0c, 0x4d, 0x75, 0xf1, 0xf4};
	pthread_t kicker;
	uint32_t esp;
	struct bench b;

	open_bench(&b);
	bench_put(&b, AT_CODE, program, sizeof(program));
	bench_put32(&b, AT_DATA, AT_CODE + 9);
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&kicker, NULL, kick, b.tc), 0);
	while (tc_statistics(b.tc)->kicks < 500) {
		bench_reset(&b, false);
		b.cpu->gpr[R_EBP] = ROUNDS;
		esp = (uint32_t)b.cpu->gpr[R_ESP];
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), -1);
		assert_int_equal((uint32_t)b.cpu->gpr[R_ESP], esp);
	}
	atomic_store(&over, true);
	pthread_join(kicker, NULL);
	bench_close(&b);
}

/* A NOP is translated alike whatever has been before. */
static void test_nop(void **state)
{
	static const uint8_t row[] = {0x55, 0x0f, 0x1f, 0x00, 0x57, 0x89, 0xe5, 0xc3}, other[] = {0x55, 0x56, 0x57, 0x89, 0xe5, 0xc3};
	uint8_t first[512];
	const uint8_t *host;
	unsigned len, n;
	struct bench b;

	open_bench(&b);
	host = bench_translate(&b, row, sizeof(row), &len);
	assert_in_range(len, 1, sizeof(first));
	memcpy(first, host, len);
	b.extra_mode = MODE_LOOKUP;
	assert_non_null(bench_translate(&b, other, sizeof(other), &n));
	b.extra_mode = 0;
	decode_init();
	host = bench_translate(&b, row, sizeof(row), &n);
	/* but for the exits' numbers */
	assert_int_equal(n, len);
	assert_memory_equal(first, host, len);
	bench_close(&b);
}

/* Displacements wrap, and so do sums of them and pending moves. */
static void test_far_displacement(void **state)
{
	static const uint8_t row[] = {0x50, 0x8b, 0x84, 0x24, 0x00, 0x00, 0x00, 0x80, 0x8f, 0x84, 0x24, 0xff, 0xff, 0xff, 0x7f, 0xf4};
	unsigned len;
	struct bench b;

	open_bench(&b);
	assert_non_null(bench_translate(&b, row, sizeof(row), &len));
	bench_close(&b);
}

/* Rows of stack instructions move ESP once. */
static void test_one_move(void **state)
{
	static const uint8_t row[] = {0x55, 0x57, 0x56, 0x53, 0x89, 0xe5, 0x6a, 0x07, 0xff, 0x74, 0x24, 0x08, 0x5b, 0x5e, 0xc3};
	const uint8_t *host;
	unsigned len, moves = 0;
	struct bench b;

	open_bench(&b);
	host = bench_translate(&b, row, sizeof(row), &len);
	for (unsigned i = 0; i + 3 < len; i++)
		moves += host[i] == 0x8d && host[i + 1] == 0x64 && host[i + 2] == 0x24;
	assert_int_equal(moves, 1);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resumed),
		cmocka_unit_test(test_kicked),
		cmocka_unit_test(test_interpreted),
		cmocka_unit_test(test_nop),
		cmocka_unit_test(test_far_displacement),
		cmocka_unit_test(test_one_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
