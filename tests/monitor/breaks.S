/*
 * A guest for breaks.py: does once, in a known order, everything that breakpoints on events stop at. Labels are what the test
 * looks for. Exits with isa-debug-exit value 0.
 */
#define MB_MAGIC 0x1badb002
#define KCODE 0x08
#define KDATA 0x10
#define UCODE 0x1b
#define UDATA 0x23
#define TSS 0x28
#define CODE16 0x30
#define DATA16 0x38
#define TSS2 0x40
#define LOW 0x7000	/* code for real and virtual-8086 mode is copied here */

	.section .multiboot, "a"
	.balign 4
	.long MB_MAGIC, 0, -MB_MAGIC

	.text
	.macro global names:vararg
	.globl \names
	.endm

	.macro gate vector, handler, type=0x8e
	movl $\handler, %eax
	movl $(idt + 8 * \vector), %edi
	movw %ax, (%edi)
	movw $KCODE, 2(%edi)
	movw $(\type << 8), 4(%edi)
	shrl $16, %eax
	movw %ax, 6(%edi)
	.endm

	.macro base selector, label
	movl $\label, %eax
	movw %ax, gdt + \selector + 2
	shrl $16, %eax
	movb %al, gdt + \selector + 4
	movb %ah, gdt + \selector + 7
	.endm

	global _start
_start:
	cld
	movl $stack_top, %esp
	base TSS, tss
	base TSS2, tss2
	lgdt gdt_pointer
	ljmp $KCODE, $1f
1:	movl $KDATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	movl $TSS, %eax
	ltr %ax
	gate 2, nmi_handler
	gate 6, ud_handler
	gate 8, df_handler
	gate 13, gp_handler
	gate 14, pf_handler
	gate 0x20, irq_handler
	gate 0x42, soft_handler, 0xee
	gate 0x43, back_handler, 0xee
	lidt idt_pointer

	/* ---- ports ---- */
	global in_scratch, out_scratch, out_scratch_word, outs_scratch, outs_none, ports_done
	movl $0x3ff, %edx
	movl $0x1234, %eax
in_scratch:
	inb %dx, %al
out_scratch:
	outb %al, %dx
	outb %al, $0x80
	movl $0x80, %edx
	movw $0x5aa5, %ax
out_scratch_word:
	outw %ax, %dx
	movl $text, %esi
	xorl %ecx, %ecx
outs_none:
	rep outsb
	movl $3, %ecx
outs_scratch:
	rep outsb
ports_done:

	/* ---- next ---- */
	global call_here, call_back, recursive, recursive_call, recursive_back, rep_here, rep_back, int_here, int_back
	movl $3, %eax
call_here:
	call recursive
call_back:
	movl $text, %esi
	movl $(LOW + 0x1000), %edi
	movl $20000, %ecx
rep_here:
	rep movsb
rep_back:
int_here:
	int $0x42
int_back:

	/* ---- next block ---- */
	global block, block_target, block_fall
	movl $2, %ecx
block:
	nop
	decl %ecx
	nop
	jnz block
block_fall:
	incl %ecx
	jmp block_target
	ud2
block_target:

	/* ---- exceptions ---- */
	global ud_here, ud_again, pf_read, pf_write, paging_on, paging_is_on, df_here, df_done
	movl $0x83, page_directory	/* 4 MiB pages: identity; 8 MiB is not there */
	movl %cr4, %eax
	orl $0x10, %eax
	movl %eax, %cr4
	movl $page_directory, %eax
	global cr3_write
cr3_write:
	movl %eax, %cr3
	movl %cr0, %eax
	orl $0x80000000, %eax
paging_on:
	movl %eax, %cr0
paging_is_on:
	nop
ud_here:
	ud2
ud_again:
	ud2
pf_read:
	movl 0x800000, %eax
pf_write:
	movl %eax, 0x800004

	/* a general protection whose gate is not present */
	andb $0x7f, idt + 13 * 8 + 5
df_here:
	movl %cr0, %eax
	movw $0x1234, %cx
	movw %cx, %fs
df_done:
	orb $0x80, idt + 13 * 8 + 5

	/* ---- control registers ---- */
	global ts_set, ts_same, ts_clear, lmsw_here, cr4_same
	movl %cr0, %eax
ts_same:
	movl %eax, %cr0
	orl $8, %eax
ts_set:
	movl %eax, %cr0
ts_clear:
	clts
	movw $0xb, %ax		/* PE, MP, TS */
lmsw_here:
	lmsw %ax
	clts
	movl %cr4, %eax
cr4_same:
	movl %eax, %cr4

	/* ---- task switch ---- */
	global task_jump, second_task, first_task
	movl $page_directory, tss + 28
	movl $page_directory2, tss2 + 28
	movl $0x83, page_directory2
	movl $second_task, tss2 + 32
	movl $2, tss2 + 36
	movl $stack2_top, tss2 + 56
	movl $KDATA, tss2 + 72
	movl $KCODE, tss2 + 76
	movl $KDATA, tss2 + 80
	movl $KDATA, tss2 + 84
	movl $KDATA, tss2 + 88
	movl $KDATA, tss2 + 92
task_jump:
	ljmp $TSS2, $0
first_task:
	jmp ring3
second_task:
	ljmp $TSS, $0

	/* ---- ring 3 ---- */
	global to_user, user, user_int, user_ud, user_sysenter, sysenter_entry, sysexit_here, user_back, user_leave, back_handler
ring3:
	movl %esp, kernel_esp
	movl $stack2_top, tss + 4
	movl $KDATA, tss + 8
	movl $0x87, page_directory
	movl $page_directory, %eax
	movl %eax, %cr3
	movl $0x174, %ecx
	movl $KCODE, %eax
	xorl %edx, %edx
	wrmsr
	incl %ecx
	movl $stack2_top, %eax
	wrmsr
	incl %ecx
	movl $sysenter_entry, %eax
	wrmsr
	movl $UDATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	pushl $UDATA
	pushl $user_stack_top
	pushl $2
	pushl $UCODE
	pushl $user
to_user:
	iret
user:
	nop
user_int:
	int $0x42
user_ud:
	ud2
	movl %esp, %ecx
	movl $user_back, %edx
user_sysenter:
	sysenter
sysenter_entry:
	nop
sysexit_here:
	sysexit
user_back:
	nop
user_leave:
	int $0x43
back_handler:
	movl $KDATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl kernel_esp, %esp

	/* ---- interrupts from outside ---- */
	global wait_irq, irq_done, irq_handler, nmi_handler, nmi_wait, nmi_done
	movb $0x11, %al
	outb %al, $0x20
	outb %al, $0x80
	movb $0x20, %al
	outb %al, $0x21
	movb $4, %al
	outb %al, $0x21
	movb $1, %al
	outb %al, $0x21
	movb $0xfe, %al
	outb %al, $0x21
	movb $0x34, %al
	outb %al, $0x43
	movb $0, %al
	outb %al, $0x40
	movb $4, %al
	outb %al, $0x40
	sti
wait_irq:
	cmpl $0, irqs
	je wait_irq
	cli
irq_done:
nmi_wait:
	cmpl $0, nmis
	je nmi_wait
nmi_done:

	/* ---- virtual-8086 mode ---- */
	global to_vm86, vm86_back
	movl $low_begin, %esi
	movl $LOW, %edi
	movl $low_end - low_begin, %ecx
	rep movsb
	movl $((LOW >> 4) << 16) + real_iret - low_begin, 0x42 * 4
	movl %esp, kernel_esp
	movl $vm86_back, gp_goes_to
	pushl $0
	pushl $0
	pushl $0
	pushl $0
	pushl $0
	pushl $0x6000
	pushl $0x20002
	pushl $LOW >> 4
	pushl $vm86_code - low_begin
to_vm86:
	iret
vm86_back:
	movl $KDATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl kernel_esp, %esp
	movl $0, gp_goes_to

	/* ---- real mode ---- */
	global paging_off, paging_is_off, real_return
	movl %cr0, %eax
	andl $0x7fffffff, %eax
paging_off:
	movl %eax, %cr0
paging_is_off:
	lidt real_idt_pointer
	ljmp $CODE16, $real_code - low_begin
real_return:
	movl $KDATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	lidt idt_pointer

	global finished
	cmpl $1, nmis
	movl $1, %eax
	jne 1f
finished:
	xorl %eax, %eax
1:	movl $0xf4, %edx
	outl %eax, %dx
1:	jmp 1b

recursive:
	decl %eax
	jz 1f
recursive_call:
	call recursive
recursive_back:
	nop
1:	ret

ud_handler:
	addl $2, (%esp)
	iret
pf_handler:	/* over the instruction: 5 or 6 bytes */
	addl $4, %esp
	movl (%esp), %eax
	cmpl $pf_write, %eax
	movl $pf_write, %eax
	jb 1f
	movl $pf_write + 5, %eax
1:	movl %eax, (%esp)
	iret
df_handler:
	movl $df_done, 4(%esp)
	movl $KDATA, %eax
	movl %eax, %fs
	addl $4, %esp
	iret
gp_handler:
	addl $4, %esp
	pushl %eax
	movl %ss:gp_goes_to, %eax
	testl %eax, %eax
	jz 1f
	jmp *%eax
1:	ud2
soft_handler:
	iret
irq_handler:
	pushl %eax
	incl irqs
	movb $0x20, %al
	outb %al, $0x20
	popl %eax
	iret
nmi_handler:
	incl nmis
	iret

	/* Runs at LOW. */
	.code16
low_begin:
vm86_code:
	.globl vm86_first_offset
	.set vm86_first_offset, . - low_begin
	movw $1, %ax
	.globl vm86_int_offset
	.set vm86_int_offset, . - low_begin
	int $0x42
real_code:	/* 16-bit protected mode first */
	movw $DATA16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	.globl real_first_offset
	.set real_first_offset, . - low_begin
	ljmp $LOW >> 4, $1f - low_begin
1:	xorw %ax, %ax
	movw %ax, %ss
	movw %ax, %ds
	movw $0x6000, %sp
	movw $0x80, %dx
	.globl real_out_offset
	.set real_out_offset, . - low_begin
	outb %al, %dx
	.globl real_int_offset
	.set real_int_offset, . - low_begin
	int $0x42
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $KCODE, $real_return
real_iret:
	iretw
low_end:
	.code32

	.data
	.balign 8
	global gdt
gdt:	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cffb000000ffff
	.quad 0x00cff3000000ffff
	.quad 0x0000890000000067
	.quad 0x00009b007000ffff
	.quad 0x000093000000ffff
	.quad 0x0000890000000067
gdt_pointer:
	.word . - gdt - 1
	.long gdt
idt_pointer:
	.word 0x7ff
	.long idt
real_idt_pointer:
	.word 0x3ff
	.long 0
text:	.ascii "three"
	.balign 4
irqs:	.long 0
	global nmis
nmis:	.long 0
gp_goes_to: .long 0
kernel_esp: .long 0

	.bss
	.balign 4096
page_directory: .skip 4096
page_directory2: .skip 4096
idt:	.skip 2048
tss:	.skip 104
tss2:	.skip 104
	.balign 16
	.skip 4096
stack_top:
	.skip 4096
stack2_top:
	.skip 4096
user_stack_top:
	.skip 65536
