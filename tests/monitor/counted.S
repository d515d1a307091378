/*
 * A guest whose blocks are executed a known number of times: see counts.py. It says so on the first serial port, then halts for ever.
 */
#define MB_MAGIC 0x1badb002
#define COM1 0x3f8

	.section .multiboot, "a"
	.balign 4
	.long MB_MAGIC, 0, -MB_MAGIC

	.text
	.globl _start, loop, call, leaf, after, stand
_start:
	movl $stack_top, %esp
	xorl %eax, %eax
	movl $3000000, %ecx
	jmp loop		/* else the first round would belong to this block */
loop:	incl %eax
	decl %ecx
	jnz loop
	movl $250000, %ecx
	jmp call
call:	call leaf
after:	decl %ecx
	jnz call
	movl $text, %esi
	movw $COM1, %dx
1:	lodsb
	testb %al, %al
	jz stand
	outb %al, %dx
	jmp 1b
stand:	hlt
	jmp stand

	.balign 64
leaf:	addl %eax, %ebx
	ret

text:	.asciz "counted\n"

	.bss
	.balign 16
	.skip 4096
stack_top:
