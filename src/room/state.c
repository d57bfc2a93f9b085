/*
 * state.c - reading a room's state.
 *
 * A state is walked in its tree, whichever it is: the current one, one from before a reader left, one of years ago.
 * Only the member lists of now come from the flat table, which can be asked for one membership alone.
 */
#include "room/state.h"

#include "room/erased.h"
#include "room/internal_room.h"
#include "room/timeline.h"
#include "store/events.h"

struct collect {
	struct arena *a;
	VEC(int64_t) nids;
};

static err *on_entry(void *arg, const struct state_entry *e)
{
	struct collect *c = arg;

	vec_push(c->a, &c->nids, e->event);
	return NULL;
}

static err *on_change(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	struct collect *c = arg;

	(void)type, (void)key, (void)old;
	if (now)
		vec_push(c->a, &c->nids, now);
	return NULL;
}

static err *read_rows(struct room_view *v, const struct collect *c, struct state_events *out)
{
	struct event_row **rows = NULL;

	*out = (struct state_events){ 0 };
	if (c->nids.n > 0)
		TRY(store_events_by_nids(room_view_tx(v), c->nids.p, c->nids.n, &rows, &out->n));
	out->p = (const struct event_row **)rows;
	return NULL;
}

err *room_state_events(struct room_view *v, struct state_root root, struct state_pick pick, struct state_events *out)
{
	struct collect c = { .a = room_view_arena(v) };

	TRY(state_each(room_view_tree(v), c.a, root, pick, on_entry, &c));
	return read_rows(v, &c, out);
}

err *room_state_changes(struct room_view *v, struct state_root from, struct state_root to, struct state_pick pick,
			struct state_events *out)
{
	struct collect c = { .a = room_view_arena(v) };

	TRY(state_diff(room_view_tree(v), c.a, from, to, pick, on_change, &c));
	return read_rows(v, &c, out);
}

err *room_state_at_stream(struct room_view *v, int64_t stream, struct state_root *out)
{
	return store_room_root_at(room_view_tx(v), room_view_room(v), stream, out);
}

static err *write_events(struct room_view *v, const char *key, const struct state_events *ev,
			 const struct client_view *reader, struct jw *w)
{
	struct arena *a = room_view_arena(v);
	struct client_extras extras;

	TRY(client_events_load(room_view_tx(v), a, ev->p, ev->n, &extras));
	TRY(room_view_erase(v, ev->p, ev->n, extras.p));
	jw_array(w, key);
	for (size_t i = 0; i < ev->n; i++)
		client_event_write(a, w, NULL, ev->p[i], room_view_room_id(v), &extras.p[i], reader);
	jw_end(w);
	return NULL;
}

static err *open_for(struct rooms *rs, struct arena *a, struct tx *tx, str room_id, const struct client_view *reader,
		     enum view_access access, struct room_view **out)
{
	return room_view_open(rs, a, tx, room_id, reader->user, reader->user_id, access, out);
}

err *room_state_write(struct rooms *rs, struct arena *a, str room_id, const struct client_view *reader, struct jw *w)
{
	AUTO_TX tx = NULL;
	struct state_events events;
	struct room_view *v;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(open_for(rs, a, tx, room_id, reader, VIEW_MEMBER, &v));
	TRY(room_state_events(v, room_view_root(v), (struct state_pick){ 0 }, &events));
	return write_events(v, NULL, &events, reader, w);
}

err *room_state_write_one(struct rooms *rs, struct arena *a, str room_id, str type, str state_key, bool whole_event,
			  const struct client_view *reader, struct jw *w)
{
	AUTO_TX tx = NULL;
	struct client_extras extras;
	const struct event_row *row;
	struct event_row *found;
	struct event_parts parts;
	struct room_view *v;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(open_for(rs, a, tx, room_id, reader, VIEW_MEMBER, &v));
	TRY(room_view_state_event(v, room_view_root(v), type, state_key, &found));
	if (!found)
		return err_new(a, ERR_NOT_FOUND, "the room has no such state");
	row = found;
	if (!whole_event) {
		struct client_extra extra = { 0 };

		TRY(room_view_erase(v, &row, 1, &extra));
		event_parts_of(str_is_none(extra.instead) ? row->json : extra.instead, &parts);
		jw_raw(w, NULL, parts.content);
		return NULL;
	}
	TRY(client_events_load(tx, a, &row, 1, &extras));
	TRY(room_view_erase(v, &row, 1, extras.p));
	client_event_write(a, w, NULL, row, room_id, &extras.p[0], reader);
	return NULL;
}

/*
 * Members
 */

/* "When specified alongside not_membership, the two parameters create an 'or' condition". */
static err *wanted_memberships(struct arena *a, const struct members_cmd *cmd, unsigned *out)
{
	const enum membership is = membership_of_text(cmd->membership),
			      is_not = membership_of_text(cmd->not_membership);

	if (!str_is_none(cmd->membership) && is == MEMBER_NONE)
		return err_new(a, ERR_INVALID_PARAM, "membership is join, invite, knock, leave or ban");
	if (!str_is_none(cmd->not_membership) && is_not == MEMBER_NONE)
		return err_new(a, ERR_INVALID_PARAM, "not_membership is join, invite, knock, leave or ban");
	*out = is == MEMBER_NONE && is_not == MEMBER_NONE ? MEMBER_ANY : 0;
	if (is != MEMBER_NONE)
		*out |= MEMBER_MASK(is);
	if (is_not != MEMBER_NONE)
		*out |= ~MEMBER_MASK(is_not);
	return NULL;
}

/* The members of now: the flat table has their memberships. */
static err *members_now(struct room_view *v, unsigned wanted, struct state_events *out)
{
	struct collect c = { .a = room_view_arena(v) };
	struct member_row *members;
	size_t n;

	TRY(store_members(room_view_tx(v), room_view_room(v), wanted, 0, &members, &n));
	for (size_t i = 0; i < n; i++)
		vec_push(c.a, &c.nids, members[i].event);
	return read_rows(v, &c, out);
}

/* Of any state: every member event says what it is. */
static err *members_then(struct room_view *v, struct rooms *rs, struct state_root root, unsigned wanted,
			 struct state_events *out)
{
	size_t n = 0;

	TRY(room_state_events(v, root, (struct state_pick){ .only = rs->type_member }, out));
	if (wanted == MEMBER_ANY)
		return NULL;
	for (size_t i = 0; i < out->n; i++) {
		struct json *content;

		TRY(event_content_of(room_view_arena(v), out->p[i], &content));
		if (wanted & MEMBER_MASK(membership_of_text(json_get_str(content, S("membership")))))
			out->p[n++] = out->p[i];
	}
	out->n = n;
	return NULL;
}

err *room_members_write(struct rooms *rs, struct arena *a, const struct members_cmd *cmd, struct jw *w)
{
	AUTO_TX tx = NULL;
	struct state_events members;
	struct state_root root;
	struct room_view *v;
	unsigned wanted;

	TRY(wanted_memberships(a, cmd, &wanted));
	TRY(store_read(rs->opt.store, a, &tx));
	TRY(open_for(rs, a, tx, cmd->room_id, cmd->reader, VIEW_MEMBER, &v));
	root = room_view_root(v);
	if (!str_is_none(cmd->at))
		TRY(timeline_root_of_token(v, cmd->at, &root));
	if (wanted != MEMBER_ANY && room_view_membership(v) == MEMBER_JOIN && state_same(root, room_view_root(v)))
		TRY(members_now(v, wanted, &members));
	else
		TRY(members_then(v, rs, root, wanted, &members));
	return write_events(v, "chunk", &members, cmd->reader, w);
}

static void write_profile(struct jw *w, const struct member_row *m)
{
	/* "display_name", not the event's "displayname". null where there is none, as Synapse answers and clients
	 * expect. */
	jw_str_or_null(w, "display_name", m->displayname);
	jw_str_or_null(w, "avatar_url", m->avatar_url);
}

err *room_joined_members_write(struct rooms *rs, struct arena *a, str room_id, const struct client_view *reader,
			       struct jw *w)
{
	AUTO_TX tx = NULL;
	struct member_row *members;
	struct room_view *v;
	size_t n;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(open_for(rs, a, tx, room_id, reader, VIEW_JOINED, &v));
	TRY(store_members(tx, room_view_room(v), MEMBER_MASK(MEMBER_JOIN), 0, &members, &n));
	jw_object(w, "joined");
	for (size_t i = 0; i < n; i++) {
		str user_id;

		TRY(store_intern_text(rs->opt.store, a, members[i].user, &user_id));
		jw_key(w, user_id);
		jw_object(w, NULL);
		write_profile(w, &members[i]);
		jw_end(w);
	}
	jw_end(w);
	return NULL;
}
