/*
 * upgrade.c - a room gives way to another one, of another version. Client-Server API, "Room Upgrades".
 *
 * 1. The old room is read, and whether the user may replace it.
 * 2. The successor is made, whole: its state, bans, power levels.
 * 3. One commit in the old room: m.room.tombstone; its m.room.canonical_alias without what moves; power levels with
 * which nobody but its moderators says anything there; and in the same transaction the aliases and the entry in the
 * directory change over. Where a policy server signs what is sent, the other two follow the tombstone one by one.
 *
 * Who dies between 2 and 3 leaves a room that nobody was told of, with one member in it, and the old one as it was: to
 * be tried again. There is nothing in between. What users keep for the old room (tags, push rules) is not here but in
 * flow/successor.h.
 *
 * A room that was replaced on another server gives up what this one had given it once one of our users is in the
 * successor (room_names_follow).
 *
 * Before room version 12 the successor names the tombstone, and the tombstone its successor. So the tombstone is built
 * in step 1 and becomes part of the old room in step 3 as an event that was made elsewhere would: what was said there
 * meanwhile is beside it.
 *
 * One upgrade of a room at a time. Who asks a second time (the answer was lost) within five minutes gets the same
 * successor.
 */
#include "base/clock.h"
#include "room/internal_policy.h"
#include "room/internal_upgrade.h"
#include "store/tx.h"

enum { SAME_MS = 5 * 60 * 1000 };
enum closing { CLOSING_TOMBSTONE, CLOSING_CANONICAL, CLOSING_POWER, CLOSING_EVENTS };

struct upgrade {
	struct rooms *rs;
	struct arena *a;
	const struct upgrade_cmd *cmd;
	const struct room_version *rv;
	struct old_room old;
	const struct event *tombstone;           /* built beforehand; or NULL */
	bool vetted;                             /* a policy server has signed it, and wants to see the others, too */
	struct proposal closing[CLOSING_EVENTS]; /* the old room's last events; whose content is NULL is none */
	str successor;
	int64_t successor_nid;
};

/*
 * One at a time
 */
static err *gate_enter(struct upgrade *u)
{
	struct rooms *rs = u->rs;
	const struct upgrade *other;

	LOCKED(&rs->upgrade_lock);
	while ((other = map_get(&rs->upgrading, u->cmd->room_id))) {
		if (other->cmd->by.user != u->cmd->by.user)
			return err_new(u->a, ERR_UNKNOWN, "An upgrade for this room is currently in progress");
		cond_wait(&rs->upgrade_done, &rs->upgrade_lock);
	}
	map_put(&rs->upgrading, u->cmd->room_id, u);
	return NULL;
}

static void gate_leave(struct upgrade *u)
{
	LOCKED(&u->rs->upgrade_lock);
	map_del(&u->rs->upgrading, u->cmd->room_id);
	cond_broadcast(&u->rs->upgrade_done);
}

/* Not checked to be a room id. */
static str predecessor_in(const struct event *create)
{
	return json_get_str(json_get_object(create->content, S("predecessor")), S("room_id"));
}

/* Has the same user just done it, and is there still? */
static err *find_repeat(struct upgrade *u, str *out_room_id)
{
	const struct event *t = u->old.tombstone, *create = NULL;
	enum membership m = MEMBER_NONE;
	AUTO_ROOM room = NULL;

	*out_room_id = STR_NONE;
	if (!t || !str_eq(t->sender, u->cmd->by.user_id) || clock_since(clock_ms(), t->origin_server_ts) > SAME_MS ||
	    !id_room_valid(json_get_str(t->content, S("replacement_room"))))
		return NULL;
	TRY(room_hold(u->rs, u->a, json_get_str(t->content, S("replacement_room")), &room));
	if (!room || room->rv != u->rv)
		return NULL;
	TRY(room_current_text(room, S("m.room.create"), S(""), &create));
	TRY(room_membership(room, u->cmd->by.user_id, &m));
	if (create && str_eq(create->sender, u->cmd->by.user_id) && m == MEMBER_JOIN &&
	    str_eq(predecessor_in(create), u->old.room_id))
		*out_room_id = arena_keep(u->a, room->room_id);
	return NULL;
}

/*
 * The old room's last events
 */
static err *wish_closing(struct upgrade *u)
{
	static const str types[CLOSING_EVENTS] = {
		[CLOSING_TOMBSTONE] = STR("m.room.tombstone"),
		[CLOSING_CANONICAL] = STR("m.room.canonical_alias"),
		[CLOSING_POWER] = STR("m.room.power_levels"),
	};
	struct json *content = json_new_object(u->a);

	json_set(u->a, content, S("body"), json_new_str(u->a, S("This room has been replaced")));
	json_set(u->a, content, S("replacement_room"), json_new_str(u->a, u->successor));
	for (size_t i = 0; i < CLOSING_EVENTS; i++) {
		u->closing[i] = (struct proposal){
			.type = types[i],
			.state_key = S(""),
			.sender = u->cmd->by.user_id,
			.content = i == CLOSING_TOMBSTONE ? content : NULL,
			.ts = clock_ms(),
		};
		TRY(proposal_number(u->rs, u->a, &u->closing[i]));
	}
	return NULL;
}

/* What the others say is said of the room as it is when they are sent: nobody's change of a moment ago is undone. */
static err *wish_left(struct upgrade *u, struct room *room)
{
	TRY(upgrade_read_left(room, &u->old));
	u->closing[CLOSING_CANONICAL].content = upgrade_canonical_left(u->a, &u->old);
	u->closing[CLOSING_POWER].content = upgrade_power_left(u->a, &u->old);
	return NULL;
}

/* The tombstone, built on the room as it is now but not yet part of it. Not `needed`: only if a policy server has to
 * sign it. */
static err *build_on_head(struct upgrade *u, bool needed, struct vetting *v)
{
	const struct proposal *p = &u->closing[CLOSING_TOMBSTONE];
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	const struct event *built;

	TRY(room_hold(u->rs, u->a, u->cmd->room_id, &room));
	if (!room)
		return err_new(u->a, ERR_NOT_FOUND, "there is no such room here");
	if (u->rs->policies)
		TRY(policy_wants(room, p, v));
	if (v->wanted || !needed)
		return NULL;
	draft_begin(room, &d);
	TRY(draft_build(d, p, &built));
	return event_load(u->a, room->rv, arena_keep(u->a, built->event_id), arena_keep(u->a, built->bytes), &v->event);
}

static err *build_tombstone(struct upgrade *u, bool needed)
{
	struct vetting v = { 0 };

	TRY(build_on_head(u, needed, &v));
	u->vetted = v.wanted;
	if (v.wanted)
		TRY(policy_vet(u->rs, u->a, &v));
	u->tombstone = v.event;
	return NULL;
}

static err *add_tombstone(struct upgrade *u, struct draft *d)
{
	enum append_outcome outcome;
	const struct event *ev;

	if (!u->tombstone)
		return draft_add(d, &u->closing[CLOSING_TOMBSTONE], &ev);
	u->closing[CLOSING_TOMBSTONE].resident = true;
	TRY(draft_add_received(d, u->tombstone, &u->closing[CLOSING_TOMBSTONE], NULL, &outcome));
	return outcome == APPEND_ACCEPTED ? NULL
					  : err_new(u->a, ERR_FORBIDDEN, "you may not replace the room any more");
}

/* "Moves any local aliases to the new room." */
struct names {
	int64_t from, to; /* rooms */
	int64_t upto;     /* aliases given later stay; ms */
};

static err *move_names(struct tx *tx, const struct names *n)
{
	struct room_row *old;

	TRY(store_aliases_move(tx, n->from, n->to, n->upto));
	TRY(store_room_by_nid(tx, n->from, &old));
	if (!old || !old->published)
		return NULL;
	TRY(store_room_set_published(tx, n->from, false));
	return store_room_set_published(tx, n->to, true);
}

static err *move_all_names(struct tx *tx, void *arg)
{
	const struct upgrade *u = arg;

	return move_names(tx, &(struct names){ u->old.nid, u->successor_nid, INT64_MAX });
}

/* All closing events but those left out (by bit). out_refused: the rules refuse this one, by index; CLOSING_EVENTS:
 * none. */
static err *queue_closing(struct upgrade *u, unsigned without, size_t *out_refused, struct ticket **out_ticket)
{
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	err *e = NULL;

	TRY(room_hold(u->rs, u->a, u->cmd->room_id, &room));
	if (!room)
		return err_new(u->a, ERR_NOT_FOUND, "there is no such room here");
	TRY(wish_left(u, room));
	draft_begin(room, &d);
	for (*out_refused = 0; *out_refused < CLOSING_EVENTS; ++*out_refused) {
		const struct event *ev;

		if (without & 1u << *out_refused || !u->closing[*out_refused].content)
			continue;
		e = *out_refused == CLOSING_TOMBSTONE ? add_tombstone(u, d)
						      : draft_add(d, &u->closing[*out_refused], &ev);
		if (e)
			return e;
	}
	d->job->extra = move_all_names;
	d->job->extra_arg = u; /* close_old waits for the ticket */
	return draft_queue(&d, out_ticket);
}

/* One of those that a policy server is asked about, by itself. */
static err *queue_vetted(struct upgrade *u, struct proposal *p, struct ticket **out_ticket)
{
	AUTO_ROOM room = NULL;
	str event_id;

	TRY(room_hold(u->rs, u->a, u->cmd->room_id, &room));
	if (!room)
		return err_new(u->a, ERR_NOT_FOUND, "there is no such room here");
	if (!p->vetting->event)
		TRY(wish_left(u, room));
	return p->content ? room_queue_one(room, p, NULL, &event_id, out_ticket) : NULL;
}

static err *close_vetted(struct upgrade *u, struct proposal *p)
{
	struct vetting v = { 0 };
	struct ticket *ticket = NULL;

	p->vetting = &v;
	TRY(queue_vetted(u, p, &ticket));
	if (v.wanted) {
		TRY(policy_vet(u->rs, u->a, &v));
		TRY(queue_vetted(u, p, &ticket));
	}
	return ticket ? store_wait(u->a, ticket) : NULL;
}

/* "If possible, the power levels in the old room should also be modified": a user who may not change them may still
 * replace the room, and so it is where they have no room for more, or a policy server says no. */
static err *close_old(struct upgrade *u)
{
	const unsigned others = 1u << CLOSING_CANONICAL | 1u << CLOSING_POWER;
	struct ticket *ticket = NULL;
	unsigned without = u->vetted ? others : 0;
	size_t refused = 0;

	while (!ticket) {
		err *e = queue_closing(u, without, &refused, &ticket);

		if (e && ((e->code != ERR_FORBIDDEN && e->code != ERR_TOO_LARGE) || refused == CLOSING_TOMBSTONE ||
			  refused == CLOSING_EVENTS))
			return e;
		if (e)
			without |= 1u << refused;
	}
	TRY(store_wait(u->a, ticket));
	for (size_t i = CLOSING_CANONICAL; u->vetted && i < CLOSING_EVENTS; i++) {
		const err *e = close_vetted(u, &u->closing[i]);

		if (e)
			log_info(u->rs->opt.log, "a replaced room was not closed in full",
				 F("room_id", u->cmd->room_id), F("type", u->closing[i].type), F("why", e->msg));
	}
	return NULL;
}

/*
 * The way
 */
static err *check_request(struct upgrade *u)
{
	const struct json *more = u->cmd->additional_creators;

	if (!id_room_valid(u->cmd->room_id))
		return err_new(u->a, ERR_NOT_FOUND, "there is no such room here");
	u->rv = room_version_find(u->cmd->new_version);
	if (!u->rv)
		return err_new(u->a, ERR_UNSUPPORTED_ROOM_VERSION, "this server does not know room version %.*s",
			       STR_ARG(u->cmd->new_version));
	/* "When upgrading to a room version which doesn't support additional creators, this field is ignored". */
	if (!more || !u->rv->creators_above_all)
		return NULL;
	if (more->kind != JSON_ARRAY)
		return err_new(u->a, ERR_BAD_JSON, "additional_creators is a list of user ids");
	JSON_ITEMS (more, i)
		if (!id_user_valid(json_str(more->array.items[i])))
			return err_new(u->a, ERR_INVALID_PARAM, "additional_creators holds what is no user id");
	return NULL;
}

static err *replace(struct upgrade *u)
{
	struct creation c = {
		.rs = u->rs,
		.a = u->a,
		.by = &u->cmd->by,
		.rv = u->rv,
		.alias = STR_NONE,
		.now = clock_ms(),
		.room_id = STR_NONE,
	};
	str tombstone_id = STR_NONE;

	TRY(upgrade_read(u->rs, u->a, &u->cmd->by, u->cmd->room_id, &u->old));
	TRY(find_repeat(u, &u->successor));
	if (!str_is_none(u->successor))
		return NULL;
	/* v12: "the event_id property inside predecessor MAY be omitted": the room's id is known only when its
	 * m.room.create is. */
	if (!u->rv->room_id_is_create_hash) {
		c.room_id = u->successor = creation_room_id(u->rs, u->a);
		TRY(wish_closing(u));
		TRY(build_tombstone(u, true));
		tombstone_id = u->tombstone->event_id;
	}
	TRY(upgrade_wish(&c, &u->old, u->cmd->additional_creators, tombstone_id));
	TRY(creation_make(&c));
	u->successor = c.room_id;
	u->successor_nid = c.row.room;
	if (u->rv->room_id_is_create_hash) {
		TRY(wish_closing(u));
		TRY(build_tombstone(u, false));
	}
	return close_old(u);
}

err *room_upgrade(struct rooms *rs, struct arena *a, const struct upgrade_cmd *cmd, str *out_room_id)
{
	struct upgrade u = { .rs = rs, .a = a, .cmd = cmd, .successor = STR_NONE };
	err *e;

	TRY(check_request(&u));
	TRY(gate_enter(&u));
	e = replace(&u);
	gate_leave(&u);
	if (!e)
		*out_room_id = u.successor;
	return e;
}

/*
 * Afterwards
 */
static err *named_predecessor(struct rooms *rs, struct arena *a, str room_id, str *out)
{
	AUTO_ROOM room = NULL;
	const struct event *create = NULL;

	*out = STR_NONE;
	TRY(room_hold(rs, a, room_id, &room));
	if (room)
		TRY(room_current_text(room, S("m.room.create"), S(""), &create));
	if (create && id_room_valid(predecessor_in(create)))
		*out = arena_keep(a, predecessor_in(create));
	return NULL;
}

err *room_predecessor(struct rooms *rs, struct arena *a, str room_id, str *out)
{
	AUTO_ROOM room = NULL;
	const struct event *tombstone = NULL;
	str named;

	*out = STR_NONE;
	TRY(named_predecessor(rs, a, room_id, &named));
	if (str_is_none(named))
		return NULL;
	TRY(room_hold(rs, a, named, &room));
	if (room)
		TRY(room_current_text(room, S("m.room.tombstone"), S(""), &tombstone));
	if (tombstone && str_eq(json_get_str(tombstone->content, S("replacement_room")), room_id))
		*out = named;
	return NULL;
}

/* What the tombstone of another server's user names, whether or not there is such a room; STR_NONE: nothing. */
static err *named_elsewhere(struct rooms *rs, struct arena *a, str room_id, struct names *n, str *out)
{
	AUTO_ROOM room = NULL;
	const struct event *tombstone = NULL;

	*out = STR_NONE;
	TRY(room_hold(rs, a, room_id, &room));
	if (room)
		TRY(room_current_text(room, S("m.room.tombstone"), S(""), &tombstone));
	if (!tombstone || id_is_of(tombstone->sender, rs->opt.signer.server_name))
		return NULL;
	*out = arena_keep(a, json_get_str(tombstone->content, S("replacement_room")));
	n->from = room->nid;
	n->upto = tombstone->origin_server_ts;
	return NULL;
}

err *room_replaced_elsewhere(struct rooms *rs, struct arena *a, str room_id, str *out)
{
	struct names n;
	str successor, says = STR_NONE;

	*out = STR_NONE;
	TRY(named_elsewhere(rs, a, room_id, &n, &successor));
	if (id_room_valid(successor))
		TRY(named_predecessor(rs, a, successor, &says));
	if (str_eq(says, room_id))
		*out = successor;
	return NULL;
}

static err *run_move_names(struct tx *tx, void *arg) { return move_names(tx, arg); }

err *room_names_follow(struct rooms *rs, struct arena *a, str old_room, str new_room)
{
	struct names n = { 0 };
	str successor;

	TRY(named_elsewhere(rs, a, old_room, &n, &successor));
	if (!str_eq(successor, new_room))
		return NULL;
	TRY(rooms_find(rs, a, new_room, &n.to, NULL));
	return n.to ? store_do(rs->opt.store, a, run_move_names, &n) : NULL;
}

err *room_local_users(struct rooms *rs, struct arena *a, str room_id, const int64_t **out, size_t *out_n)
{
	AUTO_ROOM room = NULL;
	const struct map *locals;
	VEC(int64_t) list = { 0 };
	int64_t user;
	void *value;

	*out_n = 0;
	TRY(room_hold(rs, a, room_id, &room));
	if (!room)
		return NULL;
	TRY(room_locals(room, &locals));
	for (size_t i = 0; map_next_i(locals, &i, &user, &value);)
		vec_push(a, &list, user);
	*out = list.p;
	*out_n = list.n;
	return NULL;
}
