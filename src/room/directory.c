/*
 * directory.c - the published rooms of this server: "Published Room Directory".
 *
 * Largest first, by number among equals. A token names the last (or first) room shown by how many it had and which it
 * was, so that paging goes on at the same place whatever has joined meanwhile; its first letter says which way it goes.
 *
 * A search looks at every room, once: their order is asked for in one statement, then their texts a few at a time, of
 * which only those that were found are kept.
 */
#include "room/internal_room.h"

#include "json/writer.h"
#include "store/tx.h"

enum { LIST_MOST = 500, LIST_USUAL = 100, SCAN_CHUNK = 200, SCAN_MOST = 200000, TERM_MOST = 255 };

err *room_published(struct rooms *rs, struct arena *a, str room_id, bool *out)
{
	struct room_row *row;
	AUTO_TX tx = NULL;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_room_by_id(tx, room_id, &row));
	if (!row)
		return err_new(a, ERR_NOT_FOUND, "Room not found");
	*out = row->published;
	return NULL;
}

struct publish {
	int64_t room;
	bool published;
};

static err *run_publish(struct tx *tx, void *arg)
{
	const struct publish *p = arg;

	return store_room_set_published(tx, p->room, p->published);
}

err *room_publish(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, bool published)
{
	struct publish p = { .published = published };

	{
		AUTO_ROOM room = NULL;
		struct power_levels pl;
		enum membership m;

		TRY(room_hold(rs, a, room_id, &room));
		if (!room)
			return err_new(a, ERR_NOT_FOUND, "Room not found");
		TRY(room_membership(room, by->user_id, &m));
		TRY(room_power(room, &pl));
		/* Who may say what the room is called may say whether it is listed. */
		if (m != MEMBER_JOIN || !power_may_send(&pl, by->user_id, S("m.room.canonical_alias"), true))
			return err_new(a, ERR_FORBIDDEN, "you may not change whether this room is listed");
		p.room = room->nid;
	}
	return store_do(rs->opt.store, a, run_publish, &p);
}

/*
 * Listing
 */
static err *read_token(struct arena *a, str since, struct public_query *q)
{
	str rest, joined;

	q->from_start = str_is_none(since);
	if (q->from_start)
		return NULL;
	if (since.n > 1 && (since.p[0] == 'n' || since.p[0] == 'p')) {
		q->backwards = since.p[0] == 'p';
		rest = str_from(since, 1);
		if (str_split_next(&rest, '_', &joined) && str_to_i64(joined, &q->joined) && str_to_i64(rest, &q->room))
			return NULL;
	}
	return err_new(a, ERR_INVALID_PARAM, "since is no token of this list");
}

static str token(struct arena *a, char way, const struct public_row *at)
{
	return arena_printf(a, "%c%" PRId64 "_%" PRId64, way, at->joined, at->room);
}

/* Is `term` in the text, whatever the case of ASCII letters? */
static bool has_term(str text, str term)
{
	for (size_t i = 0; i + term.n <= text.n; i++)
		if (str_starts_nocase(str_from(text, i), term))
			return true;
	return false;
}

static bool matches(const struct public_rooms_cmd *cmd, const struct public_row *r)
{
	const struct summary_row *s = &r->summary;

	if (!str_is_empty(cmd->search) && !has_term(s->name, cmd->search) && !has_term(s->topic, cmd->search) &&
	    !has_term(s->canonical_alias, cmd->search) && !has_term(r->room_id, cmd->search))
		return false;
	if (cmd->any_room_type)
		return true;
	for (size_t i = 0; i < cmd->n_room_types; i++)
		if (str_eq(cmd->room_types[i], s->room_type)) /* "" is equal to none */
			return true;
	return false;
}

struct page {
	VEC(struct public_row) rows;
	bool more;     /* beyond the last row, in the direction of reading */
	int64_t total; /* of all published rooms */
};

static void take_row(struct arena *a, struct page *out, const struct public_row *row)
{
	struct public_row copy = *row;
	struct summary_row *s = &copy.summary;
	str *const texts[] = { &copy.room_id,
			       &s->name,
			       &s->topic,
			       &s->avatar_url,
			       &s->canonical_alias,
			       &s->join_rule,
			       &s->history_visibility,
			       &s->guest_access,
			       &s->room_type,
			       &s->encryption };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = arena_keep(a, *texts[i]);
	vec_push(a, &out->rows, copy);
}

/* In an arena of its own: of all that is looked through in a search, only what is found is kept. */
static err *scan_chunk(struct rooms *rs, struct arena *a, const struct public_rooms_cmd *cmd,
		       const struct public_place *places, size_t n, size_t limit, struct page *out)
{
	AUTO_ARENA scratch = arena_new();
	struct public_row *rows;
	AUTO_TX tx = NULL;
	err *e = store_read(rs->opt.store, scratch, &tx);

	if (!e)
		e = store_public_rooms(tx, places, n, &rows, &n);
	if (e)
		return err_keep(a, e);
	for (size_t i = 0; i < n && !out->more; i++) {
		if (!matches(cmd, &rows[i]))
			continue;
		out->more = out->rows.n == limit;
		if (!out->more)
			take_row(a, out, &rows[i]);
	}
	return NULL;
}

/* Reads on until the page is full and one more is known to be there, or the list ends. */
static err *read_page(struct rooms *rs, struct arena *a, const struct public_rooms_cmd *cmd, struct public_query q,
		      size_t limit, struct page *out)
{
	struct public_place *places;
	size_t n;

	q.limit = str_is_empty(cmd->search) && cmd->any_room_type ? limit + 1 : SCAN_MOST;
	{
		AUTO_TX tx = NULL;

		TRY(store_read(rs->opt.store, a, &tx));
		TRY(store_public_count(tx, cmd->for_servers, &out->total));
		TRY(store_public_places(tx, &q, &places, &n));
	}
	for (size_t at = 0; at < n && !out->more; at += SCAN_CHUNK)
		TRY(scan_chunk(rs, a, cmd, places + at, MIN(n - at, (size_t)SCAN_CHUNK), limit, out));
	return NULL;
}

static void write_text(struct jw *w, const char *key, str value)
{
	if (!str_is_none(value))
		jw_str(w, key, value);
}

static void write_room(struct jw *w, const struct public_row *r)
{
	const struct summary_row *s = &r->summary;

	jw_object(w, NULL);
	jw_str(w, "room_id", r->room_id);
	jw_int(w, "num_joined_members", r->joined);
	jw_bool(w, "world_readable", str_eq(s->history_visibility, S("world_readable")));
	jw_bool(w, "guest_can_join", str_eq(s->guest_access, S("can_join")));
	jw_str(w, "join_rule", str_is_none(s->join_rule) ? S("invite") : s->join_rule);
	write_text(w, "name", s->name);
	write_text(w, "topic", s->topic);
	write_text(w, "canonical_alias", s->canonical_alias);
	write_text(w, "avatar_url", s->avatar_url);
	write_text(w, "room_type", s->room_type);
	jw_end(w);
}

err *room_public_list(struct rooms *rs, struct arena *a, const struct public_rooms_cmd *cmd, struct jw *w)
{
	const size_t limit = cmd->limit > 0 ? (size_t)MIN(cmd->limit, (int64_t)LIST_MOST) : LIST_USUAL;
	struct public_query q = { .for_servers = cmd->for_servers };
	struct page page = { 0 };

	if (cmd->search.n > TERM_MOST)
		return err_new(a, ERR_INVALID_PARAM, "a search term may have %d bytes", TERM_MOST);
	TRY(read_token(a, cmd->since, &q));
	TRY(read_page(rs, a, cmd, q, limit, &page));
	const size_t n = page.rows.n;

	jw_array(w, "chunk");
	for (size_t i = 0; i < n; i++)
		write_room(w, &page.rows.p[q.backwards ? n - 1 - i : i]);
	jw_end(w);
	jw_int(w, "total_room_count_estimate", page.total);
	if (n == 0)
		return NULL;
	const struct public_row *first = &page.rows.p[q.backwards ? n - 1 : 0],
				*last = &page.rows.p[q.backwards ? 0 : n - 1];
	/* Where we came from there is something, and where we go to if we saw it. */
	if (q.backwards || page.more)
		jw_str(w, "next_batch", token(a, 'n', last));
	if (q.backwards ? page.more : !q.from_start)
		jw_str(w, "prev_batch", token(a, 'p', first));
	return NULL;
}
