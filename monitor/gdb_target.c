/* The target description: the register table as XML (gdb: "Target Description Format"). */
#include "monitor/gdb_internal.h"

#include <pthread.h>
#include <stdio.h>

/* Flag registers: name and bit, "" ends. */
struct flag {
	const char *name;
	unsigned bit;
};

static const struct flag eflags[] = {
	{"CF", 0}, {"", 1}, {"PF", 2}, {"AF", 4}, {"ZF", 6}, {"SF", 7}, {"TF", 8}, {"IF", 9}, {"DF", 10}, {"OF", 11},
	{"NT", 14}, {"RF", 16}, {"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}, {NULL, 0},
};
static const struct flag mxcsr[] = {
	{"IE", 0}, {"DE", 1}, {"ZE", 2}, {"OE", 3}, {"UE", 4}, {"PE", 5}, {"DAZ", 6}, {"IM", 7}, {"DM", 8},
	{"ZM", 9}, {"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15}, {NULL, 0},
};
static const struct flag cr0[] = {
	{"PE", 0}, {"MP", 1}, {"EM", 2}, {"TS", 3}, {"ET", 4}, {"NE", 5}, {"WP", 16}, {"AM", 18}, {"NW", 29},
	{"CD", 30}, {"PG", 31}, {NULL, 0},
};
static const struct flag cr4[] = {
	{"VME", 0}, {"PVI", 1}, {"TSD", 2}, {"DE", 3}, {"PSE", 4}, {"PAE", 5}, {"MCE", 6}, {"PGE", 7}, {"PCE", 8},
	{"OSFXSR", 9}, {"OSXMMEXCPT", 10}, {NULL, 0},
};
static const struct flag efer[] = {{"NXE", 11}, {NULL, 0}};

/* By enum gdb_type. */
static const struct {
	const char *name, *group;
	const struct flag *flags;
} types[] = {
	[GDB_INT32] = {"int32", NULL, NULL},
	[GDB_CODE] = {"code_ptr", NULL, NULL},
	[GDB_STACK] = {"data_ptr", NULL, NULL},
	[GDB_EFLAGS] = {"i386_eflags", NULL, eflags},
	[GDB_X87] = {"i387_ext", NULL, NULL},
	[GDB_X87_CONTROL] = {"int", "float", NULL},
	[GDB_XMM] = {"vec128", "vector", NULL},
	[GDB_MXCSR] = {"i386_mxcsr", "vector", mxcsr},
	[GDB_CR0] = {"i386_cr0", NULL, cr0},
	[GDB_CR4] = {"i386_cr4", NULL, cr4},
	[GDB_EFER] = {"i386_efer", NULL, efer},
};

static const char vec128[] = "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
			     "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
			     "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
			     "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
			     "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
			     "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
			     "<union id=\"vec128\">"
			     "<field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
			     "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
			     "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
			     "<field name=\"uint128\" type=\"uint128\"/></union>\n";

static void put_flags(FILE *f, const char *name, const struct flag *flag)
{
	fprintf(f, "<flags id=\"%s\" size=\"4\">", name);
	for (; flag->name; flag++)
		fprintf(f, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flag->name, flag->bit, flag->bit);
	fputs("</flags>\n", f);
}

/* A feature's types come before its registers. */
static void begin_feature(FILE *f, unsigned first)
{
	uint32_t defined = 0;

	fprintf(f, "<feature name=\"%s\">\n", gdb_regs[first].feature);
	for (unsigned i = first; i < gdb_reg_count && (i == first || !gdb_regs[i].feature); i++) {
		enum gdb_type t = gdb_regs[i].type;

		if (defined & 1u << t)
			continue;
		defined |= 1u << t;
		if (types[t].flags)
			put_flags(f, types[t].name, types[t].flags);
		else if (t == GDB_XMM)
			fputs(vec128, f);
	}
}

static void put_target(FILE *f)
{
	fputs("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
	      "<target><architecture>i386</architecture>\n",
	      f);
	for (unsigned i = 0; i < gdb_reg_count; i++) {
		const struct gdb_reg *r = &gdb_regs[i];

		if (r->feature && i)
			fputs("</feature>\n", f);
		if (r->feature)
			begin_feature(f, i);
		fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"", r->name, r->size * 8, types[r->type].name,
			i);
		if (types[r->type].group)
			fprintf(f, " group=\"%s\"", types[r->type].group);
		fputs("/>\n", f);
	}
	fputs("</feature></target>\n", f);
}

static char xml[16384];

static void make(void)
{
	FILE *f = fmemopen(xml, sizeof(xml) - 1, "w");

	if (!f)
		return; /* the empty description: gdb falls back on its own idea of an i386 */
	put_target(f);
	fclose(f);
}

const char *gdb_target_xml(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make);
	return xml;
}
