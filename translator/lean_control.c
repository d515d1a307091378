/*
 * Control registers, the TLB and ports on the lean path. Ring 0 and, for ports, CPL <= IOPL: the translator asks for no other.
 */
#include "translator/lean.h"

/* TS and its like change no more than the mode; the interpreter does what concerns protection, paging and caching. */
static bool load_cr0(struct cpu *c, uint32_t value)
{
	const uint32_t easy = CR0_MP | CR0_EM | CR0_TS | CR0_NE;
	const uint32_t known = easy | CR0_PE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;

	value = (value & known) | CR0_ET;
	if ((value ^ c->cr0) & ~easy)
		return false;
	c->cr0 = value;
	return true;
}

static bool load_cr(struct cpu *c, unsigned cr, uint32_t value)
{
	switch (cr) {
	case 0:
		return load_cr0(c, value);
	case 2:
		c->cr2 = value;
		return true;
	case 3:
		return c->ops->lean_load_cr3 && c->ops->lean_load_cr3(c, value);
	default:
		return false;
	}
}

uint64_t lean_write_cr(struct tc *tc, unsigned op)
{
	uint32_t value = (uint32_t)tc->cpu->gpr[LEAN_REG(op)];

	if (!load_cr(tc->cpu, LEAN_CR(op), value))
		return LEAN_NO;
	return LEAN_CR(op) ? lean_same(tc) : lean_next(tc);
}

uint64_t lean_clts(struct tc *tc, unsigned op)
{
	tc->cpu->cr0 &= ~(uint32_t)CR0_TS;
	return lean_next(tc);
}

uint64_t lean_invlpg(struct tc *tc, unsigned op)
{
	struct cpu *c = tc->cpu;

	return c->ops->lean_invlpg && c->ops->lean_invlpg(c, gva((uint32_t)tc->x.tmp)) ? lean_same(tc) : LEAN_NO;
}

/* ---------------------------------- ports ---------------------------------- */

static uint16_t port_of(const struct cpu *c, unsigned op)
{
	return (uint16_t)(LEAN_PORT_DX(op) ? c->gpr[R_EDX] : LEAN_PORT(op));
}

static uint32_t size_mask(unsigned size)
{
	return size == 4 ? 0xffffffff : (1u << 8 * size) - 1;
}

uint64_t lean_in(struct tc *tc, unsigned op)
{
	struct cpu *c = tc->cpu;
	uint32_t mask = size_mask(LEAN_SIZE(op)), value;

	if (!c->ops->lean_in || !c->ops->lean_in(c, port_of(c, op), LEAN_SIZE(op), &value))
		return LEAN_NO;
	c->gpr[R_EAX] = ((uint32_t)c->gpr[R_EAX] & ~mask) | (value & mask);
	return lean_same(tc);
}

uint64_t lean_out(struct tc *tc, unsigned op)
{
	struct cpu *c = tc->cpu;
	uint32_t value = (uint32_t)c->gpr[R_EAX] & size_mask(LEAN_SIZE(op));

	if (!c->ops->lean_out || !c->ops->lean_out(c, port_of(c, op), LEAN_SIZE(op), value))
		return LEAN_NO;
	return lean_same(tc);
}
