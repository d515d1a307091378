/* Code that runs at another linear address: its translations are moved, when nobody uses the old one, and come out as new ones. */
#include "bench.h"

#include "translator/fault.h"
#include "translator/move.h"

#include <string.h>

/*
 * Position-independent, two pages: loops, calls, an indirect call, data, an instruction for the interpreter, one that spans the
 * pages. ESI: where it found itself; EAX: what it counted. Ends by HLT, which user code may not.
 */
__asm__(".section .rodata\n"
	".code32\n"
	"code:\n"
	"	call	1f\n"
	"1:	popl	%esi\n"
	"	xorl	%eax, %eax\n"
	"	movl	$20, %ecx\n"
	"2:	call	4f\n"
	"	decl	%ecx\n"
	"	jnz	2b\n"
	"	leal	5f - 1b(%esi), %edx\n"
	"	call	*%edx\n"
	"adds:	addl	%eax, 0x20000\n"
	"	testl	%eax, %eax\n"
	"	jz	6f\n"
	"	cpuid\n"
	"	movl	0x20000, %eax\n"
	"	jmp	6f\n"
	"4:	incl	%eax\n"
	"	ret\n"
	"5:	addl	$100, %eax\n"
	"	push	$7\n"
	"	popl	%edi\n"
	"	ret\n"
	"	.org	code + 4090, 0x90\n"
	"6:	jmp	7f\n"
	"	.org	code + 4094, 0x90\n"
	"7:	addl	$1000, %eax\n"
	"	call	8f\n"
	"	hlt\n"
	"8:	incl	%eax\n"
	"	ret\n"
	"code_end:\n"
	".code64\n"
	".text\n");
extern const uint8_t code[], adds[], code_end[];

enum {
	FRAME = AT_FAR,
	COUNTED = 20 + 100 + 1000 + 1,
};

/* The processor before it runs the program: switching paging off between runs would empty every address space. */
static struct cpu ready;

static void open_bench(struct bench *b, enum tc_lookup lookup)
{
	static const struct bench_options small = {.tc_size = 4 << 20};

	bench_open(b, &small);
	b->tc->config.lookup = lookup;
	bench_put(b, FRAME, code, (unsigned)(code_end - code));
	bench_paging(b);
	ready = *b->cpu;
}

/* The two frames of code at `lin`, or nothing there any more. */
static void map(struct bench *b, unsigned space, uint32_t lin, bool present)
{
	for (unsigned i = 0; i < 2; i++)
		bench_put32(b, TABLE + space * PAGE_SIZE + ((lin - REGION) >> PAGE_SHIFT) * 4 + i * 4,
			    present ? (FRAME + i * PAGE_SIZE) | RWU : 0);
}

static void run_at(struct bench *b, unsigned space, uint32_t lin)
{
	*b->cpu = ready;
	bench_switch(b, space);
	bench_put32(b, AT_DATA, 0);
	b->cpu->rip = lin;
	bench_run_tc(b);
	assert_int_equal(bench_vector(b), EXC_GP);
	assert_int_equal((uint32_t)b->cpu->gpr[R_ESI], lin + 5);
	assert_int_equal((uint32_t)b->cpu->gpr[R_EAX], COUNTED);
	assert_int_equal((uint32_t)b->cpu->gpr[R_EDI], 7);
}

/* A program that ends and is begun again elsewhere. */
static void end_at(struct bench *b, unsigned space, uint32_t lin)
{
	map(b, space, lin, false);
	bench_switch(b, space);
}

static void compare_all(struct tc *tc)
{
	char err[200];

	for (ccf_id id = 1; id < tc->ccf_top; id++)
		if (ccf_of(tc, id)->state == CCF_LIVE && ccf_of(tc, id)->mode & MODE_USER &&
		    !(ccf_of(tc, id)->flags & CCF_CROSSING) && !translate_same(tc, id, err, sizeof(err)))
			fail_msg("CCF at %#x: %s", ccf_of(tc, id)->lin, err);
}

/* What moves is offered to the branch table where it is wanted, but for what spans two pages of which the second is not known yet. */
static void all_offered(struct tc *tc, uint32_t lin)
{
	for (ccf_id id = 1; id < tc->ccf_top; id++) {
		const struct ccf *c = ccf_of(tc, id);

		if (c->state == CCF_LIVE && c->mode & MODE_USER && c->lin - lin < PAGE_SIZE && !(c->flags & CCF_CROSSING))
			assert_int_not_equal(c->tables, 0);
	}
}

static void moves(enum tc_lookup lookup)
{
	const struct tc_stats *s;
	uint64_t translations;
	struct bench b;

	open_bench(&b, lookup);
	s = tc_statistics(b.tc);
	for (unsigned round = 0; round < 24; round++) {
		uint32_t lin = REGION + round * 0x7000;

		map(&b, round & 1, lin, true);
		run_at(&b, round & 1, lin);
		compare_all(b.tc);
		if (round == 0) {
			translations = s->translations;
			assert_int_equal(s->relocations, 0);
		} else {
			all_offered(b.tc, lin);
		}
		assert_int_equal(s->translations, translations);
		end_at(&b, round & 1, lin);
	}
	assert_in_range(s->relocations, 23 * 10, 23 * 30);
	bench_close(&b);
}

static void test_window(void **state)
{
	moves(TC_LOOKUP_OFF);
}

static void test_lookup(void **state)
{
	moves(TC_LOOKUP_ON);
}

/* What runs in two address spaces at once is there twice. */
static void test_in_use(void **state)
{
	const struct tc_stats *s;
	uint64_t translations = 0;
	struct bench b;

	open_bench(&b, TC_LOOKUP_OFF);
	s = tc_statistics(b.tc);
	map(&b, 0, REGION + 0x1000, true);
	map(&b, 1, REGION + 0x9000, true);
	for (unsigned round = 0; round < 6; round++) {
		run_at(&b, 0, REGION + 0x1000);
		run_at(&b, 1, REGION + 0x9000);
		if (round)
			assert_int_equal(s->translations, translations);
		translations = s->translations;
	}
	assert_int_equal(s->relocations, 0);
	/* the first ends: a third place gets its translations, and the second keeps its own */
	end_at(&b, 0, REGION + 0x1000);
	map(&b, 0, REGION + 0x20000, true);
	run_at(&b, 0, REGION + 0x20000);
	run_at(&b, 1, REGION + 0x9000);
	assert_true(s->relocations > 0);
	assert_int_equal(s->translations, translations);
	compare_all(b.tc);
	bench_close(&b);
}

/* The translation that has an instruction of user code. */
static ccf_id holder(struct tc *tc, uint32_t lin)
{
	for (ccf_id id = 1; id < tc->ccf_top; id++) {
		const struct ccf *c = ccf_of(tc, id);

		if (c->state == CCF_LIVE && c->mode & MODE_USER && lin - c->lin < c->guest_len)
			return id;
	}
	fail();
	return 0;
}

/* What was learnt of an instruction is known wherever its program runs next. */
static void test_forms(void **state)
{
	enum { LOOP = 13 }; /* the call in the loop */
	uint64_t translations = 0;
	const struct tc_stats *s;
	struct bench b;

	open_bench(&b, TC_LOOKUP_OFF);
	s = tc_statistics(b.tc);
	for (unsigned round = 0; round < 6; round++) {
		uint32_t at = REGION + 0x1000 + round * 0x4000;

		map(&b, 0, at, true);
		run_at(&b, 0, at);
		compare_all(b.tc);
		assert_int_equal(hint_form(b.tc, FRAME + LOOP), round > 2 ? FORM_CALLOUT : FORM_WINDOW);
		if (round == 2) {
			assert_int_equal(hint_place_in(ccf_of(b.tc, holder(b.tc, at + LOOP)), at + LOOP), FRAME + LOOP);
			hint_set(b.tc, FRAME + LOOP, at + LOOP, FORM_CALLOUT, CAUSE_DEVICE);
			smc_discard_at(b.tc, FRAME + LOOP);
		}
		if (round == 3)
			assert_true(s->translations > translations);
		else if (round)
			assert_int_equal(s->translations, translations);
		translations = s->translations;
		end_at(&b, 0, at);
	}
	assert_true(s->relocations > 0);
	bench_close(&b);
}

static bool looks_up(struct bench *b, uint32_t lin)
{
	const struct ccf *c = ccf_of(b->tc, holder(b->tc, lin));
	static const uint8_t compare[] = {0xc4, 0x42, 0x1b, 0xf7}; /* SHRX of the page's number */

	return memmem(tc_rx(b->tc, c->host), c->host_len, compare, sizeof(compare));
}

/* What was learnt from page faults ends when ticks find the code running and it has not faulted since. */
static void test_learnt_from_faults(void **state)
{
	const uint32_t offset = (uint32_t)(adds - code), place = FRAME + offset, at = REGION + offset;
	struct bench b;

	open_bench(&b, TC_LOOKUP_OFF);
	map(&b, 0, REGION, true);
	run_at(&b, 0, REGION);
	assert_false(looks_up(&b, at));
	hint_set(b.tc, place, at, FORM_LOOKUP, CAUSE_PAGE_FAULTS);
	smc_discard_at(b.tc, place);
	run_at(&b, 0, REGION);
	assert_true(looks_up(&b, at));
	for (unsigned tick = 0; tick < 10; tick++) {
		b.tc->sampled = holder(b.tc, at);
		fault_sampled(b.tc);
		assert_int_equal(b.tc->sampled, 0);
		hint_faulted(b.tc, place);
	}
	for (unsigned tick = 0; tick < 2; tick++) {
		assert_int_equal(hint_form(b.tc, place), FORM_LOOKUP);
		b.tc->sampled = holder(b.tc, at);
		fault_sampled(b.tc);
	}
	assert_int_equal(hint_form(b.tc, place), FORM_WINDOW);
	run_at(&b, 0, REGION);
	assert_false(looks_up(&b, at));
	compare_all(b.tc);
	bench_close(&b);
}

/* Each time it begins a page further on: where one of its pages was, the other is now. */
static void test_overlap(void **state)
{
	struct bench b;
	uint64_t translations = 0;

	open_bench(&b, TC_LOOKUP_OFF);
	for (unsigned round = 0; round < 10; round++) {
		uint32_t lin = REGION + round * PAGE_SIZE;

		map(&b, 0, lin, true);
		run_at(&b, 0, lin);
		compare_all(b.tc);
		if (!round)
			translations = tc_statistics(b.tc)->translations;
		assert_int_equal(tc_statistics(b.tc)->translations, translations);
		end_at(&b, 0, lin);
	}
	bench_close(&b);
}

static void run_part(struct bench *b, unsigned space, uint32_t lin, uint32_t result)
{
	*b->cpu = ready;
	bench_switch(b, space);
	b->cpu->rip = lin;
	bench_run_tc(b);
	assert_int_equal(bench_vector(b), EXC_GP);
	assert_int_equal((uint32_t)b->cpu->gpr[R_EAX], result);
}

/* Two programs that ran at the same time left different parts of a page at two addresses: a third one gets both. */
static void test_two_sources(void **state)
{
	enum { ONE = REGION + 0x3000, OTHER = REGION + 0x5000, BOTH = REGION + 0x9000 };
	uint64_t translations;
	struct bench b;

	open_bench(&b, TC_LOOKUP_OFF);
	for (uint8_t i = 1; i < 3; i++) /* mov eax, i; hlt */
		bench_put(&b, FRAME + i * 0x100, (const uint8_t[]){0xb8, LE32(i), 0xf4}, 6);
	map(&b, 0, ONE, true);
	map(&b, 1, OTHER, true);
	run_part(&b, 0, ONE + 0x100, 1);
	run_part(&b, 1, OTHER + 0x200, 2);
	run_part(&b, 0, ONE + 0x100, 1);
	end_at(&b, 0, ONE);
	end_at(&b, 1, OTHER);
	translations = tc_statistics(b.tc)->translations;
	map(&b, 0, BOTH, true);
	for (unsigned i = 0; i < 2; i++) {
		run_part(&b, 0, BOTH + 0x100, 1);
		run_part(&b, 0, BOTH + 0x200, 2);
	}
	assert_int_equal(tc_statistics(b.tc)->translations, translations);
	compare_all(b.tc);
	bench_close(&b);
}

/* A unit that checks itself is moved when its source has changed: it will find that, and comparing it with a new one proves nothing. */
static void test_move_changed(void **state)
{
	enum { SPOILING = 50 };
	/* call 0x20; hlt, and there mov eax, 1; ret, or the like */
	static const uint8_t caller[] = {0xe8, LE32(0x1b), 0xf4}, callee[] = {0xb8, LE32(1), 0xc3};
	static const uint8_t changed[] = {0x31, 0xc0, 0x40, 0x90, 0x90};
	struct bench b;

	open_bench(&b, TC_LOOKUP_OFF);
	bench_put(&b, FRAME, caller, sizeof(caller));
	bench_put(&b, FRAME + 0x20, callee, sizeof(callee));
	for (unsigned i = 0; i <= SPOILING; i++) {
		uint32_t lin = i < SPOILING ? REGION : REGION + 0x4000;

		if (i == SPOILING) {
			map(&b, 0, REGION, false);
			bench_put(&b, FRAME + 0x20, changed, sizeof(changed));
		}
		map(&b, 0, lin, true);
		*b.cpu = ready;
		bench_switch(&b, 0);
		b.cpu->rip = lin;
		bench_run_tc(&b);
		assert_int_equal((uint32_t)b.cpu->gpr[R_EAX], 1);
		bench_put32(&b, FRAME + 0x800, i); /* data beside it */
	}
	assert_true(tc_statistics(b.tc)->relocations > 0);
	for (ccf_id id = 1; id < b.tc->ccf_top; id++)
		assert_false(ccf_of(b.tc, id)->flags & CCF_STALE); /* as one that had been moved wrongly */
	bench_close(&b);
}

/* An instruction that spans two pages that are one frame: both its parts are watched. */
static void test_same_frame(void **state)
{
	static const uint8_t insn[] = {0xb8, LE32(0x12345678), 0xf4}; /* mov eax, ...; hlt */
	struct bench b;

	open_bench(&b, TC_LOOKUP_OFF);
	bench_put32(&b, TABLE, FRAME | RWU);
	bench_put32(&b, TABLE + 4, FRAME | RWU);
	bench_put(&b, FRAME + 0xffe, insn, 2);
	bench_put(&b, FRAME, insn + 2, sizeof(insn) - 2);
	for (unsigned i = 0; i < 3; i++) {
		*b.cpu = ready;
		bench_switch(&b, 0);
		b.cpu->rip = REGION + 0xffe;
		bench_run_tc(&b);
		assert_int_equal((uint32_t)b.cpu->gpr[R_EAX], 0x12345678 + (i << 24));
		bench_put(&b, FRAME + 2, &(uint8_t){(uint8_t)(0x13 + i)}, 1);
	}
	bench_close(&b);
}

/* Back from a page fault, an instruction goes on in its unit, wherever that is by then; no unit begins there. */
static void test_resume(void **state)
{
	enum { PAGE = REGION + 0x20000, STORE = 0x106 };
	/* mov ecx, PAGE; inc eax; mov [ecx], eax; inc eax; hlt */
	static const uint8_t store[] = {0xb9, LE32(PAGE), 0x40, 0x89, 0x01, 0x40, 0xf4};
	struct cpu at_fault;
	struct bench b;

	open_bench(&b, TC_LOOKUP_OFF);
	bench_put(&b, FRAME + 0x100, store, sizeof(store));
	map(&b, 0, REGION, true);
	for (unsigned i = 0; i < 20; i++) {
		if (i == 10) { /* by look-up from now on: its faults are found without a signal */
			hint_set(b.tc, FRAME + STORE, REGION + STORE, FORM_LOOKUP, CAUSE_PAGE_FAULTS);
			smc_discard_at(b.tc, FRAME + STORE);
		}
		*b.cpu = ready;
		bench_put32(&b, TABLE + ((PAGE - REGION) >> PAGE_SHIFT) * 4, 0);
		bench_switch(&b, 0);
		b.cpu->rip = REGION + 0x100;
		b.cpu->gpr[R_EAX] = i;
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), EXC_PF);
		assert_int_equal(b.cpu->cr2, PAGE);
		/* as its handler would: the page is there now, back to where it was */
		bench_put32(&b, TABLE + ((PAGE - REGION) >> PAGE_SHIFT) * 4, AT_DATA | RWU | 0x60);
		at_fault = ready;
		at_fault.cr2 = b.cpu->cr2;
		at_fault.gpr[R_EAX] = i + 1;
		at_fault.gpr[R_ECX] = PAGE;
		at_fault.rip = REGION + STORE;
		*b.cpu = at_fault;
		bench_run_tc(&b);
		assert_int_equal(bench_vector(&b), EXC_GP);
		assert_int_equal((uint32_t)b.cpu->gpr[R_EAX], i + 2);
		assert_int_equal(bench_get32(&b, AT_DATA), i + 1);
		for (ccf_id id = 1; id < b.tc->ccf_top; id++)
			assert_int_not_equal(ccf_of(b.tc, id)->lin, REGION + STORE);
	}
	assert_int_equal(tc_statistics(b.tc)->lean_faults, 10);
	bench_close(&b);
}

static void test_breakpoint(void **state)
{
	const uint32_t nowhere = 0x1234;
	struct bench b;

	open_bench(&b, TC_LOOKUP_OFF);
	map(&b, 0, REGION, true);
	run_at(&b, 0, REGION);
	end_at(&b, 0, REGION);
	assert_true(tc_set_breakpoints(b.tc, &nowhere, 1));
	map(&b, 0, REGION + 0x4000, true);
	run_at(&b, 0, REGION + 0x4000);
	assert_int_equal(tc_statistics(b.tc)->relocations, 0);
	bench_close(&b);
}

/* The comparison finds a field that was not moved. */
static void test_compare(void **state)
{
	struct bench b;
	unsigned tried = 0;

	open_bench(&b, TC_LOOKUP_ON);
	map(&b, 0, REGION, true);
	run_at(&b, 0, REGION);
	for (ccf_id id = 1; id < b.tc->ccf_top; id++) {
		const struct ccf *c = ccf_of(b.tc, id);
		const uint16_t *field = (const void *)tc_rx(b.tc, c->map + c->insns * 4u);
		char err[200];

		if (c->state != CCF_LIVE || !(c->mode & MODE_USER) || c->flags & CCF_CROSSING)
			continue;
		assert_true(c->fields > 0);
		for (unsigned i = 0; i < c->fields; i++, tried++) {
			uint8_t *p = b.tc->rw + c->host - c->entry + (field[i] & MOVE_OFFSET_MASK);

			p[1] ^= 0x10;
			assert_false(translate_same(b.tc, id, err, sizeof(err)));
			p[1] ^= 0x10;
			assert_true(translate_same(b.tc, id, err, sizeof(err)));
		}
	}
	assert_true(tried > 20);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window), cmocka_unit_test(test_lookup),	  cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_forms),  cmocka_unit_test(test_breakpoint), cmocka_unit_test(test_compare),
		cmocka_unit_test(test_learnt_from_faults), cmocka_unit_test(test_overlap), cmocka_unit_test(test_two_sources), cmocka_unit_test(test_move_changed), cmocka_unit_test(test_same_frame), cmocka_unit_test(test_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
