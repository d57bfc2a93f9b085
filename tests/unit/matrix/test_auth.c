/*
 * The authorisation rules: by rows (who is what in the room, what is sent, is it allowed, by which rule) for what the
 * versions differ in and for what goes wrong, and by another implementation's verdicts for all changes of membership
 * and for rooms made at random.
 */
#include "matrix/fixture.h"

#include "matrix/auth.h"
#include "matrix/power_levels.h"

static const struct room_version *rv(const char *id) { return room_version_find(str_c(id)); }

/* An event without hashes and signatures: the rules look at neither, but for who has signed. */
static struct event *make(const char *room, const char *type, const char *sender, const char *state_key,
			  const char *content)
{
	struct event *ev = ARENA_NEW(A, struct event);
	static const str other[] = { STR("$other") };

	ev->event_id = S("$e");
	ev->room_id = str_c(room);
	ev->type = str_c(type);
	ev->sender = str_c(sender);
	ev->state_key = str_c(state_key);
	ev->content = parse(content);
	ev->json = parse("{\"signatures\":{\"d\":{\"ed25519:1\":\"x\"},\"e\":{\"ed25519:1\":\"x\"}}}");
	ev->prev_events = other;
	ev->n_prev_events = 1;
	return ev;
}

/* A room: its create event $C, and what is added. */
struct room {
	const struct room_version *rv;
	const char *id;
	const struct event *events[24];
	struct state_list list;
};

static struct room *room_new(const char *version, const char *create)
{
	struct room *r = ARENA_NEW(A, struct room);
	struct event *ev;

	r->rv = rv(version);
	assert_non_null(r->rv);
	r->id = r->rv->room_id_is_create_hash ? "!C" : "!r:d";
	ev = make(r->id, "m.room.create", "@c:d", "", create);
	ev->event_id = S("$C");
	r->events[0] = ev;
	r->list = (struct state_list){ .events = r->events, .n = 1 };
	return r;
}

static void put(struct room *r, const char *type, const char *sender, const char *state_key, const char *content)
{
	assert_true(r->list.n < ARRAY_LEN(r->events));
	r->events[r->list.n++] = make(r->id, type, sender, state_key, content);
}

static void put_member(struct room *r, const char *user, const char *membership)
{
	if (membership)
		put(r, "m.room.member", user, user,
		    arena_cstr(A, arena_printf(A, "{\"membership\":\"%s\"}", membership)));
}

static bool allows(const struct room *r, const struct event *ev)
{
	struct state_list list = r->list;
	const err *e = auth_check(A, r->rv, ev, state_list_lookup, &list);

	if (e && e->code != ERR_FORBIDDEN)
		fail_msg("refused with another code: %.*s", STR_ARG(e->msg));
	return e == NULL;
}

/* --- rule 1: m.room.create --- */

static void create_events(void **state)
{
	static const struct {
		const char *version, *room_id, *content, *json;
		size_t n_prev;
		bool allowed;
		const char *rule;
	} rows[] = {
		{ "10", "!r:d", "{\"creator\":\"@c:d\",\"room_version\":\"10\"}", "{}", 0, true, "1.5" },
		{ "10", "!r:d", "{\"creator\":\"@c:d\"}", "{}", 0, true, "1.5" },
		{ "10", "!r:d", "{\"creator\":\"@c:d\"}", "{}", 1, false, "1.1 prev_events" },
		{ "10", "!r:e", "{\"creator\":\"@c:d\"}", "{}", 0, false, "1.2 domain of the room_id" },
		{ "10", "!r", "{\"creator\":\"@c:d\"}", "{}", 0, false, "1.2 no domain" },
		{ "10", "!r:d", "{\"creator\":\"@c:d\",\"room_version\":\"x\"}", "{}", 0, false,
		  "1.3 unknown version" },
		{ "10", "!r:d", "{\"creator\":\"@c:d\",\"room_version\":10}", "{}", 0, false,
		  "1.3 version is no text" },
		{ "10", "!r:d", "{\"creator\":\"@c:d\",\"room_version\":null}", "{}", 0, false,
		  "1.3 version is no text" },
		{ "10", "!r:d", "{}", "{}", 0, false, "1.4 no creator" },
		{ "11", "!r:d", "{}", "{}", 0, true, "v11 needs no creator" },
		{ "11", "!r:d", "{\"additional_creators\":7}", "{}", 0, true, "v11 knows no additional_creators" },
		{ "11", "!r:e", "{}", "{}", 0, false, "1.2 domain of the room_id" },
		{ "12", "!C", "{}", "{}", 0, true, "1.5" },
		{ "12", "!C", "{}", "{}", 1, false, "1.1 prev_events" },
		{ "12", "!C", "{}", "{\"room_id\":\"!C\"}", 0, false, "1.2 has a room_id" },
		{ "12", "!C", "{}", "{\"room_id\":null}", 0, false, "1.2 has a room_id" },
		{ "12", "!C", "{\"room_version\":\"13\"}", "{}", 0, false, "1.3 unknown version" },
		{ "12", "!C", "{\"additional_creators\":[]}", "{}", 0, true, "1.4" },
		{ "12", "!C", "{\"additional_creators\":[\"@x:y\",\"@\xc3\xa9:y\"]}", "{}", 0, true, "1.4" },
		{ "12", "!C", "{\"additional_creators\":\"@x:y\"}", "{}", 0, false, "1.4 no array" },
		{ "12", "!C", "{\"additional_creators\":null}", "{}", 0, false, "1.4 no array" },
		{ "12", "!C", "{\"additional_creators\":{}}", "{}", 0, false, "1.4 no array" },
		{ "12", "!C", "{\"additional_creators\":[\"@x:y\",1]}", "{}", 0, false, "1.4 no text" },
		{ "12", "!C", "{\"additional_creators\":[\"x:y\"]}", "{}", 0, false, "1.4 no user ID" },
		{ "12", "!C", "{\"additional_creators\":[\"@x\"]}", "{}", 0, false, "1.4 no user ID" },
		{ "12", "!C", "{\"additional_creators\":[\"\"]}", "{}", 0, false, "1.4 no user ID" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct room empty = { .rv = rv(rows[i].version) };
		struct event *ev = make(rows[i].room_id, "m.room.create", "@c:d", "", rows[i].content);

		ev->json = parse(rows[i].json);
		ev->n_prev_events = rows[i].n_prev;
		ok(allows(&empty, ev) == rows[i].allowed, "v%s %s: %s", rows[i].version, rows[i].content, rows[i].rule);
	}
}

/* --- the room as a whole --- */

static void nothing_goes_without_its_create_event(void **state)
{
	static const char *const versions[] = { "10", "11", "12" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct room *r = room_new(versions[i], "{\"creator\":\"@c:d\"}");
		struct room without = { .rv = r->rv };
		struct event *say = make(r->id, "m.room.message", "@c:d", NULL, "{}"), *elsewhere, *create;

		put_member(r, "@c:d", "join");
		assert_true(allows(r, say));
		without.list = (struct state_list){ .events = r->events + 1, .n = r->list.n - 1 };
		assert_false(allows(&without, say));
		elsewhere = make("!other:d", "m.room.message", "@c:d", NULL, "{}");
		assert_false(allows(r, elsewhere));
		/* v12, 2: "an accepted (not rejected) m.room.create event" */
		create = make(r->id, "m.room.create", "@c:d", "", "{\"creator\":\"@c:d\"}");
		create->rejected = true;
		r->events[0] = create;
		assert_false(allows(r, say));
	}
}

static void unfederated_rooms(void **state)
{
	static const struct {
		const char *create, *sender;
		bool allowed;
	} rows[] = {
		{ "{\"m.federate\":false}", "@c:d", true },     { "{\"m.federate\":false}", "@m:e", false },
		{ "{\"m.federate\":true}", "@m:e", true },      { "{}", "@m:e", true },
		{ "{\"m.federate\":\"false\"}", "@m:e", true }, { "{\"m.federate\":0}", "@m:e", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct room *r = room_new("11", rows[i].create);

		put_member(r, "@c:d", "join");
		put_member(r, "@m:e", "join");
		ok(allows(r, make(r->id, "m.room.message", rows[i].sender, NULL, "{}")) == rows[i].allowed, "%s %s",
		   rows[i].create, rows[i].sender);
		/* Membership is no way around it. */
		ok(allows(r, make(r->id, "m.room.member", rows[i].sender, rows[i].sender,
				  "{\"membership\":\"leave\"}")) == rows[i].allowed,
		   "%s leave of %s", rows[i].create, rows[i].sender);
	}
}

/* --- membership --- */

static void malformed_members(void **state)
{
	static const struct {
		const char *state_key, *content;
	} rows[] = {
		{ NULL, "{\"membership\":\"join\"}" },      { "@c:d", "{}" },
		{ "@c:d", "{\"membership\":null}" },        { "@c:d", "{\"membership\":1}" },
		{ "@c:d", "{\"membership\":[\"leave\"]}" }, { "@c:d", "{\"membership\":\"\"}" },
		{ "@c:d", "{\"membership\":\"Leave\"}" },   { "", "{\"membership\":\"invite\"}" },
		{ "x", "{\"membership\":\"invite\"}" },     { "@x", "{\"membership\":\"invite\"}" },
		{ "@x:", "{\"membership\":\"invite\"}" },
	};
	struct room *r;

	(void)state;
	r = room_new("12", "{}");
	put_member(r, "@c:d", "join");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(!allows(r, make(r->id, "m.room.member", "@c:d", rows[i].state_key, rows[i].content)), "%s",
		   rows[i].content);
}

static void the_creators_first_join(void **state)
{
	static const struct {
		const char *version, *create, *user;
		str prev[2];
		size_t n_prev;
		bool allowed;
		const char *why;
	} rows[] = {
		{ "10", "{\"creator\":\"@c:d\"}", "@c:d", { STR("$C") }, 1, true, "the creator" },
		{ "10", "{\"creator\":\"@x:d\"}", "@c:d", { STR("$C") }, 1, false, "v10: content.creator counts" },
		{ "10", "{\"creator\":\"@x:d\"}", "@x:d", { STR("$C") }, 1, true, "v10: content.creator counts" },
		{ "11", "{\"creator\":\"@x:d\"}", "@x:d", { STR("$C") }, 1, false, "v11: the sender counts" },
		{ "11", "{\"creator\":\"@x:d\"}", "@c:d", { STR("$C") }, 1, true, "v11: the sender counts" },
		{ "12", "{}", "@c:d", { STR("$C") }, 1, true, "the creator" },
		{ "12",
		  "{\"additional_creators\":[\"@x:d\"]}",
		  "@x:d",
		  { STR("$C") },
		  1,
		  false,
		  "not an additional creator" },
		{ "12", "{}", "@c:d", { STR("$C"), STR("$other") }, 2, false, "the only previous event" },
		{ "12", "{}", "@c:d", { STR("$other") }, 1, false, "another previous event" },
		{ "12", "{}", "@c:d", { { 0 } }, 0, false, "no previous event" },
		{ "12", "{}", "@y:d", { STR("$C") }, 1, false, "somebody else" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct room *r = room_new(rows[i].version, rows[i].create);
		struct event *ev =
			make(r->id, "m.room.member", rows[i].user, rows[i].user, "{\"membership\":\"join\"}");

		ev->prev_events = rows[i].prev;
		ev->n_prev_events = rows[i].n_prev;
		ok(allows(r, ev) == rows[i].allowed, "v%s %s joins: %s", rows[i].version, rows[i].user, rows[i].why);
	}
}

static void restricted_joins(void **state)
{
	static const struct {
		const char *name, *rule, *current, *content, *signers;
		bool allowed;
	} rows[] = {
		{ "authorised", "restricted", NULL, "\"@b:d\"", "{\"d\":{\"k\":\"x\"}}", true },
		{ "authorised", "knock_restricted", "knock", "\"@b:d\"", "{\"d\":{\"k\":\"x\"}}", true },
		{ "authorised after leaving", "restricted", "leave", "\"@b:d\"", "{\"d\":{\"k\":\"x\"}}", true },
		{ "by a creator", "restricted", NULL, "\"@c:d\"", "{\"d\":{\"k\":\"x\"}}", true },
		{ "not authorised", "restricted", NULL, NULL, "{\"d\":{\"k\":\"x\"}}", false },
		{ "invited", "restricted", "invite", NULL, "{}", true },
		{ "joined", "knock_restricted", "join", NULL, "{}", true },
		{ "banned", "restricted", "ban", "\"@b:d\"", "{\"d\":{\"k\":\"x\"}}", false },
		{ "by one who may not invite", "restricted", NULL, "\"@w:d\"", "{\"d\":{\"k\":\"x\"}}", false },
		{ "by one who left", "restricted", NULL, "\"@l:d\"", "{\"d\":{\"k\":\"x\"}}", false },
		{ "by nobody", "restricted", NULL, "\"@nobody:d\"", "{\"d\":{\"k\":\"x\"}}", false },
		{ "not signed", "restricted", NULL, "\"@b:d\"", "{\"e\":{\"k\":\"x\"}}", false },
		{ "signature without a key", "restricted", NULL, "\"@b:d\"", "{\"d\":{}}", false },
		{ "no user ID", "restricted", NULL, "\"b\"", "{\"d\":{\"k\":\"x\"}}", false },
		{ "no text", "restricted", NULL, "{}", "{\"d\":{\"k\":\"x\"}}", false },
		{ "null", "public", NULL, "null", "{\"d\":{\"k\":\"x\"}}", false },
		{ "not signed, though not needed", "public", NULL, "\"@b:d\"", "{\"e\":{\"k\":\"x\"}}", false },
		{ "of no use", "invite", NULL, "\"@b:d\"", "{\"d\":{\"k\":\"x\"}}", false },
		{ "of no use", "private", NULL, "\"@b:d\"", "{\"d\":{\"k\":\"x\"}}", false },
	};

	(void)state;
	for (size_t v = 0; room_version_at(v); v++) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			if (!room_version_at(v)->knock_restricted) /* the others have rows in auth_rules.json */
				continue;
			struct room *r = room_new(arena_cstr(A, room_version_at(v)->id), "{\"creator\":\"@c:d\"}");
			const char *rule = arena_cstr(A, arena_printf(A, "{\"join_rule\":\"%s\"}", rows[i].rule));
			struct event *ev;
			str content = S("{\"membership\":\"join\"}");

			put_member(r, "@c:d", "join");
			put_member(r, "@b:d", "join");
			put_member(r, "@w:d", "join");
			put_member(r, "@l:d", "leave");
			put_member(r, "@n:e", rows[i].current);
			put(r, "m.room.join_rules", "@c:d", "", rule);
			put(r, "m.room.power_levels", "@c:d", "",
			    r->rv->creators_above_all
				    ? "{\"invite\":50,\"users\":{\"@b:d\":50,\"@l:d\":50,\"@w:d\":49}}"
				    : "{\"invite\":50,\"users\":{\"@b:d\":50,\"@c:d\":100,\"@l:d\":50}}");
			if (rows[i].content)
				content = arena_printf(
					A, "{\"membership\":\"join\",\"join_authorised_via_users_server\":%s}",
					rows[i].content);
			ev = make(r->id, "m.room.member", "@n:e", "@n:e", arena_cstr(A, content));
			ev->json = parse(arena_cstr(A, arena_printf(A, "{\"signatures\":%s}", rows[i].signers)));
			ok(allows(r, ev) == rows[i].allowed, "v%.*s %s: %s", STR_ARG(r->rv->id), rows[i].rule,
			   rows[i].name);
		}
	}
}

static void third_party_invites(void **state)
{
	static const struct {
		const char *name, *keys, *sender, *target, *mxid, *token;
		bool spoil, strip, allowed;
	} rows[] = {
		{ "signed", "{\"public_key\":\"%s\"}", "@c:d", "@t:e", "@t:e", "tok", false, false, true },
		{ "by a key of the list", "{\"public_keys\":[{\"public_key\":\"x\"},7,{\"public_key\":\"%s\"}]}",
		  "@c:d", "@t:e", "@t:e", "tok", false, false, true },
		{ "by the second of both", "{\"public_key\":\"AAAA\",\"public_keys\":[{\"public_key\":\"%s\"}]}",
		  "@c:d", "@t:e", "@t:e", "tok", false, false, true },
		{ "banned", "{\"public_key\":\"%s\"}", "@c:d", "@banned:e", "@banned:e", "tok", false, false, false },
		{ "for another", "{\"public_key\":\"%s\"}", "@c:d", "@t:e", "@u:e", "tok", false, false, false },
		{ "unknown token", "{\"public_key\":\"%s\"}", "@c:d", "@t:e", "@t:e", "nope", false, false, false },
		{ "another's invite", "{\"public_key\":\"%s\"}", "@b:d", "@t:e", "@t:e", "tok", false, false, false },
		{ "changed after signing", "{\"public_key\":\"%s\"}", "@c:d", "@t:e", "@t:e", "tok", true, false,
		  false },
		{ "without signatures", "{\"public_key\":\"%s\"}", "@c:d", "@t:e", "@t:e", "tok", false, true, false },
		{ "no keys", "{}", "@c:d", "@t:e", "@t:e", "tok", false, false, false },
		{ "another key", "{\"public_key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", "@c:d", "@t:e",
		  "@t:e", "tok", false, false, false },
		{ "no key at all", "{\"public_key\":7,\"public_keys\":\"x\"}", "@c:d", "@t:e", "@t:e", "tok", false,
		  false, false },
	};
	const str key = b64_encode(A, (str){ (const char *)KEY.public_key, 32 });

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct room *r = room_new("11", "{}");
		struct json *content =
			parse("{\"membership\":\"invite\",\"third_party_invite\":{\"display_name\":\"x\"}}");
		struct json *tpi = json_copy(A, json_get(content, S("third_party_invite"))), *part = json_new_object(A);
		struct event *ev;
		str keys = str_c(rows[i].keys);

		if (str_contains(keys, S("%s"))) {
			const size_t at = str_find(keys, '%');

			keys = arena_join3(A, str_head(keys, at), key, str_from(keys, at + 2));
		}
		put_member(r, "@c:d", "join");
		put_member(r, "@b:d", "join");
		put_member(r, "@banned:e", "ban");
		put(r, "m.room.third_party_invite", "@c:d", "tok", arena_cstr(A, keys));
		json_set(A, part, S("mxid"), json_new_str(A, str_c(rows[i].mxid)));
		json_set(A, part, S("token"), json_new_str(A, str_c(rows[i].token)));
		must(sign_json(A, part, &SIGNER));
		if (rows[i].spoil)
			json_set(A, part, S("sender"), json_new_str(A, S("@mallory:e")));
		if (rows[i].strip)
			json_del(part, S("signatures"));
		json_set(A, tpi, S("signed"), part);
		json_set(A, content, S("third_party_invite"), tpi);
		ev = make(r->id, "m.room.member", rows[i].sender, rows[i].target, "{}");
		ev->content = parse(arena_cstr(A, canonical(content)));
		ok(allows(r, ev) == rows[i].allowed, "third-party invite: %s", rows[i].name);
	}

	static const char *const malformed[] = {
		"null",
		"{}",
		"[]",
		"{\"signed\":7}",
		"{\"signed\":{}}",
		"{\"signed\":{\"mxid\":\"@t:e\"}}",
		"{\"signed\":{\"mxid\":\"@t:e\",\"token\":7}}",
		"{\"signed\":{\"mxid\":\"@t:e\",\"token\":\"tok\",\"signatures\":7}}",
		"{\"signed\":{\"mxid\":\"@t:e\",\"token\":\"tok\",\"signatures\":{\"d\":{\"ed25519:1\":7}}}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
		struct room *r = room_new("11", "{}");
		const str content =
			arena_printf(A, "{\"membership\":\"invite\",\"third_party_invite\":%s}", malformed[i]);

		put_member(r, "@c:d", "join");
		put(r, "m.room.third_party_invite", "@c:d", "tok", "{}");
		ok(!allows(r, make(r->id, "m.room.member", "@c:d", "@t:e", arena_cstr(A, content))), "%s",
		   malformed[i]);
	}
}

/* A hostile invite has hundreds of signatures and keys: they are not all tried. */
static void third_party_invites_cost_little(void **state)
{
	struct room *r = room_new("11", "{}");
	struct json *keys = json_new_array(A), *all = json_new_object(A), *theirs = json_new_object(A);
	struct json *part = parse("{\"mxid\":\"@t:e\",\"token\":\"tok\"}"), *tpi = json_new_object(A), *content;
	char text[87] = { 0 };
	struct event *ev;

	(void)state;
	memset(text, 'B', 85);
	text[85] = 'A';
	for (int i = 0; i < 600; i++) {
		struct json *key = json_new_object(A);

		json_set(A, theirs, arena_printf(A, "ed25519:%d", i), json_new_str(A, str_c(text)));
		json_set(A, key, S("public_key"),
			 json_new_str(A, b64_encode(A, (str){ (const char *)KEY.public_key, 32 })));
		json_append(A, keys, key);
	}
	json_set(A, all, S("s"), theirs);
	json_set(A, part, S("signatures"), all);
	json_set(A, tpi, S("signed"), part);
	content = parse("{\"membership\":\"invite\"}");
	json_set(A, content, S("third_party_invite"), tpi);
	ev = make(r->id, "m.room.member", "@c:d", "@t:e", "{}");
	ev->content = parse(arena_cstr(A, canonical(content)));
	put_member(r, "@c:d", "join");
	put(r, "m.room.third_party_invite", "@c:d", "tok", "{}");
	content = json_new_object(A);
	json_set(A, content, S("public_keys"), keys);
	((struct event *)r->events[2])->content = content;
	assert_false(allows(r, ev)); /* 360,000 verifications would be half a minute: the test's time limit */
}

/* --- sending --- */

static void sending(void **state)
{
	static const struct {
		const char *version, *levels, *sender, *type, *state_key;
		bool allowed;
		const char *rule;
	} rows[] = {
		{ "11", "{}", "@u:d", "m.room.message", NULL, true, "events_default is 0" },
		{ "11", "{}", "@out:d", "m.room.message", NULL, false, "6 not joined" },
		{ "11", "{}", "@invited:d", "m.room.message", NULL, false, "6 not joined" },
		{ "11", "{}", "@u:d", "m.room.topic", "", false, "8 state_default is 50" },
		{ "11", "{\"users\":{\"@u:d\":50}}", "@u:d", "m.room.topic", "", true, "8" },
		{ "11", "{\"users\":{\"@u:d\":49}}", "@u:d", "m.room.topic", "", false, "8" },
		{ "11", "{\"users_default\":50}", "@u:d", "m.room.topic", "", true, "8 users_default" },
		{ "11", "{\"users_default\":50,\"users\":{\"@u:d\":0}}", "@u:d", "m.room.topic", "", false,
		  "8 users first" },
		{ "11", "{\"events\":{\"m.room.topic\":0}}", "@u:d", "m.room.topic", "", true, "8 by type" },
		{ "11", "{\"events\":{\"m.room.topic\":0}}", "@u:d", "m.room.topic", NULL, true, "8 by type" },
		{ "11", "{\"state_default\":0}", "@u:d", "m.room.topic", "", true, "8 state_default" },
		{ "11", "{\"events_default\":1}", "@u:d", "m.room.message", NULL, false, "8 events_default" },
		{ "11", "{\"events_default\":1}", "@u:d", "m.room.topic", NULL, false,
		  "8 a message by its lack of state_key" },
		{ "11", "{\"events_default\":-1,\"users_default\":-1}", "@u:d", "m.room.message", NULL, true,
		  "8 negative" },
		{ "11", "{\"users_default\":-1}", "@u:d", "m.room.message", NULL, false, "8 negative" },
		{ "11", "{\"state_default\":0}", "@u:d", "x", "@u:d", true, "9 own" },
		{ "11", "{\"state_default\":0}", "@u:d", "x", "@other:d", false, "9 another's" },
		{ "11", "{\"state_default\":0}", "@u:d", "x", "@", false, "9 starts with an @" },
		{ "11", "{\"state_default\":0}", "@u:d", "x", "u@d", true, "9 does not start with an @" },
		{ "11", "{}", "@u:d", "m.room.redaction", NULL, true, "the redact level is not considered" },
		{ "11", "{\"events\":{\"m.room.redaction\":1}}", "@u:d", "m.room.redaction", NULL, false, "8" },
		{ "11", "{\"invite\":1}", "@u:d", "m.room.third_party_invite", "t", false, "7 invite level" },
		{ "11", "{\"invite\":0,\"state_default\":99}", "@u:d", "m.room.third_party_invite", "t", true,
		  "7 invite level alone" },
		/* No m.room.power_levels (R28): state needs 50, and the creator alone has 100. */
		{ "11", NULL, "@u:d", "m.room.message", NULL, true, "no levels" },
		{ "11", NULL, "@u:d", "m.room.topic", "", false, "no levels: state_default is 50" },
		{ "11", NULL, "@c:d", "m.room.topic", "", true, "no levels: the creator has 100" },
		{ "11", NULL, "@u:d", "m.room.power_levels", "", false, "no levels: only the creator sets the first" },
		{ "11", NULL, "@c:d", "m.room.power_levels", "", true, "no levels: only the creator sets the first" },
		{ "10", NULL, "@c:d", "m.room.power_levels", "", true, "no levels: only the creator sets the first" },
		{ "10", NULL, "@u:d", "m.room.power_levels", "", false, "no levels: only the creator sets the first" },
		{ "12", NULL, "@u:d", "m.room.power_levels", "", false, "no levels: only the creators set the first" },
		{ "12", NULL, "@c:d", "m.room.power_levels", "", true, "no levels: only the creators set the first" },
		/* v12: creators are above everything; before, they are not. */
		{ "12", "{\"state_default\":9007199254740991}", "@c:d", "m.room.topic", "", true, "creator" },
		{ "12", "{\"state_default\":9007199254740991}", "@c2:d", "m.room.topic", "", true,
		  "additional creator" },
		{ "11", "{\"state_default\":101}", "@c:d", "m.room.topic", "", false, "v11 creator without level" },
		{ "11", "{\"state_default\":100}", "@c:d", "m.room.topic", "", false, "v11 creator without level" },
		{ "11", "{\"state_default\":1}", "@c2:d", "m.room.topic", "", false,
		  "v11 knows no additional creators" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct room *r =
			room_new(rows[i].version, "{\"creator\":\"@c:d\",\"additional_creators\":[\"@c2:d\"]}");

		put_member(r, "@c:d", "join");
		put_member(r, "@c2:d", "join");
		put_member(r, "@u:d", "join");
		put_member(r, "@invited:d", "invite");
		if (rows[i].levels)
			put(r, "m.room.power_levels", "@c:d", "", rows[i].levels);
		ok(allows(r, make(r->id, rows[i].type, rows[i].sender, rows[i].state_key, "{}")) == rows[i].allowed,
		   "v%s, %s: %s sends %s: %s", rows[i].version, rows[i].levels ? rows[i].levels : "no levels",
		   rows[i].sender, rows[i].type, rows[i].rule);
	}
}

/* --- power levels --- */

static void power_level_forms(void **state)
{
	static const struct {
		const char *content;
		bool allowed;
	} rows[] = {
		{ "{}", true },
		{ "{\"ban\":50,\"x\":\"y\"}", true },
		{ "{\"ban\":\"50\"}", false },
		{ "{\"ban\":null}", false },
		{ "{\"ban\":true}", false },
		{ "{\"ban\":50.0}", false },
		{ "{\"ban\":1e2}", false },
		{ "{\"ban\":99999999999999999999}", false },
		{ "{\"users_default\":\"0\"}", false },
		{ "{\"events_default\":[]}", false },
		{ "{\"state_default\":{}}", false },
		{ "{\"redact\":\"\"}", false },
		{ "{\"kick\":\" 5 \"}", false },
		{ "{\"invite\":\"0\"}", false },
		{ "{\"events\":{}}", true },
		{ "{\"events\":{\"a\":1}}", true },
		{ "{\"events\":null}", false },
		{ "{\"events\":[]}", false },
		{ "{\"events\":{\"a\":\"1\"}}", false },
		{ "{\"events\":{\"a\":null}}", false },
		{ "{\"notifications\":{\"room\":20}}", true },
		{ "{\"notifications\":{\"room\":\"20\"}}", false },
		{ "{\"notifications\":20}", false },
		{ "{\"users\":{}}", true },
		{ "{\"users\":{\"@a:b\":1}}", true },
		{ "{\"users\":{\"@a:b\":\"1\"}}", false },
		{ "{\"users\":{\"a:b\":1}}", false },
		{ "{\"users\":{\"@a\":1}}", false },
		{ "{\"users\":{\"\":1}}", false },
		{ "{\"users\":[]}", false },
		{ "{\"users\":null}", false },
	};

	(void)state;
	for (size_t v = 0; room_version_at(v); v++) {
		if (room_version_at(v)->level_format != LEVEL_INTEGER) /* the others have rows in auth_rules.json */
			continue;
		struct room *r = room_new(arena_cstr(A, room_version_at(v)->id), "{\"creator\":\"@c:d\"}");

		put_member(r, "@c:d", "join");
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			ok(allows(r, make(r->id, "m.room.power_levels", "@c:d", "", rows[i].content)) ==
				   rows[i].allowed,
			   "v%.*s %s", STR_ARG(r->rv->id), rows[i].content);
	}
}

static void creators_have_no_power_level(void **state)
{
	static const struct {
		const char *version, *users;
		bool allowed;
	} rows[] = {
		{ "11", "{\"@c:d\":100}", true }, { "12", "{\"@c:d\":100}", false },
		{ "12", "{\"@c:d\":0}", false },  { "12", "{\"@c2:d\":100}", false },
		{ "12", "{\"@x:d\":100}", true }, { "11", "{\"@c2:d\":100}", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct room *r = room_new(rows[i].version, "{\"additional_creators\":[\"@c2:d\"]}");

		put_member(r, "@c:d", "join");
		ok(allows(r, make(r->id, "m.room.power_levels", "@c:d", "",
				  arena_cstr(A, arena_printf(A, "{\"users\":%s}", rows[i].users)))) == rows[i].allowed,
		   "v%s %s", rows[i].version, rows[i].users);
	}
}

static void power_level_changes(void **state)
{
	/* The sender @s:d has 50, @e:d is its equal, @h:d higher, @l:d lower. */
	static const struct {
		const char *before, *after;
		bool allowed;
		const char *rule;
	} rows[] = {
#define U "\"users\":{\"@s:d\":50,\"@e:d\":50,\"@h:d\":100,\"@l:d\":10}"
		{ "{" U "}", "{" U "}", true, "no change" },
		{ "{" U ",\"ban\":100}", "{" U ",\"ban\":100}", true, "what is above may stay" },
		{ "{" U ",\"ban\":100}", "{" U ",\"ban\":50}", false, "current value higher" },
		{ "{" U ",\"ban\":100}", "{" U "}", false, "removed, current value higher" },
		{ "{" U ",\"ban\":50}", "{" U "}", true, "removed" },
		{ "{" U "}", "{" U ",\"ban\":51}", false, "added, new value higher" },
		{ "{" U "}", "{" U ",\"ban\":50}", true, "added" },
		{ "{" U ",\"kick\":50}", "{" U ",\"kick\":51}", false, "new value higher" },
		{ "{" U ",\"kick\":50}", "{" U ",\"kick\":0}", true, "lowered" },
		{ "{" U "}", "{" U ",\"redact\":51}", false, "redact" },
		{ "{" U "}", "{" U ",\"invite\":51}", false, "invite" },
		{ "{" U "}", "{" U ",\"users_default\":51}", false, "users_default" },
		{ "{" U "}", "{" U ",\"events_default\":51}", false, "events_default" },
		{ "{" U "}", "{" U ",\"state_default\":51}", false, "state_default" },
		{ "{" U ",\"events\":{\"a\":51}}", "{" U ",\"events\":{\"a\":50}}", false,
		  "event, current value greater" },
		{ "{" U ",\"events\":{\"a\":51}}", "{" U ",\"events\":{}}", false,
		  "event removed, current value greater" },
		{ "{" U ",\"events\":{\"a\":51}}", "{" U "}", false, "events removed, current value greater" },
		{ "{" U ",\"events\":{\"a\":51}}", "{" U ",\"events\":{\"a\":51,\"b\":50}}", true, "event beside it" },
		{ "{" U "}", "{" U ",\"events\":{\"a\":51}}", false, "event added above" },
		{ "{" U ",\"events\":{\"a\":1}}", "{" U ",\"events\":{\"a\":51}}", false, "event changed above" },
		{ "{" U ",\"notifications\":{\"room\":51}}", "{" U ",\"notifications\":{\"room\":50}}", false,
		  "notification" },
		{ "{" U "}", "{" U ",\"notifications\":{\"room\":51}}", false, "notification added above" },
		{ "{" U ",\"notifications\":{\"room\":50}}", "{" U "}", true, "notification removed" },
		{ "{" U "}", "{\"users\":{\"@s:d\":50,\"@e:d\":50,\"@h:d\":100,\"@l:d\":50}}", true,
		  "promote to own level" },
		{ "{" U "}", "{\"users\":{\"@s:d\":50,\"@e:d\":50,\"@h:d\":100,\"@l:d\":51}}", false, "promote above" },
		{ "{" U "}", "{\"users\":{\"@s:d\":50,\"@e:d\":50,\"@h:d\":100}}", true, "remove a lower one" },
		{ "{" U "}", "{\"users\":{\"@s:d\":50,\"@e:d\":49,\"@h:d\":100,\"@l:d\":10}}", false,
		  "demote an equal" },
		{ "{" U "}", "{\"users\":{\"@s:d\":50,\"@h:d\":100,\"@l:d\":10}}", false, "remove an equal" },
		{ "{" U "}", "{\"users\":{\"@s:d\":50,\"@e:d\":50,\"@h:d\":50,\"@l:d\":10}}", false,
		  "demote a higher one" },
		{ "{" U "}", "{\"users\":{\"@s:d\":50,\"@e:d\":50,\"@l:d\":10}}", false, "remove a higher one" },
		{ "{" U "}", "{\"users\":{\"@s:d\":10,\"@e:d\":50,\"@h:d\":100,\"@l:d\":10}}", true, "demote oneself" },
		{ "{" U "}", "{\"users\":{\"@e:d\":50,\"@h:d\":100,\"@l:d\":10}}", true, "remove oneself" },
		{ "{" U "}", "{\"users\":{\"@s:d\":51,\"@e:d\":50,\"@h:d\":100,\"@l:d\":10}}", false,
		  "promote oneself" },
		{ "{" U "}", "{" U ",\"custom\":1000}", true, "unknown properties are free" },
		{ "{\"users_default\":50,\"state_default\":50}",
		  "{\"users_default\":50,\"state_default\":50,\"users\":{\"@l:d\":50}}", true, "by users_default" },
		{ "{\"users_default\":50,\"state_default\":50}", "{\"users_default\":51,\"state_default\":50}", false,
		  "by users_default" },
#undef U
	};

	(void)state;
	for (size_t v = 0; room_version_at(v); v++) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			if (!room_version_at(v)->notifications_rule && strstr(rows[i].after, "notifications"))
				continue;
			struct room *r = room_new(arena_cstr(A, room_version_at(v)->id), "{\"creator\":\"@c:d\"}");

			put_member(r, "@s:d", "join");
			put(r, "m.room.power_levels", "@c:d", "", rows[i].before);
			ok(allows(r, make(r->id, "m.room.power_levels", "@s:d", "", rows[i].after)) == rows[i].allowed,
			   "v%.*s: %s -> %s: %s", STR_ARG(r->rv->id), rows[i].before, rows[i].after, rows[i].rule);
		}
	}
	/* A version 12 creator is bound by none of it. */
	struct room *r = room_new("12", "{}");

	put_member(r, "@c:d", "join");
	put(r, "m.room.power_levels", "@c:d", "", "{\"ban\":9007199254740991,\"users\":{\"@h:d\":9007199254740991}}");
	assert_true(allows(r, make(r->id, "m.room.power_levels", "@c:d", "", "{\"ban\":0}")));
	/* Nobody else reaches a creator, whatever their level. */
	put_member(r, "@h:d", "join");
	assert_false(allows(r, make(r->id, "m.room.member", "@h:d", "@c:d", "{\"membership\":\"leave\"}")));
	assert_false(allows(r, make(r->id, "m.room.member", "@h:d", "@c:d", "{\"membership\":\"ban\"}")));
	assert_true(allows(r, make(r->id, "m.room.member", "@c:d", "@h:d", "{\"membership\":\"ban\"}")));
}

/* --- auth_events --- */

static void selection(void **state)
{
	static const struct {
		const char *version, *type, *state_key, *content, *wanted;
	} rows[] = {
		{ "11", "m.room.create", "", "{}", "" },
		{ "12", "m.room.create", "", "{}", "" },
		{ "11", "m.room.message", NULL, "{\"membership\":\"join\"}", "create power_levels member/@s:d" },
		{ "12", "m.room.message", NULL, "{}", "power_levels member/@s:d" },
		{ "12", "m.room.member", "@s:d", "{\"membership\":\"join\"}", "power_levels member/@s:d join_rules" },
		{ "12", "m.room.member", "@t:d", "{\"membership\":\"invite\"}",
		  "power_levels member/@s:d member/@t:d join_rules" },
		{ "12", "m.room.member", "@s:d", "{\"membership\":\"knock\"}", "power_levels member/@s:d join_rules" },
		{ "12", "m.room.member", "@t:d", "{\"membership\":\"leave\"}", "power_levels member/@s:d member/@t:d" },
		{ "10", "m.room.member", "@t:d", "{\"membership\":\"ban\"}",
		  "create power_levels member/@s:d member/@t:d" },
		{ "12", "m.room.member", "@s:d",
		  "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@a:d\"}",
		  "power_levels member/@s:d join_rules member/@a:d" },
		{ "8", "m.room.member", "@s:d",
		  "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@a:d\"}",
		  "create power_levels member/@s:d join_rules member/@a:d" },
		{ "7", "m.room.member", "@s:d",
		  "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@a:d\"}",
		  "create power_levels member/@s:d join_rules" },
		{ "1", "m.room.member", "@s:d", "{\"membership\":\"knock\"}",
		  "create power_levels member/@s:d join_rules" },
		{ "12", "m.room.member", "@s:d",
		  "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@s:d\"}",
		  "power_levels member/@s:d join_rules" },
		{ "12", "m.room.member", "@s:d",
		  "{\"membership\":\"leave\",\"join_authorised_via_users_server\":\"@a:d\"}",
		  "power_levels member/@s:d" },
		{ "11", "m.room.member", "@t:d",
		  "{\"membership\":\"invite\",\"third_party_invite\":{\"signed\":{\"token\":\"k\"}}}",
		  "create power_levels member/@s:d member/@t:d join_rules third_party_invite/k" },
		{ "11", "m.room.member", "@t:d", "{\"membership\":\"invite\",\"third_party_invite\":7}",
		  "create power_levels member/@s:d member/@t:d join_rules" },
		{ "11", "m.room.member", "@s:d",
		  "{\"membership\":\"join\",\"third_party_invite\":{\"signed\":{\"token\":\"k\"}}}",
		  "create power_levels member/@s:d join_rules" },
		{ "11", "m.room.member", NULL, "{\"membership\":\"join\"}",
		  "create power_levels member/@s:d join_rules" },
		{ "11", "m.room.member", "@s:d", "{}", "create power_levels member/@s:d" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct state_key keys[AUTH_LOOKUPS_MAX];
		const struct json *content = parse(rows[i].content);
		const size_t n = auth_keys(rv(rows[i].version), str_c(rows[i].type), str_c(rows[i].state_key),
					   S("@s:d"), content, keys);
		AUTO_BUF got = BUF_INIT(1000);

		for (size_t k = 0; k < n; k++) {
			buf_printf(&got, "%s%.*s", k ? " " : "",
				   STR_ARG(str_from(keys[k].type, sizeof("m.room.") - 1)));
			if (keys[k].state_key.n)
				buf_printf(&got, "/%.*s", STR_ARG(keys[k].state_key));
		}
		assert_str(buf_str(&got), str_c(rows[i].wanted));
		/* What will be asked for: the create event always, but for itself. */
		const size_t m = auth_lookups(rv(rows[i].version), str_c(rows[i].type), str_c(rows[i].state_key),
					      S("@s:d"), content, keys);
		size_t creates = 0;

		for (size_t k = 0; k < m; k++)
			creates += str_eq(keys[k].type, S("m.room.create"));
		assert_int_equal(creates, n > 0);
	}
}

static void auth_events_must_be_those_selected(void **state)
{
	static const struct {
		const char *name, *version;
		int entries[5]; /* indexes into the pool, -1 ends */
		bool allowed;
	} rows[] = {
		{ "all", "11", { 0, 1, 2, -1 }, true },
		{ "any order", "11", { 2, 1, 0, -1 }, true },
		{ "no power levels", "11", { 0, 2, -1 }, true },
		{ "no create", "11", { 1, 2, -1 }, false },
		{ "nothing", "11", { -1 }, false },
		{ "duplicate", "11", { 0, 1, 1, 2, -1 }, false },
		{ "two creates", "11", { 0, 3, 2, -1 }, false },
		{ "another's membership", "11", { 0, 1, 4, -1 }, false },
		{ "join rules are not for messages", "11", { 0, 1, 5, -1 }, false },
		{ "a message", "11", { 0, 6, -1 }, false },
		{ "a rejected one", "11", { 0, 7, 2, -1 }, false },
		{ "of another room", "11", { 0, 8, 2, -1 }, false },
		{ "power levels under another key", "11", { 0, 9, -1 }, false },
		{ "v12", "12", { 1, 2, -1 }, true },
		{ "v12 without any", "12", { -1 }, true },
		{ "v12 with create", "12", { 0, 1, 2, -1 }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct event *pool[] = {
			make("!r:d", "m.room.create", "@c:d", "", "{}"),
			make("!r:d", "m.room.power_levels", "@c:d", "", "{}"),
			make("!r:d", "m.room.member", "@s:d", "@s:d", "{\"membership\":\"join\"}"),
			make("!r:d", "m.room.create", "@c:d", "", "{}"),
			make("!r:d", "m.room.member", "@t:d", "@t:d", "{\"membership\":\"join\"}"),
			make("!r:d", "m.room.join_rules", "@c:d", "", "{}"),
			make("!r:d", "m.room.power_levels", "@c:d", NULL, "{}"),
			make("!r:d", "m.room.power_levels", "@c:d", "", "{}"),
			make("!other:d", "m.room.power_levels", "@c:d", "", "{}"),
			make("!r:d", "m.room.power_levels", "@c:d", "x", "{}"),
		};
		const struct event *entries[5];
		struct event *ev = make("!r:d", "m.room.message", "@s:d", NULL, "{}");
		size_t n = 0;
		const err *e;

		ev->event_id = S("$itself");
		pool[7]->rejected = true;
		while (rows[i].entries[n] >= 0) {
			entries[n] = pool[rows[i].entries[n]];
			n++;
		}
		ev->n_auth_events = n;
		e = auth_check_auth_events(A, rv(rows[i].version), ev, entries, n);
		ok((e == NULL) == rows[i].allowed && (!e || e->code == ERR_FORBIDDEN), "auth_events: %s", rows[i].name);
	}
}

/* --- another implementation's verdicts --- */

static const char *const memberships[] = { "join", "invite", "leave", "ban", "knock" };
static const char *const currents[] = { NULL, "join", "invite", "leave", "ban", "knock" };

static void put_rule(struct room *r, const char *rule)
{
	if (rule)
		put(r, "m.room.join_rules", "@c:d", "", arena_cstr(A, arena_printf(A, "{\"join_rule\":\"%s\"}", rule)));
}

static const struct json *vectors(void) { return parse(arena_cstr(A, slurp("tests/vectors/auth.json"))); }

/* Versions of the same verdicts share them. */
static str verdicts_of(const struct json *groups, const struct room_version *version)
{
	JSON_ITEMS (groups, i) {
		const struct json *group = groups->array.items[i], *range = json_get(group, S("versions"));

		if (version->number >= range->array.items[0]->i && version->number <= range->array.items[1]->i)
			return json_get_str(group, S("verdicts"));
	}
	fail_msg("no verdicts for version %u", version->number);
	return STR_NONE;
}

static size_t own_change(const char *version, str verdicts, size_t at, const char *now, const char *current)
{
	static const char *const rules[] = { NULL,         "public",           "invite", "knock",
					     "restricted", "knock_restricted", "private" };
	static const char *const authorisers[] = { "none", "joined", "left", "weak" };

	for (size_t j = 0; j < ARRAY_LEN(rules); j++)
		for (size_t k = 0; k < ARRAY_LEN(authorisers); k++)
			for (int level = 0; level <= 100; level += 100, at++) {
				struct room *r = room_new(version, "{\"creator\":\"@c:d\"}");
				const bool weak = k == 3;

				put_member(r, "@a:d", current);
				put_member(r, "@b:d", k == 2 ? "leave" : "join");
				put(r, "m.room.power_levels", "@c:d", "",
				    arena_cstr(A, arena_printf(A, "{\"users\":{\"@a:d\":%d,\"@b:d\":%d},\"invite\":50}",
							       level, weak ? 49 : 50)));
				put_rule(r, rules[j]);
				const str content =
					arena_printf(A, "{\"membership\":\"%s\"%s}", now,
						     k == 0 ? "" : ",\"join_authorised_via_users_server\":\"@b:d\"");

				ok(allows(r, make(r->id, "m.room.member", "@a:d", "@a:d", arena_cstr(A, content))) ==
					   (verdicts.p[at] == '1'),
				   "v%s: %s > %s, rule %s, authoriser %s, level %d", version,
				   current ? current : "none", now, rules[j] ? rules[j] : "none", authorisers[k],
				   level);
			}
	return at;
}

static void every_change_of_ones_own_membership(void **state)
{
	const struct json *groups = json_get_array(vectors(), S("self"));

	(void)state;
	for (size_t v = 0; room_version_at(v); v++) {
		const str verdicts = verdicts_of(groups, room_version_at(v));
		size_t at = 0;

		for (size_t i = 0; i < ARRAY_LEN(memberships); i++)
			for (size_t j = 0; j < ARRAY_LEN(currents); j++)
				at = own_change(arena_cstr(A, room_version_at(v)->id), verdicts, at, memberships[i],
						currents[j]);
		assert_int_equal(at, verdicts.n);
	}
}

static size_t others_change(const char *version, str verdicts, size_t at, const char *now, const char *own,
			    const char *current)
{
	for (int target = 49; target <= 51; target++)
		for (int need = 50; need <= 51; need++)
			for (int rule = 0; rule < 2; rule++, at++) {
				struct room *r = room_new(version, "{\"creator\":\"@c:d\"}");

				put_member(r, "@a:d", own);
				put_member(r, "@b:d", current);
				put(r, "m.room.power_levels", "@c:d", "",
				    arena_cstr(A, arena_printf(A,
							       "{\"users\":{\"@a:d\":50,\"@b:d\":%d},\"invite\":%d,"
							       "\"kick\":%d,\"ban\":%d}",
							       target, need, need, need)));
				put_rule(r, rule ? "invite" : "public");
				const str content = arena_printf(A, "{\"membership\":\"%s\"}", now);

				ok(allows(r, make(r->id, "m.room.member", "@a:d", "@b:d", arena_cstr(A, content))) ==
					   (verdicts.p[at] == '1'),
				   "v%s: %s > %s by %s, level %d, needed %d", version, current ? current : "none", now,
				   own ? own : "none", target, need);
			}
	return at;
}

static void every_change_of_anothers_membership(void **state)
{
	const struct json *groups = json_get_array(vectors(), S("other"));

	(void)state;
	for (size_t v = 0; room_version_at(v); v++) {
		const str verdicts = verdicts_of(groups, room_version_at(v));
		size_t at = 0;

		for (size_t i = 0; i < ARRAY_LEN(memberships); i++)
			for (size_t j = 0; j < ARRAY_LEN(currents); j++)
				for (size_t k = 0; k < ARRAY_LEN(currents); k++)
					at = others_change(arena_cstr(A, room_version_at(v)->id), verdicts, at,
							   memberships[i], currents[j], currents[k]);
		assert_int_equal(at, verdicts.n);
	}
}

static struct event *from_vector(const struct room *r, const struct json *e)
{
	static const str prevs[2][2] = { { STR("$other"), STR("$other") }, { STR("$C"), STR("$other") } };
	const struct json *signers = json_get(e, S("signed")), *prev = json_get(e, S("prev"));
	struct event *ev = make(r->id, "", "", NULL, "{}");
	struct json *signatures = json_new_object(A), *json = json_new_object(A);

	ev->type = json_get_str(e, S("type"));
	ev->sender = json_get_str(e, S("sender"));
	ev->state_key = json_get_str(e, S("state_key"));
	ev->content = json_get(e, S("content"));
	ev->redacts = json_get_str(e, S("redacts"));
	if (json_get(e, S("event_id")))
		ev->event_id = json_get_str(e, S("event_id"));
	JSON_ITEMS (signers, i)
		json_set(A, signatures, json_str(signers->array.items[i]), parse("{\"ed25519:1\":\"x\"}"));
	json_set(A, json, S("signatures"), signatures);
	ev->json = json;
	ev->n_prev_events = prev->array.n;
	ev->prev_events = prevs[prev->array.n && str_eq(json_str(prev->array.items[0]), S("create"))];
	return ev;
}

static void rooms_made_at_random(void **state)
{
	const struct json *cases = json_get_array(vectors(), S("cases"));

	(void)state;
	assert_true(cases->array.n >= 500);
	JSON_ITEMS (cases, i) {
		const struct json *c = cases->array.items[i], *items = json_get(c, S("state"));
		struct room *r =
			room_new(arena_cstr(A, json_get_str(c, S("v"))), arena_cstr(A, json_get(c, S("create"))->raw));

		JSON_ITEMS (items, k) {
			struct json *const *s = items->array.items[k]->array.items;

			put(r, arena_cstr(A, s[0]->s), arena_cstr(A, s[1]->s), arena_cstr(A, s[2]->s),
			    arena_cstr(A, s[3]->raw));
		}
		ok(allows(r, from_vector(r, json_get(c, S("event")))) == json_get_bool(c, S("allowed"), false), "%.*s",
		   STR_ARG(c->raw));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(create_events),
		TEST(nothing_goes_without_its_create_event),
		TEST(unfederated_rooms),
		TEST(malformed_members),
		TEST(the_creators_first_join),
		TEST(restricted_joins),
		TEST(third_party_invites),
		TEST(third_party_invites_cost_little),
		TEST(sending),
		TEST(power_level_forms),
		TEST(creators_have_no_power_level),
		TEST(power_level_changes),
		TEST(selection),
		TEST(auth_events_must_be_those_selected),
		TEST(every_change_of_ones_own_membership),
		TEST(every_change_of_anothers_membership),
		TEST(rooms_made_at_random),
	};

	return cmocka_run_group_tests_name("matrix/auth", tests, NULL, NULL);
}
