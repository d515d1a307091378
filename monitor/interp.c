/*
 * -accel interp: every instruction in the interpreter. The reference the translator is measured
 * against, and the way to run when the translator is in doubt.
 */
#include "monitor/log.h"
#include "monitor/vm_internal.h"

#include <stdlib.h>

struct interp {
	struct vm *vm;
	atomic_bool kicked;
};

static void *interp_create(struct vm *vm, char *err, size_t errlen)
{
	struct interp *in = calloc(1, sizeof(*in));
	if (in)
		in->vm = vm;
	else
		snprintf(err, errlen, "out of memory for the interpreter");
	return in;
}

static bool interp_thread_init(void *opaque, char *err, size_t errlen)
{
	return true;
}

static void interp_kick(void *opaque)
{
	struct interp *in = opaque;
	atomic_store(&in->kicked, true);
}

static void interp_flush(void *opaque) {}

bool vm_take_event(struct vm *vm)
{
	struct cpu *c = &vm->cpu;
	if (vm_nmi_pending(vm) && !c->nmi_block && !c->shadow && vm_nmi_ack(vm)) {
		cpu_deliver_interrupt(c, EXC_NMI);
		return true;
	}
	if (vm_interrupt_pending(vm) && cpu_interruptible(c)) {
		int vector = vm_interrupt_ack(vm);
		if (vector >= 0)
			cpu_deliver_interrupt(c, (unsigned)vector);
		return vector >= 0;
	}
	return false;
}

void vm_log_step(struct vm *vm)
{
	const struct cpu *c = &vm->cpu;
	uint32_t pc = (uint32_t)(c->seg[S_CS].base + c->rip);
	FILE *f = log_in_range(pc) ? log_begin(LOG_EXEC | LOG_CPU) : NULL;
	if (!f)
		return;
	if (log_on(LOG_EXEC))
		fprintf(f, "Trace 0: (nil) [%08x/%08x] interpreted\n", (unsigned)c->seg[S_CS].base, pc);
	if (log_on(LOG_CPU))
		cpu_dump(c, f, log_on(LOG_FPU) ? CPU_DUMP_FPU : 0);
	log_end(f);
}

static enum run_exit interp_run(void *opaque)
{
	struct interp *in = opaque;
	struct vm *vm = in->vm;
	struct cpu *c = &vm->cpu;
	for (;;) {
		/* A plain load first: a locked exchange for each instruction is felt. */
		if (atomic_load_explicit(&in->kicked, memory_order_relaxed) &&
		    atomic_exchange(&in->kicked, false) && atomic_load(&vm->requests))
			return RUN_KICK;
		if (c->shutdown)
			return RUN_SHUTDOWN;
		vm_take_event(vm);
		if (c->shutdown)
			return RUN_SHUTDOWN;
		if (c->halted)
			return RUN_HALT;
		if (log_on(LOG_EXEC | LOG_CPU))
			vm_log_step(vm);
		cpu_step(c);
	}
}

static void interp_stats(void *opaque, FILE *out) {}

const struct accel accel_interp = {
	.name = "interp",
	.create = interp_create,
	.destroy = free,
	.thread_init = interp_thread_init,
	.run = interp_run,
	.kick = interp_kick,
	.flush = interp_flush,
	.stats = interp_stats,
};
