#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sigjmp_buf escape;
static volatile uintptr_t fault_addr;
static volatile bool fault_write;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	fault_addr = (uintptr_t)info->si_addr;
	fault_write = uc->uc_mcontext.gregs[REG_ERR] & 2;
	siglongjmp(escape, 1);
}

void env_open(struct env *e, uint64_t ram, unsigned users, unsigned budget)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct mmu_config config = {.user_windows = users, .max_mappings = budget};
	char err[200] = "";

	memset(e, 0, sizeof(*e));
	e->pm = physmap_create(ram, err, sizeof(err));
	if (!e->pm)
		fail_msg("physmap_create: %s", err);
	e->m = mmu_create(e->pm, &e->cpu, &config, err, sizeof(err));
	if (!e->m)
		fail_msg("mmu_create: %s", err);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

void env_close(struct env *e)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	mmu_destroy(e->m);
	physmap_destroy(e->pm);
}

static void poke(struct env *e, uint64_t a, const void *value, unsigned len)
{
	if (physmap_kind(e->pm, gpa(a)) == PAGE_ROM)
		memcpy(physmap_host(e->pm, gpa(a), len), value, len);
	else
		physmap_write(e->pm, gpa(a), value, len);
}

void poke32(struct env *e, uint64_t a, uint32_t value)
{
	poke(e, a, &value, 4);
}

void poke64(struct env *e, uint64_t a, uint64_t value)
{
	poke(e, a, &value, 8);
}

uint32_t peek32(struct env *e, uint64_t a)
{
	uint32_t v;

	memcpy(&v, physmap_host(e->pm, gpa(a), 4), 4);
	return v;
}

uint64_t peek64(struct env *e, uint64_t a)
{
	uint64_t v;

	memcpy(&v, physmap_host(e->pm, gpa(a), 8), 8);
	return v;
}

static void load_pdptes(struct env *e)
{
	if (e->cpu.cr4 & CR4_PAE)
		for (unsigned i = 0; i < 4; i++)
			e->cpu.pdpte[i] = peek64(e, (e->cpu.cr3 & ~31u) + 8 * i);
}

void set_paging(struct env *e, uint32_t cr3, uint32_t cr4, bool wp)
{
	e->cpu.cr0 = CR0_PE | CR0_PG | (wp ? CR0_WP : 0);
	e->cpu.cr4 = cr4;
	e->cpu.cr3 = cr3;
	load_pdptes(e);
	mmu_paging_changed(e->m, true, true);
}

bool try_lean;
unsigned lean_done;

static bool lean(bool done)
{
	lean_done += done;
	return done;
}

void flush_page(struct env *e, uint32_t va)
{
	if (!try_lean || !lean(mmu_lean_invlpg(e->m, gva(va))))
		mmu_invlpg(e->m, gva(va));
}

void load_cr3(struct env *e, uint32_t cr3)
{
	if (try_lean && lean(mmu_lean_load_cr3(e->m, cr3)))
		return;
	e->cpu.cr3 = cr3;
	load_pdptes(e);
	mmu_paging_changed(e->m, true, false);
}

/* volatile on purpose: these live across siglongjmp */
static enum touch touch(struct env *e, bool user, uint32_t va, uint32_t *value, bool write)
{
	static const enum touch results[] = {
		[MMU_TRUE_FAULT] = TOUCH_TRUE,
		[MMU_IO] = TOUCH_IO,
		[MMU_CODE_WRITE] = TOUCH_CODE,
		[MMU_USER_PAGE] = TOUCH_USER,
	};
	volatile uint32_t *p = (volatile uint32_t *)(mmu_window_base(e->m, user).v + va);
	volatile unsigned faults = 0;

	for (;;) {
		enum mmu_fill fill;
		bool in_user;
		gva_t at;

		if (sigsetjmp(escape, 1) == 0) {
			if (write)
				*p = *value;
			else
				*value = *p;
			return faults ? TOUCHED_FILLED : TOUCHED;
		}
		assert_true(mmu_window_of(e->m, fault_addr, &in_user, &at));
		assert_int_equal(in_user, user);
		assert_int_equal(fault_write, write);
		fill = mmu_handle_fault(e->m, user, at, write);
		if (fill == MMU_EMULATE)
			continue; /* asked again, it is filled */
		if (fill != MMU_FILLED)
			return results[fill];
		faults++;
		assert_true(faults < 8);
	}
}

enum touch touch_read(struct env *e, bool user, uint32_t va, uint32_t *value)
{
	return touch(e, user, va, value, false);
}

enum touch touch_write(struct env *e, bool user, uint32_t va, uint32_t value)
{
	return touch(e, user, va, &value, true);
}
