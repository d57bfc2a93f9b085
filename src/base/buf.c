/* buf.c - a growing byte buffer with a sticky limit. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"

void buf_done(struct buf *b)
{
	if (!b)
		return;
	mem_free(b->p);
	b->p = NULL;
	b->n = b->cap = 0;
	b->overflow = false;
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->overflow = false;
}

static bool grow(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 256;

	if (b->overflow || n > b->max - b->n) {
		b->overflow = true;
		return false;
	}
	while (cap - b->n < n)
		cap = cap > b->max / 2 ? MAX(b->max, b->n + n) : 2 * cap;
	b->p = mem_realloc(b->p, cap);
	b->cap = cap;
	return true;
}

char *buf_reserve(struct buf *b, size_t n)
{
	assert(b->n <= b->max);
	if (b->overflow || n > b->max - b->n || n > b->cap - b->n || !b->p) {
		if (!grow(b, n))
			return NULL;
	}
	return b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->n);
	b->n += n;
}

void buf_add(struct buf *b, str s)
{
	char *p = buf_reserve(b, s.n);

	if (p && s.n) {
		memcpy(p, s.p, s.n);
		b->n += s.n;
	}
}

void buf_byte(struct buf *b, char c)
{
	char *p = buf_reserve(b, 1);

	if (p) {
		*p = c;
		b->n++;
	}
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	char small[256];
	va_list args, again;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(small, sizeof(small), fmt, args);
	assert(n >= 0);
	if ((size_t)n < sizeof(small)) {
		buf_add(b, (str){ small, (size_t)n });
	} else {
		/* vsnprintf wants a place for its NUL, which is not counted: ask for it without crossing the limit. */
		char *text = mem_alloc((size_t)n + 1);

		vsnprintf(text, (size_t)n + 1, fmt, again);
		buf_add(b, (str){ text, (size_t)n });
		mem_free(text);
	}
	va_end(again);
	va_end(args);
}

void buf_i64(struct buf *b, int64_t v)
{
	char digits[20], *p = digits + sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (v < 0)
		*--p = '-';
	buf_add(b, (str){ p, (size_t)(digits + sizeof(digits) - p) });
}

str buf_take(struct buf *b)
{
	const str s = { b->p ? b->p : mem_alloc(1), b->n };

	b->p = NULL;
	b->n = b->cap = 0;
	b->overflow = false;
	return s;
}
