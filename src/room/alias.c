/*
 * alias.c - names of rooms: "#name:server" to a room, and the event that says which of them a room goes by.
 */
#include "room/internal_job.h"
#include "room/remote/remote.h"

#include "base/clock.h"

enum { SERVERS_MOST = 100 }; /* told with a name */

static err *check_alias(struct rooms *rs, struct arena *a, str alias)
{
	if (!id_alias_valid(alias))
		return err_new(a, ERR_INVALID_PARAM, "Room alias invalid");
	if (!id_is_of(alias, rs->opt.signer.server_name))
		return err_new(a, ERR_INVALID_PARAM, "%.*s is a name on another server", STR_ARG(alias));
	return NULL;
}

static err *find_alias(struct rooms *rs, struct arena *a, str alias, struct alias_row **out)
{
	AUTO_TX tx = NULL;

	TRY(store_read(rs->opt.store, a, &tx));
	return store_alias_find(tx, alias, out);
}

static err *alias_not_found(struct arena *a, str alias)
{
	return err_new(a, ERR_NOT_FOUND, "Room alias %.*s not found.", STR_ARG(alias));
}

err *room_server_names(struct rooms *rs, struct arena *a, str room_id, size_t most, str **out, size_t *out_n)
{
	int64_t room, *servers;
	AUTO_TX tx = NULL;
	bool here;
	str *names;
	size_t n;

	*out_n = 0;
	TRY(rooms_find(rs, a, room_id, &room, NULL));
	if (!room)
		return NULL;
	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_room_has_server(tx, room, rs->server, &here));
	TRY(store_room_servers_top(tx, room, most, &servers, &n));
	names = ARENA_ARRAY(a, str, n + 1);
	if (here)
		names[(*out_n)++] = rs->opt.signer.server_name;
	for (size_t i = 0; i < n && *out_n < most; i++)
		if (servers[i] != rs->server)
			TRY(store_intern_text(rs->opt.store, a, servers[i], &names[(*out_n)++]));
	*out = names;
	return NULL;
}

err *room_alias_find(struct rooms *rs, struct arena *a, str alias, str *out_room_id)
{
	struct alias_row *row = NULL;

	if (!id_alias_valid(alias))
		return err_new(a, ERR_INVALID_PARAM, "Room alias invalid");
	if (id_is_of(alias, rs->opt.signer.server_name)) /* other servers' names would have to be asked for there */
		TRY(find_alias(rs, a, alias, &row));
	if (!row)
		return alias_not_found(a, alias);
	*out_room_id = row->room_id;
	return NULL;
}

err *room_resolve(struct rooms *rs, struct arena *a, str room_id_or_alias, str *out_room_id)
{
	if (str_starts(room_id_or_alias, S("#")))
		return room_alias_find(rs, a, room_id_or_alias, out_room_id);
	if (!id_room_valid(room_id_or_alias))
		return err_new(a, ERR_INVALID_PARAM, "%.*s is neither a room id nor an alias",
			       STR_ARG(room_id_or_alias));
	*out_room_id = room_id_or_alias;
	return NULL;
}

/* A name of ours. */
static err *ask_here(struct rooms *rs, struct arena *a, str alias, str *out_room_id, str **out_servers, size_t *out_n)
{
	TRY(room_alias_find(rs, a, alias, out_room_id));
	return room_server_names(rs, a, *out_room_id, SERVERS_MOST, out_servers, out_n);
}

err *room_alias_ask(struct rooms *rs, struct arena *a, str alias, bool *out_elsewhere, str *out_room_id,
		    str **out_servers, size_t *out_n)
{
	if (!id_alias_valid(alias))
		return err_new(a, ERR_INVALID_PARAM, "Room alias invalid");
	if (id_is_of(alias, rs->opt.signer.server_name))
		return ask_here(rs, a, alias, out_room_id, out_servers, out_n);
	if (!rs->remote)
		return alias_not_found(a, alias);
	if (!out_elsewhere)
		return remote_alias(rs->remote, a, alias, out_room_id, out_servers, out_n);
	*out_elsewhere = true;
	return NULL;
}

/*
 * Making and removing
 */
struct alias_write {
	str alias;
	int64_t room, creator, now;
	bool taken;
};

static err *run_create(struct tx *tx, void *arg)
{
	struct alias_write *w = arg;

	return store_alias_insert(tx, w->alias, w->room, w->creator, w->now, &w->taken);
}

static err *run_delete(struct tx *tx, void *arg)
{
	const struct alias_write *w = arg;

	return store_alias_delete(tx, w->alias);
}

err *room_alias_create(struct rooms *rs, struct arena *a, const struct actor *by, str alias, str room_id)
{
	struct alias_write w = { .alias = alias, .creator = by->user, .now = clock_ms() };

	TRY(check_alias(rs, a, alias));
	{
		AUTO_ROOM room = NULL;
		enum membership m;

		TRY(room_hold(rs, a, room_id, &room));
		if (!room)
			return err_new(a, ERR_NOT_FOUND, "Room not found");
		TRY(room_membership(room, by->user_id, &m));
		if (m != MEMBER_JOIN)
			return err_new(a, ERR_FORBIDDEN, "only its members may name a room");
		w.room = room->nid;
	}
	TRY(store_do(rs->opt.store, a, run_create, &w));
	if (w.taken)
		return err_new(a, ERR_ALIAS_TAKEN, "Room alias %.*s already exists.", STR_ARG(alias));
	return NULL;
}

/* May the user change the room's m.room.canonical_alias? Then they may also take away its names. */
static err *governs_names(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, bool *out)
{
	AUTO_ROOM room = NULL;
	struct power_levels pl;
	enum membership m;

	*out = false;
	TRY(room_hold(rs, a, room_id, &room));
	if (!room)
		return NULL;
	TRY(room_membership(room, by->user_id, &m));
	TRY(room_power(room, &pl));
	*out = m == MEMBER_JOIN && power_may_send(&pl, by->user_id, S("m.room.canonical_alias"), true);
	return NULL;
}

/* The room's m.room.canonical_alias without the alias; NULL in *out: it is not in there. */
static err *canonical_without(struct rooms *rs, struct arena *a, str room_id, str alias, const struct json **out)
{
	AUTO_ROOM room = NULL;
	const struct event *ev;
	struct json *content, *rest = json_new_array(a);
	const struct json *alts;
	bool found = false;

	*out = NULL;
	TRY(room_hold(rs, a, room_id, &room));
	if (!room)
		return NULL;
	TRY(room_current_text(room, S("m.room.canonical_alias"), S(""), &ev));
	if (!ev)
		return NULL;
	content = json_copy(a, ev->content);
	if (str_eq(json_get_str(content, S("alias")), alias)) {
		json_del(content, S("alias"));
		found = true;
	}
	alts = json_get_array(ev->content, S("alt_aliases"));
	JSON_ITEMS (alts, i) {
		if (str_eq(json_str(alts->array.items[i]), alias))
			found = true;
		else
			json_append(a, rest, alts->array.items[i]);
	}
	if (!found)
		return NULL;
	json_del(content, S("alt_aliases"));
	if (rest->array.n)
		json_set(a, content, S("alt_aliases"), rest);
	/* The bytes it points into are the head's: what is written must outlive the hold. */
	str text;
	TRY(json_canonical(a, content, JSON_CANON_LOOSE, &text));
	struct json *copy;
	TRY(json_parse(a, text, &json_limits_event, &copy));
	*out = copy;
	return NULL;
}

err *room_alias_delete(struct rooms *rs, struct arena *a, const struct actor *by, str alias)
{
	struct alias_write w = { .alias = alias };
	const struct json *canonical;
	struct alias_row *row;
	bool allowed;
	str event_id;

	TRY(check_alias(rs, a, alias));
	TRY(find_alias(rs, a, alias, &row));
	if (!row)
		return alias_not_found(a, alias);
	TRY(governs_names(rs, a, by, row->room_id, &allowed));
	if (row->creator != by->user && !allowed)
		return err_new(a, ERR_FORBIDDEN, "you may not remove this name");
	TRY(store_do(rs->opt.store, a, run_delete, &w));
	/* "delete the alias and return a successful response even if the user does not have permission to update the
	 * m.room.canonical_alias event" */
	if (!allowed)
		return NULL;
	TRY(canonical_without(rs, a, row->room_id, alias, &canonical));
	if (!canonical)
		return NULL;
	const struct send_cmd cmd = {
		.by = *by,
		.room_id = row->room_id,
		.type = S("m.room.canonical_alias"),
		.state_key = S(""),
		.content = canonical,
	};
	return room_send(rs, a, &cmd, &event_id);
}

err *room_aliases(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, str **out, size_t *out_n)
{
	int64_t nid;

	{
		AUTO_ROOM room = NULL;
		const struct event *history;
		enum membership m;

		TRY(room_hold(rs, a, room_id, &room));
		if (!room)
			return err_new(a, ERR_FORBIDDEN, "you are not in this room");
		TRY(room_membership(room, by->user_id, &m));
		TRY(room_current_text(room, S("m.room.history_visibility"), S(""), &history));
		if (m != MEMBER_JOIN && history_visibility_of(history) != HISTORY_WORLD_READABLE)
			return err_new(a, ERR_FORBIDDEN, "you are not in this room");
		nid = room->nid;
	}
	AUTO_TX tx = NULL;
	TRY(store_read(rs->opt.store, a, &tx));
	return store_aliases_of(tx, nid, out, out_n);
}

/*
 * m.room.canonical_alias
 */
static bool lists(const struct event *current, str alias)
{
	return current && (str_eq(json_get_str(current->content, S("alias")), alias) ||
			   json_lists(json_get_array(current->content, S("alt_aliases")), alias));
}

/* "servers SHOULD ensure that any new aliases being listed in the event are valid per their grammar/syntax and that
 * they point to the room ID where the state event is to be sent. Servers do not validate aliases which are being
 * removed or are already present in the state event." */
static err *check_listed(struct room *room, const struct event *current, const struct json *value)
{
	const str alias = json_str(value);
	struct alias_row *row = NULL;
	struct tx *tx;

	if (str_is_none(alias) || !id_alias_valid(alias))
		return err_new(room->a, ERR_INVALID_PARAM, "an alias is not well-formed");
	if (lists(current, alias))
		return NULL;
	TRY(room_tx(room, &tx));
	TRY(store_alias_find(tx, alias, &row));
	if (!row || row->room != room->nid)
		return err_new(room->a, ERR_BAD_ALIAS, "The alias '%.*s' does not point to this room.", STR_ARG(alias));
	return NULL;
}

err *alias_check_canonical(struct room *room, const struct proposal *p)
{
	const struct json *alias = json_get(p->content, S("alias")), *alts = json_get(p->content, S("alt_aliases"));
	const struct event *current;

	TRY(room_current(room, p->type_nid, p->key_nid, &current));
	/* "If not present, null, or empty, the room has no canonical alias." */
	if (alias && alias->kind != JSON_NULL && !(json_is(alias, JSON_STR) && alias->s.n == 0))
		TRY(check_listed(room, current, alias));
	if (alts && alts->kind != JSON_ARRAY)
		return err_new(room->a, ERR_INVALID_PARAM, "alt_aliases must be a list");
	JSON_ITEMS (alts, i)
		TRY(check_listed(room, current, alts->array.items[i]));
	return NULL;
}
