/*
 * multipart.c - cutting a body at its delimiters.
 *
 * A delimiter is CRLF, two hyphens, the boundary. While a body is read, what could be the beginning of one is held back
 * until the bytes behind it say whether it is; everything before is given out at once. A boundary holds no CR, so a
 * failed match begins anew at the next CR at the earliest.
 */
#include "http/multipart.h"

#include <assert.h>

static err *broken(struct arena *a, const char *why) { return err_new(a, ERR_INVALID_PARAM, "multipart: %s", why); }

void multipart_init(struct multipart *m, const struct multipart_ops *ops)
{
	*m = (struct multipart){
		.ops = *ops,
		.held = BUF_INIT(MULTIPART_HEADERS_MAX + 8),
		.border = BUF_INIT(MULTIPART_BOUNDARY_MAX + 8),
	};
}

void multipart_done(struct multipart *m)
{
	buf_done(&m->held);
	buf_done(&m->border);
}

bool multipart_is_whole(const struct multipart *m) { return m->state == MULTIPART_END; }

/* Collects until what is held is whole; the rest of *bytes stays. False: not there yet. */
static bool collect(struct multipart *m, str *bytes, bool (*is_whole)(str held))
{
	while (bytes->n) {
		const str held = (buf_byte(&m->held, *bytes->p), buf_str(&m->held));

		*bytes = str_from(*bytes, 1);
		if (m->held.overflow)
			return false;
		if (is_whole(held))
			return true;
	}
	return false;
}

static bool line_ends(str held) { return held.n >= 2 && str_eq(str_from(held, held.n - 2), S("\r\n")); }

static str without_blanks(str line)
{
	while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	return line;
}

/* A CR within would begin a delimiter anew in the middle of one. */
static bool is_printed(str line)
{
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] < ' ' || line.p[i] == 127)
			return false;
	return true;
}

/* "--boundary": what separates the parts from here on. */
static err *first_line(struct multipart *m, struct arena *a, str *bytes)
{
	str line;

	if (!collect(m, bytes, line_ends))
		return m->held.overflow ? broken(a, "no first line") : NULL;
	/* "may have had ... white space [which] must be presumed to have been added by a gateway" */
	line = without_blanks(str_head(buf_str(&m->held), m->held.n - 2));
	if (line.n == 0) { /* an empty line may stand before it */
		buf_reset(&m->held);
		return NULL;
	}
	if (!str_starts(line, S("--")) || line.n < 3 || line.n > MULTIPART_BOUNDARY_MAX + 2 || !is_printed(line))
		return broken(a, "no boundary");
	buf_add(&m->border, S("\r\n"));
	buf_add(&m->border, line);
	buf_reset(&m->held);
	m->state = MULTIPART_HEADERS;
	return NULL;
}

/* They end with an empty line, which may be the first. */
static bool headers_end(str held)
{
	return str_eq(held, S("\r\n")) || (held.n >= 4 && str_eq(str_from(held, held.n - 4), S("\r\n\r\n")));
}

static err *headers(struct multipart *m, struct arena *a, str *bytes)
{
	str lines;

	if (!collect(m, bytes, headers_end))
		return m->held.overflow ? broken(a, "headers are too long") : NULL;
	lines = str_head(buf_str(&m->held), m->held.n - 2);
	m->state = MULTIPART_BODY;
	TRY(m->ops.begin(m->ops.ctx, m->part, lines));
	buf_reset(&m->held);
	return NULL;
}

static err *give(struct multipart *m, str bytes) { return bytes.n ? m->ops.take(m->ops.ctx, m->part, bytes) : NULL; }

static err *body(struct multipart *m, str *bytes)
{
	const str border = buf_str(&m->border);

	while (bytes->n) {
		const str held = buf_str(&m->held);

		if (held.n == 0) {
			const size_t cr = str_find(*bytes, '\r');

			TRY(give(m, str_head(*bytes, cr)));
			*bytes = str_from(*bytes, cr);
			if (bytes->n == 0)
				return NULL;
		} else if (*bytes->p != border.p[held.n]) {
			TRY(give(m, held));
			buf_reset(&m->held);
			continue;
		}
		buf_byte(&m->held, *bytes->p);
		*bytes = str_from(*bytes, 1);
		if (m->held.n == border.n) {
			buf_reset(&m->held);
			m->state = MULTIPART_AFTER;
			return NULL;
		}
	}
	return NULL;
}

/* Behind a delimiter: "--" is the end, CRLF another part; blanks before it are let pass. */
static err *after(struct multipart *m, struct arena *a, str *bytes)
{
	while (bytes->n) {
		const str held = (buf_byte(&m->held, *bytes->p), buf_str(&m->held));

		*bytes = str_from(*bytes, 1);
		if (str_eq(held, S("--"))) {
			m->state = MULTIPART_END;
			return NULL;
		}
		if (str_eq(held, S("\r\n"))) {
			buf_reset(&m->held);
			m->state = MULTIPART_HEADERS;
			return ++m->part < MULTIPART_PARTS_MAX ? NULL : broken(a, "too many parts");
		}
		if (str_eq(held, S(" ")) || str_eq(held, S("\t")))
			buf_reset(&m->held);
		else if (held.n == 2)
			return broken(a, "something stands behind a delimiter");
	}
	return NULL;
}

err *multipart_take(struct multipart *m, struct arena *a, str bytes)
{
	while (bytes.n && m->state != MULTIPART_END) {
		switch (m->state) {
		case MULTIPART_FIRST_LINE:
			TRY(first_line(m, a, &bytes));
			break;
		case MULTIPART_HEADERS:
			TRY(headers(m, a, &bytes));
			break;
		case MULTIPART_BODY:
			TRY(body(m, &bytes));
			break;
		case MULTIPART_AFTER:
			TRY(after(m, a, &bytes));
			break;
		case MULTIPART_END:
			break;
		}
	}
	return NULL;
}

str multipart_header(str lines, str name)
{
	while (lines.n) {
		const size_t end = str_find(lines, '\n');
		const str line = str_trim(str_head(lines, end));
		const size_t colon = str_find(line, ':');

		if (colon < line.n && str_eq_nocase(str_trim(str_head(line, colon)), name))
			return str_trim(str_from(line, colon + 1));
		lines = str_from(lines, MIN(end + 1, lines.n));
	}
	return STR_NONE;
}
