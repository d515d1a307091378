/*
 * All traps save a struct frame on the kernel stack and hand it to trap_handle(), which returns the
 * frame to resume: the same one, or that of another process.
 */
	.text
trap_common:
	pushal
	pushl %ds
	pushl %es
	pushl %fs
	pushl %gs
	movl $0x10, %eax
	movw %ax, %ds
	movw %ax, %es
	cld
	pushl %esp
	call trap_handle
	.globl trap_resume
trap_resume:			/* EAX: the frame */
	movl %eax, %esp
	popl %gs
	popl %fs
	popl %es
	popl %ds
	popal
	addl $8, %esp
	iretl

	/* One stub for each vector, their addresses in trap_stubs[]. */
	.altmacro
	.macro stub n
stub_\n:
	.if (\n != 8) && (\n != 17) && ((\n < 10) || (\n > 14))
	pushl $0
	.endif
	pushl $\n
	jmp trap_common
	.pushsection .rodata
	.long stub_\n
	.popsection
	.endm

	.section .rodata
	.balign 4
	.globl trap_stubs
trap_stubs:
	.text
	.set i, 0
	.rept 256
	stub %i
	.set i, i + 1
	.endr

/* The user programs, as flat images: see user/crt.S. */
	.section .rodata
	.macro program name
	.balign 4
	.globl program_\name, program_\name\()_end
program_\name:
	.incbin "\name\().bin"
program_\name\()_end:
	.endm
	program counter
	program spinner
	program fault
	program bench
