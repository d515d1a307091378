/* Inside the VM: what vm.c, vcpu.c, bus.c and the accelerators share. */
#ifndef RINGFENCE_MONITOR_VM_INTERNAL_H
#define RINGFENCE_MONITOR_VM_INTERNAL_H

#include "monitor/boot.h"
#include "monitor/vm.h"

#include <pthread.h>
#include <stdatomic.h>

/* Why a run of guest code came back; the values are the translator's. */
enum run_exit { RUN_KICK, RUN_HALT, RUN_SHUTDOWN, RUN_ERROR, RUN_DEBUG };

/*
 * A way to run guest code. `thread_init`, `thread_fini` and `run` are called on the vCPU thread, `kick` on any
 * thread, `flush` (at reset) on the vCPU thread outside `run`.
 */
struct accel {
	const char *name;
	void *(*create)(struct vm *, char *err, size_t errlen);
	void (*destroy)(void *);
	bool (*thread_init)(void *, char *err, size_t errlen);
	void (*thread_fini)(void *); /* may be null */
	enum run_exit (*run)(void *);
	void (*kick)(void *);
	void (*flush)(void *);
	void (*stats)(void *, FILE *);
	/* Stop (RUN_DEBUG) before the instruction at any of these linear addresses, ascending; outside `run`. Null: it cannot,
	 * debug.c runs the guest while there are any. */
	void (*set_breakpoints)(void *, const uint32_t *lin, unsigned n);
	/* Events are looked at (vm->cpu.watch): see to it that the interpreter meets them all. Null: as for set_breakpoints. */
	void (*set_watched)(void *, bool on);
};
extern const struct accel accel_interp, accel_dbt;

/* Requests to the vCPU thread. */
enum { REQUEST_RESET = 1, REQUEST_SHUTDOWN = 2, REQUEST_QUIT = 4, REQUEST_WORK = 8 };

/* The serial ports with a monitor behind each, debugcon, the monitors and QMP. */
enum { VM_MAX_CHARDEVS = 2 * OPTIONS_MAX_SERIAL + 1 + 2 * OPTIONS_MAX_MONITORS };

struct vm {
	struct options options;
	struct boot boot;
	struct physmap *map;
	struct machine *machine;
	struct cpu cpu;
	struct mmu *mmu;
	const struct accel *accel;
	void *accel_state;

	struct chardev *serial[OPTIONS_MAX_SERIAL]; /* the ports' front-end slots */
	struct chardev *debugcon;
	struct chardev *opened[VM_MAX_CHARDEVS]; /* everything to start and close, in order */
	struct opened {
		char label[24];
		const char *spec;
	} opened_as[VM_MAX_CHARDEVS];
	unsigned opened_count;
	struct monitors *monitors; /* null: none */
	struct held_keys *held_keys; /* hmp_keys.c */

	struct run_control *run;
	struct debug *debug;
	struct gdb *gdb;
	pthread_t thread;
	bool thread_running, machine_running;
	atomic_uint requests;
	atomic_int exit_code;
	pthread_t starter; /* the thread in vm_wait */
	atomic_bool done;  /* the vCPU thread has ended; SIGUSR1 to the starter says so */
	/* A halted vCPU sleeps here. The lock is a leaf: nothing is taken while it is held. */
	pthread_mutex_t sleep_lock;
	pthread_cond_t sleep_cond;
	bool woken; /* guarded by sleep_lock */

	uint64_t interrupts, nmis, resets, ports_in, ports_out; /* vCPU thread */
	int64_t start_ns, halt_ns;
	int64_t run_ns, end_ns; /* when the guest began, and when it was over; 0: not yet */
	int64_t paused_ns, work_ns; /* standing still; carrying out what monitors ask */
};

/* vm.c */
void vm_request(struct vm *, unsigned request, int exit_code);

/* vcpu.c */
void *vcpu_main(void *vm);
/* Something may have happened that the vCPU must look at; any thread. */
void vcpu_kick(struct vm *);

/* debug.c */
struct debug *debug_create(void);
void debug_destroy(struct debug *);
/* Must the guest run instruction by instruction now? Then by debug_run instead of the accelerator. */
bool debug_active(struct vm *);
enum run_exit debug_run(struct vm *);
/* The accelerator stopped at a breakpoint. False: the guest goes on (it was for `next`, but the call has not come back yet). */
bool debug_stopped(struct vm *);
/* The guest is about to run: changes of mode are those from now on. */
void debug_event_begin(struct vm *);
/* Power-on: what was held is forgotten. */
void debug_reset(struct vm *);
/* Asked while events are looked at, by what takes interrupts: is the guest about to stop, or does it stop for this one? */
bool debug_stopping(const struct vm *);
bool debug_hold_interrupt(struct vm *, unsigned vector);
bool debug_hold_nmi(struct vm *);

/* interp.c: take an NMI or an interrupt if one may be taken here; true: one was delivered. */
bool vm_take_event(struct vm *);

/* bus.c: the processor's side of the machine */
extern const struct cpu_ops vm_cpu_ops;
/* bus_lean.c: its members that touch no vector register */
bool bus_lean_in(struct cpu *, uint16_t port, unsigned size, uint32_t *value);
bool bus_lean_out(struct cpu *, uint16_t port, unsigned size, uint32_t value);
bool bus_lean_load_cr3(struct cpu *, uint32_t value);
bool bus_lean_invlpg(struct cpu *, gva_t);
bool vm_interrupt_pending(void *vm);
int vm_interrupt_ack(void *vm);
bool vm_nmi_pending(void *vm);
bool vm_nmi_ack(void *vm);

/* console.c: character devices of the command line */
bool console_open(struct vm *, char *err, size_t errlen);
void console_close(struct vm *);

/* vm.c: the log's classes have changed; vCPU thread, outside of `run` */
void vm_log_changed(struct vm *);
/* -d exec and cpu for who interprets: an instruction is about to be executed. */
void vm_log_step(struct vm *);

/* vm.c: the translation cache; null with -accel interp */
struct tc *vm_tc(const struct vm *);

/* stats.c */
int64_t vm_clock_ns(void);
void vm_print_stats(struct vm *, FILE *);
uint64_t stats_process_kib(const char *name); /* a line of /proc/self/status */

/* One kind of interpreted instruction and how often; the name is "0f 22 /3": opcode and ModR/M's reg field. */
struct kind_count {
	char name[16];
	uint64_t count;
};
/* The most frequent ones, descending; returns how many were filled in. */
unsigned stats_top_kinds(const struct vm *, struct kind_count *, unsigned max);

/* stats_json.c: the same as one line of JSON, for programs */
void vm_print_stats_json(struct vm *, FILE *);
/* At exit: as -d asks. */
void vm_print_final_stats(struct vm *, FILE *);

#endif
