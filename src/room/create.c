/*
 * create.c - POST /createRoom: a room and all its first events, in one commit.
 *
 * The request is read into a list of events in the order that the specification gives; then a room that nobody knows yet
 * is entered, the events are added to one draft, each authorised by those before it, and queued as one piece together
 * with the alias and the entry in the public list. Either all of it is there afterwards or nothing is.
 *
 * In room version 12 the room's id is made from the create event, so that this one is built before there is a room.
 */
#include "room/internal_job.h"

#include <assert.h>

#include "base/clock.h"
#include "base/rand.h"
#include "store/tx.h"

enum { INVITES_MOST = 100, INITIAL_STATE_MOST = 200 };
enum preset { PRIVATE_CHAT, TRUSTED_PRIVATE_CHAT, PUBLIC_CHAT };
enum step { STEP_CREATE, STEP_STATE, STEP_INVITE };

struct first { /* one of the room's first events */
	enum step step;
	struct proposal p;
};
struct creation {
	struct rooms *rs;
	struct arena *a;
	const struct actor *by;
	const struct json *body;
	const struct room_version *rv;
	enum preset preset;
	bool published, is_direct;
	str alias; /* the whole; STR_NONE: none */
	int64_t now;
	VEC(str) invite;
	VEC(struct first) events;
	str room_id;
	struct room_row row;
};

/*
 * Reading the request
 */
static err *wrong(struct creation *c, const char *what) { return err_new(c->a, ERR_BAD_JSON, "%s", what); }

/* An optional member of one kind. */
static err *member_of(struct creation *c, const char *key, enum json_kind kind, const struct json **out)
{
	*out = json_get(c->body, str_c(key));
	if (*out && (*out)->kind == JSON_NULL)
		*out = NULL;
	if (*out && (*out)->kind != kind)
		return err_new(c->a, ERR_BAD_JSON, "\"%s\" is of the wrong type", key);
	return NULL;
}

static err *text_of(struct creation *c, const char *key, str *out)
{
	const struct json *j;

	TRY(member_of(c, key, JSON_STR, &j));
	*out = json_str(j);
	return NULL;
}

static err *read_version(struct creation *c)
{
	str version;

	TRY(text_of(c, "room_version", &version));
	c->rv = str_is_none(version) ? c->rs->opt.default_version : room_version_find(version);
	if (!c->rv)
		return err_new(c->a, ERR_UNSUPPORTED_ROOM_VERSION, "this server does not know room version %.*s",
			       STR_ARG(version));
	return NULL;
}

static err *read_preset(struct creation *c)
{
	str visibility, preset;

	TRY(text_of(c, "visibility", &visibility));
	TRY(text_of(c, "preset", &preset));
	c->published = str_eq(visibility, S("public"));
	if (!str_is_none(visibility) && !c->published && !str_eq(visibility, S("private")))
		return err_new(c->a, ERR_INVALID_PARAM, "visibility must be public or private");
	/* "If unspecified, the server should use the visibility to determine which preset to use." */
	c->preset = c->published ? PUBLIC_CHAT : PRIVATE_CHAT;
	if (str_eq(preset, S("public_chat")))
		c->preset = PUBLIC_CHAT;
	else if (str_eq(preset, S("private_chat")))
		c->preset = PRIVATE_CHAT;
	else if (str_eq(preset, S("trusted_private_chat")))
		c->preset = TRUSTED_PRIVATE_CHAT;
	else if (!str_is_none(preset))
		return err_new(c->a, ERR_INVALID_PARAM, "there is no preset %.*s", STR_ARG(preset));
	return NULL;
}

static err *read_alias(struct creation *c)
{
	struct alias_row *taken;
	AUTO_TX tx = NULL;
	str name;

	c->alias = STR_NONE;
	TRY(text_of(c, "room_alias_name", &name));
	if (str_is_none(name))
		return NULL;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == ':' || name.p[i] == '\0' || (unsigned char)name.p[i] <= ' ')
			return err_new(c->a, ERR_INVALID_PARAM, "Invalid characters in room alias");
	c->alias = arena_printf(c->a, "#%.*s:%.*s", STR_ARG(name), STR_ARG(c->rs->opt.signer.server_name));
	if (name.n == 0 || !id_alias_valid(c->alias))
		return err_new(c->a, ERR_INVALID_PARAM, "Room alias invalid");
	TRY(store_read(c->rs->opt.store, c->a, &tx));
	TRY(store_alias_find(tx, c->alias, &taken));
	return taken ? err_new(c->a, ERR_ROOM_IN_USE, "Room alias already taken") : NULL;
}

static bool is_invited(const struct creation *c, str user_id)
{
	for (size_t i = 0; i < c->invite.n; i++)
		if (str_eq(c->invite.p[i], user_id))
			return true;
	return false;
}

static err *read_invites(struct creation *c)
{
	const struct json *list, *threepids, *direct;

	TRY(member_of(c, "invite", JSON_ARRAY, &list));
	TRY(member_of(c, "invite_3pid", JSON_ARRAY, &threepids));
	TRY(member_of(c, "is_direct", JSON_BOOL, &direct));
	c->is_direct = direct && direct->b;
	if (threepids && threepids->array.n)
		return err_new(c->a, ERR_THREEPID_DENIED,
			       "this server asks no identity server: people are invited by their user id");
	JSON_ITEMS (list, i) {
		const str user_id = json_str(list->array.items[i]);

		if (!id_user_valid(user_id))
			return err_new(c->a, ERR_INVALID_PARAM, "\"invite\" holds what is no user id");
		if (!id_is_of(user_id, c->rs->opt.signer.server_name))
			return err_new(c->a, ERR_FORBIDDEN, "%.*s is on another server, and this one does not federate",
				       STR_ARG(user_id));
		if (!is_invited(c, user_id))
			vec_push(c->a, &c->invite, user_id);
		if (c->invite.n > INVITES_MOST)
			return err_new(c->a, ERR_INVALID_PARAM, "at most %d people can be invited at once",
				       INVITES_MOST);
	}
	for (size_t i = 0; i < c->invite.n; i++)
		TRY(invite_permitted(c->rs, c->a, c->invite.p[i]));
	return NULL;
}

/*
 * The events
 */
static void wish(struct creation *c, enum step step, str type, str state_key, const struct json *content)
{
	const struct proposal p = {
		.type = type,
		.state_key = state_key,
		.sender = c->by->user_id,
		.content = content,
		.ts = c->now,
	};

	vec_push(c->a, &c->events, (struct first){ step, p });
}

/* An event with one text in its content. */
static void wish_text(struct creation *c, str type, str key, str value)
{
	struct json *content = json_new_object(c->a);

	json_set(c->a, content, key, json_new_str(c->a, value));
	wish(c, STEP_STATE, type, S(""), content);
}

/* What initial_state says of an event with the empty state key; NULL: nothing. The last one counts. */
static const struct json *initial_content(const struct creation *c, str type)
{
	const struct json *list = json_get_array(c->body, S("initial_state")), *found = NULL;

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
static void add_creators(struct creation *c, struct json *content)
{
	const struct json *given = json_get_array(content, S("additional_creators"));
	struct json *all = json_new_array(c->a);
	struct map seen;

	map_init(&seen, c->a);
	map_put(&seen, c->by->user_id, c);
	JSON_ITEMS (given, i) {
		json_append(c->a, all, given->array.items[i]);
		if (json_is(given->array.items[i], JSON_STR))
			map_put(&seen, given->array.items[i]->s, c);
	}
	for (size_t i = 0; i < c->invite.n; i++)
		if (!map_put(&seen, c->invite.p[i], c))
			json_append(c->a, all, json_new_str(c->a, c->invite.p[i]));
	if (all->array.n)
		json_set(c->a, content, S("additional_creators"), all);
}

static err *wish_create(struct creation *c)
{
	const struct json *given;
	struct json *content;

	TRY(member_of(c, "creation_content", JSON_OBJECT, &given));
	content = given ? json_copy(c->a, given) : json_new_object(c->a);
	/* "The server will overwrite the following keys: creator, room_version." */
	json_del(content, S("creator"));
	json_set(c->a, content, S("room_version"), json_new_str(c->a, c->rv->id));
	if (c->rv->creator_in_content)
		json_set(c->a, content, S("creator"), json_new_str(c->a, c->by->user_id));
	if (c->rv->creators_above_all && c->preset == TRUSTED_PRIVATE_CHAT)
		add_creators(c, content);
	wish(c, STEP_CREATE, S("m.room.create"), S(""), content);
	return NULL;
}

static err *wish_creator(struct creation *c)
{
	const struct json *content;

	TRY(member_content(c->rs, c->a, c->by->user_id, MEMBER_JOIN, STR_NONE, NULL, &content));
	wish(c, STEP_STATE, S("m.room.member"), c->by->user_id, content);
	return NULL;
}

static void override(struct creation *c, struct json *content, const struct json *with)
{
	JSON_EACH (with, m)
		json_set(c->a, content, m->key, m->value);
}

static void set_int(struct creation *c, struct json *object, str key, int64_t value)
{
	json_set(c->a, object, key, json_new_int(c->a, value));
}

static struct json *power_defaults(struct creation *c)
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
	struct json *content = json_new_object(c->a), *by_type = json_new_object(c->a), *users = json_new_object(c->a);

	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		set_int(c, by_type, events[i].type, events[i].level);
	/* "If the room's version is 12 or higher, the power level for sending m.room.tombstone events MUST explicitly be
	 * higher than state_default." */
	set_int(c, by_type, S("m.room.tombstone"), c->rv->creators_above_all ? 150 : 100);
	/* "In room versions 12 and later, the room creator [...] cannot be specified in the users field". */
	if (!c->rv->creators_above_all) {
		set_int(c, users, c->by->user_id, 100);
		for (size_t i = 0; c->preset == TRUSTED_PRIVATE_CHAT && i < c->invite.n; i++)
			set_int(c, users, c->invite.p[i], 100);
	}
	json_set(c->a, content, S("users"), users);
	json_set(c->a, content, S("events"), by_type);
	set_int(c, content, S("users_default"), 0);
	set_int(c, content, S("events_default"), 0);
	set_int(c, content, S("state_default"), 50);
	set_int(c, content, S("ban"), 50);
	set_int(c, content, S("kick"), 50);
	set_int(c, content, S("redact"), 50);
	set_int(c, content, S("invite"), c->preset == PUBLIC_CHAT ? 50 : 0);
	set_int(c, content, S("historical"), 100);
	return content;
}

static err *wish_power(struct creation *c)
{
	const struct rooms_options *opt = &c->rs->opt;
	const str configured[] = { [PRIVATE_CHAT] = opt->power_private_chat,
				   [TRUSTED_PRIVATE_CHAT] = opt->power_trusted_private_chat,
				   [PUBLIC_CHAT] = opt->power_public_chat };
	const struct json *given = initial_content(c, S("m.room.power_levels")), *over;
	struct json *content, *from_config;

	TRY(member_of(c, "power_level_content_override", JSON_OBJECT, &over));
	content = given ? json_copy(c->a, given) : power_defaults(c);
	if (!given && !str_is_none(configured[c->preset])) {
		TRY(json_parse(c->a, configured[c->preset], &json_limits_event, &from_config));
		override(c, content, from_config);
	}
	override(c, content, over);
	wish(c, STEP_STATE, S("m.room.power_levels"), S(""), content);
	return NULL;
}

static void wish_preset(struct creation *c)
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
		c->rs->opt.encrypt_all_rooms || (c->rs->opt.encrypt_invite_rooms && c->preset != PUBLIC_CHAT);

	/* initial_state "takes precedence over events set by preset" */
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (!initial_content(c, events[i].type) && !str_is_none(events[i].value[c->preset]))
			wish_text(c, events[i].type, events[i].key, events[i].value[c->preset]);
	if (encrypt && !initial_content(c, S("m.room.encryption")))
		wish_text(c, S("m.room.encryption"), S("algorithm"), S("m.megolm.v1.aes-sha2"));
}

static err *wish_initial(struct creation *c)
{
	const struct json *list;

	TRY(member_of(c, "initial_state", JSON_ARRAY, &list));
	if (list && list->array.n > INITIAL_STATE_MOST)
		return err_new(c->a, ERR_INVALID_PARAM, "initial_state may hold %d events", INITIAL_STATE_MOST);
	JSON_ITEMS (list, i) {
		const struct json *ev = list->array.items[i], *key = json_get(ev, S("state_key")),
				  *content = json_get_object(ev, S("content"));
		const str type = json_get_str(ev, S("type"));

		if (str_is_none(type) || !content || (key && key->kind != JSON_STR))
			return wrong(c, "initial_state holds objects with type, content and perhaps state_key");
		if (str_eq(type, S("m.room.power_levels")) && str_is_empty(json_str(key)))
			continue; /* came first, instead of the preset's */
		if (str_eq(type, S("m.room.create")))
			return err_new(c->a, ERR_INVALID_ROOM_STATE,
				       "a room has one m.room.create: see creation_content");
		if (str_eq(type, S("m.room.member")) && key &&
		    membership_of_text(json_get_str(content, S("membership"))) == MEMBER_INVITE)
			TRY(invite_permitted(c->rs, c->a, key->s));
		wish(c, STEP_STATE, type, key ? key->s : S(""), content);
	}
	return NULL;
}

static err *wish_name_and_topic(struct creation *c)
{
	str name, topic;

	TRY(text_of(c, "name", &name));
	TRY(text_of(c, "topic", &topic));
	if (!str_is_none(name))
		wish_text(c, S("m.room.name"), S("name"), name);
	if (str_is_none(topic))
		return NULL;
	/* m.room.topic: "m.topic" holds the same in the representations there are; text/plain is what goes without saying. */
	struct json *content = json_new_object(c->a), *rich = json_new_object(c->a), *texts = json_new_array(c->a),
		    *plain = json_new_object(c->a);
	json_set(c->a, plain, S("body"), json_new_str(c->a, topic));
	json_append(c->a, texts, plain);
	json_set(c->a, rich, S("m.text"), texts);
	json_set(c->a, content, S("topic"), json_new_str(c->a, topic));
	json_set(c->a, content, S("m.topic"), rich);
	wish(c, STEP_STATE, S("m.room.topic"), S(""), content);
	return NULL;
}

static err *wish_invites(struct creation *c)
{
	struct json *extra = json_new_object(c->a);

	if (c->is_direct)
		json_set(c->a, extra, S("is_direct"), json_new_bool(c->a, true));
	for (size_t i = 0; i < c->invite.n; i++) {
		const struct json *content;

		TRY(member_content(c->rs, c->a, c->invite.p[i], MEMBER_INVITE, STR_NONE, extra, &content));
		wish(c, STEP_INVITE, S("m.room.member"), c->invite.p[i], content);
	}
	return NULL;
}

/* "It MUST apply the events implied by the request in the following order". */
static err *wish_all(struct creation *c)
{
	TRY(wish_create(c));
	TRY(wish_creator(c));
	TRY(wish_power(c));
	if (!str_is_none(c->alias))
		wish_text(c, S("m.room.canonical_alias"), S("alias"), c->alias);
	wish_preset(c);
	TRY(wish_initial(c));
	TRY(wish_name_and_topic(c));
	return wish_invites(c);
}

/*
 * Making it
 */
static err *build_create(struct creation *c, struct event **out)
{
	const struct proposal *p = &c->events.p[0].p;
	const struct event_fields f = {
		.room_id = c->rv->room_id_is_create_hash
				   ? STR_NONE
				   : arena_printf(c->a, "!%.*s:%.*s", STR_ARG(rand_alpha(c->a, 18)),
						  STR_ARG(c->rs->opt.signer.server_name)),
		.sender = p->sender,
		.type = p->type,
		.state_key = p->state_key,
		.content = p->content,
		.redacts = STR_NONE,
		.origin_server_ts = p->ts,
		.depth = event_depth_after(0),
	};

	return event_build(c->a, c->rv, &f, &c->rs->opt.signer, out);
}

static err *save_names(struct tx *tx, void *arg)
{
	const struct creation *c = arg;
	bool taken;

	if (str_is_none(c->alias))
		return NULL;
	TRY(store_alias_insert(tx, c->alias, c->row.room, c->by->user, c->now, &taken));
	return taken ? err_new(tx_arena(tx), ERR_ROOM_IN_USE, "Room alias already taken") : NULL;
}

/* The rules refuse one of the events that the request asks for. */
static err *explain(struct creation *c, const struct first *f, err *e)
{
	if (e->code != ERR_FORBIDDEN || f->step == STEP_INVITE)
		return e;
	return err_new(c->a, ERR_INVALID_ROOM_STATE, "%.*s cannot be set: %.*s", STR_ARG(f->p.type), STR_ARG(e->msg));
}

static err *fill(struct creation *c, struct draft *d, const struct event *create)
{
	for (size_t i = 0; i < c->events.n; i++) {
		const struct first *f = &c->events.p[i];
		const struct event *ev;
		err *e;

		if (f->step == STEP_CREATE)
			e = draft_add_built(d, &f->p, create);
		else
			e = draft_add(d, &f->p, &ev);
		if (e)
			return explain(c, f, e);
	}
	return NULL;
}

static err *queue_room(struct creation *c, struct room *room, const struct event *create, struct ticket **out_ticket)
{
	AUTO_DRAFT d = NULL;

	draft_begin(room, &d);
	TRY(fill(c, d, create));
	d->job->new_room = &c->row; /* room_create waits for the ticket: c lives as long as the job runs */
	d->job->extra = save_names;
	d->job->extra_arg = c;
	return draft_queue(&d, out_ticket);
}

static err *make_room(struct creation *c, struct room *entry, const struct event *create, struct ticket **out_ticket)
{
	struct room *room;
	err *e = room_hold(c->rs, c->a, c->room_id, &room);

	rooms_unref(c->rs, entry);
	TRY(e);
	assert(room == entry);
	e = queue_room(c, room, create, out_ticket);
	if (e)
		room->gone = true;
	room_release(&room);
	return e;
}

/*
 * A room id nobody has. Where it is the create event's hash, two equal requests of a user within a millisecond would make
 * the same room: then the event is a millisecond younger.
 */
static err *enter_room(struct creation *c, struct event **out_create, struct room **out)
{
	struct store *st = c->rs->opt.store;
	int64_t known;

	for (*out = NULL; !*out; c->events.p[0].p.ts++) {
		TRY(build_create(c, out_create));
		c->room_id = (*out_create)->room_id;
		TRY(store_intern_find(st, c->a, c->room_id, &known));
		if (known)
			continue;
		TRY(store_next_id(st, c->a, SEQ_INTERN, 1, &c->row.room));
		*out = rooms_enter_new(c->rs, c->row.room, c->room_id, c->rv, c->by->user);
	}
	return NULL;
}

/* Numbers for all of it: what is new becomes durable here, before the room's lock. */
static err *number_all(struct creation *c)
{
	struct store *st = c->rs->opt.store;
	int64_t first;

	TRY(store_next_id(st, c->a, SEQ_EVENT, c->events.n, &first));
	for (size_t i = 0; i < c->events.n; i++) {
		struct proposal *p = &c->events.p[i].p;

		if (p->type.n > ID_MAX || p->state_key.n > ID_MAX)
			return err_new(c->a, ERR_TOO_LARGE, "the type and the state key may have 255 bytes each");
		TRY(proposal_texts(c->rs, c->a, p));
		p->nid = first + (int64_t)i;
	}
	return NULL;
}

/* An ended job is freed by the room's next holder. This one is large, and nobody may ever come: so we are that. */
static void free_first_job(struct creation *c)
{
	AUTO_ROOM room = NULL;
	err *e = room_hold(c->rs, c->a, c->room_id, &room);

	(void)e; /* the room is there all the same */
}

err *room_create(struct rooms *rs, struct arena *a, const struct create_cmd *cmd, str *out_room_id)
{
	struct creation c = { .rs = rs, .a = a, .by = &cmd->by, .body = cmd->body, .now = clock_ms() };
	struct ticket *ticket;
	struct event *create;
	struct room *entry;

	TRY(read_version(&c));
	TRY(read_preset(&c));
	TRY(read_invites(&c));
	TRY(read_alias(&c));
	TRY(wish_all(&c));
	TRY(number_all(&c));
	TRY(enter_room(&c, &create, &entry));
	c.row.room_id = c.room_id;
	c.row.version = c.rv->id;
	c.row.creator = cmd->by.user;
	c.row.created = c.now;
	c.row.published = c.published;
	TRY(make_room(&c, entry, create, &ticket));
	TRY(store_wait(a, ticket));
	*out_room_id = c.room_id;
	free_first_job(&c);
	return NULL;
}
