/*
 * Breakpoints, watchpoints, and the run loop for when they or single-stepping need every
 * instruction looked at; see debug.h.
 */
#include "monitor/debug_internal.h"
#include "monitor/log.h"

#include <stdlib.h>
#include <string.h>

enum { DEBUG_MAX_POINTS = 4096 };

struct debug *debug_create(void)
{
	struct debug *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->point = calloc(DEBUG_MAX_POINTS, sizeof(*d->point));
	d->exec = calloc(DEBUG_MAX_POINTS + 1, sizeof(*d->exec));
	d->held_vector = -1;
	if (d->point && d->exec)
		return d;
	debug_destroy(d);
	return NULL;
}

void debug_destroy(struct debug *d)
{
	if (!d)
		return;
	free(d->point);
	free(d->exec);
	free(d);
}

/* ---- the points ---- */

static int compare_addresses(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void collect_addresses(struct debug *d)
{
	d->exec_count = 0;
	for (unsigned i = 0; i < d->count; i++) {
		if (d->point[i].kind & DEBUG_EXECUTE)
			d->exec[d->exec_count++] = d->point[i].lin;
	}
	if (d->until.active)
		d->exec[d->exec_count++] = d->until.lin;
	qsort(d->exec, d->exec_count, sizeof(*d->exec), compare_addresses);
}

static unsigned count_kind(const struct debug *d, unsigned kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->count; i++)
		n += !!(d->point[i].kind & kind);
	return n;
}

void debug_points_changed(struct vm *vm)
{
	struct debug *d = vm->debug;

	collect_addresses(d);
	d->watch_count = count_kind(d, DEBUG_ACCESS);
	d->event_count = count_kind(d, DEBUG_EVENTS);
	vm->cpu.watch = d->event_count ? &debug_watch : NULL;
	if (vm->accel->set_watched)
		vm->accel->set_watched(vm->accel_state, d->event_count);
	if (vm->accel->set_breakpoints)
		vm->accel->set_breakpoints(vm->accel_state, d->exec, d->exec_count);
}

static bool same(const struct debug_point *a, const struct debug_point *b)
{
	return a->owner == b->owner && a->kind == b->kind && a->lin == b->lin && a->len == b->len && a->mask == b->mask &&
	       a->value == b->value;
}

static struct debug_point *find_point(struct debug *d, const struct debug_point *p)
{
	for (unsigned i = 0; i < d->count; i++) {
		if (same(&d->point[i], p))
			return &d->point[i];
	}
	return NULL;
}

bool debug_add_point(struct vm *vm, const struct debug_point *p)
{
	struct debug *d = vm->debug;

	if (find_point(d, p))
		return true;
	if (!p->len || d->count == DEBUG_MAX_POINTS)
		return false;
	d->point[d->count] = *p;
	d->point[d->count++].hits = 0;
	debug_points_changed(vm);
	return true;
}

bool debug_remove_point(struct vm *vm, const struct debug_point *which)
{
	struct debug *d = vm->debug;
	struct debug_point *p = find_point(d, which);

	if (!p)
		return false;
	d->count--;
	memmove(p, p + 1, (size_t)(d->point + d->count - p) * sizeof(*p));
	debug_points_changed(vm);
	return true;
}

static struct debug_point by_address(const void *owner, unsigned kind, uint32_t lin, uint32_t len)
{
	return (struct debug_point){.owner = owner, .kind = kind, .lin = lin, .len = kind & DEBUG_EXECUTE ? 1 : len};
}

bool debug_add(struct vm *vm, const void *owner, unsigned kind, uint32_t lin, uint32_t len)
{
	const struct debug_point p = by_address(owner, kind, lin, len);

	return debug_add_point(vm, &p);
}

bool debug_remove(struct vm *vm, const void *owner, unsigned kind, uint32_t lin, uint32_t len)
{
	const struct debug_point p = by_address(owner, kind, lin, len);

	return debug_remove_point(vm, &p);
}

void debug_remove_all(struct vm *vm, const void *owner)
{
	struct debug *d = vm->debug;
	unsigned kept = 0, before = d->count;

	for (unsigned i = 0; i < before; i++) {
		if (d->point[i].owner != owner)
			d->point[kept++] = d->point[i];
	}
	d->count = kept;
	if (kept != before)
		debug_points_changed(vm);
}

const struct debug_point *debug_nth(const struct vm *vm, unsigned n)
{
	return n < vm->debug->count ? &vm->debug->point[n] : NULL;
}

void debug_interpret(struct vm *vm, bool on)
{
	vm->debug->interpret += on ? 1u : -1u;
}

/* ---- watched memory ---- */

/* Two ranges of the 4 GiB ring. */
static bool overlap(uint32_t a, uint32_t alen, uint32_t b, uint32_t blen)
{
	return b - a < alen || a - b < blen;
}

static void check_access(struct cpu *c, gva_t at, unsigned len, unsigned kind)
{
	struct vm *vm = c->ops_ctx;
	struct debug *d = vm->debug;
	uint32_t lin = (uint32_t)at.v;

	for (unsigned i = 0; i < d->count && !d->hit; i++) {
		struct debug_point *p = &d->point[i];

		if (!(p->kind & kind) || !overlap(lin, len, p->lin, p->len))
			continue;
		p->hits++;
		d->hit = true;
		d->info = (struct vm_stop_info){.reason = STOP_WATCHPOINT, .kind = p->kind};
		d->info.address = lin - p->lin < p->len ? lin : p->lin;
	}
}

static enum outcome watched_read(struct cpu *c, gva_t at, void *data, unsigned len, unsigned acc)
{
	enum outcome out = vm_cpu_ops.read(c, at, data, len, acc);

	if (out == OUT_OK)
		check_access(c, at, len, DEBUG_READ);
	return out;
}

static enum outcome watched_write(struct cpu *c, gva_t at, const void *data, unsigned len, unsigned acc)
{
	enum outcome out = vm_cpu_ops.write(c, at, data, len, acc);

	if (out == OUT_OK)
		check_access(c, at, len, DEBUG_WRITE);
	return out;
}

static bool step_watched(struct vm *vm)
{
	struct cpu_ops ops;

	if (!vm->debug->watch_count) {
		cpu_step(&vm->cpu);
		return false;
	}
	ops = vm_cpu_ops;
	ops.read = watched_read;
	ops.write = watched_write;
	vm->debug->hit = false;
	vm->cpu.ops = &ops;
	cpu_step(&vm->cpu);
	vm->cpu.ops = &vm_cpu_ops;
	return vm->debug->hit;
}

/* ---- running ---- */

static bool at_breakpoint(const struct vm *vm, uint32_t pc)
{
	const struct debug *d = vm->debug;

	return d->exec_count && bsearch(&pc, d->exec, d->exec_count, sizeof(pc), compare_addresses);
}

static uint32_t linear_pc(const struct vm *vm)
{
	return (uint32_t)(vm->cpu.seg[S_CS].base + vm->cpu.rip);
}

/* Does the guest go on from where a debugger stopped it, so that this one instruction is not stopped at again? */
static bool passes(const struct vm *vm)
{
	return run_control_skips(vm, linear_pc(vm)) && (at_breakpoint(vm, linear_pc(vm)) || debug_event_held(vm));
}

/* The accelerator cannot do it: the interpreter has no breakpoints of its own, lockstep would see the event twice. */
static bool needs_stepping(const struct vm *vm)
{
	const struct debug *d = vm->debug;

	return (d->exec_count && !vm->accel->set_breakpoints) ||
	       (d->event_count && (!vm->accel->set_watched || vm->options.accel.lockstep));
}

bool debug_active(struct vm *vm)
{
	const struct debug *d = vm->debug;

	if (d->watch_count || d->interpret || run_control_steps(vm) || d->held_vector >= 0)
		return true;
	return (d->exec_count || d->event_count) && (needs_stepping(vm) || passes(vm));
}

static bool count_hits(struct debug *d, uint32_t pc)
{
	bool any = false;

	for (unsigned i = 0; i < d->count; i++) {
		if ((d->point[i].kind & DEBUG_EXECUTE) && d->point[i].lin == pc) {
			d->point[i].hits++;
			any = true;
		}
	}
	return any;
}

bool debug_stopped(struct vm *vm)
{
	struct vm_stop_info info = {.reason = STOP_BREAKPOINT};
	uint32_t pc = linear_pc(vm);

	if (!count_hits(vm->debug, pc)) {
		if (!debug_until_reached(vm)) {
			run_control_pass(vm, pc);
			return false;
		}
		info.reason = STOP_STEP;
	}
	run_control_stop(vm, &info);
	return true;
}

/* Interrupts are taken where they may be, except while stepping without them: only HLT still needs one then. */
static bool interrupts_allowed(const struct vm *vm)
{
	return !run_control_steps(vm) || !(run_control_step_flags(vm) & STEP_NO_INTERRUPTS) || vm->cpu.halted;
}

/* A repeated instruction has been begun: it is not through before it retires or faults. */
static bool unfinished(const struct vm *vm, uint64_t rip, uint64_t count)
{
	return vm->cpu.rip == rip && vm->cpu.interp_count == count;
}

/* The instruction that a debugger stopped at: no event comes before it, and what it was stopped for does not stop it again. */
static bool pass(struct vm *vm)
{
	struct debug *d = vm->debug;
	uint64_t rip = vm->cpu.rip, count = vm->cpu.interp_count;

	d->passing = debug_event_held(vm);
	if (step_watched(vm))
		run_control_stop(vm, &d->info);
	d->passing = false;
	if (vm_state(vm) != VM_RUNNING || d->stopping)
		return false;
	if (unfinished(vm, rip, count))
		return true;
	run_control_skip(vm, 0);
	return !run_control_stepped(vm);
}

/* One instruction or event. False: look around in the run loop. */
static bool debug_step(struct vm *vm)
{
	struct cpu *c = &vm->cpu;
	struct debug *d = vm->debug;
	uint32_t pc = linear_pc(vm);
	uint64_t rip = c->rip, count = c->interp_count;

	if (interrupts_allowed(vm) && debug_pass_interrupt(vm))
		return !run_control_stepped(vm);
	if (!c->halted && passes(vm))
		return pass(vm);
	run_control_skip(vm, 0);
	if (interrupts_allowed(vm) && vm_take_event(vm))
		return !d->stopping && !run_control_stepped(vm);
	if (d->stopping || c->halted || c->shutdown)
		return false;
	if (at_breakpoint(vm, pc))
		return !debug_stopped(vm);
	if (log_on(LOG_EXEC | LOG_CPU))
		vm_log_step(vm);
	if (step_watched(vm)) {
		run_control_stop(vm, &d->info);
		return false;
	}
	return !d->stopping && (unfinished(vm, rip, count) || !run_control_stepped(vm));
}

enum run_exit debug_run(struct vm *vm)
{
	do {
		if (vm->cpu.shutdown)
			return RUN_SHUTDOWN;
		if (!debug_step(vm))
			break;
	} while (debug_active(vm) && !atomic_load_explicit(&vm->requests, memory_order_relaxed));
	if (vm->cpu.shutdown)
		return RUN_SHUTDOWN;
	return vm->cpu.halted && vm_state(vm) == VM_RUNNING ? RUN_HALT : RUN_KICK;
}
