/*
 * The verifier accepts what the translator makes of every encoding, and refuses each kind of violation.
 */
#include "bench.h"
#include "program.h"

#include "translator/counts.h"
#include "translator/disasm.h"

#include <stdio.h>
#include <string.h>

static const struct bench_options small = {.tc_size = 4 << 20};

/* ------------------------------------ everything the translator emits ------------------------------------ */

static unsigned checked, refused;

static bool counted(const uint8_t *code, size_t len, uint32_t mode, ccf_id counter, char *err, size_t errlen)
{
	const struct verify_rights rights = {.counter = counter};

	return verify_with(code, len, mode, &rights, err, errlen);
}

static void check_translation(struct bench *b, const uint8_t *guest, unsigned len)
{
	unsigned host_len;
	const uint8_t *host = bench_translate(b, guest, len, &host_len);
	char err[512];

	ccf_id counter = host && counts_on(b->tc) ? cache_owner(b->tc, (uintptr_t)host) : 0;

	checked++;
	if (!host || counted(host, host_len, b->tc->mode, counter, err, sizeof(err)))
		return;
	if (refused++ >= 20)
		return;
	disasm_print(stderr, "guest ", false, guest, len > 24 ? 16 : len, AT_CODE);
	print_error("%s, in:", err);
	for (unsigned i = 0; i < 16 && i < len; i++)
		print_error(" %02x", guest[i]);
	print_error("\n");
}

static void all_modrm(struct bench *b, uint8_t *code, unsigned n)
{
	/* [ecx], [disp32], [base+index*scale+disp8], [ebp+disp32], two registers */
	static const uint8_t mods[] = {0x01, 0x05, 0x44, 0x85, 0xc0, 0xc6};

	for (unsigned m = 0; m < sizeof(mods); m++) {
		for (unsigned reg = 0; reg < 8; reg++) {
			code[n] = mods[m] | (uint8_t)(reg << 3);
			memset(code + n + 1, 0x11, 11);
			memset(code + n + 12, 0xf4, 11);
			if ((mods[m] & 0xc7) == 0x44)
				code[n + 1] = 0x91; /* ecx + edx*4 */
			check_translation(b, code, n + 23);
		}
	}
}

static void all_encodings(struct bench *b)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3, 0xf0, 0x64};

	for (unsigned p = 0; p < sizeof(prefixes); p++) {
		for (unsigned map = 0; map < 4; map++) {
			for (unsigned op = 0; op < 256; op++) {
				uint8_t code[40] = {0};
				unsigned n = 0;

				if (prefixes[p])
					code[n++] = prefixes[p];
				if (map)
					code[n++] = 0x0f;
				if (map > 1)
					code[n++] = map == 2 ? 0x38 : 0x3a;
				code[n++] = (uint8_t)op;
				all_modrm(b, code, n);
			}
		}
	}
}

static void test_accepts_all_encodings(void **state)
{
	struct bench b;

	bench_open(&b, &small);
	all_encodings(&b);
	bench_reset(&b, true);
	b.extra_mode = MODE_LOOKUP;
	all_encodings(&b);
	bench_close(&b);
	print_message("%u translations\n", checked);
	assert_int_equal(refused, 0);
}

/* Prefixes in any number and order before any opcode. */
static void test_accepts_prefix_soup(void **state)
{
	static const uint8_t prefixes[] = {0x66, 0xf2, 0xf3, 0xf0, 0x64, 0x2e, 0x3e, 0x67};
	struct program r = {.rng = 12345};
	struct bench b;

	bench_open(&b, &small);
	for (unsigned i = 0; i < 100000; i++) {
		uint8_t code[64];
		unsigned n = 0, many = program_random(&r) % 12;

		memset(code, 0xf4, sizeof(code));
		while (many--)
			code[n++] = prefixes[program_random(&r) % sizeof(prefixes)];
		if (program_random(&r) & 1)
			code[n++] = 0x0f;
		for (unsigned k = 0; k < 12; k++)
			code[n++] = (uint8_t)program_random(&r);
		check_translation(&b, code, sizeof(code));
	}
	bench_close(&b);
	assert_int_equal(refused, 0);
}

static void test_accepts_user_mode(void **state)
{
	static struct program p;
	struct bench b;

	bench_open(&b, &small);
	bench_reset(&b, true);
	for (unsigned seed = 0; seed < 2000; seed++) {
		program_make(&p, seed, AT_CODE, 10);
		check_translation(&b, p.code, p.len);
	}
	bench_close(&b);
	assert_int_equal(refused, 0);
}

static void test_accepts_counting(void **state)
{
	const struct bench_options counting = {.tc_size = 4 << 20, .counts = true};
	static struct program p;
	struct bench b;

	bench_open(&b, &counting);
	for (unsigned seed = 0; seed < 2000; seed++) {
		bench_reset(&b, seed & 1);
		b.extra_mode = seed & 2 ? MODE_LOOKUP : 0;
		program_make(&p, seed, AT_CODE, 10);
		check_translation(&b, p.code, p.len);
	}
	bench_close(&b);
	assert_int_equal(refused, 0);
}

/* ------------------------------------ violations ------------------------------------ */

#define END 0x41, 0xb9, 1, 0, 0, 0, 0x41, 0xff, 0x66, TCX_STUB_EXIT /* mov r9d, 1; jmp [r14 + exit] */
#define ISLAND 0x4c, 0x89, 0xc9, 0x41, 0xff, 0x66, TCX_STUB_MISS /* mov rcx, r9; jmp [r14 + miss] */
#define CODE(...) {__VA_ARGS__, END}, sizeof((uint8_t[]){__VA_ARGS__, END})

/* The byte at [ecx] in the table of pages to read, with the displacement of the second array. */
#define LOOK_UP_BYTE(...)                                                                           \
	0x44, 0x8d, 0x01, 0xc4, 0x42, 0x1b, 0xf7, 0xd8, 0x45, 0x0f, 0xb7, 0xd3, 0x49, 0x89, 0xc9, 0x43, \
		0x8b, 0x4c, 0x94, 0xf4, 0x42, 0x8d, 0x0c, 0x19, 0xe3, 0x08, 0x4c, 0x89, 0xc9, 0xe9,     \
		0x0f, 0, 0, 0, 0x4c, 0x89, 0xc9, 0x4f, 0x8b, 0x94, 0xd4, __VA_ARGS__, 0x00

static const struct {
	const char *what;
	uint8_t code[64];
	unsigned len;
	const char *rule; /* part of the message */
} bad[] = {
	{"load without prefixes", CODE(0x8b, 0x01), "no GS prefix"},
	{"load without 67", CODE(0x65, 0x8b, 0x01), "64-bit address"},
	{"load without 65", CODE(0x67, 0x8b, 0x01), "no GS prefix"},
	{"FS instead of GS", CODE(0x64, 0x67, 0x8b, 0x01), "segment prefix"},
	{"GS overruled by FS", CODE(0x65, 0x64, 0x67, 0x8b, 0x01), "segment prefix"},
	{"base R15 in the window", CODE(0x65, 0x67, 0x41, 0x8b, 0x07), "host register"},
	{"EIP-relative", CODE(0x65, 0x67, 0x8b, 0x05, 0, 0, 0, 0), "host register"},
	{"store to cpu->cpl", CODE(0x41, 0xc6, 0x87, CPU_CPL, 0, 0, 0, 0), "no permitted field"},
	{"store to cpu->gpr", CODE(0x41, 0x89, 0x47, 0x08), "no permitted field"},
	{"store to a stub pointer", CODE(0x4d, 0x89, 0x46, TCX_STUB_EXIT), "no permitted field"},
	{"load of a stub pointer", CODE(0x4d, 0x8b, 0x46, TCX_STUB_EXIT), "no permitted field"},
	{"store to window", CODE(0x4d, 0x89, 0x46, TCX_WINDOW), "no permitted field"},
	{"store of segment base", CODE(0x41, 0x89, 0x87, CPU_SEG, 0, 0, 0), "no permitted field"},
	{"field with index", CODE(0x41, 0x8b, 0x44, 0x0e, TCX_TMP), "base and displacement"},
	{"ADD to a field", CODE(0x41, 0x01, 0x46, 0x60), "other than MOV"},
	{"other flags", CODE(0x41, 0xc6, 0x87, CPU_EFLAGS + 1, 0, 0, 0, 0x06), "flags other than IF"},
	{"IOPL raised", CODE(0x41, 0xc6, 0x87, CPU_EFLAGS + 1, 0, 0, 0, 0x32), "flags other than IF"},
	{"R13 written", CODE(0x41, 0xbd, 0, 0, 0, 0), "operand"},
	{"R14 written", CODE(0x49, 0x89, 0xc6), "operand"},
	{"R15 written", CODE(0x45, 0x31, 0xff), "operand"},
	{"R12 written", CODE(0x45, 0x31, 0xe4), "operand"},
	{"XCHG with R15", CODE(0x49, 0x87, 0xc7), "operand"},
	{"64-bit ADD", CODE(0x48, 0x01, 0xc8), "64-bit operation"},
	{"64-bit immediate", CODE(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8), "64-bit operation"},
	{"sign extension to 64", CODE(0x48, 0x63, 0xc8), "not on the list"},
	{"64-bit LEA to a guest register", CODE(0x48, 0x8d, 0x04, 0x08), "64-bit operation"},
	{"RSP written", CODE(0x48, 0x89, 0xc4), "64-bit operation"},
	{"RSP adjusted", CODE(0x48, 0x83, 0xc4, 0x08), "64-bit operation"},
	{"host stack outside PUSHFD", CODE(0x49, 0x8b, 0x26), "outside of its sequence"},
	{"PUSHFQ alone", CODE(0x9c), "outside of its sequence"},
	{"PUSH", CODE(0x50), "other than R8"},
	{"POP", CODE(0x58), "POP"},
	{"POP R8 alone", CODE(0x41, 0x58), "outside of its sequence"},
	{"RET", CODE(0xc3), "not on the list"},
	{"CALL", CODE(0xe8, 0, 0, 0, 0), "not on the list"},
	{"CALL through a register", CODE(0xff, 0xd0), "not on the list"},
	{"JMP through a register", CODE(0xff, 0xe0), "through a register"},
	{"JMP through guest memory", CODE(0x65, 0x67, 0xff, 0x21), "unknown form"},
	{"JMP through an unknown field", CODE(0x41, 0xff, 0x66, TCX_TMP & 0x7f), "unknown memory"},
	{"JMP behind the table", CODE(0x41, 0xb8, 0, 0, 0, 0, 0x41, 0xff, 0xa5, 0, 0, 8, 0), "beside the branch"},
	{"JMP before the table", CODE(0x41, 0xb8, 0, 0, 0, 0, 0x41, 0xff, 0xa5, 0xf8, 0xff, 0xff, 0xff), "beside the branch"},
	{"JMP between the slots", CODE(0x41, 0xb8, 0, 0, 0, 0, 0x41, 0xff, 0xa5, 4, 0, 0, 0), "beside the branch"},
	{"table without index", CODE(0x43, 0xff, 0x64, 0xcd, 0), "outside of its sequence"},
	{"far JMP", CODE(0xff, 0x28), "not on the list"},
	{"branch out of the code", CODE(0xe9, 0, 1, 0, 0), "out of the code"},
	{"branch before the code", CODE(0xe9, 0xf0, 0xff, 0xff, 0xff), "out of the code"},
	{"branch into an instruction", CODE(0x0f, 0x84, 1, 0, 0, 0), "not an instruction"},
	{"branch into a sequence", CODE(0x0f, 0x84, 6, 0, 0, 0), "inside a sequence"},
	{"16-bit branch", CODE(0x66, 0xe9, 0, 0, 0, 0), ""},
	{"LOOPE by RCX", CODE(0xe1, 0), "count width"},
	{"LOOP by RCX", CODE(0xe2, 0), "without ECX saved"},
	{"LOOP to where there is no island", CODE(0x49, 0x89, 0xc9, 0xe2, 0xfb, 0x4c, 0x89, 0xc9), "does not lead"},
	{"LOOP beside the island", CODE(ISLAND, 0x49, 0x89, 0xc9, 0xe2, 0xfb, 0x4c, 0x89, 0xc9), "does not lead"},
	{"LOOP forward", CODE(ISLAND, 0x49, 0x89, 0xc9, 0xe2, 0x00, 0x4c, 0x89, 0xc9), "does not lead"},
	{"LOOP within a JRCXZ", CODE(ISLAND, 0x49, 0x89, 0xc9, 0xe3, 0x02, 0xe2, 0xf2, 0x4c, 0x89, 0xc9), "without ECX saved"},
	{"LOOP, ECX not restored", CODE(ISLAND, 0x49, 0x89, 0xc9, 0xe2, 0xf4, 0x90, 0x4c, 0x89, 0xc9), "broken off"},
	{"jump to the island", CODE(ISLAND, 0xeb, 0xf7), "inside a sequence"},
	{"island that goes on", CODE(0x4c, 0x89, 0xc9), "broken off"},
	{"JRCXZ without saving", CODE(0xe3, 0), "without ECX saved"},
	{"ECX restored from nowhere", CODE(0x90, 0x4c, 0x89, 0xc9), "without having been saved"},
	{"ECX not restored", CODE(0x49, 0x89, 0xc9), "R9 overwritten"},
	{"guest memory while ECX is borrowed", CODE(0x49, 0x89, 0xc9, 0x65, 0x67, 0x8b, 0x01), "borrowed"},
	{"string, not rebased", CODE(0xa4), "outside of its sequence"},
	{"string, one register rebased",
	 CODE(0x4d, 0x8b, 0x46, TCX_WINDOW, 0x49, 0x8d, 0x34, 0x30, 0xa4, 0x89, 0xf6), "not rebased"},
	{"string, not truncated",
	 CODE(0x4d, 0x8b, 0x46, TCX_WINDOW, 0x49, 0x8d, 0x3c, 0x38, 0xaa), "broken off"},
	{"string, one register truncated",
	 CODE(0x4d, 0x8b, 0x46, TCX_WINDOW, 0x49, 0x8d, 0x34, 0x30, 0x49, 0x8d, 0x3c, 0x38, 0xa4, 0x89, 0xf6),
	 "host address"},
	{"string through FS",
	 CODE(0x4d, 0x8b, 0x46, TCX_WINDOW, 0x49, 0x8d, 0x34, 0x30, 0x64, 0xac, 0x89, 0xf6), "segment prefix"},
	{"callout without a place to go on", CODE(0x41, 0xff, 0x66, TCX_STUB_INTERP), "outside of its sequence"},
	{"exit without its number", CODE(0x90, 0x41, 0xff, 0x66, TCX_STUB_EXIT), "outside of its sequence"},
	{"RDTSC that shows the host's", CODE(0x0f, 0x31), "broken off"},
	{"LEA that shows R15", CODE(0x41, 0x8d, 0x07), "host address"},
	{"LEA that shows RIP", CODE(0x8d, 0x05, 0, 0, 0, 0), "host address"},
	{"host memory without look-up", CODE(0x43, 0x8b, 0x04, 0x02), "outside of its sequence"},
	{"write to a page to read", CODE(LOOK_UP_BYTE(0xf4, 0xff, 0x07), 0x43, 0x88, 0x04, 0x02), "looked up for reading"},
	{"look-up in two tables", CODE(LOOK_UP_BYTE(0xf4, 0xff, 0x0f), 0x43, 0x8a, 0x04, 0x02), "another table"},
	{"beside the table", CODE(LOOK_UP_BYTE(0xfc, 0xff, 0x07), 0x43, 0x8a, 0x04, 0x02), ""},
	{"more than looked up", CODE(LOOK_UP_BYTE(0xf4, 0xff, 0x07), 0x43, 0x8b, 0x04, 0x02), "wider"},
	{"something between", CODE(LOOK_UP_BYTE(0xf4, 0xff, 0x07), 0x90, 0x43, 0x8a, 0x04, 0x02), "sequence"},
	{"retry inside an instruction", CODE(0x41, 0xbb, 0, 0, 0, 0, 0x4c, 0x8d, 0x0d, 0xfb, 0xff, 0xff, 0xff, 0x41, 0xba, 4, 0, 0, 0, 0x41, 0xff, 0x66, 0x78), "not an instruction"},
	{"system stub without a word", CODE(0x41, 0xb8, 0, 0, 0, 0, 0x4c, 0x8d, 0x0d, 0x0a, 0, 0, 0, 0x41, 0xba, 0, 0, 0, 0, 0x41, 0xff, 0x66, 0x58), "no known operation"},
	{"system stub, unknown word", CODE(0x41, 0xbb, 0xff, 0, 0, 0, 0x41, 0xb8, 0, 0, 0, 0, 0x4c, 0x8d, 0x0d, 0x0a, 0, 0, 0, 0x41, 0xba, 0, 0, 0, 0, 0x41, 0xff, 0x66, 0x58), "no known operation"},
	{"system stub, segment 6", CODE(0x41, 0xbb, 0, 6, 0, 0, 0x41, 0xb8, 0, 0, 0, 0, 0x4c, 0x8d, 0x0d, 0x0a, 0, 0, 0, 0x41, 0xba, 0, 0, 0, 0, 0x41, 0xff, 0x66, 0x58), "no known operation"},
	{"refill without EIP", CODE(0x4c, 0x8d, 0x0d, 0xf9, 0xff, 0xff, 0xff, 0x41, 0xba, 4, 0, 0, 0, 0x41, 0xff, 0x66, 0x78), "without its EIP"},
	{"callout without EIP", CODE(0x4c, 0x8d, 0x0d, 0xf9, 0xff, 0xff, 0xff, 0x41, 0xba, 4, 0, 0, 0, 0x41, 0xff, 0x66, 0x40), "sequence"},
	{"slot of the branch table read", CODE(0x4d, 0x8b, 0x45, 8), "no GS prefix"},
	{"MOV from DS", CODE(0x8c, 0xd8), "does not use"},
	{"MOV to DS", CODE(0x8e, 0xd8), "does not use"},
	{"MOV from CR0", CODE(0x0f, 0x20, 0xc0), ""},
	{"SYSCALL", CODE(0x0f, 0x05), "not on the list"},
	{"SYSENTER", CODE(0x0f, 0x34), "not on the list"},
	{"INT 80", CODE(0xcd, 0x80), "not on the list"},
	{"INT3", CODE(0xcc), "not on the list"},
	{"HLT", CODE(0xf4), "not on the list"},
	{"IN", CODE(0xe4, 0x60), "not on the list"},
	{"OUT", CODE(0xee), "not on the list"},
	{"CLI", CODE(0xfa), "not on the list"},
	{"STI", CODE(0xfb), "not on the list"},
	{"POPFQ", CODE(0x9d), "sequence"},
	{"any flags to POPFQ", CODE(0x49, 0x89, 0xe1, 0x49, 0x8b, 0x26, 0x41, 0x50, 0x9d, 0x4c, 0x89, 0xcc), "sequence"},
	{"TF to POPFQ", CODE(0x41, 0x81, 0xe0, 0xd5, 0x0d, 0, 0, 0x41, 0x81, 0xc8, 0x02, 0x02, 0, 0, 0x49, 0x89, 0xe1, 0x49, 0x8b, 0x26, 0x41, 0x50, 0x9d, 0x4c, 0x89, 0xcc), "sequence"},
	{"IRET", CODE(0xcf), "not on the list"},
	{"CPUID", CODE(0x0f, 0xa2), "not on the list"},
	{"RDTSCP", CODE(0x0f, 0x01, 0xf9), "not on the list"},
	{"XGETBV", CODE(0x0f, 0x01, 0xd0), "not on the list"},
	{"WRGSBASE", CODE(0xf3, 0x48, 0x0f, 0xae, 0xd8), "not on the list"},
	{"WRFSBASE", CODE(0xf3, 0x0f, 0xae, 0xd0), "not on the list"},
	{"SWAPGS", CODE(0x0f, 0x01, 0xf8), "not on the list"},
	{"SGDT", CODE(0x65, 0x67, 0x0f, 0x01, 0x01), "not on the list"},
	{"LGDT", CODE(0x65, 0x67, 0x0f, 0x01, 0x11), "not on the list"},
	{"SLDT", CODE(0x0f, 0x00, 0xc0), "not on the list"},
	{"SMSW", CODE(0x0f, 0x01, 0xe0), "not on the list"},
	{"LAR", CODE(0x0f, 0x02, 0xc1), "not on the list"},
	{"VERW", CODE(0x0f, 0x00, 0xe8), "not on the list"},
	{"FXSAVE", CODE(0x65, 0x67, 0x0f, 0xae, 0x01), "not on the list"},
	{"XSAVE", CODE(0x65, 0x67, 0x0f, 0xae, 0x21), "not on the list"},
	{"FNSTENV", CODE(0x65, 0x67, 0xd9, 0x31), "not on the list"},
	{"FNSAVE", CODE(0x65, 0x67, 0xdd, 0x31), "not on the list"},
	{"MASKMOVDQU", CODE(0x66, 0x0f, 0xf7, 0xc1), "not on the list"},
	{"XLAT", CODE(0x65, 0x67, 0xd7), "not on the list"},
	{"ENTER", CODE(0xc8, 0, 0, 0), "not on the list"},
	{"LEAVE", CODE(0xc9), "not on the list"},
	{"VEX", CODE(0xc5, 0xf8, 0x58, 0xc1), "not on the list"},
	{"EVEX", CODE(0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1), "not on the list"},
	{"RDRAND", CODE(0x0f, 0xc7, 0xf0), "not on the list"},
	{"XBEGIN", CODE(0xc7, 0xf8, 0, 0, 0, 0), "not on the list"},
	{"CMPXCHG16B", CODE(0x65, 0x67, 0x48, 0x0f, 0xc7, 0x09), ""},
	{"REPNE ADD", CODE(0xf2, 0x01, 0xc8), "without a meaning"},
	{"16-bit REPNE ADD", CODE(0x65, 0x67, 0x66, 0xf2, 0x01, 0x01), "without a meaning"},
	{"XMM8", CODE(0x44, 0x0f, 0x58, 0xc0), "does not use"},
};

static void test_refuses(void **state)
{
	static const uint8_t end[] = {END};
	static const uint8_t loop[] = {ISLAND, 0x49, 0x89, 0xc9, 0xe2, 0xf4, 0x4c, 0x89, 0xc9, END};
	static const uint8_t look_up[] = {LOOK_UP_BYTE(0xf4, 0xff, 0x07), 0x43, 0x8a, 0x04, 0x02, END};
	unsigned wrong = 0;
	char err[512];

	assert_true(verify_code(end, sizeof(end), MODE_CLI_OK | MODE_TSC_OK, err, sizeof(err)));
	assert_true(verify_code(loop, sizeof(loop), 0, err, sizeof(err)));
	assert_true(verify_code(look_up, sizeof(look_up), 0, err, sizeof(err)));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		bool ok = verify_code(bad[i].code, bad[i].len, MODE_CLI_OK | MODE_TSC_OK, err, sizeof(err));

		if (!ok && strstr(err, bad[i].rule))
			continue;
		print_error("%s: %s\n", bad[i].what, ok ? "accepted" : err);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_refuses_running_off(void **state)
{
	static const uint8_t code[] = {0x90}, cut[] = {0x41, 0xb9, 1};
	char err[512];

	assert_false(verify_code(code, sizeof(code), 0, err, sizeof(err)));
	assert_false(verify_code(cut, sizeof(cut), 0, err, sizeof(err)));
	assert_false(verify_code(code, 0, 0, err, sizeof(err)));
}

static void test_mode_rights(void **state)
{
	static const uint8_t cli[] = {0x41, 0xc6, 0x87, CPU_EFLAGS + 1, 0, 0, 0, 0, END};
	static const uint8_t tsc[] = {0x0f, 0x31, 0x41, 0x89, 0xd0, END};
	char err[512];

	assert_true(verify_code(cli, sizeof(cli), MODE_CLI_OK, err, sizeof(err)));
	assert_false(verify_code(cli, sizeof(cli), 0, err, sizeof(err)));
	assert_true(verify_code(tsc, sizeof(tsc), MODE_TSC_OK, err, sizeof(err)));
	assert_false(verify_code(tsc, sizeof(tsc), 0, err, sizeof(err)));
}

/* ------------------------------------ counting ------------------------------------ */

enum { COUNTER = 5 }; /* its counter is at 40 = 28h */

#define TABLE 0x4d, 0x8b, 0x86, TCX_COUNTS, 0, 0, 0 /* mov r8, [r14 + counts] */
#define LOAD 0x4d, 0x8b, 0x48, 0x28		     /* mov r9, [r8 + 28h] */
#define ADD 0x4d, 0x8d, 0x49, 0x01		     /* lea r9, [r9 + 1] */
#define STORE 0x4d, 0x89, 0x48, 0x28		     /* mov [r8 + 28h], r9 */
#define COUNT TABLE, LOAD, ADD, STORE

static const struct {
	const char *what;
	uint8_t code[64];
	unsigned len;
	const char *rule;
} bad_counting[] = {
	{"none", CODE(0x90), "does not count"},
	{"twice", CODE(COUNT, COUNT), "counts twice"},
	{"load of another", CODE(TABLE, 0x4d, 0x8b, 0x48, 0x30, ADD, STORE), "somebody else's"},
	{"store to another", CODE(TABLE, LOAD, ADD, 0x4d, 0x89, 0x48, 0x20), "somebody else's"},
	{"far beyond", CODE(TABLE, LOAD, ADD, 0x4d, 0x89, 0x88, 0x28, 0, 0, 0x40), "somebody else's"},
	{"before the table", CODE(TABLE, LOAD, ADD, 0x4d, 0x89, 0x48, 0xf8), "somebody else's"},
	{"between two", CODE(TABLE, LOAD, ADD, 0x4d, 0x89, 0x48, 0x29), "somebody else's"},
	{"two at once", CODE(TABLE, LOAD, 0x4d, 0x8d, 0x49, 0x02, STORE), "broken off"},
	{"something else", CODE(TABLE, LOAD, 0x4d, 0x8d, 0x08, STORE), "broken off"},
	{"not stored", CODE(TABLE, LOAD, ADD), "broken off"},
	{"not loaded", CODE(TABLE, ADD, STORE), "broken off"},
	{"no table", CODE(LOAD, ADD, STORE), "outside of its sequence"},
	{"the table's address shown", CODE(TABLE, 0x44, 0x89, 0xc0), "broken off"},
	{"a store behind it", CODE(COUNT, STORE), "outside of its sequence"},
	{"a load behind it", CODE(COUNT, LOAD), "outside of its sequence"},
	{"another field", CODE(0x4d, 0x8b, 0x46, TCX_COUNT, LOAD, ADD, STORE), "outside of its sequence"},
	{"a base that is not the table", CODE(TABLE, 0x4d, 0x8b, 0x4a, 0x28, ADD, STORE), "no GS prefix"},
	{"with an index", CODE(TABLE, LOAD, ADD, 0x4d, 0x89, 0x4c, 0x08, 0x28), "no GS prefix"},
	{"half of it", CODE(TABLE, LOAD, ADD, 0x45, 0x89, 0x48, 0x28), "no GS prefix"},
	{"from a guest register", CODE(TABLE, LOAD, ADD, 0x49, 0x89, 0x40, 0x28), "no GS prefix"},
	{"flags touched", CODE(TABLE, LOAD, 0x49, 0xff, 0xc1, STORE), "64-bit operation"},
	{"in memory", CODE(TABLE, 0x49, 0xff, 0x40, 0x28), "no GS prefix"},
	{"table replaced", CODE(0x4d, 0x89, 0x86, TCX_COUNTS, 0, 0, 0, COUNT), "no permitted field"},
	{"entered in the middle", CODE(0xeb, 0x07, COUNT), "inside a sequence"},
	{"while ECX is borrowed", CODE(0x49, 0x89, 0xc9, COUNT, 0x4c, 0x89, 0xc9), "R9 overwritten"},
};

static void test_counting(void **state)
{
	static const uint8_t good[] = {COUNT, END}, later[] = {0x90, COUNT, END};
	unsigned wrong = 0;
	char err[512];

	assert_true(counted(good, sizeof(good), 0, COUNTER, err, sizeof(err)));
	assert_true(counted(later, sizeof(later), 0, COUNTER, err, sizeof(err)));
	assert_false(counted(good, sizeof(good), 0, COUNTER + 1, err, sizeof(err)));
	assert_false(verify_code(good, sizeof(good), 0, err, sizeof(err)));
	assert_non_null(strstr(err, "should not"));
	for (size_t i = 0; i < ARRAY_LEN(bad_counting); i++) {
		bool ok = counted(bad_counting[i].code, bad_counting[i].len, 0, COUNTER, err, sizeof(err));

		if (!ok && strstr(err, bad_counting[i].rule))
			continue;
		print_error("%s: %s\n", bad_counting[i].what, ok ? "accepted" : err);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* ------------------------------------ numbers that C believes ------------------------------------ */

enum { UNIT = 7 };
#define EXIT(n) 0x41, 0xb9, (n) & 0xff, (n) >> 8, 0, 0, 0x41, 0xff, 0x66, TCX_STUB_EXIT
#define ALONE(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})
#define CHECK_OF(n) 0x41, 0xb8, 0, 0, 0, 0, 0x4c, 0x8d, 0x0d, 10, 0, 0, 0, 0x41, 0xba, n, 0, 0, 0, 0x41, 0xff, 0x66, TCX_STUB_CHECK

static void test_numbers(void **state)
{
	static const struct {
		uint8_t code[64];
		unsigned len;
		const char *rule; /* null: fine */
	} cases[] = {
		{ALONE(EXIT(UNIT * CCF_EXITS + 1)), NULL},
		{ALONE(EXIT(UNIT * CCF_EXITS + CCF_EXITS)), NULL},
		{ALONE(EXIT(UNIT * CCF_EXITS)), "somebody else's exit"},
		{ALONE(EXIT(UNIT * CCF_EXITS + CCF_EXITS + 1)), "somebody else's exit"},
		{ALONE(EXIT(0)), "somebody else's exit"},
		{ALONE(CHECK_OF(UNIT), EXIT(UNIT * CCF_EXITS + 1)), NULL},
		{ALONE(CHECK_OF(UNIT + 1), EXIT(UNIT * CCF_EXITS + 1)), "somebody else's source"},
	};
	static const struct verify_rights rights = {.unit = UNIT};
	char err[512];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool ok = verify_with(cases[i].code, cases[i].len, 0, &rights, err, sizeof(err));

		assert_int_equal(ok, !cases[i].rule);
		if (!ok)
			assert_non_null(strstr(err, cases[i].rule));
		/* nobody's code: any number */
		assert_true(verify_code(cases[i].code, cases[i].len, 0, err, sizeof(err)));
	}
}

/* ------------------------------------ the unit's source ------------------------------------ */

/* mov r8, source; 16 bytes are there */
#define SOURCE 0x49, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11
static const struct verify_rights reads_source = {.source = (const void *)0x1122334455667788, .source_len = 16};

static const struct {
	const char *what;
	uint8_t code[64];
	unsigned len;
	const char *rule; /* null: fine */
} source_cases[] = {
	{"first four bytes", CODE(SOURCE, 0x45, 0x8b, 0x18), NULL},
	{"last four bytes", CODE(SOURCE, 0x45, 0x8b, 0x58, 12), NULL},
	{"last byte", CODE(SOURCE, 0x45, 0x0f, 0xb6, 0x50, 15), NULL},
	{"into a guest register", CODE(SOURCE, 0x41, 0x8b, 0x40, 4), NULL},
	{"beyond the end", CODE(SOURCE, 0x45, 0x8b, 0x58, 13), "beside its source"},
	{"byte beyond the end", CODE(SOURCE, 0x45, 0x0f, 0xb6, 0x50, 16), "beside its source"},
	{"before it", CODE(SOURCE, 0x45, 0x8b, 0x58, 0xff), "beside its source"},
	{"far beyond", CODE(SOURCE, 0x45, 0x8b, 0x98, 0, 0, 0, 0x40), "beside its source"},
	{"eight bytes over the end", CODE(SOURCE, 0x4d, 0x8b, 0x58, 12), "beside its source"},
	{"another address", CODE(0x49, 0xb8, 0x89, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x45, 0x8b, 0x18), "not its source's"},
	{"in another register", CODE(0x49, 0xba, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x45, 0x8b, 0x1a), "64-bit"},
	{"in a guest register", CODE(0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11), "64-bit"},
	{"stored to", CODE(SOURCE, 0x45, 0x89, 0x18), "no GS prefix"},
	{"arithmetic on it", CODE(SOURCE, 0x45, 0x03, 0x18), "no GS prefix"},
	{"with an index", CODE(SOURCE, 0x47, 0x8b, 0x1c, 0x18), "no GS prefix"},
	{"two reads", CODE(SOURCE, 0x45, 0x8b, 0x18, 0x45, 0x8b, 0x50, 4), "outside of its sequence"},
	{"without the address", CODE(0x45, 0x8b, 0x18), "outside of its sequence"},
	{"the address shown", CODE(SOURCE, 0x44, 0x89, 0xc0), "broken off"},
	{"something between", CODE(SOURCE, 0x90, 0x45, 0x8b, 0x18), "broken off"},
	{"entered in the middle", CODE(0xeb, 10, SOURCE, 0x45, 0x8b, 0x18), "inside a sequence"},
};

static void test_source(void **state)
{
	static const uint8_t good[] = {SOURCE, 0x45, 0x8b, 0x18, END};
	unsigned wrong = 0;
	char err[512];

	assert_false(verify_code(good, sizeof(good), 0, err, sizeof(err)));
	for (size_t i = 0; i < ARRAY_LEN(source_cases); i++) {
		const char *rule = source_cases[i].rule;
		bool ok = verify_with(source_cases[i].code, source_cases[i].len, 0, &reads_source, err, sizeof(err));

		if (rule ? !ok && strstr(err, rule) : ok)
			continue;
		print_error("%s: %s\n", source_cases[i].what, ok ? "accepted" : err);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* ------------------------------------ mutations ------------------------------------ */

/* Real output in which one window prefix is spoilt must not pass. */
static unsigned spoil_prefixes(struct bench *b, const uint8_t *host, unsigned len)
{
	static const uint8_t instead[] = {0x64, 0x2e, 0x66, 0x90, 0xf2};
	uint8_t copy[CCF_MAX_BYTES];
	unsigned tried = 0;
	char err[512], text[200];

	for (unsigned at = 0, n; at < len; at += n) {
		n = disasm_one(true, host + at, len - at, at, text, sizeof(text));
		assert_int_not_equal(n, 0);
		if (host[at] != 0x65 || host[at + 1] != 0x67)
			continue;
		for (unsigned k = 0; k < 2 * sizeof(instead); k++) {
			memcpy(copy, host, len);
			copy[at + (k & 1)] = instead[k / 2];
			tried++;
			if (verify_code(copy, len, b->tc->mode, err, sizeof(err)))
				fail_msg("accepted with byte %u replaced by %02x: %s", at + (k & 1), instead[k / 2],
					 text);
		}
	}
	return tried;
}

static void test_mutations(void **state)
{
	static struct program p;
	unsigned tried = 0;
	struct bench b;

	bench_open(&b, &small);
	for (unsigned seed = 0; seed < 300; seed++) {
		const uint8_t *host;
		unsigned len;

		program_make(&p, seed, AT_CODE, 10);
		host = bench_translate(&b, p.code, p.len, &len);
		if (host)
			tried += spoil_prefixes(&b, host, len);
	}
	assert_true(tried > 1000);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_refuses_running_off),
		cmocka_unit_test(test_mode_rights),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_accepts_counting),
		cmocka_unit_test(test_accepts_user_mode),
		cmocka_unit_test(test_accepts_prefix_soup),
		cmocka_unit_test(test_accepts_all_encodings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
