/*
 * The translator's life cycle and the dispatcher.
 *
 * The dispatcher runs the guest block by block until blocks are chained and indirect
 * branches hit their tables; then it sees control only for what is new, for faults, callouts that change the mode, and
 * kicks. At every boundary it comes by, it looks in this order at: requests (kick), NMI and interrupts, debug traps and
 * single-stepping, the mode, the CCF.
 */
#include "translator/counts.h"
#include "translator/direct.h"
#include "translator/fault.h"
#include "translator/lockstep.h"
#include "translator/trace.h"
#include "translator/symbols.h"
#include "translator/translog.h"
#include "translator/tu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------- life cycle ---------------------------------- */

static void set_stubs(struct tcx *x)
{
	x->stub_exit = tc_stub_exit;
	x->stub_miss = tc_stub_miss;
	x->stub_interp = tc_stub_interp;
	x->stub_leave = tc_stub_leave;
	x->stub_check = tc_stub_check;
	x->stub_system = tc_stub_system;
	x->stub_refill = tc_stub_refill;
}

static bool create_parts(struct tc *tc, char *err, size_t errlen)
{
	struct mmu_listener listener = {smc_code_unmapped, smc_space_recycled, tc};

	if (!cache_create(tc, err, errlen) || !ibtc_create(tc, err, errlen) ||
	    !smc_create(tc, err, errlen))
		return false;
	tc->history = history_create(tc->ccf_max);
	if (!tc->history || !counts_switch(tc, tc->config.counts)) {
		snprintf(err, errlen, "out of memory for the history of translations");
		return false;
	}
	if (!symbols_create(tc, err, errlen))
		return false;
	tc->gdbjit = gdbjit_create(tc->rx, tc->size);
	mmu_set_listener(tc->mmu, &listener);
	/* kernel code that touches user pages gets the look-up form: a process' pages do not clutter the supervisor window */
	mmu_emulate_churn(tc->mmu, !tc->config.lockstep);
	mmu_refuse_user_fills(tc->mmu, may_look_up(tc));
	tc->direct = direct_create(tc);
	if (tc->config.lockstep && !(tc->lockstep = lockstep_create(tc))) {
		snprintf(err, errlen, "out of memory for lockstep");
		return false;
	}
	return true;
}

struct tc *tc_create(const struct tc_config *config, struct cpu *cpu, struct mmu *mmu,
		     struct physmap *pm, const struct tc_ops *ops, char *err, size_t errlen)
{
	struct tc *tc = calloc(1, sizeof(*tc));

	if (!tc) {
		snprintf(err, errlen, "out of memory for the translator");
		return NULL;
	}
	tc->config = *config;
#ifdef RINGFENCE_DEBUG
	tc->config.verify = true;
#endif
	tc->cpu = cpu;
	tc->mmu = mmu;
	tc->pm = pm;
	tc->ops = *ops;
	tc->x.cpu = cpu;
	tc->x.fx = &cpu->fx;
	tc->x.tc = tc;
	tc->lookup_possible = xl_lookup_possible();
	tc->loop_cheap = xl_loop_cheap();
	window_init(tc);
	set_stubs(&tc->x);
	decode_init();
	if (!create_parts(tc, err, errlen)) {
		tc_destroy(tc);
		return NULL;
	}
	tc_log_changed(tc);
	return tc;
}

void tc_destroy(struct tc *tc)
{
	if (!tc)
		return;
	fault_thread_fini(tc);
	lockstep_destroy(tc->lockstep);
	direct_destroy(tc->direct);
	tc->direct = NULL;
	smc_destroy(tc);
	counts_switch(tc, false);
	ibtc_destroy(tc);
	cache_destroy(tc);
	history_destroy(tc->history);
	symbols_destroy(tc);
	gdbjit_destroy(tc->gdbjit);
	free(tc->breakpoint);
	free(tc);
}

bool tc_thread_init(struct tc *tc, char *err, size_t errlen)
{
	return fault_thread_init(tc, err, errlen);
}

void tc_thread_fini(struct tc *tc)
{
	fault_thread_fini(tc);
}

void tc_flush(struct tc *tc)
{
	cache_flush(tc);
	ibtc_clear_all(tc);
	smc_clear(tc);
	tc->interrupted = 0;
	tc->sampled = 0;
	tc->last_exit = 0;
	tc->x.intr_wait = 0;
}

/* ---------------------------------- windows ---------------------------------- */

static void select_window(struct tc *tc)
{
	bool user = tc->mode & MODE_USER;

	window_set(tc, user, mmu_window_base(tc->mmu, user).v);
	ibtc_select(tc, mmu_space(tc->mmu, user), tc->mode);
}

/* ---------------------------------- dispatcher ---------------------------------- */

/* Deliveries load no data segments, but for task gates. */
static void delivered(struct tc *tc, uint16_t task)
{
	if (tc->cpu->seg[S_TR].sel != task)
		loaded_forget(tc);
}

static void deliver_interrupts(struct tc *tc)
{
	struct cpu *c = tc->cpu;
	uint16_t task = c->seg[S_TR].sel;
	int vector;

	tc->x.intr_wait = 0;
	if (tc->ops.nmi_pending(tc->ops.ctx) && !c->nmi_block && !c->shadow &&
	    tc->ops.nmi_ack(tc->ops.ctx)) {
		cpu_deliver_interrupt(c, EXC_NMI);
		delivered(tc, task);
		tc->last_exit = 0;
		return;
	}
	if (!tc->ops.interrupt_pending(tc->ops.ctx))
		return;
	if (!cpu_interruptible(c)) {
		tc->x.intr_wait = 1;
		return;
	}
	vector = tc->ops.interrupt_ack(tc->ops.ctx);
	if (vector >= 0) {
		if (c->cpl == 3)
			gear_tick(tc);
		cpu_deliver_interrupt(c, (unsigned)vector);
		delivered(tc, task);
		tc->stats.interrupts++;
	}
	tc->last_exit = 0;
}

static bool must_step(const struct tc *tc)
{
	const struct cpu *c = tc->cpu;

	return (tc->mode & MODE_INTERPRET) || tc->config.interpret || c->pending_db || c->shadow ||
	       (c->eflags & (FL_TF | FL_RF));
}

/* The CCF for cpu->rip in the current mode; 0: interpret or a fault was delivered. */
static ccf_id find_or_translate(struct tc *tc)
{
	uint32_t lin = (uint32_t)tc->cpu->rip;
	uint16_t task = tc->cpu->seg[S_TR].sel;
	uint64_t begin;
	ccf_id id;
	gpa_t at;

	if (mmu_track_code(tc->mmu, tc->mode & MODE_USER, gva(lin), &at) != OUT_OK) {
		tc->stats.exceptions++;
		cpu_deliver_fault(tc->cpu);
		delivered(tc, task);
		return 0;
	}
	id = find_code(tc, lin, at.v);
	if (id)
		return id;
	begin = meter_begin_often(&tc->meters, METER_INTERPRET);
	interpret_here(tc);
	meter_end_often(&tc->meters, METER_INTERPRET, begin);
	return 0;
}

static void back_from_tc(struct tc *tc)
{
	if (tc->interrupted) {
		tc->history->sample[tc->interrupted]++;
		tc->sampled = tc->interrupted;
		chain_restore(tc, tc->interrupted);
		tc->interrupted = 0;
	}
	tc->last_exit = 0;
}

static void note_exit(struct tc *tc, uint32_t exit)
{
	const struct ccf *from = ccf_of(tc, exit_ccf(exit));

	history_note(tc->history, HISTORY_EXIT, exit_target(from, exit_index(exit)), tc->mode, from->lin);
}

/* Act on why translated code came back. True: enter again at x->target. */
static bool after_leave(struct tc *tc)
{
	back_from_tc(tc);
	switch (tc->x.reason) {
	case LEAVE_EXIT:
		tc->last_exit = tc->x.arg;
		note_exit(tc, tc->x.arg);
		tc->cpu->rip = exit_target(ccf_of(tc, exit_ccf(tc->x.arg)), exit_index(tc->x.arg));
		return false;
	case LEAVE_MISS:
		tc->stats.lookup_misses++;
		history_note(tc->history, HISTORY_MISS, (uint32_t)tc->cpu->rip, tc->mode, 0);
		return false;
	case LEAVE_FAULT:
		return fault_handle(tc);
	case LEAVE_ABORT:
		fault_not_resumed(tc);
		return false;
	case LEAVE_CALLOUT:
	case LEAVE_STOP:
	default:
		return false;
	}
}

static void run_at(struct tc *tc, uint64_t host)
{
	tc->x.target = host;
	tc->recent[tc->recents++ % TC_RECENT] = tc->x.target;
	do
		tc_enter(&tc->x);
	while (after_leave(tc));
}

static void run_ccf(struct tc *tc, ccf_id id)
{
	run_at(tc, (uint64_t)tc_rx(tc, ccf_of(tc, id)->host));
}

static bool run_ccf_in_lockstep(struct tc *tc, ccf_id id)
{
	lockstep_before(tc, id);
	run_ccf(tc, id);
	tc->last_exit = 0; /* never chained: every block comes by here */
	return lockstep_after(tc);
}

static void step(struct tc *tc)
{
	uint64_t begin = meter_begin_often(&tc->meters, METER_INTERPRET);

	loaded_forget(tc);
	cpu_step(tc->cpu);
	tc->stats.interpreted++;
	meter_end_often(&tc->meters, METER_INTERPRET, begin);
}

static bool run_directly(struct tc *tc)
{
	uint64_t begin = __builtin_ia32_rdtsc();
	bool ran = direct_run(tc);

	meter_end(&tc->meters, METER_DIRECT, begin);
	return ran;
}

/* One round: at most one CCF, or one interpreted instruction. */
static void dispatch(struct tc *tc)
{
	uint64_t host;
	bool expected;
	ccf_id id;

	tc->stats.dispatches++;
	tc->mode = mode_of(tc->cpu);
	expected = (tc->mode & MODE_USER) && mmu_expecting(tc->mmu);
	if (expected)
		gear_fault(tc); /* a page that the guest has just brought: the window will cost something */
	tc->mode = gear_mode(tc, tc->mode, mmu_space(tc->mmu, tc->mode & MODE_USER));
	if (must_step(tc)) {
		tc->last_exit = 0;
		if (log_on(LOG_EXEC | LOG_CPU))
			translog_step(tc);
		step(tc);
		return;
	}
	if (expected)
		mmu_fill_expected(tc->mmu, !(tc->mode & MODE_LOOKUP));
	if ((tc->mode & MODE_DIRECT) && run_directly(tc))
		return;
	select_window(tc);
	if (expected && (host = fault_resume(tc))) {
		tc->last_exit = 0;
		run_at(tc, host);
		return;
	}
	id = find_or_translate(tc);
	if (!id) {
		tc->last_exit = 0;
		return;
	}
	if (tc->last_exit)
		chain_link(tc, tc->last_exit, id);
	if (log_on(LOG_EXEC | LOG_CPU))
		translog_block(tc, id);
	if (tc->lockstep)
		tc->failed |= !run_ccf_in_lockstep(tc, id);
	else
		run_ccf(tc, id);
}

static bool anything_pending(struct tc *tc)
{
	return tc->ops.interrupt_pending(tc->ops.ctx) || tc->ops.nmi_pending(tc->ops.ctx);
}

/*
 * Every kick returns: it may stand for a request as well as for an interrupt, and an interrupt that cannot be taken yet must
 * not hide the request. The interrupt is looked at when tc_run is called again.
 */
enum tc_exit tc_run(struct tc *tc)
{
	struct cpu *c = tc->cpu;

	tc->x.window = 0; /* GS is set anew: another VM may have run on this thread */
	tc->last_exit = 0; /* a debugger may have moved the guest since */
	loaded_forget(tc);
	for (;;) {
		if (atomic_load_explicit(&tc->x.kick, memory_order_relaxed)) {
			atomic_store(&tc->x.kick, 0);
			tc->stats.kicks++;
			direct_rest(tc);
			fault_sampled(tc);
			return TC_EXIT_KICK;
		}
		if (anything_pending(tc)) {
			deliver_interrupts(tc);
			if (atomic_load_explicit(&tc->x.kick, memory_order_relaxed))
				continue; /* a debugger looks at interrupts, and stops here */
		} else {
			tc->x.intr_wait = 0;
		}
		if (tc->failed)
			return TC_EXIT_ERROR;
		if (c->shutdown)
			return TC_EXIT_SHUTDOWN;
		if (c->halted)
			return TC_EXIT_HALT;
		if (tc->breakpoints && breakpoint_in(tc, (uint32_t)(c->seg[S_CS].base + c->rip), 1))
			return TC_EXIT_DEBUG;
		dispatch(tc);
	}
}

/* Reading the TSC is cheap enough for every translation; how long a tick is shows from the time since the history began. */
static uint64_t ns_of_ticks(const struct history *h, uint64_t ticks)
{
	return (uint64_t)((double)ticks * history_tick_ns(h));
}

const struct tc_stats *tc_statistics(const struct tc *tc)
{
	struct tc *t = (struct tc *)tc;

	t->stats.executed = tc->x.count;
	t->stats.translate_ns = ns_of_ticks(tc->history, tc->translate_tsc);
	t->stats.callout_ns = ns_of_ticks(tc->history, tc->meters.ticks[METER_CALLOUT]);
	t->stats.interpret_ns = ns_of_ticks(tc->history, tc->meters.ticks[METER_INTERPRET]);
	t->stats.fault_ns = ns_of_ticks(tc->history, tc->meters.ticks[METER_FAULT]);
	t->stats.direct_ns = ns_of_ticks(tc->history, tc->meters.ticks[METER_DIRECT]);
	return &t->stats;
}

void tc_print_stats(const struct tc *tc, FILE *f)
{
	const struct tc_stats *s = tc_statistics(tc);
	uint64_t all = s->executed + tc->cpu->interp_count;

#define X(name, text) fprintf(f, "  %-16s %14llu  %s\n", #name, (unsigned long long)s->name, text);
	TC_STATS(X)
#undef X
	if (s->executed)
		fprintf(f, "  share of the TC  %13.4f%%  of instructions executed\n",
			100.0 * (double)s->executed / (double)all);
	if (tc->lockstep)
		lockstep_print_stats(tc->lockstep, f);
}
