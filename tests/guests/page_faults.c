/*
 * 32-bit paging: every combination of the P, W and U bits of both levels, of CR0.WP and of the kind
 * of access, against the rules of SDM "Determination of Access Rights"; error codes, CR2, and the
 * accessed and dirty bits.
 */
#include "lib/guest.h"

enum access { READ, WRITE, RMW, EXEC };
enum { PAGE = 5, VA = TEST_VA + PAGE * 4096, PDE = TEST_VA >> 22 };

static u32 snippets[4];

/* The error code the access must get, or -1 for none. */
static int oracle(u32 pde, u32 pte, bool wp, bool user, enum access how)
{
	u32 both = pde & pte;
	bool write = how == WRITE || how == RMW;
	int error = (write ? PFE_W : 0) | (user ? PFE_U : 0);

	if (!(both & PTE_P))
		return error;
	if (user && !(both & PTE_U))
		return error | PFE_P;
	if (write && !(both & PTE_W) && (user || wp))
		return error | PFE_P;
	return -1;
}

static bool try_one(u32 pde, u32 pte, bool wp, bool user, enum access how)
{
	struct context c = user ? user_context(snippets[how]) : kernel_context(snippets[how]);
	int want = oracle(pde, pte, wp, user, how);

	page_dir[PDE] = (u32)test_table | pde;
	test_table[PAGE] = (u32)frames[0] | pte;
	invlpg(VA);
	c.ebx = VA;
	c.eax = how == RMW ? 0 : 0x7fcd; /* the frame keeps its INT 7Fh */
	run(&c);
	if (want == -1) {
		u32 ad = test_table[PAGE] & (PTE_A | PTE_D);
		bool write = how == WRITE || how == RMW;

		return c.vector == DONE && (page_dir[PDE] & PTE_A) && !(page_dir[PDE] & PTE_D) &&
		       ad == (u32)(PTE_A | (write ? PTE_D : 0));
	}
	/* Where the read half of an RMW faults already, the manual leaves open which half is
	 * reported. */
	if (how == RMW && oracle(pde, pte, wp, user, READ) != -1)
		c.error |= PFE_W;
	return c.vector == PF && c.error == (u32)want && c.cr2 == VA &&
	       c.eip == (how == EXEC ? VA : c.start) && !(test_table[PAGE] & PTE_D);
}

static void permute(bool wp)
{
	static const char *names[2][4] = {
		{"kernel read", "kernel write", "kernel read-modify-write", "kernel fetch"},
		{"user read", "user write", "user read-modify-write", "user fetch"},
	};

	puts(wp ? "CR0.WP set\n" : "CR0.WP clear\n");
	write_cr0(wp ? read_cr0() | CR0_WP : read_cr0() & ~CR0_WP);
	for (u32 user = 0; user < 2; user++) {
		for (u32 how = READ; how <= EXEC; how++) {
			bool ok = true;

			for (u32 bits = 0; bits < 64 && ok; bits++) {
				ok = try_one(bits & 7, bits >> 3, wp, user, how);
				if (!ok)
					check_eq(bits, -1u,
						 "first bad combination, PDE and PTE bits");
			}
			report(ok, names[user][how]);
		}
	}
	page_dir[PDE] = (u32)test_table | PTE_P | PTE_W | PTE_U;
}

static void large_pages(void)
{
	enum { SLOT = 0x50000000 >> 22, AT = 0x50000000 };
	struct context c = kernel_context(CODE("movl (%ebx),%eax\nmovl %eax,4(%ebx)"));

	/* The 4 MiB page that holds the kernel, seen again elsewhere. */
	page_dir[SLOT] = 0 | PTE_PS | PTE_P;
	write_cr0(read_cr0() | CR0_WP);
	c.ebx = AT + (u32)frames[2];
	*(u32 *)frames[2] = 0x5eed;
	invlpg(c.ebx);
	run(&c);
	expect(&c, "write to a read-only 4 MiB page", PF, PFE_P | PFE_W, 2);
	check_eq(c.eax, 0x5eed, "read through a 4 MiB page");
	check_eq(c.cr2, AT + (u32)frames[2] + 4, "CR2 has the byte address");
	check_eq(page_dir[SLOT] & (PTE_A | PTE_D), PTE_A, "4 MiB page: accessed, not dirty");
	page_dir[SLOT] |= PTE_W;
	invlpg(c.ebx);
	c = kernel_context(c.start);
	c.ebx = AT + (u32)frames[2];
	run(&c);
	expect_done(&c, "write to a writable 4 MiB page");
	check_eq(page_dir[SLOT] & (PTE_A | PTE_D), PTE_A | PTE_D, "4 MiB page: dirty");
	page_dir[SLOT] |= 1 << 21;
	invlpg(c.ebx);
	c = user_context(c.start);
	c.ebx = AT;
	run(&c);
	sdm_only("TCG clears P when it sets RSVD");
	expect(&c, "reserved bit 21 of a 4 MiB page: RSVD", PF, PFE_P | PFE_U | PFE_RSVD, 0);
	page_dir[SLOT] = 0;
	write_cr3(read_cr3());
}

/* One access that crosses into the next page: CR2 names the first byte that cannot be reached. */
static void crossing(void)
{
	struct context c;

	map(1, (u32)frames[0], PTE_P | PTE_W | PTE_U);
	map(2, (u32)frames[1], 0);
	c = user_context(CODE("movl %eax,(%ebx)"));
	c.ebx = TEST_VA + 0x1ffe;
	c.eax = 0x11223344;
	memset(frames[0], 0, 4096);
	run(&c);
	expect(&c, "write across into an absent page", PF, PFE_U | PFE_W, 0);
	check_eq(c.cr2, TEST_VA + 0x2000, "CR2 is the start of the absent page");
	check_eq(*(u16 *)(frames[0] + 0xffe), 0, "no part of the write was done");
	c = user_context(CODE("movl (%ebx),%eax"));
	c.ebx = TEST_VA + 0x1ffd;
	run(&c);
	expect(&c, "read across into an absent page", PF, PFE_U, 0);
	check_eq(c.cr2, TEST_VA + 0x2000, "CR2 of the read");
	/* MOV EAX, imm32 with its last two bytes in an absent page. */
	memcpy(frames[0] + 0xffd, "\xb8\x01\x02", 3);
	c = user_context(TEST_VA + 0x1ffd);
	run(&c);
	expect(&c, "instruction that ends in an absent page", PF, PFE_U, 0);
	check_eq(c.cr2, TEST_VA + 0x2000, "CR2 of the fetch");
	map(2, (u32)frames[1], PTE_P | PTE_W | PTE_U);
	memcpy(frames[1], "\x03\x04\xcd\x7f", 4);
	c = user_context(TEST_VA + 0x1ffd);
	run(&c);
	expect(&c, "the same with the page present", DONE, 0, 7);
	check_eq(c.eax, 0x04030201, "its immediate comes from both pages");
}

/* Accesses the processor makes itself are supervisor accesses, whatever the CPL. */
static void implicit(void)
{
	struct context c;
	u64 old = gdt[FREE_SEL / 8];

	map(3, (u32)gdt & ~4095u, PTE_P | PTE_W); /* the page of the GDT, supervisor only */
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) real, alias;

	__asm__ volatile("sgdt %0" : "=m"(real));
	alias.limit = real.limit;
	alias.base = TEST_VA + 3 * 4096 + (real.base & 4095);
	gdt_set(FREE_SEL, 0, 0xfffff, SEG_DATA | DPL3, SEG_G | SEG_B);
	gdt[FREE_SEL / 8] &= ~(1ull << 40); /* not accessed yet */
	if ((real.base & 4095) + sizeof(gdt) <= 4096) {
		__asm__ volatile("lgdt %0" : : "m"(alias));
		c = user_context(CODE("movw %ax,%es"));
		c.eax = FREE_SEL | 3;
		run(&c);
		__asm__ volatile("lgdt %0" : : "m"(real));
		expect_done(&c, "descriptor read from a supervisor page by ring 3");
		report(gdt[FREE_SEL / 8] >> 40 & 1, "accessed bit of the descriptor was written");
	}
	gdt[FREE_SEL / 8] = old;
}

/*
 * Memory that comes page by page: the same instruction faults over and over and goes on where it was. Each page of the region is
 * absent in turn; the handler brings it and notes whether all was as it should be.
 */
enum { REGION_PAGES = 8, FIRST = 16, SOURCE = 32 };

static struct {
	u32 faults, wrong;
	u32 error; /* of writes */
	u32 eip;
	bool moves;
} demand;

static int bring(struct context *c)
{
	u32 page = (c->cr2 - TEST_VA) >> 12;
	bool source = page >= SOURCE;
	u32 next = source ? c->esi : c->edi;

	if (page < FIRST || page >= SOURCE + REGION_PAGES || (!source && page >= FIRST + REGION_PAGES))
		return 0;
	demand.faults++;
	demand.wrong += c->eip != demand.eip || c->cr2 != next || (!on_oracle && !(c->eflags & RF_)) ||
			c->error != (source ? demand.error & ~(u32)PFE_W : demand.error);
	demand.wrong += demand.moves && c->edi - c->esi != (FIRST - SOURCE) * 4096u;
	map(page, (u32)frames[source ? 1 : 2 + (page - FIRST) % 2], PTE_P | PTE_W | PTE_U);
	return 1;
}

static void take_away(void)
{
	for (u32 i = 0; i < REGION_PAGES; i++) {
		map(FIRST + i, 0, 0);
		map(SOURCE + i, 0, 0);
	}
}

/* `elements` of `size` bytes by the string instruction, or whatever it is, that begins the snippet. */
static void by_demand(const char *name, u32 code, u32 skip, u32 elements, u32 size, bool down, bool moves)
{
	u32 pages = elements * size / 4096, bytes = elements * size;
	bool ok = true;

	isr[PF] = bring;
	for (u32 round = 0; round < 8 && ok; round++) {
		struct context c = round & 1 ? kernel_context(code) : user_context(code);
		u32 edge = down ? bytes - size : 0;

		take_away();
		memset(frames[1], 0x33, 4096);
		memset(frames[2], 0, 8192);
		demand.faults = demand.wrong = 0;
		demand.error = PFE_W | (round & 1 ? 0 : PFE_U);
		demand.eip = code + skip;
		demand.moves = moves;
		c.eax = 0x44444444;
		c.ecx = elements;
		c.edi = TEST_VA + FIRST * 4096 + edge;
		c.esi = TEST_VA + SOURCE * 4096 + edge;
		run(&c);
		ok = c.vector == DONE && !demand.wrong && demand.faults == pages * (moves ? 2 : 1) && c.ecx == 0 &&
		     c.edi == TEST_VA + FIRST * 4096 + (down ? -size : bytes) &&
		     *(u32 *)frames[2] == (moves ? 0x33333333 : 0x44444444) && !memcmp(frames[2], frames[2] + 4, 8192 - 4);
	}
	report(ok, name);
	check_eq(demand.wrong, 0, "every fault was told exactly");
	isr[PF] = 0;
	take_away();
}

static void demand_paging(void)
{
	enum { BYTES = REGION_PAGES * 4096 };

	by_demand("stores that bring their pages", CODE("1: movl %eax,(%edi)\naddl $4,%edi\ndecl %ecx\njnz 1b"), 0, BYTES / 4, 4,
		  false, false);
	by_demand("REP STOSD", CODE("rep stosl"), 0, BYTES / 4, 4, false, false);
	by_demand("REP STOSB", CODE("rep stosb"), 0, BYTES, 1, false, false);
	by_demand("REP STOSW, downwards", CODE("std\nrep stosw\ncld"), 1, BYTES / 2, 2, true, false);
	by_demand("REP MOVSD", CODE("rep movsl"), 0, BYTES / 4, 4, false, true);
	by_demand("REP MOVSB, downwards", CODE("std\nrep movsb\ncld"), 1, BYTES, 1, true, true);
}

/*
 * A stack that grows into absent pages, or into some that have just changed: PUSH, CALL, POP and RET fault, or need a window's entry, at
 * every place of a function's frame.
 */
static u32 stack_faults, stack_wrong;

static int grow(struct context *c)
{
	u32 page = (c->cr2 - TEST_VA) >> 12;

	if (page < FIRST || page >= FIRST + REGION_PAGES)
		return 0;
	stack_faults++;
	/* the faulting access is the one just below ESP, or at it */
	stack_wrong += c->cr2 - (c->esp - 4) > 4;
	map(page, (u32)frames[2 + page - FIRST], PTE_P | PTE_W | PTE_U);
	return 1;
}

static void growing_stack(bool absent)
{
	enum { TOP = TEST_VA + (FIRST + REGION_PAGES) * 4096, DEPTH = 100 };
	u32 code = CODE("jmp 2f\n"
			"1: pushl %ebp\nmovl %esp,%ebp\npushl %edi\npushl %esi\npushl %ebx\n"
			"decl %ecx\njz 3f\n"
			"pushl %ecx\npushl $0x1234\ncall 1b\naddl $4,%esp\npopl %edx\naddl %edx,%eax\n"
			"3: incl %eax\npopl %ebx\npopl %esi\npopl %edi\npopl %ebp\nret\n"
			"2: pushl %eax\npopl %edx\npushl %edx\npushl 4(%edi)\npopl %edx\npopl %ebx\ncall 1b");
	bool ok = true;

	isr[PF] = grow;
	frames[1][4] = 0x77;
	map(SOURCE, (u32)frames[1], PTE_P | PTE_U);
	stack_wrong = 0;
	for (u32 offset = 0; offset < 4096 && ok; offset += 4) {
		struct context c = user_context(code);

		for (u32 i = 0; i < REGION_PAGES; i++)
			map(FIRST + i, absent ? 0 : (u32)frames[2 + (i + offset / 4) % 8], absent ? 0 : PTE_P | PTE_W | PTE_U);
		stack_faults = 0;
		c.eax = 0x1000;
		c.ecx = DEPTH;
		c.ebx = 0xb;
		c.ebp = 0xbb;
		c.esi = 0x51;
		c.edi = TEST_VA + SOURCE * 4096;
		c.esp = TOP - offset;
		run(&c);
		ok = c.vector == DONE && c.esp == TOP - offset && c.eax == 0x1000 + DEPTH + DEPTH * (DEPTH - 1) / 2 &&
		     c.ebx == 0x1000 && c.ebp == 0xbb && c.esi == 0x51 && c.edi == TEST_VA + SOURCE * 4096 && !!stack_faults == absent;
	}
	report(ok, absent ? "a stack that grows into absent pages" : "a stack in pages that move");
	check_eq(stack_wrong, 0, "ESP was exact at every fault");
	isr[PF] = 0;
	take_away();
}

void guest_main(void)
{
	snippets[READ] = CODE("movl (%ebx),%eax");
	snippets[WRITE] = CODE("movl %eax,(%ebx)");
	snippets[RMW] = CODE("addl %eax,(%ebx)");
	snippets[EXEC] = CODE("jmp *%ebx");
	paging_enable();
	for (u32 wp = 0; wp < 2; wp++) {
		memcpy(frames[0], "\xcd\x7f\x00\x00", 4);
		permute(wp);
	}
	large_pages();
	crossing();
	implicit();
	demand_paging();
	growing_stack(true);
	growing_stack(false);
}
