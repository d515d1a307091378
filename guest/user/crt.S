/* The head of a flat image: where the read-only part ends, where to start; then the start itself. */
	.section .head, "ax"
	.long text_end, start
	.text
start:
	pushl %eax
	call program
	xorl %eax, %eax		/* SYS_EXIT */
	int $0x80
