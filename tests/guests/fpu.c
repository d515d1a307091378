/*
 * x87 and MMX as the system sees them: #NM by TS and EM, #MF, the environment, FNSAVE and FXSAVE,
 * exact results of a few operations. SDM: "x87 FPU Exception Handling", "CR0".
 */
#include "lib/guest.h"

static u8 area[512] __attribute__((aligned(16)));
static u8 area2[512] __attribute__((aligned(16)));

static struct context fp(u32 code)
{
	struct context c = kernel_context(code);

	c.ebx = (u32)area;
	c.ecx = (u32)area2;
	run(&c);
	return c;
}

static void available(void)
{
	struct context c;

	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	c = fp(CODE("fninit\nfnstsw %ax\nfnstcw (%ebx)"));
	report(c.vector == DONE && (c.eax & 0xffff) == 0 && *(u16 *)area == 0x37f, "FNINIT");
	write_cr0(read_cr0() | CR0_TS);
	c = fp(CODE("fld1"));
	expect(&c, "#NM by CR0.TS", NM, 0, 0);
	c = fp(CODE("fwait"));
	expect(&c, "#NM of FWAIT by TS and MP", NM, 0, 0);
	c = fp(CODE("movd %eax,%mm0"));
	expect(&c, "#NM of MMX by TS", NM, 0, 0);
	c = fp(CODE("fxsave (%ebx)"));
	expect(&c, "#NM of FXSAVE by TS", NM, 0, 0);
	write_cr0(read_cr0() & ~CR0_MP);
	c = fp(CODE("fwait"));
	expect_done(&c, "FWAIT under TS without MP");
	c = fp(CODE("clts\nfld1\nfstp %st(0)"));
	expect_done(&c, "CLTS");
	write_cr0(read_cr0() | CR0_EM);
	c = fp(CODE("fld1"));
	expect(&c, "#NM by CR0.EM", NM, 0, 0);
	c = fp(CODE("movd %eax,%mm0"));
	expect(&c, "#UD of MMX by CR0.EM", UD, 0, 0);
	write_cr0((read_cr0() & ~CR0_EM) | CR0_MP);
	c = user_context(CODE("fld1\nfaddp\nfninit"));
	run(&c);
	report(c.vector == DONE, "x87 in ring 3");
}

static void arithmetic(void)
{
	struct context c;

	c = fp(CODE("fninit\nfldpi\nfstpt (%ebx)"));
	report(!memcmp(area, "\x35\xc2\x68\x21\xa2\xda\x0f\xc9\x00\x40", 10), "FLDPI, FSTP m80");
	*(u32 *)area = 7;
	c = fp(CODE("fildl (%ebx)\nfld1\nfaddp\nfsqrt\nfistpl (%ebx)"));
	check_eq(*(u32 *)area, 3, "sqrt(7 + 1) rounded");
	*(u32 *)area = -5;
	c = fp(CODE("fildl (%ebx)\nfabs\nfistpl 4(%ebx)\nfldz\nfld1\nfcomi %st(1),%st\nsetb "
		    "%al\nseta %ah\nfucompp"));
	report(*(u32 *)(area + 4) == 5 && (c.eax & 0xffff) == 0x100, "FABS, FCOMI");
	*(u16 *)area = 0xf7f;		 /* round towards zero */
	*(u32 *)(area + 4) = 0x402ccccd; /* 2.7f */
	c = fp(CODE("fldcw (%ebx)\nflds 4(%ebx)\nfistpl 8(%ebx)\nfninit"));
	check_eq(*(u32 *)(area + 8), 2, "rounding control");
	c = fp(CODE("fninit\nfld1\nfldz\nfdivrp\nfnstsw %ax"));
	report(c.eax & 4, "masked divide by zero sets ZE");
	c = fp(CODE("fninit\nfldz\nfldpi\nfld1\nfxch %st(2)\nfnstsw %ax\nfstpl (%ebx)"));
	report((c.eax >> 11 & 7) == 5 && *(u32 *)(area + 4) == 0, "stack top and FXCH");
	*(u32 *)area = 0x3fc00000; /* 1.5f */
	c = fp(CODE("fninit\nflds (%ebx)\nfbstp 16(%ebx)\nfldl2e\nfldlg2\nfprem\nfstp %st(0)\nfstp "
		    "%st(0)"));
	report(area[16] == 2 && area[25] == 0, "FBSTP");
}

static void errors(void)
{
	struct context c;

	c = fp(CODE("fninit\nmovw $0x37b,(%ebx)\nfldcw (%ebx)\nfld1\nfldz\nfdivrp\nnop\nfwait"));
	expect(&c, "#MF comes with the next waiting instruction", MF, 0, 16);
	c = fp(CODE("fnstsw %ax\nfnclex"));
	report((c.eax & 0x8084) == 0x8084, "ES, B and ZE in the status word");
	c = fp(CODE("movw $0x37b,(%ebx)\nfninit\nfldcw (%ebx)\nfld1\nfldz\nfdivrp\nfninit\nfwait"));
	expect_done(&c, "FNINIT drops a pending error");
	c = fp(CODE(
		"movw $0x37b,(%ebx)\nfninit\nfldcw (%ebx)\nfld1\nfldz\nfdivrp\nmovd %eax,%mm0"));
	sdm_only("TCG does not look for #MF in MMX instructions");
	expect(&c, "#MF with the next MMX instruction", MF, 0, 15);
	(void)fp(CODE("fnclex\nfninit"));
}

static void states(void)
{
	struct context c;

	c = fp(CODE(
		"fninit\nfld1\nfldpi\nfnsave (%ebx)\nfnstsw %ax\nfrstor (%ebx)\nfstpt 128(%ebx)"));
	report(!(c.eax & 0xffff), "FNSAVE leaves the unit initialized");
	report(*(u16 *)(area + 4) == 0x3000 &&
		       !memcmp(area + 128, "\x35\xc2\x68\x21\xa2\xda\x0f\xc9\x00\x40", 10),
	       "FRSTOR brings it back");
	check_eq(*(u16 *)(area + 8), 0x0fff, "tag word: two in use");
	write_cr4(read_cr4() | CR4_OSFXSR);
	memset(area, 0, sizeof(area)); /* FXSAVE leaves the reserved bytes alone */
	memset(area2, 0, sizeof(area2));
	c = fp(CODE("fninit\nfld1\nfldpi\nmovl $0x11223344,%eax\nmovd %eax,%xmm3\nfxsave "
		    "(%ebx)\nfninit\npxor %xmm3,%xmm3\n"
		    "fxrstor (%ebx)\nfxsave (%ecx)\nmovd %xmm3,%edx"));
	report(c.vector == DONE && c.edx == 0x11223344, "FXSAVE and FXRSTOR");
	report(!memcmp(area, area2, 6) && !memcmp(area + 24, area2 + 24, 264),
	       "FXSAVE again gives the same image");
	check_eq(area[4], 0xc0, "abridged tag word");
	c = kernel_context(CODE("fxsave (%ebx)"));
	c.ebx = (u32)area + 8;
	run(&c);
	expect(&c, "FXSAVE to a misaligned address", GP, 0, 0);
	*(u32 *)(area + 24) = 0xffff0000;
	c = fp(CODE("fxrstor (%ebx)"));
	sdm_only("TCG ignores reserved MXCSR bits");
	expect(&c, "FXRSTOR with reserved MXCSR bits", GP, 0, 0);
	c = fp(CODE("fninit\nmovl $0x12345678,%eax\nmovd %eax,%mm5\nfnstenv (%ebx)\nemms\nfnstenv "
		    "32(%ebx)"));
	report(*(u16 *)(area + 8) != 0xffff, "an MMX instruction marks the registers as used");
	check_eq(*(u16 *)(area + 32 + 8), 0xffff, "EMMS empties the tags");
}

/* An FXSAVE area over a page boundary; several times, because the first touch of a page may go another way than later ones. */
static void across_pages(void)
{
	static u8 pages[8192] __attribute__((aligned(4096)));
	u8 *over = pages + 4096 - 160;
	bool image = true, rest = true, back = true;

	for (u32 round = 0; round < 4; round++) {
		struct context c;

		memset(pages, 0xa5, sizeof(pages));
		memset(area, 0xa5, sizeof(area));
		c = kernel_context(CODE("fninit\nfldpi\nfld1\nmovl $0x1fa0,(%ecx)\nldmxcsr (%ecx)\n"
					"movl $0x55667788,%eax\nmovd %eax,%xmm7\nfxsave (%ebx)\nfxsave (%esi)\n"
					"fninit\nmovl $0x1f80,(%ecx)\nldmxcsr (%ecx)\npxor %xmm7,%xmm7\n"
					"fxrstor (%ebx)\nstmxcsr (%ecx)\nmovd %xmm7,%edx\nfistpl 4(%ecx)\nfnstsw %ax"));
		c.ebx = (u32)over;
		c.ecx = (u32)area2;
		c.esi = (u32)area;
		run(&c);
		image &= c.vector == DONE && !memcmp(over, area, 6) && !memcmp(over + 24, area + 24, 264);
		for (u32 i = 288; i < 512; i++)
			rest &= over[i] == 0xa5;
		rest &= over[-1] == 0xa5 && over[512] == 0xa5;
		back &= c.edx == 0x55667788 && *(u32 *)area2 == 0x1fa0 && *(u32 *)(area2 + 4) == 1 &&
			(c.eax >> 11 & 7) == 7;
	}
	report(image, "FXSAVE over a page boundary");
	report(rest, "FXSAVE writes nothing behind XMM7 and around its area");
	report(back, "FXRSTOR from over a page boundary");
}

/* As a kernel that switches lazily: TS set and cleared around the uses. */
static void lazy_switching(void)
{
	bool faults = true, works = true;
	struct context c;

	for (u32 round = 0; round < 4; round++) {
		write_cr0(read_cr0() | CR0_TS);
		c = fp(CODE("fxrstor (%ebx)"));
		faults &= c.vector == NM;
		faults &= !!(read_cr0() & CR0_TS);
		c = fp(CODE("clts\nfninit\nfldpi\nfxsave (%ebx)\nmovl %cr0,%eax\norl $8,%eax\nmovl %eax,%cr0\n"
			    "movl %cr0,%edx\nclts\nfxrstor (%ebx)\nfnstsw %ax"));
		works &= c.vector == DONE && (c.edx & CR0_TS) && (c.eax >> 11 & 7) == 7;
	}
	report(faults, "#NM whenever TS is set");
	report(works, "FXSAVE and FXRSTOR between CLTS and MOV to CR0");
}

void guest_main(void)
{
	available();
	arithmetic();
	errors();
	states();
	across_pages();
	lazy_switching();
}
