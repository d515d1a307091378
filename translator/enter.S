/*
 * The world switch between C and translated code (see internal.h for the register convention).
 *
 *   tc_enter --> translated code --> tc_stub_* --> back in C
 *                     |  ^
 *                     v  | tc_resume
 *                  callouts
 *
 * Between tc_enter_check and tc_enter_end the guest's state is partly loaded but still complete in memory. A
 * kick that arrives there is redirected to tc_enter_abort, which forgets the registers. Hence no kick
 * is lost between the test of the flag and the first translated instruction.
 */
#include "translator/offsets.h"

#define FL_HOST 0xcd5
#define FL_DF 0x400
#define FL_OF_SHIFT 11
#define FL_IF_FIXED 0x202

	.text
	.intel_syntax noprefix

	/* Guest registers and flags to memory, host stack back; vector state stays. Clobbers r8. */
	.macro SAVE_GUEST
	mov [r15 + CPU_GPR + 0], eax
	mov [r15 + CPU_GPR + 8], ecx
	mov [r15 + CPU_GPR + 16], edx
	mov [r15 + CPU_GPR + 24], ebx
	mov [r15 + CPU_GPR + 32], esp
	mov [r15 + CPU_GPR + 40], ebp
	mov [r15 + CPU_GPR + 48], esi
	mov [r15 + CPU_GPR + 56], edi
	mov rsp, [r14 + TCX_HOST_RSP]
	pushfq
	pop r8
	and r8d, FL_HOST
	or r8d, [r15 + CPU_EFLAGS]
	or r8d, 2
	mov [r15 + CPU_EFLAGS], r8d
	test r8d, FL_DF
	jz 1f
	cld
1:
	.endm

	/*
	 * Vector state to memory, the host's rounding and masks back. x87 is left as it is: no C code here
	 * uses it.
	 */
	.macro SAVE_VECTOR
	mov r8, [r14 + TCX_FX]
	fxsave [r8]
	ldmxcsr host_mxcsr[rip]
	.endm

	.macro PUSH_CFI reg
	push \reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \reg, 0
	.endm

	.macro POP_CFI reg
	pop \reg
	.cfi_adjust_cfa_offset -8
	.cfi_restore \reg
	.endm

	.globl tc_enter
	.type tc_enter, @function
tc_enter:
	.cfi_startproc
	PUSH_CFI rbx
	PUSH_CFI rbp
	PUSH_CFI r12
	PUSH_CFI r13
	PUSH_CFI r14
	PUSH_CFI r15
	sub rsp, 8
	.cfi_adjust_cfa_offset 8
	mov r14, rdi
	mov r15, [r14 + TCX_CPU]
	mov [r14 + TCX_HOST_RSP], rsp
	/*
	 * For debuggers: from here on to the end of the file, whatever RSP holds, the frame above is found by R14, as in translated code
	 * (gdbjit.c): CFA = [R14 + TCX_HOST_RSP] + 64.
	 */
	.cfi_escape 0x0f, 5, 0x7e, TCX_HOST_RSP, 0x06, 0x23, 64
tc_resume:
	mov r8, [r14 + TCX_FX]
	fxrstor [r8]
	/* from here also with vector state that has never been saved; an abort must save it */
tc_resume_lean:
	mov r8d, [r15 + CPU_EFLAGS]
	mov [r14 + TCX_TMP], r8d
	.globl tc_enter_check
tc_enter_check:
	cmp dword ptr [r14 + TCX_KICK], 0
	jne tc_enter_abort
	mov r9d, r8d
	and r9d, ~(FL_HOST | 2)
	mov [r15 + CPU_EFLAGS], r9d
	test r8d, FL_DF
	jnz load_all_flags
	/* POPF takes 9 cycles; without DF there is a shorter way: ADD makes OF, SAHF the others */
	mov eax, r8d
	shr r8d, FL_OF_SHIFT
	and r8d, 1
	shl eax, 8
	or eax, r8d
	add al, 0x7f
	sahf
flags_loaded:
	mov eax, [r15 + CPU_GPR + 0]
	mov ecx, [r15 + CPU_GPR + 8]
	mov edx, [r15 + CPU_GPR + 16]
	mov ebx, [r15 + CPU_GPR + 24]
	mov ebp, [r15 + CPU_GPR + 40]
	mov esi, [r15 + CPU_GPR + 48]
	mov edi, [r15 + CPU_GPR + 56]
	mov r13, [r14 + TCX_IBTC]
	mov r12, [r14 + TCX_TLB]
	mov esp, [r15 + CPU_GPR + 32]
	/* the target may be an indirect entry */
	mov r8d, [r15 + CPU_RIP]
	jmp [r14 + TCX_TARGET]
load_all_flags:
	and r8d, FL_HOST
	or r8d, FL_IF_FIXED
	push r8
	popfq
	jmp flags_loaded
	.globl tc_enter_end
tc_enter_end:

	/* Kicked on the way in: memory still has everything but EFLAGS. */
	.globl tc_enter_abort
tc_enter_abort:
	mov rsp, [r14 + TCX_HOST_RSP]
	mov eax, [r14 + TCX_TMP]
	mov [r15 + CPU_EFLAGS], eax
	mov dword ptr [r14 + TCX_REASON], LEAVE_ABORT
	cld
	SAVE_VECTOR
	jmp leave_saved

	/* Direct exit; r9d = exit id. */
	.globl tc_stub_exit
tc_stub_exit:
	mov dword ptr [r14 + TCX_REASON], LEAVE_EXIT
	mov [r14 + TCX_ARG], r9d
	jmp try_lean

	/* Indirect look-up missed; r8d = target. */
	.globl tc_stub_miss
tc_stub_miss:
	mov [r15 + CPU_RIP], r8
	mov dword ptr [r14 + TCX_REASON], LEAVE_MISS
try_lean:
	SAVE_GUEST
	mov rdi, r14
	call lean_exit
	test rax, rax
	jz leave_vector
	mov [r14 + TCX_TARGET], rax
	jmp tc_resume_lean

	/* Back to the dispatcher at r8d. */
	.globl tc_stub_leave
tc_stub_leave:
	mov [r15 + CPU_RIP], r8
	mov dword ptr [r14 + TCX_REASON], LEAVE_STOP
	jmp leave

	/* The signal handler redirected a host fault to here. */
	.globl tc_fault_leave
tc_fault_leave:
	mov dword ptr [r14 + TCX_REASON], LEAVE_FAULT
leave:
	SAVE_GUEST
leave_vector:
	SAVE_VECTOR
leave_saved:
	.cfi_remember_state
	.cfi_def_cfa rsp, 64
	add rsp, 8
	.cfi_adjust_cfa_offset -8
	POP_CFI r15
	POP_CFI r14
	POP_CFI r13
	POP_CFI r12
	POP_CFI rbp
	POP_CFI rbx
	ret
	.cfi_restore_state
	.size tc_enter, . - tc_enter

	/* 0 goes on in translated code, with vector state from memory. */
	.macro CALL_AND_GO_ON function
	mov rdi, r14
	call \function
	test eax, eax
	jz tc_resume
	mov dword ptr [r14 + TCX_REASON], LEAVE_CALLOUT
	jmp leave_saved
	.endm

	/*
	 * Callouts: r8d = guest EIP of the instruction, r9 = where to go on, r10d = EIP after it.
	 * The C function returns 0 to go on, else leaves for the dispatcher.
	 */
	.macro CALLED_FROM
	mov [r15 + CPU_RIP], r8
	mov [r14 + TCX_TARGET], r9
	mov [r14 + TCX_ARG], r10d
	.endm

	.macro CALLOUT stub, function
	.globl \stub
	.type \stub, @function
\stub:
	CALLED_FROM
	SAVE_GUEST
	SAVE_VECTOR
	CALL_AND_GO_ON \function
	.size \stub, . - \stub
	.endm

	CALLOUT tc_stub_interp, callout_interp

	/* The lean function answers LEAN_NO (do the whole callout), LEAN_LEAVE, or where to go on. */
	.macro LEAN_FIRST stub, lean, function
	mov rdi, r14
	call \lean
	cmp rax, LEAN_LEAVE
	jb \stub\()_in_full
	je callout_leave
	mov [r14 + TCX_TARGET], rax
	jmp tc_resume_lean
\stub\()_in_full:
	SAVE_VECTOR
	CALL_AND_GO_ON \function
	.size \stub, . - \stub
	.endm

	/* A callout that compares a unit's source; r10d = the CCF. */
	.globl tc_stub_check
	.type tc_stub_check, @function
tc_stub_check:
	CALLED_FROM
	SAVE_GUEST
	LEAN_FIRST tc_stub_check, lean_check, callout_check

	/* System instructions: as a callout, with what is asked in r11d. */
	.globl tc_stub_system
	.type tc_stub_system, @function
tc_stub_system:
	CALLED_FROM
	mov [r14 + TCX_OP], r11d
	SAVE_GUEST
	LEAN_FIRST tc_stub_system, lean_system, callout_interp

	/*
	 * A look-up missed: r8d = address, r9 = where the instruction begins again, r10d = access, r11d = EIP. When lean_refill
	 * cannot have the page, the instruction is interpreted.
	 */
	.globl tc_stub_refill
	.type tc_stub_refill, @function
tc_stub_refill:
	mov [r15 + CPU_RIP], r11
	mov [r14 + TCX_TARGET], r9
	mov [r14 + TCX_ARG], r8d
	mov [r14 + TCX_OP], r10d
	SAVE_GUEST
	LEAN_FIRST tc_stub_refill, lean_refill, callout_refill

callout_leave:
	mov dword ptr [r14 + TCX_REASON], LEAVE_CALLOUT
	jmp leave_vector

	.cfi_endproc

	.section .rodata
	.balign 4
host_mxcsr:
	.long 0x1f80
	.section .note.GNU-stack, "", @progbits
