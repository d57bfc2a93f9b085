/*
 * auth_index.c - the rows of the index of auth chains.
 *
 * A place's row has numbers that are mostly 0 or 1, which take no space in SQLite, and the links from there, packed:
 * new rows come at the end of the table. Links once more, by where they end, fall into the ranges of the few lines that
 * everybody names. Only events that go on with a line and link to others have an entry by line: where a line begins,
 * its number is the event's.
 */
#include "store/auth_index.h"

#include "base/map.h"
#include "store/events.h"
#include "store/tx.h"

/*
 * Asking
 */
static err *read_stands(struct tx *tx, const int64_t *events, size_t n, struct auth_stands *out)
{
	const struct i64s list = { events, n };
	struct arena *a = tx_arena(tx);
	struct map place;
	struct rows *rs;

	if (n == 0)
		return NULL;
	map_init(&place, a);
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct auth_stands){ 0 };
		map_put_i(&place, events[i], &out[i]);
	}
	TRY(tx_query(tx, "SELECT event, line, place, last FROM auth_places WHERE event IN $1", BIND(B(list)), &rs));
	while (rows_next(rs)) {
		const int64_t event = rows_i64(rs, 0), line = rows_i64(rs, 1);
		struct auth_stands *s = map_get_i(&place, event);

		*s = (struct auth_stands){ { line ? line : event, rows_i64(rs, 2) }, rows_i64(rs, 3) != 0 };
	}
	TRY(rows_end(&rs));
	for (size_t i = 0; i < n; i++) /* one may be asked for twice */
		out[i] = *(struct auth_stands *)map_get_i(&place, events[i]);
	return NULL;
}

err *store_auth_places(struct tx *tx, const int64_t *events, size_t n, struct auth_place *out)
{
	struct auth_stands *stands = ARENA_ARRAY(tx_arena(tx), struct auth_stands, n);

	TRY(read_stands(tx, events, n, stands));
	for (size_t i = 0; i < n; i++)
		out[i] = stands[i].at;
	return NULL;
}

err *store_auth_keys(struct tx *tx, const int64_t *lines, size_t n, struct auth_key *out)
{
	const struct i64s list = { lines, n };
	struct map place;
	struct rows *rs;

	if (n == 0)
		return NULL;
	map_init(&place, tx_arena(tx));
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct auth_key){ 0 };
		map_put_i(&place, lines[i], &out[i]);
	}
	TRY(tx_query(tx, "SELECT nid, type, state_key FROM events WHERE nid IN $1", BIND(B(list)), &rs));
	while (rows_next(rs))
		*(struct auth_key *)map_get_i(&place, rows_i64(rs, 0)) =
			(struct auth_key){ rows_i64(rs, 1), rows_i64(rs, 2) };
	return rows_end(&rs);
}

err *store_auth_named(struct tx *tx, const int64_t *lines, size_t n, bool *out)
{
	static const char sql[] = "SELECT each.value FROM EACH $1"
				  " WHERE EXISTS (SELECT 1 FROM auth_links l WHERE l.to_line = each.value)";
	const struct i64s list = { lines, n };
	struct map place;
	struct rows *rs;

	if (n == 0)
		return NULL;
	map_init(&place, tx_arena(tx));
	for (size_t i = 0; i < n; i++) {
		out[i] = false;
		map_put_i(&place, lines[i], &out[i]);
	}
	TRY(tx_query(tx, sql, BIND(B(list)), &rs));
	while (rows_next(rs))
		*(bool *)map_get_i(&place, rows_i64(rs, 0)) = true;
	return rows_end(&rs);
}

err *store_auth_above(struct tx *tx, struct auth_span to, size_t limit, struct auth_cursor *at,
		      const struct auth_link **out, size_t *out_n)
{
	static const char sql[] = "SELECT to_place, line, place FROM auth_links WHERE to_line = $1"
				  " AND (to_place, line, place) > ($2, $3, $4) AND to_place < $5"
				  " ORDER BY to_place, line, place LIMIT $6";
	const struct auth_link *last = &at->last;
	VEC(struct auth_link) found = { 0 };
	struct rows *rs;

	if (!at->begun)
		at->last = (struct auth_link){ .to = { to.line, to.from } };
	at->begun = true;
	TRY(tx_query(tx, sql,
		     BIND(B(to.line), B(last->to.place), B(last->from.line), B(last->from.place), B(to.below),
			  B((int64_t)limit)),
		     &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct auth_link){ .from = { rows_i64(rs, 1), rows_i64(rs, 2) },
					     .to = { to.line, rows_i64(rs, 0) } });
	TRY(rows_end(&rs));
	if (found.n > 0)
		at->last = found.p[found.n - 1];
	at->end = found.n < limit;
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

/*
 * Links in a place's row: seven bits a byte, the lowest first
 */
static void pack_number(struct arena *a, str *packed, int64_t v)
{
	uint64_t u = (uint64_t)v;
	char bytes[10];
	size_t n = 0;

	do {
		bytes[n++] = (char)(u < 128 ? u : (u & 127) + 128);
		u >>= 7;
	} while (u);
	*packed = arena_join2(a, *packed, (str){ bytes, n });
}

static str pack_link(struct arena *a, str packed, struct auth_place to)
{
	pack_number(a, &packed, to.line);
	pack_number(a, &packed, to.place);
	return packed;
}

static bool unpack_number(str packed, size_t *at, int64_t *out)
{
	uint64_t u = 0;

	for (unsigned shift = 0; shift < 64 && *at < packed.n; shift += 7) {
		const uint8_t byte = (uint8_t)packed.p[(*at)++];

		u |= (uint64_t)(byte & 127) << shift;
		if (byte < 128) {
			*out = (int64_t)u;
			return true;
		}
	}
	return false;
}

struct found_links {
	struct auth_link *p;
	size_t n, cap;
};

/* Those of one row. */
static err *unpack_links(struct arena *a, struct auth_place from, str packed, struct found_links *out)
{
	struct auth_link l = { .from = from };

	for (size_t at = 0; at < packed.n;) {
		if (!unpack_number(packed, &at, &l.to.line) || !unpack_number(packed, &at, &l.to.place))
			return err_new(a, ERR_INTERNAL, "auth_places has damaged links");
		vec_push(a, out, l);
	}
	return NULL;
}

static err *add_below(struct tx *tx, const char *sql, const struct i64s lines, int64_t most, struct found_links *out)
{
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(lines), B(most)), &rs));
	while (rows_next(rs)) {
		const struct auth_place from = { rows_i64(rs, 0), rows_i64(rs, 1) };

		TRY(unpack_links(tx_arena(tx), from, rows_str(rs, 2), out));
	}
	return rows_end(&rs);
}

err *store_auth_below(struct tx *tx, const struct auth_span *from, size_t n, const struct auth_link **out,
		      size_t *out_n)
{
	static const char first_places[] = "SELECT event, place, links FROM auth_places"
					   " WHERE event IN $1 AND place < $2 AND links IS NOT NULL";
	static const char later_places[] = "SELECT line, place, links FROM auth_places"
					   " WHERE line IN $1 AND place < $2 AND line <> 0 AND links IS NOT NULL";
	struct arena *a = tx_arena(tx);
	int64_t *lines = ARENA_ARRAY(a, int64_t, n), most = 0;
	size_t *next = ARENA_ARRAY(a, size_t, n + 1), left = 0;
	const struct i64s list = { lines, n };
	struct found_links found = { 0 };
	struct map first; /* line -> its first span, + 1; `next` leads to the others */

	*out = NULL;
	*out_n = 0;
	if (n == 0)
		return NULL;
	map_init(&first, a);
	for (size_t i = 0; i < n; i++) {
		lines[i] = from[i].line;
		most = MAX(most, from[i].below);
		next[i + 1] = (size_t)(uintptr_t)map_put_i(&first, from[i].line, (void *)(uintptr_t)(i + 1));
	}
	TRY(add_below(tx, first_places, list, most, &found));
	if (most > 2)
		TRY(add_below(tx, later_places, list, most, &found));
	for (size_t i = 0; i < found.n; i++) {
		const struct auth_place at = found.p[i].from;
		size_t s = (size_t)(uintptr_t)map_get_i(&first, at.line);

		while (s && (at.place < from[s - 1].from || at.place >= from[s - 1].below))
			s = next[s];
		if (s)
			found.p[left++] = found.p[i];
	}
	*out = found.p;
	*out_n = left;
	return NULL;
}

/*
 * Writing
 */
static err *save_link(struct tx *tx, struct auth_link l)
{
	static const char sql[] = "INSERT INTO auth_links (to_line, to_place, line, place) VALUES ($1, $2, $3, $4)"
				  " ON CONFLICT (to_line, to_place, line, place) DO NOTHING";

	return tx_run(tx, sql, BIND(B(l.to.line), B(l.to.place), B(l.from.line), B(l.from.place)));
}

static err *save_entry(struct tx *tx, const struct auth_entry *e, bool last)
{
	static const char sql[] = "INSERT INTO auth_places (event, line, place, last, links)"
				  " VALUES ($1, $2, $3, $4, $5)";
	const int64_t line = e->at.line == e->event ? 0 : e->at.line;
	str packed = STR_NONE;

	for (size_t i = 0; i < e->n_links; i++)
		packed = pack_link(tx_arena(tx), packed, e->links[i].to);
	TRY(tx_run(tx, sql, BIND(B(e->event), B(line), B(e->at.place), B((int64_t)last), B(packed))));
	for (size_t i = 0; i < e->n_links; i++)
		TRY(save_link(tx, e->links[i]));
	return NULL;
}

/* One more, of an event that has its place already. */
static err *add_link(struct tx *tx, int64_t event, struct auth_link l)
{
	struct row *row;
	str packed;

	TRY(tx_one(tx, "SELECT links FROM auth_places WHERE event = $1", BIND(B(event)), &row));
	packed = pack_link(tx_arena(tx), row ? row_str(row, 0) : STR_NONE, l.to);
	TRY(tx_run(tx, "UPDATE auth_places SET links = $2 WHERE event = $1", BIND(B(event), B(packed))));
	return save_link(tx, l);
}

err *store_auth_add(struct tx *tx, struct auth_entry *entries, size_t n)
{
	struct arena *a = tx_arena(tx);
	struct auth_stands *stands;
	struct auth_list outside;
	struct map continued, inside;

	if (n == 0)
		return NULL;
	auth_outside(a, entries, n, &outside);
	stands = ARENA_ARRAY(a, struct auth_stands, outside.n);
	TRY(read_stands(tx, outside.p, outside.n, stands));
	auth_add(a, entries, n, &outside, stands);
	map_init(&continued, a);
	map_init(&inside, a);
	for (size_t i = 0; i < n; i++) {
		map_put_i(&inside, entries[i].event, tx);
		if (entries[i].continues)
			map_put_i(&continued, entries[i].continues, tx);
	}
	for (size_t i = 0; i < n; i++) {
		const int64_t before = entries[i].continues;

		TRY(save_entry(tx, &entries[i], !map_get_i(&continued, entries[i].event)));
		if (before && !map_get_i(&inside, before))
			TRY(tx_run(tx, "UPDATE auth_places SET last = 0 WHERE event = $1", BIND(B(before))));
	}
	return NULL;
}

/*
 * Parents that come late
 */
err *store_auth_wait(struct tx *tx, str event_id, int64_t event, size_t slot)
{
	static const char sql[] = "INSERT INTO auth_waiting (event_id, event, slot) VALUES ($1, $2, $3)"
				  " ON CONFLICT (event_id, event, slot) DO NOTHING";

	return tx_run(tx, sql, BIND(B(event_id), B(event), B((int64_t)slot)));
}

struct late {
	str event_id;
	int64_t event, slot, parent;
};

static err *find_late(struct tx *tx, const str *event_ids, size_t n, size_t limit, struct late **out, size_t *out_n)
{
	static const char of_all[] = "SELECT w.event_id, w.event, w.slot, e.nid FROM auth_waiting w"
				     " JOIN events e ON e.event_id = w.event_id LIMIT $1";
	static const char of_these[] = "SELECT w.event_id, w.event, w.slot, e.nid FROM auth_waiting w"
				       " JOIN events e ON e.event_id = w.event_id WHERE w.event_id IN $2 LIMIT $1";
	const struct strs list = { event_ids, n };
	VEC(struct late) found = { 0 };
	struct rows *rs;

	TRY(n ? tx_query(tx, of_these, BIND(B((int64_t)limit), B(list)), &rs)
	      : tx_query(tx, of_all, BIND(B((int64_t)limit)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct late){ rows_str(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2), rows_i64(rs, 3) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

/* The parent's number into the row of who names it. */
static err *patch_auths(struct tx *tx, const struct late *l)
{
	struct arena *a = tx_arena(tx);
	struct row *row;
	int64_t *auths;
	size_t n;

	TRY(tx_one(tx, "SELECT auths FROM events WHERE nid = $1", BIND(B(l->event)), &row));
	if (!row)
		return NULL;
	n = store_nids_unpack(a, row_str(row, 0), &auths);
	if (l->slot < 0 || (size_t)l->slot >= n)
		return err_new(a, ERR_INTERNAL, "event %" PRId64 " waits for an auth event it does not name", l->event);
	auths[l->slot] = l->parent;
	const str packed = store_nids_pack(a, auths, n);

	return tx_run(tx, "UPDATE events SET auths = $2 WHERE nid = $1", BIND(B(l->event), B(packed)));
}

err *store_auth_late(struct tx *tx, const str *event_ids, size_t n, size_t limit, bool *out_more)
{
	static const char done[] = "DELETE FROM auth_waiting WHERE event_id = $1 AND event = $2 AND slot = $3";
	struct auth_place *at;
	struct late *late;
	int64_t *events;
	size_t n_late;

	TRY(find_late(tx, event_ids, n, limit, &late, &n_late));
	*out_more = n_late == limit;
	events = ARENA_ARRAY(tx_arena(tx), int64_t, 2 * n_late);
	at = ARENA_ARRAY(tx_arena(tx), struct auth_place, 2 * n_late);
	for (size_t i = 0; i < n_late; i++) {
		events[2 * i] = late[i].event;
		events[2 * i + 1] = late[i].parent;
	}
	TRY(store_auth_places(tx, events, 2 * n_late, at));
	for (size_t i = 0; i < n_late; i++) {
		const struct auth_link link = { at[2 * i], at[2 * i + 1] };
		const bool follows = link.from.line == link.to.line && link.from.place >= link.to.place;

		TRY(patch_auths(tx, &late[i]));
		if (link.from.line && link.to.line && !follows)
			TRY(add_link(tx, late[i].event, link));
		TRY(tx_run(tx, done, BIND(B(late[i].event_id), B(late[i].event), B(late[i].slot))));
	}
	return NULL;
}

/* By where they end: that is the order they are kept in. */
static err *forget_links(struct tx *tx, struct i64s events)
{
	static const char find[] = "SELECT CASE WHEN line = 0 THEN event ELSE line END, place, links FROM auth_places"
				   " WHERE event IN $1 AND place < $2 AND links IS NOT NULL";
	static const char forget[] = "DELETE FROM auth_links"
				     " WHERE to_line = $1 AND to_place = $2 AND line = $3 AND place = $4";
	struct found_links found = { 0 };

	TRY(add_below(tx, find, events, INT64_MAX, &found));
	for (size_t i = 0; i < found.n; i++)
		TRY(tx_run(tx, forget,
			   BIND(B(found.p[i].to.line), B(found.p[i].to.place), B(found.p[i].from.line),
				B(found.p[i].from.place))));
	return NULL;
}

err *store_auth_forget(struct tx *tx, const int64_t *events, size_t n)
{
	const struct i64s list = { events, n };

	if (n == 0)
		return NULL;
	TRY(forget_links(tx, list));
	TRY(tx_run(tx, "DELETE FROM auth_waiting WHERE event IN $1", BIND(B(list))));
	return tx_run(tx, "DELETE FROM auth_places WHERE event IN $1", BIND(B(list)));
}
