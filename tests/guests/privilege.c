/*
 * What ring 3 can see and do: SGDT and its kind (no trap, true values), CPUID, RDTSC under CR4.TSD,
 * MSRs, SYSENTER and SYSEXIT, control register rules. SDM: "System Instructions".
 */
#include "lib/guest.h"

enum { MSR_CS = 0x174, MSR_ESP, MSR_EIP, MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_PAT = 0x277 };

static u8 area[64] __attribute__((aligned(16)));

static struct context user(u32 code)
{
	struct context c = user_context(code);

	c.ebx = (u32)area;
	run(&c);
	return c;
}

static void stores(void)
{
	struct context c;
	u32 base;

	c = user(CODE("sgdt (%ebx)\nsidt 8(%ebx)\nsldt %eax\nstr %ecx\nsmsw %edx"));
	expect_done(&c, "SGDT, SIDT, SLDT, STR, SMSW at ring 3");
	memcpy(&base, area + 2, 4);
	report(base == (u32)gdt && *(u16 *)area == sizeof(gdt) - 1,
	       "SGDT gives the guest's own table");
	memcpy(&base, area + 10, 4);
	report(base == (u32)idt && *(u16 *)(area + 8) == sizeof(idt) - 1,
	       "SIDT gives the guest's own table");
	check_eq(c.eax & 0xffff, 0, "SLDT");
	check_eq(c.ecx & 0xffff, TSS_SEL, "STR");
	check_eq(c.edx & 0xffff, read_cr0() & 0xffff, "SMSW");
	c = user(CODE("movl $-1,(%ebx)\nstr (%ebx)\nmovl $-1,%eax\nstr %ax"));
	report(*(u32 *)area == (0xffff0000 | TSS_SEL) && c.eax == (0xffff0000 | TSS_SEL),
	       "STR to memory and to a 16-bit register write 2 bytes");
	c = user(CODE(
		"movl %cs,%eax\nmovl %ss,%ecx\npushl %ds\npopl %edx\nmovl $-1,%esi\nmovw %es,%si"));
	report(c.eax == UCODE && c.ecx == UDATA && (c.edx & 0xffff) == UDATA &&
		       c.esi == (0xffff0000 | UDATA),
	       "selectors as ring 3 reads them");
	c = user(CODE("pushfl\npopl %eax"));
	report(!(c.eax & (IF_ | IOPL_ | VM_)) && (c.eax & 2), "PUSHF at ring 3");
}

static void identification(void)
{
	struct context c;
	u32 r[4], s[4];

	cpuid(0, r);
	report(r[0] >= 1 && r[1] && r[2] && r[3], "CPUID leaf 0 has a vendor");
	cpuid(1, r);
	c = user_context(CODE("cpuid"));
	c.eax = 1;
	run(&c);
	report(c.eax == r[0] && c.edx == r[3], "CPUID in ring 3 is the same");
	static const struct {
		u8 bit;
		const char *name;
	} must[] = {{0, "FPU"},	 {3, "PSE"},  {4, "TSC"},   {5, "MSR"},	 {6, "PAE"},
		    {8, "CX8"},	 {9, "APIC"}, {11, "SEP"},  {13, "PGE"}, {15, "CMOV"},
		    {16, "PAT"}, {23, "MMX"}, {24, "FXSR"}, {25, "SSE"}, {26, "SSE2"}};

	for (u32 i = 0; i < ARRAY_LEN(must); i++)
		report(r[3] >> must[i].bit & 1, must[i].name);
	report((r[0] >> 8 & 15) >= 6, "family 6 or later");
	cpuid(0x80000000, r);
	report(r[0] >= 0x80000001, "extended leaves");
	cpuid(0, r);
	cpuid(0, s);
	report(!memcmp(r, s, sizeof(r)), "CPUID is constant");
	c = kernel_context(CODE("pushfl\npopl %eax\nxorl $0x200000,%eax\npushl "
				"%eax\npopfl\npushfl\npopl %ecx\nxorl %ecx,%eax"));
	run(&c);
	check_eq(c.eax & ID_, 0, "EFLAGS.ID toggles");
}

static void time_stamp(void)
{
	struct context c;
	u64 a = rdtsc(), b;
	u32 i = 0;

	do
		b = rdtsc();
	while (b == a && ++i < 1000);
	report(b > a, "the TSC advances");
	write_cr4(read_cr4() | CR4_TSD);
	c = user(CODE("rdtsc"));
	expect(&c, "RDTSC at ring 3 under CR4.TSD", GP, 0, 0);
	c = kernel_context(CODE("rdtsc"));
	run(&c);
	expect_done(&c, "RDTSC at ring 0 under CR4.TSD");
	write_cr4(read_cr4() & ~CR4_TSD);
	c = user(CODE("rdtsc"));
	expect_done(&c, "RDTSC at ring 3");
	wrmsr(MSR_TSC, 0x100000000000ull);
	a = rdtsc();
	sdm_only("TCG does not write the TSC");
	report(a >> 32 >= 0x1000 && a >> 32 < 0x1010, "the TSC can be written");
}

static void msrs(void)
{
	struct context c;

	c = kernel_context(CODE("rdmsr"));
	c.ecx = 0xdeadbeef;
	run(&c);
	sdm_only("TCG reads unknown MSRs as 0");
	expect(&c, "RDMSR of an unknown register", GP, 0, 0);
	c = kernel_context(CODE("wrmsr"));
	c.ecx = 0xdeadbeef;
	run(&c);
	sdm_only("TCG ignores writes to unknown MSRs");
	expect(&c, "WRMSR of an unknown register", GP, 0, 0);
	report(rdmsr(MSR_APIC_BASE) >> 8 & 1, "APIC_BASE says BSP");
	check_eq(rdmsr(MSR_PAT), 0x00070406, "PAT after reset, low");
	wrmsr(MSR_ESP, 0x12345678);
	check_eq(rdmsr(MSR_ESP), 0x12345678, "SYSENTER_ESP holds its value");
	c = kernel_context(CODE("wrmsr"));
	c.ecx = MSR_PAT;
	c.eax = 0x02020202;
	run(&c);
	sdm_only("TCG does not check PAT types");
	expect(&c, "WRMSR of a reserved memory type", GP, 0, 0);
	wrmsr(MSR_PAT, 0x0007040600070406ull);
}

static void sysenter(void)
{
	struct context c;

	wrmsr(MSR_CS, 0);
	c = user(CODE("sysenter"));
	expect(&c, "SYSENTER without a code segment", GP, 0, 0);
	wrmsr(MSR_CS, KCODE);
	wrmsr(MSR_ESP, kernel_stack_top - 256);
	wrmsr(MSR_EIP, CODE("movl %cs,%eax\nmovl %ss,%esi\nmovl %esp,%edi\npushfl\npopl %ebp"));
	c = user_context(CODE("sysenter"));
	c.eflags |= IOPL_ | CF_;
	c.ecx = 0x11;
	c.edx = 0x22;
	run(&c);
	report(c.vector == DONE && c.eax == KCODE && c.esi == KDATA &&
		       c.edi == kernel_stack_top - 256,
	       "SYSENTER enters ring 0");
	report(!(c.ebp & IF_) && (c.ebp & CF_) && c.ecx == 0x11 && c.edx == 0x22,
	       "SYSENTER clears IF and keeps the rest");
	/* And back: SYSEXIT to ECX:EDX with CS + 16, SS + 24. */
	wrmsr(MSR_EIP, CODE("sysexit"));
	c = user_context(CODE(
		"movl $1f,%edx\nmovl %esp,%ecx\nsysenter\nnop\n1: movl %cs,%eax\nmovl %ss,%esi"));
	u32 esp = c.esp;

	run(&c);
	expect_done(&c, "SYSENTER and SYSEXIT");
	report(c.cs == UCODE && c.eax == UCODE && c.esi == UDATA && c.esp == esp,
	       "SYSEXIT returns to ring 3");
	bool ok = true;

	for (u32 i = 0; i < 500 && ok; i++) {
		c = user_context(c.start);
		run(&c);
		ok = c.vector == DONE && c.cs == UCODE;
	}
	report(ok, "500 times");
	c = user(CODE("sysexit"));
	expect(&c, "SYSEXIT at ring 3", GP, 0, 0);
	wrmsr(MSR_CS, 0);
	c = kernel_context(CODE("sysexit"));
	run(&c);
	expect(&c, "SYSEXIT without a code segment", GP, 0, 0);
}

static void control_registers(void)
{
	struct context c;
	u32 set0 = CODE("movl %eax,%cr0"), set4 = CODE("movl %eax,%cr4");

	c = kernel_context(set0);
	c.eax = CR0_PG;
	if (!on_oracle)
		run(&c); /* where it is accepted, it is the end */
	sdm_only("TCG accepts PG without PE");
	expect(&c, "CR0.PG without PE", GP, 0, 0);
	c = kernel_context(set0);
	c.eax = CR0_PE | 1 << 29;
	run(&c);
	sdm_only("TCG accepts NW without CD");
	expect(&c, "CR0.NW without CD", GP, 0, 0);
	write_cr0(CR0_PE | CR0_NE);
	c = kernel_context(set4);
	c.eax = 1u << 31;
	if (!on_oracle)
		run(&c);
	sdm_only("TCG accepts or masks reserved CR4 bits");
	expect(&c, "reserved CR4 bit", GP, 0, 0);
	write_cr4(0);
	c = kernel_context(CODE("movl %cr0,%eax\nandl $-2,%eax\nlmsw %ax\nmovl %cr0,%ecx"));
	run(&c);
	report(c.ecx & CR0_PE, "LMSW cannot clear PE");
	c = kernel_context(CODE("movl $9,%eax\nlmsw %ax\nmovl %cr0,%ecx\nclts\nmovl %cr0,%edx"));
	run(&c);
	report((c.ecx & CR0_TS) && !(c.edx & CR0_TS), "LMSW sets TS, CLTS clears it");
	check_eq(read_cr0() & 16, 16, "CR0.ET is always 1");
	write_cr2(0x1234567);
	check_eq(read_cr2(), 0x1234567, "CR2 can be written");
}

void guest_main(void)
{
	stores();
	identification();
	time_stamp();
	msrs();
	sysenter();
	control_registers();
}
