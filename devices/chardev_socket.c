/*
 * Sockets, Unix and TCP, as client or server.
 *
 * A server talks to one client at a time; the next one waits in the listen queue
 * until this one is gone. Output while there is no client is dropped, as on a serial
 * port with no cable. `wait=on`, QEMU's default for servers, holds the start until
 * the first client is there.
 */
#include "devices/chardev.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct socket_dev {
	struct stream s;
	int listener; /* -1: client */
	struct watch *listen_watch;
	bool nodelay;
	const char *refusal; /* to further clients; null: they wait */
	struct sockaddr_un path; /* to be removed at the end; sun_family 0: nothing */
};

/* ---- connections ---- */

static void use_connection(struct socket_dev *d, int fd)
{
	int one = 1;

	if (d->nodelay)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fd_set_nonblocking(fd);
	stream_connect(&d->s, fd, fd);
	if (d->listen_watch && !d->refusal)
		machine_watch_set(d->listen_watch, 0);
	chardev_fe_event(&d->s.cd, CHARDEV_OPENED);
}

static bool accept_one(struct socket_dev *d)
{
	int fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	use_connection(d, fd);
	return true;
}

/* What a new connection's buffer does not take is not waited for. */
static void refuse_one(struct socket_dev *d)
{
	int fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (send(fd, d->refusal, strlen(d->refusal), MSG_NOSIGNAL) > 0)
		shutdown(fd, SHUT_WR);
	close(fd);
}

static void on_listener(void *opaque, short revents)
{
	struct socket_dev *d = opaque;

	if (d->s.in < 0)
		accept_one(d);
	else if (d->refusal)
		refuse_one(d);
}

static void socket_hangup(struct chardev *cd, bool output, int error)
{
	struct socket_dev *d = (struct socket_dev *)cd;

	stream_disconnect(&d->s);
	if (d->listen_watch)
		machine_watch_set(d->listen_watch, POLLIN);
	chardev_fe_event(cd, CHARDEV_CLOSED);
}

static void socket_start(struct chardev *cd)
{
	struct socket_dev *d = (struct socket_dev *)cd;

	stream_start(cd);
	if (d->listener >= 0)
		d->listen_watch = machine_watch_new(cd->machine, d->listener,
						    d->s.in < 0 || d->refusal ? POLLIN : 0, on_listener, d);
}

static void socket_destroy(struct chardev *cd)
{
	struct socket_dev *d = (struct socket_dev *)cd;

	if (d->listen_watch)
		machine_watch_free(d->listen_watch);
	if (d->listener >= 0)
		close(d->listener);
	if (d->path.sun_family)
		unlink(d->path.sun_path);
	stream_destroy(cd);
}

static const struct chardev_ops socket_ops = {
	.start = socket_start,
	.write = stream_write,
	.accept_input = stream_accept_input,
	.flush = stream_flush,
	.hangup = socket_hangup,
	.destroy = socket_destroy,
};

void chardev_refuse_others(struct chardev *cd, const char *text)
{
	if (cd->ops == &socket_ops)
		((struct socket_dev *)cd)->refusal = text;
}

/* ---- opening ---- */

static struct socket_dev *socket_new(const struct chardev_spec *spec, char *err, size_t errlen)
{
	struct socket_dev *d = calloc(1, sizeof(*d));

	if (!d || !stream_init(&d->s, &socket_ops)) {
		free(d);
		return chardev_fail(spec, err, errlen, "out of memory or file descriptors");
	}
	d->listener = -1;
	return d;
}

/* A listening socket becomes the device's; waits for the first client when asked to. */
static struct chardev *serve(struct socket_dev *d, int fd, const struct chardev_spec *spec,
			     char *err, size_t errlen)
{
	d->listener = fd;
	if (spec->wait) {
		fprintf(stderr, "ringfence: waiting for a connection on %s\n", spec->text);
		while (!accept_one(d)) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			chardev_fail(spec, err, errlen, "cannot accept a connection: %s",
				     strerror(errno));
			socket_destroy(&d->s.cd);
			return NULL;
		}
	}
	fd_set_nonblocking(fd);
	return &d->s.cd;
}

/* A socket left over by an earlier run is in the way of bind(); anything else at that path is not
 * ours to remove. */
static void remove_stale_socket(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

static bool unix_bind(struct socket_dev *d, int fd, const struct sockaddr_un *addr)
{
	remove_stale_socket(addr->sun_path);
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return false;
	d->path = *addr;
	return listen(fd, 8) == 0;
}

struct chardev *chardev_unix_open(const struct chardev_spec *spec, char *err, size_t errlen)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct socket_dev *d;
	int fd;

	if (strlen(spec->address) >= sizeof(addr.sun_path))
		return chardev_fail(spec, err, errlen,
				    "the path is longer than the %zu bytes a socket may have; use "
				    "a shorter one",
				    sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, spec->address, strlen(spec->address));
	d = socket_new(spec, err, errlen);
	if (!d)
		return NULL;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && spec->server && unix_bind(d, fd, &addr))
		return serve(d, fd, spec, err, errlen);
	if (fd >= 0 && !spec->server && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
		use_connection(d, fd);
		return &d->s.cd;
	}
	chardev_fail(spec, err, errlen, "cannot %s %s: %s%s",
		     spec->server ? "listen on" : "connect to", spec->address, strerror(errno),
		     spec->server ? "" : "; start the server first, or add server=on");
	if (fd >= 0)
		close(fd);
	socket_destroy(&d->s.cd);
	return NULL;
}

/* HOST:PORT, :PORT or [HOST]:PORT; without a host, this machine only. */
static bool split_host_port(char *text, const char **host, const char **port)
{
	char *colon = strrchr(text, ':');

	if (!colon || !colon[1])
		return false;
	*colon = 0;
	*port = colon + 1;
	if (text[0] == '[' && colon[-1] == ']') {
		colon[-1] = 0;
		text++;
	}
	*host = *text ? text : "localhost";
	return true;
}

/* Listens on or connects to one address; -1 with errno. */
static int tcp_try(const struct addrinfo *ai, bool server)
{
	int one = 1, saved;
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);

	if (fd < 0)
		return -1;
	if (server) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (!bind(fd, ai->ai_addr, ai->ai_addrlen) && !listen(fd, 8))
			return fd;
	} else if (!connect(fd, ai->ai_addr, ai->ai_addrlen)) {
		return fd;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int tcp_socket(const struct chardev_spec *spec, char *err, size_t errlen)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	char text[sizeof(spec->address)];
	const char *host, *port;
	int fd = -1, error;

	memcpy(text, spec->address, sizeof(text));
	if (!split_host_port(text, &host, &port)) {
		chardev_fail(spec, err, errlen, "no port given; use tcp:HOST:PORT");
		return -1;
	}
	error = getaddrinfo(host, port, &hints, &list);
	if (error) {
		chardev_fail(spec, err, errlen, "cannot resolve host '%s', port '%s': %s", host,
			     port, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
		return -1;
	}
	for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
		fd = tcp_try(ai, spec->server);
	error = errno;
	freeaddrinfo(list);
	if (fd < 0)
		chardev_fail(spec, err, errlen, "cannot %s %s: %s%s",
			     spec->server ? "listen on" : "connect to", spec->address,
			     strerror(error),
			     spec->server ? "; choose another port"
					  : "; start the server first, or add server=on");
	return fd;
}

struct chardev *chardev_tcp_open(const struct chardev_spec *spec, char *err, size_t errlen)
{
	struct socket_dev *d;
	int fd = tcp_socket(spec, err, errlen);

	if (fd < 0)
		return NULL;
	d = socket_new(spec, err, errlen);
	if (!d) {
		close(fd);
		return NULL;
	}
	d->nodelay = spec->nodelay;
	if (spec->server)
		return serve(d, fd, spec, err, errlen);
	use_connection(d, fd);
	return &d->s.cd;
}
