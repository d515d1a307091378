/*
 * Stack frames of control transfers: pushed whole or not at all.
 *
 * A gate or far call pushes several words onto a stack that may not be the
 * current one. The usual frame lies in one page and is one write; the rest is
 * probed word by word in the order of the pushes, so that CR2 names the word at
 * which the processor would have stopped.
 */
#include "cpu/transfer.h"

#include <string.h>

struct stack_target stack_current(const struct cpu *cpu)
{
	return (struct stack_target){
		.ss = cpu->seg[S_SS],
		.esp = (uint32_t)cpu->gpr[R_ESP],
		.acc = cpu_acc(cpu),
	};
}

static uint32_t stack_mask(const struct stack_target *t)
{
	return t->ss.attr & SEG_DB ? 0xffffffff : 0xffff;
}

/* Offset of the n-th word pushed. */
static uint32_t word_offset(const struct frame *f, const struct stack_target *t, unsigned n)
{
	return (t->esp - (n + 1) * f->size) & stack_mask(t);
}

static gva_t word_address(const struct frame *f, const struct stack_target *t, unsigned n)
{
	return gva((uint32_t)(t->ss.base + word_offset(f, t, n)));
}

enum outcome frame_check(struct cpu *cpu, const struct frame *f, const struct stack_target *t)
{
	for (unsigned n = 0; n < f->count; n++) {
		if (!segment_fits(&t->ss, word_offset(f, t, n), f->size))
			return cpu_raise_error(cpu, EXC_SS, t->error);
	}
	return OUT_OK;
}

/* The common case: no wrap and one page. OUT_RETRY: not that case, or it faulted. */
static enum outcome push_at_once(struct cpu *cpu, const struct frame *f,
				 const struct stack_target *t)
{
	uint8_t image[FRAME_MAX * 4];
	unsigned bytes = f->count * f->size;
	uint32_t start = word_offset(f, t, f->count - 1);
	gva_t at = word_address(f, t, f->count - 1);

	if ((uint64_t)start + bytes > (uint64_t)stack_mask(t) + 1 ||
	    (at.v & PAGE_MASK) + bytes > PAGE_SIZE)
		return OUT_RETRY;
	for (unsigned n = 0; n < f->count; n++)
		memcpy(image + (f->count - 1 - n) * f->size, &f->word[n], f->size);
	enum outcome o = cpu->ops->write(cpu, at, image, bytes, ACC_WRITE | t->acc);
	return o == OUT_FAULT ? OUT_RETRY : o;
}

static enum outcome push_by_word(struct cpu *cpu, const struct frame *f,
				 const struct stack_target *t)
{
	for (unsigned n = 0; n < f->count; n++) {
		enum outcome o =
			cpu->ops->probe(cpu, word_address(f, t, n), f->size, ACC_WRITE | t->acc);
		if (o != OUT_OK)
			return o;
	}
	for (unsigned n = 0; n < f->count; n++) {
		enum outcome o = cpu->ops->write(cpu, word_address(f, t, n), &f->word[n], f->size,
						 ACC_WRITE | t->acc);
		if (o != OUT_OK)
			return o;
	}
	return OUT_OK;
}

enum outcome frame_push(struct cpu *cpu, const struct frame *f, const struct stack_target *t,
			uint32_t *esp)
{
	enum outcome o = frame_check(cpu, f, t);

	if (o == OUT_OK) {
		o = push_at_once(cpu, f, t);
		if (o == OUT_RETRY)
			o = push_by_word(cpu, f, t);
	}
	if (o == OUT_OK)
		*esp = stack_pointer_merge(&t->ss, t->esp, word_offset(f, t, f->count - 1));
	return o;
}

/*
 * SDM: "Stack Switching" with the TSS formats. The level's ESP and SS lie in the
 * TSS the task register caches, read with supervisor privilege.
 */
enum outcome inner_stack(struct cpu *cpu, unsigned level, struct stack_target *t)
{
	const struct cpu_segment *tr = &cpu->seg[S_TR];
	bool wide = (tr->attr & SEG_TYPE) & 8;
	unsigned size = wide ? 4 : 2;
	uint32_t offset = wide ? 4 + level * 8 : 2 + level * 4;
	uint8_t raw[6] = {0};
	uint16_t sel;
	enum outcome o;

	if ((tr->attr & SEG_NULL) || offset + size + 1 > tr->limit)
		return cpu_raise_error(cpu, EXC_TS, selector_error(tr->sel));
	o = cpu->ops->read(cpu, gva((uint32_t)(tr->base + offset)), raw, size + 2, ACC_READ);
	if (o != OUT_OK)
		return o;
	*t = (struct stack_target){.acc = level == 3 ? ACC_USER : 0};
	memcpy(&t->esp, raw, size);
	memcpy(&sel, raw + size, 2);
	t->error = selector_error(sel);
	return stack_segment_check(cpu, sel, level, EXC_TS, &t->ss);
}
