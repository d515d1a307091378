/*
 * Line editing by libedit; see line_edit.h.
 *
 * libedit wants a terminal to edit on, so each editor has a pseudo-terminal for it to look at and to set modes of;
 * bytes go by our functions. Its terminfo calls share static data, so one lock guards all of libedit; it is let go
 * while a byte is waited for.
 *
 * Taken away: M-x, which runs libedit's own commands; numeric arguments, which repeat an
 * insertion a million times; M-^_ (copy the word before), which goes on in the old buffer when the line outgrows it; ^X^X (to
 * the mark), which leads behind the end of a line that was made shorter. Lines end at LINE_MAX_BYTES: the rest is swallowed.
 */
#include "monitor/line_edit.h"
#include "cpu/types.h"

#include <fcntl.h>
#include <histedit.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wctype.h>

enum { LINE_MAX_BYTES = 4096, HISTORY_LINES = 500, REDRAW_KEY = 0x1e /* ^^ */ };
enum { PROMPT_MAX = 64, DEFAULT_COLUMNS = 80, COLUMNS_MIN = 8, COLUMNS_MAX = 4096 };

struct line_edit {
	struct line_edit_ops ops;
	void *ctx;
	EditLine *el;
	History *history;
	FILE *in, *out;
	int master, slave;
	int ended; /* why getc ended the line; 0: it has not */
	unsigned typed;
	char line[LINE_MAX_BYTES + 2];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct line_edit *editor_of(EditLine *el)
{
	void *e = NULL;
	el_get(el, EL_CLIENTDATA, &e);
	return e;
}

static ssize_t stream_write(void *cookie, const char *text, size_t n)
{
	struct line_edit *e = cookie;
	e->ops.write(e->ctx, text, n);
	return (ssize_t)n;
}

static char *prompt(EditLine *el)
{
	return (char *)editor_of(el)->ops.prompt;
}

/* One character for libedit: 1, or 0 for the end. */
static int next_character(EditLine *el, wchar_t *c)
{
	struct line_edit *e = editor_of(el);
	int byte;
	if (e->ended)
		return 0;
	fflush(e->out);
	do {
		pthread_mutex_unlock(&lock);
		byte = e->ops.getc(e->ctx);
		pthread_mutex_lock(&lock);
		if (byte == '\n' || byte == '\r')
			e->typed = 0;
		else if (byte >= 0)
			e->typed++;
	} while (!byte || (byte > 0 && e->typed > LINE_MAX_BYTES));
	if (byte == LINE_EDIT_REDRAW)
		byte = REDRAW_KEY;
	if (byte < 0) {
		e->ended = byte;
		return 0;
	}
	/* in the C locale there is nothing beyond ASCII */
	*c = byte < 0x80 ? byte : '?';
	return 1;
}

/* ---- M-d ---- */

/* libedit's own reads as far behind the line as the word is long. */
static unsigned char delete_next_word(EditLine *el, int key)
{
	const LineInfoW *info = el_wline(el);
	const wchar_t *p = info->cursor;
	while (p < info->lastchar && !iswalnum((wint_t)*p))
		p++;
	while (p < info->lastchar && iswalnum((wint_t)*p))
		p++;
	int n = (int)(p - info->cursor);
	if (!n)
		return CC_ERROR;
	el_cursor(el, n);
	el_deletestr(el, n);
	return CC_REFRESH;
}

/* ---- completion ---- */

struct matches {
	unsigned count;
	size_t common; /* characters all have in common */
	char first[128];
};

static void find_matches(struct line_edit *e, const char *line, struct matches *m)
{
	char word[128];
	*m = (struct matches){0};
	for (; e->ops.complete(line, m->count, word, sizeof(word)); m->count++) {
		size_t n = 0;
		if (!m->count) {
			snprintf(m->first, sizeof(m->first), "%s", word);
			m->common = strlen(word);
		}
		while (n < m->common && word[n] == m->first[n])
			n++;
		m->common = n;
	}
}

static void list_matches(struct line_edit *e, const char *line)
{
	char word[128];
	fputc('\n', e->out);
	for (unsigned n = 0; e->ops.complete(line, n, word, sizeof(word)); n++)
		fprintf(e->out, "%s\n", word);
}

static unsigned char complete(EditLine *el, int key)
{
	struct line_edit *e = editor_of(el);
	const LineInfo *info = el_line(el);
	char line[LINE_MAX_BYTES + 1];
	size_t len = (size_t)(info->cursor - info->buffer);
	struct matches m;
	if (len >= sizeof(line))
		return CC_ERROR;
	memcpy(line, info->buffer, len);
	line[len] = 0;
	find_matches(e, line, &m);
	if (!m.count)
		return CC_ERROR;
	size_t word = len;
	while (word && line[word - 1] != ' ' && line[word - 1] != '\t')
		word--;
	size_t have = len - word;
	if (m.count > 1 && m.common <= have) {
		list_matches(e, line);
		return CC_REDISPLAY;
	}
	m.first[m.common] = 0;
	if (el_insertstr(el, m.first + have) || (m.count == 1 && el_insertstr(el, " ")))
		return CC_ERROR;
	return CC_REFRESH;
}

/* ---- life ---- */

/*
 * As tall as the longest line could need (a byte is shown in up to 8 columns): libedit scrolls a line that is higher than the
 * terminal, and then loses count of its rows and writes behind its screen. False: no such terminal.
 */
static bool set_size(const struct line_edit *e, unsigned columns)
{
	const struct winsize size = {
		.ws_col = (unsigned short)columns,
		.ws_row = (unsigned short)((LINE_MAX_BYTES + PROMPT_MAX) * 8 / columns + 2),
	};

	return !ioctl(e->slave, TIOCSWINSZ, &size);
}

static bool open_terminal(struct line_edit *e)
{
	char name[64];
	e->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (e->master < 0 || grantpt(e->master) || unlockpt(e->master) ||
	    ptsname_r(e->master, name, sizeof(name)))
		return false;
	e->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return e->slave >= 0 && set_size(e, DEFAULT_COLUMNS);
}

static bool open_streams(struct line_edit *e)
{
	cookie_io_functions_t io = {.write = stream_write};
	e->in = fopen("/dev/null", "re");
	e->out = fopencookie(e, "w", io);
	return e->in && e->out;
}

static void set_up(struct line_edit *e, const char *terminal)
{
	static const char *const unbound[] = {"\\ex", "\\eX", "\\e0", "\\e1", "\\e2", "\\e3", "\\e4",
					      "\\e5", "\\e6", "\\e7", "\\e8", "\\e9", "\\e-",
					      "\\e^_", "^X^X"};
	HistEvent event;
	el_set(e->el, EL_CLIENTDATA, e);
	el_set(e->el, EL_SIGNAL, 0);
	el_set(e->el, EL_TERMINAL, terminal);
	el_set(e->el, EL_EDITOR, "emacs");
	el_set(e->el, EL_PROMPT, prompt);
	el_set(e->el, EL_GETCFN, next_character);
	/* the narrow el_set would copy the names, and keep the copies for ever */
	el_wset(e->el, EL_ADDFN, L"complete", L"complete a word", complete);
	el_wset(e->el, EL_ADDFN, L"delete-word", L"delete the word behind the cursor", delete_next_word);
	el_set(e->el, EL_BIND, "^I", "complete", NULL);
	el_set(e->el, EL_BIND, "\\ed", "delete-word", NULL);
	el_set(e->el, EL_BIND, "\\eD", "delete-word", NULL);
	el_set(e->el, EL_BIND, "^W", "ed-delete-prev-word", NULL);
	el_set(e->el, EL_BIND, "^^", "ed-redisplay", NULL);
	el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
	el_set(e->el, EL_BIND, "^D", "ed-delete-next-char", NULL);
	for (size_t i = 0; i < ARRAY_LEN(unbound); i++)
		el_set(e->el, EL_BIND, "-r", unbound[i], NULL);
	history(e->history, &event, H_SETSIZE, HISTORY_LINES);
	history(e->history, &event, H_SETUNIQUE, 1);
	el_set(e->el, EL_HIST, history, e->history);
}

struct line_edit *line_edit_new(const struct line_edit_ops *ops, void *ctx, const char *terminal)
{
	struct line_edit *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->ops = *ops;
	e->ctx = ctx;
	e->master = e->slave = -1;
	pthread_mutex_lock(&lock);
	if (open_terminal(e) && open_streams(e) && (e->history = history_init()))
		e->el = el_init_fd("ringfence", e->in, e->out, e->out, e->slave, e->slave, e->slave);
	if (e->el)
		set_up(e, terminal);
	pthread_mutex_unlock(&lock);
	if (e->el)
		return e;
	line_edit_free(e);
	return NULL;
}

void line_edit_free(struct line_edit *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&lock);
	if (e->el)
		el_end(e->el);
	if (e->history)
		history_end(e->history);
	pthread_mutex_unlock(&lock);
	if (e->in)
		fclose(e->in);
	if (e->out)
		fclose(e->out);
	if (e->slave >= 0)
		close(e->slave);
	if (e->master >= 0)
		close(e->master);
	free(e);
}

void line_edit_resize(struct line_edit *e, unsigned columns)
{
	struct winsize now;
	if (columns < COLUMNS_MIN || columns > COLUMNS_MAX || ioctl(e->slave, TIOCGWINSZ, &now) ||
	    now.ws_col == columns || !set_size(e, columns))
		return;
	pthread_mutex_lock(&lock);
	el_resize(e->el);
	pthread_mutex_unlock(&lock);
}

const char *line_edit_read(struct line_edit *e, int *why)
{
	HistEvent event;
	int n = 0;
	e->ended = 0;
	e->line[0] = 0;
	pthread_mutex_lock(&lock);
	const char *text = el_gets(e->el, &n);
	if (text && !e->ended) {
		snprintf(e->line, sizeof(e->line), "%.*s", n, text);
		e->line[strcspn(e->line, "\r\n")] = 0;
		if (e->line[strspn(e->line, " \t")])
			history(e->history, &event, H_ENTER, e->line);
	}
	if (e->ended)
		el_reset(e->el);
	fflush(e->out);
	pthread_mutex_unlock(&lock);
	*why = e->ended;
	return e->ended ? NULL : e->line;
}
