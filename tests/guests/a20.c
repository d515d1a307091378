/*
 * The A20 gate: off, odd megabytes are the even ones below them, paged or not.
 * The kernel itself lies at 1 MiB, so with the gate off only code copied to low memory may run.
 */
#include "lib/guest.h"

enum { AT = 0x7000, LOW = 0x609000, HIGH = LOW + 0x100000, DIRECTORY = 0x60a000 };

/* Gate off; read HIGH into EBX, write ECX to HIGH + 4; gate on. */
extern const u8 toggle[], toggle_end[];
__asm__(".section .rodata\n"
	"toggle:\n"
	"	inb $0x92, %al\n"
	"	andb $0xfc, %al\n"
	"	outb %al, $0x92\n"
	"	movl 0x709000, %ebx\n"
	"	movl %ecx, 0x709004\n"
	"	movl 0x609004, %edi\n"
	"	inb $0x92, %al\n"
	"	movb %al, %dl\n"
	"	orb $2, %al\n"
	"	outb %al, $0x92\n"
	"	movl 0x609000, %esi\n"
	"	int $0x7f\n"
	"toggle_end:\n"
	".text\n");

static void one_round(const char *when)
{
	volatile u32 *low = (volatile u32 *)LOW, *high = (volatile u32 *)HIGH;
	struct context c;

	puts(when);
	low[0] = 0x1111;
	low[1] = 0;
	high[0] = 0x2222;
	high[1] = 0x3333;
	memcpy((void *)AT, toggle, toggle_end - toggle);
	c = kernel_context(AT);
	c.ecx = 0x4444;
	c.esp = 0x8000;
	run(&c);
	expect_done(&c, "gate off and on again");
	check_eq(c.edx & 2, 0, "port 92h shows the gate off");
	check_eq(c.ebx, 0x1111, "off: a read at 7 MiB comes from 6");
	check_eq(c.edi, 0x4444, "off: a write at 7 MiB goes to 6");
	check_eq(low[1], 0x4444, "and stays there");
	report(high[0] == 0x2222 && high[1] == 0x3333, "on: the memory at 7 MiB is as it was");
}

void guest_main(void)
{
	report(inb(0x92) & 2, "A20 is on at the start");
	one_round("without paging\n");
	one_round("once more\n");
	paging_enable();
	/* The gate stands between page walks and memory, too: keep the directory in an even
	 * megabyte. */
	memcpy((void *)DIRECTORY, page_dir, sizeof(page_dir));
	write_cr3(DIRECTORY);
	one_round("with paging\n");
	paging_disable();
}
