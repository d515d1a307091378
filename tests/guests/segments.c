/*
 * Segmentation: loads of segment registers (types, privilege, null, absent), limits, expand-down
 * segments, non-flat bases, and wrap-around of base + offset. SDM: "Protected-Mode Memory
 * Management", "Limit Checking", "Type Checking".
 */
#include "lib/guest.h"

enum { S1 = FREE_SEL, S2 = FREE_SEL + 8, S3 = FREE_SEL + 16 };
#define NO_LIMITS "TCG checks no segment limits"

static u8 area[256] __attribute__((aligned(256)));

static void load_data(const char *name, u16 sel, u32 vector, u32 error, bool user)
{
	u32 code = CODE("movw %ax,%es");
	struct context c = user ? user_context(code) : kernel_context(code);
	u32 before = c.es;

	c.eax = sel;
	run(&c);
	if (vector == DONE) {
		expect_done(&c, name);
		check_eq(c.es, sel, "  the selector reads back");
	} else if (expect(&c, name, vector, error, 0)) {
		check_eq(c.es, before, "  the old selector stays");
	}
}

static void loads(void)
{
	gdt_set(S1, 0, 0xfffff, SEG_DATA, SEG_G | SEG_B);
	load_data("load a data segment", S1, DONE, 0, false);
	load_data("null selector", 0, DONE, 0, false);
	load_data("null selector with RPL 3", 3, DONE, 0, false);
	load_data("beyond the GDT limit", GDT_ENTRIES * 8, GP, GDT_ENTRIES * 8, false);
	load_data("LDT selector without an LDT", 0xc, GP, 0xc, false);
	load_data("RPL 3 with DPL 0", S1 | 3, GP, S1, false);
	load_data("CPL 3 with DPL 0", S1, GP, S1, true);
	load_data("system segment in ES", TSS_SEL, GP, TSS_SEL, false);
	gdt[S1 / 8] &= ~(1ull << 47);
	load_data("absent data segment", S1, NP, S1, false);
	gdt_set(S1, 0, 0xfffff, SEG_CODE, SEG_G | SEG_B);
	load_data("readable code in ES", S1, DONE, 0, false);
	gdt_set(S1, 0, 0xfffff, SEG_CODE_XO, SEG_G | SEG_B);
	load_data("execute-only code in ES", S1, GP, S1, false);
	gdt_set(S1, 0, 0xfffff, SEG_CONFORM, SEG_G | SEG_B);
	load_data("conforming code of ring 0 in ES at ring 3", S1 | 3, DONE, 0, true);
	gdt_set(S1, 0, 0xfffff, SEG_DATA & ~1, SEG_G | SEG_B);
	load_data("data segment not yet accessed", S1, DONE, 0, false);
	check_eq(gdt[S1 / 8] >> 40 & 1, 1, "the load sets the accessed bit");
}

static void load_ss(const char *name, u16 sel, u32 vector, u32 error, bool user)
{
	u32 code = CODE("movl %ss,%ebx\nmovw %ax,%ss\nnop\nmovw %bx,%ss");
	struct context c = user ? user_context(code) : kernel_context(code);

	c.eax = sel;
	run(&c);
	if (vector == DONE)
		expect_done(&c, name);
	else
		expect(&c, name, vector, error, 2);
}

static void stack_loads(void)
{
	gdt_set(S1, 0, 0xfffff, SEG_DATA, SEG_G | SEG_B);
	load_ss("SS: a writable segment", S1, DONE, 0, false);
	load_ss("SS: null", 0, GP, 0, false);
	load_ss("SS: RPL is not CPL", S1 | 1, GP, S1, false);
	load_ss("SS: DPL is not CPL", UDATA & ~3, GP, UDATA & ~3, false);
	load_ss("SS: ring 0 segment at ring 3", S1 | 3, GP, S1, true);
	load_ss("SS: ring 3", UDATA, DONE, 0, true);
	load_ss("SS: code", KCODE, GP, KCODE, false);
	gdt_set(S1, 0, 0xfffff, SEG_DATA_RO, SEG_G | SEG_B);
	load_ss("SS: read-only", S1, GP, S1, false);
	gdt_set(S1, 0, 0xfffff, SEG_DATA & 0x7f, SEG_G | SEG_B);
	load_ss("SS: absent is #SS", S1, SS, S1, false);
}

/* An access through FS (set to `sel`) at EBX. */
static struct context through_fs(u32 code, u16 sel, u32 offset)
{
	struct context c = kernel_context(code);

	c.fs = sel;
	c.ebx = offset;
	c.eax = 0x11223344;
	run(&c);
	return c;
}

static void limits(void)
{
	u32 rd = CODE("movl %fs:(%ebx),%eax"), wr = CODE("movl %eax,%fs:(%ebx)"),
	    rb = CODE("movb %fs:(%ebx),%al");
	struct context c;

	for (u32 i = 0; i < sizeof(area); i++)
		area[i] = i;
	gdt_set(S1, (u32)area, 0x1f, SEG_DATA, SEG_B);
	c = through_fs(rd, S1, 0x1c);
	expect_done(&c, "the last dword inside a byte-granular limit");
	check_eq(c.eax, 0x1f1e1d1c, "base is added");
	c = through_fs(rd, S1, 0x1d);
	sdm_only(NO_LIMITS);
	expect(&c, "a dword that crosses the limit", GP, 0, 0);
	c = through_fs(rb, S1, 0x1f);
	expect_done(&c, "the last byte");
	c = through_fs(rb, S1, 0x20);
	sdm_only(NO_LIMITS);
	expect(&c, "the byte after", GP, 0, 0);
	c = through_fs(wr, S1, 0xfffffffe);
	sdm_only(NO_LIMITS);
	expect(&c, "offset near 4 GiB", GP, 0, 0);
	gdt_set(S1, (u32)area - 0x1000, 1, SEG_DATA, SEG_B | SEG_G);
	c = through_fs(rb, S1, 0x1fff);
	expect_done(&c, "page-granular limit ends at FFF");
	c = through_fs(rb, S1, 0x2000);
	sdm_only(NO_LIMITS);
	expect(&c, "byte after a page-granular limit", GP, 0, 0);
	gdt_set(S1, (u32)area, 0x1f, SEG_DATA_RO, SEG_B);
	c = through_fs(wr, S1, 0);
	sdm_only("TCG does not check types at the access");
	expect(&c, "write to a read-only segment", GP, 0, 0);
	c = through_fs(rd, S1, 0);
	expect_done(&c, "read from a read-only segment");
	c = through_fs(rd, 0, (u32)area);
	sdm_only("TCG lets null segments be used");
	expect(&c, "access through a null selector", GP, 0, 0);
	c = kernel_context(CODE("movl $1,%cs:(%ebx)"));
	c.ebx = (u32)area;
	run(&c);
	sdm_only("TCG does not check types at the access");
	expect(&c, "write through CS", GP, 0, 0);
}

/* Expand-down: valid offsets are those ABOVE the limit, up to FFFF or FFFFFFFF by the B bit. */
static void expand_down(void)
{
	u32 rb = CODE("movb %fs:(%ebx),%al"), rd = CODE("movl %fs:(%ebx),%eax");
	struct context c;

	gdt_set(S1, (u32)area - 0x1000, 0xfff, SEG_DOWN, SEG_B);
	c = through_fs(rb, S1, 0x1000);
	expect_done(&c, "expand-down: first valid byte");
	check_eq((u8)c.eax, area[0], "expand-down: its value");
	c = through_fs(rb, S1, 0xfff);
	sdm_only(NO_LIMITS);
	expect(&c, "expand-down: at the limit", GP, 0, 0);
	c = through_fs(rd, S1, 0xffd);
	sdm_only(NO_LIMITS);
	expect(&c, "expand-down: crosses the limit", GP, 0, 0);
	gdt_set(S1, (u32)area - 0x1000, 0xfff, SEG_DOWN, 0);
	c = through_fs(rd, S1, 0xfffd);
	sdm_only(NO_LIMITS);
	expect(&c, "expand-down, 16-bit: beyond FFFF", GP, 0, 0);
	c = through_fs(rd, S1, 0x1010);
	expect_done(&c, "expand-down, 16-bit: inside");
}

static void stack_limit(void)
{
	struct context c;

	gdt_set(S1, (u32)area, 0x7f, SEG_DATA, SEG_B);
	c = kernel_context(
		CODE("movl %esp,%edx\nmovl %ss,%ecx\nmovw %ax,%ss\nmovl $0x40,%esp\npushl $0x55\n"
		     "movl (%esp),%ebx\nmovw %cx,%ss\nmovl %edx,%esp"));
	c.eax = S1;
	run(&c);
	expect_done(&c, "push in a based stack segment");
	check_eq(*(u32 *)(area + 0x3c), 0x55, "SS base is added");
	check_eq(c.ebx, 0x55, "[ESP] reads through SS");
	/* A fault on a stack too small would need a task gate to report: read beyond it instead. */
	c = kernel_context(CODE("movl 0x200(%ebp),%eax"));
	gdt_set(S2, kernel_stack_top - 0x1000, 0x10ff, SEG_DATA, SEG_B);
	c.ss = S2;
	c.esp = 0xf00;
	c.ebp = 0xf80;
	run(&c);
	sdm_only(NO_LIMITS);
	expect(&c, "beyond the stack limit: #SS(0)", SS, 0, 0);
}

static void based_code(void)
{
	u32 code = CODE("call 1f\njmp 2f\n1: movl $77,%eax\nret\n2: nop");
	struct context c = kernel_context(code);

	gdt_set(S1, 0x1000, 0xfffff, SEG_CODE, SEG_G | SEG_B);
	c.cs = S1;
	c.eip = code - 0x1000;
	c.start = c.eip;
	run(&c);
	expect_done(&c, "code with a base runs, calls and returns");
	check_eq(c.eax, 77, "and does its work");
	check_eq(c.eip - c.start, 16, "saved EIP is relative to the base");

	/* Base + offset wraps at 4 GiB. */
	gdt_set(S2, (u32)area + 0x1000, 0xfffff, SEG_DATA, SEG_G | SEG_B);
	c = through_fs(CODE("movb %fs:(%ebx),%al"), S2, -0x1000u + 9);
	expect_done(&c, "base plus offset wraps");
	check_eq((u8)c.eax, 9, "wrapped to the right byte");
	/* The same code at the same EIP under another base is other code. */
	gdt_set(S1, 0, 0xfffff, SEG_CODE, SEG_G | SEG_B);
	memcpy(frames[0], "\xb8\x01\x00\x00\x00\xcd\x7f", 7);
	memcpy(frames[1], "\xb8\x02\x00\x00\x00\xcd\x7f", 7);
	c = kernel_context((u32)frames[0]);
	c.cs = S1;
	run(&c);
	check_eq(c.eax, 1, "code at an EIP");
	gdt_set(S1, 4096, 0xfffff, SEG_CODE, SEG_G | SEG_B);
	c = kernel_context((u32)frames[0]);
	c.cs = S1;
	run(&c);
	check_eq(c.eax, 2, "other code at the same EIP with another base");
}

static void code_limit(void)
{
	struct context c = kernel_context((u32)frames[2] - (u32)frames);

	memset(frames[2], 0x90, 16);
	memcpy(frames[2] + 16, "\xcd\x7f", 2);
	gdt_set(S1, (u32)frames, 0x200f, SEG_CODE, SEG_B);
	c.cs = S1;
	run(&c);
	sdm_only(NO_LIMITS);
	expect(&c, "running past the code limit", GP, 0, 16);
	c = kernel_context(CODE("ljmp $0x60,$0x2010"));
	run(&c);
	expect(&c, "far jump beyond the limit", GP, 0, 0);
	c = kernel_context((u32)frames[2] - (u32)frames);
	memcpy(frames[2], "\xe9\x80\x00\x00\x00", 5);
	c.cs = S1;
	run(&c);
	sdm_only(NO_LIMITS);
	expect(&c, "near jump beyond the limit faults at the jump", GP, 0, 0);
}

/* Descriptor caches: a descriptor changed in memory has no effect until it is loaded again. */
static void hidden_part(void)
{
	struct context c = kernel_context(
		CODE("movw %ax,%fs\nmovb %fs:0,%cl\nmovl %edx,(%ebx)\nmovb %fs:0,%ch\n"
		     "movw %ax,%fs\nmovb %fs:0,%dl"));
	u64 moved = make_segment((u32)area + 16, 0xfffff, SEG_DATA, SEG_G | SEG_B);

	gdt_set(S1, (u32)area, 0xfffff, SEG_DATA, SEG_G | SEG_B);
	for (u32 i = 0; i < sizeof(area); i++)
		area[i] = i;
	c.eax = S1;
	c.ebx = (u32)&gdt[S1 / 8];
	c.edx = (u32)moved;
	run(&c);
	check_eq(c.ecx & 0xffff, 0, "descriptor cache keeps the old base");
	check_eq(c.edx & 0xff, 16, "a reload takes the new base");
}

/*
 * Loads of what the register holds already, over and over, as a kernel's entry does them; then something about it changes without any
 * other load in between: the descriptor's base, its presence, the table's limit, the privilege asked for.
 */
#define LOAD_OFTEN "movl $3,%ebp\n1: movw %ax,%es\npushl %eax\npopl %es\ndecl %ebp\njnz 1b\n"

static void reload(const char *name, u32 code, u32 vector, u32 offset)
{
	struct context c = kernel_context(code);

	gdt_set(S1, (u32)area, 0xfffff, SEG_DATA | 1, SEG_G | SEG_B);
	c.eax = S1;
	c.esi = (u32)&gdt[S1 / 8];
	c.edx = (u32)area + 16;
	run(&c);
	if (vector != DONE)
		expect(&c, name, vector, S1, offset);
	else if (expect_done(&c, name))
		check_eq(c.ecx & 0xffff, 16 << 8, "  the base is the new one");
}

static void reloads(void)
{
	static struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) table;
	struct context c;

	reload("again, the descriptor has another base",
	       CODE(LOAD_OFTEN "movb %es:0,%cl\nmovw %dx,2(%esi)\nmovw %ax,%es\nmovb %es:0,%ch"), DONE, 0);
	reload("again by POP, the descriptor has another base",
	       CODE(LOAD_OFTEN "movb %es:0,%cl\nmovw %dx,2(%esi)\npushl %eax\npopl %es\nmovb %es:0,%ch"), DONE, 0);
	reload("again, the segment is absent", CODE(LOAD_OFTEN "andb $0x7f,5(%esi)\n2: movw %ax,%es"), NP, 16);
	__asm__("sgdt %0" : "=m"(table));
	c = kernel_context(CODE(LOAD_OFTEN "lgdt (%edi)\nmovw %ax,%es"));
	gdt_set(S1, (u32)area, 0xfffff, SEG_DATA | 1, SEG_G | SEG_B);
	c.eax = S1;
	c.edi = (u32)&table;
	table.limit = S1 - 1;
	run(&c);
	table.limit = GDT_ENTRIES * 8 - 1;
	__asm__ volatile("lgdt %0" : : "m"(table));
	expect(&c, "again, the table is shorter", GP, S1, 15);
	c = kernel_context(CODE(LOAD_OFTEN "xorl %ecx,%ecx\nmovw %cx,%es\nmovw %es,%bx\nmovw %ax,%es\nmovw %es,%cx"));
	c.eax = S1;
	run(&c);
	if (expect_done(&c, "again, after a null selector"))
		check_eq((c.ebx & 0xffff) << 16 | (c.ecx & 0xffff), S1, "  both are seen");
}

/* Ring 3 with alignment checks on takes ES away; ring 0 loads what it had loaded before, and must have it. */
static void reload_after_alignment_checks(void)
{
	u32 handler = CODE("movw %ax,%es\nmovb %es:(%edi),%bl");
	u32 code = CODE("movw %ax,%ds\nmovw %ax,%fs\nmovw %ax,%gs\n" LOAD_OFTEN "pushl %eax\npushl %esp\npushfl\norl $0x40000,(%esp)\npushl $0x1b\npushl $2f\niretl\n"
			"2: xorl %ecx,%ecx\nmovw %cx,%es\nint $0x40");
	struct context c;

	idt[0x40] = make_gate(KCODE, handler, 0x8e | DPL3, 0);
	write_cr0(read_cr0() | CR0_AM);
	for (unsigned i = 0; i < 4; i++) {
		c = kernel_context(code);
		c.eax = UDATA;
		c.ebx = 0;
		c.edi = (u32)&area[200];
		area[200] = 77;
		run(&c);
		if (!expect_done(&c, "again, after ring 3 loaded another with AC set"))
			break;
		check_eq((u8)c.ebx, 77, "  and it can be used");
	}
	write_cr0(read_cr0() & ~CR0_AM);
	idt_reset(0x40);
}

static void ldt(void)
{
	static u64 table[4];
	struct context c = kernel_context(CODE("lldt %cx\nmovw %ax,%fs\nmovb %fs:3,%al\nlldt %dx"));

	table[1] = make_segment((u32)area, 0xff, SEG_DATA, SEG_B);
	gdt_set(S3, (u32)table, sizeof(table) - 1, SEG_LDT, 0);
	c.eax = 8 | 4;
	c.ecx = S3;
	run(&c);
	expect_done(&c, "a segment from the LDT");
	check_eq((u8)c.eax, 3, "its base");
	c = kernel_context(CODE("lldt %cx"));
	c.ecx = KDATA;
	run(&c);
	expect(&c, "LLDT of a data segment", GP, KDATA, 0);
	gdt[S3 / 8] &= ~(1ull << 47);
	c = kernel_context(CODE("lldt %cx"));
	c.ecx = S3;
	run(&c);
	expect(&c, "LLDT of an absent LDT", NP, S3, 0);
}

static void queries(void)
{
	struct context c =
		kernel_context(CODE("larl %eax,%ecx\nsetz %bl\nlsll %eax,%edx\nsetz %bh"));

	gdt_set(S1, 0x1234, 0x12345, SEG_DATA, SEG_G | SEG_B);
	c.eax = S1;
	run(&c);
	check_eq(c.ecx & 0xf0ff00, 0x00c09300, "LAR"); /* bits 16-19 are undefined */
	check_eq(c.edx, 0x12345fff, "LSL expands a page-granular limit");
	check_eq(c.ebx & 0xffff, 0x101, "LAR and LSL set ZF");
	c = kernel_context(
		CODE("larl %eax,%ecx\nsetz %bl\nverr %ax\nsetz %bh\nverw %ax\nsetz %al"));
	c.eax = GDT_ENTRIES * 8;
	c.ecx = 5;
	c.ebx = -1u;
	run(&c);
	report(c.ecx == 5 && !(c.ebx & 0xffff) && !(c.eax & 0xff),
	       "LAR, VERR and VERW of a bad selector clear ZF");
	c = user_context(CODE("verr %ax\nsetz %bl\nverw %ax\nsetz %bh\nverr %cx\nsetz %dl"));
	c.eax = UCODE;
	c.ecx = KDATA;
	run(&c);
	check_eq((c.ebx & 0xffff) | (c.edx & 0xff) << 16, 1, "VERR, VERW at ring 3");
	c = kernel_context(CODE("arpl %cx,%ax"));
	c.eax = 0x60;
	c.ecx = 3;
	run(&c);
	report(c.eax == 0x63 && (c.eflags & ZF_), "ARPL raises the RPL and sets ZF");
}

void guest_main(void)
{
	loads();
	stack_loads();
	limits();
	expand_down();
	stack_limit();
	based_code();
	code_limit();
	hidden_part();
	reloads();
	reload_after_alignment_checks();
	ldt();
	queries();
}
