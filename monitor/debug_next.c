/*
 * `next` and `next block`.
 *
 * Over a call: a breakpoint of its own behind it, which counts when the stack is where the call left it: recursion comes by there
 * deeper, another task on another stack, another process in another address space. Everything that stops the guest ends it.
 */
#include "monitor/debug_internal.h"
#include "translator/translator.h"

enum { BLOCK_MAX = 64 };
/* RET may release that much. */
enum { RELEASE_MAX = 0xffff };

static uint32_t stack_pointer(const struct cpu *c)
{
	return (uint32_t)(cpu_stack32(c) ? c->gpr[R_ESP] : c->gpr[R_ESP] & 0xffff);
}

static void on_event(void *ctx, enum vm_event event)
{
	struct vm *vm = ctx;

	if (event != VM_EVENT_STOP)
		return;
	vm->debug->until.active = false;
	debug_points_changed(vm);
	vm_remove_listener(vm, on_event, vm);
}

static void run_until(struct vm *vm, uint32_t eip)
{
	const struct cpu *c = &vm->cpu;

	vm->debug->until = (struct debug_until){
		.active = true,
		.lin = (uint32_t)(c->seg[S_CS].base + eip),
		.esp = stack_pointer(c),
		.cr3 = (uint32_t)c->cr3,
		.cpl = c->cpl,
	};
	debug_points_changed(vm);
	vm_add_listener(vm, on_event, vm);
	run_control_moved(vm);
	vm_cont(vm);
}

/* The kernel runs its threads on whatever address space is there: only ring 3 belongs to one. */
bool debug_until_reached(const struct vm *vm)
{
	const struct debug_until *u = &vm->debug->until;
	const struct cpu *c = &vm->cpu;

	return u->active && u->lin == (uint32_t)(c->seg[S_CS].base + c->rip) && u->cpl == c->cpl &&
	       stack_pointer(c) - u->esp <= RELEASE_MAX && (c->cpl != 3 || u->cr3 == (uint32_t)c->cr3);
}

void debug_next(struct vm *vm)
{
	uint32_t next = 0;

	if (vm_state(vm) != VM_PAUSED)
		return;
	switch (cpu_flow_at(&vm->cpu, (uint32_t)vm->cpu.rip, &next)) {
	case FLOW_CALL:
		run_until(vm, next);
		break;
	case FLOW_UNKNOWN:
	case FLOW_ON:
	case FLOW_REPEAT: /* a step is all of it */
	case FLOW_BRANCH:
		vm_step(vm, 1, 0);
	}
}

/* EIP of the block's last instruction, where no translation tells: a branch, or the last that fits. */
static uint32_t block_end(struct vm *vm)
{
	uint32_t eip = (uint32_t)vm->cpu.rip, next = eip;

	for (unsigned n = 1; n < BLOCK_MAX; n++) {
		enum cpu_flow flow = cpu_flow_at(&vm->cpu, eip, &next);

		if ((flow != FLOW_ON && flow != FLOW_REPEAT) || ((eip ^ next) & ~(uint32_t)PAGE_MASK))
			break;
		eip = next;
	}
	return eip;
}

void debug_next_block(struct vm *vm)
{
	uint32_t eip = (uint32_t)vm->cpu.rip, base = (uint32_t)vm->cpu.seg[S_CS].base, last;

	if (vm_state(vm) != VM_PAUSED)
		return;
	if (!vm_tc(vm) || !tc_unit_end(vm_tc(vm), base + eip, &last))
		last = base + block_end(vm);
	if (last - base == eip)
		vm_step(vm, 1, 0);
	else
		vm_step_range(vm, eip, last - base, true, 0);
}
