/*
 * QMP: the QEMU machine protocol. Greeting, capabilities negotiation, commands with ids, errors, events.
 *
 * Requests are carried out one after the other, each on the vCPU thread; events are written from there too, so what a
 * command causes is told before its answer, as QEMU does.
 */
#include "monitor/channel.h"
#include "monitor/monitors.h"
#include "monitor/qmp_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

struct qmp_session {
	struct vm *vm;
	struct channel *channel;
	struct qmp_input input;
	atomic_bool negotiated; /* events go out from then on */
};

/* ---- output ---- */

/* Takes the reference. */
static void send(struct qmp_session *q, json_t *message)
{
	char *text = message ? json_dumps(message, 0) : NULL;
	json_decref(message);
	if (!text)
		return;
	size_t n = strlen(text);
	char *line = realloc(text, n + 1);
	if (!line) {
		free(text);
		return;
	}
	line[n] = '\n';
	channel_write(q->channel, line, n + 1);
	free(line);
}

void qmp_fail(struct qmp_error *e, const char *class, const char *format, ...)
{
	va_list ap;
	e->class = class;
	va_start(ap, format);
	vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	/* what a client sent may come back to it: it has to be UTF-8 */
	for (char *p = e->text; *p; p++)
		if (*p & 0x80 || (unsigned char)*p < ' ')
			*p = '?';
}

static void send_error(struct qmp_session *q, const struct qmp_error *e, json_t *id)
{
	json_t *m = json_pack("{s:{s:s,s:s}}", "error", "class", e->class, "desc", e->text);
	if (id)
		json_object_set(m, "id", id);
	send(q, m);
}

json_t *qmp_version(void)
{
	int major = 0, minor = 0, micro = 0;
	sscanf(RINGFENCE_VERSION, "%d.%d.%d", &major, &minor, &micro);
	return json_pack("{s:{s:i,s:i,s:i},s:s}", "qemu", "micro", micro, "minor", minor, "major", major,
			 "package", "ringfence " RINGFENCE_VERSION);
}

static void greet(struct qmp_session *q)
{
	atomic_store(&q->negotiated, false);
	qmp_input_clear(&q->input);
	send(q, json_pack("{s:{s:o,s:[]}}", "QMP", "version", qmp_version(), "capabilities"));
}

void qmp_session_event(struct qmp_session *q, const char *name, const char *data)
{
	struct timeval now;
	if (!atomic_load(&q->negotiated))
		return;
	gettimeofday(&now, NULL);
	json_t *m = json_pack("{s:{s:I,s:I},s:s}", "timestamp", "seconds", (json_int_t)now.tv_sec,
			      "microseconds", (json_int_t)now.tv_usec, "event", name);
	if (data)
		json_object_set_new(m, "data", json_loads(data, 0, NULL));
	send(q, m);
}

/* ---- arguments ---- */

struct param {
	char name[32];
	char type;
	bool optional;
};

static const char *next_param(const char *text, struct param *p)
{
	char type[4] = "";
	int used = 0;
	if (sscanf(text, " %31[^: ]:%3s%n", p->name, type, &used) < 2)
		return NULL;
	p->type = type[0];
	p->optional = type[1] == '?';
	return text + used;
}

static bool has_type(const json_t *value, char type)
{
	return type == 's' ? json_is_string(value) : type == 'i' ? json_is_integer(value)
		     : type == 'b'			 ? json_is_boolean(value)
							 : json_is_array(value);
}

static const char *type_name(char type)
{
	return type == 's' ? "string" : type == 'i' ? "integer" : type == 'b' ? "boolean" : "array";
}

static void check_params(const struct qmp_command *c, json_t *args, struct qmp_error *e)
{
	struct param p;
	size_t known = 0;
	for (const char *text = c->params; (text = next_param(text, &p));) {
		json_t *value = json_object_get(args, p.name);
		known += value != NULL;
		if (!value && !p.optional) {
			qmp_fail(e, "GenericError", "Parameter '%s' is missing", p.name);
			return;
		}
		if (value && !has_type(value, p.type)) {
			qmp_fail(e, "GenericError", "Invalid parameter type for '%s', expected: %s", p.name,
				 type_name(p.type));
			return;
		}
	}
	if (known == json_object_size(args))
		return;
	const char *name;
	json_t *value;
	json_object_foreach(args, name, value) {
		bool found = false;
		for (const char *text = c->params; (text = next_param(text, &p));)
			found = found || !strcmp(p.name, name);
		if (!found)
			qmp_fail(e, "GenericError", "Parameter '%s' is unexpected", name);
	}
}

/* ---- requests ---- */

static void check_request(json_t *m, struct qmp_error *e)
{
	const char *name;
	json_t *value;
	if (!json_is_object(m)) {
		qmp_fail(e, "GenericError", "QMP input must be a JSON object");
		return;
	}
	json_object_foreach(m, name, value) {
		bool command = !strcmp(name, "execute"), arguments = !strcmp(name, "arguments");
		if (!command && !arguments && strcmp(name, "id"))
			qmp_fail(e, "GenericError", "QMP input member '%s' is unexpected", name);
		else if (command && !json_is_string(value))
			qmp_fail(e, "GenericError", "QMP input member 'execute' must be a string");
		else if (arguments && !json_is_object(value))
			qmp_fail(e, "GenericError", "QMP input member 'arguments' must be an object");
		if (e->class)
			return;
	}
	if (!json_object_get(m, "execute"))
		qmp_fail(e, "GenericError", "QMP input lacks member 'execute'");
}

struct request {
	struct vm *vm;
	const struct qmp_command *command;
	json_t *args, *result;
	struct qmp_error *error;
};

static void run(void *ctx)
{
	struct request *r = ctx;
	r->result = r->command->run(r->vm, r->args, r->error);
}

/* The command's result, or an error. False: the VM has ended. */
static bool execute(struct qmp_session *q, json_t *m, json_t **result, struct qmp_error *e)
{
	const char *name = json_string_value(json_object_get(m, "execute"));
	bool negotiating = !strcmp(name, "qmp_capabilities"), negotiated = atomic_load(&q->negotiated);
	struct request r = {q->vm, qmp_find(name), json_object_get(m, "arguments"), NULL, e};
	if (!negotiated && !negotiating) {
		qmp_fail(e, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
	} else if (negotiated && negotiating) {
		qmp_fail(e, "CommandNotFound",
			 "Capabilities negotiation is already complete, command ignored");
	} else if (!r.command) {
		qmp_fail(e, "CommandNotFound", "The command %s has not been found", name);
	} else {
		check_params(r.command, r.args, e);
	}
	if (e->class)
		return true;
	if (negotiating && json_array_size(json_object_get(r.args, "enable"))) {
		qmp_fail(e, "GenericError", "there are no capabilities to enable");
		return true;
	}
	if (!channel_run(q->channel, run, &r))
		return false;
	*result = r.result;
	if (negotiating)
		atomic_store(&q->negotiated, true);
	return true;
}

/* Takes the reference. */
static bool handle(struct qmp_session *q, json_t *m)
{
	struct qmp_error e = {0};
	json_t *result = NULL, *id = json_is_object(m) ? json_object_get(m, "id") : NULL;
	bool alive = true;
	check_request(m, &e);
	if (!e.class)
		alive = execute(q, m, &result, &e);
	if (alive && e.class) {
		json_decref(result);
		send_error(q, &e, id);
	} else if (alive) {
		json_t *answer = json_pack("{s:o}", "return", result ? result : json_object());
		if (id)
			json_object_set(answer, "id", id);
		send(q, answer);
	}
	json_decref(m);
	return alive;
}

static bool handle_text(struct qmp_session *q)
{
	json_error_t why;
	struct qmp_error e = {0};
	json_t *m = json_loadb(q->input.text, q->input.len, JSON_ALLOW_NUL, &why);
	qmp_input_clear(&q->input);
	if (m)
		return handle(q, m);
	qmp_fail(&e, "GenericError", "JSON parse error, %s", why.text);
	send_error(q, &e, NULL);
	return true;
}

void qmp_session_main(struct channel *channel, void *ctx)
{
	struct qmp_session *q = ctx;
	q->channel = channel;
	for (;;) {
		struct qmp_error e = {0};
		int c = channel_getc(channel);
		if (c == CHANNEL_QUIT)
			return;
		if (c == CHANNEL_RESET)
			greet(q);
		if (c < 0)
			continue;
		switch (qmp_input_put(&q->input, (uint8_t)c)) {
		case QMP_MORE:
			break;
		case QMP_TEXT:
			if (!handle_text(q))
				return;
			break;
		case QMP_BAD:
			qmp_fail(&e, "GenericError", "JSON parse error, %s", q->input.error);
			send_error(q, &e, NULL);
			break;
		}
	}
}

struct qmp_session *qmp_session_new(struct vm *vm)
{
	struct qmp_session *q = calloc(1, sizeof(*q));
	if (q)
		q->vm = vm;
	return q;
}

void qmp_session_free(struct qmp_session *q)
{
	if (q)
		qmp_input_free(&q->input);
	free(q);
}
