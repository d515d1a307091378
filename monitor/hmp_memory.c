/* Human monitor: memory as numbers, characters and instructions. Devices are never read: that could change them. */
#include "monitor/hmp_internal.h"
#include "monitor/plain_file.h"
#include "translator/disasm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool intel_syntax;

/* Up to `len` readable bytes at the address. */
static unsigned peek(const struct vm *vm, uint64_t address, void *data, unsigned len, bool physical)
{
	if (!physical)
		return address > UINT32_MAX ? 0 : mmu_peek(vm->mmu, gva(address), data, len);
	unsigned done = 0;
	while (done < len) {
		unsigned n = PAGE_SIZE - ((address + done) & PAGE_MASK);
		n = n < len - done ? n : len - done;
		const void *p = physmap_host(vm->map, gpa(address + done), n);
		if (!p)
			break;
		memcpy((uint8_t *)data + done, p, n);
		done += n;
	}
	return done;
}

/* ---- instructions ---- */

void hmp_disas(struct hmp *h)
{
	char word[16];
	if (!hmp_take_word(h, word, sizeof(word)) || !hmp_take_end(h))
		return;
	if (!strcmp(word, "intel") || !strcmp(word, "att"))
		intel_syntax = !strcmp(word, "intel");
	else
		hmp_fail(h, "unknown syntax '%s': intel or att", word);
}

static void print_instruction(FILE *out, uint64_t address, const uint8_t *bytes, unsigned n,
			      const char *text)
{
	enum { PER_LINE = 8 };
	fprintf(out, "0x%08llx: ", (unsigned long long)address);
	for (unsigned i = 0; i < PER_LINE; i++) {
		if (i < n)
			fprintf(out, " %02x", bytes[i]);
		else
			fputs("   ", out);
	}
	size_t mnemonic = strcspn(text, " ");
	fprintf(out, "  %-8.*s %s\n", (int)mnemonic, text, text + mnemonic + (text[mnemonic] == ' '));
	if (n <= PER_LINE)
		return;
	fprintf(out, "0x%08llx: ", (unsigned long long)address + PER_LINE);
	for (unsigned i = PER_LINE; i < n; i++)
		fprintf(out, " %02x", bytes[i]);
	fputc('\n', out);
}

void hmp_disassemble(struct hmp *h, uint64_t address, unsigned count, bool physical)
{
	enum disasm_syntax syntax = intel_syntax ? DISASM_INTEL : DISASM_ATT;
	enum disasm_mode mode = cpu_code32(&h->vm->cpu) ? DISASM_32 : DISASM_16;
	while (count--) {
		uint8_t bytes[16];
		char text[160];
		unsigned got = peek(h->vm, address, bytes, 15, physical);
		if (!got) {
			fprintf(h->out, "0x%08llx:  Cannot access memory\n",
				(unsigned long long)address);
			return;
		}
		unsigned n = disasm_guest(mode, syntax, bytes, got, address, text, sizeof(text));
		n = n ? n : 1;
		print_instruction(h->out, address, bytes, n, text);
		address = physical ? address + n : (uint32_t)(address + n);
	}
}

/* ---- numbers ---- */

static void print_character(FILE *out, unsigned char c)
{
	static const char special[][3] = {"\nn", "\rr", "\tt", "\\\\", "''"};
	for (unsigned i = 0; i < ARRAY_LEN(special); i++) {
		if (c == (unsigned char)special[i][0]) {
			fprintf(out, "'\\%c'", special[i][1]);
			return;
		}
	}
	if (c >= 32 && c <= 126)
		fprintf(out, "'%c'", c);
	else
		fprintf(out, "'\\x%02x'", c);
}

static void print_value(FILE *out, const struct hmp_format *f, uint64_t v)
{
	unsigned bits = f->size * 8;
	int64_t s = (int64_t)(v << (64 - bits)) >> (64 - bits);
	int decimal = (int)((bits * 10 + 32) / 33);
	switch (f->format) {
	case 'o':
		fprintf(out, "%#*llo", (int)((bits + 2) / 3), (unsigned long long)v);
		break;
	case 'u':
		fprintf(out, "%*llu", decimal, (unsigned long long)v);
		break;
	case 'd':
		fprintf(out, "%*lld", decimal, (long long)s);
		break;
	case 'c':
		print_character(out, (unsigned char)v);
		break;
	default:
		fprintf(out, "0x%0*llx", (int)(bits / 4), (unsigned long long)v);
		break;
	}
}

enum { DUMP_MAX = 1 << 20 }; /* bytes of memory in one answer */

static void dump(struct hmp *h, const struct hmp_format *f, uint64_t address, bool physical)
{
	unsigned line = f->size == 1 ? 8 : 16;
	uint64_t left = (uint64_t)f->count * f->size;
	if (left > DUMP_MAX)
		left = DUMP_MAX;
	while (left) {
		uint8_t bytes[16];
		unsigned n = left < line ? (unsigned)left : line;
		fprintf(h->out, physical ? "%016llx:" : "%08llx:", (unsigned long long)address);
		if (peek(h->vm, address, bytes, n, physical) < n) {
			fputs(" Cannot access memory\n", h->out);
			return;
		}
		for (unsigned i = 0; i < n; i += f->size) {
			uint64_t v = 0;
			memcpy(&v, bytes + i, f->size);
			fputc(' ', h->out);
			print_value(h->out, f, v);
		}
		fputc('\n', h->out);
		address = physical ? address + n : (uint32_t)(address + n);
		left -= n;
	}
}

static void examine(struct hmp *h, bool physical)
{
	struct hmp_format f;
	uint64_t address;
	if (!hmp_take_format(h, &f) || !hmp_take_expression(h, &address) || !hmp_take_end(h))
		return;
	if (f.format == 'c')
		f.size = 1;
	if (f.format == 'i')
		hmp_disassemble(h, address, f.count < DUMP_MAX / 64 ? f.count : DUMP_MAX / 64, physical);
	else
		dump(h, &f, address, physical);
}

void hmp_x(struct hmp *h)
{
	examine(h, false);
}

void hmp_xp(struct hmp *h)
{
	examine(h, true);
}

void hmp_print(struct hmp *h)
{
	struct hmp_format f;
	uint64_t v;
	if (!hmp_take_format(h, &f) || !hmp_take_expression(h, &v) || !hmp_take_end(h))
		return;
	switch (f.format) {
	case 'o':
		fprintf(h->out, "%#llo", (unsigned long long)v);
		break;
	case 'x':
		fprintf(h->out, "%#llx", (unsigned long long)v);
		break;
	case 'u':
		fprintf(h->out, "%llu", (unsigned long long)v);
		break;
	case 'c':
		print_character(h->out, (unsigned char)v);
		break;
	default:
		fprintf(h->out, "%lld", (long long)v);
		break;
	}
	fputc('\n', h->out);
}

void hmp_gva2gpa(struct hmp *h)
{
	uint64_t address;
	struct walk walk;
	if (!hmp_take_expression(h, &address) || !hmp_take_end(h))
		return;
	if (address > UINT32_MAX || !mmu_walk_quiet(&h->vm->cpu, h->vm->map, gva(address), &walk))
		fputs("Unmapped\n", h->out);
	else
		fprintf(h->out, "gpa: %#llx\n", (unsigned long long)walk.gpa.v);
}

/* ---- files ---- */

static void save(struct hmp *h, bool physical)
{
	uint64_t address, size;
	char name[HMP_WORD_MAX];
	if (!hmp_take_expression(h, &address) || !hmp_take_expression(h, &size) ||
	    !hmp_take_word(h, name, sizeof(name)) || !hmp_take_end(h))
		return;
	const char *why;
	int fd = plain_file_create(name, &why);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!f) {
		fprintf(h->out, "Error: Could not open '%s': %s\n", name, fd < 0 ? why : strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	bool ok = true;
	uint64_t whole = size;
	while (size && ok) {
		uint8_t bytes[PAGE_SIZE];
		unsigned n = size < sizeof(bytes) ? (unsigned)size : (unsigned)sizeof(bytes);
		unsigned got = peek(h->vm, address, bytes, n, physical);
		if (got < n) {
			fprintf(h->out, "Error: Invalid addr 0x%016llx/size %llu specified\n",
				(unsigned long long)address + got, (unsigned long long)whole);
			break;
		}
		ok = fwrite(bytes, 1, n, f) == n;
		address += n;
		size -= n;
	}
	if (fclose(f) || !ok)
		fprintf(h->out, "Error: writing '%s' failed: %s\n", name, strerror(errno));
}

void hmp_memsave(struct hmp *h)
{
	save(h, false);
}

void hmp_pmemsave(struct hmp *h)
{
	save(h, true);
}
