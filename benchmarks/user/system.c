/* What the programs of system/ share; see system.h. */
#include "system.h"
#include "bench.h"

static uint32_t sysinfo; /* the vDSO's entry for system calls */

int system_call5(int number, int a, int b, int c, int d, int e)
{
	int result;
	__asm__ volatile("push %%ebp; xorl %%ebp, %%ebp; int $0x80; pop %%ebp"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory");
	return result;
}

static void find_sysinfo(void)
{
	enum { AT_SYSINFO = 32 };
	uint32_t *p = benchmark_stack + 1 + benchmark_stack[0] + 1; /* argc, argv, 0 */
	while (*p++)
		; /* the environment */
	for (; p[0]; p += 2) {
		if (p[0] == AT_SYSINFO)
			sysinfo = p[1];
	}
	must(sysinfo ? 0 : -1, "no vDSO");
}

int system_call_vdso(int number, int a, int b, int c)
{
	int result;
	if (!sysinfo)
		find_sysinfo();
	__asm__ volatile("call *%5"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "m"(sysinfo)
			 : "memory");
	return result;
}

int must(int result, const char *what)
{
	static int failed;
	uint32_t length = 0;
	if (result >= 0 || result < -4095)
		return result;
	while (what[length])
		length++;
	system_call(SYS_WRITE, 1, (int)what, (int)length);
	system_call(SYS_WRITE, 1, (int)": cannot be done\n", 17);
	if (!failed++)
		benchmark_end();
	system_call(SYS_EXIT, 1, 0, 0);
	return result;
}

void one_processor(void)
{
	uint32_t cpu = 0, mask[32] = {0};
	system_call(SYS_GETCPU, (int)&cpu, 0, 0);
	mask[cpu / 32 % 32] = 1u << cpu % 32;
	must(system_call(SYS_SCHED_SETAFFINITY, 0, sizeof(mask), (int)mask), "sched_setaffinity");
}

void *map_pages(uint32_t count, int protection)
{
	enum { MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20 };
	return (void *)must(system_call5(SYS_MMAP2, 0, (int)(count * 4096), protection,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1),
			    "mmap");
}

void on_signal(int signal, void (*handler)(int, void *, uint32_t *))
{
	enum { SA_SIGINFO = 4, SA_NODEFER = 0x40000000 };
	uint32_t action[5] = {(uint32_t)handler, SA_SIGINFO | SA_NODEFER, 0, 0, 0};
	must(system_call5(SYS_RT_SIGACTION, signal, (int)action, 0, 8, 0), "sigaction");
}

int run_program(const char *file, char *const arguments[])
{
	char *environment[] = {0};
	int status = -1;
	int child = must(system_call(SYS_FORK, 0, 0, 0), "fork");
	if (!child) {
		system_call(SYS_EXECVE, (int)file, (int)arguments, (int)environment);
		system_call(SYS_EXIT, 127, 0, 0);
	}
	must(system_call5(SYS_WAIT4, child, (int)&status, 0, 0, 0), "wait");
	return status;
}

const char *beside(const char *name)
{
	static char path[512];
	const char *self = (const char *)benchmark_stack[1];
	uint32_t length = 0, slashes = 0, end = 0;
	for (uint32_t i = 0; self[i]; i++)
		slashes += self[i] == '/';
	for (uint32_t i = 0; self[i] && i < 400; i++) {
		if (self[i] == '/' && slashes-- == 2)
			end = i + 1;
	}
	while (length < end) {
		path[length] = self[length];
		length++;
	}
	while (*name && length < sizeof(path) - 1)
		path[length++] = *name++;
	path[length] = 0;
	return path;
}

int run_script(const char *script)
{
	const char *busybox = beside("busybox");
	char *arguments[] = {"busybox", "sh", "-c", (char *)script, (char *)busybox, 0};
	return run_program(busybox, arguments);
}

static char directory[40];

void temporary_directory(void)
{
	int pid = system_call(SYS_GETPID, 0, 0, 0);
	char *p = directory;
	for (const char *s = "ringfence-benchmark."; *s; s++)
		*p++ = *s;
	for (int shift = 20; shift >= 0; shift -= 4)
		*p++ = "0123456789abcdef"[pid >> shift & 15];
	/* The guest's root is a tmpfs; natively /dev/shm is one. */
	if (system_call(SYS_CHDIR, (int)"/dev/shm", 0, 0) < 0)
		must(system_call(SYS_CHDIR, (int)"/tmp", 0, 0), "chdir");
	must(system_call(SYS_MKDIR, (int)directory, 0700, 0), "mkdir");
	must(system_call(SYS_CHDIR, (int)directory, 0, 0), "chdir");
}

void benchmark_end(void)
{
	if (!directory[0])
		return;
	run_script("\"$0\" rm -f *");
	system_call(SYS_CHDIR, (int)"..", 0, 0);
	system_call(SYS_RMDIR, (int)directory, 0, 0);
}

void write_file(const char *name, const char *data, uint32_t length)
{
	int fd = must(system_call(SYS_OPEN, (int)name, O_WRONLY | O_CREAT | O_TRUNC, 0600), name);
	while (length) {
		int n = must(system_call(SYS_WRITE, fd, (int)data, (int)length), name);
		data += n;
		length -= (uint32_t)n;
	}
	system_call(SYS_CLOSE, fd, 0, 0);
}

uint32_t hash_file(const char *name)
{
	static uint8_t buffer[4096];
	uint32_t hash = 2166136261u;
	int n, fd = system_call(SYS_OPEN, (int)name, 0, 0);
	if (fd < 0)
		return 0;
	while ((n = system_call(SYS_READ, fd, (int)buffer, sizeof(buffer))) > 0) {
		for (int i = 0; i < n; i++)
			hash = (hash ^ buffer[i]) * 16777619;
	}
	system_call(SYS_CLOSE, fd, 0, 0);
	return hash;
}
