/*
 * AML encoding (ACPI: "ACPI Machine Language (AML) Specification" and "Resource Data Types for
 * ACPI").
 *
 * A package length counts itself, and its own size depends on it: aml_end closes a construct by
 * moving its contents up by the length's size, which is known only then.
 */
#include "devices/aml.h"

#include <string.h>

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXTENDED = 0x5b,
	OP_DEVICE = 0x82,
};
enum {
	RES_IRQ = 0x22,
	RES_IO = 0x47,
	RES_END = 0x79,
	RES_DWORD_SPACE = 0x87,
	RES_WORD_SPACE = 0x88
};
enum { MIN_FIXED = 0x04, MAX_FIXED = 0x08 };

void aml_bytes(struct aml *a, const void *bytes, size_t n)
{
	if (n > a->size - a->len) {
		a->full = true;
		return;
	}
	memcpy(a->out + a->len, bytes, n);
	a->len += n;
}

void aml_byte(struct aml *a, uint8_t v)
{
	aml_bytes(a, &v, 1);
}

static void word(struct aml *a, uint16_t v)
{
	aml_byte(a, (uint8_t)v);
	aml_byte(a, (uint8_t)(v >> 8));
}

static void dword(struct aml *a, uint32_t v)
{
	word(a, (uint16_t)v);
	word(a, (uint16_t)(v >> 16));
}

void aml_name_string(struct aml *a, const char *name)
{
	if (*name == '\\')
		aml_byte(a, (uint8_t)*name++);
	for (unsigned i = 0; i < 4; i++)
		aml_byte(a, *name ? (uint8_t)*name++ : '_');
}

void aml_int(struct aml *a, uint32_t v)
{
	if (v <= 1) {
		aml_byte(a, (uint8_t)v); /* ZeroOp, OneOp */
	} else if (v <= 0xff) {
		aml_byte(a, OP_BYTE);
		aml_byte(a, (uint8_t)v);
	} else if (v <= 0xffff) {
		aml_byte(a, OP_WORD);
		word(a, (uint16_t)v);
	} else {
		aml_byte(a, OP_DWORD);
		dword(a, v);
	}
}

void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, OP_NAME);
	aml_name_string(a, name);
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits and four hexadecimal digits, stored with the bytes swapped. */
void aml_hid(struct aml *a, const char *id)
{
	uint32_t v = (uint32_t)(id[0] & 31) << 26 | (uint32_t)(id[1] & 31) << 21 |
		     (uint32_t)(id[2] & 31) << 16;

	for (unsigned i = 0; i < 4; i++)
		v |= hex_digit(id[3 + i]) << (12 - 4 * i);
	aml_name(a, "_HID");
	aml_byte(a, OP_DWORD);
	dword(a, __builtin_bswap32(v));
}

/* ---- constructs with a length ---- */

static aml_mark begin(struct aml *a, const uint8_t *op, size_t n)
{
	aml_bytes(a, op, n);
	return a->len;
}

aml_mark aml_scope(struct aml *a, const char *name)
{
	aml_mark mark = begin(a, (const uint8_t[]){OP_SCOPE}, 1);

	aml_name_string(a, name);
	return mark;
}

aml_mark aml_device(struct aml *a, const char *name)
{
	aml_mark mark = begin(a, (const uint8_t[]){OP_EXTENDED, OP_DEVICE}, 2);

	aml_name_string(a, name);
	return mark;
}

aml_mark aml_package(struct aml *a, uint8_t elements)
{
	aml_mark mark = begin(a, (const uint8_t[]){OP_PACKAGE}, 1);

	aml_byte(a, elements);
	return mark;
}

/* Insert bytes at a place already passed. */
static void insert(struct aml *a, aml_mark at, const uint8_t *bytes, size_t n)
{
	if (a->full || n > a->size - a->len) {
		a->full = true;
		return;
	}
	memmove(a->out + at + n, a->out + at, a->len - at);
	memcpy(a->out + at, bytes, n);
	a->len += n;
}

void aml_end(struct aml *a, aml_mark mark)
{
	size_t body = a->len - mark;

	if (body + 1 <= 0x3f) {
		insert(a, mark, (const uint8_t[]){(uint8_t)(body + 1)}, 1);
	} else {
		/* two or three bytes: the first holds the number of further ones and the low four
		 * bits */
		size_t extra = body + 2 <= 0xfff ? 1 : 2, total = body + 1 + extra;
		insert(a, mark,
		       (const uint8_t[]){(uint8_t)(extra << 6 | (total & 15)),
					 (uint8_t)(total >> 4), (uint8_t)(total >> 12)},
		       1 + extra);
	}
}

/* ---- resources ---- */

aml_mark aml_resources(struct aml *a)
{
	aml_name(a, "_CRS");
	return begin(a, (const uint8_t[]){OP_BUFFER}, 1);
}

void aml_resources_end(struct aml *a, aml_mark mark)
{
	aml_byte(a, RES_END);
	aml_byte(a, 0); /* checksum zero: not used */
	/* a buffer is its size, as an integer object, and the bytes */
	size_t n = a->len - mark;
	insert(a, mark, (const uint8_t[]){OP_WORD, (uint8_t)n, (uint8_t)(n >> 8)}, 3);
	aml_end(a, mark);
}

void aml_io(struct aml *a, uint16_t base, uint8_t length)
{
	aml_byte(a, RES_IO);
	aml_byte(a, 1); /* decodes 16 bits */
	word(a, base);
	word(a, base);
	aml_byte(a, 1);
	aml_byte(a, length);
}

void aml_irq(struct aml *a, unsigned irq)
{
	aml_byte(a, RES_IRQ);
	word(a, (uint16_t)(1u << irq));
}

void aml_word_space(struct aml *a, uint8_t type, uint16_t first, uint16_t last)
{
	aml_byte(a, RES_WORD_SPACE);
	word(a, 13); /* length of what follows */
	aml_byte(a, type);
	aml_byte(a, MIN_FIXED | MAX_FIXED);
	aml_byte(a, type == 1 ? 3 : 0); /* I/O: ISA and non-ISA ranges */
	word(a, 0);
	word(a, first);
	word(a, last);
	word(a, 0);
	word(a, (uint16_t)(last - first + 1));
}

void aml_dword_memory(struct aml *a, uint32_t first, uint32_t last, bool cacheable)
{
	aml_byte(a, RES_DWORD_SPACE);
	word(a, 23);
	aml_byte(a, 0);
	aml_byte(a, MIN_FIXED | MAX_FIXED);
	aml_byte(a, cacheable ? 3 : 1); /* read-write; caching */
	dword(a, 0);
	dword(a, first);
	dword(a, last);
	dword(a, 0);
	dword(a, last - first + 1);
}
