/*
 * Every exception vector software can raise at will: number, error code, and the EIP that is saved
 * (faults: the instruction; traps: the next one). SDM: "Exception and Interrupt Reference".
 */
#include "lib/guest.h"

static void expect_kernel(u32 code, const char *name, u32 vector, u32 error, u32 offset)
{
	struct context c = kernel_context(code);

	run(&c);
	expect(&c, name, vector, error, offset);
}

static void expect_user(u32 code, const char *name, u32 vector, u32 error, u32 offset)
{
	struct context c = user_context(code);

	run(&c);
	expect(&c, name, vector, error, offset);
}

static void divide(void)
{
	struct context c;

	expect_kernel(CODE("xorl %ecx,%ecx\ndivl %ecx"), "#DE: DIV by zero", DE, 0, 2);
	expect_kernel(CODE("xorl %ecx,%ecx\nidivb %cl"), "#DE: IDIV byte by zero", DE, 0, 2);
	c = kernel_context(CODE("divl %ecx"));
	c.edx = 5;
	c.ecx = 5;
	run(&c);
	expect(&c, "#DE: DIV quotient too large", DE, 0, 0);
	report(c.edx == 5 && c.eax == 0, "#DE leaves EDX:EAX alone");
	c = kernel_context(CODE("idivl %ecx"));
	c.eax = 0x80000000;
	c.edx = 0xffffffff;
	c.ecx = 0xffffffff;
	run(&c);
	expect(&c, "#DE: IDIV of the least number by -1", DE, 0, 0);
	c = kernel_context(CODE("idivw %cx"));
	c.eax = 0x8000;
	c.edx = 0xffff;
	c.ecx = 0xffff;
	run(&c);
	expect(&c, "#DE: IDIV word overflow", DE, 0, 0);
	expect_kernel(CODE("aam $0"), "#DE: AAM 0", DE, 0, 0);
}

/* The same instruction, over and over: what a monitor learns from its faults must not change them, nor the divisions that work. */
static void divide_again(void)
{
	u32 divl = CODE("divl %ecx\nnop");
	struct context c;
	bool same = true;

	for (unsigned i = 0; i < 64; i++) {
		bool zero = i % 4;

		c = kernel_context(divl);
		c.eax = 1000 + i;
		c.edx = 0;
		c.ecx = zero ? 0 : 7;
		run(&c);
		if (zero)
			same = same && c.vector == DE && c.eax == 1000 + i && c.edx == 0;
		else
			same = same && c.vector == DONE && c.eax == (1000 + i) / 7 &&
			       c.edx == (1000 + i) % 7;
	}
	report(same, "#DE 48 times at one place, divisions between");
}

static void software(void)
{
	struct context c;

	expect_kernel(CODE("nop\nint3"), "#BP: INT3 is a trap", BP, 0, 2);
	expect_kernel(CODE(".byte 0xcd,3"), "INT 3, long form", BP, 0, 2);
	expect_kernel(CODE("movb $0x7f,%al\naddb $1,%al\ninto"), "#OF: INTO with OF set", OF, 0, 5);
	expect_kernel(CODE("xorl %eax,%eax\ninto\nnop"), "INTO with OF clear goes on", DONE, 0, 6);
	sdm_only("TCG makes INT1 #UD");
	expect_kernel(CODE(".byte 0xf1"), "INT1 raises vector 1", DB, 0, 1);
	expect_user(CODE("int3"), "#BP from ring 3", BP, 0, 1);
	expect_user(CODE("int $0x80"), "INT 80h through a DPL 3 gate", SYSCALL, 0, 2);
	expect_user(CODE("int $0x30"), "INT through a DPL 0 gate", GP, 0x30 * 8 + 2, 0);
	expect_user(CODE("int $14"), "INT 14 from ring 3 is #GP, not #PF", GP, PF * 8 + 2, 0);
	sdm_only("TCG makes INT1 #UD");
	expect_user(CODE(".byte 0xf1"), "INT1 ignores the gate's DPL", DB, 0, 1);
	expect_kernel(CODE("int $0x33"), "INT n in ring 0", 0x33, 0, 2);

	static u32 bounds[2] = {10, 20};

	c = kernel_context(CODE("boundl %eax,(%ebx)\nnop"));
	c.ebx = (u32)bounds;
	c.eax = 15;
	run(&c);
	expect(&c, "BOUND inside", DONE, 0, 5);
	c = kernel_context(CODE("boundl %eax,(%ebx)"));
	c.ebx = (u32)bounds;
	c.eax = 21;
	run(&c);
	expect(&c, "#BR: BOUND above", BR, 0, 0);
	c = kernel_context(CODE("boundl %eax,(%ebx)"));
	c.ebx = (u32)bounds;
	c.eax = (u32)-1;
	run(&c);
	expect(&c, "#BR: BOUND is signed", BR, 0, 0);
}

static void undefined(void)
{
	expect_kernel(CODE("ud2"), "#UD: UD2", UD, 0, 0);
	expect_kernel(CODE(".byte 0x0f,0xff,0xc0"), "#UD: UD0", UD, 0, 0);
	expect_kernel(CODE(".byte 0x0f,0xb9,0xc0"), "#UD: UD1", UD, 0, 0);
	expect_kernel(CODE(".byte 0xf0\nnop"), "#UD: LOCK NOP", UD, 0, 0);
	expect_kernel(CODE(".byte 0xf0,0x01,0xc0"), "#UD: LOCK ADD to a register", UD, 0, 0);
	sdm_only("TCG ignores LOCK here");
	expect_kernel(CODE(".byte 0xf0,0x8b,0x03"), "#UD: LOCK MOV", UD, 0, 0);
	expect_kernel(CODE(".byte 0xf0,0x39,0x03"), "#UD: LOCK CMP", UD, 0, 0);
	expect_kernel(CODE(".byte 0x8e,0xc8"), "#UD: MOV to CS", UD, 0, 0);
	expect_kernel(CODE(".byte 0x8d,0xc0"), "#UD: LEA of a register", UD, 0, 0);
	expect_kernel(CODE(".byte 0xc4,0xc0"), "#UD: LES of a register (VEX without AVX)", UD, 0,
		      0);
	expect_kernel(CODE(".byte 0xff,0xf8"), "#UD: FF /7", UD, 0, 0);
	expect_kernel(CODE(".byte 0xfe,0xd0"), "#UD: FE /2", UD, 0, 0);
	sdm_only("TCG takes any /r as /0");
	expect_kernel(CODE(".byte 0x8f,0xc8"), "#UD: 8F /1", UD, 0, 0);
	expect_kernel(CODE(".byte 0x0f,0x20,0xc8"), "#UD: MOV from CR1", UD, 0, 0);
	expect_kernel(CODE(".byte 0x0f,0x0b"), "#UD: 0F 0B", UD, 0, 0);
	expect_user(CODE("ud2"), "#UD from ring 3", UD, 0, 0);
}

/* An instruction of more than 15 bytes is #GP(0), whatever it is. */
static void too_long(void)
{
	expect_kernel(CODE(".fill 14,1,0x3e\nnop"), "15-byte instruction runs", DONE, 0, 17);
	expect_kernel(CODE(".fill 15,1,0x3e\nnop"), "#GP: 16-byte instruction", GP, 0, 0);
}

static void privileged(void)
{
	expect_user(CODE("hlt"), "#GP: HLT in ring 3", GP, 0, 0);
	expect_user(CODE("cli"), "#GP: CLI at IOPL 0", GP, 0, 0);
	expect_user(CODE("sti"), "#GP: STI at IOPL 0", GP, 0, 0);
	expect_user(CODE("movl %cr0,%eax"), "#GP: MOV from CR0", GP, 0, 0);
	expect_user(CODE("movl %eax,%cr3"), "#GP: MOV to CR3", GP, 0, 0);
	expect_user(CODE("movl %dr7,%eax"), "#GP: MOV from DR7", GP, 0, 0);
	expect_user(CODE("clts"), "#GP: CLTS", GP, 0, 0);
	expect_user(CODE("lmsw %ax"), "#GP: LMSW", GP, 0, 0);
	expect_user(CODE("lgdt (%eax)"), "#GP: LGDT", GP, 0, 0);
	expect_user(CODE("lidt (%eax)"), "#GP: LIDT", GP, 0, 0);
	expect_user(CODE("lldt %ax"), "#GP: LLDT", GP, 0, 0);
	expect_user(CODE("ltr %ax"), "#GP: LTR", GP, 0, 0);
	expect_user(CODE("invlpg (%eax)"), "#GP: INVLPG", GP, 0, 0);
	expect_user(CODE("wbinvd"), "#GP: WBINVD", GP, 0, 0);
	expect_user(CODE("rdmsr"), "#GP: RDMSR", GP, 0, 0);
	expect_user(CODE("wrmsr"), "#GP: WRMSR", GP, 0, 0);
	expect_user(CODE("inb $0x80,%al"), "#GP: IN without permission", GP, 0, 0);
	expect_user(CODE("outb %al,%dx"), "#GP: OUT without permission", GP, 0, 0);
	expect_user(CODE("insb"), "#GP: INS without permission", GP, 0, 0);
	expect_user(CODE("outsb"), "#GP: OUTS without permission", GP, 0, 0);
}

/* Gates that are absent, of a wrong type or beyond the limit: the error code names the gate. */
static void bad_gates(void)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) idtr;

	idt[0x40] = 0;
	expect_kernel(CODE("int $0x40"), "gate with type 0: #GP(vector*8+2)", GP, 0x40 * 8 + 2, 0);
	idt_reset(0x40);
	idt[0x40] &= ~(1ull << 47);
	expect_kernel(CODE("int $0x40"), "absent gate: #NP(vector*8+2)", NP, 0x40 * 8 + 2, 0);
	idt[0x40] = make_gate(FREE_SEL + 8 * 30, 0, 0x8e, 0);
	expect_kernel(CODE("int $0x40"), "gate to an empty descriptor: #GP(selector)", GP,
		      FREE_SEL + 8 * 30, 0);
	idt[0x40] = make_gate(0, 0, 0x8e, 0);
	expect_kernel(CODE("int $0x40"), "gate to a null selector: #GP(0)", GP, 0, 0);
	idt[0x40] = make_gate(KDATA, 0, 0x8e, 0);
	expect_kernel(CODE("int $0x40"), "gate to a data segment: #GP(selector)", GP, KDATA, 0);
	idt[0x40] = make_gate(UCODE, 0, 0x8e, 0);
	expect_kernel(CODE("int $0x40"), "gate to an outer ring: #GP(selector)", GP, UCODE & ~3, 0);
	idt_reset(0x40);
	__asm__ volatile("sidt %0" : "=m"(idtr));
	idtr.limit = 0x90 * 8 - 1;
	__asm__ volatile("lidt %0" : : "m"(idtr));
	expect_kernel(CODE("int $0x90"), "vector beyond the IDT limit: #GP", GP, 0x90 * 8 + 2, 0);
	expect_kernel(CODE("int $0x8f"), "the last vector inside works", 0x8f, 0, 2);
	idtr.limit = sizeof(idt) - 1;
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void guest_main(void)
{
	divide();
	divide_again();
	software();
	undefined();
	too_long();
	privileged();
	bad_gates();
}
