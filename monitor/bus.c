/*
 * The processor's side of the machine: what struct cpu_ops and struct tc_ops lead to, with the log
 * in between. Everything here runs on the vCPU thread.
 */
#include "monitor/log.h"
#include "monitor/vm_internal.h"
#include "translator/translator.h"

static struct vm *vm_of(struct cpu *c)
{
	return c->ops_ctx;
}

static uint32_t bus_in(struct cpu *c, uint16_t port, unsigned size)
{
	struct vm *vm = vm_of(c);
	vm->ports_in++;
	if (log_on(LOG_GUEST_ERRORS) && !machine_port_assigned(vm->machine, port, size))
		log_line(LOG_GUEST_ERRORS, "Invalid read at port 0x%04x, size %u", port, size);
	uint32_t value = machine_in(vm->machine, port, size);
	log_line(LOG_IOPORT, "in  %04x.%u -> %0*x", port, size, (int)size * 2, value);
	return value;
}

static void bus_out(struct cpu *c, uint16_t port, unsigned size, uint32_t value)
{
	struct vm *vm = vm_of(c);
	vm->ports_out++;
	if (log_on(LOG_GUEST_ERRORS) && !machine_port_assigned(vm->machine, port, size))
		log_line(LOG_GUEST_ERRORS, "Invalid write at port 0x%04x, size %u, value 0x%x", port, size, value);
	log_line(LOG_IOPORT, "out %04x.%u <- %0*x", port, size, (int)size * 2, value);
	machine_out(vm->machine, port, size, value);
}

static void bus_paging_changed(struct cpu *c, bool flush, bool global)
{
	log_line(LOG_MMU, "paging: cr0 %08x cr3 %08x cr4 %08x efer %x%s%s", c->cr0,
		 (unsigned)c->cr3, c->cr4, (unsigned)c->efer, flush ? " flush" : "",
		 global ? " global" : "");
	mmu_paging_changed(vm_of(c)->mmu, flush, global);
}

static void bus_invlpg(struct cpu *c, gva_t at)
{
	log_line(LOG_MMU, "invlpg: %08llx", (unsigned long long)at.v);
	mmu_invlpg(vm_of(c)->mmu, at);
}

static void bus_apic_base(struct cpu *c)
{
	machine_apic_base(vm_of(c)->machine, c->msr.apic_base);
}

static void bus_ferr(struct cpu *c, bool level)
{
	machine_ferr(vm_of(c)->machine, level);
}

static bool bus_rdmsr(struct cpu *c, uint32_t index, uint64_t *value)
{
	log_line(LOG_UNIMP, "rdmsr %08x at %08x: not implemented", index, (unsigned)c->rip);
	return false;
}

static bool bus_wrmsr(struct cpu *c, uint32_t index, uint64_t value)
{
	log_line(LOG_UNIMP, "wrmsr %08x <- %016llx at %08x: not implemented", index,
		 (unsigned long long)value, (unsigned)c->rip);
	return false;
}

/* QEMU's format. A soft interrupt's EIP is the one behind it, which the stack gets. */
static void bus_delivering(struct cpu *c, const struct cpu_delivery *d)
{
	static unsigned count;
	struct vm *vm = vm_of(c);
	if (vm_tc(vm) && d->kind != EVENT_SOFT)
		tc_trace_delivery(vm_tc(vm), d);
	FILE *f = log_begin(LOG_INT);
	if (!f)
		return;
	fprintf(f, "%6u: v=%02x e=%04x i=%d cpl=%u IP=%04x:%08x pc=%08x SP=%04x:%08x", count++, d->vector,
		d->error, d->kind == EVENT_SOFT, c->cpl, c->seg[S_CS].sel, d->eip,
		(unsigned)c->seg[S_CS].base + d->eip, c->seg[S_SS].sel, (unsigned)c->gpr[R_ESP]);
	if (d->vector == EXC_PF && d->kind == EVENT_EXCEPTION)
		fprintf(f, " CR2=%08x\n", (unsigned)c->cr2);
	else
		fprintf(f, " EAX=%08x\n", (unsigned)c->gpr[R_EAX]);
	cpu_dump(c, f, log_on(LOG_FPU) ? CPU_DUMP_FPU : 0);
	log_end(f);
}

static void bus_transferring(struct cpu *c, const struct cpu_transfer *t)
{
	static const char *const task[] = {"jmp", "call", "iret", "event"};
	static const char *const word[] = {"ljmp", "lcall", "lret", "iret"};
	FILE *f = log_begin(LOG_PCALL);
	if (!f)
		return;
	if (t->kind == TRANSFER_TASK)
		fprintf(f, "switch_tss: sel=0x%04x by %s, old eip=%08x\n", t->sel, task[t->detail & 3], t->eip);
	else
		fprintf(f, "%s %04x:%08x s=%u addend=0x%x\n", word[t->kind], t->sel, t->eip, t->size / 2 - 1,
			t->detail);
	cpu_dump(c, f, 0);
	log_end(f);
}

/* PAE's page-directory pointers are read by physical address. */
static void bus_read_phys(struct cpu *c, gpa_t at, void *out, unsigned len)
{
	physmap_read(vm_of(c)->map, at, out, len);
}

const struct cpu_ops vm_cpu_ops = {
	.read = mmu_op_read,
	.write = mmu_op_write,
	.probe = mmu_op_probe,
	.fetch = mmu_op_fetch,
	.read_phys = bus_read_phys,
	.in = bus_in,
	.out = bus_out,
	.paging_changed = bus_paging_changed,
	.invlpg = bus_invlpg,
	.apic_base_changed = bus_apic_base,
	.ferr = bus_ferr,
	.rdmsr = bus_rdmsr,
	.wrmsr = bus_wrmsr,
	.delivering = bus_delivering,
	.transferring = bus_transferring,
	.lean_in = bus_lean_in,
	.lean_out = bus_lean_out,
	.lean_load_cr3 = bus_lean_load_cr3,
	.lean_invlpg = bus_lean_invlpg,
};

bool vm_interrupt_pending(void *opaque)
{
	struct vm *vm = opaque;
	return machine_interrupt_pending(vm->machine);
}

int vm_interrupt_ack(void *opaque)
{
	struct vm *vm = opaque;
	if (vm->cpu.watch && debug_stopping(vm))
		return -1;
	int vector = machine_interrupt_ack(vm->machine);
	if (vector < 0)
		return vector;
	vm->interrupts++;
	log_line(LOG_INT, "Servicing hardware INT=0x%02x", vector);
	return vm->cpu.watch && debug_hold_interrupt(vm, (unsigned)vector) ? -1 : vector;
}

bool vm_nmi_pending(void *opaque)
{
	struct vm *vm = opaque;
	return machine_nmi_pending(vm->machine);
}

bool vm_nmi_ack(void *opaque)
{
	struct vm *vm = opaque;
	if (vm->cpu.watch && debug_hold_nmi(vm))
		return false;
	if (!machine_nmi_ack(vm->machine))
		return false;
	vm->nmis++;
	log_line(LOG_INT, "Servicing NMI");
	return true;
}
