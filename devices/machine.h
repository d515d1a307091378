/*
 * Inside devices/: the machine the chips are plugged into.
 *
 * A chip's constructor takes the `struct machine`, allocates its state with machine_alloc (freed
 * with the machine), registers its ports, MMIO, timers and reset hook, and from then on is only
 * called back.
 *
 * Invariants:
 *  - ports, MMIO regions and reset hooks are registered while the machine is created, never
 *    later, so the dispatch tables are read without the lock;
 *  - everything a chip is called with (port, MMIO, line, timer, watch, reset) runs under the
 *    machine lock;
 *  - interrupt state reaches the vCPU thread only through the two atomics `intr` and `nmi`.
 */
#ifndef RINGFENCE_DEVICES_MACHINE_H
#define RINGFENCE_DEVICES_MACHINE_H

#include "devices/devices.h"
#include "mmu/mmu.h"

#include <pthread.h>
#include <stdatomic.h>

#define NS_PER_SEC 1000000000ll

/* ISA interrupt numbers with a fixed meaning. */
enum { IRQ_PIT = 0, IRQ_KBD = 1, IRQ_CASCADE = 2, IRQ_RTC = 8, IRQ_SCI = 9, IRQ_FPU = 13 };
enum { ISA_IRQS = 16 };

/*
 * Periodic timers never fire more often than this, whatever the guest programs: a guest
 * must not be able to keep the I/O thread (and the host) busy. Counters still read exactly.
 */
#define MACHINE_MIN_PERIOD_NS 20000

/* ---- port dispatch (ioport.c) ---- */
struct io_region {
	uint16_t base;
	unsigned count;
	const struct io_ops *ops;
	void *opaque;
	io_lean_read *lean_read; /* null: none */
};
enum { IO_REGIONS_MAX = 64, IO_PORTS = 65536 };

/* ---- virtual time (clock.c) ---- */
struct timer {
	struct machine *m;
	void (*fn)(void *opaque);
	void *opaque;
	int64_t deadline;
	size_t pos;	    /* place in the heap, from 1; 0: not set */
	struct timer *next; /* of all timers */
};

struct clock {
	/* CLOCK_RUNNING, or the virtual time at which the clock stands still */
	_Atomic int64_t frozen;
	_Atomic int64_t offset; /* CLOCK_MONOTONIC minus virtual time while running */
	bool fake;		/* tests: `frozen` is the time, moved by machine_clock_advance */
	struct timer **heap;	/* binary heap by deadline, heap[1] is next */
	size_t count, capacity;
	struct timer *all; /* freed with the machine, if not before */
	size_t timers;	   /* how many */
};
/* The lean path's view of it (lean_clock.c). */
struct lean_clock {
	uint64_t tsc;	/* of the host, when it was last set */
	int64_t ns;	/* virtual time then */
	int64_t offset; /* clock.offset then */
	uint64_t rate;	/* nanoseconds a tick, times 2^32; 0: not known yet */
	uint64_t from_tsc; /* where the rate is being measured from */
	int64_t from_ns;
};
#define CLOCK_RUNNING INT64_MIN
#define CLOCK_NEVER   INT64_MAX

/* ---- the I/O thread (iothread.c) ---- */
struct watch {
	struct machine *m;
	int fd;
	short events;
	bool dead; /* freed during dispatch; reaped afterwards */
	void (*fn)(void *opaque, short revents);
	void *opaque;
	struct watch *next;
};

struct iothread {
	pthread_t thread;
	bool started, stop;
	int wakeup;	     /* eventfd */
	int alarm;	     /* timerfd */
	int64_t sleep_until; /* virtual deadline the thread sleeps towards; CLOCK_NEVER: none;
				INT64_MIN: awake */
	struct watch *watches;
};

struct reset_hook {
	void (*fn)(void *opaque);
	void *opaque;
	struct reset_hook *next;
};

struct mmio_region;

/* ---- messages between I/O APIC and local APIC (the APIC bus) ---- */
enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};
struct apic_message {
	uint8_t dest;
	bool logical;
	bool level; /* trigger mode */
	enum apic_delivery delivery;
	uint8_t vector;
};

struct lapic;
struct ioapic;
struct i8259;
struct i8254;
struct rtc;
struct acpi;
struct pci_bus;
struct ferr;

struct machine {
	struct machine_config config;
	struct physmap *physmap;
	struct machine_ops ops;
	/* Recursive: a device's DMA may hit another device's MMIO, and the program above calls in
	 * from its event callbacks, which already run under the lock. */
	pthread_mutex_t lock;

	/* what the vCPU thread polls */
	_Atomic bool intr, nmi;

	uint8_t io_map[IO_PORTS]; /* port -> index into io_regions; 0: unassigned */
	struct io_region io_regions[IO_REGIONS_MAX];
	unsigned io_count;

	struct clock clock;
	struct lean_clock lean_clock; /* vCPU thread */
	struct iothread io;
	struct reset_hook *reset_hooks, **reset_tail;
	struct mmio_region *mmio;
	void **allocations; /* machine_alloc: freed with the machine */
	size_t allocation_count;

	/* interrupt wiring (machine.c) */
	bool lapic_intr; /* the local APIC has a vector for the processor */
	bool extint;	 /* the 8259 pair's INTR reaches the processor */
	bool pic_out;
	uint64_t lapic_served[256]; /* by vector, for the debug monitor */
	bool nmi_masked, nmi_waiting; /* port 70h bit 7 */
	bool a20;

	struct lapic *lapic;
	struct ioapic *ioapic;
	struct i8259 *pic;
	struct i8254 *pit;
	struct rtc *rtc;
	struct acpi *acpi;
	struct pci_bus *pci;
	struct ferr *ferr;
	struct uart16550 *serial[4]; /* uart16550.c: two of them share an interrupt line */
	void *keyboard;		     /* i8042.c's state, for machine_key */
	gpa_t rsdp;
};

/* ---- building blocks for chips ---- */

/* Zeroed memory that lives as long as the machine; null when the host is out of memory. */
void *machine_alloc(struct machine *, size_t bytes);
/* Called by machine_reset under the lock, in the order of registration; false: out of memory. */
bool machine_on_reset(struct machine *, void (*fn)(void *opaque), void *opaque);
/* The line to ISA interrupt `irq`: the 8259 pair's input and the I/O APIC's pin at once. */
struct line machine_irq(struct machine *, unsigned irq);
/* Ask the program above for a reset, power-off or exit. */
void machine_request(struct machine *, enum machine_event, int code);
/* The A20 gate is one wire with two hands on it (port 92h and the keyboard controller): the last
 * one to move it wins. */
void machine_set_a20(struct machine *, bool on);
static inline bool machine_a20(const struct machine *m)
{
	return m->a20;
}
/* Port 70h bit 7. */
void machine_mask_nmi(struct machine *, bool masked);

/* MMIO whose handlers run under the machine lock; null: out of memory. */
struct mmio_region *machine_add_mmio(struct machine *, gpa_t base, uint64_t len,
				     const struct mmio_ops *, void *opaque);
void machine_move_mmio(struct mmio_region *, gpa_t base, bool enabled);

/* The APIC bus: a message from the I/O APIC to the local APIC; an EOI for a level-triggered vector
 * back. */
void machine_apic_send(struct machine *, const struct apic_message *);
void machine_apic_eoi(struct machine *, uint8_t vector);
/* The local APIC's answers to its pins. */
void machine_set_lapic_intr(struct machine *, bool level);
void machine_set_extint(struct machine *, bool level);
void machine_raise_nmi(struct machine *); /* to the processor, past all masks */

/* ---- module life cycle, called by machine.c ---- */
bool clock_init(struct machine *);
void clock_fini(struct machine *);
/* Run timers that are due (at most a bounded number); returns the next deadline or CLOCK_NEVER.
 * Lock held. */
int64_t clock_run(struct machine *);
/* lean_clock.c: after a full read of the clock, and instead of one; false: not now. The latter with general registers only. */
void machine_clock_sample(struct machine *);
bool machine_lean_now(const struct machine *, int64_t *ns);
bool iothread_init(struct machine *);
void iothread_fini(struct machine *);
/* The watches changed, or the clock runs again: have the I/O thread look. Lock held. */
void iothread_poke(struct machine *);
/* A timer has this deadline now: the I/O thread must be awake by then. Lock held. */
void iothread_wake_at(struct machine *, int64_t deadline);
void mmio_fini(struct machine *);

/* ---- for tests ---- */
/* Take the clock off the host: time stands at 0 until it is advanced. Before any timer is set. */
void machine_clock_fake(struct machine *);
/* Move fake time forward, running timers at their deadlines on the way. */
void machine_clock_advance(struct machine *, int64_t ns);

#endif
