/* Calls of functions that do nothing but load their return address: what stands there and whether it stands there may change. */
#include "bench.h"

#include <string.h>

enum {
	CALLER = AT_FAR, /* frames */
	FOR_EBX = CALLER + PAGE_SIZE,
	FOR_EDI = FOR_EBX + PAGE_SIZE,
	NO_THUNK = FOR_EDI + PAGE_SIZE,
	ACCESSED = 0x60,
	THUNK = PAGE_SIZE + 0x100, /* in the region */
	STACK = AT_STACK - 0x100,
};

static const struct bench_options small = {.tc_size = 4 << 20};
static struct cpu ready;

static void map(struct bench *b, unsigned space, uint32_t lin, uint32_t frame)
{
	bench_put32(b, TABLE + space * PAGE_SIZE + ((lin - REGION) >> PAGE_SHIFT) * 4, frame ? frame | RWU | ACCESSED : 0);
}

static void open_paged(struct bench *b, enum tc_lookup lookup)
{
	static const uint8_t for_ebx[] = {0x8b, 0x1c, 0x24, 0xc3}, for_edi[] = {0x8b, 0x3c, 0x24, 0xc3}, none[] = {0xbb, LE32(7), 0xc3};

	bench_open(b, &small);
	b->tc->config.lookup = lookup;
	for (unsigned space = 0; space < 2; space++)
		map(b, space, REGION, CALLER);
	bench_put(b, FOR_EBX + 0x100, for_ebx, sizeof(for_ebx));
	bench_put(b, FOR_EDI + 0x100, for_edi, sizeof(for_edi));
	bench_put(b, NO_THUNK + 0x100, none, sizeof(none));
	bench_paging(b);
	ready = *b->cpu;
}

/* EBX and EDI at the HLT, both zero before. */
static void run(struct bench *b, unsigned space, uint32_t lin, uint32_t ebx, uint32_t edi)
{
	*b->cpu = ready;
	bench_switch(b, space);
	b->cpu->rip = lin;
	b->cpu->gpr[R_EBX] = b->cpu->gpr[R_EDI] = 0;
	bench_run_tc(b);
	assert_int_equal(bench_vector(b), EXC_GP);
	assert_int_equal((uint32_t)b->cpu->gpr[R_EBX], ebx);
	assert_int_equal((uint32_t)b->cpu->gpr[R_EDI], edi);
}

/* Are calls of thunks made in place at all? Of the unit at `lin`. */
static bool in_place(struct bench *b, uint32_t lin)
{
	for (ccf_id id = 1; id < b->tc->ccf_top; id++) {
		const struct ccf *c = ccf_of(b->tc, id);

		if (c->state == CCF_LIVE && c->lin == lin && c->mode & MODE_USER)
			return c->needs;
	}
	return false;
}

static void test_registers(void **state)
{
	static const uint8_t registers[] = {R_EAX, R_EBX, R_ECX, R_EDX, R_EBP, R_ESI, R_EDI};
	struct bench b;

	for (unsigned i = 0; i < ARRAY_LEN(registers); i++) {
		/* push eax; call thunk; push eax; call thunk; hlt */
		uint8_t code[] = {0x50, 0xe8, LE32(7), 0x50, 0xe8, LE32(1), 0xf4, 0x8b, 0x04, 0x24, 0xc3};

		code[14] |= (uint8_t)(registers[i] << 3);
		bench_open(&b, &small);
		for (unsigned user = 0; user < 2; user++) {
			bench_reset(&b, user);
			bench_put(&b, AT_CODE, code, sizeof(code));
			bench_run_tc(&b);
			assert_int_equal(bench_vector(&b), user ? EXC_GP : -1);
			assert_int_equal((uint32_t)b.cpu->gpr[registers[i]], AT_CODE + 12);
			assert_int_equal(bench_get32(&b, STACK - 8), registers[i] == R_EAX ? AT_CODE + 6 : 0);
			assert_int_equal(bench_get32(&b, STACK - 12), AT_CODE + 12);
			assert_int_equal(in_place(&b, AT_CODE), user);
		}
		bench_close(&b);
	}
}

/* The function changes while it is in use. */
static void test_written(void **state)
{
	enum { ROUNDS = 1000, RETURN = AT_CODE + 12, AT_THUNK = AT_CODE + 36 };
	/* xor eax, eax; mov ecx, ROUNDS; 1: call thunk; add eax, ebx; cmp ecx, 400; jnz 2; mov dword [thunk], inc ebx; ret; 2: dec ecx; jnz 1;
	   hlt */
	static const uint8_t code[] = {0x31, 0xc0, 0xb9, LE32(ROUNDS), 0xe8, LE32(AT_THUNK - RETURN), 0x01, 0xd8, 0x81, 0xf9, LE32(400),
				       0x75, 10,   0xc7, 0x05, LE32(AT_THUNK), 0x43, 0xc3, 0x90, 0x90, 0x49, 0x75, 0xe4, 0xf4, 0x8b, 0x1c, 0x24,
				       0xc3};

	for (unsigned user = 0; user < 2; user++) {
		struct bench b;

		bench_open(&b, &small);
		b.tc->config.count = true;
		bench_reset(&b, user);
		bench_put(&b, AT_CODE, code, sizeof(code));
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), user ? EXC_GP : -1);
		assert_int_equal((uint32_t)b.cpu->gpr[R_EAX], (uint32_t)(ROUNDS * RETURN + 399 * 400 / 2));
		assert_int_equal((uint32_t)b.cpu->gpr[R_EBX], RETURN + 399);
		assert_int_equal(bench_get32(&b, STACK - 4), RETURN);
		/* the store to code leaves its unit; the two instructions behind it are counted again with the next; the #GP's handler is a HLT */
		assert_int_equal(tc_statistics(b.tc)->executed, 2 + ROUNDS * 8 + 1 + 1 + 2 + user);
		assert_true(tc_statistics(b.tc)->dispatches < 60);
		bench_close(&b);
	}
}

/* Its page is another's; also while the caller moves about. */
static void test_mapped(void **state)
{
	enum { RETURN = 0x20f };
	/* mov ebx, 0; mov edi, 0; call the next page's 0x100; hlt */
	static const uint8_t caller[] = {0xbb, LE32(0), 0xbf, LE32(0), 0xe8, LE32(THUNK - RETURN), 0xf4};

	for (unsigned lookup = 0; lookup < 2; lookup++) {
		struct bench b;

		open_paged(&b, lookup ? TC_LOOKUP_ON : TC_LOOKUP_OFF);
		bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
		for (uint32_t lin = REGION; lin < REGION + 0x14000; lin += 0x5000) {
			uint32_t next = lin + PAGE_SIZE, here = lin + RETURN;

			map(&b, 0, lin, CALLER);
			map(&b, 0, next, FOR_EBX);
			for (unsigned i = 0; i < 3; i++)
				run(&b, 0, lin + 0x200, here, 0);
			/* once it was none it is called for good */
			assert_int_equal(in_place(&b, lin + 0x200), lin == REGION);
			map(&b, 0, next, NO_THUNK);
			run(&b, 0, lin + 0x200, 7, 0);
			map(&b, 0, next, FOR_EBX);
			run(&b, 0, lin + 0x200, here, 0);
			map(&b, 0, next, FOR_EDI);
			run(&b, 0, lin + 0x200, 0, here);
			map(&b, 0, next, NO_THUNK);
			run(&b, 0, lin + 0x200, 7, 0);
			map(&b, 0, lin, 0);
		}
		assert_true(tc_statistics(b.tc)->relocations > 0);
		bench_close(&b);
	}
}

/* Two address spaces that share the caller have different functions there. */
static void test_shared(void **state)
{
	enum { RETURN = 0x205 };
	/* call the next page's 0x100; hlt */
	static const uint8_t caller[] = {0xe8, LE32(THUNK - RETURN), 0xf4};
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
	map(&b, 0, REGION + PAGE_SIZE, FOR_EBX);
	map(&b, 1, REGION + PAGE_SIZE, NO_THUNK);
	for (unsigned i = 0; i < 10; i++) {
		run(&b, 0, REGION + 0x200, REGION + RETURN, 0);
		run(&b, 1, REGION + 0x200, 7, 0);
	}
	bench_close(&b);
}

/* Its page is not there: the call is made, and faults there. */
static void test_absent(void **state)
{
	enum { RETURN = 0x209 };
	/* push ecx; push edx; test eax, eax; jnz 1; call the next page's 0x100 (its end at RETURN + 2); 1: pop edx; hlt */
	static const uint8_t caller[] = {0x51, 0x52, 0x85, 0xc0, 0x75, 5, 0xe8, LE32(THUNK - (RETURN + 2)), 0x5a, 0xf4};
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
	for (unsigned i = 0; i < 12; i++) {
		bool there = i % 4 == 1, calls = i % 3;

		map(&b, 0, REGION + PAGE_SIZE, there ? FOR_EBX : 0);
		*b.cpu = ready;
		bench_switch(&b, 0);
		b.cpu->rip = REGION + 0x200;
		b.cpu->gpr[R_EBX] = 5;
		b.cpu->gpr[R_ECX] = i;
		b.cpu->gpr[R_EDX] = i + 100;
		b.cpu->gpr[R_EAX] = !calls;
		bench_run_tc(&b);
		assert_int_equal(bench_get32(&b, STACK - 4), i);
		assert_int_equal(bench_get32(&b, STACK - 8), i + 100);
		if (calls)
			assert_int_equal(bench_get32(&b, STACK - 12), REGION + RETURN + 2);
		if (calls && !there) {
			assert_int_equal(bench_vector(&b), EXC_PF);
			assert_int_equal(b.cpu->cr2, REGION + THUNK);
			/* error code, EIP, CS, EFLAGS and ESP are on the handler's stack */
			assert_int_equal(bench_get32(&b, (uint32_t)b.cpu->gpr[R_ESP] + 4), REGION + THUNK);
			assert_int_equal(bench_get32(&b, (uint32_t)b.cpu->gpr[R_ESP] + 16), STACK - 12);
		} else {
			assert_int_equal(bench_vector(&b), EXC_GP);
			assert_int_equal((uint32_t)b.cpu->gpr[R_EBX], calls ? REGION + RETURN + 2 : 5);
			assert_int_equal((uint32_t)b.cpu->gpr[R_EDX], i + 100);
		}
	}
	bench_close(&b);
}

/* First met when its page is not there: it is known for what it is all the same when that comes. */
static void test_brought(void **state)
{
	enum { RETURN = 0x206 };
	/* push ecx; call the next page's 0x100; add ebx, 1; hlt */
	static const uint8_t caller[] = {0x51, 0xe8, LE32(THUNK - RETURN), 0x81, 0xc3, LE32(1), 0xf4};
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
	*b.cpu = ready;
	bench_switch(&b, 0);
	b.cpu->rip = REGION + 0x200;
	bench_run_tc(&b);
	assert_int_equal(bench_vector(&b), EXC_PF);
	assert_int_equal(b.cpu->cr2, REGION + THUNK);
	assert_int_equal(bench_get32(&b, STACK - 8), REGION + RETURN);
	map(&b, 0, REGION + PAGE_SIZE, FOR_EBX);
	for (unsigned i = 0; i < 2; i++)
		run(&b, 0, REGION + 0x200, REGION + RETURN + 1, 0);
	assert_true(in_place(&b, REGION + 0x201));
	bench_close(&b);
}

/* Its page is not there, but the call is not come to either: that is no reason to interpret. */
static void test_absent_idle(void **state)
{
	enum { ROUNDS = 10000, RETURN = 0x209 };
	/* 1: test eax, eax; jnz 2; call the next page's 0x100; 2: dec esi; jnz 1; hlt */
	static const uint8_t code[] = {0x85, 0xc0, 0x75, 5, 0xe8, LE32(THUNK - RETURN), 0x4e, 0x75, 0xf4, 0xf4};
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	bench_put(&b, CALLER + 0x200, code, sizeof(code));
	for (unsigned there = 2; there-- > 0;) {
		uint64_t before = tc_statistics(b.tc)->dispatches;

		map(&b, 0, REGION + PAGE_SIZE, there ? FOR_EBX : 0);
		*b.cpu = ready;
		bench_switch(&b, 0);
		b.cpu->rip = REGION + 0x200;
		b.cpu->gpr[R_EAX] = 1;
		b.cpu->gpr[R_ESI] = ROUNDS;
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), EXC_GP);
		assert_true(tc_statistics(b.tc)->dispatches - before < 50);
	}
	bench_close(&b);
}

/* Looking for the thunk drops the caller's page: their page table is another by now, though with the same entries. */
static void test_untracked(void **state)
{
	enum { RETURN = 0x205, ANOTHER = NO_THUNK + PAGE_SIZE };
	/* call the next page's 0x100; hlt */
	static const uint8_t caller[] = {0xe8, LE32(THUNK - RETURN), 0xf4};
	/* mov ebx, 9; hlt, and elsewhere jmp there */
	static const uint8_t other[] = {0xbb, LE32(9), 0xf4}, jumper[] = {0xe9, LE32(REGION + 0x200 - AT_CODE - 5)};
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
	bench_put(&b, CALLER + 0x400, (const uint8_t[]){0xf4}, 1);
	bench_put(&b, ANOTHER + 0x200, other, sizeof(other));
	bench_put(&b, AT_CODE, jumper, sizeof(jumper));
	map(&b, 0, REGION + PAGE_SIZE, FOR_EBX);
	map(&b, 1, REGION + PAGE_SIZE, FOR_EBX);
	run(&b, 0, REGION + 0x400, 0, 0);
	bench_put32(&b, DIRECTORY + (REGION >> 22) * 4, (TABLE + PAGE_SIZE) | RWU | ACCESSED);
	*b.cpu = ready;
	b.cpu->rip = REGION + 0x200;
	bench_run_tc(&b);
	assert_int_equal((uint32_t)b.cpu->gpr[R_EBX], REGION + RETURN);
	map(&b, 1, REGION, ANOTHER);
	mmu_invlpg(b.mmu, gva(REGION));
	run(&b, 0, AT_CODE, 9, 0);
	bench_close(&b);
}

static void assert_entries_live(struct tc *tc)
{
	for (unsigned n = 0; n < IBTC_TABLES; n++) {
		for (unsigned i = 0; tc->ibtc[n].valid && i < IBTC_SIZE; i++) {
			uintptr_t entry = tc->ibtc[n].slot[i];
			const struct ccf *c = ccf_of(tc, cache_owner(tc, entry));

			if (entry == (uintptr_t)tc->x.stub_miss)
				continue;
			assert_int_equal(c->state, CCF_LIVE);
			assert_int_equal(c->lin & 0xffff, i);
		}
	}
}

/* What stands where a thunk was is translated into the room of the page's units while these move. */
static void test_evicted(void **state)
{
	enum { RETURN = 0x205 };
	/* call the next page's 0x100; hlt, or mov ebx, 9; hlt */
	static const uint8_t caller[] = {0xe8, LE32(THUNK - RETURN), 0xf4}, other[] = {0xbb, LE32(9), 0xf4}, next[] = {0xbb, LE32(8), 0xf4};
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	map(&b, 0, REGION + PAGE_SIZE, FOR_EBX);
	bench_put(&b, CALLER + 0x300, next, sizeof(next));
	bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
	run(&b, 0, REGION + 0x200, REGION + RETURN, 0);
	/* revived, it stands before the other in the page's list, but not in the cache */
	bench_put(&b, CALLER + 0x200, other, sizeof(other));
	run(&b, 0, REGION + 0x300, 8, 0);
	bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
	run(&b, 0, REGION + 0x200, REGION + RETURN, 0);
	assert_true(tc_statistics(b.tc)->revivals > 0);
	/* as if the rest of the cache had been filled since */
	b.tc->segment = TC_SEGMENTS - 1;
	b.tc->fill = b.tc->top = b.tc->size - CCF_ALIGN;
	map(&b, 0, REGION, 0);
	map(&b, 0, REGION + 5 * PAGE_SIZE, CALLER);
	map(&b, 0, REGION + 6 * PAGE_SIZE, NO_THUNK);
	run(&b, 0, REGION + 5 * PAGE_SIZE + 0x200, 7, 0);
	assert_true(tc_statistics(b.tc)->evictions > 0);
	assert_entries_live(b.tc);
	bench_close(&b);
}

/* Who calls it is itself called from the same page, in a loop and by a jump. */
static void test_chained(void **state)
{
	enum { FUNCTION = 0x300, RETURN = FUNCTION + 6 };
	/* mov ecx, 50; 1: call FUNCTION; dec ecx; jnz 1; jmp FUNCTION - 1 */
	static const uint8_t caller[] = {0xb9, LE32(50), 0xe8, LE32(FUNCTION - 0x20a), 0x49, 0x75, 0xf8, 0xe9, LE32(FUNCTION - 1 - 0x212)};
	/* hlt; FUNCTION: nop; call the next page's 0x100; ret */
	static const uint8_t function[] = {0xf4, 0x90, 0xe8, LE32(THUNK - RETURN), 0xc3};
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
	bench_put(&b, CALLER + FUNCTION - 1, function, sizeof(function));
	for (unsigned i = 0; i < 4; i++) {
		map(&b, 0, REGION + PAGE_SIZE, FOR_EBX);
		run(&b, 0, REGION + 0x200, REGION + RETURN, 0);
		map(&b, 0, REGION + PAGE_SIZE, NO_THUNK);
		run(&b, 0, REGION + 0x200, 7, 0);
	}
	bench_close(&b);
}

/* Between a page fault before the call and its return the function's page is mapped elsewhere. */
static void test_resumed(void **state)
{
	enum { PAGE = REGION + 0x20000, LOAD = 0x205, RETURN = 0x20c };
	/* mov ecx, PAGE; mov eax, [ecx]; call the next page's 0x100; hlt */
	static const uint8_t caller[] = {0xb9, LE32(PAGE), 0x8b, 0x01, 0xe8, LE32(THUNK - RETURN), 0xf4};
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
	for (unsigned i = 0; i < 6; i++) {
		map(&b, 0, REGION + PAGE_SIZE, FOR_EBX);
		map(&b, 0, PAGE, AT_DATA);
		run(&b, 0, REGION + 0x200, REGION + RETURN, 0);
		map(&b, 0, PAGE, 0);
		*b.cpu = ready;
		bench_switch(&b, 0);
		b.cpu->rip = REGION + 0x200;
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), EXC_PF);
		/* as the handler would: the page is there now, back to where it was; and that of the function is another */
		map(&b, 0, PAGE, AT_DATA);
		if (i & 1)
			map(&b, 0, REGION + PAGE_SIZE, i & 2 ? FOR_EDI : NO_THUNK);
		*b.cpu = ready;
		if (i & 1)
			mmu_invlpg(b.mmu, gva(REGION + PAGE_SIZE));
		b.cpu->gpr[R_ECX] = PAGE;
		b.cpu->gpr[R_EBX] = b.cpu->gpr[R_EDI] = 0;
		b.cpu->rip = REGION + LOAD;
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), EXC_GP);
		assert_int_equal((uint32_t)b.cpu->gpr[R_EBX], i & 1 ? (i & 2 ? 0 : 7) : REGION + RETURN);
		assert_int_equal((uint32_t)b.cpu->gpr[R_EDI], (i & 3) == 3 ? REGION + RETURN : 0);
	}
	bench_close(&b);
}

/* One that calls two of them: the other one's page is another's. */
static void test_two(void **state)
{
	enum { RETURN = 0x20a };
	/* call the next page's 0x100; call that of the page behind it; hlt */
	static const uint8_t caller[] = {0xe8, LE32(THUNK - (RETURN - 5)), 0xe8, LE32(THUNK + PAGE_SIZE - RETURN), 0xf4};
	struct bench b;

	for (unsigned other = 1; other < 3; other++) {
		open_paged(&b, TC_LOOKUP_OFF);
		bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
		for (unsigned i = 0; i < 3; i++) {
			map(&b, 0, REGION + PAGE_SIZE, FOR_EBX);
			map(&b, 0, REGION + 2 * PAGE_SIZE, FOR_EDI);
			run(&b, 0, REGION + 0x200, REGION + RETURN - 5, REGION + RETURN);
			map(&b, 0, REGION + other * PAGE_SIZE, NO_THUNK);
			run(&b, 0, REGION + 0x200, 7, other == 1 ? REGION + RETURN : 0);
		}
		bench_close(&b);
	}
}

/* More of them than a branch table notes; then one of the first is none any more. */
static void test_many(void **state)
{
	enum { MANY = IBTC_THUNKS + 20, STEP = 12, PLACE = 0x200 };
	const uint32_t first = REGION + PAGE_SIZE + PLACE + 5, last = first + (MANY - 1) * STEP;
	const uint32_t sum = MANY * first + MANY * (MANY - 1) / 2 * STEP;
	uint8_t calls[PAGE_SIZE];
	unsigned n = 0;
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	map(&b, 0, REGION + PAGE_SIZE, FOR_EBX);
	/* call each caller; then hlt. A caller: call its thunk; add edi, ebx; ret */
	for (unsigned i = 0; i < MANY; i++) {
		uint32_t caller = PAGE_SIZE + PLACE + i * STEP, to = caller - (n + 5);
		uint8_t code[] = {0xe8, LE32(3), 0x01, 0xdf, 0xc3, 0x8b, 0x1c, 0x24, 0xc3};
		uint8_t call[] = {0xe8, LE32(to)};

		bench_put(&b, FOR_EBX + PLACE + i * STEP, code, sizeof(code));
		memcpy(calls + n, call, sizeof(call));
		n += sizeof(call);
	}
	calls[n++] = 0xf4;
	bench_put(&b, CALLER, calls, n);
	for (unsigned i = 0; i < 3; i++)
		run(&b, 0, REGION, last, sum);
	/* xor ebx, ebx; ret */
	bench_put(&b, FOR_EBX + PLACE + STEP + 8, (const uint8_t[]){0x31, 0xdb, 0xc3}, 3);
	run(&b, 0, REGION, last, sum - (first + STEP));
	bench_close(&b);
}

/* One at the very end wraps. */
static void test_end(void **state)
{
	/* call 0xffffffff; hlt */
	static const uint8_t caller[] = {0xe8, LE32(0xffffffffu - (REGION + 5)), 0xf4};
	uint32_t ebx[2];
	struct bench b;

	open_paged(&b, TC_LOOKUP_OFF);
	bench_put32(&b, DIRECTORY + 1023 * 4, IDENTITY | RWU);
	bench_put32(&b, IDENTITY + 1023 * 4, FOR_EBX | RWU);
	for (unsigned interp = 0; interp < 2; interp++) {
		/* mov ebx, [esp]; ret, of which the first byte stands at the end */
		bench_put(&b, FOR_EBX + PAGE_MASK, (const uint8_t[]){0x8b}, 1);
		bench_put(&b, 0, (const uint8_t[]){0x1c, 0x24, 0xc3}, 3);
		bench_put(&b, CALLER, caller, sizeof(caller));
		*b.cpu = ready;
		bench_switch(&b, 0);
		b.cpu->rip = REGION;
		b.cpu->gpr[R_EBX] = 5;
		if (interp)
			assert_true(bench_run_interp(&b, 100));
		else
			bench_run_tc(&b);
		ebx[interp] = (uint32_t)b.cpu->gpr[R_EBX];
	}
	assert_int_equal(ebx[0], ebx[1]);
	bench_close(&b);
}

/* A breakpoint in it is come by. */
static void test_breakpoint(void **state)
{
	enum { RETURN = 0x205 };
	/* call the next page's 0x100; hlt */
	static const uint8_t caller[] = {0xe8, LE32(THUNK - RETURN), 0xf4};
	static const uint32_t at[] = {REGION + THUNK, REGION + THUNK + 3};
	struct bench b;

	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		open_paged(&b, TC_LOOKUP_OFF);
		bench_put(&b, CALLER + 0x200, caller, sizeof(caller));
		map(&b, 0, REGION + PAGE_SIZE, FOR_EBX);
		run(&b, 0, REGION + 0x200, REGION + RETURN, 0);
		assert_true(in_place(&b, REGION + 0x200));
		*b.cpu = ready;
		bench_switch(&b, 0);
		b.cpu->rip = REGION + 0x200;
		assert_true(tc_set_breakpoints(b.tc, &at[i], 1));
		assert_int_equal(tc_run(b.tc), TC_EXIT_DEBUG);
		assert_int_equal(b.cpu->rip, at[i]);
		assert_int_equal((uint32_t)b.cpu->gpr[R_ESP], STACK - 4);
		bench_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),  cmocka_unit_test(test_written),     cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_shared),	   cmocka_unit_test(test_absent),      cmocka_unit_test(test_absent_idle),
		cmocka_unit_test(test_brought),	   cmocka_unit_test(test_untracked),   cmocka_unit_test(test_evicted),
		cmocka_unit_test(test_chained),	   cmocka_unit_test(test_resumed),     cmocka_unit_test(test_two),
		cmocka_unit_test(test_many),	   cmocka_unit_test(test_end),	       cmocka_unit_test(test_breakpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
