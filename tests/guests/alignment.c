/* #AC: CR0.AM, EFLAGS.AC and CPL 3 together. SDM: "Alignment Check Exception (#AC)". */
#include "lib/guest.h"

#define NO_AC "TCG raises no #AC"
static u32 data[16] __attribute__((aligned(64)));

static struct context at(u32 code, u32 offset, bool user, bool ac)
{
	struct context c = user ? user_context(code) : kernel_context(code);

	c.ebx = (u32)data + offset;
	c.eflags |= ac ? AC_ : 0;
	run(&c);
	return c;
}

static void rejects(const char *name, u32 code, u32 offset)
{
	struct context c = at(code, offset, true, true);

	sdm_only(NO_AC);
	expect(&c, name, AC, 0, 0);
}

static void accepts(const char *name, u32 code, u32 offset, bool user, bool ac)
{
	struct context c = at(code, offset, user, ac);

	expect_done(&c, name);
}

static void odd_stack(void)
{
	struct context c = user_context(CODE("pushl %eax"));

	c.esp -= 2;
	c.eflags |= AC_;
	run(&c);
	sdm_only(NO_AC);
	expect(&c, "a push to an odd stack", AC, 0, 0);
}

void guest_main(void)
{
	u32 dword = CODE("movl (%ebx),%eax"), word = CODE("movw %ax,(%ebx)"),
	    byte = CODE("movb (%ebx),%al");

	accepts("AC without CR0.AM", dword, 1, true, true);
	write_cr0(read_cr0() | CR0_AM);
	rejects("a dword at 1", dword, 1);
	rejects("a dword at 2", dword, 2);
	rejects("a word at 1", word, 1);
	odd_stack();
	accepts("a dword at 4", dword, 4, true, true);
	accepts("a word at 2", word, 2, true, true);
	accepts("a byte anywhere", byte, 3, true, true);
	accepts("without EFLAGS.AC", dword, 1, true, false);
	accepts("in ring 0", dword, 1, false, true);
	rejects("a locked operation", CODE("lock incl (%ebx)"), 3);
	rejects("a far pointer at 2 (its offset is a dword)", CODE("lesl (%ebx),%eax"), 2);

	/* Either order of the two checks is allowed. */
	paging_enable();
	struct context c = user_context(dword);

	c.ebx = TEST_VA + 1;
	c.eflags |= AC_;
	run(&c);
	report(c.vector == PF || c.vector == AC, "misaligned access to an absent page faults");
	paging_disable();
	write_cr0(read_cr0() & ~CR0_AM);
}
