/* Joining rooms of other servers, which a site on loopback plays. */
#include "far_site.h"

#include "room/outsider.h"
#include "room/state.h"
#include "store/gaps.h"
#include "store/joins.h"

#include <stdatomic.h>

static size_t count_rows(struct scene *s, const char *sql)
{
	struct row *row;
	AUTO_TX tx = NULL;

	good(store_read(s->w->b->st, s->w->a, &tx));
	good(tx_one(tx, sql, NO_BIND, &row));
	return (size_t)row_i64(row, 0);
}

/* The room is whole: flat tables, tree, head. */
static void check_room(struct scene *s, const char *const *locals, size_t n_locals)
{
	struct world *w = s->w;
	const int64_t room = room_nid(w, s->f.room_id);
	struct room_head_row *h;
	struct node_source nodes = { .cache = w->rs->node_cache, .room = room };
	struct state_tree tree = node_source_tree(&nodes);
	struct state_row *rows;
	int64_t joined = 0;
	AUTO_TX tx = NULL;
	size_t n, in_state = n_locals;
	void *value;
	str key;

	assert_true(room > 0);
	good(store_read(w->b->st, w->a, &tx));
	nodes.tx = tx;
	good(store_head_load(tx, room, &h));
	assert_non_null(h);
	good(store_state_list(tx, room, &rows, &n));
	for (size_t i = 0; map_next(&s->f.state, &i, &key, &value);) {
		const struct event *ev = value;
		struct event_row *row =
			current(w, s->f.room_id, arena_cstr(w->a, ev->type), arena_cstr(w->a, ev->state_key));

		if (id_is_of(ev->state_key, S("test"))) {
			in_state--; /* ours says something newer */
		} else {
			ok(row && str_eq(row->event_id, ev->event_id), "%.*s", STR_ARG(ev->type));
			assert_int_equal(row->flags & EVENT_REJECTED, 0);
		}
		in_state++;
		joined += str_eq(ev->type, S("m.room.member")) && !id_is_of(ev->state_key, S("test")) &&
			  str_eq(event_membership(ev), S("join"));
	}
	assert_int_equal(n, in_state);
	for (size_t i = 0; i < n; i++) {
		struct state_root root;
		int64_t event;

		good(state_root_of(&tree, w->a, h->root, &root));
		good(state_get(&tree, w->a, root, rows[i].type, rows[i].state_key, &event));
		assert_int_equal(event, rows[i].event);
	}
	for (size_t i = 0; i < n_locals; i++)
		assert_int_equal(membership_now(w, s->f.room_id, locals[i]), MEMBER_JOIN);
	assert_int_equal(h->joined, joined + (int64_t)n_locals);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM joins"), 0);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM room_servers WHERE members > 0 AND since > 0"), 1);
	assert_int_equal(count_rows(s, "SELECT SUM(members) FROM room_servers"), joined + (int64_t)n_locals);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM membership WHERE membership = 1"),
			 joined + (int64_t)n_locals);
}

static const char *const alice[] = { "alice" }, *const both_of_us[] = { "alice", "bob" };

static void joins_in(struct scene *s, const char *version)
{
	struct world *w = s->w;
	struct event_row *row;
	struct gap_row *gaps;
	size_t n;

	far_member(&s->f, "bob", "join");
	far_member(&s->f, "carol", "join");
	far_member(&s->f, "carol", "leave");
	far_state(&s->f, far_user(&s->f, "admin"), "m.room.name", S(""), "{'name':'Far'}");
	good(join_far(s, who(w, "alice")));
	check_room(s, alice, 1);
	row = current(w, s->f.room_id, "m.room.member", "@alice:test");
	ok(row && row->flags == (EVENT_STATE | EVENT_GAP) && row->stream && row->timeline, "version %s: flags %u",
	   version, row ? row->flags : 0);
	same_str(json_get_str(content_of(w, row), S("membership")), S("join"));
	{
		AUTO_TX tx = NULL;

		good(store_read(w->b->st, w->a, &tx));
		good(store_gaps(tx, room_nid(w, s->f.room_id), 10, &gaps, &n));
	}
	assert_int_equal(n, 1);
	assert_int_equal(gaps[0].event, row->nid);
	/* It is a room as any other: also after a restart. */
	(void)say(w, who(w, "alice"), s->f.room_id, "hello");
	good(join(w, who(w, "bob"), s->f.room_id));
	check_room(s, both_of_us, 2);
	scene_restart(s);
	(void)say(w, who(w, "bob"), s->f.room_id, "hello");
	check_room(s, both_of_us, 2);
	assert_int_equal(scene_count(s, "far.example make_join"), 1);
}

#define JOINS(v)                                                                                                       \
	SCENE(joins_##v, #v) { joins_in(s, #v); }
JOINS(1)
JOINS(3)
JOINS(6)
JOINS(10)
JOINS(12)

/* "v1/send_join": a server that knows no other, and its answer in a pair. */
SCENE(an_old_server_is_asked_in_the_old_way, "2")
{
	far_member(&s->f, "bob", "join");
	s->no[0] = (struct far_no){ "far.example", "send_join", 404, "v2" };
	good(join_far(s, who(s->w, "alice")));
	check_room(s, alice, 1);
	assert_int_equal(scene_count(s, "far.example send_join"), 2);
}

/* What we sign is ours, whatever the template says. */
SCENE(the_template_is_checked, "11")
{
	struct world *w = s->w;
	const struct actor by = who(w, "alice");
	const str right = scene_template(s, w->a, by.user_id, "join", false);
	static const struct {
		const char *what, *with;
	} lies[] = {
		{ "\"type\":\"m.room.member\"", "\"type\":\"m.room.name\"" },
		{ "\"state_key\":\"@alice:test\"", "\"state_key\":\"@eve:test\"" },
		{ "\"sender\":\"@alice:test\"", "\"sender\":\"@eve:test\"" },
		{ "\"membership\":\"join\"", "\"membership\":\"ban\"" },
		{ "\"room_id\":\"!room", "\"room_id\":\"!other" },
		{ "\"room_version\":\"11\"", "\"room_version\":\"org.unknown\"" },
		{ "\"membership\":\"join\"",
		  "\"membership\":\"join\",\"join_authorised_via_users_server\":\"@x:elsewhere\"" },
		{ "\"prev_events\":[\"$", "\"prev_events\":[\"no event\",\"$" },
	};

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		const char *at = memmem(right.p, right.n, lies[i].what, strlen(lies[i].what));
		const err *e;

		assert_non_null(at);
		s->template_text = arena_printf(w->a, "%.*s%s%s", (int)(at - right.p), right.p, lies[i].with,
						at + strlen(lies[i].what));
		e = join_far(s, by);
		ok(e && (e->code == ERR_CONNECTION_FAILED || e->code == ERR_INCOMPATIBLE_ROOM_VERSION), "lie %zu: %s",
		   i, e ? err_errcode(e->code) : "none");
		ok(!scene_was_asked(s, "far.example send_join"), "lie %zu", i);
	}
	/* Nobody gives a megabyte to sign. */
	s->template_text = arena_printf(w->a, "{%*s%.*s", 300000, "", STR_ARG(str_from(right, 1)));
	fails_with(join_far(s, by), ERR_REMOTE_TOO_LARGE);
	ok(!scene_was_asked(s, "far.example send_join"), "signed");
	/* Of the content nothing is taken over. */
	const char *at = memmem(right.p, right.n, "\"membership\":\"join\"", 19);
	s->template_text = arena_printf(w->a, "%.*s\"displayname\":\"Eve\",%s", (int)(at - right.p), right.p, at);
	good(join_far(s, by));
	assert_null(
		json_get(content_of(w, current(w, s->f.room_id, "m.room.member", "@alice:test")), S("displayname")));
}

/* The next server is asked, and what the user hears is what says most. */
SCENE(servers_are_asked_in_turn, "11")
{
	struct world *w = s->w;
	const str via[] = {
		scene_server(s, "nowhere.example"), scene_server(s, "dead.example"),   S("not a name"), S("test"),
		scene_server(s, "strict.example"),  scene_server(s, "strict.example"), s->far_name
	};
	const struct actor by = who(w, "alice");

	s->no[0] = (struct far_no){ "dead.example", "make_join", 502, "M_UNKNOWN" };
	s->no[1] = (struct far_no){ "strict.example", "make_join", 403, "M_FORBIDDEN" };
	s->no[2] = (struct far_no){ "far.example", "make_join", 404, "M_NOT_FOUND" };
	fails_with(join_via(s, by, s->f.room_id, via, ARRAY_LEN(via)), ERR_FORBIDDEN);
	assert_int_equal(scene_count(s, "strict.example make_join"), 1);
	assert_int_equal(scene_count(s, "dead.example make_join"), 1);
	assert_int_equal(scene_count(s, "far.example make_join"), 1);
	s->no[1].status = s->no[2].status = 0;
	s->no[2] = (struct far_no){ "far.example", "make_join", 400, "M_INVALID_PARAM" };
	s->no[1] = (struct far_no){ "strict.example", "make_join", 400, "M_UNABLE_TO_GRANT_JOIN" };
	fails_with(join_via(s, by, s->f.room_id, via, ARRAY_LEN(via)), ERR_UNABLE_TO_GRANT_JOIN);
	/* "the Client-Server API request SHOULD fail with a 5xx error" */
	s->no[1].errcode = "M_MISSING_PARAM";
	fails_with(join_via(s, by, s->f.room_id, via, ARRAY_LEN(via)), ERR_CONNECTION_FAILED);
	/* Nor does it lose what we do not know. */
	s->no[1] = (struct far_no){ "strict.example", "make_join", 400, "M_MOON_IS_WRONG" };
	assert_true(str_contains(join_via(s, by, s->f.room_id, via, ARRAY_LEN(via))->body, S("\"M_MOON_IS_WRONG\"")));
	s->no[2].status = 0;
	good(join_via(s, by, s->f.room_id, via, ARRAY_LEN(via)));
	check_room(s, alice, 1);
	/* Nobody to ask. */
	fails_with(join_via(s, by, S("!unknown:test"), NULL, 0), ERR_NOT_FOUND);
}

/* An answer that is not what it has to be changes nothing here, and the next server is asked. */
SCENE(a_bad_answer_is_refused, "11")
{
	struct world *w = s->w;
	const struct actor by = who(w, "alice");
	const str right = far_join_answer(&s->f, w->a, STR_NONE);
	const char *at;

	const str answers[] = {
		S("{}"),
		S("{\"state\":[],\"auth_chain\":[]}"),
		S("{\"state\":{},\"auth_chain\":[]}"),
		S("[]"),
		str_head(right, right.n / 2),
		arena_printf(w->a, "{\"members_omitted\":true,%.*s", STR_ARG(str_from(right, 1))),
		/* no create event */
		far_join_answer(&(struct far){ .a = w->a, .rv = s->f.rv, .events = s->f.events }, w->a, STR_NONE),
	};
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		s->join_answer = answers[i];
		fails_with(join_far(s, by), ERR_CONNECTION_FAILED);
		assert_int_equal(room_nid(w, s->f.room_id), 0);
	}
	s->join_answer = arena_printf(w->a, "{\"state\":[{%*s}]}", 300000, "");
	fails_with(join_far(s, by), ERR_REMOTE_TOO_LARGE);
	/* The join rules are not as they were signed: then the room lets nobody in. */
	at = memmem(right.p, right.n, "\"join_rule\":\"public\"", 20);
	s->join_answer = arena_printf(w->a, "%.*s\"join_rule\":\"invite\"%s", (int)(at - right.p), right.p, at + 20);
	assert_non_null(join_far(s, by));
	assert_int_equal(room_nid(w, s->f.room_id), 0);
	assert_int_equal(membership_row(w, s->f.room_id, "alice") ? 1 : 0, 0);
	s->join_answer = STR_NONE;
	good(join_far(s, by));
	check_room(s, alice, 1);
}

/* What is not good in a state is left out of it, and nothing else. */
SCENE(bad_events_are_left_out, "10")
{
	struct world *w = s->w;
	const str user = far_user(&s->f, "bob");
	struct event *create = s->f.events.p[0], *bob, *unsigned_ev;
	struct far eve = s->f;

	/* signed by another key */
	ed25519_from_seed(&eve.key, (const uint8_t[32]){ 66 });
	eve.signer.key = &eve.key;
	bob = far_build(&eve, user, "m.room.member", user, far_json(&s->f, "{'membership':'join'}"),
			(struct event *[]){ create, far_current(&s->f, "m.room.power_levels", S("")),
					    far_current(&s->f, "m.room.join_rules", S("")) },
			3);
	/* not allowed: who is not in sets the name */
	unsigned_ev = far_build(&s->f, user, "m.room.name", S(""), far_json(&s->f, "{'name':'x'}"),
				(struct event *[]){ create, far_current(&s->f, "m.room.power_levels", S("")) }, 2);
	const str right = far_join_answer(&s->f, w->a, STR_NONE);
	const char *at = memmem(right.p, right.n, "\"state\":[", 9);
	s->join_answer = arena_printf(w->a, "%.*s\"state\":[%.*s,%.*s,3,{},%s", (int)(at - right.p), right.p,
				      STR_ARG(bob->bytes), STR_ARG(unsigned_ev->bytes), at + 9);
	good(join_far(s, who(w, "alice")));
	check_room(s, alice, 1);
	assert_null(event_row(w, bob->event_id));
	assert_true(event_row(w, unsigned_ev->event_id)->flags & EVENT_REJECTED);
	assert_null(current(w, s->f.room_id, "m.room.name", ""));
}

/* "Required if the room is restricted": the resident server's signature. */
SCENE(a_restricted_room_signs_for_us, "10")
{
	struct world *w = s->w;
	const struct json *signatures;
	struct json *j;

	far_state(&s->f, far_user(&s->f, "admin"), "m.room.join_rules", S(""),
		  "{'join_rule':'restricted','allow':[{'type':'m.room_membership','room_id':'!x:y'}]}");
	s->no_voucher_signature = true;
	fails_with(join_far(s, who(w, "alice")), ERR_CONNECTION_FAILED);
	assert_int_equal(room_nid(w, s->f.room_id), 0);
	s->no_voucher_signature = false;
	good(join_far(s, who(w, "alice")));
	check_room(s, alice, 1);
	good(json_parse(w->a, current(w, s->f.room_id, "m.room.member", "@alice:test")->json, &json_limits_event, &j));
	signatures = json_get(j, S("signatures"));
	assert_non_null(json_get(signatures, S("test")));
	assert_non_null(json_get(signatures, s->far_name));
}

static void join_thread(void *arg)
{
	struct scene *s = arg;
	AUTO_ARENA a = arena_new();
	struct actor by = { .user_id = S("@bob:test"), .device_id = S("D") };
	str id;

	good(store_intern(s->w->b->st, a, by.user_id, &by.user));
	good(room_join(s->w->rs, a,
		       &(struct member_cmd){ .by = by, .room_id = s->f.room_id, .via = &s->far_name, .n_via = 1 },
		       &id));
}

/* Who comes second waits for the first, and finds the room here. */
SCENE(a_room_is_fetched_once, "11")
{
	struct world *w = s->w;
	struct thread *t;

	lock_take(&s->lock);
	s->hold = 1;
	lock_drop(&s->lock);
	t = thread_start("bob", join_thread, s);
	lock_take(&s->lock);
	while (!s->held)
		cond_wait(&s->cond, &s->lock);
	s->hold = 0;
	cond_broadcast(&s->cond);
	lock_drop(&s->lock);
	good(join_far(s, who(w, "alice")));
	thread_join(&t);
	assert_int_equal(scene_count(s, "far.example send_join"), 1);
	check_room(s, both_of_us, 2);
}

static void join_another(void *arg)
{
	struct scene *s = arg;
	static atomic_int number;
	AUTO_ARENA a = arena_new();
	struct actor by = { .user_id = S("@bob:test"), .device_id = S("D") };
	const str room = arena_printf(a, "!other%d:%.*s", atomic_fetch_add(&number, 1), STR_ARG(s->far_name));
	str id;

	good(store_intern(s->w->b->st, a, by.user_id, &by.user));
	assert_non_null(room_join(
		s->w->rs, a, &(struct member_cmd){ .by = by, .room_id = room, .via = &s->far_name, .n_via = 1 }, &id));
}

/* One user's joins at a slow server do not hold all threads. */
SCENE(a_user_joins_few_rooms_at_once, "11")
{
	struct world *w = s->w;
	struct thread *t[5];
	str id;

	lock_take(&s->lock);
	s->hold = 1;
	s->hold_make = true;
	lock_drop(&s->lock);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		t[i] = thread_start("bob", join_another, s);
	lock_take(&s->lock);
	while (s->held < (int)ARRAY_LEN(t))
		cond_wait(&s->cond, &s->lock);
	lock_drop(&s->lock);
	fails_with(join_far(s, who(w, "bob")), ERR_LIMIT_EXCEEDED);
	fails_with(room_knock(w->rs, w->a,
			      &(struct member_cmd){
				      .by = who(w, "bob"), .room_id = s->f.room_id, .via = &s->far_name, .n_via = 1 },
			      &id),
		   ERR_LIMIT_EXCEEDED);
	lock_take(&s->lock);
	s->hold = 0;
	cond_broadcast(&s->cond);
	lock_drop(&s->lock);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		thread_join(&t[i]);
	good(join_far(s, who(w, "bob")));
}

/* What a member more costs, in statements: the event, its place in the index of auth chains and links from there, two
 * flat rows, the name of the user. */
SCENE(what_a_large_room_costs, "11")
{
	struct world *w = s->w;
	enum { FEW = 500, MANY = 2500 };
	uint64_t cost[2], commits[2];

	for (size_t round = 0; round < 2; round++) {
		const size_t n = round ? MANY : FEW;
		uint64_t before, commits_before;

		far_begin(&s->f, w->a, "11", arena_cstr(w->a, s->far_name));
		s->f.room_id = arena_printf(w->a, "!r%zu:%.*s", round, STR_ARG(s->far_name));
		s->f.events.n = 0;
		map_init(&s->f.state, w->a);
		const str admin = far_user(&s->f, "admin");
		(void)far_state(&s->f, admin, "m.room.create", S(""), "{'room_version':'11'}");
		far_member(&s->f, "admin", "join");
		far_state(&s->f, admin, "m.room.power_levels", S(""),
			  arena_printf(w->a, "{'users':{'%.*s':100}}", STR_ARG(admin)).p);
		far_state(&s->f, admin, "m.room.join_rules", S(""), "{'join_rule':'public'}");
		for (size_t i = 0; i < n; i++)
			far_member(&s->f, arena_printf(w->a, "r%zu-%zu", round, i).p, "join");
		before = store_statements_here();
		commits_before = store_commits_here();
		good(join_far(s, who(w, "alice")));
		cost[round] = store_statements_here() - before;
		commits[round] = store_commits_here() - commits_before;
		assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM joins"), 0);
	}
	ok(cost[1] - cost[0] <= (MANY - FEW) * 9, "%zu statements for %d members more", (size_t)(cost[1] - cost[0]),
	   MANY - FEW);
	/* pieces of many rows, but not of all */
	ok(commits[1] >= 10 && commits[1] <= 250, "%zu commits", (size_t)commits[1]);
	assert_int_equal(count_rows(s, "SELECT MAX(joined) FROM room_heads"), MANY + 2);
}

/* All of ours left, the room went on, and one comes back: its state is what it is by now. */
SCENE(coming_back_to_a_room_that_moved_on, "11")
{
	struct world *w = s->w;
	struct event *left;
	str id;

	far_member(&s->f, "bob", "join");
	far_member(&s->f, "carol", "join");
	far_state(&s->f, far_user(&s->f, "admin"), "m.room.topic", S(""), "{'topic':'old'}");
	good(join_far(s, who(w, "alice")));
	id = say(w, who(w, "alice"), s->f.room_id, "before");
	good(room_leave(w->rs, w->a, &(struct member_cmd){ .by = who(w, "alice"), .room_id = s->f.room_id }));
	/* far has seen alice come and go. */
	{
		const struct event_row *row = current(w, s->f.room_id, "m.room.member", "@alice:test");

		good(event_load(w->a, s->f.rv, row->event_id, row->json, &left));
		for (size_t i = 0; i < left->n_auth_events; i++) {
			const struct event_row *auth = event_row(w, left->auth_events[i]);
			struct event *ev;

			good(event_load(w->a, s->f.rv, auth->event_id, auth->json, &ev));
			if (str_eq(ev->state_key, S("@alice:test")))
				vec_push(w->a, &s->f.events, ev);
		}
		far_take(&s->f, left);
	}
	far_member(&s->f, "carol", "leave");
	far_member(&s->f, "dave", "join");
	far_state(&s->f, far_user(&s->f, "admin"), "m.room.topic", S(""), "{'topic':'new'}");
	far_state(&s->f, far_user(&s->f, "admin"), "m.room.name", S(""), "{'name':'N'}");
	good(join_far(s, who(w, "alice")));
	check_room(s, alice, 1);
	assert_int_equal(
		count_rows(s, "SELECT COUNT(*) FROM room_summary WHERE topic IS NOT NULL AND name IS NOT NULL"), 1);
	/* What was here is here, and the room goes on from our event alone. */
	assert_non_null(event_row(w, id));
	(void)say(w, who(w, "alice"), s->f.room_id, "after");
	scene_restart(s);
	(void)say(w, who(w, "alice"), s->f.room_id, "after");
	check_room(s, alice, 1);
	assert_int_equal(scene_count(s, "far.example send_join"), 2);
}

/* Everybody left, as far as we know. Who made the room may know better; if they do not, it is ours as much as theirs.
 */
SCENE(a_room_where_nobody_is, "11")
{
	struct world *w = s->w;
	enum append_outcome outcome;
	struct event *left, *ev;

	good(join_far(s, who(w, "alice")));
	const struct event_row *row = current(w, s->f.room_id, "m.room.member", "@alice:test");
	good(event_load(w->a, s->f.rv, row->event_id, row->json, &ev));
	far_take(&s->f, ev);
	left = far_member(&s->f, "admin", "leave");
	good(rooms_append_event(w->rs, w->a, left, &outcome));
	assert_int_equal(outcome, APPEND_ACCEPTED);
	good(room_leave(w->rs, w->a, &(struct member_cmd){ .by = who(w, "alice"), .room_id = s->f.room_id }));
	s->no[0] = (struct far_no){ "far.example", "make_join", 404, "M_NOT_FOUND" };
	good(join_far(s, who(w, "bob")));
	assert_int_equal(scene_count(s, "far.example make_join"), 2);
	assert_int_equal(membership_now(w, s->f.room_id, "bob"), MEMBER_JOIN);
	good(room_leave(w->rs, w->a, &(struct member_cmd){ .by = who(w, "bob"), .room_id = s->f.room_id }));
	s->no[0].status = 0;
	far_member(&s->f, "admin", "join");
	good(join_far(s, who(w, "carol")));
	assert_int_equal(scene_count(s, "far.example send_join"), 2);
	assert_int_equal(membership_now(w, s->f.room_id, "carol"), MEMBER_JOIN);
	/* A room of ours asks nobody. */
	const size_t asked = s->asked.n;
	const str own = make_room(w, who(w, "alice"), "{'preset':'public_chat'}");
	good(room_leave(w->rs, w->a, &(struct member_cmd){ .by = who(w, "alice"), .room_id = own }));
	good(join_via(s, who(w, "bob"), own, &s->far_name, 1));
	assert_int_equal(s->asked.n, asked);
}

/* Whatever statement fails, either the room is here whole, or nobody sees anything of it, and another try succeeds. */
SCENE(a_failure_leaves_no_half_room, "11")
{
	struct world *w = s->w;
	const struct actor by = who(w, "alice");
	bool done = false;

	for (int i = 0; i < 30; i++)
		far_member(&s->f, arena_printf(w->a, "u%d", i).p, "join");
	for (int64_t nth = 1; !done; nth += 31) {
		err *e;

		store_fault(w->b->st, FAULT_STATEMENT, nth);
		e = join_far(s, by);
		done = !e;
		store_fault(w->b->st, FAULT_STATEMENT, 0);
		if (!done)
			assert_int_equal(room_nid(w, s->f.room_id), 0);
		while (!done && count_rows(s, "SELECT COUNT(*) FROM joins") > 0) /* the sweeper is at it */
			usleep(1000);
	}
	check_room(s, alice, 1);
}

static atomic_int pieces_to_stop;
static void stop_after_pieces(void *ctx, const struct piece_run *run)
{
	struct scene *s = ctx;

	(void)run;
	if (atomic_fetch_sub(&pieces_to_stop, 1) == 1)
		remote_stop(s->remote);
}

/* A restart in the middle: what was written goes, but for the invitation that was there before. */
SCENE(a_restart_takes_away_what_was_begun, "11")
{
	struct world *w = s->w;
	const struct actor by = who(w, "alice");
	const struct event *invite;
	struct outsider *o;
	bool inside;

	for (int i = 0; i < 20; i++)
		far_member(&s->f, arena_printf(w->a, "u%d", i).p, "join");
	invite = far_state(&s->f, far_user(&s->f, "admin"), "m.room.member", by.user_id, "{'membership':'invite'}");
	good(outsider_put(w->rs, w->a,
			  &(struct outsider_cmd){ .version = s->f.rv, .event = invite, .server = s->far_name },
			  &inside));
	/* far enough in that most of it is written; the sweeper does not come to it */
	atomic_store(&pieces_to_stop, 7);
	s->on_piece = stop_after_pieces;
	s->piece_ctx = s;
	scene_restart(s);
	fails_with(join_far(s, by), ERR_BUSY);
	assert_true(count_rows(s, "SELECT COUNT(*) FROM events") > 0);
	assert_true(count_rows(s, "SELECT COUNT(*) FROM current_state") > 0);
	assert_true(count_rows(s, "SELECT COUNT(*) FROM state_nodes") > 0);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM joins"), 1);
	s->on_piece = NULL;
	scene_restart(s);
	while (count_rows(s, "SELECT COUNT(*) FROM joins") > 0) /* the sweeper is at it */
		usleep(1000);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM events"), 0);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM current_state"), 0);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM state_nodes"), 0);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM membership"), 1);
	good(outsider_find(w->rs, w->a, s->f.room_id, by.user, &o));
	assert_int_equal(o->membership, MEMBER_INVITE);
	/* The inviter's server is asked without anybody saying so. */
	good(join_via(s, by, s->f.room_id, NULL, 0));
	check_room(s, alice, 1);
	good(outsider_find(w->rs, w->a, s->f.room_id, by.user, &o));
	assert_null(o);
}

SCENE(by_a_name_of_another_server, "11")
{
	struct world *w = s->w;
	const str alias = arena_printf(w->a, "#name:%.*s", STR_ARG(s->far_name));

	good(join_via(s, who(w, "alice"), alias, NULL, 0));
	check_room(s, alice, 1);
	s->no[0] = (struct far_no){ "far.example", "directory", 404, "M_NOT_FOUND" };
	fails_with(join_via(s, who(w, "bob"), arena_printf(w->a, "#other:%.*s", STR_ARG(s->far_name)), NULL, 0),
		   ERR_NOT_FOUND);
}

/* On the lane of those who need nobody else, nothing is asked. */
SCENE(who_may_not_wait_is_told, "11")
{
	struct world *w = s->w;
	bool elsewhere = false;
	const struct member_cmd cmd = { .by = who(w, "alice"),
					.room_id = s->f.room_id,
					.via = &s->far_name,
					.n_via = 1,
					.out_elsewhere = &elsewhere };
	str id;

	good(room_join(w->rs, w->a, &cmd, &id));
	assert_true(elsewhere);
	assert_int_equal(s->asked.n, 0);
	good(join_far(s, who(w, "bob")));
	elsewhere = false;
	good(room_join(w->rs, w->a, &cmd, &id));
	assert_false(elsewhere);
	check_room(s, both_of_us, 2);
}

TEST_MAIN(WORLD_TESTS(joins_1), WORLD_TESTS(joins_3), WORLD_TESTS(joins_6), WORLD_TESTS(joins_10),
	  WORLD_TESTS(joins_12), WORLD_TESTS(an_old_server_is_asked_in_the_old_way),
	  WORLD_TESTS(the_template_is_checked), WORLD_TESTS(servers_are_asked_in_turn),
	  WORLD_TESTS(a_bad_answer_is_refused), WORLD_TESTS(bad_events_are_left_out),
	  WORLD_TESTS(a_restricted_room_signs_for_us), WORLD_TESTS(a_room_is_fetched_once),
	  WORLD_TESTS(a_user_joins_few_rooms_at_once), WORLD_TESTS(what_a_large_room_costs),
	  WORLD_TESTS(coming_back_to_a_room_that_moved_on), WORLD_TESTS(a_room_where_nobody_is),
	  WORLD_TESTS(a_failure_leaves_no_half_room), WORLD_TESTS(a_restart_takes_away_what_was_begun),
	  WORLD_TESTS(by_a_name_of_another_server), WORLD_TESTS(who_may_not_wait_is_told))
