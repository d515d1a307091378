#include "bench.h"

#include <pthread.h>
#include <sys/mman.h>

int ram = -1;
uint8_t *bytes;
struct world *w;
struct world_registers r;
struct cpu_fx fx;
struct world_exit x;
struct cpu_segment none = {.attr = SEG_NULL};

void renew_world(void)
{
	char err[256];

	world_destroy(w);
	w = world_create(ram, err, sizeof(err));
	if (!w)
		fprintf(stderr, "%s\n", err);
	assert_non_null(w);
}

int open_world(void **state)
{
	ram = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(ram, PAGES * 4096), 0);
	bytes = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ram, 0);
	renew_world();
	memset(&r, 0, sizeof(r));
	r.fs = r.gs = &none;
	r.eip = CODE;
	r.gpr[R_ESP] = DATA + 0x1000;
	memset(&fx, 0, sizeof(fx));
	fx.fcw = 0x37f;
	fx.mxcsr = 0x1f80;
	return 0;
}

int close_world(void **state)
{
	world_destroy(w);
	w = NULL;
	munmap(bytes, PAGES * 4096);
	close(ram);
	return 0;
}

void code(const void *p, size_t n)
{
	memcpy(bytes, p, n);
	world_map(w, CODE >> 12, 1, 0, WORLD_READ | WORLD_EXEC);
	world_map(w, DATA >> 12, 1, 4096, WORLD_READ | WORLD_WRITE);
}

enum world_stop run(void)
{
	return world_run(w, &r, &fx, &x, NULL);
}

_Atomic uint32_t stop_flag;

static void *later(void *signal_)
{
	usleep(30000);
	if (signal_) {
		kill(world_pid(w), *(int *)signal_);
		if (*(int *)signal_ == SIGKILL)
			return NULL;
		usleep(30000);
	}
	atomic_store(&stop_flag, 1);
	world_kick(w);
	return NULL;
}

enum world_stop run_and(int *sig)
{
	enum world_stop s;
	pthread_t t;

	atomic_store(&stop_flag, 0);
	pthread_create(&t, NULL, later, sig);
	s = world_run(w, &r, &fx, &x, &stop_flag);
	pthread_join(t, NULL);
	return s;
}

void stops(const char *what, const void *insn, size_t n, int sig, int trap, unsigned at)
{
	memset(bytes, 0x90, 4096);
	memcpy(bytes, insn, n);
	r.eip = CODE;
	assert_int_equal(run(), WORLD_STOP_SIGNAL);
	if (x.signal != sig || r.eip != CODE + at)
		fprintf(stderr, "%s: signal %d code %d trap %u eip +%x\n", what, x.signal, x.code, x.trap, r.eip - CODE);
	assert_int_equal(x.signal, sig);
	if (trap >= 0)
		assert_int_equal(x.trap, trap);
	assert_int_equal(r.eip, CODE + at);
}
