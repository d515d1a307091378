/*
 * One program at many linear addresses, as when each run of it has a random base: the same frames of code, one address space after
 * another and several at once. Its return addresses, jumps and faults must be those of where it stands.
 */
#include "lib/guest.h"

enum { SPACES = 4, RWU = PTE_P | PTE_W | PTE_U, CODE_FRAMES = 2, COUNTED = 20 + 100 + 1000 + 1 };
enum { FAULT = 0x100, DIVIDE = 0x120, LOOPING = 0x140 };

static u32 directories[SPACES][1024] __attribute__((aligned(4096)));
static u32 tables[SPACES][1024] __attribute__((aligned(4096)));
static u32 at[SPACES]; /* where the program is in each; 0: nowhere */
static u32 seed = 1;

/* Position-independent. ESI: where it found itself; EAX: what it counted. */
extern const u8 program[], program_end[];
__asm__(".pushsection .rodata\n"
	"program:\n"
	"	call	1f\n"
	"1:	popl	%esi\n"
	"	xorl	%eax, %eax\n"
	"	movl	$20, %ecx\n"
	"2:	call	4f\n"
	"	loop	2b\n"
	"	leal	5f - 1b(%esi), %edx\n"
	"	call	*%edx\n"
	"	pushl	%eax\n"
	"	cpuid\n"
	"	popl	%eax\n"
	"	testl	%eax, %eax\n"
	"	jnz	6f\n"
	"4:	incl	%eax\n"
	"	ret\n"
	"5:	addl	$100, %eax\n"
	"	ret\n"
	"	.org	program + 0x100\n" /* FAULT */
	"	movl	$7, %eax\n"
	"	movl	%eax, (%ebx)\n"
	"	int	$0x80\n"
	"	.org	program + 0x120\n" /* DIVIDE */
	"	xorl	%edx, %edx\n"
	"	divl	%ecx\n"
	"	int	$0x80\n"
	"	.org	program + 0x140\n" /* LOOPING */
	"	xorl	%eax, %eax\n"
	"3:	addl	$3, %eax\n"
	"	loop	3b\n"
	"	int	$0x80\n"
	"	.org	program + 4090, 0x90\n"
	"6:	jmp	7f\n"
	"	.org	program + 4094, 0x90\n"
	"7:	addl	$1000, %eax\n" /* spans the pages */
	"	call	8f\n"
	"	int	$0x80\n"
	"8:	incl	%eax\n"
	"	ret\n"
	"program_end:\n"
	".popsection\n");

static void set_pages(u32 space, u32 lin, bool present)
{
	for (u32 i = 0; i < CODE_FRAMES; i++)
		tables[space][((lin - TEST_VA) >> 12) + i] = present ? (u32)frames[i] | RWU : 0;
}

static void start(u32 space, u32 lin)
{
	if (at[space])
		set_pages(space, at[space], false);
	at[space] = lin;
	set_pages(space, lin, true);
	write_cr3((u32)directories[space]);
}

static struct context run_from(u32 space, u32 offset, u32 ecx)
{
	struct context c = user_context(at[space] + offset);

	c.ecx = ecx;
	c.ebx = 0x50000000;
	write_cr3((u32)directories[space]);
	run(&c);
	return c;
}

static bool all_right(u32 space)
{
	struct context c = run_from(space, 0, 0);

	return c.vector == SYSCALL && c.esi == at[space] + 5 && c.eax == COUNTED;
}

static u32 somewhere(void)
{
	seed = seed * 1103515245 + 12345;
	return TEST_VA + ((seed >> 16) % 1000 << 12);
}

static void build(void)
{
	memcpy(frames[0], program, (u32)(program_end - program));
	for (u32 i = 0; i < SPACES; i++) {
		memcpy(directories[i], page_dir, 4096);
		directories[i][TEST_VA >> 22] = (u32)tables[i] | RWU;
	}
}

static void one_after_another(void)
{
	bool ok = true, pf = true, de = true;

	for (u32 n = 0; n < 300 && ok; n++) {
		u32 space = n % SPACES;
		struct context c;

		start(space, somewhere());
		for (u32 again = 0; again < 1 + n % 3; again++)
			ok &= all_right(space);
		c = run_from(space, FAULT, 0);
		pf &= c.vector == PF && c.cr2 == 0x50000000 && c.eip == at[space] + FAULT + 5 && c.eax == 7;
		c = run_from(space, DIVIDE, n % 2);
		de &= n % 2 ? c.vector == SYSCALL : c.vector == DE && c.eip == at[space] + DIVIDE + 2;
	}
	report(ok, "300 runs, each somewhere else");
	report(pf, "their page faults are where they happen");
	report(de, "their divisions by zero, too");
}

static void at_once(void)
{
	bool ok = true;

	for (u32 space = 0; space < SPACES; space++)
		start(space, TEST_VA + 0x3000 * (space + 1));
	for (u32 n = 0; n < 400; n++)
		ok &= all_right(n * 7 / 3 % SPACES);
	report(ok, "several at once");
	/* one of them moves about, the others stay */
	for (u32 n = 0; n < 100; n++) {
		if (n % 2)
			start(1, somewhere());
		ok &= all_right(n % SPACES) && all_right(1);
	}
	report(ok, "one of several moves");
}

/* The same frames at two addresses of one address space. */
static void twice_in_one(void)
{
	u32 first = TEST_VA + 0x8000, second = TEST_VA + 0x28000;
	bool ok = true;

	start(0, first);
	set_pages(0, second, true);
	write_cr3((u32)directories[0]);
	for (u32 n = 0; n < 20; n++) {
		at[0] = n & 1 ? first : second;
		ok &= all_right(0);
	}
	set_pages(0, first, false);
	set_pages(0, second, false);
	report(ok, "twice in one address space");
}

/* Code that is written to after it was moved; and a loop that runs long enough to be interrupted. */
static void changed(void)
{
	bool ok = true, loops = true;

	for (u32 n = 1; n <= 40; n++) {
		struct context c;

		start(n % SPACES, somewhere());
		c = run_from(n % SPACES, LOOPING, 20000);
		loops &= c.vector == SYSCALL && c.eax == 20000 * frames[0][LOOPING + 4];
		frames[0][LOOPING + 4] = (u8)n; /* the immediate of the addition */
		c = run_from(n % SPACES, LOOPING, 10);
		ok &= c.vector == SYSCALL && c.eax == 10 * n;
	}
	report(loops, "loops where they were moved to");
	report(ok, "changes after a move are seen");
}

void guest_main(void)
{
	paging_enable();
	build();
	one_after_another();
	at_once();
	twice_in_one();
	changed();
}
