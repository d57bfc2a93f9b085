/*
 * timeline.c - pages of a room's history.
 *
 * A page is read in chunks from the store, in timeline order, until enough events were found that the reader may see
 * and the filter lets through, or the room (or `to`) ends, or SCAN_MAX rows were looked at: then the page is what it
 * is, and its `end` leads on. So a run of events that are not for this reader never ends a pagination, and never holds
 * a worker for long.
 */
#include "room/timeline.h"

#include "room/erased.h"
#include "room/internal_room.h"
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

/* A place between two events: everything before it has a timeline position at or below `place`. */
static err *place_of_token(struct room_view *v, struct tx *tx, struct arena *a, str token, int64_t *out_place)
{
	const struct event_row *oldest = NULL;
	struct event_row *row;
	int64_t number;

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
	return NULL;
}

err *timeline_root_of_token(struct room_view *v, str token, struct state_root *out)
{
	struct tx *tx = room_view_tx(v);
	const struct event_row *at = NULL;
	int64_t place, until, stream;
	struct event_row **rows;
	bool purged = false;
	size_t n;

	TRY(place_of_token(v, tx, room_view_arena(v), token, &place));
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

struct page {
	struct rooms *rs;
	struct arena *a;
	struct tx *tx;
	struct room_view *view;
	const struct event_filter *filter; /* or NULL */
	bool backwards;
	size_t limit;
	int64_t place, stop; /* where to begin; beyond which nothing is wanted */
	/* found */
	VEC(const struct event_row *) rows;
	const struct event_row *last; /* the last row that was looked at */
	bool ended;                   /* there is nothing further in the room */
	bool stopped;                 /* `stop` was reached */
};

static err *passes_filter(struct page *p, const struct event_row *row, bool *out)
{
	struct json *content = NULL;
	struct event_parts parts;
	str type, sender;

	*out = true;
	if (!p->filter || event_filter_is_open(p->filter))
		return NULL;
	TRY(store_intern_text(p->rs->opt.store, p->a, row->type, &type));
	TRY(store_intern_text(p->rs->opt.store, p->a, row->sender, &sender));
	if (p->filter->contains_url != URL_ANY) {
		event_parts_of(row->json, &parts);
		TRY(json_parse(p->a, parts.content, &json_limits_event, &content));
	}
	*out = event_filter_match(p->filter, type, sender, content) &&
	       event_filter_has_room(p->filter, room_view_room_id(p->view));
	return NULL;
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
		p->last = rows[i];
		TRY(passes_filter(p, rows[i], &wanted));
		if (wanted && seen[i])
			vec_push(p->a, &p->rows, rows[i]);
	}
	return NULL;
}

/* One row more than fits is asked for, so that the last page knows that it is the last. */
static err *read_page(struct page *p)
{
	int64_t from = p->backwards ? p->place + 1 : p->place;

	for (size_t scanned = 0; scanned < SCAN_MAX && p->rows.n < p->limit && !p->stopped && !p->ended;) {
		const size_t want = MAX(p->limit - p->rows.n, (size_t)CHUNK_MIN) + 1;
		struct event_row **rows;
		size_t n;

		TRY(store_events_by_timeline(p->tx, room_view_room(p->view), from, p->backwards, want, &rows, &n));
		TRY(take_chunk(p, rows, n));
		scanned += n;
		p->ended = n < want && (n == 0 || p->last == rows[n - 1]);
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
	p->place = p->backwards ? INT64_MAX - 1 : 0;
	p->stop = p->backwards ? 0 : INT64_MAX;
	if (!str_is_none(cmd->from))
		TRY(place_of_token(p->view, p->tx, p->a, cmd->from, &p->place));
	if (!str_is_none(cmd->to))
		TRY(place_of_token(p->view, p->tx, p->a, cmd->to, &p->stop));
	return bound_by_leaving(p, p->backwards ? &p->place : &p->stop);
}

err *room_messages(struct rooms *rs, struct arena *a, const struct messages_cmd *cmd, struct jw *w)
{
	AUTO_TX tx = NULL;
	struct page p = { .rs = rs, .a = a, .filter = cmd->filter, .backwards = cmd->backwards };
	const struct event_row *first;

	p.limit = page_limit(cmd->limit ? cmd->limit : cmd->filter ? cmd->filter->limit : 0);
	TRY(store_read(rs->opt.store, a, &tx));
	p.tx = tx;
	TRY(room_view_open(rs, a, tx, cmd->room_id, cmd->view->user, cmd->view->user_id, VIEW_MEMBER, &p.view));
	TRY(begin_page(&p, cmd));
	TRY(read_page(&p));
	first = p.rows.n ? p.rows.p[0] : p.last;
	if (!str_is_none(cmd->from))
		jw_str(w, "start", cmd->from);
	else
		jw_str(w, "start", timeline_token(a, first ? first->nid : 0, cmd->backwards));
	/* "If no further events are available (either because we have reached the start of the timeline, or [...]
	 * permission [...]), this property is omitted": known for sure only by a page with nothing in it. Clients
	 * written for other servers expect an end beside every event. */
	if (p.last && (p.rows.n || !(p.ended || p.stopped)))
		jw_str(w, "end", timeline_token(a, p.last->nid, !cmd->backwards));
	TRY(write_rows(&p, w, "chunk", p.rows.p, p.rows.n, cmd->view));
	if (cmd->filter && cmd->filter->lazy_load_members && p.rows.n)
		TRY(write_senders(&p, w, p.rows.p[0]->root_after, cmd->view));
	return NULL;
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
	out->backwards = backwards;
	out->limit = limit;
	out->place = backwards ? row->timeline - 1 : row->timeline;
	out->stop = backwards ? 0 : INT64_MAX;
	if (!backwards)
		TRY(bound_by_leaving(out, &out->stop));
	return limit ? read_page(out) : NULL;
}

err *room_context(struct rooms *rs, struct arena *a, const struct context_cmd *cmd, struct jw *w)
{
	AUTO_TX tx = NULL;
	struct page p = { .rs = rs, .a = a, .filter = cmd->filter }, before, after;
	const size_t limit = cmd->limit == 0 ? 0 : page_limit(cmd->limit);
	const struct event_row *row, *newest;
	struct client_extras extras;

	TRY(store_read(rs->opt.store, a, &tx));
	p.tx = tx;
	TRY(room_view_open(rs, a, tx, cmd->room_id, cmd->view->user, cmd->view->user_id, VIEW_MEMBER, &p.view));
	TRY(room_view_event(p.view, cmd->event_id, &row));
	TRY(context_side(&p, row, true, limit / 2, &before));
	TRY(context_side(&p, row, false, limit - limit / 2, &after));
	TRY(load_extras(&p, &row, 1, &extras));
	client_event_write(a, w, "event", row, cmd->room_id, &extras.p[0], cmd->view);
	TRY(write_rows(&before, w, "events_before", before.rows.p, before.rows.n, cmd->view));
	TRY(write_rows(&after, w, "events_after", after.rows.p, after.rows.n, cmd->view));
	jw_str(w, "start", timeline_token(a, before.last ? before.last->nid : row->nid, false));
	jw_str(w, "end", timeline_token(a, after.last ? after.last->nid : row->nid, true));
	/* "The state of the room at the last event returned." */
	newest = after.rows.n ? after.rows.p[after.rows.n - 1] : row;
	if (!cmd->filter || !cmd->filter->lazy_load_members)
		return write_state(&p, w, newest->root_after, cmd->view);
	for (size_t i = 0; i < before.rows.n; i++)
		vec_push(a, &p.rows, before.rows.p[i]);
	vec_push(a, &p.rows, row);
	for (size_t i = 0; i < after.rows.n; i++)
		vec_push(a, &p.rows, after.rows.p[i]);
	return write_senders(&p, w, newest->root_after, cmd->view);
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
