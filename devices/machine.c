/*
 * The machine: owns the chips and the wires between them.
 *
 *   ISA IRQ n ----+---> 8259 pair --INTR--+--> LINT0 of the local APIC --ExtINT--+
 *                 |                       +--> (APIC disabled) directly ---------+--> intr flag -->
 * vCPU |                       +--> pin 0 of the I/O APIC             |
 *                 +---> I/O APIC pin n --APIC bus--> local APIC --vector---------+
 *                       (IRQ 0: pin 2)
 *
 * The vCPU polls one atomic flag, which says "an INTA cycle would now give a vector". It is
 * recomputed under the lock whenever one of its two inputs moves, and the vCPU is kicked only when
 * it rises.
 *
 * There is no firmware: reset leaves the chips as a PC BIOS would hand them to an operating system.
 */
#include "devices/machine.h"

#include "devices/chips.h"

#include <stdio.h>
#include <stdlib.h>

void machine_lock(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
}

void machine_unlock(struct machine *m)
{
	pthread_mutex_unlock(&m->lock);
}

void *machine_alloc(struct machine *m, size_t bytes)
{
	void **list = realloc(m->allocations, (m->allocation_count + 1) * sizeof(*list));

	if (!list)
		return NULL;
	m->allocations = list;
	void *p = calloc(1, bytes);
	if (p)
		list[m->allocation_count++] = p;
	return p;
}

bool machine_on_reset(struct machine *m, void (*fn)(void *opaque), void *opaque)
{
	struct reset_hook *h = machine_alloc(m, sizeof(*h));

	if (!h)
		return false;
	*h = (struct reset_hook){fn, opaque, NULL};
	*m->reset_tail = h;
	m->reset_tail = &h->next;
	return true;
}

void machine_request(struct machine *m, enum machine_event event, int code)
{
	if (m->ops.event)
		m->ops.event(m->ops.ctx, event, code);
}

void machine_set_a20(struct machine *m, bool on)
{
	if (m->a20 != on) {
		m->a20 = on;
		physmap_set_a20(m->physmap, on);
	}
}

/* ---- the processor's interrupt pins ---- */

static void kick(struct machine *m)
{
	if (m->ops.kick)
		m->ops.kick(m->ops.ctx);
}

static void update_intr(struct machine *m)
{
	bool level = m->lapic_intr || m->extint;
	bool before = atomic_exchange(&m->intr, level);

	if (level && !before)
		kick(m);
}

void machine_set_lapic_intr(struct machine *m, bool level)
{
	m->lapic_intr = level;
	update_intr(m);
}

void machine_set_extint(struct machine *m, bool level)
{
	m->extint = level;
	update_intr(m);
}

void machine_raise_nmi(struct machine *m)
{
	if (!atomic_exchange(&m->nmi, true))
		kick(m);
}

bool machine_interrupt_pending(const struct machine *m)
{
	return atomic_load_explicit(&m->intr, memory_order_acquire);
}

int machine_interrupt_ack(struct machine *m)
{
	int vector = -1;

	machine_lock(m);
	if (m->lapic_intr)
		vector = lapic_ack(m->lapic);
	if (vector >= 0)
		m->lapic_served[vector & 0xff]++;
	if (vector < 0 && m->extint) {
		vector = i8259_ack(m->pic);
		lapic_extint_done(m->lapic);
	}
	machine_unlock(m);
	return vector;
}

bool machine_nmi_pending(const struct machine *m)
{
	return atomic_load_explicit(&m->nmi, memory_order_acquire);
}

bool machine_nmi_ack(struct machine *m)
{
	return atomic_exchange(&m->nmi, false);
}

/* The board's NMI is LINT1; port 70h bit 7 is a gate in front of it. */
static void pulse_lint1(struct machine *m)
{
	lapic_set_lint(m->lapic, 1, true);
	lapic_set_lint(m->lapic, 1, false);
}

void machine_inject_nmi(struct machine *m)
{
	machine_lock(m);
	if (m->nmi_masked)
		m->nmi_waiting = true;
	else
		pulse_lint1(m);
	machine_unlock(m);
}

void machine_mask_nmi(struct machine *m, bool masked)
{
	m->nmi_masked = masked;
	if (!masked && m->nmi_waiting) {
		m->nmi_waiting = false;
		pulse_lint1(m);
	}
}

/* ---- wiring ---- */

static void isa_irq(void *opaque, unsigned irq, bool level)
{
	struct machine *m = opaque;

	i8259_set_irq(m->pic, irq, level);
	ioapic_set_pin(m->ioapic, irq == IRQ_PIT ? 2 : irq, level);
}

struct line machine_irq(struct machine *m, unsigned irq)
{
	return (struct line){isa_irq, m, irq};
}

static void pic_intr(void *opaque, unsigned n, bool level)
{
	struct machine *m = opaque;

	m->pic_out = level;
	lapic_set_lint(m->lapic, 0, level);
	ioapic_set_pin(m->ioapic, 0, level);
}

void machine_apic_send(struct machine *m, const struct apic_message *msg)
{
	lapic_receive(m->lapic, msg);
}

void machine_apic_eoi(struct machine *m, uint8_t vector)
{
	ioapic_eoi(m->ioapic, vector);
}

void machine_apic_base(struct machine *m, uint64_t value)
{
	machine_lock(m);
	lapic_set_base(m->lapic, value);
	machine_unlock(m);
}

void machine_ferr(struct machine *m, bool level)
{
	machine_lock(m);
	ferr_set(m->ferr, level);
	machine_unlock(m);
}

void machine_power_button(struct machine *m)
{
	machine_lock(m);
	acpi_power_button(m->acpi);
	machine_unlock(m);
}

void machine_key(struct machine *m, const uint8_t *bytes, unsigned n)
{
	machine_lock(m);
	if (m->keyboard)
		i8042_key(m, bytes, n);
	machine_unlock(m);
}

/* ---- life cycle ---- */

static bool lock_init(struct machine *m)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	bool ok = pthread_mutex_init(&m->lock, &attr) == 0;
	pthread_mutexattr_destroy(&attr);
	return ok;
}

/* The APICs come first: the other chips' lines lead to them. */
static bool create_board(struct machine *m)
{
	return (m->lapic = lapic_new(m)) && (m->ioapic = ioapic_new(m)) &&
	       (m->pic = i8259_new(m, (struct line){pic_intr, m, 0})) &&
	       (m->pit = i8254_new(m, machine_irq(m, IRQ_PIT))) &&
	       (m->rtc = rtc_new(m, machine_irq(m, IRQ_RTC))) && (m->pci = pci_new(m)) &&
	       ports92_new(m) && /* after pci: CF9h lies inside CF8h-CFFh */
	       (m->acpi = acpi_new(m, machine_irq(m, IRQ_SCI))) &&
	       (m->ferr = ferr_new(m, machine_irq(m, IRQ_FPU))) && i8042_new(m);
}

static bool create_options(struct machine *m)
{
	const struct machine_config *c = &m->config;

	for (unsigned i = 0; i < ARRAY_LEN(c->serial); i++)
		if (c->serial[i] && !uart16550_new(m, i, c->serial[i]))
			return false;
	if (c->debugcon &&
	    !debugcon_new(m, c->debugcon_port ? c->debugcon_port : 0xe9, c->debugcon))
		return false;
	return !c->debug_exit || debug_exit_new(m, c->debug_exit_base ? c->debug_exit_base : 0x501,
						c->debug_exit_size ? c->debug_exit_size : 2);
}

struct machine *machine_create(const struct machine_config *config, struct physmap *physmap,
			       const struct machine_ops *ops, char *err, size_t errlen)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m || !lock_init(m)) {
		free(m);
		snprintf(err, errlen, "out of memory for the machine");
		return NULL;
	}
	m->config = *config;
	m->physmap = physmap;
	m->ops = *ops;
	m->reset_tail = &m->reset_hooks;
	m->a20 = true;
	/* machine_destroy undoes whatever part of this was done */
	m->io.wakeup = -1;
	if (!clock_init(m) || !iothread_init(m) || !create_board(m) || !create_options(m)) {
		snprintf(err, errlen,
			 "out of memory or file descriptors for the machine's devices");
		machine_destroy(m);
		return NULL;
	}
	machine_reset(m);
	return m;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	machine_stop(m);
	iothread_fini(m);
	mmio_fini(m);
	clock_fini(m);
	for (size_t i = 0; i < m->allocation_count; i++)
		free(m->allocations[i]);
	free(m->allocations);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void machine_reset(struct machine *m)
{
	machine_lock(m);
	m->nmi_masked = m->nmi_waiting = false;
	for (struct reset_hook *h = m->reset_hooks; h; h = h->next)
		h->fn(h->opaque);
	machine_set_a20(m, true);
	atomic_store(&m->nmi, false);
	bios_area_build(m);
	machine_unlock(m);
}
