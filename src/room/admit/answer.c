/*
 * answer.c - what a server is told of a room that a user of it joined or knocked upon.
 *
 * The state of a large room and its auth chains are many megabytes, and the other side may be slow. So the numbers of
 * the events are found here, in one snapshot; their texts are read a piece at a time as the answer is sent
 * (served/reading.h), which gives the same answer, for a state never changes. The room's lock is not held.
 *
 * Everything follows from the join event's row, so that who asks again gets the same: the state before an event is the
 * state after it with what it replaced under its own key.
 */
#include "room/admit/internal_admit.h"

#include "matrix/auth_chain.h"
#include "room/served/reading.h"

enum { HEROES = 5, HEAD_MOST = 4 << 20 };

/* While it is made: one snapshot. */
struct finding {
	struct admit *ad;
	struct arena *a;
	struct tx *tx;
	const struct join_answer_cmd *cmd;
	struct event_row *join;
	struct node_source nodes;
	struct state_tree tree;
	struct state_root after;
	VEC(int64_t) state;
	struct auth_list chain;
	str members;
};

static err *on_entry(void *arg, const struct state_entry *e)
{
	struct finding *f = arg;

	if (e->event != f->join->nid)
		vec_push(f->a, &f->state, e->event);
	return NULL;
}

static err *entry_of(struct finding *f, int64_t type, int64_t key, int64_t *out)
{
	return state_get(&f->tree, f->a, f->after, type, key, out);
}

static err *add_members(struct finding *f, unsigned mask, size_t *n)
{
	const struct rooms *rs = f->ad->opt.rooms;
	struct member_row *rows;
	size_t n_rows;

	TRY(store_members_first(f->tx, f->join->room, mask, f->join->state_key, HEROES, &rows, &n_rows));
	for (size_t i = 0; i < n_rows && *n < HEROES; i++) {
		int64_t nid;

		TRY(entry_of(f, rs->type_member, rows[i].user, &nid));
		if (!nid)
			continue;
		vec_push(f->a, &f->state, nid);
		++*n;
	}
	return NULL;
}

/* "If the room to be joined has no m.room.name nor m.room.canonical_alias events in its current state, the resident
 * server should determine the room members who would be included in the m.heroes property". */
static err *add_heroes(struct finding *f)
{
	const struct rooms *rs = f->ad->opt.rooms;
	int64_t name, alias;
	size_t n = 0;

	TRY(entry_of(f, rs->summary_types[SUMMARY_NAME], rs->empty, &name));
	TRY(entry_of(f, rs->summary_types[SUMMARY_CANONICAL_ALIAS], rs->empty, &alias));
	if (name || alias)
		return NULL;
	TRY(add_members(f, MEMBER_MASK(MEMBER_JOIN) | MEMBER_MASK(MEMBER_INVITE), &n));
	return n ? NULL : add_members(f, MEMBER_MASK(MEMBER_LEAVE) | MEMBER_MASK(MEMBER_BAN), &n);
}

/* "The resolved current room state prior to the join event." */
static err *find_state(struct finding *f)
{
	const struct rooms *rs = f->ad->opt.rooms;
	const struct state_pick pick = { .but = f->cmd->omit_members ? rs->type_member : 0 };

	f->nodes = (struct node_source){ .cache = rs->node_cache, .room = f->join->room, .tx = f->tx };
	f->tree = node_source_tree(&f->nodes);
	TRY(state_root_of(&f->tree, f->a, f->join->root_after, &f->after));
	TRY(state_each(&f->tree, f->a, f->after, pick, on_entry, f));
	if (f->join->replaces)
		vec_push(f->a, &f->state, f->join->replaces);
	return f->cmd->omit_members ? add_heroes(f) : NULL;
}

/* "All events in the auth chain for the new join event, as well as those in the auth chains for any events returned in
 * state." */
static err *find_chain(struct finding *f)
{
	int64_t *starts = ARENA_ARRAY(f->a, int64_t, f->state.n + 1), *left;
	struct map told;

	for (size_t i = 0; i < f->state.n; i++)
		starts[i] = f->state.p[i];
	starts[f->state.n] = f->join->nid;
	TRY(served_chain(f->tx, f->a, starts, f->state.n + 1, &f->chain));
	if (!f->cmd->omit_members)
		return NULL;
	/* "If the omit_members query parameter was set to true, then any events that are returned in state may be
	 * omitted from auth_chain". */
	map_init(&told, f->a);
	for (size_t i = 0; i < f->state.n; i++)
		(void)map_put_i(&told, f->state.p[i], f);
	left = ARENA_ARRAY(f->a, int64_t, f->chain.n);
	size_t n = 0;
	for (size_t i = 0; i < f->chain.n; i++)
		if (!map_get_i(&told, f->chain.p[i]))
			left[n++] = f->chain.p[i];
	f->chain = (struct auth_list){ left, n };
	return NULL;
}

/* "A list of the servers active in the room (ie, those with joined members) before the join." */
static err *write_servers(struct finding *f, struct jw *w)
{
	const struct rooms *rs = f->ad->opt.rooms;
	const str joined_from = id_server(f->cmd->event->sender);
	struct room_server_row *others;
	size_t n;

	TRY(store_room_others(f->tx, f->join->room, &others, &n));
	jw_array(w, "servers_in_room");
	jw_str(w, NULL, rs->opt.signer.server_name);
	for (size_t i = 0; i < n; i++) {
		str name;

		TRY(store_intern_text(rs->opt.store, f->a, others[i].server, &name));
		if (others[i].members > 1 || !str_eq(name, joined_from)) /* who joined may be the only one there */
			jw_str(w, NULL, name);
	}
	jw_end(w);
	return NULL;
}

static err *write_members(struct finding *f, str *out)
{
	AUTO_BUF buf = BUF_INIT(HEAD_MOST);
	struct jw w = jw_to(&buf);

	jw_object(&w, NULL);
	jw_raw(&w, "event", f->join->json);
	jw_bool(&w, "members_omitted", f->cmd->omit_members);
	if (f->cmd->omit_members)
		TRY(write_servers(f, &w));
	jw_str(&w, "origin", f->ad->opt.rooms->opt.signer.server_name);
	jw_end(&w);
	if (!jw_good(&w))
		return err_new(f->a, ERR_INTERNAL, "the servers in the room cannot be told");
	*out = arena_keep(f->a, buf_str(&buf));
	return NULL;
}

static const int64_t *keep_list(struct arena *a, const int64_t *p, size_t n)
{
	int64_t *copy = ARENA_ARRAY(a, int64_t, n);

	if (n)
		memcpy(copy, p, n * sizeof(*p));
	return copy;
}

static err *find_all(struct finding *f)
{
	TRY(store_event_by_nid(f->tx, f->cmd->event->nid, &f->join));
	if (!f->join)
		return err_new(f->a, ERR_NOT_FOUND, "the event is gone");
	TRY(find_state(f));
	TRY(find_chain(f));
	return write_members(f, &f->members);
}

err *admit_join_answer(struct admit *ad, struct arena *a, const struct join_answer_cmd *cmd, struct join_answer *out)
{
	AUTO_ARENA scratch = arena_new(); /* of a large room it is far more than what stays */
	struct finding f = { .ad = ad, .a = scratch, .cmd = cmd };
	AUTO_TX tx = NULL;
	err *e;

	e = store_read(ad->opt.store, scratch, &tx);
	if (e)
		return err_keep(a, e);
	f.tx = tx;
	e = find_all(&f);
	if (e)
		return err_keep(a, e);
	*out = (struct join_answer){
		.members = arena_keep(a, f.members),
		.state = keep_list(a, f.state.p, f.state.n),
		.n_state = f.state.n,
		.chain = keep_list(a, f.chain.p, f.chain.n),
		.n_chain = f.chain.n,
	};
	return NULL;
}

/* A knock that was sent again, long after the first time, is answered with the room as it is now: so whoever was shut
 * out meanwhile, or gave up, is shown nothing. Who was let in may see it all the same. */
static err *check_knocks(struct room *room, str user_id)
{
	enum membership now;

	TRY(room_membership(room, user_id, &now));
	if (now == MEMBER_KNOCK || now == MEMBER_INVITE || now == MEMBER_JOIN)
		return NULL;
	return err_new(room->a, ERR_FORBIDDEN, "the user does not knock upon the room any more");
}

err *admit_knock_state(struct admit *ad, struct arena *a, str room_id, str user_id, str *out)
{
	AUTO_BUF buf = BUF_INIT((size_t)16 * EVENT_MAX_BYTES);
	struct jw w = jw_to(&buf);
	AUTO_ROOM room = NULL;
	const struct event *ev;

	TRY(room_hold(ad->opt.rooms, a, room_id, &room));
	if (!room)
		return err_new(a, ERR_NOT_FOUND, "there is no such room here");
	TRY(check_knocks(room, user_id));
	jw_array(&w, NULL);
	/* "MUST contain the m.room.create event for the room. All events listed MUST additionally be formatted
	 * according to the room version specification." */
	for (const str *type = stripped_types; !str_is_none(*type); type++) {
		TRY(room_current_text(room, *type, S(""), &ev));
		if (ev)
			jw_raw(&w, NULL, ev->bytes);
	}
	jw_end(&w);
	*out = arena_keep(a, buf_str(&buf));
	return jw_good(&w) ? NULL : err_new(a, ERR_INTERNAL, "the room's stripped state is too long");
}
