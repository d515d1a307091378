/*
 * A whole machine for tests: the real chips, the real physical map, a clock that is moved by hand,
 * and a record of what the program above would have been told.
 */
#ifndef TESTS_DEVICES_BOARD_H
#define TESTS_DEVICES_BOARD_H

#include "devices/chips.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BOARD_RAM (64ull << 20)
#define USEC	  1000ll
#define MSEC	  1000000ll

static struct board {
	struct machine *m;
	struct physmap *pm;
	unsigned kicks, events;
	enum machine_event event;
	int code;
} board;

static void board_kick(void *ctx)
{
	board.kicks++;
}

static void board_event(void *ctx, enum machine_event event, int code)
{
	board.events++;
	board.event = event;
	board.code = code;
}

/* 2021-03-04 05:06:07 UTC, a Thursday */
#define BOARD_EPOCH 1614834367

static inline void board_open_with(struct machine_config *config)
{
	char err[200] = "";
	struct machine_ops ops = {board_kick, board_event, NULL};

	memset(&board, 0, sizeof(board));
	board.pm = physmap_create(BOARD_RAM, err, sizeof(err));
	assert_non_null(board.pm);
	config->ram_below_4g = physmap_below_4g(board.pm);
	config->ram_above_4g = physmap_above_4g(board.pm);
	config->rtc.has_base = config->rtc.clock_vm = true;
	config->rtc.base = BOARD_EPOCH;
	board.m = machine_create(config, board.pm, &ops, err, sizeof(err));
	assert_string_equal(err, "");
	assert_non_null(board.m);
	machine_clock_fake(board.m);
	board.kicks = board.events = 0;
}

static inline int board_setup(void **state)
{
	struct machine_config config = {0};

	board_open_with(&config);
	return 0;
}

static inline int board_teardown(void **state)
{
	machine_destroy(board.m);
	physmap_destroy(board.pm);
	return 0;
}

static inline uint8_t in8(uint16_t port)
{
	return (uint8_t)machine_in(board.m, port, 1);
}
static inline uint16_t in16(uint16_t port)
{
	return (uint16_t)machine_in(board.m, port, 2);
}
static inline uint32_t in32(uint16_t port)
{
	return machine_in(board.m, port, 4);
}
static inline void out8(uint16_t port, uint8_t v)
{
	machine_out(board.m, port, 1, v);
}
static inline void out16(uint16_t port, uint16_t v)
{
	machine_out(board.m, port, 2, v);
}
static inline void out32(uint16_t port, uint32_t v)
{
	machine_out(board.m, port, 4, v);
}

static inline uint32_t mem32(uint64_t address)
{
	uint32_t v;

	physmap_read(board.pm, gpa(address), &v, 4);
	return v;
}

static inline void set_mem32(uint64_t address, uint32_t v)
{
	physmap_write(board.pm, gpa(address), &v, 4);
}

static inline void advance(int64_t ns)
{
	machine_clock_advance(board.m, ns);
}
static inline bool pending(void)
{
	return machine_interrupt_pending(board.m);
}
static inline int ack(void)
{
	return machine_interrupt_ack(board.m);
}

static inline void irq(unsigned n, bool level)
{
	struct line l = machine_irq(board.m, n);

	machine_lock(board.m);
	line_set(&l, level);
	machine_unlock(board.m);
}

static inline void pulse(unsigned n)
{
	irq(n, true);
	irq(n, false);
}

/* Program the 8259 pair as PC systems do: vectors 20h and 28h, all masks open. */
static inline void pic_init(uint8_t icw4)
{
	static const uint16_t ports[] = {0x20, 0xa0};

	for (unsigned i = 0; i < 2; i++) {
		out8(ports[i], 0x11);
		out8(ports[i] + 1, i ? 0x28 : 0x20);
		out8(ports[i] + 1, i ? 2 : 4);
		out8(ports[i] + 1, icw4);
	}
	out8(0x21, 0x00);
	out8(0xa1, 0x00);
}

#define BOARD_TEST(fn) cmocka_unit_test_setup_teardown(fn, board_setup, board_teardown)

#endif
