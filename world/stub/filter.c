/*
 * The seccomp filter. All system calls trap, of all three ABIs, except the stub's own: each only from its
 * one place (the address behind its SYSCALL instruction), with arguments as tight as values can be checked.
 *
 * Guest code in 64-bit mode can jump to those places. What it gains there:
 *   mmap         nothing while RAM's descriptor is closed, and it is closed whenever guest code runs
 *   munmap       loses its own low pages
 *   recvmsg      blocks; goes on in the stub, which takes the registers and the stack away from it, and carries out
 *                the monitor's orders, which it can read only
 *   futex wait   the same
 *   close, futex wake, sigprocmask (to the empty mask only), modify_ldt: nothing
 * Newer kernels let calls 335 and 336 (uprobes) pass all filters; where no uprobe is set they do nothing.
 * There is no mprotect: it needs no descriptor, so it would let guest code write what its page tables forbid.
 */
#include "world/stub/stub.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

enum { FILTER_MAX = 256, SYS_seccomp_ = 317 };

struct program {
	struct sock_filter insn[FILTER_MAX];
	unsigned n;
};
static struct program program;

static void put(unsigned short code, unsigned char jt, unsigned char jf, uint32_t k)
{
	program.insn[program.n++] = (struct sock_filter){code, jt, jf, k};
}

static void load(uint32_t offset)
{
	put(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
}

/* Go on when the accumulator is k, else trap. */
static void must_be(uint32_t k)
{
	put(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, k);
	put(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP);
}

static uint32_t arg_low(unsigned i)
{
	return (uint32_t)(offsetof(struct seccomp_data, args) + 8 * i);
}

static void arg_high_must_be(unsigned i, uint32_t k)
{
	load(arg_low(i) + 4);
	must_be(k);
}

static void arg_must_be(unsigned i, uint64_t v)
{
	arg_high_must_be(i, (uint32_t)(v >> 32));
	load(arg_low(i));
	must_be((uint32_t)v);
}

/* Begin the rules of one site; patched by end_site to skip them when another one calls. */
static unsigned begin_site(const char *site, uint32_t nr)
{
	unsigned at = program.n + 1;

	load(offsetof(struct seccomp_data, instruction_pointer));
	put(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint32_t)(uintptr_t)site);
	load(offsetof(struct seccomp_data, nr));
	must_be(nr);
	return at;
}

static void end_site(unsigned at)
{
	put(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
	program.insn[at].jf = (unsigned char)(program.n - at - 1);
}

static void rules_of_mmap(void)
{
	unsigned at = begin_site(site_mmap, 9);

	arg_high_must_be(0, 0);
	arg_high_must_be(1, 0);
	arg_high_must_be(2, 0);
	load(arg_low(2)); /* PROT_READ, with PROT_WRITE or PROT_EXEC, not both */
	put(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 1);
	put(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 3);
	put(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 5);
	put(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP);
	arg_must_be(3, MAP_RAM_FLAGS);
	arg_must_be(4, WORLD_RAM);
	end_site(at);
}

static void rules_of_others(void)
{
	unsigned at = begin_site(site_wake, 202);

	arg_must_be(0, (uint64_t)(uintptr_t)&PAGE->turn);
	arg_must_be(1, 1); /* FUTEX_WAKE */
	end_site(at);
	at = begin_site(site_wait, 202);
	arg_must_be(0, (uint64_t)(uintptr_t)&PAGE->turn);
	arg_must_be(1, 0); /* FUTEX_WAIT */
	arg_must_be(3, 0);
	end_site(at);
	at = begin_site(site_unblock, 14);
	arg_must_be(0, 2);
	arg_must_be(1, (uint64_t)(uintptr_t)no_signals);
	arg_must_be(2, 0);
	end_site(at);
	at = begin_site(site_munmap, 11);
	arg_high_must_be(0, 0);
	arg_high_must_be(1, 0);
	end_site(at);
	at = begin_site(site_close, 3);
	arg_must_be(0, WORLD_RAM);
	end_site(at);
	at = begin_site(site_recvmsg, 47);
	arg_must_be(0, WORLD_SOCKET);
	arg_must_be(1, (uint64_t)(uintptr_t)ram_message);
	arg_must_be(2, 0);
	end_site(at);
	at = begin_site(site_modify_ldt, 154);
	arg_must_be(0, 0x11);
	arg_must_be(2, 16);
	end_site(at);
}

long install_filter(void)
{
	struct sock_fprog fprog;
	long r;

	load(offsetof(struct seccomp_data, arch));
	must_be(AUDIT_ARCH_X86_64);
	load(offsetof(struct seccomp_data, instruction_pointer) + 4);
	must_be((uint32_t)((uint64_t)WORLD_STUB_BASE >> 32));
	rules_of_others();
	rules_of_mmap();
	put(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP);
	fprog.len = (unsigned short)program.n;
	fprog.filter = program.insn;
	/* without SPEC_ALLOW older kernels slow the whole process down */
	r = raw_syscall(SYS_seccomp_, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, (long)&fprog, 0, 0,
			0);
	if (r < 0)
		r = raw_syscall(SYS_seccomp_, SECCOMP_SET_MODE_FILTER, 0, (long)&fprog, 0, 0, 0);
	return r;
}
