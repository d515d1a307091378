/*
 * perf and translated code.
 *
 *   -perfmap   /tmp/perf-PID.map: one line for each CCF that is in the TC, "START SIZE NAME". perf reads it when it reports, so it
 *              tells what is there then. Each CCF has a slot of fixed length, by its number, that is rewritten when it
 *              comes and goes.
 *   -jitdump   jit-PID.dump: a record for each CCF that is made, with the time and the code. `perf inject --jit` merges it into
 *              what `perf record -k mono` has written, so that memory used for several CCFs one after the other is
 *              told apart. The file is mapped executable, which is how perf learns of it.
 *
 * Formats: Linux, tools/perf/Documentation/jit-interface.txt and jitdump-specification.txt. perf looks at maps for anonymous memory
 * only; that is why the TC's memory has no name (cache.c).
 */
#include "translator/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SLOT = 64, NAME_MAX_LEN = 32 };

/* The jitdump format. */
enum { JITDUMP_MAGIC = 0x4a695444, JITDUMP_VERSION = 1, JITDUMP_LOAD = 0, JITDUMP_CLOSE = 3, MACHINE_X86_64 = 62 };

struct jitdump_header {
	uint32_t magic, version, total_size, elf_mach, pad, pid;
	uint64_t timestamp, flags;
};

struct jitdump_record {
	uint32_t id, total_size;
	uint64_t timestamp;
};

struct jitdump_load {
	struct jitdump_record record;
	uint32_t pid, tid;
	uint64_t vma, code_addr, code_size, code_index;
	/* name with its zero, code */
};

struct symbols {
	int map;
	FILE *dump;
	void *marker; /* the mapping that perf notices */
	uint64_t index;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void name_of(const struct ccf *c, char name[NAME_MAX_LEN])
{
	snprintf(name, NAME_MAX_LEN, "guest_%s:%08x", c->mode & MODE_USER ? "user" : "kernel", c->lin);
}

/* ---- the map ---- */

static void put_hex(char *at, unsigned digits, uint64_t value)
{
	while (digits--) {
		at[digits] = "0123456789abcdef"[value & 15];
		value >>= 4;
	}
}

/* "START SIZE NAME": leading zeros of the size make all lines equally long. */
static void write_slot(const struct symbols *s, ccf_id id, uint64_t start, unsigned size, const char *name)
{
	char line[SLOT];
	size_t len = strlen(name), at = SLOT - 1 - len;

	put_hex(line, 16, start);
	line[16] = ' ';
	put_hex(line + 17, (unsigned)(at - 1 - 17), size);
	line[at - 1] = ' ';
	memcpy(line + at, name, len);
	line[SLOT - 1] = '\n';
	if (pwrite(s->map, line, SLOT, (off_t)(id - 1) * SLOT) != SLOT)
		return; /* a full disk: perf shows less */
}

/* The file of a process that had our number before goes; what somebody else put there is not followed. */
static bool open_map(struct symbols *s, char *err, size_t errlen)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	unlink(path);
	s->map = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->map < 0)
		snprintf(err, errlen, "-perfmap: cannot write '%s': %s", path, strerror(errno));
	return s->map >= 0;
}

/* ---- the dump ---- */

static bool begin_dump(struct symbols *s)
{
	const struct jitdump_header h = {
		.magic = JITDUMP_MAGIC,
		.version = JITDUMP_VERSION,
		.total_size = sizeof(h),
		.elf_mach = MACHINE_X86_64,
		.pid = (uint32_t)getpid(),
		.timestamp = now_ns(),
	};

	s->marker = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(s->dump), 0);
	return s->marker != MAP_FAILED && fwrite(&h, sizeof(h), 1, s->dump) == 1 && !fflush(s->dump);
}

static bool open_dump(struct symbols *s, char *err, size_t errlen)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "jit-%d.dump", (int)getpid());
	unlink(path); /* as with the map */
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	s->dump = fd < 0 ? NULL : fdopen(fd, "w+");
	if (s->dump && begin_dump(s))
		return true;
	snprintf(err, errlen, "-jitdump: cannot write '%s': %s", path, strerror(errno));
	return false;
}

/* Whole records only: perf may read at any time. */
static void dump_load(struct tc *tc, const struct ccf *c, const char *name)
{
	struct symbols *s = tc->symbols;
	uint64_t code = (uint64_t)tc_rx(tc, c->host - c->entry);
	size_t name_len = strlen(name) + 1;
	const struct jitdump_load r = {
		.record = {JITDUMP_LOAD, (uint32_t)(sizeof(r) + name_len + c->host_len), now_ns()},
		.pid = (uint32_t)getpid(),
		.tid = (uint32_t)gettid(),
		.vma = code,
		.code_addr = code,
		.code_size = c->host_len,
		.code_index = s->index++,
	};

	fwrite(&r, sizeof(r), 1, s->dump);
	fwrite(name, name_len, 1, s->dump);
	fwrite((const void *)code, c->host_len, 1, s->dump);
	fflush(s->dump);
}

static void close_dump(struct symbols *s)
{
	const struct jitdump_record r = {JITDUMP_CLOSE, sizeof(r), now_ns()};

	if (!s->dump)
		return;
	fwrite(&r, sizeof(r), 1, s->dump);
	fclose(s->dump);
	if (s->marker && s->marker != MAP_FAILED)
		munmap(s->marker, PAGE_SIZE);
}

/* ---- life ---- */

bool symbols_create(struct tc *tc, char *err, size_t errlen)
{
	struct symbols *s;

	if (!tc->config.perfmap && !tc->config.jitdump)
		return true;
	s = tc->symbols = calloc(1, sizeof(*s));
	if (!s) {
		snprintf(err, errlen, "out of memory for the names of translations");
		return false;
	}
	s->map = -1;
	return (!tc->config.perfmap || open_map(s, err, errlen)) && (!tc->config.jitdump || open_dump(s, err, errlen));
}

/* Both files stay: perf reports when we are gone. */
void symbols_destroy(struct tc *tc)
{
	struct symbols *s = tc->symbols;

	if (!s)
		return;
	if (s->map >= 0)
		close(s->map);
	close_dump(s);
	free(s);
	tc->symbols = NULL;
}

void symbols_add(struct tc *tc, ccf_id id)
{
	const struct ccf *c = ccf_of(tc, id);
	char name[NAME_MAX_LEN];

	if (!tc->symbols)
		return;
	name_of(c, name);
	if (tc->symbols->map >= 0)
		write_slot(tc->symbols, id, (uint64_t)tc_rx(tc, c->host - c->entry), c->host_len, name);
	if (tc->symbols->dump)
		dump_load(tc, c, name);
}

void symbols_remove(struct tc *tc, ccf_id id)
{
	if (tc->symbols && tc->symbols->map >= 0)
		write_slot(tc->symbols, id, 0, 0, "unused");
}
