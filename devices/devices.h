/*
 * The PC around the processor: buses, lines, clocks, chips, and host backends.
 *
 * One virtual chip per file. A chip is created with the `struct machine` it is
 * plugged into and registers its ports, MMIO and lines there; the machine calls it
 * back. Chips never call each other directly: they meet at lines and buses.
 *
 * Locking: one lock, the machine lock, guards all device state. Port and MMIO
 * handlers, line changes, timer callbacks and fd callbacks all run with it held. The
 * vCPU thread takes it for the length of one port or MMIO access; the I/O thread runs
 * timers and fds under it. Never hold it while running guest code.
 */
#ifndef RINGFENCE_DEVICES_DEVICES_H
#define RINGFENCE_DEVICES_DEVICES_H

#include "cpu/types.h"

#include <stdio.h>

struct machine;
struct physmap;

/* ============ lines (line.c): single-bit signals between chips ============ */

/* A level on a wire; the receiver is told of every set, changed or not. */
typedef void (*line_fn)(void *opaque, unsigned n, bool level);
struct line {
	line_fn fn;
	void *opaque;
	unsigned n;
};
static inline void line_set(const struct line *l, bool level)
{
	if (l->fn)
		l->fn(l->opaque, l->n, level);
}

/* ============ port I/O (ioport.c) ============ */

struct io_ops {
	uint32_t (*read)(void *opaque, uint16_t port, unsigned size);
	void (*write)(void *opaque, uint16_t port, unsigned size, uint32_t value);
	unsigned max_size; /* wider accesses are split into bytes, low first; 0 means 1 */
};
/* Later registrations shadow earlier ones. */
void machine_add_io(struct machine *, uint16_t base, unsigned count, const struct io_ops *, void *opaque);
/*
 * How one byte of the region at `base` is read on the lean path (translator/lean.c): without the lock, by general registers only, no
 * library. False: nothing was done, use io_ops.read. For registers that only the vCPU thread changes.
 */
typedef bool io_lean_read(void *opaque, uint16_t port, uint32_t *value);
void machine_add_lean_read(struct machine *, uint16_t base, io_lean_read *);
/* Called by the vCPU thread without the lock; unassigned ports read all ones. */
uint32_t machine_in(struct machine *, uint16_t port, unsigned size);
/* Is anything behind any byte of the access? */
bool machine_port_assigned(const struct machine *, uint16_t port, unsigned size);
void machine_out(struct machine *, uint16_t port, unsigned size, uint32_t value);
/* The same with general registers only, where the chip can; false: nothing was done. */
bool machine_lean_in(struct machine *, uint16_t port, unsigned size, uint32_t *value);
bool machine_lean_out(struct machine *, uint16_t port, unsigned size, uint32_t value);

/* ============ clock and timers (clock.c) ============ */

/* Nanoseconds of virtual time: monotonic, stops while the VM is stopped. */
int64_t machine_now(struct machine *);
struct timer;
struct timer *machine_timer_new(struct machine *, void (*fn)(void *opaque), void *opaque);
void machine_timer_set(struct timer *, int64_t deadline_ns); /* one shot; replaces an earlier deadline */
void machine_timer_cancel(struct timer *);
void machine_timer_free(struct timer *);

/* ============ I/O thread (iothread.c) ============ */

/* Watch a descriptor; events are POLLIN/POLLOUT. 0 events: keep but do not watch. */
struct watch;
struct watch *machine_watch_new(struct machine *, int fd, short events, void (*fn)(void *opaque, short revents), void *opaque);
void machine_watch_set(struct watch *, short events);
void machine_watch_free(struct watch *);

/* ============ the machine (machine.c) ============ */

enum machine_event { MACHINE_RESET, MACHINE_SHUTDOWN, MACHINE_EXIT };

/* What the machine needs of the program above it. All may be called with the machine lock held, from any thread. */
struct machine_ops {
	/* An interrupt may be pending or gone, or an NMI: have the vCPU look (machine_interrupt_pending). Must be cheap; async-signal-safe not needed. */
	void (*kick)(void *ctx);
	/* Guest asked for reset, power-off, or (isa-debug-exit) exit with `code`. */
	void (*event)(void *ctx, enum machine_event, int code);
	void *ctx;
};

/* -rtc settings */
struct rtc_config {
	bool localtime;
	bool has_base;     /* start at `base` instead of the host's time */
	int64_t base;      /* seconds since the epoch, UTC */
	bool clock_vm;     /* clock=vm: runs with virtual time; else clock=host */
	bool driftfix;
};

struct chardev;
struct machine_config {
	uint64_t ram_below_4g, ram_above_4g;
	struct rtc_config rtc;
	struct chardev *serial[4]; /* null: no such port; owned by the caller */
	struct chardev *debugcon;  /* null: none */
	uint16_t debugcon_port;    /* default 0xe9 */
	bool debug_exit;
	uint16_t debug_exit_base, debug_exit_size; /* defaults 0x501, 2 as in QEMU */
	uint32_t smbios_dummy;
};

struct machine *machine_create(const struct machine_config *, struct physmap *, const struct machine_ops *, char *err, size_t errlen);
void machine_destroy(struct machine *);
void machine_lock(struct machine *);
void machine_unlock(struct machine *);
/* Power-on state of every chip; also rebuilds ROM contents (ACPI tables, RSDP) into the physmap. */
void machine_reset(struct machine *);
/* Start and stop the I/O thread; stop also freezes virtual time (machine_pause). */
bool machine_start(struct machine *, char *err, size_t errlen);
void machine_stop(struct machine *);
void machine_pause(struct machine *, bool paused);
/* Paused: let virtual time be later by `ns`. Timers that become due run when it goes on. */
void machine_advance(struct machine *, int64_t ns);

/*
 * Interrupts, as the processor sees them. pending: INTR from the local APIC or (when it passes ExtINT / is disabled) the 8259 pair.
 * Lock-free and cheap. ack: returns the vector (INTA cycle), or -1 when there is none any more.
 */
bool machine_interrupt_pending(const struct machine *);
int machine_interrupt_ack(struct machine *);
/* NMI latch: true once for each NMI. */
bool machine_nmi_pending(const struct machine *);
bool machine_nmi_ack(struct machine *);
/* FERR# from the processor (CR0.NE = 0): IRQ 13. */
void machine_ferr(struct machine *, bool level);
/* IA32_APIC_BASE written. Returns false when the value is not allowed (#GP). */
void machine_apic_base(struct machine *, uint64_t value);
/* e820: fills up to `max` entries, returns their number. Types as in ACPI: 1 RAM, 2 reserved, 3 ACPI. */
struct e820_entry {
	uint64_t base, len;
	uint32_t type;
} __attribute__((packed));
unsigned machine_e820(const struct machine *, struct e820_entry *, unsigned max);
/* Physical address of the RSDP (in the BIOS area). */
gpa_t machine_rsdp(const struct machine *);

/* ACPI power button, keyboard, NMI from the debug monitor. */
void machine_power_button(struct machine *);
void machine_inject_nmi(struct machine *);
/* One PS/2 set-2 scan code byte string from a virtual keyboard. */
void machine_key(struct machine *, const uint8_t *bytes, unsigned n);
/* Movement of the PS/2 mouse (dy upwards, dz the wheel) and its buttons: 1 left, 2 right, 4 middle. */
void machine_mouse(struct machine *, int dx, int dy, int dz, unsigned buttons);

/* ---- for the debug monitor (inspect.c): text about the state, in QEMU's format; they take the lock ---- */
void machine_print_pic(struct machine *, FILE *);
void machine_print_lapic(struct machine *, FILE *);
void machine_print_irqs(struct machine *, FILE *);
void machine_print_ports(struct machine *, FILE *);
bool machine_a20_enabled(struct machine *);

/* ============ character devices: host backends (chardev*.c) ============ */

/*
 * A byte stream to the host. Front ends (UART, debugcon, monitor) attach to it.
 * Specs, QEMU's words: stdio, mon:stdio, file:PATH, unix:PATH[,server=on|off][,wait=on|off], tcp:HOST:PORT[,server=on|off][,wait=on|off][,nodelay=on|off],
 * pty, null, none, vc. Output never blocks the guest for long: a full buffer holds the UART's transmitter.
 */
struct chardev_frontend {
	/* bytes that may be delivered now; 0 pauses reading */
	unsigned (*can_receive)(void *opaque);
	void (*receive)(void *opaque, const uint8_t *, unsigned n);
	void (*writable)(void *opaque); /* room again after a short write */
	void (*event)(void *opaque, int event); /* CHARDEV_BREAK, CHARDEV_OPENED, CHARDEV_CLOSED, CHARDEV_FOCUS */
};
enum { CHARDEV_BREAK, CHARDEV_OPENED, CHARDEV_CLOSED, CHARDEV_FOCUS };

/* Parse and open. Null with a message in err (one line, says what to do). The fds are watched once chardev_start is called. */
struct chardev *chardev_open(const char *spec, char *err, size_t errlen);
/* The same with the name that messages use; chardev_open numbers them serial0, serial1, ... */
struct chardev *chardev_open_labelled(const char *spec, const char *label, char *err, size_t errlen);
/* Watch the fds; stdio becomes raw here, so that messages before it look normal. */
void chardev_start(struct chardev *, struct machine *);
/* Flushes (waits at most 2 s for a host that takes nothing); restores the terminal. Between machine_stop and machine_destroy. */
void chardev_close(struct chardev *);
/* Hand buffered output to the host now, waiting as chardev_close does. Under the lock, or with the I/O thread stopped. */
void chardev_flush(struct chardev *);
/* For a server that talks to one client at a time: while it has one, others are sent `text` (constant) and let go instead of
 * waiting their turn. Other devices: nothing. Before chardev_start. */
void chardev_refuse_others(struct chardev *, const char *text);
void chardev_attach(struct chardev *, const struct chardev_frontend *, void *opaque);
/* Front end got room again: try to deliver more input. */
void chardev_accept_input(struct chardev *);
/* Returns how many bytes were taken. */
unsigned chardev_write(struct chardev *, const uint8_t *, unsigned n);
/* Put the terminal into raw mode / restore it. The second is async-signal-safe and idempotent. */
bool chardev_stdio_raw(bool keep_signals);
void chardev_stdio_restore(void);
/*
 * The Ctrl-A escape of mon:stdio and -nographic (chardev_mux.c): several front ends share one backend; Ctrl-A C goes to the next one,
 * X calls quit, H prints help, B sends a break, S no-op save, T time stamps, Ctrl-A Ctrl-A sends Ctrl-A.
 */
/* Owns the backend and is the first slot; the backend is closed with the last slot. `quit` is called with the machine lock held. */
struct chardev *chardev_mux_new(struct chardev *backend, void (*quit)(void *), void *quit_ctx);
struct chardev *chardev_mux_port(struct chardev *mux); /* a further front-end slot on the same mux */

#endif
