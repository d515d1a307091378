/* Putting the virtual machine together, and its end; see vm.h. The run loop is in vcpu.c. */
#include "monitor/crash.h"
#include "monitor/gdb.h"
#include "monitor/host_tsc.h"
#include "monitor/log.h"
#include "monitor/monitors.h"
#include "monitor/run_control.h"
#include "monitor/tc_report.h"
#include "monitor/vm_internal.h"
#include "translator/translator.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct tc *vm_tc(const struct vm *vm)
{
	return vm->accel == &accel_dbt ? vm->accel_state : NULL;
}

void vm_log_changed(struct vm *vm)
{
	if (vm_tc(vm))
		tc_log_changed(vm_tc(vm));
}

/* The first reason to quit gives the exit status. */
void vm_request(struct vm *vm, unsigned request, int exit_code)
{
	if (request & REQUEST_QUIT) {
		int none = -1;
		atomic_compare_exchange_strong(&vm->exit_code, &none, exit_code);
	}
	atomic_fetch_or(&vm->requests, request);
	vcpu_kick(vm);
}

static void on_kick(void *vm)
{
	vcpu_kick(vm);
}

static void on_event(void *vm, enum machine_event event, int code)
{
	switch (event) {
	case MACHINE_RESET:
		vm_request(vm, REQUEST_RESET, 0);
		break;
	case MACHINE_SHUTDOWN:
		vm_request(vm, REQUEST_SHUTDOWN, 0);
		break;
	case MACHINE_EXIT:
		/* All that a process can say; the first -1 would look like "none yet". */
		vm_request(vm, REQUEST_QUIT, code & 0xff);
		break;
	}
}

static bool create_machine(struct vm *vm, char *err, size_t errlen)
{
	const struct options *o = &vm->options;
	struct machine_config config = {
		.ram_below_4g = physmap_below_4g(vm->map),
		.ram_above_4g = physmap_above_4g(vm->map),
		.rtc = o->rtc,
		.debugcon = vm->debugcon,
		.debug_exit = o->debug_exit,
		.debug_exit_base = o->debug_exit_base,
		.debug_exit_size = o->debug_exit_size,
	};
	memcpy(config.serial, vm->serial, sizeof(vm->serial));
	const struct machine_ops ops = {.kick = on_kick, .event = on_event, .ctx = vm};
	vm->machine = machine_create(&config, vm->map, &ops, err, errlen);
	return vm->machine;
}

/* The local APIC's timer counts the crystal (devices/lapic.c: 1 GHz). */
static void on_tsc_asked(struct cpu_model *m)
{
	cpu_model_set_tsc_hz(m, host_tsc_hz(), 1000000000);
}

static bool create_processor(struct vm *vm, char *err, size_t errlen)
{
	const struct mmu_config mmu_config = {.user_windows = 16};
	vm->cpu.ops = &vm_cpu_ops;
	vm->cpu.ops_ctx = vm;
	cpu_model_defer_tsc(&vm->options.cpu, on_tsc_asked);
	vm->cpu.model = &vm->options.cpu;
	cpu_reset(&vm->cpu);
	if (vm->options.log_mask & LOG_STATS)
		vm->cpu.interp_kinds = calloc(CPU_KINDS, sizeof(uint64_t)); /* null: not counted */
	vm->mmu = mmu_create(vm->map, &vm->cpu, &mmu_config, err, errlen);
	if (!vm->mmu)
		return false;
	vm->accel = vm->options.accel.kind == ACCEL_DBT ? &accel_dbt : &accel_interp;
	vm->accel_state = vm->accel->create(vm, err, errlen);
	return vm->accel_state;
}

static bool create(struct vm *vm, char *err, size_t errlen)
{
	struct options *o = &vm->options;
	vm->run = run_control_create(o->start_paused);
	vm->debug = debug_create();
	if (!vm->run || !vm->debug) {
		snprintf(err, errlen, "out of memory");
		return false;
	}
	if (!boot_open(&vm->boot, o->kernel, o->initrd, o->append, o->ram, err, errlen))
		return false;
	vm->map = physmap_create(o->ram, err, errlen);
	if (!vm->map || !console_open(vm, err, errlen) || !create_machine(vm, err, errlen) ||
	    !create_processor(vm, err, errlen))
		return false;
	if (o->tc_report && !tc_report_possible(o->tc_report, err, errlen))
		return false;
	if (o->gdb)
		vm->gdb = gdb_open(vm, o->gdb, err, errlen);
	return vm->gdb || !o->gdb;
}

struct vm *vm_create(const struct options *options, char *err, size_t errlen)
{
	/* struct cpu_fx wants its alignment. */
	struct vm *vm = aligned_alloc(_Alignof(struct vm), sizeof(*vm));
	if (!vm) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	memset(vm, 0, sizeof(*vm));
	vm->options = *options;
	vm->start_ns = vm_clock_ns();
	host_tsc_begin();
	atomic_init(&vm->exit_code, -1);
	pthread_mutex_init(&vm->sleep_lock, NULL);
	pthread_cond_init(&vm->sleep_cond, NULL);
	if (create(vm, err, errlen))
		return vm;
	vm->options.log_mask = 0;
	vm_destroy(vm);
	return NULL;
}

void vm_set_crash_subject(struct vm *vm, void (*clean_up)(void))
{
	const struct crash_subject s = {.cpu = &vm->cpu, .mmu = vm->mmu, .tc = vm_tc(vm), .clean_up = clean_up};
	crash_set_subject(&s);
}

bool vm_start(struct vm *vm, char *err, size_t errlen)
{
	machine_lock(vm->machine);
	for (unsigned i = 0; i < vm->opened_count; i++)
		chardev_start(vm->opened[i], vm->machine);
	if (vm->gdb)
		gdb_start(vm->gdb);
	machine_unlock(vm->machine);
	if (!machine_start(vm->machine, err, errlen))
		return false;
	vm->machine_running = true;
	if (!monitors_start(vm)) {
		snprintf(err, errlen, "cannot start the monitor's thread");
		return false;
	}
	vm->starter = pthread_self();
	int error = pthread_create(&vm->thread, NULL, vcpu_main, vm);
	if (error) {
		snprintf(err, errlen, "cannot start the vCPU thread: %s", strerror(error));
		return false;
	}
	vm->thread_running = true;
	return true;
}

static int vm_exit_code(struct vm *vm)
{
	int code = atomic_load(&vm->exit_code);
	return code < 0 ? 0 : code;
}

void vm_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
}

/* Not poll and a signalfd: the host wakes whoever polls one at every signal of the process, and each fault in the TC is one. */
int vm_wait(struct vm *vm)
{
	sigset_t set;
	int sig;
	vm_signals(&set);
	while (!atomic_load(&vm->done))
		if (!sigwait(&set, &sig) && sig != SIGUSR1)
			vm_request(vm, REQUEST_QUIT, 0);
	return vm_exit_code(vm);
}

/* Only when the guest has run. */
static bool report(struct vm *vm)
{
	const char *path = vm->options.tc_report;
	char err[OPTIONS_ERROR_LEN];
	if (!path || !vm->run_ns)
		return true;
	struct tc_report_job *job = tc_report_begin(vm);
	bool ok = job && tc_report_write(job, path, err, sizeof(err));
	if (!ok)
		fprintf(stderr, "ringfence: %s\n", job ? err : "out of memory for the report");
	tc_report_free_job(job);
	return ok;
}

bool vm_destroy(struct vm *vm)
{
	bool ok;
	if (vm->thread_running) {
		vm_request(vm, REQUEST_QUIT, 0);
		pthread_join(vm->thread, NULL);
	}
	if (vm->machine_running)
		machine_stop(vm->machine);
	monitors_stop(vm);
	/* The devices' output and the terminal first, so that the statistics come after and look
	 * right. */
	console_close(vm);
	gdb_close(vm->gdb, vm_exit_code(vm));
	ok = report(vm);
	if (vm->options.log_mask & LOG_STATS)
		vm_print_final_stats(vm, log_stream());
	free(vm->cpu.interp_kinds);
	if (vm->accel_state)
		vm->accel->destroy(vm->accel_state);
	if (vm->mmu)
		mmu_destroy(vm->mmu);
	machine_destroy(vm->machine);
	if (vm->map)
		physmap_destroy(vm->map);
	boot_close(&vm->boot);
	run_control_destroy(vm->run);
	debug_destroy(vm->debug);
	free(vm->held_keys);
	pthread_cond_destroy(&vm->sleep_cond);
	pthread_mutex_destroy(&vm->sleep_lock);
	free(vm);
	return ok;
}
