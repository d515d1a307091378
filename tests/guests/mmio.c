/*
 * Memory-mapped registers reached by every kind of instruction (the local APIC's are the subject),
 * MMIO from user pages and through other mappings, REP from MMIO, ports of all sizes, INS and OUTS,
 * and the A20 gate.
 */
#include "lib/guest.h"

enum { APIC = 0xfee00000, TPR = 0x80, ESR = 0x280, ICR2 = 0x310, LVT = 0x370, VERSION = 0x30 };

static u32 buffer[64];

static struct context mmio(u32 code, u32 reg, u32 eax)
{
	struct context c = kernel_context(code);

	c.ebx = APIC + reg;
	c.esi = APIC + reg;
	c.edi = (u32)buffer;
	c.eax = eax;
	c.ecx = 1;
	run(&c);
	return c;
}

static u32 reg_value(u32 reg)
{
	return *(volatile u32 *)(APIC + reg);
}

static void forms(void)
{
	struct context c;

	c = mmio(CODE("movl %eax,(%ebx)\nmovl (%ebx),%edx"), ICR2, 0x12000000);
	check_eq(c.edx, 0x12000000, "MOV to and from a register");
	c = mmio(CODE("movl $0x34000000,(%ebx)\nmovl (%ebx),%edx"), ICR2, 0);
	check_eq(c.edx, 0x34000000, "MOV of an immediate");
	c = mmio(CODE("movl %eax,(%ebx)\norl $0x01000000,(%ebx)\naddl $0x02000000,(%ebx)\nmovl "
		      "(%ebx),%edx"),
		 ICR2, 0x10000000);
	check_eq(c.edx, 0x13000000, "OR and ADD to memory");
	c = mmio(CODE("xchgl %eax,(%ebx)"), ICR2, 0x55000000);
	report(c.eax == 0x13000000 && reg_value(ICR2) == 0x55000000, "XCHG");
	c = mmio(CODE("pushl (%ebx)\npopl %edx\npushl $0x66000000\npopl (%ebx)"), ICR2, 0);
	report(c.edx == 0x55000000 && reg_value(ICR2) == 0x66000000, "PUSH from and POP to MMIO");
	c = mmio(CODE("movsl"), ICR2, 0);
	report(buffer[0] == 0x66000000 && c.esi == APIC + ICR2 + 4 && c.edi == (u32)&buffer[1],
	       "MOVS from MMIO");
	c = mmio(CODE("xchgl %esi,%edi\nmovl $0x77000000,(%esi)\nmovsl"), ICR2, 0);
	check_eq(reg_value(ICR2), 0x77000000, "MOVS to MMIO");
	c = mmio(CODE("movl %ebx,%edi\nstosl"), ICR2, 0x21000000);
	check_eq(reg_value(ICR2), 0x21000000, "STOS to MMIO");
	c = mmio(CODE("cmpl (%ebx),%eax\nsete %cl\ntestl $0x01000000,(%ebx)\nsetnz %ch"), ICR2,
		 0x21000000);
	check_eq(c.ecx & 0xffff, 0x101, "CMP and TEST with MMIO");
	c = mmio(CODE("movl $3,%edx\nimull (%ebx),%edx\nimull $5,(%ebx),%ecx\nbsfl (%ebx),%ebp"),
		 VERSION, 0);
	report(c.edx == 3 * reg_value(VERSION) && c.ecx == 5 * reg_value(VERSION),
	       "IMUL from MMIO");
	c = mmio(CODE("jmp 1f\n1: addl (%ebx),%eax\nsubl (%ebx),%eax"), VERSION, 0x1000);
	check_eq(c.eax, 0x1000, "ADD and SUB from MMIO");
	c = mmio(CODE("movl $4,%ecx\nrep movsl"), VERSION, 0);
	report(c.ecx == 0 && buffer[0] == reg_value(VERSION), "REP MOVS from MMIO");
	c = mmio(CODE("btsl $25,(%ebx)\nmovl (%ebx),%edx\ncmovnel (%ebx),%ecx"), ICR2, 0);
	check_eq(c.edx, 0x23000000, "BTS on MMIO");
	c = mmio(CODE("lock orl $0x40000000,(%ebx)\nlock xaddl %eax,(%ebx)"), ICR2, 0x01000000);
	report(c.eax == 0x63000000 && reg_value(ICR2) == 0x64000000, "LOCKed operations on MMIO");
	c = mmio(CODE("call *1f\njmp 2f\n1: .long 3f\n3: movl (%ebx),%eax\nret\n2: nop"), VERSION,
		 0);
	check_eq(c.eax, reg_value(VERSION), "MMIO inside a called function");
	/* The same instruction on RAM and on MMIO in turn. */
	bool ok = true;
	u32 code = CODE("movl (%ebx),%eax");

	buffer[5] = 0x1234;
	for (u32 i = 0; i < 50 && ok; i++) {
		c = kernel_context(code);
		c.ebx = i & 1 ? (u32)&buffer[5] : (u32)APIC + VERSION;
		run(&c);
		ok = c.eax == (i & 1 ? 0x1234 : reg_value(VERSION));
	}
	report(ok, "one instruction, RAM and MMIO in turn");
}

static void mapped(void)
{
	struct context c;

	paging_enable();
	map(0, APIC, PTE_P | PTE_W | PTE_U | PTE_PCD);
	c = user_context(CODE("movl $0x42000000,0x40000310\nmovl 0x40000030,%eax"));
	run(&c);
	report(c.vector == DONE && c.eax == reg_value(VERSION) && reg_value(ICR2) == 0x42000000,
	       "MMIO mapped for ring 3");
	map(0, (u32)frames[0], PTE_P | PTE_W | PTE_U);
	*(u32 *)(frames[0] + 0x30) = 0x5555;
	c = user_context(c.start);
	run(&c);
	check_eq(c.eax, 0x5555, "the same address mapped to RAM, the same code");
	map(0, APIC, PTE_P);
	write_cr0(read_cr0() | CR0_WP);
	c = kernel_context(c.start);
	run(&c);
	expect(&c, "read-only mapping of MMIO", PF, PFE_P | PFE_W, 0);
	/* Unassigned physical addresses read as ones and ignore writes. */
	map(1, 0xd0000000, PTE_P | PTE_W);
	c = kernel_context(CODE("movl $5,0x40001000\nmovl 0x40001000,%eax"));
	run(&c);
	expect_done(&c, "an address with nothing behind it");
	paging_disable();
}

static void ports(void)
{
	struct context c;
	static u8 bytes[16] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};

	outl(0xcf8, 0x80000000);
	check_eq(inl(0xcf8), 0x80000000, "dword port");
	report((inl(0xcfc) & 0xffff) != 0xffff, "PCI host bridge");
	check_eq(inw(0xcfc), inl(0xcfc) & 0xffff, "word of a dword port");
	check_eq(inb(0xcfd), inl(0xcfc) >> 8 & 0xff, "byte of a dword port");
	outl(0xcf8, 0);
	c = kernel_context(
		CODE("movw $0x3ff,%dx\nmovb $0x5a,%al\noutb %al,%dx\nxorl %eax,%eax\ninb %dx,%al"));
	run(&c);
	check_eq(c.eax, 0x5a, "UART scratch register");
	c = kernel_context(CODE("rep outsb"));
	c.edx = 0x3ff;
	c.esi = (u32)bytes;
	c.ecx = 8;
	run(&c);
	report(c.vector == DONE && c.ecx == 0 && c.esi == (u32)bytes + 8 && inb(0x3ff) == 0x88,
	       "REP OUTSB");
	c = kernel_context(CODE("rep insb"));
	c.edx = 0x3ff;
	c.edi = (u32)bytes;
	c.ecx = 4;
	run(&c);
	report(bytes[3] == 0x88 && bytes[4] == 0x55 && c.edi == (u32)bytes + 4, "REP INSB");
	c = kernel_context(CODE("movl $0xffffffff,%eax\ninb %dx,%al"));
	c.edx = 0x3ff;
	run(&c);
	check_eq(c.eax, 0xffffff88, "IN to AL keeps the rest of EAX");
	check_eq(inb(0x2f7), 0xff, "a port with nothing behind it");
	/* INS into an absent page: the port must not be read in vain twice; ECX and EDI tell the
	 * progress. */
	paging_enable();
	map(0, (u32)frames[0], PTE_P | PTE_W | PTE_U);
	map(1, 0, 0);
	c = kernel_context(CODE("rep insb"));
	c.edx = 0x3ff;
	c.edi = TEST_VA + 4096 - 3;
	c.ecx = 8;
	run(&c);
	report(c.vector == PF && c.ecx == 5 && c.edi == TEST_VA + 4096 && c.eip == c.start,
	       "REP INSB into an absent page");
	map(1, (u32)frames[1], PTE_P | PTE_W | PTE_U);
	run(&c);
	report(c.vector == DONE && c.ecx == 0 && frames[1][4] == 0x88,
	       "and on after the page came");
	paging_disable();
}

static void a20(void)
{
	volatile u32 *low = (volatile u32 *)0x500, *high = (volatile u32 *)(0x100000 + 0x500);
	u32 saved_high = *high, saved_low = *low;
	u8 port = inb(0x92);

	report(port & 2, "A20 is on");
	*low = 0x1111;
	*high = 0x2222;
	report(*low == 0x1111 && *high == 0x2222, "1 MiB apart, two memories");
	*high = saved_high;
	*low = saved_low;
}

static void wrap_around(void)
{
	struct context c;

	/* An effective address beyond 4 GiB comes back to 0. */
	*(u32 *)0x600 = 0xfeed;
	c = kernel_context(
		CODE("movl 0x700(%ebx),%eax\nmovl (%ebx,%ecx,4),%edx\nleal 0x700(%ebx),%esi"));
	c.ebx = -0x100u;
	c.ecx = 0x700 / 4;
	run(&c);
	report(c.eax == 0xfeed && c.edx == 0xfeed && c.esi == 0x600,
	       "effective addresses wrap at 4 GiB");
	c = kernel_context(CODE("addr16 movl 0x700(%bx),%eax\nleaw 0x700(%bx),%cx"));
	c.ebx = 0xabcdff00;
	run(&c);
	report(c.eax == 0xfeed && (c.ecx & 0xffff) == 0x600,
	       "16-bit effective addresses wrap at 64 KiB");
	c = kernel_context(CODE("addr16 movl %eax,(%bp,%di)\naddr16 movl (%si),%edx"));
	c.ebp = 0x10600;
	c.edi = 0x20010;
	c.esi = 0x30610;
	c.eax = 0x77;
	run(&c);
	check_eq(c.edx, 0x77, "16-bit forms use the low halves");
}

void guest_main(void)
{
	forms();
	mapped();
	ports();
	a20();
	wrap_around();
}
