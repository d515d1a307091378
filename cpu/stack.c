/*
 * The stack, at the width that SS.B gives it.
 *
 * Pushes write memory at once but move only the cursor: a sequence that faults
 * half-way leaves ESP alone, as processors do.
 */
#include "cpu/internal.h"

struct stack_cursor stack_begin(const struct cpu *cpu)
{
	return (struct stack_cursor){
		.esp = (uint32_t)cpu->gpr[R_ESP],
		.mask = cpu_stack32(cpu) ? 0xffffffff : 0xffff,
	};
}

static uint32_t moved(const struct stack_cursor *c, uint32_t by)
{
	return (c->esp & ~c->mask) | ((c->esp + by) & c->mask);
}

enum outcome stack_push(struct cpu *cpu, struct stack_cursor *c, unsigned size, uint32_t value)
{
	uint32_t esp = moved(c, -size);
	enum outcome out = mem_write(cpu, S_SS, esp & c->mask, &value, size);

	if (out == OUT_OK)
		c->esp = esp;
	return out;
}

enum outcome stack_pop(struct cpu *cpu, struct stack_cursor *c, unsigned size, uint32_t *value)
{
	uint32_t v = 0;
	enum outcome out = mem_read(cpu, S_SS, c->esp & c->mask, &v, size);

	if (out != OUT_OK)
		return out;
	*value = v;
	c->esp = moved(c, size);
	return OUT_OK;
}

void stack_commit(struct cpu *cpu, const struct stack_cursor *c)
{
	cpu->gpr[R_ESP] = c->esp;
}
