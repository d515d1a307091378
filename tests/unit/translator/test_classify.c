/*
 * Every encoding whose execution by translated code would be privileged, would show or change host state, or would mean
 * something else in 64-bit mode must have a row that keeps it from being copied.
 */
#include "bench.h"

#include "translator/classify.h"

#include <string.h>

static const struct {
	const char *what;
	uint8_t code[4];
	unsigned len;
} sensitive[] = {
#define S(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})
	{"push es", S(0x06)}, {"pop es", S(0x07)}, {"push cs", S(0x0e)}, {"pop ds", S(0x1f)},
	{"daa", S(0x27)}, {"aaa", S(0x37)}, {"push eax", S(0x50)}, {"pop eax", S(0x58)},
	{"pusha", S(0x60)}, {"popa", S(0x61)}, {"bound", S(0x62, 0x01)}, {"arpl", S(0x63, 0xc8)},
	{"ins", S(0x6c)}, {"outs", S(0x6f)}, {"jcc", S(0x74, 0)}, {"call far", S(0x9a, 0, 0, 0)},
	{"pushf", S(0x9c)}, {"popf", S(0x9d)}, {"movs", S(0xa4)}, {"cmps", S(0xa6)}, {"stos", S(0xaa)},
	{"lods", S(0xac)}, {"scas", S(0xae)}, {"ret n", S(0xc2, 4, 0)}, {"ret", S(0xc3)},
	{"les", S(0xc4, 0x01)}, {"lds", S(0xc5, 0x01)}, {"enter", S(0xc8, 0, 0, 0)}, {"leave", S(0xc9)},
	{"retf", S(0xcb)}, {"int3", S(0xcc)}, {"int", S(0xcd, 0x80)}, {"into", S(0xce)}, {"iret", S(0xcf)},
	{"aam", S(0xd4, 10)}, {"aad", S(0xd5, 10)}, {"salc", S(0xd6)}, {"xlat", S(0xd7)},
	{"fldenv", S(0xd9, 0x21)}, {"fnstenv", S(0xd9, 0x31)}, {"frstor", S(0xdd, 0x21)},
	{"fnsave", S(0xdd, 0x31)}, {"loop", S(0xe2, 0)}, {"jecxz", S(0xe3, 0)}, {"in", S(0xe4, 0x60)},
	{"out", S(0xe6, 0x60)}, {"call", S(0xe8, 0, 0, 0)}, {"jmp", S(0xeb, 0)}, {"in dx", S(0xec)},
	{"out dx", S(0xef)}, {"int1", S(0xf1)}, {"hlt", S(0xf4)}, {"cli", S(0xfa)}, {"sti", S(0xfb)},
	{"call ind", S(0xff, 0xd0)}, {"jmp ind", S(0xff, 0xe0)}, {"push ind", S(0xff, 0xf0)},
	{"sldt", S(0x0f, 0x00, 0xc0)}, {"str", S(0x0f, 0x00, 0xc8)}, {"lldt", S(0x0f, 0x00, 0xd0)},
	{"ltr", S(0x0f, 0x00, 0xd8)}, {"verr", S(0x0f, 0x00, 0xe0)}, {"verw", S(0x0f, 0x00, 0xe8)},
	{"sgdt", S(0x0f, 0x01, 0x01)}, {"sidt", S(0x0f, 0x01, 0x09)}, {"lgdt", S(0x0f, 0x01, 0x11)},
	{"lidt", S(0x0f, 0x01, 0x19)}, {"smsw", S(0x0f, 0x01, 0xe0)}, {"lmsw", S(0x0f, 0x01, 0xf0)},
	{"invlpg", S(0x0f, 0x01, 0x39)}, {"monitor", S(0x0f, 0x01, 0xc8)}, {"mwait", S(0x0f, 0x01, 0xc9)},
	{"xgetbv", S(0x0f, 0x01, 0xd0)}, {"rdtscp", S(0x0f, 0x01, 0xf9)}, {"vmcall", S(0x0f, 0x01, 0xc1)},
	{"lar", S(0x0f, 0x02, 0xc1)}, {"lsl", S(0x0f, 0x03, 0xc1)}, {"syscall", S(0x0f, 0x05)},
	{"clts", S(0x0f, 0x06)}, {"invd", S(0x0f, 0x08)}, {"wbinvd", S(0x0f, 0x09)}, {"ud2", S(0x0f, 0x0b)},
	{"wrmsr", S(0x0f, 0x30)}, {"rdtsc", S(0x0f, 0x31)}, {"rdmsr", S(0x0f, 0x32)}, {"rdpmc", S(0x0f, 0x33)},
	{"sysenter", S(0x0f, 0x34)}, {"sysexit", S(0x0f, 0x35)}, {"push fs", S(0x0f, 0xa0)},
	{"pop fs", S(0x0f, 0xa1)}, {"cpuid", S(0x0f, 0xa2)}, {"push gs", S(0x0f, 0xa8)}, {"rsm", S(0x0f, 0xaa)},
	{"fxsave", S(0x0f, 0xae, 0x01)}, {"fxrstor", S(0x0f, 0xae, 0x09)}, {"xsave", S(0x0f, 0xae, 0x21)},
	{"xrstor", S(0x0f, 0xae, 0x29)}, {"clflush", S(0x0f, 0xae, 0x39)}, {"lss", S(0x0f, 0xb2, 0x01)},
	{"lfs", S(0x0f, 0xb4, 0x01)}, {"lgs", S(0x0f, 0xb5, 0x01)}, {"rdrand", S(0x0f, 0xc7, 0xf0)},
	{"rdseed", S(0x0f, 0xc7, 0xf8)}, {"xbegin", S(0xc7, 0xf8, 0, 0)}, {"rdpid", S(0xf3, 0x0f, 0xc7, 0xf8)},
#undef S
};

static bool copied(const struct tinsn *t)
{
	return t->action == ACT_IDENT || t->action == ACT_NOP;
}

static void test_sensitive_have_rows(void **state)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_LEN(sensitive); i++) {
		uint8_t code[16] = {0};
		struct tinsn t;

		memcpy(code, sensitive[i].code, sensitive[i].len);
		if (!decode(&t, code, sizeof(code), AT_CODE) || !copied(&t))
			continue;
		print_error("%s would be copied\n", sensitive[i].what);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* By the decoder's own knowledge: nothing privileged, no far branch, no implicit memory operand is copied. */
static bool dangerous(const struct tinsn *t)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	if (t->z.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED || t->z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return true;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, t->bytes, 15, &z, op)))
		return false;
	for (unsigned i = 0; i < z.operand_count; i++) {
		if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && op[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
		    t->z.mnemonic != ZYDIS_MNEMONIC_MASKMOVQ && t->z.mnemonic != ZYDIS_MNEMONIC_MASKMOVDQU)
			return true;
		if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && op[i].visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
		    (ZydisRegisterGetClass(op[i].reg.value) == ZYDIS_REGCLASS_SEGMENT ||
		     ZydisRegisterGetClass(op[i].reg.value) == ZYDIS_REGCLASS_CONTROL ||
		     ZydisRegisterGetClass(op[i].reg.value) == ZYDIS_REGCLASS_DEBUG))
			return true;
	}
	return false;
}

static unsigned walk_map(unsigned map, uint8_t prefix)
{
	unsigned wrong = 0;

	for (unsigned op = 0; op < 256; op++) {
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			uint8_t code[20] = {0};
			struct tinsn t;
			unsigned n = 0;

			if (prefix)
				code[n++] = prefix;
			if (map)
				code[n++] = 0x0f;
			if (map > 1)
				code[n++] = map == 2 ? 0x38 : 0x3a;
			code[n++] = (uint8_t)op;
			code[n] = (uint8_t)modrm;
			if (!decode(&t, code, 15, AT_CODE) || !copied(&t) || !dangerous(&t))
				continue;
			print_error("copied: prefix %02x map %u opcode %02x modrm %02x\n", prefix, map, op, modrm);
			wrong++;
		}
	}
	return wrong;
}

static void test_all_opcodes(void **state)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};

	for (unsigned map = 0; map < 4; map++)
		for (unsigned p = 0; p < sizeof(prefixes); p++)
			assert_int_equal(walk_map(map, prefixes[p]), 0);
}

static void test_texts(void **state)
{
	for (unsigned why = WHY_NONE; why <= WHY_POINTERS; why++)
		assert_string_not_equal(classify_why_text(why), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sensitive_have_rows),
		cmocka_unit_test(test_all_opcodes),
		cmocka_unit_test(test_texts),
	};

	decode_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
