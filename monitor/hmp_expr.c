/*
 * Expressions of the human monitor, 64 bits wide.
 *
 *   sum    = logic { (+|-) logic }
 *   logic  = prod { (&| '|' |^) prod }      binds tighter than +, as in QEMU
 *   prod   = unary { (*|/|%) unary }
 *   unary  = (+|-|~) unary | ( sum ) | 'c' | $register | number
 *
 * Depth is bounded: the text comes from anywhere.
 */
#include "monitor/hmp_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

struct parser {
	const struct cpu *cpu;
	const char *p;
	const char *error;
	unsigned depth;
};

#define REG(name, field)                                                                           \
	{                                                                                          \
		name, offsetof(struct cpu, field), sizeof(((struct cpu *)0)->field)                \
	}
#define GPR(name, n)                                                                               \
	{                                                                                          \
		name, offsetof(struct cpu, gpr) + (n) * sizeof(uint64_t), 4                        \
	}
#define SEGMENT(name, s)                                                                           \
	{name, offsetof(struct cpu, seg) + (s) * sizeof(struct cpu_segment) +                      \
		       offsetof(struct cpu_segment, sel), 2},                                      \
	{                                                                                          \
		name ".base", offsetof(struct cpu, seg) + (s) * sizeof(struct cpu_segment), 8      \
	}

static const struct {
	const char *name;
	size_t offset, size;
} registers[] = {
	GPR("eax", R_EAX),	  GPR("ecx", R_ECX),	  GPR("edx", R_EDX),
	GPR("ebx", R_EBX),	  GPR("esp", R_ESP),	  GPR("ebp", R_EBP),
	GPR("esi", R_ESI),	  GPR("edi", R_EDI),	  GPR("sp", R_ESP),
	GPR("fp", R_EBP),	  REG("eip", rip),	  REG("pc", rip),
	REG("eflags", eflags),	  SEGMENT("cs", S_CS),	  SEGMENT("ds", S_DS),
	SEGMENT("es", S_ES),	  SEGMENT("ss", S_SS),	  SEGMENT("fs", S_FS),
	SEGMENT("gs", S_GS),	  SEGMENT("ldtr", S_LDTR), SEGMENT("tr", S_TR),
	REG("cr0", cr0),	  REG("cr2", cr2),	  REG("cr3", cr3),
	REG("cr4", cr4),	  REG("efer", efer),	  REG("gdtr", gdtr.base),
	REG("idtr", idtr.base),	  REG("dr0", dr[0]),	  REG("dr1", dr[1]),
	REG("dr2", dr[2]),	  REG("dr3", dr[3]),	  REG("dr6", dr[6]),
	REG("dr7", dr[7]),	  REG("cpl", cpl),
};

static void blanks(struct parser *s)
{
	while (isspace((unsigned char)*s->p))
		s->p++;
}

static uint64_t fail(struct parser *s, const char *why)
{
	if (!s->error)
		s->error = why;
	return 0;
}

static uint64_t take_register(struct parser *s)
{
	size_t n = 0;
	uint64_t value = 0;
	while (isalnum((unsigned char)s->p[n]) || s->p[n] == '_' || s->p[n] == '.')
		n++;
	for (size_t i = 0; i < ARRAY_LEN(registers); i++) {
		if (strlen(registers[i].name) == n && !strncasecmp(registers[i].name, s->p, n)) {
			/* little endian, like everything we run on */
			memcpy(&value, (const char *)s->cpu + registers[i].offset,
			       registers[i].size);
			s->p += n;
			return value;
		}
	}
	return fail(s, "unknown register");
}

static uint64_t take_character(struct parser *s)
{
	unsigned char c = (unsigned char)*s->p;
	if (!c || s->p[1] != '\'')
		return fail(s, "missing terminating ' character");
	s->p += 2;
	return c;
}

static uint64_t take_number(struct parser *s)
{
	if (!*s->p)
		return fail(s, "unexpected end of expression");
	if (!isdigit((unsigned char)*s->p))
		return fail(s, "invalid char in expression");
	char *end;
	errno = 0;
	uint64_t value = strtoull(s->p, &end, 0);
	if (errno == ERANGE)
		return fail(s, "number too large");
	s->p = end;
	return value;
}

static uint64_t sum(struct parser *s);

static uint64_t unary(struct parser *s)
{
	uint64_t value;
	blanks(s);
	if (s->error || ++s->depth > DEPTH_MAX)
		return fail(s, "expression too deep");
	switch (*s->p) {
	case '+':
		s->p++;
		value = unary(s);
		break;
	case '-':
		s->p++;
		value = 0 - unary(s);
		break;
	case '~':
		s->p++;
		value = ~unary(s);
		break;
	case '(':
		s->p++;
		value = sum(s);
		if (*s->p == ')')
			s->p++;
		else
			fail(s, "')' expected");
		break;
	case '\'':
		s->p++;
		value = take_character(s);
		break;
	case '$':
		s->p++;
		value = take_register(s);
		break;
	default:
		value = take_number(s);
		break;
	}
	s->depth--;
	blanks(s);
	return value;
}

/* In "memsave 0 64 /tmp/file" nothing is divided: no operand begins like that. */
static bool at_path(const struct parser *s)
{
	return *s->p == '/' && (isalpha((unsigned char)s->p[1]) || (s->p[1] && strchr("./_", s->p[1])));
}

static uint64_t product(struct parser *s)
{
	uint64_t value = unary(s);
	while (!s->error && *s->p && strchr("*/%", *s->p) && !at_path(s)) {
		char op = *s->p++;
		uint64_t right = unary(s);
		if (op == '*')
			value *= right;
		else if (!right)
			return fail(s, "division by zero");
		else
			value = op == '/' ? value / right : value % right;
	}
	return value;
}

static uint64_t logic(struct parser *s)
{
	uint64_t value = product(s);
	while (!s->error && (*s->p == '&' || *s->p == '|' || *s->p == '^')) {
		char op = *s->p++;
		uint64_t right = product(s);
		value = op == '&' ? value & right : op == '|' ? value | right : value ^ right;
	}
	return value;
}

static uint64_t sum(struct parser *s)
{
	uint64_t value = logic(s);
	while (!s->error && (*s->p == '+' || *s->p == '-')) {
		char op = *s->p++;
		uint64_t right = logic(s);
		value = op == '+' ? value + right : value - right;
	}
	return value;
}

const char *hmp_expression(const struct cpu *cpu, const char **text, uint64_t *value)
{
	struct parser s = {.cpu = cpu, .p = *text};
	*value = sum(&s);
	*text = s.p;
	return s.error;
}
