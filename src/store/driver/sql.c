/*
 * sql.c - the few places where the two dialects part: lists.
 *
 *     x IN $1         SQLite  x IN list($1)           PostgreSQL  x = ANY($1)
 *     x NOT IN $1             x NOT IN list($1)                   x <> ALL($1)
 *     FROM EACH $1            FROM list($1) AS each               FROM unnest($1) AS each(value)
 *     FROM ZIP ($1, $2)       FROM zip($1, $2) AS zip             FROM unnest($1, $2) AS zip(c1, c2)
 *
 * Statements are constants of this program, so a word-by-word reading is enough: quoted text is skipped, nothing is
 * parsed.
 */
#include <assert.h>
#include <ctype.h>

#include "base/buf.h"
#include "store/driver/internal_sql.h"

enum word { WORD_OTHER, WORD_NOT, WORD_IN, WORD_NOT_IN, WORD_EACH, WORD_ZIP };

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* The end of what begins at s: a quoted text, a comment, a word, or one character. */
static const char *piece_end(const char *s)
{
	if (*s == '\'' || *s == '"') {
		const char *end = strchr(s + 1, *s);

		assert(end);
		return end + 1;
	}
	if (s[0] == '-' && s[1] == '-')
		return s + strcspn(s, "\n");
	if (!is_word(*s) && *s != '$')
		return s + 1;
	for (s++; is_word(*s);)
		s++;
	return s;
}

static enum word word_of(str piece, enum word before)
{
	if (str_eq_nocase(piece, S("NOT")))
		return WORD_NOT;
	if (str_eq_nocase(piece, S("IN")))
		return before == WORD_NOT ? WORD_NOT_IN : WORD_IN;
	if (str_eq_nocase(piece, S("EACH")))
		return WORD_EACH;
	if (str_eq_nocase(piece, S("ZIP")))
		return WORD_ZIP;
	return WORD_OTHER;
}

static void put_param(struct buf *out, const struct sql_dialect *d, enum word before, str param)
{
	const char *const around[][2] = {
		[WORD_OTHER] = { "", "" },
		[WORD_NOT] = { "NOT ", "" },
		[WORD_IN] = { d->in_before, d->in_after },
		[WORD_NOT_IN] = { d->not_in_before, d->not_in_after },
		[WORD_EACH] = { d->each_before, d->each_after },
		[WORD_ZIP] = { "ZIP ", "" },
	};

	buf_add(out, str_c(around[before][0]));
	buf_add(out, param);
	buf_add(out, str_c(around[before][1]));
}

/* The lists between the brackets, s being the first one: gives what stands behind them. */
static const char *put_zip(struct buf *out, const struct sql_dialect *d, const char *s, int *params)
{
	int lists = 0;

	buf_add(out, str_c(d->zip_before));
	for (s++; *s != ')'; s++) {
		const char *end = piece_end(s);
		int64_t n;

		if (*s != '$')
			continue;
		assert(str_to_i64((str){ s + 1, (size_t)(end - s) - 1 }, &n) && n >= 1 && n <= SQL_MAX_PARAMS);
		*params = MAX(*params, (int)n);
		buf_printf(out, lists++ ? ", $%d" : "$%d", (int)n);
		s = end - 1;
	}
	assert(lists >= 1 && lists <= STORE_ZIP_MAX);
	buf_add(out, str_c(d->zip_after));
	for (int i = 1; i <= lists && d->zip_names; i++)
		buf_printf(out, i < lists ? "c%d, " : "c%d)", i);
	return s + 1;
}

/* A word whose meaning depends on what follows is held back, with the white space behind it, until that is known. */
str sql_translate(struct arena *a, const struct sql_dialect *d, const char *sql, int *out_params)
{
	AUTO_BUF out = BUF_INIT((size_t)64 << 10);
	enum word held = WORD_OTHER;
	const char *from = sql; /* written so far up to here */
	int params = 0;

	for (const char *s = sql, *end; *s; s = end) {
		const bool space = isspace((unsigned char)*s) != 0;
		str piece;

		end = piece_end(s);
		piece = (str){ s, (size_t)(end - s) };
		if (held != WORD_OTHER && space)
			continue;
		if (*s == '$') {
			int64_t n = 0;

			assert(str_to_i64(str_from(piece, 1), &n) && n >= 1 && n <= SQL_MAX_PARAMS);
			params = MAX(params, (int)n);
			put_param(&out, d, held, piece);
			held = WORD_OTHER;
			from = end;
			continue;
		}
		if (held == WORD_ZIP && *s == '(') {
			end = put_zip(&out, d, s, &params);
			held = WORD_OTHER;
			from = end;
			continue;
		}
		held = is_word(*s) ? word_of(piece, held) : WORD_OTHER;
		if (held == WORD_NOT_IN) /* the NOT before it is held already */
			continue;
		buf_add(&out, (str){ from, (size_t)(s - from) });
		from = s;
		if (held == WORD_OTHER) {
			buf_add(&out, piece);
			from = end;
		}
	}
	buf_add(&out, str_c(from));
	assert(!out.overflow);
	*out_params = params;
	return arena_keep(a, buf_str(&out));
}
