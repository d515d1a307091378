/*
 * System calls and what the programs of system/ share: all of them from 32-bit code, through INT 80h unless the
 * program says otherwise, so that natively and in the guest the same instructions run.
 */
#ifndef RINGFENCE_BENCHMARKS_USER_SYSTEM_H
#define RINGFENCE_BENCHMARKS_USER_SYSTEM_H

#include <stdint.h>

enum {
	SYS_EXIT = 1,
	SYS_FORK = 2,
	SYS_READ = 3,
	SYS_WRITE = 4,
	SYS_OPEN = 5,
	SYS_CLOSE = 6,
	SYS_UNLINK = 10,
	SYS_EXECVE = 11,
	SYS_CHDIR = 12,
	SYS_GETPID = 20,
	SYS_MKDIR = 39,
	SYS_RMDIR = 40,
	SYS_PIPE = 42,
	SYS_DUP2 = 63,
	SYS_MUNMAP = 91,
	SYS_WAIT4 = 114,
	SYS_MPROTECT = 125,
	SYS_RT_SIGACTION = 174,
	SYS_MMAP2 = 192,
	SYS_GETPPID = 64,
	SYS_SCHED_SETAFFINITY = 241,
	SYS_CLOCK_GETTIME = 265,
	SYS_GETCPU = 318
};
enum { O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_TRUNC = 01000 };
enum { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };

/* The registers of a system call; EBP (a sixth argument) is never needed: MMAP2's is an offset of 0. */
static inline int system_call(int number, int a, int b, int c)
{
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

int system_call5(int number, int a, int b, int c, int d, int e); /* with 0 in EBP */
int system_call_vdso(int number, int a, int b, int c);		  /* AT_SYSINFO's way: SYSENTER */

/* Ends the program with a message when a call that cannot fail has failed. */
int must(int result, const char *what);

/* Stay on one of the host's processors, as in the guest, which has no other. */
void one_processor(void);

void *map_pages(uint32_t count, int protection);
void on_signal(int signal, void (*handler)(int, void *, uint32_t *context));
enum { CONTEXT_EIP = 19 }; /* words into the ucontext of an i386 signal frame */

/* Fork, run `file` with these arguments in the child, wait; 0 or the child's wait status. */
int run_program(const char *file, char *const arguments[]);
/* The same for a script in busybox's shell; its $0 is busybox itself. */
int run_script(const char *script);
/* A path beside the directory of the benchmark programs: busybox, the compiler. */
const char *beside(const char *name);
/* A directory of our own in memory (tmpfs), which becomes the current one; emptied by benchmark_end(). */
void temporary_directory(void);
void write_file(const char *name, const char *data, uint32_t length);
/* A hash of a file's contents, 0 if it cannot be read. */
uint32_t hash_file(const char *name);

#endif
