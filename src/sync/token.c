/*
 * token.c - the token of /sync: how far a client has been told.
 *
 * "s1_" epoch "_" stream "_" process "_" serial, or "s2_" and the same, "_" to-device. The epoch says which database
 * the position counts in; the process says whose serials the last number is of: after a restart, or on another process,
 * it says nothing, and what is ephemeral is told anew. A device to which more was sent than one answer holds is given
 * the rest with the next ones, while everything else moves on: then the second form says how far it has come with that.
 * Numbers are decimal or hexadecimal as they are short. Whatever a token says, it only ever chooses what its own user
 * is told again.
 */
#include "sync/internal_sync.h"

str sync_token_write(struct arena *a, const struct sync_token *t)
{
	if (t->to_device == t->stream)
		return arena_printf(a, "s1_%" PRIx64 "_%" PRId64 "_%" PRIx64 "_%" PRId64, (uint64_t)t->epoch, t->stream,
				    t->process, t->serial);
	return arena_printf(a, "s2_%" PRIx64 "_%" PRId64 "_%" PRIx64 "_%" PRId64 "_%" PRId64, (uint64_t)t->epoch,
			    t->stream, t->process, t->serial, t->to_device);
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

bool sync_token_read(str text, struct sync_token *out)
{
	struct sync_token t;
	str rest = text, piece[6];
	const bool behind = str_starts(text, S("s2_"));
	uint64_t epoch;

	for (size_t i = 0; i < (behind ? 6 : 5); i++)
		if (!str_split_next(&rest, '_', &piece[i]))
			return false;
	if (!str_is_none(rest) || !str_eq(piece[0], behind ? S("s2") : S("s1")) || !read_hex(piece[1], &epoch) ||
	    !str_to_i64(piece[2], &t.stream) || t.stream < 0 || !read_hex(piece[3], &t.process) ||
	    !str_to_i64(piece[4], &t.serial) || t.serial < 0)
		return false;
	t.to_device = t.stream;
	if (behind && (!str_to_i64(piece[5], &t.to_device) || t.to_device < 0 || t.to_device >= t.stream))
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
