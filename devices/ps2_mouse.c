/*
 * The PS/2 mouse, with a wheel and five buttons for drivers that knock: setting the
 * sample rates 200, 100, 80 in a row turns it into an IntelliMouse (id 3), and then
 * 200, 200, 80 into an IntelliMouse Explorer (id 4).
 */
#include "devices/ps2.h"

#include <string.h>

enum {
	MOUSE_SCALE11 = 0xe6,
	MOUSE_SCALE21 = 0xe7,
	MOUSE_RESOLUTION = 0xe8,
	MOUSE_STATUS = 0xe9,
	MOUSE_STREAM = 0xea,
	MOUSE_READ = 0xeb,
	MOUSE_UNWRAP = 0xec,
	MOUSE_WRAP = 0xee,
	MOUSE_REMOTE = 0xf0,
};
enum {
	ID_PLAIN = 0,
	ID_WHEEL = 3,
	ID_EXPLORER = 4,
	MOVE_LIMIT = 255,
	PENDING_LIMIT = 1 << 16,
	EVENTS_MAX = 64
};

/* ---- packets ---- */

static int clamp(int v, int limit)
{
	return v > limit ? limit : v < -limit ? -limit : v;
}

/* Takes what fits out of the pending movement; returns the packet's length. */
static unsigned make_packet(struct ps2_mouse *m, uint8_t *out)
{
	int dx = clamp(m->dx, MOVE_LIMIT), dy = clamp(m->dy, MOVE_LIMIT), dz = clamp(m->dz, 7);

	m->dx -= dx;
	m->dy -= dy;
	m->reported_buttons = m->buttons;
	out[0] = 0x08 | (m->buttons & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0);
	out[1] = dx;
	out[2] = dy;
	if (m->id == ID_PLAIN) {
		m->dz = 0;
		return 3;
	}
	m->dz -= dz;
	out[3] = m->id == ID_EXPLORER ? (dz & 0x0f) | (m->buttons & 0x18) << 1 : dz;
	return 4;
}

static bool moved(const struct ps2_mouse *m)
{
	return m->dx || m->dy || (m->dz && m->id != ID_PLAIN) || m->buttons != m->reported_buttons;
}

/* What finds no room adds up until the guest has read on. */
static void stream(struct ps2_mouse *m)
{
	uint8_t packet[4];

	while (m->reporting && !m->remote && !m->wrap && moved(m) &&
	       m->port.events.count < EVENTS_MAX)
		ps2_event(&m->port, packet, make_packet(m, packet));
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, uint8_t buttons)
{
	m->dx = clamp(m->dx + clamp(dx, PENDING_LIMIT), PENDING_LIMIT);
	m->dy = clamp(m->dy + clamp(dy, PENDING_LIMIT), PENDING_LIMIT);
	m->dz = clamp(m->dz + clamp(dz, PENDING_LIMIT), PENDING_LIMIT);
	m->buttons = buttons & 0x1f;
	stream(m);
}

/* ---- commands ---- */

static void set_defaults(struct ps2_mouse *m)
{
	m->reporting = m->remote = m->scale21 = false;
	m->resolution = 2;
	m->rate = 100;
	m->dx = m->dy = m->dz = 0;
	ps2_clear_events(&m->port);
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
	memset(m, 0, sizeof(*m));
	set_defaults(m);
}

static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
	static const uint8_t wheel[] = {200, 100, 80}, explorer[] = {200, 200, 80};

	m->rate = rate;
	m->knock[0] = m->knock[1];
	m->knock[1] = m->knock[2];
	m->knock[2] = rate;
	if (!memcmp(m->knock, wheel, sizeof(wheel)) && m->id == ID_PLAIN)
		m->id = ID_WHEEL;
	else if (!memcmp(m->knock, explorer, sizeof(explorer)) && m->id == ID_WHEEL)
		m->id = ID_EXPLORER;
}

static void report_status(struct ps2_mouse *m)
{
	uint8_t buttons = (m->buttons & 1) << 2 | (m->buttons & 4) >> 1 | (m->buttons & 2) >> 1;

	ps2_answer(&m->port, (m->remote ? 0x40 : 0) | (m->reporting ? 0x20 : 0) |
				     (m->scale21 ? 0x10 : 0) | buttons);
	ps2_answer(&m->port, m->resolution);
	ps2_answer(&m->port, m->rate);
}

static void read_data(struct ps2_mouse *m)
{
	uint8_t packet[4];
	unsigned n = make_packet(m, packet);

	for (unsigned i = 0; i < n; i++)
		ps2_answer(&m->port, packet[i]);
}

static void restart(struct ps2_mouse *m)
{
	set_defaults(m);
	m->wrap = false;
	m->id = ID_PLAIN;
	memset(m->knock, 0, sizeof(m->knock));
	ps2_answer(&m->port, PS2_BAT_OK);
	ps2_answer(&m->port, m->id);
}

/* The ACK has been sent. */
static void command_byte(struct ps2_mouse *m, uint8_t byte)
{
	switch (byte) {
	case MOUSE_SCALE11:
	case MOUSE_SCALE21:
		m->scale21 = byte == MOUSE_SCALE21;
		break;
	case MOUSE_RESOLUTION:
	case PS2_SET_RATE:
		m->port.command = byte;
		break;
	case MOUSE_STATUS:
		report_status(m);
		break;
	case MOUSE_STREAM:
	case MOUSE_REMOTE:
		m->remote = byte == MOUSE_REMOTE;
		break;
	case MOUSE_READ:
		read_data(m);
		break;
	case MOUSE_WRAP:
		m->wrap = true;
		break;
	case PS2_GET_ID:
		ps2_answer(&m->port, m->id);
		break;
	case PS2_ENABLE:
	case PS2_DISABLE:
		m->reporting = byte == PS2_ENABLE;
		m->dx = m->dy = m->dz = 0; /* both reset the counters */
		break;
	case PS2_DEFAULTS:
		set_defaults(m);
		break;
	case PS2_RESET:
		restart(m);
		break;
	}
}

static bool is_command(uint8_t byte)
{
	return (byte >= MOUSE_SCALE11 && byte <= MOUSE_UNWRAP) || byte == MOUSE_WRAP ||
	       byte == MOUSE_REMOTE || (byte >= PS2_GET_ID && byte <= PS2_DEFAULTS) ||
	       byte == PS2_RESET;
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte)
{
	uint8_t command = m->port.command;

	m->port.command = 0;
	if (m->wrap && !command && byte != PS2_RESET && byte != MOUSE_UNWRAP) {
		ps2_answer(&m->port, byte);
		return;
	}
	if (byte == MOUSE_UNWRAP)
		m->wrap = false;
	if (command) {
		ps2_answer(&m->port, PS2_ACK);
		if (command == PS2_SET_RATE)
			set_rate(m, byte);
		else
			m->resolution = byte & 3;
	} else if (byte == PS2_RESEND) {
		ps2_answer(&m->port, m->port.last);
	} else if (is_command(byte)) {
		if (byte == PS2_RESET)
			m->port.answers.count = 0;
		ps2_answer(&m->port, PS2_ACK);
		command_byte(m, byte);
	} else {
		ps2_answer(&m->port, PS2_RESEND);
	}
	stream(m);
}
