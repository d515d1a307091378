/* What is decoded from memory is what the decoder says. */
#include "bench.h"

#include "translator/classify.h"

#include <stdlib.h>
#include <string.h>

static uint64_t seed = 1;

static uint32_t random32(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 32);
}

/* Bytes that often share prefix, opcode, ModRM and SIB with others, and rarely their numbers. */
static void make(uint8_t *b)
{
	static const uint8_t prefixes[] = {0x66, 0x66, 0x64, 0x65, 0xf0, 0xf2, 0xf3, 0x67, 0x2e, 0x26};
	static const uint8_t modrm[] = {0x00, 0x04, 0x05, 0x0c, 0x44, 0x45, 0x84, 0x85, 0xc0, 0xc8, 0xd1, 0x3d};
	static const uint8_t sib[] = {0x24, 0x25, 0x88, 0x05, 0x64};
	unsigned n = 0;

	for (unsigned i = 0; i < 15; i++)
		b[i] = (uint8_t)random32();
	while (n < 3 && random32() % 4 == 0)
		b[n++] = prefixes[random32() % sizeof(prefixes)];
	if (random32() % 3 == 0)
		b[n++] = 0x0f;
	b[n++] = (uint8_t)random32();
	b[n++] = modrm[random32() % sizeof(modrm)];
	b[n++] = sib[random32() % sizeof(sib)];
}

static void compare(const uint8_t *b, unsigned *recalled)
{
	const uint32_t eip = 0x1234567;
	struct tinsn memory, decoder;
	unsigned size[2] = {0, 0};
	bool write[2], ok[2], found[2];

	memset(&memory, 0, sizeof(memory));
	memset(&decoder, 0, sizeof(decoder));
	*recalled += decode_recall(&memory, b, 15, eip);
	ok[0] = decode(&memory, b, 15, eip);
	ok[1] = decode(&decoder, b, 14, eip); /* that short it is always asked */
	if (ok[0] && memory.z.length == 15)
		return;
	assert_int_equal(ok[0], ok[1]);
	if (!ok[0])
		return;
#define X(name, offset, size) assert_memory_equal((uint8_t *)&memory.z + (offset), (uint8_t *)&decoder.z + (offset), size);
	DECODING_PARTS(X)
#undef X
	assert_int_equal(memory.next, decoder.next);
	assert_int_equal(memory.action, decoder.action);
	assert_int_equal(memory.why, decoder.why);
	assert_int_equal(memory.has_mem, decoder.has_mem);
	assert_int_equal(memory.seg, decoder.seg);
	if (memory.has_mem)
		assert_memory_equal(&memory.mem, &decoder.mem, sizeof(memory.mem));
	found[0] = decode_access(&memory, &size[0], &write[0]);
	found[1] = decode_access(&decoder, &size[1], &write[1]);
	assert_int_equal(found[0], found[1]);
	assert_int_equal(size[0], size[1]);
	assert_int_equal(write[0], write[1]);
}

static void test_random(void **state)
{
	enum { ROUNDS = 400000 };
	unsigned recalled = 0;
	uint8_t b[15];

	decode_init();
	for (unsigned i = 0; i < ROUNDS; i++) {
		make(b);
		compare(b, &recalled);
	}
	assert_in_range(recalled, ROUNDS / 20, ROUNDS);
}

/* Every opcode, with different numbers behind it. */
static void test_opcodes(void **state)
{
	unsigned recalled = 0;

	decode_init();
	for (unsigned i = 0; i < 2 * 256 * 256 * 4; i++) {
		uint8_t b[15], *p = b;

		for (unsigned k = 0; k < sizeof(b); k++)
			b[k] = (uint8_t)random32();
		if (i >> 10 & 1)
			*p++ = 0x0f;
		*p++ = (uint8_t)(i >> 2);
		p[0] = (uint8_t)(i >> 11);
		p[1] = 0x24;
		compare(b, &recalled);
	}
	assert_true(recalled > 100000);
}

/* The address wraps: what is remembered of the instruction elsewhere does not apply. */
static void test_wrap(void **state)
{
	static const uint8_t add[15] = {0x05, 1, 2, 3, 4};
	struct tinsn t;

	decode_init();
	for (unsigned i = 0; i < 2; i++) {
		assert_true(decode(&t, add, sizeof(add), 0x1000));
		assert_int_equal(t.action, ACT_IDENT);
		assert_true(decode(&t, add, sizeof(add), 0xfffffffd));
		assert_int_equal(t.action, ACT_INTERPRET);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_opcodes),
		cmocka_unit_test(test_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
