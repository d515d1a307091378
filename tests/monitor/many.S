/*
 * A guest of 100,000 units of translation, each executed three times: see report_many.py. It says so on the first serial port, then
 * halts for ever.
 */
#define COM1 0x3f8

	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 0, -0x1badb002
	.text
	.globl _start
_start:
	movl $3, %ecx
again:
	.rept 100000
	jmp 1f
	.byte 0x90, 0x90
1:
	.endr
	decl %ecx
	jz 2f
	jmp again
2:	movb $'x', %al
	movw $COM1, %dx
	outb %al, %dx
3:	hlt
	jmp 3b
