/*
 * upgrade_state.c - what of a room goes along into its successor.
 *
 * Client-Server API, "Room Upgrades", "Server behaviour", 2 and 3. The events are made anew, by the user who upgrades,
 * in the successor's version: so they must be what that version allows. Levels become integers, join rules that it does
 * not know the nearest that is not wider, other numbers integers where it wants canonical JSON.
 *
 * Who upgrades need not have the power for all of it. In a room without m.room.power_levels its creator may do
 * everything, to everybody: so that event is the last one.
 */
#include "room/internal_upgrade.h"

#include "store/tx.h"

/*
 * Reading
 */

/* What the head remembers, for longer. */
static err *keep(struct room *room, str type, const struct event **out)
{
	const struct event *ev;
	struct event *copy;

	*out = NULL;
	TRY(room_current_text(room, type, S(""), &ev));
	if (!ev)
		return NULL;
	TRY(event_load(room->a, room->rv, arena_keep(room->a, ev->event_id), arena_keep(room->a, ev->bytes), &copy));
	copy->nid = ev->nid;
	*out = copy;
	return NULL;
}

err *upgrade_read_left(struct room *room, struct old_room *old)
{
	TRY(keep(room, S("m.room.power_levels"), &old->power));
	return keep(room, S("m.room.canonical_alias"), &old->canonical);
}

static err *read_state(struct room *room, struct old_room *out)
{
	static const str types[] = {
		STR("m.room.join_rules"),   STR("m.room.history_visibility"),
		STR("m.room.guest_access"), STR("m.room.name"),
		STR("m.room.topic"),        STR("m.room.avatar"),
		STR("m.room.encryption"),   STR("m.room.server_acl"),
	};

	TRY(keep(room, S("m.room.create"), &out->create));
	TRY(upgrade_read_left(room, out));
	TRY(keep(room, S("m.room.tombstone"), &out->tombstone));
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct event *ev;

		TRY(keep(room, types[i], &ev));
		if (ev)
			vec_push(room->a, &out->state, ev);
	}
	return out->create ? NULL : err_new(room->a, ERR_INTERNAL, "the room has no m.room.create");
}

struct children {
	struct room *room;
	struct old_room *old;
};

static err *on_child(void *arg, const struct state_entry *e)
{
	struct children *c = arg;
	const struct event *ev;

	TRY(room_event(c->room, e->event, &ev));
	if (ev->content->object.n) /* "{}": taken out of the space */
		vec_push(c->room->a, &c->old->state, ev);
	return NULL;
}

static err *read_children(struct room *room, struct old_room *out)
{
	struct children c = { room, out };
	struct state_tree tree;
	struct tx *tx;
	int64_t type;

	if (!str_eq(json_get_str(out->create->content, S("type")), S("m.space")))
		return NULL;
	TRY(store_intern_find(room->rs->opt.store, room->a, S("m.space.child"), &type));
	if (!type)
		return NULL;
	TRY(room_tx(room, &tx));
	tree = room_tree(room);
	return state_each(&tree, room->a, room->tip.root, (struct state_pick){ .only = type }, on_child, &c);
}

static err *may_replace(struct room *room, const struct actor *by)
{
	struct power_levels pl;
	enum membership m;

	TRY(room_membership(room, by->user_id, &m));
	TRY(room_power(room, &pl));
	if (m != MEMBER_JOIN)
		return err_new(room->a, ERR_FORBIDDEN, "you are not in this room");
	if (!power_may_send(&pl, by->user_id, S("m.room.tombstone"), true))
		return err_new(room->a, ERR_FORBIDDEN, "your power level does not allow m.room.tombstone here");
	return NULL;
}

/* "Checks that the user has permission to send m.room.tombstone events in the room." */
static err *read_head(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, struct old_room *out)
{
	AUTO_ROOM room = NULL;

	TRY(room_hold(rs, a, room_id, &room));
	if (!room)
		return err_new(a, ERR_NOT_FOUND, "there is no such room here");
	TRY(may_replace(room, by));
	out->nid = room->nid;
	out->room_id = arena_keep(a, room->room_id);
	out->rv = room->rv;
	TRY(read_state(room, out));
	return read_children(room, out);
}

static err *read_bans(struct tx *tx, struct old_room *out)
{
	struct arena *a = tx_arena(tx);
	struct member_row *members;
	struct event_row **rows;
	int64_t *nids;
	size_t n;

	TRY(store_members(tx, out->nid, MEMBER_MASK(MEMBER_BAN), 0, &members, &n));
	if (n == 0)
		return NULL;
	nids = ARENA_ARRAY(a, int64_t, n);
	for (size_t i = 0; i < n; i++)
		nids[i] = members[i].event;
	TRY(store_events_by_nids(tx, nids, n, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		struct event *ev;

		TRY(event_load(a, out->rv, rows[i]->event_id, rows[i]->json, &ev));
		vec_push(a, &out->bans, ev);
	}
	return NULL;
}

err *upgrade_read(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, struct old_room *out)
{
	struct room_row *row;
	AUTO_TX tx = NULL;
	str *aliases;

	*out = (struct old_room){ 0 };
	TRY(read_head(rs, a, by, room_id, out));
	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_room_by_nid(tx, out->nid, &row));
	if (!row)
		return err_new(a, ERR_NOT_FOUND, "there is no such room here");
	out->published = row->published;
	TRY(store_aliases_of(tx, out->nid, &aliases, &out->n_aliases));
	out->aliases = aliases;
	return read_bans(tx, out);
}

/*
 * Contents
 */

/* What a value stands for as a level, as an integer of canonical JSON; false: nothing that is one. */
static bool level_of(const struct room_version *rv, const struct json *v, int64_t *out)
{
	int64_t level;

	if (power_level_read(rv, v, &level) != POWER_LEVEL_GOOD)
		return false;
	*out = MAX(-EVENT_MAX_DEPTH, MIN(level, EVENT_MAX_DEPTH));
	return true;
}

static int64_t level_or(const struct room_version *rv, const struct json *object, str key, int64_t otherwise)
{
	int64_t level;

	return level_of(rv, json_get(object, key), &level) ? level : otherwise;
}

static struct json *levels_of(struct arena *a, const struct room_version *rv, const struct json *object)
{
	struct json *out = json_new_object(a);
	int64_t level;

	JSON_EACH (object, m) {
		if (level_of(rv, m->value, &level))
			json_set(a, out, m->key, json_new_int(a, level));
	}
	return out;
}

/* m.room.power_levels with integers alone: what the old version let stand for them, and not what never counted. */
static struct json *power_content(struct arena *a, const struct room_version *rv, const struct json *content)
{
	struct json *out = json_new_object(a);
	int64_t level;

	JSON_EACH (content, m) {
		if (json_is(m->value, JSON_OBJECT))
			json_set(a, out, m->key, levels_of(a, rv, m->value));
		else if (level_of(rv, m->value, &level))
			json_set(a, out, m->key, json_new_int(a, level));
	}
	return out;
}

/* A value of an old version's event as canonical JSON has it: v6, "numeric values may no longer be formatted as
 * floats". */
static const struct json *canonical(struct arena *a, const struct room_version *rv, const struct json *v)
{
	struct json *out;
	int64_t n;

	switch (v->kind) {
	case JSON_OBJECT:
		out = json_new_object(a);
		JSON_EACH (v, m)
			json_set(a, out, m->key, canonical(a, rv, m->value));
		return out;
	case JSON_ARRAY:
		out = json_new_array(a);
		JSON_ITEMS (v, i)
			json_append(a, out, canonical(a, rv, v->array.items[i]));
		return out;
	case JSON_INT:
	case JSON_NUMBER: /* read as a level would be, where that is not too large */
		if (power_level_read(rv, v, &n) == POWER_LEVEL_GOOD && n >= -EVENT_MAX_DEPTH && n <= EVENT_MAX_DEPTH)
			return json_new_int(a, n);
		return json_new_str(a, v->raw);
	default:
		return v;
	}
}

/* What of the old room goes into the new one as it is. */
static const struct json *carried(const struct creation *c, const struct old_room *old, const struct json *v)
{
	return c->rv->strict_json && !old->rv->strict_json ? canonical(c->a, old->rv, v) : v;
}

/* Who was banned, and why: not how they had come in, which other servers would want to see signed. */
static const struct json *ban_content(const struct creation *c, const struct old_room *old, const struct json *content)
{
	struct json *out = json_copy(c->a, carried(c, old, content));

	json_del(out, S("join_authorised_via_users_server"));
	json_del(out, S("third_party_invite"));
	return out;
}

/* A rule that the version does not know lets nobody in, not even who is invited. */
static const struct json *join_rules(const struct creation *c, const struct json *content)
{
	const struct room_version *rv = c->rv;
	const str rule = json_get_str(content, S("join_rule"));
	struct json *out;
	str known = rule;

	if (str_eq(known, S("knock_restricted")) && !rv->knock_restricted)
		known = rv->restricted ? S("restricted") : S("knock");
	if (str_eq(known, S("restricted")) && !rv->restricted)
		known = S("invite");
	if (str_eq(known, S("knock")) && !rv->knock)
		known = S("invite");
	if (str_eq(known, rule))
		return content;
	out = json_copy(c->a, content);
	json_set(c->a, out, S("join_rule"), json_new_str(c->a, known));
	if (!str_eq(known, S("restricted")))
		json_del(out, S("allow"));
	return out;
}

/*
 * Power
 */
/* What the creators above all levels have where there is no such thing: as much as anybody has, and as anything takes.
 */
static int64_t highest(const struct room_version *rv, const struct json *content)
{
	int64_t most = 100;

	JSON_EACH (content, m) {
		most = MAX(most, level_or(rv, content, m->key, 0));
		if (json_is(m->value, JSON_OBJECT))
			most = MAX(most, highest(rv, m->value));
	}
	return most;
}

/* The levels of users, to be changed. */
static struct json *own_users(struct arena *a, struct json *content)
{
	const struct json *users = json_get_object(content, S("users"));
	struct json *own = users ? json_copy(a, users) : json_new_object(a);

	json_set(a, content, S("users"), own);
	return own;
}

/* Creators above all levels are in no list of users; in a version without such, they are to be found there. */
static void move_creators(const struct creation *c, const struct old_room *old, const struct json *additional,
			  struct json *content)
{
	const struct json *more = json_get_array(old->create->content, S("additional_creators"));
	const struct json *users = json_get_object(content, S("users"));
	struct json *own;

	if (c->rv->creators_above_all && users) {
		own = own_users(c->a, content);
		json_del(own, c->by->user_id);
		JSON_ITEMS (additional, i)
			json_del(own, json_str(additional->array.items[i]));
	} else if (!c->rv->creators_above_all && old->rv->creators_above_all) {
		const int64_t level = highest(old->rv, content);

		own = own_users(c->a, content);
		json_set(c->a, own, old->create->sender, json_new_int(c->a, level));
		JSON_ITEMS (more, i)
			if (id_user_valid(json_str(more->array.items[i])))
				json_set(c->a, own, more->array.items[i]->s, json_new_int(c->a, level));
	}
}

static void wish_power(struct creation *c, const struct old_room *old, const struct json *additional)
{
	struct json *content;

	/* Without the event, the creator has 100 and is alone in it: who may replace the room is its creator. And so it
	 * stays. */
	if (!old->power && !old->rv->creators_above_all)
		return;
	content = old->power ? power_content(c->a, old->rv, old->power->content) : json_new_object(c->a);
	move_creators(c, old, additional, content);
	creation_wish(c, STEP_STATE, S("m.room.power_levels"), S(""), content);
}

/*
 * The successor
 */

/* "Creates a replacement room with a m.room.create event containing a predecessor field, the applicable room_version,
 * and a type field which is copied from the predecessor room." */
static void wish_create(struct creation *c, const struct old_room *old, const struct json *additional, str tombstone_id)
{
	static const str copied[] = { STR("type"), STR("m.federate") };
	struct json *content = json_new_object(c->a), *predecessor = json_new_object(c->a);

	json_set(c->a, predecessor, S("room_id"), json_new_str(c->a, old->room_id));
	if (!str_is_none(tombstone_id))
		json_set(c->a, predecessor, S("event_id"), json_new_str(c->a, tombstone_id));
	json_set(c->a, content, S("predecessor"), predecessor);
	json_set(c->a, content, S("room_version"), json_new_str(c->a, c->rv->id));
	if (c->rv->creator_in_content)
		json_set(c->a, content, S("creator"), json_new_str(c->a, c->by->user_id));
	for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
		const struct json *v = json_get(old->create->content, copied[i]);

		if (v)
			json_set(c->a, content, copied[i], carried(c, old, v));
	}
	if (c->rv->creators_above_all && additional && additional->array.n)
		json_set(c->a, content, S("additional_creators"), additional);
	creation_wish(c, STEP_CREATE, S("m.room.create"), S(""), content);
}

static bool moves(const struct old_room *old, const struct json *alias)
{
	for (size_t i = 0; i < old->n_aliases; i++)
		if (str_eq(old->aliases[i], json_str(alias)))
			return true;
	return false;
}

/* Of m.room.canonical_alias what moves, or what does not. */
static struct json *canonical_part(struct arena *a, const struct old_room *old, bool moving)
{
	const struct json *alias = json_get(old->canonical->content, S("alias")),
			  *alts = json_get_array(old->canonical->content, S("alt_aliases"));
	struct json *content = moving ? json_new_object(a) : json_copy(a, old->canonical->content),
		    *part = json_new_array(a);

	if (alias && moving && moves(old, alias))
		json_set(a, content, S("alias"), alias);
	else if (alias && !moving && moves(old, alias))
		json_del(content, S("alias"));
	JSON_ITEMS (alts, i)
		if (moves(old, alts->array.items[i]) == moving)
			json_append(a, part, alts->array.items[i]);
	if (part->array.n)
		json_set(a, content, S("alt_aliases"), part);
	else
		json_del(content, S("alt_aliases"));
	return content;
}

static void wish_canonical(struct creation *c, const struct old_room *old)
{
	struct json *content = old->canonical ? canonical_part(c->a, old, true) : NULL;

	if (content && content->object.n)
		creation_wish(c, STEP_STATE, S("m.room.canonical_alias"), S(""), content);
}

static bool has(const struct old_room *old, str type)
{
	for (size_t i = 0; i < old->state.n; i++)
		if (str_eq(old->state.p[i]->type, type))
			return true;
	return false;
}

/* The copied state, and in words what goes without saying in a room where it is not said. */
static void wish_state(struct creation *c, const struct old_room *old)
{
	static const struct {
		str type, key, value;
	} unsaid[] = {
		{ STR("m.room.join_rules"), STR("join_rule"), STR("invite") },
		{ STR("m.room.history_visibility"), STR("history_visibility"), STR("shared") },
		{ STR("m.room.guest_access"), STR("guest_access"), STR("forbidden") },
	};

	for (size_t i = 0; i < ARRAY_LEN(unsaid); i++)
		if (!has(old, unsaid[i].type))
			creation_wish_text(c, unsaid[i].type, unsaid[i].key, unsaid[i].value);
	for (size_t i = 0; i < old->state.n; i++) {
		const struct event *ev = old->state.p[i];
		const struct json *content = carried(c, old, ev->content);

		if (str_eq(ev->type, S("m.room.join_rules")))
			content = join_rules(c, content);
		creation_wish(c, STEP_STATE, ev->type, ev->state_key, content);
	}
}

err *upgrade_wish(struct creation *c, const struct old_room *old, const struct json *additional, str tombstone_id)
{
	wish_create(c, old, additional, tombstone_id);
	TRY(creation_wish_creator(c));
	wish_canonical(c, old);
	wish_state(c, old);
	for (size_t i = 0; i < old->bans.n; i++) {
		const struct event *ev = old->bans.p[i];

		/* Who is made a creator is not banned. */
		if (c->rv->creators_above_all && json_lists(additional, ev->state_key))
			continue;
		creation_wish(c, STEP_STATE, ev->type, ev->state_key, ban_content(c, old, ev->content));
	}
	wish_power(c, old, additional);
	return NULL;
}

/*
 * What stays behind
 */
const struct json *upgrade_canonical_left(struct arena *a, const struct old_room *old)
{
	const struct json *moving = old->canonical ? canonical_part(a, old, true) : NULL;

	return moving && moving->object.n ? canonical_part(a, old, false) : NULL;
}

/* "setting events_default and invite to the greater of 50 and users_default + 1" */
const struct json *upgrade_power_left(struct arena *a, const struct old_room *old)
{
	static const str raised[] = { STR("events_default"), STR("invite") };
	struct json *content = old->power ? json_copy(a, old->power->content) : json_new_object(a);
	const int64_t level = MAX(50, level_or(old->rv, content, S("users_default"), 0) + 1);
	bool changed = false;

	for (size_t i = 0; i < ARRAY_LEN(raised); i++) {
		if (level_or(old->rv, content, raised[i], 0) >= level)
			continue;
		json_set(a, content, raised[i], json_new_int(a, level));
		changed = true;
	}
	if (!old->power && !old->rv->creators_above_all) /* what the creator had without the event */
		json_set(a, own_users(a, content), old->create->sender, json_new_int(a, 100));
	return changed ? content : NULL;
}
