/*
 * COM1: output is polled, so that messages appear even from a trap; input comes by interrupt into
 * a ring that the shell empties.
 */
#include "kernel.h"

#include <stdarg.h>

enum {
	COM1 = 0x3f8,
	DATA = COM1,
	IER = COM1 + 1,
	FCR = COM1 + 2,
	LCR = COM1 + 3,
	MCR = COM1 + 4,
	LSR = COM1 + 5
};
enum { LSR_DATA = 1, LSR_THR_EMPTY = 0x20, RING = 256 };

static char ring[RING];
static volatile uint32_t ring_head, ring_tail; /* head is written by the interrupt only */

void console_init(void)
{
	outb(IER, 0);
	outb(LCR, 0x80); /* divisor 1: 115200 baud */
	outb(DATA, 1);
	outb(IER, 0);
	outb(LCR, 3);
	outb(FCR, 7);
	outb(MCR, 0x0b); /* OUT2 lets the interrupt through */
	outb(IER, 1);
}

static void put(char c)
{
	/* Bounded: a port that is not there reads all ones and must not hang us either. */
	for (uint32_t i = 0; i < 1000000 && !(inb(LSR) & LSR_THR_EMPTY); i++)
		;
	outb(DATA, c);
}

void console_write(const char *s, size_t n)
{
	uint32_t flags = irq_save();

	for (; n; n--, s++) {
		if (*s == '\n')
			put('\r');
		put(*s);
	}
	irq_restore(flags);
}

void console_interrupt(void)
{
	while (inb(LSR) & LSR_DATA) {
		char c = inb(DATA);

		if (ring_head - ring_tail < RING)
			ring[ring_head++ % RING] = c;
	}
	wake_shell();
}

char console_getchar(void)
{
	uint32_t flags = irq_save();
	char c;

	while (ring_head == ring_tail)
		thread_sleep(WAITING);
	c = ring[ring_tail++ % RING];
	irq_restore(flags);
	return c;
}

/* ---- print ---- */

struct spec {
	unsigned width;
	bool left, zero;
};

static void put_padded(const char *s, size_t n, struct spec spec)
{
	static const char blanks[] = "                ", zeros[] = "0000000000000000";
	size_t pad = spec.width > n ? spec.width - n : 0;

	if (pad > sizeof(blanks) - 1)
		pad = sizeof(blanks) - 1;
	if (!spec.left)
		console_write(spec.zero ? zeros : blanks, pad);
	console_write(s, n);
	if (spec.left)
		console_write(blanks, pad);
}

static void put_number(uint32_t v, unsigned base, bool negative, struct spec spec)
{
	char digits[12], *p = digits + sizeof(digits);

	do {
		*--p = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	if (negative)
		*--p = '-';
	put_padded(p, digits + sizeof(digits) - p, spec);
}

static const char *parse_spec(const char *f, struct spec *spec)
{
	*spec = (struct spec){0};
	for (; *f == '-' || *f == '0'; f++) {
		spec->left |= *f == '-';
		spec->zero |= *f == '0';
	}
	for (; *f >= '0' && *f <= '9'; f++)
		spec->width = spec->width * 10 + (*f - '0');
	return f;
}

/* One conversion; the va_list is the caller's. */
static void convert(char kind, struct spec spec, va_list *args)
{
	const char *s;
	int32_t d;
	char c;

	switch (kind) {
	case 's':
		s = va_arg(*args, const char *);
		put_padded(s, string_length(s), spec);
		break;
	case 'c':
		c = va_arg(*args, int);
		console_write(&c, 1);
		break;
	case 'd':
		d = va_arg(*args, int);
		put_number(d < 0 ? -(uint32_t)d : (uint32_t)d, 10, d < 0, spec);
		break;
	case 'u':
		put_number(va_arg(*args, uint32_t), 10, false, spec);
		break;
	case 'x':
		put_number(va_arg(*args, uint32_t), 16, false, spec);
		break;
	default:
		console_write(&kind, 1);
	}
}

void print(const char *format, ...)
{
	uint32_t flags = irq_save(); /* one message is not torn apart by others */
	va_list args;

	va_start(args, format);
	while (*format) {
		const char *start = format;
		struct spec spec;

		while (*format && *format != '%')
			format++;
		console_write(start, format - start);
		if (!*format)
			break;
		format = parse_spec(format + 1, &spec);
		if (*format)
			convert(*format++, spec, &args);
	}
	va_end(args);
	irq_restore(flags);
}
