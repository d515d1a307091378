/* QMP's commands: a table, and what each does. All on the vCPU thread. */
#include "monitor/hmp.h"
#include "monitor/monitors.h"
#include "monitor/qmp_internal.h"
#include "monitor/run_state.h"
#include "translator/translator.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static json_t *nothing(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return NULL;
}

static json_t *empty_list(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return json_array();
}

static json_t *query_version(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return qmp_version();
}

static json_t *query_commands(struct vm *vm, json_t *args, struct qmp_error *e)
{
	json_t *list = json_array();
	const struct qmp_command *c;
	for (unsigned i = 0; (c = qmp_nth(i)); i++)
		json_array_append_new(list, json_pack("{s:s}", "name", c->name));
	return list;
}

static json_t *query_status(struct vm *vm, json_t *args, struct qmp_error *e)
{
	enum vm_state state = vm_state(vm);
	enum stop_reason reason = vm_stop_info(vm)->reason;
	const char *status = state == VM_RUNNING     ? "running"
			     : state == VM_SHUTDOWN  ? "shutdown"
			     : reason == STOP_START  ? "prelaunch"
			     : reason >= STOP_STEP && reason <= STOP_WATCHPOINT ? "debug"
										: "paused";
	return json_pack("{s:s,s:b,s:b}", "status", status, "singlestep", 0, "running", state == VM_RUNNING);
}

static json_t *query_name(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return vm->options.name ? json_pack("{s:s}", "name", vm->options.name) : json_object();
}

static json_t *query_uuid(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return json_pack("{s:s}", "UUID", "00000000-0000-0000-0000-000000000000");
}

static json_t *query_cpus_fast(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return json_pack("[{s:i,s:s,s:I,s:s,s:{s:i,s:i,s:i}}]", "cpu-index", 0, "qom-path",
			 "/machine/unattached/device[0]", "thread-id", (json_int_t)syscall(SYS_gettid), "target",
			 "i386", "props", "core-id", 0, "thread-id", 0, "socket-id", 0);
}

static json_t *query_kvm(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return json_pack("{s:b,s:b}", "enabled", 0, "present", 0);
}

static json_t *query_target(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return json_pack("{s:s}", "arch", "i386");
}

static json_t *query_machines(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return json_pack("[{s:s,s:i,s:b,s:b,s:b,s:b}]", "name", "pc", "cpu-max", 1, "is-default", 1,
			 "hotpluggable-cpus", 0, "numa-mem-supported", 0, "deprecated", 0);
}

static json_t *query_cpu_definitions(struct vm *vm, json_t *args, struct qmp_error *e)
{
	json_t *list = json_array();
	const struct cpu_model *m;
	for (unsigned i = 0; (m = cpu_model_nth(i)); i++)
		json_array_append_new(list, json_pack("{s:s,s:b,s:b}", "name", m->name, "static", 0,
						      "migration-safe", 0));
	return list;
}

static json_t *query_chardev(struct vm *vm, json_t *args, struct qmp_error *e)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < vm->opened_count; i++)
		json_array_append_new(list,
				      json_pack("{s:s+,s:b,s:s}", "filename", vm->opened_as[i].spec, "",
						"frontend-open", 1, "label", vm->opened_as[i].label));
	return list;
}

static json_t *query_memory(struct vm *vm, json_t *args, struct qmp_error *e)
{
	return json_pack("{s:I,s:I}", "base-memory", (json_int_t)vm->options.ram, "plugged-memory",
			 (json_int_t)0);
}

static json_t *stop(struct vm *vm, json_t *args, struct qmp_error *e)
{
	vm_stop(vm);
	return NULL;
}

static json_t *cont(struct vm *vm, json_t *args, struct qmp_error *e)
{
	if (vm_state(vm) == VM_SHUTDOWN)
		qmp_fail(e, "GenericError", "Resetting the Virtual Machine is required");
	else
		vm_cont(vm);
	return NULL;
}

static json_t *quit(struct vm *vm, json_t *args, struct qmp_error *e)
{
	monitors_host_quit(vm);
	return NULL;
}

static json_t *system_reset(struct vm *vm, json_t *args, struct qmp_error *e)
{
	monitors_host_reset(vm);
	return NULL;
}

static json_t *system_powerdown(struct vm *vm, json_t *args, struct qmp_error *e)
{
	monitors_power_button(vm);
	return NULL;
}

static json_t *inject_nmi(struct vm *vm, json_t *args, struct qmp_error *e)
{
	machine_inject_nmi(vm->machine);
	return NULL;
}

/* ---- by way of the human monitor ---- */

struct text {
	char *p;
	size_t n;
};

static void append(void *ctx, const char *piece)
{
	struct text *t = ctx;
	size_t len = strlen(piece);
	char *p = realloc(t->p, t->n + len + 1);
	if (!p)
		return;
	memcpy(p + t->n, piece, len + 1);
	t->p = p;
	t->n += len;
}

/* Line ends as a terminal wants them, which is how QEMU answers here. */
static json_t *with_crlf(const char *text)
{
	struct text t = {0};
	for (size_t n; *text; text += n) {
		char line[256];
		n = strcspn(text, "\n");
		n = n < sizeof(line) - 3 ? n : sizeof(line) - 3;
		bool end = text[n] == '\n';
		snprintf(line, sizeof(line), "%.*s%s", (int)n, text, end ? "\r\n" : "");
		append(&t, line);
		n += end;
	}
	json_t *result = json_string(t.p ? t.p : "");
	free(t.p);
	return result;
}

static json_t *human_monitor_command(struct vm *vm, json_t *args, struct qmp_error *e)
{
	struct text t = {0};
	hmp_execute(vm, json_string_value(json_object_get(args, "command-line")), append, &t);
	/* whatever memory holds is printed as ASCII, file names may be anything */
	for (size_t i = 0; i < t.n; i++)
		if (t.p[i] & 0x80)
			t.p[i] = '?';
	json_t *result = with_crlf(t.p ? t.p : "");
	free(t.p);
	return result;
}

/* memsave and pmemsave: the human command says what goes wrong, if anything. */
static void save(struct vm *vm, const char *command, json_t *args, struct qmp_error *e)
{
	const char *file = json_string_value(json_object_get(args, "filename"));
	char line[2048];
	struct text t = {0};
	if (strpbrk(file, "\"\\") || strlen(file) > 1000) {
		qmp_fail(e, "GenericError", "Could not open '%s'", file);
		return;
	}
	snprintf(line, sizeof(line), "%s %llu %llu \"%s\"", command,
		 (unsigned long long)json_integer_value(json_object_get(args, "val")),
		 (unsigned long long)json_integer_value(json_object_get(args, "size")), file);
	hmp_execute(vm, line, append, &t);
	if (t.n) {
		const char *text = strncmp(t.p, "Error: ", 7) ? t.p : t.p + 7;
		qmp_fail(e, "GenericError", "%.*s", (int)strcspn(text, "\n"), text);
	}
	free(t.p);
}

static json_t *memsave(struct vm *vm, json_t *args, struct qmp_error *e)
{
	save(vm, "memsave", args, e);
	return NULL;
}

static json_t *pmemsave(struct vm *vm, json_t *args, struct qmp_error *e)
{
	save(vm, "pmemsave", args, e);
	return NULL;
}

/* ---- statistics ---- */

static json_t *query_statistics(struct vm *vm, json_t *args, struct qmp_error *e)
{
	json_t *all = json_object(), *mmu = json_object();
	const struct mmu_stats *ms = mmu_statistics(vm->mmu);
#define X(name, text) json_object_set_new(mmu, #name, json_integer((json_int_t)ms->name));
	MMU_STATS(X)
#undef X
	json_object_set_new(all, "mmu", mmu);
	if (vm_tc(vm)) {
		json_t *tc = json_object();
		const struct tc_stats *ts = tc_statistics(vm_tc(vm));
#define X(name, text) json_object_set_new(tc, #name, json_integer((json_int_t)ts->name));
		TC_STATS(X)
#undef X
		json_object_set_new(all, "tc", tc);
	}
	return all;
}

/* ---- the table ---- */

static const struct qmp_command commands[] = {
	{"qmp_capabilities", "enable:a?", nothing},
	{"query-version", "", query_version},
	{"query-commands", "", query_commands},
	{"query-status", "", query_status},
	{"query-name", "", query_name},
	{"query-uuid", "", query_uuid},
	{"query-cpus-fast", "", query_cpus_fast},
	{"query-kvm", "", query_kvm},
	{"query-target", "", query_target},
	{"query-machines", "", query_machines},
	{"query-cpu-definitions", "", query_cpu_definitions},
	{"query-chardev", "", query_chardev},
	{"query-memory-size-summary", "", query_memory},
	{"query-block", "", empty_list},
	{"query-blockstats", "", empty_list},
	{"query-block-jobs", "", empty_list},
	{"query-jobs", "", empty_list},
	{"query-iothreads", "", empty_list},
	{"stop", "", stop},
	{"cont", "", cont},
	{"quit", "", quit},
	{"system_reset", "", system_reset},
	{"system_powerdown", "", system_powerdown},
	{"inject-nmi", "", inject_nmi},
	{"human-monitor-command", "command-line:s cpu-index:i?", human_monitor_command},
	{"memsave", "val:i size:i filename:s cpu-index:i?", memsave},
	{"pmemsave", "val:i size:i filename:s", pmemsave},
	{"x-ringfence-query-statistics", "", query_statistics},
};

const struct qmp_command *qmp_nth(unsigned n)
{
	return n < ARRAY_LEN(commands) ? &commands[n] : NULL;
}

const struct qmp_command *qmp_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}
