/* tcc compiles some 3,000 lines of C (see write_source) to an object file. */
#include "../bench.h"
#include "../system.h"

static char source[400000];
static uint32_t length;

static void put(const char *s, uint32_t n)
{
	for (; *s && length < sizeof(source) - 16; s++) {
		if (*s != '#') {
			source[length++] = *s;
			continue;
		}
		for (uint32_t divisor = 100; divisor; divisor /= 10)
			source[length++] = (char)('0' + n / divisor % 10);
	}
}

/* A # stands for the number of the function. */
static void write_source(void)
{
	put("struct node { struct node *next; int key, value; };\n", 0);
	for (uint32_t n = 0; n < 400; n++)
		put("static int table#[64];\n"
		    "static int hash#(const char *s, int n)\n"
		    "{\n"
		    "	unsigned h = 1#u;\n"
		    "	for (int i = 0; i < n; i++)\n"
		    "		h = (h << 5 | h >> 27) ^ (unsigned)s[i] * 2654435761u;\n"
		    "	return (int)(h % 64);\n"
		    "}\n"
		    "int find#(struct node *list, int key, const char *name)\n"
		    "{\n"
		    "	int steps = 0;\n"
		    "	switch (key & 3) {\n"
		    "	case 0: steps = hash#(name, 8); break;\n"
		    "	case 1: steps = table#[key & 63]; break;\n"
		    "	default: steps = -1;\n"
		    "	}\n"
		    "	while (list && list->key != key) {\n"
		    "		table#[steps++ & 63] += list->value;\n"
		    "		list = list->next;\n"
		    "	}\n"
		    "	return list ? list->value + steps : -1;\n"
		    "}\n",
		    n);
	write_file("source.c", source, length);
}

uint32_t benchmark_unit(void)
{
	static int ready;
	if (!ready++) {
		one_processor();
		temporary_directory();
		write_source();
	}
	must(-!!run_script("t=${0%busybox}compiler\n"
			 "exec \"$t/ld-linux.so.2\" --library-path \"$t\" \"$t/tcc\" -nostdinc -c source.c -o out.o"),
	     "tcc");
	return hash_file("out.o");
}
