/* Output for signal handlers; see rawout.h. */
#include "cpu/rawout.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static void write_all(int fd, const char *p, size_t n)
{
	while (fd >= 0 && n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		p += done;
		n -= (size_t)done;
	}
}

/* As many lines as `second` is to get. */
static size_t share(struct rawout *o)
{
	size_t n = 0;

	for (; n < o->used && o->left; n++)
		o->left -= o->buf[n] == '\n';
	return n;
}

void rawout_flush(struct rawout *o)
{
	write_all(o->fd, o->buf, o->used);
	if (o->second >= 0)
		write_all(o->second, o->buf, share(o));
	o->used = 0;
}

void rawout_write(struct rawout *o, const char *p, size_t n)
{
	while (n) {
		size_t part = sizeof(o->buf) - o->used < n ? sizeof(o->buf) - o->used : n;

		memcpy(o->buf + o->used, p, part);
		o->used += (unsigned)part;
		p += part;
		n -= part;
		if (o->used == sizeof(o->buf))
			rawout_flush(o);
	}
}

void rawout_hex(struct rawout *o, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rawout_print(o, "%s%02x", i ? " " : "", p[i]);
}

/* ---- formats ---- */

struct spec {
	bool left, zero;
	unsigned width, size; /* size: number of l's, 2 for z */
	int precision;        /* -1: none */
};

static void pad(struct rawout *o, char c, size_t have, size_t want)
{
	for (; have < want; have++)
		rawout_write(o, &c, 1);
}

static void put(struct rawout *o, const struct spec *s, const char *p, size_t n, bool number)
{
	if (!s->left)
		pad(o, s->zero && number ? '0' : ' ', n, s->width);
	rawout_write(o, p, n);
	if (s->left)
		pad(o, ' ', n, s->width);
}

static void put_number(struct rawout *o, const struct spec *s, unsigned long long v, unsigned base, bool minus)
{
	char text[24];
	size_t n = sizeof(text);

	do
		text[--n] = "0123456789abcdef"[v % base];
	while (v /= base);
	if (minus)
		text[--n] = '-';
	put(o, s, text + n, sizeof(text) - n, true);
}

static void put_string(struct rawout *o, const struct spec *s, const char *p)
{
	size_t n = 0;

	while (p && (s->precision < 0 || n < (size_t)s->precision) && p[n])
		n++;
	put(o, s, p, n, false);
}

static const char *parse(const char *f, struct spec *s, va_list *ap)
{
	*s = (struct spec){.precision = -1};
	for (; *f == '-' || *f == '0'; f++)
		*(*f == '-' ? &s->left : &s->zero) = true;
	for (; *f >= '0' && *f <= '9'; f++)
		s->width = s->width * 10 + (unsigned)(*f - '0');
	if (*f == '.' && f[1] == '*') {
		s->precision = va_arg(*ap, int);
		f += 2;
	}
	for (; *f == 'l' || *f == 'z'; f++)
		s->size += *f == 'z' ? 2 : 1;
	return f;
}

static unsigned long long unsigned_arg(const struct spec *s, va_list *ap)
{
	return s->size ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned);
}

static void convert(struct rawout *o, char c, const struct spec *s, va_list *ap)
{
	char one;
	long v;

	switch (c) {
	case 's':
		put_string(o, s, va_arg(*ap, const char *));
		break;
	case 'c':
		one = (char)va_arg(*ap, int);
		put(o, s, &one, 1, false);
		break;
	case 'u':
		put_number(o, s, unsigned_arg(s, ap), 10, false);
		break;
	case 'x':
		put_number(o, s, unsigned_arg(s, ap), 16, false);
		break;
	case 'd':
		v = s->size ? va_arg(*ap, long) : va_arg(*ap, int);
		put_number(o, s, v < 0 ? 0 - (unsigned long)v : (unsigned long)v, 10, v < 0);
		break;
	case 'p':
		rawout_write(o, "0x", 2);
		put_number(o, s, (uintptr_t)va_arg(*ap, void *), 16, false);
		break;
	default:
		rawout_write(o, &c, 1);
		break;
	}
}

void rawout_print(struct rawout *o, const char *f, ...)
{
	va_list ap;

	va_start(ap, f);
	while (*f) {
		size_t plain = strcspn(f, "%");
		struct spec s;

		rawout_write(o, f, plain);
		f += plain;
		if (!*f)
			break;
		f = parse(f + 1, &s, &ap);
		if (*f)
			convert(o, *f++, &s, &ap);
	}
	va_end(ap);
}
