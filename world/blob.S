/* The stub's ELF image, started by process.c from a memfd. */
	.section .rodata
	.balign 16
	.globl world_stub_image, world_stub_end
world_stub_image:
	.incbin "stub.elf"
world_stub_end:
	.section .note.GNU-stack,"",@progbits
