/* test_state.c - reading a room's state: who sees which one, members by membership and place, and what changed. */
#include "world.h"

#include "room/state.h"
#include "room/timeline.h"

static struct client_view reader(struct actor who)
{
	return (struct client_view){ .user = who.user, .user_id = who.user_id, .device_id = who.device_id };
}

/* content.topic as this reader is told; STR_NONE: refused. */
static str topic_seen(struct world *w, struct actor by, str room_id, enum err_code *out_code)
{
	const struct client_view view = reader(by);
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw jw = jw_to(&b);
	struct json *j;
	err *e = room_state_write_one(w->rs, w->a, room_id, S("m.room.topic"), S(""), false, &view, &jw);

	*out_code = e ? e->code : ERR_NONE;
	if (e)
		return STR_NONE;
	good(json_parse(w->a, arena_keep(w->a, buf_str(&b)), &json_limits_event, &j));
	return json_get_str(j, S("topic"));
}

#define sees_topic(w, by, room_id, want)                                                                               \
	do {                                                                                                           \
		enum err_code code_;                                                                                   \
		const str got_ = topic_seen(w, by, room_id, &code_);                                                   \
		assert_int_equal(code_, ERR_NONE);                                                                     \
		assert_true(str_eq(got_, S(want)));                                                                    \
	} while (0)

#define is_refused(w, by, room_id)                                                                                     \
	do {                                                                                                           \
		enum err_code code_;                                                                                   \
		(void)topic_seen(w, by, room_id, &code_);                                                              \
		assert_int_equal(code_, ERR_FORBIDDEN);                                                                \
	} while (0)

static void the_state_is_the_readers(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob"), carol = who(w, "carol");
	const str room_id = make_room(w, alice, "{'preset':'public_chat','topic':'one'}");

	is_refused(w, bob, room_id);
	good(join(w, bob, room_id));
	sees_topic(w, bob, room_id, "one");
	set_state(w, alice, room_id, "m.room.topic", "", "{'topic':'two'}");
	sees_topic(w, bob, room_id, "two");
	good(member(w, room_leave, bob, room_id, NULL));
	set_state(w, alice, room_id, "m.room.topic", "", "{'topic':'three'}");
	sees_topic(w, bob, room_id, "two");
	/* An invitation that was declined: from outside nothing, for a former member nothing newer. */
	good(member(w, room_invite, alice, room_id, "bob"));
	good(member(w, room_leave, bob, room_id, NULL));
	sees_topic(w, bob, room_id, "two");
	good(member(w, room_invite, alice, room_id, "carol"));
	good(member(w, room_leave, carol, room_id, NULL));
	is_refused(w, carol, room_id);
	good(join(w, bob, room_id));
	sees_topic(w, bob, room_id, "three");
	good(member(w, room_ban, alice, room_id, "bob"));
	set_state(w, alice, room_id, "m.room.topic", "", "{'topic':'four'}");
	sees_topic(w, bob, room_id, "three");
	good(member(w, room_forget, bob, room_id, NULL));
	is_refused(w, bob, room_id);
	set_state(w, alice, room_id, "m.room.history_visibility", "", "{'history_visibility':'world_readable'}");
	sees_topic(w, who(w, "stranger"), room_id, "four");
}
WORLD(the_state_is_the_readers)

/* "user:membership" of every member event, sorted by user. */
static str members(struct world *w, struct actor by, str room_id, str at, const char *is, const char *is_not)
{
	const struct client_view view = reader(by);
	const struct members_cmd cmd = {
		.room_id = room_id,
		.at = at,
		.membership = str_c(is),
		.not_membership = str_c(is_not),
		.reader = &view,
	};
	static const char *const names[] = { "alice", "bob", "carol", "dave" };
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw jw = jw_to(&b);
	const struct json *chunk;
	struct json *j;
	str out = S("");

	jw_object(&jw, NULL);
	good(room_members_write(w->rs, w->a, &cmd, &jw));
	jw_end(&jw);
	good(json_parse(w->a, arena_keep(w->a, buf_str(&b)), &json_limits_request, &j));
	chunk = json_get_array(j, S("chunk"));
	for (size_t n = 0; n < ARRAY_LEN(names); n++)
		JSON_ITEMS (chunk, i) {
			const struct json *ev = chunk->array.items[i];
			const str key = json_get_str(ev, S("state_key"));

			if (str_eq(key, arena_printf(w->a, "@%s:test", names[n])))
				out = arena_printf(w->a, "%.*s%s:%.*s ", STR_ARG(out), names[n],
						   STR_ARG(json_get_str(json_get(ev, S("content")), S("membership"))));
		}
	return out;
}

static void members_by_membership_and_place(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob"), carol = who(w, "carol"), dave = who(w, "dave");
	const str room_id = make_room(w, alice, "{'preset':'public_chat'}");
	str before_carol, left;

	good(join(w, bob, room_id));
	before_carol = timeline_token(w->a, event_row(w, say(w, bob, room_id, "hi"))->nid, true);
	good(join(w, carol, room_id));
	good(member(w, room_leave, bob, room_id, NULL));
	left = timeline_token(w->a, event_row(w, say(w, alice, room_id, "gone"))->nid, false);
	good(join(w, dave, room_id));
	good(member(w, room_ban, alice, room_id, "dave"));

	const struct {
		struct actor by;
		str at;
		const char *is, *is_not, *want;
	} cases[] = {
		{ alice, STR_NONE, NULL, NULL, "alice:join bob:leave carol:join dave:ban " },
		{ alice, STR_NONE, "join", NULL, "alice:join carol:join " },
		{ alice, STR_NONE, NULL, "join", "bob:leave dave:ban " },
		{ alice, STR_NONE, "join", "ban", "alice:join bob:leave carol:join " }, /* an "or" */
		{ alice, STR_NONE, "knock", NULL, "" },
		{ alice, before_carol, NULL, NULL, "alice:join bob:join " },
		{ alice, before_carol, "leave", NULL, "" },
		{ alice, left, NULL, NULL, "alice:join bob:leave carol:join " },
		{ bob, STR_NONE, NULL, NULL, "alice:join bob:leave carol:join " }, /* as it was when he left */
		{ bob, left, NULL, NULL, "alice:join bob:leave carol:join " },
		{ bob, before_carol, "join", NULL, "alice:join bob:join " },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const str got = members(w, cases[i].by, room_id, cases[i].at, cases[i].is, cases[i].is_not);

		if (!str_eq(got, str_c(cases[i].want)))
			fail_msg("case %zu: \"%.*s\", not \"%s\"", i, STR_ARG(got), cases[i].want);
	}
	const struct client_view view = reader(alice);
	const struct members_cmd bad = { .room_id = room_id, .membership = S("joined"), .reader = &view };
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw jw = jw_to(&b);
	err *e = room_members_write(w->rs, w->a, &bad, &jw);

	assert_non_null(e);
	assert_int_equal(e->code, ERR_INVALID_PARAM);
}
WORLD(members_by_membership_and_place)

static void joined_members_are_for_the_joined(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str room_id = make_room(w, alice, "{'preset':'public_chat'}");
	const struct client_view by_alice = reader(alice), by_bob = reader(bob);
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw jw = jw_to(&b);
	const struct json *joined;
	struct json *j;
	err *e;

	good(join(w, bob, room_id));
	set_state(w, bob, room_id, "m.room.member", "@bob:test", "{'membership':'join','displayname':'Bob'}");
	jw_object(&jw, NULL);
	good(room_joined_members_write(w->rs, w->a, room_id, &by_alice, &jw));
	jw_end(&jw);
	good(json_parse(w->a, arena_keep(w->a, buf_str(&b)), &json_limits_request, &j));
	joined = json_get(j, S("joined"));
	assert_int_equal(joined->object.n, 2);
	assert_true(str_eq(json_get_str(json_get(joined, S("@bob:test")), S("display_name")), S("Bob")));
	good(member(w, room_leave, bob, room_id, NULL));
	e = room_joined_members_write(w->rs, w->a, room_id, &by_bob, &jw);
	assert_non_null(e);
	assert_int_equal(e->code, ERR_FORBIDDEN);
}
WORLD(joined_members_are_for_the_joined)

/* What changed between two positions is what was set between them; and the tree says what the flat table says. */
static void changes_between_positions(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str room_id = make_room(w, alice, "{'preset':'public_chat','topic':'one'}");
	const int64_t start = event_row(w, say(w, alice, room_id, "start"))->stream;
	const str name = set_state(w, alice, room_id, "m.room.name", "", "{'name':'n'}");

	set_state(w, alice, room_id, "m.room.topic", "", "{'topic':'two'}");
	const str topic = set_state(w, alice, room_id, "m.room.topic", "", "{'topic':'three'}");

	good(join(w, bob, room_id));
	const int64_t end = event_row(w, say(w, alice, room_id, "end"))->stream;
	struct state_root before, after, none;
	struct state_events changes, all;
	struct rooms *rs = w->rs;
	struct room_view *v;
	struct state_row *flat;
	size_t n_flat;
	AUTO_TX tx = NULL;

	set_state(w, alice, room_id, "m.room.topic", "", "{'topic':'later'}");
	good(store_read(w->b->st, w->a, &tx));
	good(room_view_open(rs, w->a, tx, room_id, alice.user, alice.user_id, VIEW_MEMBER, &v));
	good(room_state_at_stream(v, start, &before));
	good(room_state_at_stream(v, end, &after));
	good(room_state_at_stream(v, 0, &none));
	assert_true(state_same(none, STATE_EMPTY));
	good(room_state_changes(v, before, after, (struct state_pick){ 0 }, &changes));
	assert_int_equal(changes.n, 3);
	for (size_t i = 0; i < changes.n; i++)
		assert_true(str_eq(changes.p[i]->event_id, name) || str_eq(changes.p[i]->event_id, topic) ||
			    changes.p[i]->sender == bob.user);
	good(room_state_changes(v, before, after, (struct state_pick){ .but = rs->type_member }, &changes));
	assert_int_equal(changes.n, 2);
	good(room_state_changes(v, after, after, (struct state_pick){ 0 }, &changes));
	assert_int_equal(changes.n, 0);
	good(room_state_events(v, room_view_root(v), (struct state_pick){ 0 }, &all));
	good(store_state_list(tx, room_view_room(v), &flat, &n_flat));
	assert_int_equal(all.n, n_flat);
	for (size_t i = 0; i < n_flat; i++) {
		int64_t event;

		good(state_get(room_view_tree(v), w->a, room_view_root(v), flat[i].type, flat[i].state_key, &event));
		assert_int_equal(event, flat[i].event);
	}
}
WORLD(changes_between_positions)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(the_state_is_the_readers),
		WORLD_TESTS(members_by_membership_and_place),
		WORLD_TESTS(joined_members_are_for_the_joined),
		WORLD_TESTS(changes_between_positions),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
