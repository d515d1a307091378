/*
 * Through a gate of the IDT into ring 0 on the lean path: INT n of user code, and page faults that a look-up has found. 32-bit
 * interrupt and trap gates to flat segments; everything else is cpu/gate.c's, which is also the reference for the order of things.
 *
 * All is read and checked first; the commit cannot fail.
 */
#include "translator/counts.h"
#include "translator/lean.h"

enum { GATE_INTERRUPT = 0x8e00, GATE_TRAP = 0x8f00, GATE_BITS = 0x9f00, TSS32_BUSY = 0xb };

/* An event on its way: what the handler finds on its stack, and what it runs with. */
struct entry {
	uint32_t eip, eflags, error;
	bool has_error;

	uint32_t handler;
	bool interrupt_gate, inner;
	struct cpu_segment cs, ss;
	uint32_t esp;   /* with the frame pushed */
	uint32_t *frame; /* where that is */
};

/* The gate's handler in ring 0. */
static bool find_handler(const struct tc *tc, unsigned vector, bool soft, struct entry *e)
{
	const struct cpu *c = tc->cpu;
	uint32_t gate[2];
	const void *p;

	if (vector * 8 + 7 > c->idtr.limit ||
	    !(p = lean_at(tc, false, (uint32_t)c->idtr.base + vector * 8, 8, false)))
		return false;
	memcpy(gate, p, 8);
	if (((gate[1] & GATE_BITS) != GATE_INTERRUPT && (gate[1] & GATE_BITS) != GATE_TRAP) ||
	    (soft && (gate[1] >> 13 & 3) < c->cpl) ||
	    !lean_flat_segment(tc, (uint16_t)(gate[0] >> 16), 0, true, &e->cs))
		return false;
	e->cs.sel &= (uint16_t)~3u;
	e->handler = (gate[0] & 0xffff) | (gate[1] & 0xffff0000);
	e->interrupt_gate = (gate[1] & GATE_BITS) == GATE_INTERRUPT;
	return true;
}

static bool ring0_stack(const struct tc *tc, struct entry *e)
{
	const struct cpu_segment *tr = &tc->cpu->seg[S_TR];
	uint32_t stack[2];
	const void *p;

	if ((tr->attr & (SEG_NULL | SEG_S | SEG_TYPE)) != TSS32_BUSY || tr->limit < 11 ||
	    !(p = lean_at(tc, false, (uint32_t)tr->base + 4, 8, false)))
		return false;
	memcpy(stack, p, 8);
	e->esp = stack[0];
	return (stack[1] & 3) == 0 && lean_flat_segment(tc, (uint16_t)stack[1], 0, false, &e->ss);
}

static bool same_stack(const struct cpu *c, struct entry *e)
{
	e->ss = c->seg[S_SS];
	e->esp = (uint32_t)c->gpr[R_ESP];
	return e->ss.base == 0 && e->ss.limit == 0xffffffff &&
	       (e->ss.attr & (SEG_NULL | SEG_DOWN | SEG_DB)) == SEG_DB;
}

/* From user code to the stack that the TSS names, from ring 0 to the stack that is there. */
static bool find_stack(const struct tc *tc, struct entry *e)
{
	const struct cpu *c = tc->cpu;
	unsigned size;

	e->inner = c->cpl == 3;
	if (!e->inner && c->cpl)
		return false;
	if (!(e->inner ? ring0_stack(tc, e) : same_stack(c, e)))
		return false;
	size = (e->inner ? 20 : 12) + (e->has_error ? 4 : 0);
	e->esp -= size;
	e->frame = lean_at(tc, false, e->esp, size, true);
	return e->frame;
}

static void store(uint32_t **to, uint32_t value)
{
	memcpy((*to)++, &value, 4);
}

static uint64_t enter(struct tc *tc, const struct entry *e)
{
	struct cpu *c = tc->cpu;
	uint32_t *to = e->frame;

	if (e->has_error)
		store(&to, e->error);
	store(&to, e->eip);
	store(&to, c->seg[S_CS].sel);
	store(&to, e->eflags);
	if (e->inner) {
		store(&to, (uint32_t)c->gpr[R_ESP]);
		store(&to, c->seg[S_SS].sel);
	}
	c->seg[S_CS] = e->cs;
	c->seg[S_SS] = e->ss;
	c->gpr[R_ESP] = e->esp;
	c->cpl = 0;
	c->rip = e->handler;
	c->eflags &= ~(uint32_t)(FL_TF | FL_NT | FL_RF | FL_VM | (e->interrupt_gate ? FL_IF : 0));
	return lean_privilege(tc);
}

uint64_t lean_int(struct tc *tc, unsigned op)
{
	struct entry e; /* an initializer would clear all of it, which costs as much as the rest */

	e.eip = tc->x.arg;
	e.eflags = lean_eflags(tc->cpu);
	e.has_error = false;
	if (tc->cpu->cpl != 3 || !find_handler(tc, LEAN_VECTOR(op), true, &e) || !find_stack(tc, &e))
		return LEAN_NO;
	return enter(tc, &e);
}

/*
 * The instruction at cpu->rip, translated around `host`, faults at `va`. SDM, "Operations that Invalidate TLBs and
 * Paging-Structure Caches": the fault invalidates what the TLB has for the address.
 */
static uint64_t page_fault(struct tc *tc, uint32_t va, uint32_t error, uint64_t host)
{
	struct cpu *c = tc->cpu;
	uint32_t eip = (uint32_t)c->rip, mode = tc->mode;
	struct entry e;

	e.eip = eip;
	e.eflags = lean_eflags(c) | FL_RF;
	e.has_error = true;
	e.error = error;
	if (!tc->lean || tc->watched || !find_handler(tc, EXC_PF, false, &e) || !find_stack(tc, &e) ||
	    !mmu_lean_invlpg(tc->mmu, gva(va)))
		return LEAN_NO;
	c->cr2 = va;
	tc->stats.exceptions++;
	tc->stats.lean_faults++;
	counts_raised(tc, host, eip);
	history_note(tc->history, HISTORY_FAULT, eip, mode, EXC_PF | (uint64_t)error << 32);
	return enter(tc, &e);
}

uint64_t lean_access_fault(struct tc *tc, bool write, uint32_t va, uint64_t host)
{
	bool user = tc->mode & MODE_USER;
	uint32_t error;
	gpa_t at;

	if (!mmu_lean_faults(tc->mmu, user, write, gva(va), &error))
		return LEAN_NO;
	if (user && !(tc->mode & MODE_LOOKUP)) {
		mmu_expect(tc->mmu, write, gva(va));
		if (mmu_lean_code(tc->mmu, true, gva(tc->cpu->rip), &at))
			hint_faulted(tc, hint_place(tc->mode, (uint32_t)tc->cpu->rip, at.v));
	}
	return page_fault(tc, va, error, host);
}
