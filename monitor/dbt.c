/* -accel dbt: guest code runs from the translation cache. */
#include "monitor/crash.h"
#include "monitor/log.h"
#include "monitor/vm_internal.h"
#include "translator/translator.h"

static void dbt_failed(void *vm, const char *what, const char *details)
{
	crash_report(what, details);
}

static void *dbt_create(struct vm *vm, char *err, size_t errlen)
{
	const struct accel_options *a = &vm->options.accel;
	const struct tc_config config = {
		.size = a->tc_size,
		.verify = a->verify,
		.lockstep = a->lockstep,
		.perfmap = a->perfmap,
		.jitdump = a->jitdump,
		.count = log_on(LOG_STATS),
		.counts = a->counts,
		.direct = a->direct == DIRECT_ON     ? TC_DIRECT_ON
			  : a->direct == DIRECT_AUTO ? TC_DIRECT_AUTO
						     : TC_DIRECT_OFF,
		.lookup = a->lookup == LOOKUP_ON    ? TC_LOOKUP_ON
			  : a->lookup == LOOKUP_OFF ? TC_LOOKUP_OFF
						    : TC_LOOKUP_AUTO,
	};
	const struct tc_ops ops = {
		.interrupt_pending = vm_interrupt_pending,
		.interrupt_ack = vm_interrupt_ack,
		.nmi_pending = vm_nmi_pending,
		.nmi_ack = vm_nmi_ack,
		.ctx = vm,
		.failed = dbt_failed,
	};
	return tc_create(&config, &vm->cpu, vm->mmu, vm->map, &ops, err, errlen);
}

static void dbt_destroy(void *tc)
{
	tc_destroy(tc);
}

static bool dbt_thread_init(void *tc, char *err, size_t errlen)
{
	return tc_thread_init(tc, err, errlen);
}

static void dbt_thread_fini(void *tc)
{
	tc_thread_fini(tc);
}

static enum run_exit dbt_run(void *tc)
{
	switch (tc_run(tc)) {
	case TC_EXIT_KICK:
		return RUN_KICK;
	case TC_EXIT_HALT:
		return RUN_HALT;
	case TC_EXIT_SHUTDOWN:
		return RUN_SHUTDOWN;
	case TC_EXIT_DEBUG:
		return RUN_DEBUG;
	case TC_EXIT_ERROR:
		break;
	}
	return RUN_ERROR;
}

static void dbt_kick(void *tc)
{
	tc_kick(tc);
}

static void dbt_flush(void *tc)
{
	tc_flush(tc);
}

static void dbt_set_breakpoints(void *tc, const uint32_t *lin, unsigned n)
{
	tc_set_breakpoints(tc, lin, n);
}

static void dbt_set_watched(void *tc, bool on)
{
	tc_set_watched(tc, on);
}

static void dbt_stats(void *tc, FILE *out)
{
	tc_print_stats(tc, out);
}

const struct accel accel_dbt = {
	.name = "dbt",
	.create = dbt_create,
	.destroy = dbt_destroy,
	.thread_init = dbt_thread_init,
	.thread_fini = dbt_thread_fini,
	.run = dbt_run,
	.kick = dbt_kick,
	.flush = dbt_flush,
	.stats = dbt_stats,
	.set_breakpoints = dbt_set_breakpoints,
	.set_watched = dbt_set_watched,
};
