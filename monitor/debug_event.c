/*
 * Events: what the interpreter tells of (cpu_watch) and what takes interrupts asks for, against the points that are set.
 *
 * All of it happens inside a guest instruction, so the stop is asked for as work (vm_post), which kicks the processor: it comes
 * to the run loop before anything else of the guest is done, and the work stops it there. Until then `stopping` holds off what
 * could still come, such as an interrupt at the same boundary.
 */
#include "monitor/debug_internal.h"

static void stop_now(void *ctx)
{
	struct vm *vm = ctx;
	struct debug *d = vm->debug;

	if (!d->stopping)
		return; /* reset meanwhile */
	d->stopping = false;
	run_control_stop(vm, &d->event);
}

static void ask_stop(struct vm *vm, const struct vm_stop_info *info)
{
	struct debug *d = vm->debug;

	if (d->stopping)
		return;
	d->stopping = true;
	d->event = *info;
	vm_post(vm, stop_now, vm);
}

bool debug_event_held(const struct vm *vm)
{
	const struct vm_stop_info *info = vm_stop_info(vm);

	return info->reason == STOP_EVENT && info->held;
}

void debug_reset(struct vm *vm)
{
	vm->debug->held_vector = -1;
	vm->debug->stopping = false;
}

bool debug_stopping(const struct vm *vm)
{
	return vm->debug->stopping;
}

/* ---- which points want it ---- */

static bool in_range(const struct debug_point *p, uint32_t number, uint32_t size)
{
	return number - p->lin < p->len || p->lin - number < size;
}

static uint32_t control_register(const struct cpu *c, unsigned n)
{
	const uint32_t value[5] = {c->cr0, 0, (uint32_t)c->cr2, (uint32_t)c->cr3, c->cr4};

	return value[n];
}

static bool wants(const struct cpu *c, const struct debug_point *p, const struct vm_stop_info *e)
{
	if (!(p->kind & e->kind))
		return false;
	if (e->kind == DEBUG_MODE)
		return p->mask & e->address; /* the bits that changed */
	if (!in_range(p, e->number, e->size ? e->size : 1))
		return false;
	if (e->kind == DEBUG_EXCEPTION)
		return (e->value & p->mask) == p->value;
	if (e->kind == DEBUG_CONTROL)
		return !p->mask || ((e->address ^ e->value) & p->mask); /* before, after */
	return true;
}

/* True: somebody wants it, the guest stops. */
static bool meet(struct vm *vm, const struct vm_stop_info *e)
{
	struct debug *d = vm->debug;
	bool any = false;

	if (d->stopping)
		return true; /* one thing at a time: this one comes again */
	for (unsigned i = 0; i < d->count; i++) {
		if (wants(&vm->cpu, &d->point[i], e)) {
			d->point[i].hits++;
			any = true;
		}
	}
	if (any)
		ask_stop(vm, e);
	return any;
}

/* ---- before ---- */

static struct vm_stop_info info_of(const struct cpu *c, const struct cpu_watch_event *w)
{
	struct vm_stop_info e = {
		.reason = STOP_EVENT,
		.held = w->holdable,
		.number = w->number,
		.value = w->value,
		.address = w->address,
		.size = (uint8_t)w->size,
	};

	switch (w->kind) {
	case WATCH_PORT:
		e.kind = w->write ? DEBUG_PORT_WRITE : DEBUG_PORT_READ;
		break;
	case WATCH_CONTROL:
		e.kind = DEBUG_CONTROL;
		e.address = control_register(c, w->number);
		break;
	case WATCH_INTERRUPT:
		e.kind = DEBUG_INTERRUPT;
		break;
	case WATCH_EXCEPTION:
		e.kind = DEBUG_EXCEPTION;
		break;
	}
	return e;
}

static bool before(struct cpu *c, const struct cpu_watch_event *w)
{
	struct vm *vm = c->ops_ctx;
	struct debug *d = vm->debug;
	const struct vm_stop_info e = info_of(c, w);

	if (w->kind == WATCH_CONTROL)
		d->told = true;
	if (d->passing)
		return false;
	return meet(vm, &e) && w->holdable;
}

/* ---- after ---- */

static struct debug_mode mode_now(const struct cpu *c)
{
	unsigned bits = (cpu_protected(c) ? DEBUG_MODE_PROTECTED : 0) | (cpu_vm86(c) ? DEBUG_MODE_VM86 : 0) |
			(c->cr0 & CR0_PG ? DEBUG_MODE_PAGING : 0);

	return (struct debug_mode){(uint8_t)bits, c->cpl};
}

static uint32_t mode_word(struct debug_mode m)
{
	return m.bits | (uint32_t)m.cpl << 8;
}

static void mode_changed(struct vm *vm, struct debug_mode now)
{
	struct debug *d = vm->debug;
	const struct debug_mode old = d->mode;
	const struct vm_stop_info e = {
		.reason = STOP_EVENT,
		.kind = DEBUG_MODE,
		.number = mode_word(old),
		.value = mode_word(now),
		.address = (uint32_t)(old.bits ^ now.bits) | (old.cpl != now.cpl ? DEBUG_MODE_RING : 0),
	};

	d->mode = now;
	if (e.address)
		meet(vm, &e);
}

/* CR3 is loaded by task switches too, which no instruction shows beforehand. */
static void cr3_changed(struct vm *vm)
{
	struct debug *d = vm->debug;
	const struct vm_stop_info e = {
		.reason = STOP_EVENT, .kind = DEBUG_CONTROL, .number = 3, .address = d->cr3, .value = (uint32_t)vm->cpu.cr3};

	d->cr3 = (uint32_t)vm->cpu.cr3;
	if (!d->told)
		meet(vm, &e);
}

static void after(struct cpu *c)
{
	struct vm *vm = c->ops_ctx;
	struct debug *d = vm->debug;

	if (d->cr3 != (uint32_t)c->cr3)
		cr3_changed(vm);
	d->told = false;
	mode_changed(vm, mode_now(c));
}

const struct cpu_watch debug_watch = {before, after};

void debug_event_begin(struct vm *vm)
{
	struct debug *d = vm->debug;

	d->mode = mode_now(&vm->cpu);
	d->cr3 = (uint32_t)vm->cpu.cr3;
	d->told = false;
}

/* ---- interrupts from outside ---- */

/* Acknowledged: it is kept, and delivered when the guest goes on. */
bool debug_hold_interrupt(struct vm *vm, unsigned vector)
{
	const struct vm_stop_info e = {
		.reason = STOP_EVENT, .kind = DEBUG_INTERRUPT, .held = true, .external = true, .number = vector};

	if (!meet(vm, &e))
		return false;
	vm->debug->held_vector = (int)vector;
	return true;
}

/* Not acknowledged yet: it waits where it is. */
bool debug_hold_nmi(struct vm *vm)
{
	const struct vm_stop_info e = {
		.reason = STOP_EVENT, .kind = DEBUG_INTERRUPT, .held = true, .external = true, .number = EXC_NMI};

	return !vm->debug->passing && meet(vm, &e);
}

static bool nmi_was_held(const struct vm *vm)
{
	const struct vm_stop_info *info = vm_stop_info(vm);

	return debug_event_held(vm) && info->external && info->number == EXC_NMI &&
	       run_control_skips(vm, info->pc);
}

bool debug_pass_interrupt(struct vm *vm)
{
	struct debug *d = vm->debug;
	int vector = d->held_vector;
	bool taken;

	if (vector >= 0 && cpu_interruptible(&vm->cpu)) {
		d->held_vector = -1;
		run_control_skip(vm, 0);
		cpu_deliver_interrupt(&vm->cpu, (unsigned)vector);
		return true;
	}
	if (!nmi_was_held(vm))
		return false;
	d->passing = true;
	taken = vm_take_event(vm);
	d->passing = false;
	run_control_skip(vm, 0);
	return taken;
}
