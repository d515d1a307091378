/*
 * The loaders: good images end up where the protocols say; truncated, hostile and random ones are
 * refused with one line and touch nothing outside guest RAM (the sanitizers watch).
 */
#include "test.h"

#include "guest/default_guest.h"
#include "monitor/boot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RAM = 32 << 20, ERR = 512 };

/* Stands for the built-in guest, whose own tests are elsewhere. */
const unsigned char ringfence_default_guest[] = {0};
const unsigned long ringfence_default_guest_size = 1;

struct fixture {
	struct boot boot;
	struct boot_target target;
	struct cpu cpu;
	char err[ERR];
	char dir[64];
};

static int set_up(void **state)
{
	struct fixture *f = aligned_alloc(_Alignof(struct fixture), sizeof(*f));
	memset(f, 0, sizeof(*f));
	f->target.map = physmap_create(RAM, f->err, ERR);
	assert_non_null(f->target.map);
	f->target.cpu = &f->cpu;
	f->target.rsdp = gpa(0xe0000);
	f->target.e820[0] = (struct e820_entry){0, 0xa0000, 1};
	f->target.e820[1] = (struct e820_entry){0xf0000, 0x10000, 2};
	f->target.e820[2] = (struct e820_entry){0x100000, RAM - 0x100000 - 0x10000, 1};
	f->target.e820[3] = (struct e820_entry){RAM - 0x10000, 0x10000, 3};
	f->target.e820_count = 4;
	strcpy(f->dir, "/tmp/ringfence-boot-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];
	boot_close(&f->boot);
	physmap_destroy(f->target.map);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	int status = system(command);
	free(f);
	return status;
}

static const char *write_file(struct fixture *f, const char *name, const void *data, size_t len)
{
	static char path[4][128];
	static unsigned next;
	char *p = path[next++ % 4];
	snprintf(p, sizeof(path[0]), "%s/%s", f->dir, name);
	FILE *out = fopen(p, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(data, 1, len, out), len);
	fclose(out);
	return p;
}

static const uint8_t *ram(struct fixture *f, uint64_t at)
{
	return physmap_host(f->target.map, gpa(at), 1);
}

/* Open and load from memory. */
static bool load(struct fixture *f, const void *kernel, size_t len, const char *append)
{
	boot_close(&f->boot);
	memset(&f->boot, 0, sizeof(f->boot));
	memset(&f->cpu, 0, sizeof(f->cpu));
	image_embed(&f->boot.kernel, "test", kernel, len);
	f->boot.append = append;
	f->err[0] = '\0';
	if (linux_recognize(&f->boot.kernel))
		f->boot.protocol = BOOT_LINUX;
	else if (multiboot_recognize(&f->boot.kernel))
		f->boot.protocol = BOOT_MULTIBOOT;
	else
		return false;
	bool ok = boot_load(&f->boot, &f->target, f->err, ERR);
	if (!ok) {
		assert_true(f->err[0]);
		assert_null(strchr(f->err, '\n'));
	}
	return ok;
}

static void refused(struct fixture *f, const void *kernel, size_t len, const char *hint)
{
	assert_false(load(f, kernel, len, ""));
	if (!strstr(f->err, hint))
		fail_msg("message '%s' lacks '%s'", f->err, hint);
}

static void assert_flat(const struct cpu *c)
{
	assert_int_equal(c->seg[S_CS].sel, 0x10);
	assert_int_equal(c->seg[S_DS].sel, 0x18);
	assert_int_equal(c->seg[S_CS].limit, 0xffffffff);
	assert_int_equal(c->seg[S_CS].attr, 0xc9b);
	assert_int_equal(c->seg[S_SS].attr, 0xc93);
	assert_int_equal(c->cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(c->eflags, FL_FIXED1);
	assert_int_equal(c->cpl, 0);
}

/* ---- Linux ---- */

enum { LINUX_SIZE = 512 * 3 + 4096 };

/* A bzImage with two setup sectors and a page of kernel, protocol 2.15. */
static uint8_t *make_linux(void)
{
	uint8_t *k = calloc(1, LINUX_SIZE);
	for (size_t i = 512 * 3; i < LINUX_SIZE; i++)
		k[i] = (uint8_t)(i * 7);
	k[0x1f1] = 2;
	put32(k + 0x1f4, 4096 / 16);
	put16(k + 0x1fe, 0xaa55);
	put16(k + 0x200, 0x6aeb);
	memcpy(k + 0x202, "HdrS", 4);
	put16(k + 0x206, 0x20f);
	k[0x211] = 1;
	put32(k + 0x22c, 0x7fffffff);
	put32(k + 0x230, 0x200000);
	k[0x234] = 1;
	put32(k + 0x238, 100);
	put64(k + 0x258, 0x1000000);
	put32(k + 0x260, 0x100000);
	return k;
}

static void test_linux_good(void **state)
{
	struct fixture *f = *state;
	uint8_t *k = make_linux();
	assert_true(load(f, k, LINUX_SIZE, "console=ttyS0"));
	assert_flat(&f->cpu);
	assert_int_equal(f->cpu.rip, 0x100000);
	assert_memory_equal(ram(f, 0x100000), k + 512 * 3, 4096);
	const uint8_t *zp = ram(f, f->cpu.gpr[R_ESI]);
	assert_int_equal(get32(zp + 0x202), get32((const uint8_t *)"HdrS"));
	assert_int_equal(zp[0x210], 0xff);
	assert_int_equal(get64(zp + 0x070), 0xe0000);
	assert_int_equal(zp[0x1e8], 4);
	assert_int_equal(get64(zp + 0x2d0 + 20 * 2), 0x100000);
	assert_int_equal(get32(zp + 0x2d0 + 20 * 3 + 16), 3);
	assert_string_equal((const char *)ram(f, get32(zp + 0x228)), "console=ttyS0");
	assert_int_equal(get32(zp + 0x218), 0);
	/* The descriptors that a far jump would reload say the same as the hidden parts. */
	assert_int_equal(get64(ram(f, f->cpu.gdtr.base) + 0x10), 0x00cf9b000000ffffull);
	free(k);
}

static void test_linux_initrd(void **state)
{
	struct fixture *f = *state;
	uint8_t *k = make_linux();
	static uint8_t rd[5000];
	memset(rd, 0x5a, sizeof(rd));
	const char *kernel = write_file(f, "linux", k, LINUX_SIZE);
	const char *initrd = write_file(f, "rd", rd, sizeof(rd));
	assert_true(boot_open(&f->boot, kernel, initrd, NULL, RAM, f->err, ERR));
	assert_true(boot_load(&f->boot, &f->target, f->err, ERR));
	const uint8_t *zp = ram(f, f->cpu.gpr[R_ESI]);
	uint32_t at = get32(zp + 0x218);
	assert_int_equal(get32(zp + 0x21c), sizeof(rd));
	/* Highest pages that e820 calls RAM: below the ACPI tables. */
	assert_int_equal(at, RAM - 0x10000 - 0x2000);
	assert_memory_equal(ram(f, at), rd, sizeof(rd));
	boot_close(&f->boot);

	put32(k + 0x22c, 0x17fffff); /* initrd_addr_max */
	kernel = write_file(f, "linux", k, LINUX_SIZE);
	assert_true(boot_open(&f->boot, kernel, initrd, NULL, RAM, f->err, ERR));
	assert_true(boot_load(&f->boot, &f->target, f->err, ERR));
	assert_int_equal(get32(ram(f, f->cpu.gpr[R_ESI]) + 0x218), 0x1800000 - 0x2000);
	boot_close(&f->boot);

	put32(k + 0x22c, 0x10fffff); /* the kernel itself is there */
	kernel = write_file(f, "linux", k, LINUX_SIZE);
	assert_true(boot_open(&f->boot, kernel, initrd, NULL, RAM, f->err, ERR));
	assert_false(boot_load(&f->boot, &f->target, f->err, ERR));
	assert_non_null(strstr(f->err, "does not fit"));
	free(k);
}

static void test_linux_bad(void **state)
{
	struct fixture *f = *state;
	uint8_t *k = make_linux();
	for (size_t len = 0x208; len < LINUX_SIZE - 15; len += 61)
		assert_false(load(f, k, len, ""));
	put32(k + 0x1f4, 4096 / 16 + 1);
	refused(f, k, LINUX_SIZE, "truncated");
	put32(k + 0x1f4, 4096 / 16);
	assert_true(load(f, k, LINUX_SIZE - 15, ""));
	refused(f, k, LINUX_SIZE - 16, "truncated");
	put32(k + 0x1f4, 0xffffffff);
	refused(f, k, LINUX_SIZE, "truncated");
	put32(k + 0x1f4, 4096 / 16);
	k[0x211] = 0;
	refused(f, k, LINUX_SIZE, "zImage");
	k[0x211] = 1;
	put16(k + 0x206, 0x201);
	refused(f, k, LINUX_SIZE, "2.02");
	put16(k + 0x206, 0x20f);
	k[0x201] = 0;
	refused(f, k, LINUX_SIZE, "damaged");
	k[0x201] = 0x6a;
	put32(k + 0x260, 0xf0000000);
	refused(f, k, LINUX_SIZE, "raise -m");
	put32(k + 0x260, 0x1000);
	put64(k + 0x258, ~0ull);
	assert_true(load(f, k, LINUX_SIZE, ""));
	char line[102];
	memset(line, 'x', 101);
	line[101] = '\0';
	assert_false(load(f, k, LINUX_SIZE, line));
	assert_non_null(strstr(f->err, "-append"));
	line[100] = '\0';
	assert_true(load(f, k, LINUX_SIZE, line));
	free(k);
}

/* ---- Multiboot ---- */

enum { ELF_SIZE = 0x1100, ELF_HEADER_AT = 0x80 };

/* One segment of 100h file bytes and 300h in memory, linked at C0200000h, loaded at 200000h. */
static uint8_t *make_elf(void)
{
	uint8_t *k = calloc(1, ELF_SIZE);
	memcpy(k, "\177ELF\1\1\1", 7);
	put16(k + 16, 2);
	put16(k + 18, 3);
	put32(k + 24, 0xc0200010);
	put32(k + 28, 52);
	put16(k + 42, 32);
	put16(k + 44, 1);
	uint8_t *ph = k + 52;
	put32(ph, 1);
	put32(ph + 4, 0x1000);
	put32(ph + 8, 0xc0200000);
	put32(ph + 12, 0x200000);
	put32(ph + 16, 0x100);
	put32(ph + 20, 0x300);
	put32(k + ELF_HEADER_AT, 0x1badb002);
	put32(k + ELF_HEADER_AT + 4, 3);
	put32(k + ELF_HEADER_AT + 8, -(0x1badb002u + 3));
	memset(k + 0x1000, 0xcc, 0x100);
	return k;
}

static void set_flags(uint8_t *k, uint32_t flags)
{
	put32(k + ELF_HEADER_AT + 4, flags);
	put32(k + ELF_HEADER_AT + 8, -(0x1badb002u + flags));
}

static void test_elf_good(void **state)
{
	struct fixture *f = *state;
	uint8_t *k = make_elf();
	memset(physmap_host(f->target.map, gpa(0x200000), 0x300), 0xee, 0x300);
	assert_true(load(f, k, ELF_SIZE, "a b"));
	assert_flat(&f->cpu);
	assert_int_equal(f->cpu.rip, 0x200010);
	assert_int_equal(f->cpu.gpr[R_EAX], 0x2badb002);
	assert_int_equal(ram(f, 0x2000ff)[0], 0xcc);
	assert_int_equal(ram(f, 0x200100)[0], 0);
	assert_int_equal(ram(f, 0x2002ff)[0], 0);
	const uint8_t *info = ram(f, f->cpu.gpr[R_EBX]);
	assert_int_equal(get32(info) & 0x24d, 0x24d);
	assert_int_equal(get32(info + 4), 640);
	assert_int_equal(get32(info + 8), (RAM - 0x100000 - 0x10000) / 1024);
	assert_string_equal((const char *)ram(f, get32(info + 16)), "test a b");
	assert_int_equal(get32(info + 20), 0);
	assert_int_equal(get32(info + 44), 4 * 24);
	const uint8_t *mmap = ram(f, get32(info + 48));
	assert_int_equal(get32(mmap), 20);
	assert_int_equal(get64(mmap + 24 * 2 + 4), 0x100000);
	assert_int_equal(get32(mmap + 24 * 3 + 20), 3);
	assert_memory_equal(ram(f, get32(info + 64)), "ringfence", 9);
	free(k);
}

/* A kernel that sits where the boot information would go. */
static void test_elf_low(void **state)
{
	struct fixture *f = *state;
	uint8_t *k = make_elf();
	put32(k + 52 + 12, 0x10000);
	assert_true(load(f, k, ELF_SIZE, ""));
	assert_int_equal(ram(f, 0x10000)[0], 0xcc);
	assert_true(f->cpu.gpr[R_EBX] >= 0x100000);
	assert_true(f->cpu.gdtr.base >= 0x100000);
	free(k);
}

static void test_modules(void **state)
{
	struct fixture *f = *state;
	uint8_t *k = make_elf();
	const char *kernel = write_file(f, "kernel", k, ELF_SIZE);
	const char *a = write_file(f, "mod,a", "first", 5), *b = write_file(f, "b", "second", 6);
	char line[512];
	/* The comma in the name is written twice. */
	snprintf(line, sizeof(line), "%.*s,,a x=1 y,%s", (int)(strlen(a) - 2), a, b);
	assert_true(boot_open(&f->boot, kernel, line, "", RAM, f->err, ERR));
	assert_true(boot_load(&f->boot, &f->target, f->err, ERR));
	const uint8_t *info = ram(f, f->cpu.gpr[R_EBX]);
	assert_int_equal(get32(info + 20), 2);
	const uint8_t *m = ram(f, get32(info + 24));
	assert_int_equal(get32(m) & 0xfff, 0);
	assert_true(get32(m) >= 0x200300);
	assert_int_equal(get32(m + 4) - get32(m), 5);
	assert_memory_equal(ram(f, get32(m)), "first", 5);
	assert_memory_equal(ram(f, get32(m + 16)), "second", 6);
	assert_non_null(strstr((const char *)ram(f, get32(m + 8)), "mod,a x=1 y"));
	assert_string_equal((const char *)ram(f, get32(m + 24)), b);
	free(k);
}

static void test_kludge(void **state)
{
	struct fixture *f = *state;
	uint8_t *k = make_elf(), *h = k + ELF_HEADER_AT;
	k[0] = 'x'; /* not an ELF file */
	set_flags(k, 1 << 16);
	put32(h + 12, 0x300000 + ELF_HEADER_AT);
	put32(h + 16, 0x300000);
	put32(h + 20, 0x300000 + 0x1080);
	put32(h + 24, 0x302000);
	put32(h + 28, 0x300010);
	assert_true(load(f, k, ELF_SIZE, ""));
	assert_int_equal(f->cpu.rip, 0x300010);
	assert_memory_equal(ram(f, 0x300000), k, 0x1080);
	assert_int_equal(ram(f, 0x301080)[0], 0);
	put32(h + 20, 0); /* the whole file */
	put32(h + 24, 0); /* no bss */
	assert_true(load(f, k, ELF_SIZE, ""));
	assert_int_equal(ram(f, 0x300000 + ELF_SIZE - 1)[0], 0xcc);
	put32(h + 16, 0x300000 + ELF_HEADER_AT + 4);
	refused(f, k, ELF_SIZE, "impossible");
	put32(h + 16, 0x300000 - 0x1000);
	refused(f, k, ELF_SIZE, "impossible");
	put32(h + 16, 0x300000);
	put32(h + 20, 0x2fffff);
	refused(f, k, ELF_SIZE, "impossible");
	put32(h + 20, 0xffffffff);
	refused(f, k, ELF_SIZE, "truncated");
	put32(h + 20, 0x300100);
	put32(h + 24, 0x300001);
	refused(f, k, ELF_SIZE, "impossible");
	free(k);
}

static void test_multiboot_bad(void **state)
{
	struct fixture *f = *state;
	uint8_t *k = make_elf(), *ph = k + 52;
	for (size_t len = ELF_HEADER_AT + 12; len < ELF_SIZE; len += 13)
		assert_false(load(f, k, len, ""));
	set_flags(k, 8);
	refused(f, k, ELF_SIZE, "feature");
	set_flags(k, 4); /* video mode: a wish */
	assert_true(load(f, k, ELF_SIZE, ""));
	put32(ph + 12, 0xa0000);
	refused(f, k, ELF_SIZE, "no RAM");
	put32(ph + 12, 0xfffffff0);
	refused(f, k, ELF_SIZE, "no RAM");
	put32(ph + 12, RAM - 0x10000);
	refused(f, k, ELF_SIZE, "no RAM");
	put32(ph + 12, 0x200000);
	put32(ph + 20, 0x80);
	refused(f, k, ELF_SIZE, "damaged");
	put32(ph + 20, 0xffffffff);
	refused(f, k, ELF_SIZE, "no RAM");
	put32(ph + 20, 0x300);
	put32(ph + 4, 0xffffffff);
	refused(f, k, ELF_SIZE, "truncated");
	put32(ph + 4, 0x1000);
	k[4] = 2;
	refused(f, k, ELF_SIZE, "64-bit");
	k[4] = 1;
	put16(k + 44, 0xffff);
	refused(f, k, ELF_SIZE, "truncated");
	put16(k + 44, 0);
	refused(f, k, ELF_SIZE, "truncated");
	put16(k + 44, 1);
	put32(ph, 2);
	refused(f, k, ELF_SIZE, "nothing to load");
	free(k);
}

/* ---- files ---- */

static void open_refused(struct fixture *f, const char *kernel, const char *initrd,
			 const char *hint)
{
	assert_false(boot_open(&f->boot, kernel, initrd, NULL, RAM, f->err, ERR));
	if (!strstr(f->err, hint))
		fail_msg("message '%s' lacks '%s'", f->err, hint);
	boot_close(&f->boot);
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	char fifo[128];
	open_refused(f, "/nonexistent", NULL, "No such file");
	open_refused(f, "/", NULL, "directory");
	open_refused(f, "/dev/null", NULL, "regular");
	open_refused(f, write_file(f, "empty", "", 0), NULL, "empty");
	open_refused(f, write_file(f, "text", "hello", 5), NULL, "neither");
	open_refused(f, write_file(f, "gz", "\x1f\x8b\x08", 3), NULL, "gunzip");
	open_refused(f, write_file(f, "elf", "\177ELF\1\1", 6), NULL, "without a Multiboot");
	snprintf(fifo, sizeof(fifo), "%s/fifo", f->dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	open_refused(f, fifo, NULL, "regular");
	uint8_t *k = make_linux();
	const char *kernel = write_file(f, "linux", k, LINUX_SIZE);
	open_refused(f, kernel, "/nonexistent", "initrd '/nonexistent'");
	const char *big = write_file(f, "big", "", 0);
	assert_int_equal(truncate(big, RAM + 1), 0);
	open_refused(f, kernel, big, "raise -m");
	open_refused(f, big, NULL, "raise -m");
	free(k);
}

/* ---- fuzz ---- */

/* Change a few bytes or fields of a good image; loading must fail or succeed, nothing else. */
static void fuzz(struct fixture *f, uint8_t *(*make)(void), size_t size, size_t interesting)
{
	static const uint32_t edges[] = {0,   1,       0xffffffff, 0x80000000, 0x7fffffff,
					 RAM, RAM - 1, 0xfffff000, 0x100000};
	unsigned loaded = 0;
	srand(42);
	for (int round = 0; round < 3000; round++) {
		uint8_t *k = make();
		size_t len = rand() % 8 ? size : (size_t)rand() % size;
		for (int n = rand() % 6; n >= 0; n--) {
			size_t at = (size_t)rand() % interesting;
			if (rand() % 2)
				k[at] = (uint8_t)rand();
			else
				put32(k + (at & ~(size_t)3),
				      edges[(unsigned)rand() % ARRAY_LEN(edges)]);
		}
		/* An exact allocation, so that one byte too far is seen. */
		uint8_t *exact = malloc(len ? len : 1);
		memcpy(exact, k, len);
		loaded += load(f, exact, len, "");
		free(exact);
		free(k);
	}
	/* The fuzzer reaches the far side of the checks too. */
	assert_true(loaded > 100);
}

static void test_fuzz_linux(void **state)
{
	fuzz(*state, make_linux, LINUX_SIZE, 0x290);
}

static void test_fuzz_elf(void **state)
{
	fuzz(*state, make_elf, ELF_SIZE, 0xa0);
}

static uint8_t *make_kludge(void)
{
	uint8_t *k = make_elf(), *h = k + ELF_HEADER_AT;
	set_flags(k, 1 << 16);
	put32(h + 12, 0x300000 + ELF_HEADER_AT);
	put32(h + 16, 0x300000);
	put32(h + 28, 0x300010);
	return k;
}

static void test_fuzz_kludge(void **state)
{
	fuzz(*state, make_kludge, ELF_SIZE, 0xa0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_linux_good), T(test_linux_initrd), T(test_linux_bad), T(test_elf_good),
		T(test_elf_low),    T(test_modules),	  T(test_kludge),    T(test_multiboot_bad),
		T(test_files),	    T(test_fuzz_linux),	  T(test_fuzz_elf),  T(test_fuzz_kludge),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
