/*
 * Host signals: faults in translated code, and kicks.
 *
 * The handlers only classify and redirect. A fault in the TC continues at tc_fault_leave, which saves the guest's state and
 * returns to the dispatcher; the work happens there (fault_handle). A kick in the TC points
 * the running CCF's exits at their stubs and R13 at the table that misses, so the dispatcher has control at the next
 * block boundary; long string instructions are left at once, they can be resumed at any iteration.
 */
#include "translator/counts.h"
#include "translator/direct.h"
#include "translator/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ALTSTACK_SIZE = 256 * 1024 }; /* for crash reports */
static __thread struct tc *this_tc;
static struct sigaction before[NSIG]; /* whose the signals were */

#define KICK_SIGNAL SIGUSR2

static bool in_tc(const struct tc *tc, uintptr_t rip)
{
	return rip - (uintptr_t)tc->rx < tc->size;
}

static void redirect(struct tc *tc, ucontext_t *uc, int sig)
{
	greg_t *r = uc->uc_mcontext.gregs;

	tc->x.fault_rip = (uint64_t)r[REG_RIP];
	tc->x.fault_addr = (uint64_t)r[REG_CR2];
	tc->x.fault_error = (uint32_t)r[REG_ERR];
	tc->x.fault_signal = (uint32_t)sig;
	tc->x.fault_tsc = __builtin_ia32_rdtsc();
	r[REG_RIP] = (greg_t)tc_fault_leave;
}

/* The monitor's own fault: a crash report if the program makes one; else die of it, with a core that shows where. */
static void pass_on(int sig, siginfo_t *info, void *ctx)
{
	if (before[sig].sa_flags & SA_SIGINFO) {
		before[sig].sa_sigaction(sig, info, ctx);
		return;
	}
	signal(sig, SIG_DFL);
	if (info->si_code <= 0)
		raise(sig);
}

static void on_fault(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *uc = ctx;
	struct tc *tc = this_tc;

	/* one that somebody has sent is not the guest's, wherever it finds us */
	if (tc && info->si_code > 0 && in_tc(tc, (uintptr_t)uc->uc_mcontext.gregs[REG_RIP])) {
		redirect(tc, uc, sig);
		/* CR2 is meaningful for page faults only; #GP comes as SIGSEGV too */
		if (sig != SIGSEGV || info->si_code == SI_KERNEL)
			tc->x.fault_addr = 0;
		return;
	}
	pass_on(sig, info, ctx);
}

/* Is the host instruction at rip a repeated string instruction? */
static bool at_repeat(const uint8_t *p)
{
	bool rep = false;

	for (; *p == 0xf2 || *p == 0xf3 || *p == 0x66; p++)
		rep |= *p != 0x66;
	return rep && ((*p >= 0xa4 && *p <= 0xa7) || (*p >= 0xaa && *p <= 0xaf));
}

static void on_kick(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *uc = ctx;
	struct tc *tc = this_tc;
	uintptr_t rip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

	if (!tc)
		return;
	if (rip >= (uintptr_t)tc_enter_check && rip < (uintptr_t)tc_enter_end) {
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)tc_enter_abort;
		return;
	}
	if (!in_tc(tc, rip))
		return; /* in C: x->kick is tested before the TC is entered again */
	if (at_repeat((const uint8_t *)rip)) {
		redirect(tc, uc, sig);
		return;
	}
	uc->uc_mcontext.gregs[REG_R13] = (greg_t)tc->ibtc_miss;
	if (!tc->interrupted && (tc->interrupted = cache_owner(tc, rip)))
		chain_interrupt(tc, tc->interrupted);
}

static bool install(int sig, void (*fn)(int, siginfo_t *, void *))
{
	struct sigaction old, sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, KICK_SIGNAL);
	if (sigaction(sig, NULL, &old))
		return false;
	if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != fn)
		before[sig] = old;
	return sigaction(sig, &sa, NULL) == 0;
}

bool fault_thread_init(struct tc *tc, char *err, size_t errlen)
{
	stack_t ss = {.ss_size = ALTSTACK_SIZE};
	sigset_t kick;

	ss.ss_sp = mmap(NULL, ALTSTACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ss.ss_sp == MAP_FAILED || sigaltstack(&ss, &tc->altstack_before) || !install(SIGSEGV, on_fault) ||
	    !install(SIGBUS, on_fault) || !install(SIGFPE, on_fault) || !install(SIGILL, on_fault) ||
	    !install(KICK_SIGNAL, on_kick)) {
		snprintf(err, errlen, "cannot set up signal handling: %s", strerror(errno));
		return false;
	}
	tc->altstack = ss.ss_sp;
	tc->tid = (pid_t)syscall(SYS_gettid);
	this_tc = tc;
	sigemptyset(&kick);
	sigaddset(&kick, KICK_SIGNAL);
	return sigprocmask(SIG_UNBLOCK, &kick, NULL) == 0;
}

void fault_thread_fini(struct tc *tc)
{
	if (!tc->altstack)
		return;
	if (this_tc == tc) {
		sigaltstack(&tc->altstack_before, NULL);
		this_tc = NULL;
	}
	munmap(tc->altstack, ALTSTACK_SIZE);
	tc->altstack = NULL;
}

void tc_kick(struct tc *tc)
{
	/* the vCPU thread itself is in C code, which looks at the flag before it runs guest code again */
	if (!atomic_exchange(&tc->x.kick, 1) && tc->tid && this_tc != tc && !direct_kick(tc))
		syscall(SYS_tgkill, getpid(), tc->tid, KICK_SIGNAL);
}

/* ------------------------------ afterwards, in the dispatcher ------------------------------ */

/* The instruction cannot use a window: have it translated anew in another form. */
static void learn_form(struct tc *tc, ccf_id id, uint32_t eip, enum form form, enum form_cause cause)
{
	const struct ccf *c = ccf_of(tc, id);

	hint_set(tc, hint_place_in(c, eip), eip, form, cause);
	smc_discard_at(tc, c->gpa + (eip - c->lin));
}

/* The instruction faults all the time, or it is known to from other CCFs: then this one may have that form, too. */
static bool keeps_faulting(struct tc *tc, ccf_id id, uint32_t eip, enum form form)
{
	uint32_t place = hint_place_in(ccf_of(tc, id), eip);

	return (form == FORM_CALLOUT || may_look_up(tc)) && (hint_form(tc, place) == form || hint_exception(tc, place));
}

static bool window_fault(struct tc *tc, ccf_id id, uint32_t eip)
{
	bool user, write = tc->x.fault_error & 2;
	gva_t at;

	if (tc->x.fault_signal != SIGSEGV || !mmu_window_of(tc->mmu, tc->x.fault_addr, &user, &at))
		return false;
	switch (mmu_handle_fault(tc->mmu, user, at, write)) {
	case MMU_FILLED:
		history_note(tc->history, HISTORY_HIDDEN, eip, tc->mode, at.v);
		if (user)
			gear_fault(tc);
		return !tc->changed;
	case MMU_IO:
		learn_form(tc, id, eip, FORM_CALLOUT, CAUSE_DEVICE);
		break;
	case MMU_USER_PAGE:
		learn_form(tc, id, eip, FORM_LOOKUP, CAUSE_USER_PAGE);
		break;
	case MMU_TRUE_FAULT:
		/* by look-up it costs no signal */
		if (keeps_faulting(tc, id, eip, FORM_LOOKUP))
			learn_form(tc, id, eip, FORM_LOOKUP, CAUSE_PAGE_FAULTS);
		break;
	case MMU_CODE_WRITE:
	case MMU_EMULATE:
		if (!user && keeps_faulting(tc, id, eip, FORM_LOOKUP))
			learn_form(tc, id, eip, FORM_LOOKUP, CAUSE_EMULATED);
		break;
	}
	return false;
}

/* Where the fault happened. */
struct place {
	ccf_id id;
	uint32_t eip, host_off;
	unsigned index; /* of the instruction in its unit */
	int32_t pending; /* the guest's ESP less the host's */
};

static bool place_of(struct tc *tc, uint64_t host, struct place *p)
{
	p->id = cache_owner(tc, host);
	if (!p->id || !ccf_locate(tc, p->id, host, &p->eip, &p->host_off, &p->index))
		return false;
	p->pending = ccf_map(tc, ccf_of(tc, p->id))[p->index].words * 4;
	return true;
}

static struct place locate(struct tc *tc)
{
	struct place p;

	if (place_of(tc, tc->x.fault_rip, &p))
		return p;
	fprintf(stderr, "ringfence: internal error: fault at TC+%#lx belongs to no instruction\n",
		(unsigned long)(tc->x.fault_rip - (uintptr_t)tc->rx));
	abort();
}

static void move_esp(struct cpu *c, int32_t by)
{
	c->gpr[R_ESP] = (uint32_t)c->gpr[R_ESP] + (uint32_t)by;
}

void fault_not_resumed(struct tc *tc)
{
	struct place p;

	if (place_of(tc, tc->x.target, &p))
		move_esp(tc->cpu, p.pending);
}

static bool handle(struct tc *tc, const struct place *p)
{
	tc->cpu->rip = p->eip;
	move_esp(tc->cpu, p->pending);
	if (tc->x.fault_signal == KICK_SIGNAL)
		return false;
	tc->changed = false;
	if (window_fault(tc, p->id, p->eip)) {
		tc->x.target = (uint64_t)tc_rx(tc, p->host_off);
		move_esp(tc->cpu, -p->pending);
		return true;
	}
	if (tc->x.fault_signal == SIGFPE && keeps_faulting(tc, p->id, p->eip, FORM_CALLOUT))
		learn_form(tc, p->id, p->eip, FORM_CALLOUT, CAUSE_ARITHMETIC);
	if (!tc->changed || tc->x.fault_signal != SIGSEGV)
		interpret_here(tc);
	if (tc->mode & MODE_USER)
		fault_note(tc, p->eip, (uint64_t)tc_rx(tc, p->host_off));
	return false;
}

uint64_t fault_resume(struct tc *tc)
{
	uint32_t lin = (uint32_t)tc->cpu->rip;
	const struct ccf *c;
	struct place p;
	gpa_t at;

	if (tc->resume.eip != lin || tc->resume.mode != tc->mode || tc->unchained || counts_on(tc) ||
	    !place_of(tc, tc->resume.host, &p))
		return 0;
	/* the unit may be gone by now, and another in its room */
	c = ccf_of(tc, p.id);
	if (c->state != CCF_LIVE || c->mode != tc->mode || c->flags & (CCF_CROSSING | CCF_SELFCHECK) || p.eip != lin || p.pending ||
	    (c->needs && !ibtc_has_thunk_of(tc, c)) ||
	    (uint64_t)tc_rx(tc, p.host_off) != tc->resume.host ||
	    mmu_track_code(tc->mmu, true, gva(lin), &at) != OUT_OK || at.v != c->gpa + (lin - c->lin))
		return 0;
	return tc->resume.host;
}

bool fault_handle(struct tc *tc)
{
	uint64_t exceptions = tc->stats.exceptions;
	struct place p = locate(tc);
	bool again = handle(tc, &p);

	if (!p.index && (again || tc->cpu->rip == p.eip || tc->stats.exceptions != exceptions))
		counts_take_back(tc, p.id);
	meter_end(&tc->meters, METER_FAULT, tc->x.fault_tsc);
	return again;
}

/* A tick found this code running: what it has learnt from page faults may be over. */
void fault_sampled(struct tc *tc)
{
	const struct ccf *c = ccf_of(tc, tc->sampled);
	const struct ccf_insn *map = ccf_map(tc, c);
	bool by_window = tc->sampled && c->state == CCF_LIVE && (c->mode & (MODE_USER | MODE_LOOKUP)) == MODE_USER;
	uint64_t over[CCF_MAX_INSNS], at = c->gpa;
	unsigned n = 0;

	tc->sampled = 0;
	if (!by_window)
		return;
	for (unsigned i = 0; i < c->insns; at += map[i++].guest)
		if (hint_sampled(tc, (uint32_t)at))
			over[n++] = at;
	while (n)
		smc_discard_at(tc, over[--n]);
}
