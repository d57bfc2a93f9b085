/*
 * timeline.c - the newest events of a room that the reader may see and the filter lets through.
 *
 * Rows are looked at from the newest back, by stream position: what is older than the first that does not fit is never
 * shown, so that nothing lies beyond a gap. `limited` says that an event was left out which would have been shown; what
 * the filter or the visibility leaves out is no gap. An event below which the room's history lacks something
 * (EVENT_GAP) ends it, too: what is missing is asked for by /messages, from `prev_batch` on. Not so one that came late
 * (EVENT_LATE): it is told as news, but stands further down in the history, and so does that gap.
 *
 * The common case reads nothing: a plain message in a room whose reader was joined all the time comes from the room's
 * memory of its newest events, and needs neither state nor visibility.
 */
#include "sync/v3/internal_v3.h"

#include "room/erased.h"
#include "store/events.h"

enum { SCAN_MAX = 2000, CHUNK_MIN = 10 };

struct scan {
	struct run *r;
	struct task *t;
	struct state_root now; /* the room's state at upto: what is in it is shown */
	bool now_known;
	VEC(const struct event_row *) rows; /* newest first */
	bool limited, left_out_state;
	const struct event_row *oldest; /* the last that was looked at */
};

static bool was_joined_throughout(const struct run *r, const struct task *t)
{
	return r->exact && !t->full && t->member->membership == MEMBER_JOIN && t->member->since <= t->above;
}

/* "A user should always be able to see their own membership event." */
static bool is_own_membership(const struct run *r, const struct event_row *row)
{
	return row->type == r->ss->type_member && row->state_key == r->rq->user;
}

/*
 * State that is in force is no secret from who is joined, though it was set while they could not see: clients build the
 * state from the timeline, too.
 */
static err *is_in_force(struct scan *s, const struct event_row *row, bool *out)
{
	struct room_view *v;
	int64_t event;

	*out = false;
	if (!row->state_key || s->t->member->membership != MEMBER_JOIN)
		return NULL;
	TRY(task_view(s->r, s->t, &v));
	if (!s->now_known)
		TRY(task_root(s->r, s->t, &s->now));
	s->now_known = true;
	TRY(state_get(room_view_tree(v), s->r->a, s->now, row->type, row->state_key, &event));
	*out = event == row->nid;
	return NULL;
}

static err *look_at_all(struct scan *s, struct event_row **rows, size_t n, bool *seen)
{
	struct room_view *v;

	if (s->t->linear) {
		memset(seen, true, n);
		return NULL;
	}
	TRY(task_view(s->r, s->t, &v));
	TRY(room_view_sees(v, (const struct event_row *const *)rows, n, seen));
	for (size_t i = 0; i < n; i++)
		if (!seen[i] && is_own_membership(s->r, rows[i]))
			seen[i] = true;
		else if (!seen[i])
			TRY(is_in_force(s, rows[i], &seen[i]));
	return NULL;
}

/* Newest first. True in *done when there is no need to look further. */
static err *take(struct scan *s, struct event_row **rows, size_t n, bool *done)
{
	bool *seen = ARENA_ARRAY(s->r->a, bool, n);

	TRY(look_at_all(s, rows, n, seen));
	for (size_t i = 0; i < n && !*done; i++) {
		bool passes;

		TRY(row_passes(s->r, &s->r->filter.timeline, rows[i], &passes));
		/* "Clients [...] will no longer receive events sent by that user, with the exception of state events."
		 */
		passes = passes && seen[i] && (rows[i]->state_key || !ignored_has(&s->r->ignored, rows[i]->sender));
		s->oldest = rows[i];
		*done = (passes && s->rows.n == s->r->limit) ||
			(rows[i]->flags & (EVENT_GAP | EVENT_LATE)) == EVENT_GAP;
		s->limited = s->limited || *done;
		if (!passes)
			s->left_out_state = s->left_out_state || rows[i]->state_key;
		else if (s->rows.n < s->r->limit)
			vec_push(s->r->a, &s->rows, rows[i]);
	}
	return NULL;
}

static void turn(struct event_row **rows, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct event_row *x = rows[i];

		rows[i] = rows[n - 1 - i];
		rows[n - 1 - i] = x;
	}
}

/* From memory; false in *known when that does not reach back. */
static err *scan_recent(struct scan *s, bool *known)
{
	struct event_row **rows;
	bool linear, done = false;
	size_t n;

	*known = s->t->above > 0 &&
		 rooms_recent(s->r->ss->opt.rooms, s->r->a, s->t->room, s->t->above, s->t->upto, &rows, &n, &linear);
	if (!*known)
		return NULL;
	s->t->linear = linear && n > 0 && was_joined_throughout(s->r, s->t);
	turn(rows, n);
	return take(s, rows, n, &done);
}

/* A chunk, newest first. Memory, which does not reach back to the client's token here, may still hold a whole page. */
static err *read_chunk(struct scan *s, int64_t upto, size_t want, struct event_row ***out, size_t *out_n)
{
	struct tx *tx;

	if (upto == s->t->upto && rooms_newest(s->r->ss->opt.rooms, s->r->a, s->t->room, upto, want, out, out_n))
		return NULL;
	TRY(run_tx(s->r, &tx));
	return store_events_by_stream(tx, s->t->room, s->t->above, upto, true, want, out, out_n);
}

static err *scan_store(struct scan *s)
{
	int64_t upto = s->t->upto;
	bool done = false;

	for (size_t scanned = 0; !done;) {
		const size_t want = MAX(s->r->limit - s->rows.n, (size_t)CHUNK_MIN) + 1 + scanned;
		struct event_row **rows;
		size_t n;

		TRY(read_chunk(s, upto, want, &rows, &n));
		TRY(take(s, rows, n, &done));
		scanned += n;
		if (n < want)
			return NULL;
		upto = rows[n - 1]->stream - 1;
		if (scanned >= SCAN_MAX) {
			s->limited = true;
			return NULL;
		}
	}
	return NULL;
}

/* The reader's own membership event: of a room that they were not in, nothing else is told. */
static err *scan_own(struct scan *s)
{
	const struct event_row *row = s->t->outside;
	struct event_row *stored;
	bool passes = false;
	struct tx *tx;

	if (!row) {
		TRY(run_tx(s->r, &tx));
		TRY(store_event_by_nid(tx, s->t->member->event, &stored));
		row = stored;
	}
	if (row)
		TRY(row_passes(s->r, &s->r->filter.timeline, row, &passes));
	if (passes && s->r->limit)
		vec_push(s->r->a, &s->rows, row);
	return NULL;
}

static err *scan_all(struct scan *s)
{
	bool known;

	if (!event_filter_has_room(&s->r->filter.timeline, s->t->room_id))
		return NULL;
	if (s->t->only_own)
		return scan_own(s);
	/* What became of them after they had left: a ban, or that it was lifted. */
	if (s->t->member->membership != MEMBER_JOIN && s->t->member->stream > s->t->upto)
		TRY(scan_own(s));
	TRY(scan_recent(s, &known));
	return known ? NULL : scan_store(s);
}

static err *erase(struct run *r, struct task *t, struct sync_timeline *tl)
{
	struct room_view *v;

	if (t->outside || !rooms_any_erased(r->ss->opt.rooms, tl->rows, tl->n))
		return NULL;
	TRY(task_view(r, t, &v));
	return room_view_erase(v, tl->rows, tl->n, tl->extras);
}

static err *load_extras(struct run *r, struct task *t, struct sync_timeline *tl)
{
	bool plain = true;

	for (size_t i = 0; i < tl->n; i++)
		plain = plain && !tl->rows[i]->replaces && !tl->rows[i]->redacted_by;
	if (plain) {
		tl->extras = ARENA_ARRAY(r->a, struct client_extra, tl->n);
	} else {
		struct client_extras extras;
		struct tx *tx;

		TRY(run_tx(r, &tx));
		TRY(client_events_load(tx, r->a, tl->rows, tl->n, &extras));
		tl->extras = extras.p;
	}
	for (size_t i = 0; i < tl->n; i++) {
		struct room_view *v;

		if (t->linear || t->outside) {
			tl->extras[i].membership = membership_text(t->member->membership);
			continue;
		}
		TRY(task_view(r, t, &v));
		TRY(room_view_membership_at(v, tl->rows[i], &tl->extras[i].membership));
	}
	return erase(r, t, tl);
}

err *timeline_gather(struct run *r, struct task *t, struct sync_room *out)
{
	struct sync_timeline *tl = &out->timeline;
	struct scan s = { .r = r, .t = t };

	if (t->events)
		TRY(scan_all(&s));
	t->whole = !s.limited && !s.left_out_state;
	tl->n = s.rows.n;
	tl->rows = ARENA_ARRAY(r->a, const struct event_row *, tl->n);
	for (size_t i = 0; i < tl->n; i++)
		tl->rows[i] = s.rows.p[tl->n - 1 - i];
	/* Who joined just now has all that was before to ask for; who comes with a token of another history, too. */
	tl->limited = s.limited || t->newly_joined || (r->broken && !t->only_own);
	/* "A token that can be supplied to the from parameter of /messages in order to retrieve earlier messages":
	 * before a whole room there are none, and a client that asks all the same is shown the room again, as other
	 * servers do. */
	if (tl->n && !t->outside && (r->since.stream || tl->limited || !str_is_empty(tl->rows[0]->prevs)))
		tl->prev_batch = sync_token_before(r->a, &r->answer->next, tl->rows, tl->n);
	else if (s.limited && s.oldest && r->limit)
		tl->prev_batch = sync_token_before(r->a, &r->answer->next, &s.oldest, 1);
	else
		tl->prev_batch = sync_token_write(r->a, &r->answer->next);
	return load_extras(r, t, tl);
}
