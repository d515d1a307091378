/*
 * bus.c for callers that must not touch vector registers (translator/lean.c): built with general registers only, no library. What
 * is to be logged goes the full way.
 */
#include "monitor/log.h"
#include "monitor/vm_internal.h"

bool bus_lean_in(struct cpu *c, uint16_t port, unsigned size, uint32_t *value)
{
	struct vm *vm = c->ops_ctx;

	if (log_on(LOG_IOPORT | LOG_GUEST_ERRORS) || !machine_lean_in(vm->machine, port, size, value))
		return false;
	vm->ports_in++;
	return true;
}

bool bus_lean_out(struct cpu *c, uint16_t port, unsigned size, uint32_t value)
{
	struct vm *vm = c->ops_ctx;

	if (log_on(LOG_IOPORT | LOG_GUEST_ERRORS) || !machine_lean_out(vm->machine, port, size, value))
		return false;
	vm->ports_out++;
	return true;
}

bool bus_lean_load_cr3(struct cpu *c, uint32_t value)
{
	struct vm *vm = c->ops_ctx;

	return !log_on(LOG_MMU) && mmu_lean_load_cr3(vm->mmu, value);
}

bool bus_lean_invlpg(struct cpu *c, gva_t at)
{
	struct vm *vm = c->ops_ctx;

	return !log_on(LOG_MMU) && mmu_lean_invlpg(vm->mmu, at);
}
