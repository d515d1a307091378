/*
 * Inside devices/: the two PS/2 devices behind the 8042 (i8042.c).
 *
 * A device takes command bytes and fills a queue; the controller fetches from the
 * queue when its output buffer is free.
 */
#ifndef RINGFENCE_DEVICES_PS2_H
#define RINGFENCE_DEVICES_PS2_H

#include "cpu/types.h"

enum { PS2_QUEUE = 256 };

/* Commands and answers common to both devices. */
enum {
	PS2_GET_ID = 0xf2,
	PS2_SET_RATE = 0xf3,
	PS2_ENABLE = 0xf4,
	PS2_DISABLE = 0xf5,
	PS2_DEFAULTS = 0xf6,
	PS2_RESEND = 0xfe,
	PS2_RESET = 0xff,
	PS2_ACK = 0xfa,
	PS2_BAT_OK = 0xaa,
};

struct ps2_queue {
	uint8_t bytes[PS2_QUEUE];
	unsigned head, count;
};

/*
 * Answers overtake events, for a driver that waits for an ACK must not have to read keys first; but
 * not inside a key's sequence, hence `in_sequence`.
 */
struct ps2_port {
	struct ps2_queue answers, events;
	bool in_sequence; /* the last event fetched has more bytes */
	uint8_t last;	  /* for "resend" */
	uint8_t command;  /* waits for its argument; 0: none */
};

struct ps2_keyboard {
	struct ps2_port port;
	bool scanning;
	uint8_t set, leds, rate;
	bool break_codes; /* set 3 can leave them out */
};

struct ps2_mouse {
	struct ps2_port port;
	bool reporting, remote, wrap, scale21;
	uint8_t resolution, rate, id;
	uint8_t knock[3]; /* the last sample rates set: the wheel's secret knock */
	int dx, dy, dz;
	uint8_t buttons, reported_buttons;
};

bool ps2_pending(const struct ps2_port *);
/* The next byte; only when ps2_pending. */
uint8_t ps2_fetch(struct ps2_port *);
void ps2_answer(struct ps2_port *, uint8_t);
/* All of an event or, when there is no room, nothing. */
bool ps2_event(struct ps2_port *, const uint8_t *, unsigned n);
void ps2_clear_events(struct ps2_port *);

void ps2_keyboard_reset(struct ps2_keyboard *);
void ps2_keyboard_write(struct ps2_keyboard *, uint8_t);
/* Set-2 sequences (make or break, any number of keys); keys that find no room are dropped whole. */
void ps2_keyboard_key(struct ps2_keyboard *, const uint8_t *, unsigned n);

void ps2_mouse_reset(struct ps2_mouse *);
void ps2_mouse_write(struct ps2_mouse *, uint8_t);
/* dy counts upwards, as in the protocol; buttons: 1 left, 2 right, 4 middle, 8 and 16 sides. */
void ps2_mouse_move(struct ps2_mouse *, int dx, int dy, int dz, uint8_t buttons);

/* Set 2 to set 1, as the controller translates: 0x00-0x7f, and the odd 0x83 and 0x84. */
uint8_t ps2_translate(uint8_t set2);

#endif
