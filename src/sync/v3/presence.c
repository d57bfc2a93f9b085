/*
 * presence.c - who is there, of those whom the reader shares rooms with. Client-Server API, "Presence".
 *
 * Changes come when it is the reader's turn (bus/nudge.c), which the bus tells; what comes for other reasons brings
 * none. The token has two serials: up to which one changes were known, and up to which one they were told, where there
 * were too many for one answer.
 */
#include "presence/presence.h"

#include "base/map.h"
#include "store/device_lists.h"
#include "store/membership.h"
#include "sync/v3/internal_v3.h"

enum { CHANGES_MOST = 100, FIRST_MOST = 1000 };

static const str type = STR("m.presence");

bool presence_is_wanted(const struct run *r)
{
	const struct event_filter *f = &r->filter.presence;

	return presence_enabled(r->ss->opt.presence) && event_filter_has_type(f, type) && !f->limit_is_zero &&
	       !(f->senders.present && f->senders.n == 0);
}

/* Where the bus did not listen all the time, somebody's turn may have gone by. */
static bool may_have_news(const struct run *r)
{
	return r->full_state || r->foreign || !r->exact || r->bus.last[BUS_PRESENCE] > r->since.presence;
}

static err *own_rooms(struct run *r, struct presence_ask *ask)
{
	int64_t *rooms;
	struct tx *tx;

	if (r->only_room) {
		ask->rooms = &r->only_room;
		ask->n_rooms = 1;
		return NULL;
	}
	if (!bus_rooms_of(r->ss->opt.bus, r->a, r->rq->user, &rooms, &ask->n_rooms)) {
		TRY(run_tx(r, &tx));
		TRY(store_joined_rooms(tx, r->rq->user, &rooms, &ask->n_rooms));
	}
	ask->rooms = rooms;
	return NULL;
}

/* Rooms that the reader is new to: everybody there is news. */
static void new_rooms(const struct run *r, const struct tasks *tasks, struct presence_ask *ask)
{
	int64_t *rooms = ARENA_ARRAY(r->a, int64_t, tasks->list.n);

	for (size_t i = 0; i < tasks->list.n && !r->full_state; i++)
		if (tasks->list.p[i].newly_joined && tasks->list.p[i].member->membership == MEMBER_JOIN)
			rooms[ask->n_whole++] = tasks->list.p[i].room;
	ask->whole = rooms;
}

err *presence_add(struct run *r, const struct presence_view *views, size_t n)
{
	struct sync_answer *an = r->answer;

	for (size_t i = 0; i < n; i++) {
		str user_id;

		if (ignored_has(&r->ignored, views[i].user))
			continue;
		TRY(store_intern_text(r->ss->opt.store, r->a, views[i].user, &user_id));
		if (event_filter_has_sender(&r->filter.presence, user_id))
			vec_push(r->a, &an->presence, (struct sync_presence){ user_id, views[i] });
	}
	return NULL;
}

/* Who joined a room of the reader is told of with the event that says so. */
static err *find_newcomers(struct run *r, const struct sync_room *room, struct map *known, struct user_list *out)
{
	for (size_t i = 0; i < room->timeline.n; i++) {
		const struct event_row *row = room->timeline.rows[i];
		enum membership m;

		if (row->type != r->ss->type_member || row->state_key == r->rq->user)
			continue;
		TRY(row_membership(r, row, &m));
		if (m == MEMBER_JOIN && !map_put_i(known, row->state_key, known))
			out->p[out->n++] = row->state_key;
	}
	return NULL;
}

/* The event may be of long ago: of who left since nothing is told. */
static err *all_newcomers(struct run *r)
{
	const struct sync_answer *an = r->answer;
	struct user_list users = { 0 };
	struct map known;
	struct tx *tx;
	size_t n = 0;

	if (r->full_state)
		return NULL;
	map_init(&known, r->a);
	for (size_t i = 0; i < an->presence.n; i++)
		(void)map_put_i(&known, an->presence.p[i].view.user, &known);
	for (size_t i = 0; i < an->rooms.n; i++)
		n += an->rooms.p[i]->timeline.n;
	users.p = ARENA_ARRAY(r->a, int64_t, n);
	for (size_t i = 0; i < an->rooms.n; i++)
		if (an->rooms.p[i]->section == SECTION_JOIN)
			TRY(find_newcomers(r, an->rooms.p[i], &known, &users));
	if (users.n == 0)
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(store_sharing(tx, r->rq->user, users, r->position, &users));
	for (size_t i = 0; i < users.n; i++) {
		struct presence_view view;

		presence_known(r->ss->opt.presence, r->a, users.p[i], &view);
		TRY(presence_add(r, &view, 1));
	}
	return NULL;
}

err *presence_gather(struct run *r, const struct tasks *tasks)
{
	const int64_t limit = r->filter.presence.limit;
	struct presence_ask ask = {
		.user = r->rq->user,
		.above = r->full_state ? 0 : r->since.presence_told,
		.without_offline = r->full_state && !presence_includes_offline(r->ss->opt.presence),
		.most = r->full_state || r->foreign ? FIRST_MOST : CHANGES_MOST,
	};
	struct presence_news news;

	if (!presence_is_wanted(r))
		return NULL;
	new_rooms(r, tasks, &ask);
	if (!ask.n_whole && !may_have_news(r))
		return all_newcomers(r);
	if (limit > 0)
		ask.most = (size_t)MIN(limit, (int64_t)ask.most);
	TRY(own_rooms(r, &ask));
	presence_changes(r->ss->opt.presence, r->a, &ask, &news);
	r->answer->next.presence = MAX(news.newest, r->bus.last[BUS_PRESENCE]);
	r->answer->next.presence_told = news.told == news.newest ? r->answer->next.presence : news.told;
	TRY(presence_add(r, news.p, news.n));
	return all_newcomers(r);
}

void presence_write(const struct sync_presence *who, struct jw *w, bool legacy)
{
	const struct presence_view *v = &who->view;

	jw_object(w, NULL);
	jw_object(w, "content");
	if (v->state == PRESENCE_ONLINE)
		jw_bool(w, "currently_active", v->currently_active);
	if (v->last_active_ago >= 0)
		jw_int(w, "last_active_ago", v->last_active_ago);
	jw_str(w, "presence", presence_state_text(v->state));
	if (!str_is_none(v->status_msg))
		jw_str(w, "status_msg", v->status_msg);
	/* Clients of the calls before /sync look for it here. */
	if (legacy)
		jw_str(w, "user_id", who->user_id);
	jw_end(w);
	jw_str(w, "sender", who->user_id);
	jw_str(w, "type", type);
	jw_end(w);
}
