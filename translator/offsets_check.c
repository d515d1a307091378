/* Asserts that offsets.h agrees with the structures. */
#include "translator/internal.h"

#define CHECK(macro, type, field) \
	_Static_assert(macro == offsetof(type, field), #macro " is out of date")

CHECK(CPU_GPR, struct cpu, gpr);
CHECK(CPU_RIP, struct cpu, rip);
CHECK(CPU_EFLAGS, struct cpu, eflags);
CHECK(CPU_CPL, struct cpu, cpl);
CHECK(CPU_HALTED, struct cpu, halted);
CHECK(CPU_SHADOW, struct cpu, shadow);
CHECK(CPU_SEG, struct cpu, seg);
CHECK(CPU_TSC_OFFSET, struct cpu, tsc_offset);
CHECK(CPU_CR0, struct cpu, cr0);
CHECK(CPU_CR2, struct cpu, cr2);
CHECK(CPU_CR3, struct cpu, cr3);
CHECK(CPU_CR4, struct cpu, cr4);
CHECK(CPU_SEG_BASE, struct cpu_segment, base);
CHECK(CPU_SEG_SEL, struct cpu_segment, sel);
_Static_assert(CPU_SEG_SIZE == sizeof(struct cpu_segment), "CPU_SEG_SIZE is out of date");

CHECK(TCX_HOST_RSP, struct tcx, host_rsp);
CHECK(TCX_TARGET, struct tcx, target);
CHECK(TCX_KICK, struct tcx, kick);
CHECK(TCX_INTR_WAIT, struct tcx, intr_wait);
CHECK(TCX_WINDOW, struct tcx, window);
CHECK(TCX_IBTC, struct tcx, ibtc);
CHECK(TCX_REASON, struct tcx, reason);
CHECK(TCX_ARG, struct tcx, arg);
CHECK(TCX_STUB_EXIT, struct tcx, stub_exit);
CHECK(TCX_STUB_MISS, struct tcx, stub_miss);
CHECK(TCX_STUB_INTERP, struct tcx, stub_interp);
CHECK(TCX_STUB_LEAVE, struct tcx, stub_leave);
CHECK(TCX_STUB_CHECK, struct tcx, stub_check);
CHECK(TCX_STUB_SYSTEM, struct tcx, stub_system);
CHECK(TCX_COUNT, struct tcx, count);
CHECK(TCX_CPU, struct tcx, cpu);
CHECK(TCX_FX, struct tcx, fx);
CHECK(TCX_STUB_REFILL, struct tcx, stub_refill);
CHECK(TCX_TLB, struct tcx, tlb);
CHECK(TCX_TMP, struct tcx, tmp);
CHECK(TCX_OP, struct tcx, op);
CHECK(TCX_COUNTS, struct tcx, counts);
CHECK(TCX_LOADED, struct tcx, loaded);
CHECK(TCX_LOADED_AT, struct tcx_loaded, at);
CHECK(TCX_LOADED_LO, struct tcx_loaded, minus_lo);
CHECK(TCX_LOADED_HI, struct tcx_loaded, minus_hi);
_Static_assert(TCX_LOADED_SIZE == sizeof(struct tcx_loaded), "TCX_LOADED_SIZE is out of date");

/* xl_lookup.c indexes with MOVZX from 16 bits, scaled by 4 and 8. */
_Static_assert(sizeof(((struct softtlb *)0)->minus_page[0][0]) == 4, "read as [tlb + index * 4]");
_Static_assert(sizeof(((struct softtlb *)0)->delta[0][0]) == 8, "read as [tlb + index * 8]");
_Static_assert(SOFTTLB_SIZE == 65536, "indexed by 16 bits");
_Static_assert(TLB_BIAS == PAGE_SHIFT, "R12's low bits are a shift count");
