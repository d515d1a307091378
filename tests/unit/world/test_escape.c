/*
 * Ways out of a world. Code in a world can get into 64-bit mode by a far jump; what it can do there: nothing that the
 * monitor does not notice before it matters.
 */
#include "bench.h"

#include <sys/mman.h>

/* ---------------------------------- system calls ---------------------------------- */

/* Which numbers there are; beyond them some of other ABIs and nonsense. */
enum { NUMBERS = 480 };
static const uint32_t odd_numbers[] = {0x40000000, 0x40000009, 0x4000003b, 0x40000208, 0x40000223, 0x7fffffff, 0x80000000, 0xffffffff};
enum { ODD = sizeof(odd_numbers) / sizeof(odd_numbers[0]) };

static uint32_t number(unsigned i)
{
	return i < NUMBERS ? i : odd_numbers[i - NUMBERS];
}

/* From 32-bit code: a trap with exact state, and no effect. */
static void int_80h(void **state)
{
	CODE_IS(0x90);
	for (unsigned i = 0; i < NUMBERS + ODD; i++) {
		r.gpr[R_EAX] = number(i);
		r.gpr[R_EBX] = 42;
		STOPS("\xcd\x80", SIGSYS, -1, 2);
		assert_int_equal(r.gpr[R_EAX], number(i));
		assert_int_equal(r.gpr[R_EBX], 42);
	}
}

/* Not exact, so never run by intent; but they must not get out. */
static void other_entries(void **state)
{
	CODE_IS(0x0f, 0x05, 0x0f, 0x0b); /* syscall; ud2 */
	r.gpr[R_EAX] = 1;
	run();
	renew_world();
	CODE_IS(0x0f, 0x34, 0x0f, 0x0b); /* sysenter; ud2 */
	r.eip = CODE;
	r.gpr[R_EAX] = 1;
	r.gpr[R_EBP] = DATA + 0x100;
	run();
}

/* 32-bit code that goes on at `far` in 64-bit mode. */
static void escape(const void *insn, size_t n)
{
	static const uint8_t jump[] = {0xea, 0x07, 0x00, 0x01, 0x00, 0x33, 0x00};

	memset(bytes, 0x90, 4096);
	memcpy(bytes, jump, sizeof(jump));
	memcpy(bytes + sizeof(jump), insn, n);
	world_map(w, CODE >> 12, 1, 0, WORLD_READ | WORLD_EXEC);
	world_map(w, DATA >> 12, 1, 4096, WORLD_READ | WORLD_WRITE);
}

static void expect_death(void)
{
	r.eip = CODE;
	r.gpr[R_ESP] = DATA + 0x800;
	assert_int_equal(run(), WORLD_STOP_DEAD);
	renew_world();
}

/*
 * The world notices the first and is dead. Newer kernels let two calls past seccomp: 335 and 336, which do nothing where no uprobe
 * has been set.
 */
static void syscall_in_64_bit_mode(void **state)
{
	/* mov eax, nr; syscall; mov byte [DATA], 1; ud2 */
	uint8_t insn[] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc6, 0x04, 0x25, 0, 0, 0x20, 0, 1, 0x0f, 0x0b};

	for (unsigned i = 0; i < NUMBERS + ODD; i++) {
		uint32_t nr = number(i);

		memcpy(insn + 1, &nr, 4);
		escape(insn, sizeof(insn));
		bytes[4096] = 0;
		expect_death();
		if (bytes[4096] && nr != 335 && nr != 336)
			fail_msg("system call %#x returned", nr);
	}
}

static void other_entries_in_64_bit_mode(void **state)
{
	static const struct {
		const char *insn;
		unsigned n;
	} t[] = {
		{"\xb8\x01\x00\x00\x00\xcd\x80\xeb\xfe", 9}, /* int 80h: exit */
		{"\xb8\x01\x00\x00\x00\x0f\x34\xeb\xfe", 9}, /* sysenter */
		/* mov rax, ffffffffff600000h; call rax: gettimeofday of the vsyscall page; ud2 */
		{"\x31\xff\x31\xf6\x48\xc7\xc0\x00\x00\x60\xff\xff\xd0\x0f\x0b", 15},
	};

	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		escape(t[i].insn, t[i].n);
		expect_death();
	}
}

/* ---------------------------------- memory ---------------------------------- */

/* Stores to what is not the guest's. The stub's own data may be written: nothing that decides anything is kept there. */
static void stores(void **state)
{
	/* mov rax, address; mov [rax], eax; ud2 */
	uint8_t insn[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x89, 0x00, 0x0f, 0x0b};
	static const uint64_t addresses[] = {
		WORLD_STUB_BASE, WORLD_PAGE_BASE, WORLD_ORDERS_BASE, WORLD_ORDERS_BASE + 0x1000, 1ull << 32, 0x7fffffffe000,
		0xffffffffff600000, 0xffff888000000000, CODE, 0,
	};

	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		memcpy(insn + 2, &addresses[i], 8);
		escape(insn, sizeof(insn));
		expect_death();
		assert_int_equal(bytes[0], 0xea);
	}
}

/* A world's addresses: the stub, the page, and what was mapped. */
static void nothing_else_is_mapped(void **state)
{
	char path[64], line[256];
	unsigned others = 0;
	unsigned long from;
	FILE *f;

	CODE_IS(0x0f, 0x0b);
	run();
	snprintf(path, sizeof(path), "/proc/%d/maps", world_pid(w));
	f = fopen(path, "r");
	if (!f)
		skip(); /* a world is not dumpable: only root may look */
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-", &from) == 1 && from >> 32 && from >> 32 != WORLD_STUB_BASE >> 32 &&
		    from >> 32 != WORLD_PAGE_BASE >> 32 && !strstr(line, "[vsyscall]"))
			others++;
	fclose(f);
	assert_int_equal(others, 0);
}

/*
 * 64-bit guest code jumps to each SYSCALL instruction of the stub with each permitted number: nothing of RAM appears where the
 * monitor did not put it, and the world does not outlive the attempt.
 */
static void stub_cannot_be_misused(void **state)
{
	/* mov edi, 400000h; mov esi, 1000h; mov edx, 3; mov r10d, 4011h; mov r8d, 1; xor r9d, r9d; mov eax, nr;
	 * mov rcx, target; jmp rcx */
	uint8_t insn[] = {0xbf, 0, 0, 0x40, 0, 0xbe, 0, 0x10, 0, 0, 0xba, 3, 0, 0, 0, 0x41, 0xba, 0x11, 0x40, 0, 0, 0x41,
			  0xb8, 1, 0, 0, 0, 0x45, 0x31, 0xc9, 0xb8, 9, 0, 0, 0, 0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
			  0xe1};
	static const uint32_t numbers[] = {3, 9, 10, 14, 47, 59, 154, 202};
	extern const uint8_t world_stub_image[], world_stub_end[];
	size_t size = (size_t)(world_stub_end - world_stub_image);
	unsigned sites = 0;

	for (size_t at = 0x1000; at + 1 < size; at++) {
		uint64_t target = WORLD_STUB_BASE + at - 0x1000;

		if (world_stub_image[at] != 0x0f || world_stub_image[at + 1] != 0x05)
			continue;
		sites++;
		for (unsigned n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
			memcpy(insn + 31, &numbers[n], 4);
			memcpy(insn + 37, &target, 8);
			escape(insn, sizeof(insn));
			r.eip = CODE;
			r.gpr[R_ESP] = DATA + 0x800;
			assert_int_not_equal(run_and(NULL), WORLD_STOP_SIGNAL);
			renew_world();
		}
	}
	assert_true(sites >= 8);
}

/* ---------------------------------- lies ---------------------------------- */

/*
 * Reports a page fault that has not happened, gives the turn to the monitor, and runs on: counts in DATA until it is given
 * the turn, then jumps to RDX.
 */
extern const uint8_t lie_begin[], lie_end[];
__attribute__((used)) static void lie(void)
{
#define AT(field) [field] "i"(offsetof(struct world_page, field))
	__asm__ volatile("lie_begin: movabsq %[page], %%rbp\n\t"
			 "movw %[wcs], %c[cs](%%rbp); movw %[wds], %c[ss](%%rbp); movw %[wds], %c[ds](%%rbp)\n\t"
			 "movw %[wds], %c[es](%%rbp); movl $0, %c[fs](%%rbp); movl %[eip], %c[rip](%%rbp); movl $0, %c[rip]+4(%%rbp)\n\t"
			 "movl %[signalled], %c[reason](%%rbp); movl $11, %c[sig](%%rbp); movl $1, %c[code](%%rbp)\n\t"
			 "movl $14, %c[trap](%%rbp); movl $4, %c[error](%%rbp); movq $0x300000, %c[address](%%rbp)\n\t"
			 "movl %[mine], %c[turn](%%rbp)\n"
			 "1: incl %c[counter]; cmpl %[mine], %c[turn](%%rbp); je 1b; jmp *%%rdx\n"
			 "lie_end:"
			 : : [page] "i"(WORLD_PAGE_BASE), [wcs] "i"(WORLD_CS), [wds] "i"(WORLD_DS), [eip] "i"(CODE),
			   [signalled] "i"(WORLD_SIGNAL), [mine] "i"(TURN_MONITOR), [counter] "i"(DATA), AT(cs), AT(ss), AT(ds),
			   AT(es), AT(fs), AT(rip), AT(reason), AT(sig), AT(code), AT(trap), AT(error), AT(address), AT(turn));
#undef AT
}

static uint32_t counted(void)
{
	return *(volatile uint32_t *)(bytes + 4096);
}

static void tell_the_lie(const void *then, size_t n)
{
	escape(lie_begin, (size_t)(lie_end - lie_begin));
	memcpy(bytes + 0x800, then, n);
	r.eip = CODE;
	r.gpr[R_EDX] = CODE + 0x800;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.address, 0x300000);
}

/* Once a page has been taken away it does not run any more. */
/* Does it count? Once seen it is so; that it does not takes all of the time. */
static bool counts_within(unsigned ms)
{
	uint32_t before = counted();

	for (unsigned i = 0; i < ms && counted() == before; i++)
		usleep(1000);
	return counted() != before;
}

static void lies_keep_no_pages(void **state)
{
	tell_the_lie("\x0f\x0b", 2);
	assert_true(counts_within(10000)); /* so far it is not known */
	world_unmap(w, DATA >> 12, DATA >> 12);
	assert_false(counts_within(100));
	assert_int_equal(run(), WORLD_STOP_UNRUN);
}

/* A page of RAM that was not ordered is not mapped by changing the orders. */
static void lies_get_no_pages(void **state)
{
	/* mov rax, orders; mov dword [rax], 1; ud2 */
	static const uint8_t change[] = {0x48, 0xb8, 0x00, 0x10, 0x00, 0x00, 0xee, 0x5e, 0, 0, 0xc7, 0, 1, 0, 0, 0, 0x0f, 0x0b};

	_Static_assert(WORLD_ORDERS_BASE == 0x5eee00001000, "in the instruction");
	tell_the_lie(change, sizeof(change));
	world_map(w, 0x300, 1, 8192, WORLD_READ);
	assert_int_equal(run(), WORLD_STOP_DEAD);
}

/*
 * One that goes to sleep in the stub's wait wakes up as the stub does, not where it came from; and what it had in vector registers
 * that nobody restores is gone, though no signal has reset it.
 */
static void lies_and_sleep(void **state)
{
	static const uint8_t fill[] = {0xc5, 0xfc, 0xc2, 0xc0, 0x0f}; /* vcmptrueps ymm0, ymm0, ymm0 */
	static const uint8_t look[] = {0xc4, 0xe3, 0x7d, 0x19, 0xc1, 0x01}; /* vextractf128 xmm1, ymm0, 1 */
	bool avx = __builtin_cpu_supports("avx");
	/* xor r10d, r10d; xor esi, esi; mov edx, 1; mov rdi, page; push ...; mov eax, 202; mov rcx, site; jmp rcx */
	uint8_t insn[] = {0x45, 0x31, 0xd2, 0x31, 0xf6, 0xba, 1, 0, 0, 0, 0x48, 0xbf, 0, 0, 0, 0, 0xee, 0x5e, 0, 0, 0x68, 0, 0, 1, 0,
			  0xb8, 202, 0, 0, 0, 0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe1};
	static const uint8_t wait[] = {0xb8, 202, 0, 0, 0, 0x0f, 0x05, 0xfc}; /* mov eax, 202; syscall; cld */
	extern const uint8_t world_stub_image[], world_stub_end[];
	const uint8_t *site = memmem(world_stub_image, (size_t)(world_stub_end - world_stub_image), wait, sizeof(wait));
	uint64_t target;

	assert_non_null(site);
	target = WORLD_STUB_BASE + (uint64_t)(site - world_stub_image) - 0x1000 + 5;
	memcpy(insn + 32, &target, 8);
	/* sleep at once, with a report */
	escape(lie_begin, (size_t)(lie_end - lie_begin));
	for (uint8_t *p = bytes; p < bytes + 0x200; p++)
		if (!memcmp(p, "\xff\x04\x25", 3)) { /* the loop: incl DATA */
			memcpy(p, "\xff\xe2", 2); /* jmp rdx */
			break;
		}
	memcpy(bytes + 0x800, avx ? fill : (const uint8_t *)"\x90\x90\x90\x90\x90", sizeof(fill));
	memcpy(bytes + 0x800 + sizeof(fill), insn, sizeof(insn));
	r.eip = CODE;
	r.gpr[R_EDX] = CODE + 0x800;
	r.gpr[R_ESP] = DATA + 0x800;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	world_unmap(w, DATA >> 12, DATA >> 12);
	memcpy(bytes + 0x900, "\xa1\x00\x00\x20\x00", 5); /* mov eax, [DATA] */
	if (avx)
		memcpy(bytes + 0x900 - sizeof(look), look, sizeof(look));
	r.eip = CODE + 0x900 - (avx ? sizeof(look) : 0);
	memset(fx.xmm, 1, sizeof(fx.xmm));
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.trap, EXC_PF);
	assert_int_equal(x.address, DATA);
	assert_int_equal(r.eip, CODE + 0x900);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(fx.xmm[1][i], avx ? 0 : 1);
}

/* ---------------------------------- too much ---------------------------------- */

/* More mappings than the host allows: nothing is run, all are gone, and it works again. */
static void too_many_mappings(void **state)
{
	unsigned refused = 0;

	CODE_IS(0x0f, 0x0b);
	for (unsigned page = 0x1000; page < 0x1000 + 2 * 80000 && !refused; page += 2) {
		if (!world_room(w, 1)) {
			r.eip = CODE;
			refused = run() == WORLD_STOP_MAP;
		}
		world_map(w, page, 1, 4096 * (page / 2 % PAGES), WORLD_READ);
	}
	assert_true(refused);
	CODE_IS(0x0f, 0x0b);
	r.eip = CODE;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	assert_int_equal(x.signal, SIGILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
		T(int_80h), T(other_entries), T(syscall_in_64_bit_mode), T(other_entries_in_64_bit_mode), T(stores),
		T(nothing_else_is_mapped), T(stub_cannot_be_misused), T(lies_keep_no_pages), T(lies_get_no_pages),
		T(lies_and_sleep), T(too_many_mappings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
