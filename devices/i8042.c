/*
 * The 8042 keyboard controller of a PC/AT with PS/2 mouse port: ports 60h and 64h.
 *
 *   keyboard --> [translation] --+
 *   mouse ------------------------+--> output buffer (1 byte) --> port 60h, IRQ 1 or 12
 *   the controller's own answers -+
 *
 * The output buffer holds one byte and is refilled when the guest reads it, in that
 * order of precedence from the bottom up. Its two interrupt lines are levels here:
 * they fall with the read and rise with the refill, which gives the 8259 its edge.
 */
#include "devices/chips.h"
#include "devices/ps2.h"

#include <string.h>

enum { PORT_DATA = 0x60, PORT_COMMAND = 0x64 };
enum { IRQ_AUX = 12, OWN_QUEUE = 16 };

/* Status, port 64h */
enum { ST_OBF = 0x01, ST_SYSTEM = 0x04, ST_COMMAND = 0x08, ST_UNLOCKED = 0x10, ST_AUX = 0x20 };
/* Command byte, RAM[0] */
enum {
	CB_IRQ1 = 0x01,
	CB_IRQ12 = 0x02,
	CB_SYSTEM = 0x04,
	CB_KBD_OFF = 0x10,
	CB_AUX_OFF = 0x20,
	CB_TRANSLATE = 0x40
};
/* Output port */
enum { OUT_NO_RESET = 0x01, OUT_A20 = 0x02, OUT_IRQ1 = 0x10, OUT_IRQ12 = 0x20, OUT_IDLE = 0xc0 };
/* Input port: keyboard not locked */
enum { IN_UNLOCKED = 0x80 };

enum {
	CMD_READ_RAM = 0x20,  /* ..3F */
	CMD_WRITE_RAM = 0x60, /* ..7F */
	CMD_PASSWORD_TEST = 0xa4,
	CMD_AUX_OFF = 0xa7,
	CMD_AUX_ON = 0xa8,
	CMD_AUX_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_KBD_TEST = 0xab,
	CMD_KBD_OFF = 0xad,
	CMD_KBD_ON = 0xae,
	CMD_READ_INPUT = 0xc0,
	CMD_READ_OUTPUT = 0xd0,
	CMD_WRITE_OUTPUT = 0xd1,
	CMD_WRITE_OBF = 0xd2,
	CMD_WRITE_AUX_OBF = 0xd3,
	CMD_WRITE_AUX = 0xd4,
	CMD_A20_OFF = 0xdd,
	CMD_A20_ON = 0xdf,
	CMD_TEST_INPUTS = 0xe0,
	CMD_PULSE = 0xf0, /* ..FF: pulls the output port bits low whose mask bit is 0 */
};

struct own_byte {
	uint8_t byte;
	bool aux;
};

struct i8042 {
	struct machine *m;
	struct line irq1, irq12;
	bool irq1_level, irq12_level;
	uint8_t ram[32]; /* [0] is the command byte */
	uint8_t command; /* waits for its data byte; 0: none */
	bool last_was_command;

	bool full, from_aux; /* the output buffer */
	uint8_t data;
	bool released; /* translation saw F0: the next code is a release */

	struct own_byte own[OWN_QUEUE];
	unsigned own_head, own_count;

	struct ps2_keyboard kbd;
	struct ps2_mouse mouse;
};

/* ---- output buffer ---- */

static void set_line(const struct line *l, bool *now, bool level)
{
	if (*now != level) {
		*now = level;
		line_set(l, level);
	}
}

static void update_irqs(struct i8042 *c)
{
	set_line(&c->irq1, &c->irq1_level, c->full && !c->from_aux && (c->ram[0] & CB_IRQ1));
	set_line(&c->irq12, &c->irq12_level, c->full && c->from_aux && (c->ram[0] & CB_IRQ12));
}

static void fill(struct i8042 *c, uint8_t byte, bool aux)
{
	c->data = byte;
	c->from_aux = aux;
	c->full = true;
}

/* One keyboard byte through the translation; a release prefix gives nothing yet. */
static void fill_from_keyboard(struct i8042 *c)
{
	while (!c->full && ps2_pending(&c->kbd.port)) {
		uint8_t byte = ps2_fetch(&c->kbd.port);

		if (!(c->ram[0] & CB_TRANSLATE)) {
			fill(c, byte, false);
		} else if (byte == 0xf0) {
			c->released = true;
		} else {
			uint8_t code = ps2_translate(byte);

			/* Answers and prefixes have bit 7 set already. */
			fill(c, c->released ? code | 0x80 : code, false);
			c->released = false;
		}
	}
}

static void refill(struct i8042 *c)
{
	if (!c->full && c->own_count) {
		fill(c, c->own[c->own_head].byte, c->own[c->own_head].aux);
		c->own_head = (c->own_head + 1) % OWN_QUEUE;
		c->own_count--;
	}
	if (!c->full && !(c->ram[0] & CB_KBD_OFF))
		fill_from_keyboard(c);
	if (!c->full && !(c->ram[0] & CB_AUX_OFF) && ps2_pending(&c->mouse.port))
		fill(c, ps2_fetch(&c->mouse.port), true);
	update_irqs(c);
}

/* The controller's own answer; a guest that asks without ever reading loses the newest. */
static void answer(struct i8042 *c, uint8_t byte, bool aux)
{
	if (c->own_count < OWN_QUEUE)
		c->own[(c->own_head + c->own_count++) % OWN_QUEUE] = (struct own_byte){byte, aux};
}

/* ---- output port ---- */

static uint8_t read_output_port(const struct i8042 *c)
{
	return OUT_NO_RESET | OUT_IDLE | (machine_a20(c->m) ? OUT_A20 : 0) |
	       (c->irq1_level ? OUT_IRQ1 : 0) | (c->irq12_level ? OUT_IRQ12 : 0);
}

static void write_output_port(struct i8042 *c, uint8_t value)
{
	machine_set_a20(c->m, value & OUT_A20);
	if (!(value & OUT_NO_RESET))
		machine_request(c->m, MACHINE_RESET, 0);
}

/* ---- commands ---- */

static void set_command_bits(struct i8042 *c, uint8_t clear, uint8_t set)
{
	c->ram[0] = (c->ram[0] & ~clear) | set;
}

static void self_test(struct i8042 *c)
{
	c->own_count = 0;
	c->full = false;
	c->released = false;
	set_command_bits(c, 0, CB_SYSTEM);
	answer(c, 0x55, false);
}

static void run_command(struct i8042 *c, uint8_t cmd)
{
	switch (cmd) {
	case CMD_READ_RAM ... CMD_READ_RAM + 0x1f:
		answer(c, c->ram[cmd & 0x1f], false);
		break;
	case CMD_WRITE_RAM ... CMD_WRITE_RAM + 0x1f:
	case CMD_WRITE_OUTPUT ... CMD_WRITE_AUX:
		c->command = cmd;
		break;
	case CMD_PASSWORD_TEST:
		answer(c, 0xf1, false); /* none installed */
		break;
	case CMD_AUX_OFF:
		set_command_bits(c, 0, CB_AUX_OFF);
		break;
	case CMD_AUX_ON:
		set_command_bits(c, CB_AUX_OFF, 0);
		break;
	case CMD_AUX_TEST:
	case CMD_KBD_TEST:
	case CMD_TEST_INPUTS:
		answer(c, 0, false);
		break;
	case CMD_SELF_TEST:
		self_test(c);
		break;
	case CMD_KBD_OFF:
		set_command_bits(c, 0, CB_KBD_OFF);
		break;
	case CMD_KBD_ON:
		set_command_bits(c, CB_KBD_OFF, 0);
		break;
	case CMD_READ_INPUT:
		answer(c, IN_UNLOCKED, false);
		break;
	case CMD_READ_OUTPUT:
		answer(c, read_output_port(c), false);
		break;
	case CMD_A20_OFF:
	case CMD_A20_ON:
		machine_set_a20(c->m, cmd == CMD_A20_ON);
		break;
	case CMD_PULSE ... CMD_PULSE + 0x0f:
		if (!(cmd & 1))
			machine_request(c->m, MACHINE_RESET, 0);
		break;
	}
}

static void write_data(struct i8042 *c, uint8_t value)
{
	uint8_t cmd = c->command;

	c->command = 0;
	switch (cmd) {
	case 0:
		/* Talking to the keyboard switches its clock back on. */
		set_command_bits(c, CB_KBD_OFF, 0);
		ps2_keyboard_write(&c->kbd, value);
		break;
	case CMD_WRITE_OUTPUT:
		write_output_port(c, value);
		break;
	case CMD_WRITE_OBF:
	case CMD_WRITE_AUX_OBF:
		answer(c, value, cmd == CMD_WRITE_AUX_OBF);
		break;
	case CMD_WRITE_AUX:
		set_command_bits(c, CB_AUX_OFF, 0);
		ps2_mouse_write(&c->mouse, value);
		break;
	default:
		c->ram[cmd & 0x1f] = value;
	}
}

/* ---- ports ---- */

static uint32_t i8042_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8042 *c = opaque;
	uint8_t data;

	if (port == PORT_COMMAND)
		return ST_UNLOCKED | (c->full ? ST_OBF : 0) |
		       (c->full && c->from_aux ? ST_AUX : 0) | (c->ram[0] & CB_SYSTEM) |
		       (c->last_was_command ? ST_COMMAND : 0);
	data = c->data; /* an empty buffer reads as the last byte */
	if (c->full) {
		c->full = false;
		update_irqs(c);
		refill(c);
	}
	return data;
}

static void i8042_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct i8042 *c = opaque;

	c->last_was_command = port == PORT_COMMAND;
	if (port == PORT_COMMAND) {
		c->command = 0;
		run_command(c, value);
	} else {
		write_data(c, value);
	}
	refill(c);
}

static const struct io_ops i8042_io = {.read = i8042_read, .write = i8042_write};

/* ---- injection ---- */

void i8042_key(struct machine *m, const uint8_t *bytes, unsigned n)
{
	struct i8042 *c = m->keyboard;

	ps2_keyboard_key(&c->kbd, bytes, n);
	refill(c);
}

void machine_mouse(struct machine *m, int dx, int dy, int dz, unsigned buttons)
{
	struct i8042 *c = m->keyboard;

	machine_lock(m);
	if (c) {
		ps2_mouse_move(&c->mouse, dx, dy, dz, buttons);
		refill(c);
	}
	machine_unlock(m);
}

/* ---- life cycle ---- */

/* As a BIOS leaves it: keyboard on, translated and interrupting; mouse off. */
static void i8042_reset(void *opaque)
{
	struct i8042 *c = opaque;

	memset(c->ram, 0, sizeof(c->ram));
	c->ram[0] = CB_IRQ1 | CB_SYSTEM | CB_AUX_OFF | CB_TRANSLATE;
	c->command = 0;
	c->full = c->released = c->last_was_command = false;
	c->own_count = 0;
	ps2_keyboard_reset(&c->kbd);
	ps2_mouse_reset(&c->mouse);
	update_irqs(c);
}

bool i8042_new(struct machine *m)
{
	struct i8042 *c = machine_alloc(m, sizeof(*c));

	if (!c || !machine_on_reset(m, i8042_reset, c))
		return false;
	c->m = m;
	c->irq1 = machine_irq(m, IRQ_KBD);
	c->irq12 = machine_irq(m, IRQ_AUX);
	m->keyboard = c;
	machine_add_io(m, PORT_DATA, 1, &i8042_io, c);
	machine_add_io(m, PORT_COMMAND, 1, &i8042_io, c);
	return true;
}
