/* The gdb server without a network: framing, answers to good and bad packets, running, and noise. */
#include "test.h"

#include "monitor/gdb_internal.h"
#include "monitor/run_control.h"


static struct vm *vm;
static struct gdb *g;

/* A machine whose "vCPU thread" is this one: real mode, paging off, nothing running. */
static int setup(void **state)
{
	static char *argv[] = {"ringfence", "-S", "-m", "4", "-nodefaults", "-accel", "interp"};
	static struct options options;
	char err[OPTIONS_ERROR_LEN];

	assert_int_equal(options_parse(&options, ARRAY_LEN(argv), argv, stdout, err, sizeof(err)), OPTIONS_RUN);
	vm = vm_create(&options, err, sizeof(err));
	assert_non_null(vm);
	run_control_start(vm);
	g = calloc(1, sizeof(*g));
	g->vm = vm;
	vm_add_listener(vm, gdb_on_event, g);
	gdb_attached(g);
	return 0;
}

static int teardown(void **state)
{
	free(g);
	vm_destroy(vm);
	return 0;
}

static void feed(const char *bytes)
{
	gdb_input(g, (const uint8_t *)bytes, strlen(bytes));
}

/* The data of the last packet sent. */
static const char *answer(void)
{
	static char text[GDB_PACKET_MAX + 4];

	assert_true(g->frame_len >= 4);
	memcpy(text, g->frame + 1, g->frame_len - 4);
	text[g->frame_len - 4] = 0;
	return text;
}

static const char *ask(const char *packet)
{
	static char text[2 * GDB_PACKET_MAX + 8];
	uint8_t sum = 0;

	for (const char *p = packet; *p; p++)
		sum = (uint8_t)(sum + *p);
	snprintf(text, sizeof(text), "$%s#%02x", packet, sum);
	g->frame_len = 0;
	feed(text);
	return g->frame_len ? answer() : NULL;
}

#define answers(packet, want) assert_string_equal(ask(packet), want)

/* ---- framing ---- */

static void items(const char *bytes, size_t n, const enum gdb_item *want, size_t count)
{
	static struct gdb_parser p;
	size_t seen = 0;

	p.state = GDB_IDLE;
	for (size_t i = 0; i < n; i++) {
		enum gdb_item item = gdb_parse(&p, (uint8_t)bytes[i]);

		if (item == GDB_NOTHING)
			continue;
		assert_true(seen < count);
		assert_int_equal(item, want[seen++]);
	}
	assert_int_equal(seen, count);
}

#define ITEMS(bytes, ...) \
	items(bytes, sizeof(bytes) - 1, (enum gdb_item[]){__VA_ARGS__}, \
	      sizeof((enum gdb_item[]){__VA_ARGS__}) / sizeof(enum gdb_item))

static void test_framing(void **state)
{
	ITEMS("+$?#3f-", GDB_ACK, GDB_PACKET, GDB_NACK);
	ITEMS("$?#3e", GDB_BAD_SUM);
	ITEMS("$?#3g$?#g3$?#3F", GDB_BAD_SUM, GDB_BAD_SUM, GDB_PACKET);
	ITEMS("noise\3more", GDB_INTERRUPT);
	ITEMS("$lost$?#3f", GDB_PACKET);
	ITEMS("$\3#03", GDB_PACKET);
	ITEMS("$#00", GDB_PACKET);
}

static void test_escapes(void **state)
{
	static struct gdb_parser p;
	static const char bytes[] = "$X}\3}]\0z#2c"; /* '#', '}', a zero */
	enum gdb_item item = GDB_NOTHING;

	for (size_t i = 0; i < sizeof(bytes) - 1; i++)
		item = gdb_parse(&p, (uint8_t)bytes[i]);
	assert_int_equal(item, GDB_PACKET);
	assert_int_equal(p.len, 5);
	assert_memory_equal(p.data, "X#}\0z", 6);
}

static void test_too_long(void **state)
{
	static char packet[2 * GDB_PACKET_MAX];

	memset(packet, 'm', sizeof(packet) - 1);
	assert_string_equal(ask(packet), "E16");
	memset(packet, 'q', GDB_PACKET_MAX);
	packet[GDB_PACKET_MAX] = 0;
	assert_string_equal(ask(packet), "");
}

static void test_acknowledgements(void **state)
{
	answers("qC", "QC1");
	g->frame_len = 0;
	feed("$qC#00");
	assert_int_equal(g->frame_len, 0);
	assert_false(g->no_ack);
	answers("QStartNoAckMode", "OK");
	assert_true(g->no_ack);
}

/* ---- answers ---- */

static void test_queries(void **state)
{
	assert_non_null(strstr(ask("qSupported:swbreak+;xmlRegisters=i386"), "PacketSize=4000"));
	assert_true(g->swbreak && !g->hwbreak);
	answers("?", "T05thread:1;04:00000000;05:00000000;08:f0ff0000;");
	answers("qAttached", "1");
	answers("qfThreadInfo", "m1");
	answers("qsThreadInfo", "l");
	answers("T1", "OK");
	answers("T2", "E16");
	answers("Hg0", "OK");
	answers("Hc-1", "OK");
	answers("vCont?", "vCont;c;C;s;S;t;r");
	answers("vMustReplyEmpty", "");
	answers("qUnknown", "");
	answers("y", "");
	answers("", "");
	answers("qqemu.sstep", "0x7");
	answers("Qqemu.sstep=0x1", "OK");
	answers("qqemu.sstep", "0x1");
	answers("Qqemu.sstep=8", "E16");
}

/* Parts put together are the whole, and it describes each register of the table. */
static void test_target_description(void **state)
{
	const char *xml = gdb_target_xml();
	char packet[64], whole[16384] = "";

	for (unsigned at = 0; at == strlen(whole); at += 100) {
		snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%x,64", at);
		strcat(whole, ask(packet) + 1);
	}
	assert_int_equal(strlen(whole), strlen(xml));
	assert_string_equal(whole, xml);
	for (unsigned i = 0; i < gdb_reg_count; i++) {
		snprintf(packet, sizeof(packet), "<reg name=\"%s\" bitsize=\"%u\"", gdb_regs[i].name, gdb_regs[i].size * 8);
		assert_non_null(strstr(xml, packet));
	}
	assert_non_null(strstr(xml, "</target>"));
	answers("qXfer:features:read:other.xml:0,10", "E00");
	answers("qXfer:features:read:target.xml:ffffff,10", "E16");
}

static void test_memory(void **state)
{
	answers("M2000,3:0102ff", "OK");
	answers("m2000,4", "0102ff00");
	answers("X2001,2:ab", "OK");
	answers("m2000,3", "016162");
	answers("m2000,0", "");
	answers("M2000,0:", "OK");
	/* up to the end of memory, and beyond */
	answers("m3ffffe,4", "0000");
	answers("m40000000,4", "E0e");
	answers("M40000000,1:00", "E0e");
	assert_int_equal(strlen(ask("m2000,ffffffff")), GDB_PACKET_MAX);
}

static void test_registers(void **state)
{
	char all[2048], packet[2100];

	answers("P0=78563412", "OK");
	answers("p0", "78563412");
	assert_int_equal(vm->cpu.gpr[R_EAX], 0x12345678);
	answers("P28=00000100", "E16"); /* MXCSR: reserved */
	answers("P28=801f0000", "OK");
	answers("Pa=34120000", "OK"); /* CS in real mode */
	answers("p29", "40230100");
	answers("p5", "00000000");
	answers("p30", "00000000");
	answers("p34", "E16");
	snprintf(all, sizeof(all), "%s", ask("g"));
	assert_int_equal(strlen(all), 2 * (16 * 4 + 80 + 8 * 4 + 128 + 4 + 11 * 4));
	memcpy(all + 8, "efbeadde", 8); /* ECX */
	snprintf(packet, sizeof(packet), "G%s", all);
	answers(packet, "OK");
	assert_string_equal(ask("g"), all);
	packet[strlen(packet) - 1] = 0;
	answers(packet, "E16");
}

/* What is malformed changes nothing and starts nothing. */
static void test_malformed(void **state)
{
	static const char *const packets[] = {
		"m", "m,", "m1", "m1,", "m1,1x", "mzz,1", "m123456789,1", "M1,1", "M1,1:", "M1,1:0", "M1,1:0g", "M1,1:0000",
		"X1,5:abc", "X1,1:", "p", "pzz", "pffffffffffffffffff", "P", "P0", "P0=", "P0=12", "P0=1234567g", "P0=1234567800",
		"G", "G00", "gg", "??", "Z", "Z0", "Z0,", "Z0,1", "Z0,1,", "Z0,1,1;x", "Z2,1000,0", "z1,g,1", "H", "Hx", "Hg", "Hgz",
		"T", "c1x", "sx", "s123456789", "C", "Cxyz", "C05x", "S", "S05;x", "vCont", "vCont;", "vCont;x", "vCont;c:",
		"vCont;cs", "vCont;c;", "vCont;C", "vCont;r", "vCont;r1", "vCont;r1,", "vCont;r2,1", "vCont;r0,123456789", "qRcmd,", "qRcmd,1", "qRcmd,zz", "Dx", "QStartNoAckMode:",
	};
	uint8_t before[sizeof(struct cpu)];

	memcpy(before, &vm->cpu, sizeof(before));
	for (size_t i = 0; i < ARRAY_LEN(packets); i++) {
		const char *a = ask(packets[i]);

		assert_non_null(a);
		if (*a && *a != 'E')
			fail_msg("%s: %s", packets[i], a);
		assert_int_equal(vm_state(vm), VM_PAUSED);
		assert_memory_equal(before, &vm->cpu, sizeof(before));
		assert_null(debug_nth(vm, 0));
	}
	answers("Z9,1,1", "");
}

/* ---- running ---- */

/* What the vCPU thread would do. */
static const char *run_guest_code(void)
{
	g->frame_len = 0;
	while (vm_state(vm) == VM_RUNNING && !vm->cpu.shutdown) {
		run_control_enter(vm);
		if (vm->cpu.watch)
			debug_event_begin(vm);
		debug_run(vm);
		run_control_leave(vm);
		run_control_work(vm);
	}
	return g->frame_len ? answer() : NULL;
}

/* At 7000:0: inc ax; mov [8000h],ax; mov bx,[8002h]; rep stosb of 4; jmp 7000h. */
static void load_program(void)
{
	answers("M7000,e:40a300808b1e028090f3aaebf3000", "E16");
	answers("M7000,d:40a300808b1e028090f3aaebf3", "OK");
	answers("Pa=00000000", "OK");
	answers("P8=00700000", "OK");
	answers("Pd=00000000", "OK");
	vm->cpu.seg[S_CS].base = 0;
}

static void test_running(void **state)
{
	load_program();
	assert_null(ask("s"));
	assert_non_null(strstr(run_guest_code(), "T05thread:1;"));
	answers("p8", "01700000");
	answers("p0", "01000000");
	/* both kinds of breakpoint; the one we stand on is passed, and hit next time round */
	answers("qSupported:swbreak+;hwbreak+", "PacketSize=4000;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+");
	answers("Z0,7000,1", "OK");
	answers("Z1,7004,1", "OK");
	assert_null(ask("c"));
	assert_non_null(strstr(run_guest_code(), "hwbreak:;"));
	assert_null(ask("vCont;c"));
	assert_non_null(strstr(run_guest_code(), "swbreak:;"));
	answers("z0,7000,1", "OK");
	answers("z0,7000,1", "OK");
	assert_null(ask("vCont;s:1;c"));
	run_guest_code();
	answers("z1,7004,1", "OK");
	assert_null(debug_nth(vm, 0));
}

static void test_watchpoints(void **state)
{
	load_program();
	answers("Z2,8001,1", "OK");
	assert_null(ask("c"));
	assert_non_null(strstr(run_guest_code(), "watch:8001;"));
	answers("p8", "04700000"); /* after the write */
	answers("z2,8001,1", "OK");
	answers("Z3,8002,4", "OK");
	assert_null(ask("c"));
	assert_non_null(strstr(run_guest_code(), "rwatch:8002;"));
	answers("p8", "08700000");
	answers("z3,8002,4", "OK");
	answers("Z4,8000,1", "OK");
	assert_null(ask("c"));
	assert_non_null(strstr(run_guest_code(), "awatch:8000;"));
	answers("z4,8000,1", "OK");
	assert_int_equal(vm->cpu.dr[7] & 0xff, 0);
}

static void test_interrupt_and_detach(void **state)
{
	load_program();
	answers("Z0,7000,1", "OK");
	assert_null(ask("c"));
	g->frame_len = 0;
	feed("\3");
	assert_non_null(strstr(answer(), "T02"));
	assert_int_equal(vm_state(vm), VM_PAUSED);
	answers("D", "OK");
	assert_int_equal(vm_state(vm), VM_RUNNING);
	assert_null(debug_nth(vm, 0));
}

/* Range stepping: out of the range, or to a breakpoint or watchpoint in it. */
static void test_range(void **state)
{
	load_program();
	assert_null(ask("vCont;r7000,7008:1;c"));
	assert_non_null(strstr(run_guest_code(), "T05thread:1;"));
	answers("p8", "08700000");
	answers("p0", "01000000");
	/* the whole loop once: into the range again from outside */
	answers("P1=00000000", "OK");
	assert_null(ask("vCont;r7008,700d:1"));
	run_guest_code();
	answers("p8", "00700000");
	/* an empty range is a step */
	assert_null(ask("vCont;r7000,7000:1"));
	run_guest_code();
	answers("p8", "01700000");
	answers("Z0,7004,1", "OK");
	assert_null(ask("vCont;r7000,700d:1"));
	run_guest_code();
	answers("p8", "04700000");
	answers("z0,7004,1", "OK");
	/* endless; a Ctrl-C ends it */
	assert_null(ask("vCont;r7000,700d:1"));
	g->frame_len = 0;
	feed("\3");
	assert_non_null(strstr(answer(), "T02"));
}

/* What gdb has no word for goes to its console: before the stop reply, so that frame_len is that of the latter. */
static void test_events(void **state)
{
	load_program();
	answers("M7000,2:e680", "OK"); /* out 80h, al */
	answers("qRcmd,627265616b20706f7274203078383020", "OK");
	assert_null(ask("c"));
	assert_non_null(strstr(run_guest_code(), "T05thread:1;"));
	assert_memory_equal(g->console.data, "O61626f757420746f20777269746520706f727420303830", 46);
	answers("p8", "00700000");
	assert_null(ask("s"));
	run_guest_code();
	answers("p8", "02700000");
}

/* gdb steps over a breakpoint on its own; a Ctrl-C sent just then comes between the step's answer and the continuation. */
static void test_interrupt_between_step_and_continue(void **state)
{
	load_program();
	assert_null(ask("vCont;s:1"));
	assert_non_null(strstr(run_guest_code(), "T05"));
	g->frame_len = 0;
	feed("\3");
	assert_int_equal(g->frame_len, 0);
	assert_non_null(strstr(ask("vCont;c"), "T02"));
	assert_int_equal(vm_state(vm), VM_PAUSED);
	answers("p8", "01700000");
	/* it counts once */
	answers("Z0,7000,1", "OK");
	assert_null(ask("vCont;c"));
	assert_non_null(strstr(run_guest_code(), "T05"));
	/* and not for the debugger that comes next */
	feed("\3");
	gdb_detached(g, false);
	gdb_attached(g);
	answers("Z0,7000,1", "OK");
	assert_null(ask("c"));
	assert_non_null(strstr(run_guest_code(), "T05"));
}

/* ---- noise ---- */

static uint32_t seed = 20261120;

static uint32_t random32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

static size_t mutate(char *packet, const char *from)
{
	size_t n = strlen(from);

	memcpy(packet, from, n);
	for (unsigned i = random32() % 4; i; i--) {
		size_t at = n ? random32() % n : 0;

		switch (random32() % 4) {
		case 0:
			packet[at] = (char)random32();
			break;
		case 1:
			packet[at] = "0123456789abcdef,;:=#$}*"[random32() % 24];
			break;
		case 2:
			n = at;
			break;
		default:
			memmove(packet + at + 1, packet + at, n - at);
			n++;
		}
	}
	return n;
}

static void send_noise(const char *packet, size_t n)
{
	char out[256], tail[4];
	size_t len = 0;
	uint8_t sum = 0;

	out[len++] = '$';
	for (size_t i = 0; i < n; i++) {
		sum = (uint8_t)(sum + (uint8_t)packet[i]);
		out[len++] = packet[i];
	}
	snprintf(tail, sizeof(tail), "#%02x", random32() % 16 ? sum : random32() & 255);
	memcpy(out + len, tail, 3);
	gdb_input(g, (const uint8_t *)out, len + 3);
}

/* What we sent last is a proper packet. */
static void check_frame(void)
{
	uint8_t sum = 0;
	char tail[4];

	if (!g->frame_len)
		return;
	assert_in_range(g->frame_len, 4, GDB_PACKET_MAX + 4);
	for (size_t i = 1; i < g->frame_len - 3; i++)
		sum = (uint8_t)(sum + (uint8_t)g->frame[i]);
	snprintf(tail, sizeof(tail), "#%02x", sum);
	assert_int_equal(g->frame[0], '$');
	assert_memory_equal(g->frame + g->frame_len - 3, tail, 3);
}

static void test_noise(void **state)
{
	static const char *const good[] = {
		"qSupported:swbreak+;hwbreak+", "?", "g", "m7000,40", "M7000,4:90909090", "X7000,4:abcd", "p8", "P8=00700000",
		"P0=ffffffff", "Pa=00070000", "P2f=11000080", "P31=00700000", "P32=30060000", "P33=00080000", "P9=02020000", "Z0,7000,1", "z0,7000,1",
		"Z1,7004,1", "Z2,8000,4", "Z3,8000,4", "Z4,8000,4", "z2,8000,4", "c", "s", "c7000", "C05", "S05;7000",
		"vCont;s:1;c", "vCont;r7000,7010:1", "vCont;t", "D;1", "Hg0", "T1", "qXfer:features:read:target.xml:0,200", "qfThreadInfo",
		"qRcmd,68656c70", "qRcmd,627265616b20706f727420302d30786666666620", /* break port 0-0xffff */
		"qRcmd,627265616b20657863657074696f6e20616c6c", "qRcmd,6e657874", "qRcmd,6e65787420626c6f636b", /* exception all, next, block */
		"qRcmd,64656c65746520616c6c", /* delete all */
		"Qqemu.sstep=0x7", "qqemu.sstepbits", "QStartNoAckMode", "P10=00000000000000ff3f00",
	};
	char packet[128];
	unsigned useful = 0;

	load_program();
	for (unsigned i = 0; i < 100000; i++) {
		if (random32() % 32 == 0) {
			for (unsigned k = 0; k < 16; k++)
				packet[k] = (char)random32();
			gdb_input(g, (const uint8_t *)packet, 16);
		} else {
			send_noise(packet, mutate(packet, good[random32() % ARRAY_LEN(good)]));
		}
		check_frame();
		useful += g->frame_len > 4 && g->frame[1] != 'E';
		g->frame_len = 0;
		if (vm_state(vm) == VM_RUNNING && !vm->cpu.shutdown) {
			for (unsigned k = 0; k < 4; k++)
				cpu_step(&vm->cpu);
			run_control_work(vm);
		}
		if (vm->cpu.shutdown) {
			cpu_reset(&vm->cpu);
			mmu_paging_changed(vm->mmu, true, true);
		}
		if (random32() % 64 == 0)
			feed("\3");
	}
	assert_true(useful > 20000);
	/* alive still */
	feed("\3#00");
	answers("qC", "QC1");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_framing), T(test_escapes), T(test_too_long), T(test_acknowledgements), T(test_queries),
		T(test_target_description), T(test_memory), T(test_registers), T(test_malformed), T(test_running),
		T(test_watchpoints), T(test_interrupt_and_detach), T(test_interrupt_between_step_and_continue),
		T(test_range), T(test_events),
		T(test_noise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
