/*
 * The start of the debugged guest, and its turns of mode: ring 3 and back, real mode and back.
 */
#define MB_MAGIC 0x1badb002
#define KCODE 0x08
#define KDATA 0x10
#define UCODE 0x1b
#define UDATA 0x23
#define TSS 0x28
#define CODE16 0x30
#define DATA16 0x38
#define REAL 0x7000	/* the real-mode part is copied here */

	.section .multiboot, "a"
	.balign 4
	.long MB_MAGIC, 0, -MB_MAGIC

	.text
	.globl _start
_start:
	cld
	movl $stack_top, %esp
	lgdt gdt_pointer
	ljmp $KCODE, $1f
1:	movl $KDATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	pushl $0
	popfl
	xorl %ebp, %ebp
	call guest_main
1:	jmp 1b

/* void enter_user(void (*fn)(void)): fn ends with INT 80h, which comes back here. */
	.globl enter_user, user_done
enter_user:
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	movl 20(%esp), %eax
	movl %esp, kernel_esp
	movl $tss, %ecx
	movl %esp, 4(%ecx)
	movl $KDATA, 8(%ecx)
	movl $TSS, %ecx
	andb $0xfd, gdt + TSS + 5	/* not busy */
	ltr %cx
	movl $UDATA, %ecx
	movl %ecx, %ds
	movl %ecx, %es
	pushl $UDATA
	pushl $user_stack_top
	pushl $2
	pushl $UCODE
	pushl %eax
	iret
user_done:
	movl $KDATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl kernel_esp, %esp
	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	ret

/* void visit_real_mode(void): paging must be off. */
	.globl visit_real_mode
visit_real_mode:
	pushl %ebx
	pushl %esi
	pushl %edi
	movl $real_begin, %esi
	movl $REAL, %edi
	movl $real_end - real_begin, %ecx
	rep movsb
	ljmp $CODE16, $0
	.globl real_return
real_return:
	movl $KDATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	popl %edi
	popl %esi
	popl %ebx
	ret

	.code16
real_begin:	/* 16-bit protected mode: base REAL */
	movw $DATA16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmp $REAL >> 4, $real_mode - real_begin
	.globl real_offset
	.set real_offset, real_mode - real_begin
real_mode:
	movw $0x1234, %ax
	incw %ax
	movw %ax, %cs:0x180
	movw %ax, %cx
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $KCODE, $real_return
real_end:
	.code32

	.data
	.balign 8
gdt:	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cffb000000ffff
	.quad 0x00cff3000000ffff
	.word 103, 0		/* the TSS: its base is filled in by guest_main */
	.byte 0, 0x89, 0, 0
	.quad 0x00009b007000ffff
	.quad 0x000093000000ffff
	.globl gdt
gdt_pointer:
	.word . - gdt - 1
	.long gdt
	.globl tss
	.balign 4
tss:	.skip 104
kernel_esp: .long 0

	.bss
	.balign 16
	.skip 8192
stack_top:
	.skip 8192
user_stack_top:
