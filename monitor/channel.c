/* Dialogue threads; see channel.h. */
#include "monitor/channel.h"
#include "devices/chardev.h"
#include "monitor/run_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { INPUT_SIZE = 4096 };

struct channel {
	struct vm *vm;
	struct chardev *dev;
	void (*main)(struct channel *, void *);
	void *ctx;
	char name[16];
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* a leaf: nothing is taken while it is held */
	pthread_cond_t cond;
	bool quit, reset, focus;
	bool discard; /* what comes was sent by a peer that is gone */
	unsigned head, count;
	uint8_t input[INPUT_SIZE];
};

/* ---- the device's side: under the machine lock ---- */

static unsigned can_receive(void *opaque)
{
	struct channel *c = opaque;
	pthread_mutex_lock(&c->lock);
	unsigned room = c->discard ? INPUT_SIZE : INPUT_SIZE - c->count;
	pthread_mutex_unlock(&c->lock);
	return room;
}

static void receive(void *opaque, const uint8_t *p, unsigned n)
{
	struct channel *c = opaque;
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < n && c->count < INPUT_SIZE && !c->discard; i++)
		c->input[(c->head + c->count++) % INPUT_SIZE] = p[i];
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

/* A new peer. Serial ports keep what the last one sent; here commands of somebody who has gone are not carried out. */
static void begin_anew(struct channel *c)
{
	pthread_mutex_lock(&c->lock);
	c->reset = c->discard = true;
	c->count = 0;
	pthread_mutex_unlock(&c->lock);
	chardev_accept_input(c->dev);
	pthread_mutex_lock(&c->lock);
	c->discard = false;
	pthread_mutex_unlock(&c->lock);
}

static void event(void *opaque, int what)
{
	struct channel *c = opaque;
	if (what == CHARDEV_OPENED)
		begin_anew(c);
	pthread_mutex_lock(&c->lock);
	c->focus = c->focus || what == CHARDEV_FOCUS;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static const struct chardev_frontend frontend = {
	.can_receive = can_receive,
	.receive = receive,
	.event = event,
};

/* ---- life ---- */

struct channel *channel_new(struct vm *vm, struct chardev *dev, void (*fn)(struct channel *, void *),
			    void *ctx)
{
	struct channel *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->vm = vm;
	c->dev = dev;
	c->main = fn;
	c->ctx = ctx;
	c->reset = true;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	chardev_attach(dev, &frontend, c);
	return c;
}

static void *thread_main(void *opaque)
{
	struct channel *c = opaque;
	prctl(PR_SET_NAME, c->name);
	c->main(c, c->ctx);
	return NULL;
}

bool channel_start(struct channel *c, const char *name)
{
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->running = !pthread_create(&c->thread, NULL, thread_main, c);
	return c->running;
}

void channel_stop(struct channel *c)
{
	pthread_mutex_lock(&c->lock);
	c->quit = true;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
	if (c->running)
		pthread_join(c->thread, NULL);
	c->running = false;
}

void channel_free(struct channel *c)
{
	chardev_attach(c->dev, NULL, NULL);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- the dialogue's side ---- */

/* Something the backend may wait for: room in the buffer. */
static void accept_more(struct channel *c)
{
	machine_lock(c->vm->machine);
	chardev_accept_input(c->dev);
	machine_unlock(c->vm->machine);
}

static bool nothing_new(const struct channel *c)
{
	return !c->quit && !c->reset && !c->focus && !c->count;
}

/* `until` null: for ever. */
static int wait_event(struct channel *c, const struct timespec *until)
{
	int result;
	bool was_full = false, late = false;
	pthread_mutex_lock(&c->lock);
	while (nothing_new(c) && !late) {
		if (until)
			late = pthread_cond_clockwait(&c->cond, &c->lock, CLOCK_MONOTONIC, until) == ETIMEDOUT;
		else
			pthread_cond_wait(&c->cond, &c->lock);
	}
	if (nothing_new(c)) {
		pthread_mutex_unlock(&c->lock);
		return CHANNEL_TIMEOUT;
	}
	if (c->quit) {
		result = CHANNEL_QUIT;
	} else if (c->reset) {
		c->reset = false;
		result = CHANNEL_RESET;
	} else if (c->focus) {
		c->focus = false;
		result = CHANNEL_FOCUS;
	} else {
		was_full = c->count == INPUT_SIZE;
		result = c->input[c->head];
		c->head = (c->head + 1) % INPUT_SIZE;
		c->count--;
	}
	/* only an empty buffer is worth telling, and one that was full (and perhaps emptied by a new peer) must be told of */
	bool tell = was_full || (result != CHANNEL_QUIT && !c->count);
	pthread_mutex_unlock(&c->lock);
	if (tell)
		accept_more(c);
	return result;
}

int channel_getc(struct channel *c)
{
	return wait_event(c, NULL);
}

int channel_poll(struct channel *c, int ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return wait_event(c, &until);
}

/* A peer that has come and not been seen yet gets nothing that was meant for the one before. */
static bool is_stale(struct channel *c)
{
	pthread_mutex_lock(&c->lock);
	bool stale = c->reset;
	pthread_mutex_unlock(&c->lock);
	return stale;
}

void channel_write(struct channel *c, const char *text, size_t n)
{
	/* peers come and go under this lock */
	machine_lock(c->vm->machine);
	if (is_stale(c))
		n = 0;
	while (n) {
		const char *end = memchr(text, '\n', n);
		size_t len = end ? (size_t)(end - text) : n;
		chardev_write_forced(c->dev, (const uint8_t *)text, (unsigned)len);
		if (end) {
			chardev_write_forced(c->dev, (const uint8_t *)"\r\n", 2);
			len++;
		}
		text += len;
		n -= len;
	}
	machine_unlock(c->vm->machine);
}

size_t channel_offer(struct channel *c, const char *text, size_t n)
{
	size_t sent = 0;
	machine_lock(c->vm->machine);
	while (sent < n && !is_stale(c)) {
		const char *end = memchr(text + sent, '\n', n - sent);
		size_t len = end ? (size_t)(end - text) - sent : n - sent;
		unsigned took = chardev_write(c->dev, (const uint8_t *)text + sent, (unsigned)len);
		sent += took;
		if (took < len)
			break;
		/* the line's end is forced: two bytes more than the limit do no harm, half of one would */
		if (end) {
			chardev_write_forced(c->dev, (const uint8_t *)"\r\n", 2);
			sent++;
		}
	}
	machine_unlock(c->vm->machine);
	return sent;
}

void channel_wake(struct channel *c)
{
	pthread_mutex_lock(&c->lock);
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

void channel_wait(struct channel *c, atomic_bool *flag)
{
	pthread_mutex_lock(&c->lock);
	while (!c->quit && !c->reset && !c->count && !atomic_load(flag))
		pthread_cond_wait(&c->cond, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

struct job {
	struct channel *channel;
	void (*fn)(void *);
	void *ctx;
	bool done; /* guarded by channel->lock */
};

/* The job lives on the waiting thread's stack: not to be touched once `done` can be seen. */
static void run_job(void *opaque)
{
	struct job *job = opaque;
	struct channel *c = job->channel;
	job->fn(job->ctx);
	pthread_mutex_lock(&c->lock);
	job->done = true;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

bool channel_run(struct channel *c, void (*fn)(void *), void *ctx)
{
	struct job job = {c, fn, ctx, false};
	vm_post(c->vm, run_job, &job);
	/* `quit` comes after the vCPU thread has ended: then nobody will run the job any more */
	pthread_mutex_lock(&c->lock);
	while (!job.done && !c->quit)
		pthread_cond_wait(&c->cond, &c->lock);
	bool done = job.done;
	pthread_mutex_unlock(&c->lock);
	return done;
}
