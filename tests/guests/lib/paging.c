/*
 * Page tables for the tests: the first 64 MiB one to one with large pages, user and writable, and
 * one region at TEST_VA whose 4 KiB entries the tests set one by one.
 */
#include "guest.h"

u32 page_dir[1024] __attribute__((aligned(4096)));
u64 pae_pdpt[4] __attribute__((aligned(32)));
u64 pae_dir[4][512] __attribute__((aligned(4096)));
u32 test_table[1024] __attribute__((aligned(4096)));
u64 test_table_pae[512] __attribute__((aligned(4096)));
u8 frames[FRAMES][4096] __attribute__((aligned(4096)));

enum { IDENTITY = 64u << 20, MSR_EFER = 0xc0000080, EFER_NXE = 0x800, MMIO_BASE = 0xfec00000 };

void paging_enable(void)
{
	for (u32 i = 0; i < IDENTITY >> 22; i++)
		page_dir[i] = i << 22 | PTE_PS | PTE_P | PTE_W | PTE_U;
	page_dir[(u32)MMIO_BASE >> 22] = (u32)MMIO_BASE | PTE_PS | PTE_P | PTE_W | PTE_PCD;
	page_dir[TEST_VA >> 22] = (u32)test_table | PTE_P | PTE_W | PTE_U;
	write_cr4((read_cr4() & ~CR4_PAE) | CR4_PSE);
	write_cr3((u32)page_dir);
	write_cr0(read_cr0() | CR0_PG);
}

void paging_enable_pae(bool nx)
{
	for (u32 i = 0; i < 4; i++)
		pae_pdpt[i] = (u32)pae_dir[i] | PTE_P;
	for (u32 i = 0; i < IDENTITY >> 21; i++)
		pae_dir[0][i] = i << 21 | PTE_PS | PTE_P | PTE_W | PTE_U;
	pae_dir[3][MMIO_BASE >> 21 & 511] = (u32)MMIO_BASE | PTE_PS | PTE_P | PTE_W | PTE_PCD;
	pae_dir[3][(MMIO_BASE >> 21 & 511) + 1] =
		((u32)MMIO_BASE + 0x200000) | PTE_PS | PTE_P | PTE_W | PTE_PCD;
	pae_dir[TEST_VA >> 30][0] = (u32)test_table_pae | PTE_P | PTE_W | PTE_U;
	write_cr4(read_cr4() | CR4_PAE);
	if (nx)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	write_cr3((u32)pae_pdpt);
	write_cr0(read_cr0() | CR0_PG);
}

void paging_disable(void)
{
	write_cr0(read_cr0() & ~CR0_PG);
	write_cr4(read_cr4() & ~CR4_PAE);
}

void map(u32 page, u32 pa, u32 flags)
{
	test_table[page] = pa | flags;
	invlpg(TEST_VA + page * 4096);
}

void map_pae(u32 page, u64 entry)
{
	test_table_pae[page] = entry;
	invlpg(TEST_VA + page * 4096);
}
