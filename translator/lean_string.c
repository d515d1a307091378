/*
 * MOVS and STOS in look-up form: kernels copy to and from user pages with them. Whole pages at a time through the software TLB; what
 * is not in it, the interpreter does from the registers as they are then, for a repeated string instruction may
 * stop after any element.
 */
#include "translator/lean.h"

enum { CHUNK_LIMIT = 1 << 20 }; /* bytes before interrupts are looked at */

struct string {
	bool store; /* STOS */
	unsigned size;
	bool repeat, down, user;
};

/* How many elements lie in the page from `lin` on; 0: not even the first one. */
static uint32_t fit(uint32_t lin, unsigned size)
{
	return (PAGE_SIZE - (lin & PAGE_MASK)) >> size / 2; /* 1, 2 or 4 */
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void copy(const struct string *s, uint8_t *to, const uint8_t *from, uint32_t value, uint32_t n)
{
	uint64_t count = n;

	/* element by element, as the guest's processor would: the operands may overlap */
	if (s->store && s->size == 1)
		__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
	else if (s->store && s->size == 2)
		__asm__ volatile("rep stosw" : "+D"(to), "+c"(count) : "a"(value) : "memory");
	else if (s->store)
		__asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(value) : "memory");
	else if (s->size == 1)
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	else if (s->size == 2)
		__asm__ volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	else
		__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

/* As many elements as are within reach; 0: none. */
static uint32_t run(struct tc *tc, const struct string *s, uint32_t want)
{
	struct cpu *c = tc->cpu;
	uint32_t edi = (uint32_t)c->gpr[R_EDI], esi = (uint32_t)c->gpr[R_ESI], n;
	uint8_t *to, *from = NULL;
	int32_t step;

	n = smaller(want, s->store ? fit(edi, s->size) : smaller(fit(edi, s->size), fit(esi, s->size)));
	if (s->down)
		n = smaller(n, 1);
	if (n == 0 || !(to = lean_at(tc, s->user, edi, n * s->size, true)) ||
	    (!s->store && !(from = lean_at(tc, s->user, esi, n * s->size, false))))
		return 0;
	copy(s, to, from, (uint32_t)c->gpr[R_EAX], n);
	step = (int32_t)(n * s->size) * (s->down ? -1 : 1);
	c->gpr[R_EDI] = edi + (uint32_t)step;
	if (!s->store)
		c->gpr[R_ESI] = esi + (uint32_t)step;
	return n;
}

/* What keeps the next element from being moved, when that is a page fault of the guest's. */
static uint64_t fault(struct tc *tc, const struct string *s)
{
	const struct cpu *c = tc->cpu;
	uint32_t edi = (uint32_t)c->gpr[R_EDI], esi = (uint32_t)c->gpr[R_ESI];
	bool write = s->store || (fit(esi, s->size) && lean_at(tc, s->user, esi, s->size, false));

	return fit(write ? edi : esi, s->size) ? lean_access_fault(tc, write, write ? edi : esi, tc->x.target - 1) : LEAN_NO;
}

static bool window_would_do(struct tc *tc, const struct string *s)
{
	const struct cpu *c = tc->cpu;
	gpa_t frame;

	return mmu_window_frame(tc->mmu, false, gva((uint32_t)c->gpr[R_EDI]), true, &frame) &&
	       (s->store || mmu_window_frame(tc->mmu, false, gva((uint32_t)c->gpr[R_ESI]), false, &frame));
}

/* An instruction that has this form because its window kept failing it: is that so still? User code tells when it faults (hint_faulted). */
static bool form_holds(struct tc *tc, const struct string *s)
{
	uint32_t rip = (uint32_t)tc->cpu->rip, place;
	gpa_t at = gpa(0);

	if ((tc->mode & MODE_LOOKUP) || (s->user && !mmu_lean_code(tc->mmu, true, gva(rip), &at)))
		return true;
	place = hint_place(tc->mode, rip, at.v);
	hint_served(tc, place, s->user || window_would_do(tc, s));
	return !hint_over(tc, place);
}

uint64_t lean_string(struct tc *tc, unsigned op)
{
	struct cpu *c = tc->cpu;
	const struct string s = {
		.store = LEAN_OPCODE(op) >= 0xaa,
		.size = LEAN_SIZE(op),
		.repeat = LEAN_REPEAT(op),
		.down = c->eflags & FL_DF,
		.user = c->cpl == 3,
	};
	uint32_t left = s.repeat ? (uint32_t)c->gpr[R_ECX] : 1, done, total = 0;

	if (left && !form_holds(tc, &s))
		return LEAN_NO; /* the callout sees to it */
	while (left && total < CHUNK_LIMIT && (done = run(tc, &s, left))) {
		left -= done;
		total += done * s.size;
		if (s.repeat)
			c->gpr[R_ECX] = left;
	}
	if (!left)
		return lean_same(tc);
	return total < CHUNK_LIMIT ? fault(tc, &s) : LEAN_NO;
}
