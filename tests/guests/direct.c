/*
 * User code on pages of its own, as programs have it: what a monitor may run directly. Everything that leaves such code,
 * what it can see of the processor, code that changes, and attempts to get out.
 */
#include "lib/guest.h"

enum { CODE_PAGE = 8, SECOND_PAGE, DATA_PAGE, ALIAS_PAGE, READ_ONLY_PAGE, KERNEL_PAGE, SEG_A = FREE_SEL, SEG_B_ = FREE_SEL + 8 };
#define AT(page) (TEST_VA + (page) * 4096)

static u8 *code = frames[8];

/* Another frame each time: pages that are rewritten often are treated differently. */
static void next_frame(void)
{
	static u32 n;

	code = frames[8 + n++ % 8];
	map(CODE_PAGE, (u32)code, PTE_P | PTE_U | PTE_W);
	map(ALIAS_PAGE, (u32)code, PTE_P | PTE_U | PTE_W);
}

/* Put instructions at an offset of the code page, NOPs around them, and the end of the test behind them. */
static struct context place(u32 offset, const void *insns, u32 n)
{
	struct context c;

	memset(code, 0x90, 4096);
	memcpy(code + offset, insns, n);
	if (offset + n + 2 <= 4096)
		memcpy(code + offset + n, "\xcd\x7f", 2);
	c = user_context(AT(CODE_PAGE) + offset);
	c.esp = AT(DATA_PAGE) + 2048;
	c.eflags |= IF_;
	return c;
}
#define PLACE(offset, text) place(offset, text, sizeof(text) - 1)

static void set_up(void)
{
	paging_enable();
	next_frame();
	map(SECOND_PAGE, (u32)frames[1], PTE_P | PTE_U);
	map(DATA_PAGE, (u32)frames[2], PTE_P | PTE_U | PTE_W);
	map(READ_ONLY_PAGE, (u32)frames[3], PTE_P | PTE_U);
	map(KERNEL_PAGE, (u32)frames[4], PTE_P | PTE_W);
	/* the master 8259 stays masked: IF may be set */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static void plain_code(void)
{
	/* mov ecx, 100000; xor eax, eax; 1: add eax, ecx; dec ecx; jnz 1b; stc */
	struct context c = PLACE(0, "\xb9\xa0\x86\x01\x00\x31\xc0\x01\xc8\x49\x75\xfb\xf9");

	c.edx = 0xdeadbeef;
	run(&c);
	expect_done(&c, "a loop ends");
	check_eq(c.eax, 705082704, "its result");
	check_eq(c.edx, 0xdeadbeef, "another register");
	report(c.eflags & CF_, "a flag");
	c = PLACE(100, "\x68\x78\x56\x34\x12\x58\x50\x5b"); /* push 12345678h; pop eax; push eax; pop ebx */
	run(&c);
	expect_done(&c, "the stack");
	check_eq(c.ebx, 0x12345678, "what was pushed");
	check_eq(c.esp, AT(DATA_PAGE) + 2048, "the stack pointer");
}

static void traps(void)
{
	static const struct {
		const char *name, *insn;
		u32 n, vector, error, offset;
	} cases[] = {
		{"INT3", "\xcc", 1, BP, 0, 1},
		{"INT 3", "\xcd\x03", 2, BP, 0, 2},
		{"INTO", "\x04\x7f\xb0\x7f\x04\x7f\xce", 7, OF, 0, 7},
		{"an INT that is not for users", "\xcd\x2e", 2, GP, 0x2e * 8 + 2, 0},
		{"INT 13", "\xcd\x0d", 2, GP, 13 * 8 + 2, 0},
		{"division by zero", "\x31\xc9\xf7\xf1", 4, DE, 0, 2},
		{"BOUND", "\x89\xe7\x31\xc0\x48\x6a\x08\x6a\x00\x62\x04\x24", 12, BR, 0, 9},
		{"UD2", "\x0f\x0b", 2, UD, 0, 0},
		{"HLT", "\xf4", 1, GP, 0, 0},
		{"CLI", "\xfa", 1, GP, 0, 0},
		{"IN", "\xe4\x80", 2, GP, 0, 0},
		{"MOV from CR0", "\x0f\x20\xc0", 3, GP, 0, 0},
		{"SYSENTER that is not set up", "\x0f\x34", 2, GP, 0, 0},
		{"SYSCALL", "\x0f\x05", 2, UD, 0, 0},
		{"VCMPPS of YMM", "\xc5\xfc\xc2\xc0\x0f", 5, UD, 0, 0},
		{"VMOVAPS of ZMM", "\x62\xf1\x7c\x48\x28\xc0", 6, UD, 0, 0},
		{"a selector beyond the GDT", "\x66\xb8\xfb\xff\x8e\xd8", 6, GP, 0xfff8, 4},
		{"a kernel selector", "\xb8\x10\x00\x00\x00\x8e\xc0", 7, GP, 0x10, 5},
		{"a far jump to data", "\xea\x00\x00\x00\x40\x23\x00", 7, GP, 0x20, 0},
		{"a far jump to what is 64-bit code on Linux", "\xea\x00\x00\x00\x40\x33\x00", 7, GP, 0x30, 0},
		{"a far return to the same", "\x6a\x33\x68\x00\x80\x00\x40\xcb", 8, GP, 0x30, 7},
	};

	idt_set_dpl(BP, 3);
	idt_set_dpl(OF, 3);
	for (u32 i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct context c;

		next_frame();
		c = place(64, cases[i].insn, cases[i].n);
		c.eax = 0;
		run(&c);
		expect(&c, cases[i].name, cases[i].vector, cases[i].error, cases[i].offset);
	}
	idt_reset(BP);
	idt_reset(OF);
}

static int count_call(struct context *c)
{
	c->eax += 5;
	return 1;
}

static void system_calls(void)
{
	/* mov ecx, 1000; 1: int 80h; inc eax; dec ecx; jnz 1b */
	struct context c = PLACE(0, "\xb9\xe8\x03\x00\x00\xcd\x80\x40\x49\x75\xfa");

	isr[SYSCALL] = count_call;
	idt_set_dpl(SYSCALL, 3);
	c.eax = 0;
	run(&c);
	expect_done(&c, "a thousand system calls");
	check_eq(c.eax, 6000, "each was made once");
	isr[SYSCALL] = 0;
	idt_set_dpl(SYSCALL, 0);
	c = PLACE(0, "\xcd\x80");
	run(&c);
	expect(&c, "INT 80h that is not for users", GP, 0x80 * 8 + 2, 0);
	idt_reset(SYSCALL);
	idt_set_dpl(SYSCALL, 3);
}

static void memory(void)
{
	struct context c = PLACE(0, "\x8b\x03\x89\x01"); /* mov eax, [ebx]; mov [ecx], eax */

	*(u32 *)frames[3] = 77;
	c.ebx = AT(READ_ONLY_PAGE);
	c.ecx = AT(DATA_PAGE);
	run(&c);
	expect_done(&c, "load and store");
	check_eq(*(u32 *)frames[2], 77, "what was stored");
	c = PLACE(0, "\x8b\x03\x89\x01");
	c.ebx = AT(DATA_PAGE);
	c.ecx = AT(READ_ONLY_PAGE) + 12;
	run(&c);
	expect(&c, "a store to a read-only page", PF, PFE_P | PFE_W | PFE_U, 2);
	check_eq(c.cr2, AT(READ_ONLY_PAGE) + 12, "its address");
	c = PLACE(0, "\x8b\x03\x89\x01");
	c.ebx = AT(KERNEL_PAGE);
	run(&c);
	expect(&c, "a load from a kernel page", PF, PFE_P | PFE_U, 0);
	c = PLACE(0, "\x8b\x03\x89\x01");
	c.ebx = AT(100);
	run(&c);
	expect(&c, "a load from nothing", PF, PFE_U, 0);
	next_frame();
	c = PLACE(0, "\xff\xe3"); /* jmp ebx */
	c.ebx = AT(KERNEL_PAGE);
	run(&c);
	report(c.vector == PF && c.eip == AT(KERNEL_PAGE), "a jump to a kernel page");
	/* mapped, used, taken away */
	map(20, (u32)frames[5], PTE_P | PTE_U | PTE_W);
	for (u32 i = 0; i < 3; i++) {
		c = PLACE(0, "\x89\x03\x8b\x0b"); /* mov [ebx], eax; mov ecx, [ebx] */
		c.ebx = AT(20);
		c.eax = i;
		map(20, (u32)frames[5 + i], PTE_P | PTE_U | PTE_W);
		run(&c);
		report(c.vector == DONE && c.ecx == i && *(u32 *)frames[5 + i] == i, "a page that moves");
	}
	map(20, 0, 0);
	c = PLACE(0, "\x89\x03");
	c.ebx = AT(20);
	run(&c);
	expect(&c, "a page that was taken away", PF, PFE_W | PFE_U, 0);
}

static void what_it_sees(void)
{
	struct context c = PLACE(0, "\x8c\xd8\x8c\xcb\x8c\xd1\x8c\xc2"); /* mov eax, ds; ebx, cs; ecx, ss; edx, es */
	u32 eax = 0, ebx, ecx = 0, edx;

	run(&c);
	next_frame();
	report(c.vector == DONE && (c.eax & 0xffff) == UDATA && (c.ebx & 0xffff) == UCODE &&
		       (c.ecx & 0xffff) == UDATA && (c.edx & 0xffff) == UDATA,
	       "its selectors");
	c = PLACE(0, "\x1e\x58\x0e\x5b"); /* push ds; pop eax; push cs; pop ebx */
	run(&c);
	report(c.vector == DONE && (c.eax & 0xffff) == UDATA && (c.ebx & 0xffff) == UCODE, "the same by PUSH");
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	c = PLACE(0, "\x31\xc0\x31\xc9\x0f\xa2"); /* xor eax, eax; xor ecx, ecx; cpuid */
	run(&c);
	report(c.vector == DONE && c.eax == eax && c.ebx == ebx && c.ecx == ecx && c.edx == edx, "CPUID");
	c = PLACE(0, "\x9c\x58"); /* pushf; pop eax */
	run(&c);
	check_eq(c.eax & ~(u32)ARITH_, IF_ | 2, "EFLAGS");
	c = PLACE(0, "\x68\x02\x01\x00\x00\x9d\x40\x40"); /* push 102h; popf; inc eax; inc eax */
	c.eax = 0;
	run(&c);
	expect(&c, "POPF sets TF", DB, 0, 7);
	check_eq(c.eax, 1, "after one instruction");
	/* push 244202h; popf; mov eax, [ebx]; pushf; pop edx: AC, ID and NT outlive a page fault that nobody sees */
	map(20, (u32)frames[5], PTE_P | PTE_U | PTE_W);
	next_frame();
	c = PLACE(0, "\x68\x02\x42\x24\x00\x9d\x8b\x03\x9c\x5a");
	c.ebx = AT(20);
	run(&c);
	expect_done(&c, "POPF sets what users may set");
	check_eq(c.edx & ~(u32)ARITH_, 0x244202, "  and it stays");
	map(20, 0, 0);
	c = PLACE(0, "\x0f\x01\x03"); /* sgdt [ebx] */
	c.ebx = AT(DATA_PAGE);
	memset(frames[2], 0x55, 16);
	run(&c);
	report(c.vector == DONE && *(u32 *)(frames[2] + 2) == (u32)gdt, "SGDT shows this GDT");
}

static void segments(void)
{
	struct context c;

	gdt_set(SEG_A, AT(DATA_PAGE) + 256, 0xfffff, SEG_DATA | DPL3, SEG_G | SEG_B);
	gdt_set(SEG_B_, AT(DATA_PAGE) + 512, 7, SEG_DATA | DPL3, SEG_B);
	*(u32 *)(frames[2] + 256) = 0x1111;
	*(u32 *)(frames[2] + 516) = 0x2222;
	for (u32 i = 0; i < 4; i++) {
		c = PLACE(0, "\x65\xa1\x00\x00\x00\x00\x64\x8b\x1d\x04\x00\x00\x00"); /* mov eax, gs:[0]; mov ebx, fs:[4] */
		c.gs = SEG_A | 3;
		c.fs = SEG_B_ | 3;
		run(&c);
		expect_done(&c, "FS and GS");
		check_eq(c.eax, 0x1111, "  what GS shows");
		check_eq(c.ebx, 0x2222, "  what FS shows");
	}
}

static void more_segments(void)
{
	struct context c = PLACE(0, "\x65\xa1\x00\x00\x00\x00\x64\x8b\x1d\x05\x00\x00\x00");

	gdt_set(SEG_A, AT(DATA_PAGE) + 516, 0xfffff, SEG_DATA | DPL3, SEG_G | SEG_B);
	c.gs = SEG_A | 3;
	c.fs = SEG_B_ | 3;
	run(&c);
	sdm_only("TCG checks no limits");
	expect(&c, "beyond the limit of FS", GP, 0, 6);
	check_eq(c.eax, 0x2222, "GS has moved");
	c = PLACE(0, "\x65\xa1\x00\x00\x00\x00");
	c.gs = 0;
	run(&c);
	sdm_only("TCG checks no null selectors");
	expect(&c, "a null GS", GP, 0, 0);
	/* mov ax, SEG_A | 3; mov gs, ax; mov eax, gs:[0] */
	c = PLACE(0, "\x66\xb8\x63\x00\x8e\xe8\x65\xa1\x00\x00\x00\x00");
	run(&c);
	expect_done(&c, "loading GS");
	check_eq(c.eax, 0x2222, "and using it");
}

static void changing_code(void)
{
	struct context c;

	for (u32 i = 0; i < 20; i++) { /* the kernel writes */
		u8 insn[] = {0xb8, (u8)i, 0, 0, 0};

		c = place(0, insn, sizeof(insn));
		run(&c);
		report(c.vector == DONE && c.eax == i, "code the kernel has written");
	}
	next_frame();
	for (u32 page = CODE_PAGE; page <= ALIAS_PAGE; page += ALIAS_PAGE - CODE_PAGE) {
		/* mov ecx, 50; 1: inc byte [edx]; mov eax, 0; add ebx, eax; dec ecx; jnz 1b */
		c = PLACE(0, "\xb9\x32\x00\x00\x00\xfe\x02\xb8\x00\x00\x00\x00\x01\xc3\x49\x75\xf4");
		c.edx = AT(page) + 8;
		c.ebx = 0;
		run(&c);
		expect_done(&c, page == CODE_PAGE ? "code that writes itself" : "the same through an alias");
		check_eq(c.ebx, 50 * 51 / 2, "each write counted");
	}
	/* an instruction in two pages; the second one changes: mov eax, imm32 */
	for (u32 i = 1; i < 4; i++) {
		memset(frames[1], 0x90, 4096);
		c = place(4094, "\xb8\x44", 2);
		memcpy(frames[1], "\x33\x22\x11\xcd\x7f", 5);
		frames[1][0] = (u8)i;
		run(&c);
		report(c.vector == DONE && c.eax == 0x11220044 + (i << 8), "an instruction in two pages");
	}
	next_frame();
	/* and becomes one that must not run directly: 0f 0b, then CPUID */
	c = place(4095, "\x0f", 1);
	memcpy(frames[1], "\x0b", 1);
	run(&c);
	expect(&c, "an opcode in two pages", UD, 0, 0);
	c = place(4095, "\x0f", 1);
	memcpy(frames[1], "\xa2\xcd\x7f", 3);
	c.eax = 0x80000000;
	run(&c);
	expect_done(&c, "it becomes CPUID");
}

/*
 * Code that jumps into the middle of one of its own instructions, +16. In the plain form the address shows as an operand; in
 * the computed form nothing tells where the jump goes, and whoever runs this code directly has not looked there.
 */
static struct context place_hidden(const void *hidden, u32 n, bool computed)
{
	u8 insn[64];

	memset(insn, 0x90, sizeof(insn));
	if (computed)
		/* mov eax, ~(page + 10h); not eax; jc +14; jmp eax */
		memcpy(insn, "\xb8\xef\x7f\xff\xbf\xf7\xd0\x72\x05\xff\xe0", 11);
	else
		memcpy(insn, "\xb8\x10\x80\x00\x40\x72\x07\xff\xe0", 9);
	/* what the branch leads to: each byte of it is an operand: mov eax, imm32 (n <= 4), or mov dword [disp32], imm32 */
	if (n <= 4) {
		insn[15] = 0xb8;
		memcpy(insn + 16, hidden, n);
	} else {
		memcpy(insn + 14, "\xc7\x05", 2);
		memcpy(insn + 16, hidden, n);
	}
	memcpy(insn + 24, "\xcd\x7f", 2);
	next_frame();
	return place(0, insn, sizeof(insn));
}

static void hidden_instructions(void)
{
	u32 r[4] = {0, 0, 0, 0}, cr0;
	struct context c;

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("cpuid" : "+a"(r[0]), "=b"(r[1]), "+c"(r[2]), "=d"(r[3]));
	for (u32 computed = 0; computed < 2; computed++) {
		c = place_hidden("\x31\xc0\x31\xc9\x0f\xa2", 6, computed); /* xor eax, eax; xor ecx, ecx; cpuid */
		run(&c);
		report(c.vector == DONE && c.eax == r[0] && c.ebx == r[1] && c.ecx == r[2] && c.edx == r[3],
		       computed ? "hidden CPUID, computed jump" : "hidden CPUID");
		c = place_hidden("\x0f\x01\xe0", 3, computed); /* smsw eax */
		run(&c);
		report(c.vector == DONE && (c.eax & 0xffff) == (cr0 & 0xffff),
		       computed ? "hidden SMSW, computed jump" : "hidden SMSW");
	}
	c = place_hidden("\x8c\xd8", 2, false); /* mov eax, ds */
	run(&c);
	report(c.vector == DONE && (c.eax & 0xffff) == UDATA, "a hidden selector");
	c = place_hidden("\xea\x00\x00\x00\x40\x33\x00", 7, false);
	run(&c);
	expect(&c, "a hidden far jump", GP, 0x30, 16);
}

static void bit_scans(void)
{
	bool tzcnt;
	u32 r[4];
	struct context c;

	cpuid(0, r);
	r[1] = 0;
	if (r[0] >= 7)
		__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(7), "c"(0));
	tzcnt = r[1] >> 3 & 1;
	/* F3 BSF is BSF on processors without TZCNT; they differ in ZF: rep bsf eax, ecx; setz dl */
	c = PLACE(0, "\xf3\x0f\xbc\xc1\x0f\x94\xc2");
	c.ecx = 1;
	run(&c);
	report(c.vector == DONE && c.eax == 0 && (c.edx & 0xff) == tzcnt, "ZF of REP BSF");
	next_frame();
	c = PLACE(0, "\xf3\x0f\xbc\xc1\x85\xc9\x0f\x94\xc2"); /* rep bsf eax, ecx; test ecx, ecx; setz dl */
	c.ecx = 0x5000;
	run(&c);
	report(c.vector == DONE && c.eax == 12 && !(c.edx & 0xff), "the result of REP BSF");
}

/* Hidden as above: a far jump to what would be 64-bit code on the host. Whatever happens stays within this run. */
static void hidden_far_jump(const char *name, const void *then, u32 n)
{
	struct context c = place_hidden("\xea\x40\x80\x00\x40\x33\x00", 7, true);

	memcpy(code + 0x40, then, n);
	run(&c);
	report(c.vector == GP || c.vector == PF || c.vector == UD, name);
	*(u32 *)frames[4] = 0x600d;
	c = PLACE(0, "\x89\xd8");
	c.ebx = 99;
	run(&c);
	report(c.vector == DONE && c.eax == 99 && *(u32 *)frames[4] == 0x600d, "and life goes on");
}

static void escapes(void)
{
	hidden_far_jump("64-bit code: exit_group", "\xb8\xe7\x00\x00\x00\x31\xff\x0f\x05\xeb\xfe", 11);
	hidden_far_jump("64-bit code: fork", "\xb8\x39\x00\x00\x00\x0f\x05\xeb\xfe", 9);
	hidden_far_jump("64-bit code: kill", "\xb8\x3e\x00\x00\x00\x31\xff\x6a\x09\x5e\x0f\x05\xeb\xfe", 14);
	/* mov rax, 5eed00000000h; mov [rax], eax */
	hidden_far_jump("64-bit code: the stub's code", "\x48\xb8\x00\x00\x00\x00\xed\x5e\x00\x00\x89\x00\xeb\xfe", 14);
	/* mov rax, 5eee00000000h; mov dword [rax], 1; ud2: pretends to be the stub */
	hidden_far_jump("64-bit code: the shared page",
			"\x48\xb8\x00\x00\x00\x00\xee\x5e\x00\x00\xc7\x00\x01\x00\x00\x00\x0f\x0b", 18);
	hidden_far_jump("64-bit code: addresses above",
			"\x48\xb8\x00\x00\x00\x00\xff\x7f\x00\x00\x8b\x00\xeb\xfe", 14);
}

void guest_main(void)
{
	set_up();
	plain_code();
	traps();
	system_calls();
	memory();
	what_it_sees();
	segments();
	more_segments();
	changing_code();
	hidden_instructions();
	bit_scans();
	escapes();
	guest_finish();
}
