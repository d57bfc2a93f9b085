/* test_v3.c - GET /sync: what an answer costs, what it says after restarts, and as of when. */
#include "synced.h"

#include "room/purge.h"

static struct client client_of(struct synced *t, const char *name, const char *filter)
{
	return (struct client){ .by = who(t->w, name), .filter = filter };
}

static void nothing_new_and_plain_news_cost_no_statement(struct synced *t)
{
	const char *const filters[] = { NULL, "{'room':{'state':{'lazy_load_members':true}}}" };
	const struct actor alice = who(t->w, "alice");

	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		struct client bob = client_of(t, i ? "bobby" : "bob", filters[i]);
		const str room = make_room(t->w, alice, "{'preset':'public_chat'}");
		const str quiet = make_room(t->w, alice, "{'preset':'public_chat'}");

		good(join(t->w, bob.by, room));
		good(join(t->w, bob.by, quiet));
		say(t->w, alice, room, "before");
		ask(t, &bob);
		/* The first one learns whom the reader ignores, and how much was unread. */
		say(t->w, alice, room, "one");
		ask(t, &bob);
		assert_int_equal(cost(t, &bob, false), 0);
		say(t->w, alice, room, "two");
		assert_int_equal(cost(t, &bob, true), 0);
		assert_int_equal(cost(t, &bob, false), 0);
		/* Two at once, and from a client that did not hear of the last answer. */
		const str lost = bob.token;

		say(t->w, alice, room, "three");
		ask(t, &bob);
		bob.token = lost;
		say(t->w, alice, room, "four");
		assert_int_equal(cost(t, &bob, true), 0);
		/* Others' news are none. */
		say(t->w, alice, make_room(t->w, alice, "{}"), "elsewhere");
		assert_int_equal(cost(t, &bob, false), 0);
	}
}
SYNCED(nothing_new_and_plain_news_cost_no_statement)

static void typing_costs_no_statement(struct synced *t)
{
	const struct actor alice = who(t->w, "alice");
	struct client bob = client_of(t, "bob", NULL);
	const str room = make_room(t->w, alice, "{'preset':'public_chat'}");

	good(join(t->w, bob.by, room));
	ask(t, &bob);
	typing_set(t->typing, room_nid(t->w, room), alice.user, 20000);
	ask(t, &bob);
	assert_int_equal(cost(t, &bob, false), 0);
	typing_set(t->typing, room_nid(t->w, room), alice.user, 0);
	assert_int_equal(cost(t, &bob, true), 0);
}
SYNCED(typing_costs_no_statement)

static void a_restart_is_asked_about_once(struct synced *t)
{
	const struct actor alice = who(t->w, "alice");
	struct client bob = client_of(t, "bob", NULL);
	const str room = make_room(t->w, alice, "{'preset':'public_chat'}");
	const struct json *answer;
	str old;

	good(join(t->w, bob.by, room));
	ask(t, &bob);
	old = bob.token;
	synced_restart(t);
	(void)cost(t, &bob, false);
	assert_int_equal(cost(t, &bob, false), 0);
	say(t->w, alice, room, "after");
	synced_restart(t);
	bob.token = old;
	answer = ask(t, &bob);
	assert_int_equal(count(events_of(part(answer, "join", room), "timeline")), 1);
	assert_int_equal(cost(t, &bob, false), 0);
}
SYNCED(a_restart_is_asked_about_once)

static void a_user_whom_the_bus_forgot_is_asked_about_again(struct synced *t)
{
	const struct actor alice = who(t->w, "alice");
	struct client bob = client_of(t, "bob", NULL);
	const str room = make_room(t->w, alice, "{'preset':'public_chat'}");
	struct bus_known known;

	good(join(t->w, bob.by, room));
	ask(t, &bob);
	/* The world's bus holds 1000 users. */
	for (int i = 0; i < 1100; i++) {
		(void)bus_watch_begin(t->w->bus, 1000000 + i);
		bus_watch_rooms(t->w->bus, 1000000 + i, bus_position(t->w->bus), NULL, 0);
	}
	assert_false(bus_known(t->w->bus, bob.by.user, &known));
	say(t->w, alice, room, "unheard");
	assert_int_equal(count(events_of(part(ask(t, &bob), "join", room), "timeline")), 1);
}
SYNCED(a_user_whom_the_bus_forgot_is_asked_about_again)

static void tokens_of_other_histories_tell_everything(struct synced *t)
{
	struct client alice = client_of(t, "alice", NULL);
	const str room = make_room(t->w, alice.by, "{}");
	const struct json *answer, *timeline;
	struct sync_token token;

	ask(t, &alice);
	assert_true(sync_token_read(alice.token, &token));
	for (int i = 0; i < 2; i++) {
		struct sync_token other = token;

		if (i == 0)
			other.stream += 1000;
		else
			other.epoch ^= 1;
		alice.token = sync_token_write(t->w->a, &other);
		answer = ask(t, &alice);
		timeline = json_get(part(answer, "join", room), S("timeline"));
		assert_true(json_get_bool(timeline, S("limited"), false));
		assert_true(sync_token_read(alice.token, &other));
		assert_int_equal(other.stream, token.stream);
		assert_int_equal(other.epoch, token.epoch);
	}
}
SYNCED(tokens_of_other_histories_tell_everything)

/* The position is what an answer is bounded by, whatever the snapshot holds already. */
static void an_answer_is_as_of_its_position(struct synced *t)
{
	const struct actor alice = who(t->w, "alice");
	struct client bob = client_of(t, "bob", NULL), late = bob;
	const str room = make_room(t->w, alice, "{'preset':'public_chat'}");
	const struct json *answer;
	size_t before;

	good(join(t->w, bob.by, room));
	before = count(events_of(part(ask(t, &bob), "join", room), "timeline"));
	/* The bus's position stays behind for a while: what is committed is above it. */
	store_on_commit(t->w->b->st, NULL, NULL);
	say(t->w, alice, room, "one");
	set_state(t->w, alice, room, "m.room.topic", "", "{'topic':'x'}");
	good(member(t->w, room_kick, alice, room, "bob"));
	assert_null(json_get(ask(t, &bob), S("rooms")));
	/* Nor does another device's first answer know of it. */
	answer = ask(t, &late);
	assert_int_equal(count(events_of(part(answer, "join", room), "timeline")), before);
	store_on_commit(t->w->b->st, world_advance, t->w->bus);
	say(t->w, alice, room, "two");
	for (int i = 0; i < 2; i++) {
		answer = ask(t, i ? &late : &bob);
		/* "one", the topic, the kick; not "two". */
		assert_int_equal(count(events_of(part(answer, "leave", room), "timeline")), 3);
	}
}
SYNCED(an_answer_is_as_of_its_position)

static void what_a_filter_hides_is_no_news(struct synced *t)
{
	const struct actor alice = who(t->w, "alice");
	struct client bob = client_of(t, "bob", "{'room':{'timeline':{'not_types':['m.room.message']}}}");
	const str room = make_room(t->w, alice, "{'preset':'public_chat'}");

	good(join(t->w, bob.by, room));
	ask(t, &bob);
	say(t->w, alice, room, "one");
	(void)cost(t, &bob, false);
	say(t->w, alice, room, "two");
	assert_int_equal(cost(t, &bob, false), 0);
}
SYNCED(what_a_filter_hides_is_no_news)

static void an_initial_answer_costs_a_few_statements_a_room(struct synced *t)
{
	enum { ROOMS = 20 };
	struct client alice = client_of(t, "alice", NULL);
	const struct actor bob = who(t->w, "bob");
	uint64_t statements;

	for (int i = 0; i < ROOMS; i++) {
		const str room = make_room(t->w, alice.by, "{'preset':'public_chat','name':'n'}");

		good(join(t->w, bob, room));
		for (int k = 0; k < 12; k++)
			say(t->w, bob, room, "x");
	}
	ask(t, &alice);
	alice.token = STR_NONE;
	statements = cost(t, &alice, true);
	ok(statements <= 10 + 8 * ROOMS, "%d statements", (int)statements);
}
SYNCED(an_initial_answer_costs_a_few_statements_a_room)

static str set_at(struct synced *t, struct actor by, str room, const char *content, int64_t ts)
{
	const struct send_cmd cmd = {
		.by = by,
		.room_id = room,
		.type = S("org.example.state"),
		.state_key = S("k"),
		.content = js(t->w->a, content),
		.ts = ts,
	};
	str id;

	good(room_send(t->w->rs, t->w->a, &cmd, &id));
	return id;
}

/* A message on an older event, as another server might send it. */
static void message_on(struct synced *t, struct actor by, str room, str base)
{
	struct world *w = t->w;
	const struct room_version *rv = room_version_find(ROOM_VERSION_DEFAULT);
	const struct json *content = js(w->a, "{'body':'late'}");
	struct state_key keys[AUTH_KEYS_MAX];
	str auth[AUTH_KEYS_MAX];
	struct event_fields fields = {
		.room_id = room,
		.sender = by.user_id,
		.type = S("m.room.message"),
		.content = content,
		.origin_server_ts = 3000,
		.depth = 50,
		.prev_events = &base,
		.n_prev_events = 1,
		.auth_events = auth,
	};
	const size_t n = auth_keys(rv, fields.type, STR_NONE, by.user_id, content, keys);
	enum append_outcome outcome;
	struct event *ev;

	for (size_t i = 0; i < n; i++) {
		const struct event_row *row =
			current(w, room, arena_cstr(w->a, keys[i].type), arena_cstr(w->a, keys[i].state_key));

		if (row)
			auth[fields.n_auth_events++] = row->event_id;
	}
	good(event_build(w->a, rv, &fields, &w->opt.signer, &ev));
	good(rooms_append_event(w->rs, w->a, ev, &outcome));
	assert_int_equal(outcome, APPEND_ACCEPTED);
}

/* Two settings, the earlier one with the later clock; then a branch that knows the earlier one alone. Resolution brings
 * that one back, and the only event that shows is a message. */
static void state_that_changes_without_an_event_is_told(struct synced *t)
{
	const struct actor alice = who(t->w, "alice");

	for (int i = 0; i < 2; i++) {
		struct client bob = client_of(t, "bob", NULL);
		const str room = make_room(t->w, alice, "{'preset':'public_chat'}");
		const struct json *p, *state;
		str first;

		bob.state_after = i == 1;
		good(join(t->w, bob.by, room));
		first = set_at(t, alice, room, "{'n':1}", 2000);
		set_at(t, alice, room, "{'n':2}", 1000);
		ask(t, &bob);
		message_on(t, alice, room, first);
		same_str(current(t->w, room, "org.example.state", "k")->event_id, first);
		p = part(ask(t, &bob), "join", room);
		assert_int_equal(count(events_of(p, "timeline")), 1);
		state = events_of(p, i ? "state_after" : "state");
		assert_int_equal(count(state), 1);
		same_str(json_get_str(state->array.items[0], S("event_id")), first);
	}
}
SYNCED(state_that_changes_without_an_event_is_told)

/*
 * Purges
 */
static void purge(struct synced *t, str room_id, str before)
{
	const struct purge_cmd cmd = { .room_id = room_id, .before_event = before, .with_local = true };
	int64_t id;

	good(rooms_purge_history(t->w->rs, t->w->a, &cmd, &id));
	good(rooms_purge_run(t->w->rs, t->w->a, NULL, NULL));
}

/* A token from before the purge: what is left of the timeline, and all that the state became in between. */
static void a_token_of_the_purged_past_is_told_the_state(struct synced *t)
{
	struct client bob = client_of(t, "bob", NULL);
	const struct actor alice = who(t->w, "alice");
	const str room = make_room(t->w, alice, "{'preset':'public_chat'}");
	const struct json *p, *state;
	bool told = false;
	str name, horizon;

	good(join(t->w, bob.by, room));
	ask(t, &bob);
	name = set_state(t->w, alice, room, "m.room.name", "", "{'name':'new'}");
	say(t->w, alice, room, "gone");
	horizon = say(t->w, alice, room, "horizon");
	say(t->w, alice, room, "after");
	purge(t, room, horizon);
	p = part(ask(t, &bob), "join", room);
	assert_int_equal(count(events_of(p, "timeline")), 2);
	state = events_of(p, "state");
	for (size_t i = 0; i < count(state); i++)
		told = told || str_eq(json_get_str(state->array.items[i], S("event_id")), name);
	ok(told, "a name that was set and purged since the token");
}
SYNCED(a_token_of_the_purged_past_is_told_the_state)

static void nobody_is_in_a_purged_room(struct synced *t, str room, str other)
{
	static const char *const names[] = { "alice", "bob", "carol", "dora" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct client c = client_of(t, names[i], "{'room':{'include_leave':true}}");
		const struct json *rooms = json_get(ask(t, &c), S("rooms"));

		ok(!json_get(json_get(rooms, S("join")), room), "%s is in it", names[i]);
		ok(!json_get(json_get(rooms, S("invite")), room), "%s is invited", names[i]);
		ok(!json_get(json_get(rooms, S("leave")), room), "%s was in it", names[i]);
		ok(i > 0 || json_get(json_get(rooms, S("join")), other), "another room went, too");
	}
}

/* Members' rows go after the room, and what memory knows of them stays: neither makes a room of it, or an error. */
static void a_purged_room_is_told_to_nobody(struct synced *t)
{
	const struct actor alice = who(t->w, "alice"), bob = who(t->w, "bob"), dora = who(t->w, "dora");
	const str room = make_room(t->w, alice, "{'preset':'public_chat','invite':['@carol:test']}"),
		  other = make_room(t->w, alice, "{}");
	struct client before = client_of(t, "alice", NULL), early = client_of(t, "dora", NULL);
	int64_t id;

	ask(t, &early);
	good(join(t->w, bob, room));
	good(join(t->w, dora, room));
	good(member(t->w, room_leave, dora, room, NULL));
	ask(t, &before);
	good(rooms_purge(t->w->rs, t->w->a, room, true, &id));
	nobody_is_in_a_purged_room(t, room, other);
	synced_restart(t);
	nobody_is_in_a_purged_room(t, room, other);
	ask(t, &early);
	good(rooms_purge_run(t->w->rs, t->w->a, NULL, NULL));
	rooms_forget_heads(t->w->rs);
	nobody_is_in_a_purged_room(t, room, other);
	ask(t, &before);
}
SYNCED(a_purged_room_is_told_to_nobody)

TEST_MAIN(SYNCED_TESTS(a_token_of_the_purged_past_is_told_the_state), SYNCED_TESTS(a_purged_room_is_told_to_nobody),
	  SYNCED_TESTS(state_that_changes_without_an_event_is_told),
	  SYNCED_TESTS(nothing_new_and_plain_news_cost_no_statement), SYNCED_TESTS(typing_costs_no_statement),
	  SYNCED_TESTS(a_restart_is_asked_about_once), SYNCED_TESTS(a_user_whom_the_bus_forgot_is_asked_about_again),
	  SYNCED_TESTS(tokens_of_other_histories_tell_everything), SYNCED_TESTS(an_answer_is_as_of_its_position),
	  SYNCED_TESTS(what_a_filter_hides_is_no_news), SYNCED_TESTS(an_initial_answer_costs_a_few_statements_a_room))
