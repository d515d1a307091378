/*
 * The program: command line, one virtual machine, and an orderly end whatever happens.
 *
 * However we end, the terminal is as it was: atexit for the ordinary ways, handlers for the
 * signals that kill. Only SIGKILL beats us.
 */
#include "monitor/crash.h"
#include "monitor/log.h"
#include "monitor/pidfile.h"
#include "monitor/vm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void clean_up(void)
{
	chardev_stdio_restore();
	pidfile_remove();
}

static void prepare_signals(void)
{
	/* The translator's own handlers come later and pass on what is not theirs. */
	crash_set_subject(&(struct crash_subject){.clean_up = clean_up});
	crash_install();
	signal(SIGPIPE, SIG_IGN);
	/* a file too large for the limits is an error of the one who writes it, not the end of the guest */
	signal(SIGXFSZ, SIG_IGN);
	/* For vm_wait; threads inherit the mask. */
	sigset_t set;
	vm_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int fail(const char *err)
{
	fprintf(stderr, "ringfence: %s\n", err);
	return EXIT_FAILURE;
}

/* Say once what QEMU's users would not expect. */
static void say_defaults(const struct options *o)
{
	if (!o->kernel)
		fprintf(stderr, "ringfence: no -kernel: booting the built-in demonstration guest "
				"(Ctrl-A H helps, Ctrl-A X quits)\n");
	else if (!o->nographic && !o->display_none && !o->serial_count && !o->nodefaults)
		fprintf(stderr, "ringfence: there is no display: the first serial port is on this "
				"terminal, as with "
				"-nographic\n");
}

static int run(const struct options *o)
{
	char err[OPTIONS_ERROR_LEN];
	log_set_ranges(o->log_range, o->log_ranges);
	if (!log_open(o->log_mask, o->log_file, err, sizeof(err)))
		return fail(err);
	struct vm *vm = vm_create(o, err, sizeof(err));
	if (!vm)
		return fail(err);
	vm_set_crash_subject(vm, clean_up);
	if (o->pidfile && !pidfile_create(o->pidfile, err, sizeof(err))) {
		vm_destroy(vm);
		return fail(err);
	}
	say_defaults(o);
	int status;
	if (vm_start(vm, err, sizeof(err)))
		status = vm_wait(vm);
	else
		status = fail(err);
	crash_set_subject(&(struct crash_subject){.clean_up = clean_up});
	if (!vm_destroy(vm) && status == EXIT_SUCCESS)
		status = EXIT_FAILURE;
	return status;
}

int main(int argc, char **argv)
{
	static struct options options;
	char err[OPTIONS_ERROR_LEN];
	switch (options_parse(&options, argc, argv, stdout, err, sizeof(err))) {
	case OPTIONS_FAIL:
		return fail(err);
	case OPTIONS_DONE:
		return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	case OPTIONS_RUN:
		break;
	}
	prepare_signals();
	atexit(clean_up);
	int status = run(&options);
	log_close();
	return status;
}
