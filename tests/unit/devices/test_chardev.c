/* Character devices against real descriptors, with the I/O thread running. */
#include "bench.h"

#include "devices/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* ---- a front end that records ---- */

static struct {
	uint8_t in[1 << 17];
	unsigned len, window; /* window: bytes it takes before the test opens it again */
	unsigned writable, breaks, opened, closed, focus;
} fe;

static unsigned fe_room(void *opaque)
{
	return fe.window;
}

static void fe_receive(void *opaque, const uint8_t *p, unsigned n)
{
	assert_true(n <= fe.window && fe.len + n <= sizeof(fe.in));
	memcpy(fe.in + fe.len, p, n);
	fe.len += n;
	fe.window -= n;
}

static void fe_writable(void *opaque)
{
	fe.writable++;
}

static void fe_event(void *opaque, int event)
{
	fe.breaks += event == CHARDEV_BREAK;
	fe.opened += event == CHARDEV_OPENED;
	fe.closed += event == CHARDEV_CLOSED;
	fe.focus += event == CHARDEV_FOCUS;
}

static const struct chardev_frontend frontend = {fe_room, fe_receive, fe_writable, fe_event};

/* ---- helpers ---- */

static struct machine *m;
static char dir[] = "/tmp/chardev-test-XXXXXX";
static char path[64], spec[128], err[512];

static int setup(void **state)
{
	m = bench_new();
	memset(&fe, 0, sizeof(fe));
	fe.window = sizeof(fe.in);
	assert_true(machine_start(m, err, sizeof(err)));
	return 0;
}

static int teardown(void **state)
{
	bench_free(m);
	unlink(path);
	return 0;
}

static int make_dir(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/x", dir);
	return 0;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

static struct chardev *open_spec(const char *kind, const char *options)
{
	struct chardev *cd;

	snprintf(spec, sizeof(spec), "%s:%s%s", kind, path, options);
	cd = chardev_open(spec, err, sizeof(err));
	if (!cd)
		fail_msg("%s", err);
	return cd;
}

static void start(struct chardev *cd)
{
	machine_lock(m);
	chardev_attach(cd, &frontend, NULL);
	chardev_start(cd, m);
	machine_unlock(m);
}

static unsigned put(struct chardev *cd, const void *p, unsigned n)
{
	machine_lock(m);
	n = chardev_write(cd, p, n);
	machine_unlock(m);
	return n;
}

static void put_text(struct chardev *cd, const char *text)
{
	assert_int_equal(put(cd, text, strlen(text)), strlen(text));
}

static void finish(struct chardev *cd)
{
	machine_stop(m);
	chardev_close(cd);
}

/* Wait up to five seconds for a condition that the I/O thread brings about. */
#define WAIT(cond)                                                                                 \
	do {                                                                                       \
		bool done_ = false;                                                                \
		for (unsigned i_ = 0; i_ < 5000 && !done_; i_++) {                                 \
			machine_lock(m);                                                           \
			done_ = (cond);                                                            \
			machine_unlock(m);                                                         \
			if (!done_)                                                                \
				usleep(1000);                                                      \
		}                                                                                  \
		assert_true(done_);                                                                \
	} while (0)

static void give(unsigned window, struct chardev *cd)
{
	machine_lock(m);
	fe.window = window;
	chardev_accept_input(cd);
	machine_unlock(m);
}

static void read_exactly(int fd, void *p, unsigned n)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	for (unsigned got = 0; got < n;) {
		assert_int_equal(poll(&pfd, 1, 5000), 1);
		ssize_t k = read(fd, (char *)p + got, n - got);
		assert_true(k > 0);
		got += k;
	}
}

static void expect_text(int fd, const char *text)
{
	char buf[512] = {0};

	read_exactly(fd, buf, strlen(text));
	assert_string_equal(buf, text);
}

static void expect_eof(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char c;

	assert_int_equal(poll(&pfd, 1, 5000), 1);
	assert_int_equal(read(fd, &c, 1), 0);
}

static int dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void file_is(const char *text)
{
	char buf[256] = {0};
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0 && read(fd, buf, sizeof(buf) - 1) >= 0);
	close(fd);
	assert_string_equal(buf, text);
}

/* ---- specs ---- */

static void test_bad_specs(void **state)
{
	static const struct {
		const char *spec, *says;
	} bad[] = {
		{"", "unknown kind"},
		{"bogus", "unknown kind"},
		{"mon:", "unknown kind"},
		{"stdio:x", "takes no address"},
		{"file", "no address"},
		{"file:", "no address"},
		{"file:/nonexistent/x", "cannot open /nonexistent/x"},
		{"file:/tmp/x,server=on", "unknown option 'server'"},
		{"unix:", "no address"},
		{"unix:/nonexistent/x", "start the server first"},
		{"unix:/nonexistent/x,server=on,wait=off", "cannot listen"},
		{"unix:/tmp/x,server=maybe", "must be on or off"},
		{"unix:/tmp/x,nowait=on", "takes no value"},
		{"unix:/tmp/x,", "unknown option ''"},
		{"unix:/tmp/x,telnet", "unknown option 'telnet'"},
		{"tcp:", "no address"},
		{"tcp:localhost", "no port"},
		{"tcp::", "no port"},
		{"tcp:localhost:notaport", "cannot resolve"},
		{"tcp:localhost:1", "cannot connect"},
		{"pty:x", "takes no address"},
	};
	char longspec[400];

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_null(chardev_open(bad[i].spec, err, sizeof(err)));
		if (!strstr(err, bad[i].says) || strchr(err, '\n'))
			fail_msg("'%s' gave: %s", bad[i].spec, err);
	}
	snprintf(longspec, sizeof(longspec), "unix:/%0200d", 0);
	assert_null(chardev_open(longspec, err, sizeof(err)));
	assert_non_null(strstr(err, "longer"));
	snprintf(longspec, sizeof(longspec), "file:/%0300d", 0);
	assert_null(chardev_open(longspec, err, sizeof(err)));
	assert_non_null(strstr(err, "longer"));
	assert_null(chardev_open("bogus", err, 8)); /* a small buffer is respected */
	assert_int_equal(strlen(err), 7);
}

static void test_null(void **state)
{
	static const char *const specs[] = {"null", "none", "vc", "vc:80Cx24C", "mon:null"};

	for (unsigned i = 0; i < ARRAY_LEN(specs); i++) {
		struct chardev *cd = chardev_open(specs[i], err, sizeof(err));
		assert_non_null(cd);
		start(cd);
		put_text(cd, "gone");
		chardev_close(cd);
	}
}

/* ---- files ---- */

static void test_file(void **state)
{
	struct chardev *cd = open_spec("file", "");

	put_text(cd, "early ");
	start(cd);
	put_text(cd, "late");
	finish(cd);
	file_is("early late");
	assert_true(machine_start(m, err, sizeof(err)));
	cd = open_spec("file", ",append=on");
	start(cd);
	put_text(cd, "r");
	finish(cd);
	file_is("early later");
}

/* A full disk must not stop the guest; the user is told (on standard error) once. */
static void test_full_disk(void **state)
{
	struct chardev *cd = chardev_open("file:/dev/full", err, sizeof(err));
	int saved = dup(2), p[2];
	char text[256] = {0};

	assert_non_null(cd);
	assert_int_equal(pipe(p), 0);
	dup2(p[1], 2);
	start(cd);
	put_text(cd, "lost");
	usleep(20000);
	put_text(cd, "lost too");
	finish(cd);
	dup2(saved, 2);
	close(saved);
	close(p[1]);
	assert_true(read(p[0], text, sizeof(text) - 1) > 0);
	close(p[0]);
	assert_non_null(strstr(text, "cannot write to /dev/full"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

/* Closing waits for a slow reader, but not for ever. */
static void test_close_is_bounded(void **state)
{
	struct chardev *cd = open_spec("unix", ",server=on,wait=off");
	static uint8_t block[STREAM_SOFT_LIMIT];
	time_t before = time(NULL);
	int fd;

	start(cd);
	fd = dial();
	WAIT(fe.opened == 1);
	while (put(cd, block, sizeof(block)) == sizeof(block))
		;
	finish(cd);
	assert_in_range(time(NULL) - before, 1, 8);
	close(fd);
}

static void test_flushes_promptly(void **state)
{
	struct chardev *cd = open_spec("unix", ",server=on,wait=off");
	struct timespec a, b;
	int fd;

	start(cd);
	fd = dial();
	WAIT(fe.opened == 1);
	clock_gettime(CLOCK_MONOTONIC, &a);
	put_text(cd, "x");
	expect_text(fd, "x");
	clock_gettime(CLOCK_MONOTONIC, &b);
	/* 1 ms is the aim; a loaded host gets more */
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 100);
	close(fd);
	finish(cd);
}

/* ---- sockets ---- */

static void test_backpressure_loses_nothing(void **state)
{
	struct chardev *cd = open_spec("unix", ",server,nowait");
	unsigned sent = 0, got = 0, total = 3 << 20;
	uint8_t buf[4096];
	int fd;

	start(cd);
	fd = dial();
	WAIT(fe.opened == 1);
	for (;;) { /* one byte at a time, as a UART does, until it is refused */
		uint8_t byte = sent % 251;
		if (!put(cd, &byte, 1))
			break;
		sent++;
		assert_true(sent < total);
	}
	assert_true(sent >= STREAM_SOFT_LIMIT);
	machine_lock(m);
	for (unsigned i = 0; i < 1000; i++, sent++)
		chardev_write_forced(cd, &(uint8_t){sent % 251}, 1);
	machine_unlock(m);
	WAIT(fe.writable == 0);
	while (got < sent) {
		ssize_t n = read(fd, buf, sizeof(buf));
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], (got + i) % 251);
		got += n;
	}
	WAIT(fe.writable == 1);
	put_text(cd, "on");
	expect_text(fd, "on");
	close(fd);
	finish(cd);
	assert_int_equal(access(path, F_OK), -1); /* the socket file is gone */
}

static void test_second_client_waits(void **state)
{
	struct chardev *cd = open_spec("unix", ",server=on,wait=off");
	int first, second;

	start(cd);
	put_text(cd, "nobody listens");
	first = dial();
	WAIT(fe.opened == 1);
	second = dial();
	put_text(cd, "one");
	expect_text(first, "one");
	assert_int_equal(write(second, "2", 1), 1);
	assert_int_equal(write(first, "1", 1), 1);
	WAIT(fe.len == 1);
	close(first);
	WAIT(fe.opened == 2 && fe.closed == 1);
	WAIT(fe.len == 2);
	assert_memory_equal(fe.in, "12", 2);
	put_text(cd, "two");
	expect_text(second, "two");
	put_text(cd, "last words");
	finish(cd);
	expect_text(second, "last words"); /* chardev_close flushed */
	expect_eof(second);
	close(second);
}

static void test_client_that_never_reads_goes(void **state)
{
	struct chardev *cd = open_spec("unix", ",server=on,wait=off");
	uint8_t block[4096] = {0};
	int fd;

	start(cd);
	fd = dial();
	WAIT(fe.opened == 1);
	while (put(cd, block, sizeof(block)) == sizeof(block))
		;
	close(fd);
	WAIT(fe.closed == 1);
	WAIT(fe.writable == 1); /* a UART that waits must be woken: output is dropped now */
	assert_int_equal(put(cd, block, sizeof(block)), sizeof(block));
	finish(cd);
}

static void test_input_is_paced(void **state)
{
	static uint8_t data[100000];
	struct chardev *cd = open_spec("unix", ",server=on,wait=off");
	int fd;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = i % 253;
	fe.window = 0;
	start(cd);
	fd = dial();
	WAIT(fe.opened == 1);
	pid_t child = fork();
	if (!child) {
		ssize_t n = write(fd, data, sizeof(data));
		_exit(n != sizeof(data));
	}
	close(fd);
	usleep(10000);
	WAIT(fe.len == 0);
	for (unsigned total = 7000; total < sizeof(data) + 7000; total += 7000) {
		give(7000, cd);
		WAIT(!fe.window || fe.len == sizeof(data));
	}
	assert_memory_equal(fe.in, data, sizeof(data));
	waitpid(child, NULL, 0);
	finish(cd);
}

static void test_unix_client(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	struct chardev *cd;

	strcpy(a.sun_path, path);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	cd = open_spec("unix", "");
	fd = accept(listener, NULL, NULL);
	start(cd);
	put_text(cd, "hello");
	expect_text(fd, "hello");
	assert_int_equal(write(fd, "hi", 2), 2);
	WAIT(fe.len == 2);
	close(fd);
	WAIT(fe.closed == 1);
	put_text(cd, "dropped");
	finish(cd);
	close(listener);
}

static void test_tcp_pair(void **state)
{
	struct chardev *server = NULL, *client;
	char tcp[64];

	for (unsigned port = 20000 + getpid() % 10000; !server && port < 40000; port += 7) {
		snprintf(tcp, sizeof(tcp), "tcp::%u,server=on,wait=off,nodelay=on", port);
		server = chardev_open(tcp, err, sizeof(err));
	}
	assert_non_null(server);
	*strchr(tcp, ',') = 0;
	client = chardev_open(tcp, err, sizeof(err));
	assert_non_null(client);
	start(server);
	machine_lock(m);
	chardev_start(client, m);
	machine_unlock(m);
	put_text(client, "over tcp");
	WAIT(fe.len == 8);
	assert_memory_equal(fe.in, "over tcp", 8);
	machine_stop(m);
	chardev_close(client);
	chardev_close(server);
}

static void test_wait_on(void **state)
{
	pid_t child = fork();

	if (!child) {
		int fd;
		close(2);
		while (access(path, F_OK))
			usleep(1000);
		usleep(20000);
		fd = dial();
		_exit(write(fd, "w", 1) != 1);
	}
	struct chardev *cd = open_spec("unix", ",server=on");
	start(cd);
	WAIT(fe.len == 1);
	finish(cd);
	waitpid(child, NULL, 0);
}

/* ---- pseudo-terminals ---- */

static struct chardev *open_pty(char *name)
{
	int saved = dup(1), p[2];
	char text[128] = {0};
	struct chardev *cd;

	fflush(stdout);
	assert_int_equal(pipe(p), 0);
	dup2(p[1], 1);
	cd = chardev_open_labelled("pty", "serial7", err, sizeof(err));
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	assert_non_null(cd);
	assert_true(read(p[0], text, sizeof(text) - 1) > 0);
	close(p[0]);
	close(p[1]);
	assert_int_equal(sscanf(text, "char device redirected to %63s (label serial7)", name), 1);
	assert_non_null(strstr(text, "(label serial7)\n"));
	return cd;
}

static void test_pty(void **state)
{
	char name[64];
	struct chardev *cd = open_pty(name);
	int fd;

	start(cd);
	put_text(cd, "dropped: nobody is there");
	for (unsigned round = 1; round <= 2; round++) {
		fd = open(name, O_RDWR | O_NOCTTY);
		assert_true(fd >= 0);
		WAIT(fe.opened == round);
		put_text(cd, "login:\r\n");
		expect_text(fd, "login:\r\n");
		assert_int_equal(write(fd, "me\r", 3), 3);
		WAIT(fe.len == 3 * round); /* nothing echoed back besides */
		close(fd);
		WAIT(fe.closed == round);
	}
	assert_memory_equal(fe.in, "me\rme\r", 6);
	finish(cd);
}

/* ---- standard input and output, in a child ---- */

/* Echoes input in upper case; says "eof" and ends 30 ms after the input `end`. */
static void stdio_child(bool clean)
{
	struct chardev *cd;

	m = bench_new();
	memset(&fe, 0, sizeof(fe));
	fe.window = 1000;
	cd = chardev_open("stdio", err, sizeof(err));
	if (!cd || chardev_open("mon:stdio", err, sizeof(err)) || !strstr(err, "in use") ||
	    !machine_start(m, err, sizeof(err)))
		_exit(1);
	start(cd);
	put_text(cd, "up\n");
	WAIT(memchr(fe.in, '!', fe.len));
	usleep(30000); /* past the end of file */
	put(cd, fe.in, fe.len);
	put_text(cd, "still here\n");
	if (!clean)
		exit(3);
	finish(cd);
	struct termios t = {.c_lflag = ICANON};
	tcgetattr(0, &t);
	_exit(t.c_lflag & ICANON ? 0 : 4); /* restored before exit */
}

static void test_stdio_pipes(void **state)
{
	int to[2], from[2], status;

	assert_int_equal(pipe(to) | pipe(from), 0);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		stdio_child(true);
	}
	close(to[0]);
	expect_text(from[0], "up\n");
	/* our end shares its description with the child: it must not have become non-blocking */
	assert_false(fcntl(from[1], F_GETFL) & O_NONBLOCK);
	close(from[1]);
	assert_int_equal(write(to[1], "in!", 3), 3);
	close(to[1]);
	expect_text(from[0], "in!still here\n");
	expect_eof(from[0]);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	close(from[0]);
}

/* `ringfence | head`: the reader goes, output is dropped, input still works. */
static void test_stdio_reader_goes(void **state)
{
	int to[2], from[2], status;

	assert_int_equal(pipe(to) | pipe(from), 0);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		close(from[1]);
		stdio_child(true);
	}
	close(to[0]);
	close(from[1]);
	expect_text(from[0], "up\n");
	close(from[0]);
	assert_int_equal(write(to[1], "in!", 3), 3);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	close(to[1]);
}

static void stdio_on_terminal(bool clean)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, status;
	struct termios before = {0}, during, after = {0};

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_int_equal(tcgetattr(slave, &before), 0);
	assert_true(before.c_lflag & ICANON);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		dup2(slave, 0);
		dup2(slave, 1);
		close(master);
		close(slave);
		stdio_child(clean);
	}
	expect_text(master, "up\r\n");
	assert_int_equal(tcgetattr(slave, &during), 0);
	assert_false(during.c_lflag & (ICANON | ECHO));
	assert_true(during.c_lflag & ISIG);
	assert_false(fcntl(slave, F_GETFL) & O_NONBLOCK);
	assert_int_equal(write(master, "k\r!", 3), 3);
	waitpid(child, &status, 0);
	assert_int_equal(WEXITSTATUS(status), clean ? 0 : 3);
	assert_int_equal(tcgetattr(slave, &after), 0);
	assert_memory_equal(&after, &before, sizeof(after));
	if (clean)
		expect_text(master, "k\r!still here\r\n");
	close(slave);
	close(master);
}

static void test_stdio_terminal(void **state)
{
	stdio_on_terminal(true);
}

static void test_stdio_terminal_restored_by_exit(void **state)
{
	stdio_on_terminal(false);
}

/* ---- the mux ---- */

static unsigned quits;

static void on_quit(void *ctx)
{
	quits++;
}

struct muxed {
	struct chardev *console, *monitor;
	int fd;
};

static struct muxed open_mux(void)
{
	struct muxed x;
	struct chardev *backend = open_spec("unix", ",server=on,wait=off");

	quits = 0;
	x.console = chardev_mux_new(backend, on_quit, NULL);
	x.monitor = chardev_mux_port(x.console);
	assert_true(x.console && x.monitor);
	start(x.console);
	x.fd = dial();
	WAIT(fe.opened == 1);
	return x;
}

static void close_mux(struct muxed *x)
{
	machine_stop(m);
	chardev_close(x->console);
	chardev_close(x->monitor);
	close(x->fd);
}

static void type(struct muxed *x, const char *text)
{
	assert_int_equal(write(x->fd, text, strlen(text)), strlen(text));
}

static void test_mux_escape(void **state)
{
	struct muxed x = open_mux();

	type(&x, "a\001\001b");
	WAIT(fe.len == 3);
	assert_memory_equal(fe.in, "a\001b", 3);
	type(&x, "\001"); /* the two keys arrive apart */
	usleep(5000);
	type(&x, "b");
	WAIT(fe.breaks == 1);
	type(&x, "\001h");
	expect_text(x.fd, "\r\nC-a h ");
	type(&x, "\001s");
	/* A guest that hangs takes nothing; the user must still get out. */
	machine_lock(m);
	fe.window = 0;
	machine_unlock(m);
	type(&x, "typed in vain\001x");
	WAIT(quits == 1);
	give(100, x.console);
	assert_int_equal(fe.len, 16);
	assert_memory_equal(fe.in + 3, "typed in vain", 13);
	close_mux(&x);
}

static void test_mux_focus(void **state)
{
	struct muxed x = open_mux();
	static unsigned monitor_len;
	/* The monitor's side counts only. */
	static const struct chardev_frontend none = {.event = fe_event};

	monitor_len = 0;
	machine_lock(m);
	chardev_attach(x.monitor, &none, &monitor_len);
	machine_unlock(m);
	type(&x, "1\001c");
	WAIT(fe.focus == 1);
	type(&x, "for the monitor\001C");
	WAIT(fe.focus == 2);
	type(&x, "2");
	WAIT(fe.len == 2);
	assert_memory_equal(fe.in, "12", 2);
	put_text(x.console, "c");
	put_text(x.monitor, "m"); /* both print, whoever is in focus */
	expect_text(x.fd, "cm");
	close_mux(&x);
}

static void test_mux_time_stamps(void **state)
{
	struct muxed x = open_mux();
	char text[64] = {0};
	int h, min, s, ms;

	type(&x, "\001t");
	type(&x, "z");
	WAIT(fe.len == 1);
	put_text(x.console, "rest\nfirst");
	put_text(x.console, " line\n");
	read_exactly(x.fd, text, 5 + 15 + 11);
	assert_memory_equal(text, "rest\n[", 6);
	assert_int_equal(sscanf(text + 5, "[%d:%d:%d.%d] ", &h, &min, &s, &ms), 4);
	assert_string_equal(text + 20, "first line\n");
	close_mux(&x);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bad_specs),
		T(test_null),
		T(test_file),
		T(test_full_disk),
		T(test_close_is_bounded),
		T(test_flushes_promptly),
		T(test_backpressure_loses_nothing),
		T(test_second_client_waits),
		T(test_client_that_never_reads_goes),
		T(test_input_is_paced),
		T(test_unix_client),
		T(test_tcp_pair),
		T(test_wait_on),
		T(test_pty),
		cmocka_unit_test(test_stdio_pipes),
		cmocka_unit_test(test_stdio_reader_goes),
		cmocka_unit_test(test_stdio_terminal),
		cmocka_unit_test(test_stdio_terminal_restored_by_exit),
		T(test_mux_escape),
		T(test_mux_focus),
		T(test_mux_time_stamps),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
