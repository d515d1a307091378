/*
 * The stub's assembly: start, system calls, entering guest code.
 *
 * seccomp lets a system call pass only from behind the SYSCALL instruction it knows (the labels site_*). Guest code that has found its
 * way into 64-bit mode may jump there, so what lies behind two of them must not trust any register or stack: site_recvmsg,
 * because RAM's descriptor is open from there until it has been closed (apply_operations), and site_wait, because the monitor
 * takes a world that sleeps there for one that will carry out its orders (woken).
 */
#include "world/protocol.h"

	.text
	.globl _start
_start:
	leaq stack_top(%rip), %rsp
	xorl %ebp, %ebp
	call stub_main
	ud2

/* raw_syscall(nr, a, b, c, d, e, f): set-up only; seccomp ends its use */
	.globl raw_syscall
raw_syscall:
	movq %rdi, %rax
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %r10
	movq %r9, %r8
	movq 8(%rsp), %r9
	syscall
	ret

	.macro CALL_SITE name nr
	.globl sys_\name, site_\name
sys_\name:
	movl $\nr, %eax
	movq %rcx, %r10
	syscall
site_\name:
	ret
	.endm

	CALL_SITE mmap 9
	CALL_SITE munmap 11
	CALL_SITE close 3
	CALL_SITE wake 202
	CALL_SITE modify_ldt 154

	.globl wait_turn, site_wait
wait_turn:
	movabsq $WORLD_PAGE_BASE, %rdi /* turn is its first word */
	xorl %esi, %esi /* FUTEX_WAIT */
	movl $WORLD_TURN_MONITOR, %edx
	xorl %r10d, %r10d /* for ever */
	movl $202, %eax
	syscall
site_wait:
	cld
	leaq stack_top(%rip), %rsp
	xorl %ebp, %ebp
	call woken
	ud2

	.globl receive_ram, site_recvmsg
receive_ram:
	movl $WORLD_SOCKET, %edi
	leaq ram_message(%rip), %rsi
	xorl %edx, %edx
	movl $47, %eax
	syscall
site_recvmsg:
	cld
	leaq stack_top(%rip), %rsp
	xorl %ebp, %ebp
	call apply_operations
	ud2

/*
 * Run guest code from the image in the shared page. Until IRETQ has been executed a kick means "not entered"
 * (enter_begin..enter_end): the image is untouched.
 */
	.globl enter_guest, enter_begin, enter_end
enter_guest:
	leaq stack_top(%rip), %rsp /* off the signal stack, so that the next signal finds all of it */
	movl $2, %edi
	leaq no_signals(%rip), %rsi
	xorl %edx, %edx
	movl $8, %r10d
	movl $14, %eax
	jmp sigprocmask_from_enter
	.globl enter_resume
enter_resume:
enter_begin:
	movabsq $WORLD_ORDERS_BASE, %rax
	cmpl $0, WO_XSTATE(%rax)
	movabsq $WORLD_PAGE_BASE, %rbp
	je 1f
	movl $-1, %eax /* all there is: the image has x87 and SSE, the rest (halves of YMM, ZMM, masks, PKRU) is reset */
	movl %eax, %edx
	xrstor WP_FX(%rbp)
	jmp 2f
1:	fxrstor WP_FX(%rbp)
2:
	movl $WORLD_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movw WP_FS(%rbp), %fs
	movw WP_GS(%rbp), %gs
	movl $1, WP_RAN(%rbp)
	pushq $WORLD_DS
	pushq WP_GPR+32(%rbp)
	movl WP_EFLAGS(%rbp), %eax
	pushq %rax
	pushq $WORLD_CS
	pushq WP_RIP(%rbp)
	movq WP_GPR(%rbp), %rax
	movq WP_GPR+8(%rbp), %rcx
	movq WP_GPR+16(%rbp), %rdx
	movq WP_GPR+24(%rbp), %rbx
	movq WP_GPR+48(%rbp), %rsi
	movq WP_GPR+56(%rbp), %rdi
	movq WP_GPR+40(%rbp), %rbp
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	xorl %r10d, %r10d
	xorl %r11d, %r11d
	xorl %r12d, %r12d
	xorl %r13d, %r13d
	xorl %r14d, %r14d
	xorl %r15d, %r15d
	iretq
enter_end:

	.globl site_unblock
sigprocmask_from_enter:
	syscall
site_unblock: /* pending kicks arrive here: part of "not entered" */
	jmp enter_resume

	.globl restorer
restorer:
	ud2

	.section .rodata
	.balign 8
	.globl no_signals
no_signals:
	.quad 0

/*
 * struct msghdr for RAM's descriptor, where nobody can write: elsewhere guest code could have the kernel put the message where it
 * likes. That the kernel cannot write either makes it report an error after the descriptor has been received.
 */
	.globl ram_message
ram_message:
	.quad 0, 0, ram_vector, 1, ram_control, 24, 0
ram_vector:
	.quad ram_byte, 1

	.bss
	.balign 64
ram_control:
	.skip 24
ram_byte:
	.skip 8
	.balign 64
	.skip 16384
stack_top:
	.section .note.GNU-stack,"",@progbits
