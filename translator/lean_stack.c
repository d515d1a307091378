/*
 * Pushes in look-up form whose value is not in a general register.
 */
#include "translator/lean.h"

#include <string.h>

static uint64_t push(struct tc *tc, uint32_t value)
{
	struct cpu *c = tc->cpu;
	uint32_t esp = (uint32_t)c->gpr[R_ESP] - 4;
	void *to = lean_at(tc, c->cpl == 3, esp, 4, true);

	if (!to)
		return LEAN_NO;
	memcpy(to, &value, 4);
	c->gpr[R_ESP] = esp;
	return lean_same(tc);
}

/* SDM, PUSHF: VM and RF are pushed as 0. */
uint64_t lean_pushf(struct tc *tc, unsigned op)
{
	return push(tc, tc->cpu->eflags & ~(uint32_t)(FL_VM | FL_RF));
}

uint64_t lean_push_segment(struct tc *tc, unsigned op)
{
	return push(tc, tc->cpu->seg[LEAN_SEG(op)].sel);
}
