/* Human monitor: running, stopping, and what a person at the machine could do. */
#include "monitor/hmp_internal.h"
#include "monitor/log.h"
#include "monitor/monitors.h"
#include "monitor/run_state.h"

#include <string.h>

void hmp_quit(struct hmp *h)
{
	if (hmp_take_end(h))
		monitors_host_quit(h->vm);
}

void hmp_stop(struct hmp *h)
{
	if (hmp_take_end(h))
		vm_stop(h->vm);
}

void hmp_cont(struct hmp *h)
{
	if (!hmp_take_end(h))
		return;
	if (vm_state(h->vm) == VM_SHUTDOWN)
		fputs("Error: Resetting the Virtual Machine is required\n", h->out);
	vm_cont(h->vm);
}

/* ---- the machine ---- */

void hmp_system_reset(struct hmp *h)
{
	if (hmp_take_end(h))
		monitors_host_reset(h->vm);
}

void hmp_system_powerdown(struct hmp *h)
{
	if (hmp_take_end(h))
		monitors_power_button(h->vm);
}

void hmp_nmi(struct hmp *h)
{
	if (hmp_take_end(h))
		machine_inject_nmi(h->vm->machine);
}

void hmp_log(struct hmp *h)
{
	/* these say nothing while the guest runs: `log none` is not meant for them */
	const unsigned at_the_end = LOG_STATS | LOG_JSON;
	char words[HMP_WORD_MAX], err[OPTIONS_ERROR_LEN];
	unsigned mask = 0;
	if (!hmp_more(h)) {
		log_help(h->out);
		fputs("  none\n", h->out);
		return;
	}
	if (!hmp_take_word(h, words, sizeof(words)) || !hmp_take_end(h))
		return;
	if (strcmp(words, "none") && !log_parse(words, &mask, err, sizeof(err))) {
		fprintf(h->out, "%s\n", err);
		return;
	}
	mask |= h->vm->options.log_mask & at_the_end;
	h->vm->options.log_mask = mask;
	log_set_mask(mask);
	vm_log_changed(h->vm);
}

void hmp_logfile(struct hmp *h)
{
	char path[HMP_WORD_MAX], err[OPTIONS_ERROR_LEN];
	if (!hmp_take_word(h, path, sizeof(path)) || !hmp_take_end(h))
		return;
	if (!log_reopen(path, err, sizeof(err)))
		fprintf(h->out, "%s\n", err);
}
