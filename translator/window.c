/*
 * Which window, branch table and software TLB translated code has: they follow the privilege and the address space.
 */
#include "translator/internal.h"

#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HWCAP2_FSGSBASE_BIT (1 << 1)

void window_init(struct tc *tc)
{
	for (unsigned user = 0; user < 2; user++)
		tc->softtlb[user] = mmu_softtlb(tc->mmu, user);
	tc->fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
}

static void write_gs_base(const struct tc *tc, uint64_t base)
{
	if (tc->fsgsbase)
		__asm__ volatile("wrgsbase %0" : : "r"(base));
	else
		syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}

void window_set(struct tc *tc, bool user, uint64_t base)
{
	if (base == tc->x.window)
		return;
	tc->x.window = base;
	write_gs_base(tc, base);
	tc->x.tlb = (uintptr_t)tc->softtlb[user] + TLB_BIAS;
}
