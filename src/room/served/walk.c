/*
 * walk.c - going back through a room's graph for another server.
 *
 * The way is prev_events and nothing else: depth is what its maker says it is. Where several branches are open the
 * newest event comes first, by this room's own order (timeline); an event without a place in it (soft-failed) stands
 * just below who names it. Rejected events are walked through, but not given; an outlier ends its branch, for what is
 * before it is not known here.
 *
 * Histories are lines for the most part: the rows below the event at which a walk begins are read in one statement, and
 * only what is not among them one by one.
 */
#include "room/served/reading.h"

#include "room/internal_room.h"
#include "store/events.h"

struct step {
	const struct event_row *row;
	int64_t at; /* what stands highest goes first */
};
struct walk {
	struct served *s;
	struct arena *a;
	struct map rows; /* by number: read so far */
	struct map seen; /* by number: was in `open` */
	VEC(struct step) open;
	VEC(const struct event_row *) found;
	size_t looked_at;
};

/* A walk that meets nothing but what is not to be given ends, too. */
enum { LOOK_MOST = 1000 };

static void walk_init(struct walk *w, struct served *s, struct arena *a)
{
	*w = (struct walk){ .s = s, .a = a };
	map_init(&w->rows, a);
	map_init(&w->seen, a);
}

/* What is walked upon: of this room, with its place in the graph known. */
static bool is_there(const struct walk *w, const struct event_row *row)
{
	return row->room == served_room(w->s) && !(row->flags & EVENT_OUTLIER);
}

static void open_step(struct walk *w, const struct event_row *row, int64_t below)
{
	if (!is_there(w, row) || map_put_i(&w->seen, row->nid, w))
		return;
	vec_push(w->a, &w->open, (struct step){ row, row->timeline ? row->timeline : below - 1 });
}

static const struct event_row *take_newest(struct walk *w, int64_t *out_at)
{
	size_t best = 0;
	struct step newest;

	for (size_t i = 1; i < w->open.n; i++)
		if (w->open.p[i].at > w->open.p[best].at)
			best = i;
	newest = w->open.p[best];
	w->open.p[best] = w->open.p[--w->open.n];
	*out_at = newest.at;
	return newest.row;
}

static void remember(struct walk *w, struct event_row *const *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)map_put_i(&w->rows, rows[i]->nid, rows[i]);
}

/* The events that a row names, those that are known. */
static err *prevs_of(struct walk *w, const struct event_row *row, const struct event_row ***out, size_t *out_n)
{
	int64_t *nids;
	const size_t n = store_nids_unpack(w->a, row->prevs, &nids);
	int64_t *missing = ARENA_ARRAY(w->a, int64_t, n);
	const struct event_row **found = ARENA_ARRAY(w->a, const struct event_row *, n);
	size_t n_missing = 0, n_found = 0, n_rows;
	struct event_row **rows;

	for (size_t i = 0; i < n; i++)
		if (nids[i] && !map_get_i(&w->rows, nids[i]))
			missing[n_missing++] = nids[i];
	if (n_missing) {
		TRY(store_events_by_nids(served_tx(w->s), missing, n_missing, &rows, &n_rows));
		remember(w, rows, n_rows);
	}
	for (size_t i = 0; i < n; i++) {
		const struct event_row *prev = nids[i] ? map_get_i(&w->rows, nids[i]) : NULL;

		if (prev)
			found[n_found++] = prev;
	}
	*out = found;
	*out_n = n_found;
	return NULL;
}

static err *rows_of_ids(struct walk *w, const str *ids, size_t n, struct event_row ***out, size_t *out_n)
{
	*out_n = 0;
	if (n == 0)
		return NULL;
	TRY(store_events_by_ids(served_tx(w->s), ids, MIN(n, (size_t)SERVED_FROM_MAX), out, out_n));
	remember(w, *out, *out_n);
	return NULL;
}

static err *texts_of(struct walk *w, struct served_texts *out)
{
	bool *seen = ARENA_ARRAY(w->a, bool, w->found.n);
	str *texts = ARENA_ARRAY(w->a, str, w->found.n);

	TRY(served_sees(w->s, w->found.p, w->found.n, seen));
	for (size_t i = 0; i < w->found.n; i++)
		TRY(served_bytes(w->s, w->found.p[i], seen[i], &texts[i]));
	*out = (struct served_texts){ texts, w->found.n };
	return NULL;
}

/*
 * Backfilling
 */
static err *read_ahead(struct walk *w, struct event_row *const *from, size_t n, size_t limit)
{
	int64_t top = 0;
	struct event_row **rows;
	size_t n_rows;

	for (size_t i = 0; i < n; i++)
		if (is_there(w, from[i]))
			top = MAX(top, from[i]->timeline);
	if (!top || limit < 2)
		return NULL;
	TRY(store_events_by_timeline(served_tx(w->s), served_room(w->s), top, true, limit - 1, &rows, &n_rows));
	remember(w, rows, n_rows);
	return NULL;
}

err *served_backfill(struct rooms *rs, struct arena *a, str room_id, str origin, const str *from, size_t n,
		     size_t limit, struct served_texts *out)
{
	AUTO_TX tx = NULL;
	struct event_row **rows = NULL;
	struct served *s;
	struct walk w;
	size_t n_rows;

	limit = MIN(limit, (size_t)SERVED_BACKFILL_MAX);
	TRY(store_read(rooms_options(rs)->store, a, &tx));
	TRY(served_open(rs, a, tx, room_id, origin, SERVED_IN_ROOM, &s));
	walk_init(&w, s, a);
	TRY(rows_of_ids(&w, from, n, &rows, &n_rows));
	TRY(read_ahead(&w, rows, n_rows, limit));
	for (size_t i = 0; i < n_rows; i++)
		open_step(&w, rows[i], 0);
	while (w.open.n > 0 && w.found.n < limit && w.looked_at++ < LOOK_MOST) {
		const struct event_row **prevs;
		size_t n_prevs;
		int64_t at;
		const struct event_row *row = take_newest(&w, &at);

		if (!(row->flags & EVENT_REJECTED))
			vec_push(a, &w.found, row);
		TRY(prevs_of(&w, row, &prevs, &n_prevs));
		for (size_t i = 0; i < n_prevs; i++)
			open_step(&w, prevs[i], at);
	}
	return texts_of(&w, out);
}

/*
 * Missing events
 */

/* The next layer: what those of this one name, but for what the asker has. */
static err *next_layer(struct walk *w, const struct map *earliest, size_t limit, const struct event_row *const *layer,
		       size_t n, const struct event_row ***out, size_t *out_n)
{
	VEC(const struct event_row *) next = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct event_row **prevs;
		size_t n_prevs;

		TRY(prevs_of(w, layer[i], &prevs, &n_prevs));
		for (size_t k = 0; k < n_prevs; k++) {
			const struct event_row *row = prevs[k];

			if (w->looked_at >= LOOK_MOST || !is_there(w, row) || map_get(earliest, row->event_id) ||
			    map_put_i(&w->seen, row->nid, w))
				continue;
			w->looked_at++;
			vec_push(w->a, &next, row);
			if (!(row->flags & EVENT_REJECTED) && w->found.n < limit)
				vec_push(w->a, &w->found, row);
		}
	}
	*out = next.p;
	*out_n = next.n;
	return NULL;
}

static void reverse(const struct event_row **p, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		const struct event_row *row = p[i];

		p[i] = p[n - 1 - i];
		p[n - 1 - i] = row;
	}
}

/* "doing a breadth-first walk of the prev_events for the latest_events, ignoring any events in earliest_events and
 * stopping at the limit" */
err *served_missing(struct rooms *rs, struct arena *a, const struct missing_cmd *cmd, struct served_texts *out)
{
	const size_t limit = MIN(cmd->limit, (size_t)SERVED_MISSING_MAX);
	const struct event_row **layer;
	struct event_row **rows = NULL;
	struct map earliest;
	AUTO_TX tx = NULL;
	struct served *s;
	struct walk w;
	size_t n = 0, n_rows;

	TRY(store_read(rooms_options(rs)->store, a, &tx));
	TRY(served_open(rs, a, tx, cmd->room_id, cmd->origin, SERVED_IN_ROOM, &s));
	walk_init(&w, s, a);
	map_init(&earliest, a);
	for (size_t i = 0; i < cmd->n_earliest; i++)
		(void)map_put(&earliest, cmd->earliest[i], &w);
	TRY(rows_of_ids(&w, cmd->latest, cmd->n_latest, &rows, &n_rows));
	layer = ARENA_ARRAY(a, const struct event_row *, n_rows);
	for (size_t i = 0; i < n_rows; i++)
		if (is_there(&w, rows[i]) && !map_get(&earliest, rows[i]->event_id) &&
		    !map_put_i(&w.seen, rows[i]->nid, &w))
			layer[n++] = rows[i];
	while (n > 0 && w.found.n < limit)
		TRY(next_layer(&w, &earliest, limit, layer, n, &layer, &n));
	reverse(w.found.p, w.found.n);
	return texts_of(&w, out);
}

/* The request names no room. So that there is such an event at all is for those to hear who may have it; everybody else
 * hears the same of it as of one that never was. */
static err *no_such_event(struct arena *a) { return err_new(a, ERR_NOT_FOUND, "there is no such event here"); }

err *served_event(struct rooms *rs, struct arena *a, str event_id, str origin, str *out)
{
	struct event_row *row;
	AUTO_TX tx = NULL;
	struct served *s;
	str room_id;
	bool sees;
	err *e;

	TRY(store_read(rooms_options(rs)->store, a, &tx));
	TRY(store_event_by_id(tx, event_id, &row));
	if (!row)
		return no_such_event(a);
	TRY(store_intern_text(rooms_options(rs)->store, a, row->room, &room_id));
	e = served_open(rs, a, tx, room_id, origin, SERVED_IN_ROOM, &s);
	if ((e && e->code == ERR_FORBIDDEN) || (!e && row->flags & EVENT_REJECTED))
		return no_such_event(a);
	TRY(e);
	TRY(served_sees(s, (const struct event_row *const[]){ row }, 1, &sees));
	return served_bytes(s, row, sees, out);
}

err *served_at_time(struct rooms *rs, struct arena *a, str room_id, str origin, int64_t ts, bool forwards,
		    str *out_event_id, int64_t *out_ts)
{
	struct event_row *row;
	AUTO_TX tx = NULL;
	struct served *s;

	TRY(store_read(rooms_options(rs)->store, a, &tx));
	TRY(served_open(rs, a, tx, room_id, origin, SERVED_IN_ROOM, &s));
	TRY(store_event_at_time(tx, served_room(s), ts, !forwards, &row));
	if (!row)
		return err_new(a, ERR_NOT_FOUND, "Unable to find event from %" PRId64 " in %s direction", ts,
			       forwards ? "forward" : "backward");
	*out_event_id = row->event_id;
	*out_ts = row->origin_server_ts;
	return NULL;
}
