/* Loops over bytes, as in a C library without tricks: length, copy, compare, search, change of case. */
#include "../bench.h"

#define SIZE 4096
#define ROUNDS 60

static char text[SIZE], copy[SIZE];

static unsigned length(const char *s)
{
	unsigned n = 0;
	while (s[n])
		n++;
	return n;
}

static void copy_text(char *to, const char *from)
{
	while ((*to++ = *from++))
		;
}

static int compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (uint8_t)*a - (uint8_t)*b;
}

static unsigned count_words(const char *s)
{
	unsigned words = 0;
	char before = ' ';
	for (; *s; before = *s++)
		words += *s != ' ' && before == ' ';
	return words;
}

static void upper(char *s)
{
	for (; *s; s++) {
		if (*s >= 'a' && *s <= 'z')
			*s = (char)(*s - 'a' + 'A');
	}
}

uint32_t benchmark_unit(void)
{
	uint32_t seed = 9, result = 0;
	for (unsigned i = 0; i < SIZE - 1; i++) {
		uint32_t r = random_next(&seed) >> 4;
		text[i] = (char)(r % 6 ? 'a' + r % 26 : ' ');
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		copy_text(copy, text);
		copy[SIZE - 2 - round] = '!';
		result += (uint32_t)compare(text, copy) + length(copy) + count_words(copy);
		upper(copy);
		result = result * 31 + (uint8_t)copy[round * 7];
	}
	return result;
}
