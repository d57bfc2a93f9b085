/*
 * view.c - see view.h.
 *
 * The two things that decide are keys of the state at the event: m.room.history_visibility, and the user's own
 * m.room.member. They are looked up once per root, and not at all where an event stands alone upon one whose answer is
 * known: its state is that one's but for its own key. For the two kinds of events that change the answer themselves the
 * state before is made from the state after and the event that it replaced.
 *
 * "The user joined the room at any point after the event was sent": one who is joined now did, for every event; for one
 * who is not, it is so before the event that ended their last join, which is found by going back from the membership
 * event through what each replaced. A user has few of those; the walk is bounded all the same.
 */
#include "room/view.h"

#include "room/client_event.h"
#include "room/internal_room.h"
#include "store/events.h"

enum { CHAIN_MAX = 50 };

struct seen_root {
	struct visibility_view view;
	str membership;
};

struct room_view {
	struct rooms *rs;
	struct arena *a;
	struct tx *tx;
	int64_t room, user;
	str room_id, user_id;
	const struct room_version *rv;
	const struct member_row *member; /* NULL: never had a membership */
	struct state_root root;
	struct node_source nodes;
	struct state_tree tree;
	int64_t type_history, empty;
	struct map roots;     /* root's number -> struct seen_root */
	struct map deciders;  /* event's number -> str, what it decides: roots mostly look at the same two */
	int64_t joined_until; /* events below this timeline position were sent before the user's last join ended */
	int64_t left_root;    /* the state after the event that ended it */
	bool joined_until_known;
};

struct rooms *room_view_rooms(const struct room_view *v) { return v->rs; }
int64_t room_view_room(const struct room_view *v) { return v->room; }
int64_t room_view_user(const struct room_view *v) { return v->user; }
struct tx *room_view_tx(const struct room_view *v) { return v->tx; }
struct arena *room_view_arena(const struct room_view *v) { return v->a; }
str room_view_room_id(const struct room_view *v) { return v->room_id; }
const struct room_version *room_view_version(const struct room_view *v) { return v->rv; }
struct state_root room_view_root(const struct room_view *v) { return v->root; }
const struct state_tree *room_view_tree(const struct room_view *v) { return &v->tree; }
enum membership room_view_membership(const struct room_view *v)
{
	return v->member ? v->member->membership : MEMBER_NONE;
}

static bool is_joined(const struct room_view *v) { return room_view_membership(v) == MEMBER_JOIN; }

static err *state_event(struct room_view *v, struct state_root root, int64_t type, int64_t key, struct event_row **out)
{
	int64_t nid;

	*out = NULL;
	TRY(state_get(&v->tree, v->a, root, type, key, &nid));
	return nid ? store_event_by_nid(v->tx, nid, out) : NULL;
}

err *room_view_state_event(struct room_view *v, struct state_root root, str type, str state_key, struct event_row **out)
{
	int64_t type_nid, key_nid;

	*out = NULL;
	TRY(store_intern_find(v->rs->opt.store, v->a, type, &type_nid));
	TRY(store_intern_find(v->rs->opt.store, v->a, state_key, &key_nid));
	return type_nid && key_nid ? state_event(v, root, type_nid, key_nid, out) : NULL;
}

static err *parse_row(struct room_view *v, const struct event_row *row, struct event **out)
{
	*out = NULL;
	return row ? event_load(v->a, v->rv, row->event_id, row->json, out) : NULL;
}

/* What an event that decides about visibility says under `member` of its content. */
static err *said_by(struct room_view *v, const struct event_row *row, str member, str *out)
{
	struct json *content;

	TRY(event_content_of(v->a, row, &content));
	*out = json_get_str(content, member);
	return NULL;
}

/* The same by its number; of the current own membership it is known. */
static err *read_decider(struct room_view *v, int64_t nid, str member, str *out)
{
	struct event_row *row;

	*out = STR_NONE;
	if (v->member && nid == v->member->event) {
		*out = membership_text(v->member->membership);
		return NULL;
	}
	TRY(store_event_by_nid(v->tx, nid, &row));
	return row ? said_by(v, row, member, out) : NULL;
}

/* The same of a state's event under a key, remembered by its number; STR_NONE where there is none. */
static err *decider(struct room_view *v, struct state_root root, int64_t type, int64_t key, str member, str *out)
{
	str *known;
	int64_t nid;

	*out = STR_NONE;
	TRY(state_get(&v->tree, v->a, root, type, key, &nid));
	if (!nid)
		return NULL;
	known = map_get_i(&v->deciders, nid);
	if (!known) {
		known = ARENA_NEW(v->a, str);
		TRY(read_decider(v, nid, member, known));
		(void)map_put_i(&v->deciders, nid, known);
	}
	*out = *known;
	return NULL;
}

static err *look_at_root(struct room_view *v, int64_t node, const struct seen_root **out)
{
	struct seen_root *seen = node ? map_get_i(&v->roots, node) : NULL;
	struct state_root root;
	str history, membership;

	if (!seen) {
		TRY(state_root_of(&v->tree, v->a, node, &root));
		TRY(decider(v, root, v->type_history, v->empty, S("history_visibility"), &history));
		TRY(decider(v, root, v->rs->type_member, v->user, S("membership"), &membership));
		seen = ARENA_NEW(v->a, struct seen_root);
		seen->view = (struct visibility_view){ history_visibility_parse(history),
						       visibility_member_parse(membership) };
		seen->membership = membership;
		if (node)
			(void)map_put_i(&v->roots, node, seen);
	}
	*out = seen;
	return NULL;
}

static err *ended_join(struct room_view *v);

/* The reader's newest membership event in the room's state: an invitation to a room that this server is not in any more
 * is beside it. 0: none. */
static err *own_event(struct room_view *v, int64_t *out)
{
	struct room_head_row *head;
	struct state_root root;

	*out = v->member ? v->member->event : 0;
	if (*out || !v->member)
		return NULL;
	TRY(store_head_load(v->tx, v->room, &head));
	if (!head || !head->root)
		return NULL;
	TRY(state_root_of(&v->tree, v->a, head->root, &root));
	return state_get(&v->tree, v->a, root, v->rs->type_member, v->user, out);
}

/* The state that a member who is gone may still see: that after the leaving that ended their last join. */
static err *choose_root(struct room_view *v)
{
	struct room_head_row *head;
	struct event_row *left = NULL;
	int64_t own;

	if (v->member && (v->member->membership == MEMBER_LEAVE || v->member->membership == MEMBER_BAN)) {
		TRY(ended_join(v));
		if (v->left_root)
			return state_root_of(&v->tree, v->a, v->left_root, &v->root);
		TRY(own_event(v, &own));
		if (own)
			TRY(store_event_by_nid(v->tx, own, &left));
		if (left && left->root_after)
			return state_root_of(&v->tree, v->a, left->root_after, &v->root);
	}
	TRY(store_head_load(v->tx, v->room, &head));
	v->root = STATE_EMPTY;
	return head && head->root ? state_root_of(&v->tree, v->a, head->root, &v->root) : NULL;
}

static err *open_view(struct rooms *rs, struct arena *a, struct tx *tx, str room_id, int64_t room,
		      const struct room_version *rv, const struct member_row *member, int64_t user, str user_id,
		      struct room_view **out)
{
	struct room_view *v = ARENA_NEW(a, struct room_view);

	*v = (struct room_view){
		.rs = rs,
		.a = a,
		.tx = tx,
		.room = room,
		.user = user,
		.room_id = room_id,
		.user_id = user_id,
		.rv = rv,
		.member = member,
		.nodes = { .cache = rs->node_cache, .room = room, .tx = tx },
	};
	v->tree = node_source_tree(&v->nodes);
	map_init(&v->roots, a);
	map_init(&v->deciders, a);
	TRY(store_intern_find(rs->opt.store, a, S("m.room.history_visibility"), &v->type_history));
	TRY(store_intern_find(rs->opt.store, a, S(""), &v->empty));
	TRY(choose_root(v));
	*out = v;
	return NULL;
}

static bool was_inside(enum membership m) { return m == MEMBER_JOIN || m == MEMBER_LEAVE || m == MEMBER_BAN; }

/* Rooms whose history anyone may read, now. */
static err *is_world_readable(struct room_view *v, bool *out)
{
	struct summary_row summary;

	TRY(store_summary_load(v->tx, v->room, &summary));
	*out = history_visibility_parse(summary.history_visibility) == HISTORY_WORLD_READABLE;
	return NULL;
}

/* Who left without ever having joined (a declined invitation, a ban from outside) reads nothing. */
static err *check_access(struct room_view *v, enum view_access access, bool *out)
{
	const enum membership m = room_view_membership(v);

	*out = m == MEMBER_JOIN;
	if (*out || access == VIEW_JOINED)
		return NULL;
	if (was_inside(m) && !v->member->forgotten) {
		TRY(ended_join(v));
		*out = v->joined_until > 0;
	}
	return *out ? NULL : is_world_readable(v, out);
}

err *room_view_open(struct rooms *rs, struct arena *a, struct tx *tx, str room_id, int64_t user, str user_id,
		    enum view_access access, struct room_view **out)
{
	const struct room_version *rv;
	struct member_row *member;
	struct room_view *v;
	int64_t room;
	bool allowed;

	TRY(rooms_find(rs, a, room_id, &room, &rv));
	if (!room)
		return err_new(a, ERR_FORBIDDEN, "you are not in this room");
	TRY(store_member(tx, room, user, &member));
	TRY(open_view(rs, a, tx, room_id, room, rv, member, user, user_id, &v));
	TRY(check_access(v, access, &allowed));
	if (!allowed)
		return err_new(a, ERR_FORBIDDEN, "you are not in this room");
	*out = v;
	return NULL;
}

err *room_view_of_member(struct rooms *rs, struct arena *a, struct tx *tx, str room_id, const struct member_row *member,
			 str user_id, struct room_view **out)
{
	const struct room_version *rv;

	TRY(rooms_version(rs, a, member->room, &rv));
	return open_view(rs, a, tx, room_id, member->room, rv, member, member->user, user_id, out);
}

/* Finds joined_until for a user who is not joined now: 0 when they never were. */
static err *ended_join(struct room_view *v)
{
	int64_t nid, after = 0, root = 0;

	if (v->joined_until_known)
		return NULL;
	TRY(own_event(v, &nid));
	for (int i = 0; nid && i < CHAIN_MAX; i++) {
		struct event_row *row;
		struct event *ev;

		TRY(store_event_by_nid(v->tx, nid, &row));
		TRY(parse_row(v, row, &ev));
		if (!ev)
			break;
		if (str_eq(event_membership(ev), S("join"))) {
			v->joined_until = after;
			v->left_root = root;
			break;
		}
		after = row->timeline;
		root = row->root_after;
		nid = row->replaces;
	}
	v->joined_until_known = true;
	return NULL;
}

err *room_view_joined_until(struct room_view *v, int64_t *out)
{
	if (!is_joined(v))
		TRY(ended_join(v));
	*out = is_joined(v) ? INT64_MAX : v->joined_until;
	return NULL;
}

static err *joined_later(struct room_view *v, const struct event_row *row, bool *out)
{
	*out = is_joined(v);
	if (*out)
		return NULL;
	TRY(ended_join(v));
	*out = row->timeline < v->joined_until;
	return NULL;
}

static bool decides_itself(const struct room_view *v, const struct event_row *row)
{
	return (row->type == v->type_history && row->state_key == v->empty) ||
	       (row->type == v->rs->type_member && row->state_key == v->user);
}

/* An event that changes the answer: the state before had another event under its key. */
static err *sees_decider(struct room_view *v, const struct event_row *row, struct visibility_view after, bool later,
			 bool *out)
{
	struct visibility_question q = { after, later };
	struct event_row *old_row = NULL;
	struct event *ev, *old;

	if (row->replaces)
		TRY(store_event_by_nid(v->tx, row->replaces, &old_row));
	TRY(parse_row(v, row, &ev));
	TRY(parse_row(v, old_row, &old));
	if (row->type == v->type_history)
		q.before.history = history_visibility_of(old);
	else
		q.before.member = visibility_member_of(old);
	*out = visibility_allows(&q, ev, v->user_id);
	return NULL;
}

/* The state after a state event is the one before, but for its own key. */
static err *decide(struct room_view *v, const struct event_row *row, struct seen_root *seen)
{
	str said;

	if (!decides_itself(v, row) || row->flags & EVENT_REJECTED)
		return NULL;
	if (row->type == v->type_history) {
		TRY(said_by(v, row, S("history_visibility"), &said));
		seen->view.history = history_visibility_parse(said);
		return NULL;
	}
	TRY(said_by(v, row, S("membership"), &said));
	seen->view.member = visibility_member_parse(said);
	seen->membership = said;
	return NULL;
}

/* Most events of a room stand upon the one before them, and the first upon nothing. */
static err *inherit(struct room_view *v, const struct event_row *before, const struct event_row *row)
{
	struct seen_root nothing = { .view = { HISTORY_SHARED, VISIBILITY_OUTSIDE } }, *from = NULL, *seen;

	if (!row->root_after || map_get_i(&v->roots, row->root_after))
		return NULL;
	if (row->prevs.n == 0 && row->type == v->rs->summary_types[SUMMARY_ROOM_TYPE])
		from = &nothing;
	else if (before && before->root_after && store_nids_are_one(row->prevs, before->nid))
		from = map_get_i(&v->roots, before->root_after);
	if (!from)
		return NULL;
	seen = ARENA_NEW(v->a, struct seen_root);
	*seen = *from;
	(void)map_put_i(&v->roots, row->root_after, seen);
	return decide(v, row, seen);
}

static err *sees(struct room_view *v, const struct event_row *row, bool *seen)
{
	const struct seen_root *at;
	bool later;

	*seen = false;
	if (row->flags & (EVENT_REJECTED | EVENT_SOFT_FAILED | EVENT_OUTLIER | EVENT_UNAPPLIED) ||
	    row->type == v->rs->type_dummy)
		return NULL;
	TRY(look_at_root(v, row->root_after, &at));
	TRY(joined_later(v, row, &later));
	/* Before or after the event is enough. */
	*seen = visibility_allows_view(at->view, later);
	return *seen || !decides_itself(v, row) ? NULL : sees_decider(v, row, at->view, later, seen);
}

err *room_view_sees(struct room_view *v, const struct event_row *const *rows, size_t n, bool *seen)
{
	const bool newest_first = n > 1 && rows[0]->timeline > rows[n - 1]->timeline;
	const struct event_row *before = NULL;

	for (size_t k = 0; k < n; k++) {
		const size_t i = newest_first ? n - 1 - k : k;

		TRY(inherit(v, before, rows[i]));
		TRY(sees(v, rows[i], &seen[i]));
		before = rows[i];
	}
	return NULL;
}

err *room_view_event(struct room_view *v, str event_id, const struct event_row **out)
{
	struct event_row *row;
	bool seen = false;

	TRY(store_event_by_id(v->tx, event_id, &row));
	if (row && row->room == v->room)
		TRY(room_view_sees(v, (const struct event_row *const[]){ row }, 1, &seen));
	if (!seen)
		return err_new(v->a, ERR_NOT_FOUND, "no such event in this room");
	*out = row;
	return NULL;
}

err *room_view_membership_at(struct room_view *v, const struct event_row *row, str *out)
{
	const struct seen_root *at;

	TRY(look_at_root(v, row->root_after, &at));
	/* "If the user had yet to join the room at the time of the event (i.e, they have no m.room.member state), this
	 * property is set to leave." */
	*out = str_is_none(at->membership) ? S("leave") : at->membership;
	return NULL;
}

err *room_is_joined(struct rooms *rs, struct arena *a, int64_t room, int64_t user, bool *out)
{
	AUTO_TX tx = NULL;
	struct member_row *member;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_member(tx, room, user, &member));
	*out = member && member->membership == MEMBER_JOIN;
	return NULL;
}
