/*
 * log.c - structured logs.
 *
 * A line is put together on the stack and leaves in one write of less than 4096 bytes, which the kernel does not mix
 * with another thread's line on a pipe: hence no lock, and no line that waits for one. Values come from peers, so that
 * text lines quote what could be taken for a second field or line, and a long value is cut, never the line's frame.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES  4000
#define VALUE_MAX_BYTES 1000

static _Atomic int least_level = LOG_INFO;
static _Atomic int line_format = LOG_TEXT;
static const char *const names_text[] = { "DEBUG", "INFO", "WARN", "ERROR" };
static const char *const names_json[] = { "debug", "info", "warning", "error" };

struct line {
	char p[LINE_MAX_BYTES + 2];
	size_t n;
};

void log_setup(enum log_level least, enum log_format format)
{
	atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
	atomic_store_explicit(&line_format, (int)format, memory_order_relaxed);
}

bool log_on(enum log_level level) { return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed); }

static bool put(struct line *l, str s)
{
	if (s.n > LINE_MAX_BYTES - l->n)
		return false;
	memcpy(l->p + l->n, s.p, s.n);
	l->n += s.n;
	return true;
}

static void put_int(struct line *l, int64_t v)
{
	char digits[24];

	put(l, (str){ digits, (size_t)snprintf(digits, sizeof(digits), "%" PRId64, v) });
}

/* One character of a quoted value, escaped as JSON does it. What is no UTF-8 becomes U+FFFD. */
static void put_char(struct line *l, str *s)
{
	const size_t len = utf8_sequence(*s);
	const unsigned char c = (unsigned char)s->p[0];
	char code[8];

	if (len == 0)
		put(l, S("\xef\xbf\xbd"));
	else if (c == '"' || c == '\\')
		put(l, (str){ (char[]){ '\\', (char)c }, 2 });
	else if (c == '\n')
		put(l, S("\\n"));
	else if (c < 0x20 || c == 0x7f)
		put(l, (str){ code, (size_t)snprintf(code, sizeof(code), "\\u%04x", c) });
	else
		put(l, str_head(*s, len));
	*s = str_from(*s, len ? len : 1);
}

static void put_quoted(struct line *l, str s)
{
	const str shown = s.n > VALUE_MAX_BYTES ? utf8_cut(s, VALUE_MAX_BYTES) : s;
	size_t room = LINE_MAX_BYTES - l->n;

	if (room < 16)
		return;
	put(l, S("\""));
	/* 16: the longest character (6), the mark of a cut (3), the closing quote, and a closing brace. */
	for (str rest = shown; rest.n; put_char(l, &rest)) {
		if (l->n + 16 > LINE_MAX_BYTES) {
			s.n = SIZE_MAX;
			break;
		}
	}
	if (s.n > shown.n)
		put(l, S("\xe2\x80\xa6"));
	put(l, S("\""));
}

/* A value that stands bare in a text line: visible ASCII without quotes and '='. */
static bool is_bare(str s)
{
	if (s.n == 0 || s.n > VALUE_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\')
			return false;
	return true;
}

static void put_field(struct line *l, const struct log_field *f, bool json)
{
	const str key = str_c(f->key);

	/* A field that does not fit is left out whole, so that the line stays readable by machines. */
	if (f->kind == LF_NONE || key.n + 48 > LINE_MAX_BYTES - l->n)
		return;
	put(l, json ? S(",\"") : S(" "));
	put(l, key);
	put(l, json ? S("\":") : S("="));
	if (f->kind == LF_INT)
		put_int(l, f->i);
	else if (str_is_none(f->s))
		put(l, json ? S("null") : S("-"));
	else if (!json && is_bare(f->s) && f->s.n + 16 < LINE_MAX_BYTES - l->n)
		put(l, f->s);
	else
		put_quoted(l, f->s);
}

static void put_time(struct line *l)
{
	const int64_t now = clock_ms();
	const time_t s = (time_t)(now / 1000);
	char text[40];
	struct tm tm;

	gmtime_r(&s, &tm);
	put(l, (str){ text, strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) });
	put(l, (str){ text, (size_t)snprintf(text, sizeof(text), ".%03dZ", (int)(now % 1000)) });
}

void log_write(const struct log *lg, enum log_level level, const char *msg, const struct log_field *f, size_t n)
{
	const bool json = atomic_load_explicit(&line_format, memory_order_relaxed) == LOG_JSON;
	struct line l;
	ssize_t ignored;

	l.n = 0;
	if (json)
		put(&l, S("{\"time\":\""));
	put_time(&l);
	put(&l, json ? S("\",\"level\":\"") : S(" "));
	put(&l, str_c((json ? names_json : names_text)[level]));
	put(&l, json ? S("\",\"msg\":") : S(" "));
	if (json)
		put_quoted(&l, str_c(msg));
	else
		put(&l, str_c(msg));
	for (size_t i = 0; i < n; i++)
		put_field(&l, &f[i], json);
	for (; lg; lg = lg->parent)
		for (size_t i = 0; i < ARRAY_LEN(lg->fields); i++)
			put_field(&l, &lg->fields[i], json);
	if (json)
		l.p[l.n++] = '}';
	l.p[l.n++] = '\n';
	/* There is nobody to tell when standard error is gone. */
	ignored = write(STDERR_FILENO, l.p, l.n);
	(void)ignored;
}
