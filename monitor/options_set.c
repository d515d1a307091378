/* Handlers of the options about files, terminals, logging and the program itself. */
#include "monitor/log.h"
#include "monitor/options_internal.h"

#include <string.h>

static enum options_result set_string(struct option_context *c, const char **where, const char *arg,
				      const char *what)
{
	if (!*arg)
		return option_error(c, "-%s: %s is empty", c->name, what);
	*where = arg;
	return OPTIONS_RUN;
}

enum options_result option_set_kernel(struct option_context *c, const char *arg)
{
	return set_string(c, &c->o->kernel, arg, "the file name");
}

enum options_result option_set_initrd(struct option_context *c, const char *arg)
{
	return set_string(c, &c->o->initrd, arg, "the file name");
}

enum options_result option_set_append(struct option_context *c, const char *arg)
{
	c->o->append = arg;
	return OPTIONS_RUN;
}

enum options_result option_set_nographic(struct option_context *c, const char *arg)
{
	c->o->nographic = true;
	return OPTIONS_RUN;
}

/* Options whose only value is "none". */
static enum options_result only_none(struct option_context *c, const char *arg, const char *what,
				     const char *hint)
{
	if (strcmp(arg, "none"))
		return option_error(c, "-%s %s: there is no %s: use %s", c->name, arg, what, hint);
	return OPTIONS_RUN;
}

enum options_result option_set_display(struct option_context *c, const char *arg)
{
	c->o->display_none = true;
	return only_none(c, arg, "display", "-display none, or -nographic for the serial console");
}

enum options_result option_set_vga(struct option_context *c, const char *arg)
{
	return only_none(c, arg, "graphics card",
			 "-vga none, or -nographic for the serial console");
}

static enum options_result add_device(struct option_context *c, const char **list, unsigned *count,
				      const char *arg)
{
	if (*count == OPTIONS_MAX_MONITORS)
		return option_error(c, "-%s: there can be %d at most: remove one", c->name,
				    OPTIONS_MAX_MONITORS);
	return set_string(c, &list[(*count)++], arg, "the device");
}

enum options_result option_set_monitor(struct option_context *c, const char *arg)
{
	return add_device(c, c->o->monitor, &c->o->monitor_count, arg);
}

enum options_result option_set_qmp(struct option_context *c, const char *arg)
{
	return add_device(c, c->o->qmp, &c->o->qmp_count, arg);
}

enum options_result option_set_net(struct option_context *c, const char *arg)
{
	char hint[32];
	snprintf(hint, sizeof(hint), "-%s none", c->name);
	return only_none(c, arg, "network card yet", hint);
}

enum options_result option_set_serial(struct option_context *c, const char *arg)
{
	struct options *o = c->o;
	if (o->serial_count == OPTIONS_MAX_SERIAL)
		return option_error(c,
				    "-serial: the machine has %d serial ports at most: remove one",
				    OPTIONS_MAX_SERIAL);
	return set_string(c, &o->serial[o->serial_count++], arg, "the device");
}

enum options_result option_set_debugcon(struct option_context *c, const char *arg)
{
	return set_string(c, &c->o->debugcon, arg, "the device");
}

enum options_result option_set_nodefaults(struct option_context *c, const char *arg)
{
	c->o->nodefaults = true;
	return OPTIONS_RUN;
}

enum options_result option_set_no_reboot(struct option_context *c, const char *arg)
{
	c->o->no_reboot = true;
	return OPTIONS_RUN;
}

enum options_result option_set_no_shutdown(struct option_context *c, const char *arg)
{
	c->o->no_shutdown = true;
	return OPTIONS_RUN;
}

enum options_result option_set_name(struct option_context *c, const char *arg)
{
	/* QEMU also takes "guest=NAME". */
	static const char prefix[] = "guest=";
	if (!strncmp(arg, prefix, sizeof(prefix) - 1))
		arg += sizeof(prefix) - 1;
	if (strchr(arg, ','))
		return option_error(
			c, "-name %s: only a name can be given: remove what follows the comma",
			arg);
	return set_string(c, &c->o->name, arg, "the name");
}

enum options_result option_set_pidfile(struct option_context *c, const char *arg)
{
	return set_string(c, &c->o->pidfile, arg, "the file name");
}

enum options_result option_set_log_classes(struct option_context *c, const char *arg)
{
	if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
		log_help(c->out);
		return OPTIONS_DONE;
	}
	char why[OPTIONS_ERROR_LEN];
	if (!log_parse(arg, &c->o->log_mask, why, sizeof(why)))
		return option_error(c, "%s", why);
	return OPTIONS_RUN;
}

enum options_result option_set_log_file(struct option_context *c, const char *arg)
{
	return set_string(c, &c->o->log_file, arg, "the file name");
}

enum options_result option_set_log_filter(struct option_context *c, const char *arg)
{
	char why[OPTIONS_ERROR_LEN];
	if (!log_parse_ranges(arg, c->o->log_range, &c->o->log_ranges, why, sizeof(why)))
		return option_error(c, "%s", why);
	return OPTIONS_RUN;
}

enum options_result option_set_tc_report(struct option_context *c, const char *arg)
{
	return set_string(c, &c->o->tc_report, arg, "the file name");
}

enum options_result option_set_start_paused(struct option_context *c, const char *arg)
{
	c->o->start_paused = true;
	return OPTIONS_RUN;
}

enum options_result option_set_perfmap(struct option_context *c, const char *arg)
{
	c->o->accel.perfmap = true;
	return OPTIONS_RUN;
}

enum options_result option_set_jitdump(struct option_context *c, const char *arg)
{
	c->o->accel.jitdump = true;
	return OPTIONS_RUN;
}

enum options_result option_set_gdb(struct option_context *c, const char *arg)
{
	enum options_result r = set_string(c, &c->o->gdb, arg, "the device");

	if (r == OPTIONS_RUN && !strcmp(arg, "none"))
		c->o->gdb = NULL;
	return r;
}

enum options_result option_set_gdb_default(struct option_context *c, const char *arg)
{
	return option_set_gdb(c, "tcp::1234");
}

enum options_result option_set_version(struct option_context *c, const char *arg)
{
	fputs("ringfence " RINGFENCE_VERSION "\n", c->out);
	return OPTIONS_DONE;
}
