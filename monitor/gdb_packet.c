/*
 * Framing of the gdb remote protocol: $data#sum with escapes, acknowledgements, Ctrl-C. Knows nothing of
 * what packets mean; any sequence of bytes is taken.
 */
#include "monitor/gdb_internal.h"

#include <stdarg.h>
#include <string.h>

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* ---- receiving ---- */

static enum gdb_item idle(struct gdb_parser *p, uint8_t byte)
{
	switch (byte) {
	case '$':
		p->state = GDB_DATA;
		p->sum = 0;
		p->len = 0;
		p->too_long = false;
		return GDB_NOTHING;
	case '+':
		return GDB_ACK;
	case '-':
		return GDB_NACK;
	case 3:
		return GDB_INTERRUPT;
	default:
		return GDB_NOTHING; /* noise on the line */
	}
}

static void keep(struct gdb_parser *p, uint8_t byte)
{
	if (p->len < GDB_PACKET_MAX)
		p->data[p->len++] = (char)byte;
	else
		p->too_long = true;
}

static void data(struct gdb_parser *p, uint8_t byte)
{
	switch (byte) {
	case '#':
		p->state = GDB_SUM1;
		return;
	case '$': /* never sent as itself: the end of the packet before was lost */
		idle(p, byte);
		return;
	case '}':
		p->state = GDB_ESCAPE;
		break;
	default:
		keep(p, byte);
	}
	p->sum = (uint8_t)(p->sum + byte);
}

static enum gdb_item finish(struct gdb_parser *p, uint8_t byte)
{
	int low = hex_digit(byte);

	p->state = GDB_IDLE;
	p->data[p->len] = 0;
	if (p->want > 0xf || low < 0 || p->sum != p->want * 16 + low)
		return GDB_BAD_SUM;
	return p->too_long ? GDB_TOO_LONG : GDB_PACKET;
}

enum gdb_item gdb_parse(struct gdb_parser *p, uint8_t byte)
{
	switch (p->state) {
	case GDB_IDLE:
		return idle(p, byte);
	case GDB_DATA:
		data(p, byte);
		return GDB_NOTHING;
	case GDB_ESCAPE:
		keep(p, byte ^ 0x20);
		p->sum = (uint8_t)(p->sum + byte);
		p->state = GDB_DATA;
		return GDB_NOTHING;
	case GDB_SUM1:
		p->want = (uint8_t)hex_digit(byte); /* -1 becomes 255: no digit */
		p->state = GDB_SUM2;
		return GDB_NOTHING;
	case GDB_SUM2:
		return finish(p, byte);
	}
	return GDB_NOTHING;
}

/* ---- reading a packet's fields ---- */

bool gdb_get_char(const char **p, char c)
{
	if (**p != c)
		return false;
	++*p;
	return true;
}

bool gdb_get_hex(const char **p, uint64_t *value)
{
	unsigned digits = 0;
	int d;

	*value = 0;
	while (digits <= 16 && (d = hex_digit((unsigned char)**p)) >= 0) {
		*value = *value << 4 | (unsigned)d;
		++*p;
		digits++;
	}
	return digits && digits <= 16;
}

bool gdb_get_bytes(const char **p, void *out, size_t len)
{
	uint8_t *to = out;

	for (size_t i = 0; i < len; i++) {
		int high = hex_digit((unsigned char)**p);
		int low = high < 0 ? -1 : hex_digit((unsigned char)(*p)[1]);

		if (low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
		*p += 2;
	}
	return true;
}

/* ---- writing ---- */

void gdb_put(struct gdb_reply *r, const char *text)
{
	size_t n = strlen(text), room = sizeof(r->data) - r->len;

	if (n > room)
		n = room;
	memcpy(r->data + r->len, text, n);
	r->len += (unsigned)n;
}

void gdb_putf(struct gdb_reply *r, const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	gdb_put(r, text);
}

void gdb_put_hex(struct gdb_reply *r, const void *data_, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = data_;

	for (size_t i = 0; i < len && r->len + 2 <= sizeof(r->data); i++) {
		r->data[r->len++] = digits[from[i] >> 4];
		r->data[r->len++] = digits[from[i] & 15];
	}
}

size_t gdb_put_binary(struct gdb_reply *r, const void *data_, size_t len)
{
	const char *from = data_;
	size_t i;

	for (i = 0; i < len && r->len + 2 <= sizeof(r->data); i++) {
		char c = from[i];

		if (c == '#' || c == '$' || c == '}' || c == '*') {
			r->data[r->len++] = '}';
			c ^= 0x20;
		}
		r->data[r->len++] = c;
	}
	return i;
}

size_t gdb_frame(const struct gdb_reply *r, char *out)
{
	uint8_t sum = 0;
	char tail[4];

	for (unsigned i = 0; i < r->len; i++)
		sum = (uint8_t)(sum + (uint8_t)r->data[i]);
	snprintf(tail, sizeof(tail), "#%02x", sum);
	out[0] = '$';
	memcpy(out + 1, r->data, r->len);
	memcpy(out + 1 + r->len, tail, 3);
	return r->len + 4;
}
