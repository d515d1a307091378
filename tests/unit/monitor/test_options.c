/* The command line: what each option sets, and that everything else is refused with one useful
 * line. */
#include "test.h"

#include "monitor/keyval.h"
#include "monitor/log.h"
#include "monitor/options.h"

enum { MAX_WORDS = 32 };

struct parsed {
	struct options o;
	enum options_result result;
	char err[OPTIONS_ERROR_LEN];
	char out[16384];
};

/* Parse a line of words separated by blanks; the words live as long as the result is used. */
static void parse(struct parsed *p, const char *line)
{
	static char words[4096];
	char *argv[MAX_WORDS] = {"ringfence"};
	int argc = 1;
	snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok(words, " "); w && argc < MAX_WORDS; w = strtok(NULL, " "))
		argv[argc++] = w;
	memset(p->out, 0, sizeof(p->out));
	p->err[0] = '\0';
	FILE *f = fmemopen(p->out, sizeof(p->out) - 1, "w");
	p->result = options_parse(&p->o, argc, argv, f, p->err, sizeof(p->err));
	fclose(f);
}

static struct parsed good(const char *line)
{
	struct parsed p;
	parse(&p, line);
	if (p.result != OPTIONS_RUN)
		fail_msg("'%s' refused: %s", line, p.err);
	return p;
}

/* Refused, with `hint` in the message, which is one line. */
static void bad(const char *line, const char *hint)
{
	struct parsed p;
	parse(&p, line);
	if (p.result != OPTIONS_FAIL)
		fail_msg("'%s' accepted", line);
	if (!strstr(p.err, hint))
		fail_msg("'%s': message '%s' lacks '%s'", line, p.err, hint);
	assert_null(strchr(p.err, '\n'));
}

static void shows(const char *line, const char *text)
{
	struct parsed p;
	parse(&p, line);
	assert_int_equal(p.result, OPTIONS_DONE);
	if (!strstr(p.out, text))
		fail_msg("'%s' does not show '%s'", line, text);
}

static void test_defaults(void **state)
{
	struct parsed p = good("");
	assert_int_equal(p.o.ram, 128 << 20);
	assert_null(p.o.kernel);
	assert_int_equal(p.o.accel.kind, ACCEL_DBT);
	assert_int_equal(p.o.debug_exit_base, 0x501);
	assert_false(p.o.debug_exit);
	assert_non_null(p.o.cpu.name);
}

static void test_both_dashes(void **state)
{
	assert_true(good("--nographic").o.nographic);
	assert_true(good("-nographic").o.nographic);
	bad("---nographic", "nographic");
}

static void test_memory(void **state)
{
	static const struct {
		const char *line;
		uint64_t bytes;
	} cases[] = {
		{"-m 512", 512ull << 20},    {"-m 512M", 512ull << 20},
		{"-m 1G", 1ull << 30},	     {"-m size=2g", 2ull << 30},
		{"-m 1.5G", 3ull << 29},     {"-m 65536k", 64ull << 20},
		{"-m 1048576b", 1ull << 20}, {"-m 2097153b", (2ull << 20) + 4096},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(good(cases[i].line).o.ram, cases[i].bytes);
	static const char *const refused[] = {
		"-m 0",
		"-m 1k",
		"-m -5",
		"-m 5x",
		"-m 1.G",
		"-m 1MB",
		"-m size=",
		"-m 99999999999999999999",
		"-m 17179869184G",
		"-m 1000000T",
		"-m 16,slots=2",
		"-m slots=2",
		"-m 64G",
		"-m 0x10",
		"-m",
		"-m ,",
	};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		bad(refused[i], "-m");
}

static void test_accel(void **state)
{
	struct parsed p = good("-accel dbt,lockstep=on,tc-size=16,verify=off");
	assert_true(p.o.accel.lockstep);
	assert_int_equal(p.o.accel.tc_size, 16 << 20);
	assert_false(p.o.accel.counts);
	assert_true(good("-accel dbt,counts=on").o.accel.counts);
	bad("-accel dbt,counts=7", "counts is on or off");
	assert_int_equal(good("-accel interp").o.accel.kind, ACCEL_INTERP);
	assert_int_equal(good("-M pc,accel=interp").o.accel.kind, ACCEL_INTERP);
	bad("-accel kvm", "dbt");
	bad("-accel interp,lockstep=on", "dbt");
	bad("-accel dbt,lockstep=maybe", "on or off");
	bad("-accel dbt,lockstep", "on or off");
	bad("-accel dbt,speed=11", "speed");
	assert_int_equal(good("-accel dbt,tb-size=32").o.accel.tc_size, 32 << 20);
	assert_int_equal(good("-accel dbt,tb-size=0").o.accel.tc_size, good("-accel dbt").o.accel.tc_size);
	bad("-accel dbt,tb-size=2048", "tb-size");
	bad("-accel dbt,tc-size=0", "tc-size");
	bad("-accel dbt,tc-size=2T", "tc-size");
	bad("-accel lockstep=on", "first");
	shows("-accel help", "lockstep");
}

static void test_machine(void **state)
{
	good("-M pc");
	good("-machine type=pc,accel=dbt");
	bad("-M q35", "use pc");
	bad("-machine pc,usb=on", "usb");
	bad("-M pc,accel=tcg", "dbt");
	shows("-machine help", "pc");
	good("-smp 1");
	good("-smp cpus=1,cores=1");
	bad("-smp 2", "-smp 1");
	bad("-smp 1,threads=2", "-smp 1");
	bad("-smp x", "-smp 1");
	shows("-cpu help", "odel");
	bad("-cpu nosuchmodel", "no model 'nosuchmodel'");
}

static void test_rtc(void **state)
{
	struct parsed p = good("-rtc base=2026-01-31T12:00:01,clock=vm,driftfix=slew");
	assert_true(p.o.rtc.has_base && p.o.rtc.clock_vm && p.o.rtc.driftfix);
	assert_int_equal(p.o.rtc.base, 1769860801);
	assert_int_equal(good("-rtc base=2024-02-29").o.rtc.base, 1709164800);
	assert_true(good("-rtc base=localtime").o.rtc.localtime);
	p = good("-rtc base=utc,clock=host");
	assert_false(p.o.rtc.has_base || p.o.rtc.localtime || p.o.rtc.clock_vm);
	bad("-rtc base=2025-02-29", "2025-02-29");
	bad("-rtc base=yesterday", "yesterday");
	bad("-rtc base", "base");
	bad("-rtc clock=sun", "sun");
	bad("-rtc zone=CET", "zone");
}

static void test_consoles(void **state)
{
	struct parsed p = good("-serial stdio -serial file:/tmp/x -serial null -serial none");
	assert_int_equal(p.o.serial_count, 4);
	assert_string_equal(p.o.serial[1], "file:/tmp/x");
	bad("-serial a -serial b -serial c -serial d -serial e", "4");
	assert_true(good("-display none").o.display_none);
	bad("-display gtk", "-display none");
	bad("-monitor null -monitor null -monitor null -monitor null -monitor null", "4 at most");
	bad("-qmp", "needs a value");
	good("-monitor stdio -qmp unix:/tmp/x,server=on,wait=off");
	good("-monitor none -net none -nic none -vga none -nodefaults");
	bad("-net user", "-net none");
	bad("-nic user", "-nic none");
	assert_string_equal(good("-debugcon stdio").o.debugcon, "stdio");
}

static void test_device(void **state)
{
	struct parsed p = good("-device isa-debug-exit,iobase=0xf4,iosize=4");
	assert_true(p.o.debug_exit);
	assert_int_equal(p.o.debug_exit_base, 0xf4);
	assert_int_equal(p.o.debug_exit_size, 4);
	p = good("-device isa-debug-exit");
	assert_int_equal(p.o.debug_exit_base, 0x501);
	bad("-device e1000", "-device help");
	bad("-device isa-debug-exit,iobase=0x10000", "iobase");
	bad("-device isa-debug-exit,iosize=3", "iosize");
	bad("-device isa-debug-exit,iobase=0xffff,iosize=2", "ffffh");
	bad("-device isa-debug-exit,color=red", "color");
	shows("-device help", "isa-debug-exit");
}

static void test_program(void **state)
{
	struct parsed p = good(
		"-name guest=web -pidfile /run/x -d int,stats -D /tmp/log -no-reboot -no-shutdown");
	assert_string_equal(p.o.name, "web");
	assert_string_equal(p.o.pidfile, "/run/x");
	assert_int_equal(p.o.log_mask, LOG_INT | LOG_STATS);
	assert_true(p.o.no_reboot && p.o.no_shutdown);
	shows("-version", "ringfence " RINGFENCE_VERSION);
	shows("-help", "-kernel");
	shows("--help", "-no-reboot");
	shows("-h", "-accel");
	shows("-d help", "cpu_reset");
	bad("-d everything", "everything");
	assert_int_equal(good("-d all").o.log_mask, ((1u << LOG_COUNT) - 1) & ~LOG_JSON);
	good("-D /tmp/log");
	p = good("-d exec -dfilter 0x1000+0x10,0x5000-16,0x8000..0x8fff");
	assert_int_equal(p.o.log_ranges, 3);
	assert_int_equal(p.o.log_range[0].last, 0x100f);
	assert_int_equal(p.o.log_range[1].first, 0x4ff1);
	assert_int_equal(p.o.log_range[1].last, 0x5000);
	assert_int_equal(p.o.log_range[2].last, 0x8fff);
	bad("-dfilter 5..4", "-dfilter");
	bad("-dfilter 5+", "-dfilter");
	bad("-dfilter 5+0", "-dfilter");
	bad("-dfilter 5+1,", "-dfilter");
	bad("-dfilter -5+1", "-dfilter");
	bad("-dfilter 5.7", "-dfilter");
}

static void test_debugger(void **state)
{
	struct parsed p = good("-S -s");
	assert_true(p.o.start_paused);
	assert_string_equal(p.o.gdb, "tcp::1234");
	assert_string_equal(good("-gdb unix:/tmp/socket").o.gdb, "unix:/tmp/socket");
	assert_null(good("-s -gdb none").o.gdb);
	assert_null(good("").o.gdb);
	bad("-gdb", "-gdb");
}

static void test_kernel(void **state)
{
	struct parsed p = good("-kernel k -initrd i -append console=ttyS0");
	assert_string_equal(p.o.kernel, "k");
	assert_string_equal(p.o.initrd, "i");
	assert_string_equal(p.o.append, "console=ttyS0");
	bad("-initrd i", "-kernel");
	bad("-append x", "-kernel");
	bad("-kernel", "value");
}

static void test_unknown(void **state)
{
	bad("-nografic", "did you mean '-nographic'");
	bad("--kernle", "did you mean '-kernel'");
	bad("-enable-kvm", "-help");
	bad("-hda disk.img", "unknown option '-hda': -help");
	bad("disk.img", "-kernel");
	bad("-", "start with");
	bad("--", "unknown option");
	/* What the user types goes into the message; it must stay one line and in bounds. */
	char *argv[] = {"ringfence", "-a\nb\033[31m", NULL};
	char err[64];
	struct options o;
	assert_int_equal(options_parse(&o, 2, argv, stdout, err, sizeof(err)), OPTIONS_FAIL);
	assert_null(strpbrk(err, "\n\033"));
	static char long_word[100000];
	memset(long_word, 'q', sizeof(long_word) - 1);
	long_word[0] = '-';
	argv[1] = long_word;
	assert_int_equal(options_parse(&o, 2, argv, stdout, err, sizeof(err)), OPTIONS_FAIL);
	assert_true(strlen(err) < sizeof(err));
}

static void test_keyval_commas(void **state)
{
	const char *rest = "a=1,,2,b,,c,=x,";
	struct keyval kv;
	assert_true(keyval_next(&rest, &kv));
	assert_string_equal(kv.key, "a");
	assert_string_equal(kv.value, "1,2");
	assert_true(keyval_next(&rest, &kv));
	assert_string_equal(kv.key, "b,c");
	assert_null(kv.value);
	assert_true(keyval_next(&rest, &kv));
	assert_string_equal(kv.key, "");
	assert_string_equal(kv.value, "x");
	assert_non_null(rest);
	assert_true(keyval_next(&rest, &kv));
	assert_string_equal(kv.key, "");
	assert_null(rest);
}

/* Random words built from the option names and the characters that matter: no crash, one line. */
static void test_fuzz(void **state)
{
	static const char *const words[] = {
		"-m",	   "-cpu",  "-smp", "-rtc",    "-accel", "-M",	  "-device", "-d",
		"-serial", "-name", "-net", "-kernel", "-D",	 "-help", "-initrd", "-display"};
	static const char alphabet[] = "=,,,=.:0123456789abdiknostux-+%\\\x80\xff";
	FILE *sink = fopen("/dev/null", "w");
	srand(7);
	for (int round = 0; round < 20000; round++) {
		char text[4][24];
		char *argv[9] = {"ringfence"};
		int argc = 1;
		for (int i = 0; i < 4; i++) {
			argv[argc++] = (char *)words[(unsigned)rand() % ARRAY_LEN(words)];
			int n = rand() % 23;
			for (int j = 0; j < n; j++)
				text[i][j] = alphabet[(unsigned)rand() % (sizeof(alphabet) - 1)];
			text[i][n] = '\0';
			argv[argc++] = text[i];
		}
		struct options o;
		char err[OPTIONS_ERROR_LEN] = "";
		enum options_result r = options_parse(&o, argc, argv, sink, err, sizeof(err));
		if (r == OPTIONS_FAIL)
			assert_true(err[0] && !strchr(err, '\n'));
	}
	fclose(sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_both_dashes),
		cmocka_unit_test(test_memory),	 cmocka_unit_test(test_accel),
		cmocka_unit_test(test_machine),	 cmocka_unit_test(test_rtc),
		cmocka_unit_test(test_consoles), cmocka_unit_test(test_device),
		cmocka_unit_test(test_program),	 cmocka_unit_test(test_debugger), cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_unknown),	 cmocka_unit_test(test_keyval_commas),
		cmocka_unit_test(test_fuzz),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
