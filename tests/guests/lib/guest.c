/* Start-up, contexts and reporting; see guest.h for the idea. */
#include "guest.h"

struct multiboot_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline;
};

extern u32 boot_magic;
extern struct multiboot_info *boot_info;
extern u32 trap_stubs[256];
void guest_setup(void);
int trap_dispatch(void);
void run_loaded(void);

struct context live_context;
static bool running, dispatching;
volatile u32 snippet_at;
isr_fn isr[256];
bool on_oracle;

static u8 snippet_stack[16384] __attribute__((aligned(16)));
static u8 ring3_stack[16384] __attribute__((aligned(4096)));
static u8 ring0_stack[4096] __attribute__((aligned(16)));
u32 kernel_stack_top = (u32)(snippet_stack + sizeof(snippet_stack));
u32 user_stack_top = (u32)(ring3_stack + sizeof(ring3_stack));

/* ---- descriptor tables ---- */

u64 gdt[GDT_ENTRIES] __attribute__((aligned(1024))) = {
	[1] = 0x00cf9b000000ffffull, /* KCODE */
	[2] = 0x00cf93000000ffffull, /* KDATA */
	[3] = 0x00cffb000000ffffull, /* UCODE */
	[4] = 0x00cff3000000ffffull, /* UDATA */
	[6] = 0x00009b000000ffffull, /* CODE16 */
	[7] = 0x000093000000ffffull, /* DATA16 */
};
u64 idt[256] __attribute__((aligned(8)));
struct tss tss;

u64 make_segment(u32 base, u32 limit, u8 access, u8 flags)
{
	u32 low = (limit & 0xffff) | base << 16;
	u32 high = (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) | (u32)flags << 20 |
		   (base & 0xff000000);

	return (u64)high << 32 | low;
}

u64 make_gate(u16 sel, u32 offset, u8 access, u8 params)
{
	u32 low = (u32)sel << 16 | (offset & 0xffff);
	u32 high = (offset & 0xffff0000) | access << 8 | params;

	return (u64)high << 32 | low;
}

void gdt_set(u16 sel, u32 base, u32 limit, u8 access, u8 flags)
{
	gdt[sel / 8] = make_segment(base, limit, access, flags);
}

void idt_set_dpl(u8 vector, u8 dpl)
{
	idt[vector] = make_gate(KCODE, trap_stubs[vector], 0x8e | dpl << 5, 0);
}

void idt_reset(u8 vector)
{
	idt_set_dpl(vector,
		    vector == BP || vector == OF || vector == DONE || vector == SYSCALL ? 3 : 0);
}

static void load_tables(void)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (u32)idt};

	for (u32 i = 0; i < 256; i++)
		idt_reset(i);
	__asm__ volatile("lidt %0" : : "m"(idtr));
	tss.ss0 = KDATA;
	tss.esp0 = (u32)(ring0_stack + sizeof(ring0_stack));
	tss.iomap = __builtin_offsetof(struct tss, bitmap);
	memset(tss.bitmap, 0xff, sizeof(tss.bitmap));
	gdt_set(TSS_SEL, (u32)&tss, sizeof(tss) - 1, SEG_TSS, 0);
	__asm__ volatile("ltr %w0" : : "r"(TSS_SEL));
	__asm__ volatile("lldt %w0" : : "r"(0)); /* after reset the LDT is not empty */
}

static bool has_word(const char *s, const char *word)
{
	for (; *s; s++) {
		u32 i = 0;

		while (word[i] && s[i] == word[i])
			i++;
		if (!word[i])
			return true;
	}
	return false;
}

void guest_setup(void)
{
	outb(0x3f9, 0);	   /* no UART interrupts */
	outb(0x3fb, 0x80); /* 115200 baud, 8N1 */
	outb(0x3f8, 1);
	outb(0x3f9, 0);
	outb(0x3fb, 3);
	outb(0x3fa, 7);
	load_tables();
	pic_setup(0xffff); /* firmware may have left a timer running: IF alone must let nothing in */
	if (boot_magic == 0x2badb002 && (boot_info->flags & 4))
		on_oracle = has_word((const char *)boot_info->cmdline, "oracle");
	report(boot_magic == 0x2badb002, "multiboot magic in EAX");
}

/* ---- contexts ---- */

struct context kernel_context(u32 eip)
{
	struct context c = {.eip = eip, .start = eip, .cs = KCODE, .eflags = 2, .ss = KDATA};

	c.ds = c.es = c.fs = c.gs = KDATA;
	c.esp = kernel_stack_top - 64;
	return c;
}

struct context user_context(u32 eip)
{
	struct context c = {.eip = eip, .start = eip, .cs = UCODE, .eflags = 2, .ss = UDATA};

	c.ds = c.es = c.fs = c.gs = UDATA;
	c.esp = user_stack_top - 64;
	return c;
}

struct context vm86_context(u16 cs, u16 ip)
{
	struct context c = {.eip = ip, .start = ip, .cs = cs, .eflags = 2 | VM_, .esp = 0xfff0};

	c.ds = c.es = c.fs = c.gs = c.ss = cs;
	return c;
}

void run(struct context *c)
{
	u32 start = c->start;

	live_context = *c;
	running = true;
	run_loaded();
	*c = live_context;
	c->start = start;
}

/* A trap nobody asked for: say all there is to say and stop. */
static void unexpected(void)
{
	puts("FAIL unexpected trap: vector ");
	put_hex(live_context.vector);
	puts(" error ");
	put_hex(live_context.error);
	puts(" eip ");
	put_hex(live_context.eip);
	puts(" cr2 ");
	put_hex(live_context.cr2);
	puts("\n");
	outb(0xf4, 1);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* Returns nonzero to resume live_context, 0 to return from run(). */
int trap_dispatch(void)
{
	int resume = 0;

	if (dispatching)
		unexpected();
	if (live_context.vector < 256 && isr[live_context.vector]) {
		dispatching = true;
		resume = isr[live_context.vector](&live_context);
		dispatching = false;
	}
	if (!resume) {
		if (!running)
			unexpected();
		running = false;
	}
	return resume;
}

/* ---- reporting ---- */

static u32 passed, failed, skipped;
static const char *skip_reason;

static void put_char(char c)
{
	while (!(inb(0x3fd) & 0x20))
		;
	outb(0x3f8, c);
}

void puts(const char *s)
{
	for (; *s; s++)
		put_char(*s);
}

void put_hex(u32 v)
{
	u32 shift = 28;

	while (shift && !(v >> shift & 15))
		shift -= 4;
	for (;; shift -= 4) {
		put_char("0123456789abcdef"[v >> shift & 15]);
		if (!shift)
			break;
	}
}

void sdm_only(const char *why)
{
	skip_reason = why;
}

/* Prints the verdict; the caller adds details and the newline after a failure. */
static bool verdict(bool ok, const char *name)
{
	bool skip = skip_reason && on_oracle;

	puts(skip ? "SKIP " : ok ? "PASS " : "FAIL ");
	puts(name);
	if (skip) {
		puts(": ");
		puts(skip_reason);
	}
	skip_reason = 0;
	passed += ok && !skip;
	failed += !ok && !skip;
	skipped += skip;
	if (ok || skip)
		puts("\n");
	return ok || skip;
}

bool report(bool ok, const char *name)
{
	if (!verdict(ok, name))
		puts(": condition is false\n");
	return ok;
}

bool check_eq(u32 got, u32 want, const char *name)
{
	if (verdict(got == want, name))
		return got == want;
	puts(": got ");
	put_hex(got);
	puts(" want ");
	put_hex(want);
	puts("\n");
	return false;
}

static void put_trap(u32 vector, u32 error, u32 offset)
{
	puts(" vector ");
	put_hex(vector);
	puts(" error ");
	put_hex(error);
	puts(" at +");
	put_hex(offset);
}

bool expect(const struct context *c, const char *name, u32 vector, u32 error, u32 offset)
{
	bool ok = c->vector == vector && c->error == error && c->eip - c->start == offset;

	if (verdict(ok, name))
		return ok;
	puts(": got");
	put_trap(c->vector, c->error, c->eip - c->start);
	puts(" cr2 ");
	put_hex(c->cr2);
	puts(", want");
	put_trap(vector, error, offset);
	puts("\n");
	return false;
}

bool expect_done(const struct context *c, const char *name)
{
	return expect(c, name, DONE, 0, c->eip - c->start);
}

void guest_finish(void)
{
	puts("DONE ");
	put_hex(passed);
	puts(" passed ");
	put_hex(failed);
	puts(" failed ");
	put_hex(skipped);
	puts(" skipped (hex)\n");
	outb(0xf4, failed || !passed);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* ---- memory ---- */

void *memcpy(void *to, const void *from, unsigned long n)
{
	void *d = to;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
	return to;
}

void *memset(void *to, int value, unsigned long n)
{
	void *d = to;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(value) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, unsigned long n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}
