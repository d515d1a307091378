/*
 * Segmentation: descriptors, loads of data and stack segment registers, and the
 * checks that every memory access makes (SDM: "Protection").
 *
 * Descriptor tables are read and written with implicit supervisor privilege.
 */
#include "cpu/transfer.h"

/* ---- descriptor tables ---- */

/* Linear address of a selector's descriptor, or false when it is beyond its table. */
static bool desc_address(const struct cpu *cpu, uint16_t sel, gva_t *at)
{
	uint32_t offset = sel & ~7u;
	uint64_t base;
	uint32_t limit;

	if (selector_local(sel)) {
		if (cpu->seg[S_LDTR].attr & SEG_NULL)
			return false;
		base = cpu->seg[S_LDTR].base;
		limit = cpu->seg[S_LDTR].limit;
	} else {
		base = cpu->gdtr.base;
		limit = cpu->gdtr.limit;
	}
	if (offset + 7 > limit)
		return false;
	*at = gva((uint32_t)(base + offset));
	return true;
}

enum outcome desc_find(struct cpu *cpu, uint16_t sel, struct descriptor *d, bool *found)
{
	gva_t at;

	*found = desc_address(cpu, sel, &at);
	return *found ? cpu->ops->read(cpu, at, d, sizeof(*d), ACC_READ) : OUT_OK;
}

enum outcome desc_read(struct cpu *cpu, uint16_t sel, unsigned vector, struct descriptor *d)
{
	bool found;
	enum outcome o = desc_find(cpu, sel, d, &found);

	if (o != OUT_OK)
		return o;
	return found ? OUT_OK : cpu_raise_error(cpu, vector, selector_error(sel));
}

/* Only the access rights ever change (accessed, busy), so only the upper half is written. */
enum outcome desc_write_back(struct cpu *cpu, uint16_t sel, const struct descriptor *d)
{
	gva_t at;

	if (!desc_address(cpu, sel, &at))
		return cpu_raise_error(cpu, EXC_GP, selector_error(sel));
	return cpu->ops->write(cpu, gva((uint32_t)(at.v + 4)), &d->hi, sizeof(d->hi), ACC_WRITE);
}

enum outcome desc_mark_accessed(struct cpu *cpu, uint16_t sel, struct descriptor *d)
{
	const uint32_t accessed = SEG_ACCESSED << 8;

	if (d->hi & accessed)
		return OUT_OK;
	d->hi |= accessed;
	return desc_write_back(cpu, sel, d);
}

void desc_to_segment(const struct descriptor *d, uint16_t sel, struct cpu_segment *s)
{
	uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

	s->base = (d->lo >> 16) | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
	s->attr = (uint16_t)(((d->hi >> 8) & 0xff) | ((d->hi >> 20) & 0xf) << 8);
	s->limit = s->attr & SEG_G ? limit << 12 | 0xfff : limit;
	s->sel = sel;
}

/* ---- limits and types ---- */

bool segment_fits(const struct cpu_segment *s, uint32_t off, unsigned len)
{
	uint64_t last = (uint64_t)off + len - 1;

	if (s->attr & SEG_NULL)
		return false;
	if ((s->attr & (SEG_S | SEG_CODE | SEG_DOWN)) == (SEG_S | SEG_DOWN)) {
		uint64_t top = s->attr & SEG_DB ? 0xffffffffu : 0xffff;
		return off > s->limit && last <= top;
	}
	/* A flat segment has no end: the access wraps (SDM: "Limit Checking" leaves it open). */
	return last <= s->limit || s->limit == 0xffffffffu;
}

/* Does the segment's type allow the access? Real and vm86 mode ask for the limit alone. */
static bool type_allows(const struct cpu *cpu, const struct cpu_segment *s, unsigned acc)
{
	if (!cpu_protected(cpu) || cpu_vm86(cpu))
		return true;
	if (acc & (ACC_WRITE | ACC_RMW))
		return (s->attr & (SEG_CODE | SEG_WRITE)) == SEG_WRITE;
	if (acc & ACC_EXEC)
		return true;
	return !(s->attr & SEG_CODE) || (s->attr & SEG_WRITE);
}

enum outcome cpu_linear(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned len, unsigned acc,
			gva_t *linear)
{
	const struct cpu_segment *s = &cpu->seg[seg];

	if (!segment_fits(s, (uint32_t)offset, len) || !type_allows(cpu, s, acc))
		return cpu_raise_error(cpu, seg == S_SS ? EXC_SS : EXC_GP, 0);
	*linear = gva((uint32_t)(s->base + (uint32_t)offset));
	return OUT_OK;
}

enum outcome code_limit_check(struct cpu *cpu, const struct cpu_segment *s, uint32_t eip)
{
	return eip > s->limit ? cpu_raise_error(cpu, EXC_GP, 0) : OUT_OK;
}

/* ---- loads ---- */

void segment_set_null(struct cpu *cpu, unsigned seg, uint16_t sel)
{
	cpu->seg[seg] = (struct cpu_segment){.sel = sel, .attr = SEG_NULL};
}

/*
 * In vm86 mode the hidden part is always the 64 KiB one. In real mode only the
 * base is new and limit and size stay: that is what makes "unreal mode" work.
 */
void cpu_set_real_segment(struct cpu *cpu, unsigned seg, uint16_t selector)
{
	struct cpu_segment *s = &cpu->seg[seg];

	if (cpu_vm86(cpu)) {
		s->attr = SEG_ATTR_VM86;
		s->limit = 0xffff;
	} else if (s->attr & SEG_NULL) {
		s->attr = SEG_ATTR_REAL;
		s->limit = 0xffff;
	} else if (s->attr & SEG_DOWN && !(s->attr & SEG_CODE)) {
		/* An expand-down limit means nothing to the expand-up type it becomes. */
		s->attr = SEG_ATTR_REAL | (s->attr & (SEG_DB | SEG_G));
		s->limit = s->attr & SEG_DB ? 0xffffffff : 0xffff;
	} else {
		s->attr = SEG_ATTR_REAL | (s->attr & (SEG_DB | SEG_G));
	}
	s->sel = selector;
	s->base = (uint32_t)selector << 4;
}

enum outcome stack_segment_check(struct cpu *cpu, uint16_t sel, unsigned cpl, unsigned vector,
				 struct cpu_segment *out)
{
	struct descriptor d;
	enum outcome o;

	if (selector_null(sel))
		return cpu_raise_error(cpu, vector, 0);
	o = desc_read(cpu, sel, vector, &d);
	if (o != OUT_OK)
		return o;
	if (selector_rpl(sel) != cpl || desc_dpl(&d) != cpl || !desc_is_writable_data(&d))
		return cpu_raise_error(cpu, vector, selector_error(sel));
	if (!desc_present(&d))
		return cpu_raise_error(cpu, EXC_SS, selector_error(sel));
	o = desc_mark_accessed(cpu, sel, &d);
	if (o == OUT_OK)
		desc_to_segment(&d, sel, out);
	return o;
}

enum outcome data_segment_check(struct cpu *cpu, uint16_t sel, unsigned cpl, unsigned vector,
				struct cpu_segment *out)
{
	struct descriptor d;
	enum outcome o;

	if (selector_null(sel)) {
		*out = (struct cpu_segment){.sel = sel, .attr = SEG_NULL};
		return OUT_OK;
	}
	o = desc_read(cpu, sel, vector, &d);
	if (o != OUT_OK)
		return o;
	if (desc_is_system(&d) || (desc_is_code(&d) && !(desc_type(&d) & SEG_WRITE)))
		return cpu_raise_error(cpu, vector, selector_error(sel));
	if (!desc_is_conforming(&d) && (selector_rpl(sel) > desc_dpl(&d) || cpl > desc_dpl(&d)))
		return cpu_raise_error(cpu, vector, selector_error(sel));
	if (!desc_present(&d))
		return cpu_raise_error(cpu, EXC_NP, selector_error(sel));
	o = desc_mark_accessed(cpu, sel, &d);
	if (o == OUT_OK)
		desc_to_segment(&d, sel, out);
	return o;
}

enum outcome cpu_load_segment(struct cpu *cpu, unsigned seg, uint16_t selector)
{
	struct cpu_segment s;
	enum outcome o;

	if (!cpu_protected(cpu) || cpu_vm86(cpu)) {
		cpu_set_real_segment(cpu, seg, selector);
		return OUT_OK;
	}
	if (seg == S_SS)
		o = stack_segment_check(cpu, selector, cpu->cpl, EXC_GP, &s);
	else
		o = data_segment_check(cpu, selector, cpu->cpl, EXC_GP, &s);
	if (o == OUT_OK)
		cpu->seg[seg] = s;
	return o;
}
