/* Every emitter, decoded back by Capstone: the text must be what was asked for. */
#include "bench.h"

#include "translator/disasm.h"
#include "translator/emit.h"

#include <stdio.h>
#include <string.h>

static uint8_t buf[64];
static struct emit e;

static struct emit *begin(void)
{
	memset(buf, 0xcc, sizeof(buf));
	e = (struct emit){buf, 0, sizeof(buf), false};
	return &e;
}

/* Exactly one instruction, of this text. */
static void expect(const char *want)
{
	char text[200];
	unsigned n = disasm_one(true, buf, e.len, 0, text, sizeof(text));

	assert_string_equal(text, want);
	assert_int_equal(n, e.len);
	assert_false(e.overflow);
}

static void test_named(void **state)
{
	emit_load32(begin(), H_RAX, cpu_mem(CPU_EFLAGS)), expect("mov eax, dword ptr [r15 + 0x88]");
	emit_load32(begin(), H_R10, tcx_mem(TCX_TMP)), expect("mov r10d, dword ptr [r14 + 0x88]");
	emit_load64(begin(), H_R8, tcx_mem(TCX_WINDOW)), expect("mov r8, qword ptr [r14 + 0x18]");
	emit_store32(begin(), guest_mem(H_RSP, -4), H_RBX), expect("mov dword ptr gs:[esp - 4], ebx");
	emit_store16(begin(), guest_mem(H_RSP, -2), H_RSI), expect("mov word ptr gs:[esp - 2], si");
	emit_load16zx(begin(), H_R8, cpu_mem(CPU_SEG + CPU_SEG_SEL)), expect("movzx r8d, word ptr [r15 + 0x9c]");
	emit_store32_imm(begin(), guest_mem(H_RSP, -4), 0x12345678),
		expect("mov dword ptr gs:[esp - 4], 0x12345678");
	emit_store8_imm(begin(), cpu_mem(CPU_EFLAGS + 1), 2), expect("mov byte ptr [r15 + 0x89], 2");
	emit_mov32(begin(), H_RBP, H_R8), expect("mov ebp, r8d");
	emit_mov64(begin(), H_R9, H_RCX), expect("mov r9, rcx");
	emit_imm32(begin(), H_R9, 0x80000000), expect("mov r9d, 0x80000000");
	emit_imm32(begin(), H_RDX, 7), expect("mov edx, 7");
	emit_lea32(begin(), H_RSP, guest_mem(H_RSP, 4)), expect("lea esp, [rsp + 4]");
	emit_lea64(begin(), H_RDI, (struct xmem){H_R8, H_RDI, 1, false, 0}), expect("lea rdi, [r8 + rdi]");
	emit_jmp_mem(begin(), tcx_mem(TCX_STUB_EXIT)), expect("jmp qword ptr [r14 + 0x30]");
	emit_jmp_mem(begin(), (struct xmem){H_IBTC, H_R9, 8, false, 0}), expect("jmp qword ptr [r13 + r9*8]");
}

static void test_branches(void **state)
{
	size_t at;

	at = emit_jmp32(begin());
	emit_patch32(&e, at, 0x25);
	expect("jmp 0x25");
	at = emit_jcc32(begin(), 5);
	emit_patch32(&e, at, 6);
	expect("jne 6");
	at = emit_jrcxz(begin());
	emit_patch8(&e, at, 0x12);
	expect("jrcxz 0x12");
	at = emit_lea_rip(begin(), H_R9);
	emit_patch32(&e, at, 0x17);
	expect("lea r9, [rip + 0x10]");
}

static const char *const names32[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi",
				      "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"};

static void displacement(char *out, size_t n, bool any, int32_t disp)
{
	uint32_t u = disp < 0 ? 0u - (uint32_t)disp : (uint32_t)disp;

	if (!any)
		snprintf(out, n, u > 9 ? "%#x" : "%u", (uint32_t)disp);
	else if (!disp)
		out[0] = '\0';
	else
		snprintf(out, n, u > 9 ? " %c %#x" : " %c %u", disp < 0 ? '-' : '+', u);
}

/* Every base, index, scale and displacement size in the window form. */
static void check_window(int base, int index, unsigned scale, int32_t disp)
{
	char want[200], d[32], i[32] = "";

	displacement(d, sizeof(d), base != H_NONE || index != H_NONE, disp);
	if (index != H_NONE)
		snprintf(i, sizeof(i), scale > 1 ? "%s%s*%u" : "%s%s", base == H_NONE ? "" : " + ", names32[index],
			 scale);
	snprintf(want, sizeof(want), "add dword ptr gs:[%s%s%s], edx", base == H_NONE ? "" : names32[base], i, d);
	emit_rm(begin(), 0x01, H_RDX, (struct xmem){(int8_t)base, (int8_t)index, (uint8_t)scale, true, disp});
	assert_int_equal(buf[0], 0x65);
	assert_int_equal(buf[1], 0x67);
	expect(want);
}

static void test_addressing(void **state)
{
	static const int32_t disps[] = {0, 1, -1, 127, -128, 128, -129, 0x7fffffff};

	for (int base = H_RAX; base <= H_R12; base++) {
		for (unsigned d = 0; d < ARRAY_LEN(disps); d++) {
			check_window(base, H_NONE, 1, disps[d]);
			for (int index = H_RAX; index <= H_R12; index++)
				for (unsigned scale = 1; scale <= 8 && index != H_RSP; scale *= 2)
					check_window(base, index, scale, disps[d]);
		}
	}
}

/* Without a base the SIB form is taken, never RIP-relative. */
static void test_absolute(void **state)
{
	emit_load32(begin(), H_RAX, guest_mem(H_NONE, 0x1234)), expect("mov eax, dword ptr gs:[0x1234]");
	emit_load32(begin(), H_RAX, (struct xmem){H_NONE, H_RCX, 4, true, 0x1234}),
		expect("mov eax, dword ptr gs:[ecx*4 + 0x1234]");
}

static void test_overflow(void **state)
{
	begin();
	e.cap = 20; /* the longest instruction there is would fit behind this one */
	emit_imm32(&e, H_RAX, 1);
	assert_false(e.overflow);
	emit_imm32(&e, H_RAX, 1);
	assert_false(e.overflow);
	emit_rr(&e, 0x89, H_RAX, H_RCX);
	assert_true(e.overflow);
	emit_u8(&e, 0x90);
	assert_int_equal(e.len, 10);
	assert_int_equal(buf[10], 0xcc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named),      cmocka_unit_test(test_branches),
		cmocka_unit_test(test_addressing), cmocka_unit_test(test_absolute),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
