/*
 * The processor's side of the machine: what struct cpu_ops and struct tc_ops lead to, with the log
 * in between. Everything here runs on the vCPU thread.
 */
#include "monitor/log.h"
#include "monitor/vm_internal.h"

static struct vm *vm_of(struct cpu *c)
{
	return c->ops_ctx;
}

static uint32_t bus_in(struct cpu *c, uint16_t port, unsigned size)
{
	struct vm *vm = vm_of(c);
	vm->ports_in++;
	uint32_t value = machine_in(vm->machine, port, size);
	log_line(LOG_IOPORT, "in  %04x.%u -> %0*x", port, size, (int)size * 2, value);
	return value;
}

static void bus_out(struct cpu *c, uint16_t port, unsigned size, uint32_t value)
{
	struct vm *vm = vm_of(c);
	vm->ports_out++;
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
};

bool vm_interrupt_pending(void *opaque)
{
	struct vm *vm = opaque;
	return machine_interrupt_pending(vm->machine);
}

int vm_interrupt_ack(void *opaque)
{
	struct vm *vm = opaque;
	int vector = machine_interrupt_ack(vm->machine);
	if (vector >= 0) {
		vm->interrupts++;
		log_line(LOG_INT, "int %02x at %04x:%08x", vector, vm->cpu.seg[S_CS].sel,
			 (unsigned)vm->cpu.rip);
	}
	return vector;
}

bool vm_nmi_pending(void *opaque)
{
	struct vm *vm = opaque;
	return machine_nmi_pending(vm->machine);
}

bool vm_nmi_ack(void *opaque)
{
	struct vm *vm = opaque;
	if (!machine_nmi_ack(vm->machine))
		return false;
	vm->nmis++;
	log_line(LOG_INT, "nmi at %04x:%08x", vm->cpu.seg[S_CS].sel, (unsigned)vm->cpu.rip);
	return true;
}
