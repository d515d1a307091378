/*
 * Run control: the state, its changes, and the queue of work for the vCPU thread; see run_state.h.
 *
 * Everything but the queue and the reading of `state` belongs to the vCPU thread. A request that
 * comes from elsewhere, or from inside a guest instruction, becomes work.
 */
#include "monitor/host_tsc.h"
#include "monitor/run_control.h"
#include "monitor/vm_internal.h"

#include <stdlib.h>

enum { LISTENERS = 8 };

struct work {
	struct work *next;
	void (*fn)(void *);
	void *ctx;
};

struct listener {
	vm_event_fn *fn;
	void *ctx;
};

struct run_control {
	atomic_int state;
	pthread_mutex_t lock; /* of the queue; a leaf */
	struct work *first, **last;

	/* vCPU thread */
	pthread_t vcpu;
	bool have_vcpu, in_guest;
	bool time_stopped;
	uint64_t tsc; /* the guest's, when it was stopped */
	uint64_t steps, moves;
	unsigned step_flags;
	uint32_t range_first, range_end; /* steps in it do not count; equal: none */
	bool range_past;
	bool skip;        /* pass over a breakpoint at skip_pc once */
	bool pc_written;
	uint32_t skip_pc;
	struct vm_stop_info stop;
	struct listener listener[LISTENERS];
};

struct run_control *run_control_create(bool paused)
{
	struct run_control *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	atomic_init(&r->state, paused ? VM_PAUSED : VM_RUNNING);
	pthread_mutex_init(&r->lock, NULL);
	r->last = &r->first;
	r->stop.reason = paused ? STOP_START : STOP_NONE;
	return r;
}

void run_control_destroy(struct run_control *r)
{
	if (!r)
		return;
	while (r->first) {
		struct work *w = r->first;

		r->first = w->next;
		free(w);
	}
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* ---- work ---- */

void vm_post(struct vm *vm, void (*fn)(void *), void *ctx)
{
	struct run_control *r = vm->run;
	struct work *w = malloc(sizeof(*w));

	if (!w)
		abort(); /* 24 bytes: nothing else would work either */
	*w = (struct work){NULL, fn, ctx};
	pthread_mutex_lock(&r->lock);
	*r->last = w;
	r->last = &w->next;
	pthread_mutex_unlock(&r->lock);
	vm_request(vm, REQUEST_WORK, 0);
}

static struct work *take_work(struct run_control *r)
{
	pthread_mutex_lock(&r->lock);
	struct work *w = r->first;
	if (w) {
		r->first = w->next;
		if (!r->first)
			r->last = &r->first;
	}
	pthread_mutex_unlock(&r->lock);
	return w;
}

void run_control_work(struct vm *vm)
{
	struct work *w;

	atomic_fetch_and(&vm->requests, ~(unsigned)REQUEST_WORK);
	while ((w = take_work(vm->run))) {
		struct work now = *w;

		free(w);
		now.fn(now.ctx);
	}
}

/* Is the caller posted work or a listener? */
static bool between_instructions(const struct run_control *r)
{
	return r->have_vcpu && pthread_equal(r->vcpu, pthread_self()) && !r->in_guest;
}

void run_control_enter(struct vm *vm)
{
	vm->run->in_guest = true;
}

void run_control_leave(struct vm *vm)
{
	vm->run->in_guest = false;
}

/* ---- listeners ---- */

void vm_add_listener(struct vm *vm, vm_event_fn *fn, void *ctx)
{
	struct listener *l = vm->run->listener;

	for (unsigned i = 0; i < LISTENERS; i++) {
		if (!l[i].fn) {
			l[i] = (struct listener){fn, ctx};
			return;
		}
	}
	abort(); /* their number is that of the servers we have */
}

void vm_remove_listener(struct vm *vm, vm_event_fn *fn, void *ctx)
{
	struct listener *l = vm->run->listener;

	for (unsigned i = 0; i < LISTENERS; i++) {
		if (l[i].fn == fn && l[i].ctx == ctx)
			l[i].fn = NULL;
	}
}

static void tell(struct vm *vm, enum vm_event event)
{
	struct listener *l = vm->run->listener;

	for (unsigned i = 0; i < LISTENERS; i++) {
		if (l[i].fn)
			l[i].fn(l[i].ctx, event);
	}
}

/* ---- time ---- */

static void stop_time(struct vm *vm)
{
	struct run_control *r = vm->run;

	if (r->time_stopped)
		return;
	r->time_stopped = true;
	machine_pause(vm->machine, true);
	r->tsc = cpu_tsc(&vm->cpu);
}

/* The TSC goes on from where it was, with or without virtual time. */
static void continue_tsc(struct vm *vm)
{
	vm->cpu.tsc_offset += (int64_t)(vm->run->tsc - cpu_tsc(&vm->cpu));
}

static void start_time(struct vm *vm)
{
	struct run_control *r = vm->run;

	if (!r->time_stopped)
		return;
	r->time_stopped = false;
	machine_pause(vm->machine, false);
}

/* The TSC cannot be held during a step without time: what it has run, virtual time makes up for, as the guest compares them. */
static void count_step_time(struct vm *vm)
{
	uint64_t now = cpu_tsc(&vm->cpu), hz = host_tsc_hz();

	if (hz && now > vm->run->tsc)
		machine_advance(vm->machine, (int64_t)((double)(now - vm->run->tsc) * 1e9 / (double)hz));
	vm->run->tsc = now;
}

/* ---- the state ---- */

enum vm_state vm_state(const struct vm *vm)
{
	return (enum vm_state)atomic_load(&vm->run->state);
}

const struct vm_stop_info *vm_stop_info(const struct vm *vm)
{
	return &vm->run->stop;
}

static uint32_t linear_pc(const struct vm *vm)
{
	return (uint32_t)(vm->cpu.seg[S_CS].base + vm->cpu.rip);
}

void vm_pc_written(struct vm *vm)
{
	vm->run->pc_written = true;
}

void run_control_start(struct vm *vm)
{
	struct run_control *r = vm->run;

	r->vcpu = pthread_self();
	r->have_vcpu = true;
	if (vm_state(vm) != VM_PAUSED)
		return;
	stop_time(vm);
	r->stop.pc = linear_pc(vm);
}

static void enter_state(struct vm *vm, enum vm_state state, const struct vm_stop_info *info)
{
	struct run_control *r = vm->run;

	if (r->time_stopped)
		count_step_time(vm);
	stop_time(vm);
	r->steps = 0;
	r->skip = false;
	r->pc_written = false;
	r->stop = *info;
	r->stop.pc = linear_pc(vm);
	atomic_store(&r->state, state);
	tell(vm, VM_EVENT_STOP);
}

void run_control_stop(struct vm *vm, const struct vm_stop_info *info)
{
	if (vm_state(vm) == VM_RUNNING)
		enter_state(vm, VM_PAUSED, info);
}

void run_control_poweroff(struct vm *vm, bool stay)
{
	const struct vm_stop_info info = {.reason = STOP_POWEROFF};

	tell(vm, VM_EVENT_SHUTDOWN);
	if (stay && vm_state(vm) != VM_SHUTDOWN)
		enter_state(vm, VM_SHUTDOWN, &info);
}

void run_control_reset(struct vm *vm)
{
	struct run_control *r = vm->run;

	r->pc_written = true;
	r->tsc = cpu_tsc(&vm->cpu);
	r->stop.pc = linear_pc(vm);
	tell(vm, VM_EVENT_RESET);
	if (vm_state(vm) != VM_SHUTDOWN)
		return;
	r->stop.reason = STOP_RESET;
	atomic_store(&r->state, VM_PAUSED);
}

void run_control_wait(struct vm *vm)
{
	start_time(vm);
}

struct step {
	struct vm *vm;
	uint64_t count;
	unsigned flags;
	uint32_t first, end;
	bool past;
};

static void resume(struct vm *vm, const struct step *step)
{
	struct run_control *r = vm->run;

	if (vm_state(vm) != VM_PAUSED)
		return;
	r->skip = !r->pc_written && r->stop.reason != STOP_START;
	r->skip_pc = r->stop.pc;
	r->moves += step->count > 0;
	r->steps = step->count;
	r->step_flags = step->flags;
	r->range_first = step->first;
	r->range_end = step->end;
	r->range_past = step->past;
	continue_tsc(vm);
	if (!(step->flags & STEP_NO_TIME))
		start_time(vm);
	atomic_store(&r->state, VM_RUNNING);
	tell(vm, VM_EVENT_RESUME);
}

/* ---- requests ---- */

static void do_stop(void *vm)
{
	const struct vm_stop_info info = {.reason = STOP_REQUEST};

	run_control_stop(vm, &info);
}

static void do_cont(void *vm)
{
	resume(vm, &(struct step){0});
}

static void request(struct vm *vm, void (*fn)(void *))
{
	if (between_instructions(vm->run))
		fn(vm);
	else
		vm_post(vm, fn, vm);
}

void vm_stop(struct vm *vm)
{
	request(vm, do_stop);
}

void vm_cont(struct vm *vm)
{
	request(vm, do_cont);
}

static void do_step(void *ctx)
{
	struct step step = *(struct step *)ctx;

	free(ctx);
	resume(step.vm, &step);
}

static void request_step(struct step step)
{
	struct step *s = malloc(sizeof(*s));

	if (!s)
		abort();
	*s = step;
	if (between_instructions(step.vm->run))
		do_step(s);
	else
		vm_post(step.vm, do_step, s);
}

void vm_step(struct vm *vm, uint64_t count, unsigned flags)
{
	request_step((struct step){.vm = vm, .count = count, .flags = flags});
}

void vm_step_range(struct vm *vm, uint32_t first, uint32_t end, bool past, unsigned flags)
{
	request_step((struct step){vm, 1, flags, first, end, past});
}

void vm_reset(struct vm *vm)
{
	vm_request(vm, REQUEST_RESET, 0);
}

void vm_quit(struct vm *vm, int exit_code)
{
	vm_request(vm, REQUEST_QUIT, exit_code);
}

/* ---- stepping ---- */

uint64_t run_control_steps(const struct vm *vm)
{
	return vm->run->steps;
}

unsigned run_control_step_flags(const struct vm *vm)
{
	return vm->run->step_flags;
}

/* In the range nothing counts; `past` it, at its end, neither does the step that led there. */
static bool range_goes_on(struct vm *vm)
{
	struct run_control *r = vm->run;
	uint32_t eip = (uint32_t)vm->cpu.rip, len = r->range_end - r->range_first;
	bool past = r->range_past && len && eip == r->range_end;

	if (eip - r->range_first < len)
		return true;
	r->range_first = r->range_end = 0;
	return past;
}

bool run_control_stepped(struct vm *vm)
{
	const struct vm_stop_info info = {.reason = STOP_STEP};

	if (!vm->run->steps || range_goes_on(vm) || --vm->run->steps)
		return false;
	run_control_stop(vm, &info);
	return true;
}

uint64_t run_control_moves(const struct vm *vm)
{
	return vm->run->moves;
}

void run_control_moved(struct vm *vm)
{
	vm->run->moves++;
}

void run_control_pass(struct vm *vm, uint32_t pc)
{
	vm->run->skip = true;
	vm->run->skip_pc = pc;
}

bool run_control_skips(const struct vm *vm, uint32_t pc)
{
	return vm->run->skip && vm->run->skip_pc == pc;
}

bool run_control_skip(struct vm *vm, uint32_t pc)
{
	bool skip = run_control_skips(vm, pc);

	vm->run->skip = false;
	return skip;
}
