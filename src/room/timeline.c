/*
 * timeline.c - pages of a room's history.
 *
 * A page is read in chunks from the store, in timeline order, until enough events were found that the reader may see
 * and the filter lets through, or the room (or `to`) ends, or SCAN_MAX rows were looked at: then the page is what it
 * is, and its `end` leads on. So a run of events that are not for this reader never ends a pagination, and never holds
 * a worker for long.
 *
 * Where a page comes to a gap before it is full, what is missing is fetched (remote/backfill.h), without a snapshot,
 * and the page is read anew.
 */
#include "room/timeline.h"

#include "base/clock.h"
#include "room/erased.h"
#include "room/internal_room.h"
#include "room/remote/backfill.h"
#include "store/events.h"

enum { LIMIT_DEFAULT = 10, LIMIT_MAX = 1000, SCAN_MAX = 5000, CHUNK_MIN = 20 };

static bool (*sync_token_stream)(str token, int64_t *out_position);

void timeline_on_sync_token(bool (*stream_of)(str token, int64_t *out_position)) { sync_token_stream = stream_of; }

str timeline_token(struct arena *a, int64_t event, bool after)
{
	return arena_printf(a, "p%" PRId64 "%c", event, after ? 'a' : 'b');
}

/* The first event of a room whose history was purged; NULL: this one was not. */
static err *oldest_left(struct room_view *v, struct tx *tx, const struct event_row **out)
{
	struct event_row **rows;
	size_t n;

	TRY(store_events_by_timeline(tx, room_view_room(v), 0, false, 1, &rows, &n));
	*out = n && rows[0]->prevs.n ? rows[0] : NULL;
	return NULL;
}

/* A place between two events: everything before it has a timeline position at or below `place`. out_row: the event that
 * the token names; NULL where it names none. */
static err *place_of_token(struct room_view *v, struct tx *tx, struct arena *a, str token, int64_t *out_place,
			   const struct event_row **out_row)
{
	const struct event_row *oldest = NULL;
	struct event_row *row;
	int64_t number;

	*out_row = NULL;
	if (sync_token_stream && sync_token_stream(token, &number))
		return store_timeline_at_stream(tx, room_view_room(v), number, out_place);
	if (token.n < 3 || token.p[0] != 'p' || (token.p[token.n - 1] != 'a' && token.p[token.n - 1] != 'b') ||
	    !str_to_i64((str){ token.p + 1, token.n - 2 }, &number) || number < 0)
		return err_new(a, ERR_INVALID_PARAM, "that is no pagination token");
	*out_place = 0;
	if (number == 0)
		return NULL;
	TRY(store_event_by_nid(tx, number, &row));
	if (!row || !row->timeline)
		TRY(oldest_left(v, tx, &oldest));
	if (oldest && (!row || (row->room == room_view_room(v) && row->flags & EVENT_PURGED)))
		return NULL; /* it was purged, and with it all that was older */
	if (!row || row->room != room_view_room(v) || !row->timeline)
		return err_new(a, ERR_INVALID_PARAM, "that pagination token is of another room");
	*out_place = token.p[token.n - 1] == 'a' ? row->timeline : row->timeline - 1;
	*out_row = row;
	return NULL;
}

err *timeline_root_of_token(struct room_view *v, str token, struct state_root *out)
{
	struct tx *tx = room_view_tx(v);
	const struct event_row *at = NULL, *named;
	int64_t place, until, stream;
	struct event_row **rows;
	bool purged = false;
	size_t n;

	TRY(place_of_token(v, tx, room_view_arena(v), token, &place, &named));
	TRY(room_view_joined_until(v, &until));
	*out = room_view_root(v);
	if (place >= until)
		return NULL;
	TRY(store_events_by_timeline(tx, room_view_room(v), place + 1, true, 1, &rows, &n));
	if (n > 0) {
		at = rows[0];
	} else { /* of what was purged, the oldest state that is left comes nearest */
		TRY(oldest_left(v, tx, &at));
		purged = at != NULL;
	}
	/* A state is as visible as the event that it is after. */
	if (at) {
		bool seen;

		TRY(room_view_sees(v, &at, 1, &seen));
		if (!seen)
			return err_new(room_view_arena(v), ERR_FORBIDDEN, "you may not see the room as it was then");
	}
	if (!purged && sync_token_stream && sync_token_stream(token, &stream))
		return store_room_root_at(tx, room_view_room(v), stream, out);
	return state_root_of(room_view_tree(v), room_view_arena(v), at ? at->root_after : 0, out);
}

/* Of one request. */
enum { GAPS_MOST = 50 };
struct gap_walk {
	struct timeline_gaps *how;
	int64_t at; /* the event above the gap that a page has come to */
	bool halt;  /* no time is left: pages end at gaps */
	int64_t passed[GAPS_MOST];
	size_t n_passed; /* gaps that cannot be filled */
};

struct page {
	struct rooms *rs;
	struct arena *a;
	struct tx *tx;
	struct room_view *view;
	const struct event_filter *filter; /* or NULL */
	bool backwards;
	size_t limit;
	int64_t place, stop; /* where to begin; beyond which nothing is wanted */
	struct gap_walk *gaps;
	/* found */
	bool at_gap; /* the page ends here: gaps->at says which gap it is */
	VEC(const struct event_row *) rows;
	const struct event_row *last; /* the last row that was looked at */
	bool ended;                   /* there is nothing further in the room */
	bool stopped;                 /* `stop` was reached */
};

static err *passes_filter(struct page *p, const struct event_row *row, bool *out)
{
	struct json *content = NULL;
	str type, sender;

	*out = true;
	if (!p->filter || event_filter_is_open(p->filter))
		return NULL;
	TRY(store_intern_text(p->rs->opt.store, p->a, row->type, &type));
	TRY(store_intern_text(p->rs->opt.store, p->a, row->sender, &sender));
	if (p->filter->contains_url != URL_ANY)
		TRY(event_content_of(p->a, row, &content));
	*out = event_filter_match(p->filter, type, sender, content) &&
	       event_filter_has_room(p->filter, room_view_room_id(p->view));
	return NULL;
}

static bool is_passed(const struct gap_walk *g, int64_t above)
{
	for (size_t i = 0; i < g->n_passed; i++)
		if (g->passed[i] == above)
			return true;
	return g->n_passed == GAPS_MOST;
}

/* Between this event and what is below it there is a gap, if it says so: does the page end there? */
static bool ends_at_gap(struct page *p, const struct event_row *above)
{
	struct gap_walk *g = p->gaps;

	if (!(above->flags & EVENT_GAP) || !g || p->at_gap || is_passed(g, above->nid))
		return p->at_gap;
	if (!g->how->may_ask && !backfill_hopeful(g->how->backfill, above->nid))
		return false;
	g->at = above->nid;
	p->at_gap = true;
	return true;
}

static err *take_chunk(struct page *p, struct event_row **rows, size_t n)
{
	bool *seen = ARENA_ARRAY(p->a, bool, n);

	TRY(room_view_sees(p->view, (const struct event_row *const *)rows, n, seen));
	for (size_t i = 0; i < n && p->rows.n < p->limit; i++) {
		bool wanted;

		if (p->backwards ? rows[i]->timeline <= p->stop : rows[i]->timeline > p->stop) {
			p->stopped = true;
			return NULL;
		}
		if (!p->backwards && p->last && ends_at_gap(p, rows[i]))
			return NULL;
		p->last = rows[i];
		TRY(passes_filter(p, rows[i], &wanted));
		if (wanted && seen[i])
			vec_push(p->a, &p->rows, rows[i]);
		if (p->backwards && p->rows.n < p->limit && ends_at_gap(p, rows[i]))
			return NULL;
	}
	return NULL;
}

/* One row more than fits is asked for, so that the last page knows that it is the last. */
static err *read_page(struct page *p)
{
	int64_t from = p->backwards ? p->place + 1 : p->place;

	for (size_t scanned = 0;
	     scanned < SCAN_MAX && p->rows.n < p->limit && !p->stopped && !p->ended && !p->at_gap;) {
		const size_t want = MAX(p->limit - p->rows.n, (size_t)CHUNK_MIN) + 1;
		struct event_row **rows;
		size_t n;

		TRY(store_events_by_timeline(p->tx, room_view_room(p->view), from, p->backwards, want, &rows, &n));
		TRY(take_chunk(p, rows, n));
		scanned += n;
		p->ended = n < want && (n == 0 || p->last == rows[n - 1]) && !p->at_gap;
		if (n)
			from = rows[n - 1]->timeline;
	}
	return NULL;
}

static err *load_extras(struct page *p, const struct event_row *const *rows, size_t n, struct client_extras *out)
{
	TRY(client_events_load(p->tx, p->a, rows, n, out));
	for (size_t i = 0; i < n; i++)
		TRY(room_view_membership_at(p->view, rows[i], &out->p[i].membership));
	return room_view_erase(p->view, rows, n, out->p);
}

static err *write_rows(struct page *p, struct jw *w, const char *key, const struct event_row *const *rows, size_t n,
		       const struct client_view *view)
{
	struct client_extras extras;

	TRY(load_extras(p, rows, n, &extras));
	jw_array(w, key);
	for (size_t i = 0; i < n; i++)
		client_event_write(p->a, w, NULL, rows[i], room_view_room_id(p->view), &extras.p[i], view);
	jw_end(w);
	return NULL;
}

/* "lazy_load_members": the members who sent what is shown. */
static err *write_senders(struct page *p, struct jw *w, int64_t root_number, const struct client_view *view)
{
	const struct state_tree *tree = room_view_tree(p->view);
	VEC(int64_t) nids = { 0 };
	struct event_row **members = NULL;
	struct state_root root;
	struct map seen;
	size_t n = 0;

	map_init(&seen, p->a);
	TRY(state_root_of(tree, p->a, root_number, &root));
	for (size_t i = 0; i < p->rows.n; i++) {
		int64_t nid;

		if (map_put_i(&seen, p->rows.p[i]->sender, p))
			continue;
		TRY(state_get(tree, p->a, root, p->rs->type_member, p->rows.p[i]->sender, &nid));
		if (nid)
			vec_push(p->a, &nids, nid);
	}
	if (nids.n)
		TRY(store_events_by_nids(p->tx, nids.p, nids.n, &members, &n));
	return write_rows(p, w, "state", (const struct event_row *const *)members, n, view);
}

static size_t page_limit(int64_t asked) { return asked <= 0 ? LIMIT_DEFAULT : (size_t)MIN(asked, LIMIT_MAX); }

/* Events after a former member's leaving are not theirs, unless anyone may read the room: not even looked at. */
static err *bound_by_leaving(struct page *p, int64_t *place)
{
	struct summary_row summary;
	struct member_row *member;
	struct event_row *left;

	if (room_view_membership(p->view) != MEMBER_LEAVE && room_view_membership(p->view) != MEMBER_BAN)
		return NULL;
	TRY(store_summary_load(p->tx, room_view_room(p->view), &summary));
	if (history_visibility_parse(summary.history_visibility) == HISTORY_WORLD_READABLE)
		return NULL;
	TRY(store_member(p->tx, room_view_room(p->view), room_view_user(p->view), &member));
	TRY(store_event_by_nid(p->tx, member->event, &left));
	if (left && left->timeline)
		*place = MIN(*place, left->timeline);
	return NULL;
}

static err *begin_page(struct page *p, const struct messages_cmd *cmd)
{
	const struct event_row *from = NULL, *to;

	p->place = p->backwards ? INT64_MAX - 1 : 0;
	p->stop = p->backwards ? 0 : INT64_MAX;
	if (!str_is_none(cmd->from))
		TRY(place_of_token(p->view, p->tx, p->a, cmd->from, &p->place, &from));
	if (!str_is_none(cmd->to))
		TRY(place_of_token(p->view, p->tx, p->a, cmd->to, &p->stop, &to));
	/* A page may begin at a gap: just below the event above it. */
	if (p->backwards && from && p->place == from->timeline - 1 && ends_at_gap(p, from))
		p->last = from;
	return bound_by_leaving(p, p->backwards ? &p->place : &p->stop);
}

/* The page came to a gap: it is filled, or passed from now on, or (halt) the pages end there. Or somebody else is to
 * ask (wants_to_ask). */
static err *ask_at_gap(struct arena *a, str room_id, struct gap_walk *g)
{
	enum backfill_outcome outcome = BACKFILL_LATE;

	g->how->wants_to_ask = !g->how->may_ask;
	if (g->how->wants_to_ask)
		return NULL;
	if (clock_mono_us() < g->how->deadline_us)
		TRY(backfill_below(g->how->backfill, a, room_id, g->at, g->how->deadline_us, &outcome));
	if (outcome == BACKFILL_NOTHING)
		g->passed[g->n_passed++] = g->at;
	g->halt = outcome == BACKFILL_LATE;
	return NULL;
}

/* One reading of the page, in a snapshot of its own. */
static err *open_page(struct rooms *rs, struct arena *a, const struct messages_cmd *cmd, struct gap_walk *gaps,
		      struct tx **tx, struct page *out)
{
	struct page p = { .rs = rs, .a = a, .filter = cmd->filter, .backwards = cmd->backwards };

	p.gaps = cmd->gaps ? gaps : NULL;
	p.limit = page_limit(cmd->limit ? cmd->limit : cmd->filter ? cmd->filter->limit : 0);
	TRY(store_read(rs->opt.store, a, tx));
	p.tx = *tx;
	TRY(room_view_open(rs, a, *tx, cmd->room_id, cmd->view->user, cmd->view->user_id, VIEW_MEMBER, &p.view));
	TRY(begin_page(&p, cmd));
	TRY(read_page(&p));
	*out = p;
	return NULL;
}

static err *write_page(struct page *p, const struct messages_cmd *cmd, struct jw *w)
{
	const struct event_row *first = p->rows.n ? p->rows.p[0] : p->last;

	if (!str_is_none(cmd->from))
		jw_str(w, "start", cmd->from);
	else
		jw_str(w, "start", timeline_token(p->a, first ? first->nid : 0, cmd->backwards));
	/* "If no further events are available (either because we have reached the start of the timeline, or [...]
	 * permission [...]), this property is omitted": known for sure only by a page with nothing in it. Clients
	 * written for other servers expect an end beside every event. */
	if (p->last && (p->rows.n || !(p->ended || p->stopped)))
		jw_str(w, "end", timeline_token(p->a, p->last->nid, !cmd->backwards));
	TRY(write_rows(p, w, "chunk", p->rows.p, p->rows.n, cmd->view));
	if (cmd->filter && cmd->filter->lazy_load_members && p->rows.n)
		TRY(write_senders(p, w, p->rows.p[0]->root_after, cmd->view));
	return NULL;
}

err *room_messages(struct rooms *rs, struct arena *a, const struct messages_cmd *cmd, struct jw *w)
{
	struct gap_walk gaps = { .how = cmd->gaps };

	for (;;) {
		AUTO_TX tx = NULL;
		struct page p;

		TRY(open_page(rs, a, cmd, &gaps, &tx, &p));
		if (!p.at_gap || gaps.halt)
			return write_page(&p, cmd, w ? w : cmd->gaps->answer(cmd->gaps->ctx));
		store_read_end(&tx);
		TRY(ask_at_gap(a, cmd->room_id, &gaps));
		if (cmd->gaps->wants_to_ask)
			return NULL;
	}
}

struct nid_list {
	struct arena *a;
	VEC(int64_t) nids;
};

static err *collect_entry(void *arg, const struct state_entry *e)
{
	struct nid_list *l = arg;

	vec_push(l->a, &l->nids, e->event);
	return NULL;
}

/* The whole state under a root, but for what the filter leaves out. */
static err *write_state(struct page *p, struct jw *w, int64_t root_number, const struct client_view *view)
{
	struct nid_list list = { .a = p->a };
	VEC(const struct event_row *) kept = { 0 };
	struct state_root root;
	struct event_row **rows;
	size_t n;

	TRY(state_root_of(room_view_tree(p->view), p->a, root_number, &root));
	TRY(state_each(room_view_tree(p->view), p->a, root, (struct state_pick){ 0 }, collect_entry, &list));
	TRY(store_events_by_nids(p->tx, list.nids.p, list.nids.n, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		bool wanted;

		TRY(passes_filter(p, rows[i], &wanted));
		if (wanted)
			vec_push(p->a, &kept, rows[i]);
	}
	return write_rows(p, w, "state", kept.p, kept.n, view);
}

static err *context_side(const struct page *like, const struct event_row *row, bool backwards, size_t limit,
			 struct page *out)
{
	*out = (struct page){
		.rs = like->rs, .a = like->a, .tx = like->tx, .view = like->view, .filter = like->filter
	};
	out->gaps = like->gaps;
	out->backwards = backwards;
	out->limit = limit;
	out->place = backwards ? row->timeline - 1 : row->timeline;
	out->stop = backwards ? 0 : INT64_MAX;
	if (!backwards)
		TRY(bound_by_leaving(out, &out->stop));
	if (limit == 0 || (backwards && ends_at_gap(out, row)))
		return NULL;
	if (!backwards)
		out->last = row;
	return read_page(out);
}

struct context {
	struct page p, before, after;
	const struct event_row *row;
};

static err *open_context(struct rooms *rs, struct arena *a, const struct context_cmd *cmd, struct gap_walk *gaps,
			 struct tx **tx, struct context *c)
{
	const size_t limit = cmd->limit == 0 ? 0 : page_limit(cmd->limit);

	*c = (struct context){ .p = { .rs = rs, .a = a, .filter = cmd->filter, .gaps = cmd->gaps ? gaps : NULL } };
	TRY(store_read(rs->opt.store, a, tx));
	c->p.tx = *tx;
	TRY(room_view_open(rs, a, *tx, cmd->room_id, cmd->view->user, cmd->view->user_id, VIEW_MEMBER, &c->p.view));
	TRY(room_view_event(c->p.view, cmd->event_id, &c->row));
	TRY(context_side(&c->p, c->row, true, limit / 2, &c->before));
	return context_side(&c->p, c->row, false, limit - limit / 2, &c->after);
}

static err *write_context(struct context *c, const struct context_cmd *cmd, struct jw *w)
{
	struct page *p = &c->p;
	const struct event_row *row = c->row, *newest;
	struct client_extras extras;

	TRY(load_extras(p, &row, 1, &extras));
	client_event_write(p->a, w, "event", row, cmd->room_id, &extras.p[0], cmd->view);
	TRY(write_rows(&c->before, w, "events_before", c->before.rows.p, c->before.rows.n, cmd->view));
	TRY(write_rows(&c->after, w, "events_after", c->after.rows.p, c->after.rows.n, cmd->view));
	jw_str(w, "start", timeline_token(p->a, c->before.last ? c->before.last->nid : row->nid, false));
	jw_str(w, "end", timeline_token(p->a, c->after.last ? c->after.last->nid : row->nid, true));
	/* "The state of the room at the last event returned." */
	newest = c->after.rows.n ? c->after.rows.p[c->after.rows.n - 1] : row;
	if (!cmd->filter || !cmd->filter->lazy_load_members)
		return write_state(p, w, newest->root_after, cmd->view);
	for (size_t i = 0; i < c->before.rows.n; i++)
		vec_push(p->a, &p->rows, c->before.rows.p[i]);
	vec_push(p->a, &p->rows, row);
	for (size_t i = 0; i < c->after.rows.n; i++)
		vec_push(p->a, &p->rows, c->after.rows.p[i]);
	return write_senders(p, w, newest->root_after, cmd->view);
}

err *room_context(struct rooms *rs, struct arena *a, const struct context_cmd *cmd, struct jw *w)
{
	struct gap_walk gaps = { .how = cmd->gaps };

	for (;;) {
		AUTO_TX tx = NULL;
		struct context c;

		TRY(open_context(rs, a, cmd, &gaps, &tx, &c));
		if ((!c.before.at_gap && !c.after.at_gap) || gaps.halt)
			return write_context(&c, cmd, w ? w : cmd->gaps->answer(cmd->gaps->ctx));
		store_read_end(&tx);
		TRY(ask_at_gap(a, cmd->room_id, &gaps));
		if (cmd->gaps->wants_to_ask)
			return NULL;
	}
}

err *room_event_get(struct rooms *rs, struct arena *a, str room_id, str event_id, const struct client_view *view,
		    struct jw *w)
{
	AUTO_TX tx = NULL;
	struct page p = { .rs = rs, .a = a };
	struct client_extras extras;
	const struct event_row *row;
	err *e;

	TRY(store_read(rs->opt.store, a, &tx));
	p.tx = tx;
	e = room_view_open(rs, a, tx, room_id, view->user, view->user_id, VIEW_MEMBER, &p.view);
	/* "The event was not found or you do not have permission to read this event": one answer to both. */
	if (e)
		return e->code == ERR_FORBIDDEN ? err_new(a, ERR_NOT_FOUND, "no such event") : e;
	TRY(room_view_event(p.view, event_id, &row));
	TRY(load_extras(&p, &row, 1, &extras));
	client_event_write(a, w, NULL, row, room_id, &extras.p[0], view);
	return NULL;
}
