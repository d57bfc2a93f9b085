/* test_admit.c - users of other servers join, knock and leave through this one. */
#include "admitted.h"
#include "forge.h"

#include "room/admit/internal_admit.h"
#include "room/server_acl.h"
#include "user/user.h"

static const char *const versions[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12" };

static str room_with(struct admitted *t, const char *version, const char *more)
{
	const str body = arena_printf(t->w->a, "{'room_version':'%s'%s}", version, more);

	return make_room(t->w, who(t->w, "alice"), body.p);
}
#define PUBLIC ",'preset':'public_chat'"

static str text_of(const struct json *j, const char *key) { return json_get_str(j, str_c(key)); }

static void who_may_enter_does(struct admitted *t)
{
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str id = room_with(t, versions[i], PUBLIC);
		const struct room_version *rv = version_of(t, id);
		const struct json *template, *event;
		const struct event *first, *again;
		str event_id;

		good(try_make(t, id, "zoe", MEMBER_JOIN, &template));
		same_str(text_of(template, "type"), S("m.room.member"));
		same_str(text_of(template, "room_id"), id);
		same_str(text_of(template, "sender"), S("@zoe:far"));
		same_str(text_of(template, "state_key"), S("@zoe:far"));
		ok(!json_get(template, S("signatures")) && !json_get(template, S("hashes")) &&
			   !json_get(template, S("event_id")),
		   "the other server's to say");
		event = completed(t, rv, template, &t->far);
		event_id = id_of_event(t, rv, event);
		say(w, who(w, "alice"), id, "the room moves on meanwhile");
		good(try_send_as(t, "far", id, event_id, MEMBER_JOIN, event, &first));
		assert_int_equal(far_is(w, id, "zoe"), MEMBER_JOIN);
		/* The answer was lost: it is given again, and nothing else happens. */
		good(try_send_as(t, "far", id, event_id, MEMBER_JOIN, event, &again));
		same_str(again->bytes, first->bytes);
		assert_int_equal(again->nid, first->nid);
		say(w, who(w, "alice"), id, "and goes on");
		assert_int_equal(n_extremities(w, id), 1);

		good(try_pass(t, id, "zoe", MEMBER_LEAVE, &first));
		assert_int_equal(far_is(w, id, "zoe"), MEMBER_LEAVE);
	}
}
ADMITTED(who_may_enter_does)

/* The others hear of it from us: not the server that sent it, which has it. */
static void the_room_hears_of_it(struct admitted *t)
{
	const str id = room_with(t, "11", PUBLIC);
	const struct event *joined, *first;

	good(try_pass(t, id, "zoe", MEMBER_JOIN, &first));
	{
		const struct room_version *rv = version_of(t, id);
		const struct json *template, *event;

		good(try_make_of(t, "other", id, S("@oz:other"), MEMBER_JOIN, &template));
		event = completed(t, rv, template, &t->other);
		good(try_send_as(t, "other", id, id_of_event(t, rv, event), MEMBER_JOIN, event, &joined));
	}
	ok(event_row(t->w, joined->event_id)->flags & EVENT_TO_SEND, "another server is in the room");
}
ADMITTED(the_room_hears_of_it)

static void asking_is_refused(struct admitted *t)
{
	struct world *w = t->w;
	const struct actor alice = who(w, "alice");
	const str open = room_with(t, "11", PUBLIC), closed = room_with(t, "11", ""), left = room_with(t, "11", PUBLIC),
		  walled = room_with(t, "11", PUBLIC), banned = room_with(t, "11", PUBLIC);
	const struct {
		const char *what;
		str room, user;
		enum membership to;
		enum err_code want;
	} cases[] = {
		{ "a user of another server", open, S("@oz:other"), MEMBER_JOIN, ERR_FORBIDDEN },
		{ "no user", open, S("far"), MEMBER_JOIN, ERR_FORBIDDEN },
		{ "a room that nobody knows", S("!no:test"), S("@zoe:far"), MEMBER_JOIN, ERR_NOT_FOUND },
		{ "a room that we have left", left, S("@zoe:far"), MEMBER_JOIN, ERR_NOT_FOUND },
		{ "by invitation only", closed, S("@zoe:far"), MEMBER_JOIN, ERR_FORBIDDEN },
		{ "no knocking", closed, S("@zoe:far"), MEMBER_KNOCK, ERR_FORBIDDEN },
		{ "who is not in does not leave", open, S("@zoe:far"), MEMBER_LEAVE, ERR_FORBIDDEN },
		{ "the ACL", walled, S("@zoe:far"), MEMBER_JOIN, ERR_FORBIDDEN },
		{ "who is banned", banned, S("@zoe:far"), MEMBER_JOIN, ERR_FORBIDDEN },
	};
	const struct json *template;

	good(member(w, room_leave, alice, left, NULL));
	set_state(w, alice, walled, "m.room.server_acl", "", "{'allow':['*'],'deny':['far']}");
	good(room_ban(w->rs, w->a, &(struct member_cmd){ .by = alice, .room_id = banned, .target = S("@zoe:far") }));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const err *e = try_make_of(t, "far", cases[i].room, cases[i].user, cases[i].to, &template);

		ok(e && e->code == cases[i].want, "%s: %s", cases[i].what, e ? err_errcode(e->code) : "let in");
	}
}
ADMITTED(asking_is_refused)

static void versions_must_fit(struct admitted *t)
{
	static const str known[] = { STR("1"), STR("10") };
	struct admit_make cmd = { S("far"), room_with(t, "11", PUBLIC), S("@zoe:far"), MEMBER_JOIN, known, 2 };
	const struct room_version *rv;
	const struct json *template;
	const err *e = admit_make(t->ad, t->w->a, &cmd, &rv, &template);

	ok(e && e->code == ERR_INCOMPATIBLE_ROOM_VERSION, "it cannot take part");
	same_str(e->extra, S("\"room_version\":\"11\""));
	cmd.versions = NULL;
	good(admit_make(t->ad, t->w->a, &cmd, &rv, &template));
	same_str(rv->id, S("11"));
}
ADMITTED(versions_must_fit)

/*
 * What is sent
 */
static struct json *with(struct arena *a, const struct json *event, const char *key, const char *value)
{
	struct json *copy = json_copy(a, event);

	json_set(a, copy, str_c(key), js(a, value));
	return copy;
}

static void what_is_no_such_join_is_refused(struct admitted *t)
{
	enum { AS_IT_IS, UNSEALED, BY_OTHER };
	static const struct {
		const char *what, *key, *value; /* a member of the event is another */
		int how;
		enum err_code want;
	} cases[] = {
		{ "nothing is changed", NULL, NULL, AS_IT_IS, ERR_NONE },
		{ "another room", "room_id", "'!x:test'", AS_IT_IS, ERR_INVALID_PARAM },
		{ "another type", "type", "'m.room.topic'", AS_IT_IS, ERR_INVALID_PARAM },
		{ "a leave", "content", "{'membership':'leave'}", AS_IT_IS, ERR_INVALID_PARAM },
		{ "no membership", "content", "{}", AS_IT_IS, ERR_INVALID_PARAM },
		{ "by another server's user", "sender", "'@oz:other'", AS_IT_IS, ERR_INVALID_PARAM },
		{ "about another user", "state_key", "'@zac:far'", AS_IT_IS, ERR_INVALID_PARAM },
		{ "not signed at all", "signatures", "{}", UNSEALED, ERR_INVALID_PARAM },
		{ "signed by another", NULL, NULL, BY_OTHER, ERR_INVALID_PARAM },
		{ "changed afterwards", "content", "{'membership':'join','displayname':'x'}", UNSEALED,
		  ERR_INVALID_PARAM },
		{ "upon what nobody knows", "prev_events", "['$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']", AS_IT_IS,
		  ERR_NOT_FOUND },
		{ "authorised by nothing", "auth_events", "[]", AS_IT_IS, ERR_FORBIDDEN },
		{ "without form", "depth", "'x'", UNSEALED, ERR_BAD_JSON },
		{ "not of JSON's canonical form", "content", "{'membership':'join','x':1.1}", UNSEALED, ERR_BAD_JSON },
	};
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const str id = room_with(t, "11", PUBLIC);
		const struct room_version *rv = version_of(t, id);
		const struct json *template, *event;
		struct event *parsed = NULL;
		const struct event *out;
		const err *e;

		good(try_make(t, id, "zoe", MEMBER_JOIN, &template));
		event = completed(t, rv, template, cases[i].how == BY_OTHER ? &t->other : &t->far);
		if (cases[i].key)
			event = with(w->a, event, cases[i].key, cases[i].value);
		if (cases[i].key && cases[i].how != UNSEALED)
			event = sealed(t, rv, event, &t->far);
		if (event_parse_json(w->a, rv, event, &parsed))
			parsed = NULL;
		e = try_send_as(t, "far", id, parsed ? parsed->event_id : S("$x"), MEMBER_JOIN, event, &out);
		ok((e ? e->code : ERR_NONE) == cases[i].want, "%s: %s: %.*s", cases[i].what,
		   e ? err_errcode(e->code) : "taken", e ? (int)e->msg.n : 0, e ? e->msg.p : "");
		ok(far_is(w, id, "zoe") == (cases[i].want ? MEMBER_NONE : MEMBER_JOIN), "%s", cases[i].what);
		ok(!cases[i].want || !parsed || !event_row(w, parsed->event_id), "%s: nothing is kept", cases[i].what);
		say(w, who(w, "alice"), id, "the room lives on");
	}
}
ADMITTED(what_is_no_such_join_is_refused)

static void the_path_names_the_event(struct admitted *t)
{
	const str id = room_with(t, "11", PUBLIC), other = room_with(t, "11", PUBLIC);
	const struct room_version *rv = version_of(t, id);
	const struct json *template, *event;
	const struct event *out;

	good(try_make(t, id, "zoe", MEMBER_JOIN, &template));
	event = completed(t, rv, template, &t->far);
	fails_with(try_send_as(t, "far", id, S("$x"), MEMBER_JOIN, event, &out), ERR_INVALID_PARAM);
	fails_with(try_send_as(t, "far", other, id_of_event(t, rv, event), MEMBER_JOIN, event, &out),
		   ERR_INVALID_PARAM);
	fails_with(try_send_as(t, "far", S("!no:test"), id_of_event(t, rv, event), MEMBER_JOIN, event, &out),
		   ERR_NOT_FOUND);
	fails_with(try_send_as(t, "other", id, id_of_event(t, rv, event), MEMBER_JOIN, event, &out), ERR_INVALID_PARAM);
	fails_with(try_send_as(t, "far", id, id_of_event(t, rv, event), MEMBER_LEAVE, event, &out), ERR_INVALID_PARAM);
}
ADMITTED(the_path_names_the_event)

/* Between the template and the event the room says something else: by the event's own prev_events it is good, by the
 * room as it is now it is not. */
static void what_the_room_forbids_by_now_is_refused(struct admitted *t)
{
	struct world *w = t->w;
	const struct actor alice = who(w, "alice");
	const str id = room_with(t, "11", PUBLIC);
	const struct room_version *rv = version_of(t, id);
	const struct json *template, *event;
	const struct event *out;

	good(try_make(t, id, "zoe", MEMBER_JOIN, &template));
	event = completed(t, rv, template, &t->far);
	good(room_ban(w->rs, w->a, &(struct member_cmd){ .by = alice, .room_id = id, .target = S("@zoe:far") }));
	fails_with(try_send_as(t, "far", id, id_of_event(t, rv, event), MEMBER_JOIN, event, &out), ERR_FORBIDDEN);
	assert_int_equal(far_is(w, id, "zoe"), MEMBER_BAN);
	assert_null(event_row(w, id_of_event(t, rv, event)));
	/* The list of servers moves on just as well. */
	set_state(w, alice, id, "m.room.server_acl", "", "{'allow':['test']}");
	fails_with(try_send_as(t, "far", id, id_of_event(t, rv, event), MEMBER_JOIN, event, &out), ERR_FORBIDDEN);
}
ADMITTED(what_the_room_forbids_by_now_is_refused)

/*
 * Restricted rooms
 */
static str restricted(struct admitted *t, const char *version, str space)
{
	const str id = room_with(t, version, "");

	set_state(t->w, who(t->w, "alice"), id, "m.room.join_rules", "",
		  arena_printf(t->w->a,
			       "{'join_rule':'restricted','allow':[{'type':'x.unknown'},"
			       "{'type':'m.room_membership','room_id':'%.*s'}]}",
			       STR_ARG(space))
			  .p);
	return id;
}

static void restricted_joins_are_vouched_for(struct admitted *t)
{
	static const char *const with_rule[] = { "8", "9", "10", "11", "12" };
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(with_rule); i++) {
		const str space = room_with(t, "11", PUBLIC), id = restricted(t, with_rule[i], space);
		const struct room_version *rv = version_of(t, id);
		const struct json *template, *event;
		const struct event *out;

		fails_with(try_make(t, id, "zoe", MEMBER_JOIN, &template), ERR_FORBIDDEN);
		good(try_pass(t, space, "zoe", MEMBER_JOIN, &out));
		good(try_make(t, id, "zoe", MEMBER_JOIN, &template));
		same_str(text_of(json_get(template, S("content")), "join_authorised_via_users_server"),
			 S("@alice:test"));
		event = completed(t, rv, template, &t->far);
		good(try_send_as(t, "far", id, id_of_event(t, rv, event), MEMBER_JOIN, event, &out));
		assert_true(event_verify(w->a, rv, out, S("test"), S("ed25519:1"), w->key.public_key));
		assert_true(event_verify(w->a, rv, out, S("far"), S("ed25519:far"), t->far.key.public_key));
		assert_int_equal(far_is(w, id, "zoe"), MEMBER_JOIN);
	}
}
ADMITTED(restricted_joins_are_vouched_for)

static void nobody_vouches_for_who_is_outside(struct admitted *t)
{
	struct world *w = t->w;
	const struct actor alice = who(w, "alice");
	const str space = room_with(t, "11", PUBLIC), id = restricted(t, "11", space);
	const struct room_version *rv = version_of(t, id);
	const struct json *template, *event;
	const struct event *out;

	/* They left between the two requests. */
	good(try_pass(t, space, "zoe", MEMBER_JOIN, &out));
	good(try_make(t, id, "zoe", MEMBER_JOIN, &template));
	good(try_pass(t, space, "zoe", MEMBER_LEAVE, &out));
	event = completed(t, rv, template, &t->far);
	fails_with(try_send_as(t, "far", id, id_of_event(t, rv, event), MEMBER_JOIN, event, &out), ERR_FORBIDDEN);
	assert_null(event_row(w, id_of_event(t, rv, event)));
	/* Their server names who vouches by itself. */
	json_set(w->a, (struct json *)(template = json_copy(w->a, template)), S("content"),
		 js(w->a, "{'membership':'join','join_authorised_via_users_server':'@oz:other'}"));
	event = completed(t, rv, template, &t->far);
	fails_with(try_send_as(t, "far", id, id_of_event(t, rv, event), MEMBER_JOIN, event, &out), ERR_INVALID_PARAM);
	/* An invitation needs nobody. */
	{
		struct forge f = forge_for(w, id, "11");
		const str last = say(w, alice, id, "x");

		put(w, forge(&f, "alice", "m.room.member", "@zoe:far", "{'membership':'invite'}", &last, 1));
	}
	good(try_pass(t, id, "zoe", MEMBER_JOIN, &out));
	ok(!json_get(out->content, S("join_authorised_via_users_server")), "nobody vouches");
}
ADMITTED(nobody_vouches_for_who_is_outside)

/* Who vouches is the asker's to say, and so is whose key we have to ask for. */
static void few_wait_for_keys(struct admitted *t)
{
	static const struct waiting_bounds all = { 0, 6, 6 };
	struct world *w = t->w;
	const str id = restricted(t, "11", room_with(t, "11", PUBLIC));
	const struct room_version *rv = version_of(t, id);
	const struct host dead = { .name = S("dead"), .key_id = S("ed25519:dead"), .key = t->other.key };
	const struct signer signer = signer_of(&dead);
	const struct json *template;
	const struct event *out;
	struct json *event;
	struct event *ev;
	size_t place[2];

	set_state(w, who(w, "alice"), id, "m.room.join_rules", "", "{'join_rule':'public'}");
	good(try_make(t, id, "zoe", MEMBER_JOIN, &template));
	json_set(w->a, (struct json *)(template = json_copy(w->a, template)), S("content"),
		 js(w->a, "{'membership':'join','join_authorised_via_users_server':'@x:dead'}"));
	event = completed(t, rv, template, &t->far);
	good(event_parse_json(w->a, rv, event, &ev));
	good(event_sign(w->a, rv, ev, &signer, &ev));
	event = json_copy(w->a, ev->json);
	for (size_t i = 0; i < ARRAY_LEN(place); i++)
		assert_true(waiting_begin(&t->ad->waiting, &all, S("far"), &place[i]));
	fails_with(try_send_as(t, "far", id, ev->event_id, MEMBER_JOIN, event, &out), ERR_BUSY);
	good(try_pass(t, id, "zoe", MEMBER_JOIN, &out)); /* whose keys are known wait for nobody */
	for (size_t i = 0; i < ARRAY_LEN(place); i++)
		waiting_end(&t->ad->waiting, place[i]);
}
ADMITTED(few_wait_for_keys)

/* Anybody may say that an address is bound, and name the servers that are then asked. */
static void few_look_at_who_was_bound(struct admitted *t)
{
	static const struct waiting_bounds all = { ADMIT_KEYS_PLACES, WAITING_PLACES, WAITING_PLACES };
	const struct json *none = js(t->w->a, "{'l':[]}");
	size_t place[2];
	str alice = S("@alice:test");
	bool exists;

	none = json_get_array(none, S("l"));
	good(users_exists(t->n.us, t->w->a, alice, &exists));
	if (!exists)
		good(users_add(t->n.us, t->w->a, S("alice"), STR_NONE, false, &alice));
	for (size_t i = 0; i < ARRAY_LEN(place); i++)
		assert_true(waiting_begin(&t->ad->waiting, &all, S("@alice:test"), &place[i]));
	fails_with(admit_bound(t->ad, t->w->a, S("@alice:test"), none), ERR_BUSY);
	good(admit_bound(t->ad, t->w->a, S("@bob:test"), none));
	good(admit_bound(t->ad, t->w->a, S("@nobody:test"), none)); /* nobody is told who has an account */
	fails_with(admit_bound(t->ad, t->w->a, S("@alice:elsewhere"), none), ERR_INVALID_PARAM);
	waiting_end(&t->ad->waiting, place[0]);
	good(admit_bound(t->ad, t->w->a, S("@alice:test"), none));
	waiting_end(&t->ad->waiting, place[1]);
}
ADMITTED(few_look_at_who_was_bound)

static void what_cannot_be_said_is_for_another_server(struct admitted *t)
{
	struct world *w = t->w;
	const struct actor alice = who(w, "alice");
	const str space = room_with(t, "11", PUBLIC), left = room_with(t, "11", PUBLIC),
		  nowhere = restricted(t, "11", S("!nowhere:far")), behind = restricted(t, "11", left),
		  id = restricted(t, "11", space);
	const struct json *template;
	const struct event *out;

	/* Not in the room that the rule names: we do not know who is. */
	fails_with(try_make(t, nowhere, "zoe", MEMBER_JOIN, &template), ERR_UNABLE_TO_AUTHORISE_JOIN);
	good(try_pass(t, left, "zoe", MEMBER_JOIN, &out));
	good(member(w, room_leave, alice, left, NULL));
	fails_with(try_make(t, behind, "zoe", MEMBER_JOIN, &template), ERR_UNABLE_TO_AUTHORISE_JOIN);
	/* Nobody of ours may invite. */
	good(try_pass(t, space, "zoe", MEMBER_JOIN, &out));
	set_state(w, alice, id, "m.room.power_levels", "", "{'users':{'@alice:test':50},'invite':60}");
	fails_with(try_make(t, id, "zoe", MEMBER_JOIN, &template), ERR_UNABLE_TO_GRANT_JOIN);
}
ADMITTED(what_cannot_be_said_is_for_another_server)

/*
 * Knocking
 */
static void who_knocks_is_shown_the_room(struct admitted *t)
{
	static const char *const with_rule[] = { "7", "10", "12" };
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(with_rule); i++) {
		const str id = room_with(t, with_rule[i], ",'name':'Salon'");
		const struct room_version *rv = version_of(t, id);
		const struct event *const *events;
		const struct event *out;
		struct json *state;
		bool named = false;
		size_t n;
		str text;

		set_state(w, who(w, "alice"), id, "m.room.join_rules", "", "{'join_rule':'knock'}");
		good(try_pass(t, id, "zoe", MEMBER_KNOCK, &out));
		assert_int_equal(far_is(w, id, "zoe"), MEMBER_KNOCK);
		good(admit_knock_state(t->ad, w->a, id, S("@zoe:far"), &text));
		good(json_parse(w->a, text, &json_limits_request, &state));
		/* As the other side reads it: all of them events of the room, m.room.create among them. */
		good(stripped_read(w->a, rv, id, state, true, &events, &n));
		for (size_t k = 0; k < n; k++)
			named |= event_is(events[k], S("m.room.name"), S(""));
		assert_true(named);
		good(try_pass(t, id, "zoe", MEMBER_LEAVE, &out));
		assert_int_equal(far_is(w, id, "zoe"), MEMBER_LEAVE);
	}
}
ADMITTED(who_knocks_is_shown_the_room)

/* The old event, sent again, is part of the room and harms nobody; but it is no ticket to look in for ever. */
static void an_old_knock_shows_nothing_to_who_was_shut_out(struct admitted *t)
{
	static world_door *const doors[] = { room_ban, room_kick, NULL }; /* NULL: zoe gives up */
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
		const str id = room_with(t, "11", ",'name':'Salon'");
		const struct member_cmd out_with_zoe = { .by = who(w, "alice"),
							 .room_id = id,
							 .target = S("@zoe:far") };
		const struct event *out;
		str text;

		set_state(w, who(w, "alice"), id, "m.room.join_rules", "", "{'join_rule':'knock'}");
		good(try_pass(t, id, "zoe", MEMBER_KNOCK, &out));
		if (doors[i])
			good(doors[i](w->rs, w->a, &out_with_zoe));
		else
			good(try_pass(t, id, "zoe", MEMBER_LEAVE, &out));
		fails_with(admit_knock_state(t->ad, w->a, id, S("@zoe:far"), &text), ERR_FORBIDDEN);
	}
}
ADMITTED(an_old_knock_shows_nothing_to_who_was_shut_out)

TEST_MAIN(ADMITTED_TESTS(who_may_enter_does), ADMITTED_TESTS(the_room_hears_of_it), ADMITTED_TESTS(asking_is_refused),
	  ADMITTED_TESTS(versions_must_fit), ADMITTED_TESTS(what_is_no_such_join_is_refused),
	  ADMITTED_TESTS(the_path_names_the_event), ADMITTED_TESTS(what_the_room_forbids_by_now_is_refused),
	  ADMITTED_TESTS(restricted_joins_are_vouched_for), ADMITTED_TESTS(nobody_vouches_for_who_is_outside),
	  ADMITTED_TESTS(few_wait_for_keys), ADMITTED_TESTS(few_look_at_who_was_bound),
	  ADMITTED_TESTS(what_cannot_be_said_is_for_another_server), ADMITTED_TESTS(who_knocks_is_shown_the_room),
	  ADMITTED_TESTS(an_old_knock_shows_nothing_to_who_was_shut_out))
