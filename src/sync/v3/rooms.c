/*
 * rooms.c - which rooms an answer tells of, and from where to where.
 *
 * Everything is told as it was at the run's position. The flat table of memberships says what is true in the snapshot,
 * which may be younger: a row that changed after the position is put back by asking the room's state of that time.
 */
#include "sync/v3/internal_v3.h"

#include "store/account_data.h"
#include "store/events.h"
#include "store/outsiders.h"
#include "store/receipts.h"

enum { CHAIN_MAX = 50 };

/*
 * Views and states
 */

err *task_view(struct run *r, struct task *t, struct room_view **out)
{
	struct tx *tx;

	if (!t->view) {
		TRY(run_tx(r, &tx));
		TRY(room_view_of_member(r->ss->opt.rooms, r->a, tx, t->room_id, t->member, r->rq->user_id, &t->view));
	}
	*out = t->view;
	return NULL;
}

/* What is known of the room, as of the run's position; as of there it is filled up by who needs more. */
struct room_facts *task_facts(struct run *r, struct task *t)
{
	if (!t->facts_asked && !facts_known(r->ss->facts, t->room, t->news, r->position, &t->facts))
		t->facts = (struct room_facts){ .as_of = r->position };
	t->facts_asked = true;
	return &t->facts;
}

err *task_root(struct run *r, struct task *t, struct state_root *out)
{
	struct room_facts *f = task_facts(r, t);
	struct room_view *v;

	TRY(task_view(r, t, &v));
	if (t->upto != r->position)
		return room_state_at_stream(v, t->upto, out);
	if (!f->has_root) {
		TRY(room_state_at_stream(v, r->position, out));
		f->root = out->node;
		f->has_root = true;
		facts_keep(r->ss->facts, t->room, f);
	}
	*out = (struct state_root){ .node = f->root };
	return NULL;
}

err *task_member_at(struct run *r, struct task *t, struct state_root root, int64_t user, struct event_row **out)
{
	struct room_view *v;
	int64_t nid;

	*out = NULL;
	TRY(task_view(r, t, &v));
	TRY(state_get(room_view_tree(v), r->a, root, r->ss->type_member, user, &nid));
	return nid ? store_event_by_nid(room_view_tx(v), nid, out) : NULL;
}

err *row_membership(struct run *r, const struct event_row *row, enum membership *out)
{
	struct json *content;

	*out = MEMBER_NONE;
	if (!row)
		return NULL;
	TRY(event_content_of(r->a, row, &content));
	*out = membership_of_text(json_get_str(content, S("membership")));
	return NULL;
}

/* The reader's membership event in the room at a stream position; NULL: none. */
static err *own_at(struct run *r, struct task *t, int64_t stream, struct event_row **out)
{
	struct state_root root;
	struct room_view *v;

	TRY(task_view(r, t, &v));
	TRY(room_state_at_stream(v, stream, &root));
	return task_member_at(r, t, root, r->rq->user, out);
}

static err *membership_at(struct run *r, struct task *t, int64_t stream, enum membership *out)
{
	struct event_row *row;

	TRY(own_at(r, t, stream, &row));
	return row_membership(r, row, out);
}

/* Nobody is in a room that was purged, though rows of memberships may still be there, or in memory. */
static err *is_purged(struct run *r, int64_t room, bool *out)
{
	const struct room_version *rv;
	err *e = rooms_version(r->ss->opt.rooms, r->a, room, &rv);

	*out = e && e->code == ERR_NOT_FOUND;
	return *out ? NULL : e;
}

err *run_outside(struct run *r, int64_t room, struct event_row **out)
{
	struct outsider_row *o;
	struct event_row *row;
	struct tx *tx;

	*out = NULL;
	TRY(run_tx(r, &tx));
	TRY(store_outsider(tx, room, r->rq->user, &o));
	if (!o)
		return NULL;
	row = ARENA_NEW(r->a, struct event_row);
	*row = (struct event_row){
		.room = room,
		.type = r->ss->type_member,
		.state_key = r->rq->user,
		.flags = EVENT_STATE,
		.event_id = o->event_id,
		.json = o->json,
	};
	*out = row;
	return NULL;
}

/* A row that changed after the position, as it was at it. What came with an invitation is gone, and `since` is where
 * that event came. */
static err *row_as_of(struct run *r, const struct member_row *now, struct member_row *out)
{
	struct task t = { .room = now->room, .member = now };
	struct event_row *row = NULL;
	bool purged;

	TRY(is_purged(r, now->room, &purged));
	TRY(store_intern_text(r->ss->opt.store, r->a, now->room, &t.room_id));
	if (!purged)
		TRY(own_at(r, &t, r->position, &row));
	*out = (struct member_row){ .room = now->room, .user = now->user };
	if (!row)
		return NULL;
	TRY(row_membership(r, row, &out->membership));
	out->event = row->nid;
	out->sender = row->sender;
	out->stream = out->since = row->stream;
	return NULL;
}

/*
 * Collecting
 */

static bool wanted(const struct run *r, str room_id) { return filter_has_room(&r->filter, room_id); }

static const struct bus_room_news *news_of(const struct run *r, int64_t room)
{
	for (size_t i = 0; i < r->n_news; i++)
		if (r->news[i].room == room)
			return &r->news[i];
	return NULL;
}

static err *add(struct run *r, struct tasks *out, const struct task *like)
{
	struct task t = *like;
	bool purged;

	t.room = t.member->room;
	TRY(store_intern_text(r->ss->opt.store, r->a, t.room, &t.room_id));
	if (!wanted(r, t.room_id))
		return NULL;
	TRY(is_purged(r, t.room, &purged));
	if (!purged || t.member->event == 0) /* invited from outside: there never was such a room here */
		vec_push(r->a, &out->list, t);
	return NULL;
}

static struct member_row *keep_row(struct run *r, const struct member_row *row)
{
	struct member_row *copy = ARENA_NEW(r->a, struct member_row);

	*copy = *row;
	return copy;
}

/*
 * "Events [...] received after they left" are not told: the room is told of up to the event that ended the last join.
 * Goes back from the membership event over what each replaced; *out is NULL for who was not joined before: an
 * invitation declined, a ban from outside.
 */
static err *ending_of(struct run *r, const struct member_row *m, struct event_row **out)
{
	struct event_row *at = NULL, *before;
	struct tx *tx;

	*out = NULL;
	TRY(run_tx(r, &tx));
	if (m->event)
		TRY(store_event_by_nid(tx, m->event, &at));
	for (int i = 0; at && at->replaces && i < CHAIN_MAX; i++, at = before) {
		enum membership is;

		TRY(store_event_by_nid(tx, at->replaces, &before));
		TRY(row_membership(r, before, &is));
		if (is == MEMBER_JOIN)
			*out = at;
		if (is != MEMBER_LEAVE && is != MEMBER_BAN)
			return NULL;
	}
	return NULL;
}

static err *add_left(struct run *r, struct tasks *out, const struct member_row *m, bool joined_before)
{
	struct task t = { .member = m, .above = r->since.stream, .upto = m->stream, .events = true };
	struct event_row *end;

	TRY(ending_of(r, m, &end));
	t.only_own = !end || end->stream <= t.above;
	if (!t.only_own) {
		t.upto = end->stream;
		t.full = r->full_state || !joined_before;
		if (r->initial || !joined_before)
			t.above = 0;
	}
	return add(r, out, &t);
}

/* An invitation from outside has ended, or a knock. */
static err *add_outside(struct run *r, struct tasks *out, const struct member_row *m, bool *out_added)
{
	struct task t = { .member = m, .above = r->since.stream, .upto = m->stream, .events = true, .only_own = true };
	struct event_row *own = NULL;

	if (m->event == 0)
		TRY(run_outside(r, m->room, &own));
	t.outside = own;
	*out_added = own != NULL;
	return own ? add(r, out, &t) : NULL;
}

/* A membership that changed since the token, as of the position. */
static err *add_changed(struct run *r, struct tasks *out, const struct member_row *m)
{
	struct task t = { .member = m, .above = r->since.stream, .upto = r->position, .events = true };
	enum membership before;
	bool outside, purged;

	switch (m->membership) {
	case MEMBER_INVITE:
	case MEMBER_KNOCK:
		return add(r, out, &t);
	case MEMBER_JOIN:
		/* Also who left and came back: what is in between is not theirs. */
		t.newly_joined = m->since > r->since.stream;
		t.full = t.newly_joined || r->full_state;
		t.above = t.newly_joined ? 0 : t.above;
		t.news = news_of(r, m->room);
		return add(r, out, &t);
	case MEMBER_LEAVE:
	case MEMBER_BAN:
		TRY(add_outside(r, out, m, &outside));
		TRY(is_purged(r, m->room, &purged));
		if (outside || purged)
			return NULL;
		t.room = m->room;
		TRY(store_intern_text(r->ss->opt.store, r->a, t.room, &t.room_id));
		TRY(membership_at(r, &t, r->since.stream, &before));
		return add_left(r, out, m, before == MEMBER_JOIN);
	case MEMBER_NONE:
		break;
	}
	return NULL;
}

/* Rows of changed memberships. Those of rooms that are joined at the position, or not any more, go into `seen`. */
static err *find_changed(struct run *r, struct tasks *out, struct map *seen)
{
	struct member_row *rows;
	struct tx *tx;
	size_t n;

	if (r->exact && r->bus.own[BUS_EVENTS] <= r->since.stream)
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(store_memberships_changed(tx, r->rq->user, r->since.stream, INT64_MAX, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		struct member_row *m = &rows[i];
		bool purged;

		(void)map_put_i(seen, m->room, m);
		TRY(is_purged(r, m->room, &purged));
		if (purged && (m->event || m->stream > r->position))
			continue;
		if (m->stream > r->position) {
			enum membership before;
			struct task t = { .room = m->room, .member = keep_row(r, m) };

			TRY(store_intern_text(r->ss->opt.store, r->a, t.room, &t.room_id));
			TRY(row_as_of(r, t.member, m));
			TRY(membership_at(r, &t, r->since.stream, &before));
			if (m->membership == MEMBER_JOIN && before == MEMBER_JOIN)
				m->since = MIN(m->since, r->since.stream);
			/* Nothing changed up to the position, or what came with it is gone: the next answer tells. */
			if (m->membership == MEMBER_INVITE || m->membership == MEMBER_KNOCK ||
			    (m->membership != MEMBER_JOIN && m->stream <= r->since.stream))
				continue;
		}
		TRY(add_changed(r, out, m));
	}
	return NULL;
}

/* The rows of joined rooms, invitations and knocks. */
static err *current_rows(struct run *r, struct member_list *out)
{
	const unsigned mask = MEMBER_MASK(MEMBER_JOIN) | MEMBER_MASK(MEMBER_INVITE) | MEMBER_MASK(MEMBER_KNOCK);
	struct member_row *rows;
	struct tx *tx;

	if (r->known && members_known(r->ss->members, r->a, r->rq->user, &r->bus, out))
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(store_memberships_of(tx, r->rq->user, mask, false, &rows, &out->n));
	out->p = rows;
	if (r->known)
		members_keep(r->ss->members, r->rq->user, &r->bus, rows, out->n);
	return NULL;
}

/*
 * A first answer, or one with the full state
 */

static err *add_current(struct run *r, struct tasks *out, const struct member_row *m)
{
	struct task t = { .member = m, .above = r->since.stream, .upto = r->position, .events = true };

	t.full = m->membership == MEMBER_JOIN;
	t.news = news_of(r, m->room);
	return add(r, out, &t);
}

/* A row that changed after the position: a joined room is told as it was, the rest with the next answer. */
static err *add_as_of(struct run *r, struct tasks *out, const struct member_row *now)
{
	struct member_row *then = ARENA_NEW(r->a, struct member_row);

	TRY(row_as_of(r, now, then));
	return then->membership == MEMBER_JOIN ? add_current(r, out, then) : NULL;
}

/* Rooms that the reader left are asked for by the filter; those that they were thrown out of are told anyway: nothing
 * else says so. */
static err *find_left(struct run *r, struct tasks *out, const struct map *seen)
{
	struct event_row *outside;
	struct member_row *rows;
	struct tx *tx;
	size_t n;

	TRY(run_tx(r, &tx));
	TRY(store_memberships_of(tx, r->rq->user, MEMBER_MASK(MEMBER_LEAVE) | MEMBER_MASK(MEMBER_BAN), false, &rows,
				 &n));
	for (size_t i = 0; i < n; i++) {
		const bool own = rows[i].membership == MEMBER_LEAVE && rows[i].sender == r->rq->user;

		if (map_get_i(seen, rows[i].room))
			continue;
		if (rows[i].event == 0) {
			TRY(run_outside(r, rows[i].room, &outside));
			if (outside) /* nothing that began has ended for the client */
				continue;
		}
		if (rows[i].stream > r->position)
			TRY(add_as_of(r, out, &rows[i]));
		else if (!own || r->filter.include_leave)
			TRY(add_left(r, out, &rows[i], false));
	}
	return NULL;
}

static err *find_all(struct run *r, struct tasks *out, struct map *seen)
{
	struct member_list now;

	TRY(current_rows(r, &now));
	for (size_t i = 0; i < now.n; i++) {
		const struct member_row *m = &now.p[i];

		if (map_get_i(seen, m->room))
			continue;
		(void)map_put_i(seen, m->room, r);
		if (m->stream > r->position) {
			TRY(add_as_of(r, out, m));
			continue;
		}
		/* With a token, invitations and knocks are told when they come. */
		if (m->membership == MEMBER_JOIN || r->initial)
			TRY(add_current(r, out, m));
	}
	return r->initial ? find_left(r, out, seen) : NULL;
}

/*
 * An answer about what is new
 */

/* The reader's row in a room as of the position; NULL: not joined then. */
static err *joined_row(struct run *r, int64_t room, const struct member_row **out)
{
	struct member_row *row, *then;
	struct tx *tx;

	if (r->known && members_one(r->ss->members, r->a, r->rq->user, &r->bus, room, out)) {
		if (*out && (*out)->membership != MEMBER_JOIN)
			*out = NULL;
		return NULL;
	}
	*out = NULL;
	TRY(run_tx(r, &tx));
	TRY(store_member(tx, room, r->rq->user, &row));
	if (row && row->stream > r->position) {
		then = ARENA_NEW(r->a, struct member_row);
		TRY(row_as_of(r, row, then));
		row = then;
	}
	if (row && row->membership == MEMBER_JOIN)
		*out = row;
	return NULL;
}

/* The bus knows: only rooms in which something changed. */
static err *find_news(struct run *r, struct tasks *out, const struct map *seen)
{
	for (size_t i = 0; i < r->n_news; i++) {
		const struct bus_room_news *news = &r->news[i];
		struct task t = { .above = r->since.stream, .upto = r->position, .news = news };

		t.events = news->last[BUS_EVENTS] > r->since.stream;
		if (map_get_i(seen, news->room) ||
		    (!t.events && news->last[BUS_RECEIPTS] <= r->since.stream && !typing_is_news(r, news->room, news)))
			continue;
		TRY(joined_row(r, news->room, &t.member));
		if (t.member)
			TRY(add(r, out, &t));
	}
	return NULL;
}

static void mark(struct map *m, const int64_t *rooms, size_t n, void *value)
{
	for (size_t i = 0; i < n; i++)
		(void)map_put_i(m, rooms[i], value);
}

/* The bus does not know: the database says in which of the joined rooms something happened. */
static err *find_by_asking(struct run *r, struct tasks *out, const struct map *seen)
{
	struct member_list now;
	struct map eventful, other;
	int64_t *rooms, *found;
	struct tx *tx;
	size_t n = 0, n_found;

	TRY(current_rows(r, &now));
	TRY(run_tx(r, &tx));
	map_init(&eventful, r->a);
	map_init(&other, r->a);
	rooms = ARENA_ARRAY(r->a, int64_t, now.n);
	for (size_t i = 0; i < now.n; i++)
		if (now.p[i].membership == MEMBER_JOIN && !map_get_i(seen, now.p[i].room))
			rooms[n++] = now.p[i].room;
	TRY(store_rooms_with_events(tx, rooms, n, r->since.stream, r->position, &found, &n_found));
	mark(&eventful, found, n_found, r);
	TRY(store_rooms_with_receipts(tx, rooms, n, r->since.stream, r->position, &found, &n_found));
	mark(&other, found, n_found, r);
	for (size_t i = 0; i < r->n_data; i++)
		(void)map_put_i(&other, r->data[i].room, r);
	for (size_t i = 0; i < now.n; i++) {
		const int64_t room = now.p[i].room;
		const struct bus_room_news *news = news_of(r, room);
		struct task t = { .member = &now.p[i], .above = r->since.stream, .upto = r->position, .news = news };

		t.events = map_get_i(&eventful, room) != NULL;
		if (now.p[i].membership != MEMBER_JOIN || map_get_i(seen, room))
			continue;
		if (t.events || map_get_i(&other, room) || typing_is_news(r, room, news))
			TRY(add(r, out, &t));
	}
	return NULL;
}

static err *add_once(struct run *r, struct tasks *out, struct map *seen, int64_t room)
{
	struct task t = { .above = r->since.stream, .upto = r->position, .news = news_of(r, room) };

	if (room == 0 || map_put_i(seen, room, r))
		return NULL;
	TRY(joined_row(r, room, &t.member));
	return t.member ? add(r, out, &t) : NULL;
}

/* Rooms in which the reader has a new receipt that no other may see: the bus says only that there is one. */
static err *find_own_receipts(struct run *r, struct tasks *out, struct map *seen)
{
	struct member_list now;
	int64_t *rooms, *found;
	struct tx *tx;
	size_t n = 0, n_found;

	TRY(current_rows(r, &now));
	TRY(run_tx(r, &tx));
	rooms = ARENA_ARRAY(r->a, int64_t, now.n);
	for (size_t i = 0; i < now.n; i++)
		if (now.p[i].membership == MEMBER_JOIN && !map_get_i(seen, now.p[i].room))
			rooms[n++] = now.p[i].room;
	TRY(store_rooms_with_receipts(tx, rooms, n, r->since.stream, r->position, &found, &n_found));
	for (size_t i = 0; i < n_found; i++)
		TRY(add_once(r, out, seen, found[i]));
	return NULL;
}

/* Rooms of which nothing changed but what is the reader's own. */
static err *find_own(struct run *r, struct tasks *out)
{
	struct map seen;

	map_init(&seen, r->a);
	for (size_t i = 0; i < out->list.n; i++)
		(void)map_put_i(&seen, out->list.p[i].room, r);
	for (size_t i = 0; i < r->n_data; i++)
		TRY(add_once(r, out, &seen, r->data[i].room));
	return r->exact && r->bus.own[BUS_RECEIPTS] > r->since.stream ? find_own_receipts(r, out, &seen) : NULL;
}

err *tasks_find(struct run *r, struct tasks *out)
{
	struct map seen;

	*out = (struct tasks){ 0 };
	map_init(&seen, r->a);
	if (!r->initial)
		TRY(find_changed(r, out, &seen));
	if (r->full_state)
		return find_all(r, out, &seen);
	if (r->exact)
		TRY(find_news(r, out, &seen));
	else
		TRY(find_by_asking(r, out, &seen));
	return find_own(r, out);
}
