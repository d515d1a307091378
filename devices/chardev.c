/*
 * Character devices: specs, and the calls front ends make.
 *
 * A spec is `kind[:address][,option[=value]]...` in QEMU's words; a comma inside an
 * address is written twice. Kinds and options are tables below: an option that the
 * kind does not know is an error, never ignored.
 */
#include "devices/chardev.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CLOSE_FLUSH_MS = 2000 };

enum option_bit { OPT_SERVER = 1, OPT_WAIT = 2, OPT_NODELAY = 4, OPT_SIGNAL = 8, OPT_APPEND = 16 };
enum { OPT_UNIX = OPT_SERVER | OPT_WAIT, OPT_TCP = OPT_UNIX | OPT_NODELAY };
enum address { ADDR_NONE, ADDR_NEEDED, ADDR_OPTIONAL };

static const struct kind {
	const char *name;
	enum address address;
	unsigned options;
	const char *usage;
	struct chardev *(*open)(const struct chardev_spec *, char *err, size_t errlen);
} kinds[] = {
	{"stdio", ADDR_NONE, OPT_SIGNAL, "stdio[,signal=on|off]", chardev_stdio_open},
	{"file", ADDR_NEEDED, OPT_APPEND, "file:PATH[,append=on|off]", chardev_file_open},
	{"unix", ADDR_NEEDED, OPT_UNIX, "unix:PATH[,server=on|off][,wait=on|off]",
	 chardev_unix_open},
	{"tcp", ADDR_NEEDED, OPT_TCP,
	 "tcp:[HOST]:PORT[,server=on|off][,wait=on|off][,nodelay=on|off]", chardev_tcp_open},
	{"pty", ADDR_NONE, 0, "pty", chardev_pty_open},
	{"null", ADDR_NONE, 0, "null", chardev_null_open},
	{"none", ADDR_NONE, 0, "none", chardev_null_open},
	/* A console in a window; there are no windows, so nobody would see it. */
	{"vc", ADDR_OPTIONAL, 0, "vc", chardev_null_open},
};

/* Old one-word forms imply a value. */
static const struct option {
	const char *name;
	unsigned bit;
	bool word_value;
	bool takes_value;
	size_t field; /* a bool in struct chardev_spec */
} options[] = {
#define FIELD(name) offsetof(struct chardev_spec, name)
	{"server", OPT_SERVER, true, true, FIELD(server)},
	{"wait", OPT_WAIT, true, true, FIELD(wait)},
	{"nowait", OPT_WAIT, false, false, FIELD(wait)},
	{"nodelay", OPT_NODELAY, true, true, FIELD(nodelay)},
	{"delay", OPT_NODELAY, false, false, FIELD(nodelay)},
	{"signal", OPT_SIGNAL, true, true, FIELD(signal)},
	{"append", OPT_APPEND, true, true, FIELD(append)},
#undef FIELD
};

/* ---- specs ---- */

void *chardev_fail(const struct chardev_spec *spec, char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(err, errlen, "character device '%s': ", spec->text);

	if (n >= 0 && (size_t)n < errlen) {
		va_start(ap, fmt);
		vsnprintf(err + n, errlen - n, fmt, ap);
		va_end(ap);
	}
	return NULL;
}

static bool parse_switch(const char *text, bool *value)
{
	static const char *const words[][2] = {{"off", "on"}, {"no", "yes"}, {"false", "true"}};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		for (unsigned v = 0; v < 2; v++)
			if (!strcmp(text, words[i][v])) {
				*value = v;
				return true;
			}
	return false;
}

static bool parse_option(struct chardev_spec *spec, const struct kind *kind, char *text, char *err,
			 size_t errlen)
{
	char *value = strchr(text, '=');
	bool on;

	if (value)
		*value++ = 0;
	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		const struct option *o = &options[i];

		if (strcmp(text, o->name) || !(kind->options & o->bit))
			continue;
		if (value && !o->takes_value)
			return chardev_fail(spec, err, errlen, "option '%s' takes no value", text);
		on = o->word_value;
		if (value && !parse_switch(value, &on))
			return chardev_fail(spec, err, errlen,
					    "option '%s' must be on or off, not '%s'", text, value);
		*(bool *)((char *)spec + o->field) = on;
		return true;
	}
	return chardev_fail(spec, err, errlen, "unknown option '%s'; use %s", text, kind->usage);
}

/*
 * Copies up to the next single comma, turning two commas into one; returns what follows, null when
 * the part does not fit.
 */
static const char *take_part(const char *text, char *out, size_t outlen)
{
	size_t n = 0;

	while (*text && (*text != ',' || text[1] == ',')) {
		if (n + 1 >= outlen)
			return NULL;
		if (*text == ',')
			text++;
		out[n++] = *text++;
	}
	out[n] = 0;
	return text;
}

static const struct kind *find_kind(const char *text, size_t len)
{
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (strlen(kinds[i].name) == len && !memcmp(kinds[i].name, text, len))
			return &kinds[i];
	return NULL;
}

/* Everything after the kind's name. */
static bool parse_rest(struct chardev_spec *spec, const struct kind *kind, const char *p, char *err,
		       size_t errlen)
{
	char part[sizeof(spec->address)];

	if (*p == ':') {
		if (kind->address == ADDR_NONE)
			return chardev_fail(spec, err, errlen, "'%s' takes no address; use %s",
					    kind->name, kind->usage);
		p = take_part(p + 1, spec->address, sizeof(spec->address));
		if (!p)
			return chardev_fail(spec, err, errlen,
					    "the address is longer than %zu bytes",
					    sizeof(spec->address) - 1);
	}
	if (kind->address == ADDR_NEEDED && !spec->address[0])
		return chardev_fail(spec, err, errlen, "no address given; use %s", kind->usage);
	while (*p) {
		p = take_part(p + 1, part, sizeof(part));
		if (!p)
			return chardev_fail(spec, err, errlen, "an option is too long; use %s",
					    kind->usage);
		if (!parse_option(spec, kind, part, err, errlen))
			return false;
	}
	return true;
}

struct chardev *chardev_open_labelled(const char *text, const char *label, char *err, size_t errlen)
{
	struct chardev_spec spec = {.text = text, .label = label, .wait = true, .signal = true};
	const struct kind *kind;

	if (!strncmp(text, "mon:", 4)) {
		spec.mon = true;
		spec.signal = false;
		text += 4;
	}
	kind = find_kind(text, strcspn(text, ":,"));
	if (!kind)
		return chardev_fail(&spec, err, errlen,
				    "unknown kind; use stdio, mon:stdio, file:PATH, unix:PATH, "
				    "tcp:HOST:PORT, pty, null or none");
	if (!parse_rest(&spec, kind, text + strlen(kind->name), err, errlen))
		return NULL;
	/* A reader that goes away must be an error from write(), not the end of the VM. */
	signal(SIGPIPE, SIG_IGN);
	return kind->open(&spec, err, errlen);
}

struct chardev *chardev_open(const char *text, char *err, size_t errlen)
{
	static unsigned opened;
	char label[24];

	snprintf(label, sizeof(label), "serial%u", opened++);
	return chardev_open_labelled(text, label, err, errlen);
}

/* ---- the front end's side ---- */

void chardev_start(struct chardev *cd, struct machine *m)
{
	if (cd->machine)
		return;
	cd->machine = m;
	cd->ops->start(cd);
}

void chardev_flush(struct chardev *cd)
{
	cd->ops->flush(cd, CLOSE_FLUSH_MS);
}

void chardev_close(struct chardev *cd)
{
	if (!cd)
		return;
	chardev_flush(cd);
	cd->ops->destroy(cd);
}

void chardev_attach(struct chardev *cd, const struct chardev_frontend *fe, void *opaque)
{
	cd->fe = fe ? *fe : (struct chardev_frontend){0};
	cd->fe_opaque = opaque;
	if (cd->machine)
		cd->ops->accept_input(cd);
}

void chardev_accept_input(struct chardev *cd)
{
	cd->ops->accept_input(cd);
}

unsigned chardev_write(struct chardev *cd, const uint8_t *p, unsigned n)
{
	return cd->ops->write(cd, p, n, false);
}

void chardev_write_forced(struct chardev *cd, const uint8_t *p, unsigned n)
{
	cd->ops->write(cd, p, n, true);
}

/* ---- the backend's side ---- */

unsigned chardev_fe_room(const struct chardev *cd)
{
	return cd->fe.can_receive ? cd->fe.can_receive(cd->fe_opaque) : 0;
}

void chardev_fe_receive(struct chardev *cd, const uint8_t *p, unsigned n)
{
	if (cd->fe.receive)
		cd->fe.receive(cd->fe_opaque, p, n);
}

void chardev_fe_writable(struct chardev *cd)
{
	if (cd->fe.writable)
		cd->fe.writable(cd->fe_opaque);
}

void chardev_fe_event(struct chardev *cd, int event)
{
	if (cd->fe.event)
		cd->fe.event(cd->fe_opaque, event);
}
