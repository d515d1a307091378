/*
 * PAE paging: rights at both levels, NX, reserved bits, the PDPT loaded at CR3 writes, and frames
 * reached through all of it. SDM: "PAE Paging", "Determination of Access Rights".
 */
#include "lib/guest.h"

enum access { READ, WRITE, EXEC };
enum { PAGE = 5, VA = TEST_VA + PAGE * 4096 };

static u32 snippets[3];

static int oracle(u32 pde, u32 pte, bool nx, bool user, enum access how)
{
	u32 both = pde & pte;
	int error = (how == WRITE ? PFE_W : 0) | (user ? PFE_U : 0) | (how == EXEC ? PFE_I : 0);

	if (!(both & PTE_P))
		return error;
	if (user && !(both & PTE_U))
		return error | PFE_P;
	if (how == WRITE && !(both & PTE_W))
		return error | PFE_P;
	if (how == EXEC && nx)
		return error | PFE_P;
	return -1;
}

/* bits: PDE P W U, PTE P W U, NX of the PDE, NX of the PTE. */
static bool try_one(u32 bits, bool user, enum access how)
{
	u32 pde = bits & 7, pte = bits >> 3 & 7;
	struct context c = user ? user_context(snippets[how]) : kernel_context(snippets[how]);
	int want = oracle(pde, pte, bits >> 6, user, how);

	pae_dir[1][0] = (u32)test_table_pae | pde | (bits & 64 ? PTE_NX : 0);
	test_table_pae[PAGE] = (u32)frames[0] | pte | (bits & 128 ? PTE_NX : 0);
	invlpg(VA);
	c.ebx = VA;
	run(&c);
	if (want == -1)
		return c.vector == DONE && (test_table_pae[PAGE] & PTE_A) &&
		       !(test_table_pae[PAGE] & PTE_D) == (how != WRITE);
	return c.vector == PF && c.error == (u32)want && c.cr2 == VA &&
	       c.eip == (how == EXEC ? VA : c.start);
}

static void permute(void)
{
	static const char *names[2][3] = {{"kernel read", "kernel write", "kernel fetch"},
					  {"user read", "user write", "user fetch"}};

	for (u32 user = 0; user < 2; user++) {
		for (u32 how = READ; how <= EXEC; how++) {
			bool ok = true;

			for (u32 bits = 0; bits < 256 && ok; bits++) {
				ok = try_one(bits, user, how);
				if (!ok)
					check_eq(bits, -1u, "first bad combination");
			}
			report(ok, names[user][how]);
		}
	}
	pae_dir[1][0] = (u32)test_table_pae | PTE_P | PTE_W | PTE_U;
}

static void reserved_bits(void)
{
	struct context c = kernel_context(snippets[READ]);

	map_pae(PAGE, (u32)frames[0] | PTE_P | 1ull << 60);
	c.ebx = VA;
	run(&c);
	sdm_only("TCG clears P when it sets RSVD");
	expect(&c, "reserved bit 60 of a PTE", PF, PFE_P | PFE_RSVD, 0);
	map_pae(PAGE, (u32)frames[0] | 1ull << 60);
	c = kernel_context(snippets[READ]);
	c.ebx = VA;
	run(&c);
	expect(&c, "reserved bits do not matter in an absent PTE", PF, 0, 0);
	map_pae(PAGE, (u32)frames[0] | PTE_P | PTE_W | PTE_U);
	pae_dir[1][0] |= 1ull << 60;
	invlpg(VA);
	c = user_context(snippets[WRITE]);
	c.ebx = VA;
	run(&c);
	sdm_only("TCG clears P when it sets RSVD");
	expect(&c, "reserved bit of a PDE", PF, PFE_P | PFE_RSVD | PFE_U | PFE_W, 0);
	pae_dir[1][0] &= ~(1ull << 60);
	pae_dir[1][8] = 1 << 13 | PTE_PS | PTE_P;
	c = kernel_context(snippets[READ]);
	c.ebx = TEST_VA + (8 << 21);
	run(&c);
	sdm_only("TCG clears P when it sets RSVD");
	expect(&c, "reserved bit 13 of a 2 MiB page", PF, PFE_P | PFE_RSVD, 0);
	pae_dir[1][8] = 0;
	invlpg(TEST_VA + (8 << 21));
}

static void pdpt_rules(void)
{
	struct context c = kernel_context(CODE("movl %eax,%cr3"));

	pae_pdpt[3] |= PTE_W; /* reserved in a PDPTE */
	c.eax = (u32)pae_pdpt;
	run(&c);
	sdm_only("TCG does not check PDPTEs at the load");
	expect(&c, "CR3 load with a reserved PDPTE bit: #GP", GP, 0, 0);
	pae_pdpt[3] &= ~(u64)PTE_W;

	/* PDPTEs are registers: a change in memory has no effect before the next CR3 load. */
	map_pae(PAGE, (u32)frames[0] | PTE_P | PTE_W | PTE_U);
	pae_pdpt[1] = 0;
	invlpg(VA);
	c = kernel_context(snippets[READ]);
	c.ebx = VA;
	run(&c);
	sdm_only("TCG reads PDPTEs from memory at each walk");
	expect_done(&c, "PDPTE change is not seen before CR3 is loaded");
	write_cr3((u32)pae_pdpt);
	c = kernel_context(snippets[READ]);
	c.ebx = VA;
	run(&c);
	expect(&c, "absent PDPTE after the CR3 load", PF, 0, 0);
	pae_pdpt[1] = (u32)pae_dir[1] | PTE_P;
	write_cr3((u32)pae_pdpt);
}

static void large_page(void)
{
	struct context c = kernel_context(snippets[EXEC]);

	pae_dir[1][9] = 0 | PTE_PS | PTE_P | PTE_W;
	memcpy(frames[3], "\xcd\x7f", 2);
	if ((u32)frames[3] >= 0x200000)
		pae_dir[1][9] |= (u32)frames[3] & ~0x1fffffu;
	c.ebx = TEST_VA + (9 << 21) + ((u32)frames[3] & 0x1fffff);
	run(&c);
	expect_done(&c, "code in a 2 MiB page");
	pae_dir[1][9] |= PTE_NX;
	invlpg(c.ebx);
	c = kernel_context(snippets[EXEC]);
	c.ebx = TEST_VA + (9 << 21);
	run(&c);
	report(c.vector == PF && c.error == (PFE_P | PFE_I), "NX on a 2 MiB page");
	pae_dir[1][9] = 0;
}

/* Without EFER.NXE bit 63 is reserved. */
static void nx_disabled(void)
{
	struct context c;

	wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x800ull);
	map_pae(PAGE, (u32)frames[0] | PTE_P | PTE_W | PTE_NX);
	c = kernel_context(snippets[READ]);
	c.ebx = VA;
	run(&c);
	sdm_only("TCG clears P when it sets RSVD");
	expect(&c, "bit 63 without EFER.NXE is reserved", PF, PFE_P | PFE_RSVD, 0);
	map_pae(PAGE, (u32)frames[0]);
	c = kernel_context(snippets[EXEC]);
	c.ebx = VA;
	run(&c);
	report(c.vector == PF && c.error == 0, "no I bit in error codes without EFER.NXE");
}

void guest_main(void)
{
	u32 r[4];

	cpuid(0x80000001, r);
	if (!report(r[3] >> 20 & 1, "CPUID has NX"))
		return;
	snippets[READ] = CODE("movl (%ebx),%eax");
	snippets[WRITE] = CODE("movl %eax,(%ebx)");
	snippets[EXEC] = CODE("jmp *%ebx");
	memcpy(frames[0], "\xcd\x7f\x00\x00", 4);
	write_cr0(read_cr0() | CR0_WP);
	paging_enable_pae(true);
	snippets[WRITE] = CODE("movl $0x7fcd,(%ebx)");
	permute();
	reserved_bits();
	pdpt_rules();
	large_page();
	nx_disabled();
}
