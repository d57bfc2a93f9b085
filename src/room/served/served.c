/*
 * served.c - see served.h.
 *
 * The rules of history visibility speak of users. A server sees what one of its users sees, for it is they who read
 * what it gets: in a room whose history is `shared` all of it, once one of them has joined; with `invited` and `joined`
 * what happened while one of them was. As for users (view.c), an event that changes the answer itself is seen by who
 * sees it before or after it.
 *
 * Whether a server was there is looked up in the state after the event. Its users in a room are found once, in the flat
 * table, which has everybody who ever was a member. Then a witness is enough: as long as the one who was there is, so
 * is the server; and where nobody was, only what has changed since the last such state can make it otherwise. So a page
 * of events costs a look at one key for each state, and not one at 50,000 members.
 */
#include "room/served/served.h"

#include "room/client_event.h"
#include "room/erased.h"
#include "room/internal_room.h"
#include "room/server_acl.h"

struct presence_of { /* of the server's users: joined, or joined or invited */
	unsigned mask;
	int64_t witness; /* a user who was such a member at `last` */
	struct state_root last;
	bool any, found;  /* was a state looked at? what came of it at `last` */
	struct map roots; /* root's number -> &yes or &no */
};

struct served {
	struct rooms *rs;
	struct arena *a;
	struct tx *tx;
	str room_id, origin;
	int64_t room;
	const struct room_version *rv;
	bool in_room;
	struct node_source nodes;
	struct state_tree tree;
	int64_t type_history, empty;
	struct map histories;       /* root's number -> enum history_visibility * */
	struct map deciders;        /* event's number -> str *: what it says of its membership or of the visibility */
	struct member_brief *users; /* of the origin, who ever were members */
	size_t n_users;
	struct map by_user; /* the same */
	bool users_known;
	struct presence_of joined, invited;
};

static const char yes, no;

int64_t served_room(const struct served *s) { return s->room; }
str served_room_id(const struct served *s) { return s->room_id; }
const struct room_version *served_version(const struct served *s) { return s->rv; }
struct tx *served_tx(const struct served *s) { return s->tx; }
bool served_in_room(const struct served *s) { return s->in_room; }
const struct state_tree *served_tree(const struct served *s) { return &s->tree; }

/*
 * Opening
 */
static err *find_in_room(struct served *s)
{
	int64_t server;

	TRY(store_intern_find(s->rs->opt.store, s->a, s->origin, &server));
	return server ? store_room_has_server(s->tx, s->room, server, &s->in_room) : NULL;
}

static err *check_access(struct served *s)
{
	struct summary_row summary;
	struct room_row *row;

	if (s->in_room)
		return NULL;
	TRY(store_room_by_nid(s->tx, s->room, &row));
	TRY(store_summary_load(s->tx, s->room, &summary));
	if (row && !row->local_only && history_visibility_parse(summary.history_visibility) == HISTORY_WORLD_READABLE)
		return NULL;
	return err_new(s->a, ERR_FORBIDDEN, "your server is not in this room");
}

err *served_open(struct rooms *rs, struct arena *a, struct tx *tx, str room_id, str origin, enum served_access access,
		 struct served **out)
{
	struct served *s = ARENA_NEW(a, struct served);

	*s = (struct served){
		.rs = rs,
		.a = a,
		.tx = tx,
		.room_id = room_id,
		.origin = origin,
		.joined = { .mask = MEMBER_MASK(MEMBER_JOIN) },
		.invited = { .mask = MEMBER_MASK(MEMBER_JOIN) | MEMBER_MASK(MEMBER_INVITE) },
	};
	TRY(rooms_find(rs, a, room_id, &s->room, &s->rv));
	if (!s->room)
		return err_new(a, ERR_NOT_FOUND, "there is no such room here");
	TRY(room_acl_check(rs, a, room_id, origin));
	s->nodes = (struct node_source){ .cache = rs->node_cache, .room = s->room, .tx = tx };
	s->tree = node_source_tree(&s->nodes);
	map_init(&s->histories, a);
	map_init(&s->deciders, a);
	map_init(&s->by_user, a);
	map_init(&s->joined.roots, a);
	map_init(&s->invited.roots, a);
	s->type_history = rs->summary_types[SUMMARY_HISTORY_VISIBILITY];
	s->empty = rs->empty;
	TRY(find_in_room(s));
	if (access == SERVED_IN_ROOM)
		TRY(check_access(s));
	*out = s;
	return NULL;
}

/*
 * What states say
 */
static err *said_by(struct served *s, const struct event_row *row, str member, str *out)
{
	struct json *content;

	TRY(event_content_of(s->a, row, &content));
	*out = json_get_str(content, member);
	return NULL;
}

/* An event's word by its number, remembered; STR_NONE for 0. */
static err *decider(struct served *s, int64_t nid, str member, str *out)
{
	str *known = nid ? map_get_i(&s->deciders, nid) : NULL;
	struct event_row *row;

	*out = STR_NONE;
	if (!nid)
		return NULL;
	if (!known) {
		known = ARENA_NEW(s->a, str);
		TRY(store_event_by_nid(s->tx, nid, &row));
		*known = STR_NONE;
		if (row)
			TRY(said_by(s, row, member, known));
		(void)map_put_i(&s->deciders, nid, known);
	}
	*out = *known;
	return NULL;
}

static err *history_at(struct served *s, struct state_root root, enum history_visibility *out)
{
	enum history_visibility *known = root.node ? map_get_i(&s->histories, root.node) : NULL;
	int64_t nid;
	str said;

	if (!known) {
		known = ARENA_NEW(s->a, enum history_visibility);
		TRY(state_get(&s->tree, s->a, root, s->type_history, s->empty, &nid));
		TRY(decider(s, nid, S("history_visibility"), &said));
		*known = history_visibility_parse(said);
		if (root.node)
			(void)map_put_i(&s->histories, root.node, known);
	}
	*out = *known;
	return NULL;
}

/*
 * Was the server there?
 */
static err *load_users(struct served *s)
{
	struct member_brief *all;
	int64_t *nids;
	size_t n;
	str *ids;

	TRY(store_members_brief(s->tx, s->room, &all, &n));
	nids = ARENA_ARRAY(s->a, int64_t, n);
	ids = ARENA_ARRAY(s->a, str, n);
	for (size_t i = 0; i < n; i++)
		nids[i] = all[i].user;
	TRY(store_intern_texts(s->rs->opt.store, s->a, nids, n, ids));
	s->users = all;
	for (size_t i = 0; i < n; i++)
		if (id_is_of(ids[i], s->origin))
			all[s->n_users++] = all[i];
	for (size_t i = 0; i < s->n_users; i++)
		(void)map_put_i(&s->by_user, s->users[i].user, &s->users[i]);
	s->users_known = true;
	return NULL;
}

static err *was_member(struct served *s, unsigned mask, const struct member_brief *user, int64_t event, bool *out)
{
	enum membership m = user->membership;
	str said;

	*out = false;
	if (!event)
		return NULL;
	if (event != user->event) {
		TRY(decider(s, event, S("membership"), &said));
		m = membership_of_text(said);
	}
	*out = mask & MEMBER_MASK(m);
	return NULL;
}

static err *is_member_at(struct served *s, unsigned mask, const struct member_brief *user, struct state_root root,
			 bool *out)
{
	int64_t event;

	TRY(state_get(&s->tree, s->a, root, s->rs->type_member, user->user, &event));
	return was_member(s, mask, user, event, out);
}

struct newcomer {
	struct served *s;
	struct presence_of *p;
};

static err *look_for_newcomer(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	const struct newcomer *c = arg;
	const struct member_brief *user = map_get_i(&c->s->by_user, key);
	bool is;

	(void)type, (void)old;
	if (!user || c->p->found)
		return NULL;
	TRY(was_member(c->s, c->p->mask, user, now, &is));
	if (is) {
		c->p->witness = user->user;
		c->p->found = true;
	}
	return NULL;
}

/* Those who are members now were so at most times. */
static err *search(struct served *s, struct presence_of *p, struct state_root root)
{
	for (int now = 1; now >= 0 && !p->found; now--) {
		for (size_t i = 0; i < s->n_users && !p->found; i++) {
			const struct member_brief *user = &s->users[i];

			if ((user->membership == MEMBER_JOIN) != now)
				continue;
			TRY(is_member_at(s, p->mask, user, root, &p->found));
			p->witness = user->user;
		}
	}
	return NULL;
}

static err *was_there_anew(struct served *s, struct presence_of *p, struct state_root root)
{
	const struct member_brief *witness = p->any && p->found ? map_get_i(&s->by_user, p->witness) : NULL;

	if (p->any && !p->found) {
		const struct state_pick members = { .only = s->rs->type_member };

		return state_diff(&s->tree, s->a, p->last, root, members, look_for_newcomer,
				  &(struct newcomer){ s, p });
	}
	p->found = false;
	if (witness)
		TRY(is_member_at(s, p->mask, witness, root, &p->found));
	return p->found ? NULL : search(s, p, root);
}

static err *was_there(struct served *s, struct presence_of *p, struct state_root root, bool *out)
{
	const char *known = root.node ? map_get_i(&p->roots, root.node) : NULL;

	if (!known) {
		if (!s->users_known)
			TRY(load_users(s));
		TRY(was_there_anew(s, p, root));
		p->last = root;
		p->any = true;
		known = p->found ? &yes : &no;
		if (root.node)
			(void)map_put_i(&p->roots, root.node, (void *)known);
	}
	*out = known == &yes;
	return NULL;
}

/*
 * Events
 */
static struct presence_of *needed(struct served *s, enum history_visibility history)
{
	return history == HISTORY_INVITED ? &s->invited : &s->joined;
}

static err *sees_at(struct served *s, struct state_root root, enum history_visibility history, bool *out)
{
	*out = history == HISTORY_WORLD_READABLE || (history == HISTORY_SHARED && s->in_room);
	if (*out || history == HISTORY_SHARED)
		return NULL;
	return was_there(s, needed(s, history), root, out);
}

/* An event that changes the answer: the state before had another event under its key. */
static err *sees_before(struct served *s, const struct event_row *row, struct state_root after,
			enum history_visibility history, bool *out)
{
	const struct member_brief *user;
	str said;

	if (row->type == s->type_history && row->state_key == s->empty) {
		TRY(decider(s, row->replaces, S("history_visibility"), &said));
		return sees_at(s, after, history_visibility_parse(said), out);
	}
	if (row->type != s->rs->type_member || history == HISTORY_SHARED)
		return NULL;
	user = map_get_i(&s->by_user, row->state_key);
	return user ? was_member(s, needed(s, history)->mask, user, row->replaces, out) : NULL;
}

/* Who made it has it. */
static err *is_own(struct served *s, const struct event_row *row, bool *out)
{
	str sender;

	TRY(store_intern_text(s->rs->opt.store, s->a, row->sender, &sender));
	*out = id_is_of(sender, s->origin);
	return NULL;
}

static err *sees(struct served *s, const struct event_row *row, bool *seen)
{
	enum history_visibility history;
	struct state_root root;

	*seen = false;
	if (row->flags & EVENT_REJECTED)
		return NULL;
	/* No state says who was there; but whoever is in the room may check other events by it. */
	if (row->flags & EVENT_OUTLIER) {
		*seen = s->in_room;
		return NULL;
	}
	TRY(state_root_of(&s->tree, s->a, row->root_after, &root));
	TRY(history_at(s, root, &history));
	TRY(sees_at(s, root, history, seen));
	if (!*seen && row->flags & EVENT_STATE)
		TRY(sees_before(s, row, root, history, seen));
	return *seen ? NULL : is_own(s, row, seen);
}

err *served_sees(struct served *s, const struct event_row *const *rows, size_t n, bool *seen)
{
	for (size_t i = 0; i < n; i++)
		TRY(sees(s, rows[i], &seen[i]));
	return NULL;
}

/*
 * v9, "Redactions": "Without the join_authorised_via_users_server property, redacted join events can become invalid
 * when verifying the auth chain of a given event, thus creating a split-brain scenario". In rooms of version 8, which
 * lose it, an erased user's restricted join therefore goes out as it is: redacted, a server that comes in would not
 * have them in the room, and nothing of what they decided there.
 */
static bool stands_by_its_voucher(struct arena *a, const struct room_version *rv, const struct event *ev)
{
	const str key = S("join_authorised_via_users_server");

	return rv->restricted && str_eq(ev->type, S("m.room.member")) && json_get(ev->content, key) &&
	       !json_get(redact_content(a, rv, ev->type, ev->content), key);
}

err *served_bytes_of(struct rooms *rs, struct arena *a, const struct room_version *rv, const struct event_row *row,
		     bool sees_it, str *out)
{
	bool erased = false;
	struct event *ev;

	if (sees_it)
		TRY(rooms_event_is_erased(rs, a, row, &erased));
	*out = row->json;
	if (sees_it && !erased)
		return NULL;
	TRY(event_load(a, rv, row->event_id, row->json, &ev));
	if (sees_it && stands_by_its_voucher(a, rv, ev))
		return NULL;
	return event_redact(a, rv, ev, out);
}

err *served_bytes(struct served *s, const struct event_row *row, bool sees_it, str *out)
{
	return served_bytes_of(s->rs, s->a, s->rv, row, sees_it, out);
}
