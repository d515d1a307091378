/*
 * Self-modifying code of which only numbers change: immediates and the targets of calls, hundreds of times in one place, as code
 * generators rewrite them. Each instruction is compared with one that has the number in a register. Pages get into this state by being
 * written and run in turn.
 */
#include "lib/guest.h"

enum { RUNS = 60 };

static u8 page[8192] __attribute__((aligned(4096), section(".snippet_data")));
static u8 reference[4096] __attribute__((aligned(4096), section(".snippet_data")));
static u32 variable[2];

/* EAX, EDX and [EBX] are operands; the reference has the number in ECX. */
struct form {
	const char *name;
	u8 code[12], len, number; /* offset of the number */
	u8 same[4];               /* the reference, filled up with NOPs */
};

#define NUMBER 0, 0, 0, 0
#define ONE(...) {__VA_ARGS__, NUMBER}, sizeof((u8[]){__VA_ARGS__, NUMBER}), sizeof((u8[]){__VA_ARGS__})
static const struct form forms[] = {
	{"add eax", ONE(0x05), {0x01, 0xc8, 0x90, 0x90}},
	{"or eax", ONE(0x0d), {0x09, 0xc8, 0x90, 0x90}},
	{"adc eax", ONE(0x15), {0x11, 0xc8, 0x90, 0x90}},
	{"sbb eax", ONE(0x1d), {0x19, 0xc8, 0x90, 0x90}},
	{"and eax", ONE(0x25), {0x21, 0xc8, 0x90, 0x90}},
	{"sub eax", ONE(0x2d), {0x29, 0xc8, 0x90, 0x90}},
	{"xor eax", ONE(0x35), {0x31, 0xc8, 0x90, 0x90}},
	{"cmp eax", ONE(0x3d), {0x39, 0xc8, 0x90, 0x90}},
	{"add edx", ONE(0x81, 0xc2), {0x01, 0xca, 0x90, 0x90}},
	{"sbb edx", ONE(0x81, 0xda), {0x19, 0xca, 0x90, 0x90}},
	{"cmp edx", ONE(0x81, 0xfa), {0x39, 0xca, 0x90, 0x90}},
	{"add memory", ONE(0x81, 0x03), {0x01, 0x0b, 0x90, 0x90}},
	{"adc memory", ONE(0x81, 0x53, 4), {0x11, 0x4b, 4, 0x90}},
	{"cmp memory", ONE(0x81, 0x3b), {0x39, 0x0b, 0x90, 0x90}},
	{"test eax", ONE(0xa9), {0x85, 0xc8, 0x90, 0x90}},
	{"test edx", ONE(0xf7, 0xc2), {0x85, 0xca, 0x90, 0x90}},
	{"test memory", ONE(0xf7, 0x43, 4), {0x85, 0x4b, 4, 0x90}},
	{"mov eax", ONE(0xb8), {0x89, 0xc8, 0x90, 0x90}},
	{"mov edx", ONE(0xba), {0x89, 0xca, 0x90, 0x90}},
	{"mov edx, long form", ONE(0xc7, 0xc2), {0x89, 0xca, 0x90, 0x90}},
	{"mov memory", ONE(0xc7, 0x03), {0x89, 0x0b, 0x90, 0x90}},
	{"mov memory by FS", ONE(0x64, 0xc7, 0x43, 4), {0x64, 0x89, 0x4b, 4}},
	{"push", {0x68, NUMBER, 0x58}, 6, 1, {0x51, 0x58, 0x90, 0x90}},
	{"two of them", {0xba, 1, 0, 0, 0, 0x05, NUMBER}, 10, 6, {0x42, 0x01, 0xc8, 0x90}},
};

static bool user;

static struct context context_at(const u8 *code)
{
	return user ? user_context((u32)code) : kernel_context((u32)code);
}

static void put_done(u8 *at)
{
	at[0] = 0xcd;
	at[1] = 0x7f;
}

/* Write beside code that runs, until nobody counts on the page any more. */
static void wear_out(void)
{
	for (u32 i = 0; i < 16; i++) {
		struct context c = context_at(page + 0xf00);

		page[0xf00] = 0x90;
		put_done(page + 0xf01);
		run(&c);
		for (u32 k = 0; k < 16; k++)
			page[0xf40 + k] = (u8)(i + k);
	}
}

static u32 some_number(u32 i)
{
	u32 n = i * 0x9e3779b1u;

	return i % 4 == 0 ? 0 : i % 4 == 1 ? n >> 24 : n;
}

static struct context run_with(const u8 *code, u32 number, u32 i, u32 memory[2])
{
	struct context c = context_at(code);

	variable[0] = 0x12345678 + i;
	variable[1] = ~i;
	c.eax = i << 28 | i;
	c.edx = i % 3 ? i : i << 5 | 0x80000000;
	c.ebx = (u32)variable;
	c.ecx = number;
	c.eflags = (c.eflags & ~ARITH_) | (i & 1 ? CF_ : 0);
	run(&c);
	memory[0] = variable[0];
	memory[1] = variable[1];
	return c;
}

static bool alike(const struct context *a, const struct context *b)
{
	return a->vector == DONE && b->vector == DONE && a->eax == b->eax && a->edx == b->edx &&
	       !((a->eflags ^ b->eflags) & ARITH_);
}

/* All of the number is written, or one byte of it. */
static u32 rewrite(u8 *number, u32 i)
{
	u32 n = some_number(i), now;

	if (i % 5 == 4)
		number[i % 4] = (u8)n;
	else
		memcpy(number, &n, 4);
	memcpy(&now, number, 4);
	return now;
}

/* "two of them" increments EDX for its reference: its first number is always one more than what EDX is then. */
static bool one_run(const struct form *f, u8 *at, u32 i)
{
	u32 number = rewrite(at + f->number, i), memory[2], expected[2];
	struct context want = run_with(reference, number, i, expected), got;

	if (f->number == 6)
		memcpy(at + 1, &want.edx, 4);
	got = run_with(at, 0, i, memory);
	return alike(&got, &want) && memory[0] == expected[0] && memory[1] == expected[1];
}

static void one_form(const struct form *f, u8 *at)
{
	bool ok = true;

	memcpy(at, f->code, f->len);
	put_done(at + f->len);
	memcpy(reference, f->same, 4);
	put_done(reference + 4);
	for (u32 i = 0; i < RUNS && ok; i++)
		ok = one_run(f, at, i);
	report(ok, f->name);
}

/* The rest changes, too, sometimes together with the number. */
static void opcodes_change(void)
{
	static const struct {
		u8 opcode, same;
	} kinds[] = {{0x05, 0x01}, {0x2d, 0x29}, {0x35, 0x31}};
	u8 *at = page + 0x200;
	bool ok = true;

	put_done(at + 5);
	put_done(reference + 2);
	for (u32 i = 0; i < 4 * RUNS && ok; i++) {
		u32 k = i / 7 % 3, number = rewrite(at + 1, i), memory[2];
		struct context got, want;

		at[0] = kinds[k].opcode;
		reference[0] = kinds[k].same;
		reference[1] = 0xc8;
		got = run_with(at, 0, i, memory);
		want = run_with(reference, number, i, memory);
		ok = alike(&got, &want);
	}
	report(ok, "the instruction changes as well");
	for (u32 i = 0; i < 4 * RUNS && ok; i++) { /* mov $n,%eax and four bytes, of which one is inc or dec */
		u32 memory[2];
		struct context got;

		at[0] = 0xb8;
		memcpy(at + 1, &i, 4);
		memset(at + 5, 0x90, 4);
		at[5 + i / 20 % 4] = i / 5 & 1 ? 0x48 : 0x40;
		put_done(at + 9);
		got = run_with(at, 0, i, memory);
		ok = got.vector == DONE && got.eax == (i / 5 & 1 ? i - 1 : i + 1);
	}
	report(ok, "the instructions behind it change");
}

/* mov $k,%eax; ret at 16 bytes each, called or jumped to from `at`. */
static void targets_change(u8 opcode, const char *name)
{
	u8 *at = page + 0x300, *to = page + 0x400;
	bool ok = true;

	for (u32 k = 0; k < 4; k++) {
		to[16 * k] = 0xb8;
		*(u32 *)(to + 16 * k + 1) = 100 + k;
		to[16 * k + 5] = 0xc3;
		if (opcode == 0xe9)
			put_done(to + 16 * k + 5);
	}
	at[0] = opcode;
	put_done(at + 5);
	for (u32 i = 0; i < 2 * RUNS && ok; i++) {
		u32 k = i * 7 / 3 % 4;
		struct context c = context_at(at);
		u32 esp = c.esp;

		*(u32 *)(at + 1) = (u32)(to + 16 * k) - (u32)(at + 5);
		run(&c);
		ok = c.vector == DONE && c.eax == 100 + k && (!user || c.esp == esp);
	}
	report(ok, name);
}

/* Code that changes numbers of its own. */
static void by_itself(void)
{
	u8 *at = page + 0x500;
	bool ok = true;

	/* movl $n, 1f+1; 1: mov $0, %eax */
	at[0] = 0xc7;
	at[1] = 0x05;
	*(u32 *)(at + 2) = (u32)(at + 11);
	at[10] = 0xb8;
	put_done(at + 15);
	for (u32 i = 0; i < RUNS && ok; i++) {
		struct context c = context_at(at);

		*(u32 *)(at + 6) = i * 77;
		run(&c);
		ok = c.vector == DONE && c.eax == i * 77;
	}
	report(ok, "an instruction writes the number of the next");
	/* addl $n, its own number */
	at[0] = 0x81;
	at[1] = 0x05;
	*(u32 *)(at + 2) = (u32)(at + 6);
	*(u32 *)(at + 6) = 3;
	put_done(at + 10);
	for (u32 i = 0; i < 28 && ok; i++) {
		struct context c = context_at(at);

		run(&c);
		ok = c.vector == DONE && *(u32 *)(at + 6) == 3u << (i + 1);
	}
	report(ok, "an instruction doubles its own number");
}

/* In a loop, without the monitor seeing each entry: the number of the loop's body changes each time around. */
static void in_a_loop(void)
{
	static const u8 loop[] = {
		0xb9, 0xe8, 3, 0, 0,  /* mov $1000, %ecx */
		0x31, 0xc0,           /* xor %eax, %eax */
		0xeb, 0,              /* 1: jmp 2f */
		0x05, 1, 0, 0, 0,     /* 2: add $1, %eax */
		0xff, 0x05, NUMBER,   /* incl 2b+1 */
		0xe2, 0xf1,           /* loop 1b */
	};
	u8 *at = page + 0x600;
	struct context c;

	memcpy(at, loop, sizeof(loop));
	*(u32 *)(at + 16) = (u32)(at + 10);
	put_done(at + sizeof(loop));
	c = context_at(at);
	run(&c);
	check_eq(c.eax, 1000 * 1001 / 2, "a loop that changes its number each time");
}

static void all(void)
{
	wear_out();
	for (u32 i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		one_form(&forms[i], page + 0x100);
	one_form(&forms[0], page + 4096 - 3);
	opcodes_change();
	targets_change(0xe8, "the target of a call changes");
	targets_change(0xe9, "the target of a jump changes");
	by_itself();
	in_a_loop();
}

void guest_main(void)
{
	all();
	user = true;
	all();
}
