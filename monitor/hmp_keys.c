/*
 * Human monitor: sendkey. QEMU's key names and set-2 scan codes (the set the keyboard starts in): makes in the order given, and
 * after the hold time the breaks in the opposite order.
 */
#include "monitor/hmp_internal.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct {
	const char *name;
	uint16_t code; /* 0xe0xx: extended */
} keys[] = {
	{"a", 0x1c}, {"b", 0x32}, {"c", 0x21}, {"d", 0x23}, {"e", 0x24}, {"f", 0x2b}, {"g", 0x34}, {"h", 0x33},
	{"i", 0x43}, {"j", 0x3b}, {"k", 0x42}, {"l", 0x4b}, {"m", 0x3a}, {"n", 0x31}, {"o", 0x44}, {"p", 0x4d},
	{"q", 0x15}, {"r", 0x2d}, {"s", 0x1b}, {"t", 0x2c}, {"u", 0x3c}, {"v", 0x2a}, {"w", 0x1d}, {"x", 0x22},
	{"y", 0x35}, {"z", 0x1a}, {"0", 0x45}, {"1", 0x16}, {"2", 0x1e}, {"3", 0x26}, {"4", 0x25}, {"5", 0x2e},
	{"6", 0x36}, {"7", 0x3d}, {"8", 0x3e}, {"9", 0x46},
	{"shift", 0x12}, {"shift_r", 0x59}, {"alt", 0x11}, {"alt_r", 0xe011}, {"ctrl", 0x14}, {"ctrl_r", 0xe014},
	{"esc", 0x76}, {"minus", 0x4e}, {"equal", 0x55}, {"backspace", 0x66}, {"tab", 0x0d},
	{"bracket_left", 0x54}, {"bracket_right", 0x5b}, {"ret", 0x5a}, {"semicolon", 0x4c},
	{"apostrophe", 0x52}, {"grave_accent", 0x0e}, {"backslash", 0x5d}, {"comma", 0x41}, {"dot", 0x49},
	{"slash", 0x4a}, {"asterisk", 0x7c}, {"spc", 0x29}, {"caps_lock", 0x58}, {"less", 0x61},
	{"f1", 0x05}, {"f2", 0x06}, {"f3", 0x04}, {"f4", 0x0c}, {"f5", 0x03}, {"f6", 0x0b}, {"f7", 0x83},
	{"f8", 0x0a}, {"f9", 0x01}, {"f10", 0x09}, {"f11", 0x78}, {"f12", 0x07},
	{"num_lock", 0x77}, {"scroll_lock", 0x7e}, {"sysrq", 0x84}, {"print", 0xe07c},
	{"kp_divide", 0xe04a}, {"kp_multiply", 0x7c}, {"kp_subtract", 0x7b}, {"kp_add", 0x79},
	{"kp_enter", 0xe05a}, {"kp_decimal", 0x71}, {"kp_0", 0x70}, {"kp_1", 0x69}, {"kp_2", 0x72},
	{"kp_3", 0x7a}, {"kp_4", 0x6b}, {"kp_5", 0x73}, {"kp_6", 0x74}, {"kp_7", 0x6c}, {"kp_8", 0x75},
	{"kp_9", 0x7d},
	{"home", 0xe06c}, {"end", 0xe069}, {"pgup", 0xe07d}, {"pgdn", 0xe07a}, {"up", 0xe075},
	{"down", 0xe072}, {"left", 0xe06b}, {"right", 0xe074}, {"insert", 0xe070}, {"delete", 0xe071},
	{"meta_l", 0xe01f}, {"meta_r", 0xe027}, {"menu", 0xe02f},
};
/* clang-format on */

enum { KEYS_MAX = 16, HOLD_DEFAULT_MS = 100, HOLD_MAX_MS = 60000 };

/* The keys that are held, of one VM; its timer releases them all. Under the machine lock. */
struct held_keys {
	struct machine *machine;
	struct timer *timer;
	uint16_t code[KEYS_MAX];
	unsigned count;
};

const char *hmp_key_name(unsigned n)
{
	return n < ARRAY_LEN(keys) ? keys[n].name : NULL;
}

static void send(struct machine *m, uint16_t code, bool release)
{
	uint8_t bytes[3];
	unsigned n = 0;
	if (code >> 8)
		bytes[n++] = (uint8_t)(code >> 8);
	if (release)
		bytes[n++] = 0xf0;
	bytes[n++] = (uint8_t)code;
	machine_key(m, bytes, n);
}

/* A timer callback, under the machine lock. */
static void release_all(void *opaque)
{
	struct held_keys *held = opaque;
	while (held->count)
		send(held->machine, held->code[--held->count], true);
}

static bool make_held(struct vm *vm)
{
	struct held_keys *held = calloc(1, sizeof(*held));
	if (!held)
		return false;
	held->machine = vm->machine;
	held->timer = machine_timer_new(vm->machine, release_all, held);
	if (!held->timer) {
		free(held);
		return false;
	}
	vm->held_keys = held;
	return true;
}

static void press(struct hmp *h, const uint16_t *code, unsigned n, unsigned hold_ms)
{
	struct machine *m = h->vm->machine;
	machine_lock(m);
	if (h->vm->held_keys || make_held(h->vm)) {
		struct held_keys *held = h->vm->held_keys;
		release_all(held);
		memcpy(held->code, code, n * sizeof(*code));
		held->count = n;
		for (unsigned i = 0; i < n; i++)
			send(m, code[i], false);
		machine_timer_set(held->timer, machine_now(m) + hold_ms * 1000000ll);
	}
	machine_unlock(m);
}

static uint16_t find_key(const char *name, size_t len)
{
	/* a scan code as a number is set 1's, as in QEMU, which nobody has asked for yet */
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strlen(keys[i].name) == len && !memcmp(keys[i].name, name, len))
			return keys[i].code;
	if (len == 1 && *name == '<')
		return 0x61;
	return 0;
}

void hmp_sendkey(struct hmp *h)
{
	char text[HMP_WORD_MAX];
	uint64_t hold = HOLD_DEFAULT_MS;
	uint16_t code[KEYS_MAX];
	unsigned n = 0;
	if (!hmp_take_word(h, text, sizeof(text)) ||
	    (hmp_more(h) && !hmp_take_expression(h, &hold)) || !hmp_take_end(h))
		return;
	for (const char *p = text; *p;) {
		size_t len = strcspn(p, "-");
		uint16_t key = find_key(p, len);
		if (!key) {
			fprintf(h->out, "invalid parameter: %.*s\n", (int)len, p);
			return;
		}
		if (n == KEYS_MAX) {
			fputs("too many keys\n", h->out);
			return;
		}
		code[n++] = key;
		p += len + (p[len] == '-');
	}
	if (n)
		press(h, code, n, hold < HOLD_MAX_MS ? (unsigned)hold : HOLD_MAX_MS);
}
