/*
 * Interruptions must not show: a computation gives the same result undisturbed, under a fast timer,
 * with the TLB flushed and its code page written by every interrupt, and single-stepped. In ring 3
 * and ring 0.
 */
#include "lib/guest.h"

enum { ROUNDS = 20000, FEW = 300, LONG_COPY = 1 << 20 };

static u8 work_area[4096 + 64] __attribute__((aligned(4096))); /* a dword at byte 4095 fits */
static u32 ticks, inside;
static u32 reference_many, reference_few;
static u32 code;
static bool flush, touch_code;

static int on_tick(struct context *c)
{
	ticks++;
	inside += c->eip - code < 128;
	if (flush)
		write_cr3(read_cr3());
	if (touch_code)
		*(volatile u8 *)code = *(volatile u8 *)code;
	pic_eoi(0);
	return 1;
}

static int on_step(struct context *c)
{
	(void)c;
	ticks++;
	return 1;
}

/* EAX: a mix of arithmetic with live flags, calls, stack, string and read-modify-write
 * instructions. */
static void assemble(void)
{
	code = CODE("movl $0x12345678,%eax\n"
		    "1: imull $1664525,%eax\naddl $1013904223,%eax\n"
		    "movl %eax,%edx\nshrl $20,%edx\n"
		    "addl %eax,(%ebx,%edx)\nadcl $0,%eax\n"
		    "pushl %eax\nroll $7,(%esp)\ncall 2f\npopl %edx\nxorl %edx,%eax\n"
		    "leal (%ebx),%esi\nleal 2048(%ebx),%edi\nmovl %ecx,%ebp\nmovl $5,%ecx\nrep "
		    "movsl\nmovl %ebp,%ecx\n"
		    "stc\nrcrl $1,%eax\nsbbl $3,%eax\n"
		    "decl %ecx\njnz 1b\njmp 3f\n"
		    "2: pushfl\nbswapl %eax\ncmpl $0x40000000,%eax\njb 4f\nnotl %eax\n4: "
		    "popfl\njnc 5f\nincl %eax\n5: ret\n"
		    "3: nop");
}

static struct context compute(bool user, u32 rounds, u32 flags)
{
	struct context c = user ? user_context(code) : kernel_context(code);

	memset(work_area, 0, sizeof(work_area));
	c.ebx = (u32)work_area;
	c.ecx = rounds;
	c.eflags |= flags;
	ticks = inside = 0;
	run(&c);
	return c;
}

static u32 digest(const struct context *c)
{
	u32 sum = c->eax ^ (c->vector == DONE ? 0 : 0xbad);

	for (u32 i = 0; i < sizeof(work_area) / 4; i++)
		sum = (sum << 5 | sum >> 27) ^ ((u32 *)work_area)[i];
	return sum;
}

/* Repeats until the timer has really struck inside the computation a few times. */
static void disturbed(const char *name, bool user)
{
	u32 hits = 0;
	bool ok = true;

	isr[PIC_BASE] = on_tick;
	pic_setup(0xfffe);
	pit_periodic(300); /* 4 kHz */
	for (u32 i = 0; i < 200 && ok && hits < 40; i++) {
		struct context c = compute(user, ROUNDS, IF_);

		ok = digest(&c) == reference_many;
		hits += inside;
	}
	outb(0x21, 0xff);
	if (report(ok && hits >= 5, name))
		return;
	check_eq(hits, 40, "  interrupts inside the computation");
}

static void stepped(const char *name, bool user)
{
	isr[DB] = on_step;
	struct context c = compute(user, FEW, TF_);

	isr[DB] = 0;
	check_eq(digest(&c), reference_few, name);
	report(ticks > FEW * 25, "  one trap for each instruction");
}

/* One long REP, cut by interrupts: some must come in the middle, with ECX part of the way. */
static u32 middle;

static int on_tick_in_rep(struct context *c)
{
	middle += c->ecx > 0 && c->ecx < LONG_COPY / 4;
	pic_eoi(0);
	return 1;
}

static void long_copy(void)
{
	u8 *from = (u8 *)(16 << 20), *to = (u8 *)(20 << 20);
	struct context c;

	for (u32 i = 0; i < LONG_COPY / 4; i++)
		((u32 *)from)[i] = i * 2654435761u;
	memset(to, 0, LONG_COPY + 4);
	isr[PIC_BASE] = on_tick_in_rep;
	pic_setup(0xfffe);
	pit_periodic(100);
	middle = 0;
	bool ok = true;

	for (u32 i = 0; i < 300 && ok && middle < 3; i++) {
		c = kernel_context(CODE("sti\nnop\nrep movsl\ncli"));
		c.esi = (u32)from;
		c.edi = (u32)to;
		c.ecx = LONG_COPY / 4;
		run(&c);
		ok = c.vector == DONE && c.ecx == 0 && c.esi == (u32)from + LONG_COPY &&
		     c.edi == (u32)to + LONG_COPY;
	}
	outb(0x21, 0xff);
	report(ok && !memcmp(from, to, LONG_COPY) && !*(u32 *)(to + LONG_COPY),
	       "a long REP MOVS under interrupts");
}

void guest_main(void)
{
	assemble();
	struct context c = compute(false, ROUNDS, 0);

	reference_many = digest(&c);
	c = compute(false, FEW, 0);
	reference_few = digest(&c);
	c = compute(true, ROUNDS, 0);
	check_eq(digest(&c), reference_many, "ring 3 computes what ring 0 does");
	disturbed("ring 3 under a fast timer", true);
	disturbed("ring 0 under a fast timer", false);
	stepped("ring 3 single-stepped", true);
	stepped("ring 0 single-stepped", false);
	paging_enable();
	flush = true;
	disturbed("with the TLB flushed by each interrupt, ring 3", true);
	disturbed("with the TLB flushed by each interrupt, ring 0", false);
	touch_code = true;
	disturbed("with its code written by each interrupt, ring 3", true);
	disturbed("with its code written by each interrupt, ring 0", false);
	paging_disable();
	long_copy();
}
