/*
 * The PS/2 keyboard, and the queues it shares with the mouse.
 *
 * Keys come in as set-2 sequences, the set keyboards start in, and go out in the set
 * the guest chose. Repetition of a held key is left to whoever injects keys: the
 * host's keyboard has repeated it already.
 */
#include "devices/ps2.h"

#include <string.h>

enum {
	KBD_LEDS = 0xed,
	KBD_ECHO = 0xee,
	KBD_SET = 0xf0,
	KBD_ALL_TYPEMATIC = 0xf7,
	KBD_ALL_MAKE_BREAK = 0xf8,
	KBD_ALL_MAKE = 0xf9,
	KBD_ALL_BOTH = 0xfa,
	KBD_KEY_TYPEMATIC = 0xfb,
	KBD_KEY_MAKE = 0xfd
};
enum { PREFIX_E0 = 0xe0, PREFIX_E1 = 0xe1, RELEASE = 0xf0 };

/* ---- queues ---- */

static bool queue_put(struct ps2_queue *q, const uint8_t *p, unsigned n)
{
	if (q->count + n > PS2_QUEUE)
		return false;
	for (unsigned i = 0; i < n; i++)
		q->bytes[(q->head + q->count++) % PS2_QUEUE] = p[i];
	return true;
}

static uint8_t queue_get(struct ps2_queue *q)
{
	uint8_t byte = q->bytes[q->head];

	q->head = (q->head + 1) % PS2_QUEUE;
	q->count--;
	return byte;
}

bool ps2_pending(const struct ps2_port *p)
{
	return p->answers.count || p->events.count;
}

uint8_t ps2_fetch(struct ps2_port *p)
{
	if (p->answers.count && !(p->in_sequence && p->events.count)) {
		p->last = queue_get(&p->answers);
	} else {
		p->last = queue_get(&p->events);
		p->in_sequence = p->last == RELEASE || p->last == PREFIX_E0 || p->last == PREFIX_E1;
	}
	return p->last;
}

void ps2_answer(struct ps2_port *p, uint8_t byte)
{
	queue_put(&p->answers, &byte, 1);
}

bool ps2_event(struct ps2_port *p, const uint8_t *bytes, unsigned n)
{
	return queue_put(&p->events, bytes, n);
}

void ps2_clear_events(struct ps2_port *p)
{
	p->events.count = 0;
	p->in_sequence = false;
}

/* ---- scan codes ---- */

/* Set 2 to set 1: IBM's table in the keyboard controller, eight codes in a row. */
/* clang-format off */
static const uint8_t to_set1[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58,
	0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a,
	0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c,
	0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e,
	0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60,
	0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e,
	0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b,
	0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};
/* clang-format on */

uint8_t ps2_translate(uint8_t code)
{
	if (code < 0x80)
		return to_set1[code];
	return code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

/* Keys whose set-3 code differs from their set-2 code; the others (letters, digits) are alike. */
/* clang-format off */
static const struct {
	uint8_t extended, set2, set3;
} to_set3[] = {
	/* F1 to F6 */
	{0, 0x05, 0x07}, {0, 0x06, 0x0f}, {0, 0x04, 0x17}, {0, 0x0c, 0x1f}, {0, 0x03, 0x27}, {0, 0x0b, 0x2f},
	/* F7 to F12 */
	{0, 0x83, 0x37}, {0, 0x0a, 0x3f}, {0, 0x01, 0x47}, {0, 0x09, 0x4f}, {0, 0x78, 0x56}, {0, 0x07, 0x5e},
	/* Esc, left Ctrl and Alt, Caps Lock */
	{0, 0x76, 0x08}, {0, 0x14, 0x11}, {0, 0x11, 0x19}, {0, 0x58, 0x14},
	/* backslash keys, Num Lock, keypad * */
	{0, 0x5d, 0x5c}, {0, 0x61, 0x13}, {0, 0x77, 0x76}, {0, 0x7c, 0x7e},
	/* keypad - and +, Scroll Lock */
	{0, 0x7b, 0x84}, {0, 0x79, 0x7c}, {0, 0x7e, 0x5f},
	/* right Alt and Ctrl, Ins, Del, Home, End */
	{1, 0x11, 0x39}, {1, 0x14, 0x58}, {1, 0x70, 0x67}, {1, 0x71, 0x64}, {1, 0x6c, 0x6e}, {1, 0x69, 0x65},
	/* page and arrow keys */
	{1, 0x7d, 0x6f}, {1, 0x7a, 0x6d}, {1, 0x75, 0x63}, {1, 0x6b, 0x61}, {1, 0x72, 0x60}, {1, 0x74, 0x6a},
	/* keypad / and Enter, Print Screen, GUI keys, Menu */
	{1, 0x4a, 0x77}, {1, 0x5a, 0x79}, {1, 0x7c, 0x57}, {1, 0x1f, 0x8b}, {1, 0x27, 0x8c}, {1, 0x2f, 0x8d},
};
/* clang-format on */

static uint8_t set3_code(bool extended, uint8_t code)
{
	for (unsigned i = 0; i < ARRAY_LEN(to_set3); i++)
		if (to_set3[i].extended == extended && to_set3[i].set2 == code)
			return to_set3[i].set3;
	return code;
}

/* Bytes of the set-2 sequence at p: [E0] [F0] code, or Pause's E1 and seven more. */
static unsigned sequence_length(const uint8_t *p, unsigned n)
{
	unsigned len = 0;

	if (p[0] == PREFIX_E1)
		return n < 8 ? n : 8;
	if (p[len] == PREFIX_E0 && len + 1 < n)
		len++;
	if (p[len] == RELEASE && len + 1 < n)
		len++;
	return len + 1;
}

/* One sequence in the guest's set; returns its length, 0 when that set has nothing to say. */
static unsigned encode(const struct ps2_keyboard *k, const uint8_t *p, unsigned n, uint8_t *out)
{
	uint8_t code = p[n - 1];
	bool extended = p[0] == PREFIX_E0, release = n > 1 && p[n - 2] == RELEASE;
	unsigned len = 0;

	if (k->set == 2) {
		memcpy(out, p, n);
		return n;
	}
	if (p[0] == PREFIX_E1 && k->set == 1) {
		static const uint8_t pause[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};

		memcpy(out, pause, sizeof(pause));
		return sizeof(pause);
	}
	if (k->set == 1) {
		if (extended)
			out[len++] = PREFIX_E0;
		out[len++] = ps2_translate(code) | (release ? 0x80 : 0);
		return len;
	}
	/* Set 3 has no extended keys, nor the shifts that set 2 fakes around some of them. */
	if (extended && (code == 0x12 || code == 0x59))
		return 0;
	if (release && p[0] != PREFIX_E1) {
		if (!k->break_codes)
			return 0;
		out[len++] = RELEASE;
	}
	out[len++] = p[0] == PREFIX_E1 ? 0x62 : set3_code(extended, code);
	return len;
}

void ps2_keyboard_key(struct ps2_keyboard *k, const uint8_t *p, unsigned n)
{
	uint8_t out[8];

	while (k->scanning && n) {
		unsigned used = sequence_length(p, n);
		unsigned len = encode(k, p, used, out);

		ps2_event(&k->port, out, len);
		p += used;
		n -= used;
	}
}

/* ---- commands ---- */

static void set_defaults(struct ps2_keyboard *k)
{
	k->set = 2;
	k->rate = 0x2b; /* 10.9 a second after half a second */
	k->break_codes = true;
	ps2_clear_events(&k->port);
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
	memset(k, 0, sizeof(*k));
	set_defaults(k);
	k->scanning = true;
}

static void argument(struct ps2_keyboard *k, uint8_t command, uint8_t value)
{
	ps2_answer(&k->port, PS2_ACK);
	switch (command) {
	case KBD_LEDS:
		k->leds = value & 7;
		break;
	case PS2_SET_RATE:
		k->rate = value;
		break;
	case KBD_SET:
		if (!value)
			ps2_answer(&k->port, k->set);
		else if (value <= 3)
			k->set = value;
		ps2_clear_events(&k->port);
		break;
	default:
		/* FB..FD name keys until the next command */
		k->port.command = command;
	}
}

static void identify(struct ps2_keyboard *k)
{
	ps2_answer(&k->port, PS2_ACK);
	ps2_answer(&k->port, 0xab);
	ps2_answer(&k->port, 0x83);
}

static void restart(struct ps2_keyboard *k)
{
	set_defaults(k);
	k->port.answers.count = 0;
	k->scanning = true;
	k->leds = 0;
	ps2_answer(&k->port, PS2_ACK);
	ps2_answer(&k->port, PS2_BAT_OK);
}

static void command_byte(struct ps2_keyboard *k, uint8_t byte)
{
	switch (byte) {
	case KBD_ECHO:
		ps2_answer(&k->port, KBD_ECHO);
		return;
	case PS2_RESEND:
		ps2_answer(&k->port, k->port.last);
		return;
	case PS2_GET_ID:
		identify(k);
		return;
	case PS2_RESET:
		restart(k);
		return;
	case KBD_LEDS:
	case KBD_SET:
	case PS2_SET_RATE:
	case KBD_KEY_TYPEMATIC ... KBD_KEY_MAKE:
		k->port.command = byte;
		break;
	case PS2_ENABLE:
		ps2_clear_events(&k->port);
		k->scanning = true;
		break;
	case PS2_DISABLE:
	case PS2_DEFAULTS:
		set_defaults(k);
		k->scanning = byte == PS2_DEFAULTS && k->scanning;
		break;
	case KBD_ALL_TYPEMATIC ... KBD_ALL_BOTH:
		k->break_codes = byte == KBD_ALL_MAKE_BREAK || byte == KBD_ALL_BOTH;
		break;
	default:
		ps2_answer(&k->port, PS2_RESEND);
		return;
	}
	ps2_answer(&k->port, PS2_ACK);
}

void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t byte)
{
	uint8_t command = k->port.command;

	k->port.command = 0;
	/* A command in an argument's place ends the old command. */
	if (command && byte < KBD_LEDS)
		argument(k, command, byte);
	else
		command_byte(k, byte);
}
