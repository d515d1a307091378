#include "translator/disasm.h"

#include <capstone/capstone.h>
#include <string.h>

static csh handles[3][2];
static bool opened[3][2];

/* ---- a heap of our own ---- */

/*
 * Each disassembled instruction is allocated, shrunk and freed before the next one: a stack is enough. Blocks have their
 * size before them, so that realloc can copy.
 */
static _Alignas(16) uint8_t arena[256 * 1024];
static size_t arena_used, arena_last;
enum { ARENA_HEAD = 16 };

static void *arena_malloc(size_t n)
{
	size_t need = (n + ARENA_HEAD + 15) & ~(size_t)15;

	if (n > sizeof(arena) || arena_used + need > sizeof(arena))
		return NULL;
	arena_last = arena_used;
	arena_used += need;
	memcpy(arena + arena_last, &n, sizeof(n));
	return arena + arena_last + ARENA_HEAD;
}

static void *arena_calloc(size_t n, size_t size)
{
	void *p = size && n > sizeof(arena) / size ? NULL : arena_malloc(n * size);

	return p ? memset(p, 0, n * size) : NULL;
}

static void arena_free(void *p)
{
	if (p && (uint8_t *)p == arena + arena_last + ARENA_HEAD)
		arena_used = arena_last;
}

static void *arena_realloc(void *p, size_t n)
{
	size_t old = 0;
	void *q;

	if (p)
		memcpy(&old, (uint8_t *)p - ARENA_HEAD, sizeof(old));
	arena_free(p);
	q = arena_malloc(n);
	return q && p ? memmove(q, p, old < n ? old : n) : q;
}

static bool heapless;

void disasm_without_heap(void)
{
	cs_opt_mem mem = {arena_malloc, arena_calloc, arena_realloc, arena_free, vsnprintf};

	if (heapless)
		return;
	heapless = true;
	cs_option(0, CS_OPT_MEM, (size_t)(uintptr_t)&mem);
	memset(opened, 0, sizeof(opened));
}

/* ---- disassembling ---- */

static csh decoder(enum disasm_mode mode, enum disasm_syntax syntax)
{
	static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};

	if (!opened[mode][syntax] && cs_open(CS_ARCH_X86, modes[mode], &handles[mode][syntax]) == CS_ERR_OK) {
		opened[mode][syntax] = true;
		if (syntax == DISASM_ATT)
			cs_option(handles[mode][syntax], CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
	}
	return opened[mode][syntax] ? handles[mode][syntax] : 0;
}

unsigned disasm_guest(enum disasm_mode mode, enum disasm_syntax syntax, const uint8_t *code, size_t len,
		      uint64_t address, char *text, size_t textlen)
{
	csh handle = decoder(mode, syntax);
	cs_insn *in;
	unsigned size;

	if (!handle || cs_disasm(handle, code, len, address, 1, &in) != 1) {
		snprintf(text, textlen, "(bad)");
		return 0;
	}
	snprintf(text, textlen, "%s%s%s", in->mnemonic, in->op_str[0] ? " " : "", in->op_str);
	size = in->size;
	cs_free(in, 1);
	return size;
}

unsigned disasm_one(bool host, const uint8_t *code, size_t len, uint64_t address, char *text, size_t textlen)
{
	return disasm_guest(host ? DISASM_64 : DISASM_32, DISASM_INTEL, code, len, address, text, textlen);
}

void disasm_print(FILE *f, const char *indent, bool host, const uint8_t *code, size_t len, uint64_t address)
{
	char text[256];

	for (size_t at = 0; at < len;) {
		unsigned n = disasm_one(host, code + at, len - at, address + at, text, sizeof(text));

		n = n ? n : 1;
		fprintf(f, "%s%08llx  ", indent, (unsigned long long)(address + at));
		for (unsigned i = 0; i < 12; i++)
			if (i < n)
				fprintf(f, "%02x", code[at + i]);
			else
				fputs("  ", f);
		fprintf(f, "  %s\n", text);
		at += n;
	}
}
