/*
 * Entry from a Multiboot loader: a flat, unpaged, 32-bit ring 0 with interrupts off.
 * Multiboot promises nothing about the GDT, so ours is loaded before anything else.
 */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x00000003	/* page-aligned modules, memory map */

	.section .multiboot, "a"
	.balign 4
	.long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

	.text
	.globl _start
_start:
	cld
	movl %eax, boot_magic
	movl %ebx, boot_info
	movl $c_stack_top, %esp
	lgdt gdt_pointer
	ljmp $0x08, $1f
1:	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	pushl $2
	popfl
	call guest_setup
	call guest_main
	call guest_finish

	.data
	.balign 8
gdt_pointer:
	.word 64 * 8 - 1
	.long gdt
	.globl boot_magic, boot_info
boot_magic:	.long 0
boot_info:	.long 0

	.bss
	.balign 16
	.skip 32768
c_stack_top:
