/*
 * auth_index.c - the rows of the index of auth chains.
 *
 * A place's row has numbers only, and most of them are 0 or 1, which take no space in SQLite: an event that begins a line costs
 * about ten bytes, and a link about thirty, in the table and in the index upwards. New rows of the first two come at the end of their
 * tables; upwards they fall into the ranges of the few lines that everybody names.
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

err *store_auth_below(struct tx *tx, const struct auth_span *from, size_t n, const struct auth_link **out,
		      size_t *out_n)
{
	static const char sql[] = "SELECT line, place, to_line, to_place FROM auth_links"
				  " WHERE line IN $1 AND place < $2";
	struct arena *a = tx_arena(tx);
	int64_t *lines = ARENA_ARRAY(a, int64_t, n), most = 0;
	const struct i64s list = { lines, n };
	VEC(struct auth_link) found = { 0 };
	size_t *next = ARENA_ARRAY(a, size_t, n + 1);
	struct map first; /* line -> its first span, + 1; `next` leads to the others */
	struct rows *rs;

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
	TRY(tx_query(tx, sql, BIND(B(list), B(most)), &rs));
	while (rows_next(rs)) {
		const struct auth_link l = { { rows_i64(rs, 0), rows_i64(rs, 1) },
					     { rows_i64(rs, 2), rows_i64(rs, 3) } };
		size_t s = (size_t)(uintptr_t)map_get_i(&first, l.from.line);

		while (s && (l.from.place < from[s - 1].from || l.from.place >= from[s - 1].below))
			s = next[s];
		if (s)
			vec_push(a, &found, l);
	}
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

/*
 * Writing
 */
static err *save_link(struct tx *tx, struct auth_link l)
{
	static const char sql[] = "INSERT INTO auth_links (line, place, to_line, to_place) VALUES ($1, $2, $3, $4)"
				  " ON CONFLICT (line, place, to_line, to_place) DO NOTHING";

	return tx_run(tx, sql, BIND(B(l.from.line), B(l.from.place), B(l.to.line), B(l.to.place)));
}

static err *save_entry(struct tx *tx, const struct auth_entry *e, bool last)
{
	static const char sql[] = "INSERT INTO auth_places (event, line, place, last) VALUES ($1, $2, $3, $4)";
	const int64_t line = e->at.line == e->event ? 0 : e->at.line;

	TRY(tx_run(tx, sql, BIND(B(e->event), B(line), B(e->at.place), B((int64_t)last))));
	for (size_t i = 0; i < e->n_links; i++)
		TRY(save_link(tx, e->links[i]));
	return NULL;
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
			TRY(save_link(tx, link));
		TRY(tx_run(tx, done, BIND(B(late[i].event_id), B(late[i].event), B(late[i].slot))));
	}
	return NULL;
}

err *store_auth_forget(struct tx *tx, const int64_t *events, size_t n)
{
	static const char links[] = "DELETE FROM auth_links WHERE (line, place) IN"
				    " (SELECT CASE WHEN line = 0 THEN event ELSE line END, place FROM auth_places"
				    "  WHERE event IN $1)";
	const struct i64s list = { events, n };

	if (n == 0)
		return NULL;
	TRY(tx_run(tx, links, BIND(B(list))));
	TRY(tx_run(tx, "DELETE FROM auth_waiting WHERE event IN $1", BIND(B(list))));
	return tx_run(tx, "DELETE FROM auth_places WHERE event IN $1", BIND(B(list)));
}
