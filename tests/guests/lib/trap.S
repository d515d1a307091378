/*
 * Running a snippet under observation.
 *
 *   run(struct context *) loads every register from the context and IRETs to it. Whatever
 *   trap, interrupt or `int $0x7f` comes next saves every register back into the context,
 *   and run() returns. Ring 0, ring 3, 16-bit and virtual-8086 code all take this one path.
 *
 * A vector with an entry in isr[] is served and resumed instead, so interrupt tests can let
 * code go on running. The entry code touches the interrupted stack only through SS:ESP, so
 * a test may use any stack segment; on a 16-bit stack the upper half of ESP must be zero.
 *
 * Offsets are those of struct context in guest.h, which asserts them.
 */
	.set C_EAX, 0
	.set C_ECX, 4
	.set C_EDX, 8
	.set C_EBX, 12
	.set C_EBP, 16
	.set C_ESI, 20
	.set C_EDI, 24
	.set C_ESP, 28		/* with C_SS: one far pointer for LSS */
	.set C_SS, 32
	.set C_EIP, 36
	.set C_CS, 40
	.set C_EFLAGS, 44
	.set C_DS, 48
	.set C_ES, 52
	.set C_FS, 56
	.set C_GS, 60
	.set C_VECTOR, 64
	.set C_ERROR, 68
	.set C_CR2, 72

	.set VM, 1 << 17

	.text
	.globl run_loaded
/* void run_loaded(void): run what is in live_context. */
run_loaded:
	pushal
	pushfl
	movl %esp, run_esp
load_context:
	movl $live_context, %ebp
	testl $VM, C_EFLAGS(%ebp)
	jnz to_vm86
	movw C_ES(%ebp), %es
	movw C_FS(%ebp), %fs
	movw C_GS(%ebp), %gs
	testl $3, C_CS(%ebp)
	jnz to_user
	lss C_ESP(%ebp), %esp
	jmp push_common
to_vm86:
	movl $trap_stack_top, %esp
	pushl C_GS(%ebp)
	pushl C_FS(%ebp)
	pushl C_DS(%ebp)
	pushl C_ES(%ebp)
to_user:
	testl $VM, C_EFLAGS(%ebp)
	jnz 1f
	movl $trap_stack_top, %esp
1:	pushl C_SS(%ebp)
	pushl C_ESP(%ebp)
push_common:
	/* EBP addresses SS by default; after LSS only DS is known to be flat. */
	pushl %ds:C_EFLAGS(%ebp)
	pushl %ds:C_CS(%ebp)
	pushl %ds:C_EIP(%ebp)
	testl $VM, %ds:C_EFLAGS(%ebp)
	jnz 2f
	pushl %ds:C_DS(%ebp)
	jmp 3f
2:	pushl $0x10
3:	movl live_context + C_EAX, %eax
	movl live_context + C_ECX, %ecx
	movl live_context + C_EDX, %edx
	movl live_context + C_EBX, %ebx
	movl live_context + C_ESI, %esi
	movl live_context + C_EDI, %edi
	movl live_context + C_EBP, %ebp
	popl %ds
	.globl load_context_iret
load_context_iret:
	iretl

/*
 * Every vector comes here with its number and an error code (0 when the processor pushes
 * none) on the stack.
 */
	.globl trap_common
trap_common:
	pushl %ds
	pushl %eax
	movl $0x10, %eax
	movw %ax, %ds
	movl %ecx, live_context + C_ECX
	movl %edx, live_context + C_EDX
	movl %ebx, live_context + C_EBX
	movl %ebp, live_context + C_EBP
	movl %esi, live_context + C_ESI
	movl %edi, live_context + C_EDI
	movl 0(%esp), %eax
	movl %eax, live_context + C_EAX
	movzwl 4(%esp), %eax
	movl %eax, live_context + C_DS
	movl %es, %eax
	movl %eax, live_context + C_ES
	movl %fs, %eax
	movl %eax, live_context + C_FS
	movl %gs, %eax
	movl %eax, live_context + C_GS
	movl %ss, %eax
	movl %eax, live_context + C_SS
	movl 8(%esp), %eax
	movl %eax, live_context + C_VECTOR
	movl 12(%esp), %eax
	movl %eax, live_context + C_ERROR
	movl 16(%esp), %eax
	movl %eax, live_context + C_EIP
	movzwl 20(%esp), %eax
	movl %eax, live_context + C_CS
	movl 24(%esp), %eax
	movl %eax, live_context + C_EFLAGS
	leal 28(%esp), %edx
	movl %cr2, %ecx
	movl %ecx, live_context + C_CR2
	testl $VM, %eax
	jnz from_vm86
	testl $3, live_context + C_CS
	jz 5f
	movl 28(%esp), %edx
	movzwl 32(%esp), %eax
	movl %eax, live_context + C_SS
5:	movl %edx, live_context + C_ESP
	jmp 6f
from_vm86:
	movl 28(%esp), %eax
	movl %eax, live_context + C_ESP
	movzwl 32(%esp), %eax
	movl %eax, live_context + C_SS
	movzwl 36(%esp), %eax
	movl %eax, live_context + C_ES
	movzwl 40(%esp), %eax
	movl %eax, live_context + C_DS
	movzwl 44(%esp), %eax
	movl %eax, live_context + C_FS
	movzwl 48(%esp), %eax
	movl %eax, live_context + C_GS
6:	movl $0x10, %eax
	movw %ax, %ss
	movl $trap_stack_top, %esp
	movw %ax, %es
	cld
	call trap_dispatch
	testl %eax, %eax
	jnz load_context
	movl run_esp, %esp
	movw $0x10, %ax
	movw %ax, %fs
	movw %ax, %gs
	popfl
	popal
	ret

/* Entry points: trap_stubs[n] is the address of the stub for vector n. */
	.altmacro
	.macro stub n
stub_\n:
	.if (\n != 8) && (\n != 17) && ((\n < 10) || (\n > 14))
	pushl $0
	.endif
	pushl $\n
	jmp trap_common
	.pushsection .data
	.long stub_\n
	.popsection
	.endm

	.data
	.balign 4
	.globl trap_stubs
trap_stubs:
	.text
	.set i, 0
	.rept 256
	stub %i
	.set i, i + 1
	.endr

	.bss
	.balign 16
run_esp:	.skip 16
	.skip 16384
	.globl trap_stack_top
trap_stack_top:
