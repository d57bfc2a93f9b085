/*
 * create.c - POST /createRoom: a room and all its first events, in one commit.
 *
 * The request is read into a list of events in the order that the specification gives; then a room that nobody knows
 * yet is entered, the events are added to one draft, each authorised by those before it, and queued as one piece
 * together with the alias and the entry in the public list. Either all of it is there afterwards or nothing is.
 *
 * In room version 12 the room's id is made from the create event, so that this one is built before there is a room.
 */
#include "base/clock.h"
#include "room/internal_create.h"
#include "store/tx.h"

enum { INVITES_MOST = 100, INITIAL_STATE_MOST = 200 };
enum preset { PRIVATE_CHAT, TRUSTED_PRIVATE_CHAT, PUBLIC_CHAT };

struct request {
	struct creation c;
	const struct json *body;
	enum preset preset;
	bool is_direct;
	VEC(str) invite; /* all; those of this server are among the room's first events */
	bool goes_out;   /* some are of other servers */
};

/*
 * Reading the request
 */
static err *wrong(struct request *r, const char *what) { return err_new(r->c.a, ERR_BAD_JSON, "%s", what); }

/* An optional member of one kind. */
static err *member_of(struct request *r, const char *key, enum json_kind kind, const struct json **out)
{
	*out = json_get(r->body, str_c(key));
	if (*out && (*out)->kind == JSON_NULL)
		*out = NULL;
	if (*out && (*out)->kind != kind)
		return err_new(r->c.a, ERR_BAD_JSON, "\"%s\" is of the wrong type", key);
	return NULL;
}

static err *text_of(struct request *r, const char *key, str *out)
{
	const struct json *j;

	TRY(member_of(r, key, JSON_STR, &j));
	*out = json_str(j);
	return NULL;
}

static err *read_version(struct request *r)
{
	str version;

	TRY(text_of(r, "room_version", &version));
	r->c.rv = str_is_none(version) ? r->c.rs->opt.default_version : room_version_find(version);
	if (!r->c.rv)
		return err_new(r->c.a, ERR_UNSUPPORTED_ROOM_VERSION, "this server does not know room version %.*s",
			       STR_ARG(version));
	return NULL;
}

static err *read_preset(struct request *r)
{
	str visibility, preset;

	TRY(text_of(r, "visibility", &visibility));
	TRY(text_of(r, "preset", &preset));
	r->c.published = str_eq(visibility, S("public"));
	if (!str_is_none(visibility) && !r->c.published && !str_eq(visibility, S("private")))
		return err_new(r->c.a, ERR_INVALID_PARAM, "visibility must be public or private");
	/* "If unspecified, the server should use the visibility to determine which preset to use." */
	r->preset = r->c.published ? PUBLIC_CHAT : PRIVATE_CHAT;
	if (str_eq(preset, S("public_chat")))
		r->preset = PUBLIC_CHAT;
	else if (str_eq(preset, S("private_chat")))
		r->preset = PRIVATE_CHAT;
	else if (str_eq(preset, S("trusted_private_chat")))
		r->preset = TRUSTED_PRIVATE_CHAT;
	else if (!str_is_none(preset))
		return err_new(r->c.a, ERR_INVALID_PARAM, "there is no preset %.*s", STR_ARG(preset));
	return NULL;
}

static err *read_alias(struct request *r)
{
	struct alias_row *taken;
	AUTO_TX tx = NULL;
	str name;

	r->c.alias = STR_NONE;
	TRY(text_of(r, "room_alias_name", &name));
	if (str_is_none(name))
		return NULL;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == ':' || name.p[i] == '\0' || (unsigned char)name.p[i] <= ' ')
			return err_new(r->c.a, ERR_INVALID_PARAM, "Invalid characters in room alias");
	r->c.alias = arena_printf(r->c.a, "#%.*s:%.*s", STR_ARG(name), STR_ARG(r->c.rs->opt.signer.server_name));
	if (name.n == 0 || !id_alias_valid(r->c.alias))
		return err_new(r->c.a, ERR_INVALID_PARAM, "Room alias invalid");
	TRY(store_read(r->c.rs->opt.store, r->c.a, &tx));
	TRY(store_alias_find(tx, r->c.alias, &taken));
	return taken ? err_new(r->c.a, ERR_ROOM_IN_USE, "Room alias already taken") : NULL;
}

static bool is_ours(const struct request *r, str user_id) { return id_is_of(user_id, r->c.rs->opt.signer.server_name); }

static bool is_invited(const struct request *r, str user_id)
{
	for (size_t i = 0; i < r->invite.n; i++)
		if (str_eq(r->invite.p[i], user_id))
			return true;
	return false;
}

static err *check_invitee(struct request *r, str user_id)
{
	if (!id_user_valid(user_id))
		return err_new(r->c.a, ERR_INVALID_PARAM, "an invitation goes to what is no user id");
	if (!is_ours(r, user_id))
		return err_new(r->c.a, ERR_FORBIDDEN, "%.*s is on another server: that one is asked by \"invite\"",
			       STR_ARG(user_id));
	return NULL;
}

static err *read_invites(struct request *r)
{
	const struct json *list, *threepids, *direct;

	TRY(member_of(r, "invite", JSON_ARRAY, &list));
	TRY(member_of(r, "invite_3pid", JSON_ARRAY, &threepids));
	TRY(member_of(r, "is_direct", JSON_BOOL, &direct));
	r->is_direct = direct && direct->b;
	if (threepids && threepids->array.n)
		return err_new(r->c.a, ERR_THREEPID_DENIED,
			       "this server asks no identity server: people are invited by their user id");
	JSON_ITEMS (list, i) {
		const str user_id = json_str(list->array.items[i]);

		if (!id_user_valid(user_id))
			return err_new(r->c.a, ERR_INVALID_PARAM, "\"invite\" holds what is no user id");
		if (!is_ours(r, user_id) && !r->c.rs->remote)
			return err_new(r->c.a, ERR_FORBIDDEN,
				       "%.*s is on another server, and this one does not federate", STR_ARG(user_id));
		r->goes_out = r->goes_out || !is_ours(r, user_id);
		if (!is_invited(r, user_id))
			vec_push(r->c.a, &r->invite, user_id);
		if (r->invite.n > INVITES_MOST)
			return err_new(r->c.a, ERR_INVALID_PARAM, "at most %d people can be invited at once",
				       INVITES_MOST);
	}
	for (size_t i = 0; i < r->invite.n; i++)
		if (is_ours(r, r->invite.p[i]))
			TRY(invite_permitted(r->c.rs, r->c.a, r->invite.p[i]));
	return NULL;
}

/*
 * The events
 */
/* What initial_state says of an event with the empty state key; NULL: nothing. The last one counts. */
static const struct json *initial_content(const struct request *r, str type)
{
	const struct json *list = json_get_array(r->body, S("initial_state")), *found = NULL;

	JSON_ITEMS (list, i) {
		const struct json *ev = list->array.items[i];
		const str key = json_get_str(ev, S("state_key"));

		if (str_eq(json_get_str(ev, S("type")), type) && str_is_empty(key))
			found = json_get_object(ev, S("content"));
	}
	return found;
}

/* "combine additional_creators specified here and the invite array into the eventual m.room.create event's
 * additional_creators, deduplicating between the two parameters" */
static void add_creators(struct request *r, struct json *content)
{
	const struct json *given = json_get_array(content, S("additional_creators"));
	struct json *all = json_new_array(r->c.a);
	struct map seen;

	map_init(&seen, r->c.a);
	map_put(&seen, r->c.by->user_id, r);
	JSON_ITEMS (given, i) {
		json_append(r->c.a, all, given->array.items[i]);
		if (json_is(given->array.items[i], JSON_STR))
			map_put(&seen, given->array.items[i]->s, r);
	}
	for (size_t i = 0; i < r->invite.n; i++)
		if (!map_put(&seen, r->invite.p[i], r))
			json_append(r->c.a, all, json_new_str(r->c.a, r->invite.p[i]));
	if (all->array.n)
		json_set(r->c.a, content, S("additional_creators"), all);
}

static err *wish_create(struct request *r)
{
	const struct json *given;
	struct json *content;

	TRY(member_of(r, "creation_content", JSON_OBJECT, &given));
	content = given ? json_copy(r->c.a, given) : json_new_object(r->c.a);
	/* "The server will overwrite the following keys: creator, room_version." */
	json_del(content, S("creator"));
	json_set(r->c.a, content, S("room_version"), json_new_str(r->c.a, r->c.rv->id));
	if (r->c.rv->creator_in_content)
		json_set(r->c.a, content, S("creator"), json_new_str(r->c.a, r->c.by->user_id));
	if (r->c.rv->creators_above_all && r->preset == TRUSTED_PRIVATE_CHAT)
		add_creators(r, content);
	creation_wish(&r->c, STEP_CREATE, S("m.room.create"), S(""), content);
	return NULL;
}

static void override(struct request *r, struct json *content, const struct json *with)
{
	JSON_EACH (with, m)
		json_set(r->c.a, content, m->key, m->value);
}

static void set_int(struct request *r, struct json *object, str key, int64_t value)
{
	json_set(r->c.a, object, key, json_new_int(r->c.a, value));
}

static struct json *power_defaults(struct request *r)
{
	static const struct {
		str type;
		int64_t level;
	} events[] = {
		{ STR("m.room.name"), 50 },
		{ STR("m.room.avatar"), 50 },
		{ STR("m.room.canonical_alias"), 50 },
		{ STR("m.room.power_levels"), 100 },
		{ STR("m.room.history_visibility"), 100 },
		{ STR("m.room.server_acl"), 100 },
		{ STR("m.room.encryption"), 100 },
	};
	struct json *content = json_new_object(r->c.a), *by_type = json_new_object(r->c.a),
		    *users = json_new_object(r->c.a);

	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		set_int(r, by_type, events[i].type, events[i].level);
	/* "If the room's version is 12 or higher, the power level for sending m.room.tombstone events MUST explicitly
	 * be higher than state_default." */
	set_int(r, by_type, S("m.room.tombstone"), r->c.rv->creators_above_all ? 150 : 100);
	/* "In room versions 12 and later, the room creator [...] cannot be specified in the users field". */
	if (!r->c.rv->creators_above_all) {
		set_int(r, users, r->c.by->user_id, 100);
		for (size_t i = 0; r->preset == TRUSTED_PRIVATE_CHAT && i < r->invite.n; i++)
			set_int(r, users, r->invite.p[i], 100);
	}
	json_set(r->c.a, content, S("users"), users);
	json_set(r->c.a, content, S("events"), by_type);
	set_int(r, content, S("users_default"), 0);
	set_int(r, content, S("events_default"), 0);
	set_int(r, content, S("state_default"), 50);
	set_int(r, content, S("ban"), 50);
	set_int(r, content, S("kick"), 50);
	set_int(r, content, S("redact"), 50);
	set_int(r, content, S("invite"), r->preset == PUBLIC_CHAT ? 50 : 0);
	set_int(r, content, S("historical"), 100);
	return content;
}

static err *wish_power(struct request *r)
{
	const struct rooms_options *opt = &r->c.rs->opt;
	const str configured[] = { [PRIVATE_CHAT] = opt->power_private_chat,
				   [TRUSTED_PRIVATE_CHAT] = opt->power_trusted_private_chat,
				   [PUBLIC_CHAT] = opt->power_public_chat };
	const struct json *given = initial_content(r, S("m.room.power_levels")), *over;
	struct json *content, *from_config;

	TRY(member_of(r, "power_level_content_override", JSON_OBJECT, &over));
	content = given ? json_copy(r->c.a, given) : power_defaults(r);
	if (!given && !str_is_none(configured[r->preset])) {
		TRY(json_parse(r->c.a, configured[r->preset], &json_limits_event, &from_config));
		override(r, content, from_config);
	}
	override(r, content, over);
	creation_wish(&r->c, STEP_STATE, S("m.room.power_levels"), S(""), content);
	return NULL;
}

static void wish_preset(struct request *r)
{
	static const struct {
		str type, key, value[3];
	} events[] = {
		{ STR("m.room.join_rules"), STR("join_rule"), { STR("invite"), STR("invite"), STR("public") } },
		{ STR("m.room.history_visibility"),
		  STR("history_visibility"),
		  { STR("shared"), STR("shared"), STR("shared") } },
		{ STR("m.room.guest_access"),
		  STR("guest_access"),
		  { STR("can_join"), STR("can_join"), { 0 } } }, /* a room without the event is forbidden to guests */
	};
	const bool encrypt =
		r->c.rs->opt.encrypt_all_rooms || (r->c.rs->opt.encrypt_invite_rooms && r->preset != PUBLIC_CHAT);

	/* initial_state "takes precedence over events set by preset" */
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (!initial_content(r, events[i].type) && !str_is_none(events[i].value[r->preset]))
			creation_wish_text(&r->c, events[i].type, events[i].key, events[i].value[r->preset]);
	if (encrypt && !initial_content(r, S("m.room.encryption")))
		creation_wish_text(&r->c, S("m.room.encryption"), S("algorithm"), S("m.megolm.v1.aes-sha2"));
}

static err *check_listed(struct request *r, const struct json *value)
{
	const str alias = json_str(value);

	if (str_is_none(alias) || !id_alias_valid(alias))
		return err_new(r->c.a, ERR_INVALID_PARAM, "an alias is not well-formed");
	if (str_is_none(r->c.alias) || !str_eq(alias, r->c.alias))
		return err_new(r->c.a, ERR_BAD_ALIAS, "The alias '%.*s' does not point to this room.", STR_ARG(alias));
	return NULL;
}

/* An invitation is one, whichever way it is asked for. */
static err *check_member(struct request *r, str user_id, const struct json *content)
{
	if (membership_of_text(json_get_str(content, S("membership"))) != MEMBER_INVITE)
		return NULL;
	TRY(check_invitee(r, user_id));
	return invite_permitted(r->c.rs, r->c.a, user_id);
}

/* As of every m.room.canonical_alias that a client sends: what it names points to this room, or is not named. Nothing
 * but the name that comes with the request can. */
static err *check_canonical(struct request *r, const struct json *content)
{
	const struct json *alias = json_get(content, S("alias")), *alts = json_get(content, S("alt_aliases"));

	if (alts && alts->kind != JSON_ARRAY)
		return err_new(r->c.a, ERR_INVALID_PARAM, "alt_aliases must be a list");
	if (alias && alias->kind != JSON_NULL && !(json_is(alias, JSON_STR) && alias->s.n == 0))
		TRY(check_listed(r, alias));
	JSON_ITEMS (alts, i)
		TRY(check_listed(r, alts->array.items[i]));
	return NULL;
}

static err *wish_initial(struct request *r)
{
	const struct json *list;

	TRY(member_of(r, "initial_state", JSON_ARRAY, &list));
	if (list && list->array.n > INITIAL_STATE_MOST)
		return err_new(r->c.a, ERR_INVALID_PARAM, "initial_state may hold %d events", INITIAL_STATE_MOST);
	JSON_ITEMS (list, i) {
		const struct json *ev = list->array.items[i], *key = json_get(ev, S("state_key")),
				  *content = json_get_object(ev, S("content"));
		const str type = json_get_str(ev, S("type"));

		if (str_is_none(type) || !content || (key && key->kind != JSON_STR))
			return wrong(r, "initial_state holds objects with type, content and perhaps state_key");
		if (str_eq(type, S("m.room.power_levels")) && str_is_empty(json_str(key)))
			continue; /* came first, instead of the preset's */
		if (str_eq(type, S("m.room.create")))
			return err_new(r->c.a, ERR_INVALID_ROOM_STATE,
				       "a room has one m.room.create: see creation_content");
		if (str_eq(type, S("m.room.member")))
			TRY(check_member(r, json_str(key), content));
		if (str_eq(type, S("m.room.canonical_alias")))
			TRY(check_canonical(r, content));
		creation_wish(&r->c, STEP_STATE, type, key ? key->s : S(""), content);
	}
	return NULL;
}

static err *wish_name_and_topic(struct request *r)
{
	str name, topic;

	TRY(text_of(r, "name", &name));
	TRY(text_of(r, "topic", &topic));
	if (!str_is_none(name))
		creation_wish_text(&r->c, S("m.room.name"), S("name"), name);
	if (str_is_none(topic))
		return NULL;
	/* m.room.topic: "m.topic" holds the same in the representations there are; text/plain is what goes without
	 * saying. */
	struct json *content = json_new_object(r->c.a), *rich = json_new_object(r->c.a),
		    *texts = json_new_array(r->c.a), *plain = json_new_object(r->c.a);
	json_set(r->c.a, plain, S("body"), json_new_str(r->c.a, topic));
	json_append(r->c.a, texts, plain);
	json_set(r->c.a, rich, S("m.text"), texts);
	json_set(r->c.a, content, S("topic"), json_new_str(r->c.a, topic));
	json_set(r->c.a, content, S("m.topic"), rich);
	creation_wish(&r->c, STEP_STATE, S("m.room.topic"), S(""), content);
	return NULL;
}

static struct json *invite_extra(const struct request *r)
{
	struct json *extra = json_new_object(r->c.a);

	if (r->is_direct)
		json_set(r->c.a, extra, S("is_direct"), json_new_bool(r->c.a, true));
	return extra;
}

static err *wish_invites(struct request *r)
{
	struct json *extra = invite_extra(r);

	for (size_t i = 0; i < r->invite.n; i++) {
		const struct json *content;

		if (!is_ours(r, r->invite.p[i]))
			continue;

		TRY(member_content(r->c.rs, r->c.a, r->invite.p[i], MEMBER_INVITE, STR_NONE, extra, &content));
		creation_wish(&r->c, STEP_INVITE, S("m.room.member"), r->invite.p[i], content);
	}
	return NULL;
}

/* "It MUST apply the events implied by the request in the following order". */
static err *wish_all(struct request *r)
{
	TRY(wish_create(r));
	TRY(creation_wish_creator(&r->c));
	TRY(wish_power(r));
	if (!str_is_none(r->c.alias))
		creation_wish_text(&r->c, S("m.room.canonical_alias"), S("alias"), r->c.alias);
	wish_preset(r);
	TRY(wish_initial(r));
	TRY(wish_name_and_topic(r));
	return wish_invites(r);
}

/* Users of other servers are invited with those servers' consent, once there is a room. */
static err *invite_others(struct request *r)
{
	const struct json *extra = invite_extra(r);

	for (size_t i = 0; i < r->invite.n; i++) {
		const struct member_cmd cmd = {
			.by = *r->c.by,
			.room_id = r->c.room_id,
			.target = r->invite.p[i],
			.extra = extra,
		};

		if (!is_ours(r, r->invite.p[i]))
			TRY(room_invite(r->c.rs, r->c.a, &cmd));
	}
	return NULL;
}

err *room_create(struct rooms *rs, struct arena *a, const struct create_cmd *cmd, str *out_room_id)
{
	struct request r = {
		.c = { .rs = rs, .a = a, .by = &cmd->by, .now = clock_ms(), .room_id = STR_NONE },
		.body = cmd->body,
	};

	TRY(read_version(&r));
	TRY(read_preset(&r));
	TRY(read_invites(&r));
	if (r.goes_out && cmd->out_elsewhere) {
		*cmd->out_elsewhere = true;
		return NULL;
	}
	TRY(read_alias(&r));
	TRY(wish_all(&r));
	for (size_t i = 0; i < r.c.events.n; i++) {
		const struct proposal *p = &r.c.events.p[i].p;
		const err *e = content_check(a, p, STR_NONE);

		if (e)
			return err_new(a, ERR_INVALID_ROOM_STATE, "%.*s cannot be set: %.*s", STR_ARG(p->type),
				       STR_ARG(e->msg));
	}
	TRY(creation_make(&r.c));
	*out_room_id = r.c.room_id;
	return invite_others(&r);
}
