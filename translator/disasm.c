#include "translator/disasm.h"

#include <capstone/capstone.h>

static csh decoder(enum disasm_mode mode, enum disasm_syntax syntax)
{
	static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
	static csh handle[3][2];
	static bool open[3][2];

	if (!open[mode][syntax] && cs_open(CS_ARCH_X86, modes[mode], &handle[mode][syntax]) == CS_ERR_OK) {
		open[mode][syntax] = true;
		if (syntax == DISASM_ATT)
			cs_option(handle[mode][syntax], CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
	}
	return open[mode][syntax] ? handle[mode][syntax] : 0;
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
