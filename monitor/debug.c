/*
 * Breakpoints, watchpoints, and the run loop for when they or single-stepping need every
 * instruction looked at; see debug.h.
 */
#include "monitor/debug.h"
#include "monitor/log.h"
#include "monitor/run_control.h"
#include "monitor/vm_internal.h"

#include <stdlib.h>
#include <string.h>

enum { DEBUG_MAX_POINTS = 4096 };

struct debug {
	struct debug_point *point;
	unsigned count;
	uint32_t *exec; /* addresses of the execution breakpoints, ascending */
	unsigned exec_count, watch_count;
	unsigned interpret;
	/* what the instruction being executed has touched */
	bool hit;
	struct vm_stop_info info;
};

struct debug *debug_create(void)
{
	struct debug *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->point = calloc(DEBUG_MAX_POINTS, sizeof(*d->point));
	d->exec = calloc(DEBUG_MAX_POINTS, sizeof(*d->exec));
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

static void points_changed(struct vm *vm)
{
	struct debug *d = vm->debug;

	d->exec_count = d->watch_count = 0;
	for (unsigned i = 0; i < d->count; i++) {
		if (d->point[i].kind & DEBUG_EXECUTE)
			d->exec[d->exec_count++] = d->point[i].lin;
		else
			d->watch_count++;
	}
	qsort(d->exec, d->exec_count, sizeof(*d->exec), compare_addresses);
	if (vm->accel->set_breakpoints)
		vm->accel->set_breakpoints(vm->accel_state, d->exec, d->exec_count);
}

static struct debug_point *find_point(struct debug *d, const void *owner, unsigned kind, uint32_t lin, uint32_t len)
{
	for (unsigned i = 0; i < d->count; i++) {
		struct debug_point *p = &d->point[i];

		if (p->owner == owner && p->kind == kind && p->lin == lin && p->len == len)
			return p;
	}
	return NULL;
}

bool debug_add(struct vm *vm, const void *owner, unsigned kind, uint32_t lin, uint32_t len)
{
	struct debug *d = vm->debug;

	if (kind & DEBUG_EXECUTE)
		len = 1;
	if (find_point(d, owner, kind, lin, len))
		return true;
	if (!len || d->count == DEBUG_MAX_POINTS)
		return false;
	d->point[d->count++] = (struct debug_point){owner, kind, lin, len, 0};
	points_changed(vm);
	return true;
}

bool debug_remove(struct vm *vm, const void *owner, unsigned kind, uint32_t lin, uint32_t len)
{
	struct debug *d = vm->debug;
	struct debug_point *p = find_point(d, owner, kind, lin, kind & DEBUG_EXECUTE ? 1 : len);

	if (!p)
		return false;
	d->count--;
	memmove(p, p + 1, (size_t)(d->point + d->count - p) * sizeof(*p));
	points_changed(vm);
	return true;
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
		points_changed(vm);
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

bool debug_active(struct vm *vm)
{
	const struct debug *d = vm->debug;

	if (d->watch_count || d->interpret || run_control_steps(vm))
		return true;
	if (!d->exec_count)
		return false;
	return !vm->accel->set_breakpoints ||
	       (run_control_skips(vm, linear_pc(vm)) && at_breakpoint(vm, linear_pc(vm)));
}

void debug_stopped(struct vm *vm)
{
	const struct vm_stop_info info = {.reason = STOP_BREAKPOINT};
	struct debug *d = vm->debug;
	uint32_t pc = linear_pc(vm);

	for (unsigned i = 0; i < d->count; i++) {
		if ((d->point[i].kind & DEBUG_EXECUTE) && d->point[i].lin == pc)
			d->point[i].hits++;
	}
	run_control_stop(vm, &info);
}

/* An event is taken where one may be, except while stepping without them: only HLT still needs one then. */
static bool take_event(struct vm *vm)
{
	bool held = run_control_steps(vm) && (run_control_step_flags(vm) & STEP_NO_INTERRUPTS);

	return (!held || vm->cpu.halted) && vm_take_event(vm);
}

/* One instruction or event. False: look around in the run loop. */
static bool debug_step(struct vm *vm)
{
	struct cpu *c = &vm->cpu;
	uint32_t pc;

	if (take_event(vm))
		return !run_control_stepped(vm);
	if (c->halted || c->shutdown)
		return false;
	pc = linear_pc(vm);
	if (!run_control_skip(vm, pc) && at_breakpoint(vm, pc)) {
		debug_stopped(vm);
		return false;
	}
	if (log_on(LOG_EXEC | LOG_CPU))
		vm_log_step(vm);
	if (step_watched(vm)) {
		run_control_stop(vm, &vm->debug->info);
		return false;
	}
	return !run_control_stepped(vm);
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
