/* The image as data of the host program. */
	.section .rodata
	.balign 16
	.globl ringfence_default_guest
ringfence_default_guest:
	.incbin DEFAULT_GUEST_PATH
1:
	.balign 8
	.globl ringfence_default_guest_size
ringfence_default_guest_size:
	.quad 1b - ringfence_default_guest

	.section .note.GNU-stack, "", @progbits
