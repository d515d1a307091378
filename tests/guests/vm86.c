/*
 * Virtual-8086 mode: addresses by paragraph, IOPL-sensitive instructions, INT through the
 * protected-mode IDT, the I/O permission bitmap, entering and leaving. SDM: "Virtual-8086 Mode".
 */
#include "lib/guest.h"

enum { SEG = 0x2000, BASE = SEG << 4 };

static struct context vm(const void *code, u32 length, u32 flags)
{
	struct context c = vm86_context(SEG, 0x100);

	memcpy((void *)(BASE + 0x100), code, length);
	c.eflags |= flags;
	run(&c);
	c.start = 0x100;
	return c;
}
#define VM(bytes, flags) vm(bytes, sizeof(bytes) - 1, flags)

static void addresses(void)
{
	struct context c = VM("\xb8\x34\x12"	     /* mov ax,1234h */
			      "\xa3\x00\x03"	     /* mov [300h],ax */
			      "\x50\x5b"	     /* push ax; pop bx */
			      "\xb9\x00\x30\x8e\xc1" /* mov cx,3000h; mov es,cx */
			      "\x26\xa3\x10\x00"     /* mov es:[10h],ax */
			      "\x8c\xc9"	     /* mov cx,cs */
			      "\xcd\x7f",
			      0);

	expect(&c, "INT from virtual-8086 mode goes to the IDT", GP, 0, 0x13);
	c = VM("\xb8\x34\x12\xa3\x00\x03\x50\x5b\xb9\x00\x30\x8e\xc1\x26\xa3\x10\x00\x8c\xc9\xcd"
	       "\x7f",
	       IOPL_);
	expect(&c, "with IOPL 3 it is delivered", DONE, 0, 0x15);
	report(c.eflags & VM_, "VM is in the saved flags");
	check_eq(*(u16 *)(BASE + 0x300), 0x1234, "DS is a paragraph number");
	check_eq(*(u16 *)0x30010, 0x1234, "ES is a paragraph number");
	report((c.ebx & 0xffff) == 0x1234 && (c.ecx & 0xffff) == SEG, "stack and CS");
	report(c.cs == SEG && c.ds == SEG && c.es == 0x3000 && c.ss == SEG,
	       "segments saved on the ring 0 stack");
	memcpy((void *)(BASE + 0x120), "\xb8\x77\x00\xcd\x7f", 5);
	c = VM("\xea\x20\x00\x10\x20", IOPL_); /* jmp 2010:0020 = BASE + 120 */
	report(c.cs == SEG + 0x10 && (c.eax & 0xffff) == 0x77, "far jump");
}

static void sensitive(void)
{
	struct context c;

	c = VM("\xfa", 0);
	expect(&c, "CLI at IOPL 0", GP, 0, 0);
	c = VM("\xfb", 0);
	expect(&c, "STI at IOPL 0", GP, 0, 0);
	c = VM("\x9c", 0);
	expect(&c, "PUSHF at IOPL 0", GP, 0, 0);
	c = VM("\x9d", 0);
	expect(&c, "POPF at IOPL 0", GP, 0, 0);
	c = VM("\xcf", 0);
	expect(&c, "IRET at IOPL 0", GP, 0, 0);
	c = VM("\xcc", 0);
	expect(&c, "INT3 is not IOPL-sensitive", BP, 0, 1);
	c = VM("\xf4", IOPL_);
	expect(&c, "HLT", GP, 0, 0);
	c = VM("\x0f\x20\xc0", IOPL_);
	expect(&c, "MOV from CR0", GP, 0, 0);
	c = VM("\x0f\x00\xc0", IOPL_);
	expect(&c, "SLDT is undefined", UD, 0, 0);
	c = VM("\x63\xc0", IOPL_);
	expect(&c, "ARPL is undefined", UD, 0, 0);
	c = VM("\x0f\x02\xc0", IOPL_);
	expect(&c, "LAR is undefined", UD, 0, 0);
	c = VM("\x9c\x58\xcd\x7f", IOPL_ | CF_); /* pushf; pop ax */
	expect(&c, "PUSHF at IOPL 3", DONE, 0, 4);
	check_eq(c.eax & (CF_ | IOPL_), CF_ | IOPL_, "its image");
	c = VM("\xb8\x00\x00\x50\x9d\xcd\x7f", IOPL_ | CF_); /* mov ax,0; push ax; popf */
	report(c.vector == DONE && (c.eflags & (IOPL_ | VM_ | CF_)) == (IOPL_ | VM_),
	       "POPF keeps IOPL and VM");
	c = VM("\xb8\x02\x02\x50\x0e\x68\x0a\x01\xcf\x90\xb8\x55\x00\xcd\x7f", IOPL_);
	report(c.vector == DONE && (c.eax & 0xff) == 0x55 && (c.eflags & IF_),
	       "IRET at IOPL 3 sets IF");
}

static void io_bitmap(void)
{
	struct context c;

	c = VM("\xe4\x80", IOPL_);
	expect(&c, "IN asks the bitmap even at IOPL 3", GP, 0, 0);
	tss.bitmap[0x80 / 8] &= ~1;
	c = VM("\xe4\x80\xcd\x7f", IOPL_);
	expect_done(&c, "IN of a permitted port");
	c = VM("\xe5\x80", IOPL_);
	expect(&c, "a word needs both bits", GP, 0, 0);
	tss.bitmap[0x80 / 8] &= ~3;
	c = VM("\xe5\x80\xcd\x7f", IOPL_);
	expect_done(&c, "a word with both bits");
	tss.bitmap[0x80 / 8] = 0xff;
	/* Ring 3 outside virtual-8086 mode: IOPL first, then the bitmap. */
	c = user_context(CODE("inb $0x80,%al"));
	c.eflags |= IOPL_;
	run(&c);
	expect_done(&c, "ring 3 with IOPL 3 needs no bitmap");
	tss.bitmap[0x80 / 8] &= ~1;
	c = user_context(CODE("inb $0x80,%al"));
	run(&c);
	expect_done(&c, "ring 3 with a permitted port");
	c = user_context(CODE("movw $0x7f,%dx\ninw %dx,%ax"));
	run(&c);
	expect(&c, "ring 3, a word half permitted", GP, 0, 4);
	tss.bitmap[0x80 / 8] = 0xff;
	tss.iomap = 0xffff;
	c = user_context(CODE("inb $0x80,%al"));
	run(&c);
	expect(&c, "a bitmap outside the TSS permits nothing", GP, 0, 0);
	tss.iomap = __builtin_offsetof(struct tss, bitmap);
}

/* The A20 gate aside, FFFF:FFFF reaches just beyond 1 MiB. */
static void wrap(void)
{
	struct context c;

	*(u16 *)(BASE + 0xfffe) = 0x1111;
	c = VM("\xa1\xff\xff\xcd\x7f", IOPL_);
	sdm_only("TCG checks no segment limits");
	expect(&c, "a word at FFFF exceeds the limit", GP, 0, 0);
	c = VM("\xa1\xfe\xff\xcd\x7f", IOPL_);
	check_eq(c.eax & 0xffff, 0x1111, "a word at FFFE does not");
	c = VM("\x66\x67\xa1\x00\x00\x01\x00", IOPL_);
	sdm_only("TCG checks no segment limits");
	expect(&c, "a 32-bit offset beyond FFFF", GP, 0, 0);
}

void guest_main(void)
{
	addresses();
	sensitive();
	io_bitmap();
	wrap();
}
