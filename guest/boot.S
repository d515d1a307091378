/*
 * Multiboot entry: fill the page directory with 4 MiB pages (the direct map at 3 GiB and, for the
 * moment of the jump, the first 4 MiB one to one), turn paging on and go up.
 */
	.set BASE, 0xc0000000
	.set PDE_FLAGS, 0x183		/* present, writable, 4 MiB, global */
	.set CR4_PSE, 0x10
	.set CR4_PGE, 0x80
	.set CR0_PG_WP, 0x80010000

	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)

	.section .boot, "ax"
	.globl _start
_start:
	cld
	movl %eax, %esi
	movl %ebx, %edi
	movl $kernel_directory - BASE, %edx
	movl $PDE_FLAGS & ~0x100, (%edx)
	movl $PDE_FLAGS, %eax
	movl $0xc0000000 >> 22, %ecx
1:	movl %eax, (%edx, %ecx, 4)
	addl $0x400000, %eax
	incl %ecx
	cmpl $0xf0000000 >> 22, %ecx
	jb 1b
	movl $1, %eax
	cpuid
	movl $CR4_PSE, %eax
	btl $13, %edx
	jnc 2f
	orl $CR4_PGE, %eax
2:	movl %eax, %cr4
	movl $kernel_directory - BASE, %edx
	movl %edx, %cr3
	movl %cr0, %eax
	orl $CR0_PG_WP, %eax
	movl %eax, %cr0
	movl $high, %eax
	jmp *%eax

	.text
high:
	movl $boot_stack_top, %esp
	movl $0, kernel_directory
	movl %cr3, %eax
	movl %eax, %cr3
	pushl %edi
	pushl %esi
	call kernel_main
1:	cli
	hlt
	jmp 1b

	.bss
	.balign 4096
	.globl kernel_directory
kernel_directory:
	.skip 4096
	.skip 4096
boot_stack_top:
