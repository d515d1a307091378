#include "translator/disasm.h"

#include <capstone/capstone.h>

static csh decoder(bool host)
{
	static csh handle[2];
	static bool open[2];

	if (!open[host])
		open[host] = cs_open(CS_ARCH_X86, host ? CS_MODE_64 : CS_MODE_32, &handle[host]) == CS_ERR_OK;
	return open[host] ? handle[host] : 0;
}

unsigned disasm_one(bool host, const uint8_t *code, size_t len, uint64_t address, char *text, size_t textlen)
{
	csh handle = decoder(host);
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
