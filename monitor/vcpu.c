/*
 * The vCPU thread: runs the guest, sleeps while it is halted, and carries out what
 * other threads request. It alone touches the processor's state.
 */
#include "monitor/log.h"
#include "monitor/run_control.h"
#include "monitor/vm_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

void vcpu_kick(struct vm *vm)
{
	if (vm->accel_state)
		vm->accel->kick(vm->accel_state);
	pthread_mutex_lock(&vm->sleep_lock);
	vm->woken = true;
	pthread_cond_signal(&vm->sleep_cond);
	pthread_mutex_unlock(&vm->sleep_lock);
}

static void sleep_until_kicked(struct vm *vm)
{
	pthread_mutex_lock(&vm->sleep_lock);
	while (!vm->woken)
		pthread_cond_wait(&vm->sleep_cond, &vm->sleep_lock);
	vm->woken = false;
	pthread_mutex_unlock(&vm->sleep_lock);
}

/*
 * HLT: wait for something that ends it. A kick that came before HLT leaves `woken` set, so it is
 * not lost; the flags it stands for are looked at after each wake-up.
 */
static void wait_halted(struct vm *vm)
{
	struct cpu *c = &vm->cpu;
	int64_t begin = vm_clock_ns();
	run_control_wait(vm);
	while (!atomic_load(&vm->requests)) {
		if (machine_interrupt_pending(vm->machine) && cpu_interruptible(c))
			break;
		if (machine_nmi_pending(vm->machine) && !c->nmi_block)
			break;
		sleep_until_kicked(vm);
	}
	vm->halt_ns += vm_clock_ns() - begin;
}

static void log_cpu(const struct vm *vm, const char *why)
{
	const struct cpu *c = &vm->cpu;
	FILE *f = log_begin(LOG_CPU_RESET);
	if (!f)
		return;
	fprintf(f, "CPU Reset (CPU 0): %s\n", why);
	cpu_dump(c, f, CPU_DUMP_FPU);
	fprintf(f, "last exception: vector %u error %x CR2=%08x\n", c->fault.vector, c->fault.error,
		(unsigned)c->fault.cr2);
	log_end(f);
}

/* Power-on state everywhere, and the kernel loaded afresh. Also the first start. */
static bool reset(struct vm *vm)
{
	char err[OPTIONS_ERROR_LEN];
	struct boot_target target = {.map = vm->map, .cpu = &vm->cpu};
	vm->resets++;
	/* The accelerator first: what it keeps describes the memory of before. */
	vm->accel->flush(vm->accel_state);
	cpu_reset(&vm->cpu);
	machine_reset(vm->machine);
	machine_apic_base(vm->machine, vm->cpu.msr.apic_base);
	cpu_firmware_init(&vm->cpu, PHYSMAP_HOLE_START);
	target.e820_count = machine_e820(vm->machine, target.e820, BOOT_MAX_E820);
	target.rsdp = machine_rsdp(vm->machine);
	if (!boot_load(&vm->boot, &target, err, sizeof(err))) {
		fprintf(stderr, "ringfence: %s\n", err);
		return false;
	}
	mmu_paging_changed(vm->mmu, true, true);
	debug_reset(vm);
	return true;
}

/* Carry out requests; false when the VM has ended. */
static bool handle_requests(struct vm *vm)
{
	unsigned requests = atomic_load(&vm->requests);
	if (requests & REQUEST_QUIT)
		return false;
	if (requests & REQUEST_SHUTDOWN) {
		atomic_fetch_and(&vm->requests, ~(unsigned)REQUEST_SHUTDOWN);
		run_control_poweroff(vm, vm->options.no_shutdown);
		if (!vm->options.no_shutdown)
			return false;
	}
	if (requests & REQUEST_RESET) {
		log_cpu(vm, "reset");
		if (vm->options.no_reboot)
			return false;
		atomic_fetch_and(&vm->requests, ~(unsigned)REQUEST_RESET);
		if (!reset(vm)) {
			vm_request(vm, REQUEST_QUIT, 1);
			return false;
		}
		run_control_reset(vm);
	}
	if (requests & REQUEST_WORK) {
		int64_t begin = vm_clock_ns();

		run_control_work(vm);
		vm->work_ns += vm_clock_ns() - begin;
	}
	return true;
}

static enum run_exit run_guest(struct vm *vm)
{
	enum run_exit why;
	run_control_enter(vm);
	if (vm->cpu.watch)
		debug_event_begin(vm);
	if (debug_active(vm)) {
		why = debug_run(vm);
	} else {
		run_control_skip(vm, 0); /* nothing to be passed over: it goes on elsewhere */
		why = vm->accel->run(vm->accel_state);
	}
	run_control_leave(vm);
	return why;
}

static void run(struct vm *vm)
{
	vm->run_ns = vm_clock_ns();
	run_control_start(vm);
	while (handle_requests(vm)) {
		if (vm_state(vm) != VM_RUNNING) {
			int64_t begin = vm_clock_ns();

			if (!atomic_load(&vm->requests))
				sleep_until_kicked(vm);
			vm->paused_ns += vm_clock_ns() - begin;
			continue;
		}
		switch (run_guest(vm)) {
		case RUN_KICK:
			break;
		case RUN_DEBUG:
			debug_stopped(vm);
			break;
		case RUN_HALT:
			wait_halted(vm);
			break;
		case RUN_SHUTDOWN:
			log_cpu(vm, "triple fault");
			log_line(LOG_GUEST_ERRORS, "Triple fault at %04x:%08x", vm->cpu.seg[S_CS].sel,
				 (unsigned)vm->cpu.rip);
			vm_request(vm, REQUEST_RESET, 0);
			break;
		case RUN_ERROR:
			vm_request(vm, REQUEST_QUIT, 1);
			break;
		}
	}
}

void *vcpu_main(void *opaque)
{
	struct vm *vm = opaque;
	char err[OPTIONS_ERROR_LEN];
	prctl(PR_SET_NAME, "vcpu0");
	if (!vm->accel->thread_init(vm->accel_state, err, sizeof(err))) {
		fprintf(stderr, "ringfence: %s\n", err);
		vm_request(vm, REQUEST_QUIT, 1);
	} else if (!cpu_prepare_thread() || !reset(vm)) {
		vm_request(vm, REQUEST_QUIT, 1);
	} else {
		run(vm);
	}
	if (vm->accel->thread_fini)
		vm->accel->thread_fini(vm->accel_state);
	vm->end_ns = vm_clock_ns();
	atomic_store(&vm->done, true);
	pthread_kill(vm->starter, SIGUSR1);
	return NULL;
}
