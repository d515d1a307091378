/* LOCKed read-modify-writes, CMPXCHG8B and XADD in memory, with faults. */
#include "lib/guest.h"

static u32 cell[4] __attribute__((aligned(64)));

static struct context on_cell(u32 code, u32 value, u32 eax, u32 ecx)
{
	struct context c = kernel_context(code);

	cell[0] = value;
	c.edi = (u32)cell;
	c.eax = eax;
	c.ecx = ecx;
	run(&c);
	return c;
}

static void simple(void)
{
	struct context c;

	c = on_cell(CODE("lock addl %ecx,(%edi)"), 5, 0, 7);
	report(c.vector == DONE && cell[0] == 12, "lock add");
	c = on_cell(CODE("lock decl (%edi)"), 1, 0, 0);
	report(cell[0] == 0 && (c.eflags & ZF_), "lock dec");
	c = on_cell(CODE("lock negl (%edi)"), 5, 0, 0);
	report(cell[0] == -5u && (c.eflags & CF_), "lock neg");
	c = on_cell(CODE("lock notb (%edi)"), 0x1200, 0, 0);
	check_eq(cell[0], 0x12ff, "lock not byte");
	c = on_cell(CODE("lock xaddl %ecx,(%edi)"), 40, 0, 2);
	report(cell[0] == 42 && c.ecx == 40, "lock xadd");
	c = on_cell(CODE("lock xaddw %cx,(%edi)"), 0xffff, 0, 0xabcd0001);
	report(cell[0] == 0 && c.ecx == 0xabcdffff && (c.eflags & CF_), "lock xadd word");
	c = on_cell(CODE("xchgl %ecx,(%edi)"), 3, 0, 4);
	report(cell[0] == 4 && c.ecx == 3, "xchg with memory");
	c = on_cell(CODE("lock cmpxchgl %ecx,(%edi)"), 5, 5, 9);
	report(cell[0] == 9 && (c.eflags & ZF_), "lock cmpxchg that matches");
	c = on_cell(CODE("lock cmpxchgl %ecx,(%edi)"), 5, 6, 9);
	report(cell[0] == 5 && c.eax == 5 && !(c.eflags & ZF_), "lock cmpxchg that does not");
	c = on_cell(CODE("lock cmpxchgb %cl,(%edi)"), 0x1105, 0xff05, 0x22);
	report(cell[0] == 0x1122 && c.eax == 0xff05, "lock cmpxchg byte");
	c = on_cell(CODE("lock btsl %ecx,(%edi)"), 0, 0, 65);
	report(cell[2] == 2 && !(c.eflags & CF_), "lock bts with a bit offset beyond the dword");
	c = on_cell(CODE("btl %ecx,4(%edi)"), 0x80000000, 0, -1u);
	report(c.eflags & CF_, "bt with a negative bit offset");
	c = on_cell(CODE("lock btcl $33,(%edi)"), 0, 0, 0);
	check_eq(cell[0], 2, "lock btc with an immediate wraps in the dword");
}

static void eight_bytes(void)
{
	struct context c = kernel_context(CODE("lock cmpxchg8b (%edi)"));

	cell[0] = 1;
	cell[1] = 2;
	c.edi = (u32)cell;
	c.eax = 1;
	c.edx = 2;
	c.ebx = 3;
	c.ecx = 4;
	run(&c);
	report(cell[0] == 3 && cell[1] == 4 && (c.eflags & ZF_), "cmpxchg8b that matches");
	c = kernel_context(CODE("cmpxchg8b (%edi)"));
	c.edi = (u32)cell;
	c.eflags |= CF_ | SF_ | ZF_;
	run(&c);
	report(c.eax == 3 && c.edx == 4 && !(c.eflags & ZF_), "cmpxchg8b that does not");
	report((c.eflags & (CF_ | SF_)) == (CF_ | SF_), "cmpxchg8b changes ZF only");
	c = kernel_context(CODE(".byte 0x0f,0xc7,0xc8"));
	run(&c);
	expect(&c, "cmpxchg8b with a register", UD, 0, 0);
}

static void faults(void)
{
	struct context c;

	paging_enable();
	write_cr0(read_cr0() | CR0_WP);
	map(0, (u32)frames[0], PTE_P | PTE_U);
	*(u32 *)frames[0] = 5;
	c = kernel_context(CODE("lock cmpxchgl %ecx,(%edi)"));
	c.edi = TEST_VA;
	c.eax = 6;
	run(&c);
	expect(&c, "cmpxchg writes even when it does not match", PF, PFE_P | PFE_W, 0);
	check_eq(c.eax, 6, "EAX is unchanged by the fault");
	c = kernel_context(CODE("lock xaddl %ecx,(%edi)"));
	c.edi = TEST_VA;
	c.ecx = 1;
	run(&c);
	expect(&c, "xadd to a read-only page", PF, PFE_P | PFE_W, 0);
	report(c.ecx == 1 && *(u32 *)frames[0] == 5, "xadd: nothing changed");
	c = kernel_context(CODE("xchgl %ecx,(%edi)"));
	c.edi = TEST_VA;
	c.ecx = 1;
	run(&c);
	expect(&c, "xchg to a read-only page", PF, PFE_P | PFE_W, 0);
	report(c.ecx == 1, "xchg: nothing changed");
	/* A locked operation across two pages, both there. */
	map(0, (u32)frames[0], PTE_P | PTE_W);
	map(1, (u32)frames[4], PTE_P | PTE_W);
	*(u16 *)(frames[0] + 4094) = 0xffff;
	*(u16 *)frames[4] = 0;
	c = kernel_context(CODE("lock incl (%edi)"));
	c.edi = TEST_VA + 4094;
	run(&c);
	report(c.vector == DONE && *(u16 *)(frames[0] + 4094) == 0 && *(u16 *)frames[4] == 1,
	       "lock inc across two pages");
	map(1, 0, 0);
	c = kernel_context(CODE("lock incl (%edi)"));
	c.edi = TEST_VA + 4094;
	run(&c);
	report(c.vector == PF && c.cr2 == TEST_VA + 4096 && *(u16 *)(frames[0] + 4094) == 0,
	       "lock inc into an absent page");
	paging_disable();
}

void guest_main(void)
{
	simple();
	eight_bytes();
	faults();
}
