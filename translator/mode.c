/* The translation mode of the processor's present state. */
#include "translator/internal.h"

bool mode_ring0_gs, mode_ring0_sse;

static bool flat(const struct cpu_segment *s)
{
	return s->base == 0 && s->limit == 0xffffffff;
}

/* Expand-up writable data, present and usable. */
static bool writable_data(const struct cpu_segment *s)
{
	return (s->attr & (SEG_NULL | SEG_P | SEG_S | SEG_CODE | SEG_DOWN | SEG_WRITE)) ==
	       (SEG_P | SEG_S | SEG_WRITE);
}

static uint32_t segment_bits(const struct cpu *c)
{
	uint32_t m = 0;

	if (flat(&c->seg[S_CS]))
		m |= MODE_FLAT_CS;
	if (flat(&c->seg[S_DS]) && writable_data(&c->seg[S_DS]))
		m |= MODE_FLAT_DS;
	if (flat(&c->seg[S_ES]) && writable_data(&c->seg[S_ES]))
		m |= MODE_FLAT_ES;
	if (flat(&c->seg[S_SS]) && writable_data(&c->seg[S_SS]))
		m |= MODE_FLAT_SS;
	if (c->seg[S_FS].limit == 0xffffffff && writable_data(&c->seg[S_FS]))
		m |= MODE_FULL_FS;
	return m | mode_gs(c);
}

static uint32_t privilege_bits(const struct cpu *c)
{
	uint32_t m = cpu_iopl(c) << MODE_IOPL_SHIFT;

	if (c->cpl == 3)
		m |= MODE_USER;
	if (c->cpl == 0)
		m |= MODE_CPL0;
	if (c->cpl <= cpu_iopl(c))
		m |= MODE_CLI_OK;
	if (c->cpl == 0 || !(c->cr4 & CR4_TSD))
		m |= MODE_TSC_OK;
	return m;
}

/* Modes in which each instruction needs looking at. */
static bool interpreted(const struct cpu *c)
{
	return !cpu_protected(c) || cpu_vm86(c) || !cpu_code32(c) || (c->dr[7] & 0xff) ||
	       ((c->cr0 & CR0_AM) && (c->eflags & FL_AC) && c->cpl == 3);
}

uint32_t mode_of(const struct cpu *c)
{
	uint32_t m = MODE_CODE32 | segment_bits(c) | privilege_bits(c);

	if (interpreted(c) || !(m & MODE_FLAT_CS))
		return MODE_INTERPRET | (m & MODE_USER);
	if (cpu_stack32(c))
		m |= MODE_STACK32;
	if (!(c->cr0 & (CR0_EM | CR0_TS)))
		m |= MODE_FPU | mode_sse(c);
	if (c->eflags & FL_NT)
		m |= MODE_NT;
	return m;
}
