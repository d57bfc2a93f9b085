/* test_create.c - createRoom: every option, in every version, and what is refused. */
#include "world.h"

#include "base/clock.h"

/* The types of a room's events in the order they were shown. */
static str types_of(struct world *w, str room_id)
{
	struct event_row **rows;
	AUTO_BUF b = BUF_INIT(10000);
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(w->b->st, w->a, &tx));
	good(store_events_by_stream(tx, room_nid(w, room_id), 0, INT64_MAX, false, 1000, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		str type;

		good(store_intern_text(w->b->st, w->a, rows[i]->type, &type));
		assert_true(str_starts(type, S("m.room.")));
		buf_printf(&b, "%s%.*s", i ? " " : "", STR_ARG(str_from(type, 7)));
		ok(i == 0 || rows[i]->timeline > rows[i - 1]->timeline, "timeline follows stream");
	}
	return arena_keep(w->a, buf_str(&b));
}

static void the_order_is_the_specifications(struct world *w)
{
	const struct actor alice = who(w, "alice");

	same_str(types_of(w, make_room(w, alice, "{}")),
		 S("create member power_levels join_rules history_visibility guest_access"));
	same_str(
		types_of(w, make_room(w, alice,
				      "{'room_alias_name':'pub','name':'Pub','topic':'Beer','invite':['@bob:test'],"
				      "'initial_state':[{'type':'m.room.encryption','content':{'algorithm':'x'}}]}")),
		S("create member power_levels canonical_alias join_rules history_visibility guest_access encryption name "
		  "topic member"));
}
WORLD(the_order_is_the_specifications)

static const struct {
	const char *body, *join_rule, *history;
	const char *guests; /* NULL: no event says so, which forbids them */
	bool published;
} presets[] = {
	{ "{}", "invite", "shared", "can_join", false },
	{ "{'visibility':'private'}", "invite", "shared", "can_join", false },
	{ "{'visibility':'public'}", "public", "shared", NULL, true },
	{ "{'preset':'public_chat'}", "public", "shared", NULL, false },
	{ "{'preset':'trusted_private_chat','visibility':'public'}", "invite", "shared", "can_join", true },
	{ "{'initial_state':[{'type':'m.room.history_visibility','state_key':'',"
	  "'content':{'history_visibility':'joined'}}]}",
	  "invite", "joined", "can_join", false },
};

static void presets_decide_what_is_not_said(struct world *w)
{
	const struct actor alice = who(w, "alice");

	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		const str id = make_room(w, alice, presets[i].body);
		bool published;

		same_str(json_get_str(content_of(w, current(w, id, "m.room.join_rules", "")), S("join_rule")),
			 str_c(presets[i].join_rule));
		same_str(json_get_str(content_of(w, current(w, id, "m.room.history_visibility", "")),
				      S("history_visibility")),
			 str_c(presets[i].history));
		if (presets[i].guests)
			same_str(json_get_str(content_of(w, current(w, id, "m.room.guest_access", "")),
					      S("guest_access")),
				 str_c(presets[i].guests));
		else
			ok(!current(w, id, "m.room.guest_access", ""), "%s", presets[i].body);
		good(room_published(w->rs, w->a, id, &published));
		ok(published == presets[i].published, "%s", presets[i].body);
	}
}
WORLD(presets_decide_what_is_not_said)

static int64_t level(const struct json *levels, const char *object, const char *key)
{
	int64_t v = -1;

	json_get_int(json_get(levels, str_c(object)), str_c(key), &v);
	return v;
}

static void versions_differ_as_they_should(struct world *w)
{
	const struct actor alice = who(w, "alice");
	static const char *const versions[] = { "10", "11", "12" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str body =
			arena_printf(w->a,
				     "{'room_version':'%s','preset':'trusted_private_chat','invite':['@bob:test'],"
				     "'creation_content':{'room_version':'9','creator':'@x:y','m.federate':false}}",
				     versions[i]);
		const str id = make_room(w, alice, body.p);
		const bool v12 = i == 2;
		const struct event_row *create = current(w, id, "m.room.create", "");
		const struct json *content = content_of(w, create),
				  *levels = content_of(w, current(w, id, "m.room.power_levels", "")),
				  *creators = json_get_array(content, S("additional_creators"));

		same_str(json_get_str(content, S("room_version")), str_c(versions[i]));
		same_str(json_get_str(content, S("creator")), i == 0 ? alice.user_id : STR_NONE);
		ok(!json_get_bool(content, S("m.federate"), true), "creation_content is kept");
		ok(v12 == str_eq(str_from(id, 1), str_from(create->event_id, 1)), "the id is the hash, from 12 on");
		assert_int_equal(level(levels, "users", "@alice:test"), v12 ? -1 : 100);
		assert_int_equal(level(levels, "users", "@bob:test"), v12 ? -1 : 100);
		assert_int_equal(level(levels, "events", "m.room.tombstone"), v12 ? 150 : 100);
		assert_int_equal(creators ? creators->array.n : 0, v12 ? 1 : 0);
		assert_int_equal(membership_now(w, id, "bob"), MEMBER_INVITE);
		/* It is a room to go on in. */
		good(join(w, who(w, "bob"), id));
		say(w, who(w, "bob"), id, "hello");
	}
}
WORLD(versions_differ_as_they_should)

static void overrides_lie_over_the_levels(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{'power_level_content_override':{'events_default':7,'users':{}}}");
	const struct json *levels = content_of(w, current(w, id, "m.room.power_levels", ""));
	int64_t v;

	assert_true(json_get_int(levels, S("events_default"), &v));
	assert_int_equal(v, 7);
	assert_true(json_get_int(levels, S("ban"), &v));
	assert_int_equal(v, 50);
}
WORLD(overrides_lie_over_the_levels)

static void invitations_say_that_they_are_direct(struct world *w)
{
	const str id =
		make_room(w, who(w, "alice"), "{'is_direct':true,'invite':['@bob:test','@bob:test'],'name':'Two'}");
	const struct member_row *bob = membership_row(w, id, "bob");

	ok(json_get_bool(content_of(w, current(w, id, "m.room.member", "@bob:test")), S("is_direct"), false),
	   "is_direct");
	ok(str_contains(bob->stripped, S("\"Two\"")), "the stripped state names the room");
	ok(str_contains(bob->stripped, S("m.room.create")), "and has the create event");
	ok(str_contains(bob->stripped, S("\"state_key\":\"@bob:test\"")), "and the invitation itself");
}
WORLD(invitations_say_that_they_are_direct)

static const struct {
	const char *body;
	enum err_code code;
} refused[] = {
	{ "{'room_version':1}", ERR_BAD_JSON },
	{ "{'room_version':'cake'}", ERR_UNSUPPORTED_ROOM_VERSION },
	{ "{'preset':'cake'}", ERR_INVALID_PARAM },
	{ "{'name':1}", ERR_BAD_JSON },
	{ "{'invite':['bob']}", ERR_INVALID_PARAM },
	{ "{'invite':[1]}", ERR_INVALID_PARAM },
	{ "{'invite':['@bob:elsewhere']}", ERR_FORBIDDEN },
	{ "{'invite':['@alice:test']}", ERR_FORBIDDEN },
	{ "{'invite_3pid':[{'medium':'email','address':'a@b','id_server':'c'}]}", ERR_THREEPID_DENIED },
	{ "{'room_alias_name':'a:b'}", ERR_INVALID_PARAM },
	{ "{'room_alias_name':''}", ERR_INVALID_PARAM },
	{ "{'initial_state':[{'content':{}}]}", ERR_BAD_JSON },
	{ "{'initial_state':[{'type':'m.room.create','content':{}}]}", ERR_INVALID_ROOM_STATE },
	{ "{'initial_state':[{'type':'m.room.member','state_key':'@bob:far','content':{'membership':'invite'}}]}",
	  ERR_FORBIDDEN },
	{ "{'initial_state':[{'type':'m.room.canonical_alias','content':{'alias':'#none:test'}}]}", ERR_BAD_ALIAS },
	{ "{'room_alias_name':'mine','initial_state':[{'type':'m.room.canonical_alias','content':{'alt_aliases':['#other:test']}}]}",
	  ERR_BAD_ALIAS },
	{ "{'initial_state':[{'type':'m.room.canonical_alias','content':{'alias':'no'}}]}", ERR_INVALID_PARAM },
	{ "{'initial_state':[{'type':'m.room.canonical_alias','content':{'alt_aliases':'#none:test'}}]}",
	  ERR_INVALID_PARAM },
	{ "{'initial_state':[{'type':'x','state_key':'@bob:test','content':{}}]}", ERR_INVALID_ROOM_STATE },
	{ "{'room_version':'11','power_level_content_override':{'users':{}},'name':'x'}", ERR_INVALID_ROOM_STATE },
	{ "{'power_level_content_override':{'users':{'@alice:test':100}}}", ERR_INVALID_ROOM_STATE },
	{ "{'initial_state':[{'type':'x','content':{'f':1.5}}]}", ERR_BAD_JSON },
	{ "{'room_alias_name':'taken'}", ERR_ROOM_IN_USE },
};

static void what_cannot_be_is_refused_whole(struct world *w)
{
	const struct actor alice = who(w, "alice");
	str id, *joined;
	size_t n;

	make_room(w, alice, "{'room_alias_name':'taken'}");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		err *e = try_create(w, alice, refused[i].body, &id);

		ok(e && e->code == refused[i].code, "%s: %s", refused[i].body, e ? err_errcode(e->code) : "made");
	}
	good(rooms_joined(w->rs, w->a, alice.user, &joined, &n));
	assert_int_equal(n, 1);
}
WORLD(what_cannot_be_is_refused_whole)

static void a_failed_commit_leaves_no_room(struct world *w)
{
	const struct actor alice = who(w, "alice");
	str id, *joined;
	size_t n;

	make_room(w, alice, "{}"); /* every text has its number now */
	good(store_intern(w->b->st, w->a, S("#pub:test"), &(int64_t){ 0 }));
	store_fault(w->b->st, FAULT_STATEMENT, 12);
	ok(try_create(w, alice, "{'room_alias_name':'pub'}", &id), "the statement failed");
	store_fault(w->b->st, FAULT_STATEMENT, 0);
	good(rooms_joined(w->rs, w->a, alice.user, &joined, &n));
	assert_int_equal(n, 1);
	fails_with(room_alias_find(w->rs, w->a, S("#pub:test"), &id), ERR_NOT_FOUND);
	id = make_room(w, alice, "{'room_alias_name':'pub'}");
	say(w, alice, id, "this one is there");
}
WORLD(a_failed_commit_leaves_no_room)

/* The first events of a room are many and large: they do not stay in memory until somebody comes. */
static void the_first_job_is_freed(struct world *w)
{
	const str id = make_room(w, who(w, "alice"), "{'invite':['@bob:test']}");
	struct arena *a = arena_new();
	struct room *room;

	good(rooms_enter(w->rs, a, id, &room));
	lock_take(&room->lock);
	ok(list_is_empty(&room->jobs) && list_is_empty(&room->done) && room->pending.n == 0, "nothing is kept");
	lock_drop(&room->lock);
	rooms_unref(w->rs, room);
	arena_free(&a);
}
WORLD(the_first_job_is_freed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(the_order_is_the_specifications),      WORLD_TESTS(presets_decide_what_is_not_said),
		WORLD_TESTS(versions_differ_as_they_should),       WORLD_TESTS(overrides_lie_over_the_levels),
		WORLD_TESTS(invitations_say_that_they_are_direct), WORLD_TESTS(what_cannot_be_is_refused_whole),
		WORLD_TESTS(a_failed_commit_leaves_no_room),       WORLD_TESTS(the_first_job_is_freed),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
