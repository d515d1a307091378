/* The line editor: reads a line from the console, splits it into words, runs the command. */
#include "kernel.h"

enum { MOST_LINE = 120, MOST_WORDS = 8, BACKSPACE = 8, DELETE = 0x7f, ESCAPE = 0x1b };
#define CTRL(c) ((c) - '@')

static const char prompt[] = "ringfence> ";
static char line[MOST_LINE + 1], last_line[MOST_LINE + 1];
static unsigned length;

static void rub_out(unsigned n)
{
	for (; n && length; n--, length--)
		print("\b \b");
}

static void recall(void)
{
	rub_out(length);
	length = string_length(last_line);
	memcpy(line, last_line, length);
	console_write(line, length);
}

/* Arrow keys and their kind: ESC [ letter. Up recalls the last line, the others do nothing. */
static void escape_sequence(void)
{
	char c = console_getchar();

	if (c != '[' && c != 'O')
		return;
	do
		c = console_getchar();
	while (c < '@');
	if (c == 'A')
		recall();
}

/* One key; true when the line is complete. */
static bool key(char c)
{
	switch (c) {
	case '\r':
	case '\n':
		print("\n");
		return true;
	case BACKSPACE:
	case DELETE:
		rub_out(1);
		return false;
	case CTRL('U'):
		rub_out(length);
		return false;
	case CTRL('W'):
		while (length && line[length - 1] == ' ')
			rub_out(1);
		while (length && line[length - 1] != ' ')
			rub_out(1);
		return false;
	case CTRL('C'):
		length = 0;
		print("^C\n%s", prompt);
		return false;
	case CTRL('L'):
		print("\033[H\033[2J%s", prompt);
		console_write(line, length);
		return false;
	case ESCAPE:
		escape_sequence();
		return false;
	}
	if (c >= ' ' && length < MOST_LINE) {
		line[length++] = c;
		console_write(&c, 1);
	}
	return false;
}

static void run_line(void)
{
	char *words[MOST_WORDS];
	int n = 0;

	line[length] = 0;
	if (length)
		memcpy(last_line, line, length + 1);
	for (char *p = line; *p && n < MOST_WORDS;) {
		while (*p == ' ')
			*p++ = 0;
		if (*p)
			words[n++] = p;
		while (*p && *p != ' ')
			p++;
	}
	if (n)
		command_run(n, words);
}

void shell_main(void)
{
	thread_sleep_ticks(HZ / 10); /* let the first processes say hello */
	for (;;) {
		print("%s", prompt);
		length = 0;
		while (!key(console_getchar()))
			;
		run_line();
	}
}
