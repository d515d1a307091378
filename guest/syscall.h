/*
 * System calls: INT 80h with the number in EAX, arguments in EBX and ECX, the result in EAX.
 * Shared by the kernel and the user programs.
 */
#ifndef GUEST_SYSCALL_H
#define GUEST_SYSCALL_H
enum syscall {
	SYS_EXIT,  /* never returns */
	SYS_WRITE, /* text, length: length written, or -1 for a bad address */
	SYS_SLEEP, /* milliseconds */
	SYS_GETPID,
	SYS_YIELD,
	SYS_PROGRESS, /* a number for `ps` to show */
	SYS_TSC_KHZ,
	SYSCALLS,
};
#endif
