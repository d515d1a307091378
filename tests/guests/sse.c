/*
 * SSE as the system sees it: CR4.OSFXSR, #NM, #XM and #UD without OSXMMEXCPT, alignment, MXCSR,
 * faults that leave registers alone, and a sample of results. SDM: "SIMD Floating-Point Exception
 * (#XM)".
 */
#include "lib/guest.h"

static u32 data[32] __attribute__((aligned(64)));

static struct context sse(u32 code, u32 offset)
{
	struct context c = kernel_context(code);

	c.ebx = (u32)data + offset;
	run(&c);
	return c;
}

static void enabling(void)
{
	struct context c;

	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	write_cr4(read_cr4() & ~(CR4_OSFXSR | CR4_OSXMMEXCPT));
	c = sse(CODE("xorps %xmm0,%xmm0"), 0);
	expect(&c, "SSE without CR4.OSFXSR", UD, 0, 0);
	write_cr4(read_cr4() | CR4_OSFXSR);
	c = sse(CODE("xorps %xmm0,%xmm0"), 0);
	expect_done(&c, "SSE with CR4.OSFXSR");
	write_cr0(read_cr0() | CR0_TS);
	c = sse(CODE("xorps %xmm0,%xmm0"), 0);
	expect(&c, "#NM by TS", NM, 0, 0);
	write_cr0(read_cr0() & ~CR0_TS);
	write_cr0(read_cr0() | CR0_EM);
	c = sse(CODE("xorps %xmm0,%xmm0"), 0);
	expect(&c, "#UD by EM", UD, 0, 0);
	write_cr0(read_cr0() & ~CR0_EM);
}

static void alignment(void)
{
	struct context c;

	c = sse(CODE("movaps (%ebx),%xmm0"), 4);
	sdm_only("TCG of 7.2 does not check the alignment");
	expect(&c, "MOVAPS from a misaligned address", GP, 0, 0);
	c = sse(CODE("movaps %xmm0,(%ebx)"), 8);
	sdm_only("TCG of 7.2 does not check the alignment");
	expect(&c, "MOVAPS to a misaligned address", GP, 0, 0);
	c = sse(CODE("addps (%ebx),%xmm0"), 8);
	sdm_only("TCG of 7.2 does not check the alignment");
	expect(&c, "ADDPS from a misaligned address", GP, 0, 0);
	c = sse(CODE("movups (%ebx),%xmm0\nmovups %xmm0,4(%ebx)\nmovdqu 1(%ebx),%xmm1\nlddqu "
		     "3(%ebx),%xmm1"),
		1);
	expect_done(&c, "MOVUPS and MOVDQU take any address");
	c = sse(CODE("addss (%ebx),%xmm0\nmovss (%ebx),%xmm1\nmovsd (%ebx),%xmm2"), 2);
	expect_done(&c, "scalars take any address");
}

static void exceptions(void)
{
	struct context c;

	data[0] = 0x3f800000;
	data[4] = 0;
	data[8] = 0x1f80 & ~0x200; /* unmask divide by zero */
	data[9] = 0x1f80;
	write_cr4(read_cr4() | CR4_OSXMMEXCPT);
	c = sse(CODE("ldmxcsr 32(%ebx)\nmovss (%ebx),%xmm0\ndivss 16(%ebx),%xmm0\nnop"), 0);
	sdm_only("TCG raises no #XM");
	expect(&c, "#XM of DIVSS by zero", XM, 0, 8);
	c = sse(CODE("movd %xmm0,%eax\nstmxcsr 40(%ebx)\nldmxcsr 36(%ebx)"), 0);
	sdm_only("TCG raises no #XM");
	check_eq(c.eax, 0x3f800000, "  the register is unchanged");
	report(data[10] & 4, "  MXCSR.ZE is set");
	write_cr4(read_cr4() & ~CR4_OSXMMEXCPT);
	c = sse(CODE("ldmxcsr 32(%ebx)\nmovss (%ebx),%xmm0\ndivss 16(%ebx),%xmm0\nnop"), 0);
	sdm_only("TCG raises no #XM");
	expect(&c, "#UD without CR4.OSXMMEXCPT", UD, 0, 8);
	write_cr4(read_cr4() | CR4_OSXMMEXCPT);
	data[8] = 0x10000;
	c = sse(CODE("ldmxcsr 32(%ebx)"), 0);
	sdm_only("TCG ignores reserved MXCSR bits");
	expect(&c, "LDMXCSR of reserved bits", GP, 0, 0);
	c = sse(CODE("ldmxcsr 36(%ebx)\nmovss (%ebx),%xmm0\ndivss 16(%ebx),%xmm0\nmovd "
		     "%xmm0,%eax\nstmxcsr 40(%ebx)\nldmxcsr 36(%ebx)"),
		0);
	report(c.eax == 0x7f800000 && (data[10] & 4), "masked: infinity and the flag");
}

static void results(void)
{
	struct context c;

	for (u32 i = 0; i < 8; i++)
		data[i] = 0x01020304 * (i + 1);
	c = sse(CODE("movdqa (%ebx),%xmm0\npaddd 16(%ebx),%xmm0\nmovdqa %xmm0,64(%ebx)\npshufd "
		     "$0x1b,%xmm0,%xmm1\nmovd %xmm1,%eax\n"
		     "pmovmskb %xmm0,%ecx\npcmpeqb %xmm2,%xmm2\npmovmskb %xmm2,%edx"),
		0);
	report(data[16] == data[0] + data[4] && data[19] == data[3] + data[7], "PADDD");
	report(c.eax == data[19] && c.edx == 0xffff, "PSHUFD, PCMPEQB, PMOVMSKB");
	data[0] = 3;
	c = sse(CODE("cvtsi2sdl (%ebx),%xmm0\nsqrtsd %xmm0,%xmm0\nmulsd %xmm0,%xmm0\ncvtsd2si "
		     "%xmm0,%eax\ncomisd %xmm0,%xmm0\nsete %cl"),
		0);
	report(c.eax == 3 && (c.ecx & 0xff) == 1, "CVTSI2SD, SQRTSD, MULSD, CVTSD2SI, COMISD");
	c = sse(CODE("movl $0x12345678,%eax\nmovd %eax,%xmm0\npshufb %xmm0,%xmm0\npinsrd "
		     "$1,%eax,%xmm1\npextrd $1,%xmm1,%ecx\n"
		     "crc32l %eax,%edx\npopcntl %eax,%esi"),
		0);
	report(c.vector == DONE && c.ecx == 0x12345678 && c.esi == 13,
	       "SSSE3, SSE4.1, SSE4.2, POPCNT");
	c = sse(CODE("movl $-1,%eax\nxorl %edx,%edx\ncrc32l %eax,%edx"), 0);
	check_eq(c.edx, 0xb798b438, "CRC32");
	data[0] = 1;
	c = sse(CODE("movntil %eax,(%ebx)\nsfence\nlfence\nmfence\nclflush (%ebx)\nprefetcht0 "
		     "(%ebx)\nprefetcht0 0"),
		0);
	expect_done(&c, "non-temporal stores, fences, prefetches");
}

/* A load that faults leaves the register; a store that straddles writes nothing. */
static void faults(void)
{
	struct context c;

	paging_enable();
	map(0, (u32)frames[0], PTE_P | PTE_W | PTE_U);
	map(1, 0, 0);
	memset(frames[0], 0, 4096);
	c = user_context(CODE("movl $0x77,%eax\nmovd %eax,%xmm4\nmovups (%ebx),%xmm4\nnop"));
	c.ebx = TEST_VA + 4096 - 8;
	run(&c);
	expect(&c, "MOVUPS load across into an absent page", PF, PFE_U, 9);
	check_eq(c.cr2, TEST_VA + 4096, "  CR2");
	c = user_context(CODE("movd %xmm4,%eax\npcmpeqb %xmm5,%xmm5\nmovups %xmm5,(%ebx)"));
	c.ebx = TEST_VA + 4096 - 8;
	run(&c);
	expect(&c, "MOVUPS store across into an absent page", PF, PFE_U | PFE_W, 8);
	check_eq(c.eax, 0x77, "  the load had left the register");
	sdm_only("TCG stores in halves");
	check_eq(*(u32 *)(frames[0] + 4088), 0, "  the store wrote nothing");
	paging_disable();
}

void guest_main(void)
{
	enabling();
	alignment();
	exceptions();
	results();
	faults();
}
