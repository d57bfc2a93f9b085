/*
 * token.c - the token of /sync: how far a client has been told.
 *
 * "s1_" epoch "_" stream "_" process "_" serial, and what is behind these, each with a letter before it: "_d"
 * to-device,
 * "_p" presence, "_t" presence told. The epoch says which database the position counts in; the process says whose
 * serials the others are of: after a restart, or on another process, they say nothing, and what is ephemeral is told
 * anew. A device to which more was sent than one answer holds is given the rest with the next ones, while everything
 * else moves on: then "d" says how far it has come with that; and so does "t" with changes of presence, of which those
 * up to "p" are known. Numbers are decimal or hexadecimal as they are short. Whatever a token says, it only ever
 * chooses what its own user is told again.
 */
#include "sync/internal_sync.h"

#include "room/timeline.h"
#include "store/events.h"

str sync_token_write(struct arena *a, const struct sync_token *t)
{
	AUTO_BUF b = BUF_INIT(256);

	buf_printf(&b, "s1_%" PRIx64 "_%" PRId64 "_%" PRIx64 "_%" PRId64, (uint64_t)t->epoch, t->stream, t->process,
		   t->serial);
	if (t->to_device != t->stream)
		buf_printf(&b, "_d%" PRId64, t->to_device);
	if (t->presence)
		buf_printf(&b, "_p%" PRId64, t->presence);
	if (t->presence_told != t->presence)
		buf_printf(&b, "_t%" PRId64, t->presence_told);
	return arena_keep(a, buf_str(&b));
}

str sync_token_before(struct arena *a, const struct sync_token *now, const struct event_row *const *rows, size_t n)
{
	struct sync_token before = *now;

	for (size_t i = 0; i < n; i++)
		if (!(rows[i]->flags & EVENT_LATE))
			return timeline_token(a, rows[i]->nid, false);
	before.stream = rows[0]->stream - 1;
	return sync_token_write(a, &before);
}

static bool read_hex(str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 16)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*out = v;
	return true;
}

/* The next piece, if it is one with this letter. False: it is, and no number. */
static bool read_letter(str *rest, char letter, int64_t *out)
{
	const bool there = !str_is_none(*rest) && rest->n > 0 && rest->p[0] == letter;
	str piece;

	return !there || (str_split_next(rest, '_', &piece) && str_to_i64(str_from(piece, 1), out) && *out >= 0);
}

bool sync_token_read(str text, struct sync_token *out)
{
	struct sync_token t = { 0 };
	str rest = text, piece[5];
	uint64_t epoch;

	for (size_t i = 0; i < ARRAY_LEN(piece); i++)
		if (!str_split_next(&rest, '_', &piece[i]))
			return false;
	if (!str_eq(piece[0], S("s1")) || !read_hex(piece[1], &epoch) || !str_to_i64(piece[2], &t.stream) ||
	    t.stream < 0 || !read_hex(piece[3], &t.process) || !str_to_i64(piece[4], &t.serial) || t.serial < 0)
		return false;
	t.to_device = t.stream;
	if (!read_letter(&rest, 'd', &t.to_device) || t.to_device > t.stream || !read_letter(&rest, 'p', &t.presence))
		return false;
	t.presence_told = t.presence;
	if (!read_letter(&rest, 't', &t.presence_told) || !str_is_none(rest))
		return false;
	t.epoch = (int64_t)epoch;
	*out = t;
	return true;
}

bool sync_token_stream(str token, int64_t *out_position)
{
	struct sync_token t;

	if (!sync_token_read(token, &t))
		return false;
	*out_position = t.stream;
	return true;
}
