/*
 * The process of a world: start, turns, end.
 *
 * It is started by vfork and exec from a memfd, so nothing need be installed and none of the monitor's memory is
 * copied. It dies with the thread that started it (PR_SET_PDEATHSIG in the stub).
 */
#include "world/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PATIENCE_NS = 20 * 1000 * 1000, /* between looks at the process while waiting */
	START_LOOKS = 250,              /* this long for a start */
	KICK_LOOKS = 100,               /* this long for an answer to a kick */
	HOLD_YIELDS = 20, HOLD_TRIES = 520,
	HOLD_NS = 200 * 1000,           /* between looks whether it sleeps */
};

extern const char world_stub_image[], world_stub_end[];

/* ---------------------------------- start and end ---------------------------------- */

/* The stub's program file; made once and kept. */
static int program_fd(void)
{
	static int fd = -1;
	size_t size = (size_t)(world_stub_end - world_stub_image);

	if (fd >= 0)
		return fd;
	fd = memfd_create("ringfence-world", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, world_stub_image, size) != (ssize_t)size) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* In the child, sharing the parent's memory: system calls only. */
static void child(int program, int page_fd, int socket_fd)
{
	static char *const argv[] = {"ringfence-world", NULL}, *const envp[] = {NULL};
	sigset_t none;

	/* out of the way of descriptors 0 and 1 first */
	page_fd = fcntl(page_fd, F_DUPFD, 3);
	socket_fd = fcntl(socket_fd, F_DUPFD, 3);
	program = fcntl(program, F_DUPFD_CLOEXEC, 3);
	if (page_fd < 0 || socket_fd < 0 || program < 0 || dup2(socket_fd, WORLD_SOCKET) < 0 ||
	    dup2(page_fd, WORLD_RAM) < 0)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_execveat, program, "", argv, envp, AT_EMPTY_PATH);
	_exit(127);
}

/* Signals are blocked meanwhile: a handler of the parent must not run in the child. */
static pid_t spawn(int program, int page_fd, int socket_fd)
{
	sigset_t all, old;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = vfork();
	if (pid == 0)
		child(program, page_fd, socket_fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

static bool make_page(struct world *w, int *fd)
{
	void *p;

	*fd = memfd_create("ringfence-page", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, WORLD_PAGE_SIZE + WORLD_ORDERS_SIZE))
		return false;
	p = mmap(NULL, WORLD_PAGE_SIZE + WORLD_ORDERS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (p == MAP_FAILED)
		return false;
	w->page = p;
	w->orders = (struct world_orders *)((char *)p + WORLD_PAGE_SIZE);
	w->page->monitor = (uint32_t)getpid();
	w->page->turn = TURN_STARTING;
	return true;
}

static bool await_start(struct world *w)
{
	struct timespec ts = {0, 1000 * 1000};

	for (unsigned i = 0; i < START_LOOKS * 20; i++) {
		uint32_t turn = __atomic_load_n(&w->page->turn, __ATOMIC_SEQ_CST);

		if (turn == TURN_MONITOR)
			return w->page->reason == WORLD_READY;
		if (i > 20)
			nanosleep(&ts, NULL);
		else
			syscall(SYS_futex, &w->page->turn, FUTEX_WAIT, turn, &ts, NULL, 0);
		if (process_gone(w))
			return false;
	}
	return false;
}

bool process_start(struct world *w, char *err, size_t errlen)
{
	int pair[2] = {-1, -1}, page_fd = -1, program = program_fd();
	bool ok = program >= 0 && make_page(w, &page_fd) &&
		  !socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair);

	if (ok) {
		w->page->monitor_sleeps = 1;
		w->socket = pair[0];
		w->pid = spawn(program, page_fd, pair[1]);
		ok = w->pid > 0;
	}
	if (!ok)
		snprintf(err, errlen, "cannot start a world: %s", strerror(errno));
	if (page_fd >= 0)
		close(page_fd);
	if (pair[1] >= 0)
		close(pair[1]);
	if (!ok)
		return false;
	w->pidfd = (int)syscall(SYS_pidfd_open, w->pid, 0);
	if (!await_start(w)) {
		snprintf(err, errlen, "a world did not start (is seccomp available?)");
		return false;
	}
	w->page->monitor_sleeps = 0;
	w->cpuid_faults = w->page->cpuid_faults; /* no guest code has run in it */
	return true;
}

void process_end(struct world *w)
{
	atomic_store(&w->running, false);
	if (w->pid > 0) {
		kill(w->pid, SIGKILL);
		while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	w->pid = -1;
	if (w->pidfd >= 0)
		close(w->pidfd);
	if (w->socket >= 0)
		close(w->socket);
	if (w->page)
		munmap(w->page, WORLD_PAGE_SIZE + WORLD_ORDERS_SIZE);
	w->pidfd = w->socket = -1;
	w->page = NULL;
}

bool process_gone(struct world *w)
{
	siginfo_t si = {0};

	if (w->dead || waitid(P_PID, (id_t)w->pid, &si, WEXITED | WSTOPPED | WNOHANG | WNOWAIT))
		return w->dead = true;
	if (si.si_pid == 0)
		return false;
	if (si.si_code == CLD_STOPPED) {
		waitid(P_PID, (id_t)w->pid, &si, WSTOPPED | WNOHANG);
		kill(w->pid, SIGCONT);
		return false;
	}
	return w->dead = true;
}

/* ---------------------------------- turns ---------------------------------- */

void turn_give(struct world *w)
{
	__atomic_store_n(&w->page->turn, TURN_WORLD, __ATOMIC_SEQ_CST);
	if (w->asleep)
		syscall(SYS_futex, &w->page->parked, FUTEX_WAKE, 1, NULL, NULL, 0);
	else if (__atomic_load_n(&w->page->world_sleeps, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &w->page->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	w->asleep = false;
}

/*
 * Guest code in 64-bit mode can give the turn itself and run on. As long as it has nothing that the guest's page tables do not
 * give it, let it; but before something is taken away it has to be asleep in the stub's own wait, from where the stub
 * goes on (entry.S) and carries out what it is ordered. The kernel knows: only a sleeper can be moved to another futex.
 */
void turn_hold(struct world *w)
{
	const struct timespec moment = {0, HOLD_NS};

	if (w->asleep || w->dead || w->pid <= 0)
		return;
	for (unsigned i = 0; i < HOLD_TRIES; i++) {
		if (syscall(SYS_futex, &w->page->turn, FUTEX_CMP_REQUEUE, 0, 1ul, &w->page->parked, TURN_MONITOR) == 1) {
			w->asleep = true;
			return;
		}
		if (i < HOLD_YIELDS)
			sched_yield(); /* it is about to, on this processor */
		else if (process_gone(w))
			return;
		else
			nanosleep(&moment, NULL);
	}
	w->dead = true;
	kill(w->pid, SIGKILL);
	waitid(P_PID, (id_t)w->pid, &(siginfo_t){0}, WEXITED | WNOWAIT);
}

static bool ours(const struct world *w)
{
	return __atomic_load_n(&w->page->turn, __ATOMIC_SEQ_CST) != TURN_WORLD;
}

bool turn_await(struct world *w, const _Atomic uint32_t *stop)
{
	const struct timespec patience = {0, PATIENCE_NS};
	unsigned kicked = 0;

	__atomic_store_n(&w->page->monitor_sleeps, 1, __ATOMIC_SEQ_CST);
	while (!ours(w)) {
		if (syscall(SYS_futex, &w->page->turn, FUTEX_WAIT, TURN_WORLD, &patience, NULL, 0) == 0 ||
		    errno != ETIMEDOUT)
			continue;
		/* nobody answers a kick for so long but one that cannot be trusted */
		if (process_gone(w) || (stop && *stop && ++kicked > KICK_LOOKS))
			break;
		if (stop && *stop)
			world_kick(w);
	}
	__atomic_store_n(&w->page->monitor_sleeps, 0, __ATOMIC_SEQ_CST);
	return ours(w) && !w->dead;
}

void world_kick(struct world *w)
{
	if (atomic_load(&w->running) && w->pid > 0)
		kill(w->pid, WORLD_KICK_SIGNAL);
}

bool process_send_ram(struct world *w)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &w->ram_fd, sizeof(int));
	return sendmsg(w->socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}
